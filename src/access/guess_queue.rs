// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The queue in front of the one long computation that tells whether a secret is the password that a
//! person chose: fair between callers, bounded, and slow once many guesses were wrong.
//!
//! Whoever guesses from many addresses meets no lock of a single address. So all wrong guesses together
//! empty one bucket, and while it is empty, a guess is looked at only as often as one is earned. Who comes
//! from a network that has failed least comes first: an owner, who seldom fails, passes by strangers who fail
//! all the time, from however many addresses of their networks. A network from which right credentials came
//! lately passes by those of which nothing is known, as long as nobody fails there, and with one guess at a time:
//! so whoever guesses from there gains next to nothing.

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
    /// In what time a network earns one. It is long: whoever rotates networks comes back to each seldom.
    network_time: Duration,
}

#[derive(Default)]
struct GuessQueueState {
    /// Somebody computes.
    is_busy: bool,
    waiting: Vec<Waiting>,
    tickets: u64,
    /// The wrong guesses of all.
    all: WrongGuesses,
    /// Those of networks that guess, at most [`NETWORKS_MAX`].
    networks: Vec<(Caller, WrongGuesses)>,
    /// Networks from which right credentials came, and when, at most [`PROVED_MAX`].
    proved: Vec<(Caller, Instant)>,
}

/// Wrong guesses that count at the moment.
#[derive(Clone, Copy, Default)]
struct WrongGuesses {
    count: u32,
    /// When one was earned last.
    since: Option<Instant>,
}

/// Somebody who waits. Invariant: `rank` is the number of wrong guesses of its network, and then that of its
/// own wrong secrets and of those of its network that were waiting before. In front of them stands whether it is
/// a stranger: whoever has failed or waits counts as one.
struct Waiting {
    ticket: u64,
    caller: Option<Caller>,
    rank: GuessRank,
}

type GuessRank = (bool, u32, u32);

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
            network_time: options.time_max.max(options.time),
        }
    }

    /// Waits for a turn; `failures` is how many wrong secrets of this caller count.
    ///
    /// # Errors
    /// `Busy` for who waited too long, or had to make room for others that failed less.
    pub(crate) fn enter(&self, caller: Option<Caller>, failures: u32) -> Result<GuessTurn<'_>> {
        let started = Instant::now();
        let mut state = lock(&self.state);
        let (ticket, rank) = state.join(caller, failures, |wrong| self.left(wrong, started))?;
        let until = started + if is_clean(rank) { WAIT_CLEAN } else { WAIT };
        self.moved.notify_all();

        loop {
            let now = Instant::now();
            state.all.earn(now, self.time);

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

    /// Keeps in mind that right credentials of any kind came from this network.
    pub(crate) fn prove(&self, caller: Caller) {
        let (mut state, now) = (lock(&self.state), Instant::now());
        let network = caller.network();
        let proved = &mut state.proved;

        if let Some((_, when)) = proved.iter_mut().find(|(one, _)| *one == network) {
            *when = now;
            return;
        }

        if proved.len() >= PROVED_MAX {
            let oldest = (0..proved.len()).min_by_key(|index| proved[*index].1);
            proved.swap_remove(oldest.unwrap_or_default());
        }
        proved.push((network, now));
    }

    /// Counts a wrong guess.
    pub(crate) fn count(&self, caller: Caller) {
        if self.burst == 0 {
            return;
        }

        let (mut guard, now) = (lock(&self.state), Instant::now());
        let state = &mut *guard;
        state.all.add(now, self.time, self.burst);

        let network = caller.network();
        let known = state.networks.iter().position(|(one, _)| *one == network);
        let index = known.unwrap_or_else(|| {
            if state.networks.len() >= NETWORKS_MAX {
                let count = |index: &usize| self.left(state.networks[*index].1, now);
                let least = (0..state.networks.len()).min_by_key(count);
                state.networks.swap_remove(least.unwrap_or_default());
            }
            state.networks.push((network, WrongGuesses::default()));
            state.networks.len() - 1
        });
        state.networks[index]
            .1
            .add(now, self.network_time, self.burst);
    }

    /// Whether a guess may be looked at now.
    fn is_open(&self, state: &GuessQueueState) -> bool {
        !state.is_busy && (self.burst == 0 || state.all.count < self.burst)
    }

    /// How many wrong guesses of a network count.
    fn left(&self, mut wrong: WrongGuesses, now: Instant) -> u32 {
        wrong.earn(now, self.network_time);
        wrong.count
    }

    /// How long it takes until one more guess is earned, if that is what is missing.
    fn until_earned(&self, state: &GuessQueueState, now: Instant) -> Duration {
        match state.all.since {
            Some(since) if self.burst > 0 && state.all.count >= self.burst => {
                (since + self.time).saturating_duration_since(now) + Duration::from_millis(1)
            }
            _ => WAIT,
        }
    }
}

impl WrongGuesses {
    fn add(&mut self, now: Instant, time: Duration, most: u32) {
        self.earn(now, time);
        self.count = self.count.saturating_add(1).min(most);
        self.since.get_or_insert(now);
    }

