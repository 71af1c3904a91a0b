// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The requests of an upload in parts: create, ask how much arrived, append the rest.

use std::sync::Arc;

use ureq::http::header::{CONTENT_LENGTH, CONTENT_TYPE, EXPECT, LOCATION};
use ureq::http::{Method, Response, StatusCode};
use ureq::{Body, SendBody};

use crate::client::api::answers;
use crate::client::retry::Retry;
use crate::client::single_pass::{Outcome, Stored};
use crate::client::transfer::{Replaces, TransferEvent, TransferEvents};
use crate::client::upload::outgoing::Outgoing;
use crate::client::upload::sending::{Sending, UploadWay};
use crate::client::upload::upload_path::UploadPath;
use crate::client::{Client, model_path};
use crate::error::{Error, ErrorKind, Result};
use crate::wire::ModelWire;

/// How far an upload on a server is.
enum PartsState {
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

        // Never lowered: bytes that a server lost and gets again are no progress.
        sending.acknowledged = sending.acknowledged.max(offset);

        events(TransferEvent::Started {
            size: Some(sending.local.stamp().size),
            at: offset,
        });

        self.append(sending, offset, events)
    }

    fn state(&self, location: &UploadPath) -> Result<PartsState> {
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
        let path = model_path(sending.name);
        let response = self.exchange_again(|| {
            // Length and conditions come first, so that the server can refuse before any byte travels.
            let request = self.builder(Method::PUT, &path);
            let request = request
                .header("upload-complete", "?0")
                .header(CONTENT_LENGTH, 0);
            let request = request.header("upload-length", sending.local.stamp().size);
            let fields = sending.fields();
            fields.iter().fold(request, |request, (name, value)| {
                request.header(*name, value)
            })
        })?;

        // 503: there are as many unfinished uploads as the server keeps, so this one cannot be kept.
        let unknown = [405, 501, 503].contains(&response.status().as_u16());

        let location = if unknown {
            None
        } else {
            location(&answers::accepted(response)?, &self.url.base())
        };

        match location {
            Some(location) => sending.remember(location),
            None => sending.way = UploadWay::Whole,
        }

        Ok(0)
    }

    fn append(
        &mut self,
        sending: &mut Sending<'_>,
        offset: u64,
        events: TransferEvents<'_>,
    ) -> Result<Stored> {
        let location = sending.location.clone().ok_or_else(answers::not_skep)?;
        let size = sending.local.stamp().size;
        let left = size.checked_sub(offset).ok_or_else(answers::not_skep)?;
        let early = Arc::clone(&self.shared.early);

        // Where the digest is known before the bytes are sent, the server can refuse others.
        let digest = sending.local.known_digest();
        let mut done = 0;

        let mut progress = |count| {
            done += count;
            events(TransferEvent::Progress(offset + done));
        };

        // The digest at the end is that of the whole, so this hashes the part that the server has, too.
        let mut rest = sending.local.from(offset, &mut sending.pace)?;
        let mut body = Outgoing::new(&mut rest, Some(left), &early, &mut progress).unhashed();
        let mut request = self.builder(Method::PATCH, &location.to_string());
        request = request.header(CONTENT_TYPE, "application/partial-upload");
        request = request
            .header("upload-offset", offset)
            .header("upload-complete", "?1");

        request = request.header(CONTENT_LENGTH, left);
        if let Some(digest) = digest {
            request = request.header("repr-digest", digest.field());
        }

        if left > crate::client::single_pass::EXPECT_BYTES {
            request = request.header(EXPECT, "100-continue");
        }

        let result = self.exchange(request, SendBody::from_reader(&mut body));
        // Counted before the result is looked at: an exchange that failed may have delivered everything.
        sending.sent += done;
        let mut response = result?;
        let status = response.status();
        if status.is_success() {
            let outcome = Outcome::of(status);
            let model: ModelWire = answers::json(&mut response)?;
            return sending.confirm(model.try_into()?, outcome);
        }

        let error = answers::refusal(response);

        let is_elsewhere = match status {
            StatusCode::NOT_FOUND | StatusCode::GONE => true,
            // Another connection of ours may have brought more bytes than we knew of.
            StatusCode::CONFLICT => {
                !matches!(self.state(&location)?, PartsState::At(at) if at == offset)
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
        match self.replaces {
            Replaces::Nothing => Outcome::Created,
            _ => Outcome::Replaced,
        }
    }
}

/// The path of a new upload.
fn location(response: &Response<Body>, base: &str) -> Option<UploadPath> {
    let is_upload = response.headers().contains_key("upload-offset");
    let location = response.headers().get(LOCATION)?.to_str().ok()?;
    UploadPath::of_field(location, base).filter(|_| is_upload)
}
