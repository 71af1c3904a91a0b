// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Xorbs and shards for tests, as the clients make them.

use std::io::Write as _;

use lz4_flex::frame::{FrameEncoder, FrameInfo};

pub(crate) fn chunk(packing: u8, packed: &[u8], plain: usize) -> Vec<u8> {
    let mut chunk = vec![0];
    chunk.extend(&packed.len().to_le_bytes()[..3]);
    chunk.push(packing);
    chunk.extend(&plain.to_le_bytes()[..3]);
    chunk.extend(packed);
    chunk
}

pub(crate) fn framed(plain: &[u8], form: FrameInfo) -> Vec<u8> {
    let mut encoder = FrameEncoder::with_frame_info(form, Vec::new());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

/// As the clients do it.
pub(crate) fn lz4(plain: &[u8]) -> Vec<u8> {
    framed(plain, FrameInfo::new())
}

pub(crate) fn in_planes(plain: &[u8]) -> Vec<u8> {
    let plane = |number| plain.iter().copied().skip(number).step_by(4);
    (0..4).flat_map(plane).collect()
}

/// Bytes that pack.
pub(crate) fn pattern(length: usize) -> Vec<u8> {
    let byte =
        |index: usize| u8::try_from(index / 7 % 251).unwrap() ^ u8::try_from(index % 4).unwrap();
    (0..length).map(byte).collect()
}

/// A hash as it stands in a file.
pub(crate) fn hash(byte: u8) -> [u8; 32] {
    let mut hash = [byte; 32];
    hash[7] = 0xab;
    hash
}

/// A shard, row by row.
pub(crate) struct ShardMade(Vec<u8>);

impl ShardMade {
    pub(crate) fn new() -> Self {
        let mut bytes = b"HFRepoMetaData\0".to_vec();
        bytes.extend([
            85, 105, 103, 69, 106, 123, 129, 87, 131, 165, 189, 217, 92, 205, 209, 74, 169,
        ]);
        bytes.extend(2_u64.to_le_bytes());
        bytes.extend(0_u64.to_le_bytes());
        Self(bytes)
    }

    pub(crate) fn row(mut self, hash: [u8; 32], numbers: [u32; 4]) -> Self {
        self.0.extend(hash);
        self.0.extend(numbers.map(u32::to_le_bytes).concat());
        self
    }

    pub(crate) fn end(self) -> Vec<u8> {
        let mut shard = self.row([0xff; 32], [0; 4]).0;
        // What it says of xorbs.
        shard.extend([1; 480]);
        shard
    }
}

pub(crate) const CHECKS: u32 = 1 << 31;
pub(crate) const DIGEST: u32 = 1 << 30;
