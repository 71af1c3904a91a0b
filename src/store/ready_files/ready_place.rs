// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What has the name `.ready` in a folder: a file of ours, or something of somebody else, which stays.

use std::io;

use crate::disk::{FileKind, FilePlace, Folder};
use crate::model::{READY_BYTES, READY_FILE, Revision};

/// What has the name.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ReadyFound {
    Nothing,
    /// A file of ours, with its revision where it could be read.
    Ours(Option<Revision>),
    /// Something that this store did not write, with its name for people.
    Foreign(&'static str),
}

/// The place in a folder.
pub(super) fn place_in(folder: &Folder) -> FilePlace {
    FilePlace::new(folder, READY_FILE)
}

/// What has the name; nothing is followed, and nothing blocks.
///
/// # Errors
/// Those of the file system.
pub(super) fn look(place: &FilePlace) -> io::Result<ReadyFound> {
    let facts = match place.facts() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(ReadyFound::Nothing),
        facts => facts?,
    };
    match facts.kind {
        FileKind::File if facts.size == READY_BYTES => {}
        FileKind::File => return Ok(ReadyFound::Foreign("a file without a revision in it")),
        FileKind::Folder => return Ok(ReadyFound::Foreign("a folder")),
        FileKind::Link => return Ok(ReadyFound::Foreign("a symbolic link")),
        FileKind::Special => return Ok(ReadyFound::Foreign("a special file")),
    }

    match place.read(READY_BYTES) {
        Ok(bytes) => Ok(match revision_in(&bytes) {
            Some(revision) => ReadyFound::Ours(Some(revision)),
            None => ReadyFound::Foreign("a file without a revision in it"),
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(ReadyFound::Nothing),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            Ok(ReadyFound::Foreign("a file that this server cannot read"))
        }
        // A damaged disk: what cannot be read may still be removed.
        Err(_) => Ok(ReadyFound::Ours(None)),
    }
}

/// What is in the file.
pub(super) fn text_of(revision: Revision) -> String {
    format!("{revision}\n")
}

fn revision_in(bytes: &[u8]) -> Option<Revision> {
    let text = str::from_utf8(bytes).ok()?;
    let revision = text.strip_suffix('\n')?.parse().ok()?;
    (text_of(revision) == text).then_some(revision)
}

/// Whether a file of ours has this name in a folder.
pub(crate) fn is_ready_file(folder: &Folder, name: &str) -> bool {
    name == READY_FILE && matches!(look(&place_in(folder)), Ok(ReadyFound::Ours(_)))
}

/// Removes a folder in which there is nothing, or only a file of ours; hands may have removed the models.
///
/// # Errors
/// `DirectoryNotEmpty` if there is anything else; otherwise those of the file system.
pub(crate) fn remove_vacant(above: &Folder, name: &str) -> io::Result<()> {
    let removed = above.remove_empty(name);
    if !removed
        .as_ref()
        .is_err_and(|error| error.kind() == io::ErrorKind::DirectoryNotEmpty)
    {
        return removed;
    }

    let folder = above.enter_any(name)?;
    for entry in folder.entries()? {
        if entry?.name != READY_FILE {
            return removed;
        }
    }
    if !is_ready_file(&folder, READY_FILE) {
        return removed;
    }
    place_in(&folder).remove_unsynced()?;
    above.remove_empty(name)
}
