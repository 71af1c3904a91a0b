// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The commit that is decided and that the disk did not let be done to its end: what is left of it, and when it is
//! tried again.
//!
//! There is one at most, since nothing is changed until it is done. Whoever takes it or leaves one has the names
//! locked; the lock in here is held for moments only.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::digest::Digest;
use crate::error::{Error, ErrorKind};
use crate::model::ModelName;
use crate::store::catalog::Stamp;
use crate::store::changes::change_files::{ChangeFiles, ChangeId};
use crate::store::changes::commit::commit_plan::CommitPlan;
use crate::store::changes::commit::recorded::step_record::CommitStep;
use crate::store::changes::open_changes::log_failure;
#[cfg(test)]
use crate::store::hidden_folder::HiddenFolder;
use crate::store::versions::VersionRoom;
use crate::threads::lock;

/// What is left of a commit.
pub(crate) struct LeftCommit {
    pub(crate) files: ChangeFiles,
    pub(crate) steps: Vec<CommitStep>,
    pub(crate) work: LeftWork,
    /// How often it was tried again.
    pub(crate) tries: u32,
}

/// What comes with the steps that are left.
pub(crate) enum LeftWork {
    /// A change set, with the stamps that its files had in it.
    Set(Box<CommittedSet>, Vec<Option<Stamp>>),
    /// Another name for a model or a folder.
    Move(Box<CommittedMove>),
    /// Nothing: all steps are done or taken back, and the record of them is to go.
    Record,
}

/// A change set whose commit is decided.
pub(crate) struct CommittedSet {
    pub(crate) id: ChangeId,
    pub(crate) root: Option<ModelName>,
    pub(crate) plan: CommitPlan,
}

/// A move that is decided.
pub(crate) struct CommittedMove {
    pub(crate) moved: Vec<MovedModel>,
    /// What versions may take afterwards.
    pub(crate) room: VersionRoom,
}

/// A model that gets another name.
#[derive(PartialEq, Eq)]
pub(crate) struct MovedModel {
    pub(crate) from: ModelName,
    pub(crate) to: ModelName,
    pub(crate) stamp: Stamp,
    pub(crate) digest: Option<Digest>,
}

impl LeftCommit {
    pub(crate) fn new(files: ChangeFiles, steps: Vec<CommitStep>, work: LeftWork) -> Self {
        Self {
            files,
            steps,
            work,
            tries: 0,
        }
    }

    fn is_of(&self, id: ChangeId) -> bool {
        matches!(&self.work, LeftWork::Set(set, _) if set.id == id)
    }
}

/// The commit that is not done to its end, if there is one.
#[derive(Default)]
pub(crate) struct UnfinishedCommit {
    is_there: AtomicBool,
    state: Mutex<UnfinishedState>,
    /// It is done, or nobody tries it any more.
    change: Condvar,
}

#[derive(Default)]
struct UnfinishedState {
    left: Option<LeftCommit>,
    /// When it was tried last.
    tried: Option<Instant>,
    has_thread: bool,
    is_closed: bool,
}

impl UnfinishedCommit {
    /// Whether there is one.
    pub(crate) fn is_there(&self) -> bool {
        self.is_there.load(Ordering::SeqCst)
    }

    /// Whether it is that of this change set.
    pub(crate) fn is_of(&self, id: ChangeId) -> bool {
        let state = lock(&self.state);
        state.left.as_ref().is_some_and(|left| left.is_of(id))
    }

    /// Leaves a commit to be done later.
    pub(crate) fn leave(&self, left: LeftCommit) {
        let mut state = lock(&self.state);
        state.left = Some(left);
        state.tried = None;
        self.is_there.store(true, Ordering::SeqCst);
    }

    /// Removes a set of which all steps are done or taken back. Where its record stays, that is left to be done:
    /// the next start would go by it, and undo what was changed meanwhile.
    pub(crate) fn put_away(&self, files: &ChangeFiles, steps: &[CommitStep]) {
        let Err(error) = files.remove_record() else {
            return log_failure(files.remove_rest());
        };
        log_failure(Err(error));
        let steps = steps.to_vec();
        self.leave(LeftCommit::new(files.clone(), steps, LeftWork::Record));
    }

    /// Takes it to try it again; [`UnfinishedCommit::put_back`] or [`UnfinishedCommit::end`] comes then.
    pub(super) fn take(&self) -> Option<LeftCommit> {
        let mut state = lock(&self.state);
        let mut left = state.left.take()?;
        left.tries = left.tries.saturating_add(1);
        state.tried = Some(Instant::now());
        Some(left)
    }

    /// It failed once more.
    pub(super) fn put_back(&self, left: LeftCommit) {
        lock(&self.state).left = Some(left);
    }

    /// It is done.
    pub(super) fn end(&self) {
        let _state = lock(&self.state);
        self.is_there.store(false, Ordering::SeqCst);
        self.change.notify_all();
    }

    /// Whether a change that would be refused may try it before: that costs calls to a disk that may be slow to
    /// fail, so it is done once a second at most.
    pub(crate) fn may_try(&self) -> bool {
        let tried = lock(&self.state).tried;
        tried.is_none_or(|tried| tried.elapsed() >= TRY_DISTANCE)
    }

    /// Whether a thread is to be started that tries it again; who is told so starts one.
    pub(super) fn wants_thread(&self) -> bool {
        let mut state = lock(&self.state);
        let is_wanted = state.left.is_some() && !state.has_thread && !state.is_closed;
        state.has_thread |= is_wanted;
        is_wanted
    }

    /// There is no such thread, or not any more.
    pub(super) fn has_no_thread(&self) {
        lock(&self.state).has_thread = false;
    }

    /// Waits for so long in the thread; whether it is to be tried then. If not, the thread ends.
    pub(super) fn wait(&self, pause: Duration) -> bool {
        let is_waiting = |state: &mut UnfinishedState| self.is_there() && !state.is_closed;
        let waited = self
            .change
            .wait_timeout_while(lock(&self.state), pause, is_waiting);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        state.has_thread = is_waiting(&mut state);
        state.has_thread
    }

    /// Waits until there is none; whether that came about in time.
    #[cfg(test)]
    pub(crate) fn wait_until_done(&self, deadline: Duration) -> bool {
        let waited = self
            .change
            .wait_timeout_while(lock(&self.state), deadline, |_| self.is_there());
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }

    /// Leaves the record of a set, as where it could not be removed.
    #[cfg(test)]
    pub(crate) fn leave_record(&self, hidden: &HiddenFolder, id: ChangeId) {
        let files = ChangeFiles::new(hidden, id);
        self.leave(LeftCommit::new(files, Vec::new(), LeftWork::Record));
    }

    /// Has the next change try it, however long ago that was done last.
    #[cfg(test)]
    pub(super) fn allow_try(&self) {
        lock(&self.state).tried = None;
    }

    /// Ends the waiting: the next start does the rest.
    pub(crate) fn close(&self) {
        lock(&self.state).is_closed = true;
        self.change.notify_all();
    }
}

/// What is refused until such a commit is done.
pub(crate) fn refused(text: impl Into<String>) -> Error {
    Error::new(ErrorKind::Busy, text).hint(
        "try again: the server goes on with it by itself, and its log says what is in the way",
    )
}

/// Between two attempts that changes make.
const TRY_DISTANCE: Duration = Duration::from_secs(1);
