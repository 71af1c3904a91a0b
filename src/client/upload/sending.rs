// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Sending a file as a model, from where an earlier attempt stopped (draft-ietf-httpbis-resumable-upload).
//!
//! The upload is created without a byte, so that its address is known before anything can get lost,
//! and then the bytes are appended. Servers that do not take uploads in parts say so by not naming
//! their limits to `OPTIONS`; they get one plain PUT.

use std::fs::File;
use std::sync::Arc;

use ureq::http::header::{CONTENT_LENGTH, ETAG};
use ureq::http::{Method, StatusCode};

use crate::client::Client;
use crate::client::api::answers;
use crate::client::connection::TransferRate;
use crate::client::model_path::model_path;
use crate::client::retry::{self, Retry};
use crate::client::single_pass::{Outcome, Stored, verified};
use crate::client::transfer::{Changes, Replaces, TransferEvent, TransferEvents, TransferOptions};
use crate::client::upload::local_file::Local;
use crate::client::upload::outgoing::Outgoing;
use crate::client::upload::pieces::{
    PIECE_BYTES_MIN, intent_fields, modified_field, smaller_piece,
};
use crate::client::upload::remembered::{Ledger, RememberedUpload};
use crate::client::upload::upload_path::UploadPath;
use crate::digest::Digest;
use crate::error::{ErrorKind, Result};
use crate::model::{Model, ModelName};
use crate::signature::Signature;

/// A file on its way, over several attempts.
pub(crate) struct Sending<'a> {
    pub(crate) name: &'a ModelName,
    pub(crate) local: Local<'a>,
    pub(crate) replaces: Replaces,
    pub(crate) signature: Option<&'a Signature>,
    pub(crate) pace: TransferRate,
    pub(crate) way: UploadWay,
    /// How many bytes one request may bring.
    pub(crate) piece_max: u64,
    ledger: Ledger,
    /// The upload on the server.
    pub(crate) location: Option<UploadPath>,
    /// How much the server has for sure.
    pub(crate) acknowledged: u64,
    /// Bytes sent in all attempts.
    pub(crate) sent: u64,
    pub(crate) resumed_at: Option<u64>,
}

/// How a file is sent.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum UploadWay {
    /// That has to be found out.
    Unknown,
    /// At once.
    Whole,
    /// In parts.
    Parts,
}

impl Client {
    /// Sends a file as a model. A large one is sent so that a cut loses nothing that the server has:
    /// the next call with the same file goes on there, also from another process, after a restart of
    /// either side, and at another address of the server.
    ///
    /// # Errors
    /// `PreconditionFailed` if the model to be replaced is not what `options` say, `Integrity` if the
    /// server has other bytes afterwards than were sent, and those of the connection, of the server and
    /// of the file.
    pub fn put_file(
        &mut self,
        name: &ModelName,
        file: &File,
        options: &TransferOptions,
        events: TransferEvents<'_>,
    ) -> Result<Stored> {
        let local = Local::new(file)?;
        let way = if local.stamp().size > PARTS_BYTES {
            UploadWay::Unknown
        } else {
            UploadWay::Whole
        };

        let mut sending = Sending {
            name,
            local,
            replaces: options.replaces,
            signature: options.signature.as_ref(),
            pace: self.pace.clone(),
            way,
            piece_max: self.piece_max(),
            ledger: Ledger::none(),
            location: None,
            acknowledged: 0,
            sent: 0,
            resumed_at: None,
        };

        let mut retries = self.retry(options.retries);

        loop {
            let (before, sent) = (sending.acknowledged, sending.sent);
            let error = match self.put_once(&mut sending, options.changes, &mut retries, events) {
                Ok(stored) => {
                    sending.ledger.clear();
                    return Ok(stored);
                }
                Err(error) => error,
            };
            if sending.acknowledged > before {
                retries.progressed();
            }
            let is_ours =
                error.kind() == ErrorKind::PreconditionFailed && sent >= sending.local.stamp().size;
            if is_ours {
                // The answer to an attempt before this one may have been lost.
                let digest = sending.local.digest()?;
                if let Some(model) = self.same(name, digest)? {
                    return Ok(sending.stored(model, digest, sending.outcome()));
                }
            }

            // Otherwise the server would keep bytes of an upload that cannot succeed until they expire.
            if is_final(error.kind()) {
                self.abandon(&mut sending);
            }

            if self.stop.is_stopped() {
                return Err(retry::stopped());
            }
            let (pause, error) = retries.after(error)?;
            events(TransferEvent::Retrying {
                pause,
                error: &error,
            });
            retry::pause(pause, &self.stop)?;

            // Bytes of two states of the file must never become one model.
            if sending.local.refresh()? {
                events(TransferEvent::Restarted {
                    reason: "the file was changed",
                });
                self.abandon(&mut sending);
            }
        }
    }

