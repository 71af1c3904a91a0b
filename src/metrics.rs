// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What a server counts from its start on; each server counts for itself.

use std::sync::atomic::{AtomicU64, Ordering};

/// The counts of one server.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Metrics {
    /// Connections that were accepted, those that found no place included.
    pub connections: Count,
    /// Connections for which there was no place.
    pub rejected: Count,
    /// Requests whose head could be read.
    pub requests: Count,
    /// Panics in handlers and in what they returned.
    pub panics: Count,
}

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    /// How many there were.
    pub fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn add_one(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}
