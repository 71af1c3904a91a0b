// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A file of the home whose content counts at once when another process has changed it.

use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::disk;
use crate::error::{Error, ErrorKind, Result};
use crate::threads::lock;

/// A value that is read from a file again whenever that has changed: one `stat` for each use.
pub(crate) struct WatchedFile<T> {
    path: PathBuf,
    read: fn(&Path, &str) -> Result<T>,
    known: Mutex<LastRead<T>>,
}

/// What the last read found. A failure says nothing about the content, so it is never taken for a value.
enum LastRead<T> {
    Nothing,
    Value(FileStamp, Arc<T>),
    /// Reading failed at this moment.
    Failure(Instant),
}

/// What differs between two versions of a file that was replaced by a rename, changed in place, or given
/// another owner or other rights.
#[derive(Clone, Copy, PartialEq, Eq)]
struct FileStamp {
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl<T: Default> WatchedFile<T> {
    pub(crate) fn new(path: PathBuf, read: fn(&Path, &str) -> Result<T>) -> Self {
        Self {
            path,
            read,
            known: Mutex::new(LastRead::Nothing),
        }
    }

    /// The value now; the default if there is no such file.
    ///
    /// # Errors
    /// `Busy` while the file is there but cannot be read or understood: what it says is not known then.
    pub(crate) fn now(&self) -> Result<Arc<T>> {
        self.at(Instant::now())
    }

    fn at(&self, now: Instant) -> Result<Arc<T>> {
        let mut known = lock(&self.known);
        let stamp = self.stamp();

        match (&*known, &stamp) {
            (LastRead::Value(old, value), Ok(stamp)) if old == stamp => {
                return Ok(Arc::clone(value));
            }
            // Each request would read the file again, and write a line about it.
            (LastRead::Failure(at), _) if now.saturating_duration_since(*at) < RETRY => {
                return Err(unknown());
            }
            _ => {}
        }

        // The stamp is older than the content, so a change between the two is read again the next time.
        let value = stamp
            .map_err(Error::from)
            .and_then(|stamp| self.value().map(|value| (stamp, Arc::new(value))));

        match value {
            Ok((stamp, value)) => {
                *known = LastRead::Value(stamp, Arc::clone(&value));
                Ok(value)
            }
            Err(error) => {
                *known = LastRead::Failure(now);
                log::error!("{} cannot be used: {error}", self.path.display());
                Err(unknown())
            }
        }
    }

    /// The stamp of the file; one of zeros where there is none.
    fn stamp(&self) -> io::Result<FileStamp> {
        match std::fs::metadata(&self.path) {
            Ok(metadata) => Ok(FileStamp {
                inode: metadata.ino(),
                size: metadata.len(),
                modified: (metadata.mtime(), metadata.mtime_nsec()),
                changed: (metadata.ctime(), metadata.ctime_nsec()),
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(FileStamp {
                inode: 0,
                size: 0,
                modified: (0, 0),
                changed: (0, 0),
            }),
            Err(error) => Err(error),
        }
    }

    fn value(&self) -> Result<T> {
        match disk::read_text(&self.path) {
            Ok(text) => (self.read)(&self.path, &text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(T::default()),
            Err(error) => Err(error.into()),
        }
    }
}

/// The path stays in the log: strangers get this error, too.
fn unknown() -> Error {
    Error::new(
        ErrorKind::Busy,
        "the server cannot read who may do what at the moment",
    )
    .hint("try again; whoever runs the server finds the reason in its log")
}

/// How long a failure stands before the file is read again.
const RETRY: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    /// A file whose text is a number.
    fn number(path: &Path) -> WatchedFile<u32> {
        WatchedFile::new(path.to_owned(), |_, text| {
            let bad = |_| Error::new(ErrorKind::Usage, "not a number");
            text.trim().parse().map_err(bad)
        })
    }

    #[test]
    fn a_failure_is_no_value_and_does_not_last() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("file");
        let (file, start) = (number(&path), Instant::now());
        assert_eq!(*file.at(start).unwrap(), 0);
        std::fs::write(&path, "7").unwrap();
        assert_eq!(*file.at(start).unwrap(), 7);

        // A folder stands for whatever cannot be read, also where tests run as root.
        std::fs::remove_file(&path).unwrap();
        std::fs::create_dir(&path).unwrap();
        let error = file.at(start).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Busy);
        assert!(!error.to_string().contains("file"), "{error}");

        std::fs::remove_dir(&path).unwrap();
        std::fs::write(&path, "8").unwrap();
        assert!(file.at(start).is_err(), "read again within a second");
        assert_eq!(*file.at(start + RETRY).unwrap(), 8);

        // A text that is not understood is a failure as well.
        std::fs::write(&path, "eight").unwrap();
        assert!(file.at(start + RETRY).is_err());
    }

    #[test]
    fn other_rights_make_another_stamp() {
        use std::os::unix::fs::PermissionsExt as _;

        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("file");
        std::fs::write(&path, "7").unwrap();
        let file = number(&path);
        let before = file.stamp().unwrap();

        // The clock of a file system may be coarse.
        let deadline = Instant::now() + Duration::from_secs(60);
        let mut mode = 0o600;
        while file.stamp().unwrap() == before {
            assert!(Instant::now() < deadline, "rights are not in the stamp");
            mode ^= 0o040;
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        }
    }
}
