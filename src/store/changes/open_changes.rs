// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The change sets that are open: how many there may be, and how long they are kept.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::disk::{self, FilePlace};
use crate::error::{Error, ErrorKind, Result};
use crate::store::changes::change::{Change, ChangeRequest, CommitOutcome};
use crate::store::changes::change_files::{
    APPENDED, ChangeFiles, ChangeId, ENTRIES, INTENT, unknown_change,
};
use crate::store::changes::change_journal::intent_text;
use crate::store::changes::change_set::ChangeSet;
use crate::store::clearing::{ClearMode, ClearedKind};
use crate::store::failure::unstored;
use crate::store::hidden_folder::HiddenFolder;
use crate::store::options::StoreOptions;
use crate::text::counted;
use crate::threads::lock;

/// All change sets that can still be changed, and what came of the last ones.
#[derive(Default)]
pub(crate) struct OpenChanges(Mutex<ChangesState>);

#[derive(Default)]
struct ChangesState {
    open: BTreeMap<ChangeId, Arc<OpenChange>>,
    /// For a caller that did not get the answer to its commit.
    done: VecDeque<(ChangeId, CommitOutcome)>,
}

/// A change set, and what the bounds of all of them need to know of it.
pub(crate) struct OpenChange {
    principal: Option<String>,
    /// The bytes that were sent for it.
    bytes: AtomicU64,
    /// The memory of its entries.
    memory: AtomicU64,
    pub(crate) set: Mutex<ChangeSet>,
}

impl OpenChange {
    fn new(set: ChangeSet) -> Self {
        Self {
            principal: set.request.principal.clone(),
            bytes: AtomicU64::new(set.sent_bytes),
            memory: AtomicU64::new(set.memory),
            set: Mutex::new(set),
        }
    }

    /// Takes down what the set, which is this one's, takes now.
    pub(crate) fn count(&self, set: &ChangeSet) {
        self.bytes.store(set.sent_bytes, Ordering::SeqCst);
        self.memory.store(set.memory, Ordering::SeqCst);
    }
}

/// Keeps a change set from being given up as idle, as long as it lives.
pub(crate) struct ChangeHold {
    _open: Arc<OpenChange>,
}

