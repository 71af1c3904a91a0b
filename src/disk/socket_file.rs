// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The file of a listening Unix socket: made in turns, replaced where it is stale, removed at the end.

use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, Mode, OFlags, flock, open};
use rustix::io::Errno;

use super::UNFINISHED;
use crate::threads::lock;

/// The name of a listening Unix socket in the file system, which goes when this is dropped, unless
/// somebody else's socket has that name by then.
pub(crate) struct SocketFile {
    path: PathBuf,
    /// Held open, so that no other file can get the same number.
    inode: File,
}

impl SocketFile {
    /// Has `bind` make a socket at `path`. A socket that is there already is removed if nobody
    /// listens on it and it belongs to this user. Two servers that do this at one time take turns.
    ///
    /// # Errors
    /// `AddrInUse` with the reason if the name is taken, `ResourceBusy` if it is not our turn;
    /// otherwise those of the system.
    pub(crate) fn bind<T>(
        path: &Path,
        bind: impl FnOnce(&Path) -> io::Result<T>,
    ) -> io::Result<(T, Self)> {
        // Between its making and its listening, a new socket looks like one that was left behind.
        let turn = path.parent().and_then(|parent| File::open(parent).ok());
        if let Some(directory) = &turn
            && flock(directory, FlockOperation::NonBlockingLockExclusive) == Err(Errno::WOULDBLOCK)
        {
            return Err(io::ErrorKind::ResourceBusy.into());
        }

        remove_stale_socket(path)?;
        let bound = bind(path)?;

        // A socket cannot be opened, only its place in the file system.
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let inode = File::from(open(path, flags, Mode::empty())?);
        lock(&UNFINISHED).insert(path.to_owned(), None);

        Ok((
            bound,
            Self {
                path: path.to_owned(),
                inode,
            },
        ))
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        lock(&UNFINISHED).remove(&self.path);
        let identity = |of: Metadata| (of.dev(), of.ino());
        let named = fs::symlink_metadata(&self.path).map(identity).ok();
        if named.is_some() && named == self.inode.metadata().map(identity).ok() {
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn remove_stale_socket(path: &Path) -> io::Result<()> {
    let taken = |why: &str| io::Error::new(io::ErrorKind::AddrInUse, why.to_owned());
    let metadata = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other?,
    };

    if !metadata.file_type().is_socket() {
        return Err(taken("there is something else than a socket"));
    }

    if metadata.uid() != rustix::process::geteuid().as_raw() {
        return Err(taken("there is a socket of another user"));
    }

    // Only a refusal proves that nobody listens; a full backlog, for one, does not.
    match UnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path),
        _ => Err(taken("a server listens on it already")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;

    fn bind(path: &Path) -> io::Result<(UnixListener, SocketFile)> {
        SocketFile::bind(path, |path| UnixListener::bind(path))
    }

    #[test]
    fn a_stale_socket_is_replaced_and_ours_goes_with_us() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        drop(UnixListener::bind(&path).unwrap());
        let (listener, file) = bind(&path).unwrap();
        let error = bind(&path).err().unwrap();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        assert!(error.to_string().contains("listens"), "{error}");
        drop((listener, file));
        assert!(!path.exists());
    }

    #[test]
    fn what_is_not_ours_stays() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        fs::write(&path, "x").unwrap();
        assert_eq!(bind(&path).err().unwrap().kind(), io::ErrorKind::AddrInUse);
        fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink("/nowhere", &path).unwrap();
        assert_eq!(bind(&path).err().unwrap().kind(), io::ErrorKind::AddrInUse);
        fs::remove_file(&path).unwrap();
        let (_, file) = bind(&path).unwrap();
        fs::remove_file(&path).unwrap();
        fs::write(&path, "somebody else's").unwrap();
        drop(file);
        assert!(path.exists());
    }

    #[test]
    fn servers_that_start_at_one_time_take_turns() {
        let directory = tempfile::tempdir().unwrap();
        let turn = File::open(directory.path()).unwrap();
        flock(&turn, FlockOperation::LockExclusive).unwrap();
        let error = bind(&directory.path().join("socket")).err().unwrap();
        assert_eq!(error.kind(), io::ErrorKind::ResourceBusy);
    }
}
