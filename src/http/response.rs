// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A response as a handler returns it.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, Read};
use std::ops;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use crate::error::{Error, ErrorKind, Result};
use crate::http::endless::Endless;
use crate::text::quotable;
use crate::wire::Problem;

/// A response: status, fields and content.
pub struct Response {
    pub(crate) status: Status,
    pub(crate) fields: Vec<(&'static str, String)>,
    pub(crate) content: Content,
    pub(crate) when_sent: Option<WhenSent>,
    remark: Option<String>,
    /// A phrase instead of the one of the status.
    reason: Option<Cow<'static, str>>,
}

/// What is called once an answer has been sent, or could not be.
pub(crate) type WhenSent = Box<dyn FnOnce(Sent<'_>) + Send>;

/// How sending an answer went.
#[derive(Clone, Copy)]
pub(crate) struct Sent<'a> {
    /// Bytes of the request's body that arrived.
    pub(crate) received: u64,
    /// Bytes of content that were sent, or why not all were.
    pub(crate) bytes: &'a io::Result<u64>,
    /// Bytes of content that were sent, all or not.
    pub(crate) content: u64,
    /// From the head of the request to the last byte of the answer.
    pub(crate) duration: Duration,
}

/// What a response carries; the server delimits it.
pub enum Content {
    /// Nothing.
    Empty,
    /// Bytes of its own.
    Bytes(Vec<u8>),
    /// Some of the bytes that others read as well.
    Shared(Arc<[u8]>, ops::Range<usize>),
    /// So many bytes of a file from an offset on; plain connections send it without copying.
    File {
        /// The file.
        file: File,
        /// Where to begin, in bytes.
        offset: u64,
        /// How much to send, in bytes.
        length: u64,
    },
    /// What a reader yields, which must be exactly so many bytes.
    Reader(u64, Box<dyn Read + Send>),
    /// What a reader yields until it ends, in chunks.
    Chunked(Box<dyn Read + Send>),
    /// What happens from now on, in chunks, until the caller leaves or the server ends.
    Endless(Box<dyn Endless>),
}

impl Content {
    /// The length in bytes, where it is known.
    pub fn length(&self) -> Option<u64> {
        match self {
            Self::Empty => Some(0),
            Self::Bytes(bytes) => Some(bytes.len() as u64),
            Self::Shared(_, range) => Some(range.len() as u64),
            Self::File { length, .. } | Self::Reader(length, _) => Some(*length),
            Self::Chunked(_) | Self::Endless(_) => None,
        }
    }

    /// Content that an iterator yields piece by piece, in chunks.
    pub fn pieces<I>(pieces: I) -> Self
    where
        I: IntoIterator<Item = Vec<u8>>,
        I::IntoIter: Send + 'static,
    {
        Self::Chunked(Box::new(Pieces {
            pieces: pieces.into_iter(),
            piece: Vec::new(),
            start: 0,
        }))
    }
}

struct Pieces<I> {
    pieces: I,
    piece: Vec<u8>,
    start: usize,
}

impl<I: Iterator<Item = Vec<u8>>> Read for Pieces<I> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.start == self.piece.len() {
            let Some(piece) = self.pieces.next() else {
                return Ok(0);
            };
            (self.piece, self.start) = (piece, 0);
        }
        let count = (&self.piece[self.start..]).read(buffer)?;
        self.start += count;
        Ok(count)
    }
}

impl Response {
    /// A response without content.
    pub fn new(status: Status) -> Self {
        Self {
            status,
            fields: Vec::new(),
            content: Content::Empty,
            when_sent: None,
            remark: None,
            reason: None,
        }
    }

    /// A response in plain text.
    pub fn text(status: Status, text: impl Into<String>) -> Self {
        Self::new(status)
            .field("content-type", "text/plain; charset=utf-8")
            .content(Content::Bytes(text.into().into_bytes()))
    }

