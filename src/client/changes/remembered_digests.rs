// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The digests of the files of a directory that was sent before, so that a mirror reads only what has changed:
//! one file in `digests/` of the home for each directory.
//!
//! A file has the digest that is remembered if its size, its times and its inode are the same, and it was not
//! young when it was read: what changes twice within a tick of the file system's clock keeps its time.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::client::changes::local_tree::TreeStamp;
use crate::digest::Digest;
use crate::disk;
use crate::home;

/// Digests by path below a directory.
pub(crate) struct RememberedDigests {
    /// Where they are kept; nowhere without a home.
    file: Option<PathBuf>,
    known: HashMap<String, (TreeStamp, Digest)>,
    is_changed: bool,
}

impl RememberedDigests {
    /// Those of a directory. What cannot be read is not remembered.
    pub(crate) fn open(home: Option<&Path>, directory: &Path) -> Self {
        let file = home.map(|home| {
            let key = Digest::of(directory.as_os_str().as_encoded_bytes()).to_string();
            home::DIGESTS.path(home).join(&key[..32])
        });

        let text = file.as_ref().and_then(|file| {
            let is_small = file.metadata().is_ok_and(|facts| facts.len() <= BYTES_MAX);
            disk::read_text(file).ok().filter(|_| is_small)
        });
        let text = text.unwrap_or_default();
        Self {
            file,
            known: text.lines().filter_map(parse).collect(),
            is_changed: false,
        }
    }

    /// The digest of a file that has this stamp.
    pub(crate) fn find(&self, way: &str, stamp: TreeStamp) -> Option<Digest> {
        let (known, digest) = self.known.get(way)?;
        (*known == stamp).then_some(*digest)
    }

    /// Remembers the digest of a file that had a stamp when reading it began, at a time.
    pub(crate) fn learn(&mut self, way: &str, stamp: TreeStamp, digest: Digest, at: SystemTime) {
        let now = at.duration_since(UNIX_EPOCH).unwrap_or_default();
        let now = i128::try_from(now.as_nanos()).unwrap_or(i128::MAX);
        let tick = i128::try_from(TICK.as_nanos()).unwrap_or(0);
        if stamp.modified + tick < now {
            self.known.insert(way.to_owned(), (stamp, digest));
            self.is_changed = true;
        }
    }

    /// Keeps what is remembered of files that are still meant.
    pub(crate) fn save(&mut self, is_meant: impl Fn(&str) -> bool) {
        let before = self.known.len();
        self.known.retain(|way, _| is_meant(way));
        let Some(file) = &self.file else { return };
        if !self.is_changed && self.known.len() == before {
            return;
        }

        let mut text = String::new();
        for (way, (stamp, digest)) in &self.known {
            let TreeStamp {
                size,
                modified,
                changed,
                inode,
            } = stamp;
            // A name with a line break would be another line.
            if !way.contains(char::is_control) {
                // Writing to a String cannot fail.
                let _ = writeln!(text, "{size} {modified} {changed} {inode} {digest} {way}");
            }
        }

        let folder = file.parent().unwrap_or(file);
        let written =
            disk::create_directory(folder).and_then(|()| disk::write(file, text.as_bytes(), 0o600));
        if let Err(error) = written {
            log::debug!("digests are not remembered: {error}");
        }
    }
}

fn parse(line: &str) -> Option<(String, (TreeStamp, Digest))> {
    let mut words = line.splitn(6, ' ');
    let stamp = TreeStamp {
        size: words.next()?.parse().ok()?,
        modified: words.next()?.parse().ok()?,
        changed: words.next()?.parse().ok()?,
        inode: words.next()?.parse().ok()?,
    };
    let digest = words.next()?.parse().ok()?;
    Some((words.next()?.to_owned(), (stamp, digest)))
}

/// The coarsest clock of a file system, that of FAT, and some more.
const TICK: Duration = Duration::from_millis(2100);

/// Lines for some hundred thousand files.
const BYTES_MAX: u64 = 64 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_read_is_remembered_unless_it_was_young() {
        let home = tempfile::tempdir().unwrap();
        let open = || RememberedDigests::open(Some(home.path()), Path::new("/models"));
        let stamp = |seconds: i128| TreeStamp {
            size: 1,
            modified: seconds * 1_000_000_000,
            changed: seconds * 1_000_000_000,
            inode: 3,
        };
        let digest = Digest::of(b"x");
        let now = UNIX_EPOCH + Duration::from_secs(100);

        let mut digests = open();
        digests.learn("a b/c", stamp(90), digest, now);
        digests.learn("young", stamp(99), digest, now);
        digests.learn("gone", stamp(90), digest, now);
        digests.save(|way| way != "gone");

        let digests = open();
        assert_eq!(digests.find("a b/c", stamp(90)), Some(digest));
        assert_eq!(digests.find("a b/c", stamp(91)), None);
        let set_back = TreeStamp {
            changed: 95_000_000_000,
            ..stamp(90)
        };
        assert_eq!(digests.find("a b/c", set_back), None);
        assert_eq!(digests.find("young", stamp(99)), None);
        assert_eq!(digests.find("gone", stamp(90)), None);
        let other = RememberedDigests::open(Some(home.path()), Path::new("/other"));
        assert!(other.known.is_empty());
        assert!(
            RememberedDigests::open(None, Path::new("/"))
                .known
                .is_empty()
        );
    }
}
