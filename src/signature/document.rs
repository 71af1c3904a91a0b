// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A signature in minisign's format: read, written and checked.

use std::fmt;
use std::io::Read;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::error::{Error, ErrorKind, Result};
use crate::model::ModelName;
use crate::signature::minisign::{Algorithm, LEGACY, PREHASHED, TRUSTED, UNTRUSTED};
use crate::signature::prehash::Prehash;
use crate::signature::public_key::PublicKey;
use crate::text::{composed, quotable};

/// The signature of a file and of a comment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    pub(crate) algorithm: Algorithm,
    /// Of the key that made it.
    pub(crate) key_id: [u8; 8],
    pub(crate) signature: [u8; 64],
    pub(crate) untrusted_comment: String,
    pub(crate) trusted_comment: String,
    pub(crate) comment_signature: [u8; 64],
}

impl Signature {
    /// The longest signature file: minisign allows trusted comments of 8 KiB.
    pub const BYTES_MAX: usize = 10 << 10;

    /// The longest file whose legacy signature is checked, since all of it has to be in memory.
    pub const LEGACY_BYTES_MAX: u64 = 256 << 20;

    /// The name under which the signature of a model stands beside it: `NAME.minisig`.
    ///
    /// # Errors
    /// `BadRequest` if that is longer than a name may be.
    pub fn name_for(model: &ModelName) -> Result<ModelName> {
        format!("{model}{SUFFIX}").parse()
    }

    /// The name of the model whose signature has this name.
    pub(crate) fn model_of(name: &ModelName) -> Option<ModelName> {
        name.as_str().strip_suffix(SUFFIX)?.parse().ok()
    }

    /// Whether a model of this name is the signature of another one.
    pub fn is_name(name: &ModelName) -> bool {
        name.as_str().ends_with(SUFFIX)
    }

    /// Reads the content of a signature file.
    ///
    /// # Errors
    /// `Integrity` if it is none, or only the beginning of one.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let text = str::from_utf8(bytes)
            .ok()
            .map(|text| text.strip_prefix('\u{feff}').unwrap_or(text))
            .filter(|text| text.len() <= Self::BYTES_MAX);
        text.ok_or_else(|| unreadable("it is not text, or is too long"))
            .and_then(str::parse)
    }

    /// The signature file in one line, for the field `Skep-Signature`.
    pub fn field(&self) -> String {
        STANDARD.encode(self.to_string())
    }

    /// Reads a field `Skep-Signature`.
    ///
    /// # Errors
    /// `Integrity` if that is no signature file in base64.
    pub fn from_field(value: &str) -> Result<Self> {
        let bytes = STANDARD.decode(value.trim());
        bytes
            .map_err(|_| unreadable("it is not in base64"))
            .and_then(|bytes| Self::from_bytes(&bytes))
    }

    /// The comment that the signer vouches for; only after [`Signature::verify`] is that so.
    pub fn trusted_comment(&self) -> &str {
        &self.trusted_comment
    }

    /// The name of the file in the trusted comment, if it has one where minisign writes it.
    pub fn file_name(&self) -> Option<&str> {
        self.trusted_comment
            .split('\t')
            .find_map(|item| item.strip_prefix(FILE))
    }

    /// That the trusted comment is of a file of this name, or names none: the right signature of one file
    /// says nothing of another one. Only after [`Signature::verify`] is it what the signer said.
    ///
    /// # Errors
    /// `Integrity` if it names another file.
    pub fn check_name(&self, what: &str, name: &str) -> Result<()> {
        let items = self.trusted_comment.split('\t');
        let mut named = items.filter_map(|item| item.strip_prefix(FILE));

        // Programs that sign write the name of the file, which is the last segment of a model's name. Both
        // forms of Unicode are one name.
        let name = composed(name);
        let last = name.rsplit('/').next().unwrap_or_default();
        let is_it = |named: &str| named == name || named == last;
        match named.find(|named| !is_it(&composed(named))) {
            None => Ok(()),
            Some(other) => {
                let other = quotable(other);
                let text = format!("the signature of {what} was made for a file named '{other}'");
                Err(Error::new(ErrorKind::Integrity, text).hint(
                    "sign it under its new name; or, if it is what you mean, let clients accept it: --any-name",
                ))
            }
        }
    }

    /// Whether another one says the same of the same bytes; the first line of the file is nobody's word.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.key_id == other.key_id
            && self.signature == other.signature
            && self.comment_signature == other.comment_signature
    }

    /// Whether checking it takes the whole file in memory.
    pub fn is_legacy(&self) -> bool {
        self.algorithm == Algorithm::Legacy
    }

    /// That one of `keys` has signed all of `content`, which is called `what` in errors.
    ///
    /// # Errors
    /// `Integrity` if not; `TooLarge` for a large file with a legacy signature; those of `content`.
    pub fn verify(&self, what: &str, keys: &[PublicKey], content: &mut dyn Read) -> Result<()> {
        let key = self.signer(what, keys)?;

        // The key was looked up first, so a file that nobody known has signed is not read at all.
        let is_right = match self.algorithm {
            Algorithm::Prehashed => key.has_signed(&Prehash::of(content)?, &self.signature),
            Algorithm::Legacy => key.has_signed(&read_whole(what, content)?, &self.signature),
        };

        // The comment has a signature of its own. Unchecked, anybody could change the name and the
        // date that it gives the file.
        if is_right {
            self.verify_comment(what, keys)
        } else {
            let text = format!("{what} is not what the key {key:?} has signed");
            Err(Error::new(ErrorKind::Integrity, text)
                .hint("the file or its signature was changed, or one of them is not the newest"))
        }
    }

    /// Whether `key` made this signature, of content with this digest.
    pub(crate) fn is_of(&self, prehash: &[u8; 64], key: &PublicKey) -> bool {
        self.algorithm == Algorithm::Prehashed
            && key.has_signed(prehash, &self.signature)
            && key.has_signed(&self.comment_message(), &self.comment_signature)
    }

    /// That one of `keys` made this signature of `what`, whatever file it belongs to.
    ///
    /// # Errors
    /// `Integrity` if not.
    pub fn verify_comment(&self, what: &str, keys: &[PublicKey]) -> Result<()> {
        let key = self.signer(what, keys)?;
        if key.has_signed(&self.comment_message(), &self.comment_signature) {
            Ok(())
        } else {
            let text = format!(
                "the trusted comment of the signature of {what} is not what the key {key:?} has signed"
            );
            Err(Error::new(ErrorKind::Integrity, text).hint("the signature file was changed"))
        }
    }

    /// The key among `keys` that this claims to be made by.
    ///
    /// # Errors
    /// `Integrity` if there is none.
    pub fn signer<'a>(&self, what: &str, keys: &'a [PublicKey]) -> Result<&'a PublicKey> {
        keys.iter()
            .find(|key| key.id == self.key_id)
            .ok_or_else(|| {
                let expected: Vec<_> = keys.iter().map(|key| format!("{key:?}")).collect();
                let (id, expected) = (
                    crate::signature::public_key::shown(self.key_id),
                    expected.join(" or "),
                );
                let text = format!("{what} is signed by the key {id} instead of {expected}");
                Error::new(ErrorKind::Integrity, text)
            })
    }

    pub(crate) fn comment_message(&self) -> Vec<u8> {
        [&self.signature, self.trusted_comment.as_bytes()].concat()
    }
}

