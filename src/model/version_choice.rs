// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Which of the old versions of a model is meant.

use std::fmt;
use std::str::FromStr;

use crate::digest::Digest;
use crate::error::{Error, ErrorKind};
use crate::text::quotable;

/// One of the old versions of a model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum VersionChoice {
    /// The one before the present model.
    #[default]
    Newest,
    /// The one with this number.
    Number(u64),
    /// The newest one with this digest.
    Digest(Digest),
}

impl fmt::Display for VersionChoice {
    /// Writes what `FromStr` reads.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Newest => f.write_str(NEWEST),
            Self::Number(number) => number.fmt(f),
            Self::Digest(digest) => write!(f, "{digest:?}"),
        }
    }
}

impl FromStr for VersionChoice {
    type Err = Error;

    /// Reads a number, a digest with or without `sha256:`, or `newest`.
    fn from_str(text: &str) -> Result<Self, Error> {
        if text == NEWEST {
            return Ok(Self::Newest);
        }

        // `parse` alone would accept a sign. A digest has more digits than any number.
        let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
        if is_number && let Ok(number) = text.parse() {
            return Ok(Self::Number(number));
        }

        let digest = text.strip_prefix("sha256:").unwrap_or(text).parse();
        digest.map(Self::Digest).map_err(|_| {
            let text = format!("'{}' is neither a number nor a digest", quotable(text));
            Error::new(ErrorKind::BadRequest, text)
                .hint("'skep show NAME' lists the versions with their numbers and digests")
        })
    }
}

const NEWEST: &str = "newest";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_is_a_number_or_a_digest() {
        let digest = Digest::of(b"x");
        for choice in [
            VersionChoice::Newest,
            VersionChoice::Number(17),
            VersionChoice::Digest(digest),
        ] {
            let read: VersionChoice = choice.to_string().parse().unwrap();
            assert_eq!(read, choice);
        }
        assert_eq!(
            digest.to_string().parse::<VersionChoice>().unwrap(),
            VersionChoice::Digest(digest)
        );
        for bad in [
            "",
            "+1",
            "-1",
            "1.0",
            "abc",
            "sha256:12",
            "99999999999999999999",
        ] {
            assert!(bad.parse::<VersionChoice>().is_err(), "{bad}");
        }
    }
}
