// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The name of an upload in pieces, and where its two files are.

use std::fmt;
use std::io;
use std::str::FromStr;

use crate::disk::FilePlace;
use crate::error::{Error, Result};
use crate::random;
use crate::store::failure::unknown;
use crate::store::hidden_folder::{HiddenFolder, PARTS, UPLOADS};

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
    hidden: HiddenFolder,
    id: UploadId,
}

impl UploadFiles {
    pub(crate) fn new(hidden: &HiddenFolder, id: UploadId) -> Self {
        Self {
            hidden: hidden.clone(),
            id,
        }
    }

    /// Makes the folders that both are in.
    ///
    /// # Errors
    /// Those of the file system.
    pub(crate) fn make_folders(&self) -> io::Result<()> {
        self.hidden.made(PARTS)?;
        self.hidden.made(UPLOADS)?;
        Ok(())
    }

    /// The place of its bytes.
    ///
    /// # Errors
    /// Those of the file system, for the folder that it is in.
    pub(crate) fn bytes(&self) -> io::Result<FilePlace> {
        let folder = self.hidden.folder(PARTS)?;
        Ok(FilePlace::new(&folder, bytes_name(self.id)))
    }

    /// The place of its journal.
    ///
    /// # Errors
    /// Those of the file system, for the folder that it is in.
    pub(crate) fn record(&self) -> io::Result<FilePlace> {
        let folder = self.hidden.folder(UPLOADS)?;
        Ok(FilePlace::new(&folder, self.id.to_string()))
    }

    /// Removes what there is of both.
    ///
    /// # Errors
    /// Those of the file system.
    pub(crate) fn remove(&self) -> io::Result<()> {
        let remove = |place: io::Result<FilePlace>| match place.and_then(|place| place.remove()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        };

        // The record first: bytes without one are removed at the next start.
        let removed = [remove(self.record()), remove(self.bytes())];
        removed.into_iter().collect()
    }
}

/// The upload whose bytes are in a file of this name.
pub(crate) fn id_of_bytes(name: &str) -> Option<UploadId> {
    name.strip_suffix(BYTES_SUFFIX)?.parse().ok()
}

fn bytes_name(id: UploadId) -> String {
    format!("{id}{BYTES_SUFFIX}")
}

const BYTES_SUFFIX: &str = ".bytes";
