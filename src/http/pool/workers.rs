// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The fixed pool of threads that run handlers, and the places among them for requests whose body
//! still has to arrive.

use std::convert::Infallible;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::error::{Error, Result};
use crate::http::pool::engine::{Engine, QueuedRequest};
use crate::metrics::Metrics;
use crate::threads::{self, panic_text, thread_name};

/// The pool.
pub(crate) struct Workers {
    engine: Arc<Engine>,
    threads: Vec<JoinHandle<()>>,
    /// Disconnected once all of them have ended.
    ended: Mutex<Receiver<Infallible>>,
}

impl Workers {
    /// Starts `count` workers.
    ///
    /// # Errors
    /// If the system has no threads to give.
    pub(crate) fn start(
        count: usize,
        engine: &Arc<Engine>,
        metrics: &Arc<Metrics>,
    ) -> Result<Self> {
        let (alive, ended) = channel();
        let (threads, ended) = (Vec::new(), Mutex::new(ended));

        let mut workers = Self {
            engine: Arc::clone(engine),
            threads,
            ended,
        };

        for number in 1..=count.max(1) {
            let (engine, metrics) = (Arc::clone(engine), Arc::clone(metrics));
            let alive = alive.clone();
            let work = move || {
                let _alive = alive;
                while let Some(request) = engine.receive() {
                    work_on(request, &metrics);
                }
            };
            let thread = threads::spawn(&format!("worker-{number}"), work);
            let thread = thread.map_err(|error| Error::io("starting the workers", error))?;
            workers.threads.push(thread);
        }

        Ok(workers)
    }
}

impl Drop for Workers {
    /// Lets the workers finish what they are at and ends them. A handler that does not return, though
    /// its connection is closed, is left behind.
    fn drop(&mut self) {
        self.engine.stop(self.threads.len());
        let ended = self.ended.get_mut().unwrap_or_else(PoisonError::into_inner);
        if ended.recv_timeout(END_WAIT) == Err(RecvTimeoutError::Timeout) {
            log::warn!("a handler does not return; its thread is left behind");
            self.threads.retain(JoinHandle::is_finished);
        }
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// Works on a request. Whatever panics on the way, and be it a value that is dropped, costs this
/// request only: one worker less would be less for ever.
fn work_on(request: Box<dyn QueuedRequest>, metrics: &Metrics) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| request.work())) {
        metrics.panics.add_one();
        log::error!("{} panicked: {}", thread_name(), panic_text(&*panic));
        // Its drop may be what panics.
        std::mem::forget(panic);
    }
}

/// How long the workers may take to notice that all connections are gone.
const END_WAIT: Duration = Duration::from_secs(2);
