// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A connection: its transport, the bytes that were read from it and not used yet, and how it ends.

use std::io::{self, Read};
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::time::Instant;

use super::head::{self, Head};
use crate::error::{Error, ErrorKind};
use crate::limits::Limits;
use crate::transport::{Peer, TimeLimit, Transport, is_timeout};

/// A transport with the bytes that were read from it and not used yet.
pub(crate) struct Connection {
    transport: Box<dyn Transport>,
    buffer: Vec<u8>,
    start: usize,
    limits: Arc<Limits>,
}

/// How far the reading of a head has come.
#[derive(Default)]
pub(crate) struct HeadReading {
    searched: usize,
    empty_lines: usize,
    pub(crate) has_begun: bool,
}

/// What [`Connection::next_head`] found.
pub(crate) enum HeadStep {
    Head(Head),
    /// The caller has not sent all of it yet.
    Pending,
    /// There is no further request.
    End,
}

impl Connection {
    pub(crate) fn new(transport: Box<dyn Transport>, limits: Arc<Limits>) -> Self {
        Self {
            transport,
            buffer: Vec::new(),
            start: 0,
            limits,
        }
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    pub(crate) fn shared_limits(&self) -> Arc<Limits> {
        Arc::clone(&self.limits)
    }

    pub(crate) fn transport(&mut self) -> &mut dyn Transport {
        &mut *self.transport
    }

    /// Who is at the other end.
    pub(crate) fn peer(&self) -> &Peer {
        self.transport.peer()
    }

    pub(crate) fn set_read_limit(&mut self, limit: TimeLimit) {
        self.transport.set_read_limit(limit);
    }

    /// From here on nothing waits: what cannot be done at once fails with `WouldBlock`.
    pub(crate) fn be_quick(&mut self) {
        self.transport.set_read_limit(TimeLimit::AT_ONCE);
        self.transport.set_write_limit(TimeLimit::AT_ONCE);
    }

    /// Reads of the next head what is there.
    ///
    /// # Errors
    /// What the caller is to be told of a head that cannot be accepted.
    pub(crate) fn next_head(
        &mut self,
        reading: &mut HeadReading,
    ) -> crate::error::Result<HeadStep> {
        for _ in 0..READS_AT_ONCE {
            // Some callers end a body with line breaks that do not belong to it (RFC 9112 section 2.2).
            while !reading.has_begun
                && reading.empty_lines < EMPTY_LINES_MAX
                && self.buffered().starts_with(b"\r\n")
            {
                reading.empty_lines += 1;
                self.consume(2);
            }

            let bytes = self.buffered();
            if !bytes.is_empty() && (reading.has_begun || bytes != b"\r") {
                reading.has_begun = true;
                if let Some(head) = self.take_head(&mut reading.searched)? {
                    return Ok(HeadStep::Head(head));
                }
            }

            match self.fill() {
                Ok(1..) => {}
                Err(error) if is_timeout(&error) => {
                    self.release();
                    return Ok(HeadStep::Pending);
                }
                Ok(0) | Err(_) => return Ok(HeadStep::End),
            }
        }

        // Others have their turn before a caller that sends byte by byte.
        self.transport.expect_more();
        Ok(HeadStep::Pending)
    }

    fn take_head(&mut self, searched: &mut usize) -> crate::error::Result<Option<Head>> {
        let limits = Arc::clone(&self.limits);
        let bytes = self.buffered();

        if let Some(end) = head::end(bytes, *searched) {
            if end > limits.head_bytes_max {
                return Err(oversized(bytes, &limits));
            }
            let head = head::parse(&bytes[..end], &limits)?;
            self.consume(end);
            return Ok(Some(head));
        }

        // What cannot become a valid head is refused at once; the caller need not send the rest.
        head::check_start(bytes)?;

        // Only new bytes are searched next time, so a head that arrives byte by byte costs linear time.
        *searched = bytes.len();
        if *searched >= limits.head_bytes_max {
            return Err(oversized(bytes, &limits));
        }

        Ok(None)
    }

    /// Whether there may be bytes of which no event of the socket tells.
    pub(crate) fn has_more(&self) -> bool {
        !self.buffered().is_empty() || self.transport.has_more()
    }

    /// Whether the transport may have bytes of which no event of the socket tells.
    pub(crate) fn has_unread(&self) -> bool {
        self.transport.has_more()
    }

    /// An event of the socket has come.
    pub(crate) fn expect_more(&mut self) {
        self.transport.expect_more();
    }

    /// Gives memory back while there is nothing to keep in it: an idle connection keeps little.
    pub(crate) fn release(&mut self) {
        if self.buffered().is_empty() {
            self.start = 0;
            self.buffer = Vec::new();
        }
    }

    /// Reads of the first `length` bytes of a body what is there; whether all of them are.
    ///
    /// # Errors
    /// `BadRequest` if the caller ends before that, and those of the connection.
    pub(crate) fn prefetch(&mut self, length: usize) -> crate::error::Result<bool> {
        for _ in 0..READS_AT_ONCE {
            if self.buffered().len() >= length {
                return Ok(true);
            }

            match self.fill() {
                Ok(1..) => {}
                Ok(0) => {
                    let text = "the body ended early";
                    return Err(Error::new(ErrorKind::BadRequest, text));
                }
                Err(error) if is_timeout(&error) => return Ok(false),
                Err(error) => return Err(error.into()),
            }
        }

        self.transport.expect_more();
        Ok(self.buffered().len() >= length)
    }

    /// Writes what the kernel takes at once, and says how many bytes that were. A transport may keep some
    /// of them to itself ([`Connection::has_unsent`]).
    ///
    /// # Errors
    /// Those of the connection.
    pub(crate) fn write_at_once(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.transport.set_write_limit(TimeLimit::AT_ONCE);
        let mut written = 0;
        while written < bytes.len() {
            match self.transport.write(&bytes[written..]) {
                Ok(0) => break,
                Ok(count) => written += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }

        Ok(written)
    }

    /// Whether bytes that were written wait for the kernel.
    pub(crate) fn has_unsent(&self) -> bool {
        self.transport.has_unsent()
    }

    /// Writes the head of an interim response (RFC 9110 section 15.2).
    pub(crate) fn inform(&mut self, head: &str) -> io::Result<()> {
        let step = self.limits.write_timeout;
        self.transport.set_write_limit(TimeLimit {
            step,
            deadline: Some(Instant::now() + step),
        });
        self.transport.write_all(head.as_bytes())?;
        self.transport.flush()
    }

    /// The socket, if there is one.
    pub(crate) fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.transport.descriptor()
    }

    /// What ends the reads of this connection from another thread.
    pub(crate) fn interrupter(&self) -> Box<dyn Fn() + Send> {
        self.transport.interrupter()
    }

    /// Reads a line that ends in CR LF, without it; a bare LF or more than `bytes_max` is an error.
    pub(crate) fn read_line(&mut self, bytes_max: usize) -> io::Result<Vec<u8>> {
        loop {
            let bytes = self.buffered();

            // Two bytes more than the line may have: its CR LF.
            let searched = &bytes[..bytes.len().min(bytes_max + 2)];
            if let Some(end) = searched.iter().position(|byte| *byte == b'\n') {
                // A bare LF is refused, because another reader in front of this server might not
                // take it for a line end.
                let Some(line) = searched[..end].strip_suffix(b"\r") else {
                    return Err(bad_line("a line in a chunked body ends in a bare LF"));
                };
                let line = line.to_vec();
                self.consume(end + 1);
                return Ok(line);
            }
            if searched.len() == bytes_max + 2 {
                return Err(bad_line("a line in a chunked body is too long"));
            }
            if self.fill()? == 0 {
                return Err(bad_line("the body ended early, within a chunk"));
            }
        }
    }

    pub(crate) fn buffered(&self) -> &[u8] {
        &self.buffer[self.start..]
    }

    /// How many bytes are kept, used ones as well, and how many there is memory for.
    #[cfg(test)]
    pub(crate) fn held(&self) -> (usize, usize) {
        (self.buffer.len(), self.buffer.capacity())
    }

    fn consume(&mut self, count: usize) {
        self.start += count;
        if self.start == self.buffer.len() {
            self.start = 0;
            self.buffer.clear();
        }
    }

    /// Reads more into the buffer.
    fn fill(&mut self) -> io::Result<usize> {
        // Bytes that were used go first; otherwise the buffer of a long connection would grow for
        // ever.
        if self.start > 0 {
            self.buffer.drain(..self.start);
            self.start = 0;
        }

        let used = self.buffer.len();
        self.buffer.resize(used + FILL_BYTES, 0);

        // A signal is no error of the connection.
        let result = loop {
            match self.transport.read(&mut self.buffer[used..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => break result,
            }
        };

        // Also after an error: the buffer must end where real bytes end.
        self.buffer
            .truncate(used + result.as_ref().copied().unwrap_or_default());

        result
    }
}

impl Read for Connection {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.start == self.buffer.len() {
            return self.transport.read(buffer);
        }
        let count = self.buffered().read(buffer)?;
        self.consume(count);
        Ok(count)
    }
}

fn bad_line(text: &str) -> io::Error {
    Error::new(ErrorKind::BadRequest, text).into()
}

fn oversized(bytes: &[u8], limits: &Limits) -> Error {
    let kilobytes = limits.head_bytes_max / 1024;
    if bytes.contains(&b'\n') {
        let text = format!("the head of the request is larger than {kilobytes} KiB");
        Error::new(ErrorKind::FieldsTooLarge, text)
    } else {
        let text = format!("the request line is longer than {kilobytes} KiB");
        Error::new(ErrorKind::TargetTooLong, text)
    }
}

/// How much is read at a time where the amount is not known.
const FILL_BYTES: usize = 4096;

/// Empty lines before a request line that are read over.
const EMPTY_LINES_MAX: usize = 2;

/// Reads of one caller before others have their turn.
const READS_AT_ONCE: usize = 8;
