// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A connection: its transport, the bytes that were read from it and not used yet, and how it ends.

use std::io::{self, Read};
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::head::{self, Head};
use crate::error::{Error, ErrorKind};
use crate::limits::Limits;
use crate::transport::{Activity, TimeLimit, Transport, is_timeout};

/// A transport with the bytes that were read from it and not used yet.
pub(crate) struct Connection {
    transport: Box<dyn Transport>,
    buffer: Vec<u8>,
    start: usize,
    limits: Arc<Limits>,
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

    pub(crate) fn transport(&mut self) -> &mut dyn Transport {
        &mut *self.transport
    }

    pub(crate) fn set_read_limit(&mut self, limit: TimeLimit) {
        self.transport.set_read_limit(limit);
    }

    /// Reads the next head; `None` if the caller left or stayed silent between two requests.
    pub(crate) fn read_head(&mut self) -> crate::error::Result<Option<Head>> {
        let limits = Arc::clone(&self.limits);
        let step = limits.idle_timeout;

        // A deadline, because a byte of a TLS record is not yet a byte of a request.
        let deadline = Some(Instant::now() + step);
        self.transport.set_read_limit(TimeLimit { step, deadline });
        if self.buffered().is_empty() && !matches!(self.fill(), Ok(1..)) {
            return Ok(None);
        }

        // Some callers end a body with a line break that does not belong to it (RFC 9112 section 2.2).
        if self.buffered().starts_with(b"\r\n") {
            self.consume(2);
            if self.buffered().is_empty() && !matches!(self.fill(), Ok(1..)) {
                return Ok(None);
            }
        }

        // Now it is a request and not silence: at a shutdown, idle connections are closed at once,
        // others are not.
        self.transport.set_activity(Activity::Busy);
        let deadline = Some(Instant::now() + limits.head_timeout);

        self.transport.set_read_limit(TimeLimit {
            step: limits.timeout,
            deadline,
        });

        // Only new bytes are searched for the end of the head, so a head that arrives byte by byte
        // costs linear time.
        let mut searched = 0;

        loop {
            let bytes = self.buffered();
            if let Some(end) = head::end(bytes, searched) {
                if end > limits.head_bytes_max {
                    return Err(oversized(bytes, &limits));
                }
                let head = head::parse(&bytes[..end], &limits)?;
                self.consume(end);
                return Ok(Some(head));
            }

            // What cannot become a valid head is refused at once; the caller need not send the
            // rest.
            head::check_start(bytes)?;
            searched = bytes.len();
            if searched >= limits.head_bytes_max {
                return Err(oversized(bytes, &limits));
            }
            match self.fill() {
                Ok(0) => return Ok(None),
                Ok(_) => {}
                Err(error) if is_timeout(&error) => {
                    let text = "the head of the request did not arrive in time";
                    return Err(Error::new(ErrorKind::RequestTimeout, text));
                }
                Err(_) => return Ok(None),
            }
        }
    }

    /// Reads until so many bytes of a body are in the buffer.
    pub(crate) fn prefetch(&mut self, length: usize) -> crate::error::Result<()> {
        let limits = Arc::clone(&self.limits);

        // A short body that trickles in must not hold the connection for longer than
        // `body_timeout`.
        let deadline = Some(Instant::now() + limits.body_timeout);

        self.transport.set_read_limit(TimeLimit {
            step: limits.timeout,
            deadline,
        });

        while self.buffered().len() < length {
            match self.fill() {
                Ok(0) => {
                    let text = "the body ended early";
                    return Err(Error::new(ErrorKind::BadRequest, text));
                }
                Ok(_) => {}
                Err(error) if is_timeout(&error) => {
                    let text = "the body arrived too slowly";
                    return Err(Error::new(ErrorKind::RequestTimeout, text));
                }
                Err(error) => return Err(error.into()),
            }
        }

        Ok(())
    }

    /// Ends the connection so that the caller sees the answer although it may still be sending: a
    /// socket that is closed with unread bytes would reset the connection (RFC 9112 section 9.6).
    pub(crate) fn linger(&mut self, bytes_max: Option<u64>) {
        let (bytes_max, time) = match bytes_max {
            Some(bytes) => (bytes, LINGER_FOR_SENDERS),
            None => (self.limits.drain_bytes_max, LINGER),
        };

        // The caller sees the end of the answer first; only then is the rest of its bytes read and
        // dropped.
        self.transport.finish();
        let end = Instant::now() + time;

        self.transport.set_read_limit(TimeLimit {
            step: time,
            deadline: Some(end),
        });

        // A caller that sends for ever is cut off after `bytes_max`.
        let mut rest = (&mut self.transport).take(bytes_max);

        if discard(&mut rest).is_ok_and(|count| count == bytes_max) {
            // More is not read, but a caller that is still sending gets the time to see the answer.
            self.transport
                .wait_for_end(end.saturating_duration_since(Instant::now()).min(LINGER));
        }
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

    fn consume(&mut self, count: usize) {
        self.start += count;
        if self.start == self.buffer.len() {
            self.start = 0;
            self.buffer.clear();
            // An idle connection keeps little.
            self.buffer.shrink_to(FILL_BYTES);
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

/// Reads everything and keeps nothing. Not `io::copy`, whose buffer of 8 KiB lies on the stack, where
/// each connection would keep it for its lifetime.
pub(crate) fn discard(source: &mut dyn Read) -> io::Result<u64> {
    let mut buffer = vec![0; FILL_BYTES];
    let mut total = 0;

    loop {
        match source.read(&mut buffer) {
            Ok(0) => return Ok(total),
            Ok(count) => total += count as u64,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
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

/// How long an answered connection is read on, so that its answer arrives.
const LINGER: Duration = Duration::from_secs(2);

/// The same for callers that are known to send all before they read.
const LINGER_FOR_SENDERS: Duration = Duration::from_secs(30);