    /// A response in JSON, which ends with a line break for those who read it in a terminal.
    pub fn json(status: Status, value: &impl Serialize) -> Self {
        match serde_json::to_vec(value) {
            Ok(mut bytes) => {
                bytes.push(b'\n');
                let response = Self::new(status).field("content-type", "application/json");
                response.content(Content::Bytes(bytes))
            }
            Err(error) => {
                let text = "the answer cannot be written as JSON";
                Self::error(&Error::new(ErrorKind::Internal, text).because(error))
            }
        }
    }

    /// A problem document (RFC 9457) with the status's own words and some more.
    pub fn problem(status: Status, detail: impl Into<String>) -> Self {
        let kind = ErrorKind::from_answer(status.0, None);
        let mut problem = Problem::of(&Error::new(kind, detail), status.reason());
        problem.status = status.0;
        Self::json(status, &problem).field("content-type", "application/problem+json")
    }

    /// The problem document of an error; only its message and hint reach the caller.
    pub fn error(error: &Error) -> Self {
        let status = Status(error.kind().status());
        let response = Self::json(status, &Problem::of(error, status.reason()))
            .field("content-type", "application/problem+json");

        match error.kind() {
            ErrorKind::Unauthenticated => response.field(
                "www-authenticate",
                "Basic realm=\"skep\", charset=\"UTF-8\"",
            ),
            ErrorKind::Busy | ErrorKind::TooManyRequests => response.field("retry-after", "1"),
            _ => response,
        }
    }

    /// Sets a field, replacing one of the same name. Control characters in the value become spaces,
    /// so that no value can begin a field of its own.
    #[must_use]
    pub fn field(mut self, name: &'static str, value: impl Into<Cow<'static, str>>) -> Self {
        // A line break in a value could begin a field or even an answer of its own (response
        // splitting).
        let value = value.into();
        let value = if value.contains(char::is_control) {
            value.replace(char::is_control, " ")
        } else {
            value.into_owned()
        };

        // A field of one name is sent once: two readers might take different ones of two.
        match self
            .fields
            .iter_mut()
            .find(|field| field.0.eq_ignore_ascii_case(name))
        {
            Some(field) => field.1 = value,
            None => self.fields.push((name, value)),
        }

        self
    }

    /// Sets the status, whose own reason phrase is sent again.
    #[must_use]
    pub(crate) fn with_status(mut self, status: Status) -> Self {
        self.status = status;
        self.reason = None;
        self
    }

    /// Sets a reason phrase of its own, which is sent instead of the usual one of the status: 1 to 128
    /// bytes of text without control characters but tabs (RFC 9112 section 4). Callers decide by the
    /// status; the phrase is for people who read along.
    ///
    /// ```
    /// use skep::{Response, Status};
    ///
    /// # fn main() -> skep::Result<()> {
    /// let response = Response::new(Status(418)).with_reason("I'm a teapot")?;
    /// assert_eq!(response.reason(), "I'm a teapot");
    /// assert!(Response::new(Status::OK).with_reason("two\r\nlines").is_err());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// `Internal` for any other phrase, so a handler that returns the error as its response answers 500.
    pub fn with_reason(mut self, phrase: impl Into<Cow<'static, str>>) -> Result<Self> {
        let phrase = phrase.into();

        // A line break would begin a field or an answer of its own. Other bytes from 0x80 on are obs-text.
        let is_text = |character: char| character == '\t' || !character.is_control();
        let is_phrase =
            (1..=REASON_BYTES_MAX).contains(&phrase.len()) && phrase.chars().all(is_text);
        if !is_phrase {
            let text = format!("the reason phrase {} cannot be sent", quotable(&phrase));
            let hint = format!(
                "use 1 to {REASON_BYTES_MAX} bytes of text on one line, without control characters"
            );
            return Err(Error::new(ErrorKind::Internal, text).hint(hint));
        }

        self.reason = Some(phrase);

        Ok(self)
    }

    /// Sets the content.
    #[must_use]
    pub fn content(mut self, content: Content) -> Self {
        self.content = content;
        self
    }

