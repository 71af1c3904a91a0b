// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A file of this device that is being sent: read where the server wants it, digested once, and watched
//! for changes.

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::FileExt as _;

use crate::client::connection::TransferRate;
use crate::digest::{Digest, Hasher};
use crate::disk::FileFacts;
use crate::error::{Error, ErrorKind, Result};
use crate::text::counted;

/// What tells one state of a file from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LocalStamp {
    pub(crate) size: u64,
    /// Nanoseconds since 1970.
    pub(crate) modified: i128,
    pub(crate) inode: u64,
}

impl LocalStamp {
    pub(crate) fn of(metadata: &Metadata) -> Self {
        Self::from(FileFacts::from(metadata))
    }
}

impl From<FileFacts> for LocalStamp {
    fn from(facts: FileFacts) -> Self {
        let modified = i128::from(facts.modified.seconds) * 1_000_000_000;
        Self {
            size: facts.size,
            modified: modified + i128::from(facts.modified.nanos),
            inode: facts.inode,
        }
    }
}

/// A file that is being sent.
pub(crate) struct Local<'a> {
    file: &'a File,
    stamp: LocalStamp,
    hasher: Hasher,
    hashed: u64,
}

impl<'a> Local<'a> {
    /// # Errors
    /// `Usage` if it has no fixed length; otherwise those of the file system.
    pub(crate) fn new(file: &'a File) -> Result<Self> {
        let metadata = file.metadata().map_err(unreadable)?;
        // A pipe cannot be read again from an offset.
        if !metadata.is_file() {
            return Err(Error::new(
                ErrorKind::Usage,
                "only a regular file can be sent in parts",
            ));
        }

        // Files of /proc say that they are empty, and some network file systems know sizes late. One that
        // grows at this moment is noticed later.
        let stamp = LocalStamp::of(&metadata);
        let has_more = file.read_at(&mut [0], stamp.size).map_err(unreadable)? > 0;
        if has_more && LocalStamp::of(&file.metadata().map_err(unreadable)?) == stamp {
            let said = counted(stamp.size, "byte");
            let text = format!("the file has more than the {said} that its size says");
            return Err(Error::new(ErrorKind::Usage, text)
                .hint("send it as standard input: skep put - --name NAME < FILE"));
        }

        Ok(Self {
            file,
            stamp,
            hasher: Hasher::new(),
            hashed: 0,
        })
    }

    pub(crate) fn stamp(&self) -> LocalStamp {
        self.stamp
    }

    /// Begins anew if the file was changed; whether it was.
    ///
    /// # Errors
    /// Those of the file system.
    pub(crate) fn refresh(&mut self) -> Result<bool> {
        let fresh = Self::new(self.file)?;
        let is_changed = fresh.stamp != self.stamp;
        if is_changed {
            *self = fresh;
        }
        Ok(is_changed)
    }

    /// The digest of the file; what was sent was digested on the way.
    ///
    /// # Errors
    /// Those of the file system, `Interrupted` if it has become shorter.
    pub(crate) fn digest(&mut self) -> Result<Digest> {
        self.digest_to(self.stamp.size)?;
        Ok(self.hasher.clone().finish())
    }

    /// The digest of the file, if all of it was read already.
    pub(crate) fn known_digest(&self) -> Option<Digest> {
        (self.hashed == self.stamp.size).then(|| self.hasher.clone().finish())
    }

    fn digest_to(&mut self, end: u64) -> io::Result<()> {
        let mut buffer = vec![0; PIECE_BYTES];
        while self.hashed < end {
            let room = usize::try_from(end - self.hashed)
                .unwrap_or(PIECE_BYTES)
                .min(PIECE_BYTES);
            // Positioned reads leave the offset of the caller's file as it is.
            let count = self.file.read_at(&mut buffer[..room], self.hashed)?;
            if count == 0 {
                return Err(changed().into());
            }
            self.take(self.hashed, &buffer[..count]);
        }

        Ok(())
    }

    /// Digests bytes that begin at `at`, unless they were before.
    fn take(&mut self, at: u64, bytes: &[u8]) {
        let known = usize::try_from(self.hashed - at)
            .unwrap_or(usize::MAX)
            .min(bytes.len());
        self.hasher.update(&bytes[known..]);
        self.hashed = self.hashed.max(at + bytes.len() as u64);
    }

    /// The bytes from an offset on.
    ///
    /// # Errors
    /// Those of the file system.
    pub(crate) fn from<'l>(
        &'l mut self,
        offset: u64,
        pace: &'l TransferRate,
    ) -> Result<FileRest<'l, 'a>> {
        self.digest_to(offset)?;
        Ok(FileRest {
            local: self,
            at: offset,
            pace,
        })
    }
}

/// The bytes of a file from an offset on. The last of them come only if the file is still the same,
/// so that no server gets a mixture of two states.
pub(crate) struct FileRest<'l, 'a> {
    local: &'l mut Local<'a>,
    at: u64,
    pace: &'l TransferRate,
}

