// SPDX-License-Identifier: Apache-2.0 OR MIT
//! An upload in pieces, and which request may continue it.

use std::mem;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::error::{Error, ErrorKind, Result};
use crate::store::failure::unknown;
use crate::store::upload::intent::UploadIntent;
use crate::store::upload::journal::{UploadStage, UploadState};
use crate::store::upload::upload_files::UploadFiles;
use crate::threads::lock;

/// Makes a read of a request that holds an upload end, so that a newer one need not wait for it.
pub(crate) type Interrupt = Box<dyn Fn() + Send>;

/// One upload.
pub(crate) struct UploadEntry {
    pub(crate) files: UploadFiles,
    /// The number of the newest request.
    newest: AtomicU64,
    /// What ends the read of the request whose turn it is.
    interrupt: Mutex<Option<Interrupt>>,
    pub(crate) slot: Mutex<UploadSlot>,
    /// The slot changed, or there is a newer request.
    change: Condvar,
    /// The bytes that it occupies, or will.
    pub(crate) size: AtomicU64,
    /// Who began it.
    pub(crate) principal: Option<String>,
}

/// Where the state of an upload is.
pub(crate) enum UploadSlot {
    Free(Box<UploadState>),
    Taken,
    /// The upload was removed.
    Gone,
}

impl UploadEntry {
    /// One that is being begun, and will have so many bytes as far as is known.
    pub(crate) fn begun(files: UploadFiles, order: &UploadIntent) -> Self {
        let size = order.length.unwrap_or_default();
        Self::new(files, UploadSlot::Taken, size, order.principal.clone())
    }

    /// One that a process before has left.
    pub(crate) fn left(files: UploadFiles, state: Box<UploadState>) -> Self {
        let (size, principal) = (state.size(), state.order.principal.clone());
        Self::new(files, UploadSlot::Free(state), size, principal)
    }

    fn new(files: UploadFiles, slot: UploadSlot, size: u64, principal: Option<String>) -> Self {
        Self {
            files,
            newest: AtomicU64::new(0),
            interrupt: Mutex::default(),
            slot: Mutex::new(slot),
            change: Condvar::new(),
            size: AtomicU64::new(size),
            principal,
        }
    }

    /// Ends the request that has the state now, and takes it over; returns its number, too.
    pub(crate) fn take(&self) -> Result<(Box<UploadState>, u64)> {
        // The number is drawn before the interrupt, because the interrupted request looks at it to
        // learn why its read ended.
        let number = self.newest.fetch_add(1, Ordering::SeqCst) + 1;
        if let Some(interrupt) = lock(&self.interrupt).take() {
            interrupt();
        }

        let deadline = Instant::now() + TURN_WAIT;
        let mut slot = lock(&self.slot);

        // Requests that wait already wake up and see that they are no longer the newest one.
        self.change.notify_all();

        loop {
            if !self.is_newest(number) {
                return Err(superseded());
            }

            // The state moves out of the slot, so no two requests can have it; only `Gone` has to
            // be put back.
            match mem::replace(&mut *slot, UploadSlot::Taken) {
                UploadSlot::Free(state) => return Ok((state, number)),
                UploadSlot::Taken => {}
                UploadSlot::Gone => {
                    *slot = UploadSlot::Gone;
                    return Err(unknown());
                }
            }

            // A request in the middle of an fsync cannot be interrupted, so the wait has a bound.
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let text = "an earlier request for this upload is still running";
                return Err(Error::new(ErrorKind::Busy, text));
            }
            let waited = self.change.wait_timeout(slot, left);
            slot = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Gives the state back, or says that there is none any more.
    pub(crate) fn put(&self, state: Option<Box<UploadState>>) {
        *lock(&self.interrupt) = None;
        self.size.store(
            state.as_ref().map_or(0, |state| state.size()),
            Ordering::SeqCst,
        );
        *lock(&self.slot) = state.map_or(UploadSlot::Gone, UploadSlot::Free);
        self.change.notify_all();
    }

    /// Whether no newer request has come.
    pub(crate) fn is_newest(&self, number: u64) -> bool {
        self.newest.load(Ordering::SeqCst) == number
    }

    /// Has newer requests end the read of this one.
    pub(crate) fn set_interrupt(&self, interrupt: Option<Interrupt>) {
        *lock(&self.interrupt) = interrupt;
    }

    pub(crate) fn is_done(&self) -> bool {
        matches!(&*lock(&self.slot), UploadSlot::Free(state) if matches!(state.stage, UploadStage::Done(_)))
    }

    /// How long it has been idle; `None` while a request holds it.
    pub(crate) fn age(&self) -> Option<Duration> {
        match &*lock(&self.slot) {
            UploadSlot::Free(state) => Some(state.age()),
            _ => None,
        }
    }
}

/// What a request is told whose upload a newer one took over.
pub(crate) fn superseded() -> Error {
    Error::new(
        ErrorKind::Conflict,
        "a newer request has taken over this upload",
    )
}

/// How long a request waits for the one before it to give an upload up: that one may be in the middle
/// of an fsync on a slow card.
const TURN_WAIT: Duration = Duration::from_secs(10);
