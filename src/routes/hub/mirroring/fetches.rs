// SPDX-License-Identifier: Apache-2.0 OR MIT
//! All files on their way: one fetch for all who ask for the same bytes, a bounded number at a time.

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, Write as _};
use std::sync::{Arc, Mutex};

use crate::backoff::Backoff;
use crate::client::Upstream;
use crate::digest::Digest;
use crate::error::{Error, ErrorKind, Result};
use crate::routes::hub::mirroring::fetch::{Announced, Fetch, Started};
use crate::stop::Stop;
use crate::store::{ObjectRequest, ObjectUpload, Store};
use crate::text::counted;
use crate::threads::{lock, spawn};

/// All files on their way.
pub(super) struct Fetches {
    pub(super) upstream: Upstream,
    pub(super) store: Store,
    pub(super) stop: Stop,
    max: usize,
    state: Mutex<FetchesState>,
}

#[derive(Default)]
struct FetchesState {
    /// By the tags of their files; those that failed stay for a while with what they have.
    known: BTreeMap<String, Arc<Fetch>>,
    /// The order in which they failed.
    failed: VecDeque<String>,
    waiting: VecDeque<Arc<Fetch>>,
    running: usize,
}

/// What is done with a file that is here.
pub(super) type Arrived = dyn Fn(&Announced, Digest) + Send + Sync;

impl Fetches {
    pub(super) fn new(upstream: Upstream, store: Store, stop: Stop, max: usize) -> Self {
        Self {
            upstream,
            store,
            stop,
            max,
            state: Mutex::default(),
        }
    }

    /// The fetch of a file, which begins if there is none.
    ///
    /// # Errors
    /// `Busy` if too many wait already.
    pub(super) fn join(
        self: &Arc<Self>,
        announced: &Announced,
        path: &str,
        arrived: &Arc<Arrived>,
    ) -> Result<Arc<Fetch>> {
        let mut state = lock(&self.state);
        let known = state.known.get(&announced.tag).cloned();
        let rest = match known {
            Some(fetch) if !fetch.has_failed() => return Ok(fetch),
            Some(fetch) => fetch.take_rest(),
            None => None,
        };
        if state.waiting.len() >= WAITING_MAX {
            let text = "too many files are waited for from the upstream";
            return Err(Error::new(ErrorKind::Busy, text));
        }

        let fetch = Arc::new(Fetch::new(announced.clone(), path.to_owned(), rest));
        state.failed.retain(|tag| *tag != announced.tag);
        state
            .known
            .insert(announced.tag.clone(), Arc::clone(&fetch));
        state.waiting.push_back(Arc::clone(&fetch));
        if state.running < self.max {
            let (fetches, arrived) = (Arc::clone(self), Arc::clone(arrived));
            let thread = spawn("mirror", move || fetches.work(&*arrived));
            match thread {
                Ok(_) => state.running += 1,
                Err(error) if state.running == 0 => {
                    state.waiting.clear();
                    state.known.remove(&announced.tag);
                    return Err(Error::io("cannot start a thread", error));
                }
                // Those that run come to it.
                Err(_) => {}
            }
        }
        Ok(fetch)
    }

    /// Fetches what waits, until nothing does.
    fn work(&self, arrived: &Arrived) {
        loop {
            let next = {
                let mut state = lock(&self.state);
                let next = state.waiting.pop_front();
                if next.is_none() {
                    state.running -= 1;
                }
                next
            };
            let Some(fetch) = next else { return };
            self.run(&fetch, arrived);
        }
    }

    fn run(&self, fetch: &Arc<Fetch>, arrived: &Arrived) {
        let tag = &fetch.announced.tag;
        let mut started = fetch.take_rest();
        let fetched = self.fetch(fetch, &mut started);
        let outcome = fetched.and_then(|()| {
            let whole = started.take().ok_or_else(|| damaged(fetch))?;
            kept(fetch, whole)
        });

        match outcome {
            Ok(digest) => {
                arrived(&fetch.announced, digest);
                lock(&self.state).known.remove(tag);
                fetch.end(Ok(digest), None);
            }
            Err(error) => {
                log::warn!(
                    "mirror: {} did not come: {}",
                    fetch.path,
                    error.with_cause()
                );
                fetch.end(Err(error), started);
                let mut state = lock(&self.state);
                state.failed.push_back(tag.clone());
                if state.failed.len() > FAILED_MAX
                    && let Some(oldest) = state.failed.pop_front()
                {
                    state.known.remove(&oldest);
                }
            }
        }
    }

