// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The revision of a folder: one word for the names and the bytes of all that is in it.

use std::fmt;
use std::str::FromStr;

use crate::digest::{Digest, Hasher};
use crate::error::{Error, ErrorKind, Result};

/// The first 20 bytes of the SHA-256 over a line for each model, sorted by name: its path below the folder, a
/// zero byte, its digest in hexadecimal, and a line feed. A folder that is moved keeps its revision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Revision([u8; 20]);

impl Revision {
    /// That of these members, which are sorted.
    pub(crate) fn of<'a>(members: impl Iterator<Item = (&'a str, Digest)>) -> Self {
        let mut hasher = RevisionHasher::default();
        for (path, digest) in members {
            hasher.add(path, digest);
        }
        hasher.finish()
    }

    /// That of a folder in which nothing is.
    pub(crate) fn empty() -> Self {
        Self::of(std::iter::empty())
    }
}

/// Computes the revision of members that come one after the other, sorted.
#[derive(Default)]
pub(crate) struct RevisionHasher(Hasher);

impl RevisionHasher {
    /// Adds a member by its path below the folder.
    pub(crate) fn add(&mut self, path: &str, digest: Digest) {
        self.0.update(format!("{path}\0{digest}\n").as_bytes());
    }

    /// The revision of all that came.
    pub(crate) fn finish(self) -> Revision {
        let mut bytes = [0; 20];
        let whole = self.0.finish();
        bytes.copy_from_slice(&whole.as_bytes()[..20]);
        Revision(bytes)
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for Revision {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = || {
            let text = "a revision has 40 hexadecimal digits";
            Error::new(ErrorKind::BadRequest, text)
        };
        if text.len() != 40 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(wrong());
        }

        let mut bytes = [0; 20];
        for (number, byte) in bytes.iter_mut().enumerate() {
            let digits = &text[2 * number..2 * number + 2];
            *byte = u8::from_str_radix(digits, 16).map_err(|_| wrong())?;
        }
        Ok(Self(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_revision_is_that_of_names_and_bytes() {
        let (one, two) = (Digest::of(b"1"), Digest::of(b"2"));
        let of = |members: &[(&'static str, Digest)]| Revision::of(members.iter().copied());
        let all = of(&[("a", one), ("b", two)]);
        assert_eq!(all, of(&[("a", one), ("b", two)]));
        for other in [
            of(&[("a", two), ("b", two)]),
            of(&[("a", one), ("c", two)]),
            of(&[("a", one)]),
            of(&[]),
        ] {
            assert_ne!(all, other);
        }

        let text = all.to_string();
        assert_eq!(text.len(), 40);
        assert_eq!(text.parse::<Revision>().unwrap(), all);
        for bad in [
            "",
            "main",
            &text[1..],
            &format!("{}g", &text[1..]),
            &"\u{e9}".repeat(20),
        ] {
            assert!(bad.parse::<Revision>().is_err(), "{bad}");
        }
    }

    #[test]
    fn the_revision_of_the_documentation() {
        // printf 'a\0%s\n' "$(printf 1 | sha256sum | cut -c1-64)" | sha256sum | cut -c1-40
        let revision = Revision::of([("a", Digest::of(b"1"))].into_iter());
        assert_eq!(revision.to_string(), EXPECTED);
    }

    const EXPECTED: &str = "c14e2de2b9f55a7828fb15f43803e5855ef67205";
}
