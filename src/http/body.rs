// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The body of a request, read straight from its connection while its handler runs: framing, time
//! limits, and the 100 that is sent only once somebody wants to read.

use std::io::{self, Read};
use std::os::fd::BorrowedFd;
use std::time::Instant;

use super::connection::Connection;
use super::head::{Framing, Head};
use super::request::Wire;
use crate::error::{Error, ErrorKind};
use crate::limits::Limits;
use crate::transport::{TimeLimit, is_timeout};

/// How far a body has been read.
pub(crate) struct BodyProgress {
    rest: BodyRest,
    /// The caller holds the body back until it sees a 100 (RFC 9110 section 10.1.1).
    awaits_continue: bool,
    received: u64,
    started: Option<Instant>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum BodyRest {
    /// This many bytes.
    Length(u64),
    /// A chunk-size line comes next.
    ChunkSize,
    /// This many bytes of a chunk, then CR LF.
    Chunk(u64),
    /// Nothing.
    Done,
    /// What follows cannot be understood.
    Broken,
}

impl BodyProgress {
    pub(crate) fn new(head: &Head) -> Self {
        let rest = match head.framing {
            Framing::Length(0) => BodyRest::Done,
            Framing::Length(length) => BodyRest::Length(length),
            Framing::Chunked => BodyRest::ChunkSize,
        };

        Self {
            rest,
            awaits_continue: head.expects_continue(),
            received: 0,
            started: None,
        }
    }

    /// Bytes of the body that have arrived.
    pub(crate) fn received(&self) -> u64 {
        self.received
    }

    /// How many bytes are left of a body whose length is known.
    pub(crate) fn left(&self) -> u64 {
        match self.rest {
            BodyRest::Length(left) => left,
            BodyRest::Done | BodyRest::ChunkSize | BodyRest::Chunk(_) | BodyRest::Broken => 0,
        }
    }

    /// Whether what is left can be read away in at most `bytes`, so the connection can go on.
    pub(crate) fn is_drainable(&self, bytes: u64) -> bool {
        match self.rest {
            BodyRest::Done => true,
            BodyRest::Length(left) => !self.awaits_continue && left <= bytes,
            BodyRest::ChunkSize | BodyRest::Chunk(_) | BodyRest::Broken => false,
        }
    }
}

/// Reads a body from its connection.
pub(crate) struct BodyReader<'a> {
    connection: &'a mut Connection,
    progress: &'a mut BodyProgress,
}

impl<'a> BodyReader<'a> {
    pub(crate) fn new(connection: &'a mut Connection, progress: &'a mut BodyProgress) -> Self {
        Self {
            connection,
            progress,
        }
    }

    fn read_some(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.progress.rest == BodyRest::Done || buffer.is_empty() {
            return Ok(0);
        }

        // The caller is told to go on only now, when a handler really wants the body.
        if std::mem::take(&mut self.progress.awaits_continue) {
            self.connection.inform("HTTP/1.1 100 Continue\r\n\r\n")?;
        }

        self.limit_time();

        loop {
            match self.progress.rest {
                BodyRest::Done => return Ok(0),
                BodyRest::Broken => return Err(bad("the body cannot be read any further")),
                BodyRest::ChunkSize => self.progress.rest = self.next_chunk()?,
                BodyRest::Length(left) | BodyRest::Chunk(left) => {
                    return self.read_piece(buffer, left);
                }
            }
        }
    }

    /// Reads of the `left` bytes that have no frame between them.
    fn read_piece(&mut self, buffer: &mut [u8], left: u64) -> io::Result<usize> {
        let most = buffer
            .len()
            .min(usize::try_from(left).unwrap_or(usize::MAX));

        let count = self.connection.read(&mut buffer[..most])?;
        if count == 0 {
            return Err(bad(format!(
                "the body ended early: {} bytes arrived, at least {left} are missing",
                self.progress.received
            )));
        }

        // No more than `left` bytes were asked for, so the difference is never negative.
        self.progress.received += count as u64;
        let left = left - count as u64;

        self.progress.rest = match (self.progress.rest, left) {
            (BodyRest::Length(_), 0) => BodyRest::Done,
            (BodyRest::Length(_), _) => BodyRest::Length(left),
            // A chunk ends in CR LF, which belongs to no content.
            (_, 0) => {
                self.end_chunk()?;
                BodyRest::ChunkSize
            }
            (_, _) => BodyRest::Chunk(left),
        };

        Ok(count)
    }

