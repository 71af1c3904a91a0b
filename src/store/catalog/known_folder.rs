// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The names in a folder as it was read last, and whether it is still the same.
//!
//! The file system changes the times of a folder with each name that comes or goes in it. They say nothing
//! of what lies deeper, so each folder is asked for itself; and nothing of two changes within one tick of
//! its clock, so a folder that was young when it was read is read again.

use std::cell::OnceCell;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io;
use std::time::{Duration, SystemTime};

use crate::disk::{FileFacts, FileKind, FilePlace, Folder};
use crate::store::catalog::layout::{is_absence, named};
use crate::store::catalog::packed_names::{PackedNames, UnsortedNames};
use crate::store::catalog::stamp::Stamp;
use crate::store::ready_files::ReadyQueue;

/// A folder of models.
#[derive(Default)]
pub(super) struct KnownFolder {
    /// What the file system said of it when it was read, and on which device it is; `None` if that
    /// cannot be trusted.
    read_as: Option<(Stamp, u64)>,
    /// The turn in which it was looked at last.
    turn: u64,
    /// The names of its models, and those of its folders with a separator at their end.
    pub(super) names: PackedNames,
    folders: InnerFolders,
    /// Of the names that were found last, in whatever order.
    sum: Option<u64>,
}

/// The folders in a folder, sorted by their names with the separator; `None` for what was never looked at.
pub(super) type InnerFolders = Vec<(Box<str>, Option<Box<KnownFolder>>)>;

/// A look at folders: each of them is asked once in a turn.
#[derive(Clone, Copy)]
pub(super) struct ListTurn<'a> {
    pub(super) number: u64,
    /// Is told of folders in which other names were found than before.
    pub(super) ready: &'a ReadyQueue,
    /// How coarse the clocks of file systems are.
    pub(super) tick: Duration,
}

/// A folder by its way, each opened from the one above it, but not before it is needed.
pub(super) struct FolderWay<'a> {
    above: Option<(&'a FolderWay<'a>, &'a str)>,
    opened: OnceCell<Folder>,
}

impl<'a> FolderWay<'a> {
    pub(super) fn root(folder: &Folder) -> Self {
        Self {
            above: None,
            opened: OnceCell::from(folder.clone()),
        }
    }

    /// That of a folder in this one, by its name with the separator.
    pub(super) fn inner(&'a self, name: &'a str) -> Self {
        Self {
            above: Some((self, name.trim_end_matches('/'))),
            opened: OnceCell::new(),
        }
    }

    fn folder(&self) -> io::Result<&Folder> {
        if self.opened.get().is_none()
            && let Some((above, name)) = self.above
        {
            let entered = above.folder()?.enter_any(name)?;
            let _ = self.opened.set(entered);
        }
        self.opened
            .get()
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn facts(&self) -> io::Result<FileFacts> {
        match self.above {
            Some((above, name)) => FilePlace::new(above.folder()?, name).facts(),
            None => self.folder()?.facts(),
        }
    }
}

impl KnownFolder {
    /// Reads it again if it was not looked at in this turn and has changed since it was read.
    ///
    /// # Errors
    /// Those of the file system; nothing is known of the folder then.
    pub(super) fn renew(
        &mut self,
        way: &FolderWay<'_>,
        path: &str,
        turn: ListTurn<'_>,
    ) -> io::Result<()> {
        if self.turn >= turn.number {
            return Ok(());
        }
        self.turn = turn.number;

        let facts = way.facts().and_then(|facts| match facts.kind {
            FileKind::Folder => Ok(facts),
            _ => Err(io::ErrorKind::NotADirectory.into()),
        });
        match facts {
            Ok(facts) if self.read_as == Some(identity(&facts)) => return Ok(()),
            Ok(_) => {}
            Err(error) => {
                self.forget();
                return Err(error);
            }
        }
        self.read(way, path, turn).inspect_err(|_| self.forget())
    }

    /// The same for a folder in another one: one that is gone is empty, and one that is damaged must not
    /// hide all the others.
    pub(super) fn renew_inner(&mut self, way: &FolderWay<'_>, path: &str, turn: ListTurn<'_>) {
        match self.renew(way, path, turn) {
            Ok(()) => {}
            Err(error) if is_absence(&error) || error.kind() == io::ErrorKind::NotADirectory => {}
            Err(error) => {
                let name = path.trim_end_matches('/');
                log::warn!("the folder '{name}' is not listed: {error}");
            }
        }
    }

    /// Its names, and its folders.
    pub(super) fn parts(&mut self) -> (&PackedNames, &mut InnerFolders) {
        (&self.names, &mut self.folders)
    }

    /// How many models are in it and below, each folder of which is looked at.
    pub(super) fn count(
        &mut self,
        way: &FolderWay<'_>,
        path: &mut String,
        turn: ListTurn<'_>,
    ) -> u64 {
        self.renew_inner(way, path, turn);

        let mut count = (self.names.len() - self.folders.len()) as u64;
        for (name, folder) in &mut self.folders {
            let length = path.len();
            path.push_str(name);
            let folder = folder.get_or_insert_default();
            count += folder.count(&way.inner(name), path, turn);
            path.truncate(length);
        }
        count
    }

