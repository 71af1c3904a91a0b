// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A caller that reads a file while it arrives.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::routes::hub::mirroring::fetch::Fetch;

/// Reads a part of a file, and waits for what has not come yet.
pub(super) struct Follower {
    fetch: Arc<Fetch>,
    place: u64,
    end: u64,
    _turn: FollowerTurn,
}

/// One of the callers that may wait at a time.
pub(super) struct FollowerTurn(Arc<AtomicUsize>);

impl FollowerTurn {
    /// `None` if there are so many already.
    pub(super) fn take(count: &Arc<AtomicUsize>, max: usize) -> Option<Self> {
        let turn = Self(Arc::clone(count));
        // Dropped, it gives back what it has taken.
        (count.fetch_add(1, Ordering::SeqCst) < max).then_some(turn)
    }
}

impl Drop for FollowerTurn {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Follower {
    /// One of the bytes from `place` to `end`.
    pub(super) fn new(fetch: Arc<Fetch>, place: u64, end: u64, turn: FollowerTurn) -> Self {
        Self {
            fetch,
            place,
            end,
            _turn: turn,
        }
    }
}

impl Read for Follower {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.end - self.place).unwrap_or(usize::MAX);
        let room = buffer.len().min(left);
        if room == 0 {
            return Ok(0);
        }
        let count = self.fetch.read_at(&mut buffer[..room], self.place)?;
        self.place += count as u64;
        Ok(count)
    }
}
