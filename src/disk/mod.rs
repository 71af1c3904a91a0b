// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The only room that creates, renames, fsyncs and removes files.
//!
//! A file appears under its name whole or not at all: [`Part`] is written beside it, fsynced, renamed
//! over it, and then the directory is fsynced. What is dropped before that is removed.

mod change_lock;
mod directory;
pub(crate) mod fault;
mod folder_sync;
mod growing_file;
mod link;
mod locked_file;
mod rolling;
mod socket_file;

pub(crate) use change_lock::ChangeLock;
pub(crate) use directory::{
    PrivateDirectory, create_directory, create_open_directory, temporary_folders,
};
pub(crate) use growing_file::GrowingFile;
pub(crate) use link::{move_file, preserve, touch, write_in_new_folder};
pub(crate) use locked_file::LockedFile;
pub(crate) use rolling::Rolling;
pub(crate) use socket_file::SocketFile;

use std::collections::BTreeSet;
use std::fs::{self, File, Metadata, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use rustix::fs::{FlockOperation, OFlags};
use rustix::io::Errno;

use crate::disk::folder_sync::{random_number, sync_directory};
use crate::threads::lock;

/// A file that is being written and has no name that anybody would read yet.
pub(crate) struct Part {
    file: File,
    path: PathBuf,
    published: bool,
}

impl Part {
    /// Creates a new file of mode 0600 in `directory`, named `prefix`, a random number and `.part`.
    ///
    /// # Errors
    /// Those of the file system; nothing is left behind.
    pub(crate) fn create(directory: &Path, prefix: &str) -> io::Result<Self> {
        Self::create_as(directory, prefix, 0o600)
    }

    /// The same for a file that others may read as far as the user's umask lets them.
    ///
    /// # Errors
    /// Those of the file system; nothing is left behind.
    pub(crate) fn create_readable(directory: &Path, prefix: &str) -> io::Result<Self> {
        Self::create_as(directory, prefix, 0o666)
    }

    fn create_as(directory: &Path, prefix: &str, mode: u32) -> io::Result<Self> {
        let path = directory.join(format!("{prefix}{:016x}.part", random_number()?));
        fault::check()?;
        let mut options = OpenOptions::new();

        // A name that exists is not ours, however unlikely that is.
        let file = options
            .write(true)
            .read(true)
            .create_new(true)
            .mode(mode)
            .open(&path)?;

        lock(&UNFINISHED).insert(path.clone());

        Ok(Self {
            file,
            path,
            published: false,
        })
    }

    /// The file itself, to read again what was written.
    pub(crate) fn file(&mut self) -> &mut File {
        &mut self.file
    }

    /// Where it is now.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Makes what was written so far survive a power cut, so that [`Part::publish`] has little left to
    /// do where it is called under a lock.
    ///
    /// # Errors
    /// Those of the file system.
    pub(crate) fn sync(&mut self) -> io::Result<()> {
        fault::check()?;
        self.file.sync_all()
    }

    /// Makes this file `target`, replacing what was there, in a way that survives a power cut.
    ///
    /// # Errors
    /// Those of the file system; `target` then has its old content, or, if only the last fsync
    /// failed, its new one.
    pub(crate) fn publish(mut self, target: &Path) -> io::Result<File> {
        fault::check()?;
        self.file.sync_all()?;
        fault::check()?;
        fs::rename(&self.path, target)?;
        self.published = true;
        lock(&UNFINISHED).remove(&self.path);
        sync_directory(target)?;
        self.file.try_clone()
    }
}

impl Write for Part {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        fault::check()?;
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if !self.published {
            lock(&UNFINISHED).remove(&self.path);
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Removes every unfinished file of this process, for an end that runs no destructors.
pub(crate) fn remove_unfinished() {
    for path in std::mem::take(&mut *lock(&UNFINISHED)) {
        let _ = fs::remove_file(path);
    }
}

/// Removes the parts in a directory whose names begin with `prefix` and that dead processes left there,
/// if they are at least this old.
///
/// # Errors
/// Those of the file system; a part that vanished meanwhile is none.
pub(crate) fn remove_left_over(
    directory: &Path,
    prefix: &str,
    age_min: Duration,
) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let path = entry.path();
        let name = entry.file_name();
        let name = name.as_encoded_bytes();
        let is_part = name.starts_with(prefix.as_bytes()) && name.ends_with(b".part");
        if !is_part || lock(&UNFINISHED).contains(&path) {
            continue;
        }

        let removed = fs::symlink_metadata(&path).and_then(|metadata| {
            // A modification time in the future is the mark of a clock that was set back: not old.
            let age = metadata.modified()?.elapsed().unwrap_or_default();
            if metadata.is_file() && age >= age_min {
                fs::remove_file(&path)
            } else {
                Ok(())
            }
        });

        match removed {
            // Another process that cleans up at the same time was faster.
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }

    Ok(())
}

/// The parts that are being written now.
static UNFINISHED: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

/// Writes a whole file of the given mode, as durably as [`Part::publish`].
///
/// # Errors
/// Those of the file system; the old content then stays.
pub(crate) fn write(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let directory = path.parent().unwrap_or(Path::new("."));
    let mut part = Part::create(directory, ".")?;

    part.write_all(bytes)?;
    part.file.set_permissions(Permissions::from_mode(mode))?;
    part.publish(path).map(drop)
}

/// As [`write()`], but where the path leads to: the target of a link gets the bytes, and so does a device or
/// a FIFO, which stays what it is.
///
/// # Errors
/// `NotFound` for a link that leads nowhere, an error for a FIFO that nobody reads, and those of the file
/// system.
pub(crate) fn write_through(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let flags = OFlags::NONBLOCK.bits().cast_signed();

    match fs::metadata(path) {
        Ok(metadata) if metadata.is_file() => write(&fs::canonicalize(path)?, bytes, mode),
        Ok(_) => {
            let mut options = OpenOptions::new();
            let target = options.write(true).custom_flags(flags).open(path);
            target?.write_all(bytes)
        }
        Err(error) if fs::symlink_metadata(path).is_ok() => Err(error),
        Err(_) => write(path, bytes, mode),
    }
}

/// Removes a file, durably.
///
/// # Errors
/// Those of the file system.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    fault::check()?;
    fs::remove_file(path)?;
    sync_directory(path)
}

/// Opens a regular file for reading. Symbolic links are not followed, and a FIFO does not block.
///
/// # Errors
/// `NotFound` for anything that is not a regular file; otherwise those of the file system.
pub(crate) fn open_regular(path: &Path) -> io::Result<File> {
    open_with_metadata(path).map(|(file, _)| file)
}

/// The same, with the metadata of exactly this file.
///
/// # Errors
/// As [`open_regular`].
pub(crate) fn open_with_metadata(path: &Path) -> io::Result<(File, Metadata)> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();

    let file = match OpenOptions::new().read(true).custom_flags(flags).open(path) {
        // ELOOP is how NOFOLLOW says "a symbolic link", ENXIO how a socket says it is one.
        Err(error) if matches!(error.raw_os_error(), Some(LOOP | NO_DEVICE)) => {
            return Err(io::ErrorKind::NotFound.into());
        }
        other => other?,
    };

    // Asked of the open file: what has the name may be another one by now.
    let metadata = file.metadata()?;
    if metadata.is_file() {
        Ok((file, metadata))
    } else {
        Err(io::ErrorKind::NotFound.into())
    }
}

