// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The values in the JSON: how they are written, and checked when they come from outside.

use std::str::FromStr;
use std::time::SystemTime;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::digest::Digest;
use crate::error::{Error, ErrorKind, Result};
use crate::text::quotable;

/// A point in time as RFC 3339 has it, in UTC and whole seconds.
pub(crate) fn rfc3339(time: SystemTime) -> String {
    let seconds = OffsetDateTime::from(time).replace_nanosecond(0);
    seconds
        .ok()
        .and_then(|time| time.format(&Rfc3339).ok())
        .unwrap_or_default()
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
    }
}
