// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The values in the JSON: how they are written, and checked when they come from outside.

use std::str::FromStr;
use std::time::SystemTime;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::digest::Digest;
use crate::error::{Error, ErrorKind, Result};
use crate::text::{date_time, quotable};

/// A point in time as RFC 3339 has it, in UTC and whole seconds. One before the year 0 or after the year
/// 9999, for which RFC 3339 has no form, is written as the first or the last one that it has.
pub(crate) fn rfc3339(time: SystemTime) -> String {
    date_time(time).format(&Rfc3339).unwrap_or_default()
}

/// A digest as API v1 writes it.
pub(crate) fn digest_text(digest: Digest) -> String {
    format!("{digest:?}")
}

pub(super) fn digest_of(text: Option<&str>) -> Result<Option<Digest>> {
    let read = |text: &str| match text.strip_prefix("sha256:") {
        Some(digits) => digits.parse().map_err(|_| unusable("digest", text)),
        None => Err(unusable("digest", text)),
    };
    text.map(read).transpose()
}

pub(super) fn time_of(text: &str) -> Result<SystemTime> {
    let time = OffsetDateTime::parse(text, &Rfc3339);
    time.map(SystemTime::from)
        .map_err(|error| unusable("time", text).because(error))
}

/// A value of an answer, checked like any text from outside.
pub(super) fn checked<T: FromStr<Err = Error>>(what: &str, text: &str) -> Result<T> {
    text.parse()
        .map_err(|error| unusable(what, text).because(error))
}

fn unusable(what: &str, text: &str) -> Error {
    let shown = quotable(text);
    Error::new(
        ErrorKind::NotImplemented,
        format!("the answer has the {what} '{shown}', which is not valid"),
    )
    .hint("is --server (SKEP_SERVER) the address of a skep server?")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn times_are_printed_in_utc() {
        let time = SystemTime::UNIX_EPOCH + Duration::from_millis(951_827_696_789);
        assert_eq!(rfc3339(time), "2000-02-29T12:34:56Z");
        for (seconds, text) in [
            (253_402_300_799, "9999-12-31T23:59:59Z"),
            (253_402_300_800, "9999-12-31T23:59:59Z"),
            (i64::MAX as u64, "9999-12-31T23:59:59Z"),
        ] {
            let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
            assert_eq!(rfc3339(time), text, "{seconds}");
        }
        let second = Duration::from_secs(1);
        for (before, text) in [
            (second, "1969-12-31T23:59:59Z"),
            (second / 2, "1969-12-31T23:59:59Z"),
            (Duration::from_secs(62_167_219_200), "0000-01-01T00:00:00Z"),
            (Duration::from_secs(62_167_219_201), "0000-01-01T00:00:00Z"),
            (Duration::from_secs(i64::MAX as u64), "0000-01-01T00:00:00Z"),
        ] {
            assert_eq!(rfc3339(SystemTime::UNIX_EPOCH - before), text);
        }
    }
}
