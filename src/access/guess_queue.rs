// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The queue in front of the one long computation that tells whether a secret is the password that a
//! person chose: fair between callers, bounded, and slow once many guesses were wrong.
//!
//! Whoever guesses from many addresses meets no lock of a single address. So all wrong guesses together
//! empty one bucket, and while it is empty, a guess is looked at only as often as one is earned. Who has
//! failed least comes first: an owner, who seldom fails, passes by strangers who fail all the time.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::lockout::{Caller, LockoutOptions};
use crate::error::{Error, ErrorKind, Result};
use crate::threads::lock;

/// The queue.
pub(crate) struct GuessQueue {
    state: Mutex<GuessQueueState>,
    moved: Condvar,
    /// How many wrong guesses of all callers together the bucket holds; 0 for any number.
    burst: u32,
    /// In what time one more is earned.
    time: Duration,
}

#[derive(Default)]
struct GuessQueueState {
    /// Somebody computes.
    is_busy: bool,
    waiting: Vec<Waiting>,
    tickets: u64,
    /// Wrong guesses that count at the moment.
    failures: u32,
    /// When one was earned last.
    since: Option<Instant>,
}

/// Somebody who waits. Invariant: `rank` is the number of its wrong secrets and of those of the same
/// caller that were waiting before.
struct Waiting {
    ticket: u64,
    caller: Option<Caller>,
    rank: u32,
}

/// The right to compute, given back when it is dropped.
pub(crate) struct GuessTurn<'a>(&'a GuessQueue);

impl GuessQueue {
    /// A queue in which all callers together have as many guesses as ten addresses.
    pub(crate) fn new(options: &LockoutOptions) -> Self {
        Self {
            state: Mutex::default(),
            moved: Condvar::new(),
            burst: options.failures_max.saturating_mul(ADDRESSES),
            time: options.time / ADDRESSES,
        }
    }

    /// Waits for a turn; `failures` is how many wrong secrets of this caller count.
    ///
    /// # Errors
    /// `Busy` for who waited too long, or had to make room for others that failed less.
    pub(crate) fn enter(&self, caller: Option<Caller>, failures: u32) -> Result<GuessTurn<'_>> {
        let until = Instant::now() + WAIT;
        let mut state = lock(&self.state);
        let ticket = state.join(caller, failures)?;
        self.moved.notify_all();

        loop {
            let now = Instant::now();
            self.earn(&mut state, now);

            // Who had to make room is not in the list any more.
            let Some(own) = state.waiting.iter().position(|one| one.ticket == ticket) else {
                return Err(crowded());
            };
            if self.is_open(&state) && state.first() == Some(own) {
                state.waiting.swap_remove(own);
                state.is_busy = true;
                return Ok(GuessTurn(self));
            }
            if now >= until {
                state.waiting.swap_remove(own);
                self.moved.notify_all();
                return Err(crowded());
            }

            let left = (until - now).min(self.until_earned(&state, now));
            let waited = self.moved.wait_timeout(state, left);
            (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Counts a wrong guess.
    pub(crate) fn count(&self) {
        let (mut state, now) = (lock(&self.state), Instant::now());
        self.earn(&mut state, now);
        if self.burst > 0 {
            state.failures = state.failures.saturating_add(1).min(self.burst);
            state.since.get_or_insert(now);
        }
    }

    /// Whether a guess may be looked at now.
    fn is_open(&self, state: &GuessQueueState) -> bool {
        !state.is_busy && (self.burst == 0 || state.failures < self.burst)
    }

    fn earn(&self, state: &mut GuessQueueState, now: Instant) {
        let Some(since) = state.since else { return };
        let time = self.time.max(Duration::from_millis(1));
        let earned = now.saturating_duration_since(since).as_millis() / time.as_millis();
        let earned = u32::try_from(earned).unwrap_or(u32::MAX);
        if earned == 0 {
            return;
        }

        state.failures = state.failures.saturating_sub(earned);
        state.since = (state.failures > 0).then(|| since + time.saturating_mul(earned));
    }

    /// How long it takes until one more guess is earned, if that is what is missing.
    fn until_earned(&self, state: &GuessQueueState, now: Instant) -> Duration {
        match state.since {
            Some(since) if self.burst > 0 && state.failures >= self.burst => {
                (since + self.time).saturating_duration_since(now) + Duration::from_millis(1)
            }
            _ => WAIT,
        }
    }
}

impl GuessQueueState {
    /// Puts somebody into the list, in place of whoever comes last if it is full; a ticket.
    fn join(&mut self, caller: Option<Caller>, failures: u32) -> Result<u64> {
        let same = self.waiting.iter().filter(|one| one.caller == caller);
        let rank = failures.saturating_add(u32::try_from(same.count()).unwrap_or(u32::MAX));

        if self.waiting.len() >= WAITING_MAX {
            let last = (0..self.waiting.len()).max_by_key(|index| self.waiting[*index].order());
            let last = last.filter(|index| self.waiting[*index].rank > rank);
            // A thread that is not in the list any more finds that out.
            self.waiting.swap_remove(last.ok_or_else(crowded)?);
        }

        self.tickets += 1;
        let ticket = self.tickets;
        self.waiting.push(Waiting {
            ticket,
            caller,
            rank,
        });
        Ok(ticket)
    }

    /// Where in the list the one is who comes first.
    fn first(&self) -> Option<usize> {
        (0..self.waiting.len()).min_by_key(|index| self.waiting[*index].order())
    }
}

impl Waiting {
    fn order(&self) -> (u32, u64) {
        (self.rank, self.ticket)
    }
}

impl Drop for GuessTurn<'_> {
    fn drop(&mut self) {
        lock(&self.0.state).is_busy = false;
        self.0.moved.notify_all();
    }
}

fn crowded() -> Error {
    Error::new(
        ErrorKind::Busy,
        "too many passwords are being verified at the moment",
    )
    .hint("try again, or use a token, which needs less work")
}

/// As many addresses as all callers together count for.
const ADDRESSES: u32 = 10;

/// How many wait; each is a thread and a place among the requests that run.
const WAITING_MAX: usize = 6;

/// How long somebody waits for a turn.
const WAIT: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    fn at(number: u32) -> Option<Caller> {
        Some(Caller::User(number))
    }