    /// Has something done once the answer has been sent, after what was to be done already; the server then
    /// logs nothing of its own.
    #[must_use]
    pub(crate) fn when_sent(mut self, work: impl FnOnce(Sent<'_>) + Send + 'static) -> Self {
        self.when_sent = Some(match self.when_sent.take() {
            Some(earlier) => Box::new(move |sent| {
                earlier(sent);
                work(sent);
            }),
            None => Box::new(work),
        });
        self
    }

    /// Adds what the log is to tell of this request besides its path.
    #[must_use]
    pub(crate) fn remarking(mut self, mut remark: String) -> Self {
        let end = (0..=REMARK_BYTES_MAX)
            .rev()
            .find(|end| remark.is_char_boundary(*end));
        remark.truncate(end.unwrap_or_default());
        self.remark = Some(remark);
        self
    }

    /// What the log is to tell.
    pub(crate) fn remark(&self) -> Option<&str> {
        self.remark.as_deref()
    }

    /// The value of a field that was set.
    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        let mut fields = self.fields.iter();
        fields
            .find(|field| field.0.eq_ignore_ascii_case(name))
            .map(|field| field.1.as_str())
    }

    /// The status.
    pub fn status(&self) -> Status {
        self.status
    }

    /// The reason phrase that is sent: the one of [`Response::with_reason`], else the one of the status.
    pub fn reason(&self) -> &str {
        self.reason.as_deref().unwrap_or(self.status.reason())
    }
}

/// A status code (RFC 9110 section 15). A handler answers with 200 to 599; for any other number the
/// server answers 500.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status(pub u16);

#[allow(
    missing_docs,
    reason = "the names are those of RFC 9110 and its registry"
)]
impl Status {
    pub const UPLOAD_RESUMPTION_SUPPORTED: Self = Self(104);
    pub const OK: Self = Self(200);
    pub const CREATED: Self = Self(201);
    pub const ACCEPTED: Self = Self(202);
    pub const NO_CONTENT: Self = Self(204);
    pub const PARTIAL_CONTENT: Self = Self(206);
    pub const NOT_MODIFIED: Self = Self(304);
    pub const BAD_REQUEST: Self = Self(400);
    pub const UNAUTHORIZED: Self = Self(401);
    pub const FORBIDDEN: Self = Self(403);
    pub const NOT_FOUND: Self = Self(404);
    pub const METHOD_NOT_ALLOWED: Self = Self(405);
    pub const RANGE_NOT_SATISFIABLE: Self = Self(416);
    pub const TOO_MANY_REQUESTS: Self = Self(429);
    pub const INTERNAL_SERVER_ERROR: Self = Self(500);
    pub const SERVICE_UNAVAILABLE: Self = Self(503);
}

impl Status {
    /// The reason phrase (RFC 9110 section 15 and the registry of status codes).
    pub fn reason(self) -> &'static str {
        match self.0 {
            104 => "Upload Resumption Supported",
            200 => "OK",
            201 => "Created",
            202 => "Accepted",
            204 => "No Content",
            206 => "Partial Content",
            304 => "Not Modified",
            400 => "Bad Request",
            401 => "Unauthorized",
            403 => "Forbidden",
            404 => "Not Found",
            405 => "Method Not Allowed",
            408 => "Request Timeout",
            409 => "Conflict",
            411 => "Length Required",
            412 => "Precondition Failed",
            413 => "Content Too Large",
            414 => "URI Too Long",
            415 => "Unsupported Media Type",
            416 => "Range Not Satisfiable",
            417 => "Expectation Failed",
            421 => "Misdirected Request",
            422 => "Unprocessable Content",
            429 => "Too Many Requests",
            431 => "Request Header Fields Too Large",
            500 => "Internal Server Error",
            501 => "Not Implemented",
            502 => "Bad Gateway",
            503 => "Service Unavailable",
            504 => "Gateway Timeout",
            505 => "HTTP Version Not Supported",
            507 => "Insufficient Storage",
            _ => "Unknown",
        }
    }

    /// Whether an answer of this status is the last one to its request (RFC 9110 section 15).
    pub(crate) fn is_final(self) -> bool {
        (200..600).contains(&self.0)
    }

    /// Whether an answer of this status has no content by definition (RFC 9110 section 6.4.1).
    pub(crate) fn is_bodiless(self) -> bool {
        self.0 < 200 || matches!(self.0, 204 | 304)
    }
}

