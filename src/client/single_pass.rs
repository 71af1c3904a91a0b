// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Sending and fetching models through API v1, in one pass and with constant memory.

use std::io::Read;
use std::sync::Arc;

use ureq::http::header::{CONTENT_LENGTH, CONTENT_TYPE, EXPECT};
use ureq::http::{Method, StatusCode};

use crate::client::Client;
use crate::client::api::answers;
use crate::client::download::Download;
use crate::client::upload::{Outgoing, UntilStopped};
use crate::digest::Digest;
use crate::error::{Error, ErrorKind, Result};
use crate::model::{Model, ModelName};
use crate::signature::Signature;
use crate::text::composed;
use crate::wire::ModelWire;

/// What an upload did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// The model as the server has it now.
    pub model: Model,
    /// The digest of what was sent, which is that of the model.
    pub digest: Digest,
    /// Whether there was a model of that name before.
    pub outcome: Outcome,
    /// How many bytes were sent, in all attempts.
    pub sent: u64,
    /// How many bytes the server had of an earlier attempt, which may have been of another process.
    pub resumed_at: Option<u64>,
}

/// Whether an upload made a new name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// There was no model of this name.
    Created,
    /// The model had other or the same bytes before.
    Replaced,
    /// The model had the same bytes before, so nothing was sent.
    Unchanged,
}

impl Outcome {
    pub(crate) fn of(status: StatusCode) -> Self {
        match status {
            StatusCode::CREATED => Self::Created,
            _ => Self::Replaced,
        }
    }
}

/// Checks that the server has what was sent.
///
/// # Errors
/// `Integrity` if it has not.
pub(crate) fn verified(name: &ModelName, model: &Model, digest: Digest) -> Result<()> {
    // Of equal bytes under another name, nobody would find those under this one. The other form of Unicode
    // is no other name.
    if composed(model.name.as_str()) != composed(name.as_str()) {
        let message = format!("the server stored '{name}' as '{}'", model.name);
        return Err(Error::new(ErrorKind::Integrity, message)
            .hint("'skep ls -l' shows what the server has"));
    }

    if model.digest == Some(digest) {
        return Ok(());
    }

    // A server that states no digest has confirmed nothing, which counts as a failure, too.
    let stored = match model.digest {
        Some(stored) => format!("{stored:?}"),
        None => "no digest".to_owned(),
    };
    let message = format!("the server stored '{name}' with {stored}, but {digest:?} was sent");
    Err(Error::new(ErrorKind::Integrity, message)
        .hint("somebody else may have sent it at the same time; send it again"))
}

impl Client {
    /// Fetches the signature that stands beside a model.
    ///
    /// # Errors
    /// `Integrity` if there is none or what stands there is none, and those of the connection and of
    /// the server.
    pub fn signature(&mut self, name: &ModelName) -> Result<Signature> {
        let place = Signature::name_for(name)?;
        // A missing signature is a failed check (exit code 6), not a missing model (4).
        let download = self.get(&place).map_err(|error| match error.kind() {
            ErrorKind::NotFound => {
                let text = format!("'{name}' is not signed: the server has no '{place}'");
                Error::new(ErrorKind::Integrity, text).because(error)
            }
            _ => error,
        })?;

        let mut bytes = Vec::new();
        download
            // One byte more than allowed, so that a longer file is refused instead of being cut to fit.
            .take(Signature::BYTES_MAX as u64 + 1)
            .read_to_end(&mut bytes)?;

        Signature::from_bytes(&bytes)
    }

    /// Sends all of `source` as a model. With a `length`, exactly so many bytes are sent;
    /// `progress` is called with each piece's length.
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
        let is_one_piece = length.is_some_and(|length| length <= self.piece_max());
        if self.login.signs() && !is_one_piece {
            return self.put_signed(name, source, length, progress);
        }

        let early = Arc::clone(&self.shared.early);
        let opened = self.opened();
        let mut source = UntilStopped::new(source, &self.stop);
        let mut body = Outgoing::new(&mut source, length, &early, progress);
        let mut result = self.put_body(name, &mut body, length, &[]);

        // Nothing was taken from the source yet, so a stale connection did no harm.
        if matches!(&result, Err(error) if error.kind() == ErrorKind::Interrupted)
            && (opened > 0 && opened == self.opened() && body.sent() == 0)
        {
            result = self.put_body(name, &mut body, length, &[]);
        }

        let (model, outcome) = result?;
        let sent = body.sent();
        let digest = body.finish();
        verified(name, &model, digest)?;

        Ok(Stored {
            model,
            digest,
            outcome,
            sent,
            resumed_at: None,
        })
    }

    /// Sends a body as a model, once.
    ///
    /// # Errors
    /// Those of the body, of the connection and of the server.
    pub(crate) fn put_body(
        &self,
        name: &ModelName,
        body: &mut Outgoing<'_>,
        length: Option<u64>,
        fields: &[(&str, String)],
    ) -> Result<(Model, Outcome)> {
        let mut request = self.builder(Method::PUT, &self.upload_target(name));
        request = request.header(CONTENT_TYPE, "application/octet-stream");
        for (name, value) in fields {
            request = request.header(*name, value);
        }

        if let Some(length) = length {
            request = request.header(CONTENT_LENGTH, length);
        }

        if length.is_none_or(|length| length > EXPECT_BYTES) {
            request = request.header(EXPECT, "100-continue");
        }

        let response = self.send(request, body)?;
        let mut response = answers::accepted(response)?;
        let outcome = Outcome::of(response.status());
        let model: ModelWire = crate::client::api::json(&mut response)?;

        Ok((model.try_into()?, outcome))
    }

    /// Begins to fetch a model; its bytes come as the download is read.
    ///
    /// # Errors
    /// `NotFound`, `NotImplemented` for an answer that is not a whole model, `Integrity` if its
    /// digest cannot be read, and those of the connection and of the server.
    pub fn get(&mut self, name: &ModelName) -> Result<Download> {
        let response = self.ask(Method::GET, &self.fetched_path(name))?;
        let wanted = self.chosen_version(name);
        Download::new(
            name.clone(),
            answers::whole(response)?,
            wanted,
            self.pace.clone(),
        )
    }
}

/// Bodies above this size are sent after the server has agreed to take them: a refusal then costs a
/// round trip and not the whole body.
pub(crate) const EXPECT_BYTES: u64 = 1 << 20;