/// Reads a text that people may have edited or a bad memory card may have hurt: a byte order mark, which
/// some editors put in front, is left out, and bytes that are no UTF-8 become U+FFFD, so that they cost
/// the line they are in and not the file.
///
/// # Errors
/// Those of the file system.
pub(crate) fn read_text(path: &Path) -> io::Result<String> {
    let bytes = fs::read(path)?;
    let text = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&bytes);
    Ok(String::from_utf8_lossy(text).into_owned())
}

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

const LOOP: i32 = Errno::LOOP.raw_os_error();
const NO_DEVICE: i32 = Errno::NXIO.raw_os_error();

/// What came of trying to take a lock file.
pub(crate) enum FileLock {
    /// It is ours until the file is closed, also by a sudden end of the process.
    Held(File),
    /// Another process (or another owner in this one) has it.
    Taken,
    /// This file system knows no locks.
    Unsupported,
}

/// Opens a lock file, which is created where it is missing, and never a file that a link leads to.
fn open_lock(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
        .open(path)
}

/// Takes an exclusive `flock` on a file, which is created where it is missing, without waiting.
///
/// # Errors
/// Those of the file system.
pub(crate) fn lock_file(path: &Path) -> io::Result<FileLock> {
    let file = open_lock(path)?;

    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(FileLock::Held(file)),
        Err(Errno::WOULDBLOCK) => Ok(FileLock::Taken),
        Err(Errno::NOSYS | Errno::NOTSUP | Errno::NOLCK) => Ok(FileLock::Unsupported),
        Err(error) => Err(error.into()),
    }
}

