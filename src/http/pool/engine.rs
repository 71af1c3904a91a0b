// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The only file that names tiny_http: it is the parser and the queue behind the edge, fed with heads
//! that were checked before, over one private connection.
//!
//! A request is parked here with its connection under a ticket, and a head of three parts (method,
//! target, ticket) is written to tiny_http, several at a time where several came. A worker receives it from tiny_http's queue and
//! claims the parked request. Fields and bodies stay parked: what a caller can choose freely never
//! passes a second parser. tiny_http's own listener is closed as soon as the private connection
//! stands, so nobody else can reach it.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, RwLock};
use std::time::Duration;

use crate::disk;
use crate::error::{Error, ErrorKind, Result};
use crate::http::head::Head;
use crate::http::pool::turns::Turns;
use crate::threads::{self, lock};

/// A request in the queue.
pub(crate) trait QueuedRequest: Send {
    /// Its head, of which tiny_http gets to see method and target.
    fn head(&self) -> &Head;

    /// Has it answered, by the calling worker.
    fn work(self: Box<Self>);

    /// Answers it without a worker. Nothing may wait here.
    fn refuse(self: Box<Self>, error: &Error);
}

/// The queue between connections and workers.
pub(crate) struct Engine {
    parked: Mutex<HashMap<u64, Box<dyn QueuedRequest>>>,
    /// Heads that are still to be written.
    heads: Mutex<Vec<u8>>,
    tickets: AtomicU64,
    turns: Turns,
    /// Our end of the private connection.
    feed: Mutex<UnixStream>,
    server: RwLock<Arc<tiny_http::Server>>,
    /// Where a private socket can be made.
    folders: Vec<PathBuf>,
    stopping: AtomicBool,
}

impl Engine {
    /// Starts tiny_http behind a private socket in the first of `folders` that can hold one.
    ///
    /// # Errors
    /// `Internal` if none can.
    pub(crate) fn start(folders: Vec<PathBuf>) -> Result<Arc<Self>> {
        let (server, feed) = connect(&folders)?;
        let watched = feed
            .try_clone()
            .map_err(|error| Error::io("the engine's feed", error))?;

        let engine = Arc::new(Self {
            parked: Mutex::default(),
            heads: Mutex::default(),
            tickets: AtomicU64::default(),
            turns: Turns::default(),
            feed: Mutex::new(feed),
            server: RwLock::new(Arc::new(server)),
            folders,
            stopping: AtomicBool::new(false),
        });

        let keeper = Arc::clone(&engine);
        threads::spawn("engine-feed", move || keeper.keep_fed(watched))
            .map_err(|error| Error::io("starting the engine", error))?;

        Ok(engine)
    }

    /// Parks a request until a worker takes it, which none does before [`Engine::flush`].
    pub(crate) fn submit(&self, request: Box<dyn QueuedRequest>) {
        let ticket = self.tickets.fetch_add(1, Ordering::Relaxed);
        let head = feed_head(ticket, request.head());
        let mut parked = lock(&self.parked);
        if self.stopping.load(Ordering::SeqCst) {
            drop(parked);
            return request.refuse(&stopped());
        }

        parked.insert(ticket, request);
        drop(parked);
        lock(&self.heads).extend_from_slice(&head);
    }

    /// Has the workers see what was submitted.
    pub(crate) fn flush(&self) {
        let heads = std::mem::take(&mut *lock(&self.heads));
        if heads.is_empty() {
            return;
        }

        // If this fails, the keeper builds a new feed and writes all that is parked again.
        let _ = lock(&self.feed).write_all(&heads);
        self.turns.call();
    }

    /// The next request for a worker; `None` once the engine has stopped.
    pub(crate) fn receive(&self) -> Option<Box<dyn QueuedRequest>> {
        self.turns.take();
        loop {
            if self.stopping.load(Ordering::SeqCst) {
                self.turns.pass(true);
                return None;
            }

            let server = Arc::clone(&self.server.read().unwrap_or_else(|lock| lock.into_inner()));
            // An error is how tiny_http says that its listener is closed or that it was unblocked.
            let Ok(request) = server.recv() else { continue };
            let mut parked = lock(&self.parked);
            let claimed = ticket(&request).and_then(|ticket| parked.remove(&ticket));
            let has_more = !parked.is_empty();
            drop(parked);

            // Taking the writer keeps tiny_http from answering: nobody reads on that side.
            drop(request.into_writer());

            if claimed.is_some() {
                self.turns.pass(has_more);
                return claimed;
            }
        }
    }

    /// Lets `workers` waiting workers go, and ends the feed.
    pub(crate) fn stop(&self, workers: usize) {
        self.stopping.store(true, Ordering::SeqCst);
        let left = std::mem::take(&mut *lock(&self.parked));
        left.into_values()
            .for_each(|parked| parked.refuse(&stopped()));
        self.unblock(workers);
        let _ = lock(&self.feed).shutdown(Shutdown::Both);
    }

