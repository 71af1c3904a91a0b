// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Where the chunks of a xorb begin, found while its bytes pass by.

use crate::formats::window::{Flaw, Flawed};
use crate::formats::xet::xorb_chunk::{HEADER_BYTES, XorbChunk};

/// Reads the headers of a xorb; its chunks are not unpacked.
#[derive(Debug, Default)]
pub(crate) struct XorbScan {
    header: [u8; HEADER_BYTES],
    /// How many bytes of a header are there.
    filled: usize,
    /// How many bytes of a chunk are still to come.
    left: usize,
    at: u32,
    starts: Vec<u32>,
    /// Where the table begins that older clients add.
    end: Option<u32>,
}

impl XorbScan {
    /// Takes the next bytes.
    pub(crate) fn take(&mut self, bytes: &[u8]) -> Flawed<()> {
        let mut rest = bytes;
        while !rest.is_empty() && self.end.is_none() {
            let passed = self.left.min(rest.len());
            self.left -= passed;
            self.advance(passed)?;
            rest = &rest[passed..];
            if rest.is_empty() {
                break;
            }

            let wanted = HEADER_BYTES - self.filled;
            let (head, after) = rest.split_at(wanted.min(rest.len()));
            self.header[self.filled..self.filled + head.len()].copy_from_slice(head);
            self.filled += head.len();
            rest = after;
            if self.filled == HEADER_BYTES {
                self.begin_chunk()?;
            }
        }
        Ok(())
    }

    /// The places at which chunks begin, and that behind the last one.
    pub(crate) fn end(mut self) -> Flawed<Vec<u32>> {
        if self.left > 0 || self.filled > 0 {
            return Err(Flaw::Damaged("it is cut within a chunk"));
        }
        if self.starts.is_empty() {
            return Err(Flaw::Damaged("it has no chunks"));
        }
        self.starts.push(self.end.unwrap_or(self.at));
        Ok(self.starts)
    }

    fn begin_chunk(&mut self) -> Flawed<()> {
        self.filled = 0;
        if self.header.starts_with(TABLE) {
            self.end = Some(self.at);
            return Ok(());
        }
        let chunk = XorbChunk::read(self.header)?;
        if self.starts.len() == CHUNKS_MAX {
            return Err(Flaw::Bounded("it has more than 8192 chunks"));
        }
        self.starts.push(self.at);
        self.advance(HEADER_BYTES)?;
        self.left = chunk.packed;
        Ok(())
    }

    fn advance(&mut self, count: usize) -> Flawed<()> {
        let at = u32::try_from(count)
            .ok()
            .and_then(|count| self.at.checked_add(count));
        self.at = at.ok_or(Flaw::Bounded("it has 4 GiB or more"))?;
        Ok(())
    }
}

/// What the table behind the chunks begins with; it says again what the chunks say.
const TABLE: &[u8] = b"XETBLOB";

/// What a xorb has at most, by the format.
const CHUNKS_MAX: usize = 8192;
