// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Slows down whoever guesses secrets: a bucket of attempts for each address, and a lock that grows
//! each time the bucket is empty.
//!
//! It counts wrong secrets only, and it is asked only about secrets that can be guessed: a right token
//! or a made password passes whoever guesses from the same address. Whatever speaks to callers asks
//! the same lockout.

use std::collections::VecDeque;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::address::Network;
use crate::error::{Error, ErrorKind};
use crate::threads::lock;
use crate::transport::Peer;

/// How much guessing is borne.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LockoutOptions {
    /// Wrong secrets from one address before it is locked out; 0 for any number. Default 10.
    pub(crate) failures_max: u32,
    /// How long the first lock lasts, and in what time one more attempt is earned; each further lock
    /// lasts twice as long. Default 30 s.
    pub(crate) time: Duration,
    /// The longest lock, and the quiet after which everything is forgotten. Default 15 min.
    pub(crate) time_max: Duration,
    /// Whose wrong secrets are not counted. Default: nobody.
    pub(crate) exempt: Vec<Network>,
}

impl Default for LockoutOptions {
    fn default() -> Self {
        let minute = Duration::from_secs(60);
        Self {
            failures_max: 10,
            time: minute / 2,
            time_max: 15 * minute,
            exempt: Vec::new(),
        }
    }
}

/// Whom attempts are counted for: an IPv4 address, an IPv6 network of 64 bits, because a caller has
/// all of its addresses (RFC 6177), or a user on a Unix socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Caller {
    Network(u128),
    User(u32),
}

impl Caller {
    /// Who is at the other end of a connection.
    pub(crate) fn of(peer: &Peer) -> Self {
        match peer.address {
            Some(address) => Self::at(address.ip()),
            None => Self::User(peer.unix.map_or(u32::MAX, |unix| unix.user)),
        }
    }

    /// Whoever has this address.
    pub(crate) fn at(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self::Network(address.to_ipv6_mapped().to_bits()),
            // All neighbours on a link have the same network.
            IpAddr::V6(address) if address.is_unicast_link_local() => {
                Self::Network(address.to_bits())
            }
            IpAddr::V6(address) => Self::Network(address.to_bits() & !u128::from(u64::MAX)),
        }
    }

    /// The network that whoever guesses from here likely has all of: a /24, in IPv6 a /48, and loopback as a
    /// whole.
    pub(crate) fn network(self) -> Self {
        let Self::Network(bits) = self else {
            return self;
        };
        let loopback = Ipv4Addr::LOCALHOST.to_ipv6_mapped().to_bits();
        match Ipv6Addr::from_bits(bits).to_ipv4_mapped() {
            Some(address) if address.is_loopback() => Self::Network(loopback),
            Some(_) => Self::Network(bits & !0xff),
            // This is the network of ::1.
            None if bits == 0 => Self::Network(loopback),
            None => Self::Network(bits & !(u128::MAX >> 48)),
        }
    }
}

impl fmt::Display for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(user) => write!(f, "user {user}"),
            Self::Network(bits) => match IpAddr::V6(Ipv6Addr::from_bits(*bits)).to_canonical() {
                IpAddr::V6(network) if !network.is_unicast_link_local() => {
                    write!(f, "{network}/64")
                }
                address => address.fmt(f),
            },
        }
    }
}

/// Counts wrong secrets. It keeps a fixed number of addresses: of those that are not locked out, the
/// one that was quiet for longest goes first; where all are, the one whose lock ends first.
pub(crate) struct Lockout {
    options: LockoutOptions,
    entries: Mutex<VecDeque<Attempts>>,
}

struct Attempts {
    caller: Caller,
    failures: u32,
    /// When attempts were last earned, and before which none are.
    since: Instant,
    locked_until: Option<Instant>,
    /// How often it was locked out.
    locks: u32,
}

impl Attempts {
    /// How many attempts were earned by being quiet, one in each `time`.
    fn earned(&self, now: Instant, time: Duration) -> u32 {
        // During a lock `since` lies in the future, so nothing is earned.
        let quiet = now.saturating_duration_since(self.since).as_millis();
        u32::try_from(quiet / time.as_millis().max(1)).unwrap_or(u32::MAX)
    }
}

impl Lockout {
    pub(crate) fn new(options: LockoutOptions) -> Self {
        Self {
            options,
            entries: Mutex::default(),
        }
    }

    /// How long a caller is still locked out, whatever it shows; `None` if it is not.
    pub(crate) fn left(&self, caller: Caller) -> Option<Duration> {
        self.left_at(caller, Instant::now())
    }

    /// Counts a wrong secret.
    pub(crate) fn fail(&self, caller: Caller) {
        self.fail_at(caller, Instant::now());
    }

