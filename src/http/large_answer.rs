// SPDX-License-Identifier: Apache-2.0 OR MIT
//! An answer that is sent bit by bit: how far it has come, and its next step. It needs no thread while
//! the kernel takes nothing of it or while nothing happens.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::BorrowedFd;
use std::os::unix::fs::FileExt as _;

use super::answer_head::{Persistence, status_and_fields};
use super::head::Version;
use super::response::{Content, Response};
use crate::http::answer_pace::AnswerPace;
use crate::http::endless::{Endless, Happened};
use crate::transport::Transport;

/// An answer on its way.
pub(crate) struct LargeAnswer {
    /// What goes out next, and how much of it has.
    piece: Vec<u8>,
    start: usize,
    /// How many bytes of content the piece has.
    content: u64,
    /// What comes after the piece.
    source: AnswerSource,
    version: Version,
    /// Bytes of content that were sent.
    sent: u64,
    /// Each step is a short one, and none needs a disk or a reader.
    is_quick: bool,
}

/// Where the rest of an answer comes from.
enum AnswerSource {
    Nothing,
    /// Bytes in memory from a place on, and up to another.
    Memory(Box<dyn AsRef<[u8]> + Send>, usize, usize),
    File {
        file: File,
        offset: u64,
        left: u64,
    },
    Reader(u64, Box<dyn Read + Send>),
    Chunked(Box<dyn Read + Send>),
    Endless(Box<dyn Endless>),
    /// It is kept, since the poller may still know its descriptor.
    Ended(Box<dyn Endless>),
}

/// What a step has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AnswerStep {
    /// There is more to do.
    More,
    /// The kernel takes no more for now.
    Full,
    /// Nothing happens for now, in an answer without an end.
    Quiet,
    /// The kernel has all of it.
    Done,
}

impl LargeAnswer {
    /// An answer from its head on.
    pub(crate) fn new(response: Response, version: Version, persistence: Persistence) -> Self {
        let head = status_and_fields(&response, version, persistence);
        let is_quick = matches!(response.content, Content::Endless(_));
        let source = match response.content {
            Content::Empty => AnswerSource::Nothing,
            Content::Bytes(bytes) => {
                let end = bytes.len();
                AnswerSource::Memory(Box::new(bytes), 0, end)
            }
            Content::Shared(bytes, range) => {
                AnswerSource::Memory(Box::new(bytes), range.start, range.end)
            }
            Content::File {
                file,
                offset,
                length,
            } => AnswerSource::File {
                file,
                offset,
                left: length,
            },
            Content::Reader(length, reader) => AnswerSource::Reader(length, reader),
            Content::Chunked(reader) => AnswerSource::Chunked(reader),
            Content::Endless(source) => AnswerSource::Endless(source),
        };

        Self {
            piece: head.into_bytes(),
            start: 0,
            content: 0,
            source,
            version,
            sent: 0,
            is_quick,
        }
    }

    /// The rest of a small answer, of which so many bytes were written and so many are content. A transport
    /// may have taken all of them and still have some to send.
    pub(crate) fn rest(bytes: Vec<u8>, written: usize, content: u64) -> Self {
        let is_written = written == bytes.len();
        Self {
            piece: bytes,
            start: written,
            content,
            source: AnswerSource::Nothing,
            version: Version::Http11,
            sent: if is_written { content } else { 0 },
            is_quick: true,
        }
    }

    /// Whether a thread that must not wait can send all of it.
    pub(crate) fn is_quick(&self) -> bool {
        self.is_quick
    }

    /// Whether a thread that must not wait can do the next step.
    pub(crate) fn is_at_hand(&self) -> bool {
        let is_read = matches!(
            self.source,
            AnswerSource::File { .. } | AnswerSource::Reader(..) | AnswerSource::Chunked(_)
        );
        !is_read || self.start < self.piece.len()
    }

    /// Whether letting go of it may wait for something.
    pub(crate) fn may_block(&self) -> bool {
        matches!(
            self.source,
            AnswerSource::Reader(..) | AnswerSource::Chunked(_)
        )
    }

    /// Bytes of content that were sent.
    pub(crate) fn sent(&self) -> u64 {
        self.sent
    }

