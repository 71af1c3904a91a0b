// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Old versions of models: what a replaced or removed model was, kept and brought back.
//!
//! A version is the file `.skep/versions/NAME/NUMBER.DIGEST`, where `unknown` may stand for the
//! digest; the highest number is the newest. Replacing gives the old bytes their second name first (a
//! link, or a copy where there are none) and then renames the new ones over the name: readers find old
//! or new bytes at any moment, and so does whoever starts after a power cut. What a cut leaves too
//! much is a version that is the very file of the model; it is not listed, and goes with the next
//! replacement.
//!
//! Where there are no links, a copy is made while other uploads wait to be published.

mod rollback;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::io;
use std::time::SystemTime;

use crate::digest::Digest;
use crate::disk::{self, FilePlace, Folder};
use crate::error::{Error, ErrorKind, Result};
use crate::model::ModelName;
use crate::store::catalog::{Catalog, Layout, Stamp, Standing};
use crate::store::hidden_folder::VERSIONS;
use crate::store::rules;
use crate::store::store_handle::Store;
use crate::threads::lock;

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
    file_name: String,
}

impl Store {
    /// The versions that are kept of a model, which need not be there any more; newest first.
    ///
    /// # Errors
    /// `NotFound` if there is neither the model nor a version of it; otherwise those of the file
    /// system.
    pub fn versions(&self, name: &ModelName) -> Result<Vec<ModelVersion>> {
        let versions = list(&self.catalog().layout, name).map_err(|error| unlisted(name, error))?;
        if versions.is_empty() {
            self.find(name)?;
        }
        Ok(versions)
    }

    /// Removes all versions that are kept of a model; returns how many there were.
    ///
    /// # Errors
    /// As [`Store::versions`].
    pub fn forget_versions(&self, name: &ModelName) -> Result<usize> {
        let catalog = self.catalog();
        catalog.layout.check_changeable()?;

        let _guard = lock(&catalog.names);
        let count = self.versions(name)?.len();
        prune(catalog, name, 0).map_err(|error| unlisted(name, error))?;

        // What is said of a removed model was kept for its versions.
        if let Standing::Nothing = catalog.standing(name)? {
            rules::forget(catalog, name);
        }

        Ok(count)
    }
}

/// Keeps the model that is about to be replaced, whose stamp this is.
pub(crate) fn keep(catalog: &Catalog, name: &ModelName, current: &Stamp) -> io::Result<()> {
    let digest = catalog.index.find(name, current);
    let place = next_place(&catalog.layout, name, digest)?;
    let preserved = disk::preserve(&catalog.layout.place(name)?, &place);
    // A link changes a time in the stamp of the model, which is not replaced yet.
    if let (Some(digest), Ok(Standing::Model(stamp))) = (digest, catalog.layout.standing(name)) {
        catalog.index.insert(name, stamp, digest);
    }
    preserved
}

/// Moves a model that is to be removed among its versions.
pub(crate) fn put_away(catalog: &Catalog, name: &ModelName, current: &Stamp) -> io::Result<()> {
    let digest = catalog.index.find(name, current);
    disk::move_file(
        &catalog.layout.place(name)?,
        &next_place(&catalog.layout, name, digest)?,
    )
}

/// Removes all but the newest versions; a failure is logged, since the model itself is well.
pub(crate) fn tidy(catalog: &Catalog, name: &ModelName) {
    if let Err(error) = prune(catalog, name, catalog.options.versions_max) {
        log::warn!("old versions of '{name}' cannot be removed: {error}");
    }
}

