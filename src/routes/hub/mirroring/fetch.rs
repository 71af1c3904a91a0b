// SPDX-License-Identifier: Apache-2.0 OR MIT
//! One file on its way from the upstream: how far it is, and what came of it.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use ring::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY};

use crate::digest::Digest;
use crate::error::{Error, ErrorKind, Result};
use crate::store::ObjectUpload;
use crate::threads::lock;

/// A file as the tree of its commit announces it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Announced {
    /// The SHA-256 of a file of Git LFS, or what git computes of another one: both name the bytes for ever.
    pub(super) tag: String,
    pub(super) size: u64,
}

impl Announced {
    /// The SHA-256, if that is what is announced.
    pub(super) fn digest(&self) -> Option<Digest> {
        self.tag.parse().ok()
    }
}

/// A file on its way.
pub(super) struct Fetch {
    pub(super) announced: Announced,
    /// The path of the file at the upstream.
    pub(super) path: String,
    state: Mutex<FetchState>,
    changed: Condvar,
}

#[derive(Default)]
struct FetchState {
    written: u64,
    file: Option<File>,
    end: Option<std::result::Result<Digest, (ErrorKind, String)>>,
    /// What there is of it, for the next attempt.
    rest: Option<Started>,
}

/// Bytes of a file that have come, and what git computes of them.
pub(super) struct Started {
    pub(super) upload: ObjectUpload,
    pub(super) git: Context,
}

impl Started {
    pub(super) fn new(upload: ObjectUpload, size: u64) -> Self {
        // As git hashes a blob.
        let mut git = Context::new(&SHA1_FOR_LEGACY_USE_ONLY);
        git.update(format!("blob {size}\0").as_bytes());
        Self { upload, git }
    }
}

impl Fetch {
    pub(super) fn new(announced: Announced, path: String, rest: Option<Started>) -> Self {
        let state = FetchState {
            rest,
            ..FetchState::default()
        };
        Self {
            announced,
            path,
            state: Mutex::new(state),
            changed: Condvar::new(),
        }
    }

    /// What an attempt before has left.
    pub(super) fn take_rest(&self) -> Option<Started> {
        lock(&self.state).rest.take()
    }

    /// Tells readers that so many bytes are in a file.
    pub(super) fn progress(&self, written: u64, file: Option<File>) {
        let mut state = lock(&self.state);
        state.written = written;
        if file.is_some() {
            state.file = file;
        }
        self.changed.notify_all();
    }

    /// Tells readers how it ended; what has come may be left for the next attempt.
    pub(super) fn end(&self, outcome: Result<Digest>, rest: Option<Started>) {
        let mut state = lock(&self.state);
        let told = |error: Error| (error.kind(), error.message().to_owned());
        state.end = Some(outcome.map_err(told));
        state.rest = rest;
        self.changed.notify_all();
    }

    /// Whether it has ended, and was no success.
    pub(super) fn has_failed(&self) -> bool {
        matches!(lock(&self.state).end, Some(Err(_)))
    }

    /// Reads at a place, once bytes of it are there. The last byte comes when all of them have proven to be right.
    ///
    /// # Errors
    /// Those of the file, and why the fetch has failed.
    pub(super) fn read_at(&self, buffer: &mut [u8], place: u64) -> io::Result<usize> {
        let mut state = lock(&self.state);
        loop {
            if let Some(Err((kind, text))) = &state.end {
                return Err(Error::new(*kind, text.clone()).into());
            }
            let is_whole = matches!(state.end, Some(Ok(_)));
            let readable = if is_whole {
                self.announced.size
            } else {
                state.written.min(self.announced.size.saturating_sub(1))
            };
            if place < readable
                && let Some(file) = &state.file
            {
                let count = usize::try_from(readable - place).unwrap_or(usize::MAX);
                let count = count.min(buffer.len());
                let file = file.try_clone()?;
                drop(state);
                return file.read_at(&mut buffer[..count], place);
            }
            if is_whole {
                return Ok(0);
            }
            let waited = self.changed.wait_timeout(state, LOOK_AGAIN);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// In case that nobody wakes a reader.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
