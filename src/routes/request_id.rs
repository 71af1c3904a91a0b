// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The ids of requests, which the log and the callers see.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::random;

/// Tells requests of one run from those of another: the number of a request is not enough.
pub(crate) struct Ids {
    run: String,
    count: AtomicU64,
}

impl Ids {
    /// Ids that begin with a random word.
    pub(crate) fn new() -> Self {
        // Without random numbers, the ids of two runs are the same; they are no secrets.
        let random = random::bytes().map_or(0, u32::from_be_bytes);
        Self {
            run: format!("{random:08x}"),
            count: AtomicU64::new(1),
        }
    }

    pub(crate) fn next(&self) -> String {
        format!(
            "{}-{}",
            self.run,
            self.count.fetch_add(1, Ordering::Relaxed)
        )
    }
}
