// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Byte ranges (RFC 9110 section 14): one range of a representation, or all of it.

/// The bytes `start..end` of a representation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// The first byte.
    pub start: u64,
    /// The byte behind the last.
    pub end: u64,
}

/// The range lies outside of the representation: 416.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RangeError;

impl Range {
    /// Reads a `Range` field for a representation of `length` bytes. `None` stands for all of it:
    /// other units, several ranges and what cannot be read are ignored, as RFC 9110 section 14.2 has
    /// it.
    ///
    /// # Errors
    /// If no byte of the representation is in the range.
    pub fn parse(field: &str, length: u64) -> Result<Option<Self>, RangeError> {
        let Some((unit, set)) = field.split_once('=') else {
            return Ok(None);
        };

        // Several ranges would need a multipart answer; RFC 9110 section 14.2 allows ignoring them.
        if !unit.trim().eq_ignore_ascii_case("bytes") || set.contains(',') {
            return Ok(None);
        }

        let Some((first, last)) = set.trim().split_once('-') else {
            return Ok(None);
        };

        let (first, last) = (first.trim(), last.trim());

        // The three forms: from a byte on, from byte to byte, and the last so many bytes. Both
        // numbers are inclusive on the wire, while `end` is exclusive here.
        let range = match (number(first), number(last)) {
            (Some(first), None) if last.is_empty() => Self {
                start: first,
                end: length,
            },
            (Some(first), Some(last)) if first <= last => Self {
                start: first,
                end: last.saturating_add(1).min(length),
            },
            (None, Some(count)) if first.is_empty() => Self {
                start: length.saturating_sub(count),
                end: length,
            },
            _ => return Ok(None),
        };

        // An empty file has no byte that any range could name, so a range of it is an error, too.
        if range.start < range.end {
            Ok(Some(range))
        } else {
            Err(RangeError)
        }
    }

    /// The length of the range in bytes, which is never zero.
    #[allow(clippy::len_without_is_empty, reason = "a range is never empty")]
    pub fn len(&self) -> u64 {
        self.end - self.start
    }
}

/// A number of digits only; one that does not fit stands for the largest.
fn number(text: &str) -> Option<u64> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_range_is_understood() {
        for (field, start, end) in [
            ("bytes=0-", 0, 10),
            ("bytes=3-5", 3, 6),
            ("Bytes = 9-9", 9, 10),
            ("bytes=3-99", 3, 10),
            ("bytes=-4", 6, 10),
            ("bytes=-99", 0, 10),
            ("bytes=0-99999999999999999999999", 0, 10),
        ] {
            assert_eq!(
                Range::parse(field, 10),
                Ok(Some(Range { start, end })),
                "{field}"
            );
        }
    }

    #[test]
    fn what_is_not_one_range_means_all() {
        for field in [
            "",
            "bytes",
            "bytes=",
            "bytes=-",
            "bytes=5-3",
            "items=0-1",
            "bytes=0-1,3-4",
            "bytes=3-x",
            "bytes=x-4",
            "bytes=3-+5",
            "bytes=+3-",
            "bytes=--4",
            "bytes=1-2-3",
            "bytes=0x1-2",
        ] {
            assert_eq!(Range::parse(field, 10), Ok(None), "{field}");
        }
    }

    #[test]
    fn ranges_beyond_the_end_are_refused() {
        for field in [
            "bytes=10-",
            "bytes=10-20",
            "bytes=-0",
            "bytes=99999999999999999999-",
        ] {
            assert_eq!(Range::parse(field, 10), Err(RangeError), "{field}");
        }
        assert_eq!(Range::parse("bytes=0-", 0), Err(RangeError));
    }

    #[test]
    fn lengths_beyond_32_bits_are_kept() {
        let range = Range::parse("bytes=5000000000-", 6_000_000_000)
            .unwrap()
            .unwrap();
        assert_eq!((range.start, range.len()), (5_000_000_000, 1_000_000_000));
    }
}
