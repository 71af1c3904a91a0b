// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The digests that are known, by name and stamp, so that a model is read only once for its digest.
//!
//! `.skep/index` has one line for each: the six numbers of the stamp, the digest, the name. It can be
//! removed at any time: what it said is computed again. A line that cannot be read is ignored, and of two
//! lines for a name the later one counts: what is learned is added at the end at once, for a process that is
//! killed, and the file is written anew some seconds later.
//!
//! Not here: when it is written (`digester.rs`).

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write as _};
use std::ops::Bound;
use std::sync::Mutex;

use rustix::fs::OFlags;

use crate::digest::Digest;
use crate::disk::{self, FilePlace};
use crate::model::ModelName;
use crate::store::catalog::layout::{Layout, Standing};
use crate::store::catalog::stamp::Stamp;
use crate::store::clearing::{ClearMode, ClearedKind};
use crate::threads::lock;

/// Known digests.
pub(crate) struct Index(Mutex<IndexState>);

struct IndexState {
    known: BTreeMap<ModelName, (Stamp, Digest)>,
    saved: IndexSaved,
    /// The lines that were added while the file is written anew, in which they are missing; `None` at all other
    /// times.
    late: Option<String>,
    /// How often the file was begun anew.
    saves: u64,
    /// How many are at work that give files names and take some away, which changes a time in their stamps.
    linking: usize,
}

impl IndexState {
    /// Whether a file has the bytes that are known, where this is its stamp.
    fn holds(&self, known: &Stamp, current: &Stamp) -> bool {
        known == current || (self.linking > 0 && current.is_linked_since(known))
    }
}

/// Whether the file says what the memory does.
#[derive(PartialEq)]
enum IndexSaved {
    Yes,
    No,
    /// It cannot be written, so nothing is added either, which would let it grow.
    Failed,
}

impl Index {
    /// Reads an index; one that is missing or cannot be read is empty.
    pub(crate) fn open(place: io::Result<FilePlace>) -> Self {
        // A broken index costs time, but no data: all digests are computed again.
        let read = place.and_then(|place| place.read(INDEX_BYTES_MAX));
        let bytes = read.unwrap_or_else(|error| {
            if error.kind() != io::ErrorKind::NotFound {
                log::warn!("the index of digests cannot be read and is rebuilt: {error}");
            }
            Vec::new()
        });

        let known = String::from_utf8_lossy(&bytes)
            .lines()
            .filter_map(parse_line)
            .collect();

        Self(Mutex::new(IndexState {
            known,
            saved: IndexSaved::Yes,
            late: None,
            saves: 0,
            linking: 0,
        }))
    }

    /// The digest of a file with this name and stamp.
    pub(crate) fn find(&self, name: &ModelName, stamp: &Stamp) -> Option<Digest> {
        let state = lock(&self.0);
        let (known, digest) = state.known.get(name)?;
        state.holds(known, stamp).then_some(*digest)
    }

    /// The digest that a file with this name had last, and its stamp then.
    pub(crate) fn remembered(&self, name: &ModelName) -> Option<(Stamp, Digest)> {
        lock(&self.0).known.get(name).copied()
    }

    /// The names of files that have these digests, with their stamps.
    pub(crate) fn having(&self, wanted: &BTreeSet<[u8; 32]>) -> Vec<(ModelName, Stamp, Digest)> {
        // One digest is compared much faster than looked up, and is what most callers want.
        let one = wanted.first().filter(|_| wanted.len() == 1);
        let is_wanted = |digest: &Digest| match one {
            Some(one) => digest.as_bytes() == one,
            None => wanted.contains(digest.as_bytes()),
        };

        let state = lock(&self.0);
        let known = state.known.iter();
        let known = known.filter(|(_, (_, digest))| is_wanted(digest));
        known
            .map(|(name, (stamp, digest))| (name.clone(), *stamp, *digest))
            .collect()
    }

    /// The names of files in a folder and below, with their stamps, sorted.
    pub(crate) fn below(&self, folder: &ModelName) -> Vec<(ModelName, Stamp, Digest)> {
        let prefix = format!("{folder}/");
        let from = (Bound::Included(prefix.as_str()), Bound::Unbounded);
        let state = lock(&self.0);
        let below = state.known.range::<str, _>(from);
        below
            .take_while(|(name, _)| name.as_str().starts_with(&prefix))
            .map(|(name, (stamp, digest))| (name.clone(), *stamp, *digest))
            .collect()
    }