    /// How many wrong secrets of a caller count at the moment.
    pub(crate) fn failures(&self, caller: Caller) -> u32 {
        let (entries, now) = (lock(&self.entries), Instant::now());
        let known = entries.iter().find(|entry| entry.caller == caller);
        known.map_or(0, |entry| {
            entry
                .failures
                .saturating_sub(entry.earned(now, self.options.time))
        })
    }

    /// Whether nothing that comes from this address counts.
    pub(crate) fn is_exempt(&self, address: IpAddr) -> bool {
        let networks = &self.options.exempt;
        networks.iter().any(|network| network.has(address))
    }

    fn left_at(&self, caller: Caller, now: Instant) -> Option<Duration> {
        let entries = lock(&self.entries);
        let until = entries
            .iter()
            .find(|entry| entry.caller == caller)?
            .locked_until?;
        until
            .checked_duration_since(now)
            .filter(|left| !left.is_zero())
    }

    fn fail_at(&self, caller: Caller, now: Instant) {
        let LockoutOptions {
            failures_max,
            time,
            time_max,
            ..
        } = self.options;

        if failures_max == 0 {
            return;
        }

        let mut entries = lock(&self.entries);

        // The entry is taken out here and put back at the end, so the front is the caller whose
        // last failure is the oldest.
        let known = entries.iter().position(|entry| entry.caller == caller);
        let known = known.and_then(|index| entries.remove(index));
        let known = known.filter(|entry| now.saturating_duration_since(entry.since) < time_max);

        let mut entry = known.unwrap_or(Attempts {
            caller,
            failures: 0,
            since: now,
            locked_until: None,
            locks: 0,
        });

        let earned = entry.earned(now, time);
        if earned > 0 {
            entry.failures = entry.failures.saturating_sub(earned);
            entry.since = now;
        }

        // Requests that were under way when the lock began fail within it, and must not prolong it.
        entry.failures += 1;
        let is_locked = entry.locked_until.is_some_and(|until| until > now);
        if entry.failures >= failures_max && !is_locked {
            // Each lock lasts twice as long as the one before. The exponent is bounded, or the
            // shift would overflow.
            let length = time
                .saturating_mul(1 << entry.locks.min(16))
                .min(time_max.max(time));
            entry.locks += 1;
            // One attempt is left after the lock, and others are earned from then on.
            entry.failures = failures_max - 1;
            entry.since = now + length;
            entry.locked_until = Some(now + length);
            log::warn!(
                "{caller} is locked out for {} s: wrong secrets",
                length.as_secs()
            );
        }

        // Whoever guesses from many addresses must neither use up the memory nor end the lock of one of
        // them with the failures of the others.
        if entries.len() >= ENTRIES_MAX {
            let lock_end = |entry: &Attempts| entry.locked_until.filter(|until| *until > now);
            // Of equal ones the first is taken, which was quiet for longest.
            let first = (0..entries.len()).min_by_key(|index| lock_end(&entries[*index]));
            first.and_then(|index| entries.remove(index));
        }

        entries.push_back(entry);
    }
}

/// What a caller who is locked out is told.
pub(crate) fn locked_out(left: Duration) -> Error {
    let seconds = seconds(left);
    Error::new(
        ErrorKind::TooManyRequests,
        "too many wrong secrets came from this address",
    )
    .hint(format!("try again in {seconds} s, or from another address"))
}

/// Whole seconds, rounded up, for `Retry-After`.
pub(crate) fn seconds(left: Duration) -> u64 {
    left.as_secs() + u64::from(left.subsec_nanos() > 0)
}

