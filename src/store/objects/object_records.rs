// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What a mirror knows: small files under names of its own, which a power cut may take away.

use std::io;
use std::time::SystemTime;

use crate::disk::{self, FilePlace};
use crate::error::Result;
use crate::store::failure::{unlisted, unstored};
use crate::store::hidden_folder::MIRROR;
use crate::store::store_handle::Store;

/// A record, as a list has it.
pub(crate) struct RecordFacts {
    pub(crate) name: String,
    pub(crate) size: u64,
    /// When it was written, or asked for.
    pub(crate) modified: SystemTime,
}

impl Store {
    /// Writes a record, in the place of what it was.
    ///
    /// # Errors
    /// `NoSpace` where uploads would have no room either; otherwise those of the file system.
    pub(crate) fn keep_record(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let catalog = self.catalog();
        catalog.check_changeable()?;
        catalog.check_space(bytes.len() as u64)?;
        let folder = catalog.layout.hidden().made(MIRROR).map_err(unstored)?;
        disk::write_unsynced(&FilePlace::new(&folder, name), bytes, 0o600).map_err(unstored)
    }

    /// A record; `None` if there is none.
    ///
    /// # Errors
    /// Those of the file system.
    pub(crate) fn record(&self, name: &str) -> Result<Option<Vec<u8>>> {
        let folder = self.catalog().layout.hidden().existing(MIRROR);
        let Some(folder) = folder.map_err(unlisted)? else {
            return Ok(None);
        };
        match FilePlace::new(&folder, name).read(RECORD_BYTES_MAX) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            bytes => bytes.map(Some).map_err(unlisted),
        }
    }

    /// All records.
    ///
    /// # Errors
    /// Those of the file system.
    pub(crate) fn records(&self) -> Result<Vec<RecordFacts>> {
        let folder = self.catalog().layout.hidden().existing(MIRROR);
        let Some(folder) = folder.map_err(unlisted)? else {
            return Ok(Vec::new());
        };
        let mut records = Vec::new();
        for entry in folder.entries().map_err(unlisted)? {
            let Ok(name) = entry.map_err(unlisted)?.name.into_string() else {
                continue;
            };
            let Ok(facts) = FilePlace::new(&folder, &name).facts() else {
                continue;
            };
            if facts.is_file() && !name.starts_with('.') {
                records.push(RecordFacts {
                    name,
                    size: facts.size,
                    modified: facts.modified.time(),
                });
            }
        }
        Ok(records)
    }

    /// Notes that somebody has asked for a record.
    pub(crate) fn touch_record(&self, name: &str) {
        let folder = self.catalog().layout.hidden().existing(MIRROR);
        if let Ok(Some(folder)) = folder {
            let _ = disk::touch(&FilePlace::new(&folder, name));
        }
    }

    /// Removes a record.
    pub(crate) fn remove_record(&self, name: &str) {
        let folder = self.catalog().layout.hidden().existing(MIRROR);
        if let Ok(Some(folder)) = folder {
            let _ = FilePlace::new(&folder, name).remove_unsynced();
        }
    }
}

/// More than a page of the largest tree.
const RECORD_BYTES_MAX: u64 = 32 << 20;
