// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The name of a change set, and where its files are.

use std::fmt;
use std::io;
use std::str::FromStr;

use rustix::fs::OFlags;

use crate::disk::{FilePlace, Folder};
use crate::error::{Error, ErrorKind, Result};
use crate::random;
use crate::store::hidden_folder::{CHANGES, HiddenFolder};

/// The name of a change set: 128 random bits, so that nobody guesses one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ChangeId(u128);

impl ChangeId {
    pub(crate) fn random() -> Result<Self> {
        random::bytes().map(|bytes| Self(u128::from_ne_bytes(bytes)))
    }
}

impl fmt::Display for ChangeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl FromStr for ChangeId {
    type Err = Error;

    /// Reads exactly what is printed.
    fn from_str(text: &str) -> Result<Self> {
        let read = u128::from_str_radix(text, 16).map(Self).ok();
        read.filter(|id| id.to_string() == text)
            .ok_or_else(unknown_change)
    }
}

/// The error of a change set that is not there.
pub(crate) fn unknown_change() -> Error {
    Error::new(
        ErrorKind::NotFound,
        "this change set does not exist, or it has expired",
    )
    .hint("send the same directory again; in HTTP: begin a new one with POST /v1/changes")
}

/// Where the files of a change set are.
#[derive(Clone)]
pub(crate) struct ChangeFiles {
    hidden: HiddenFolder,
    id: ChangeId,
}

impl ChangeFiles {
    pub(crate) fn new(hidden: &HiddenFolder, id: ChangeId) -> Self {
        Self {
            hidden: hidden.clone(),
            id,
        }
    }

    /// Its name.
    pub(crate) fn id(&self) -> ChangeId {
        self.id
    }

    /// Makes its folder.
    ///
    /// # Errors
    /// Those of the file system.
    pub(crate) fn make(&self) -> io::Result<Folder> {
        self.hidden.made(CHANGES)?.make(&self.id.to_string())
    }

    /// Its folder.
    ///
    /// # Errors
    /// `NotFound` if it is not there; otherwise those of the file system.
    pub(crate) fn folder(&self) -> io::Result<Folder> {
        self.hidden.folder(CHANGES)?.enter(&self.id.to_string())
    }

    /// The place of a file in it.
    ///
    /// # Errors
    /// As [`ChangeFiles::folder`].
    pub(crate) fn place(&self, name: impl fmt::Display) -> io::Result<FilePlace> {
        Ok(FilePlace::new(&self.folder()?, name.to_string()))
    }

    /// Removes all of it. A record of a commit goes first and durably: what is done must not be done again.
    ///
    /// # Errors
    /// Those of the file system.
    pub(crate) fn remove(&self) -> io::Result<()> {
        self.remove_record()?;
        self.remove_rest()
    }

    /// Removes all of it but the record of a commit, which is gone already.
    ///
    /// # Errors
    /// Those of the file system; what stays goes with the next start.
    pub(crate) fn remove_rest(&self) -> io::Result<()> {
        let folder = match self.folder() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            entered => entered?,
        };
        folder.remove_all()?;
        let all = self.hidden.folder(CHANGES)?;
        all.remove_empty(&self.id.to_string())
    }

    /// Removes the record of a commit durably.
    ///
    /// # Errors
    /// Those of the file system; it may be there after a power cut then, if not now.
    pub(crate) fn remove_record(&self) -> io::Result<()> {
        self.removed_record(FilePlace::remove).map(drop)
    }

    /// The same after a failure, by which its name may have gone, but not from the disk.
    ///
    /// # Errors
    /// As [`ChangeFiles::remove_record`].
    pub(crate) fn remove_record_again(&self) -> io::Result<()> {
        match self.removed_record(FilePlace::remove_unsynced)? {
            Some(folder) => folder.sync(),
            None => Ok(()),
        }
    }

    /// The folder, without its record; `None` if it is gone itself, which the record does before.
    fn removed_record(
        &self,
        remove: fn(&FilePlace) -> io::Result<()>,
    ) -> io::Result<Option<Folder>> {
        let folder = match self.folder() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            entered => entered?,
        };

        // Without its intent, what is left of it is removed by the next start.
        let _ = FilePlace::new(&folder, INTENT).remove_unsynced();
        match remove(&FilePlace::new(&folder, COMMIT)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(Some(folder)),
        }
    }
}

/// How the journal of a change set is opened.
pub(crate) const APPENDED: OFlags = OFlags::RDWR.union(OFlags::CREATE).union(OFlags::APPEND);

/// What a change set is for.
pub(crate) const INTENT: &str = "intent";
/// What was asked for, line by line.
pub(crate) const ENTRIES: &str = "entries";
/// The steps of a commit, once it is decided.
pub(crate) const COMMIT: &str = "commit";