    /// What is readable when there is something to send, if the answer has no end.
    pub(crate) fn source(&self) -> Option<BorrowedFd<'_>> {
        match &self.source {
            AnswerSource::Endless(source) | AnswerSource::Ended(source) => {
                Some(source.descriptor())
            }
            _ => None,
        }
    }

    /// Ends an answer without an end after what is on its way.
    pub(crate) fn end(&mut self) {
        self.source = match std::mem::replace(&mut self.source, AnswerSource::Nothing) {
            AnswerSource::Endless(source) => {
                // The last chunk tells the caller that nothing was cut.
                put_chunk(&mut self.piece, &[], self.version);
                AnswerSource::Ended(source)
            }
            other => other,
        };
    }

    /// Reads some of a file, so that the next step needs no disk.
    ///
    /// # Errors
    /// If the file ends before its length, and those of reading.
    pub(crate) fn keep_at_hand(&mut self) -> io::Result<()> {
        let AnswerSource::File { file, offset, left } = &mut self.source else {
            return Ok(());
        };
        if self.start < self.piece.len() || *left == 0 {
            return Ok(());
        }

        let most = usize::try_from(*left)
            .unwrap_or(AT_HAND_BYTES)
            .min(AT_HAND_BYTES);
        self.piece.resize(most, 0);
        file.read_exact_at(&mut self.piece, *offset)?;
        self.start = 0;
        self.content = most as u64;
        *offset += most as u64;
        *left -= most as u64;
        Ok(())
    }

    /// Sends at most `most` bytes over a transport that does not wait, or reads the next piece.
    ///
    /// # Errors
    /// If the caller left or the content ends before its length. The connection is then of no use any
    /// more.
    pub(crate) fn step(
        &mut self,
        transport: &mut dyn Transport,
        pace: &mut AnswerPace,
        most: usize,
    ) -> io::Result<AnswerStep> {
        if transport.has_unsent() && is_full(transport.flush())? {
            return Ok(AnswerStep::Full);
        }
        if self.start < self.piece.len() {
            return self.send_piece(transport, most);
        }

        match &mut self.source {
            AnswerSource::Nothing | AnswerSource::Ended(_) => {
                if is_full(transport.flush())? {
                    return Ok(AnswerStep::Full);
                }
                return Ok(AnswerStep::Done);
            }
            AnswerSource::Memory(bytes, start, end) => {
                let bytes = &(**bytes).as_ref()[*start..*end];
                let count = written(transport.write(&bytes[..bytes.len().min(most)]))?;
                *start += count;
                self.sent += count as u64;
                if start == end {
                    self.source = AnswerSource::Nothing;
                } else if count == 0 {
                    return Ok(AnswerStep::Full);
                }
            }
            AnswerSource::File { file, offset, left } => {
                let wanted = (*left).min(most as u64);
                let count = match transport.send_file(file, *offset, wanted) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        return Ok(AnswerStep::Full);
                    }
                    result => result?,
                };
                if count == 0 && *left > 0 && !transport.has_unsent() {
                    return Err(too_short());
                }
                *offset += count;
                *left -= count;
                self.sent += count;
                if *left == 0 {
                    self.source = AnswerSource::Nothing;
                } else if count < wanted {
                    // To try again would only say so.
                    return Ok(AnswerStep::Full);
                }
            }
            AnswerSource::Reader(..) | AnswerSource::Chunked(_) => pace.excuse(|| self.read())?,
            AnswerSource::Endless(source) => match source.next() {
                // Each piece has time of its own: what does not happen is not slow.
                Happened::Bytes(bytes) => {
                    pace.begin_again();
                    self.put(&bytes);
                }
                Happened::Nothing => return Ok(AnswerStep::Quiet),
                Happened::End => self.end(),
            },
        }

        Ok(AnswerStep::More)
    }

    fn send_piece(&mut self, transport: &mut dyn Transport, most: usize) -> io::Result<AnswerStep> {
        let rest = &self.piece[self.start..];
        let count = written(transport.write(&rest[..rest.len().min(most)]))?;
        self.start += count;

        if self.start < self.piece.len() {
            return Ok(if count == 0 {
                AnswerStep::Full
            } else {
                AnswerStep::More
            });
        }

        self.sent += std::mem::take(&mut self.content);
        self.start = 0;
        self.piece.clear();
        if self.is_quick {
            // Streams that wait for a long time keep little.
            self.piece = Vec::new();
        }
        Ok(AnswerStep::More)
    }

    /// Makes the next piece of what a reader yields.
    fn read(&mut self) -> io::Result<()> {
        match &mut self.source {
            AnswerSource::Reader(0, _) => self.source = AnswerSource::Nothing,
            AnswerSource::Reader(left, reader) => {
                let most = usize::try_from(*left).unwrap_or(COPY_BYTES).min(COPY_BYTES);
                self.piece.resize(most, 0);
                let count = read(&mut **reader, &mut self.piece)?;
                if count == 0 {
                    return Err(too_short());
                }
                self.piece.truncate(count);
                self.content = count as u64;
                *left -= count as u64;
            }
            AnswerSource::Chunked(reader) => {
                let mut buffer = vec![0; COPY_BYTES];
                let count = read(&mut **reader, &mut buffer)?;
                if count == 0 {
                    self.source = AnswerSource::Nothing;
                    put_chunk(&mut self.piece, &[], self.version);
                } else {
                    self.put(&buffer[..count]);
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Makes a piece of content the next one; none is nothing.
    fn put(&mut self, bytes: &[u8]) {
        if !bytes.is_empty() {
            put_chunk(&mut self.piece, bytes, self.version);
            self.content = bytes.len() as u64;
        }
    }
}

/// Adds a chunk (RFC 9112 section 7.1), where there are chunks; one without bytes is the last. A chunk
/// is written in one call together with its size line and its line breaks.
fn put_chunk(piece: &mut Vec<u8>, bytes: &[u8], version: Version) {
    if version == Version::Http11 {
        // Growing step by step would take twice as much, as long as the reader needs.
        piece.reserve_exact(bytes.len() + AROUND_CHUNK_BYTES);
        piece.extend_from_slice(format!("{:x}\r\n", bytes.len()).as_bytes());
        piece.extend_from_slice(bytes);
        piece.extend_from_slice(b"\r\n");
    } else {
        piece.extend_from_slice(bytes);
    }
}

/// How many bytes were taken; 0 if there is no room.
fn written(result: io::Result<usize>) -> io::Result<usize> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
        result => result,
    }
}

/// Whether a flush has found no room.
fn is_full(result: io::Result<()>) -> io::Result<bool> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(true),
        result => result.map(|()| false),
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

/// A size of 16 hex digits and two line breaks.
const AROUND_CHUNK_BYTES: usize = 20;

/// What is read of a file before its answer waits.
const AT_HAND_BYTES: usize = 4 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::response::Status;

    #[test]
    fn content_that_only_waits_for_the_socket_counts_as_sent() {
        let rest = |written| LargeAnswer::rest(b"head content".to_vec(), written, 7);
        assert_eq!(rest(12).sent(), 7);
        assert_eq!(rest(11).sent(), 0);
    }

    #[test]
    fn no_room_is_no_failure_and_every_other_error_is() {
        let no_room = || io::Error::from(io::ErrorKind::WouldBlock);
        let broken = || io::Error::from(io::ErrorKind::BrokenPipe);
        let kind = |error: io::Error| error.kind();

        assert_eq!(written(Ok(7)).unwrap(), 7);
        assert_eq!(written(Err(no_room())).unwrap(), 0);
        assert_eq!(
            written(Err(broken())).map_err(kind),
            Err(io::ErrorKind::BrokenPipe)
        );

        assert!(!is_full(Ok(())).unwrap());
        assert!(is_full(Err(no_room())).unwrap());
        assert_eq!(
            is_full(Err(broken())).map_err(kind),
            Err(io::ErrorKind::BrokenPipe)
        );
    }

    #[test]
    fn a_thread_that_must_not_wait_touches_neither_disks_nor_readers() {
        let of = |content| {
            let response = Response::new(Status::OK).content(content);
            LargeAnswer::new(response, Version::Http11, Persistence::Open)
        };
        let file = || File::open("/dev/null").unwrap();
        let from_file = Content::File {
            file: file(),
            offset: 0,
            length: 9,
        };
        let memory = Content::Bytes(vec![b'x'; 9]);
        let pieces = Content::Chunked(Box::new(io::empty()));
        for (content, is_read, may_block) in [
            (memory, false, false),
            (from_file, true, false),
            (Content::Reader(9, Box::new(io::empty())), true, true),
            (pieces, true, true),
        ] {
            let mut answer = of(content);
            assert!(!answer.is_quick());
            assert_eq!(answer.may_block(), may_block);
            assert!(answer.is_at_hand(), "its head is there");
            answer.piece.clear();
            assert_eq!(answer.is_at_hand(), !is_read);
        }
        assert!(LargeAnswer::rest(b"rest".to_vec(), 1, 0).is_quick());
    }
}
