// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The bytes of a download that was cut: a hidden file beside the target, and a journal of what can be
//! relied on.
//!
//! The journal names the digest and the length of the model, and then how many bytes were on the disk
//! for sure, one line each time. Only these count when somebody goes on, so that neither kill -9 nor a
//! power cut leaves bytes in between that never came.

use std::ffi::OsString;
use std::io::{self, Read as _, Write as _};
use std::time::{Duration, Instant, SystemTime};

use crate::digest::{Digest, Hasher};
use crate::disk::{FileKind, FilePlace, LockedFile};
use crate::error::{Error, ErrorKind, Result};

/// What a partial download is a part of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Whole {
    pub(crate) digest: Digest,
    pub(crate) size: u64,
}

/// A file that is being fetched.
pub(crate) struct PartialFile {
    held: LockedFile,
    journal: Option<LockedFile>,
    /// Where the bytes appear in the end.
    place: FilePlace,
    /// Without it, there is no going on later.
    whole: Option<Whole>,
    hasher: Hasher,
    done: u64,
    synced: u64,
    synced_at: Instant,
}

impl PartialFile {
    /// What an earlier attempt left of the file at `place`.
    ///
    /// # Errors
    /// `Busy` if somebody else is at it; otherwise those of the file system.
    pub(crate) fn find(place: &FilePlace) -> Result<Option<Self>> {
        let part = beside(place, PART);
        let held = match LockedFile::open_existing_at(&part) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other.map_err(|error| refused(place, &part, error))?,
        };
        let mut partial = Self::of(held, place)?;
        partial.recall().map_err(|error| failed(place, error))?;
        Ok(Some(partial))
    }

    /// How many bytes of the file at `place` an earlier attempt has left on the disk.
    pub(crate) fn left(place: &FilePlace) -> u64 {
        let facts = beside(place, PART).facts();
        facts.map_or(0, |facts| facts.size)
    }

    /// An empty one.
    ///
    /// # Errors
    /// `Busy` if somebody else is at it; otherwise those of the file system.
    pub(crate) fn create(place: &FilePlace) -> Result<Self> {
        let part = beside(place, PART);
        let held = LockedFile::open_at(&part, 0o666);
        Self::of(held.map_err(|error| refused(place, &part, error))?, place)
    }

    fn of(held: Option<LockedFile>, place: &FilePlace) -> Result<Self> {
        let Some(held) = held else {
            let message = format!(
                "another skep is fetching {} just now",
                place.path().display()
            );
            return Err(Error::new(ErrorKind::Busy, message));
        };

        Ok(Self {
            held,
            journal: None,
            place: place.clone(),
            whole: None,
            hasher: Hasher::new(),
            done: 0,
            synced: 0,
            synced_at: Instant::now(),
        })
    }

    /// Reads the journal, and again all that it vouches for. The last byte is fetched anew in any
    /// case, so that the server has its say.
    fn recall(&mut self) -> io::Result<()> {
        // Without a journal, nothing is known to be on the disk, and the download starts again.
        let Ok(Some(mut journal)) = LockedFile::open_existing_at(&beside(&self.place, JOURNAL))
        else {
            return Ok(());
        };

        let mut text = Vec::new();
        (&mut journal)
            .take(JOURNAL_BYTES_MAX)
            .read_to_end(&mut text)?;

        let Some((whole, synced)) = read(&text) else {
            return Ok(());
        };

        let end = synced.min(whole.size.saturating_sub(1));
        // A file that is shorter than its journal says was changed by somebody else.
        if end == 0 || self.held.length()? < end {
            return Ok(());
        }

        // The digest covers the whole model, so the bytes of the earlier attempt are hashed again.
        self.held.go_to(0)?;
        let mut buffer = vec![0; PIECE_BYTES];
        let mut kept = (&mut self.held).take(end);

        loop {
            match kept.read(&mut buffer)? {
                0 => break,
                count => {
                    self.hasher.update(&buffer[..count]);
                    self.done += count as u64;
                }
            }
        }

        // What stands behind was never synced: after a power cut it may be zeros.
        self.held.cut(self.done)?;
        self.journal = Some(journal);
        self.whole = Some(whole);
        self.synced = self.done;

        Ok(())
    }

    /// How many bytes are there.
    pub(crate) fn done(&self) -> u64 {
        self.done
    }

    /// What it is a part of, if one can go on.
    pub(crate) fn whole(&self) -> Option<Whole> {
        self.whole
    }

    /// Throws everything away and begins with another file.
    ///
    /// # Errors
    /// Those of the file system.
    pub(crate) fn begin(&mut self, whole: Option<Whole>) -> Result<()> {
        self.held.discard();
        if let Some(journal) = self.journal.take() {
            journal.remove();
        }
        self.whole = whole;
        self.hasher = Hasher::new();
        (self.done, self.synced, self.synced_at) = (0, 0, Instant::now());
        self.held.cut(0).map_err(|error| failed(&self.place, error))
    }

    /// Takes the next bytes.
    ///
    /// # Errors
    /// Those of the file system.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.held
            .write_all(bytes)
            .map_err(|error| failed(&self.place, error))?;

        self.hasher.update(bytes);
        self.done += bytes.len() as u64;
        // On fast lines the bytes decide, on slow ones the time: each note costs two fsyncs.
        let fresh = self.done - self.synced;
        if fresh >= STEP_BYTES || (fresh > 0 && self.synced_at.elapsed() >= STEP) {
            self.note()?;
        }

        Ok(())
    }

    /// Makes what is there survive the end of this process, if it is worth it.
    pub(crate) fn rest(&mut self) {
        let fresh = self.done - self.synced;
        // Where a file stays anyway, every byte counts.
        if fresh >= WORTH_BYTES || (fresh > 0 && self.synced > 0) {
            // What cannot be noted is fetched again.
            let _ = self.note();
        }
    }

    fn note(&mut self) -> Result<()> {
        let Some(whole) = self.whole else {
            return Ok(());
        };

        // The bytes come first: a line in the journal must never vouch for what is not on the disk.
        self.held
            .sync()
            .map_err(|error| failed(&self.place, error))?;

        // Before the journal says so, or a signal in between would remove what it vouches for.
        self.held.keep();

        if self.journal.is_none() {
            let path = beside(&self.place, JOURNAL);
            let opened = LockedFile::open_at(&path, 0o600);
            let opened = opened.map_err(|error| refused(&self.place, &path, error))?;
            let Some(mut journal) = opened else {
                return Ok(());
            };
            // The journal of an earlier download may still be there.
            let head = format!("{} {}\n", whole.digest, whole.size);
            journal
                .cut(0)
                .and_then(|()| journal.write_all(head.as_bytes()))
                .map_err(|error| failed(&self.place, error))?;
            self.journal = Some(journal);
        }

        if let Some(journal) = &mut self.journal {
            journal
                .write_all(format!("{}\n", self.done).as_bytes())
                .and_then(|()| journal.sync())
                .map_err(|error| failed(&self.place, error))?;
        }

        (self.synced, self.synced_at) = (self.done, Instant::now());

        Ok(())
    }

    /// The digest of all that is there.
    pub(crate) fn digest(&self) -> Digest {
        self.hasher.clone().finish()
    }

    /// Has all of it read again.
    ///
    /// # Errors
    /// Those of `check` and of the file system.
    pub(crate) fn read_again(
        &mut self,
        check: impl FnOnce(&mut dyn io::Read) -> Result<()>,
    ) -> Result<()> {
        self.held
            .go_to(0)
            .map_err(|error| failed(&self.place, error))?;
        check(&mut self.held)
    }

    /// Gives the file a time. A file system that does not take it is no reason to lose the bytes.
    pub(crate) fn set_modified(&self, time: SystemTime) {
        if let Err(error) = self.held.set_modified(time) {
            log::debug!(
                "the time of {} is not set: {error}",
                self.place.path().display()
            );
        }
    }

    /// Gives the file its name.
    ///
    /// # Errors
    /// Those of the file system.
    pub(crate) fn publish(self) -> Result<()> {
        let published = self.held.publish(&self.place);
        published.map_err(|error| failed(&self.place, error))?;
        match self.journal {
            Some(journal) => journal.remove(),
            // One that belonged to other bytes.
            None => drop(LockedFile::open_existing_at(&beside(&self.place, JOURNAL)).map(remove)),
        }
        Ok(())
    }
}

