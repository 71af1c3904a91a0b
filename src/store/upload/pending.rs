// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The uploads that come in pieces: how many there may be, how long they are kept, and whose turn it
//! is to go on with one.
//!
//! Invariants: whoever has the [`UploadState`] of an upload is the only one who changes it or its bytes; the
//! newest request gets it, and the one before gives it up. Nothing waits for time to pass: what is too
//! old goes at the start and when a new upload begins.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::error::{Error, ErrorKind, Result};
use crate::store::catalog::{Layout, Standing};
use crate::store::changes::ChangeId;
use crate::store::clearing::{ClearMode, ClearedKind};
use crate::store::failure::unknown;
use crate::store::hidden_folder::{HiddenFolder, PARTS, UPLOADS};
use crate::store::options::StoreOptions;
use crate::store::upload::entry::{UploadEntry, UploadSlot};
use crate::store::upload::intent::UploadIntent;
use crate::store::upload::journal::{UploadStage, UploadState};
use crate::store::upload::upload_files::{UploadFiles, UploadId, id_of_bytes};
use crate::text::counted;
use crate::threads::lock;

/// All uploads that come in pieces.
pub(crate) struct UnfinishedUploads {
    entries: Mutex<BTreeMap<UploadId, Arc<UploadEntry>>>,
}

impl UnfinishedUploads {
    /// Takes up the uploads of the processes before, and removes what is too old or of no use.
    pub(crate) fn open(layout: &Layout, options: &StoreOptions) -> Self {
        let mut entries = BTreeMap::new();

        // None can go on, and none may be removed.
        if layout.is_read_only() {
            return Self {
                entries: Mutex::new(entries),
            };
        }

        for name in names(layout.hidden(), UPLOADS) {
            // Files whose names are no ids were not made by this room and are left alone.
            let Ok(id) = name.parse() else { continue };
            let files = UploadFiles::new(layout.hidden(), id);

            // Age is checked here as well: a server that was off for a week must not revive old
            // uploads.
            let state = UploadState::load(&files)
                .filter(|state| state.age() < options.upload_age_max)
                .and_then(|state| recovered(state, &files, layout));
            match state {
                Some(state) => {
                    let entry = UploadEntry::left(files, Box::new(state));
                    entries.insert(id, Arc::new(entry));
                }
                None => log_failure(files.remove()),
            }
        }

        // Bytes without a journal are left by an end in the middle of a beginning or a removal.
        for name in names(layout.hidden(), PARTS) {
            if let Some(id) = id_of_bytes(&name)
                && !entries.contains_key(&id)
            {
                log_failure(UploadFiles::new(layout.hidden(), id).remove());
            }
        }

        Self {
            entries: Mutex::new(entries),
        }
    }

    /// Makes room for one more upload.
    ///
    /// # Errors
    /// `Busy` for too many uploads, `NoSpace` for too many bytes of all of them: one principal has half of
    /// the places and of the bytes at most, so that others find some.
    pub(crate) fn reserve(
        &self,
        order: &UploadIntent,
        layout: &Layout,
        options: &StoreOptions,
    ) -> Result<UploadId> {
        // The lock is held from the count to the insertion, so two requests cannot both take the
        // last place.
        let mut entries = lock(&self.entries);
        drop_old(&mut entries, options);

        // Uploads that are done have no bytes of their own any more; `drop_old` bounds their
        // number.
        let open = || entries.values().filter(|entry| !entry.is_done());
        let own = open().filter(|entry| entry.principal == order.principal);
        let max = options.uploads_max;

        let text = if open().count() >= max {
            format!("this server keeps at most {max} unfinished uploads, and there are that many")
        } else if own.count() >= share(max) {
            format!(
                "you have {} unfinished uploads, and others need the rest of the {max} that this \
                 server keeps",
                share(max)
            )
        } else {
            check_sum(open(), order, order.length.unwrap_or_default(), options)?;

            // The full length counts from the start: two uploads cannot count on the same space.
            let id = UploadId::random()?;
            let entry = UploadEntry::begun(UploadFiles::new(layout.hidden(), id), order);
            entries.insert(id, Arc::new(entry));
            return Ok(id);
        };

        Err(Error::new(ErrorKind::Busy, text)
            .hint("finish one of them, wait until one expires, or raise max-uploads; in HTTP: DELETE one of them"))
    }

