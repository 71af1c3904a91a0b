// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Sorted names in little memory: of each, only what differs from the one before is kept.

use std::io;
use std::ops::Range;

/// The sorted names of one folder.
#[derive(Default)]
pub(super) struct PackedNames {
    /// Name after name: how many bytes it shares with the one before, how many follow less one, and these.
    bytes: Box<[u8]>,
    /// Where each block of [`BLOCK`] names begins; the first name of a block shares nothing.
    blocks: Box<[u32]>,
    count: usize,
}

impl PackedNames {
    pub(super) fn len(&self) -> usize {
        self.count
    }

    /// The names from the first one on that is not less than this text.
    pub(super) fn from(&self, start: &str) -> NameCursor<'_> {
        // The block before the first one that begins at or behind the text may have it.
        let behind = self.blocks.partition_point(|place| {
            let first = *place as usize;
            let length = usize::from(self.bytes[first + 1]) + 1;
            self.bytes[first + 2..][..length] < *start.as_bytes()
        });
        let block = self.blocks.get(behind.saturating_sub(1));

        let mut cursor = NameCursor {
            names: self,
            place: block.map_or(0, |place| *place as usize),
            name: Vec::new(),
            is_read: false,
        };
        while !start.is_empty() && cursor.advance() {
            if cursor.name.as_slice() >= start.as_bytes() {
                cursor.is_read = true;
                break;
            }
        }
        cursor
    }
}

/// A place in the names of a folder.
pub(super) struct NameCursor<'a> {
    names: &'a PackedNames,
    place: usize,
    name: Vec<u8>,
    /// Whether the name was read, but not handed out.
    is_read: bool,
}

impl NameCursor<'_> {
    pub(super) fn next(&mut self) -> Option<&str> {
        let is_there = std::mem::take(&mut self.is_read) || self.advance();
        // Names were texts when they were packed.
        is_there.then(|| std::str::from_utf8(&self.name).unwrap_or_default())
    }

    fn advance(&mut self) -> bool {
        let Some([shared, more, rest @ ..]) = self.names.bytes.get(self.place..) else {
            return false;
        };
        let length = usize::from(*more) + 1;
        self.name.truncate((*shared).into());
        self.name.extend_from_slice(&rest[..length]);
        self.place += 2 + length;
        true
    }
}

/// Names that are not sorted yet. They are sorted and packed run by run, and runs of one size are merged, so
/// that those of a large folder are in little more memory than they take in the end.
#[derive(Default)]
pub(super) struct UnsortedNames {
    /// All in one text, since a small allocation for each of them would cost more than the name.
    text: String,
    places: Vec<Range<u32>>,
    /// Earlier ones, each more than the one behind it.
    runs: Vec<PackedNames>,
}

impl UnsortedNames {
    /// Adds a name of at most 256 bytes.
    ///
    /// # Errors
    /// `OutOfMemory` for more than 4 GiB of names, which are none that a device of this size can list.
    pub(super) fn push(&mut self, name: &str) -> io::Result<()> {
        if self.text.len() >= RUN_BYTES {
            self.pack()?;
        }

        let start = offset(self.text.len())?;
        self.text.push_str(name);
        self.places.push(start..offset(self.text.len())?);
        Ok(())
    }

    /// All of them, sorted.
    ///
    /// # Errors
    /// As [`UnsortedNames::push`].
    pub(super) fn packed(mut self) -> io::Result<PackedNames> {
        self.pack()?;
        self.text = String::new();
        self.places = Vec::new();
        let mut packed = self.runs.pop().unwrap_or_default();
        while let Some(run) = self.runs.pop() {
            packed = merged(&run, &packed)?;
        }
        Ok(packed)
    }

    fn pack(&mut self) -> io::Result<()> {
        let bytes = self.text.as_bytes();
        let at = |place: &Range<u32>| &bytes[place.start as usize..place.end as usize];
        self.places
            .sort_unstable_by(|one, other| at(one).cmp(at(other)));

        let mut packer = NamePacker::default();
        for place in &self.places {
            packer.push(at(place))?;
        }
        self.text.clear();
        self.places.clear();

        let mut run = packer.finish();
        while let Some(before) = self.runs.pop_if(|before| before.count <= run.count) {
            run = merged(&before, &run)?;
        }
        self.runs.push(run);
        Ok(())
    }
}

fn merged(one: &PackedNames, other: &PackedNames) -> io::Result<PackedNames> {
    let mut packer = NamePacker::default();
    packer.bytes.reserve(one.bytes.len() + other.bytes.len());

    let (mut ones, mut others) = (one.from(""), other.from(""));
    let (mut first, mut second) = (ones.advance(), others.advance());
    while first || second {
        if first && (!second || ones.name <= others.name) {
            packer.push(&ones.name)?;
            first = ones.advance();
        } else {
            packer.push(&others.name)?;
            second = others.advance();
        }
    }
    Ok(packer.finish())
}