    /// Reads a chunk-size line (RFC 9112 section 7.1); extensions are read over.
    fn next_chunk(&mut self) -> io::Result<BodyRest> {
        // The length of the line is bounded, because an extension could go on without end.
        let line = self.connection.read_line(CHUNK_LINE_BYTES_MAX)?;
        let end = line
            .iter()
            .position(|byte| !byte.is_ascii_hexdigit())
            .unwrap_or(line.len());

        let (digits, extension) = line.split_at(end);

        // Extensions begin with a semicolon. Anything else behind the size is refused, since other
        // readers might take it for a part of the number.
        let begins_well = match extension.trim_ascii_start().first() {
            Some(first) => *first == b';',
            None => extension.is_empty(),
        };

        if digits.is_empty() || !begins_well || !extension.iter().all(is_printable) {
            return Err(bad(
                "a chunk does not begin with its size in hexadecimal digits",
            ));
        }

        // Signs and blanks were refused above; `from_str_radix` would accept a sign.
        let size = str::from_utf8(digits)
            .ok()
            .and_then(|text| u64::from_str_radix(text, 16).ok());

        // The largest sizes are refused, so that sums of two of them cannot overflow.
        match size.filter(|size| i64::try_from(*size).is_ok()) {
            None => Err(bad("the size of a chunk exceeds 2^63 bytes")),
            Some(0) => self.read_trailer(),
            Some(size) => Ok(BodyRest::Chunk(size)),
        }
    }

    /// Reads the trailer section and drops it (RFC 9112 section 7.1.2).
    fn read_trailer(&mut self) -> io::Result<BodyRest> {
        for _ in 0..TRAILER_FIELDS_MAX {
            let line = self.connection.read_line(CHUNK_LINE_BYTES_MAX)?;
            if line.is_empty() {
                return Ok(BodyRest::Done);
            }
            // What another reader could take for the end of a line, or for none.
            let is_field = line.contains(&b':') && !matches!(line[0], b' ' | b'\t' | b':');
            if !is_field || !line.iter().all(|byte| is_printable(byte) || *byte >= 0x80) {
                return Err(bad(
                    "the last chunk is followed by something that is not a field",
                ));
            }
        }

        Err(bad("there are too many trailer fields"))
    }

    fn end_chunk(&mut self) -> io::Result<()> {
        match self.connection.read_line(0) {
            Ok(_) => Ok(()),
            Err(error) if ErrorKind::from_io(&error) == ErrorKind::BadRequest => {
                Err(bad("a chunk is longer than its size says"))
            }
            Err(error) => Err(error),
        }
    }

    /// Lets the body stall for `body_timeout` and keeps its average rate above `rate_min`.
    fn limit_time(&mut self) {
        let limits = self.connection.limits();
        let started = *self.progress.started.get_or_insert_with(Instant::now);
        // One TLS record more than what came, since a record is read whole.
        let allowed = limits.time_for(self.progress.received + RECORD, limits.body_timeout);
        let deadline = Some(started + allowed);
        let step = limits.body_timeout.min(limits.timeout);
        self.connection.set_read_limit(TimeLimit { step, deadline });
    }
}

impl Wire for BodyReader<'_> {
    fn inform(&mut self, head: &str) -> io::Result<()> {
        self.connection.inform(head)
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.connection.descriptor()
    }

    fn interrupter(&self) -> Box<dyn Fn() + Send> {
        self.connection.interrupter()
    }
}

impl Read for BodyReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let result = self.read_some(buffer);
        match result {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Err(error),
            Err(error) => {
                // After an error, the place in the body is unknown, so nothing more is read from
                // this connection.
                self.progress.rest = BodyRest::Broken;
                if is_timeout(&error) {
                    let text = "the body arrived too slowly";
                    return Err(Error::new(ErrorKind::RequestTimeout, text)
                        .because(error)
                        .into());
                }
                Err(error)
            }
            result => result,
        }
    }
}

/// Until when the next bytes of a body have to be there if `received` of them are by now: it may stall
/// for `body_timeout`, and has to keep `rate_min` on average.
pub(crate) fn body_deadline(
    limits: &Limits,
    started: Instant,
    now: Instant,
    received: u64,
) -> Instant {
    let allowed = limits.time_for(received, limits.body_timeout);
    (now + limits.body_timeout).min(started + allowed)
}

fn is_printable(byte: &u8) -> bool {
    matches!(byte, b'\t' | b' '..=b'~')
}

fn bad(text: impl Into<String>) -> io::Error {
    Error::new(ErrorKind::BadRequest, text).into()
}

/// The longest chunk-size line with its extensions, and the longest trailer field.
const CHUNK_LINE_BYTES_MAX: usize = 4096;

const TRAILER_FIELDS_MAX: usize = 64;

/// The largest plain text of a TLS record (RFC 8446 section 5.1).
const RECORD: u64 = 16 * 1024;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_body_has_time_as_long_as_it_does_not_stall_and_keeps_its_rate() {
        let limits = Limits {
            body_timeout: Duration::from_secs(10),
            rate_min: 100,
            ..Limits::default()
        };
        let started = Instant::now();
        let seconds = |count| started + Duration::from_secs(count);
        let deadline = |now, received| body_deadline(&limits, started, seconds(now), received);

        assert_eq!(deadline(0, 0), seconds(10));
        assert_eq!(
            deadline(8, 0),
            seconds(10),
            "nothing came, so nothing is won"
        );
        assert_eq!(
            deadline(60, 10_000),
            seconds(70),
            "fast enough, it may stall only"
        );
        assert_eq!(
            deadline(60, 5_500),
            seconds(65),
            "55 s are worth that many bytes"
        );
    }
}
