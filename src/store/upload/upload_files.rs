// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The name of an upload in pieces, and where its two files are.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use crate::error::{Error, Result};
use crate::store::failure::unknown;
use crate::{disk, random};

/// The name of an upload: 128 random bits, so that nobody guesses one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct UploadId(u128);

impl UploadId {
    pub(crate) fn random() -> Result<Self> {
        random::bytes().map(|bytes| Self(u128::from_ne_bytes(bytes)))
    }
}

impl fmt::Display for UploadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl FromStr for UploadId {
    type Err = Error;

    /// Reads exactly what is printed.
    fn from_str(text: &str) -> Result<Self> {
        let read = u128::from_str_radix(text, 16).map(Self).ok();
        read.filter(|id| id.to_string() == text).ok_or_else(unknown)
    }
}

/// Where the two files of an upload are.
#[derive(Clone)]
pub(crate) struct UploadFiles {
    /// Its bytes.
    pub(crate) bytes: PathBuf,
    /// Its journal.
    pub(crate) record: PathBuf,
}

impl UploadFiles {
    /// Removes what there is of both.
    pub(crate) fn remove(&self) -> std::io::Result<()> {
        // The record first: bytes without one are removed at the next start.
        let removed = [&self.record, &self.bytes].map(|path| match disk::remove(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            other => other,
        });
        removed.into_iter().collect()
    }
}