fn remove(held: Option<LockedFile>) {
    if let Some(held) = held {
        held.remove();
    }
}

fn failed(place: &FilePlace, error: io::Error) -> Error {
    Error::local(format!("writing {}", place.path().display()), error)
}

/// The error where the file beside the target cannot be opened; what somebody put there in its place is named.
fn refused(place: &FilePlace, beside: &FilePlace, error: io::Error) -> Error {
    let what = match beside.facts() {
        Ok(found) if found.kind == FileKind::Link => "a symbolic link",
        Ok(found) if !found.is_file() => "not a file",
        Ok(_) if error.kind() == io::ErrorKind::PermissionDenied => {
            "a file of somebody else, or has another name as well"
        }
        _ => return failed(place, error),
    };

    let (place, beside) = (place.path(), beside.path());
    let text = format!(
        "writing {}: {} is {what}",
        place.display(),
        beside.display()
    );
    Error::new(ErrorKind::Conflict, text)
        .because(error)
        .hint("remove it, or save the model in another directory (-o)")
}

/// The hidden name beside a file; for a long one, that of its digest.
fn beside(place: &FilePlace, suffix: &str) -> FilePlace {
    let name = place.file_name();
    let mut hidden = OsString::from(".");
    if name.len() + 1 + suffix.len() > NAME_BYTES_MAX {
        hidden.push(Digest::of(name.as_encoded_bytes()).to_string())
    } else {
        hidden.push(name)
    }
    hidden.push(suffix);
    FilePlace::new(place.folder(), hidden)
}

