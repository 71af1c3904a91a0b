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
mod tally;
#[cfg(test)]
mod tests;
mod version_files;

pub(crate) use tally::{BLOCK_BYTES, Tally, VersionCount, charge, kept_of};
pub use version_files::ModelVersion;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;

use crate::digest::Digest;
use crate::disk::{self, FilePlace};
use crate::error::{Error, ErrorKind, Result};
use crate::model::ModelName;
use crate::store::catalog::{Catalog, Layout, Stamp, Standing};
use crate::store::hidden_folder::VERSIONS;
use crate::store::rules;
use crate::store::store_handle::Store;
use crate::threads::lock;
use tally::taken;
use version_files::{list, names, next_place, next_place_unsynced, parse};

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
        let _tally = catalog.tally(name);
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
    learn_linked(catalog, name, digest);
    preserved
}

/// The same, but a power cut may take the version away again.
pub(crate) fn keep_unsynced(
    catalog: &Catalog,
    name: &ModelName,
    current: &Stamp,
) -> io::Result<()> {
    let digest = catalog.index.find(name, current);
    let place = next_place_unsynced(&catalog.layout, name, digest)?;
    let preserved = disk::preserve_unsynced(&catalog.layout.place(name)?, &place);
    learn_linked(catalog, name, digest);
    preserved
}

/// A link changes a time in the stamp of the model, which is not replaced yet.
fn learn_linked(catalog: &Catalog, name: &ModelName, digest: Option<Digest>) {
    if let (Some(digest), Ok(Standing::Model(stamp))) = (digest, catalog.layout.standing(name)) {
        catalog.index.insert(name, stamp, digest);
    }
}

/// Makes the folder of the versions of a model survive a power cut with what is in it, and those that lead to
/// it.
pub(crate) fn settle(layout: &Layout, name: &ModelName) -> io::Result<()> {
    let Some(folder) = layout.versions_of(name)? else {
        return Ok(());
    };
    folder.sync()?;
    layout.hidden().sync_way(VERSIONS, name)
}

/// Moves a model that is to be removed among its versions.
pub(crate) fn put_away(catalog: &Catalog, name: &ModelName, current: &Stamp) -> io::Result<()> {
    let digest = catalog.index.find(name, current);
    disk::move_file(
        &catalog.layout.place(name)?,
        &next_place(&catalog.layout, name, digest)?,
    )
}

/// The same, but a power cut may take it back.
pub(crate) fn put_away_unsynced(
    catalog: &Catalog,
    name: &ModelName,
    digest: Option<Digest>,
) -> io::Result<()> {
    let place = next_place_unsynced(&catalog.layout, name, digest)?;
    catalog.layout.place(name)?.rename_to(&place)
}

/// The versions of all models that have one of these digests: one for each digest.
///
/// # Errors
/// Those of the file system.
pub(crate) fn places_of(
    catalog: &Catalog,
    wanted: &BTreeSet<[u8; 32]>,
) -> io::Result<BTreeMap<[u8; 32], FilePlace>> {
    let mut found = BTreeMap::new();

    for name in catalog.layout.hidden().names_in(VERSIONS)? {
        let Some(folder) = catalog.layout.versions_of(&name)? else {
            continue;
        };
        for version in list(&catalog.layout, &name)? {
            let digest = version.digest.map(|digest| *digest.as_bytes());
            if let Some(digest) = digest.filter(|digest| wanted.contains(digest)) {
                found.insert(digest, FilePlace::new(&folder, &version.file_name));
            }
        }
        if found.len() == wanted.len() {
            break;
        }
    }
    Ok(found)
}

/// The version of a model that has a digest, if one has.
///
/// # Errors
/// Those of the file system.
pub(crate) fn place_of(
    layout: &Layout,
    name: &ModelName,
    digest: Digest,
) -> io::Result<Option<FilePlace>> {
    let Some(folder) = layout.versions_of(name)? else {
        return Ok(None);
    };
    let versions = list(layout, name)?;
    let found = versions.iter().find(|one| one.digest == Some(digest));
    Ok(found.map(|one| FilePlace::new(&folder, &one.file_name)))
}

