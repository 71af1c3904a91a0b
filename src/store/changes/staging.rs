// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Filling a change set: bytes that are sent, bytes that are only named, names that are to go.

use std::ops::Bound;
use std::sync::MutexGuard;
use std::time::Duration;

use crate::error::{Error, ErrorKind, Result};
use crate::model::{Model, ModelName};
use crate::signature::Signature;
use crate::store::about::Metadata;
use crate::store::changes::change::{Bytes, Change, ChangeRequest};
use crate::store::changes::change_files::{ChangeId, unknown_change};
use crate::store::changes::change_set::ChangeSet;
use crate::store::changes::commit::{check_reachable, check_root};
use crate::store::changes::open_changes::{ChangeHold, OpenChange};
use crate::store::claim::{Claim, Published, StagedBytes};
use crate::store::failure::{check_digest, unstored};
use crate::store::rules::read_signature;
use crate::store::store_handle::Store;
use crate::text::counted;
use crate::threads::lock;

/// What is known of a change set.
pub(crate) struct ChangeStatus {
    pub(crate) root: Option<ModelName>,
    /// For how long it is kept if nothing is done with it.
    pub(crate) left: Duration,
    /// Some of what it has, sorted by name.
    pub(crate) entries: Vec<(ModelName, Change)>,
    /// Whether there are more of them.
    pub(crate) is_cut: bool,
}

impl Store {
    /// Begins a change set.
    ///
    /// # Errors
    /// `Conflict` if its folder cannot be one; `Busy` if there are too many; otherwise those of the file system.
    pub(crate) fn begin_change(&self, request: ChangeRequest) -> Result<ChangeId> {
        let catalog = self.catalog();
        // Room is asked for with the bytes: a set that only removes makes some.
        catalog.check_changeable()?;
        if let Some(root) = &request.root {
            check_root(catalog, root)?;
        }
        // Bytes that are on their way into a set keep it from being idle.
        let idle = |id, age: Duration| age.min(catalog.pending.idle_in(id));
        catalog
            .changes
            .begin(catalog.layout.hidden(), &catalog.options, request, &idle)
    }

    /// What a change set has so far: so many names that come after another one.
    ///
    /// # Errors
    /// `NotFound` if there is no such set.
    pub(crate) fn change(&self, id: ChangeId, after: &str, limit: usize) -> Result<ChangeStatus> {
        let catalog = self.catalog();
        let change = catalog.changes.find(id)?;
        let set = open(&change)?;
        let from = (Bound::Excluded(after), Bound::Unbounded);
        let mut entries = set.entries.range::<str, _>(from);
        let page: Vec<_> = entries.by_ref().take(limit).collect();
        let page = page.into_iter();
        Ok(ChangeStatus {
            root: set.request.root.clone(),
            left: catalog.options.upload_age_max.saturating_sub(set.age()),
            entries: page
                .map(|(name, change)| (name.clone(), change.clone()))
                .collect(),
            is_cut: entries.next().is_some(),
        })
    }

    /// Gives a change set up.
    ///
    /// # Errors
    /// `NotFound` if there is no such set; `Conflict` if its commit was decided; otherwise those of the file
    /// system.
    pub(crate) fn abandon_change(&self, id: ChangeId) -> Result<()> {
        let catalog = self.catalog();
        let change = catalog.changes.find(id)?;
        let mut set = open(&change)?;
        set.is_over = true;
        catalog.changes.end(id, None);
        catalog.pending.forget_change(id);
        set.files.remove().map_err(unstored)
    }

    /// Whether bytes can go into a set under a name, to refuse them before they travel.
    ///
    /// # Errors
    /// `NotFound` if there is no such set; `BadRequest` for a name outside of its folder; `Conflict` for one
    /// that collides with another, or that nothing of the set can make a model; `NoSpace` if the bytes do not fit;
    /// and what the rules of the store refuse.
    pub(crate) fn check_staged(
        &self,
        id: ChangeId,
        name: &ModelName,
        size: Option<u64>,
        metadata: &Metadata,
    ) -> Result<()> {
        let catalog = self.catalog();
        catalog.check_changeable()?;
        catalog.check_kind(name, metadata)?;
        catalog.layout.check_name(name).map_err(unstored)?;
        catalog.check_space(size.unwrap_or_default())?;

        let change = catalog.changes.find(id)?;
        let set = open(&change)?;
        set.check_name(name, catalog.layout.folds_names(), None)?;
        check_reachable(catalog, set.request.root.as_ref(), name)?;

        let memory = Change::Removal.memory(name) + metadata.bytes() as u64;
        self.check_room(&change, &set, name, memory)?;
        let old = set.entries.get(name).map_or(0, Change::sent_size);
        let more = size.unwrap_or_default().saturating_sub(old);
        let options = &catalog.options;
        catalog.changes.check_bytes(&change, more, options)
    }

    /// Keeps a change set from being given up as idle while bytes for it are on their way.
    ///
    /// # Errors
    /// `NotFound` if there is no such set.
    pub(crate) fn hold_change(&self, id: ChangeId) -> Result<ChangeHold> {
        self.catalog().changes.hold(id)
    }