/// About 80 KiB.
const ENTRIES_MAX: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Caller {
        Caller::at(text.parse().unwrap())
    }

    #[test]
    fn locks_grow_and_are_forgotten() {
        let lockout = Lockout::new(LockoutOptions::default());
        let (start, caller) = (Instant::now(), at("192.0.2.1"));
        let second = Duration::from_secs(1);
        for _ in 0..9 {
            lockout.fail_at(caller, start);
            assert_eq!(lockout.left_at(caller, start), None);
        }
        lockout.fail_at(caller, start);
        assert_eq!(lockout.left_at(caller, start), Some(30 * second));
        assert_eq!(lockout.left_at(at("192.0.2.2"), start), None);
        // Failures that were under way change nothing.
        lockout.fail_at(caller, start + second);
        assert_eq!(lockout.left_at(caller, start + second), Some(29 * second));
        assert_eq!(lockout.left_at(caller, start + 30 * second), None);
        let again = start + 31 * second;
        lockout.fail_at(caller, again);
        assert_eq!(lockout.left_at(caller, again), Some(60 * second));
        let third = again + 61 * second;
        lockout.fail_at(caller, third);
        assert_eq!(lockout.left_at(caller, third), Some(120 * second));
        let later = third + 120 * second + 900 * second;
        lockout.fail_at(caller, later);
        assert_eq!(lockout.left_at(caller, later), None);
    }

    #[test]
    fn who_waits_longer_than_the_lock_has_more_attempts_than_one() {
        let lockout = Lockout::new(LockoutOptions::default());
        let (start, caller) = (Instant::now(), at("192.0.2.1"));
        for _ in 0..10 {
            lockout.fail_at(caller, start);
        }
        // One is left when the lock ends, and two more are earned in twice its time.
        let later = start + 3 * Duration::from_secs(30);
        for left in [None, None, Some(60)] {
            lockout.fail_at(caller, later);
            let locked = lockout.left_at(caller, later);
            assert_eq!(locked, left.map(Duration::from_secs));
        }
    }

    #[test]
    fn a_caller_is_told_to_come_back_when_the_lock_is_over_and_not_before() {
        for (milliseconds, told) in [(0, 0), (1, 1), (999, 1), (1000, 1), (1001, 2), (30_000, 30)] {
            assert_eq!(seconds(Duration::from_millis(milliseconds)), told);
        }
    }

    #[test]
    fn who_fails_seldom_is_never_locked_out() {
        let lockout = Lockout::new(LockoutOptions::default());
        let start = Instant::now();
        for number in 0..100 {
            let now = start + number * Duration::from_secs(31);
            lockout.fail_at(at("192.0.2.1"), now);
            assert_eq!(lockout.left_at(at("192.0.2.1"), now), None);
        }
    }

    #[test]
    fn a_caller_is_an_address_or_a_network() {
        assert_eq!(at("2001:db8::1"), at("2001:db8::ffff:0:0:1"));
        assert_ne!(at("2001:db8::1"), at("2001:db8:0:1::1"));

        let same = |one: &str, other: &str| at(one).network() == at(other).network();
        assert!(same("2001:db8::1", "2001:db8:0:1::1") && !same("2001:db8::1", "2001:db8:1::1"));
        assert!(same("192.0.2.1", "192.0.2.200") && !same("192.0.2.1", "192.0.3.1"));
        assert!(same("127.0.0.1", "127.9.9.9") && same("127.0.0.1", "::1"));
        assert_eq!(Caller::User(1).network(), Caller::User(1));
        assert_eq!(at("::ffff:192.0.2.1"), at("192.0.2.1"));
        assert_ne!(at("192.0.2.1"), at("192.0.2.2"));
        assert_ne!(at("fe80::1"), at("fe80::2"));
        for (address, shown) in [("192.0.2.1", "192.0.2.1"), ("2001:db8::1", "2001:db8::/64")] {
            assert_eq!(at(address).to_string(), shown);
        }
    }

    #[test]
    fn a_lock_outlasts_the_failures_of_others() {
        let lockout = Lockout::new(LockoutOptions {
            failures_max: 2,
            ..Default::default()
        });
        let (now, locked) = (Instant::now(), at("192.0.2.1"));
        lockout.fail_at(locked, now);
        lockout.fail_at(locked, now);
        for number in 0..3000_u32 {
            lockout.fail_at(Caller::User(number), now);
        }
        assert_eq!(lockout.left_at(locked, now), Some(Duration::from_secs(30)));
        assert_eq!(lock(&lockout.entries).len(), ENTRIES_MAX);

        // Of several that are locked out, the one whose lock ends first goes.
        let later = now + Duration::from_secs(10);
        for number in 3000..5000_u32 {
            lockout.fail_at(Caller::User(number), later);
            lockout.fail_at(Caller::User(number), later);
        }
        assert_eq!(lockout.left_at(locked, later), None);
        assert!(lockout.left_at(Caller::User(4999), later).is_some());
        assert_eq!(lock(&lockout.entries).len(), ENTRIES_MAX);
    }

    #[test]
    fn failures_are_counted_for_each_caller() {
        let lockout = Lockout::new(LockoutOptions {
            time: Duration::from_secs(3600),
            ..Default::default()
        });
        for address in ["192.0.2.1", "192.0.2.2", "192.0.2.1", "192.0.2.1"] {
            lockout.fail(at(address));
        }
        let all = ["192.0.2.1", "192.0.2.2", "192.0.2.3"];
        assert_eq!(all.map(|one| lockout.failures(at(one))), [3, 1, 0]);
    }

    #[test]
    fn memory_is_bounded() {
        let lockout = Lockout::new(LockoutOptions {
            failures_max: 1,
            ..Default::default()
        });
        let now = Instant::now();
        for number in 0..3000_u32 {
            lockout.fail_at(Caller::User(number), now);
        }
        assert_eq!(lock(&lockout.entries).len(), ENTRIES_MAX);
        assert!(lockout.left_at(Caller::User(2999), now).is_some());
        assert!(lockout.left_at(Caller::User(0), now).is_none());
    }
}
