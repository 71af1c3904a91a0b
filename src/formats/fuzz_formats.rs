// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The door for `scripts/fuzz`: readers of formats, fed from memory, and what must hold of them whatever they
//! read.

use std::io;

use crate::formats::{ByteSource, ModelHeader, ReadBounds, header_of, imports_of};
use crate::model::ModelName;

/// Reads bytes as a file of a name. What is told of them must not depend on the pieces in which they come, and
/// not more is read than the bounds allow.
pub fn fuzz_format(name: &str, bytes: &[u8]) {
    let Ok(name) = name.parse::<ModelName>() else {
        return;
    };
    let mut whole = FuzzSource::of(bytes);
    let told = read(&name, &mut whole, BYTES_MAX, 64 << 10);
    let in_pieces = read(&name, &mut FuzzSource::of(bytes), u64::MAX, 7);
    if !whole.is_cut(bytes) {
        assert_eq!(told, in_pieces);
    }
    assert!(whole.read <= BYTES_MAX);

    if let Some(header) = &told {
        assert!(header.first.len() <= 200 && header.types.len() <= 64);
        assert!(header.tensors >= header.first.len() as u64);
    }
    let imports = imports_of(&mut FuzzSource::of(bytes));
    if let Some(shown) = told.and_then(|header| header.imports) {
        let imports = imports.unwrap_or_default();
        assert!(!whole.is_cut(bytes) || imports.count >= shown.count);
        assert!(whole.is_cut(bytes) || imports == shown);
    }
}

fn read(
    name: &ModelName,
    source: &mut FuzzSource<'_>,
    bytes_max: u64,
    piece: usize,
) -> Option<ModelHeader> {
    let bounds = ReadBounds {
        bytes_max,
        reads_max: u64::MAX,
        piece_min: piece.min(512),
        piece_max: piece,
    };
    // Memory does not fail.
    header_of(name, source, bounds).unwrap_or_default()
}

struct FuzzSource<'a> {
    bytes: &'a [u8],
    read: u64,
}

impl<'a> FuzzSource<'a> {
    fn of(bytes: &'a [u8]) -> Self {
        Self { bytes, read: 0 }
    }

    /// Whether the bound may have ended the reading.
    fn is_cut(&self, bytes: &[u8]) -> bool {
        self.read + (64 << 10) > BYTES_MAX || bytes.len() as u64 > BYTES_MAX
    }
}

impl ByteSource for FuzzSource<'_> {
    fn size(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let end = start.saturating_add(buffer.len());
        let bytes = self.bytes.get(start..end);
        buffer.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        self.read += buffer.len() as u64;
        Ok(())
    }
}

const BYTES_MAX: u64 = 1 << 20;
