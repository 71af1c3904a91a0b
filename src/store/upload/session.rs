// SPDX-License-Identifier: Apache-2.0 OR MIT
//! One request's turn at an upload that comes in pieces: it appends, completes or removes it.
//!
//! Invariant: an offset that was told to anybody is durable and never taken back.

use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::digest::{Digest, Hasher};
use crate::disk::{FilePlace, GrowingFile};
use crate::error::{Error, ErrorKind, Result};
use crate::event::Happening;
use crate::store::claim::{BytesOrigin, Claim, NewBytes, Published, StagedBytes};
use crate::store::failure::unstored;
use crate::store::store_handle::Store;
use crate::store::upload::entry::{Interrupt, UploadEntry, superseded};
use crate::store::upload::intent::UploadIntent;
use crate::store::upload::journal::{UploadStage, UploadState};
use crate::store::upload::pending::log_failure;
use crate::store::upload::upload_files::{UploadFiles, UploadId};
use crate::text::counted;

/// The right to change an upload, until it is dropped or a newer request takes over.
pub(crate) struct UploadSession {
    store: Store,
    id: UploadId,
    entry: Arc<UploadEntry>,
    state: Box<UploadState>,
    fate: SessionEnd,
    number: u64,
}

/// What the next request finds.
#[derive(PartialEq)]
enum SessionEnd {
    Kept,
    Gone,
}

impl UploadSession {
    pub(crate) fn new(
        store: Store,
        id: UploadId,
        entry: Arc<UploadEntry>,
        state: Box<UploadState>,
        number: u64,
    ) -> Self {
        Self {
            store,
            id,
            entry,
            state,
            fate: SessionEnd::Kept,
            number,
        }
    }

    /// The name of the upload.
    pub(crate) fn id(&self) -> UploadId {
        self.id
    }

    /// What it is to become.
    pub(crate) fn order(&self) -> &UploadIntent {
        &self.state.order
    }

    /// How many bytes of it are durable.
    pub(crate) fn offset(&self) -> u64 {
        self.state.offset
    }

    /// The digest of the model that it has become.
    pub(crate) fn done(&self) -> Option<Digest> {
        match self.state.stage {
            UploadStage::Done(digest) => Some(digest),
            _ => None,
        }
    }

    /// Whether the upload is a model or removed, so that nothing can be done with it any more.
    pub(crate) fn is_over(&self) -> bool {
        self.fate == SessionEnd::Gone || self.done().is_some()
    }

    /// For how long it is kept if nothing is done with it.
    pub(crate) fn left(&self) -> Duration {
        self.store
            .catalog()
            .options
            .upload_age_max
            .saturating_sub(self.state.age())
    }

    /// Adds to the order what a later request told; it is durable then.
    ///
    /// # Errors
    /// `NoSpace` if a length does not fit, `BadRequest` for another digest than was given before;
    /// otherwise those of the file system.
    pub(crate) fn amend(&mut self, length: Option<u64>, digest: Option<Digest>) -> Result<()> {
        // A length that is known already stays as it is; only a missing one can be added.
        let order = &self.state.order;
        let changed = UploadIntent {
            length: order.length.or(length),
            digest: Digest::agreed(order.digest, digest)?,
            ..order.clone()
        };

        if changed == *order {
            return Ok(());
        }

        // An upload of unknown length reserved no space when it began, so the space is checked now.
        if let Some(length) = changed.length.filter(|_| order.length.is_none()) {
            self.check_growth(length)?;
            self.store
                .catalog()
                .check_space(length.saturating_sub(self.offset()))?;
        }

        // Memory and journal say the same: a failure takes the change back.
        let old = std::mem::replace(&mut self.state.order, changed);

        if let Err(error) = self.state.save(&self.entry.files) {
            self.state.order = old;
            return Err(unstored(error));
        }

        self.entry.size.store(self.state.size(), Ordering::SeqCst);

        Ok(())
    }

    /// Opens the bytes to append to them. `interrupt` is called when a newer request comes.
    ///
    /// # Errors
    /// `Conflict` if one came already; those of the file system.
    pub(crate) fn open_for(&mut self, interrupt: Option<Interrupt>) -> Result<GrowingFile> {
        self.entry.set_interrupt(interrupt);

        if !self.is_newest() {
            return Err(superseded());
        }
        self.open()
    }

    /// Makes the upload the model it was ordered to be. It is over then, unless that failed for a
    /// reason that may pass: then all bytes stay, and this can be tried again.
    ///
    /// # Errors
    /// As [`Upload::commit`](super::Upload::commit).
    pub(crate) fn commit(&mut self) -> Result<Published> {
        // From here on, a newer request waits for this one instead of interrupting it.
        self.entry.set_interrupt(None);
        let result = self.publish();
        if result.is_ok() {
            self.store
                .catalog()
                .events
                .upload(|| Happening::UploadEnded {
                    name: self.order().name.clone(),
                    size: self.offset(),
                });
        }

        if let Err(error) = &result {
            // Wrong bytes stay wrong however often this is tried again, but a full disk can be
            // emptied.
            let may_pass = matches!(error.kind(), ErrorKind::Internal | ErrorKind::NoSpace);
            // A failure of the very last fsync leaves the bytes under their new name.
            if !may_pass || !self.has_bytes() {
                log_failure(self.discard());
            }
        }

        result
    }

    /// Removes the upload.
    ///
    /// # Errors
    /// Those of the file system.
    pub(crate) fn remove(mut self) -> Result<()> {
        self.discard().map_err(unstored)
    }

