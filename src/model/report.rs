// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What a server tells of a model beside its bytes: its origin, its older versions, and the outcome
//! of a check.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::time::SystemTime;

use super::{Model, ModelName};
use crate::digest::Digest;
use crate::error::{Error, ErrorKind};
use crate::text::quotable;

/// All that a server knows of a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelInfo {
    /// The model.
    pub model: Model,
    /// The licence, as its uploader said.
    pub license: Option<String>,
    /// Where it comes from, as its uploader said.
    pub source: Option<String>,
    /// Who sent it.
    pub uploader: Option<String>,
    /// When it was sent; known only if something was said of it.
    pub uploaded: Option<SystemTime>,
    /// When the file that was sent was last modified.
    pub file_modified: Option<SystemTime>,
    /// What else is said of it, by keys.
    pub meta: BTreeMap<String, String>,
    /// What it was before, newest first.
    pub versions: Vec<OldVersion>,
}

/// What a model was before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OldVersion {
    /// Its number; newer versions have higher numbers.
    pub number: u64,
    /// Its length in bytes.
    pub size: u64,
    /// When its bytes last changed.
    pub modified: SystemTime,
    /// Its digest, where it was known when it was kept.
    pub digest: Option<Digest>,
}

/// What came of reading a model again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verification {
    /// The model's name.
    pub name: ModelName,
    /// How much of it was read, in bytes.
    pub read: u64,
    /// Its length in bytes.
    pub size: u64,
    /// The outcome.
    pub outcome: Verified,
    /// The digest that it has now; `None` if it cannot be read.
    pub digest: Option<Digest>,
    /// The digest that it had when the server read it before.
    pub remembered: Option<Digest>,
}

/// The outcome of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verified {
    /// The bytes have the digest that was remembered.
    Intact,
    /// No digest was remembered, so there is nothing to compare.
    New,
    /// The file was changed by hand since the digest was computed.
    Changed,
    /// The file is the same as then, but its bytes are others.
    Damaged,
    /// The bytes cannot be read.
    Unreadable,
}

impl Verified {
    const ALL: [Self; 5] = [
        Self::Intact,
        Self::New,
        Self::Changed,
        Self::Damaged,
        Self::Unreadable,
    ];

    /// The word for it, as API v1 has it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Intact => "intact",
            Self::New => "new",
            Self::Changed => "changed",
            Self::Damaged => "damaged",
            Self::Unreadable => "unreadable",
        }
    }
}

impl FromStr for Verified {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let mut all = Self::ALL.into_iter();
        all.find(|outcome| outcome.word() == text).ok_or_else(|| {
            let shown = quotable(text);
            Error::new(
                ErrorKind::BadRequest,
                format!("'{shown}' is not an outcome of a check"),
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_back() {
        for outcome in Verified::ALL {
            assert_eq!(outcome.word().parse::<Verified>().unwrap(), outcome);
        }

        let error = "fine\n".parse::<Verified>().unwrap_err();
        assert!(error.message().contains("'fine\\n'"), "{error}");
    }
}
