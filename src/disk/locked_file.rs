// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A file at a place of its own that one process at a time has, and that may outlive it: the bytes of a
//! transfer that was cut, or what is known of it.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::time::SystemTime;

use rustix::fs::{FlockOperation, OFlags};
use rustix::io::Errno;

use crate::disk::{FileFacts, FilePlace, UNFINISHED, fault, take_mode_of};
use crate::threads::lock;

/// A locked file. When it is dropped it stays, if [`LockedFile::keep`] was called last, or goes, if
/// [`LockedFile::discard`] was.
pub(crate) struct LockedFile {
    file: File,
    place: FilePlace,
}

impl LockedFile {
    /// Opens and locks a file, which is created with this mode if it is missing; `None` if somebody
    /// else has it.
    ///
    /// # Errors
    /// `PermissionDenied` if it is not a plain file, or not ours where everybody may write; otherwise
    /// those of the file system.
    pub(crate) fn open(path: &Path, mode: u32) -> io::Result<Option<Self>> {
        Self::open_at(&FilePlace::of(path)?, mode)
    }

    /// The same for a file that is there.
    ///
    /// # Errors
    /// As [`LockedFile::open`], and `NotFound`.
    pub(crate) fn open_existing(path: &Path) -> io::Result<Option<Self>> {
        Self::open_existing_at(&FilePlace::of(path)?)
    }

    /// The same as [`LockedFile::open`] in an open folder.
    ///
    /// # Errors
    /// As [`LockedFile::open`].
    pub(crate) fn open_at(place: &FilePlace, mode: u32) -> io::Result<Option<Self>> {
        Self::open_with(place, OFlags::CREATE, mode)
    }

    /// The same for a file that is there.
    ///
    /// # Errors
    /// As [`LockedFile::open_existing`].
    pub(crate) fn open_existing_at(place: &FilePlace) -> io::Result<Option<Self>> {
        Self::open_with(place, OFlags::empty(), 0)
    }

    fn open_with(place: &FilePlace, flags: OFlags, mode: u32) -> io::Result<Option<Self>> {
        loop {
            fault::check()?;

            // Neither a link to another file nor a FIFO without a writer, which would block.
            let file = match place.open_as(OFlags::RDWR | flags, mode) {
                Err(error) if error.kind() == io::ErrorKind::NotFound && place.exists() => {
                    return Err(io::ErrorKind::PermissionDenied.into());
                }
                opened => opened?,
            };

            match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
                // Where there are no locks, there is only the hope that nobody else is at it.
                Ok(()) | Err(Errno::NOSYS | Errno::NOTSUP | Errno::NOLCK) => {}
                Err(Errno::WOULDBLOCK) => return Ok(None),
                Err(error) => return Err(error.into()),
            }

            let facts = FileFacts::from(&file.metadata()?);

            // Whoever had it may have renamed or removed it between our two calls.
            if !place.facts().is_ok_and(|found| found.is_same_file(&facts)) {
                continue;
            }

            // A second name would be a way to have us write to a file that others read.
            if !facts.is_file() || facts.links != 1 || is_planted(place, facts.owner) {
                return Err(io::ErrorKind::PermissionDenied.into());
            }

            let place = place.clone();
            return Ok(Some(Self { file, place }));
        }
    }

    /// From now on it goes when it is dropped, or when the process ends by a signal that it catches.
    pub(crate) fn discard(&mut self) {
        lock(&UNFINISHED).insert(self.place.path(), Some(self.place.clone()));
    }

    /// From now on it stays.
    pub(crate) fn keep(&mut self) {
        lock(&UNFINISHED).remove(&self.place.path());
    }

    /// Its length in bytes.
    ///
    /// # Errors
    /// Those of the file system.
    pub(crate) fn length(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    /// Goes to a position, to read or write there.
    ///
    /// # Errors
    /// Those of the file system.
    pub(crate) fn go_to(&mut self, position: u64) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(position)).map(drop)
    }

    /// Cuts off what stands behind `end`, and goes there.
    ///
    /// # Errors
    /// Those of the file system.
    pub(crate) fn cut(&mut self, end: u64) -> io::Result<()> {
        fault::check()?;
        self.file.set_len(end)?;
        self.go_to(end)
    }

    /// Gives it a time of modification, which the next write changes.
    ///
    /// # Errors
    /// Those of the file system.
    pub(crate) fn set_modified(&self, time: SystemTime) -> io::Result<()> {
        self.file.set_modified(time)
    }

    /// Makes its bytes survive a power cut.
    ///
    /// # Errors
    /// Those of the file system.
    pub(crate) fn sync(&mut self) -> io::Result<()> {
        fault::check()?;
        self.file.sync_data()
    }

    /// Makes this file `target`, with the permissions of what it replaces, in a way that survives a power
    /// cut.
    ///
    /// # Errors
    /// Those of the file system; `target` then has its old content, or, if only the last fsync
    /// failed, its new one.
    pub(crate) fn publish(mut self, target: &FilePlace) -> io::Result<()> {
        fault::check()?;
        take_mode_of(&self.file, target);
        self.file.sync_all()?;
        self.place.rename_to(target)?;
        self.keep();
        target.folder().sync()
    }

    /// Removes it. If that fails, it is there the next time.
    pub(crate) fn remove(mut self) {
        self.discard();
    }
}

