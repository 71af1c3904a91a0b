// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Shards: of which chunks files consist. What they say of xorbs is not read.
//!
//! A shard is rows of 48 bytes. It is read in two passes, since what a file has in all, and its SHA-256, stand behind
//! its segments.

use std::fmt;
use std::str::FromStr;

use crate::digest::Digest;
use crate::error::{Error, ErrorKind};
use crate::formats::window::{ByteSource, ENDS, Flaw, Flawed, ReadBounds, Window};

/// The name of a xorb, as paths have it; whether its bytes fit it is not checked by anybody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct XorbHash([u8; 32]);

impl FromStr for XorbHash {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let digits = text.parse::<Digest>().map_err(|_| {
            let text = "a xorb is named by 64 hexadecimal digits";
            Error::new(ErrorKind::BadRequest, text)
        })?;
        Ok(Self(*digits.as_bytes()))
    }
}

impl fmt::Display for XorbHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Digest::from_bytes(self.0).fmt(f)
    }
}

/// Chunks in a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ShardSegment {
    pub(crate) xorb: XorbHash,
    /// How many bytes they have unpacked.
    pub(crate) bytes: u32,
    /// The first chunk, and that behind the last one.
    pub(crate) first: u32,
    pub(crate) end: u32,
}

/// A file: its segments one after the other.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ShardFile {
    start: u64,
    pub(crate) segments: u32,
    pub(crate) bytes: u64,
    pub(crate) digest: Option<Digest>,
}

/// A shard that is being read.
pub(crate) struct ShardReader<'a> {
    window: Window<'a>,
    /// Where the next file begins.
    next: u64,
}

impl<'a> ShardReader<'a> {
    pub(crate) fn open(source: &'a mut dyn ByteSource) -> Flawed<Self> {
        let mut window = Window::new(source, UNBOUNDED);
        if window.bytes()? != MAGIC || window.number(8)? != VERSION {
            return Err(Flaw::Damaged(
                "it does not begin as a shard of version 2 does",
            ));
        }
        Ok(Self {
            window,
            next: ROW_BYTES,
        })
    }

    /// The next file; `None` behind the last one.
    pub(crate) fn next_file(&mut self) -> Flawed<Option<ShardFile>> {
        self.window.seek(self.next)?;
        let hash = self.window.bytes()?;
        if hash == LAST {
            return Ok(None);
        }
        let (flags, segments) = (self.word()?, self.word()?);
        let start = self.next + ROW_BYTES;

        // All rows have to be there before any of them is read.
        let rows = u64::from(segments) * if flags & HAS_CHECKS == 0 { 1 } else { 2 };
        let after = start + rows * ROW_BYTES;
        self.window.seek(after)?;
        let digest = if flags & HAS_DIGEST == 0 {
            self.next = after;
            None
        } else {
            let digest = in_words(self.window.bytes()?);
            self.next = after + ROW_BYTES;
            Some(Digest::from_bytes(digest))
        };

        let mut file = ShardFile {
            start,
            segments,
            bytes: 0,
            digest,
        };
        for index in 0..segments {
            let segment = self.segment(&file, index)?;
            file.bytes += u64::from(segment.bytes);
        }
        Ok(Some(file))
    }

    /// One of the segments of a file.
    pub(crate) fn segment(&mut self, file: &ShardFile, index: u32) -> Flawed<ShardSegment> {
        if index >= file.segments {
            return Err(ENDS);
        }
        let place = file.start + u64::from(index) * ROW_BYTES;
        self.window.seek(place)?;
        let xorb = XorbHash(in_words(self.window.bytes()?));
        let _flags = self.word()?;
        let segment = ShardSegment {
            xorb,
            bytes: self.word()?,
            first: self.word()?,
            end: self.word()?,
        };
        if segment.first >= segment.end || segment.bytes == 0 {
            return Err(Flaw::Damaged("a segment of a file has no chunks"));
        }
        Ok(segment)
    }

    fn word(&mut self) -> Flawed<u32> {
        Ok(u32::from_le_bytes(self.window.bytes()?))
    }
}

/// A hash whose four numbers stand in a file with their last byte first.
fn in_words(mut bytes: [u8; 32]) -> [u8; 32] {
    for word in bytes.chunks_exact_mut(8) {
        word.reverse();
    }
    bytes
}

const MAGIC: [u8; 32] =
    *b"HFRepoMetaData\0\x55\x69\x67\x45\x6a\x7b\x81\x57\x83\xa5\xbd\xd9\x5c\xcd\xd1\x4a\xa9";

const VERSION: u64 = 2;

const ROW_BYTES: u64 = 48;

/// The hash of the row behind the last file.
const LAST: [u8; 32] = [0xff; 32];

/// That a row for each segment follows, to check who has its bytes.
const HAS_CHECKS: u32 = 1 << 31;

/// That a row with the SHA-256 of the file follows.
const HAS_DIGEST: u32 = 1 << 30;

/// A shard is here as a whole; it is read a piece at a time.
const UNBOUNDED: ReadBounds = ReadBounds {
    bytes_max: u64::MAX,
    reads_max: u64::MAX,
    piece_min: 4 << 10,
    piece_max: 16 << 10,
};
