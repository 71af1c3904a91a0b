// SPDX-License-Identifier: Apache-2.0 OR MIT
//! An open folder: what is in it is reached by its descriptor, one name at a time, so that neither a
//! link nor a folder that is renamed meanwhile leads to any other place.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{Access, AtFlags, Dir, FileType, Mode, OFlags};
use rustix::io::Errno;

use crate::disk::fault;
use crate::disk::file_facts::{FileFacts, FileKind};

/// A folder that was opened. Clones are the same one.
#[derive(Clone)]
pub(crate) struct Folder(Arc<OpenFolder>);

struct OpenFolder {
    descriptor: File,
    /// Of the folder that was opened by its path.
    facts: Option<FileFacts>,
    /// The owner of the folder that was opened by its path, to which this one belongs.
    root_owner: u32,
    /// For people, and to see whether it still leads here.
    path: PathBuf,
}

/// A name in a folder.
pub(crate) struct FolderEntry {
    pub(crate) name: OsString,
    pub(crate) inode: u64,
    /// `None` where only a look at it tells.
    pub(crate) kind: Option<FileKind>,
}

/// What the path of a folder leads to by now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FolderPosition {
    /// To this folder.
    Same,
    /// To nothing.
    Missing,
    /// To a folder on another file system.
    Covered,
    /// To another folder.
    Replaced,
}

impl Folder {
    /// Opens a folder by its path, in which links are followed: whoever names a path means what it
    /// leads to.
    ///
    /// # Errors
    /// Those of the file system.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let descriptor = rustix::fs::openat(rustix::fs::CWD, path, FLAGS, Mode::empty())?;
        let descriptor = File::from(descriptor);
        let facts = FileFacts::from(&descriptor.metadata()?);

