// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The hidden folder of a model directory, which no name of a model can reach: what is kept beside the
//! models.
//!
//! Each folder in it is opened anew for each use, from the descriptor of the model directory: a link or
//! a folder of somebody else that has come in its place is an error, and nothing outside is touched.

pub(crate) mod kept_tree;
mod last_way;
pub(crate) mod strange_entries;

use std::io;
use std::sync::{Arc, Mutex};

use crate::disk::{FilePlace, Folder, FolderEntry};
use crate::model::ModelName;
use crate::threads::lock;

pub(crate) use last_way::LastWay;

/// The hidden folder, which need not be there.
#[derive(Clone)]
pub(crate) struct HiddenFolder {
    models: Folder,
    /// Held while folders that lead to something are made, and while empty ones are removed: changes in two top
    /// folders have the outermost of them in common.
    ways: Arc<Mutex<()>>,
}

impl HiddenFolder {
    /// That of this model directory.
    pub(crate) fn of(models: &Folder) -> Self {
        Self {
            models: models.clone(),
            ways: Arc::default(),
        }
    }

    /// The folder itself, made where it is missing.
    ///
    /// # Errors
    /// As [`Folder::make`].
    pub(crate) fn itself(&self) -> io::Result<Folder> {
        self.models.make(HIDDEN)
    }

    /// A folder in it.
    ///
    /// # Errors
    /// `NotFound` if there is none; otherwise as [`Folder::enter`].
    pub(crate) fn folder(&self, name: &str) -> io::Result<Folder> {
        self.models.enter(HIDDEN)?.enter(name)
    }

    /// The same; `None` if there is none.
    ///
    /// # Errors
    /// As [`Folder::enter`].
    pub(crate) fn existing(&self, name: &str) -> io::Result<Option<Folder>> {
        match self.folder(name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            entered => entered.map(Some),
        }
    }

    /// The same, made where it is missing.
    ///
    /// # Errors
    /// As [`Folder::make`].
    pub(crate) fn made(&self, name: &str) -> io::Result<Folder> {
        self.itself()?.make(name)
    }

    /// The folder in one of its folders, in which what is kept of a model stands under the last segment of
    /// its name; `None` if there is none. That of a model in folders has their names, and each of them
    /// stands in a folder whose name no model can have, so that nothing of two models meets.
    ///
    /// # Errors
    /// As [`Folder::enter`].
    pub(crate) fn existing_for(&self, room: &str, name: &ModelName) -> io::Result<Option<Folder>> {
        let found = self.folder(room);
        match found.and_then(|folder| folder.descend(way_to(name), Folder::enter)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            entered => entered.map(Some),
        }
    }

    /// The same, made where it is missing.
    ///
    /// # Errors
    /// As [`Folder::make`].
    pub(crate) fn made_for(&self, room: &str, name: &ModelName) -> io::Result<Folder> {
        let _guard = lock(&self.ways);
        let made = self.made(room)?;
        made.descend(way_to(name), Folder::make)
    }

    /// The same for many models, one after the other; a power cut may take the folders away again.
    ///
    /// # Errors
    /// As [`Folder::make`].
    pub(crate) fn made_ways_unsynced(&self, room: &str) -> io::Result<KeptWays> {
        let _guard = lock(&self.ways);
        Ok(KeptWays {
            last: LastWay::new(&self.made(room)?, Folder::make_unsynced),
            ways: Arc::clone(&self.ways),
        })
    }

    /// The same, but a power cut may take the folder away again.
    ///
    /// # Errors
    /// As [`Folder::make`].
    pub(crate) fn made_for_unsynced(&self, room: &str, name: &ModelName) -> io::Result<Folder> {
        let _guard = lock(&self.ways);
        let made = self.made(room)?;
        made.descend(way_to(name), Folder::make_unsynced)
    }

    /// Makes the folders survive a power cut that lead to what is kept of a model.
    ///
    /// # Errors
    /// As [`Folder::enter`].
    pub(crate) fn sync_way(&self, room: &str, name: &ModelName) -> io::Result<()> {
        let mut folder = self.folder(room)?;
        folder.sync()?;
        for segment in way_to(name) {
            folder = folder.enter(segment)?;
            folder.sync()?;
        }
        Ok(())
    }

