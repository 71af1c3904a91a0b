// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What the handler left of a body is read away at the poller, so that the connection can go on.

use std::io::Read as _;
use std::sync::Arc;
use std::time::Instant;

use super::caller::{After, HttpCaller};
use crate::http::body::body_deadline;
use crate::transport::is_timeout;
use crate::waiting::Waiter;

/// Reads the rest of a body whose request was answered, and then waits for the next request.
pub(super) struct Draining {
    caller: HttpCaller,
    /// How many bytes are still to come.
    left: u64,
    received: u64,
    started: Instant,
    until: Instant,
    has_more: bool,
}

impl Draining {
    /// Begins with `left` bytes of a body, which may be none. Nothing waits here.
    pub(super) fn begin(mut caller: HttpCaller, left: u64) -> After {
        if left == 0 {
            return After::Idle(caller);
        }

        caller.connection.be_quick();
        let started = Instant::now();
        let until = body_deadline(caller.connection.limits(), started, started, 0);
        let seat = Arc::clone(&caller.seat);

        let draining = Self {
            caller,
            left,
            received: 0,
            started,
            until,
            has_more: true,
        };
        After::Waiting(seat, Box::new(draining))
    }
}

impl Waiter for Draining {
    fn ready(mut self: Box<Self>) -> Option<Box<dyn Waiter>> {
        self.caller.connection.expect_more();
        let mut buffer = [0; 4096];

        for _ in 0..READS_AT_ONCE {
            if self.left == 0 {
                return After::Idle(self.caller).waiting();
            }

            // Not one byte more: what follows is the next request.
            let most = usize::try_from(self.left).unwrap_or(usize::MAX);
            let most = most.min(buffer.len());
            let connection = &mut self.caller.connection;
            match connection.read(&mut buffer[..most]) {
                Err(error) if is_timeout(&error) => {
                    self.has_more = connection.has_unread();
                    return Some(self);
                }
                Ok(0) | Err(_) => return None,
                Ok(count) => {
                    self.left -= count as u64;
                    self.received += count as u64;
                }
            }

            let limits = self.caller.connection.limits();
            self.until = body_deadline(limits, self.started, Instant::now(), self.received);
        }

        // Others have their turn before a caller that sends much.
        self.has_more = true;
        Some(self)
    }

    fn deadline(&self) -> Instant {
        self.until
    }

    fn expired(self: Box<Self>) -> Option<Box<dyn Waiter>> {
        None
    }

    /// The answer was sent, and there will not be another.
    fn stopped(mut self: Box<Self>) -> Option<Box<dyn Waiter>> {
        self.caller.connection.transport().finish();
        None
    }

    fn has_more(&self) -> bool {
        self.has_more
    }
}

/// Pieces that are read of one caller before others have their turn.
const READS_AT_ONCE: usize = 16;
