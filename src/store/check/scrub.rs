// SPDX-License-Identifier: Apache-2.0 OR MIT
//! One thread that reads all models again from time to time, slowly, and reports damage. It exists
//! only where the setting `scrub-interval` asks for it.

use std::sync::Arc;
use std::time::Duration;

use crate::model::{ModelName, Verified};
use crate::store::catalog::Catalog;
use crate::store::check::model_check::{Check, Verdict};
use crate::threads::lock;

/// The work of the thread.
pub(crate) fn run(catalog: &Arc<Catalog>) {
    let scrub = &catalog.scrub;
    while scrub.rest(catalog.options.scrub_interval) {
        // A folder that is exchanged meanwhile would seem to lose its models.
        let shown = catalog.shown();
        let models = catalog.layout.models().unwrap_or_else(|error| {
            log::warn!("the models cannot be listed: {error}");
            Vec::new()
        });
        drop(shown);

        for (name, _) in models {
            let Some(verdict) = check(catalog, &name) else {
                continue;
            };

            // The lock is taken only for the counters, so nobody waits for the disk.
            let is_bad = matches!(verdict.outcome, Verified::Damaged | Verified::Unreadable);
            let mut state = lock(&scrub.state);
            state.counts.models += 1;
            state.counts.damaged += u64::from(is_bad);
        }

        lock(&scrub.state).counts.rounds += 1;
    }
}

/// Reads a model at a pace that leaves the card to others; `None` if it is gone or time is over.
fn check(catalog: &Arc<Catalog>, name: &ModelName) -> Option<Verdict> {
    let mut check = Check::new(catalog, name).ok()?;
    loop {
        if let Some(verdict) = check.step() {
            return Some(verdict);
        }
        if !catalog.scrub.rest(PAUSE) {
            return None;
        }
    }
}

/// After each mebibyte: at most 10 MiB a second.
const PAUSE: Duration = Duration::from_millis(100);