    /// Whether something is kept of a folder: its revisions, or what models in it were.
    pub(crate) fn keeps_of_folder(&self, name: &ModelName) -> bool {
        let has = |folder: io::Result<Option<Folder>>| {
            let folder = folder.ok().flatten();
            folder.is_some_and(|folder| FilePlace::new(&folder, name.file_name()).exists())
        };
        let inner = |room| match self.existing_for(room, name)? {
            Some(above) => above.enter(HIDDEN).map(Some),
            None => Ok(None),
        };
        has(self.existing_for(REVISIONS, name)) || has(inner(VERSIONS))
    }

    /// The names of the models of which something is kept in one of its folders, in no order, read as they
    /// are asked for.
    ///
    /// # Errors
    /// As [`Folder::enter`].
    pub(crate) fn names_in(&self, room: &str) -> io::Result<KeptNames> {
        let mut names = KeptNames(Vec::new());
        if let Some(folder) = self.existing(room)? {
            names.enter(folder, String::new(), KeptKind::Names)?;
        }
        Ok(names)
    }

    /// Removes the folder in which something of a model was kept, and those that lead to it, as far as
    /// nothing is in them. One that stays does no harm.
    pub(crate) fn remove_empty(&self, room: &str, name: &ModelName) {
        self.remove_while_empty(room, way_to(name).chain([name.file_name()]).collect());
    }

    /// The same for the folders that lead to a model only.
    pub(crate) fn remove_empty_way(&self, room: &str, name: &ModelName) {
        self.remove_while_empty(room, way_to(name).collect());
    }

    fn remove_while_empty(&self, room: &str, way: Vec<&str>) {
        let _guard = lock(&self.ways);
        if let Ok(folder) = self.folder(room) {
            folder.remove_while_empty(way, Folder::enter);
        }
    }

    /// The place of a file in it; `None` if the folder is not there.
    ///
    /// # Errors
    /// As [`Folder::enter`].
    pub(crate) fn existing_file(&self, name: &str) -> io::Result<Option<FilePlace>> {
        match self.models.enter(HIDDEN) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            entered => entered.map(|folder| Some(FilePlace::new(&folder, name))),
        }
    }

    /// The place of a file in it, whose folder is made where it is missing.
    ///
    /// # Errors
    /// As [`Folder::make`].
    pub(crate) fn file(&self, name: &str) -> io::Result<FilePlace> {
        Ok(FilePlace::new(&self.itself()?, name))
    }
}

/// Ways to folders in which something is kept of models; names of one top folder, which is locked, come one after the
/// other, so that nobody removes a folder that is about to be used.
pub(crate) struct KeptWays {
    last: LastWay,
    ways: Arc<Mutex<()>>,
}

impl KeptWays {
    /// As [`HiddenFolder::made_for_unsynced`].
    ///
    /// # Errors
    /// As [`Folder::make`].
    pub(crate) fn to(&mut self, name: &ModelName) -> io::Result<Folder> {
        let _guard = lock(&self.ways);
        self.last.to(way_to(name))
    }
}

/// The names of models of which something is kept.
pub(crate) struct KeptNames(Vec<KeptLevel>);

struct KeptLevel {
    folder: Folder,
    kind: KeptKind,
    /// The folders of the models, with a separator at the end.
    prefix: String,
    entries: Box<dyn Iterator<Item = io::Result<FolderEntry>> + Send>,
}

/// What the entries of a folder are.
#[derive(Clone, Copy)]
enum KeptKind {
    /// Last segments of names, and the folder with those of folders.
    Names,
    /// Segments of folders.
    Folders,
}

impl KeptNames {
    fn enter(&mut self, folder: Folder, prefix: String, kind: KeptKind) -> io::Result<()> {
        let entries = Box::new(folder.entries()?);
        self.0.push(KeptLevel {
            folder,
            kind,
            prefix,
            entries,
        });
        Ok(())
    }
}

impl Iterator for KeptNames {
    type Item = ModelName;

