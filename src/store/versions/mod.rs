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
//! Where there are no links, a copy is made while other uploads into the same top folder wait to be published.

mod aged_version;
mod giving_way;
mod pruning;
mod rollback;
mod tally;
#[cfg(test)]
mod tests;
mod version_files;
mod version_room;

pub(crate) use giving_way::{could_free, free, keep_within};
pub(crate) use pruning::{
    clear, forget_unkept, remove_empty, staying, tidy, tidy_all, tidy_removed,
};
pub(crate) use tally::{Tally, VersionCount, kept_of};
pub use version_files::ModelVersion;
pub(crate) use version_room::VersionRoom;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;

use crate::digest::Digest;
use crate::disk::{self, FilePlace};
use crate::error::{Error, ErrorKind, Result};
use crate::model::{Model, ModelName};
use crate::store::catalog::{Catalog, Layout, Stamp, Standing};
use crate::store::failure::not_listed;
use crate::store::hidden_folder::VERSIONS;
use crate::store::locking::name_locks::NameScope;
use crate::store::store_handle::Store;
use pruning::prune;
use version_files::{list, next_place, next_place_unsynced};

impl Store {
    /// The versions that are kept of a model, which need not be there any more; newest first.
    ///
    /// # Errors
    /// `NotFound` if there is neither the model nor a version of it; otherwise those of the file
    /// system.
    pub fn versions(&self, name: &ModelName) -> Result<Vec<ModelVersion>> {
        self.catalog().shown().check(name)?;
        let versions = list(&self.catalog().layout, name).map_err(|error| unlisted(name, error))?;
        if versions.is_empty() {
            self.find(name)?;
        }
        Ok(versions)
    }

    /// How many bytes can be removed at once so that all of them are kept; `None` for any number.
    pub(crate) fn undo_bytes(&self) -> Option<u64> {
        self.catalog().undo_bytes()
    }

    /// Whether the newest version of a name is this model, which was removed.
    pub(crate) fn has_kept(&self, removed: &Model) -> bool {
        let versions = list(&self.catalog().layout, &removed.name).unwrap_or_default();
        versions
            .first()
            .is_some_and(|newest| newest.size == removed.size && newest.digest == removed.digest)
    }

    /// Removes all versions that are kept of a model; returns how many there were.
    ///
    /// # Errors
    /// As [`Store::versions`].
    pub fn forget_versions(&self, name: &ModelName) -> Result<usize> {
        let catalog = self.catalog();
        catalog.check_changeable()?;

        let _guard = catalog.changing(NameScope::of(name))?;
        let _tally = catalog.tally(name);
        let count = self.versions(name)?.len();
        prune(catalog, name, 0).map_err(|error| unlisted(name, error))?;

        pruning::forget_removed(catalog, name);
        Ok(count)
    }

    /// Removes one version of a model, by its number.
    ///
    /// # Errors
    /// As [`Store::versions`], and `NotFound` for a number that none has.
    pub(crate) fn forget_version(&self, name: &ModelName, number: u64) -> Result<()> {
        let catalog = self.catalog();
        catalog.check_changeable()?;

        let _guard = catalog.changing(NameScope::of(name))?;
        let _tally = catalog.tally(name);
        let mut versions = self.versions(name)?;
        let count = versions.len();
        versions.retain(|version| version.number != number);
        if versions.len() == count {
            return Err(no_version(name, number));
        }
        let removed = pruning::remove_all_but(catalog, name, &versions);
        removed.map_err(|error| unlisted(name, error))?;

        forget_unkept(catalog, name);
        Ok(())
    }
}

/// The error of a number that no version of a model has.
pub(crate) fn no_version(name: &ModelName, number: u64) -> Error {
    let text = format!("no version {number} of '{name}' is kept");
    Error::new(ErrorKind::NotFound, text).hint(format!("'skep show {name}' lists those that are"))
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

/// Moves a model that is to be removed among its versions, if it has room there; otherwise it goes for good.
pub(crate) fn put_away(catalog: &Catalog, name: &ModelName, current: &Stamp) -> io::Result<()> {
    if !catalog.keeps_versions([current.size], VersionRoom::UNBOUNDED) {
        return catalog.remove_file(name);
    }

    let digest = catalog.index.find(name, current);
    let source = catalog.layout.place(name)?;
    let moved = next_place(&catalog.layout, name, digest)
        .and_then(|place| disk::move_file(&source, &place));
    moved.or_else(|error| {
        // A removal is how a full disk gets room again, and a kept version would not give any.
        if ErrorKind::from_io(&error) != ErrorKind::NoSpace {
            return Err(error);
        }
        log::warn!("the disk is full: '{name}' is removed, and not kept as a version");
        catalog.remove_file(name)
    })
}

/// Moves a file that was a model, whether it still has its name or not, among the versions of that; a power cut
/// may take it back.
pub(crate) fn put_away_unsynced(
    catalog: &Catalog,
    source: &FilePlace,
    name: &ModelName,
    digest: Option<Digest>,
) -> io::Result<()> {
    let place = next_place_unsynced(&catalog.layout, name, digest)?;
    source.rename_to(&place)
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

fn unlisted(name: &ModelName, error: io::Error) -> Error {
    not_listed(&format!("the versions of '{name}' cannot be listed"), error)
}
