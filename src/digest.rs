// SPDX-License-Identifier: Apache-2.0 OR MIT
//! SHA-256 digests: computed while bytes stream, compared and printed in their usual forms.

use std::fmt;
use std::io::{self, Read};
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use subtle::ConstantTimeEq as _;

use crate::error::{Error, ErrorKind};

/// A SHA-256 digest. Equality takes the same time wherever two digests differ.
#[derive(Clone, Copy, Eq)]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest of some bytes.
    pub fn of(bytes: &[u8]) -> Self {
        let mut hasher = Hasher::new();
        hasher.update(bytes);
        hasher.finish()
    }

    /// The digest of all that a reader yields, read in 64 KiB pieces.
    ///
    /// # Errors
    /// Those of the reader.
    pub fn of_reader(reader: impl Read) -> io::Result<Self> {
        Hasher::of_reader(reader).map(Hasher::finish)
    }

    /// A digest from its 32 bytes.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The strong entity tag of RFC 9110 section 8.8.3, with its quotes.
    pub fn etag(&self) -> String {
        format!("\"sha256-{self}\"")
    }

    /// The digest in an entity tag as [`Digest::etag`] writes it; `None` for any other tag.
    pub fn from_etag(tag: &str) -> Option<Self> {
        tag.trim()
            .strip_prefix("\"sha256-")?
            .strip_suffix('"')?
            .parse()
            .ok()
    }

    /// The value of a `Repr-Digest` or `Content-Digest` field (RFC 9530 section 2).
    pub fn field(&self) -> String {
        format!("sha-256=:{}:", STANDARD.encode(self.0))
    }

    /// The SHA-256 in a `Repr-Digest` or `Content-Digest` field, `None` if it has none.
    ///
    /// # Errors
    /// `BadRequest` if there is one that cannot be read.
    pub fn from_field(value: &str) -> Result<Option<Self>, Error> {
        // The field may list several algorithms; the others are not computed here.
        let mut named = value.split(',').filter_map(|item| {
            let (name, value) = item.split_once('=')?;
            let is_ours = name.trim().eq_ignore_ascii_case("sha-256");
            is_ours.then_some(value)
        });

        let Some(text) = named.next() else {
            return Ok(None);
        };
        if named.next().is_some() {
            let text = "the digest field has more than one sha-256";
            return Err(Error::new(ErrorKind::BadRequest, text));
        }

        // A byte sequence stands between colons (RFC 8941 section 3.3.5); parameters say nothing here.
        let bytes = text
            .split(';')
            .next()
            .map(str::trim)
            .and_then(|text| text.strip_prefix(':'))
            .and_then(|text| text.strip_suffix(':'))
            .and_then(|text| STANDARD.decode(text).ok())
            .and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());

        match bytes {
            Some(bytes) => Ok(Some(Self(bytes))),
            None => Err(Error::new(
                ErrorKind::BadRequest,
                "the sha-256 in the digest field is not 32 bytes of base64 between colons",
            )),
        }
    }

    /// The one digest that two statements about the same bytes come to.
    ///
    /// # Errors
    /// `BadRequest` if they contradict each other.
    pub(crate) fn agreed(one: Option<Self>, other: Option<Self>) -> Result<Option<Self>, Error> {
        match (one, other) {
            (Some(one), Some(other)) if one != other => {
                let text = format!(
                    "the digests {one:?} and {other:?} are given for the same bytes, which cannot \
                     have both"
                );
                Err(Error::new(ErrorKind::BadRequest, text).hint("give the right one"))
            }
            _ => Ok(one.or(other)),
        }
    }
}

impl PartialEq for Digest {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Written in one piece, since each answer with a model has one.
        let mut digits = [0; 64];
        for (pair, byte) in digits.chunks_exact_mut(2).zip(self.0) {
            pair[0] = HEX[usize::from(byte >> 4)];
            pair[1] = HEX[usize::from(byte & 15)];
        }
        f.write_str(str::from_utf8(&digits).unwrap_or_default())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{self}")
    }
}

impl FromStr for Digest {
    type Err = Error;

    /// Reads 64 hexadecimal digits of either case.
    fn from_str(text: &str) -> Result<Self, Error> {
        let bad = || {
            Error::new(
                ErrorKind::BadRequest,
                "a SHA-256 digest is 64 hexadecimal digits",
            )
        };

        // `from_str_radix` would accept a sign, and slicing would panic inside a character.
        let digits = text.as_bytes();
        if digits.len() != 64 || !digits.iter().all(u8::is_ascii_hexdigit) {
            return Err(bad());
        }

        let mut bytes = [0; 32];
        for (index, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&text[2 * index..2 * index + 2], 16).map_err(|_| bad())?;
        }

        Ok(Self(bytes))
    }
}

const HEX: &[u8; 16] = b"0123456789abcdef";

/// Computes a [`Digest`] piece by piece.
#[derive(Clone)]
pub(crate) struct Hasher(ring::digest::Context);

impl Hasher {
    /// A hasher that has seen nothing.
    pub(crate) fn new() -> Self {
        Self(ring::digest::Context::new(&ring::digest::SHA256))
    }

    /// A hasher that has seen all that a reader yields, read in 64 KiB pieces.
    ///
    /// # Errors
    /// Those of the reader.
    pub(crate) fn of_reader(mut reader: impl Read) -> io::Result<Self> {
        let mut hasher = Self::new();
        let mut buffer = vec![0; 64 * 1024];

        loop {
            match reader.read(&mut buffer) {
                Ok(0) => return Ok(hasher),
                Ok(count) => hasher.update(&buffer[..count]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Takes in the next bytes.
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The digest of all bytes taken in.
    pub(crate) fn finish(self) -> Digest {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(self.0.finish().as_ref());
        Digest(bytes)
    }
}

impl Default for Hasher {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_round_trip() {
        let digest = Digest::of(b"abc");
        let hex = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(digest.to_string(), hex);
        assert_eq!(hex.parse::<Digest>().unwrap(), digest);
        assert_eq!(Digest::from_etag(&digest.etag()), Some(digest));
        assert_eq!(Digest::from_field(&digest.field()).unwrap(), Some(digest));
        assert_eq!(Digest::from_field("md5=:AA==:").unwrap(), None);
        assert!(Digest::from_field("sha-256=:AA==:").is_err());
        let field = digest.field();
        for same in [
            format!("md5=:AA==:, {field};x=1"),
            field.replace("sha-256", "SHA-256"),
        ] {
            assert_eq!(Digest::from_field(&same).unwrap(), Some(digest), "{same}");
        }
        let other = Digest::of(b"x");
        for twice in [
            format!("{field}, {field}"),
            format!("{field},{}", other.field()),
        ] {
            assert!(Digest::from_field(&twice).is_err(), "{twice}");
        }
        assert_eq!(
            Digest::agreed(Some(digest), None).unwrap(),
            Digest::agreed(None, Some(digest)).unwrap()
        );
        assert!(Digest::agreed(Some(digest), Some(other)).is_err());
        assert_eq!(Digest::of_reader(&b"abc"[..]).unwrap(), digest);
    }

    #[test]
    fn other_lengths_and_letters_are_refused() {
        assert!("ba78".parse::<Digest>().is_err());
        assert!("g".repeat(64).parse::<Digest>().is_err());
        assert!("\u{e9}".repeat(32).parse::<Digest>().is_err());
    }
}
