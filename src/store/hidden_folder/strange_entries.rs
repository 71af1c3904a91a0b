// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What stands in the hidden folder and is not of this store: links, FIFOs, files in the place of folders, folders of
//! other users. It is told of at the start, and is not followed.

use std::path::{Path, PathBuf};

use crate::disk::{FileKind, FilePlace, Folder};
use crate::store::hidden_folder::{
    ABOUT, CHANGES, HIDDEN, HiddenFolder, MIRROR, OBJECTS, REFERENCES, REVISIONS, TREE, UPLOADS,
    VERSIONS, XET,
};
use crate::text::quoted;

/// Tells of it in the log, and returns the paths.
pub(crate) fn tell_of_strange_entries(hidden: &HiddenFolder) -> Vec<PathBuf> {
    let mut found = StrangeEntries::default();
    for (room, kind) in ROOMS {
        match hidden.existing(room) {
            Ok(Some(folder)) => found.look(&folder, *kind, DEPTH_MAX),
            Ok(None) => {}
            Err(error) => found.add(&hidden.models.path().join(HIDDEN).join(room), &error),
        }
    }

    if found.more > 0 {
        log::warn!("{} more of these are not told of", found.more);
    }
    found.paths
}

#[derive(Default)]
struct StrangeEntries {
    paths: Vec<PathBuf>,
    more: usize,
}

/// What stands in a folder.
#[derive(Clone, Copy, PartialEq, Eq)]
enum RoomKind {
    /// A folder for each name.
    Folders,
    /// A file for each name, or for each upload.
    Files,
    /// The folders of names that have them, in which there is the same.
    WayToFolders,
    WayToFiles,
    /// A folder for each change set.
    Changes,
    /// The files of one change set, and the folder in which another one is assembled.
    Change,
    /// Folders of models that are assembled.
    Tree,
    /// A folder for each upload by xet, with files.
    Sessions,
}

impl StrangeEntries {
    fn add(&mut self, path: &Path, reason: &dyn std::fmt::Display) {
        if self.paths.len() == TOLD_MAX {
            self.more += 1;
            return;
        }
        log::warn!(
            "{} is not of this server, which does not follow it: {reason}; {MEND}",
            quoted(path)
        );
        self.paths.push(path.to_owned());
    }

    fn look(&mut self, folder: &Folder, kind: RoomKind, depth: usize) {
        let entries = match folder.entries() {
            Ok(entries) => entries,
            Err(error) => return self.add(folder.path(), &error),
        };
        for entry in entries.flatten() {
            let path = folder.path().join(&entry.name);
            let Some(name) = entry.name.to_str() else {
                self.add(&path, &"its name is no text");
                continue;
            };
            let found = entry.kind.or_else(|| {
                let facts = FilePlace::new(folder, name).facts();
                facts.ok().map(|facts| facts.kind)
            });
            let Some(found) = found else { continue };

            match kind.inner(name, found) {
                Ok(None) => {}
                Err(reason) => self.add(&path, &reason),
                Ok(Some(inner)) => match folder.enter(name) {
                    Ok(folder) if depth > 0 => self.look(&folder, inner, depth - 1),
                    Ok(_) => {}
                    Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                    Err(error) => self.add(&path, &error),
                },
            }
        }
    }
}

impl RoomKind {
    /// What is in an entry of it, where that is to be looked through.
    ///
    /// # Errors
    /// Why it is none of this store.
    fn inner(self, name: &str, found: FileKind) -> Result<Option<Self>, &'static str> {
        let is_id = name.len() == 32 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
        let is_folder = found == FileKind::Folder;
        match self {
            Self::Folders if name == HIDDEN => Ok(Some(Self::WayToFolders)),
            Self::Files if name == HIDDEN => Ok(Some(Self::WayToFiles)),
            Self::Change if name == TREE => Ok(Some(Self::Tree)),
            // There are as many of these as models, and a look into each would take long.
            Self::Folders if is_folder => Ok(None),
            Self::WayToFolders if is_folder => Ok(Some(Self::Folders)),
            Self::WayToFiles if is_folder => Ok(Some(Self::Files)),
            Self::Changes if is_folder && is_id => Ok(Some(Self::Change)),
            Self::Changes if is_folder => Err("no change set is called so"),
            Self::Sessions if is_folder && is_id => Ok(Some(Self::Files)),
            Self::Sessions if is_folder => Err("no upload by xet is called so"),
            Self::Folders
            | Self::WayToFolders
            | Self::WayToFiles
            | Self::Changes
            | Self::Sessions => Err("it is no folder"),
            Self::Files | Self::Change if found != FileKind::File => Err("it is no file"),
            Self::Tree if is_folder => Ok(Some(Self::Tree)),
            Self::Files | Self::Change | Self::Tree => Ok(None),
        }
    }
}

/// What there is at most below each folder.
const ROOMS: &[(&str, RoomKind)] = &[
    (VERSIONS, RoomKind::Folders),
    (REVISIONS, RoomKind::Folders),
    (ABOUT, RoomKind::Files),
    (UPLOADS, RoomKind::Files),
    (CHANGES, RoomKind::Changes),
    (OBJECTS, RoomKind::Files),
    (MIRROR, RoomKind::Files),
    (REFERENCES, RoomKind::Folders),
    (XET, RoomKind::Sessions),
];

const MEND: &str =
    "move it out of the model directory, or give it to the user that the server runs as";

/// Lines of the log at one start.
const TOLD_MAX: usize = 20;

/// Names have 16 segments at most, and each folder of them stands in one of ours.
const DEPTH_MAX: usize = 40;
