// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The directory of a ZIP archive, as NumPy and PyTorch write them.
//!
//! It is read strictly: where two readers could find two directories, there is none.

use crate::formats::model_header::TEXT_MAX;
use crate::formats::window::{ENDS, Flaw, Flawed, Window};

/// A file in an archive.
pub(super) struct ZipMember {
    pub(super) name: String,
    pub(super) size: u64,
    /// Whether its bytes are there as they are: neither compressed nor encrypted.
    pub(super) is_plain: bool,
    place: u64,
}

pub(super) fn begins(start: &[u8]) -> bool {
    start.starts_with(b"PK\x03\x04") || start.starts_with(b"PK\x05\x06")
}

/// Tells of every member, in the order of the directory; the place of the window afterwards is any.
pub(super) fn members(
    window: &mut Window<'_>,
    told: &mut dyn FnMut(ZipMember) -> Flawed<()>,
) -> Flawed<()> {
    let (count, start, end) = directory(window)?;
    window.seek(start)?;
    for _ in 0..count {
        told(member(window, start)?)?;
    }
    if window.at() == end {
        Ok(())
    } else {
        Err(AMBIGUOUS)
    }
}

/// Goes to the bytes of a member that is plain; returns their end.
pub(super) fn enter(window: &mut Window<'_>, member: &ZipMember) -> Flawed<u64> {
    window.seek(member.place)?;
    if window.number(4)? != LOCAL {
        return Err(AMBIGUOUS);
    }
    window.skip(22)?;
    let (name, extra) = (window.number(2)?, window.number(2)?);
    window.skip(name + extra)?;

    let end = window.at().checked_add(member.size).ok_or(ENDS)?;
    if end > window.size() {
        return Err(ENDS);
    }
    Ok(end)
}

/// How many members the directory has, where it begins and where it ends.
fn directory(window: &mut Window<'_>) -> Flawed<(u64, u64, u64)> {
    let last = last_record(window)?;
    window.seek(last + 4)?;
    let disks = window.number(4)?;
    let (here, count) = (window.number(2)?, window.number(2)?);
    let (bytes, start) = (window.number(4)?, window.number(4)?);
    if disks != 0 || here != count {
        return Err(AMBIGUOUS);
    }

    // Of large archives, and of all that PyTorch writes, another record has numbers of 64 bits.
    let locator = last.checked_sub(20);
    if let Some(locator) = locator {
        window.seek(locator)?;
        if window.number(4)? == LOCATOR {
            return large(window, locator, [count, bytes, start]);
        }
    }
    if start.checked_add(bytes) == Some(last) {
        Ok((count, start, last))
    } else {
        Err(AMBIGUOUS)
    }
}

/// The same as the record says that a locator names, and the small one does not deny.
fn large(window: &mut Window<'_>, locator: u64, small: [u64; 3]) -> Flawed<(u64, u64, u64)> {
    window.skip(4)?;
    let place = window.number(8)?;
    window.seek(place)?;
    if window.number(4)? != RECORD {
        return Err(AMBIGUOUS);
    }
    let length = window.number(8)?;
    let ends = place.checked_add(12).and_then(|at| at.checked_add(length));
    if ends != Some(locator) {
        return Err(AMBIGUOUS);
    }

    window.skip(12)?;
    let (here, count) = (window.number(8)?, window.number(8)?);
    let (bytes, start) = (window.number(8)?, window.number(8)?);
    let denied = small
        .into_iter()
        .zip([(count, 0xffff), (bytes, 0xffff_ffff), (start, 0xffff_ffff)])
        .any(|(small, (large, none))| small != none && small != large);
    if denied || here != count || start.checked_add(bytes) != Some(place) {
        return Err(AMBIGUOUS);
    }
    Ok((count, start, place))
}

/// Where the record is with which an archive ends, and its comment after it.
fn last_record(window: &mut Window<'_>) -> Flawed<u64> {
    let size = window.size();
    let begin = size.saturating_sub(LAST_BYTES + 0xffff);
    // Nearly all archives end without a comment.
    for begin in [size.saturating_sub(LAST_BYTES), begin] {
        window.seek(begin)?;
        let tail = window.text(size - begin, LAST_BYTES + 0xffff)?;
        let found = tail.windows(4).rposition(|four| four == LAST);
        let Some(found) = found else { continue };
        let comment = tail.get(found + 20..found + 22).ok_or(AMBIGUOUS)?;
        let comment = usize::from(comment[0]) | usize::from(comment[1]) << 8;
        if found + 22 + comment != tail.len() {
            return Err(AMBIGUOUS);
        }
        return Ok(begin + found as u64);
    }
    Err(Flaw::Damaged("it has no directory at its end"))
}

fn member(window: &mut Window<'_>, end: u64) -> Flawed<ZipMember> {
    if window.number(4)? != ENTRY {
        return Err(AMBIGUOUS);
    }
    window.skip(4)?;
    let (flags, method) = (window.number(2)?, window.number(2)?);
    window.skip(8)?;
    let (mut packed, mut size) = (window.number(4)?, window.number(4)?);
    let (name_bytes, extra, comment) = (window.number(2)?, window.number(2)?, window.number(2)?);
    window.skip(8)?;
    let mut place = window.number(4)?;

    // The end of a name says what it is.
    window.skip(name_bytes.saturating_sub(TEXT_MAX))?;
    let name = window.text(name_bytes.min(TEXT_MAX), TEXT_MAX)?;
    let after = window.at() + extra;
    while window.at() + 4 <= after {
        let (id, length) = (window.number(2)?, window.number(2)?);
        let next = window.at() + length;
        if id == 1 {
            for number in [&mut size, &mut packed, &mut place] {
                if *number == 0xffff_ffff {
                    *number = window.number(8)?;
                }
            }
        }
        window.seek(next)?;
    }
    window.seek(after + comment)?;

    if place.checked_add(packed).is_none_or(|last| last > end) {
        return Err(ENDS);
    }
    Ok(ZipMember {
        name: String::from_utf8_lossy(&name).into_owned(),
        size,
        is_plain: flags & 1 == 0 && method == 0 && packed == size,
        place,
    })
}

const AMBIGUOUS: Flaw = Flaw::Damaged("its directory cannot be read");

const LAST: &[u8] = b"PK\x05\x06";
const LAST_BYTES: u64 = 22;
const LOCATOR: u64 = 0x0706_4b50;
const RECORD: u64 = 0x0606_4b50;
const ENTRY: u64 = 0x0201_4b50;
const LOCAL: u64 = 0x0403_4b50;
