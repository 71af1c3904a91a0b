// SPDX-License-Identifier: Apache-2.0 OR MIT
//! One name in an open folder, and what can be done with the file that has it.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Mode, OFlags, RenameFlags};
use rustix::io::Errno;

use crate::disk::fault;
use crate::disk::file_facts::FileFacts;
use crate::disk::folder::{Folder, one_name};

/// A name in a folder, whether anything has it or not.
#[derive(Clone)]
pub(crate) struct FilePlace {
    folder: Folder,
    name: OsString,
}

impl FilePlace {
    pub(crate) fn new(folder: &Folder, name: impl Into<OsString>) -> Self {
        Self {
            folder: folder.clone(),
            name: name.into(),
        }
    }

    /// The place that a path leads to; its folder has to be there.
    ///
    /// # Errors
    /// `InvalidInput` for a path that ends in no name; otherwise those of the file system.
    pub(crate) fn of(path: &Path) -> io::Result<Self> {
        let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
        Ok(Self::new(&Folder::of_file(path)?, name))
    }

    /// The folder that it is in.
    pub(crate) fn folder(&self) -> &Folder {
        &self.folder
    }

    /// The name.
    pub(crate) fn file_name(&self) -> &OsStr {
        &self.name
    }

    /// Its path, for people.
    pub(crate) fn path(&self) -> PathBuf {
        match self.folder.path() {
            here if here == Path::new(".") => PathBuf::from(&self.name),
            folder => folder.join(&self.name),
        }
    }

    /// What has the name; a link is not followed.
    ///
    /// # Errors
    /// `NotFound` if nothing has; otherwise those of the file system.
    pub(crate) fn facts(&self) -> io::Result<FileFacts> {
        fault::check_read()?;
        let stat = rustix::fs::statat(&self.folder, self.name()?, AtFlags::SYMLINK_NOFOLLOW)?;
        Ok(FileFacts::from(&stat))
    }

    /// Whether anything has the name, a link to nothing included.
    pub(crate) fn exists(&self) -> bool {
        self.facts().is_ok()
    }

    /// Opens a regular file for reading, with the facts of exactly this file. Links are not followed,
    /// and a FIFO does not block.
    ///
    /// # Errors
    /// `NotFound` for anything that is not a regular file; otherwise those of the file system.
    pub(crate) fn open(&self) -> io::Result<(File, FileFacts)> {
        let file = self.open_as(OFlags::RDONLY, 0)?;

        // Asked of the open file: what has the name may be another one by now.
        let facts = FileFacts::from(&file.metadata()?);
        if facts.is_file() {
            Ok((file, facts))
        } else {
            Err(io::ErrorKind::NotFound.into())
        }
    }

    /// Opens what has the name, whatever it is, or makes it with this mode where the flags say so. Links
    /// are not followed, and nothing blocks.
    ///
    /// # Errors
    /// `NotFound` for a link, a socket and a FIFO without a reader; otherwise those of the file system.
    pub(crate) fn open_as(&self, flags: OFlags, mode: u32) -> io::Result<File> {
        if flags.contains(OFlags::CREATE) {
            fault::check_name(&self.name)?;
        } else {
            fault::check_read()?;
        }

        let flags = flags | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let mode = Mode::from_raw_mode(mode);

        match rustix::fs::openat(&self.folder, self.name()?, flags, mode) {
            // ELOOP is how NOFOLLOW says "a symbolic link", ENXIO how a socket says it is one.
            Err(Errno::LOOP | Errno::NXIO) => Err(io::ErrorKind::NotFound.into()),
            opened => Ok(opened?.into()),
        }
    }

