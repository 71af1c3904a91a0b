// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The only room that creates, renames, fsyncs and removes files.
//!
//! A file appears under its name whole or not at all: [`Part`] is written beside it, fsynced, renamed
//! over it, and then the directory is fsynced. What is dropped before that is removed.

mod directory;
pub(crate) mod fault;
mod file_facts;
mod file_place;
mod folder;
mod followed;
mod growing_file;
mod link;
mod locked_file;
mod locks;
mod rolling;
mod socket_file;

pub(crate) use directory::{
    PrivateDirectory, create_directory, create_open_directory, remove_empty_directory,
    temporary_folders,
};
pub(crate) use file_facts::{FileFacts, FileKind, FileTime};
pub(crate) use file_place::FilePlace;
pub(crate) use folder::{Folder, FolderEntry, FolderPosition};
pub(crate) use followed::led_to;
pub(crate) use growing_file::GrowingFile;
pub(crate) use link::{copy, is_copy_name, move_file, preserve, preserve_unsynced, touch};
pub(crate) use locked_file::LockedFile;
pub(crate) use locks::{ChangeLock, FolderLock, LockAttempt};
pub(crate) use rolling::Rolling;
pub(crate) use socket_file::SocketFile;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Seek as _, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use rustix::fs::{Access, OFlags, access};

use crate::random;
use crate::threads::lock;

/// A file that is being written and has no name that anybody would read yet.
pub(crate) struct Part {
    file: File,
    place: FilePlace,
    published: bool,
}

impl Part {
    /// Creates a new file of mode 0600 in `directory`, named `prefix`, a random number and `.part`.
    ///
    /// # Errors
    /// Those of the file system; nothing is left behind.
    pub(crate) fn create(directory: &Path, prefix: &str) -> io::Result<Self> {
        Self::create_in(&Folder::open(directory)?, prefix, 0o600)
    }

    /// The same for a file that others may read as far as the user's umask lets them.
    ///
    /// # Errors
    /// Those of the file system; nothing is left behind.
    pub(crate) fn create_readable(directory: &Path, prefix: &str) -> io::Result<Self> {
        Self::create_in(&Folder::open(directory)?, prefix, 0o666)
    }

    /// The same in an open folder, with a mode from which the umask is taken.
    ///
    /// # Errors
    /// Those of the file system; nothing is left behind.
    pub(crate) fn create_in(folder: &Folder, prefix: &str, mode: u32) -> io::Result<Self> {
        let place = FilePlace::new(folder, part_name(prefix, random::number()?));
        fault::check()?;

        // A name that exists is not ours, however unlikely that is.
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL;
        let file = place.open_as(flags, mode)?;
        lock(&UNFINISHED).insert(place.path(), Some(place.clone()));

        Ok(Self {
            file,
            place,
            published: false,
        })
    }

    /// The file itself, to read again what was written.
    pub(crate) fn file(&mut self) -> &mut File {
        &mut self.file
    }

    /// Where it is now.
    pub(crate) fn place(&self) -> &FilePlace {
        &self.place
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

    /// Gives up all bytes from an offset on; what is written next stands there.
    ///
    /// # Errors
    /// Those of the file system.
    pub(crate) fn cut(&mut self, length: u64) -> io::Result<()> {
        fault::check()?;
        self.file.set_len(length)?;
        self.file.seek(io::SeekFrom::Start(length)).map(drop)
    }

    /// Gives it the permissions of the file that it is about to replace, if there is one.
    pub(crate) fn take_mode_of(&self, target: &FilePlace) {
        take_mode_of(&self.file, target);
    }

    /// Makes this file `target`, with the permissions of what it replaces, in a way that survives a power
    /// cut.
    ///
    /// # Errors
    /// Those of the file system; `target` then has its old content, or, if only the last fsync
    /// failed, its new one.
    pub(crate) fn publish(self, target: &Path) -> io::Result<File> {
        let target = FilePlace::of(target)?;
        self.take_mode_of(&target);
        self.publish_at(&target)
    }

    /// The same for a place in an open folder, and with its own permissions.
    ///
    /// # Errors
    /// As [`Part::publish`].
    pub(crate) fn publish_at(self, target: &FilePlace) -> io::Result<File> {
        fault::check()?;
        self.file.sync_all()?;
        let file = self.move_to(target)?;
        target.folder().sync()?;
        Ok(file)
    }

    /// Makes this file `target`; a power cut may take the name, and bytes that were not fsynced, away again.
    ///
    /// # Errors
    /// Those of the file system; `target` then has its old content.
    pub(crate) fn move_to(self, target: &FilePlace) -> io::Result<File> {
        self.place.rename_to(target)?;
        self.moved()
    }

    /// The same where nothing has the name.
    ///
    /// # Errors
    /// `AlreadyExists` if something has it; otherwise those of the file system.
    pub(crate) fn move_to_free(self, target: &FilePlace) -> io::Result<File> {
        self.place.rename_to_free(target)?;
        self.moved()
    }

    fn moved(mut self) -> io::Result<File> {
        self.published = true;
        lock(&UNFINISHED).remove(&self.place.path());
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
            lock(&UNFINISHED).remove(&self.place.path());
            let _ = self.place.remove_unsynced();
        }
    }
}

