// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Chunks of xorbs, unpacked one after the other.

use crate::formats::window::{ByteSource, ENDS, Flaw, Flawed};
use crate::formats::xet::byte_planes::interleave;
use crate::formats::xet::lz4_frame;
use crate::formats::xet::xorb_chunk::{ChunkPacking, HEADER_BYTES, XorbChunk};

/// Buffers for one chunk: 385 KiB at most, which chunks that are not packed use a third of.
#[derive(Debug, Default)]
pub(crate) struct ChunkUnpacker {
    packed: Vec<u8>,
    planes: Vec<u8>,
    plain: Vec<u8>,
}

impl ChunkUnpacker {
    /// The bytes of the chunk that begins at a place of a xorb, and the place behind it.
    pub(crate) fn unpack(&mut self, xorb: &mut dyn ByteSource, at: u64) -> Flawed<(&[u8], u64)> {
        let start = at.checked_add(HEADER_BYTES as u64).ok_or(ENDS)?;
        if start > xorb.size() {
            return Err(ENDS);
        }
        let mut header = [0; HEADER_BYTES];
        xorb.read_at(at, &mut header).map_err(Flaw::Source)?;
        let chunk = XorbChunk::read(header)?;

        let end = start.checked_add(chunk.packed as u64).ok_or(ENDS)?;
        if end > xorb.size() {
            return Err(ENDS);
        }
        let packed = sized(&mut self.packed, chunk.packed);
        xorb.read_at(start, packed).map_err(Flaw::Source)?;

        let plain = match chunk.packing {
            ChunkPacking::Plain => packed,
            ChunkPacking::Lz4 => {
                let plain = sized(&mut self.plain, chunk.plain);
                lz4_frame::unpack(packed, plain)?;
                plain
            }
            ChunkPacking::PlanesLz4 => {
                let planes = sized(&mut self.planes, chunk.plain);
                lz4_frame::unpack(packed, planes)?;
                let plain = sized(&mut self.plain, chunk.plain);
                interleave(planes, plain);
                plain
            }
        };
        Ok((plain, end))
    }
}

/// So many bytes of a buffer, which is larger afterwards if it has to be.
fn sized(buffer: &mut Vec<u8>, length: usize) -> &mut [u8] {
    if buffer.len() < length {
        buffer.resize(length, 0);
    }
    &mut buffer[..length]
}
