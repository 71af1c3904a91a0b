// SPDX-License-Identifier: Apache-2.0 OR MIT
//! One thread that digests the models that came or changed by hand, and writes the index.
//!
//! It sleeps without a timer while there is nothing to do. A file that changed just now is left alone
//! until its stamp can be trusted (see `stamp.rs`), so a file that is being copied in is not read
//! again and again. The index is written once some seconds after the first change: SD cards wear.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use crate::digest::Digest;
use crate::model::ModelName;
use crate::store::catalog::index::Index;
use crate::store::catalog::layout::{Layout, Standing};
use crate::store::ready_files::ReadyQueue;
use crate::threads::lock;

/// The work of the thread, and how it is woken and ended.
pub(crate) struct Digester {
    tick: Duration,
    queue: Mutex<Queue>,
    /// There is something new to do, nothing more to do, or it is over.
    change: Condvar,
    /// Set together with `Queue::closed`, to be seen in the middle of a long file.
    closing: AtomicBool,
}

#[derive(Default)]
struct Queue {
    /// Names to be looked at, and not before when; at most [`WAITING_MAX`].
    waiting: BTreeMap<ModelName, Instant>,
    save_at: Option<Instant>,
    busy: bool,
    closed: bool,
}

enum Task {
    Save,
    Digest(ModelName),
}

impl Digester {
    /// A digester for a file system whose clock ticks at least every `tick`.
    pub(crate) fn new(tick: Duration) -> Self {
        Self {
            tick,
            queue: Mutex::default(),
            change: Condvar::new(),
            closing: AtomicBool::new(false),
        }
    }

    /// Has a model digested soon. One that finds the queue full is left out: whoever lists or fetches it next
    /// queues it again.
    pub(crate) fn queue(&self, name: &ModelName) {
        let mut queue = lock(&self.queue);
        let has_room = !queue.closed && queue.waiting.len() < WAITING_MAX;
        if has_room && !queue.waiting.contains_key(name) {
            queue.waiting.insert(name.clone(), Instant::now());
            self.change.notify_all();
        }
    }

    /// Has the index written some seconds after the first change.
    pub(crate) fn save_later(&self) {
        let mut queue = lock(&self.queue);
        if queue.save_at.is_none() {
            queue.save_at = Some(Instant::now() + SAVE_DELAY);
            self.change.notify_all();
        }
    }

    /// The work of the thread, until [`Digester::close`].
    pub(crate) fn run(&self, layout: &Layout, index: &Index, ready: &ReadyQueue) {
        while let Some(task) = self.next() {
            match task {
                Task::Save => save(layout, index),
                Task::Digest(name) => self.look_at(&name, layout, index, ready),
            }
        }
    }

    /// Ends [`Digester::run`], also in the middle of a file.
    pub(crate) fn close(&self) {
        lock(&self.queue).closed = true;
        self.closing.store(true, Ordering::Relaxed);
        self.change.notify_all();
    }

