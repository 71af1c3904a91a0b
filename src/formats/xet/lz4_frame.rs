// SPDX-License-Identifier: Apache-2.0 OR MIT
//! An LZ4 frame (the LZ4 Frame Format, version 1.6), unpacked into a buffer of the length that it must have.
//!
//! Its checksums are skipped: what is put together from chunks is checked as a whole, by a digest that holds against
//! intent, too. Nothing is allocated, whatever size of blocks a frame announces.

use lz4_flex::block::{decompress_into, decompress_into_with_dict};

use crate::formats::window::{Flaw, Flawed};

/// Unpacks a frame, which has to fill the buffer and to end where the bytes do.
pub(super) fn unpack(frame: &[u8], plain: &mut [u8]) -> Flawed<()> {
    let mut rest = frame;
    if number(&mut rest)? != MAGIC {
        return Err(Flaw::Damaged("a chunk is no LZ4 frame"));
    }
    let flags = take(&mut rest, 2)?[0];
    if flags & VERSION_BITS != VERSION {
        return Err(Flaw::Damaged(
            "a chunk is an LZ4 frame of an unknown version",
        ));
    }
    if flags & HAS_DICTIONARY != 0 {
        return Err(Flaw::Damaged(
            "a chunk is an LZ4 frame that needs a dictionary",
        ));
    }
    let size_bytes = if flags & HAS_SIZE == 0 { 0 } else { 8 };
    take(&mut rest, size_bytes + HEADER_CHECKSUM_BYTES)?;

    let mut at = 0;
    loop {
        let word = number(&mut rest)?;
        if word == END {
            break;
        }
        let length = usize::try_from(word & !IS_PLAIN).unwrap_or(usize::MAX);
        let block = take(&mut rest, length)?;
        if flags & HAS_BLOCK_CHECKSUMS != 0 {
            take(&mut rest, CHECKSUM_BYTES)?;
        }

        let (before, after) = plain.split_at_mut(at);
        at += if word & IS_PLAIN != 0 {
            let target = after.get_mut(..block.len()).ok_or(TOO_LONG)?;
            target.copy_from_slice(block);
            block.len()
        } else if flags & IS_INDEPENDENT == 0 && !before.is_empty() {
            let start = before.len().saturating_sub(WINDOW_BYTES);
            let unpacked = decompress_into_with_dict(block, after, &before[start..]);
            unpacked.map_err(|_| NO_BLOCK)?
        } else {
            decompress_into(block, after).map_err(|_| NO_BLOCK)?
        };
    }

    if flags & HAS_CHECKSUM != 0 {
        take(&mut rest, CHECKSUM_BYTES)?;
    }
    if at < plain.len() {
        return Err(Flaw::Damaged("a chunk unpacks to less than it says"));
    }
    if !rest.is_empty() {
        return Err(Flaw::Damaged("bytes follow the LZ4 frame of a chunk"));
    }
    Ok(())
}

fn take<'a>(rest: &mut &'a [u8], count: usize) -> Flawed<&'a [u8]> {
    let (taken, after) = rest.split_at_checked(count).ok_or(CUT)?;
    *rest = after;
    Ok(taken)
}

fn number(rest: &mut &[u8]) -> Flawed<u32> {
    let (bytes, after) = rest.split_first_chunk().ok_or(CUT)?;
    *rest = after;
    Ok(u32::from_le_bytes(*bytes))
}

const CUT: Flaw = Flaw::Damaged("the LZ4 frame of a chunk is cut");

const TOO_LONG: Flaw = Flaw::Damaged("a chunk unpacks to more than it says");

const NO_BLOCK: Flaw =
    Flaw::Damaged("a block of a chunk cannot be unpacked to the length that it has to have");

const MAGIC: u32 = 0x184D_2204;

/// The bits of the first byte behind the magic number.
const VERSION_BITS: u8 = 0b1100_0000;
const VERSION: u8 = 0b0100_0000;
const IS_INDEPENDENT: u8 = 0b0010_0000;
const HAS_BLOCK_CHECKSUMS: u8 = 0b0001_0000;
const HAS_SIZE: u8 = 0b0000_1000;
const HAS_CHECKSUM: u8 = 0b0000_0100;
const HAS_DICTIONARY: u8 = 0b0000_0001;

const HEADER_CHECKSUM_BYTES: usize = 1;

const CHECKSUM_BYTES: usize = 4;

/// What stands in place of a length behind the last block.
const END: u32 = 0;

/// The bit of a length whose block is not packed.
const IS_PLAIN: u32 = 1 << 31;

/// How far back a block may refer.
const WINDOW_BYTES: usize = 64 << 10;