    fn next(&mut self) -> Option<ModelName> {
        loop {
            // Not deeper than a name can be.
            let is_deep = self.0.len() >= 2 * ModelName::SEGMENTS_MAX;
            let level = self.0.last_mut()?;
            let Some(entry) = level.entries.next() else {
                self.0.pop();
                continue;
            };

            // What cannot be read or has another name was not made by this store.
            let Some(text) = entry.ok().and_then(|entry| entry.name.into_string().ok()) else {
                continue;
            };
            let (prefix, kind) = match level.kind {
                KeptKind::Names if text == HIDDEN => (level.prefix.clone(), KeptKind::Folders),
                KeptKind::Folders => (format!("{}{text}/", level.prefix), KeptKind::Names),
                KeptKind::Names => match format!("{}{text}", level.prefix).parse() {
                    Ok(name) => return Some(name),
                    Err(_) => continue,
                },
            };

            if !is_deep && let Ok(folder) = level.folder.enter(&text) {
                let _ = self.enter(folder, prefix, kind);
            }
        }
    }
}

/// The folders that lead to what is kept of a model.
fn way_to(name: &ModelName) -> impl Iterator<Item = &str> {
    name.folders().flat_map(|segment| [HIDDEN, segment])
}

/// The name of the folder, by which a model directory that was used is recognised.
pub(crate) const HIDDEN: &str = ".skep";

/// Held by the server that uses the directory.
pub(crate) const LOCK: &str = "lock";
/// The number of the form that all of it has.
pub(crate) const FORMAT: &str = "format";
/// The digests that are known.
pub(crate) const INDEX: &str = "index";
/// The bytes of unfinished uploads.
pub(crate) const PARTS: &str = "parts";
/// The journals of uploads that can be continued.
pub(crate) const UPLOADS: &str = "uploads";
/// What models were before.
pub(crate) const VERSIONS: &str = "versions";
/// Change sets that are not committed, or about to be.
pub(crate) const CHANGES: &str = "changes";
/// In a change set, the folder in which one that is to get a name is assembled.
pub(crate) const TREE: &str = "tree";
/// What folders were before.
pub(crate) const REVISIONS: &str = "revisions";
/// There are files with the revisions of folders.
pub(crate) const READY_MARK: &str = "ready";
/// Branches and tags of folders.
pub(crate) const REFERENCES: &str = "references";
/// What a mirror of another hub knows.
pub(crate) const MIRROR: &str = "mirror";
/// Bytes by their digests, which need no name.
pub(crate) const OBJECTS: &str = "objects";
/// What uploads by xet have sent, a folder for each.
pub(crate) const XET: &str = "xet";
/// Where models come from.
pub(crate) const ABOUT: &str = "about";

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::disk::fault;

    #[test]
    fn what_stands_in_the_place_of_a_folder_is_no_absence() {
        let (directory, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let hidden = HiddenFolder::of(&Folder::open(directory.path()).unwrap());
        let name: ModelName = "d/m".parse().unwrap();
        assert!(hidden.existing("versions").unwrap().is_none());
        assert!(hidden.existing_for("versions", &name).unwrap().is_none());
        assert!(hidden.existing_file("index").unwrap().is_none());

        let place = directory.path().join(HIDDEN);
        fs::create_dir(&place).unwrap();
        assert!(hidden.existing("versions").unwrap().is_none());
        assert!(hidden.existing_file("index").unwrap().is_some());
        symlink(outside.path(), place.join("versions")).unwrap();
        assert!(hidden.existing("versions").is_err());
        assert!(hidden.existing_for("versions", &name).is_err());

        fs::remove_dir_all(&place).unwrap();
        fs::write(&place, "in the way").unwrap();
        assert!(hidden.existing("versions").is_err());
        assert!(hidden.existing_for("versions", &name).is_err());
        assert!(hidden.existing_file("index").is_err());
    }

    #[test]
    fn each_folder_on_the_way_is_made_durable() {
        let directory = tempfile::tempdir().unwrap();
        let hidden = HiddenFolder::of(&Folder::open(directory.path()).unwrap());
        let name: ModelName = "d/e/m".parse().unwrap();
        assert!(hidden.sync_way("versions", &name).is_err());
        hidden.made_for_unsynced("versions", &name).unwrap();
        hidden.sync_way("versions", &name).unwrap();

        let mut calls = 0;
        loop {
            fault::set(Some(calls));
            let result = hidden.sync_way("versions", &name);
            if fault::set(None) {
                result.unwrap();
                break;
            }
            assert!(result.is_err(), "call {calls}");
            calls += 1;
        }
        assert_eq!(calls, 5, "versions, and two folders for each segment");
    }
}
