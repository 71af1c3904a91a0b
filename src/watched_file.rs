// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A file of the home whose content counts at once when another process has changed it.

use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use crate::disk;
use crate::error::Result;
use crate::threads::lock;

/// A value that is read from a file again whenever that has changed: one `stat` for each use.
pub(crate) struct WatchedFile<T> {
    path: PathBuf,
    read: fn(&Path, &str) -> Result<T>,
    kept: Mutex<Option<(FileStamp, Arc<T>)>>,
}

/// What differs between two versions of a file that was replaced by a rename.
#[derive(Clone, Copy, PartialEq, Eq)]
struct FileStamp {
    inode: u64,
    size: u64,
    modified: Option<SystemTime>,
}

impl<T: Default> WatchedFile<T> {
    pub(crate) fn new(path: PathBuf, read: fn(&Path, &str) -> Result<T>) -> Self {
        Self {
            path,
            read,
            kept: Mutex::default(),
        }
    }

    /// The value now. A file that is missing, or that cannot be read or understood, opens nothing.
    pub(crate) fn now(&self) -> Arc<T> {
        let mut kept = lock(&self.kept);
        let stamp = self.stamp();
        if let Some((known, value)) = &*kept
            && *known == stamp
        {
            return Arc::clone(value);
        }

        let value = Arc::new(self.value());
        *kept = Some((stamp, Arc::clone(&value)));

        value
    }

    fn stamp(&self) -> FileStamp {
        match std::fs::metadata(&self.path) {
            Ok(metadata) => FileStamp {
                inode: metadata.ino(),
                size: metadata.len(),
                modified: metadata.modified().ok(),
            },
            Err(_) => FileStamp {
                inode: 0,
                size: 0,
                modified: None,
            },
        }
    }

    fn value(&self) -> T {
        let read = match disk::read_text(&self.path) {
            Ok(text) => (self.read)(&self.path, &text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return T::default(),
            Err(error) => Err(error.into()),
        };
        read.unwrap_or_else(|error| {
            log::error!("{} opens nothing: {error}", self.path.display());
            T::default()
        })
    }
}