    /// Forgets one for each `time` that has passed.
    fn earn(&mut self, now: Instant, time: Duration) {
        let Some(since) = self.since else { return };
        let each = time.max(Duration::from_millis(1));
        let earned = now.saturating_duration_since(since).as_millis() / each.as_millis();
        let earned = u32::try_from(earned).unwrap_or(u32::MAX);
        if earned == 0 {
            return;
        }

        self.count = self.count.saturating_sub(earned);
        self.since = (self.count > 0).then(|| since + each.saturating_mul(earned));
    }
}

impl GuessQueueState {
    /// Puts somebody into the list, in place of whoever comes last if it is full; a ticket and the rank.
    fn join(
        &mut self,
        caller: Option<Caller>,
        failures: u32,
        left: impl Fn(WrongGuesses) -> u32,
    ) -> Result<(u64, GuessRank)> {
        let network = caller.map(Caller::network);
        let known = self.networks.iter().find(|(one, _)| Some(*one) == network);
        let mut rank = (true, known.map_or(0, |(_, wrong)| left(*wrong)), failures);
        for one in &self.waiting {
            rank.2 += u32::from(one.caller.map(Caller::network) == network);
        }

        let mut proved = self.proved.iter();
        let is_proved =
            proved.any(|(one, when)| Some(*one) == network && when.elapsed() < PROVED_TIME);
        rank.0 = !(is_proved && is_clean(rank));

        let waiting_max = if is_clean(rank) {
            WAITING_MAX
        } else {
            WAITING_MAX / 2
        };
        if self.waiting.len() >= waiting_max {
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
        Ok((ticket, rank))
    }

    /// Where in the list the one is who comes first.
    fn first(&self) -> Option<usize> {
        (0..self.waiting.len()).min_by_key(|index| self.waiting[*index].order())
    }
}

impl Waiting {
    fn order(&self) -> (GuessRank, u64) {
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

/// Whether this is the rank of who has not failed, in a network of which nobody has failed or waits.
fn is_clean((_, network, own): GuessRank) -> bool {
    network == 0 && own == 0
}

/// How many wait; each is a thread and a place among the requests that run. Half of them are out of reach
/// for whoever is not clean.
const WAITING_MAX: usize = 12;

/// Networks whose wrong guesses are counted. Of more, those that failed least are forgotten.
const NETWORKS_MAX: usize = 256;

/// Networks with right credentials that are remembered, and for how long.
const PROVED_MAX: usize = 64;
const PROVED_TIME: Duration = Duration::from_secs(3600);

/// How long somebody waits for a turn.
const WAIT: Duration = Duration::from_secs(5);

/// The same for whoever is clean: as long as some guesses take on the slowest device.
const WAIT_CLEAN: Duration = Duration::from_secs(15);

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    fn at(number: u32) -> Option<Caller> {
        Some(Caller::User(number))
    }

    impl GuessQueue {
        /// Whether right credentials came from the network of a caller.
        pub(crate) fn has_proved(&self, caller: Caller) -> bool {
            let state = lock(&self.state);
            state.proved.iter().any(|(one, _)| *one == caller.network())
        }

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
            if !queue.is_open(&lock(&queue.state)) {
                continue;
            }
            looked_at += 1;
            queue.count(Caller::User(number));
        }
        assert_eq!(looked_at, 100);

        // Guesses are earned again, one in each time, and no more than there were.
        let mut state = lock(&queue.state);
        let start = state.all.since.unwrap();
        for (time, failures) in [(3, 99), (6, 98), (300, 0), (9_000, 0)] {
            let now = start + Duration::from_secs(time * 1000);
            state.all.earn(now, queue.time);
            assert_eq!(state.all.count, failures, "{time}");
        }
        assert_eq!(state.all.since, None);
    }