    fn read(&mut self, way: &FolderWay<'_>, path: &str, turn: ListTurn<'_>) -> io::Result<()> {
        // Names are not in memory twice while they are read.
        self.names = PackedNames::default();
        let mut before = std::mem::take(&mut self.folders);

        // The time first, then the facts: whatever changes the folder later gets a later time.
        let start = SystemTime::now();
        let folder = way.folder()?;
        let facts = folder.facts()?;

        let (mut names, mut sum) = (UnsortedNames::default(), 0_u64);
        for entry in folder.entries()? {
            let Ok((name, kind)) = named(folder, path, &entry?) else {
                continue;
            };
            match kind {
                Some(FileKind::File) => {
                    names.push(name.file_name())?;
                    sum = sum.wrapping_add(hash(name.file_name()));
                }
                Some(FileKind::Folder) => {
                    let name = format!("{}/", name.file_name());
                    names.push(&name)?;
                    sum = sum.wrapping_add(hash(&name));
                    self.folders.push((name.into(), None));
                }
                _ => {}
            }
        }

        // What is known of those that are still there is kept.
        self.folders
            .sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        self.folders.dedup_by(|(one, _), (other, _)| one == other);
        for (name, folder) in &mut self.folders {
            if let Ok(place) = place_of(&before, name) {
                *folder = before[place].1.take();
            }
        }
        self.folders.shrink_to_fit();
        self.names = names.packed()?;
        if self.sum.replace(sum).is_some_and(|before| before != sum) {
            turn.ready.notice_folder(path);
        }

        let identity = identity(&facts);
        let is_young = !identity.0.young_for(turn.tick, start).is_zero();
        self.read_as = (!is_young).then_some(identity);
        Ok(())
    }

    fn forget(&mut self) {
        *self = Self {
            turn: self.turn,
            ..Self::default()
        };
    }
}

/// The folder of this name.
pub(super) fn find<'a>(folders: &'a mut InnerFolders, name: &str) -> Option<&'a mut KnownFolder> {
    let place = place_of(folders, name).ok()?;
    Some(folders[place].1.get_or_insert_default())
}

fn place_of(folders: &InnerFolders, name: &str) -> Result<usize, usize> {
    folders.binary_search_by(|(other, _)| (**other).cmp(name))
}

fn hash(name: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    name.hash(&mut hasher);
    hasher.finish()
}

fn identity(facts: &FileFacts) -> (Stamp, u64) {
    (Stamp::of(*facts), facts.device)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn look(known: &mut KnownFolder, folder: &Folder, number: u64, tick: Duration) {
        let ready = &ReadyQueue::new(Duration::ZERO);
        let turn = ListTurn {
            number,
            tick,
            ready,
        };
        known
            .renew(&FolderWay::root(folder), "", turn)
            .unwrap_or_default();
    }

    fn names(known: &KnownFolder) -> Vec<String> {
        let (mut cursor, mut names) = (known.names.from(""), Vec::new());
        while let Some(name) = cursor.next() {
            names.push(name.to_owned());
        }
        names
    }

    #[test]
    fn a_folder_is_read_again_only_if_it_has_changed() {
        let directory = tempfile::tempdir().unwrap();
        let folder = Folder::open(directory.path()).unwrap();
        fs::write(directory.path().join("one"), "").unwrap();
        let mut known = KnownFolder::default();
        look(&mut known, &folder, 1, Duration::ZERO);
        assert_eq!(names(&known), ["one"]);

        // What is in memory counts as long as the folder says that it is the same.
        let mut planted = UnsortedNames::default();
        planted.push("planted").unwrap();
        known.names = planted.packed().unwrap();
        look(&mut known, &folder, 2, Duration::ZERO);
        assert_eq!(names(&known), ["planted"]);

        fs::write(directory.path().join("two"), "").unwrap();
        look(&mut known, &folder, 2, Duration::ZERO);
        assert_eq!(names(&known), ["planted"], "twice in one turn");
        look(&mut known, &folder, 3, Duration::ZERO);
        assert_eq!(names(&known), ["one", "two"]);
    }

    #[test]
    fn a_folder_that_is_young_when_it_is_read_is_read_again() {
        let directory = tempfile::tempdir().unwrap();
        let folder = Folder::open(directory.path()).unwrap();
        fs::write(directory.path().join("one"), "").unwrap();
        let mut known = KnownFolder::default();

        // A change within the same tick leaves the times as they are.
        look(&mut known, &folder, 1, Duration::from_secs(3600));
        known.names = PackedNames::default();
        look(&mut known, &folder, 2, Duration::from_secs(3600));
        assert_eq!(names(&known), ["one"]);
    }

    #[test]
    fn what_is_known_of_inner_folders_stays_and_goes_with_them() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        let folder = Folder::open(directory.path()).unwrap();
        let way = FolderWay::root(&folder);
        for (inner, files) in [("a", 3), ("b/c", 2)] {
            fs::create_dir_all(path(inner)).unwrap();
            (0..files).for_each(|n| fs::write(path(&format!("{inner}/{n}")), "").unwrap());
        }

        let tick = Duration::ZERO;
        let ready = &ReadyQueue::new(Duration::ZERO);
        let mut known = KnownFolder::default();
        let mut count = |number| {
            let turn = ListTurn {
                number,
                tick,
                ready,
            };
            let count = known.count(&way, &mut String::new(), turn);
            let read: Vec<_> = known
                .folders
                .iter()
                .map(|(_, f)| f.as_ref().and_then(|f| f.read_as))
                .collect();
            (count, read)
        };
        let (first, read) = count(1);
        assert_eq!((first, read.len()), (5, 2));

        fs::write(path("new"), "").unwrap();
        let (second, again) = count(2);
        assert_eq!((second, again), (6, read));

        fs::remove_dir_all(path("a")).unwrap();
        fs::write(path("b/c/more"), "").unwrap();
        assert_eq!(count(3).0, 4);

        // A link that comes in the place of a folder is none.
        fs::rename(path("b/c"), path("c")).unwrap();
        std::os::unix::fs::symlink(path("c"), path("b/c")).unwrap();
        assert_eq!(count(4).0, 4);
        fs::remove_dir_all(path("b")).unwrap();
        std::os::unix::fs::symlink(path("c"), path("b")).unwrap();
        assert_eq!(count(5).0, 4);
    }
}
