// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A bound for lines that strangers can cause: some of each second are written, the others counted.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::text::counted;
use crate::threads::lock;

/// Lines of one kind.
pub(crate) struct LineBudget {
    /// What is left out, as in `12 lines about ...`.
    about: &'static str,
    spent: Mutex<Spent>,
    /// The same as `Spent::left_out > 0`, for a look without the lock.
    has_left_out: AtomicBool,
}

/// What became of the lines of the present second.
#[derive(Default)]
struct Spent {
    since: Option<Instant>,
    written: u32,
    left_out: u64,
}

impl LineBudget {
    pub(crate) fn new(about: &'static str) -> Self {
        Self {
            about,
            spent: Mutex::default(),
            has_left_out: AtomicBool::new(false),
        }
    }

    /// Writes a line unless this second has had enough of them.
    pub(crate) fn write(&self, write: impl FnOnce()) {
        let now = Instant::now();
        self.tell(self.settle_at(now));
        if self.take(now) {
            write();
        }
    }

    /// Tells how many lines were left out, once their second is over. It is cheap enough to be called often.
    pub(crate) fn settle(&self) {
        if self.has_left_out.load(Ordering::Relaxed) {
            self.tell(self.settle_at(Instant::now()));
        }
    }

    /// Whether one more line may be written.
    fn take(&self, now: Instant) -> bool {
        let mut spent = lock(&self.spent);
        spent.since.get_or_insert(now);

        let is_written = spent.written < LINES_MAX;
        if is_written {
            spent.written += 1;
        } else {
            spent.left_out += 1;
            self.has_left_out.store(true, Ordering::Relaxed);
        }
        is_written
    }

    /// Begins another second if one is over; how many lines the last one was short of.
    fn settle_at(&self, now: Instant) -> u64 {
        let mut spent = lock(&self.spent);
        let is_over = |since| now.saturating_duration_since(since) >= SECOND;
        if !spent.since.is_some_and(is_over) {
            return 0;
        }
        self.has_left_out.store(false, Ordering::Relaxed);
        std::mem::take(&mut *spent).left_out
    }

    fn tell(&self, left_out: u64) {
        if left_out > 0 {
            let lines = counted(left_out, "line");
            log::info!("{lines} about {} were left out here", self.about);
        }
    }
}

impl Drop for LineBudget {
    fn drop(&mut self) {
        let left_out = lock(&self.spent).left_out;
        self.tell(left_out);
    }
}

/// Lines of each second.
const LINES_MAX: u32 = 10;

const SECOND: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_second_has_so_many_lines_and_counts_the_others() {
        let budget = LineBudget::new("tests");
        let start = Instant::now();
        let at = |milliseconds| start + Duration::from_millis(milliseconds);

        let written = (0..100).filter(|number| budget.take(at(*number))).count();
        assert_eq!(written, 10);
        assert_eq!(budget.settle_at(at(999)), 0, "the second is not over");
        assert!(budget.has_left_out.load(Ordering::Relaxed));

        assert_eq!(budget.settle_at(at(1000)), 90);
        assert_eq!(budget.settle_at(at(5000)), 0, "it is told once");
        assert!(!budget.has_left_out.load(Ordering::Relaxed));
        assert!(budget.take(at(5000)));
    }
}