impl OpenChanges {
    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        lock(&self.0).open.len()
    }

    /// Takes up a change set that a process before has left.
    pub(crate) fn take_up(&self, id: ChangeId, set: ChangeSet) {
        lock(&self.0)
            .open
            .insert(id, Arc::new(OpenChange::new(set)));
    }

    /// Adds a change set.
    ///
    /// # Errors
    /// `Busy` if there are too many of them; otherwise those of the file system. One principal has half of
    /// the places at most, and the last quarter is for those who have none yet. One that its caller has left
    /// alone for long, as `idle` has it, gives its place to the next one of the same caller.
    pub(crate) fn begin(
        &self,
        hidden: &HiddenFolder,
        options: &StoreOptions,
        request: ChangeRequest,
        idle: &dyn Fn(ChangeId, Duration) -> Duration,
    ) -> Result<ChangeId> {
        let mut state = lock(&self.0);
        state.drop_old(options);

        let max = options.changes_max;
        if !state.has_place(max, &request) && !state.give_way(&request, idle) {
            let text = format!(
                "this server keeps at most {} open, half of them of one caller",
                counted(max as u64, "change set")
            );
            return Err(Error::new(ErrorKind::Busy, text).hint(
                "send the same directory again, which goes on with its set; or wait: one that nobody goes on with \
                 for an hour gives way to the next one of its caller (max-changes)",
            ));
        }

        let id = ChangeId::random()?;
        let files = ChangeFiles::new(hidden, id);
        let set = begun(&files, request).map_err(|error| {
            log_failure(files.remove());
            unstored(error)
        })?;
        state.open.insert(id, Arc::new(OpenChange::new(set)));
        Ok(id)
    }

    /// A change set that is open.
    ///
    /// # Errors
    /// `NotFound` if there is none of this name.
    pub(crate) fn find(&self, id: ChangeId) -> Result<Arc<OpenChange>> {
        let found = lock(&self.0).open.get(&id).cloned();
        found.ok_or_else(unknown_change)
    }

    /// Keeps a change set from being given up as idle while bytes for it are on their way.
    ///
    /// # Errors
    /// `NotFound` if there is none of this name.
    pub(crate) fn hold(&self, id: ChangeId) -> Result<ChangeHold> {
        self.find(id).map(|open| ChangeHold { _open: open })
    }

    /// What came of a commit.
    pub(crate) fn outcome(&self, id: ChangeId) -> Option<CommitOutcome> {
        let state = lock(&self.0);
        let found = state.done.iter().find(|(done, _)| *done == id);
        found.map(|(_, outcome)| outcome.clone())
    }

    /// A change set is no more, with what came of its commit.
    pub(crate) fn end(&self, id: ChangeId, outcome: Option<CommitOutcome>) {
        let mut state = lock(&self.0);
        state.open.remove(&id);
        if let Some(outcome) = outcome {
            state.done.push_back((id, outcome));
            while state.done.len() > DONE_MAX {
                state.done.pop_front();
            }
        }
    }

    /// The names of all of them.
    pub(crate) fn open_ids(&self) -> BTreeSet<ChangeId> {
        lock(&self.0).open.keys().copied().collect()
    }

    /// The digests that open change sets name without their bytes.
    pub(crate) fn known_digests(&self) -> BTreeSet<[u8; 32]> {
        let open: Vec<_> = lock(&self.0).open.values().cloned().collect();
        let mut known = BTreeSet::new();
        for change in open {
            for entry in lock(&change.set).entries.values() {
                if let Change::Known(bytes) = entry {
                    known.insert(*bytes.digest.as_bytes());
                }
            }
        }
        known
    }

    /// Gives up the change sets that nobody has gone on with for so long, and that nobody works on; returns
    /// what they have, and which ones are gone.
    pub(crate) fn clear(
        &self,
        idle_min: Duration,
        mode: ClearMode,
        idle: &dyn Fn(ChangeId) -> Duration,
    ) -> (ClearedKind, Vec<ChangeId>) {
        let (mut cleared, mut gone) = (ClearedKind::default(), Vec::new());
        lock(&self.0).open.retain(|id, change| {
            if is_held(change) {
                return true;
            }
            let Ok(mut set) = change.set.try_lock() else {
                return true;
            };
            if set.is_decided || set.age() < idle_min || idle(*id) < idle_min {
                return true;
            }

            for entry in set.entries.values() {
                if let Change::Sent(bytes) = entry {
                    cleared.add(bytes.size);
                }
            }
            for file in [INTENT, ENTRIES] {
                let facts = set.files.place(file).and_then(|place| place.facts());
                cleared.add(facts.map_or(0, |facts| facts.size));
            }
            if mode == ClearMode::Count {
                return true;
            }

            set.is_over = true;
            log_failure(set.files.remove());
            gone.push(*id);
            false
        });
        (cleared, gone)
    }

    /// Whether so many more bytes may be sent for a change set.
    ///
    /// # Errors
    /// `NoSpace` if all of them would be too large, or those of one principal.
    pub(crate) fn check_bytes(
        &self,
        change: &OpenChange,
        more: u64,
        options: &StoreOptions,
    ) -> Result<()> {
        let max = options.uploads_bytes_max;
        if self.is_within(change, more, max, |other| &other.bytes) {
            return Ok(());
        }
        let text = format!(
            "{} do not fit: change sets that are not committed may have {max} together, half of \
             them of one caller",
            counted(more, "byte")
        );
        Err(Error::new(ErrorKind::NoSpace, text)
            .hint("raise max-uploads-bytes, or wait until others are done; in HTTP: commit or DELETE one of them"))
    }

    /// Whether so much more may be kept in memory for a change set.
    ///
    /// # Errors
    /// `NoSpace` if all of them would take too much, or those of one principal.
    pub(crate) fn check_memory(
        &self,
        change: &OpenChange,
        more: u64,
        options: &StoreOptions,
    ) -> Result<()> {
        let max = options.change_memory_max;
        if self.is_within(change, more, max, |other| &other.memory) {
            return Ok(());
        }
        let text = format!(
            "the names of change sets that are not committed, and what is said of them, may take {} together, \
             half of it for one caller",
            counted(max, "byte")
        );
        Err(Error::new(ErrorKind::NoSpace, text)
            .hint("raise max-change-memory, or wait until others are done; in HTTP: commit or DELETE one of them"))
    }

    /// Whether all change sets stay within a bound, and those of one principal within half of it.
    fn is_within(
        &self,
        change: &OpenChange,
        more: u64,
        max: u64,
        count: fn(&OpenChange) -> &AtomicU64,
    ) -> bool {
        let state = lock(&self.0);
        let sum = |own_only: bool| {
            let open = state.open.values();
            let open = open.filter(|other| !own_only || other.principal == change.principal);
            let sizes = open.map(|other| count(other).load(Ordering::SeqCst));
            sizes.fold(more, u64::saturating_add)
        };
        sum(false) <= max && sum(true) <= max - max / 2
    }
}