impl fmt::Display for Signature {
    /// Writes the signature file.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let algorithm = match self.algorithm {
            Algorithm::Prehashed => PREHASHED,
            Algorithm::Legacy => LEGACY,
        };
        let signature = STANDARD.encode([&algorithm[..], &self.key_id, &self.signature].concat());
        let comment_signature = STANDARD.encode(self.comment_signature);
        writeln!(f, "{UNTRUSTED}{}\n{signature}", self.untrusted_comment)?;
        writeln!(f, "{TRUSTED}{}\n{comment_signature}", self.trusted_comment)
    }
}

impl FromStr for Signature {
    type Err = Error;

    /// Reads the content of a signature file, as [`Signature::from_bytes`].
    fn from_str(text: &str) -> Result<Self> {
        let mut lines = text.lines();
        let mut next = || {
            lines
                .next()
                .ok_or_else(|| unreadable("it has fewer than four lines"))
        };

        let (first, second, third, fourth) = (next()?, next()?, next()?, next()?);

        let comment = |line: &str, prefix, reason| match line.strip_prefix(prefix) {
            Some(comment) => Ok(comment.to_owned()),
            None => Err(unreadable(reason)),
        };

        let untrusted_comment = comment(first, UNTRUSTED, "its first line is not a comment")?;
        let trusted_comment = comment(third, TRUSTED, "its third line is not a trusted comment")?;
        let bytes = STANDARD.decode(second.trim()).unwrap_or_default();
        let comment_bytes = STANDARD.decode(fourth.trim()).unwrap_or_default();

        // Lines that are not base64 have become empty, and are refused here as too short.
        let (Some((algorithm, rest)), Ok(comment_signature)) =
            (bytes.split_first_chunk::<2>(), comment_bytes.try_into())
        else {
            return Err(unreadable("it is incomplete or was changed"));
        };

        let algorithm = match algorithm {
            PREHASHED => Algorithm::Prehashed,
            LEGACY => Algorithm::Legacy,
            _ => return Err(unreadable("its algorithm is not supported")),
        };

        let parts = rest.split_first_chunk::<8>();
        let parts = parts.and_then(|(id, signature)| Some((*id, signature.try_into().ok()?)));
        let Some((key_id, signature)) = parts else {
            return Err(unreadable("it is incomplete or was changed"));
        };

        // No signature covers what follows the fourth line.
        if lines.any(|line| !line.is_empty()) {
            return Err(unreadable("it has more than four lines"));
        }

        Ok(Self {
            algorithm,
            key_id,
            signature,
            untrusted_comment,
            trusted_comment,
            comment_signature,
        })
    }
}

pub(crate) fn read_whole(what: &str, content: &mut dyn Read) -> Result<Vec<u8>> {
    read_up_to(Signature::LEGACY_BYTES_MAX, what, content)
}

pub(super) fn read_up_to(max: u64, what: &str, content: &mut dyn Read) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();

    // One byte more than allowed tells a file that is too large from one that just fits.
    content.take(max + 1).read_to_end(&mut bytes)?;

    if bytes.len() as u64 > max {
        let text =
            format!("{what} is too large for a legacy signature, which is checked in memory");
        return Err(Error::new(ErrorKind::TooLarge, text)
            .hint("sign it again, with 'skep sign' or 'minisign -S -H'"));
    }

    Ok(bytes)
}

pub(crate) fn unreadable(reason: &str) -> Error {
    let text = format!("the signature cannot be read: {reason}");
    Error::new(ErrorKind::Integrity, text).hint("fetch or make the signature file again")
}

/// What stands before the name of a file in a trusted comment.
const FILE: &str = "file:";

pub(crate) const SUFFIX: &str = ".minisig";