    fn put_once(
        &mut self,
        sending: &mut Sending<'_>,
        changes: Changes,
        retry: &mut Retry,
        events: TransferEvents<'_>,
    ) -> Result<Stored> {
        // Once bytes were sent, the question is what the server has of this upload.
        if changes == Changes::Required && sending.sent == 0 {
            // The file is read for its digest only where its length is that of the model.
            let there = self.there(sending.name)?;
            let there = there.filter(|model| model.size == sending.local.stamp().size);
            if let Some(model) = there {
                let digest = sending.local.digest()?;
                if model.digest == Some(digest) {
                    return Ok(sending.stored(model, digest, Outcome::Unchanged));
                }
            }
        }

        if sending.way == UploadWay::Unknown {
            self.discover(sending)?;
            retry.met();
        }

        if sending.way == UploadWay::Parts {
            return self.put_parts(sending, retry, events);
        }

        let error = match self.put_whole(sending, events) {
            Err(error) if error.kind() == ErrorKind::TooLarge => error,
            result => return result,
        };

        // A proxy may refuse what the server would take: then it gets there in pieces.
        if sending.local.stamp().size <= PIECE_BYTES_MIN {
            return Err(error);
        }
        self.discover(sending)?;
        if sending.way != UploadWay::Parts {
            return Err(error);
        }
        sending.piece_max = smaller_piece(sending.local.stamp().size, error)?;
        self.put_parts(sending, retry, events)
    }

    /// Finds out how the server takes files, and whether it has a part of this one.
    fn discover(&mut self, sending: &mut Sending<'_>) -> Result<()> {
        if !self.takes_parts(sending.name)? {
            sending.way = UploadWay::Whole;
            return Ok(());
        }

        sending.way = UploadWay::Parts;
        // An upload into a change set must not go on as one of the model itself.
        let target = match &self.change {
            Some(change) => format!("{}\n{change}", self.identity()),
            None => self.identity(),
        };
        sending.ledger = Ledger::open(self.home.as_deref(), &target, sending.name);
        let Some(entry) = sending.ledger.read() else {
            return Ok(());
        };

        // An upload of an older state of the file is of no use, but its path is needed to cancel it.
        let is_same = entry.stamp == sending.local.stamp();
        sending.location = Some(entry.location);
        if !is_same {
            self.abandon(sending);
        }

        Ok(())
    }

    /// Whether the server takes uploads in parts.
    ///
    /// # Errors
    /// Those of the connection, and of a server that is in trouble.
    pub(crate) fn takes_parts(&self, name: &ModelName) -> Result<bool> {
        let path = self.upload_target(name);
        let response = self.exchange_again(|| self.builder(Method::OPTIONS, &path))?;
        // A server in trouble says nothing about what it can do. 501 means that it has no OPTIONS, so it
        // does not take parts either.
        if response.status().is_server_error() && response.status() != StatusCode::NOT_IMPLEMENTED {
            return Err(answers::refusal(response));
        }

        Ok(response.headers().contains_key("upload-limit"))
    }

    /// What a server is recognised by, wherever it is.
    pub(crate) fn identity(&self) -> String {
        match self.shared.pin() {
            Some(pin) => pin.to_string(),
            None => self.url.to_string(),
        }
    }

    /// Gives an upload up that is of no use any more.
    pub(crate) fn abandon(&mut self, sending: &mut Sending<'_>) {
        sending.forget();
        if let Some(location) = sending.location.take() {
            // If that fails, the server removes it in time.
            let _ = self.exchange_again(|| self.builder(Method::DELETE, &location.to_string()));
        }
    }