/// How many bytes this process may still write to the file system of `path`; `None` where the file
/// system does not say.
///
/// # Errors
/// Those of the file system.
pub(crate) fn free_bytes(path: &Path) -> io::Result<Option<u64>> {
    let counts = rustix::fs::statvfs(path)?;
    Ok((counts.f_blocks > 0).then(|| counts.f_bavail.saturating_mul(counts.f_frsize)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(directory: &Path) -> Vec<String> {
        let names = fs::read_dir(directory)
            .unwrap()
            .map(|entry| entry.unwrap().file_name());
        names.map(|name| name.into_string().unwrap()).collect()
    }

    #[test]
    fn a_file_is_whole_or_not_there_whichever_call_fails() {
        let directory = tempfile::tempdir().unwrap();
        let target = directory.path().join("target");
        write(&target, b"old", 0o600).unwrap();
        for call in 0.. {
            fault::set(Some(call));
            let result = write(&target, b"new", 0o600);
            let reached = !fault::set(None);
            let content = fs::read(&target).unwrap();
            assert!(
                content == b"old" || content == b"new",
                "call {call}: {content:?}"
            );
            assert_eq!(names(directory.path()), ["target"], "call {call}");
            if !reached {
                result.unwrap();
                assert_eq!(content, b"new");
                assert!(call >= 4, "only {call} calls were tried");
                return;
            }
            assert_eq!(result.unwrap_err().raw_os_error(), Some(5));
            write(&target, b"old", 0o600).unwrap();
        }
    }

    #[test]
    fn what_is_not_a_file_stays_what_it_is_when_it_is_written_to() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        fs::write(path("file"), b"old").unwrap();
        std::os::unix::fs::symlink("file", path("link")).unwrap();
        std::os::unix::fs::symlink("nothing", path("astray")).unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, path("fifo"), 0o600.into()).unwrap();

        write_through(&path("link"), b"new", 0o600).unwrap();
        assert_eq!(fs::read(path("file")).unwrap(), b"new");
        assert!(path("link").is_symlink());
        assert!(write_through(&path("astray"), b"new", 0o600).is_err());

        assert!(write_through(&path("fifo"), b"new", 0o600).is_err());
        let mut options = OpenOptions::new();
        options
            .read(true)
            .custom_flags(OFlags::NONBLOCK.bits().cast_signed());
        let mut reader = options.open(path("fifo")).unwrap();
        write_through(&path("fifo"), b"new", 0o600).unwrap();
        let mut text = String::new();
        io::Read::read_to_string(&mut reader, &mut text).unwrap();
        assert_eq!(text, "new");
    }

    #[test]
    fn only_regular_files_are_opened() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        write(&path("file"), b"x", 0o600).unwrap();
        std::os::unix::fs::symlink(path("file"), path("link")).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(path("socket")).unwrap();
        create_directory(&path("directory")).unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, path("fifo"), 0o600.into()).unwrap();
        assert!(open_regular(&path("file")).is_ok());
        for other in ["link", "socket", "directory", "fifo", "nothing"] {
            let error = open_regular(&path(other)).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::NotFound, "{other}");
        }
    }
}
