// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A file that grows over several processes until it is published: what is in it beyond the end that
//! was last made durable counts for nothing.

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};

use rustix::fs::OFlags;

use crate::disk::{FileFacts, FilePlace, fault, take_mode_of};

/// A file that outlives this value: only [`GrowingFile::publish`] and [`FilePlace::remove`] end it.
pub(crate) struct GrowingFile {
    file: File,
    place: FilePlace,
}

impl GrowingFile {
    /// Creates an empty file under a name that nothing has, durably. The umask is taken from its mode.
    ///
    /// # Errors
    /// Those of the file system; the file may then be there.
    pub(crate) fn create(place: &FilePlace, mode: u32) -> io::Result<Self> {
        fault::check()?;
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL;
        let file = place.open_as(flags, mode)?;

        // The length that is kept elsewhere would lead to no file after a power cut.
        place.folder().sync()?;

        Ok(Self {
            file,
            place: place.clone(),
        })
    }

    /// Opens one to go on at `end`; what stands behind it is cut off.
    ///
    /// # Errors
    /// `NotFound` if it is not a regular file, or one that has a second name: whoever may write to the
    /// folder could have put it there to have another file changed. `UnexpectedEof` if it is shorter
    /// than that; otherwise those of the file system.
    pub(crate) fn open(place: &FilePlace, end: u64) -> io::Result<Self> {
        fault::check()?;
        let file = place.open_as(OFlags::RDWR, 0)?;

        let facts = FileFacts::from(&file.metadata()?);
        if !facts.is_file() || facts.links > 1 {
            return Err(io::ErrorKind::NotFound.into());
        }

        let mut partial = Self {
            file,
            place: place.clone(),
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
        // A place of its own in the file, which a duplicated descriptor would not have.
        let (file, facts) = self.place.open()?;
        if !facts.is_same_file(&FileFacts::from(&self.file.metadata()?)) {
            return Err(io::ErrorKind::NotFound.into());
        }
        Ok(file)
    }

    /// Gives it the permissions of the file that it is about to replace, if there is one.
    pub(crate) fn take_mode_of(&self, target: &FilePlace) {
        take_mode_of(&self.file, target);
    }

    /// Makes this file `target`, as [`Part::publish`](super::Part::publish) does; but after a failure
    /// it is still there, unless only the last fsync failed.
    ///
    /// # Errors
    /// Those of the file system.
    pub(crate) fn publish(self, target: &FilePlace) -> io::Result<File> {
        fault::check()?;
        self.file.sync_all()?;
        let file = self.move_to(target)?;
        target.folder().sync()?;
        Ok(file)
    }

    /// Makes this file `target`; a power cut may give it its old name again.
    ///
    /// # Errors
    /// Those of the file system; it then has its old name.
    pub(crate) fn move_to(self, target: &FilePlace) -> io::Result<File> {
        self.place.rename_to(target)?;
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