    impl GuessQueue {
        /// Waits until so many wait.
        pub(crate) fn until_waiting(&self, count: usize) {
            let deadline = Instant::now() + Duration::from_secs(60);
            while lock(&self.state).waiting.len() < count {
                assert!(Instant::now() < deadline, "nobody waits");
                std::thread::yield_now();
            }
        }
    }

    fn queue(failures_max: u32, time: Duration) -> GuessQueue {
        GuessQueue::new(&LockoutOptions {
            failures_max,
            time,
            ..LockoutOptions::default()
        })
    }

    #[test]
    fn a_thousand_addresses_have_as_many_guesses_as_ten() {
        let queue = queue(10, Duration::from_secs(30_000));
        let mut looked_at = 0;
        for number in 0..1000 {
            let mut state = lock(&queue.state);
            if !queue.is_open(&state) {
                continue;
            }
            state.join(at(number), 0).unwrap();
            state.waiting.clear();
            drop(state);
            looked_at += 1;
            queue.count();
        }
        assert_eq!(looked_at, 100);

        // Guesses are earned again, one in each time, and no more than there were.
        let mut state = lock(&queue.state);
        let start = state.since.unwrap();
        for (time, failures) in [(3, 99), (6, 98), (300, 0), (9_000, 0)] {
            let now = start + Duration::from_secs(time * 1000);
            queue.earn(&mut state, now);
            assert_eq!(state.failures, failures, "{time}");
        }
        assert_eq!(state.since, None);
    }

    #[test]
    fn who_failed_least_comes_first() {
        let queue = queue(10, Duration::from_secs(30));
        let turn = queue.enter(at(0), 0).unwrap();
        let (sender, order) = channel();
        // Whoever waits with several guesses comes behind others for all but the first of them.
        let all = [(1, 5), (2, 3), (2, 3), (4, 3), (3, 0)];
        std::thread::scope(|scope| {
            for (count, (number, failures)) in all.iter().enumerate() {
                let (queue, sender) = (&queue, sender.clone());
                scope.spawn(move || {
                    let turn = queue.enter(at(*number), *failures).unwrap();
                    sender.send(*number).unwrap();
                    drop(turn);
                });
                queue.until_waiting(count + 1);
            }
            drop((turn, sender));
            assert_eq!(order.iter().collect::<Vec<_>>(), [3, 2, 4, 2, 1]);
        });
    }

    #[test]
    fn in_a_full_queue_an_owner_takes_the_place_of_a_stranger() {
        let queue = queue(10, Duration::from_secs(30));
        let turn = queue.enter(at(0), 0).unwrap();
        std::thread::scope(|scope| {
            let strangers: Vec<_> = (1..=WAITING_MAX)
                .map(|number| {
                    let queue = &queue;
                    let caller = at(u32::try_from(number).unwrap());
                    let stranger = scope.spawn(move || queue.enter(caller, 4).map(drop));
                    queue.until_waiting(number);
                    stranger
                })
                .collect();

            // One that failed as often finds no place.
            assert!(queue.enter(at(99), 4).is_err());

            let owner = scope.spawn(|| queue.enter(at(100), 0).map(drop));
            while !strangers.iter().any(|stranger| stranger.is_finished()) {
                std::thread::yield_now();
            }
            drop(turn);
            assert!(owner.join().unwrap().is_ok());
            let refused = strangers.into_iter().map(|one| one.join().unwrap());
            assert_eq!(refused.filter(Result::is_err).count(), 1);
        });
    }
}
