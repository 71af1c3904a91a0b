// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Answers on the wire: head and content, written by the connection's own thread at its caller's pace.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Read};

use super::connection::Connection;
use super::head::{Head, Method, Version};
use super::response::{Content, Response};
use crate::clock;
use crate::error::Error;
use crate::http::answer_pace::{AnswerPace, SLICE_BYTES};
use crate::http::endless::{Endless, Pipe, pour};
use crate::stop::Stop;
use crate::transport::Transport;

/// Whether a connection goes on after an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Persistence {
    Open,
    Close,
}

/// What of a request matters to the form of its answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked {
    version: Version,
    is_head: bool,
}

impl Asked {
    pub(crate) fn of(head: &Head) -> Self {
        Self {
            version: head.version,
            is_head: head.method == Method::Head,
        }
    }

    /// Of a request whose head cannot be read.
    pub(crate) fn unread(bytes: &[u8]) -> Self {
        Self {
            version: Version::Http11,
            is_head: bytes.starts_with(b"HEAD "),
        }
    }

    /// Whether nothing but the end of the connection ends this answer: HTTP/1.0 has no chunks.
    pub(crate) fn ends_with_connection(self, response: &Response) -> bool {
        self.version == Version::Http10
            && response.content.length().is_none()
            && !response.status.is_bodiless()
    }
}

impl Connection {
    /// Answers what cannot be handled and ends the connection.
    pub(crate) fn refuse(&mut self, head: Option<&Head>, error: &Error) {
        let peer = self.transport().peer().clone();

        // The reason is logged even if the caller left before it could read the answer.
        log::info!(
            "{peer} refused: {} {}",
            error.kind().status(),
            error.message()
        );

        let asked = head.map_or_else(|| Asked::unread(self.buffered()), Asked::of);
        let response = Response::error(error);

        // The answer goes out before the rest of the request is read away, so that a caller which
        // waits for it is not kept waiting.
        if send(self, asked, response, Persistence::Close, &Stop::new()).is_ok() {
            self.linger(None);
        }
    }
}

/// Writes an answer and returns the bytes of its content.
///
/// # Errors
/// If the caller left, takes nothing for `write_timeout`, or takes less than `rate_min` on average; or
/// if the content ends before its length. The connection is then of no use any more.
pub(crate) fn send(
    connection: &mut Connection,
    asked: Asked,
    response: Response,
    persistence: Persistence,
    stop: &Stop,
) -> io::Result<u64> {
    let Asked { version, is_head } = asked;
    let mut text = status_and_fields(&response, version, persistence).into_bytes();
    let pace = AnswerPace::new(connection);

    // HEAD gets the fields of GET without its content (RFC 9110 section 9.3.2), so the fields come
    // from the true content.
    let sends_content = !is_head && !response.status.is_bodiless();

    let content = if sends_content {
        response.content
    } else {
        Content::Empty
    };

    let sink = &mut AnswerSink { connection, pace };

    match content {
        Content::Empty => sink.write(&text)?,
        Content::Bytes(bytes) => sink.write_joined(&mut text, &bytes)?,
        Content::Shared(bytes, range) => sink.write_joined(&mut text, &bytes[range])?,
        Content::File {
            mut file,
            offset,
            length,
        } => {
            // The position is set before the head is sent, so an error here leaves no false promise
            // on the wire.
            io::Seek::seek(&mut file, io::SeekFrom::Start(offset))?;
            sink.write(&text)?;
            sink.file(&mut file, length)?;
        }
        Content::Reader(length, mut reader) => {
            sink.write(&text)?;
            sink.exactly(length, &mut reader)?;
        }
        Content::Chunked(mut reader) => {
            sink.write(&text)?;
            sink.chunks(&mut reader, version)?;
        }
        Content::Endless(mut source) => {
            sink.write(&text)?;
            sink.endless(&mut *source, version, stop)?;
        }
    }

    sink.connection.transport().flush()?;

    Ok(sink.pace.sent)
}

fn status_and_fields(response: &Response, version: Version, persistence: Persistence) -> String {
    let mut text = String::with_capacity(256);
    let status = response.status;

    // Writing to a String cannot fail.
    let _ = write!(
        text,
        "HTTP/1.1 {} {}\r\nserver: skep\r\n",
        status.0,
        status.reason()
    );

    if let Some(date) = date() {
        let _ = write!(text, "date: {date}\r\n");
    }

    // A model may look like HTML: no browser may guess the type and run scripts in it.
    text.push_str("x-content-type-options: nosniff\r\n");

    // A handler cannot set fields that delimit the message, or it could make readers see another
    // end.
    for (name, value) in &response.fields {
        if OURS.iter().any(|ours| name.eq_ignore_ascii_case(ours)) {
            continue;
        }
        let _ = write!(text, "{name}: {value}\r\n");
    }

    // Statuses without content have neither field (RFC 9110 section 8.6, RFC 9112 section 6.1).
    match response.content.length() {
        _ if status.is_bodiless() => {}
        Some(length) => {
            let _ = write!(text, "content-length: {length}\r\n");
        }
        None if version == Version::Http11 => text.push_str("transfer-encoding: chunked\r\n"),
        None => {}
    }

    // The defaults differ: HTTP/1.1 connections persist, HTTP/1.0 ones close.
    match (persistence, version) {
        (Persistence::Close, _) => text.push_str("connection: close\r\n"),
        (Persistence::Open, Version::Http10) => text.push_str("connection: keep-alive\r\n"),
        (Persistence::Open, Version::Http11) => {}
    }

    text.push_str("\r\n");

    text
}

