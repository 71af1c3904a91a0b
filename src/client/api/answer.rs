// SPDX-License-Identifier: Apache-2.0 OR MIT
//! An answer to a request of any kind.

use std::io::{self, Read};

use ureq::Body;
use ureq::http::{HeaderMap, Response};

use crate::client::api::content::AnswerContent;
use crate::error::{Error, ErrorKind, Result};

/// An answer: its status and fields, and a reader of its body, which fails rather than end early.
pub struct Answer {
    status: u16,
    fields: HeaderMap,
    body: AnswerContent<'static>,
}

impl Answer {
    pub(crate) fn new(response: Response<Body>) -> Self {
        let (status, fields) = (response.status().as_u16(), response.headers().clone());
        Self {
            status,
            fields,
            body: AnswerContent::of(response),
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

    /// Reads all of the body, at most `bytes_max`; up to 64 KiB within the time limit of the connection.
    ///
    /// # Errors
    /// `TooLarge`, and those of the connection.
    pub fn read_all(self, bytes_max: usize) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let body = if bytes_max <= SMALL_BYTES_MAX {
            self.body.small()
        } else {
            self.body
        };

        // One byte more than allowed tells a body that is too long from one that just fits.
        body.take(bytes_max as u64 + 1)
            .read_to_end(&mut bytes)
            .map_err(crate::client::api::failures::failed)?;

        if bytes.len() > bytes_max {
            Err(Error::new(
                ErrorKind::TooLarge,
                "the answer is larger than expected",
            ))
        } else {
            Ok(bytes)
        }
    }
}

impl Read for Answer {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.body
            .read(buffer)
            .map_err(|error| crate::client::api::failures::failed(error).into())
    }
}

/// What is no more than a document that says something, and no bytes of a model.
const SMALL_BYTES_MAX: usize = 64 << 10;