/// The bytes of all versions there will be when a model of this name is published next.
pub(crate) fn total_after(
    catalog: &Catalog,
    name: &ModelName,
    models: &[(ModelName, Stamp)],
) -> io::Result<u64> {
    let mut total = 0;

    for entry in names(catalog.layout.hidden().existing(VERSIONS)?.as_ref())? {
        let Ok(other) = entry.parse() else {
            continue;
        };

        // Versions of other models stay as they are.
        if other != *name {
            total += list(&catalog.layout, &other)?
                .iter()
                .map(|version| version.size)
                .sum::<u64>();
        }
    }

    // The present model becomes the newest version, and only the first `versions_max` of all
    // survive.
    let current = models
        .iter()
        .find(|(other, _)| other == name)
        .map(|(_, stamp)| stamp.size);

    let old = list(&catalog.layout, name)?
        .into_iter()
        .map(|version| version.size);

    Ok(total
        + current
            .into_iter()
            .chain(old)
            .take(catalog.options.versions_max)
            .sum::<u64>())
}

/// The digests of the model that stands under a name and of its versions, as far as they are known.
pub(crate) fn digests(catalog: &Catalog, name: &ModelName) -> BTreeSet<[u8; 32]> {
    let versions = list(&catalog.layout, name).unwrap_or_default();
    let current = catalog.index.remembered(name).map(|(_, digest)| digest);
    let all = versions
        .iter()
        .filter_map(|version| version.digest)
        .chain(current);
    all.map(|digest| *digest.as_bytes()).collect()
}

/// The versions of a model, newest first, without those that are the very file of the model or of a
/// newer version.
fn list(layout: &Layout, name: &ModelName) -> io::Result<Vec<ModelVersion>> {
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

/// Removes versions beyond the newest ones, and copies that were not finished. What has another name,
/// or is no file, was not made by this room and stays.
fn prune(catalog: &Catalog, name: &ModelName, versions_max: usize) -> io::Result<()> {
    let Some(folder) = catalog.layout.versions_of(name)? else {
        return Ok(());
    };

    let kept = list(&catalog.layout, name)?;
    let kept: BTreeSet<&str> = kept
        .iter()
        .take(versions_max)
        .map(|version| version.file_name.as_str())
        .collect();

    for file_name in names(Some(&folder))? {
        let is_ours = parse(&file_name).is_some() || disk::is_copy_name(&file_name);
        if !is_ours || kept.contains(file_name.as_str()) {
            continue;
        }

        let place = FilePlace::new(&folder, &file_name);
        if place.facts()?.is_file() {
            place.remove()?;
        }
    }
    Ok(())
}

/// Where the next version goes; its folder is made where it is missing.
fn next_place(layout: &Layout, name: &ModelName, digest: Option<Digest>) -> io::Result<FilePlace> {
    let folder = layout.hidden().made_for(VERSIONS, name)?;
    let folder = folder.make(name.file_name())?;

    let last = names(Some(&folder))?
        .iter()
        .filter_map(|name| parse(name))
        .map(|(number, _)| number)
        .max();

    let number = last.unwrap_or(0) + 1;
    let digest = digest.map_or_else(|| UNKNOWN.to_owned(), |digest| digest.to_string());
    Ok(FilePlace::new(&folder, format!("{number}.{digest}")))
}

fn parse(file_name: &str) -> Option<(u64, Option<Digest>)> {
    let (number, digest) = file_name.split_once('.')?;
    let digest = match digest {
        UNKNOWN => None,
        digest => Some(digest.parse().ok()?),
    };
    Some((number.parse().ok()?, digest))
}

/// The names in a folder that are text; none if there is no folder.
fn names(folder: Option<&Folder>) -> io::Result<Vec<String>> {
    let Some(folder) = folder else {
        return Ok(Vec::new());
    };

    let mut names = Vec::new();
    for entry in folder.entries()? {
        names.extend(entry?.name.into_string());
    }
    Ok(names)
}

fn unlisted(name: &ModelName, error: io::Error) -> Error {
    let error = Error::io(format!("the versions of '{name}' cannot be listed"), error);
    Error::new(ErrorKind::Internal, error.message()).because(error)
}

const UNKNOWN: &str = "unknown";