    /// From now on, files count as unchanged that have got or lost a name.
    pub(super) fn begin_linking(&self) {
        lock(&self.0).linking += 1;
    }

    /// Ends what [`Index::begin_linking`] began.
    pub(super) fn end_linking(&self) {
        lock(&self.0).linking -= 1;
    }

    pub(crate) fn insert(&self, name: &ModelName, stamp: Stamp, digest: Digest) {
        lock(&self.0).known.insert(name.clone(), (stamp, digest));
        self.has_changed();
    }

    /// Has the file written at the next occasion.
    fn has_changed(&self) {
        let mut state = lock(&self.0);
        if state.saved == IndexSaved::Yes {
            state.saved = IndexSaved::No;
        }
    }

    /// Adds what was learned to the file as it is. A power cut may take it away again.
    pub(crate) fn note(&self, layout: &Layout, learned: &[(ModelName, Stamp, Digest)]) {
        if layout.is_read_only() {
            return;
        }
        let lines = learned
            .iter()
            .map(|(name, stamp, digest)| line(name, stamp, *digest));
        let lines: String = lines.collect();

        // The disk may be slow, and nobody who looks a digest up waits for it. So the file may be another one by
        // the time that the line is written.
        let mut seen = None;
        loop {
            let saves = {
                let mut state = lock(&self.0);
                if let Some(late) = &mut state.late {
                    late.push_str(&lines);
                    return;
                }
                if seen == Some(state.saves) || state.saved == IndexSaved::Failed {
                    return;
                }
                state.saves
            };

            seen = Some(saves);
            if let Err(error) = append(layout, &lines) {
                log::debug!("nothing is added to the index of digests: {error}");
                return;
            }
        }
    }

    pub(crate) fn remove(&self, name: &ModelName) {
        let removed = lock(&self.0).known.remove(name);
        if removed.is_some() {
            self.has_changed();
        }
    }

    /// Writes the file if there is something new, without what is no longer true of the directory.
    ///
    /// # Errors
    /// Those of the file system; the old file then stays.
    pub(crate) fn save(&self, layout: &Layout) -> io::Result<()> {
        // What is learned of models that are served read-only stays in memory.
        if layout.is_read_only() {
            return Ok(());
        }

        // The copy lets others use the index while the file system is asked about every model. The
        // mark is set before, so an entry that comes meanwhile is saved next time.
        let known = {
            let mut state = lock(&self.0);
            if state.saved == IndexSaved::Yes {
                return Ok(());
            }
            state.saved = IndexSaved::Yes;
            state.late = Some(String::new());
            state.saves += 1;
            state.known.clone()
        };

        let mut text = String::new();

        // Files that were removed or changed by hand leave entries behind, which would pile up for
        // ever.
        for (name, (stamp, digest)) in &known {
            match layout.standing(name) {
                Ok(Standing::Model(current)) if lock(&self.0).holds(stamp, &current) => {
                    text += &line(name, stamp, *digest);
                }
                _ => self.remove_stale(name, stamp),
            }
        }

        // A failure leaves the work to be done at the next occasion.
        let written = layout
            .index()
            .and_then(|place| disk::write_at(&place, text.as_bytes(), 0o600));

        let late = {
            let mut state = lock(&self.0);
            if written.is_err() {
                state.saved = IndexSaved::Failed;
            }
            state.late.take().unwrap_or_default()
        };
        if written.is_ok() && !late.is_empty() {
            append(layout, &late)?;
        }

        written
    }

    /// Removes the entries of what is no model any more, or another one; returns how much they take in the file.
    pub(crate) fn clear(&self, layout: &Layout, mode: ClearMode) -> ClearedKind {
        let known = lock(&self.0).known.clone();
        let mut cleared = ClearedKind::default();
        for (name, (stamp, digest)) in &known {
            if matches!(layout.standing(name), Ok(Standing::Model(current)) if lock(&self.0).holds(stamp, &current))
            {
                continue;
            }
            cleared.bytes += line(name, stamp, *digest).len() as u64;
            if mode == ClearMode::Remove {
                self.remove_stale(name, stamp);
                self.has_changed();
            }
        }
        cleared
    }

    /// Removes an entry unless it was replaced meanwhile.
    fn remove_stale(&self, name: &ModelName, stamp: &Stamp) {
        let mut state = lock(&self.0);
        if state
            .known
            .get(name)
            .is_some_and(|(known, _)| known == stamp)
        {
            state.known.remove(name);
        }
    }
}

