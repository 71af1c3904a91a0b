// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What stands before each chunk of a xorb: how its bytes are packed, and how many they are packed and unpacked.

use crate::formats::window::{Flaw, Flawed};

/// How the bytes of a chunk are packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ChunkPacking {
    Plain,
    Lz4,
    /// Packed after the bytes were put into four planes.
    PlanesLz4,
}

/// The header of a chunk, whose lengths are within bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct XorbChunk {
    pub(super) packing: ChunkPacking,
    pub(super) packed: usize,
    pub(super) plain: usize,
}

impl XorbChunk {
    pub(super) fn read(header: [u8; HEADER_BYTES]) -> Flawed<Self> {
        let [version, packed @ .., _, _, _, _] = header;
        let [_, _, _, _, packing, plain @ ..] = header;
        if version != 0 {
            return Err(Flaw::Damaged("a chunk has an unknown version"));
        }
        let packing = match packing {
            0 => ChunkPacking::Plain,
            1 => ChunkPacking::Lz4,
            2 => ChunkPacking::PlanesLz4,
            _ => return Err(Flaw::Damaged("a chunk is packed in an unknown way")),
        };

        let chunk = Self {
            packing,
            packed: length(packed),
            plain: length(plain),
        };
        if chunk.packed == 0 || chunk.plain == 0 {
            return Err(Flaw::Damaged("a chunk is empty"));
        }
        if chunk.plain > PLAIN_BYTES_MAX || chunk.packed > PACKED_BYTES_MAX {
            return Err(Flaw::Damaged("a chunk has more than 128 KiB"));
        }
        if packing == ChunkPacking::Plain && chunk.packed != chunk.plain {
            let text = "a chunk that is not packed has two lengths";
            return Err(Flaw::Damaged(text));
        }
        Ok(chunk)
    }
}

fn length(bytes: [u8; 3]) -> usize {
    let [low, middle, high] = bytes.map(usize::from);
    low | middle << 8 | high << 16
}

/// How many bytes a header has.
pub(super) const HEADER_BYTES: usize = 8;

/// What a chunk has at most, by the format.
pub(super) const PLAIN_BYTES_MAX: usize = 128 << 10;

/// Bytes that do not pack grow by less than this, which is 1/255 and the ends of the frame and its blocks.
pub(super) const PACKED_BYTES_MAX: usize = PLAIN_BYTES_MAX + (1 << 10);