impl Drop for LockedFile {
    fn drop(&mut self) {
        if lock(&UNFINISHED).remove(&self.place.path()).is_some() {
            let _ = self.place.remove_unsynced();
        }
    }
}

impl Read for LockedFile {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.file.read(buffer)
    }
}

impl Write for LockedFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        fault::check()?;
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Whether a file of this owner may have been put there by somebody else: in a directory where all may
/// write, only our own files count. Elsewhere owners mean little (Android's shared storage makes them up).
fn is_planted(place: &FilePlace, owner: u32) -> bool {
    let is_open = place
        .folder()
        .facts()
        .map_or(true, |folder| folder.mode & 0o002 != 0);
    is_open && owner != rustix::process::geteuid().as_raw()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn one_at_a_time_has_it_and_it_outlives_whom_it_should() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("held");
        assert_eq!(
            LockedFile::open_existing(&path).err().unwrap().kind(),
            io::ErrorKind::NotFound
        );
        let mut held = LockedFile::open(&path, 0o600).unwrap().unwrap();
        assert!(LockedFile::open(&path, 0o600).unwrap().is_none());
        held.write_all(b"12345").unwrap();
        held.sync().unwrap();
        held.cut(3).unwrap();
        held.write_all(b"x").unwrap();
        drop(held);
        let mut held = LockedFile::open_existing(&path).unwrap().unwrap();
        let mut text = String::new();
        held.read_to_string(&mut text).unwrap();
        assert_eq!((text.as_str(), held.length().unwrap()), ("123x", 4));
        held.discard();
        drop(held);
        assert!(!path.exists());
        let mut held = LockedFile::open(&path, 0o600).unwrap().unwrap();
        held.write_all(b"new").unwrap();
        held.discard();
        let target = FilePlace::of(&directory.path().join("target")).unwrap();
        held.publish(&target).unwrap();
        assert_eq!(fs::read(directory.path().join("target")).unwrap(), b"new");
        assert!(!path.exists());
    }

    #[test]
    fn what_others_put_there_is_not_written_to() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        fs::write(path("file"), "theirs").unwrap();
        std::os::unix::fs::symlink(path("file"), path("link")).unwrap();
        fs::hard_link(path("file"), path("second")).unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, path("fifo"), 0o600.into()).unwrap();
        for name in ["link", "second", "fifo"] {
            assert!(LockedFile::open(&path(name), 0o600).is_err(), "{name}");
        }
        let shared = FilePlace::of(Path::new("/tmp/x"));
        assert!(shared.map_or(true, |place| is_planted(&place, u32::MAX)));
    }

    #[test]
    fn where_all_may_write_a_file_of_another_user_is_not_written_to() {
        use std::os::unix::fs::{PermissionsExt as _, chown};

        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("theirs");
        fs::write(&path, "theirs").unwrap();

        // Only root can give a file away.
        if chown(&path, Some(4711), None).is_err() {
            return;
        }
        let share = |mode| fs::set_permissions(directory.path(), fs::Permissions::from_mode(mode));
        share(0o1777).unwrap();
        assert!(LockedFile::open(&path, 0o600).is_err());
        share(0o755).unwrap();
        assert!(LockedFile::open(&path, 0o600).unwrap().is_some());
    }
}