    #[test]
    fn who_waits_for_a_guess_to_be_earned_waits_as_long_as_that_takes() {
        // Ten guesses for all, one of which is earned in each hour.
        let hour = Duration::from_secs(3600);
        let queue = queue(1, 10 * hour);
        for number in 1..=10 {
            queue.count(Caller::User(number));
            let state = lock(&queue.state);
            let later = state.all.since.unwrap() + hour / 4;
            let left = queue.until_earned(&state, later);
            let earned = hour / 4 * 3 + Duration::from_millis(1);
            assert_eq!(left, if number < 10 { WAIT } else { earned });
        }
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
            let strangers: Vec<_> = (1..=WAITING_MAX / 2)
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

            let owner = scope.spawn(|| queue.enter(at(100), 1).map(drop));
            while !strangers.iter().any(|stranger| stranger.is_finished()) {
                std::thread::yield_now();
            }
            drop(turn);
            assert!(owner.join().unwrap().is_ok());
            let refused = strangers.into_iter().map(|one| one.join().unwrap());
            assert_eq!(refused.filter(Result::is_err).count(), 1);
        });
    }

    #[test]
    fn whoever_comes_from_a_clean_network_passes_by_one_that_rotates_addresses() {
        let queue = queue(10, Duration::from_secs(30_000));
        let turn = queue.enter(at(0), 0).unwrap();
        let guesser = |number: u8| Caller::at([192, 0, 2, number].into());
        queue.count(guesser(200));
        std::thread::scope(|scope| {
            // None of these addresses has failed before.
            let guessers: Vec<_> = (1..=6)
                .map(|number: u8| {
                    let queue = &queue;
                    let one = scope.spawn(move || queue.enter(Some(guesser(number)), 0).map(drop));
                    queue.until_waiting(usize::from(number));
                    one
                })
                .collect();
            assert!(queue.enter(Some(guesser(7)), 0).is_err());

            // There is room for whoever did not fail, and one of those who did is first to go.
            let owner = Some(Caller::at([198, 51, 100, 1].into()));
            let (sender, order) = channel();
            let came = sender.clone();
            let queue = &queue;
            scope.spawn(move || {
                let own = queue.enter(owner, 0).unwrap();
                came.send("owner").unwrap();
                drop(own);
            });
            queue.until_waiting(7);
            scope.spawn(move || {
                for one in guessers {
                    let _ = one.join().unwrap();
                }
                sender.send("guessers").unwrap();
            });
            assert!(order.try_recv().is_err());
            let first = lock(&queue.state).first().unwrap();
            assert_eq!(lock(&queue.state).waiting[first].caller, owner);
            drop(turn);
            assert_eq!(order.iter().collect::<Vec<_>>(), ["owner", "guessers"]);
        });
    }

    #[test]
    fn networks_that_are_remembered_are_bounded_and_the_worst_stay() {
        let queue = queue(10, Duration::from_secs(30_000));
        for _ in 0..3 {
            queue.count(Caller::User(0));
        }
        for number in 1..1000 {
            queue.count(Caller::User(number));
        }
        let state = lock(&queue.state);
        assert_eq!(state.networks.len(), NETWORKS_MAX);
        assert!(
            state
                .networks
                .iter()
                .any(|(one, wrong)| *one == Caller::User(0) && wrong.count == 3)
        );
    }

    #[test]
    fn a_network_that_has_proved_itself_passes_by_networks_that_nobody_knows() {
        let queue = queue(10, Duration::from_secs(30_000));
        let network = |number: usize| Caller::at([10, 0, u8::try_from(number).unwrap(), 1].into());
        let (known, guesser) = (network(100), network(101));
        queue.prove(known);
        queue.prove(guesser);
        queue.count(guesser);
        let turn = queue.enter(at(0), 0).unwrap();

        std::thread::scope(|scope| {
            // All places are taken by networks that never failed.
            for number in 1..=WAITING_MAX {
                let queue = &queue;
                scope.spawn(move || queue.enter(Some(network(number)), 0).map(drop));
                queue.until_waiting(number);
            }
            assert!(queue.enter(Some(network(99)), 0).is_err());
            // Nor is there room for whoever fails in a network with right credentials.
            assert!(queue.enter(Some(guesser), 0).is_err());
            assert!(queue.enter(Some(known), 1).is_err());

            let owner = scope.spawn(|| queue.enter(Some(known), 0).map(drop));
            let is_first = || {
                let state = lock(&queue.state);
                state.waiting[state.first().unwrap()].caller == Some(known)
            };
            let deadline = Instant::now() + Duration::from_secs(10);
            while !is_first() {
                assert!(Instant::now() < deadline, "the owner does not come first");
                std::thread::yield_now();
            }
            // A second guess from there is no better than that of a stranger.
            assert!(queue.enter(Some(known), 0).is_err());

            drop(turn);
            assert!(owner.join().unwrap().is_ok());
        });
    }

    #[test]
    fn whoever_guesses_from_a_network_that_has_proved_itself_is_not_first() {
        let queue = queue(10, Duration::from_secs(30_000));
        let address = |number: u8| Caller::at([10, 0, 0, number].into());
        let (owner, guesser) = (address(1), address(2));
        queue.prove(owner);
        let turn = queue.enter(at(0), 0).unwrap();

        std::thread::scope(|scope| {
            // The guesser has failed; the owner's address has not.
            for (count, (caller, failures)) in [(at(9), 0), (Some(guesser), 1), (Some(owner), 0)]
                .into_iter()
                .enumerate()
            {
                let queue = &queue;
                scope.spawn(move || queue.enter(caller, failures).map(drop));
                queue.until_waiting(count + 1);
                let state = lock(&queue.state);
                // With the guesser there, the owner is the second one of the network.
                assert_eq!(state.waiting[state.first().unwrap()].caller, at(9));
            }
            drop(turn);
        });
    }

    #[test]
    fn networks_with_right_credentials_are_bounded() {
        let queue = queue(10, Duration::from_secs(30));
        for number in 0..1000 {
            queue.prove(Caller::User(number));
        }
        queue.prove(Caller::User(999));
        let state = lock(&queue.state);
        assert_eq!(state.proved.len(), PROVED_MAX);
        assert!(
            state
                .proved
                .iter()
                .any(|(one, _)| *one == Caller::User(999))
        );
    }
}
