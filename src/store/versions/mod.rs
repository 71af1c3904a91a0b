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

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::time::SystemTime;
use std::{fs, io};

use crate::digest::Digest;
use crate::disk;
use crate::error::{Error, ErrorKind, Result};
use crate::event::Happening;
use crate::model::ModelName;
use crate::store::catalog::{Catalog, Layout, Stamp, Standing};
use crate::store::claim::{Condition, Published};
use crate::store::failure::unstored;
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
    path: PathBuf,
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

    /// Makes the newest version the model again, and keeps the present one as a version. Doing it
    /// twice changes nothing but times.
    ///
    /// # Errors
    /// `NotFound` if there is no version; `Conflict` if something that is not a model has the name;
    /// `NoSpace`; otherwise those of the file system. The present model then stays.
    pub fn rollback(&self, name: &ModelName) -> Result<Published> {
        let catalog = self.catalog();

        // Nothing may be published under this name until both moves are done.
        let _guard = lock(&catalog.names);
        let current = catalog.judge(name, &Condition::Any, None)?;
        let versions = list(&catalog.layout, name).map_err(unstored)?;

        let Some(ModelVersion { path, digest, .. }) = versions.into_iter().next() else {
            let text = format!("no older version of '{name}' is kept");
            return Err(Error::new(ErrorKind::NotFound, text)
                .hint("the server setting keep-versions says how many are kept"));
        };

        // The present model gets its second name before the old one returns, so that a power cut
        // loses neither.
        if let Some(current) = &current {
            keep(catalog, name, current).map_err(unstored)?;
        }

        // With its old time, callers who ask whether it was modified since would be told that it was
        // not.
        let target = catalog.layout.path(name);
        let moved = disk::touch(&path).and_then(|()| disk::move_file(&path, &target));

        // Also after a failure, because the last fsync fails only after the name has changed.
        catalog.forget(name);

        let metadata = moved
            .and_then(|()| fs::symlink_metadata(&target))
            .map_err(unstored)?;

        let stamp = Stamp::of(&metadata);
        if let Some(digest) = digest {
            catalog.learn(name, stamp, digest);
        }

        let model = catalog.model(name, &stamp);
        catalog.events.model(|| Happening::ModelRolledBack {
            name: name.clone(),
            size: model.size,
            digest: model.digest,
        });

        Ok(Published {
            model,
            replaced: current.is_some(),
        })
    }

    /// Removes all versions that are kept of a model; returns how many there were.
    ///
    /// # Errors
    /// As [`Store::versions`].
    pub fn forget_versions(&self, name: &ModelName) -> Result<usize> {
        let catalog = self.catalog();
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
    let path = next_path(&catalog.layout, name, digest)?;
    let preserved = disk::preserve(&catalog.layout.path(name), &path);
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
        &catalog.layout.path(name),
        &next_path(&catalog.layout, name, digest)?,
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

    for entry in entries(&catalog.layout.versions())? {
        let Some(other) = entry
            .file_name()
            .to_str()
            .and_then(|text| text.parse().ok())
        else {
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
    seen.extend(
        fs::symlink_metadata(layout.path(name))
            .ok()
            .map(|metadata| metadata.ino()),
    );

    let mut versions = Vec::new();

    for entry in entries(&layout.versions().join(name.as_str()))? {
        let metadata = entry.metadata()?;

        // Other names were not made by this room.
        let Some((number, digest)) = entry.file_name().to_str().and_then(parse) else {
            continue;
        };

        if metadata.is_file() {
            let (size, modified) = (metadata.len(), metadata.modified()?);
            let version = ModelVersion {
                number,
                size,
                modified,
                digest,
                path: entry.path(),
            };
            // Numbers of files mean something only where there are links.
            versions.push((version, (metadata.nlink() > 1).then(|| metadata.ino())));
        }
    }

    // Of several names for one file, only the newest is listed, which therefore comes first.
    versions.sort_unstable_by_key(|(version, _)| std::cmp::Reverse(version.number));
    versions.retain(|(_, linked)| linked.is_none_or(|inode| seen.insert(inode)));

    Ok(versions.into_iter().map(|(version, _)| version).collect())
}

fn prune(catalog: &Catalog, name: &ModelName, versions_max: usize) -> io::Result<()> {
    let kept = list(&catalog.layout, name)?;
    let kept: Vec<_> = kept
        .iter()
        .take(versions_max)
        .map(|version| &version.path)
        .collect();
    for entry in entries(&catalog.layout.versions().join(name.as_str()))? {
        if !kept.contains(&&entry.path()) {
            disk::remove(&entry.path())?;
        }
    }
    Ok(())
}

/// Where the next version goes.
fn next_path(layout: &Layout, name: &ModelName, digest: Option<Digest>) -> io::Result<PathBuf> {
    let directory = layout.versions().join(name.as_str());
    let names = entries(&directory)?
        .into_iter()
        .filter_map(|entry| entry.file_name().into_string().ok());
    let last = names
        .filter_map(|name| parse(&name))
        .map(|(number, _)| number)
        .max();
    let number = last.unwrap_or(0) + 1;
    let digest = digest.map_or_else(|| UNKNOWN.to_owned(), |digest| digest.to_string());
    Ok(directory.join(format!("{number}.{digest}")))
}

fn parse(file_name: &str) -> Option<(u64, Option<Digest>)> {
    let (number, digest) = file_name.split_once('.')?;
    let digest = match digest {
        UNKNOWN => None,
        digest => Some(digest.parse().ok()?),
    };
    Some((number.parse().ok()?, digest))
}

/// What is in a directory; nothing if there is none.
fn entries(directory: &std::path::Path) -> io::Result<Vec<fs::DirEntry>> {
    match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        other => other?.collect(),
    }
}

fn unlisted(name: &ModelName, error: io::Error) -> Error {
    let error = Error::io(format!("the versions of '{name}' cannot be listed"), error);
    Error::new(ErrorKind::Internal, error.message()).because(error)
}

const UNKNOWN: &str = "unknown";