    /// Whether an upload of unknown length may grow to so many bytes.
    pub(crate) fn check_growth(
        &self,
        id: UploadId,
        order: &UploadIntent,
        size: u64,
        options: &StoreOptions,
    ) -> Result<()> {
        let entries = lock(&self.entries);

        // The new size takes the place of its own old one, which must not count twice.
        let others = entries.iter().filter(|(other, _)| **other != id);
        check_sum(others.map(|(_, entry)| entry), order, size, options)
    }

    /// Removes the uploads into a change set that is no more, as far as nobody works on them.
    pub(crate) fn forget_change(&self, change: ChangeId) {
        let mut entries = lock(&self.entries);
        entries.retain(|_, entry| {
            let mut slot = lock(&entry.slot);
            let is_of = |state: &UploadState| state.order.change == Some(change);
            let is_gone = matches!(&*slot, UploadSlot::Free(state) if is_of(state));
            if is_gone {
                *slot = UploadSlot::Gone;
                log_failure(entry.files.remove());
            }
            !is_gone
        });
    }

    /// For how long nobody has gone on with the uploads into a change set; for ever if there are none.
    pub(crate) fn idle_in(&self, change: ChangeId) -> Duration {
        let entries = lock(&self.entries);
        let idle = entries.values().filter_map(|entry| {
            match &*lock(&entry.slot) {
                UploadSlot::Free(state) if state.order.change == Some(change) => Some(state.age()),
                UploadSlot::Free(_) | UploadSlot::Gone => None,
                // Whatever it is for.
                _ => Some(Duration::ZERO),
            }
        });
        idle.min().unwrap_or(Duration::MAX)
    }

    /// Removes the uploads that nobody has gone on with for so long, but for those into a change set that is
    /// open; returns what they have.
    pub(crate) fn clear(
        &self,
        idle_min: Duration,
        mode: ClearMode,
        open: &BTreeSet<ChangeId>,
    ) -> ClearedKind {
        let mut cleared = ClearedKind::default();
        lock(&self.entries).retain(|_, entry| {
            let mut slot = lock(&entry.slot);
            let is_meant = match &*slot {
                UploadSlot::Free(state) => {
                    let is_into_open = state.order.change.is_some_and(|id| open.contains(&id));
                    state.age() >= idle_min && !is_into_open
                }
                UploadSlot::Taken | UploadSlot::Gone => false,
            };
            if !is_meant {
                return true;
            }

            for place in [entry.files.record(), entry.files.bytes()] {
                if let Ok(facts) = place.and_then(|place| place.facts()) {
                    cleared.add(facts.size);
                }
            }
            if mode == ClearMode::Remove {
                *slot = UploadSlot::Gone;
                log_failure(entry.files.remove());
            }
            mode == ClearMode::Count
        });
        cleared
    }

    pub(crate) fn find(&self, id: UploadId) -> Result<Arc<UploadEntry>> {
        lock(&self.entries).get(&id).cloned().ok_or_else(unknown)
    }

    pub(crate) fn forget(&self, id: UploadId) {
        lock(&self.entries).remove(&id);
    }
}

pub(crate) fn log_failure(result: io::Result<()>) {
    if let Err(error) = result {
        log::warn!("the files of an upload cannot be removed: {error}");
    }
}

/// An upload as a sudden end left it; `None` if it cannot go on.
fn recovered(mut state: UploadState, files: &UploadFiles, layout: &Layout) -> Option<UploadState> {
    // Its bytes have become a model, so there is nothing to compare.
    if matches!(state.stage, UploadStage::Done(_)) {
        return Some(state);
    }

    let facts = files.bytes().and_then(|place| place.facts()).ok();
    let length = facts.map(|facts| facts.size);

    // Fewer bytes than were journalled mean that the disk has lost what it acknowledged; such an
    // upload cannot go on.
    match (length, state.stage) {
        (Some(length), _) if length >= state.offset => {
            state.stage = UploadStage::Open;
            Some(state)
        }
        // The end came between the rename and the last line of the journal.
        // Whether a change set has them, its own journal tells; the caller asks that.
        (None, _) if state.order.change.is_some() => None,
        (None, UploadStage::Finishing(digest)) => match layout.standing(&state.order.name) {
            Ok(Standing::Model(stamp)) if stamp.size == state.offset => {
                state.stage = UploadStage::Done(digest);
                Some(state)
            }
            _ => None,
        },
        _ => None,
    }
}

