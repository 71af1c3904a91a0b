// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The requests of an upload in parts: create, ask how much arrived, append the rest.

use std::sync::Arc;

use ureq::Body;
use ureq::http::header::{CONTENT_LENGTH, CONTENT_TYPE, EXPECT, LOCATION};
use ureq::http::{Method, Response, StatusCode};

use crate::client::Client;
use crate::client::api::answers;
use crate::client::retry::Retry;
use crate::client::single_pass::{Outcome, Stored};
use crate::client::transfer::{TransferEvent, TransferEvents};
use crate::client::upload::outgoing::Outgoing;
use crate::client::upload::pieces::{Appended, Piece, likely_outcome, smaller_piece};
use crate::client::upload::sending::{Sending, UploadWay};
use crate::client::upload::upload_path::UploadPath;
use crate::error::{Error, ErrorKind, Result};
use crate::model::ModelName;
use crate::wire::ModelWire;

/// How far an upload on a server is.
pub(crate) enum PartsState {
    /// It has so many bytes.
    At(u64),
    /// It is not there: it took too long, or it is a model by now.
    Gone,
}

impl Client {
    /// Sends what the server has not got yet.
    ///
    /// # Errors
    /// As [`Client::put_file`].
    pub(crate) fn put_parts(
        &mut self,
        sending: &mut Sending<'_>,
        retry: &mut Retry,
        events: TransferEvents<'_>,
    ) -> Result<Stored> {
        // What was sent is no measure of what arrived, so the server is asked each time.
        let state = match &sending.location {
            Some(location) => Some(self.state(location)?),
            None => None,
        };

        retry.met();

        let offset = match state {
            Some(PartsState::At(offset)) if offset > sending.local.stamp().size => {
                return Err(answers::not_skep());
            }
            Some(PartsState::At(offset)) => {
                sending.resumed_at = (offset > 0).then_some(offset);
                offset
            }
            // Gone may mean done: the model may have been published, and only the answer was lost.
            Some(PartsState::Gone) => {
                let digest = sending.local.digest()?;
                if let Some(model) = self.same(sending.name, digest)? {
                    let outcome = sending.outcome();
                    return Ok(sending.stored(model, digest, outcome));
                }
                events(TransferEvent::Restarted {
                    reason: "the server no longer has the first part",
                });
                sending.forget();
                self.create(sending)?
            }
            None => self.create(sending)?,
        };

        // `create` may have found that the server cannot keep this upload in parts.
        if sending.way == UploadWay::Whole {
            return self.put_whole(sending, events);
        }

        events(TransferEvent::Started {
            size: Some(sending.local.stamp().size),
            at: offset,
        });

        // Never lowered: bytes that a server lost and gets again are no progress.
        sending.acknowledged = sending.acknowledged.max(offset);
        let mut next = offset;

        loop {
            if let Some(stored) = self.append(sending, &mut next, events)? {
                return Ok(stored);
            }
        }
    }

    /// Asks how much of an upload the server has.
    ///
    /// # Errors
    /// Those of the connection and of the server.
    pub(crate) fn state(&self, location: &UploadPath) -> Result<PartsState> {
        let response = self.exchange_again(|| self.builder(Method::HEAD, &location.to_string()))?;
        if matches!(response.status(), StatusCode::NOT_FOUND | StatusCode::GONE) {
            return Ok(PartsState::Gone);
        }

        let response = answers::accepted(response)?;

        let text = |field| {
            response
                .headers()
                .get(field)
                .and_then(|value| value.to_str().ok())
        };

        match (
            text("upload-complete"),
            text("upload-offset").map(str::parse),
        ) {
            // A complete upload takes no more bytes; whether it became a model is for the caller to find out.
            (Some("?1"), _) => Ok(PartsState::Gone),
            (_, Some(Ok(offset))) => Ok(PartsState::At(offset)),
            _ => Err(answers::not_skep()),
        }
    }

    /// Creates an upload and returns how much of it is there, which is nothing.
    fn create(&self, sending: &mut Sending<'_>) -> Result<u64> {
        let length = Some(sending.local.stamp().size);
        match self.begin_upload(sending.name, length, &sending.fields())? {
            Some(location) => sending.remember(location),
            None => sending.way = UploadWay::Whole,
        }

        Ok(0)
    }

