// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The body of an import within its bounds: the JSON around the contents for the reader of JSON, and
//! the contents as pieces of text.
//!
//! The reader of JSON looks at each character, which is dear for megabytes of base64. Therefore it gets
//! no byte behind a quote until it asks again: once it has seen the quote that opens a string, the
//! text of that string is still here and can be taken in pieces. What is not plain text is left to it.

use std::cell::Cell;
use std::io::{self, Read};
use std::rc::Rc;

use memchr::{memchr, memchr2};

use crate::error::{Error, ErrorKind, Result};
use crate::limits::Limits;
use crate::routes::api::Api;

/// How much of a body may still be read.
pub(crate) struct Meter {
    /// Of what is not content.
    pub(crate) left: Cell<u64>,
    pub(crate) left_max: u64,
    /// Of anything, as long as the password is not known.
    pub(crate) before_password: Cell<Option<u64>>,
    /// Why the body cannot be read on.
    pub(crate) fault: Cell<Option<Error>>,
    /// Whether more came before the password than may.
    pub(crate) is_exceeded: Cell<bool>,
}

impl Meter {
    pub(crate) fn new(api: &Api, limits: &Limits, has_password: bool) -> Self {
        let left_max = limits.json_bytes_max as u64;
        let encoded = api.import_bytes_before_password.saturating_mul(4) / 3;
        let around = left_max.min(AROUND_BYTES_MAX);
        let before_password = (!has_password).then_some(encoded.saturating_add(around));

        Self::bounded(left_max, before_password)
    }

    pub(crate) fn bounded(left_max: u64, before_password: Option<u64>) -> Self {
        Self {
            left: Cell::new(left_max),
            left_max,
            before_password: Cell::new(before_password),
            fault: Cell::default(),
            is_exceeded: Cell::default(),
        }
    }

    /// What is read now is bounded in another way.
    pub(crate) fn is_content(&self) {
        self.left.set(self.left_max);
    }

    /// Counts bytes around the contents.
    fn count_json(&self, bytes: usize) -> Result<()> {
        self.count_content(bytes)?;
        let text = "the JSON around the content is larger than this server allows";
        self.left.set(less(self.left.get(), bytes, text)?);
        Ok(())
    }

    /// Counts bytes of a content, which is bounded by its own limit once the password is known.
    fn count_content(&self, bytes: usize) -> Result<()> {
        if let Some(left) = self.before_password.get() {
            let text = "too much content before the password";
            let left = less(left, bytes, text);
            self.is_exceeded.set(left.is_err());
            self.before_password.set(Some(left?));
        }
        Ok(())
    }
}

/// Of what is around the contents before the password.
pub(crate) const AROUND_BYTES_MAX: u64 = 64 * 1024;

fn less(left: u64, bytes: usize, text: &'static str) -> Result<u64> {
    let too_large = || Error::new(ErrorKind::TooLarge, text);
    left.checked_sub(bytes as u64).ok_or_else(too_large)
}

/// A body that is metered.
pub(crate) struct Metered<R> {
    source: R,
    meter: Rc<Meter>,
    buffer: Box<[u8]>,
    /// What has come and has not been taken is from `start` to `end`.
    start: usize,
    end: usize,
    /// How much the reader of JSON got.
    handed: u64,
}

/// What comes next within a string.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum StringPiece<'a> {
    /// Text without quotes and escapes; whether it is UTF-8 without control characters is not known.
    Text(&'a [u8]),
    /// An escape of so many bytes that stands for one character of ASCII.
    Escape(u8, usize),
    /// The quote that closes the string, or what only the reader of JSON can judge.
    Other,
}

impl<R: Read> Metered<R> {
    pub(crate) fn new(source: R, meter: Rc<Meter>) -> Self {
        Self {
            source,
            meter,
            buffer: vec![0; BUFFER_BYTES].into(),
            start: 0,
            end: 0,
            handed: 0,
        }
    }

