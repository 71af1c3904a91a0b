// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Bytes on their way to the end of an upload: written, digested, and made durable in steps.

use std::io::{self, Write};
use std::sync::atomic::Ordering;

use crate::digest::{Digest, Hasher};
use crate::disk::GrowingFile;
use crate::error::{Error, ErrorKind, Result};
use crate::store::failure::{check_digest, unstored};
use crate::store::upload::entry::{Interrupt, superseded};
use crate::store::upload::session::UploadSession;

/// How an append treats the bytes of a request that does not come to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AppendMode {
    /// What came of it stays.
    Kept,
    /// It counts only as a whole, and only with this digest.
    Whole(Digest),
}

/// What one request adds to an upload. What was not journalled when it is dropped counts for
/// nothing: the next request cuts it off.
pub(crate) struct UploadWriter<'a> {
    turn: &'a mut UploadSession,
    partial: GrowingFile,
    /// Has seen all bytes up to `end`, if it could from the start.
    hasher: Option<Hasher>,
    /// The digest that this piece must have, and what it has so far.
    expected: Option<(Digest, Hasher)>,
    end: u64,
}

impl UploadSession {
    /// Goes on where the upload stands. `interrupt` is called when a newer request comes.
    ///
    /// # Errors
    /// `Conflict` if one came already; those of the file system.
    pub(crate) fn append(
        &mut self,
        piece: AppendMode,
        interrupt: Option<Interrupt>,
    ) -> Result<UploadWriter<'_>> {
        let partial = self.open_for(interrupt)?;
        Ok(UploadWriter::new(self, partial, piece))
    }
}

impl<'a> UploadWriter<'a> {
    pub(crate) fn new(
        turn: &'a mut UploadSession,
        partial: GrowingFile,
        piece: AppendMode,
    ) -> Self {
        let (hasher, end) = (turn.state().hasher.clone(), turn.offset());

        // A piece with a digest of its own needs its own hasher: that of the upload has seen
        // earlier pieces.
        let expected = match piece {
            AppendMode::Kept => None,
            AppendMode::Whole(digest) => Some((digest, Hasher::new())),
        };

        Self {
            turn,
            partial,
            hasher,
            expected,
            end,
        }
    }

    /// How many bytes the upload still lacks, as far as that is known.
    pub(crate) fn room(&self) -> u64 {
        self.turn
            .order()
            .length
            .map_or(u64::MAX, |length| length.saturating_sub(self.end))
    }

    /// Writes all of these bytes; returns the new offset if a step of the journal is full. Never more
    /// than a step (or these bytes, if there are more) is written that is not journalled.
    ///
    /// # Errors
    /// `Conflict` if a newer request came; `BadRequest` for more than there is [`UploadWriter::room`] for;
    /// `NoSpace`; otherwise those of the file system.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<Option<u64>> {
        // A newer request may write to the same file from here on, so this one must stop.
        if !self.turn.is_newest() {
            return Err(superseded());
        }

        let count = bytes.len() as u64;
        if count > self.room() {
            let text = "more bytes arrived than the length of the upload";
            return Err(Error::new(ErrorKind::BadRequest, text));
        }

        // A known length was counted against the bound of all uploads before.
        if self.turn.order().length.is_none() {
            self.turn.check_growth(self.end + count)?;
        }

        let mut full = None;

        // The journal is written before these bytes, not after them, so that at most one step is
        // lost.
        if self.end + count > self.turn.offset().saturating_add(self.turn.step_bytes()) {
            full = self.end_step()?;

            // Others may have filled the disk since the last step.
            self.turn.check_reserve(self.end)?;
        }

        let mut rest = bytes;

        // A short write is no error, for example when the disk becomes full in the middle.
        while !rest.is_empty() {
            match self.partial.write(rest) {
                Ok(count) => {
                    let (written, left) = rest.split_at(count);
                    self.take_in(written);
                    rest = left;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if self.turn.made_room(&error) => {}
                Err(error) => return Err(unstored(error)),
            }
        }

        if self.end - self.turn.offset() >= self.turn.step_bytes() {
            full = self.end_step()?.or(full);
        }

        Ok(full)
    }

    /// Journals what has come; returns the new offset.
    fn end_step(&mut self) -> Result<Option<u64>> {
        if self.expected.is_some() || self.end == self.turn.offset() {
            return Ok(None);
        }
        self.journal()?;
        self.turn.tell_progress();
        Ok(Some(self.end))
    }

    /// Keeps what came of a request that did not come to its end, unless that counts only as a whole.
    /// Returns why it did not: for the given reason, or because a newer request ended it.
    pub(crate) fn cut(mut self, reason: Error) -> Error {
        if self.expected.is_some() {
            self.take_back();
        } else {
            // A full disk has no room for the journal either, so a few bytes of the piece are given
            // up for it.
            if reason.kind() == ErrorKind::NoSpace {
                self.make_room();
            }
            if let Err(error) = self.journal() {
                log::warn!("the last bytes of a piece cannot be stored: {error}");
                self.take_back();
            }
        }

        // A request that was interrupted sees a broken read; the true reason is the newer request.
        if self.turn.is_newest() {
            reason
        } else {
            superseded()
        }
    }

    /// Keeps the piece.
    ///
    /// # Errors
    /// `Integrity` if it has not the digest that it must have; otherwise those of the file system. The
    /// upload then ends where it was journalled last.
    pub(crate) fn finish(mut self) -> Result<()> {
        let checked = match self.expected.take() {
            Some((expected, hasher)) => check_digest(hasher.finish(), Some(&expected)),
            None => Ok(()),
        };
        let kept = checked.and_then(|()| self.journal());
        if kept.is_err() {
            self.take_back();
        }
        kept
    }

    /// Gives a full disk back what the journal needs to be written.
    fn make_room(&mut self) {
        let end = self.end.saturating_sub(ROOM_BYTES).max(self.turn.offset());
        if end < self.end && self.partial.cut(end).is_ok() {
            self.end = end;
            // It has seen more.
            self.hasher = None;
        }
    }

    /// Gives the disk back what is not journalled; else the next append would.
    fn take_back(&mut self) {
        if self.turn.state().is_journalled() {
            let _ = self.partial.cut(self.turn.offset());
        }
    }

    fn take_in(&mut self, bytes: &[u8]) {
        self.end += bytes.len() as u64;
        if let Some(hasher) = &mut self.hasher {
            hasher.update(bytes);
        }
        if let Some((_, hasher)) = &mut self.expected {
            hasher.update(bytes);
        }
    }

    /// Makes the bytes durable, then the offset.
    fn journal(&mut self) -> Result<()> {
        let old = self.turn.offset();
        if self.end == old {
            return Ok(());
        }

        // The bytes become durable before the offset: a power cut in between leaves bytes that
        // count for nothing, never an offset without its bytes.
        self.partial.sync().map_err(unstored)?;
        let files = self.turn.files();
        let state = self.turn.state_mut();
        state.offset = self.end;

        // Nobody was told the new offset yet, so the old one stays true.
        if let Err(error) = state.save(&files) {
            state.offset = old;
            return Err(unstored(error));
        }

        state.hasher = self.hasher.clone();
        let size = state.size();
        self.turn.entry().size.store(size, Ordering::SeqCst);

        Ok(())
    }
}

/// Two clusters of a large FAT volume.
const ROOM_BYTES: u64 = 64 * 1024;
