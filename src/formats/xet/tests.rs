// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Xorbs and shards as the clients make them, packed by the library that they use, and hostile ones.

use lz4_flex::frame::{BlockMode, BlockSize, FrameInfo};
use proptest::prelude::*;

use super::fuzz_xet::{FuzzedBytes, fuzz_shard, fuzz_xorb};
use super::xet_made::*;
use super::*;
use crate::digest::Digest;
use crate::formats::window::Flaw;

fn unpacked(xorb: &[u8]) -> Result<Vec<u8>, String> {
    let mut unpacker = ChunkUnpacker::default();
    let unpacked = unpacker.unpack(&mut FuzzedBytes(xorb), 0);
    let (plain, end) = unpacked.map_err(|flaw| text(&flaw))?;
    assert_eq!(end, xorb.len() as u64);
    Ok(plain.to_vec())
}

fn scanned(xorb: &[u8]) -> Result<Vec<u32>, String> {
    let mut scan = XorbScan::default();
    let taken = scan.take(xorb).and_then(|()| scan.end());
    taken.map_err(|flaw| text(&flaw))
}

fn text(flaw: &Flaw) -> String {
    match flaw {
        Flaw::Damaged(text) | Flaw::Bounded(text) => (*text).to_owned(),
        Flaw::Source(error) => panic!("memory fails: {error}"),
    }
}

#[test]
fn chunks_of_every_kind_and_length_are_unpacked() {
    for length in [
        1, 2, 3, 4, 5, 7, 8, 63, 1023, 65_537, 131_069, 131_070, 131_071, 131_072,
    ] {
        let plain = pattern(length);
        let expected = Ok(plain.clone());
        assert_eq!(unpacked(&chunk(0, &plain, length)), expected, "{length}");
        assert_eq!(
            unpacked(&chunk(1, &lz4(&plain), length)),
            expected,
            "{length}"
        );
        let planes = lz4(&in_planes(&plain));
        assert_eq!(unpacked(&chunk(2, &planes, length)), expected, "{length}");
    }
}

#[test]
fn frames_of_every_form_are_unpacked() {
    let plain = pattern(131_072);
    let sizes = [BlockSize::Max64KB, BlockSize::Max256KB, BlockSize::Max4MB];
    for size in sizes {
        for mode in [BlockMode::Independent, BlockMode::Linked] {
            for extras in [false, true] {
                let form = FrameInfo::new()
                    .block_size(size)
                    .block_mode(mode)
                    .block_checksums(extras)
                    .content_checksum(extras)
                    .content_size(extras.then_some(plain.len() as u64));
                let packed = framed(&plain, form);
                assert!(packed.len() < plain.len());
                assert_eq!(unpacked(&chunk(1, &packed, plain.len())), Ok(plain.clone()));
            }
        }
    }

    // Blocks that do not pack stand in a frame as they are.
    let random: Vec<u8> = (0_u32..70_000)
        .map(|index| Digest::of(&index.to_le_bytes()).as_bytes()[0])
        .collect();
    let packed = lz4(&random);
    assert!(packed.len() > random.len());
    assert_eq!(unpacked(&chunk(1, &packed, random.len())), Ok(random));
}