    /// The model on the server, if it has these bytes.
    pub(crate) fn same(&mut self, name: &ModelName, digest: Digest) -> Result<Option<Model>> {
        let there = self.there(name)?;
        Ok(there.filter(|model| model.digest == Some(digest)))
    }

    /// The model that the server has under a name, if it tells its length, its time and its digest.
    fn there(&mut self, name: &ModelName) -> Result<Option<Model>> {
        // What a change set has is known from its own list.
        if self.change.is_some() {
            return Ok(None);
        }
        let path = model_path(name);
        let response = self.exchange_again(|| self.builder(Method::HEAD, &path))?;
        // The second and third are what servers say that know nothing of HEAD.
        if [404, 405, 501].contains(&response.status().as_u16()) {
            return Ok(None);
        }

        let response = answers::accepted(response)?;

        let text = |field| {
            response
                .headers()
                .get(field)
                .and_then(|value| value.to_str().ok())
        };

        // An answer that does not tell them is no proof, and the bytes are sent.
        let digest = text(ETAG).and_then(Digest::from_etag);
        let size = text(CONTENT_LENGTH).and_then(|text| text.parse().ok());
        let (Some(digest), Some(size), Some(modified)) =
            (digest, size, answers::modified(&response))
        else {
            return Ok(None);
        };
        Ok(Some(Model {
            name: name.clone(),
            size,
            modified,
            digest: Some(digest),
        }))
    }

    /// Sends all of it at once.
    ///
    /// # Errors
    /// As [`Client::put_file`].
    pub(crate) fn put_whole(
        &mut self,
        sending: &mut Sending<'_>,
        events: TransferEvents<'_>,
    ) -> Result<Stored> {
        let size = sending.local.stamp().size;
        events(TransferEvent::Started {
            size: Some(size),
            at: 0,
        });

        let early = Arc::clone(&self.shared.early);
        let mut fields = sending.fields();
        if self.login.signs() {
            // Known to whoever signs before a byte travels.
            fields.push(("content-digest", sending.local.digest()?.field()));
        }
        let mut done = 0;
        let mut rest = sending.local.from(0, &sending.pace)?;

        let mut progress = |count| {
            done += count;
            events(TransferEvent::Progress(done));
        };

        // `rest` hashes the bytes already, once over all attempts.
        let body = Outgoing::new(&mut rest, Some(size), &early, &mut progress);
        let result = self.put_body(sending.name, &mut body.unhashed(), Some(size), &fields);
        // Counted before the result is looked at: an exchange that failed may have delivered everything.
        sending.sent += done;
        let (model, outcome) = result?;

        sending.confirm(model, outcome)
    }
}

impl Sending<'_> {
    /// What has to be there for it to be replaced, the signature, and the time of the file.
    pub(crate) fn fields(&self) -> Vec<(&'static str, String)> {
        let mut fields = intent_fields(self.replaces, self.signature);
        fields.extend(modified_field(self.local.stamp().seconds()));
        fields
    }

    /// The upload is of this file from now on.
    pub(crate) fn remember(&mut self, location: UploadPath) {
        let stamp = self.local.stamp();
        self.ledger.write(&RememberedUpload {
            location: location.clone(),
            stamp,
        });
        self.location = Some(location);
    }

    /// There is no upload any more.
    pub(crate) fn forget(&mut self) {
        self.ledger.clear();
        (self.acknowledged, self.resumed_at) = (0, None);
    }

    /// Compares what the server has with what was sent.
    pub(crate) fn confirm(&mut self, model: Model, outcome: Outcome) -> Result<Stored> {
        let digest = self.local.digest()?;
        verified(self.name, &model, digest)?;
        Ok(self.stored(model, digest, outcome))
    }

    pub(crate) fn stored(&self, model: Model, digest: Digest, outcome: Outcome) -> Stored {
        Stored {
            model,
            digest,
            outcome,
            sent: self.sent,
            resumed_at: self.resumed_at,
        }
    }
}

/// Whether an upload that failed so is of no use any more.
fn is_final(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::BadRequest
            | ErrorKind::Conflict
            | ErrorKind::Integrity
            | ErrorKind::PreconditionFailed
            | ErrorKind::TooLarge
            | ErrorKind::UnsupportedType
    )
}

/// Files above this size are sent in parts; below, going on costs more than beginning anew.
const PARTS_BYTES: u64 = 1 << 20;