impl ChangesState {
    fn has_place(&self, max: usize, request: &ChangeRequest) -> bool {
        let own = self.open.values();
        let own = own.filter(|other| other.principal == request.principal);
        match own.count() {
            0 => self.open.len() < max,
            own => own < max - max / 2 && self.open.len() < max - max / 4,
        }
    }

    /// Gives up the change set of a caller that was left alone longest, if that is long; says whether it did.
    fn give_way(
        &mut self,
        request: &ChangeRequest,
        idle: &dyn Fn(ChangeId, Duration) -> Duration,
    ) -> bool {
        let own = self.open.iter();
        let own = own.filter(|(_, other)| other.principal == request.principal);
        let left_alone = own.filter(|(_, other)| !is_held(other));
        let idle = left_alone.filter_map(|(id, other)| {
            let set = other.set.try_lock().ok()?;
            (!set.is_decided).then(|| (idle(*id, set.age()), *id))
        });

        let Some((_, id)) = idle.max().filter(|(idle, _)| *idle >= LEFT_ALONE) else {
            return false;
        };
        if let Some(change) = self.open.remove(&id) {
            let mut set = lock(&change.set);
            set.is_over = true;
            log_failure(set.files.remove());
        }
        true
    }

    /// Removes what nobody went on with for too long.
    fn drop_old(&mut self, options: &StoreOptions) {
        self.open.retain(|_, change| {
            // One that is being worked on is not old.
            if is_held(change) {
                return true;
            }
            let Ok(mut set) = change.set.try_lock() else {
                return true;
            };
            // What is decided is done, however old it gets.
            let is_old = set.age() >= options.upload_age_max && !set.is_decided;
            if is_old {
                set.is_over = true;
                log_failure(set.files.remove());
            }
            !is_old
        });
    }
}

/// Whether a request works on a set just now.
fn is_held(change: &Arc<OpenChange>) -> bool {
    Arc::strong_count(change) > 1
}

fn begun(files: &ChangeFiles, request: ChangeRequest) -> io::Result<ChangeSet> {
    let folder = files.make()?;
    let text = intent_text(&request);
    let place = FilePlace::new(&folder, INTENT);
    disk::write_at(&place, text.as_bytes(), 0o600)?;
    let journal = files.place(ENTRIES)?.open_as(APPENDED, 0o600)?;
    Ok(ChangeSet::new(files.clone(), request, journal))
}

pub(crate) fn log_failure(result: io::Result<()>) {
    if let Err(error) = result {
        log::warn!("the files of a change set cannot be removed: {error}");
    }
}

/// After which time a change set gives way. Whoever goes on with it later begins a new one.
const LEFT_ALONE: Duration = Duration::from_secs(3600);

/// Commits that can still be asked about.
const DONE_MAX: usize = 64;
