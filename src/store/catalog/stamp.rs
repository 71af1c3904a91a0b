// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What the file system says of a file's content without reading it: if a stamp is the same, so are
//! the bytes.
//!
//! The change time (ctime) is part of it because nobody can set it: `cp -p` and `touch` set the
//! modification time. A stamp can still lie in one case: a file that is changed twice within one tick
//! of the file system's clock, by the same length. Ticks are 1 to 10 ms on ext4 and f2fs, and 2 s on
//! FAT. So a digest that was computed from a file counts as that of its stamp only if the stamp was
//! [`Stamp::young_for`] nothing when reading began: then every later change gets a later time.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime};

use crate::digest::Digest;
use crate::disk::{FileFacts, FileTime};
use crate::model::{Model, ModelName};

/// Size, modification time, change time and inode of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub(crate) size: u64,
    modified: FileTime,
    changed: FileTime,
    inode: u64,
}

impl Stamp {
    pub(crate) fn of(facts: impl Into<FileFacts>) -> Self {
        let FileFacts {
            size,
            modified,
            changed,
            inode,
            ..
        } = facts.into();

        Self {
            size,
            modified,
            changed,
            inode,
        }
    }

    /// When the bytes last changed, as [`Model::modified`] has it.
    pub(crate) fn modified(&self) -> SystemTime {
        self.modified.time()
    }

    /// Whether a file that had another stamp may have got or lost a second name since, and no other bytes.
    pub(crate) fn is_linked_since(&self, old: &Self) -> bool {
        let own = (self.size, self.modified, self.inode);
        own == (old.size, old.modified, old.inode)
    }

    /// The model that a file with this stamp is.
    pub(crate) fn model(&self, name: &ModelName, digest: Option<Digest>) -> Model {
        Model {
            name: name.clone(),
            size: self.size,
            modified: self.modified(),
            digest,
        }
    }

    /// For how much longer another change could go unnoticed, if the clock of the file system ticks
    /// every `tick`; zero if none can. A time far in the future (the clock was set back) is not young:
    /// the next change gets the time of then.
    pub(crate) fn young_for(&self, tick: Duration, now: SystemTime) -> Duration {
        let left = |moment: &FileTime| {
            let time = moment.time();
            match now.duration_since(time) {
                Ok(age) => tick.saturating_sub(age),
                Err(ahead) if ahead.duration() < tick => tick + ahead.duration(),
                Err(_) => Duration::ZERO,
            }
        };
        left(&self.modified).max(left(&self.changed))
    }
}

/// Six numbers with blanks between them.
impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            size,
            modified,
            changed,
            inode,
        } = self;
        write!(f, "{size} {} {} ", modified.seconds, modified.nanos)?;
        write!(f, "{} {} {inode}", changed.seconds, changed.nanos)
    }
}

impl FromStr for Stamp {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut words = text.split(' ');
        let mut word = || words.next().unwrap_or_default();

        Ok(Self {
            size: word().parse()?,
            modified: FileTime {
                seconds: word().parse()?,
                nanos: word().parse()?,
            },
            changed: FileTime {
                seconds: word().parse()?,
                nanos: word().parse()?,
            },
            inode: word().parse()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(modified: i64, changed: i64) -> Stamp {
        let moment = |seconds| FileTime { seconds, nanos: 5 };
        Stamp {
            size: 3,
            modified: moment(modified),
            changed: moment(changed),
            inode: 9,
        }
    }

    #[test]
    fn text_round_trips() {
        for stamp in [stamp(-7, 1), stamp(i64::MAX, 0)] {
            assert_eq!(stamp.to_string().parse::<Stamp>().unwrap(), stamp);
            stamp.model(&"x".parse().unwrap(), None);
        }
        assert!("1 2 3 4 5".parse::<Stamp>().is_err());
    }

    #[test]
    fn a_stamp_is_young_for_one_tick_after_the_later_of_its_times() {
        let tick = Duration::from_secs(2);
        let now = SystemTime::UNIX_EPOCH + Duration::new(1000, 5);
        let left = |modified, changed| stamp(modified, changed).young_for(tick, now).as_secs();
        assert_eq!(left(1000, 999), 2);
        assert_eq!(left(10, 999), 1);
        assert_eq!(left(998, 998), 0);
        assert_eq!(left(1001, 10), 3);
        assert_eq!(left(2000, 10), 0);
        assert_eq!(
            stamp(1000, 1000).young_for(Duration::ZERO, now),
            Duration::ZERO
        );
    }
}
