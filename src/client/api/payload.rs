// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Requests of any kind, for programs that embed a server of their own and talk to it (seed G07).

use std::io::{self, Read};
use std::sync::Arc;

use ureq::http::header::CONTENT_LENGTH;
use ureq::http::{HeaderMap, Method, Response};
use ureq::{Body, BodyReader, SendBody};

use crate::client::Client;
use crate::client::api::answers;
use crate::client::upload::Outgoing;
use crate::error::{Error, ErrorKind, Result};

/// What a request carries.
pub enum Payload<'a> {
    /// Nothing.
    Empty,
    /// These bytes.
    Bytes(&'a [u8]),
    /// Exactly so many bytes of what a reader yields.
    Reader(u64, &'a mut dyn Read),
    /// What a reader yields until it ends, in chunks.
    Chunked(&'a mut dyn Read),
}

impl Client {
    /// Sends a request and returns the answer, whatever its status is. The connection is kept for the
    /// next one once the answer has been read to its end. `target` is path and query.
    ///
    /// # Errors
    /// `Usage` for a method, a target or a field that cannot be written; those of the connection and
    /// of the payload. A request without payload is sent again if it met a connection that the server
    /// had closed meanwhile, others may have been worked on and are not.
    pub fn request(
        &mut self,
        method: &str,
        target: &str,
        fields: &[(&str, &str)],
        payload: Payload<'_>,
    ) -> Result<Answer> {
        if !target.starts_with('/') {
            let text = format!(
                "the target '{}' does not begin with /",
                target.escape_debug()
            );
            return Err(Error::new(ErrorKind::Usage, text));
        }
        let method = Method::from_bytes(method.as_bytes())
            .map_err(|error| Error::new(ErrorKind::Usage, "that is not a method").because(error))?;
        let request = || {
            let request = self.builder(method.clone(), target);
            fields.iter().fold(request, |request, (name, value)| {
                request.header(*name, *value)
            })
        };
        if request().body(()).is_err() {
            return Err(Error::new(
                ErrorKind::Usage,
                "the target or a field cannot be written",
            ));
        }
        let early = Arc::clone(&self.shared.early);
        let mut silent = |_| {};
        let mut bytes;
        let (length, source): (_, &mut dyn Read) = match payload {
            Payload::Empty => return self.exchange_again(request).map(Answer::new),
            Payload::Bytes(slice) => {
                bytes = slice;
                (Some(bytes.len() as u64), &mut bytes)
            }
            Payload::Reader(length, source) => (Some(length), source),
            Payload::Chunked(source) => (None, source),
        };
        let mut body = Outgoing::new(source, length, &early, &mut silent);
        let request = match length {
            Some(length) => request().header(CONTENT_LENGTH, length),
            None => request(),
        };
        self.exchange(request, SendBody::from_reader(&mut body))
            .map(Answer::new)
    }
}

/// An answer: its status and fields, and a reader of its body, which fails rather than end early.
pub struct Answer {
    status: u16,
    fields: HeaderMap,
    body: BodyReader<'static>,
}

impl Answer {
    pub(crate) fn new(response: Response<Body>) -> Self {
        let (parts, body) = response.into_parts();
        let (status, fields) = (parts.status.as_u16(), parts.headers);
        Self {
            status,
            fields,
            body: body.into_reader(),
        }
    }

    /// The status code.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The value of the first field of this name, if it is text.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.get(name)?.to_str().ok()
    }

    /// All fields that are text, with names in lower case.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &str)> {
        let fields = self.fields.iter();
        fields.filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)))
    }

    /// Reads all of the body, at most `bytes_max`.
    ///
    /// # Errors
    /// `TooLarge`, and those of the connection.
    pub fn read_all(self, bytes_max: usize) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.body
            .take(bytes_max as u64 + 1)
            .read_to_end(&mut bytes)
            .map_err(answers::failed)?;
        match bytes.len() > bytes_max {
            true => Err(Error::new(
                ErrorKind::TooLarge,
                "the answer is larger than expected",
            )),
            false => Ok(bytes),
        }
    }
}

impl Read for Answer {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.body
            .read(buffer)
            .map_err(|error| answers::failed(error).into())
    }
}
