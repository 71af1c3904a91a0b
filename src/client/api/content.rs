// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The content of an answer, of which a server has to send some within the time limit of the connection.
//!
//! Chunk sizes and trailer fields are no content: a server that goes on with them only makes no progress.

use std::io::{self, Read};
use std::sync::Arc;

use ureq::http::Response;
use ureq::{Body, BodyReader};

use crate::client::connection::Early;

/// A reader of the content of an answer.
pub(crate) struct AnswerContent<'a> {
    body: BodyReader<'a>,
    early: Arc<Early>,
    time: ContentTime,
}

/// What the time limit of the connection bounds.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ContentTime {
    /// The wait for each piece.
    EachRead,
    /// All of it, from the first read.
    Whole,
    /// All of it, of which some was read.
    WholeBegun,
}

impl AnswerContent<'static> {
    /// Takes the content out of an answer.
    pub(crate) fn of(response: Response<Body>) -> Self {
        let early = early(&response);
        Self {
            body: response.into_body().into_reader(),
            early,
            time: ContentTime::EachRead,
        }
    }
}

impl<'a> AnswerContent<'a> {
    /// The content of an answer that stays.
    pub(crate) fn within(response: &'a mut Response<Body>) -> Self {
        let early = early(response);
        Self {
            body: response.body_mut().as_reader(),
            early,
            time: ContentTime::EachRead,
        }
    }

    /// Bounds the time for all of it: a small document, of which each byte would otherwise have a limit of its
    /// own.
    pub(crate) fn small(self) -> Self {
        Self {
            time: ContentTime::Whole,
            ..self
        }
    }
}

impl Read for AnswerContent<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.time != ContentTime::WholeBegun {
            self.early.progress();
        }
        if self.time == ContentTime::Whole {
            self.time = ContentTime::WholeBegun;
        }

        self.body.read(buffer)
    }
}

/// The connection of an answer, which [`attach`] told it; an answer that a test made has none.
fn early(response: &Response<Body>) -> Arc<Early> {
    let early = response.extensions().get::<Arc<Early>>();
    early.cloned().unwrap_or_default()
}

/// Tells an answer which connection it comes from.
pub(crate) fn attach(response: &mut Response<Body>, early: &Arc<Early>) {
    response.extensions_mut().insert(Arc::clone(early));
}
