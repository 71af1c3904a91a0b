// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Sending what can be read only once. The end of a stream is no proof that it is whole: its producer may
//! have died. So an upload is completed by a decision of its own, and never by an end alone.
//!
//! The stream is read a piece at a time, and no request is open while its producer thinks.

use std::sync::Arc;

use crate::client::Client;
use crate::client::api::answers;
use crate::client::retry::{self, Retry};
use crate::client::single_pass::{Outcome, Stored, verified};
use crate::client::transfer::{Changes, TransferEvent, TransferEvents, TransferOptions};
use crate::client::upload::local_file::LocalStamp;
use crate::client::upload::outgoing::Outgoing;
use crate::client::upload::parts::PartsState;
use crate::client::upload::pieces::{
    Appended, PIECE_BYTES_MIN, Piece, intent_fields, smaller_piece,
};
use crate::client::upload::piping::{Paced, Piped, Piping};
use crate::client::upload::remembered::{Ledger, RememberedUpload};
use crate::client::upload::upload_path::UploadPath;
use crate::digest::Digest;
use crate::digest::Hasher;
use crate::error::{Error, ErrorKind, Result};
use crate::model::{Model, ModelName};

impl Client {
    /// Sends what can be read only once as a model. It is published only after the end of the source,
    /// if its length and digest are those announced, `input.complete` agrees, and the client is not
    /// stopped. A source may pause for as long as it likes.
    ///
    /// # Errors
    /// As [`Client::put_file`]; `Integrity` if the source is not what was announced, `Usage` if it is
    /// empty and may not be, and those of the source and of `input.complete`. Nothing is published then.
    pub fn put_piped(
        &mut self,
        name: &ModelName,
        input: Piped<'_>,
        options: &TransferOptions,
        events: TransferEvents<'_>,
    ) -> Result<Stored> {
        if let (Changes::Required, Some(digest)) = (options.changes, input.digest)
            && let Some(model) = self.same(name, digest)?
        {
            return Ok(unchanged(model, digest));
        }

        events(TransferEvent::Started {
            size: input.length,
            at: 0,
        });

        let mut piping = Piping {
            name,
            input,
            options,
            pace: self.pace.clone(),
            hasher: Hasher::new(),
            piece: Vec::new(),
            start: 0,
            is_end: false,
            piece_max: self.piece_max(),
            location: None,
            is_unsure: false,
            is_lost: false,
            read: 0,
            sent: 0,
        };

        piping.fill(events)?;

        // All of it is in memory, so that one request does, and can be sent again.
        if piping.is_end {
            self.agree(&mut piping)?;
            let digest = piping.digest();
            if options.changes == Changes::Required
                && let Some(model) = self.same(name, digest)?
            {
                return Ok(unchanged(model, digest));
            }
            if let Some(stored) = self.put_held(&mut piping, events)? {
                return Ok(stored);
            }
        }

        if !self.takes_parts(name)? {
            return self.put_chunks(&mut piping, events);
        }

        let fields = intent_fields(options.replaces, options.signature.as_ref());
        let Some(location) = self.begin_upload(name, piping.input.length, &fields)? else {
            return self.put_chunks(&mut piping, events);
        };

        let mut ledger = Ledger::open(self.home.as_deref(), &self.identity(), name);
        self.replace_remembered(&mut ledger, &location);
        let path = location.to_string();
        piping.location = Some(location);

        let result = self.put_pieces(&mut piping, events);
        if result.is_err() {
            // The upload cannot be continued: nobody can read its source again.
            let _ = self.exchange_again(|| self.builder(ureq::http::Method::DELETE, &path));
        }
        // What a stopped client leaves behind is removed by the next upload of this name.
        if !self.stop.is_stopped() {
            ledger.clear();
        }
        result
    }

    /// Remembers an upload, and gives up what an earlier one under this name left on the server.
    fn replace_remembered(&self, ledger: &mut Ledger, location: &UploadPath) {
        if let Some(left) = ledger.read() {
            let path = left.location.to_string();
            let _ = self.exchange_again(|| self.builder(ureq::http::Method::DELETE, &path));
        }

        // No file has such a stamp, so no upload of a file goes on here.
        let stamp = LocalStamp {
            size: 0,
            modified: 0,
            inode: 0,
        };
        ledger.write(&RememberedUpload {
            location: location.clone(),
            stamp,
        });
    }

    /// The decision to complete, at the end of the source.
    ///
    /// # Errors
    /// Whatever speaks against it.
    pub(super) fn agree(&self, piping: &mut Piping<'_, '_>) -> Result<()> {
        piping.check_announced()?;
        (piping.input.complete)()?;
        if self.stop.is_stopped() {
            return Err(retry::stopped());
        }
        Ok(())
    }

    /// Sends a stream piece by piece.
    fn put_pieces(
        &mut self,
        piping: &mut Piping<'_, '_>,
        events: TransferEvents<'_>,
    ) -> Result<Stored> {
        let mut retries = Retry::new(piping.options.retries);
        retries.met();

        loop {
            if let Some(stored) = self.put_piece(piping, &mut retries, events)? {
                return Ok(stored);
            }
            piping.next();
            piping.fill(events)?;
            if piping.is_end {
                self.agree(piping)?;
            }
        }
    }

