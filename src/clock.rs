// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The time, with a floor: a device without a battery for its clock starts in 1970, and must neither
//! take good certificates for those of the future nor tokens that ran out for good ones.
//!
//! The floor is the time this program was made, or a later one that was kept in the home. Below it,
//! the clock is not trusted, and time goes on from the floor.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use rustix::time::{ClockId, clock_gettime};

use crate::disk;

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

/// Takes the time that is kept in a file for the floor, if it is later.
pub(crate) fn learn(file: &Path) {
    let kept = read(file);
    FLOOR.fetch_max(kept, Ordering::Relaxed);
    KEPT.fetch_max(kept, Ordering::Relaxed);
}

/// The same, and keeps the time there from now on, as [`keep`] does.
pub(crate) fn open(file: PathBuf) {
    learn(&file);
    let shown = file.display().to_string();
    let _ = KEPT_IN.set(file);

    if !is_trusted() {
        log::warn!(
            "the clock of this device is behind the latest known time, so no date is sent; if it \
             is right, remove {shown}"
        );
    }

    keep(DAY);
}

/// Keeps the time in the file that was opened, if the clock is trusted and the time that is kept
/// there is older than this, since each write wears the memory card. Being unable to is no failure.
pub(crate) fn keep(age_min: Duration) {
    let Some(path) = KEPT_IN.get() else { return };
    let now = seconds();
    let kept = KEPT.load(Ordering::Relaxed);
    if now < kept.saturating_add(age_min.as_secs()) || !is_trusted() {
        return;
    }

    // Before writing, so that one of many threads does it.
    if KEPT
        .compare_exchange(kept, now, Ordering::Relaxed, Ordering::Relaxed)
        .is_ok()
    {
        // A clock that is decades ahead must not lift the floor out of reach.
        FLOOR.fetch_max(now.min(LATEST), Ordering::Relaxed);
        if let Err(error) = disk::write(path, format!("{now}\n").as_bytes(), 0o600) {
            log::debug!("the time cannot be kept in {}: {error}", path.display());
        }
    }
}

/// The seconds in a file; 0 if there are none that make sense. A time long after this
/// program was made is the mark of a clock that was wrong.
fn read(file: &Path) -> u64 {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    text.trim()
        .parse()
        .ok()
        .filter(|kept| *kept < LATEST)
        .unwrap_or_default()
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

/// How often a running server keeps the time.
pub(crate) const DAY: Duration = Duration::from_secs(24 * 60 * 60);

static FLOOR: AtomicU64 = AtomicU64::new(0);

/// What is in the file, as far as this process knows.
static KEPT: AtomicU64 = AtomicU64::new(0);

static KEPT_IN: OnceLock<PathBuf> = OnceLock::new();

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
    fn only_a_time_that_makes_sense_is_taken_from_the_file() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("clock");
        assert_eq!(read(&file), 0);
        for (text, seconds) in [
            ("", 0),
            ("soon\n", 0),
            ("-5\n", 0),
            ("12\n", 12),
            ("99999999999999999999999\n", 0),
            (&format!("{LATEST}\n"), 0),
        ] {
            std::fs::write(&file, text).unwrap();
            assert_eq!(read(&file), seconds, "{text}");
        }
    }

    #[test]
    fn what_the_builder_says_is_read_strictly() {
        assert_eq!(
            (number("1793491201"), number("12a"), number("")),
            (1_793_491_201, 0, 0)
        );
    }
}
