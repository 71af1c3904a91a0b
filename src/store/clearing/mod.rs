// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Freeing what the store keeps beside models: old versions and revisions, uploads and change sets that
//! nobody goes on with, and what is remembered of models that are gone.
//!
//! The names are locked for one model at a time, so that uploads come in between, and readers wait for
//! nothing. Whoever reads an old version has it open, and gets all of it.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::time::Duration;

use crate::disk::FileFacts;
use crate::error::Result;
use crate::model::ModelName;
use crate::store::catalog::Catalog;
use crate::store::failure::unlisted;
use crate::store::hidden_folder::{ABOUT, REVISIONS, VERSIONS};
use crate::store::store_handle::Store;
use crate::store::{revisions, rules, versions};
use crate::threads::lock;

#[cfg(test)]
mod tests;

/// What is to be freed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ClearRequest {
    /// How many versions of each model, and revisions of each folder, stay.
    pub(crate) keep: usize,
    /// For how long nobody has gone on with an upload or a change set that goes.
    pub(crate) idle_min: Duration,
    pub(crate) mode: ClearMode,
}

/// Whether anything is removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ClearMode {
    Remove,
    Count,
}

/// What was freed, or would be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cleared {
    pub(crate) versions: ClearedKind,
    pub(crate) revisions: ClearedKind,
    pub(crate) uploads: ClearedKind,
    pub(crate) changes: ClearedKind,
    /// What was said of bytes that are not here any more.
    pub(crate) descriptions: ClearedKind,
    /// Remembered digests of models that are not here any more: lines of one file.
    pub(crate) digests: ClearedKind,
}

/// What was freed of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ClearedKind {
    pub(crate) files: u64,
    pub(crate) bytes: u64,
}

impl ClearedKind {
    pub(crate) fn add(&mut self, bytes: u64) {
        self.files += 1;
        self.bytes += bytes;
    }
}

/// Counts the bytes of files, each when its last name goes.
#[derive(Default)]
pub(crate) struct FileCount(BTreeMap<u64, u64>);

impl FileCount {
    /// What is freed when a file loses the name of which this is said, before it does.
    pub(crate) fn freed(&mut self, facts: &FileFacts, mode: ClearMode) -> u64 {
        if facts.links <= 1 {
            return facts.size;
        }
        let gone = self.0.entry(facts.inode).or_default();
        *gone += 1;
        // Where nothing is removed, the names that would be are still counted.
        let is_last = mode == ClearMode::Count && *gone == facts.links;
        if is_last { facts.size } else { 0 }
    }
}

impl Store {
    /// Frees what is asked for, and tells how much; or only tells.
    ///
    /// # Errors
    /// `Forbidden` for a store that is served read-only; those of the file system. What was removed until
    /// then stays so.
    pub(crate) fn clear(&self, request: &ClearRequest) -> Result<Cleared> {
        let catalog = self.catalog();
        catalog.layout.check_changeable()?;

        let mut cleared = Cleared::default();
        let ClearRequest { idle_min, mode, .. } = *request;

        // Change sets come first: an open one keeps its uploads, and what it names.
        let idle = |id| catalog.pending.idle_in(id);
        let (changes, gone) = catalog.changes.clear(idle_min, mode, &idle);
        cleared.changes = changes;
        for id in &gone {
            catalog.pending.forget_change(*id);
        }
        let open = catalog.changes.open_ids();
        cleared.uploads = catalog.pending.clear(idle_min, mode, &open);

        let known = catalog.changes.known_digests();
        cleared.versions = clear_versions(catalog, request, &known).map_err(unlisted)?;
        cleared.revisions = clear_revisions(catalog, request).map_err(unlisted)?;
        cleared.descriptions = clear_descriptions(catalog, request, &known).map_err(unlisted)?;
        cleared.digests = catalog.index.clear(&catalog.layout, mode);
        if mode == ClearMode::Remove {
            catalog.digester.save_later();
        }
        Ok(cleared)
    }
}

fn clear_versions(
    catalog: &Catalog,
    request: &ClearRequest,
    needed: &BTreeSet<[u8; 32]>,
) -> io::Result<ClearedKind> {
    let (mut cleared, mut count) = (ClearedKind::default(), FileCount::default());
    for name in names(catalog, VERSIONS)? {
        let _guard = lock(&catalog.names);
        let _tally = catalog.tally(&name);
        let mut freed = |facts: &FileFacts| cleared.add(count.freed(facts, request.mode));
        versions::clear(catalog, &name, request, needed, &mut freed)?;
    }
    Ok(cleared)
}

fn clear_revisions(catalog: &Catalog, request: &ClearRequest) -> io::Result<ClearedKind> {
    let mut cleared = ClearedKind::default();
    for root in names(catalog, REVISIONS)? {
        let _guard = lock(&catalog.names);
        for size in revisions::beyond(catalog.layout.hidden(), &root, request.keep)? {
            cleared.add(size);
        }
        if request.mode == ClearMode::Remove {
            revisions::prune(catalog.layout.hidden(), &root, request.keep)?;
        }
    }

    if request.mode == ClearMode::Remove {
        lock(&catalog.last_manifests).clear();
    }
    Ok(cleared)
}

fn clear_descriptions(
    catalog: &Catalog,
    request: &ClearRequest,
    known: &BTreeSet<[u8; 32]>,
) -> io::Result<ClearedKind> {
    let mut cleared = ClearedKind::default();
    for name in names(catalog, ABOUT)? {
        let _guard = lock(&catalog.names);
        rules::clear(catalog, &name, request, known, &mut cleared)?;
    }
    Ok(cleared)
}

/// The names of which something is kept in a hidden folder, which changes while they are gone through.
fn names(catalog: &Catalog, room: &str) -> io::Result<Vec<ModelName>> {
    Ok(catalog.layout.hidden().names_in(room)?.collect())
}
