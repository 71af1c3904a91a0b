// SPDX-License-Identifier: Apache-2.0 OR MIT
//! When something that failed is tried again: pauses that double up to a bound, vary by chance, and
//! heed what the other side asks for.
//!
//! Not here: which failures may pass, which is for whoever tries to say.

use std::time::Duration;

use crate::random;

/// Counts attempts that got nowhere, and says how long to pause before the next one.
#[derive(Clone, Debug)]
pub(crate) struct Backoff {
    /// At most so many attempts in a row without progress; `None` for any number.
    limit: Option<u32>,
    first: Duration,
    longest: Duration,
    attempts: u32,
    random: fn() -> u16,
}

/// Why there is no next attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GiveUp {
    /// So many attempts in a row made no progress, and more are not allowed.
    Spent(u32),
    /// The other side asks for a pause that is longer than [`HINT_MAX`]. A caller is better told so
    /// than kept waiting.
    TooLong(Duration),
}

impl Backoff {
    /// At most `limit` attempts in a row without progress: 0 for none. The pauses double from half a
    /// second to 30 s.
    pub(crate) fn new(limit: u32) -> Self {
        Self {
            limit: Some(limit),
            ..Self::endless()
        }
    }

    /// The same pauses without an end, for what has to come back whenever it can. It gives up never,
    /// and of a hint that is too long it heeds [`HINT_MAX`].
    pub(crate) fn endless() -> Self {
        Self {
            limit: None,
            first: PAUSE_FIRST,
            longest: PAUSE_MAX,
            attempts: 0,
            random,
        }
    }

    /// Other bounds of the pauses.
    #[must_use]
    pub(crate) fn between(mut self, first: Duration, longest: Duration) -> Self {
        self.first = first;
        self.longest = longest;
        self
    }

    /// Another source of chance, so that a test knows the pauses.
    #[cfg(test)]
    #[must_use]
    pub(crate) fn with_random(mut self, random: fn() -> u16) -> Self {
        self.random = random;
        self
    }

    /// Something got further: the attempts are counted anew, and the next pause is the first again.
    pub(crate) fn progressed(&mut self) {
        self.attempts = 0;
    }

    /// Attempts in a row without progress, as far as [`Backoff::next`] allowed them.
    pub(crate) fn attempts(&self) -> u32 {
        self.attempts
    }

    /// Counts one more attempt, and says how long to pause before it. A hint of the other side
    /// (`Retry-After`, RFC 9110 section 10.2.3) counts if it is longer than the pause would be.
    ///
    /// # Errors
    /// If there is to be no further attempt.
    pub(crate) fn next(&mut self, hint: Option<Duration>) -> Result<Duration, GiveUp> {
        let wanted = hint.unwrap_or_default();
        if let Some(limit) = self.limit {
            // Whoever never tries again heeds no hint, and a hint that is too long comes before the count.
            if limit > 0 && wanted > HINT_MAX {
                return Err(GiveUp::TooLong(wanted));
            }
            if self.attempts >= limit {
                return Err(GiveUp::Spent(limit));
            }
        }

        // A hint can only lengthen the pause: a server that says 0 is not called in a tight loop.
        let pause = self.own_pause().max(wanted.min(HINT_MAX));
        self.attempts = self.attempts.saturating_add(1);

        Ok(pause)
    }

    /// The pause without a hint: a random share, between a half and all, of what has doubled with every
    /// attempt. So clients that lost their server together do not come back together.
    fn own_pause(&self) -> Duration {
        let doubled = self.first.saturating_mul(1 << self.attempts.min(30));
        let half = doubled.min(self.longest) / 2;
        half + half.mul_f64(f64::from((self.random)()) / f64::from(u16::MAX))
    }
}

fn random() -> u16 {
    // Without randomness, the pause is the shortest.
    random::bytes().map_or(0, u16::from_ne_bytes)
}

const PAUSE_FIRST: Duration = Duration::from_millis(500);

const PAUSE_MAX: Duration = Duration::from_secs(30);

/// The longest pause that the other side can ask for.
pub(crate) const HINT_MAX: Duration = Duration::from_secs(300);

#[cfg(test)]
mod tests {
    use super::*;

    fn milliseconds(backoff: &mut Backoff) -> u128 {
        backoff.next(None).unwrap().as_millis()
    }

    #[test]
    fn pauses_double_up_to_a_bound_and_vary_by_half() {
        let mut longest = Backoff::endless().with_random(|| u16::MAX);
        let mut shortest = Backoff::endless().with_random(|| 0);
        for most in [500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000] {
            assert_eq!(milliseconds(&mut longest), most);
            assert_eq!(milliseconds(&mut shortest), most / 2);
        }
        assert_eq!(longest.attempts(), 8);

        longest.attempts = u32::MAX;
        assert_eq!(milliseconds(&mut longest), 30_000);
        assert_eq!(longest.attempts(), u32::MAX);
    }

    #[test]
    fn chance_is_really_asked() {
        let pauses: Vec<_> = (0..64)
            .map(|_| Backoff::new(1).next(None).unwrap())
            .collect();
        assert!(pauses.iter().any(|pause| *pause != pauses[0]));
        let bounds = PAUSE_FIRST / 2..=PAUSE_FIRST;
        assert!(pauses.iter().all(|pause| bounds.contains(pause)));
    }

    #[test]
    fn bounds_can_be_others() {
        let (first, longest) = (Duration::from_millis(20), Duration::from_millis(50));
        let mut backoff = Backoff::endless()
            .between(first, longest)
            .with_random(|| u16::MAX);
        for most in [20, 40, 50, 50] {
            assert_eq!(milliseconds(&mut backoff), most);
        }
    }

    #[test]
    fn attempts_are_limited_and_counted_anew_after_progress() {
        let mut backoff = Backoff::new(2).with_random(|| u16::MAX);
        assert_eq!(milliseconds(&mut backoff), 500);
        assert_eq!(milliseconds(&mut backoff), 1000);
        assert_eq!(backoff.next(None), Err(GiveUp::Spent(2)));
        assert_eq!(backoff.next(None), Err(GiveUp::Spent(2)));

        backoff.progressed();
        assert_eq!(milliseconds(&mut backoff), 500);
        assert_eq!(backoff.attempts(), 1);

        let hint = Some(HINT_MAX * 2);
        assert_eq!(Backoff::new(0).next(hint), Err(GiveUp::Spent(0)));
    }

    #[test]
    fn a_hint_counts_if_it_is_longer_up_to_a_bound() {
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        let mut backoff = Backoff::new(3).with_random(|| u16::MAX);
        assert_eq!(backoff.next(seconds(0)), Ok(PAUSE_FIRST));
        assert_eq!(backoff.next(seconds(300)), Ok(HINT_MAX));

        let too_long = Duration::from_secs(301);
        assert_eq!(backoff.next(Some(too_long)), Err(GiveUp::TooLong(too_long)));
        assert_eq!(backoff.attempts(), 2);
        assert_eq!(Backoff::endless().next(Some(too_long)), Ok(HINT_MAX));
    }
}
