// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Requests of any kind, for programs that embed a server of their own and talk to it.

use std::io::Read;
use std::sync::Arc;

use ureq::http::Method;
use ureq::http::header::CONTENT_LENGTH;

use crate::client::Client;
use crate::client::api::answer::Answer;
use crate::client::upload::{Outgoing, UntilStopped};
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
        // The target is appended to the base URL: without the slash it could change the host.
        if !target.starts_with('/') {
            let text = format!(
                "the target '{}' does not begin with /",
                target.escape_debug()
            );
            return Err(Error::new(ErrorKind::Usage, text));
        }

        let method = Method::from_bytes(method.as_bytes()).map_err(|error| {
            Error::new(ErrorKind::Usage, "that is not a valid method").because(error)
        })?;

        let request = || {
            let request = self.builder(method.clone(), target);
            fields.iter().fold(request, |request, (name, value)| {
                request.header(*name, *value)
            })
        };

        // Built once before the payload is touched, so that a wrong field costs nothing of a reader.
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

        let mut source = UntilStopped::new(source, &self.stop);
        let mut body = Outgoing::new(&mut source, length, &early, &mut silent);

        // Without a length, ureq sends the body in chunks.
        let request = match length {
            Some(length) => request().header(CONTENT_LENGTH, length),
            None => request(),
        };

        self.send(request, &mut body).map(Answer::new)
    }
}