        Ok(Self(Arc::new(OpenFolder {
            descriptor,
            facts: Some(facts),
            root_owner: facts.owner,
            path: path.to_owned(),
        })))
    }

    /// Opens the folder in which a file is.
    ///
    /// # Errors
    /// Those of the file system.
    pub(crate) fn of_file(path: &Path) -> io::Result<Self> {
        match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => Self::open(parent),
            _ => Self::open(Path::new(".")),
        }
    }

    /// Opens a folder in this one.
    ///
    /// # Errors
    /// `NotADirectory` for a link and for what is no folder, `PermissionDenied` for a folder that
    /// somebody else has put there; otherwise those of the file system.
    pub(crate) fn enter(&self, name: &str) -> io::Result<Self> {
        let entered = self.enter_any(name)?;
        if !self.trusts(entered.facts()?.owner) {
            let text = format!("the folder '{name}' belongs to another user");
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, text));
        }
        Ok(entered)
    }

    /// The same for a folder of any user, in which nothing but named files is read and changed.
    ///
    /// # Errors
    /// `NotADirectory` for a link and for what is no folder; otherwise those of the file system.
    pub(crate) fn enter_any(&self, name: &str) -> io::Result<Self> {
        let flags = FLAGS | OFlags::NOFOLLOW;
        fault::check_read()?;

        let opened = rustix::fs::openat(self, one_name(OsStr::new(name))?, flags, Mode::empty());
        let descriptor = match opened {
            Err(Errno::LOOP | Errno::NOTDIR) => {
                let text = format!("'{name}' is not a folder; links to folders are not followed");
                return Err(io::Error::new(io::ErrorKind::NotADirectory, text));
            }
            opened => File::from(opened?),
        };

        Ok(Self(Arc::new(OpenFolder {
            descriptor,
            facts: None,
            root_owner: self.0.root_owner,
            path: self.0.path.join(name),
        })))
    }

    /// The same for a folder that is made where it is missing, durably and with mode 0700.
    ///
    /// # Errors
    /// As [`Folder::enter`].
    pub(crate) fn make(&self, name: &str) -> io::Result<Self> {
        self.entered_or(name, Self::enter, |folder| folder.make_new(name, PRIVATE))
    }

    /// Opens a folder of any user that is made where it is missing, durably, and that others may read
    /// as far as the user's umask lets them.
    ///
    /// # Errors
    /// As [`Folder::enter_any`].
    pub(crate) fn make_open(&self, name: &str) -> io::Result<Self> {
        self.entered_or(name, Self::enter_any, |folder| folder.make_new(name, OPEN))
    }

    /// Opens a folder in this one, which is made where it is missing.
    fn entered_or(
        &self,
        name: &str,
        enter: fn(&Self, &str) -> io::Result<Self>,
        make: impl FnOnce(&Self) -> io::Result<()>,
    ) -> io::Result<Self> {
        match enter(self, name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            entered => return entered,
        }

        make(self)?;
        enter(self, name)
    }

    fn make_new(&self, name: &str, mode: Mode) -> io::Result<()> {
        self.add_folder(name, mode)?;
        self.sync()
    }

    fn add_folder(&self, name: &str, mode: Mode) -> io::Result<()> {
        fault::check()?;
        fault::check_name(OsStr::new(name))?;
        match rustix::fs::mkdirat(self, one_name(OsStr::new(name))?, mode) {
            // Somebody else was faster.
            Ok(()) | Err(Errno::EXIST) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Removes a folder in this one if there is nothing in it.
    ///
    /// # Errors
    /// `DirectoryNotEmpty` if there is something; otherwise those of the file system.
    pub(crate) fn remove_empty(&self, name: &str) -> io::Result<()> {
        let name = one_name(OsStr::new(name))?;
        Ok(rustix::fs::unlinkat(self, name, AtFlags::REMOVEDIR)?)
    }

    /// The folder to which these names lead, each of them opened in the one before.
    ///
    /// # Errors
    /// Those of `open`.
    pub(crate) fn descend<'a>(
        &self,
        way: impl IntoIterator<Item = &'a str>,
        open: fn(&Self, &str) -> io::Result<Self>,
    ) -> io::Result<Self> {
        way.into_iter()
            .try_fold(self.clone(), |folder, name| open(&folder, name))
    }

    /// Its names, without those of itself and its parent.
    ///
    /// # Errors
    /// Those of the file system.
    pub(crate) fn entries(
        &self,
    ) -> io::Result<impl Iterator<Item = io::Result<FolderEntry>> + Send + use<>> {
        fault::check_read()?;
        let is_name = |name: &[u8]| name != b"." && name != b"..";

        let entries = Dir::read_from(self)?.map(|entry| {
            let entry = entry?;
            Ok(FolderEntry {
                name: OsStr::from_bytes(entry.file_name().to_bytes()).to_owned(),
                inode: entry.ino(),
                kind: kind(entry.file_type()),
            })
        });

        Ok(entries.filter(move |entry| {
            let name = entry.as_ref().map(|entry| entry.name.as_bytes());
            name.map_or(true, is_name)
        }))
    }

    /// Makes a change of its names durable. File systems that cannot fsync a folder (some network and
    /// FUSE ones) say so with `EINVAL` or `ENOTSUP`, and there is nothing more to do.
    ///
    /// # Errors
    /// Those of the file system: a name that is not durable has not been acknowledged.
    pub(crate) fn sync(&self) -> io::Result<()> {
        fault::check()?;

        match self.0.descriptor.sync_all() {
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported
                ) =>
            {
                Ok(())
            }
            other => other,
        }
    }

    /// Makes everything that its file system has taken so far survive a power cut, if the file system is
    /// one that is known to do so; returns whether it is. It costs one wait, however many files there are.
    ///
    /// # Errors
    /// Those of the file system.
    pub(crate) fn sync_file_system(&self) -> io::Result<bool> {
        fault::check()?;

        let is_known = self.syncs_as_whole()?;
        if is_known {
            rustix::fs::syncfs(self)?;
        }
        Ok(is_known)
    }

    /// Whether [`Folder::sync_file_system`] does what it says: FUSE and network file systems may take the
    /// call and do nothing.
    ///
    /// # Errors
    /// Those of the file system.
    pub(crate) fn syncs_as_whole(&self) -> io::Result<bool> {
        let kind = i128::from(rustix::fs::fstatfs(self)?.f_type);
        Ok(SYNCED_WHOLE.contains(&kind) && fault::syncs_whole())
    }

    /// The same as [`Folder::make`], but a power cut may take the folder away again.
    pub(crate) fn make_unsynced(&self, name: &str) -> io::Result<Self> {
        self.entered_or(name, Self::enter, |folder| folder.add_folder(name, PRIVATE))
    }

    /// The same as [`Folder::make_open`], but a power cut may take the folder away again.
    pub(crate) fn make_open_unsynced(&self, name: &str) -> io::Result<Self> {
        self.entered_or(name, Self::enter_any, |folder| {
            folder.add_folder(name, OPEN)
        })
    }

    /// What the file system says of it now.
    ///
    /// # Errors
    /// Those of the file system.
    pub(crate) fn facts(&self) -> io::Result<FileFacts> {
        Ok(FileFacts::from(&rustix::fs::fstat(self)?))
    }

    /// Its path when it was opened.
    pub(crate) fn path(&self) -> &Path {
        &self.0.path
    }

    /// Whether its path still leads to it.
    pub(crate) fn position(&self) -> FolderPosition {
        let Ok(found) = rustix::fs::stat(self.path()) else {
            return FolderPosition::Missing;
        };

        let found = FileFacts::from(&found);
        let Some(held) = self.0.facts.or_else(|| self.facts().ok()) else {
            return FolderPosition::Missing;
        };
        if found.device != held.device {
            FolderPosition::Covered
        } else if found.inode != held.inode {
            FolderPosition::Replaced
        } else {
            FolderPosition::Same
        }
    }

    /// Whether this process may list it and change its names.
    ///
    /// # Errors
    /// Why not.
    pub(crate) fn check_writable(&self) -> io::Result<()> {
        let all = Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK;
        Ok(rustix::fs::accessat(self, ".", all, AtFlags::empty())?)
    }

    /// How many bytes this process may still write to its file system; `None` where the file system
    /// does not say.
    ///
    /// # Errors
    /// Those of the file system.
    pub(crate) fn free_bytes(&self) -> io::Result<Option<u64>> {
        if let Some(free) = fault::free_bytes() {
            return Ok(Some(free));
        }
        let counts = rustix::fs::fstatvfs(self)?;
        Ok((counts.f_blocks > 0).then(|| counts.f_bavail.saturating_mul(counts.f_frsize)))
    }

    /// How many bytes its file system has, free or not; `None` where it does not say.
    ///
    /// # Errors
    /// Those of the file system.
    pub(crate) fn total_bytes(&self) -> io::Result<Option<u64>> {
        let counts = rustix::fs::fstatvfs(self)?;
        Ok((counts.f_blocks > 0).then(|| counts.f_blocks.saturating_mul(counts.f_frsize)))
    }

    /// Whether what this user has made may be what is found here. On file systems that make owners up
    /// (FUSE, FAT), all has the owner of the outermost folder; and root needs no folder to do harm.
    fn trusts(&self, owner: u32) -> bool {
        // Asking who runs this is a call to the kernel, which is mostly not needed.
        [self.0.root_owner, 0].contains(&owner) || owner == rustix::process::geteuid().as_raw()
    }
}

