// SPDX-License-Identifier: Apache-2.0 OR MIT
//! How fast a caller has to take an answer.
//!
//! What counts is what its kernel took, not what fits into ours: a caller that takes nothing is cut after
//! `write_timeout`, and bytes that surely are still here earn nobody any time.

use std::sync::Arc;
use std::time::Instant;

use crate::limits::Limits;
use crate::transport::Transport;

/// How fast a caller has to take an answer.
pub(crate) struct AnswerPace {
    started: Instant,
    /// How many bytes had been taken at `started`.
    counted_from: u64,
    /// How many had been taken when they were last more than before, and when that was.
    taken: u64,
    moved: Instant,
    limits: Arc<Limits>,
}

impl AnswerPace {
    /// The pace of an answer that begins now.
    pub(crate) fn new(limits: Arc<Limits>, transport: &dyn Transport) -> Self {
        let (now, taken) = (Instant::now(), transport.taken());
        Self {
            started: now,
            counted_from: taken,
            taken,
            moved: now,
            limits,
        }
    }

    /// Takes time that passes in `work` for ours and not for the caller's.
    pub(crate) fn excuse<T>(&mut self, work: impl FnOnce() -> T) -> T {
        let before = Instant::now();
        let result = work();
        let time = before.elapsed();
        self.started += time;
        self.moved += time;
        result
    }

    /// Counts time and bytes from here on.
    pub(crate) fn begin_again(&mut self) {
        let now = Instant::now();
        self.started = now;
        self.moved = now;
        self.counted_from = self.taken;
    }

    /// Notes what was taken; whether that is more than before.
    pub(crate) fn note(&mut self, transport: &dyn Transport) -> bool {
        let taken = transport.taken();
        let has_moved = taken > self.taken;
        if has_moved {
            self.taken = taken;
            self.moved = Instant::now();
        }
        has_moved
    }

    /// When something was last taken.
    pub(crate) fn moved(&self) -> Instant {
        self.moved
    }

    /// Until when more has to be taken of a transport that is full.
    pub(crate) fn deadline(&self, transport: &dyn Transport) -> Instant {
        self.deadline_with(transport.held_when_full())
    }

    /// Whether the caller of a transport that is full has taken too little.
    pub(crate) fn is_over(&self, transport: &dyn Transport) -> bool {
        let now = Instant::now();
        // How much the transport holds is asked for only where it matters.
        self.deadline_with(u64::MAX) <= now && self.deadline(transport) <= now
    }

    fn deadline_with(&self, held: u64) -> Instant {
        let left = (self.taken - self.counted_from).saturating_sub(held);
        let step = self.limits.write_timeout;
        let allowed = self.limits.time_for(left, step);
        (self.moved + step).min(self.started + allowed)
    }

    /// When to look whether something was taken, since the kernel announces room only once there is a
    /// good deal of it. A caller is cut at most this much later than it deserves.
    pub(crate) fn look(&self) -> Instant {
        Instant::now() + self.limits.write_timeout / 4
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_was_taken_before_earns_no_time_and_costs_none() {
        let (hour, started) = (Duration::from_secs(3600), Instant::now());
        let limits = Limits {
            write_timeout: hour,
            rate_min: 1,
            ..Limits::default()
        };
        let mut pace = AnswerPace {
            started,
            counted_from: 0,
            taken: 1_000_000,
            moved: started,
            limits: Arc::new(limits),
        };

        pace.begin_again();
        assert!(pace.started > started && pace.moved == pace.started);
        assert_eq!(pace.deadline_with(0), pace.started + hour);

        // Whether something was taken is asked four times in the time that somebody may take nothing.
        let look = pace.look();
        assert!(look >= started + hour / 4 && look <= Instant::now() + hour / 4);
    }

    #[test]
    fn bytes_that_are_still_here_earn_no_time() {
        let (second, started) = (Duration::from_secs(1), Instant::now());
        let limits = Limits {
            write_timeout: 10 * second,
            rate_min: 1000,
            ..Limits::default()
        };
        let mut pace = AnswerPace {
            started,
            counted_from: 50_000,
            taken: 150_000,
            moved: started + 5 * second,
            limits: Arc::new(limits),
        };

        // What is taken later than the rate allows saves nobody.
        assert_eq!(pace.deadline_with(100_000), started + 10 * second);
        assert_eq!(pace.deadline_with(u64::MAX), started + 10 * second);
        assert_eq!(pace.deadline_with(98_000), started + 12 * second);

        // What earns time does so only for those who still take something.
        assert_eq!(pace.deadline_with(0), started + 15 * second);
        pace.moved = started + 95 * second;
        assert_eq!(pace.deadline_with(0), started + 105 * second);
    }

    #[test]
    fn time_that_passes_here_is_not_counted() {
        let started = Instant::now();
        let mut pace = AnswerPace {
            started,
            counted_from: 0,
            taken: 0,
            moved: started,
            limits: Arc::default(),
        };
        let took = pace.excuse(|| {
            let begun = Instant::now();
            while begun.elapsed().is_zero() {}
            begun.elapsed()
        });
        assert!(pace.started >= started + took);
        assert!(pace.moved >= started + took);
    }
}
