// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The files that the mirror has: which digest each has, what they take together, and which go first.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::time::{Duration, SystemTime};

use crate::clock;
use crate::digest::Digest;
use crate::error::{Error, ErrorKind, Result};
use crate::routes::hub::mirroring::fetch::Announced;
use crate::routes::hub::mirroring::mirror_options::MirrorOptions;
use crate::store::Store;
use crate::text::counted;
use crate::threads::lock;

/// The files that the mirror has.
pub(super) struct MirrorFiles {
    store: Store,
    keep: Duration,
    bytes_max: u64,
    file_bytes_max: u64,
    state: Mutex<FilesState>,
}

#[derive(Default)]
struct FilesState {
    /// By the tags under which they are announced.
    known: BTreeMap<String, MirroredFile>,
    swept: Option<SystemTime>,
}

struct MirroredFile {
    digest: Digest,
    size: u64,
    asked: SystemTime,
}

impl MirrorFiles {
    /// Finds those that a process before has left.
    ///
    /// # Errors
    /// Those of the file system.
    pub(super) fn open(store: &Store, options: &MirrorOptions) -> Result<Self> {
        let mut known = BTreeMap::new();
        for facts in store.records()? {
            let Some(tag) = facts.name.strip_prefix(FILES) else {
                continue;
            };
            let text = store.record(&facts.name)?.unwrap_or_default();
            match found(store, &text) {
                Some((digest, size)) => {
                    store.pin_objects(&BTreeSet::from([*digest.as_bytes()]));
                    let asked = facts.modified;
                    let file = MirroredFile {
                        digest,
                        size,
                        asked,
                    };
                    known.insert(tag.to_owned(), file);
                }
                None => store.remove_record(&facts.name),
            }
        }

        Ok(Self {
            store: store.clone(),
            keep: options.keep,
            bytes_max: options.bytes_max,
            file_bytes_max: options.file_bytes_max,
            state: Mutex::new(FilesState { known, swept: None }),
        })
    }

    /// The digest of a file, if it is here.
    pub(super) fn find(&self, announced: &Announced) -> Option<Digest> {
        let now = clock::now();
        let mut state = lock(&self.state);
        let file = state.known.get_mut(&announced.tag)?;
        if file.size != announced.size {
            return None;
        }
        let is_old = now.duration_since(file.asked).unwrap_or_default() > TOUCHED_AFTER;
        if is_old {
            file.asked = now;
            self.store
                .touch_record(&format!("{FILES}{}", announced.tag));
        }
        Some(file.digest)
    }

    /// Refuses a file that is never taken.
    ///
    /// # Errors
    /// `NoSpace` for one that is too large.
    pub(super) fn check_size(&self, announced: &Announced) -> Result<()> {
        let max = self.file_bytes_max.min(self.bytes_max);
        if announced.size > max {
            let text = format!(
                "the file has {}, and the mirror takes {} at most",
                counted(announced.size, "byte"),
                counted(max, "byte")
            );
            return Err(Error::new(ErrorKind::NoSpace, text)
                .hint("raise max-mirror-file-bytes and max-mirror-bytes"));
        }
        Ok(())
    }

    /// Makes room for a file that is about to be fetched.
    ///
    /// # Errors
    /// `NoSpace` for one that is too large.
    pub(super) fn make_room(&self, announced: &Announced) -> Result<()> {
        self.check_size(announced)?;
        self.sweep();

        let mut state = lock(&self.state);
        let sizes = state.known.values().map(|file| file.size);
        let mut all = sizes.fold(announced.size, u64::saturating_add);
        while all > self.bytes_max || state.known.len() >= FILES_MAX {
            let oldest = state.known.iter().min_by_key(|(_, file)| file.asked);
            let Some(tag) = oldest.map(|(tag, _)| tag.clone()) else {
                break;
            };
            if let Some(file) = state.known.remove(&tag) {
                all = all.saturating_sub(file.size);
                self.forget(&tag, &file);
            }
        }
        Ok(())
    }

    /// Notes a file that has come, and keeps it.
    pub(super) fn add(&self, announced: &Announced, digest: Digest) {
        let text = format!("{digest} {}\n", announced.size);
        let name = format!("{FILES}{}", announced.tag);
        if let Err(error) = self.store.keep_record(&name, text.as_bytes()) {
            log::warn!("mirror: a file goes after the next start: {error}");
        }
        let file = MirroredFile {
            digest,
            size: announced.size,
            asked: clock::now(),
        };
        let mut state = lock(&self.state);
        if state.known.insert(announced.tag.clone(), file).is_none() {
            self.store
                .pin_objects(&BTreeSet::from([*digest.as_bytes()]));
        }
    }