impl AsFd for Folder {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.descriptor.as_fd()
    }
}

fn kind(kind: FileType) -> Option<FileKind> {
    match kind {
        FileType::Unknown => None,
        FileType::RegularFile => Some(FileKind::File),
        FileType::Directory => Some(FileKind::Folder),
        FileType::Symlink => Some(FileKind::Link),
        _ => Some(FileKind::Special),
    }
}

/// A name that leads no further than to its own folder.
///
/// # Errors
/// `InvalidInput` for one that would.
pub(crate) fn one_name(name: &OsStr) -> io::Result<&OsStr> {
    let bytes = name.as_bytes();
    if bytes.is_empty() || bytes == b"." || bytes == b".." || bytes.contains(&b'/') {
        Err(io::ErrorKind::InvalidInput.into())
    } else {
        Ok(name)
    }
}

/// Makes a change of names in a file's folder durable.
pub(crate) fn sync_directory(path: &Path) -> io::Result<()> {
    fault::check()?;
    Folder::of_file(path)?.sync()
}

/// The mode of a folder that nobody else may enter, and of one that others may as far as the umask lets them.
const PRIVATE: Mode = Mode::RWXU;
const OPEN: Mode = Mode::RWXU.union(Mode::RWXG).union(Mode::RWXO);

/// File systems whose `syncfs` writes out all names and bytes: ext4, f2fs, btrfs, xfs, tmpfs and overlays of
/// them, by the numbers of statfs(2).
const SYNCED_WHOLE: &[i128] = &[
    0xef53, 0xf2f52010, 0x9123683e, 0x58465342, 0x01021994, 0x794c7630,
];

/// A FIFO or a device in the place of a folder is refused without waiting for it.
const FLAGS: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NONBLOCK)
    .union(OFlags::CLOEXEC);

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn only_folders_of_its_own_are_entered() {
        let directory = tempfile::tempdir().unwrap();
        let outside = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        let folder = Folder::open(directory.path()).unwrap();
        symlink(outside.path(), path("link")).unwrap();
        fs::write(path("file"), b"").unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, path("fifo"), 0o600.into()).unwrap();

        for other in ["link", "file", "fifo"] {
            for entered in [folder.enter(other), folder.make(other)] {
                let error = entered.err().unwrap();
                assert_eq!(error.kind(), io::ErrorKind::NotADirectory, "{other}");
            }
        }
        for outward in ["..", ".", "", "../x", "/tmp"] {
            let error = folder.make(outward).err().unwrap();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{outward}");
        }
        assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);

        let made = folder.make("made").unwrap();
        assert_eq!(made.facts().unwrap().mode, 0o700);
        assert!(folder.enter("made").is_ok());
    }

    #[test]
    fn a_folder_of_another_user_is_not_entered() {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("theirs")).unwrap();

        // Only root can give a folder away.
        let theirs = directory.path().join("theirs");
        if std::os::unix::fs::chown(theirs, Some(4711), None).is_err() {
            return;
        }

        let folder = Folder::open(directory.path()).unwrap();
        let error = folder.enter("theirs").err().unwrap();
        assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);

        // A file system without owners shows one for all that is in it.
        std::os::unix::fs::chown(directory.path(), Some(4711), None).unwrap();
        let folder = Folder::open(directory.path()).unwrap();
        assert!(folder.enter("theirs").is_ok());
    }

    #[test]
    fn a_folder_knows_whether_its_path_leads_to_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("folder");
        fs::create_dir(&path).unwrap();
        let folder = Folder::open(&path).unwrap();
        assert_eq!(folder.position(), FolderPosition::Same);

        fs::rename(&path, directory.path().join("away")).unwrap();
        assert_eq!(folder.position(), FolderPosition::Missing);
        fs::create_dir(&path).unwrap();
        assert_eq!(folder.position(), FolderPosition::Replaced);
    }
}