#[test]
fn a_chunk_that_lies_is_refused() {
    let plain = pattern(70_000);
    let packed = lz4(&plain);
    let refused = |xorb: &[u8], reason: &str| {
        let told = unpacked(xorb).expect_err(reason);
        assert!(told.contains(reason), "{told}, not {reason}");
    };

    refused(&chunk(1, &packed, 70_001), "to less than it says");
    refused(
        &chunk(1, &packed, 69_999),
        "cannot be unpacked to the length",
    );
    refused(
        &chunk(1, &packed, 65_536),
        "cannot be unpacked to the length",
    );
    refused(&chunk(1, &plain, 70_000), "no LZ4 frame");
    refused(&chunk(0, &plain, 69_999), "two lengths");
    refused(&chunk(3, &plain, 70_000), "unknown way");
    refused(&chunk(99, &packed, 70_000), "unknown way");
    refused(&chunk(1, &packed, 0), "empty");
    refused(&chunk(0, &[], 0), "empty");
    refused(&chunk(1, &packed, 131_073), "more than 128 KiB");
    refused(&chunk(1, &vec![0; 140_000], 131_072), "more than 128 KiB");
    let mut version = chunk(1, &packed, 70_000);
    version[0] = 1;
    refused(&version, "unknown version");

    // A length behind the end of what is there.
    let mut cut = chunk(1, &packed, 70_000);
    cut.pop();
    refused(&cut, "ends before");
    refused(&cut[..7], "ends before");

    // The same within the frame.
    for length in 0..packed.len().min(40) {
        assert!(unpacked(&chunk(1, &packed[..length], 70_000)).is_err());
    }
    let mut more = packed.clone();
    more.push(0);
    refused(&chunk(1, &more, 70_000), "bytes follow");

    let changed = |at: usize, value: u8| {
        let mut changed = packed.clone();
        changed[at] = value;
        chunk(1, &changed, 70_000)
    };
    refused(&changed(0, 0), "no LZ4 frame");
    refused(&changed(4, 0x20), "unknown version");
    refused(&changed(4, 0x61), "dictionary");
    refused(&changed(10, 0x7f), "cut");

    // A block that is not packed, and longer than the chunk.
    let mut plain_block = packed[..7].to_vec();
    plain_block.extend((IS_PLAIN | 11).to_le_bytes());
    plain_block.extend([7; 11]);
    plain_block.extend([0; 4]);
    assert_eq!(unpacked(&chunk(1, &plain_block, 11)), Ok(vec![7; 11]));
    refused(&chunk(1, &plain_block, 10), "to more than it says");
}

const IS_PLAIN: u32 = 1 << 31;

#[test]
fn a_bomb_stays_within_its_buffer() {
    // 16 MiB of zeros pack to 66 kB.
    let zeros = vec![0; 16 << 20];
    let packed = lz4(&zeros);
    assert!(packed.len() < 131_072);
    let reason = unpacked(&chunk(1, &packed, 131_072)).unwrap_err();
    assert!(
        reason.contains("cannot be unpacked to the length"),
        "{reason}"
    );
}

#[test]
fn chunks_are_found_while_a_xorb_passes_by() {
    let plain = pattern(1000);
    let mut xorb = chunk(0, &plain, 1000);
    let second = u32::try_from(xorb.len()).unwrap();
    xorb.extend(chunk(1, &lz4(&plain), 1000));
    let end = u32::try_from(xorb.len()).unwrap();
    assert_eq!(scanned(&xorb), Ok(vec![0, second, end]));
    fuzz_xorb(&xorb);

    // Older clients add a table.
    let mut tabled = xorb.clone();
    tabled.extend(b"XETBLOB\x01 whatever");
    assert_eq!(scanned(&tabled), Ok(vec![0, second, end]));
    fuzz_xorb(&tabled);

    for length in 0..xorb.len() {
        let is_whole = length == second as usize;
        assert_eq!(scanned(&xorb[..length]).is_ok(), is_whole, "{length}");
    }
    assert_eq!(scanned(b"XETBLOB\x01"), Err("it has no chunks".to_owned()));
    assert!(scanned(&chunk(9, &plain, 1000)).is_err());
}

#[test]
fn the_number_of_chunks_is_bounded() {
    let mut xorb = chunk(0, b"a", 1).repeat(8192);
    assert_eq!(scanned(&xorb).map(|starts| starts.len()), Ok(8193));
    xorb.extend(chunk(0, b"a", 1));
    assert!(scanned(&xorb).unwrap_err().contains("8192 chunks"));
}

/// Per file its bytes, its digest and its segments.
type Files = Vec<(u64, Option<String>, Vec<(String, u32, u32, u32)>)>;

fn files(shard: &[u8]) -> Result<Files, String> {
    let mut source = FuzzedBytes(shard);
    let mut read = || {
        let mut reader = ShardReader::open(&mut source)?;
        let mut files = Vec::new();
        while let Some(file) = reader.next_file()? {
            let segments = (0..file.segments).map(|index| {
                let segment = reader.segment(&file, index)?;
                let ShardSegment {
                    bytes, first, end, ..
                } = segment;
                Ok((segment.xorb.to_string(), bytes, first, end))
            });
            let segments = segments.collect::<Result<_, _>>()?;
            let digest = file.digest.map(|digest| digest.to_string());
            files.push((file.bytes, digest, segments));
        }
        Ok(files)
    };
    read().map_err(|flaw| text(&flaw))
}

