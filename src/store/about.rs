// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Where a model comes from and under which licence, as its uploader said.

use std::collections::BTreeMap;
use std::time::SystemTime;

use crate::error::{Error, ErrorKind, Result};
use crate::signature::Signature;
use crate::text::{has_date, is_harmful, quotable};

/// What an uploader says of a model.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Metadata {
    /// The licence, for example `Apache-2.0`.
    pub license: Option<String>,
    /// Where it comes from, for example a URL.
    pub source: Option<String>,
    /// Who sent it.
    pub uploader: Option<String>,
    /// When the file that was sent was last modified, in seconds since 1970.
    pub modified: Option<i64>,
    /// What else is said of it, by keys.
    pub pairs: BTreeMap<String, String>,
}

/// What is known of where a model comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct About {
    /// What its uploader said.
    pub metadata: Metadata,
    /// When it was uploaded.
    pub uploaded: SystemTime,
}

impl Metadata {
    /// Checks what was said; blank texts count as nothing.
    ///
    /// # Errors
    /// `BadRequest` for texts of more than 1000 bytes, or with control or invisible characters.
    pub fn new(
        license: Option<&str>,
        source: Option<&str>,
        uploader: Option<&str>,
    ) -> Result<Self> {
        Ok(Self {
            license: text("licence", license)?,
            source: text("source", source)?,
            uploader: text("uploader", uploader)?,
            ..Self::default()
        })
    }

    /// The same for a file that was last modified at a time, in seconds since 1970.
    ///
    /// # Errors
    /// `BadRequest` for a time that has no date of four digits (RFC 3339).
    pub fn of_time(self, modified: i64) -> Result<Self> {
        if !has_date(modified) {
            let text = "the time of modification is not within the years 0 to 9999";
            return Err(Error::new(ErrorKind::BadRequest, text)
                .hint("send seconds since 1970, or leave it out"));
        }
        let modified = Some(modified);
        Ok(Self { modified, ..self })
    }

    /// The same with one more key and its value.
    ///
    /// # Errors
    /// `BadRequest` for a key of other characters than `a-z 0-9 . _ -` or of more than 64, for one that is there
    /// already, and for a value that is blank or could be no licence.
    pub fn with(mut self, key: &str, value: &str) -> Result<Self> {
        let is_allowed = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-');
        if key.is_empty() || key.len() > KEY_BYTES_MAX || !key.bytes().all(is_allowed) {
            let text = format!("'{}' cannot be a key", quotable(key));
            return Err(Error::new(ErrorKind::BadRequest, text).hint(
                "a key has 1 to 64 characters out of a-z, 0-9, '.', '_' and '-': KEY=VALUE",
            ));
        }

        let Some(value) = text(&format!("value of '{key}'"), Some(value))? else {
            let text = format!("the value of '{key}' is missing");
            return Err(Error::new(ErrorKind::BadRequest, text).hint("KEY=VALUE"));
        };
        if self.pairs.insert(key.to_owned(), value).is_some() {
            let text = format!("the key '{key}' is there twice");
            return Err(Error::new(ErrorKind::BadRequest, text).hint("a key has one value"));
        }
        Ok(self)
    }

    /// How many bytes its keys and values have.
    pub(crate) fn pairs_bytes(&self) -> usize {
        let pairs = self.pairs.iter();
        pairs.map(|(key, value)| key.len() + value.len()).sum()
    }

    /// The end of a line with fields that tabs separate: signature, time, keys and values, as far as there is
    /// any of it. No value has a control character.
    pub(crate) fn line_end(&self, signature: Option<&Signature>) -> String {
        let mut words = vec![signature.map_or_else(String::new, Signature::field)];
        let modified = self.modified.map(|seconds| seconds.to_string());
        words.push(modified.unwrap_or_default());
        words.extend(
            self.pairs
                .iter()
                .map(|(key, value)| format!("{key}={value}")),
        );

        while words.last().is_some_and(String::is_empty) {
            words.pop();
        }
        words.iter().flat_map(|word| ["\t", word]).collect()
    }

    /// Adds the words behind the signature, as [`Metadata::line_end`] writes them.
    pub(crate) fn with_words<'a>(
        mut self,
        mut words: impl Iterator<Item = &'a str>,
    ) -> Result<Self> {
        if let Some(modified) = words.next().filter(|word| !word.is_empty()) {
            self = self.of_time(modified.parse().unwrap_or(i64::MAX))?;
        }
        for pair in words {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            self = self.with(key, value)?;
        }
        Ok(self)
    }

    /// Whether nothing is said but when the file was modified, which every client knows.
    pub(crate) fn is_only_of_time(&self) -> bool {
        let modified = self.modified;
        *self
            == Self {
                modified,
                ..Self::default()
            }
    }

    /// The bytes of all that is said.
    pub(crate) fn bytes(&self) -> usize {
        let said = [&self.license, &self.source, &self.uploader];
        let said: usize = said.into_iter().flatten().map(String::len).sum();
        said + self.pairs.len() * PAIR_BYTES + self.pairs_bytes()
    }

    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

pub(crate) fn text(what: &str, given: Option<&str>) -> Result<Option<String>> {
    let Some(given) = given.map(str::trim).filter(|given| !given.is_empty()) else {
        return Ok(None);
    };

    let reason = if given.len() > TEXT_BYTES_MAX {
        "is longer than 1000 bytes"
    } else if given.contains(char::is_control) {
        "has a tab or another control character in it"
    } else if given.contains(is_harmful) {
        "has an invisible character in it"
    } else {
        return Ok(Some(given.to_owned()));
    };

    let text = format!("the {what} {reason}");
    Err(Error::new(ErrorKind::BadRequest, text).hint("give a short name or a URL"))
}

/// What a pair takes in memory beside its text.
const PAIR_BYTES: usize = 64;

const KEY_BYTES_MAX: usize = 64;

pub(crate) const TEXT_BYTES_MAX: usize = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_texts_have_the_length_that_is_documented() {
        let key = |length| Metadata::default().with(&"k".repeat(length), "v");
        assert!(key(KEY_BYTES_MAX).is_ok());
        for refused in [0, KEY_BYTES_MAX + 1] {
            assert_eq!(key(refused).unwrap_err().kind(), ErrorKind::BadRequest);
        }

        let license = |length| Metadata::new(Some(&"l".repeat(length)), None, None);
        assert!(license(TEXT_BYTES_MAX).is_ok());
        assert!(license(TEXT_BYTES_MAX + 1).is_err());
    }

    #[test]
    fn all_that_is_said_counts() {
        let said = Metadata::new(Some("mit"), Some("here"), Some("me")).unwrap();
        assert_eq!((said.bytes(), said.pairs_bytes()), (9, 0));
        let said = said
            .with("one", "1")
            .and_then(|said| said.with("two", "22"));
        let said = said.unwrap();
        assert_eq!(said.pairs_bytes(), 9);
        assert_eq!(said.bytes(), 9 + 9 + 2 * PAIR_BYTES);
    }
}
