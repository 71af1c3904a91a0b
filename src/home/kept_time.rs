// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The time that a home keeps, so that the clock of a device without a battery has a floor at its next
//! start.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::clock;
use crate::error::Result;
use crate::home::home_files::CLOCK;

/// The time in a home, and when it was written last.
#[derive(Debug)]
pub(crate) struct KeptTime {
    home: PathBuf,
    seconds: u64,
}

impl KeptTime {
    /// Takes the time that is kept for the floor of the clock, if it is later, and keeps the time now,
    /// unless that was done on the same day.
    pub(crate) fn open(home: &Path) -> Self {
        let mut kept = Self {
            home: home.to_owned(),
            seconds: learn(home),
        };

        if !clock::is_trusted() {
            log::warn!(
                "the clock of this device is behind the latest known time, so no date is sent; if it \
                 is right, remove {}",
                CLOCK.path(home).display()
            );
        }

        // A device that is switched off every day has only its starts.
        kept.keep(DAY);

        kept
    }

    /// Writes the time now, if the clock is trusted and the time that is kept is older than this, since
    /// each write wears the memory card. Being unable to is no failure.
    pub(crate) fn keep(&mut self, age_min: Duration) {
        if clock::is_trusted() {
            self.keep_at(clock::seconds(), age_min);
        }
    }

    fn keep_at(&mut self, now: u64, age_min: Duration) {
        if now < self.seconds.saturating_add(age_min.as_secs()) {
            return;
        }

        // Also where the disk is full: what is known now needs no file in this process.
        self.seconds = now;
        clock::raise_floor(now);

        if let Err(error) = write(&self.home, now) {
            log::debug!("the time is not kept: {error}");
        }
    }
}

/// Takes the time that is kept in a home for the floor of the clock, if it is later, and returns it.
pub(crate) fn learn(home: &Path) -> u64 {
    let seconds = CLOCK.read(home).map_or(0, |text| parse(&text));
    clock::raise_floor(seconds);
    seconds
}

/// Another server of this home may have written a later time, which stays.
fn write(home: &Path, now: u64) -> Result<()> {
    CLOCK.change(home, |text| {
        Ok((parse(text) < now).then(|| format!("{now}\n")))
    })
}

/// The seconds in a file; 0 if there are none that can be a floor.
fn parse(text: &str) -> u64 {
    text.trim()
        .parse()
        .ok()
        .filter(|seconds| clock::is_plausible(*seconds))
        .unwrap_or_default()
}

/// How often a running server keeps the time.
pub(crate) const DAY: Duration = Duration::from_secs(24 * 60 * 60);

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(home: &Path) -> String {
        CLOCK.read(home).unwrap()
    }

    #[test]
    fn only_a_time_that_makes_sense_is_taken_from_the_file() {
        for (text, seconds) in [
            ("", 0),
            ("soon\n", 0),
            ("-5\n", 0),
            ("12\n", 12),
            ("99999999999999999999999\n", 0),
            ("9999999999\n", 0),
        ] {
            assert_eq!(parse(text), seconds, "{text}");
        }
    }

    #[test]
    fn each_home_keeps_its_own_time_and_writes_it_seldom() {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let start = |home: &Path| KeptTime {
            home: home.to_owned(),
            seconds: learn(home),
        };
        let (mut first, mut second) = (start(one.path()), start(other.path()));
        first.keep_at(1_000_000, DAY);
        second.keep_at(1_000_001, DAY);
        assert_eq!(kept(one.path()), "1000000\n");
        assert_eq!(kept(other.path()), "1000001\n");
        first.keep_at(1_000_000 + DAY.as_secs() - 1, DAY);
        assert_eq!(kept(one.path()), "1000000\n");
        first.keep_at(1_000_000 + DAY.as_secs(), DAY);
        assert_eq!(kept(one.path()), "1086400\n");
    }

    #[test]
    fn the_time_in_a_home_never_goes_back() {
        let home = tempfile::tempdir().unwrap();
        let mut early = KeptTime {
            home: home.path().to_owned(),
            seconds: 0,
        };
        CLOCK.write(home.path(), "2000000\n").unwrap();
        early.keep_at(1_000_000, Duration::ZERO);
        assert_eq!(kept(home.path()), "2000000\n");
        // What makes no sense is replaced.
        CLOCK.write(home.path(), "soon\n").unwrap();
        early.keep_at(1_000_001, Duration::ZERO);
        assert_eq!(kept(home.path()), "1000001\n");
    }
}
