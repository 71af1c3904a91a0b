// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Freeing what the store keeps beside models: old versions and revisions, uploads and change sets that
//! nobody goes on with, and what is remembered of models that are gone.
//!
//! The names are locked for one model at a time, so that uploads come in between, and readers wait for
//! nothing. Whoever reads an old version has it open, and gets all of it.

use std::collections::BTreeSet;
use std::io;

use crate::disk::FileFacts;
use crate::error::{Error, ErrorKind, Result};
use crate::model::ModelName;
use crate::store::catalog::{Catalog, Standing};
use crate::store::clearing::cleared::{ClearMode, ClearRequest, Cleared, ClearedKind, FileCount};
use crate::store::failure::unlisted;
use crate::store::hidden_folder::{ABOUT, REVISIONS, VERSIONS};
use crate::store::locking::name_locks::NameScope;
use crate::store::store_handle::Store;
use crate::store::{revisions, rules, versions};
use crate::threads::lock;

impl Store {
    /// Frees what is asked for, and tells how much; or only tells.
    ///
    /// # Errors
    /// `Forbidden` for a store that is served read-only; those of the file system. What was removed until
    /// then stays so.
    pub(crate) fn clear(&self, request: &ClearRequest) -> Result<Cleared> {
        let catalog = self.catalog();
        catalog.check_changeable()?;

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
        cleared
            .uploads
            .add_all(catalog.clear_objects(idle_min, mode, &known));
        cleared.uploads.add_all(catalog.clear_xorbs(idle_min, mode));
        cleared.versions = clear_versions(catalog, request, &known).map_err(unfreed)?;
        cleared.revisions = clear_revisions(catalog, request).map_err(unfreed)?;
        cleared.descriptions = clear_descriptions(catalog, request, &known).map_err(unfreed)?;
        cleared.digests = catalog.index.clear(&catalog.layout, mode);
        if mode == ClearMode::Remove {
            catalog.digester.save_later();
        }
        Ok(cleared)
    }
}

fn unfreed(error: io::Error) -> Error {
    // A commit was broken off meanwhile, and says so itself.
    if ErrorKind::from_io(&error) == ErrorKind::Busy {
        Error::from(error)
    } else {
        unlisted(error)
    }
}

fn clear_versions(
    catalog: &Catalog,
    request: &ClearRequest,
    needed: &BTreeSet<[u8; 32]>,
) -> io::Result<ClearedKind> {
    let (mut cleared, mut count) = (ClearedKind::default(), FileCount::default());
    for name in names(catalog, VERSIONS)? {
        let _guard = catalog.changing(NameScope::of(&name))?;
        let _tally = catalog.tally(&name);
        let mut freed = |facts: &FileFacts| cleared.add(count.freed(facts, request.mode));
        versions::clear(catalog, &name, request, needed, &mut freed)?;
    }
    Ok(cleared)
}

fn clear_revisions(catalog: &Catalog, request: &ClearRequest) -> io::Result<ClearedKind> {
    let mut cleared = ClearedKind::default();
    for root in names(catalog, REVISIONS)? {
        let _guard = catalog.changing(NameScope::of(&root))?;
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
        let _guard = catalog.changing(NameScope::of(&name))?;
        if let Some(needed) = needed(catalog, &name, request, known)? {
            rules::clear(catalog, &name, request.mode, &needed, &mut cleared)?;
        }
    }
    Ok(cleared)
}

/// The names of which something is kept in a hidden folder, which changes while they are gone through.
fn names(catalog: &Catalog, room: &str) -> io::Result<Vec<ModelName>> {
    Ok(catalog.layout.hidden().names_in(room)?.collect())
}

/// The digests of a model and of its versions that stay; `None` while one is not known, for which any
/// description may be.
fn needed(
    catalog: &Catalog,
    name: &ModelName,
    request: &ClearRequest,
    known: &BTreeSet<[u8; 32]>,
) -> io::Result<Option<BTreeSet<[u8; 32]>>> {
    let current = match catalog.layout.standing(name)? {
        Standing::Nothing => None,
        Standing::Model(stamp) => Some(catalog.index.find(name, &stamp)),
        Standing::Other(_) => return Ok(None),
    };
    let versions = versions::staying(catalog, name, request, known)?;
    let versions = versions.into_iter().map(|version| version.digest);
    let digests = current.into_iter().chain(versions);
    Ok(digests
        .map(|digest| digest.map(|digest| *digest.as_bytes()))
        .collect())
}