    /// Sends the piece in memory, as often as it takes.
    fn put_piece(
        &mut self,
        piping: &mut Piping<'_, '_>,
        retries: &mut Retry,
        events: TransferEvents<'_>,
    ) -> Result<Option<Stored>> {
        let end = piping.start + piping.piece.len() as u64;
        let mut offset = piping.start;

        loop {
            let before = offset;
            let error = match self.append_piped(piping, &mut offset, events) {
                Ok(Some(stored)) => return Ok(Some(stored)),
                Ok(None) if offset == end && !piping.is_end => return Ok(None),
                Ok(None) => continue,
                Err(error) => error,
            };
            if self.stop.is_stopped() {
                return Err(retry::stopped());
            }
            if piping.is_lost {
                return Err(error);
            }
            if offset > before {
                retries.progressed();
            }

            let (pause, error) = retries.after(error)?;
            events(TransferEvent::Retrying {
                pause,
                error: &error,
            });
            retry::pause(pause, &self.stop)?;
            // What was sent is no measure of what arrived, so the server is asked.
            piping.is_unsure = true;
        }
    }

    /// Sends the rest of the piece from `offset` on, once.
    fn append_piped(
        &mut self,
        piping: &mut Piping<'_, '_>,
        offset: &mut u64,
        events: TransferEvents<'_>,
    ) -> Result<Option<Stored>> {
        let end = piping.start + piping.piece.len() as u64;
        let location = piping.location.clone().ok_or_else(answers::not_skep)?;
        if piping.is_unsure {
            match self.state(&location)? {
                PartsState::At(at) if (piping.start..=end).contains(&at) => *offset = at,
                // Gone may mean done: the model may have been published, and only the answer was lost.
                PartsState::Gone if piping.is_end => {
                    let digest = piping.digest();
                    let same = self.same(piping.name, digest)?;
                    piping.is_lost = same.is_none();
                    let model = same.ok_or_else(lost)?;
                    return Ok(Some(piping.stored(model, digest, None)));
                }
                _ => {
                    piping.is_lost = true;
                    return Err(lost());
                }
            }
            piping.is_unsure = false;
        }

        let left = end - *offset;
        // Where only the answer to the last bytes was lost, an empty piece completes the upload.
        if left == 0 && !piping.is_end {
            return Ok(None);
        }

        let piece = Piece {
            location: &location,
            offset: *offset,
            length: left.min(piping.piece_max),
            is_last: piping.is_end && left <= piping.piece_max,
            digest: piping.is_end.then(|| piping.digest()),
        };
        let from = usize::try_from(*offset - piping.start).unwrap_or_default();
        let mut source = Paced {
            bytes: &piping.piece[from..],
            pace: &piping.pace,
        };
        let (at, mut done) = (*offset, 0);
        let mut progress = |count| {
            done += count;
            events(TransferEvent::Progress(at + done));
        };

        let early = Arc::clone(&self.shared.early);
        let body = Outgoing::new(&mut source, Some(piece.length), &early, &mut progress);
        let result = self.send_piece(&piece, &mut body.unhashed());
        let length = piece.length;
        piping.sent += done;

        match result? {
            Appended::Model(model, outcome) => {
                let digest = piping.digest();
                verified(piping.name, &model, digest)?;
                Ok(Some(piping.stored(model, digest, Some(outcome))))
            }
            Appended::Kept => {
                *offset += length;
                Ok(None)
            }
            Appended::TooLargeForTheWay(error) => {
                piping.piece_max = smaller_piece(length, error)?;
                Ok(None)
            }
        }
    }

    /// Sends a model that is in memory as a whole, as often as it takes; `None` if it has to be sent in
    /// pieces.
    fn put_held(
        &mut self,
        piping: &mut Piping<'_, '_>,
        events: TransferEvents<'_>,
    ) -> Result<Option<Stored>> {
        let digest = piping.digest();
        let size = piping.piece.len() as u64;
        let options = piping.options;
        let mut fields = intent_fields(options.replaces, options.signature.as_ref());
        fields.push(("repr-digest", digest.field()));
        let mut retries = Retry::new(options.retries);

        loop {
            let early = Arc::clone(&self.shared.early);
            let (before, mut done) = (piping.sent, 0);
            let mut progress = |count| {
                done += count;
                events(TransferEvent::Progress(done));
            };
            let mut source = Paced {
                bytes: &piping.piece,
                pace: &piping.pace,
            };
            let body = Outgoing::new(&mut source, Some(size), &early, &mut progress);
            let result = self.put_body(piping.name, &mut body.unhashed(), Some(size), &fields);
            piping.sent += done;

            let error = match result {
                Ok((model, outcome)) => {
                    verified(piping.name, &model, digest)?;
                    return Ok(Some(piping.stored(model, digest, Some(outcome))));
                }
                Err(error) => error,
            };
            if self.stop.is_stopped() {
                return Err(retry::stopped());
            }

            // The answer to an attempt before this one may have been lost.
            let is_ours = error.kind() == ErrorKind::PreconditionFailed && before > 0;
            if is_ours && let Some(model) = self.same(piping.name, digest)? {
                return Ok(Some(piping.stored(model, digest, None)));
            }

            // A proxy may refuse what the server would take: then it gets there in pieces.
            let is_large = error.kind() == ErrorKind::TooLarge && size > PIECE_BYTES_MIN;
            if is_large && self.takes_parts(piping.name)? {
                piping.piece_max = smaller_piece(size, error)?;
                return Ok(None);
            }

            let (pause, error) = retries.after(error)?;
            events(TransferEvent::Retrying {
                pause,
                error: &error,
            });
            retry::pause(pause, &self.stop)?;
        }
    }
}

fn unchanged(model: Model, digest: Digest) -> Stored {
    Stored {
        model,
        digest,
        outcome: Outcome::Unchanged,
        sent: 0,
        resumed_at: None,
    }
}

fn lost() -> Error {
    Error::new(
        ErrorKind::Interrupted,
        "the server has lost a part of the upload, and the input cannot be read again; nothing was published",
    )
    .hint("send it again")
}