    fn publish(&mut self) -> Result<Published> {
        let (offset, order) = (self.offset(), self.order().clone());

        if let Some(length) = order.length.filter(|length| *length != offset) {
            let text = format!(
                "the upload ended after {offset} of {}",
                counted(length, "byte")
            );
            return Err(Error::new(ErrorKind::BadRequest, text));
        }

        let partial = self.open()?;

        // After a restart there is no hasher, and all bytes are read again.
        let hasher = match self.state.hasher.take() {
            Some(hasher) => hasher,
            None => partial
                .rewound()
                .and_then(Hasher::of_reader)
                .map_err(unstored)?,
        };

        // It is kept, because a failure below may leave an upload that is completed by another
        // request.
        self.state.hasher = Some(hasher.clone());
        let digest = hasher.finish();

        let UploadIntent {
            name,
            condition,
            metadata,
            digest: expected,
            signature,
            ..
        } = &order;

        let claim = Claim {
            name,
            size: offset,
            digest,
            expected: expected.as_ref(),
            condition,
            metadata,
            signature: signature.as_ref(),
            origin: BytesOrigin::Upload,
        };

        let store = self.store.clone();
        let bytes = AllPieces {
            partial,
            digest,
            session: self,
        };
        let published = match order.change {
            Some(change) => store.stage(change, bytes, &claim),
            None => store.publish(bytes, &claim),
        };

        // The model is there, so its upload is done, whatever becomes of the note of it.
        let stage = match published {
            Ok(_) => UploadStage::Done(digest),
            // What was refused before anything was written needs no note.
            Err(_) if self.state.stage == UploadStage::Open => return published,
            Err(_) => UploadStage::Open,
        };

        if let Err(error) = self.set_stage(stage) {
            log::warn!("the journal of an upload cannot be written: {error}");
        }

        published
    }

    /// The bytes, cut to what was journalled.
    fn open(&mut self) -> Result<GrowingFile> {
        // What the disk says must not be more than what is about to be left there.
        self.state.save_again(&self.entry.files).map_err(unstored)?;
        let place = self.entry.files.bytes().map_err(unstored)?;
        GrowingFile::open(&place, self.offset()).map_err(unstored)
    }

    fn set_stage(&mut self, stage: UploadStage) -> std::io::Result<()> {
        let old = std::mem::replace(&mut self.state.stage, stage);
        let saved = self.state.save(&self.entry.files);
        if saved.is_err() && matches!(stage, UploadStage::Finishing(_)) {
            self.state.stage = old;
        }
        saved
    }

    /// Gives up an upload that can come to nothing.
    fn discard(&mut self) -> std::io::Result<()> {
        self.fate = SessionEnd::Gone;
        let catalog = self.store.catalog();
        catalog.pending.forget(self.id);
        catalog.events.upload(|| Happening::UploadAbandoned {
            name: self.order().name.clone(),
            received: self.offset(),
            reason: "it was cancelled or cannot be completed",
        });
        self.entry.files.remove()
    }

    /// Tells how far the upload is.
    pub(crate) fn tell_progress(&self) {
        self.store
            .catalog()
            .events
            .upload(|| Happening::UploadProgressed {
                name: self.order().name.clone(),
                received: self.offset(),
                size: self.order().length,
            });
    }

    pub(crate) fn is_newest(&self) -> bool {
        self.entry.is_newest(self.number)
    }

    /// Whether an upload of unknown length may become so large.
    pub(crate) fn check_growth(&self, size: u64) -> Result<()> {
        let catalog = self.store.catalog();
        catalog
            .pending
            .check_growth(self.id, self.order(), size, &catalog.options)
    }

    /// Whether old versions have given way on a disk that is full.
    pub(crate) fn made_room(&self, error: &std::io::Error) -> bool {
        self.store.catalog().made_room(error)
    }

    /// Whether an upload that has so many bytes leaves the reserve of the disk alone.
    pub(crate) fn check_reserve(&self, size: u64) -> Result<()> {
        self.store.check_growth(size, self.order().length)
    }

    /// After how many bytes the journal is written.
    pub(crate) fn step_bytes(&self) -> u64 {
        self.store.catalog().options.upload_sync_bytes.max(1)
    }

    pub(crate) fn files(&self) -> UploadFiles {
        self.entry.files.clone()
    }

    fn has_bytes(&self) -> bool {
        let bytes = self.entry.files.bytes();
        bytes.is_ok_and(|place| place.exists())
    }

    pub(crate) fn entry(&self) -> &UploadEntry {
        &self.entry
    }

    pub(crate) fn state(&self) -> &UploadState {
        &self.state
    }

    pub(crate) fn state_mut(&mut self) -> &mut UploadState {
        &mut self.state
    }
}

/// All bytes of an upload, about to become a model.
struct AllPieces<'a> {
    partial: GrowingFile,
    digest: Digest,
    session: &'a mut UploadSession,
}

impl NewBytes for AllPieces<'_> {
    fn content(&mut self) -> std::io::Result<File> {
        self.partial.rewound()
    }

    fn settle(&mut self) -> std::io::Result<()> {
        self.partial.sync()?;

        // A power cut between the rename and the last line of the journal leaves no bytes under the
        // old name; with this line, the next start knows that they were published and not lost.
        self.session.set_stage(UploadStage::Finishing(self.digest))
    }

    fn publish(self, target: &FilePlace) -> std::io::Result<File> {
        self.partial.take_mode_of(target);
        self.partial.publish(target)
    }
}

impl StagedBytes for AllPieces<'_> {
    fn has_journal(&self) -> bool {
        true
    }

    fn stage(self, target: &FilePlace) -> std::io::Result<File> {
        self.partial.move_to(target)
    }
}

impl Drop for UploadSession {
    fn drop(&mut self) {
        self.entry
            .put((self.fate == SessionEnd::Kept).then(|| self.state.clone()));
    }
}
