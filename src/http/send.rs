// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Answers on the wire: small ones in one piece, others bit by bit at their caller's pace.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt as _;

use super::answer_head::{Asked, Persistence, status_and_fields};
use super::connection::Connection;
use super::head::Version;
use super::response::{Content, Response};
use crate::http::answer_pace::{AnswerPace, SLICE_BYTES};
use crate::http::endless::{Endless, Pipe, pour};
use crate::stop::Stop;
use crate::transport::Transport;

/// An answer that is sent in one piece, or one that is sent bit by bit.
pub(crate) enum SmallAnswer {
    /// Head and content, and how many bytes of content there are.
    Whole {
        bytes: Vec<u8>,
        content: u64,
    },
    Large(Response),
}

/// Puts a small answer together. The content of a small file is read here; if that fails, it is left
/// to [`send`] to find out why.
pub(crate) fn small(asked: Asked, response: Response, persistence: Persistence) -> SmallAnswer {
    let sends_content = !asked.is_head && !response.status.is_bodiless();
    let is_small = match &response.content {
        _ if !sends_content => true,
        Content::Reader(..) | Content::Chunked(_) | Content::Endless(_) => false,
        content => content
            .length()
            .is_some_and(|length| length <= JOINED_BYTES_MAX as u64),
    };
    if !is_small {
        return SmallAnswer::Large(response);
    }

    let mut bytes = status_and_fields(&response, asked.version, persistence).into_bytes();
    let head = bytes.len();

    if sends_content {
        match &response.content {
            Content::Bytes(content) => bytes.extend_from_slice(content),
            Content::Shared(content, range) => bytes.extend_from_slice(&content[range.clone()]),
            Content::File {
                file,
                offset,
                length,
            } => {
                let length = usize::try_from(*length).unwrap_or(JOINED_BYTES_MAX);
                bytes.resize(head + length, 0);
                if file.read_exact_at(&mut bytes[head..], *offset).is_err() {
                    return SmallAnswer::Large(response);
                }
            }
            _ => {}
        }
    }

    let content = (bytes.len() - head) as u64;
    SmallAnswer::Whole { bytes, content }
}

/// Bounds the writing of what is left of a small answer.
pub(crate) fn limit_write(connection: &mut Connection) {
    AnswerPace::new(connection).limit(connection.transport());
}

/// Writes an answer that [`small`] has left, and returns the bytes of its content.
///
/// # Errors
/// If the caller left, takes nothing for `write_timeout`, or takes less than `rate_min` on average; or
/// if the content ends before its length. The connection is then of no use any more.
pub(crate) fn send(
    connection: &mut Connection,
    version: Version,
    response: Response,
    persistence: Persistence,
    stop: &Stop,
) -> io::Result<u64> {
    let text = status_and_fields(&response, version, persistence).into_bytes();
    let pace = AnswerPace::new(connection);
    let sink = &mut AnswerSink { connection, pace };

    match response.content {
        Content::Empty => sink.write(&text)?,
        Content::Bytes(bytes) => sink.bytes(&text, &bytes)?,
        Content::Shared(bytes, range) => sink.bytes(&text, &bytes[range])?,
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

    fn bytes(&mut self, head: &[u8], content: &[u8]) -> io::Result<()> {
        self.write(head)?;
        self.write(content)?;
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

/// What is copied at a time where content comes from a reader: four TLS records.
const COPY_BYTES: usize = 64 * 1024;

/// Content up to this size shares a packet with its head.
const JOINED_BYTES_MAX: usize = 16 * 1024;