impl Read for FileRest<'_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let size = self.local.stamp.size;
        let room = self.pace.piece(buffer.len());
        let room = usize::try_from(size - self.at).unwrap_or(room).min(room);
        let count = self.local.file.read_at(&mut buffer[..room], self.at)?;
        let end = self.at + count as u64;
        if count == 0 && room > 0 {
            return Err(changed().into());
        }

        // The server publishes when the last byte has come, so the file is looked at before that byte goes.
        if end == size && LocalStamp::of(&self.local.file.metadata()?) != self.local.stamp {
            return Err(changed().into());
        }

        self.local.take(self.at, &buffer[..count]);
        self.at = end;
        self.pace.spend(count)?;

        Ok(count)
    }
}

fn changed() -> Error {
    Error::new(
        ErrorKind::Interrupted,
        "the file was changed while it was being sent, so the server does not store it",
    )
}

fn unreadable(error: io::Error) -> Error {
    Error::local("reading the file", error)
}

const PIECE_BYTES: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    use std::io::Write as _;
    use std::time::{Duration, SystemTime};

    #[test]
    fn the_time_of_a_file_is_told_in_nanoseconds() {
        let file = tempfile::tempfile().unwrap();
        let stamp = |time| {
            file.set_modified(time).unwrap();
            LocalStamp::of(&file.metadata().unwrap()).modified
        };
        let (start, time) = (SystemTime::UNIX_EPOCH, Duration::from_millis(1_250));
        assert_eq!(stamp(start + time), 1_250_000_000);
        assert_eq!(stamp(start - time), -1_250_000_000);
    }

    #[test]
    fn bytes_that_are_sent_twice_are_digested_once() {
        let mut file = tempfile::tempfile().unwrap();
        let bytes: Vec<u8> = (0..200_000_u32)
            .map(|number| number.to_le_bytes()[0])
            .collect();
        file.write_all(&bytes).unwrap();
        let mut local = Local::new(&file).unwrap();
        for (offset, count) in [
            (0, 50_000),
            (20_000, 20_000),
            (45_000, 30_000),
            (150_000, 50_000),
        ] {
            let mut sent = Vec::new();
            let pace = TransferRate::new(None, &crate::stop::Stop::new());
            let rest = Local::from(&mut local, offset, &pace).unwrap();
            rest.take(count).read_to_end(&mut sent).unwrap();
            let start = usize::try_from(offset).unwrap();
            assert_eq!(sent, bytes[start..start + sent.len()]);
        }
        assert_eq!(local.digest().unwrap(), Digest::of(&bytes));
    }

    #[test]
    fn the_last_bytes_of_a_file_that_changed_are_not_sent() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&[1; 100_000]).unwrap();
        let mut local = Local::new(&file).unwrap();
        let pace = TransferRate::new(None, &crate::stop::Stop::new());
        let mut rest = local.from(0, &pace).unwrap();
        let mut sent = vec![0; 50_000];
        rest.read_exact(&mut sent).unwrap();
        let later = SystemTime::now() + Duration::from_secs(2);
        file.set_modified(later).unwrap();
        rest.read_exact(&mut [0; 40_000]).unwrap();
        assert_eq!(rest.read(&mut []).unwrap(), 0);
        let error = rest.read(&mut [0; 20_000]).unwrap_err();
        assert_eq!(Error::from(error).kind(), ErrorKind::Interrupted);
        assert!(local.refresh().unwrap() && !local.refresh().unwrap());
    }

    #[test]
    fn a_file_that_became_shorter_has_no_end_before_its_length() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&[1; 1000]).unwrap();
        let mut local = Local::new(&file).unwrap();
        file.set_len(10).unwrap();
        let pace = TransferRate::new(None, &crate::stop::Stop::new());
        let mut rest = local.from(0, &pace).unwrap();
        rest.read_exact(&mut [0; 10]).unwrap();
        let error = rest.read(&mut [0; 100]).unwrap_err();
        assert_eq!(Error::from(error).kind(), ErrorKind::Interrupted);
        assert!(local.digest().is_err());
    }

    #[test]
    fn a_digest_is_known_once_all_bytes_were_read() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"ten bytes!").unwrap();
        let mut local = Local::new(&file).unwrap();
        let pace = TransferRate::new(None, &crate::stop::Stop::new());
        assert_eq!(local.known_digest(), None);
        let mut rest = local.from(4, &pace).unwrap();
        rest.read_exact(&mut [0; 5]).unwrap();
        assert_eq!(local.known_digest(), None);
        let mut rest = local.from(9, &pace).unwrap();
        rest.read_exact(&mut [0; 1]).unwrap();
        assert_eq!(local.known_digest(), Some(Digest::of(b"ten bytes!")));
    }
}