#[test]
fn files_of_a_shard_are_read() {
    let shard = ShardMade::new()
        .row(hash(1), [CHECKS | DIGEST, 2, 0, 0])
        .row(hash(2), [0, 300, 0, 3])
        .row(hash(3), [7, 50, 8, 9])
        .row(hash(4), [0; 4])
        .row(hash(4), [0; 4])
        .row(hash(5), [0; 4])
        .row(hash(6), [0, 1, 0, 0])
        .row(hash(2), [0, u32::MAX, 0, u32::MAX])
        .row(hash(7), [DIGEST, 0, 0, 0])
        .row(hash(8), [0; 4])
        .end();
    let text = |byte: u8| {
        format!(
            "ab{}{}",
            format!("{byte:02x}").repeat(7),
            format!("{byte:02x}").repeat(24)
        )
    };
    let expected = vec![
        (
            350,
            Some(text(5)),
            vec![(text(2), 300, 0, 3), (text(3), 50, 8, 9)],
        ),
        (
            u64::from(u32::MAX),
            None,
            vec![(text(2), u32::MAX, 0, u32::MAX)],
        ),
        (0, Some(text(8)), vec![]),
    ];
    assert_eq!(files(&shard), Ok(expected));
    assert_eq!(text(3).parse::<XorbHash>().unwrap().to_string(), text(3));
    assert!("ab".parse::<XorbHash>().is_err());
    fuzz_shard(&shard);

    // Cut before its last row it is refused, wherever.
    for length in 0..shard.len() - 480 - 16 {
        assert!(files(&shard[..length]).is_err(), "{length}");
    }
}

#[test]
fn a_shard_that_lies_is_refused() {
    let refused = |shard: &[u8], reason: &str| {
        let told = files(shard).expect_err(reason);
        assert!(told.contains(reason), "{told}, not {reason}");
    };
    refused(b"", "ends before");
    refused(&[7; 480], "does not begin as a shard");
    let mut version = ShardMade::new().end();
    version[32] = 3;
    refused(&version, "does not begin as a shard");
    let mut magic = ShardMade::new().end();
    magic[31] = 0;
    refused(&magic, "does not begin as a shard");
    assert_eq!(files(&ShardMade::new().end()), Ok(vec![]));

    // Counts beyond what is there, up to those whose rows overflow.
    for count in [12, 1 << 20, u32::MAX] {
        for flags in [0, CHECKS, DIGEST, CHECKS | DIGEST] {
            let shard = ShardMade::new().row(hash(1), [flags, count, 0, 0]).end();
            refused(&shard, "ends before");
        }
    }
    for segment in [[0, 5, 3, 3], [0, 5, 4, 3], [0, 0, 0, 1]] {
        let shard = ShardMade::new()
            .row(hash(1), [0, 1, 0, 0])
            .row(hash(2), segment)
            .end();
        refused(&shard, "no chunks");
    }
}

proptest! {
    #[test]
    fn changed_bytes_end_no_reader(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        cut in any::<prop::sample::Index>(),
        is_cut in any::<bool>(),
        is_shard in any::<bool>(),
    ) {
        let plain = pattern(900);
        let mut bytes = if is_shard {
            ShardMade::new()
                .row(hash(1), [CHECKS | DIGEST, 1, 0, 0])
                .row(hash(2), [0, 300, 0, 3])
                .row(hash(4), [0; 4])
                .row(hash(5), [0; 4])
                .end()
        } else {
            let planes = lz4(&in_planes(&plain));
            [chunk(2, &planes, 900), chunk(1, &lz4(&plain), 900), chunk(0, &plain, 900)].concat()
        };
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if is_cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        if is_shard {
            fuzz_shard(&bytes);
        } else {
            fuzz_xorb(&bytes);
        }
    }
}