    /// Waits for a task that is due; `None` at the end.
    fn next(&self) -> Option<Task> {
        let mut queue = lock(&self.queue);
        queue.busy = false;

        loop {
            if queue.closed {
                return None;
            }

            let now = Instant::now();
            if let Some(task) = queue.take_due(now) {
                queue.busy = true;
                return Some(task);
            }
            if queue.waiting.is_empty() {
                // Tests wait for this.
                self.change.notify_all();
            }

            // The pause ends with the earliest task; without any task the thread sleeps without a
            // timer.
            let next = queue.waiting.values().copied().chain(queue.save_at).min();
            queue = match next {
                None => self
                    .change
                    .wait(queue)
                    .unwrap_or_else(PoisonError::into_inner),
                Some(next) => {
                    let waited = self.change.wait_timeout(queue, next.duration_since(now));
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }

    fn look_at(&self, name: &ModelName, layout: &Layout, index: &Index, ready: &ReadyQueue) {
        match self.digest(name, layout, index) {
            Ok(DigestOutcome::Done) => {}
            Ok(DigestOutcome::Learned) => {
                self.save_later();
                ready.notice(name);
            }
            Ok(DigestOutcome::TooEarly(delay)) => {
                lock(&self.queue)
                    .waiting
                    .insert(name.clone(), Instant::now() + delay);
            }
            // Not tried again by itself: the next listing asks anew.
            Err(error) => log::debug!("the model '{name}' cannot be digested: {error}"),
        }
    }

    fn digest(
        &self,
        name: &ModelName,
        layout: &Layout,
        index: &Index,
    ) -> io::Result<DigestOutcome> {
        // A model that is gone needs no digest, and that is no error.
        let Some((file, stamp)) = layout.open_model(name)? else {
            return Ok(DigestOutcome::Done);
        };

        if index.find(name, &stamp).is_some() {
            return Ok(DigestOutcome::Done);
        }

        // Digesting a file that is still being copied in would read it many times.
        let young = stamp.young_for(self.tick, SystemTime::now());
        if !young.is_zero() {
            return Ok(DigestOutcome::TooEarly(young));
        }

        // Reading stops as soon as the store closes, so a file of many gigabytes does not delay the
        // end.
        let digest = Digest::of_reader(Breakable {
            file,
            closing: &self.closing,
        })?;

        // The name may have got another file during the read; then the digest belongs to bytes that
        // nobody can ask for.
        match layout.standing(name)? {
            Standing::Model(current) if current == stamp => {
                index.insert(name, stamp, digest);
                Ok(DigestOutcome::Learned)
            }
            // It was changed while it was read, so it is read again after a tick of the clock.
            Standing::Model(_) => Ok(DigestOutcome::TooEarly(self.tick)),
            _ => Ok(DigestOutcome::Done),
        }
    }

    /// Waits until every known task is done; whether that came about in time.
    #[cfg(test)]
    pub(crate) fn wait_until_idle(&self, deadline: Duration) -> bool {
        let at_work = |queue: &mut Queue| queue.busy || !queue.waiting.is_empty();
        let waited = self
            .change
            .wait_timeout_while(lock(&self.queue), deadline, at_work);
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }
}

impl Queue {
    fn take_due(&mut self, now: Instant) -> Option<Task> {
        if self.save_at.is_some_and(|at| at <= now) {
            self.save_at = None;
            return Some(Task::Save);
        }
        let name = self.waiting.iter().find(|(_, at)| **at <= now)?.0.clone();
        self.waiting.remove(&name);
        Some(Task::Digest(name))
    }
}

enum DigestOutcome {
    Done,
    Learned,
    TooEarly(Duration),
}

/// A file that ends with an error when the store closes.
struct Breakable<'a> {
    file: File,
    closing: &'a AtomicBool,
}

impl Read for Breakable<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.closing.load(Ordering::Relaxed) {
            Err(io::Error::other("the store is closing"))
        } else {
            self.file.read(buffer)
        }
    }
}

/// Writes the index. A failure is not fatal: the digests are computed again after a restart.
pub(crate) fn save(layout: &Layout, index: &Index) {
    if let Err(error) = index.save(layout) {
        log::warn!("the index of digests cannot be written: {error}");
    }
}

/// A queue of names that take a megabyte at most, and that one thread is at for a while.
const WAITING_MAX: usize = 4096;

/// Long enough for a burst of uploads, short enough to survive most sudden ends.
const SAVE_DELAY: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_of_any_size_makes_a_bounded_queue_and_what_is_left_out_comes_later() {
        let digester = Digester::new(Duration::ZERO);
        let name = |number: usize| -> ModelName { format!("m{number}").parse().unwrap() };
        let queue_all = || (0..WAITING_MAX + 10).for_each(|number| digester.queue(&name(number)));
        queue_all();
        assert_eq!(lock(&digester.queue).waiting.len(), WAITING_MAX);

        while let Some(Task::Digest(_)) = lock(&digester.queue).take_due(Instant::now()) {}
        assert_eq!(lock(&digester.queue).waiting.len(), 0);
        digester.queue(&name(WAITING_MAX + 9));
        assert!(
            matches!(digester.next(), Some(Task::Digest(next)) if next == name(WAITING_MAX + 9))
        );
    }
}