    /// Reads a regular file.
    ///
    /// # Errors
    /// As [`FilePlace::open`], and `FileTooLarge` for more than this many bytes.
    pub(crate) fn read(&self, bytes_max: u64) -> io::Result<Vec<u8>> {
        let (file, _) = self.open()?;
        let mut bytes = Vec::new();
        file.take(bytes_max + 1).read_to_end(&mut bytes)?;

        if bytes.len() as u64 > bytes_max {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        Ok(bytes)
    }

    /// Makes the bytes of a file survive a power cut.
    ///
    /// # Errors
    /// As [`FilePlace::open`].
    pub(crate) fn sync(&self) -> io::Result<()> {
        fault::check()?;
        self.open()?.0.sync_all()
    }

    /// Removes a file, durably.
    ///
    /// # Errors
    /// Those of the file system.
    pub(crate) fn remove(&self) -> io::Result<()> {
        fault::check()?;
        self.remove_unsynced()?;
        self.folder.sync()
    }

    /// The same for what need not be gone after a power cut.
    ///
    /// # Errors
    /// Those of the file system.
    pub(crate) fn remove_unsynced(&self) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(
            &self.folder,
            self.name()?,
            AtFlags::empty(),
        )?)
    }

    /// Gives what has the name another one, in whose place it comes.
    ///
    /// # Errors
    /// Those of the file system.
    pub(crate) fn rename_to(&self, target: &Self) -> io::Result<()> {
        fault::check()?;
        let (from, to) = (self.name()?, target.name()?);
        Ok(rustix::fs::renameat(
            &self.folder,
            from,
            &target.folder,
            to,
        )?)
    }

    /// Gives what has the name, a file or a folder, another one that nothing has.
    ///
    /// # Errors
    /// `AlreadyExists` if something has it; otherwise those of the file system.
    pub(crate) fn rename_to_free(&self, target: &Self) -> io::Result<()> {
        fault::check()?;
        let (from, to) = (self.name()?, target.name()?);
        let (folder, flags) = (&target.folder, RenameFlags::NOREPLACE);

        match rustix::fs::renameat_with(&self.folder, from, folder, to, flags) {
            // Neither old kernels nor all file systems know it. A look is the best that is left.
            Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {
                if target.exists() {
                    return Err(io::ErrorKind::AlreadyExists.into());
                }
                Ok(rustix::fs::renameat(&self.folder, from, folder, to)?)
            }
            renamed => Ok(renamed?),
        }
    }

    /// Gives what has the name and what has another one the names of each other, in one step.
    ///
    /// # Errors
    /// `NotFound` if one of them has nothing; otherwise those of the file system, which may not know such a
    /// step. Both have their own names then.
    pub(crate) fn exchange_with(&self, other: &Self) -> io::Result<()> {
        fault::check()?;
        fault::check_exchange()?;
        let (one, two) = (self.name()?, other.name()?);
        let (folder, flags) = (&other.folder, RenameFlags::EXCHANGE);
        Ok(rustix::fs::renameat_with(
            &self.folder,
            one,
            folder,
            two,
            flags,
        )?)
    }

    /// Gives a file a second name, which nothing has yet.
    ///
    /// # Errors
    /// Those of the file system.
    pub(crate) fn link_to(&self, target: &Self) -> io::Result<()> {
        fault::check()?;
        let (from, to) = (self.name()?, target.name()?);
        let (folder, flags) = (&target.folder, AtFlags::empty());
        Ok(rustix::fs::linkat(&self.folder, from, folder, to, flags)?)
    }

    fn name(&self) -> io::Result<&OsStr> {
        one_name(&self.name)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn only_regular_files_are_opened() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        fs::write(path("file"), b"x").unwrap();
        std::os::unix::fs::symlink(path("file"), path("link")).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(path("socket")).unwrap();
        fs::create_dir(path("directory")).unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, path("fifo"), 0o600.into()).unwrap();

        let folder = Folder::open(directory.path()).unwrap();
        let place = |name: &str| FilePlace::new(&folder, name);
        assert_eq!(place("file").read(1).unwrap(), b"x");
        for other in ["link", "socket", "directory", "fifo", "nothing"] {
            let error = place(other).open().err().unwrap();
            assert_eq!(error.kind(), io::ErrorKind::NotFound, "{other}");
        }

        let error = place("file").read(0).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
    }

    #[test]
    fn no_name_leads_out_of_its_folder() {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("inner")).unwrap();
        fs::write(directory.path().join("file"), b"x").unwrap();
        let folder = Folder::open(&directory.path().join("inner")).unwrap();

        for outward in ["../file", "..", "./x", ""] {
            let place = FilePlace::new(&folder, outward);
            assert!(place.open().is_err() && place.facts().is_err(), "{outward}");
            assert!(place.remove().is_err(), "{outward}");
        }
        assert!(directory.path().join("file").exists());
    }
}
