// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A file that grows over several processes until it is published: what is in it beyond the end that
//! was last made durable counts for nothing.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use crate::disk::fault;
use crate::disk::folder_sync::sync_directory;

/// A file that outlives this value: only [`GrowingFile::publish`] and [`remove`](super::remove) end it.
pub(crate) struct GrowingFile {
    file: File,
    path: PathBuf,
}

impl GrowingFile {
    /// Creates an empty file of mode 0600 under a name that nothing has, durably.
    ///
    /// # Errors
    /// Those of the file system; the file may then be there.
    pub(crate) fn create(path: &Path) -> io::Result<Self> {
        fault::check()?;
        let mut options = OpenOptions::new();

        let file = options
            .write(true)
            .read(true)
            .create_new(true)
            .mode(0o600)
            .open(path)?;

        // The length that is kept elsewhere would lead to no file after a power cut.
        sync_directory(path)?;

        Ok(Self {
            file,
            path: path.to_owned(),
        })
    }

    /// Opens one to go on at `end`; what stands behind it is cut off.
    ///
    /// # Errors
    /// `UnexpectedEof` if it is shorter than that; otherwise those of the file system.
    pub(crate) fn open(path: &Path, end: u64) -> io::Result<Self> {
        fault::check()?;
        // Whoever may write to the directory could have put a link to another file there.
        let flags = OFlags::NOFOLLOW.bits().cast_signed();

        let file = OpenOptions::new()
            .write(true)
            .read(true)
            .custom_flags(flags)
            .open(path)?;

        let mut partial = Self {
            file,
            path: path.to_owned(),
        };

        partial.cut(end)?;

        Ok(partial)
    }

    /// Cuts off what stands behind `end`, and goes on there.
    ///
    /// # Errors
    /// `UnexpectedEof` if it is shorter than that; otherwise those of the file system.
    pub(crate) fn cut(&mut self, end: u64) -> io::Result<()> {
        fault::check()?;
        let length = self.file.metadata()?.len();
        if length < end {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if length > end {
            self.file.set_len(end)?;
        }
        self.file.seek(SeekFrom::Start(end)).map(drop)
    }

    /// Makes the bytes so far survive a power cut, but not the times of the file.
    ///
    /// # Errors
    /// Those of the file system.
    pub(crate) fn sync(&mut self) -> io::Result<()> {
        fault::check()?;
        self.file.sync_data()
    }

    /// The file, to be read from its start.
    ///
    /// # Errors
    /// Those of the file system.
    pub(crate) fn rewound(&self) -> io::Result<File> {
        let mut file = File::open(&self.path)?;
        file.rewind()?;
        Ok(file)
    }

    /// Makes this file `target`, as [`Part::publish`](super::Part::publish) does; but after a failure
    /// it is still there, unless only the last fsync failed.
    ///
    /// # Errors
    /// Those of the file system.
    pub(crate) fn publish(self, target: &Path) -> io::Result<File> {
        fault::check()?;
        self.file.sync_all()?;
        fault::check()?;
        fs::rename(&self.path, target)?;
        sync_directory(target)?;
        Ok(self.file)
    }
}

impl Write for GrowingFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        fault::check()?;
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