fn line(name: &ModelName, stamp: &Stamp, digest: Digest) -> String {
    format!("{stamp} {digest} {name}\n")
}

/// Adds lines to the end of the file.
///
/// # Errors
/// Those of the file system; `NotFound` where something else has its name.
fn append(layout: &Layout, lines: &str) -> io::Result<()> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::APPEND;
    let mut file = layout.index()?.open_as(flags, 0o600)?;
    if !file.metadata()?.is_file() {
        return Err(io::ErrorKind::NotFound.into());
    }
    file.write_all(lines.as_bytes())
}

/// Lines for some hundred thousand models; a longer file was not written here.
const INDEX_BYTES_MAX: u64 = 64 << 20;

fn parse_line(line: &str) -> Option<(ModelName, (Stamp, Digest))> {
    let (digest_start, _) = line.match_indices(' ').nth(5)?;
    let (stamp, rest) = line.split_at(digest_start);
    let (digest, name) = rest[1..].split_once(' ')?;
    Some((
        name.parse().ok()?,
        (stamp.parse().ok()?, digest.parse().ok()?),
    ))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;
    use std::thread;

    use super::*;
    use crate::store::StoreOptions;

    /// An index of a store in a directory, without the store's threads.
    fn of(directory: &Path) -> (Layout, Index) {
        let layout = Layout::open(directory, &StoreOptions::default()).unwrap();
        let index = Index::open(layout.index());
        (layout, index)
    }

    #[test]
    fn what_was_learned_is_known_after_a_sudden_end() {
        let directory = tempfile::tempdir().unwrap();
        let digest = Digest::of(b"x");
        let name = |number: u32| -> ModelName { format!("m{number}").parse().unwrap() };
        let learn = |layout: &Layout, index: &Index, number| {
            let place = layout.place(&name(number)).unwrap();
            disk::write_at(&place, b"x", 0o600).unwrap();
            let stamp = Stamp::of(place.facts().unwrap());
            index.insert(&name(number), stamp, digest);
            index.note(layout, &[(name(number), stamp, digest)]);
            stamp
        };

        // Each of them is dropped without a word.
        for number in 0..3 {
            let (layout, index) = of(directory.path());
            learn(&layout, &index, number);
        }
        let (layout, index) = of(directory.path());
        assert_eq!(lock(&index.0).known.len(), 3);

        // While the file is written anew, nothing is lost that comes meanwhile.
        thread::scope(|scope| {
            let saving = scope.spawn(|| {
                for _ in 0..50 {
                    index.has_changed();
                    index.save(&layout).unwrap();
                }
            });
            let mut number = 3;
            while !saving.is_finished() {
                let stamp = learn(&layout, &index, number);
                assert_eq!(index.find(&name(number), &stamp), Some(digest));
                number += 1;
            }
            let again = Index::open(layout.index());
            assert_eq!(lock(&again.0).known.len(), number as usize);
        });

        // A file that cannot be written does not grow.
        let place = directory.path().join(".skep/index");
        fs::remove_file(&place).unwrap();
        fs::create_dir(&place).unwrap();
        index.has_changed();
        index.save(&layout).unwrap_err();
        fs::remove_dir(&place).unwrap();
        learn(&layout, &index, 0);
        assert!(!place.exists());
        index.save(&layout).unwrap();
        learn(&layout, &index, 1);
        let lines = fs::read_to_string(&place).unwrap();
        assert!(lines.ends_with("m1\n"), "{lines}");
    }

    #[test]
    fn unreadable_lines_are_ignored() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("index");
        let digest = Digest::of(b"x");
        let text =
            format!("\n1 2 3\n1 2 3 4 5 6 {digest} a b.dm\nx 2 3 4 5 6 {digest} b\n\u{1f41d}");
        let mut bytes = text.into_bytes();
        bytes.push(0xff);
        disk::write(&path, &bytes, 0o600).unwrap();
        let index = Index::open(FilePlace::of(&path));
        let stamp = "1 2 3 4 5 6".parse().unwrap();
        assert_eq!(index.find(&"a b.dm".parse().unwrap(), &stamp), Some(digest));
        assert_eq!(lock(&index.0).known.len(), 1);
        let other = "1 2 3 4 5 7".parse().unwrap();
        assert_eq!(index.find(&"a b.dm".parse().unwrap(), &other), None);
    }
}
