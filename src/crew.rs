// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Threads that are there while there is work that waits: jobs that may take long are done side by
//! side, and a thread that finds nothing to do for a while ends.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use crate::threads::{self, lock, panic_text, thread_name};

type Job = Box<dyn FnOnce() + Send>;

/// A bounded number of threads, none of which exists before it is needed.
pub(crate) struct Crew {
    name: &'static str,
    threads_max: usize,
    state: Mutex<CrewState>,
    more: Condvar,
}

#[derive(Default)]
struct CrewState {
    jobs: VecDeque<Job>,
    threads: usize,
    idle: usize,
    is_closed: bool,
}

impl Crew {
    /// A crew of at most `threads_max` threads (at least one) of this name.
    pub(crate) fn new(name: &'static str, threads_max: usize) -> Arc<Self> {
        Arc::new(Self {
            name,
            threads_max: threads_max.max(1),
            state: Mutex::default(),
            more: Condvar::new(),
        })
    }

    /// Has a job done as soon as a thread is free. A job for which the system has no thread is dropped,
    /// and so is one that comes after the end.
    pub(crate) fn run(self: &Arc<Self>, job: impl FnOnce() + Send + 'static) {
        let mut state = lock(&self.state);
        if state.is_closed {
            return;
        }

        state.jobs.push_back(Box::new(job));

        // A thread that was woken for an earlier job still counts as idle until it has taken it.
        if state.idle >= state.jobs.len() {
            drop(state);
            self.more.notify_one();
        } else if state.threads < self.threads_max {
            state.threads += 1;
            drop(state);
            self.start_thread();
        }
    }

    /// Ends the threads once their jobs are done; jobs that nobody began are dropped.
    pub(crate) fn close(&self) {
        let mut state = lock(&self.state);
        state.is_closed = true;
        let left = std::mem::take(&mut state.jobs);
        drop(state);

        // Dropped without the lock: what a job holds may want to come here, too.
        drop(left);
        self.more.notify_all();
    }

    fn start_thread(self: &Arc<Self>) {
        let crew = Arc::clone(self);
        let Err(error) = threads::spawn(self.name, move || crew.work()) else {
            return;
        };

        let mut state = lock(&self.state);
        state.threads -= 1;

        // With other threads the job only waits longer.
        let lost = if state.threads == 0 {
            state.jobs.pop_back()
        } else {
            None
        };
        drop(state);

        if lost.is_some() {
            log::warn!("a connection has no thread to go on in: {error}");
        }
    }

    fn work(&self) {
        while let Some(job) = self.next() {
            if let Err(panic) = catch_unwind(AssertUnwindSafe(job)) {
                log::error!("{} panicked: {}", thread_name(), panic_text(&*panic));
                // Its drop may be what panics.
                std::mem::forget(panic);
            }
        }
    }

    /// Waits for a job; `None` ends the calling thread.
    fn next(&self) -> Option<Job> {
        let mut state = lock(&self.state);
        if let Some(job) = state.jobs.pop_front() {
            return Some(job);
        }

        state.idle += 1;
        let is_bored = |state: &mut CrewState| state.jobs.is_empty() && !state.is_closed;
        let waited = self.more.wait_timeout_while(state, IDLE_TIME, is_bored);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        state.idle -= 1;

        let job = state.jobs.pop_front();
        if job.is_none() {
            state.threads -= 1;
        }
        job
    }
}

/// How long a thread waits for the next job before it ends.
const IDLE_TIME: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    const DEADLINE: Duration = Duration::from_secs(60);

    #[test]
    fn jobs_run_side_by_side_up_to_the_bound() {
        let crew = Crew::new("test-crew", 2);
        let (begun, begins) = channel();
        let (release, released) = channel::<()>();
        let released = Arc::new(Mutex::new(released));
        for number in 0..3 {
            let (begun, released) = (begun.clone(), Arc::clone(&released));
            crew.run(move || {
                begun.send(number).unwrap();
                let _ = lock(&released).recv();
            });
        }

        let first = [begins.recv_timeout(DEADLINE), begins.recv_timeout(DEADLINE)];
        assert!(first.iter().all(Result::is_ok));
        assert_eq!(lock(&crew.state).threads, 2);
        assert!(begins.try_recv().is_err(), "a third thread");
        release.send(()).unwrap();
        assert_eq!(begins.recv_timeout(DEADLINE), Ok(2));
        drop(release);
        crew.close();
    }

    #[test]
    fn a_panic_costs_one_job() {
        let crew = Crew::new("test-crew", 1);
        crew.run(|| panic!("as asked"));
        let (sender, receiver) = channel();
        crew.run(move || sender.send(()).unwrap());
        receiver.recv_timeout(DEADLINE).unwrap();
        crew.close();
        let (sender, receiver) = channel::<()>();
        crew.run(move || drop(sender));
        assert!(receiver.recv_timeout(DEADLINE).is_err(), "dropped");
    }
}