/// Removes the uploads that nobody went on with for too long, and the oldest of those that are done
/// if there are too many.
fn drop_old(entries: &mut BTreeMap<UploadId, Arc<UploadEntry>>, options: &StoreOptions) {
    let mut gone: Vec<_> = entries
        .iter()
        .filter(|(_, entry)| entry.age().is_some_and(|age| age >= options.upload_age_max))
        .map(|(id, _)| *id)
        .collect();

    // An upload that is done stays for a while, so that a caller whose connection broke can ask
    // what came of it.
    let mut done: Vec<_> = entries
        .iter()
        .filter(|(id, entry)| entry.is_done() && !gone.contains(id))
        .map(|(id, entry)| (entry.age(), *id))
        .collect();

    // The youngest come first, so what is beyond the bounds is oldest.
    done.sort_unstable();
    let kept_max = options.uploads_max.min(DONE_MAX);
    let mut kept: Vec<&Option<String>> = Vec::new();
    for (_, id) in done {
        let Some(principal) = entries.get(&id).map(|entry| &entry.principal) else {
            continue;
        };
        let own = kept.iter().filter(|other| **other == principal).count();
        if kept.len() < kept_max && own < share(kept_max) {
            kept.push(principal);
        } else {
            gone.push(id);
        }
    }

    for id in gone {
        let Some(entry) = entries.get(&id) else {
            continue;
        };
        let mut slot = lock(&entry.slot);
        // Somebody may have come for it just now.
        if matches!(&*slot, UploadSlot::Free(_)) {
            *slot = UploadSlot::Gone;
            drop(slot);
            log_failure(entry.files.remove());
            entries.remove(&id);
        }
    }
}

/// Uploads that are done and can still be asked about, however many may be unfinished.
const DONE_MAX: usize = 1000;

/// How many of so many one principal may have.
fn share(max: usize) -> usize {
    max - max / 2
}

/// Whether an upload of this size fits beside others, and beside those of the same principal.
fn check_sum<'a>(
    others: impl Iterator<Item = &'a Arc<UploadEntry>>,
    order: &UploadIntent,
    size: u64,
    options: &StoreOptions,
) -> Result<()> {
    let (mut all, mut own) = (0_u64, 0_u64);
    for entry in others {
        let bytes = entry.size.load(Ordering::SeqCst);
        all = all.saturating_add(bytes);
        if entry.principal == order.principal {
            own = own.saturating_add(bytes);
        }
    }

    let max = options.uploads_bytes_max;
    let (what, max) = if size > max.saturating_sub(all) {
        ("unfinished uploads of all callers", max)
    } else if size > (max - max / 2).saturating_sub(own) {
        ("your unfinished uploads", max - max / 2)
    } else {
        return Ok(());
    };

    let size = counted(size, "byte");
    let text = format!("{size} do not fit: {what} together may have {max}");
    Err(Error::new(ErrorKind::NoSpace, text)
        .hint("finish one of the others, or raise max-uploads-bytes; in HTTP: DELETE one of them"))
}

/// The names in a hidden folder that are text; none if it cannot be read.
pub(crate) fn names(hidden: &HiddenFolder, folder: &str) -> Vec<String> {
    let read = || {
        let Some(folder) = hidden.existing(folder)? else {
            return Ok(Vec::new());
        };
        folder.entries()?.collect::<io::Result<Vec<_>>>()
    };

    let entries = read().unwrap_or_else(|error| {
        log::warn!("unfinished uploads cannot be listed: {error}");
        Vec::new()
    });

    let names = entries.into_iter();
    names
        .filter_map(|entry| entry.name.into_string().ok())
        .collect()
}