    /// Has the next sweep not wait for its hour.
    pub(super) fn sweep_soon(&self) {
        lock(&self.state).swept = None;
    }

    /// Removes what nobody has asked for, once an hour.
    pub(super) fn sweep(&self) {
        let now = clock::now();
        let age = |moment: SystemTime| now.duration_since(moment).unwrap_or_default();
        let mut state = lock(&self.state);
        if state.swept.is_some_and(|swept| age(swept) < TOUCHED_AFTER) {
            return;
        }
        state.swept = Some(now);
        let keep = self.keep;
        state.known.retain(|tag, file| {
            let stays = age(file.asked) <= keep;
            if !stays {
                self.forget(tag, file);
            }
            stays
        });
        drop(state);

        let records = self.store.records().unwrap_or_default();
        let mut answers: Vec<_> = records
            .into_iter()
            .filter(|facts| !facts.name.starts_with(FILES))
            .collect();
        answers.sort_by_key(|facts| std::cmp::Reverse(facts.modified));
        let mut bytes = 0_u64;
        for (number, facts) in answers.iter().enumerate() {
            bytes = bytes.saturating_add(facts.size);
            let is_beyond = bytes > ANSWERS_BYTES_MAX || number >= FILES_MAX;
            if is_beyond || age(facts.modified) > keep {
                self.store.remove_record(&facts.name);
            }
        }
    }

    fn forget(&self, tag: &str, file: &MirroredFile) {
        self.store.remove_record(&format!("{FILES}{tag}"));
        self.store
            .unpin_objects(&BTreeSet::from([*file.digest.as_bytes()]));
    }
}

/// What a record of a file says, if the file is here.
fn found(store: &Store, text: &[u8]) -> Option<(Digest, u64)> {
    let (digest, size) = std::str::from_utf8(text).ok()?.trim_end().split_once(' ')?;
    let (digest, size) = (digest.parse().ok()?, size.parse().ok()?);
    (store.object_size(digest, None) == Some(size)).then_some((digest, size))
}

/// How the records of files begin; the others are answers.
const FILES: &str = "file.";

/// How exactly it is known when somebody has asked for something.
const TOUCHED_AFTER: Duration = Duration::from_secs(3600);

/// Files, and answers: 20 MB of memory.
const FILES_MAX: usize = 100_000;

/// What is known of repositories, besides their files.
const ANSWERS_BYTES_MAX: u64 = 1 << 30;

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;
    use crate::store::{ObjectRequest, StoreOptions};

    fn keep(store: &Store, bytes: &[u8]) -> (Announced, Digest) {
        let request = ObjectRequest {
            size: bytes.len() as u64,
            digest: None,
            sender: None,
        };
        let mut upload = store.begin_object(request).unwrap();
        upload.write_all(bytes).unwrap();
        let announced = Announced {
            tag: format!("{:040x}", bytes.len()),
            size: bytes.len() as u64,
        };
        (announced, upload.keep().unwrap())
    }

    #[test]
    fn what_nobody_asks_for_goes_after_a_while_and_is_known_again_until_then() {
        let directory = tempfile::tempdir().unwrap();
        let options = StoreOptions {
            reserve_bytes: 0,
            ..StoreOptions::default()
        };
        let store = Store::open(directory.path(), options).unwrap();
        let open = |keep| {
            let options = MirrorOptions {
                keep,
                ..MirrorOptions::default()
            };
            MirrorFiles::open(&store, &options).unwrap()
        };
        let hour = Duration::from_secs(3600);
        let (announced, digest) = keep(&store, b"bytes");
        let files = open(hour);
        assert_eq!(files.find(&announced), None);
        files.add(&announced, digest);
        files.sweep();
        assert_eq!(files.find(&announced), Some(digest));
        // Other bytes under the same tag are none.
        let other = Announced {
            size: 6,
            ..announced.clone()
        };
        assert_eq!(files.find(&other), None);

        assert_eq!(open(hour).find(&announced), Some(digest));
        let later = open(Duration::ZERO);
        later.sweep();
        assert_eq!(later.find(&announced), None);
        assert!(store.records().unwrap().is_empty());
        assert_eq!(open(hour).find(&announced), None);
    }
}
