// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The folders whose files wait to be looked at, and when.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::model::ModelName;
use crate::threads::lock;

/// The work of the thread that writes the files, and how it is woken and ended.
pub(crate) struct ReadyQueue {
    /// How long a folder has to be left alone.
    delay: Duration,
    /// Whether there may be files, which go before a change.
    is_used: AtomicBool,
    state: Mutex<ReadyState>,
    /// There is something new to do, nothing more to do, or it is over.
    change: Condvar,
    /// Set together with `ReadyState::is_closed`, to be seen in the middle of a large folder.
    closing: AtomicBool,
}

#[derive(Default)]
struct ReadyState {
    /// Folders, and not before when; at most [`WAITING_MAX`].
    waiting: BTreeMap<ModelName, Instant>,
    /// There were more than that, so all have to be looked at.
    all_at: Option<Instant>,
    rest_until: Option<Instant>,
    /// Folders of which was told that something else has the name; at most [`TOLD_MAX`].
    told: BTreeSet<ModelName>,
    is_busy: bool,
    is_closed: bool,
}

/// What is to be looked at.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ReadyTask {
    All,
    /// These folders, all of which are this one or in it.
    Below(ModelName, BTreeSet<ModelName>),
}

impl ReadyTask {
    /// Where the look begins; `None` for all folders.
    pub(super) fn top(&self) -> Option<&ModelName> {
        match self {
            Self::All => None,
            Self::Below(top, _) => Some(top),
        }
    }

    /// Whether a folder is meant.
    pub(super) fn has(&self, folder: &ModelName) -> bool {
        match self {
            Self::All => true,
            Self::Below(_, folders) => folders.contains(folder),
        }
    }
}

impl ReadyQueue {
    /// A queue for folders that are looked at once they are left alone for this long.
    pub(crate) fn new(delay: Duration) -> Self {
        Self {
            delay,
            is_used: AtomicBool::new(false),
            state: Mutex::default(),
            change: Condvar::new(),
            closing: AtomicBool::new(false),
        }
    }

    /// Notes that there may be files.
    pub(super) fn use_it(&self) {
        self.is_used.store(true, Ordering::SeqCst);
    }

    /// Whether there may be files.
    pub(crate) fn is_used(&self) -> bool {
        self.is_used.load(Ordering::SeqCst)
    }

    /// Notes that folders change now: they are looked at once they are left alone.
    pub(super) fn mark<'a>(&self, folders: impl IntoIterator<Item = &'a ModelName>) {
        let due = Instant::now() + self.delay;
        let mut state = lock(&self.state);
        for folder in folders {
            state.put(folder, due);
        }
        self.change.notify_all();
    }

    /// Notes that something is known now of a model, or has changed of it: its folders are looked at, unless
    /// they are about to be.
    pub(crate) fn notice(&self, name: &ModelName) {
        if self.is_used() {
            self.notice_all(name.ancestors());
        }
    }

    /// The same for a folder by its path, with a separator at its end.
    pub(crate) fn notice_folder(&self, path: &str) {
        if self.is_used()
            && let Ok(folder) = path.trim_end_matches('/').parse::<ModelName>()
        {
            self.notice_all(std::iter::once(folder.clone()).chain(folder.ancestors()));
        }
    }

    fn notice_all(&self, folders: impl Iterator<Item = ModelName>) {
        let due = Instant::now() + self.delay;
        let mut state = lock(&self.state);
        for folder in folders {
            if !state.is_waiting(&folder) {
                state.put(&folder, due);
                self.change.notify_all();
            }
        }
    }

    /// Has a folder looked at later, for which the disk has no room now.
    pub(super) fn try_later(&self, folder: &ModelName) {
        lock(&self.state).put(folder, Instant::now() + RETRY_DELAY);
        self.change.notify_all();
    }

    /// Whether a folder has changed since it was taken, or may have. With the names locked, none begins to.
    pub(super) fn is_waiting(&self, folder: &ModelName) -> bool {
        lock(&self.state).is_waiting(folder)
    }

    /// Whether something of somebody else in the place of a file is to be told of: once for each folder.
    pub(super) fn is_news(&self, folder: &ModelName) -> bool {
        let mut state = lock(&self.state);
        state.told.len() < TOLD_MAX && state.told.insert(folder.clone())
    }

    /// Waits for a task that is due; `None` at the end.
    pub(super) fn next(&self) -> Option<ReadyTask> {
        let mut state = lock(&self.state);
        state.is_busy = false;

        loop {
            if state.is_closed {
                return None;
            }

            let now = Instant::now();
            if let Some(task) = state.take_due(now) {
                state.is_busy = true;
                return Some(task);
            }
            if state.is_idle() {
                // Tests wait for this.
                self.change.notify_all();
            }

            // Without any task the thread sleeps without a timer.
            let next = state.waiting.values().copied().chain(state.all_at).min();
            let next = next.map(|next| next.max(state.rest_until.unwrap_or(next)));
            state = match next {
                None => self
                    .change
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner),
                Some(next) => {
                    let waited = self.change.wait_timeout(state, next.duration_since(now));
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }

    /// Keeps the thread from work after some that took so long.
    pub(super) fn rest_after(&self, took: Duration) {
        let rest = (took * REST_FACTOR).min(REST_MAX);
        lock(&self.state).rest_until = Some(Instant::now() + rest);
    }

    /// Ends [`ReadyQueue::next`], also in the middle of a large folder.
    pub(crate) fn close(&self) {
        lock(&self.state).is_closed = true;
        self.closing.store(true, Ordering::Relaxed);
        self.change.notify_all();
    }

    /// Whether it is over.
    pub(crate) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Relaxed)
    }

    /// Keeps the thread from work.
    #[cfg(test)]
    pub(super) fn hold(&self) {
        lock(&self.state).rest_until = Some(Instant::now() + Duration::from_secs(3600));
    }

    /// Has nothing looked at that waits.
    #[cfg(test)]
    pub(super) fn forget_all(&self) {
        lock(&self.state).waiting.clear();
    }

    /// Waits until nothing is left to be looked at; whether that came about in time.
    #[cfg(test)]
    pub(super) fn wait_until_idle(&self, deadline: Duration) -> bool {
        let waited = self
            .change
            .wait_timeout_while(lock(&self.state), deadline, |state| !state.is_idle());
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }
}

