// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What a model on a server says of itself: its header is read by ranges, and nothing else of it travels.

use std::io::{self, Read as _};

use ureq::http::header::{CONTENT_RANGE, IF_MATCH, RANGE};
use ureq::http::{Method, StatusCode};

use crate::client::Client;
use crate::client::api::answers;
use crate::client::api::content::AnswerContent;
use crate::error::{Error, ErrorKind, Result};
use crate::formats::{self, ByteSource, ModelHeader, ReadBounds};
use crate::model::{Model, ModelName};

impl Client {
    /// What a model says of itself, to judge by its header; `None` where its name promises no format that is
    /// known.
    ///
    /// # Errors
    /// `PreconditionFailed` if it is another one meanwhile; `NotImplemented` if the server sends no ranges; those
    /// of the connection and of the server.
    pub(crate) fn header(&mut self, model: &Model) -> Result<Option<ModelHeader>> {
        let name = &model.name;
        if !formats::is_readable(name) {
            return Ok(None);
        }
        let mut ranges = HeaderRanges {
            path: self.fetched_path(name),
            tag: model.digest.map(|digest| digest.etag()),
            size: model.size,
            name,
            client: self,
        };
        Ok(formats::header_of(name, &mut ranges, BOUNDS)?)
    }
}

struct HeaderRanges<'a> {
    client: &'a mut Client,
    name: &'a ModelName,
    path: String,
    tag: Option<String>,
    size: u64,
}

impl HeaderRanges<'_> {
    fn fetch(&mut self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        let last = offset + buffer.len() as u64 - 1;
        let response = self.client.exchange_again(|| {
            let request = self.client.builder(Method::GET, &self.path);
            let request = request.header(RANGE, format!("bytes={offset}-{last}"));
            // The parts have to be those of one model.
            match &self.tag {
                Some(tag) => request.header(IF_MATCH, tag),
                None => request,
            }
        })?;
        let response = answers::framed(answers::accepted(response)?)?;

        let told = response.headers().get(CONTENT_RANGE);
        let wanted = format!("bytes {offset}-{last}/{}", self.size);
        let is_part = response.status() == StatusCode::PARTIAL_CONTENT
            && told.is_some_and(|told| told.as_bytes() == wanted.as_bytes());
        // The whole of a small model is what was asked for, too.
        let is_whole = response.status() == StatusCode::OK && buffer.len() as u64 == self.size;
        if !is_part && !is_whole {
            let text = format!(
                "the server does not send the part of '{}' that was asked for",
                self.name
            );
            return Err(Error::new(ErrorKind::NotImplemented, text)
                .hint("'skep get' fetches all of it; a proxy in between may take no ranges"));
        }

        let mut content = AnswerContent::of(response);
        let read = content.read_exact(buffer);
        // The connection is there for the next part once the end of this one was seen.
        read.and_then(|()| content.read(&mut [0]))
            .map(drop)
            .map_err(crate::client::api::failures::failed)
    }
}

impl ByteSource for HeaderRanges<'_> {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.fetch(offset, buffer).map_err(io::Error::from)
    }
}

/// What a header may cost. The longest that are common have a vocabulary of 256,000 words, some 15 MiB; an ONNX
/// model needs a request for each tensor that is larger than a piece.
const BOUNDS: ReadBounds = ReadBounds {
    bytes_max: 32 << 20,
    reads_max: 1000,
    piece_min: 4 << 10,
    piece_max: 1 << 20,
};