/// The model in a journal, and how much of it is there for sure. A last line that is torn, as power
/// cuts leave it, does not count.
fn read(journal: &[u8]) -> Option<(Whole, u64)> {
    let text = String::from_utf8_lossy(journal);
    let end = text.rfind('\n')?;
    let mut lines = text[..end].split('\n');
    let (digest, size) = lines.next()?.split_once(' ')?;

    let whole = Whole {
        digest: digest.parse().ok()?,
        size: size.parse().ok()?,
    };

    // What stands behind a damaged line cannot be relied on.
    let offsets = lines.map_while(|line| line.parse::<u64>().ok());

    Some((whole, offsets.last().unwrap_or(0)))
}

/// The digest of the file at a place; `None` if there is none that can be read.
pub(crate) fn digest_of(place: &FilePlace) -> Option<Digest> {
    Digest::of_reader(place.open().ok()?.0).ok()
}

const PART: &str = ".skep-part";
const JOURNAL: &str = ".skep-journal";

/// What file systems take for a name.
const NAME_BYTES_MAX: usize = 255;

/// How much is fetched before it is made durable, and how much may have to be fetched again; on slow
/// lines, how long.
const STEP_BYTES: u64 = 8 << 20;
const STEP: Duration = Duration::from_secs(1);

/// Less than that is not worth a file that stays behind.
const WORTH_BYTES: u64 = 64 << 10;

/// A line for each step of a model of 400 GiB.
const JOURNAL_BYTES_MAX: u64 = 1 << 20;