    /// Brings all bytes, in as many attempts as make progress.
    fn fetch(&self, fetch: &Fetch, started: &mut Option<Started>) -> Result<()> {
        let mut backoff = Backoff::new(ATTEMPTS);
        loop {
            let before = written(started.as_ref());
            let error = match self.attempt(fetch, started) {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            if written(started.as_ref()) > before {
                backoff.progressed();
            }
            let may_pass = matches!(
                error.kind(),
                ErrorKind::Unreachable | ErrorKind::Interrupted | ErrorKind::Busy
            );
            match backoff.next(error.retry_after()) {
                Ok(pause) if may_pass && !self.stop.is_stopped() => {
                    log::debug!("mirror: {} once more: {}", fetch.path, error.with_cause());
                    let _ = self.stop.wait_for(pause);
                }
                _ => return Err(error),
            }
        }
    }

    fn attempt(&self, fetch: &Fetch, started: &mut Option<Started>) -> Result<()> {
        let Announced { size, .. } = fetch.announced;
        let mut one = match started.take() {
            Some(one) => one,
            None => Started::new(self.begin(fetch)?, size),
        };
        let offset = one.upload.written();
        if offset == size {
            *started = Some(one);
            return Ok(());
        }

        let answer = self.upstream.fetch(&fetch.path, offset);
        let mut answer = match answer {
            Ok(answer) => answer,
            Err(error) => {
                *started = Some(one);
                return Err(error);
            }
        };
        let status = answer.status();
        let start = match status {
            206 => answer.field("content-range").and_then(range_start),
            200 => Some(0),
            _ => None,
        };
        match start {
            Some(start) if start == offset => {}
            // It does not go on, so what has come counts for nothing.
            Some(0) => {
                drop(one);
                one = Started::new(self.begin(fetch)?, size);
            }
            _ => {
                *started = Some(one);
                let text = format!("the upstream answers {status}");
                let kind = if status >= 500 || status == 429 {
                    ErrorKind::Busy
                } else {
                    ErrorKind::NotFound
                };
                return Err(Error::new(kind, text));
            }
        }

        let file = one.upload.reader()?;
        fetch.progress(one.upload.written(), Some(file));
        let copied = copy(fetch, answer.content(), &mut one, &self.stop);
        *started = Some(one);
        copied
    }

    fn begin(&self, fetch: &Fetch) -> Result<ObjectUpload> {
        self.store.begin_object(ObjectRequest {
            size: fetch.announced.size,
            digest: fetch.announced.digest(),
            sender: Some(SENDER.to_owned()),
        })
    }
}

fn written(started: Option<&Started>) -> u64 {
    started.map_or(0, |started| started.upload.written())
}

/// Copies what comes; a body that ends early is a broken connection.
fn copy(fetch: &Fetch, mut body: impl io::Read, one: &mut Started, stop: &Stop) -> Result<()> {
    let size = fetch.announced.size;
    let mut buffer = vec![0; COPY_BYTES];
    while one.upload.written() < size {
        if stop.is_stopped() {
            return Err(Error::new(ErrorKind::Interrupted, "the server stops"));
        }
        let count = match body.read(&mut buffer) {
            Ok(0) => {
                let text = "the upstream ended its answer early";
                return Err(Error::new(ErrorKind::Interrupted, text));
            }
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => {
                let text = "the connection with the upstream broke";
                return Err(Error::new(ErrorKind::Interrupted, text).because(error));
            }
        };
        one.git.update(&buffer[..count]);
        one.upload.write_all(&buffer[..count])?;
        fetch.progress(one.upload.written(), None);
    }
    Ok(())
}

/// Keeps a file whose bytes are those that were announced.
fn kept(fetch: &Fetch, whole: Started) -> Result<Digest> {
    let announced = &fetch.announced;
    if announced.digest().is_none() {
        let git = whole.git.finish();
        let found: String = git
            .as_ref()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        if found != announced.tag {
            return Err(damaged(fetch));
        }
    }
    whole.upload.keep()
}

fn damaged(fetch: &Fetch) -> Error {
    let text = format!(
        "the upstream sends other bytes than it announces: {} of {}",
        fetch.path,
        counted(fetch.announced.size, "byte")
    );
    Error::new(ErrorKind::Integrity, text)
}

/// Where the part of a 206 begins.
fn range_start(range: &str) -> Option<u64> {
    let (first, _) = range.strip_prefix("bytes ")?.split_once('-')?;
    first.parse().ok()
}

/// Whose objects they are until the mirror pins them.
const SENDER: &str = "the mirror";

/// Attempts in a row that bring nothing.
const ATTEMPTS: u32 = 5;

/// Files that wait for their turn.
const WAITING_MAX: usize = 1000;

/// Broken fetches whose bytes wait for somebody who asks again.
const FAILED_MAX: usize = 8;

/// Four TLS records.
const COPY_BYTES: usize = 64 * 1024;