/// Packs names that come in their order.
#[derive(Default)]
struct NamePacker {
    bytes: Vec<u8>,
    blocks: Vec<u32>,
    count: usize,
    before: Vec<u8>,
}

impl NamePacker {
    fn push(&mut self, name: &[u8]) -> io::Result<()> {
        // A folder that changes while it is read may tell a name twice.
        if self.count > 0 && self.before == name {
            return Ok(());
        }

        let mut shared = 0;
        if self.count.is_multiple_of(BLOCK) {
            self.blocks.push(offset(self.bytes.len())?);
        } else {
            let pairs = self.before.iter().zip(name);
            shared = pairs.take_while(|(one, other)| one == other).count();
        }

        // A name is longer than what it shares with another one, by 256 bytes at most.
        let rest = &name[shared..];
        let length = |count: usize| u8::try_from(count).unwrap_or(u8::MAX);
        let lengths = [length(shared), length(rest.len().saturating_sub(1))];
        self.bytes.extend_from_slice(&lengths);
        self.bytes.extend_from_slice(rest);

        self.before.truncate(shared);
        self.before.extend_from_slice(rest);
        self.count += 1;
        Ok(())
    }

    fn finish(self) -> PackedNames {
        PackedNames {
            bytes: self.bytes.into_boxed_slice(),
            blocks: self.blocks.into_boxed_slice(),
            count: self.count,
        }
    }
}

fn offset(place: usize) -> io::Result<u32> {
    u32::try_from(place).map_err(|_| io::ErrorKind::OutOfMemory.into())
}

/// Names between two that are kept whole.
const BLOCK: usize = 16;

/// Names that are sorted at one time.
const RUN_BYTES: usize = 512 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    fn packed(names: &[String]) -> PackedNames {
        let mut unsorted = UnsortedNames::default();
        names.iter().for_each(|name| unsorted.push(name).unwrap());
        unsorted.packed().unwrap()
    }

    fn all(mut cursor: NameCursor<'_>) -> Vec<String> {
        let mut names = Vec::new();
        while let Some(name) = cursor.next() {
            names.push(name.to_owned());
        }
        names
    }

    #[test]
    fn names_come_back_sorted_from_any_place_on() {
        let numbers = (0..100).map(|number| format!("model-{:03}.onnx", number * 37 % 100));
        let longest = ["\u{e9}".repeat(127) + "x", "\u{e9}".repeat(127) + "x/"];
        let mut names: Vec<_> = numbers.chain(longest).chain(["a".to_owned()]).collect();
        let packed = packed(&names);
        names.sort();
        assert_eq!(packed.len(), names.len());
        assert_eq!(all(packed.from("")), names);

        for start in [
            "",
            "a",
            "b",
            "model-050.onnx",
            "model-0505",
            "model-099.onnx",
            "\u{f0}",
        ] {
            let place = names.partition_point(|name| name.as_str() < start);
            assert_eq!(all(packed.from(start)), names[place..], "{start}");
        }
        assert!(all(PackedNames::default().from("x")).is_empty());
    }

    #[test]
    fn what_names_share_is_kept_once() {
        let names: Vec<_> = (0..10_000).map(|n| format!("model-{n:06}.onnx")).collect();
        let packed = packed(&names);
        let bytes = packed.bytes.len() + 4 * packed.blocks.len();
        assert!(bytes < 110_000, "{bytes} bytes for 170,000 of names");
    }

    #[test]
    fn a_name_that_is_told_twice_is_one() {
        let told = ["b", "a", "b", "a/", "a"].map(str::to_owned);
        let packed = packed(&told);
        assert_eq!(all(packed.from("")), ["a", "a/", "b"]);
        assert_eq!(packed.len(), 3);
    }

    #[test]
    fn runs_of_names_are_merged() {
        let name =
            |number: usize| format!("{:05}-{}", number * 7919 % 100_000, "x".repeat(number % 50));
        let mut names: Vec<_> = (0..100_000).map(name).collect();
        let packed = packed(&names);
        names.sort();
        assert!(all(packed.from("")) == names);
        let place = names.partition_point(|name| name.as_str() < "70000");
        assert!(all(packed.from("70000")) == names[place..]);
    }

    #[test]
    fn a_place_is_found_where_only_the_last_letters_differ() {
        let names: Vec<_> = (0..100).map(|number| format!("{number:02}")).collect();
        let packed = packed(&names);
        for start in &names {
            let place = names.partition_point(|name| name < start);
            assert_eq!(all(packed.from(start)), names[place..], "{start}");
        }
    }
}