/// Removes all but the newest versions; a failure is logged, since the model itself is well.
pub(crate) fn tidy(catalog: &Catalog, name: &ModelName) {
    tidy_all(catalog, std::iter::once(name));
}

/// The same for many models. What they have in common with others is looked for once.
pub(crate) fn tidy_all<'a>(catalog: &Catalog, names: impl Iterator<Item = &'a ModelName>) {
    let mut unlinked = BTreeSet::new();
    for name in names {
        let pruned = remove_beyond(catalog, name, catalog.options.versions_max, &mut unlinked);
        if let Err(error) = pruned {
            log::warn!("old versions of '{name}' cannot be removed: {error}");
        }
    }
    catalog.learn_linked(&unlinked);
}

/// What all versions will take when a model of this name is published next, whose size is `current` now.
pub(crate) fn total_after(
    catalog: &Catalog,
    name: &ModelName,
    current: Option<u64>,
) -> io::Result<u64> {
    let versions = list(&catalog.layout, name)?;
    let old = || versions.iter().map(|version| version.size);

    // Versions of other models stay as they are. The present model becomes the newest version, and only
    // the first `versions_max` of all survive.
    let others = catalog
        .version_count
        .kept()
        .bytes
        .saturating_sub(taken(old()));
    let own = current.into_iter().chain(old());
    Ok(others + taken(own.take(catalog.options.versions_max)))
}

/// A name that has versions and is no model any more.
pub(crate) struct RemovedModel {
    pub(crate) name: ModelName,
    /// How many versions there are.
    pub(crate) versions: usize,
    /// Their bytes.
    pub(crate) size: u64,
}

/// The models that were removed and of which versions are kept, as far as they are meant, in no order, read
/// as they are asked for.
///
/// # Errors
/// Those of the file system.
pub(crate) fn removed(
    catalog: Arc<Catalog>,
    is_meant: impl Fn(&ModelName) -> bool + Send + 'static,
) -> io::Result<Box<dyn Iterator<Item = RemovedModel> + Send>> {
    let names = catalog.layout.hidden().names_in(VERSIONS)?;
    Ok(Box::new(names.filter_map(move |name| {
        // Most of those that have versions are models, and a look at one costs less than its versions.
        if !is_meant(&name) || matches!(catalog.layout.standing(&name), Ok(Standing::Model(_))) {
            return None;
        }
        let kept = list(&catalog.layout, &name).ok()?;
        (!kept.is_empty()).then(|| RemovedModel {
            name,
            versions: kept.len(),
            size: kept.iter().map(|version| version.size).sum(),
        })
    })))
}

/// Removes the folder of the versions of a model if there is none in it.
pub(crate) fn remove_empty(catalog: &Catalog, name: &ModelName) {
    catalog.layout.hidden().remove_empty(VERSIONS, name);
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

/// Removes versions beyond the newest ones, and copies that were not finished. What has another name,
/// or is no file, was not made by this room and stays.
fn prune(catalog: &Catalog, name: &ModelName, versions_max: usize) -> io::Result<()> {
    let mut unlinked = BTreeSet::new();
    let removed = remove_beyond(catalog, name, versions_max, &mut unlinked);
    catalog.learn_linked(&unlinked);
    removed
}

/// The same, and takes down the digests of files that have lost one of their names.
fn remove_beyond(
    catalog: &Catalog,
    name: &ModelName,
    versions_max: usize,
    unlinked: &mut BTreeSet<[u8; 32]>,
) -> io::Result<()> {
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
        let facts = place.facts()?;
        if !facts.is_file() {
            continue;
        }
        place.remove()?;

        // Models that have their file in common with it stay as they are.
        let digest = parse(&file_name).and_then(|(_, digest)| digest);
        if facts.links > 1
            && let Some(digest) = digest
        {
            unlinked.insert(*digest.as_bytes());
        }
    }

    if kept.is_empty() {
        remove_empty(catalog, name);
    }
    Ok(())
}

fn unlisted(name: &ModelName, error: io::Error) -> Error {
    let error = Error::io(format!("the versions of '{name}' cannot be listed"), error);
    Error::new(ErrorKind::Internal, error.message()).because(error)
}