const PIECE_BYTES: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    use crate::disk::fault;

    fn place_in(directory: &tempfile::TempDir, name: &str) -> FilePlace {
        FilePlace::of(&directory.path().join(name)).unwrap()
    }

    #[test]
    fn a_journal_counts_up_to_its_last_whole_line() {
        let digest = Digest::of(b"x");
        let head = format!("{digest} 100\n");
        let whole = Whole { digest, size: 100 };
        for (lines, synced) in [
            ("", 0),
            ("10\n", 10),
            ("10\n20\n", 20),
            ("10\n200", 10),
            ("10\n\0\0\n30\n", 10),
        ] {
            let text = format!("{head}{lines}");
            assert_eq!(read(text.as_bytes()), Some((whole, synced)), "{lines:?}");
        }
        for bad in ["", "\n", "x", "x 1\n", &head[..60]] {
            assert_eq!(
                read(bad.as_bytes()).map(|(whole, _)| whole.size),
                None,
                "{bad:?}"
            );
        }
    }

    #[test]
    fn bytes_that_were_noted_are_found_again_and_others_are_not() {
        let directory = tempfile::tempdir().unwrap();
        let place = place_in(&directory, "m");
        let whole = Whole {
            digest: Digest::of(&[7; 300_000]),
            size: 300_000,
        };
        assert!(PartialFile::find(&place).unwrap().is_none());
        let mut partial = PartialFile::create(&place).unwrap();
        partial.begin(Some(whole)).unwrap();
        partial.write(&[7; 100_000]).unwrap();
        assert_eq!(
            PartialFile::find(&place).err().unwrap().kind(),
            ErrorKind::Busy
        );
        partial.rest();
        // Little is noted as well where the file stays anyway.
        partial.write(&[7; 1_000]).unwrap();
        partial.rest();
        partial.write(&[7; 50_000]).unwrap();
        drop(partial);
        let mut partial = PartialFile::find(&place).unwrap().unwrap();
        assert_eq!((partial.done(), partial.whole()), (101_000, Some(whole)));
        partial.write(&[7; 199_000]).unwrap();
        assert_eq!(partial.digest(), whole.digest);
        partial.publish().unwrap();
        assert_eq!(fs::read(place.path()).unwrap(), [7; 300_000]);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn whichever_call_fails_the_file_is_whole_or_not_there_and_can_be_gone_on_with() {
        let bytes: Vec<u8> = (0..200_000_u32).flat_map(u32::to_le_bytes).collect();
        let whole = Whole {
            digest: Digest::of(&bytes),
            size: bytes.len() as u64,
        };
        for call in 0.. {
            let directory = tempfile::tempdir().unwrap();
            let place = place_in(&directory, "m");
            let fetch = || -> Result<u64> {
                let mut partial = match PartialFile::find(&place)? {
                    Some(partial) => partial,
                    None => PartialFile::create(&place)?,
                };
                if partial.done() == 0 {
                    partial.begin(Some(whole))?;
                }
                let start = partial.done();
                for piece in bytes[usize::try_from(start).unwrap()..].chunks(100_000) {
                    partial.write(piece)?;
                    partial.rest();
                }
                assert_eq!(partial.digest(), whole.digest, "{call}");
                partial.publish().map(|()| start)
            };
            fault::set(Some(call));
            let failed = fetch().is_err();
            let was_reached = !fault::set(None);
            if place.exists() {
                assert!(fs::read(place.path()).unwrap() == bytes, "{call}");
            } else {
                fetch().unwrap();
            }
            assert!(fs::read(place.path()).unwrap() == bytes, "{call}");
            if !was_reached {
                assert!(!failed && call > 20, "only {call} calls were tried");
                return;
            }
        }
    }

    #[test]
    fn what_nobody_could_go_on_with_does_not_stay() {
        let directory = tempfile::tempdir().unwrap();
        let place = place_in(&directory, &"m".repeat(255));
        let mut partial = PartialFile::create(&place).unwrap();
        partial.begin(None).unwrap();
        partial.write(&[1; 1 << 20]).unwrap();
        partial.rest();
        drop(partial);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
        // A journal without its bytes, or with too few, is worth nothing.
        fs::write(
            beside(&place, JOURNAL).path(),
            format!("{} 100\n50\n", Digest::of(b"")),
        )
        .unwrap();
        fs::write(beside(&place, PART).path(), [0; 49]).unwrap();
        let mut partial = PartialFile::find(&place).unwrap().unwrap();
        assert_eq!(partial.done(), 0);
        partial.begin(None).unwrap();
        partial.write(b"whole").unwrap();
        partial.publish().unwrap();
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }
}