/// Gives the file at a place the permissions of the one at another, if there is one.
///
/// # Errors
/// Those of the file system.
pub(crate) fn take_mode(place: &FilePlace, of: &FilePlace) -> io::Result<()> {
    let (file, _) = place.open()?;
    take_mode_of(&file, of);
    Ok(())
}

/// Whether two regular files belong to the same user and group and have the same permissions.
pub(crate) fn have_one_mode(one: &FilePlace, other: &FilePlace) -> bool {
    match (one.facts(), other.facts()) {
        (Ok(one), Ok(other)) => {
            let of = |facts: &FileFacts| (facts.mode & 0o777, facts.owner, facts.group);
            of(&one) == of(&other)
        }
        _ => false,
    }
}

/// Gives a file the permissions of the regular file that has this name, if there is one: whoever shared a
/// file with others goes on to share it when it is replaced.
fn take_mode_of(file: &File, target: &FilePlace) {
    if let Ok(facts) = target.facts()
        && facts.is_file()
    {
        // Some file systems have no permissions that could be changed.
        let _ = file.set_permissions(Permissions::from_mode(facts.mode & 0o777));
    }
}

/// Removes every unfinished file of this process, for an end that runs no destructors; says how many there
/// were.
pub(crate) fn remove_unfinished() -> usize {
    let unfinished = std::mem::take(&mut *lock(&UNFINISHED));
    let removed = unfinished.into_iter().filter(|(path, place)| match place {
        Some(place) => place.remove_unsynced().is_ok(),
        None => fs::remove_file(path).is_ok(),
    });
    removed.count()
}