    fn unblock(&self, workers: usize) {
        let server = Arc::clone(&self.server.read().unwrap_or_else(|lock| lock.into_inner()));
        (0..workers).for_each(|_| server.unblock());
    }

    /// Waits until the feed ends, which nothing but a fault makes it do, and builds a new one.
    fn keep_fed(&self, mut watched: UnixStream) {
        loop {
            // tiny_http never has anything to say here; a byte is as bad as an end.
            let _ = watched.read(&mut [0]);
            if self.stopping.load(Ordering::SeqCst) {
                return;
            }
            log::error!("the engine's feed ended; building a new one");
            match self.rebuild() {
                Ok(stream) => watched = stream,
                Err(error) => {
                    log::error!("{error}; trying again");
                    std::thread::sleep(REBUILD_PAUSE);
                }
            }
        }
    }

    fn rebuild(&self) -> Result<UnixStream> {
        let (server, stream) = connect(&self.folders)?;
        let watched = stream
            .try_clone()
            .map_err(|error| Error::io("the engine's feed", error))?;

        let mut feed = lock(&self.feed);
        let _ = feed.shutdown(Shutdown::Both);

        if self.stopping.load(Ordering::SeqCst) {
            // Nobody would end the new feed.
            return Err(stopped());
        }

        *feed = stream;

        let old = {
            let mut current = self.server.write().unwrap_or_else(|lock| lock.into_inner());
            std::mem::replace(&mut *current, Arc::new(server))
        };

        for (ticket, parked) in &*lock(&self.parked) {
            let _ = feed.write_all(&feed_head(*ticket, parked.head()));
        }

        // Workers that wait on the old server look for the new one. One call wakes one of them, and
        // nobody counts them here; more calls than workers do no harm.
        (0..UNBLOCK_CALLS).for_each(|_| old.unblock());

        Ok(watched)
    }

    /// Breaks the private connection, as a fault would.
    #[cfg(test)]
    pub(crate) fn break_feed(&self) {
        let _ = lock(&self.feed).shutdown(Shutdown::Both);
    }
}

fn stopped() -> Error {
    Error::new(ErrorKind::Busy, "the server is shutting down")
}

/// The head that tiny_http gets to see.
fn feed_head(ticket: u64, head: &Head) -> Vec<u8> {
    let (method, target) = (head.method.as_str(), &head.target);
    format!("{method} {target} HTTP/1.1\r\n{TICKET}: {ticket}\r\n\r\n").into_bytes()
}

fn ticket(request: &tiny_http::Request) -> Option<u64> {
    let field = request
        .headers()
        .iter()
        .find(|field| field.field.equiv(TICKET))?;
    field.value.as_str().parse().ok()
}

/// Starts a server and connects to it, in the first folder where that works.
fn connect(folders: &[PathBuf]) -> Result<(tiny_http::Server, UnixStream)> {
    let mut last = None;
    for folder in folders {
        match connect_in(folder) {
            Ok(connected) => return Ok(connected),
            Err(error) => last = Some((folder, error)),
        }
    }

    let text = "the engine's private socket cannot be made";

    Err(match last {
        Some((folder, error)) => Error::io(format!("{text} in {}", folder.display()), error),
        None => Error::new(
            ErrorKind::Internal,
            format!("{text}: no folder was given for it"),
        ),
    })
}

fn connect_in(folder: &std::path::Path) -> io::Result<(tiny_http::Server, UnixStream)> {
    let directory = disk::PrivateDirectory::create(folder)?;
    listen_and_connect(&directory.path().join("s"))
}

fn listen_and_connect(path: &std::path::Path) -> io::Result<(tiny_http::Server, UnixStream)> {
    let listener = UnixListener::bind(path)?;
    let door = listener.try_clone()?;
    let server = tiny_http::Server::from_listener(listener, None).map_err(io::Error::other)?;
    let mut stream = UnixStream::connect(path)?;

    // One request goes through before the door is closed, so the connection surely was accepted.
    stream.write_all(b"GET /probe HTTP/1.1\r\n\r\n")?;

    match server.recv_timeout(PROBE_WAIT)? {
        Some(request) => drop(request.into_writer()),
        None => {
            return Err(io::Error::new(
                io::ErrorKind::TimedOut,
                "the engine does not answer",
            ));
        }
    }

    // A shutdown makes tiny_http's accept fail, which ends its thread and its listener for good.
    rustix::net::shutdown(&door, rustix::net::Shutdown::Both)?;

    Ok((server, stream))
}

const TICKET: &str = "skep-ticket";

const PROBE_WAIT: Duration = Duration::from_secs(10);

const REBUILD_PAUSE: Duration = Duration::from_millis(500);

const UNBLOCK_CALLS: usize = 256;
