// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The door for `scripts/fuzz`: what must hold of xorbs and shards, whatever they are.

use std::io;

use crate::formats::window::ByteSource;
use crate::formats::xet::{ChunkUnpacker, ShardReader, XorbScan};

/// Reads bytes as a xorb. Its chunks are found at the same places in whatever pieces they come, they lie one behind the
/// other, and none has more than the format allows.
pub fn fuzz_xorb(bytes: &[u8]) {
    let scanned = |piece: usize| {
        let mut scan = XorbScan::default();
        let taken = bytes.chunks(piece).try_for_each(|piece| scan.take(piece));
        taken.and_then(|()| scan.end()).ok()
    };
    let starts = scanned(usize::MAX);
    assert_eq!(starts, scanned(3));

    let mut unpacker = ChunkUnpacker::default();
    for pair in starts.unwrap_or_default().windows(2) {
        let mut source = FuzzedBytes(bytes);
        if let Ok((plain, end)) = unpacker.unpack(&mut source, pair[0].into()) {
            assert!((1..=128 << 10).contains(&plain.len()));
            assert_eq!(end, u64::from(pair[1]));
        }
    }

    // The places come from a table that might be damaged.
    for at in 0..bytes.len().min(64) {
        let _ = unpacker.unpack(&mut FuzzedBytes(bytes), at as u64);
    }
}

/// Reads bytes as a shard: its files end, and each segment is read again as it was.
pub fn fuzz_shard(bytes: &[u8]) {
    let mut source = FuzzedBytes(bytes);
    let Ok(mut reader) = ShardReader::open(&mut source) else {
        return;
    };
    let mut rows = 1;
    while let Ok(Some(file)) = reader.next_file() {
        rows += 1 + file.segments as usize;
        assert!(rows * 48 <= bytes.len());

        let segments = (0..file.segments).map(|index| reader.segment(&file, index));
        let segments: Result<Vec<_>, _> = segments.collect();
        let sizes = segments.iter().flatten().map(|one| u64::from(one.bytes));
        assert_eq!(sizes.sum::<u64>(), file.bytes);
    }
}

/// Bytes in memory.
pub(super) struct FuzzedBytes<'a>(pub(super) &'a [u8]);

impl ByteSource for FuzzedBytes<'_> {
    fn size(&self) -> u64 {
        self.0.len() as u64
    }

    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let bytes = self.0.get(start..start.saturating_add(buffer.len()));
        buffer.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }
}
