// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What models and old versions count for bounds of bytes, on both sides of the line.

/// What versions of these sizes take together with their folder.
pub(crate) fn taken(sizes: impl Iterator<Item = u64>) -> u64 {
    let bytes = sizes.fold(0, |sum: u64, size| sum.saturating_add(charge(size)));
    bytes.saturating_add(BLOCK_BYTES.min(bytes))
}

/// What a file of this size counts: a small one takes a block of the disk all the same.
pub(crate) fn charge(size: u64) -> u64 {
    size.max(BLOCK_BYTES)
}

/// The usual block of a file system.
pub(crate) const BLOCK_BYTES: u64 = 4096;