/// The date, unless the clock was never set: a server without a clock must not send one (RFC 9110
/// section 6.6.1).
fn date() -> Option<String> {
    clock::is_trusted().then(|| httpdate::fmt_http_date(clock::now()))
}

/// Where an answer goes, and how fast it has to be taken.
struct AnswerSink<'a> {
    connection: &'a mut Connection,
    pace: AnswerPace,
}

impl AnswerSink<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        for piece in bytes.chunks(SLICE_BYTES) {
            self.pace.limit(self.connection.transport());
            self.connection.transport().write_all(piece)?;
        }
        Ok(())
    }

    /// Writes head and content, in one piece where that is small.
    fn write_joined(&mut self, head: &mut Vec<u8>, content: &[u8]) -> io::Result<()> {
        if content.len() <= JOINED_BYTES_MAX {
            head.extend_from_slice(content);
            self.write(head)?;
        } else {
            self.write(head)?;
            self.write(content)?;
        }
        self.pace.sent += content.len() as u64;
        Ok(())
    }

    /// Sends so many bytes of a file.
    fn file(&mut self, file: &mut File, length: u64) -> io::Result<()> {
        let mut left = length;
        while left > 0 {
            let transport = self.connection.transport();
            self.pace.limit(transport);
            let count = transport.send_file(file, left.min(SLICE_BYTES as u64))?;
            if count == 0 {
                return Err(too_short());
            }
            left -= count;
            self.pace.sent += count;
        }

        Ok(())
    }

    /// Sends so many bytes from a reader.
    fn exactly(&mut self, length: u64, reader: &mut dyn Read) -> io::Result<()> {
        let mut buffer = vec![0; COPY_BYTES];
        let mut left = length;

        while left > 0 {
            // The time that a slow source takes is not counted against the caller.
            let most = usize::try_from(left).unwrap_or(COPY_BYTES).min(COPY_BYTES);
            let count = self.pace.excuse(|| read(reader, &mut buffer[..most]))?;
            if count == 0 {
                return Err(too_short());
            }

            self.write(&buffer[..count])?;
            left -= count as u64;
            self.pace.sent += count as u64;
        }

        Ok(())
    }

    fn endless(
        &mut self,
        source: &mut dyn Endless,
        version: Version,
        stop: &Stop,
    ) -> io::Result<()> {
        // The head goes out at once, so the caller sees that its watch has begun although nothing
        // happens yet.
        self.connection.transport().flush()?;
        let mut pipe = EndlessPipe {
            sink: self,
            version,
            frame: Vec::new(),
        };

        pour(source, stop, &mut pipe)?;

        // The last chunk, so that the caller knows that nothing was cut.
        if version == Version::Http11 {
            pipe.write(&[])?;
        }

        Ok(())
    }

    fn chunks(&mut self, reader: &mut dyn Read, version: Version) -> io::Result<()> {
        let mut buffer = vec![0; COPY_BYTES];

        // A chunk is written in one call together with its size line and its line breaks.
        let mut frame = Vec::with_capacity(COPY_BYTES + 16);

        loop {
            // An empty read becomes the last chunk, which tells the caller that nothing was cut.
            let count = self.pace.excuse(|| read(reader, &mut buffer))?;
            put_chunk(&mut frame, &buffer[..count], version);
            self.write(&frame)?;
            self.pace.sent += count as u64;
            if count == 0 {
                return Ok(());
            }
        }
    }
}

/// Writes a chunk (RFC 9112 section 7.1), where there are chunks; one without bytes is the last.
fn put_chunk(frame: &mut Vec<u8>, bytes: &[u8], version: Version) {
    frame.clear();
    if version == Version::Http11 {
        frame.extend_from_slice(format!("{:x}\r\n", bytes.len()).as_bytes());
        frame.extend_from_slice(bytes);
        frame.extend_from_slice(b"\r\n");
    } else {
        frame.extend_from_slice(bytes);
    }
}

/// An answer without an end on its way.
struct EndlessPipe<'s, 'c> {
    sink: &'s mut AnswerSink<'c>,
    version: Version,
    frame: Vec<u8>,
}

impl Pipe for EndlessPipe<'_, '_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        put_chunk(&mut self.frame, bytes, self.version);
        // Each piece has time of its own: what does not happen is not slow.
        self.sink.pace.begin_again();
        self.sink.write(&self.frame)?;
        self.sink.connection.transport().flush()?;
        self.sink.pace.sent += bytes.len() as u64;
        Ok(())
    }

    fn transport(&mut self) -> &mut dyn Transport {
        self.sink.connection.transport()
    }
}

/// The length was announced, so the connection must not go on.
fn too_short() -> io::Error {
    io::Error::other("the content ended before its length")
}

/// Reads once, undisturbed by signals.
fn read(reader: &mut dyn Read, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match reader.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

/// The fields that only the server may set, since they say where an answer ends.
const OURS: [&str; 6] = [
    "connection",
    "content-length",
    "keep-alive",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// What is copied at a time where content comes from a reader: four TLS records.
const COPY_BYTES: usize = 64 * 1024;

/// Content up to this size shares a packet with its head.
const JOINED_BYTES_MAX: usize = 16 * 1024;
