// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The files of old versions: what they are called, and which there are.

use std::collections::BTreeSet;
use std::io;
use std::time::SystemTime;

use crate::digest::Digest;
use crate::disk::{FilePlace, FileTime, Folder};
use crate::model::ModelName;
use crate::store::catalog::Layout;
use crate::store::hidden_folder::VERSIONS;

/// An old version of a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelVersion {
    /// Its number; newer versions have higher ones.
    pub number: u64,
    /// Its length in bytes.
    pub size: u64,
    /// When its bytes last changed.
    pub modified: SystemTime,
    /// Its SHA-256, where it was known when it was kept.
    pub digest: Option<Digest>,
    /// About when it became a version: its file got or lost a name then.
    pub(super) kept: FileTime,
    pub(super) file_name: String,
}

/// The versions of a model, newest first, without those that are the very file of the model or of a
/// newer version.
pub(super) fn list(layout: &Layout, name: &ModelName) -> io::Result<Vec<ModelVersion>> {
    // The file of the model counts as seen: a power cut between the link and the rename leaves it
    // with a second name that is no older version.
    let mut seen: BTreeSet<u64> = BTreeSet::new();
    let current = layout.place(name).and_then(|place| place.facts());
    seen.extend(current.ok().map(|facts| facts.inode));

    let Some(folder) = layout.versions_of(name)? else {
        return Ok(Vec::new());
    };

    let mut versions = Vec::new();

    for file_name in names(Some(&folder))? {
        // Other names were not made by this room.
        let Some((number, digest)) = parse(&file_name) else {
            continue;
        };

        let facts = FilePlace::new(&folder, &file_name).facts()?;
        if facts.is_file() {
            let version = ModelVersion {
                number,
                size: facts.size,
                modified: facts.modified.time(),
                digest,
                kept: facts.changed,
                file_name,
            };
            // Numbers of files mean something only where there are links.
            versions.push((version, (facts.links > 1).then_some(facts.inode)));
        }
    }

    // Of several names for one file, only the newest is listed, which therefore comes first.
    versions.sort_unstable_by_key(|(version, _)| std::cmp::Reverse(version.number));
    versions.retain(|(_, linked)| linked.is_none_or(|inode| seen.insert(inode)));

    Ok(versions.into_iter().map(|(version, _)| version).collect())
}

/// Where the next version goes; its folder is made where it is missing.
pub(super) fn next_place(
    layout: &Layout,
    name: &ModelName,
    digest: Option<Digest>,
) -> io::Result<FilePlace> {
    let folder = layout.hidden().made_for(VERSIONS, name)?;
    next_in(&folder.make(name.file_name())?, digest)
}

/// The same, but a power cut may take the folder away again.
pub(super) fn next_place_unsynced(
    layout: &Layout,
    name: &ModelName,
    digest: Option<Digest>,
) -> io::Result<FilePlace> {
    let folder = layout.hidden().made_for_unsynced(VERSIONS, name)?;
    next_in(&folder.make_unsynced(name.file_name())?, digest)
}

fn next_in(folder: &Folder, digest: Option<Digest>) -> io::Result<FilePlace> {
    let last = names(Some(folder))?
        .iter()
        .filter_map(|name| parse(name))
        .map(|(number, _)| number)
        .max();

    let name = version_name(last.unwrap_or(0) + 1, digest);
    Ok(FilePlace::new(folder, name))
}

/// What the file of a version is called.
pub(super) fn version_name(number: u64, digest: Option<Digest>) -> String {
    let digest = digest.map_or_else(|| UNKNOWN.to_owned(), |digest| digest.to_string());
    format!("{number}.{digest}")
}

/// The number and the digest in the name of a version.
pub(super) fn parse(file_name: &str) -> Option<(u64, Option<Digest>)> {
    let (number, digest) = file_name.split_once('.')?;
    let digest = match digest {
        UNKNOWN => None,
        digest => Some(digest.parse().ok()?),
    };
    Some((number.parse().ok()?, digest))
}

/// The names in a folder that are text; none if there is no folder.
pub(super) fn names(folder: Option<&Folder>) -> io::Result<Vec<String>> {
    let Some(folder) = folder else {
        return Ok(Vec::new());
    };

    let mut names = Vec::new();
    for entry in folder.entries()? {
        names.extend(entry?.name.into_string());
    }
    Ok(names)
}

const UNKNOWN: &str = "unknown";