    /// Takes bytes into a change set: they become a model with its commit.
    ///
    /// # Errors
    /// As [`Store::check_staged`], and what an upload of the same bytes is refused for.
    pub(crate) fn stage(
        &self,
        id: ChangeId,
        mut bytes: impl StagedBytes,
        claim: &Claim<'_>,
    ) -> Result<Published> {
        let catalog = self.catalog();
        catalog.check_changeable()?;
        check_digest(claim.digest, claim.expected)?;
        catalog.check_kind(claim.name, claim.metadata)?;
        catalog.check_start(claim, &mut bytes)?;
        catalog.check_imports(claim, &mut bytes)?;

        let change = catalog.changes.find(id)?;
        let beside = staged_signature(&*open(&change)?, claim);
        let claim = Claim {
            signature: claim.signature.or(beside.as_ref()),
            ..*claim
        };
        let signature = catalog.check_signature(&claim, &mut bytes)?;

        // Many small files are made durable together when the set is committed.
        let is_unsynced = claim.size <= UNSYNCED_BYTES_MAX;
        if !is_unsynced || bytes.has_journal() {
            bytes.settle().map_err(unstored)?;
        }

        let mut set = open(&change)?;
        set.check_name(claim.name, catalog.layout.folds_names(), None)?;
        let mut staged = Bytes {
            digest: claim.digest,
            size: claim.size,
            number: set.next_number(),
            is_unsure: is_unsynced,
            metadata: claim.metadata.clone(),
            signature,
        };
        let memory = Change::Sent(staged.clone()).memory(claim.name);
        self.check_room(&change, &set, claim.name, memory)?;
        let old = set.entries.get(claim.name).map_or(0, Change::sent_size);
        let more = claim.size.saturating_sub(old);
        catalog
            .changes
            .check_bytes(&change, more, &catalog.options)?;

        let place = set.files.place(staged.number).map_err(unstored)?;
        let file = bytes.stage(&place).map_err(unstored)?;
        let modified = file.metadata().and_then(|facts| facts.modified());

        let folds = catalog.layout.folds_names();
        set.note(claim.name, Change::Sent(staged.clone()), folds)
            .map_err(unstored)?;
        // What this process has written, it reads as it was written.
        staged.is_unsure = false;
        set.insert_same(claim.name, Change::Sent(staged));
        change.count(&set);

        Ok(Published {
            model: Model {
                name: claim.name.clone(),
                size: claim.size,
                modified: modified.map_err(unstored)?,
                digest: Some(claim.digest),
            },
            replaced: false,
            kept: true,
        })
    }

    /// Lets a name go with the commit of a change set.
    ///
    /// # Errors
    /// As [`Store::check_staged`].
    pub(crate) fn stage_removal(&self, id: ChangeId, name: &ModelName) -> Result<()> {
        let catalog = self.catalog();
        catalog.check_changeable()?;
        let folds = catalog.layout.folds_names();

        let change = catalog.changes.find(id)?;
        let mut set = open(&change)?;
        set.check_name(name, folds, Some(&Change::Removal))?;
        let memory = Change::Removal.memory(name);
        self.check_room(&change, &set, name, memory)?;
        set.note(name, Change::Removal, folds).map_err(unstored)?;
        change.count(&set);
        Ok(())
    }

    /// Whether a set has room for one more name, and for what is said of it.
    pub(super) fn check_room(
        &self,
        change: &OpenChange,
        set: &ChangeSet,
        name: &ModelName,
        memory: u64,
    ) -> Result<()> {
        let catalog = self.catalog();
        let old = set.entries.get(name);
        let max = catalog.options.change_files_max;
        if set.entries.len() >= max && old.is_none() {
            let text = format!("a change set has at most {}", counted(max as u64, "name"));
            return Err(Error::new(ErrorKind::NoSpace, text)
                .hint("commit it and begin another one, or raise max-change-files"));
        }

        let old = old.map_or(0, |old| old.memory(name));
        let more = memory.saturating_sub(old);
        catalog.changes.check_memory(change, more, &catalog.options)
    }
}

/// The signature of bytes that go into a change set, where none came with them: the one that is in the set
/// for them.
pub(super) fn staged_signature(set: &ChangeSet, claim: &Claim<'_>) -> Option<Signature> {
    let side = Signature::name_for(claim.name).ok()?;
    let Change::Sent(bytes) = set.entries.get(&side)? else {
        return None;
    };
    let (file, _) = set.files.place(bytes.number).ok()?.open().ok()?;
    read_signature(&file).ok()?.ok()
}

/// The set, if it can still be changed.
pub(super) fn open(change: &OpenChange) -> Result<MutexGuard<'_, ChangeSet>> {
    let set = lock(&change.set);
    if set.is_over {
        return Err(unknown_change());
    }
    if set.is_decided {
        let text = "this change set is committed, but not all of it is done yet";
        return Err(Error::new(ErrorKind::Conflict, text).hint("commit it again"));
    }
    Ok(set)
}

/// The largest bytes that are not made durable before they are acknowledged: after a power cut they are read
/// again, and an fsync for each of ten thousand small files would take minutes on a memory card.
const UNSYNCED_BYTES_MAX: u64 = 1 << 20;
