// SPDX-License-Identifier: Apache-2.0 OR MIT
//! One thread that reads all models again from time to time, slowly, and tells of damage. It exists
//! only where the setting `scrub-interval` asks for it.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use crate::model::ModelName;
use crate::store::catalog::Shelf;
use crate::store::check::verify::{Check, Verdict, Verified};
use crate::threads::lock;

/// What the scrub has found since the store was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ScrubCounts {
    /// Rounds over all models.
    pub rounds: u64,
    /// Models that were read.
    pub models: u64,
    /// Of these, those that are damaged or cannot be read.
    pub damaged: u64,
}

/// The state of the thread.
#[derive(Default)]
pub(crate) struct Scrub {
    state: Mutex<State>,
    change: Condvar,
}

#[derive(Default)]
struct State {
    counts: ScrubCounts,
    closed: bool,
}

impl Scrub {
    pub(crate) fn counts(&self) -> ScrubCounts {
        lock(&self.state).counts
    }

    /// Ends [`run`], also in the middle of a model.
    pub(crate) fn close(&self) {
        lock(&self.state).closed = true;
        self.change.notify_all();
    }

    /// Sleeps so long, or until it is over; says whether to go on.
    fn rest(&self, time: Duration) -> bool {
        let waits = |state: &mut State| !state.closed;
        let waited = self
            .change
            .wait_timeout_while(lock(&self.state), time, waits);
        !waited.unwrap_or_else(PoisonError::into_inner).0.closed
    }
}

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