    /// Creates an upload without a byte; its path, or `None` where the server keeps no uploads in parts.
    ///
    /// # Errors
    /// Those of the connection and of the server, also where a condition of `fields` does not hold.
    pub(crate) fn begin_upload(
        &self,
        name: &ModelName,
        length: Option<u64>,
        fields: &[(&'static str, String)],
    ) -> Result<Option<UploadPath>> {
        let path = self.upload_target(name);
        let response = self.exchange_again(|| {
            // Length and conditions come first, so that the server can refuse before any byte travels.
            let mut request = self.builder(Method::PUT, &path);
            request = request
                .header("upload-complete", "?0")
                .header(CONTENT_LENGTH, 0);
            if let Some(length) = length {
                request = request.header("upload-length", length);
            }
            fields.iter().fold(request, |request, (name, value)| {
                request.header(*name, value)
            })
        })?;

        // 503: there are as many unfinished uploads as the server keeps, so this one cannot be kept.
        if [405, 501, 503].contains(&response.status().as_u16()) {
            return Ok(None);
        }

        answers::accepted(response).map(|response| location(&response, &self.url.base()))
    }

    /// Sends a piece from `next` on, or all that is left; the model if that completed the upload.
    fn append(
        &mut self,
        sending: &mut Sending<'_>,
        next: &mut u64,
        events: TransferEvents<'_>,
    ) -> Result<Option<Stored>> {
        let location = sending.location.clone().ok_or_else(answers::not_skep)?;
        let (offset, size) = (*next, sending.local.stamp().size);
        let left = size.checked_sub(offset).ok_or_else(answers::not_skep)?;
        let early = Arc::clone(&self.shared.early);

        // Where the digest is known before the bytes are sent, the server can refuse others.
        let piece = Piece {
            location: &location,
            offset,
            length: left.min(sending.piece_max),
            is_last: left <= sending.piece_max,
            digest: sending.local.known_digest(),
        };
        let mut done = 0;

        let mut progress = |count| {
            done += count;
            events(TransferEvent::Progress(offset + done));
        };

        // The digest at the end is that of the whole, so this hashes the part that the server has, too.
        let mut rest = sending.local.from(offset, &sending.pace)?;
        let body = Outgoing::new(&mut rest, Some(piece.length), &early, &mut progress);
        let result = self.send_piece(&piece, &mut body.unhashed());
        // Counted before the result is looked at: an exchange that failed may have delivered everything.
        sending.sent += done;

        match result? {
            Appended::Model(model, outcome) => sending.confirm(model, outcome).map(Some),
            Appended::Kept => {
                *next += piece.length;
                sending.acknowledged = sending.acknowledged.max(*next);
                Ok(None)
            }
            Appended::TooLargeForTheWay(error) => {
                sending.piece_max = smaller_piece(piece.length, error)?;
                Ok(None)
            }
        }
    }

    /// Sends one piece, once.
    ///
    /// # Errors
    /// `Interrupted` where the server has another part of the upload than was thought; otherwise those of
    /// the body, of the connection and of the server.
    pub(crate) fn send_piece(
        &self,
        piece: &Piece<'_>,
        body: &mut Outgoing<'_>,
    ) -> Result<Appended> {
        let complete = if piece.is_last { "?1" } else { "?0" };
        let mut request = self
            .builder(Method::PATCH, &piece.location.to_string())
            .header(CONTENT_TYPE, "application/partial-upload")
            .header("upload-offset", piece.offset)
            .header("upload-complete", complete)
            .header(CONTENT_LENGTH, piece.length);

        if let Some(digest) = piece.digest {
            request = request.header("repr-digest", digest.field());
        }

        if piece.length > crate::client::single_pass::EXPECT_BYTES {
            request = request.header(EXPECT, "100-continue");
        }

        let mut response = self.send(request, body)?;
        let status = response.status();

        if status.is_success() && !piece.is_last {
            return Ok(Appended::Kept);
        }

        if status.is_success() {
            let outcome = Outcome::of(status);
            let model: ModelWire = crate::client::api::json(&mut response)?;
            return Ok(Appended::Model(model.try_into()?, outcome));
        }

        let is_foreign = answers::is_foreign(&response);
        let error = answers::refusal(response);

        if is_foreign && status == StatusCode::PAYLOAD_TOO_LARGE {
            return Ok(Appended::TooLargeForTheWay(error));
        }

        let is_elsewhere = match status {
            StatusCode::NOT_FOUND | StatusCode::GONE => true,
            // Another connection of ours may have brought more bytes than we knew of.
            StatusCode::CONFLICT => {
                !matches!(self.state(piece.location)?, PartsState::At(at) if at == piece.offset)
            }
            _ => false,
        };

        // An interruption is tried again, and the next attempt asks where to go on.
        if is_elsewhere {
            Err(Error::new(ErrorKind::Interrupted, error.message()).because(error))
        } else {
            Err(error)
        }
    }
}

impl Sending<'_> {
    /// What an upload did whose answer was lost.
    pub(crate) fn outcome(&self) -> Outcome {
        likely_outcome(self.replaces)
    }
}

/// The path of a new upload.
fn location(response: &Response<Body>, base: &str) -> Option<UploadPath> {
    let is_upload = response.headers().contains_key("upload-offset");
    let location = response.headers().get(LOCATION)?.to_str().ok()?;
    UploadPath::of_field(location, base).filter(|_| is_upload)
}
