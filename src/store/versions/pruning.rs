// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Removing old versions of one model.

use std::collections::BTreeSet;
use std::io;

use crate::disk::{self, FileFacts, FilePlace};
use crate::model::ModelName;
use crate::store::catalog::{Catalog, Standing};
use crate::store::clearing::{ClearMode, ClearRequest};
use crate::store::hidden_folder::VERSIONS;
use crate::store::rules;
use crate::store::versions::version_files::{ModelVersion, list, names, parse};

/// Removes all but the newest versions; a failure is logged, since the model itself is well.
pub(crate) fn tidy(catalog: &Catalog, name: &ModelName) {
    tidy_all(catalog, std::iter::once(name));
}

/// The same for many models. What they have in common with others is looked for once.
pub(crate) fn tidy_all<'a>(catalog: &Catalog, names: impl Iterator<Item = &'a ModelName>) {
    let mut unlinked = BTreeSet::new();
    for name in names {
        let pruned = list(&catalog.layout, name).and_then(|mut kept| {
            kept.truncate(catalog.options.versions_max);
            remove_noting(catalog, name, &kept, &mut unlinked)
        });
        if let Err(error) = pruned {
            log::warn!("old versions of '{name}' cannot be removed: {error}");
        }
    }
    catalog.learn_linked(&unlinked);
}

/// The same for one model that was removed, and for what is said of it.
pub(crate) fn tidy_removed(catalog: &Catalog, name: &ModelName) {
    if catalog.options.versions_max > 0 {
        tidy(catalog, name);
    }
    forget_unkept(catalog, name);
}

/// Removes what is said of a model that was removed, unless a version is kept that it describes, too.
pub(crate) fn forget_unkept(catalog: &Catalog, name: &ModelName) {
    if list(&catalog.layout, name).is_ok_and(|kept| kept.is_empty()) {
        forget_removed(catalog, name);
    }
}

/// What is said of a model that was removed is kept for its versions, of which there are none any more.
pub(super) fn forget_removed(catalog: &Catalog, name: &ModelName) {
    if let Ok(Standing::Nothing) = catalog.layout.standing(name) {
        rules::forget(catalog, name);
    }
}

/// Removes versions beyond the newest ones, and copies that were not finished. What has another name,
/// or is no file, was not made by this room and stays.
pub(super) fn prune(catalog: &Catalog, name: &ModelName, versions_max: usize) -> io::Result<()> {
    let mut kept = list(&catalog.layout, name)?;
    kept.truncate(versions_max);
    remove_all_but(catalog, name, &kept)
}

/// Removes the versions of a model that are none of these, and copies that were not finished.
pub(super) fn remove_all_but(
    catalog: &Catalog,
    name: &ModelName,
    kept: &[ModelVersion],
) -> io::Result<()> {
    let mut unlinked = BTreeSet::new();
    let removed = remove_noting(catalog, name, kept, &mut unlinked);
    catalog.learn_linked(&unlinked);
    removed
}

/// The same, and takes down the digests of files that have lost one of their names.
fn remove_noting(
    catalog: &Catalog,
    name: &ModelName,
    kept: &[ModelVersion],
    unlinked: &mut BTreeSet<[u8; 32]>,
) -> io::Result<()> {
    let Some(folder) = catalog.layout.versions_of(name)? else {
        return Ok(());
    };

    let kept: BTreeSet<&str> = kept
        .iter()
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

/// Removes the folder of the versions of a model if there is none in it.
pub(crate) fn remove_empty(catalog: &Catalog, name: &ModelName) {
    catalog.layout.hidden().remove_empty(VERSIONS, name);
}

/// Goes through the versions beyond those that stay, and calls `freed` with each; the names are locked. What
/// is needed stays, too.
///
/// # Errors
/// Those of the file system.
pub(crate) fn clear(
    catalog: &Catalog,
    name: &ModelName,
    request: &ClearRequest,
    needed: &BTreeSet<[u8; 32]>,
    freed: &mut dyn FnMut(&FileFacts),
) -> io::Result<()> {
    let Some(folder) = catalog.layout.versions_of(name)? else {
        return Ok(());
    };

    let kept = staying(catalog, name, request, needed)?;
    let kept: BTreeSet<String> = kept.into_iter().map(|one| one.file_name).collect();

    let mut unlinked = BTreeSet::new();
    for file_name in names(Some(&folder))? {
        let place = FilePlace::new(&folder, &file_name);
        let Some((_, digest)) = parse(&file_name).filter(|_| !kept.contains(&file_name)) else {
            continue;
        };
        let facts = place.facts()?;
        if !facts.is_file() {
            continue;
        }

        freed(&facts);
        if request.mode == ClearMode::Remove {
            place.remove_unsynced()?;
            unlinked.extend(
                digest
                    .filter(|_| facts.links > 1)
                    .map(|one| *one.as_bytes()),
            );
        }
    }

    if request.mode == ClearMode::Remove {
        catalog.learn_linked(&unlinked);
        if kept.is_empty() {
            remove_empty(catalog, name);
        }
    }
    Ok(())
}

/// The versions of a model that stay.
///
/// # Errors
/// Those of the file system.
pub(crate) fn staying(
    catalog: &Catalog,
    name: &ModelName,
    request: &ClearRequest,
    needed: &BTreeSet<[u8; 32]>,
) -> io::Result<Vec<ModelVersion>> {
    let mut kept = list(&catalog.layout, name)?;
    let beyond = kept.split_off(request.keep.min(kept.len()));
    kept.extend(beyond.into_iter().filter(|one| {
        one.digest
            .is_some_and(|digest| needed.contains(digest.as_bytes()))
    }));
    Ok(kept)
}
