// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The two formats of an upload by xet, read with bounds: xorbs, which are chunks of files in a row, and shards, which
//! say of which chunks a file consists.
//!
//! No length in them is trusted. One chunk at a time is unpacked, into buffers that are used again.

mod byte_planes;
#[cfg(any(fuzzing, test))]
pub(crate) mod fuzz_xet;
mod lz4_frame;
mod shard;
mod unpacker;
#[cfg(test)]
pub(crate) mod xet_made;
mod xorb_chunk;
mod xorb_scan;

pub(crate) use shard::{ShardFile, ShardReader, ShardSegment, XorbHash};
pub(crate) use unpacker::ChunkUnpacker;
pub(crate) use xorb_scan::XorbScan;

#[cfg(test)]
mod tests;