/// Removes the parts in a folder that were created with this prefix and that dead processes left there,
/// if they are at least this old. Other names are left alone.
///
/// # Errors
/// Those of the file system; a part that vanished meanwhile is none.
pub(crate) fn remove_left_over(folder: &Folder, prefix: &str, age_min: Duration) -> io::Result<()> {
    for entry in folder.entries()? {
        let name = entry?.name;
        if !is_part_name(&name, prefix) {
            continue;
        }

        let place = FilePlace::new(folder, name);
        if lock(&UNFINISHED).contains_key(&place.path()) {
            continue;
        }

        let removed = place.facts().and_then(|facts| {
            // A modification time in the future is the mark of a clock that was set back: not old.
            let age = facts.modified.time().elapsed().unwrap_or_default();
            if facts.is_file() && age >= age_min {
                place.remove_unsynced()
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

fn part_name(prefix: &str, number: u64) -> String {
    format!("{prefix}{number:016x}.part")
}

/// Whether a part with this prefix may have this name.
fn is_part_name(name: &OsStr, prefix: &str) -> bool {
    let number = name
        .to_str()
        .and_then(|name| name.strip_prefix(prefix)?.strip_suffix(".part"))
        .and_then(|number| u64::from_str_radix(number, 16).ok());
    number.is_some_and(|number| name == OsStr::new(&part_name(prefix, number)))
}

/// The files that go with this process, by their paths: with the place of those that were made in an
/// open folder.
static UNFINISHED: Mutex<BTreeMap<PathBuf, Option<FilePlace>>> = Mutex::new(BTreeMap::new());

/// Writes a whole file of the given mode, as durably as [`Part::publish`].
///
/// # Errors
/// Those of the file system; the old content then stays.
pub(crate) fn write(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    write_at(&FilePlace::of(path)?, bytes, mode)
}

/// The same for a place in an open folder.
///
/// # Errors
/// Those of the file system; the old content then stays.
pub(crate) fn write_at(place: &FilePlace, bytes: &[u8], mode: u32) -> io::Result<()> {
    let mut part = Part::create_in(place.folder(), WRITTEN_PREFIX, 0o600)?;

    part.write_all(bytes)?;
    part.file.set_permissions(Permissions::from_mode(mode))?;
    part.publish_at(place).map(drop)
}

/// The same for what may be lost with the power: old bytes, new ones or no file are left then.
///
/// # Errors
/// Those of the file system; the old content then stays.
pub(crate) fn write_unsynced(place: &FilePlace, bytes: &[u8], mode: u32) -> io::Result<()> {
    let mut part = Part::create_in(place.folder(), WRITTEN_PREFIX, 0o600)?;

    part.write_all(bytes)?;
    part.file.set_permissions(Permissions::from_mode(mode))?;
    part.move_to(place).map(drop)
}

/// The prefix of the parts by which whole files are written.
pub(crate) const WRITTEN_PREFIX: &str = ".";

/// As [`write()`], but where the path leads to: the target of a link gets the bytes, and so does a device or
/// a FIFO, which stays what it is.
///
/// # Errors
/// `NotFound` for a link that leads nowhere, an error for a FIFO that nobody reads, and those of [`led_to`] and
/// of the file system.
pub(crate) fn write_through(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    let place = led_to(path)?;

    match fs::metadata(&place) {
        Ok(metadata) if metadata.is_file() => write(&place, bytes, mode),
        Ok(_) => {
            let mut options = OpenOptions::new();
            let target = options.write(true).custom_flags(flags).open(&place);
            target?.write_all(bytes)
        }
        Err(error) if fs::symlink_metadata(path).is_ok() => Err(error),
        Err(_) => write(path, bytes, mode),
    }
}

/// Whether a file can be written, or made where there is none; nothing is done.
///
/// # Errors
/// Those of the file system.
pub(crate) fn check_writable(path: &Path) -> io::Result<()> {
    match fs::metadata(path) {
        Ok(there) if there.is_dir() => Err(io::ErrorKind::IsADirectory.into()),
        Ok(_) => Ok(access(path, Access::WRITE_OK)?),
        Err(_) => {
            // With a dot, since only a directory has one in it.
            let folder = path.parent().unwrap_or(path).join(".");
            Ok(access(folder, Access::WRITE_OK | Access::EXEC_OK)?)
        }
    }
}

/// Removes a file, durably.
///
/// # Errors
/// Those of the file system.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    FilePlace::of(path)?.remove()
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
    fn what_is_no_file_is_not_left_over() {
        let directory = tempfile::tempdir().unwrap();
        let path = |number| directory.path().join(part_name("upload-", number));
        fs::write(path(1), b"left").unwrap();
        std::os::unix::fs::symlink("nothing", path(2)).unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, path(3), 0o600.into()).unwrap();

        let folder = Folder::open(directory.path()).unwrap();
        remove_left_over(&folder, "upload-", Duration::ZERO).unwrap();
        let mut left = names(directory.path());
        left.sort();
        assert_eq!(left, [part_name("upload-", 2), part_name("upload-", 3)]);
    }

    #[test]
    fn only_names_of_parts_are_parts() {
        let is_part = |name: &str| is_part_name(OsStr::new(name), "upload-");
        assert!(is_part("upload-00000000000000ff.part"));
        for other in [
            "upload-00000000000000FF.part",
            "upload-0000000000000ff.part",
            "upload-00000000000000ff",
            "upload-.part",
            ".00000000000000ff.part",
            "notes.part",
        ] {
            assert!(!is_part(other), "{other}");
        }
    }
}
