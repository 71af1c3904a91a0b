// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A file that is only appended to, and set aside when it has grown: FILE becomes FILE.1, that FILE.2,
//! and so on. Nothing is fsynced: a log is not worth the wear of an SD card.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use rustix::io::Errno;

use crate::disk::followed::led_to;

/// An open log file.
pub(crate) struct Rolling {
    path: PathBuf,
    file: File,
    length: u64,
    bytes_max: u64,
    keep: u32,
}

impl Rolling {
    /// Opens a file, or creates it with mode 0600. It is set aside before it has more than
    /// `bytes_max` bytes (0: never), and `keep` of those that were set aside are kept. A pipe or a
    /// device stays where it is.
    ///
    /// # Errors
    /// Those of [`led_to`] and of the file system.
    pub(crate) fn open(path: &Path, bytes_max: u64, keep: u32) -> io::Result<Self> {
        // A link stays what it is: the file that it leads to is set aside, beside itself.
        let path = led_to(path)?;
        let (file, length) = append(&path)?;
        let is_regular = file.metadata()?.is_file();

        Ok(Self {
            path,
            file,
            length,
            bytes_max: if is_regular { bytes_max } else { 0 },
            keep,
        })
    }

    /// The file itself.
    pub(crate) fn descriptor(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    /// How many bytes of several lines may be written at once, of at most `most`: where a file is set
    /// aside early, each line is looked at.
    pub(crate) fn piece_bytes(&self, most: usize) -> usize {
        let is_small = self.bytes_max > 0 && self.bytes_max < 16 * most as u64;
        if is_small { 0 } else { most }
    }

    /// Appends a line in one piece.
    ///
    /// # Errors
    /// Those of the file system.
    pub(crate) fn write(&mut self, line: &[u8]) -> io::Result<()> {
        let length = line.len() as u64;
        if self.bytes_max > 0 && self.length > 0 && self.length + length > self.bytes_max {
            // A line in a file that is too long is worth more than no line.
            let _ = self.roll();
        }
        self.file.write_all(line)?;
        self.length += length;
        Ok(())
    }

    fn roll(&mut self) -> io::Result<()> {
        // Another process with the same file may have set it aside just now.
        let ours = self.file.metadata()?.ino();
        if fs::metadata(&self.path).is_ok_and(|there| there.ino() == ours) {
            // The oldest first, so that none is renamed over one that is still to move.
            for number in (1..self.keep).rev() {
                let _ = fs::rename(self.aside(number), self.aside(number + 1));
            }

            match self.keep {
                0 => fs::remove_file(&self.path)?,
                _ => fs::rename(&self.path, self.aside(1))?,
            }
        }

        (self.file, self.length) = append(&self.path)?;

        Ok(())
    }

    fn aside(&self, number: u32) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(format!(".{number}"));
        name.into()
    }
}

fn append(path: &Path) -> io::Result<(File, u64)> {
    let nonblock = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or_default();
    let mut options = OpenOptions::new();
    options
        .append(true)
        .create(true)
        .mode(0o600)
        // A pipe that nobody reads must not hold up whoever opens it or writes to it.
        .custom_flags(nonblock);

    let no_reader = Some(Errno::NXIO.raw_os_error());
    let file = match options.open(path) {
        // A pipe that is opened for both keeps what is written until somebody reads (fifo(7)).
        Err(error) if error.raw_os_error() == no_reader => options.read(true).open(path)?,
        opened => opened?,
    };

    let length = file.metadata()?.len();
    Ok((file, length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_stays_and_its_target_is_set_aside() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::create_dir(path("logs")).unwrap();
        std::os::unix::fs::symlink("logs/real", path("log")).unwrap();
        let mut rolling = Rolling::open(&path("log"), 10, 1).unwrap();
        for line in [b"line1\n", b"line2\n"] {
            rolling.write(line).unwrap();
        }
        assert!(path("log").is_symlink() && !path("log.1").exists());
        assert_eq!(fs::read(path("logs/real.1")).unwrap(), b"line1\n");
        assert_eq!(fs::read(path("log")).unwrap(), b"line2\n");
    }

    #[test]
    fn a_full_file_is_set_aside_and_few_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let mut rolling = Rolling::open(&path, 10, 2).unwrap();
        for number in 0..9 {
            rolling.write(format!("line{number}\n").as_bytes()).unwrap();
        }
        let read = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap_or_default();
        assert_eq!(
            (read("log"), read("log.1"), read("log.2")),
            (
                "line8\n".to_owned(),
                "line7\n".to_owned(),
                "line6\n".to_owned()
            )
        );
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3);
        let mut again = Rolling::open(&path, 10, 0).unwrap();
        again.write(b"more than ten bytes\n").unwrap();
        assert_eq!(
            (read("log"), read("log.1")),
            ("more than ten bytes\n".into(), "line7\n".into())
        );
    }
}