/// What the log tells of long lists.
const REMARK_BYTES_MAX: usize = 1024;

/// More than any registered phrase has, and little beside the 4 KiB that the strictest readers take as a
/// line.
const REASON_BYTES_MAX: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_has_a_reason_phrase() {
        for row in crate::error::KINDS {
            assert_ne!(Status(row.status).reason(), "Unknown", "{}", row.code);
        }
    }

    #[test]
    fn answers_without_content_and_before_the_last_one_are_told_by_their_status() {
        for (status, is_final, is_bodiless) in [
            (100, false, true),
            (199, false, true),
            (200, true, false),
            (204, true, true),
            (205, true, false),
            (304, true, true),
            (599, true, false),
            (600, false, false),
        ] {
            let status = Status(status);
            assert_eq!(status.is_final(), is_final, "{status:?}");
            assert_eq!(status.is_bodiless(), is_bodiless, "{status:?}");
        }
        assert_eq!(Status::NO_CONTENT.reason(), "No Content");
        assert_eq!(Status::ACCEPTED.reason(), "Accepted");
        assert_eq!(Status(304).reason(), "Not Modified");
    }

    #[test]
    fn an_error_tells_what_its_status_asks_for() {
        let field = |kind, name: &str| {
            let response = Response::error(&Error::new(kind, "no"));
            let mut fields = response.fields.into_iter();
            fields.find(|field| field.0 == name).map(|field| field.1)
        };
        let challenge = field(ErrorKind::Unauthenticated, "www-authenticate");
        assert!(challenge.unwrap().starts_with("Basic "));
        assert_eq!(field(ErrorKind::Forbidden, "www-authenticate"), None);
        for kind in [ErrorKind::Busy, ErrorKind::TooManyRequests] {
            assert_eq!(field(kind, "retry-after").as_deref(), Some("1"));
        }
        assert_eq!(field(ErrorKind::NoSpace, "retry-after"), None);
    }

    #[test]
    fn no_value_can_begin_a_field_of_its_own() {
        let response = Response::new(Status::OK).field("x", "a\r\nset-cookie: b");
        assert_eq!(response.fields, [("x", "a  set-cookie: b".to_owned())]);
        let response = response.field("X", "c");
        assert_eq!(response.fields, [("x", "c".to_owned())]);
    }

    #[test]
    fn a_reason_phrase_is_one_line_of_bounded_length() {
        let phrase = |phrase: &str| Response::new(Status::OK).with_reason(phrase.to_owned());
        for good in ["x", "A\tB", "Gr\u{f6}\u{df}e", &"x".repeat(128)] {
            assert_eq!(phrase(good).unwrap().reason(), good);
        }
        for bad in [
            "",
            "a\nb",
            "a\rb",
            "OK\r\nset-cookie: x",
            "a\0",
            "\u{7f}",
            "\u{85}",
            &"x".repeat(129),
            &"\u{f6}".repeat(65),
        ] {
            let error = phrase(bad).err().unwrap();
            assert_eq!(error.kind(), ErrorKind::Internal, "{bad:?}");
            assert!(!error.with_cause().contains(['\r', '\n']), "{error}");
        }

        let response = phrase("Fine").unwrap().with_status(Status::CREATED);
        assert_eq!(response.reason(), "Created");
    }

    #[test]
    fn the_log_is_told_what_was_remarked_and_no_more_than_it_can_show() {
        let remarking = |remark: String| Response::new(Status::OK).remarking(remark);
        assert_eq!(Response::new(Status::OK).remark(), None);
        assert_eq!(remarking("a, b".to_owned()).remark(), Some("a, b"));
        let long = remarking("x".repeat(10_000));
        assert!(long.remark().is_some_and(|remark| remark.len() < 1_100));
    }

    #[test]
    fn an_iterator_is_content() {
        let content = Content::pieces(["ab", "", "c"].map(|piece| piece.as_bytes().to_vec()));
        let Content::Chunked(mut reader) = content else {
            panic!("not chunked")
        };
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(text, "abc");
    }
}
