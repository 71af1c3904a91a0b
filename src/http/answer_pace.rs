// SPDX-License-Identifier: Apache-2.0 OR MIT
//! How fast a caller has to take an answer.

use std::sync::Arc;
use std::time::Instant;

use crate::http::connection::Connection;
use crate::limits::Limits;
use crate::transport::{TimeLimit, Transport};

/// How fast a caller has to take an answer.
pub(crate) struct AnswerPace {
    started: Instant,
    pub(crate) sent: u64,
    /// How many bytes had been sent at `started`.
    counted_from: u64,
    limits: Arc<Limits>,
}

impl AnswerPace {
    pub(crate) fn new(connection: &Connection) -> Self {
        Self {
            started: Instant::now(),
            sent: 0,
            counted_from: 0,
            limits: connection.shared_limits(),
        }
    }

    /// Takes time that passes in `work` for ours and not for the caller's.
    pub(crate) fn excuse<T>(&mut self, work: impl FnOnce() -> T) -> T {
        let before = Instant::now();
        let result = work();
        self.started += before.elapsed();
        result
    }

    /// Counts time and bytes from here on.
    pub(crate) fn begin_again(&mut self) {
        self.started = Instant::now();
        self.counted_from = self.sent;
    }

    /// Bounds the next slice.
    pub(crate) fn limit(&self, transport: &mut dyn Transport) {
        let bytes = self.sent - self.counted_from + SLICE_BYTES as u64;
        let step = self.limits.write_timeout;
        transport.set_write_limit(TimeLimit {
            step,
            deadline: Some(self.started + self.limits.time_for(bytes, step)),
        });
    }
}

/// What is sent between two looks at the clock.
pub(crate) const SLICE_BYTES: usize = 256 * 1024;
