// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Directories: those that stay, made durably, those that go with this process, how they are
//! emptied, and how one is made that is like another one.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use rustix::fs::AtFlags;
use rustix::io::Errno;

use crate::disk::fault;
use crate::disk::folder::{Folder, one_name, sync_directory};
use crate::random;

/// Creates a directory that only its owner can enter (0700), with its parents, in a way that survives
/// a power cut; one that exists is left as it is.
///
/// # Errors
/// Those of the file system.
pub(crate) fn create_directory(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }

    // Each new directory has to be durable before the one in it is worth anything.
    if let Some(parent) = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
    {
        create_directory(parent)?;
    }

    match DirBuilder::new().mode(0o700).create(path) {
        // Somebody else was faster.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        Err(error) => Err(error),
        Ok(()) => sync_directory(path),
    }
}

/// Removes a directory if there is nothing in it; a failure is none, because it only stays.
pub(crate) fn remove_empty_directory(path: &Path) {
    let _ = fs::remove_dir(path);
}

/// Creates a directory that others may enter as far as the user's umask lets them, with its parents;
/// one that exists is left as it is.
///
/// # Errors
/// Those of the file system.
pub(crate) fn create_open_directory(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o777).create(path)
}

/// Where things that live as long as this process can be made: the system's folder for temporary
/// files, then `others`.
pub(crate) fn temporary_folders(others: Vec<PathBuf>) -> Vec<PathBuf> {
    std::iter::once(std::env::temp_dir())
        .chain(others)
        .collect()
}

/// A directory of mode 0700 with a random name, which goes with all that is in it when it is dropped.
pub(crate) struct PrivateDirectory(PathBuf);

impl PrivateDirectory {
    /// Creates one in `folder`.
    ///
    /// # Errors
    /// Those of the file system.
    pub(crate) fn create(folder: &Path) -> io::Result<Self> {
        let path = folder.join(format!("skep-{:016x}", random::number()?));
        DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Self(path))
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for PrivateDirectory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl Folder {
    /// Whether its file system is one of those that can give two folders the names of each other, and make that
    /// durable as a whole. An overlay copies each file that gets a second name.
    ///
    /// # Errors
    /// Those of the file system.
    pub(crate) fn exchanges_folders(&self) -> io::Result<bool> {
        let kind = i128::from(rustix::fs::fstatfs(self)?.f_type);
        Ok(kind != i128::from(OVERLAY) && self.syncs_as_whole()?)
    }

    /// Makes a folder in this one that has the mode, the group and the attributes of another one; a power cut
    /// may take it away again.
    ///
    /// # Errors
    /// `AlreadyExists` if the name is taken; `Unsupported` if a new folder cannot be like the other one, as where
    /// that belongs to somebody else; otherwise those of the file system.
    pub(crate) fn make_like(&self, name: &str, other: &Self) -> io::Result<Self> {
        fault::check()?;
        let private = rustix::fs::Mode::RWXU;
        rustix::fs::mkdirat(self, one_name(OsStr::new(name))?, private)?;
        let made = self.enter(name)?;

        let wanted = other.facts()?;
        if made.facts()?.group != wanted.group {
            let group = Some(rustix::fs::Gid::from_raw(wanted.group));
            rustix::fs::fchown(&made, None, group)?;
        }
        rustix::fs::fchmod(&made, rustix::fs::Mode::from_raw_mode(wanted.mode))?;

        // The kernel leaves bits out that this process may not give.
        let found = made.facts()?;
        let own = (found.mode, found.owner, found.group, found.device);
        let is_like = own == (wanted.mode, wanted.owner, wanted.group, wanted.device)
            && flags(&made) == flags(other)
            && attributes(&made)? == attributes(other)?;
        if is_like {
            Ok(made)
        } else {
            let text = format!("no new folder can be like '{name}'");
            Err(io::Error::new(io::ErrorKind::Unsupported, text))
        }
    }

    /// Removes all that is in it, except folders of others.
    ///
    /// # Errors
    /// Those of the file system.
    pub(crate) fn remove_all(&self) -> io::Result<()> {
        for entry in self.entries()? {
            let name = entry?.name;
            match rustix::fs::unlinkat(self, &name, AtFlags::empty()) {
                // Linux says the one, POSIX the other.
                Err(Errno::ISDIR | Errno::PERM) => {
                    let name = name.to_str().ok_or(io::ErrorKind::InvalidInput)?;
                    self.enter(name)?.remove_all()?;
                    self.remove_empty(name)?;
                }
                removed => removed?,
            }
        }
        Ok(())
    }

    /// Removes a folder in this one in which there are only folders, and in these as well.
    ///
    /// # Errors
    /// `DirectoryNotEmpty` if there is anything else; otherwise those of the file system.
    pub(crate) fn remove_hollow(&self, name: &str) -> io::Result<()> {
        let inner = self.enter_any(name)?;
        for entry in inner.entries()? {
            let name = entry?.name.into_string();
            let name = name.map_err(|_| io::ErrorKind::DirectoryNotEmpty)?;
            match inner.remove_hollow(&name) {
                Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
                    return Err(io::ErrorKind::DirectoryNotEmpty.into());
                }
                removed => removed?,
            }
        }
        self.remove_empty(name)
    }

    /// Removes the last one of the folders to which these names lead, and then those above it, as far as
    /// nothing is in them. One that stays does no harm.
    pub(crate) fn remove_while_empty(
        &self,
        mut way: Vec<&str>,
        open: fn(&Self, &str) -> io::Result<Self>,
    ) {
        while let Some(last) = way.pop() {
            let above = self.descend(way.iter().copied(), open);
            if above.and_then(|above| above.remove_empty(last)).is_err() {
                return;
            }
        }
    }
}

/// The attributes of a folder, access lists included, without those that the kernel computes by itself.
fn attributes(folder: &Folder) -> io::Result<BTreeMap<Vec<u8>, Vec<u8>>> {
    let mut names = [0; ATTRIBUTES_BYTES_MAX];
    let length = match rustix::fs::flistxattr(folder, &mut names) {
        Err(Errno::NOTSUP | Errno::NOSYS) => 0,
        listed => listed?,
    };

    let mut attributes = BTreeMap::new();
    for name in names[..length].split(|byte| *byte == 0) {
        if name.is_empty() || COMPUTED.contains(&name) {
            continue;
        }
        let mut value = vec![0; ATTRIBUTES_BYTES_MAX];
        let length = rustix::fs::fgetxattr(folder, name, &mut value[..])?;
        value.truncate(length);
        attributes.insert(name.to_vec(), value);
    }
    Ok(attributes)
}

/// What a folder was told to be by `chattr`; nothing where the file system has no such thing.
fn flags(folder: &Folder) -> u32 {
    let flags = rustix::fs::ioctl_getflags(folder);
    flags.map_or(0, |flags| flags.bits() & TOLD_FLAGS)
}

/// More than a folder has that is used as one.
const ATTRIBUTES_BYTES_MAX: usize = 4096;

const OVERLAY: u32 = 0x794c_7630;

const COMPUTED: &[&[u8]] = &[b"security.evm", b"security.ima"];

/// The flags that users set, by the numbers of ioctl_iflags(2), with those of encryption and of names without
/// case. The others tell how a file system keeps the folder.
const TOLD_FLAGS: u32 = 0x6283_ccff;
