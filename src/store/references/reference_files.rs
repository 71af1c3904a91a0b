// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The files of references: which there are, and what they say.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;

use crate::disk::{self, FilePlace, Folder};
use crate::model::{ModelName, Revision};
use crate::store::hidden_folder::{HiddenFolder, REFERENCES};
use crate::store::references::reference_name::ReferenceName;
use crate::store::revisions::Manifest;
use crate::store::store_handle::Store;

/// The references of a folder, and the revisions that they are.
///
/// # Errors
/// Those of the file system.
pub(super) fn list(
    hidden: &HiddenFolder,
    root: &ModelName,
) -> io::Result<BTreeMap<ReferenceName, Revision>> {
    let mut found = BTreeMap::new();
    let Some(folder) = folder_of(hidden, root)? else {
        return Ok(found);
    };
    for entry in folder.entries()? {
        let file = entry?.name.into_string().unwrap_or_default();
        let Some(name) = ReferenceName::of_file(&file) else {
            continue;
        };
        let place = FilePlace::new(&folder, &file);
        if let Ok(start) = place.open().and_then(|(file, _)| start_of(&file))
            && let Some(revision) = revision_in(&start)
        {
            found.insert(name, revision);
        }
    }
    Ok(found)
}

/// What a reference is; `None` if there is no such one.
///
/// # Errors
/// Those of the file system.
pub(super) fn read(
    hidden: &HiddenFolder,
    root: &ModelName,
    name: &ReferenceName,
) -> io::Result<Option<Arc<Manifest>>> {
    let Some(folder) = folder_of(hidden, root)? else {
        return Ok(None);
    };
    let bytes = match FilePlace::new(&folder, name.file_name()).read(REFERENCE_BYTES_MAX) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        bytes => bytes?,
    };
    Ok(manifest(root, bytes).map(Arc::new))
}

/// Writes a reference durably, in the place of what it was.
///
/// # Errors
/// Those of the file system; it then is what it was.
pub(super) fn write(
    hidden: &HiddenFolder,
    root: &ModelName,
    name: &ReferenceName,
    manifest: &Manifest,
) -> io::Result<()> {
    let text = format!("{HEADER} {}\n{}", manifest.revision(), manifest.text());
    let place = FilePlace::new(&made(hidden, root)?, name.file_name());
    disk::write_at(&place, text.as_bytes(), 0o600)
}

/// Removes a reference; says whether there was one.
///
/// # Errors
/// Those of the file system.
pub(super) fn remove(
    hidden: &HiddenFolder,
    root: &ModelName,
    name: &ReferenceName,
) -> io::Result<bool> {
    let Some(folder) = folder_of(hidden, root)? else {
        return Ok(false);
    };
    let removed = FilePlace::new(&folder, name.file_name()).remove();
    hidden.remove_empty(REFERENCES, root);
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        removed => removed.map(|()| true),
    }
}

/// Whether a folder is marked as a repository.
///
/// # Errors
/// Those of the file system.
pub(super) fn is_marked(hidden: &HiddenFolder, root: &ModelName) -> io::Result<bool> {
    let folder = folder_of(hidden, root)?;
    Ok(folder.is_some_and(|folder| FilePlace::new(&folder, MARK).exists()))
}

/// Marks a folder as a repository.
///
/// # Errors
/// Those of the file system.
pub(super) fn mark(hidden: &HiddenFolder, root: &ModelName) -> io::Result<()> {
    disk::write_at(&FilePlace::new(&made(hidden, root)?, MARK), b"", 0o600)
}

/// Takes the mark of a repository away.
///
/// # Errors
/// Those of the file system.
pub(super) fn unmark(hidden: &HiddenFolder, root: &ModelName) -> io::Result<()> {
    let Some(folder) = folder_of(hidden, root)? else {
        return Ok(());
    };
    let removed = FilePlace::new(&folder, MARK).remove();
    hidden.remove_empty(REFERENCES, root);
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Pins what references need.
pub(crate) fn begin(store: &Store) {
    if let Err(error) = pin_all(store) {
        log::error!("the branches and tags cannot be read, and their bytes may go: {error}");
    }
}

fn pin_all(store: &Store) -> io::Result<()> {
    let hidden = store.catalog().layout.hidden();
    for root in hidden.names_in(REFERENCES)? {
        for name in list(hidden, &root)?.keys() {
            if let Some(manifest) = read(hidden, &root, name)? {
                store.pin_objects(&digests(&manifest));
            }
        }
    }
    Ok(())
}

/// The bytes that a state has.
pub(super) fn digests(manifest: &Manifest) -> BTreeSet<[u8; 32]> {
    let members = manifest.members.iter();
    members.map(|member| *member.digest.as_bytes()).collect()
}

fn made(hidden: &HiddenFolder, root: &ModelName) -> io::Result<Folder> {
    hidden.made_for(REFERENCES, root)?.make(root.file_name())
}

fn folder_of(hidden: &HiddenFolder, root: &ModelName) -> io::Result<Option<Folder>> {
    let Some(above) = hidden.existing_for(REFERENCES, root)? else {
        return Ok(None);
    };
    match above.enter(root.file_name()) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        entered => entered.map(Some),
    }
}

fn start_of(file: &std::fs::File) -> io::Result<Vec<u8>> {
    use std::io::Read as _;

    let mut start = Vec::new();
    file.take(START_BYTES).read_to_end(&mut start)?;
    Ok(start)
}

fn revision_in(start: &[u8]) -> Option<Revision> {
    let line = start.split(|byte| *byte == b'\n').next()?;
    let line = std::str::from_utf8(line).ok()?;
    line.strip_prefix(HEADER)?.trim_start().parse().ok()
}

/// A file that was changed is none.
fn manifest(root: &ModelName, bytes: Vec<u8>) -> Option<Manifest> {
    let revision = revision_in(&bytes)?;
    let text = String::from_utf8(bytes).ok()?;
    let (_, text) = text.split_once('\n')?;
    let manifest = Manifest::read(root, text)?;
    (manifest.revision() == revision).then_some(manifest)
}

const HEADER: &str = "skep-reference 1";

/// The file that says that a folder is a repository.
const MARK: &str = "repository";

/// The header and a revision.
const START_BYTES: u64 = 80;

/// More than the lines of the largest set.
const REFERENCE_BYTES_MAX: u64 = 256 << 20;
