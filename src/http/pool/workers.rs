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
use crate::http::Handler;
use crate::http::body::BodyReader;
use crate::http::head::{Framing, Method};
use crate::http::pool::engine::Engine;
use crate::http::pool::exchange::{Exchange, Finished, Parked};
use crate::http::request::{Body, Request};
use crate::http::response::{Response, Status};
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
        handler: &Arc<dyn Handler>,
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
            let (engine, handler) = (Arc::clone(engine), Arc::clone(handler));
            let (metrics, alive) = (Arc::clone(metrics), alive.clone());
            let work = move || {
                let _alive = alive;
                while let Some(parked) = engine.receive() {
                    work_on(parked, &*handler, &metrics);
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

/// Answers a request. Whatever panics on the way, and be it a value that is dropped, costs this
/// request only: one worker less would be less for ever.
fn work_on(parked: Parked, handler: &dyn Handler, metrics: &Metrics) {
    let work = || {
        let Parked { exchange, reply } = parked;
        // The connection's thread waits for this; if it is gone, so is the caller.
        let _ = reply.send(answer(exchange, handler, metrics));
    };

    if let Err(panic) = catch_unwind(AssertUnwindSafe(work)) {
        metrics.panics.add_one();
        log::error!("{} panicked: {}", thread_name(), panic_text(&*panic));
        // Its drop may be what panics.
        std::mem::forget(panic);
    }
}

/// Runs the handler; a panic in it is this request's misfortune only.
fn answer(mut exchange: Box<Exchange>, handler: &dyn Handler, metrics: &Metrics) -> Finished {
    let Exchange {
        connection,
        head,
        progress,
        session,
    } = &mut *exchange;

    let peer = connection.transport().peer().clone();

    let length = match head.framing {
        Framing::Length(length) => Some(length),
        Framing::Chunked => None,
    };

    let mut reader = BodyReader::new(connection, progress);
    let mut request = Request::new(head, &peer, session, Body::of_wire(&mut reader, length));

    let response = catch_unwind(AssertUnwindSafe(|| match handler.methods() {
        methods if methods.contains(&request.method()) => handler.handle(&mut request),
        methods => not_allowed(request.method(), methods),
    }));

    let response = response.unwrap_or_else(|panic| {
        metrics.panics.add_one();
        let (thread, target) = (thread_name(), request.path());
        log::error!(
            "{thread} panicked while handling {target}: {}",
            panic_text(&*panic)
        );
        Response::problem(Status::INTERNAL_SERVER_ERROR, "the server made a mistake")
    });

    Finished { exchange, response }
}

fn not_allowed(method: Method, methods: &[Method]) -> Response {
    let mut allow: Vec<_> = methods.iter().map(|method| method.as_str()).collect();
    if methods.contains(&Method::Get) && !methods.contains(&Method::Head) {
        allow.push(Method::Head.as_str());
    }
    let text = format!("{} is not for this server", method.as_str());
    Response::problem(Status::METHOD_NOT_ALLOWED, text).field("allow", allow.join(", "))
}

/// How long the workers may take to notice that all connections are gone.
const END_WAIT: Duration = Duration::from_secs(2);
