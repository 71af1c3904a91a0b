// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Sending and fetching models through API v1, in one pass and with constant memory.

use std::io::Read;
use std::sync::Arc;

use ureq::SendBody;
use ureq::http::header::{CONTENT_LENGTH, CONTENT_TYPE, EXPECT};
use ureq::http::{Method, StatusCode};

use super::body::Outgoing;
use super::download::Download;
use super::{Client, answer, model_path};
use crate::digest::Digest;
use crate::error::{Error, ErrorKind, Result};
use crate::model::ModelName;
use crate::wire::ModelWire;

/// What an upload did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// The model as the server has it now.
    pub model: ModelWire,
    /// The digest of what was sent, which is that of the model.
    pub digest: Digest,
    /// Whether there was a model of that name before.
    pub outcome: Outcome,
}

/// Whether an upload made a new name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// There was no model of this name.
    Created,
    /// The model had other or the same bytes before.
    Replaced,
}

impl Client {
    /// Sends all of `source` as a model. With a `length`, exactly so many bytes are sent;
    /// `progress` is told of each piece's length.
    ///
    /// # Errors
    /// `Integrity` if the server has other bytes afterwards than were sent, and those of `source`,
    /// of the connection and of the server.
    pub fn put(
        &mut self,
        name: &ModelName,
        source: &mut dyn Read,
        length: Option<u64>,
        progress: &mut dyn FnMut(u64),
    ) -> Result<Stored> {
        let early = Arc::clone(&self.shared.early);
        let opened = self.opened();
        let mut body = Outgoing::new(source, length, &early, progress);
        let mut result = self.put_once(name, &mut body, length);
        // Nothing was taken from the source yet, so a stale connection did no harm.
        if matches!(&result, Err(error) if error.kind() == ErrorKind::Interrupted)
            && (opened > 0 && opened == self.opened() && body.sent() == 0)
        {
            result = self.put_once(name, &mut body, length);
        }
        let (model, outcome) = result?;
        let digest = body.finish();
        match model.digest.as_deref() {
            Some(stored) if *stored == format!("{digest:?}") => {
                Ok(Stored { model, digest, outcome })
            }
            stored => {
                let stored = stored.unwrap_or("no digest");
                let message =
                    format!("the server has {stored} as '{name}' and was sent {digest:?}");
                Err(Error::new(ErrorKind::Integrity, message)
                    .hint("did somebody else put it at the same time?"))
            }
        }
    }

    fn put_once(
        &self,
        name: &ModelName,
        body: &mut Outgoing<'_>,
        length: Option<u64>,
    ) -> Result<(ModelWire, Outcome)> {
        let mut request = self.builder(Method::PUT, &model_path(name));
        request = request.header(CONTENT_TYPE, "application/octet-stream");
        if let Some(length) = length {
            request = request.header(CONTENT_LENGTH, length);
        }
        if length.is_none_or(|length| length > EXPECT_BYTES) {
            request = request.header(EXPECT, "100-continue");
        }
        let response = self.exchange(request, SendBody::from_reader(body))?;
        let mut response = answer::accepted(response)?;
        let outcome = match response.status() {
            StatusCode::CREATED => Outcome::Created,
            _ => Outcome::Replaced,
        };
        Ok((answer::json(&mut response)?, outcome))
    }

    /// Begins to fetch a model; its bytes come as the download is read.
    ///
    /// # Errors
    /// `NotFound`, `NotImplemented` for an answer that is not a whole model, `Integrity` if its
    /// digest cannot be read, and those of the connection and of the server.
    pub fn get(&mut self, name: &ModelName) -> Result<Download> {
        let response = self.ask(Method::GET, &model_path(name))?;
        Download::new(name.clone(), answer::whole(response)?)
    }
}

/// Bodies above this size are sent after the server has agreed to take them: a refusal then costs a
/// round trip and not the whole body.
const EXPECT_BYTES: u64 = 1 << 20;
