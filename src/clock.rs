// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The time, with a floor: a device without a battery for its clock starts in 1970, and must neither
//! take good certificates for those of the future nor tokens that ran out for good ones.
//!
//! The floor is the time this program was made, or a later one that somebody has kept. Below it, the
//! clock is not trusted, and time goes on from the floor. The clock itself keeps nothing.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use rustix::time::{ClockId, clock_gettime};

/// The time; that of the system unless it lies below the floor.
pub(crate) fn now() -> SystemTime {
    let seconds = FLOOR.load(Ordering::Relaxed).max(MADE);
    let floor = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    let system = SystemTime::now();
    if system >= floor {
        system
    } else {
        // All processes of this device see the same time.
        floor + uptime()
    }
}

/// The time in seconds since 1970.
pub(crate) fn seconds() -> u64 {
    seconds_of(now())
}

/// A time, given in seconds since 1970.
pub(crate) fn moment(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds.min(YEAR_10000 - 1))
}

/// Whether the clock of the system has been set, as far as one can tell.
pub(crate) fn is_trusted() -> bool {
    is_after(seconds_of(SystemTime::now()), FLOOR.load(Ordering::Relaxed))
}

/// Takes a time, in seconds since 1970, for the floor if it is later. One that makes no sense is left out.
pub(crate) fn raise_floor(seconds: u64) {
    if is_plausible(seconds) {
        FLOOR.fetch_max(seconds, Ordering::Relaxed);
    }
}

/// Whether a time can be a floor. One long after this program was made is the mark of a clock that was
/// wrong, and would keep the right time from being believed.
pub(crate) fn is_plausible(seconds: u64) -> bool {
    seconds < LATEST
}

fn is_after(system: u64, floor: u64) -> bool {
    (floor.max(MADE)..YEAR_10000).contains(&system)
}

/// How long the system has been running.
fn uptime() -> Duration {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    let clock = ClockId::Boottime;
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    let clock = ClockId::Monotonic;
    Duration::try_from(clock_gettime(clock)).unwrap_or_default()
}

fn seconds_of(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs()
}

/// Reads digits while compiling; 0 if there is anything else.
const fn number(text: &str) -> u64 {
    let (bytes, mut at, mut value) = (text.as_bytes(), 0, 0);
    while at < bytes.len() {
        if !bytes[at].is_ascii_digit() {
            return 0;
        }
        value = value * 10 + (bytes[at] - b'0') as u64;
        at += 1;
    }
    value
}

/// When this program was made: what its builder says (`SOURCE_DATE_EPOCH`), or the last release.
const MADE: u64 = {
    let said = match option_env!("SOURCE_DATE_EPOCH") {
        Some(text) => number(text),
        None => 0,
    };
    if said > RELEASED { said } else { RELEASED }
};

/// 2026-11-01. To be moved on with each release.
const RELEASED: u64 = 1_793_491_200;

/// No device runs the same program for longer.
const LATEST: u64 = MADE + 30 * 365 * DAY.as_secs();

/// Beyond it, no date of HTTP can be written.
const YEAR_10000: u64 = 253_402_300_800;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The latest time that is known to be over. Formatters of times everywhere go by it, and a node that
/// learns more only helps the other ones of its process.
static FLOOR: AtomicU64 = AtomicU64::new(0);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn below_the_floor_a_clock_is_not_trusted() {
        assert!(!is_after(0, 0) && !is_after(MADE - 1, 0));
        assert!(is_after(MADE, 0) && !is_after(MADE, MADE + 1));
        assert!(!is_after(YEAR_10000, 0));
        assert!(seconds() >= MADE);
    }

    #[test]
    fn only_a_time_that_makes_sense_becomes_the_floor() {
        assert!(is_plausible(MADE + 1) && !is_plausible(LATEST));
        raise_floor(LATEST);
        assert!(FLOOR.load(Ordering::Relaxed) < LATEST);
        raise_floor(MADE + 1);
        raise_floor(MADE);
        assert!(FLOOR.load(Ordering::Relaxed) > MADE);
    }

    #[test]
    fn what_the_builder_says_is_read_strictly() {
        assert_eq!(
            (number("1793491201"), number("12a"), number("")),
            (1_793_491_201, 0, 0)
        );
    }
}