impl ReadyState {
    fn put(&mut self, folder: &ModelName, due: Instant) {
        if self.waiting.len() < WAITING_MAX || self.waiting.contains_key(folder) {
            self.waiting.insert(folder.clone(), due);
        } else {
            self.all_at = Some(due);
        }
    }

    fn is_waiting(&self, folder: &ModelName) -> bool {
        self.all_at.is_some() || self.waiting.contains_key(folder)
    }

    fn is_idle(&self) -> bool {
        !self.is_busy && self.waiting.is_empty() && self.all_at.is_none()
    }

    fn take_due(&mut self, now: Instant) -> Option<ReadyTask> {
        if self.rest_until.is_some_and(|until| until > now) {
            return None;
        }
        if self.all_at.is_some_and(|at| at <= now) {
            self.all_at = None;
            self.waiting.retain(|_, at| *at > now);
            return Some(ReadyTask::All);
        }

        let is_due = |at: &Instant| *at <= now;
        let first = self.waiting.iter().find(|(_, at)| is_due(at))?.0;
        // A folder comes before those in it, so what is in this one is due with it at the most.
        let top = first.clone();
        let mut folders = BTreeSet::new();
        self.waiting.retain(|folder, at| {
            let is_taken = is_due(at) && (*folder == top || folder.is_below(&top));
            if is_taken {
                folders.insert(folder.clone());
            }
            !is_taken
        });
        Some(ReadyTask::Below(top, folders))
    }
}

/// Folders that are named one by one: a megabyte at most. Beyond that, all are looked at.
const WAITING_MAX: usize = 4096;

/// Lines in the log about what is not ours.
const TOLD_MAX: usize = 64;

/// How much longer than a look nothing is looked at again, but no longer than this.
const REST_FACTOR: u32 = 20;
const REST_MAX: Duration = Duration::from_secs(60);

/// How long a full disk is left alone.
const RETRY_DELAY: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> ModelName {
        text.parse().unwrap()
    }

    fn queue() -> ReadyQueue {
        let queue = ReadyQueue::new(Duration::ZERO);
        queue.use_it();
        queue
    }

    #[test]
    fn what_is_in_one_folder_is_looked_at_together() {
        let queue = queue();
        queue.notice(&name("a/b/c"));
        queue.notice(&name("a-b/c"));
        queue.notice_folder("a/d/");
        queue.notice(&name("m"));
        let below = |top: &str, all: &[&str]| {
            let all = all.iter().map(|folder| name(folder)).collect();
            Some(ReadyTask::Below(name(top), all))
        };
        assert_eq!(queue.next(), below("a", &["a", "a/b", "a/d"]));
        assert_eq!(queue.next(), below("a-b", &["a-b"]));
        assert!(!queue.is_waiting(&name("a")));
        queue.close();
        assert_eq!(queue.next(), None);
    }

    #[test]
    fn more_folders_than_the_queue_has_room_for_are_all() {
        let queue = queue();
        for number in 0..=WAITING_MAX {
            queue.notice(&name(&format!("f{number}/m")));
        }
        assert!(queue.is_waiting(&name("any")));
        assert_eq!(queue.next(), Some(ReadyTask::All));
        assert!(!queue.is_waiting(&name("f1")));
    }

    #[test]
    fn a_large_folder_is_not_what_the_thread_is_busy_with() {
        let queue = queue();
        queue.notice(&name("a/b"));
        queue.rest_after(Duration::from_secs(1));
        assert_eq!(lock(&queue.state).take_due(Instant::now()), None);
        let later = Instant::now() + Duration::from_secs(21);
        assert!(lock(&queue.state).take_due(later).is_some());
    }
}
