// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What the scrub has found, and how it is ended.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

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
    pub(crate) state: Mutex<ScrubProgress>,
    change: Condvar,
}

#[derive(Default)]
pub(crate) struct ScrubProgress {
    pub(crate) counts: ScrubCounts,
    closed: bool,
}

impl Scrub {
    pub(crate) fn counts(&self) -> ScrubCounts {
        lock(&self.state).counts
    }

    /// Ends the scrub, also in the middle of a model.
    pub(crate) fn close(&self) {
        lock(&self.state).closed = true;
        self.change.notify_all();
    }

    /// Sleeps so long, or until it is over; says whether to go on.
    pub(crate) fn rest(&self, time: Duration) -> bool {
        let waits = |state: &mut ScrubProgress| !state.closed;
        let waited = self
            .change
            .wait_timeout_while(lock(&self.state), time, waits);
        !waited.unwrap_or_else(PoisonError::into_inner).0.closed
    }
}
