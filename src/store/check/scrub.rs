// SPDX-License-Identifier: Apache-2.0 OR MIT
//! One thread that reads all models again from time to time, slowly, and tells of damage. It exists
//! only where the setting `scrub-interval` asks for it.

use std::sync::Arc;
use std::time::Duration;

use crate::model::ModelName;
use crate::store::catalog::Shelf;
use crate::store::check::verify::{Check, Verdict, Verified};
use crate::threads::lock;

/// The work of the thread.
pub(crate) fn run(shelf: &Arc<Shelf>) {
    let scrub = &shelf.scrub;
    while scrub.rest(shelf.options.scrub_interval) {
        let models = shelf.layout.models().unwrap_or_else(|error| {
            log::warn!("the models cannot be listed: {error}");
            Vec::new()
        });
        for (name, _) in models {
            let Some(verdict) = check(shelf, &name) else {
                continue;
            };
            let is_bad = matches!(verdict.outcome, Verified::Damaged | Verified::Unreadable);
            let mut state = lock(&scrub.state);
            state.counts.models += 1;
            state.counts.damaged += u64::from(is_bad);
        }
        lock(&scrub.state).counts.rounds += 1;
    }
}

/// Reads a model at a pace that leaves the card to others; `None` if it is gone or time is over.
fn check(shelf: &Arc<Shelf>, name: &ModelName) -> Option<Verdict> {
    let mut check = Check::new(shelf, name).ok()?;
    loop {
        if let Some(verdict) = check.step() {
            return Some(verdict);
        }
        if !shelf.scrub.rest(PAUSE) {
            return None;
        }
    }
}

/// After each mebibyte: at most 10 MiB a second.
const PAUSE: Duration = Duration::from_millis(100);
