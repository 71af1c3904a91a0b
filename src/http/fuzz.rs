// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The doors for `scripts/fuzz`: readers of heads and bodies, fed from memory, and what must hold of
//! them whatever they read.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::time::Duration;

use super::body::{BodyProgress, BodyReader};
use super::connection::{Connection, HeadReading};
use super::head::{self, Head};
use crate::limits::Limits;
use crate::transport::{Peer, TimeLimit, Transport};

/// Reads a head. What is accepted must be clean, and be read the same when it arrives in pieces.
pub fn fuzz_head(bytes: &[u8]) {
    let limits = Limits::default();
    if let Ok(head) = head::parse(bytes, &limits) {
        assert!(bytes.ends_with(b"\r\n\r\n"));
        assert_eq!(head::end(bytes, 0), Some(bytes.len()), "a head ends once");
        assert!(head.target == "*" || head.target.starts_with('/'));
        assert!(!head.target.starts_with("//"));
        assert!(head.target.bytes().all(|byte| byte.is_ascii_graphic()));
        for (name, value) in head.fields.iter() {
            assert!(!name.is_empty() && !value.contains(['\r', '\n', '\0']));
        }
        for length in 0..bytes.len() {
            assert!(
                head::check_start(&bytes[..length]).is_ok(),
                "refused at {length}"
            );
        }
    }

    for size in [1, 7] {
        let transport = FuzzPieces {
            bytes: bytes.to_vec(),
            start: 0,
            size,
        };
        let mut connection = Connection::new(Box::new(transport), Arc::new(limits.clone()));
        let _ = connection.next_head(&mut HeadReading::default());
    }
}

/// Reads a chunked body, in pieces of several sizes; what comes out must not depend on them.
pub fn fuzz_body(bytes: &[u8]) {
    let whole = read_body(bytes, bytes.len().max(1));
    for size in [1, 5, 4096] {
        assert_eq!(read_body(bytes, size), whole, "in pieces of {size}");
    }

    if let Some((content, rest)) = whole {
        assert!(
            content.len() + rest + 5 <= bytes.len(),
            "the last chunk takes five bytes"
        );
    }
}

/// The content, and how many bytes follow the body; `None` if the body is broken.
fn read_body(bytes: &[u8], size: usize) -> Option<(Vec<u8>, usize)> {
    let head = b"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    let head = Head::parse(head).expect("a fixed head");
    let mut progress = BodyProgress::new(&head);

    let transport = FuzzPieces {
        bytes: bytes.to_vec(),
        start: 0,
        size,
    };

    let mut connection = Connection::new(Box::new(transport), Arc::new(Limits::default()));
    let mut content = Vec::new();
    BodyReader::new(&mut connection, &mut progress)
        .read_to_end(&mut content)
        .ok()?;

    let mut rest = Vec::new();
    connection.read_to_end(&mut rest).ok()?;

    Some((content, rest.len()))
}

struct FuzzPieces {
    bytes: Vec<u8>,
    start: usize,
    size: usize,
}

impl Read for FuzzPieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = buffer.len().min(self.size);
        let count = (&self.bytes[self.start..]).read(&mut buffer[..most])?;
        self.start += count;
        Ok(count)
    }
}

impl Write for FuzzPieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Transport for FuzzPieces {
    fn set_read_limit(&mut self, _: TimeLimit) {}

    fn set_write_limit(&mut self, _: TimeLimit) {}

    fn send_file(&mut self, _: &File, _: u64, _: u64) -> io::Result<u64> {
        Ok(0)
    }

    fn has_more(&self) -> bool {
        self.start < self.bytes.len()
    }

    fn expect_more(&mut self) {}

    fn has_unsent(&self) -> bool {
        false
    }

    fn finish(&mut self) {}

    fn abort(&mut self) {}

    fn taken(&self) -> u64 {
        0
    }

    fn held_when_full(&self) -> u64 {
        0
    }

    fn widen(&mut self) {}

    fn set_patience(&mut self, _: Option<Duration>) {}

    fn wait_for_room(&self, _: Duration) -> io::Result<bool> {
        Ok(true)
    }

    fn is_left(&self) -> bool {
        false
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    fn interrupter(&self) -> Box<dyn Fn() + Send> {
        Box::new(|| {})
    }

    fn peer(&self) -> &Peer {
        static NOBODY: Peer = Peer {
            address: None,
            unix: None,
            tls: None,
        };
        &NOBODY
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::connection::HeadStep;

    /// More than a caller may have read in one turn, and that for bytes that come one by one.
    const BYTES_AT_ONCE_MAX: usize = 16;

    fn pieces(bytes: &[u8], size: usize) -> Connection {
        let transport = FuzzPieces {
            bytes: bytes.to_vec(),
            start: 0,
            size,
        };
        Connection::new(Box::new(transport), Arc::new(Limits::default()))
    }

    fn dripping(bytes: &[u8]) -> Connection {
        pieces(bytes, 1)
    }

    #[test]
    fn a_connection_keeps_nothing_of_what_was_used() {
        let head = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
        // No piece ends where a head does, so something always waits for more.
        let mut connection = pieces(head.repeat(1_000).as_bytes(), head.len() + 1);
        for _ in 0..20 {
            let step = connection.next_head(&mut HeadReading::default()).unwrap();
            assert!(matches!(step, HeadStep::Head(_)));
            assert!(connection.held().0 <= 3 * head.len());
        }

        let mut idle = pieces(head.as_bytes(), 4096);
        idle.next_head(&mut HeadReading::default()).unwrap();
        idle.release();
        assert_eq!(idle.held(), (0, 0));
    }

    #[test]
    fn others_have_their_turn_before_a_head_or_a_body_that_comes_byte_by_byte() {
        let mut head = dripping(&[b"GET /".as_slice(), &[b'a'; 1000]].concat());
        let mut reading = HeadReading::default();
        for turn in 1..20 {
            let step = head.next_head(&mut reading).unwrap();
            assert!(matches!(step, HeadStep::Pending));
            let read = head.buffered().len();
            assert!(
                read <= turn * BYTES_AT_ONCE_MAX,
                "{read} bytes in {turn} turns"
            );
            assert!(read >= turn && head.has_unread(), "it goes on");
        }

        let mut body = dripping(&[b'a'; 1000]);
        for turn in 1..20 {
            assert!(!body.prefetch(1000).unwrap());
            let read = body.buffered().len();
            assert!(
                read <= turn * BYTES_AT_ONCE_MAX,
                "{read} bytes in {turn} turns"
            );
            assert!(read >= turn && body.has_unread(), "it goes on");
        }
    }

    #[test]
    fn a_chunk_begins_with_a_size_and_nothing_that_others_read_differently() {
        let read = |line: &str| read_body(format!("{line}\r\nabc\r\n0\r\n\r\n").as_bytes(), 4096);
        for line in ["3", "003", "3;name=value", "3 ;name", "3\t;name"] {
            assert_eq!(read(line), Some((b"abc".to_vec(), 0)), "{line:?}");
        }
        for line in [
            "", ";3", " 3", "3 ", "3 name", "3name", "3;\0", "x", "+3", "0x3",
        ] {
            assert_eq!(read(line), None, "{line:?}");
        }
    }
}