    /// How much the reader of JSON got.
    pub(crate) fn handed(&self) -> u64 {
        self.handed
    }

    /// The next piece of a string whose opening quote the reader of JSON has seen. It stays where it is
    /// until it is taken.
    pub(crate) fn piece(&mut self) -> Result<StringPiece<'_>> {
        if self.start == self.end && self.fill()? == 0 {
            return Ok(StringPiece::Other);
        }

        if self.buffer[self.start] == b'\\' {
            return self.escape();
        }

        let bytes = &self.buffer[self.start..self.end];
        match memchr2(b'"', b'\\', bytes).unwrap_or(bytes.len()) {
            0 => Ok(StringPiece::Other),
            length => Ok(StringPiece::Text(&bytes[..length])),
        }
    }

    /// Takes so many bytes of a piece.
    pub(crate) fn take(&mut self, bytes: usize) -> Result<()> {
        let counted = self.meter.count_content(bytes);
        self.start += bytes;
        self.keep_fault(counted)
    }

    /// Reads an escape (RFC 8259 section 7), which may be cut in two by the end of the buffer.
    fn escape(&mut self) -> Result<StringPiece<'_>> {
        loop {
            let bytes = &self.buffer[self.start..self.end];
            let length = if bytes.get(1) == Some(&b'u') { 6 } else { 2 };
            if let Some(escape) = bytes.get(1..length) {
                let piece = |byte| StringPiece::Escape(byte, length);
                return Ok(unescaped(escape).map_or(StringPiece::Other, piece));
            }
            // The reader of JSON says what is wrong with an escape that never ends.
            if self.fill()? == 0 {
                return Ok(StringPiece::Other);
            }
        }
    }

    /// Reads more behind what has not been taken, and says how much came; there is room, because at most
    /// a part of an escape is left.
    fn fill(&mut self) -> Result<usize> {
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;

        let count = loop {
            match self.source.read(&mut self.buffer[self.end..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => break other.map_err(Error::from),
            }
        };

        let count = self.keep_fault(count)?;
        self.end += count;

        Ok(count)
    }

    /// Keeps an error, since the reader of JSON does not hand on what its source says within a string.
    fn keep_fault<T>(&self, result: Result<T>) -> Result<T> {
        result.inspect_err(|error| {
            let kept = Error::new(error.kind(), error.message());
            self.meter.fault.set(Some(kept));
        })
    }
}

impl<R: Read> Read for Metered<R> {
    /// Hands out bytes up to the next quote, which may or may not open a string.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.start == self.end && self.fill()? == 0 {
            return Ok(0);
        }

        let bytes = &self.buffer[self.start..self.end];
        let bytes = &bytes[..bytes.len().min(buffer.len())];
        let count = memchr(b'"', bytes).map_or(bytes.len(), |quote| quote + 1);

        buffer[..count].copy_from_slice(&bytes[..count]);
        self.start += count;
        self.handed += count as u64;
        // What is beyond the bound has been copied, but the reader does not look at it after an error.
        let counted = self.meter.count_json(count);
        self.keep_fault(counted)?;

        Ok(count)
    }
}

/// The character that an escape stands for, without its backslash, if it is one of ASCII.
fn unescaped(escape: &[u8]) -> Option<u8> {
    match escape {
        [b'n'] => Some(b'\n'),
        [b'r'] => Some(b'\r'),
        [b't'] => Some(b'\t'),
        [b'f'] => Some(b'\x0c'),
        [b'/'] => Some(b'/'),
        // Only digits: a sign would be taken as well.
        [b'u', digits @ ..] if digits.iter().all(u8::is_ascii_hexdigit) => {
            let code = u32::from_str_radix(str::from_utf8(digits).ok()?, 16).ok()?;
            u8::try_from(code).ok().filter(u8::is_ascii)
        }
        // Others stand for nothing that base64 has.
        _ => None,
    }
}

/// How much of a body is read at a time.
const BUFFER_BYTES: usize = 64 * 1024;
