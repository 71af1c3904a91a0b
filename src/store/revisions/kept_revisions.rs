// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The files of old revisions: what they are called, and which there are.

use std::io;
use std::time::SystemTime;

use crate::disk::{self, FilePlace, Folder};
use crate::model::{BLOCK_BYTES, ModelName, Revision, charge};
use crate::store::hidden_folder::{HiddenFolder, REVISIONS};
use crate::store::revisions::manifest::Manifest;

/// An old revision of a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KeptRevision {
    /// Its number; newer ones have higher numbers.
    pub(crate) number: u64,
    pub(crate) revision: Revision,
    /// When it was replaced.
    pub(crate) replaced: SystemTime,
    file_name: String,
}

/// Those of a folder, newest first.
///
/// # Errors
/// Those of the file system.
pub(crate) fn list(hidden: &HiddenFolder, root: &ModelName) -> io::Result<Vec<KeptRevision>> {
    let Some(folder) = folder_of(hidden, root)? else {
        return Ok(Vec::new());
    };

    let mut kept = Vec::new();
    for entry in folder.entries()? {
        // Other names were not made by this room.
        let name = entry?.name.into_string().unwrap_or_default();
        let Some((number, revision)) = name.split_once('.') else {
            continue;
        };
        let (Ok(number), Ok(revision)) = (number.parse(), revision.parse()) else {
            continue;
        };
        let facts = FilePlace::new(&folder, &name).facts()?;
        if facts.is_file() {
            kept.push(KeptRevision {
                number,
                revision,
                replaced: facts.modified.time(),
                file_name: name,
            });
        }
    }
    kept.sort_unstable_by_key(|kept| std::cmp::Reverse(kept.number));
    Ok(kept)
}

/// What a folder was in an old revision; `None` if that is not kept.
///
/// # Errors
/// Those of the file system.
pub(crate) fn read(
    hidden: &HiddenFolder,
    root: &ModelName,
    revision: Revision,
) -> io::Result<Option<Manifest>> {
    let kept = list(hidden, root)?;
    let Some(kept) = kept.iter().find(|kept| kept.revision == revision) else {
        return Ok(None);
    };
    let Some(folder) = folder_of(hidden, root)? else {
        return Ok(None);
    };

    let bytes = FilePlace::new(&folder, &kept.file_name).read(MANIFEST_BYTES_MAX)?;
    let manifest = String::from_utf8(bytes).ok();
    let manifest = manifest.and_then(|text| Manifest::read(root, &text));
    // A file that was changed is none.
    Ok(manifest.filter(|manifest| manifest.revision() == revision))
}

/// Keeps what a folder is, before it is changed; a power cut may take that away again.
///
/// # Errors
/// Those of the file system.
pub(crate) fn keep(hidden: &HiddenFolder, manifest: &Manifest) -> io::Result<()> {
    let revision = manifest.revision();
    let kept = list(hidden, &manifest.root)?;
    if kept
        .first()
        .is_some_and(|newest| newest.revision == revision)
    {
        return Ok(());
    }

    let folder = hidden.made_for_unsynced(REVISIONS, &manifest.root)?;
    let folder = folder.make_unsynced(manifest.root.file_name())?;
    let number = kept.first().map_or(0, |newest| newest.number) + 1;
    let place = FilePlace::new(&folder, format!("{number}.{revision}"));
    disk::write_unsynced(&place, manifest.text().as_bytes(), 0o600)
}

/// Removes all but the newest ones.
///
/// # Errors
/// Those of the file system.
pub(crate) fn prune(hidden: &HiddenFolder, root: &ModelName, most: usize) -> io::Result<()> {
    let Some(folder) = folder_of(hidden, root)? else {
        return Ok(());
    };
    let kept = list(hidden, root)?;
    for old in kept.iter().skip(most) {
        FilePlace::new(&folder, &old.file_name).remove_unsynced()?;
    }
    if most == 0 {
        hidden.remove_empty(REVISIONS, root);
    }
    Ok(())
}

/// The sizes of those that [`prune`] would remove.
///
/// # Errors
/// Those of the file system.
pub(crate) fn beyond(hidden: &HiddenFolder, root: &ModelName, most: usize) -> io::Result<Vec<u64>> {
    let Some(folder) = folder_of(hidden, root)? else {
        return Ok(Vec::new());
    };
    let kept = list(hidden, root)?;
    let size = |old: &KeptRevision| Ok(FilePlace::new(&folder, &old.file_name).facts()?.size);
    kept.iter().skip(most).map(size).collect()
}

/// What the revisions of a folder take together with the folder that they are in. What cannot be read is not
/// ours.
pub(crate) fn taken(hidden: &HiddenFolder, root: &ModelName) -> u64 {
    let Ok(Some(folder)) = folder_of(hidden, root) else {
        return 0;
    };
    let size = |kept: KeptRevision| {
        let facts = FilePlace::new(&folder, &kept.file_name).facts();
        facts.map_or(0, |facts| charge(facts.size))
    };
    let kept = list(hidden, root).unwrap_or_default();
    BLOCK_BYTES + kept.into_iter().map(size).sum::<u64>()
}

fn folder_of(hidden: &HiddenFolder, root: &ModelName) -> io::Result<Option<Folder>> {
    let Some(above) = hidden.existing_for(REVISIONS, root)? else {
        return Ok(None);
    };
    match above.enter(root.file_name()) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        entered => entered.map(Some),
    }
}

/// More than the lines of the largest set.
const MANIFEST_BYTES_MAX: u64 = 256 << 20;
