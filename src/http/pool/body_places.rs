// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Places among the workers for requests whose body still has to arrive.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use crate::threads::lock;

/// Counts the requests that may keep a worker waiting for their bodies.
pub(crate) struct BodyPlaces {
    free: Mutex<usize>,
    freed: Condvar,
}

impl BodyPlaces {
    /// All workers but two, and at least one.
    pub(crate) fn among(workers: usize) -> Arc<Self> {
        Self::new(workers.saturating_sub(2))
    }

    /// The share of callers who are not known: half of all that [`BodyPlaces::among`] has.
    pub(crate) fn for_guests(workers: usize) -> Arc<Self> {
        Self::new(workers.saturating_sub(2) / 2)
    }

    /// So many places, and at least one.
    fn new(count: usize) -> Arc<Self> {
        Arc::new(Self {
            free: Mutex::new(count.max(1)),
            freed: Condvar::new(),
        })
    }

    /// Takes a place, waiting at most this long for one.
    pub(crate) fn take(self: &Arc<Self>, wait: Duration) -> Option<BodyPlace> {
        let free = lock(&self.free);
        let waited = self.freed.wait_timeout_while(free, wait, |free| *free == 0);
        let (mut free, _) = waited.unwrap_or_else(PoisonError::into_inner);
        *free = free.checked_sub(1)?;
        Some(BodyPlace(Arc::clone(self)))
    }
}

/// A place that is given back when it is dropped.
pub(crate) struct BodyPlace(Arc<BodyPlaces>);

impl Drop for BodyPlace {
    fn drop(&mut self) {
        *lock(&self.0.free) += 1;
        self.0.freed.notify_one();
    }
}
