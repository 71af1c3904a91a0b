// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A folder that one process has for as long as it lives.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, OFlags};
use rustix::io::Errno;
use rustix::process::{Pid, getpid, test_kill_process};

use crate::disk::{FilePlace, UNFINISHED, fault};
use crate::random;
use crate::threads::lock;

/// The folder is ours until this is dropped.
pub(crate) enum FolderLock {
    /// An exclusive `flock`, which also a sudden end of the process gives up.
    Flock { _file: File },
    /// Where the file system knows no locks: a file beside the lock file, which only one process can
    /// create. It says whose it is.
    Mark(FilePlace),
}

/// What came of trying to take it.
pub(crate) enum LockAttempt {
    Held(FolderLock),
    /// Another process (or another owner in this one) has it.
    Taken,
    /// This mark says so; whoever made it may have been ended on another device.
    Marked(PathBuf),
}

impl FolderLock {
    /// Takes the lock of a folder without waiting. `place` is its lock file, which is created where it is
    /// missing.
    ///
    /// # Errors
    /// If something else than a regular file has the name; otherwise those of the file system.
    pub(crate) fn take(place: &FilePlace) -> io::Result<LockAttempt> {
        // A file that is open for writing would keep a card from being made read-only.
        match take_with(place, OFlags::RDONLY) {
            // Over NFS, only such a file can have a lock of its own.
            Err(error) if error.raw_os_error() == Some(Errno::BADF.raw_os_error()) => {
                take_with(place, OFlags::RDWR)
            }
            taken => taken,
        }
    }

    /// The same, but a process that is ending is given a moment: one that was killed has its locks until all of it
    /// is gone, and whoever starts the next one at once means that.
    ///
    /// # Errors
    /// As [`FolderLock::take`].
    pub(crate) fn take_after(place: &FilePlace, patience: Duration) -> io::Result<LockAttempt> {
        let start = Instant::now();
        loop {
            let attempt = Self::take(place)?;
            if matches!(attempt, LockAttempt::Held(_)) || start.elapsed() >= patience {
                return Ok(attempt);
            }
            thread::sleep(LOOK_DISTANCE.min(patience));
        }
    }

    /// Whether a process that was ended suddenly may seem to have it still.
    pub(crate) fn is_mark(&self) -> bool {
        matches!(self, Self::Mark(_))
    }
}

impl Drop for FolderLock {
    fn drop(&mut self) {
        if let Self::Mark(place) = self {
            lock(&UNFINISHED).remove(&place.path());
            let _ = place.remove_unsynced();
        }
    }
}

fn take_with(place: &FilePlace, flags: OFlags) -> io::Result<LockAttempt> {
    let not_plain = || io::Error::other("something else than a regular file has this name");

    let file = match place.open_as(flags | OFlags::CREATE, 0o600) {
        Err(error) if error.kind() == io::ErrorKind::NotFound && place.exists() => {
            return Err(not_plain());
        }
        opened => opened?,
    };

    if !file.metadata()?.is_file() {
        return Err(not_plain());
    }

    let locked = if fault::has_locks() {
        rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive)
    } else {
        Err(Errno::NOTSUP)
    };

    match locked {
        Ok(()) => Ok(LockAttempt::Held(FolderLock::Flock { _file: file })),
        Err(Errno::WOULDBLOCK) => Ok(LockAttempt::Taken),
        Err(Errno::NOSYS | Errno::NOTSUP | Errno::NOLCK) => mark(place),
        Err(error) => Err(error.into()),
    }
}

/// Creates the mark of a folder. That of a process of this device which is gone makes room.
fn mark(lock_place: &FilePlace) -> io::Result<LockAttempt> {
    let mut name = lock_place.path();
    name.set_extension(MARK);
    let name = name.file_name().unwrap_or_default();
    let place = FilePlace::new(lock_place.folder(), name);
    let ours = format!("{} {}\n", getpid(), device());

    for _ in 0..TRIES {
        match place.open_as(OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL, 0o600) {
            Ok(mut file) => {
                // A signal that ends the process must not leave it to be removed by hand.
                lock(&UNFINISHED).insert(place.path(), Some(place.clone()));
                let held = FolderLock::Mark(place);
                file.write_all(ours.as_bytes())?;
                return Ok(LockAttempt::Held(held));
            }
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            Err(_) => {}
        }

        let found = place.read(MARK_BYTES_MAX).unwrap_or_default();
        if !is_left(&place, &found) || !clear(&place, &found)? {
            return Ok(LockAttempt::Marked(place.path()));
        }
    }

    Ok(LockAttempt::Marked(place.path()))
}

/// Whether the process that made a mark is gone for sure.
fn is_left(place: &FilePlace, mark: &[u8]) -> bool {
    let text = String::from_utf8_lossy(mark);
    let Some((pid, of)) = text.trim_end().split_once(' ') else {
        return false;
    };
    let Some(pid) = pid.parse().ok().and_then(Pid::from_raw) else {
        return false;
    };

    if of != device() {
        return false;
    }
    if pid == getpid() {
        // An earlier process had the same number, as the first one of each container has.
        return !lock(&UNFINISHED).contains_key(&place.path());
    }
    test_kill_process(pid) == Err(Errno::SRCH)
}

/// Takes a mark away, if it is still the one that was found.
fn clear(place: &FilePlace, found: &[u8]) -> io::Result<bool> {
    let name = format!(".{:016x}.part", random::number()?);
    let aside = FilePlace::new(place.folder(), name);
    match place.rename_to(&aside) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
        renamed => renamed?,
    }

    // Another process may have been faster, and have made its own.
    if aside.read(MARK_BYTES_MAX).is_ok_and(|mark| mark == found) {
        aside.remove_unsynced()?;
        return Ok(true);
    }
    aside.rename_to(place)?;
    Ok(false)
}

/// What tells the processes of this device from those of others.
fn device() -> String {
    let name = rustix::system::uname();
    name.nodename().to_string_lossy().into_owned()
}

const MARK: &str = "held";

const MARK_BYTES_MAX: u64 = 1024;

const TRIES: usize = 3;

/// Between two looks at a lock that another process has.
const LOOK_DISTANCE: Duration = Duration::from_millis(20);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::Folder;

    #[test]
    fn one_at_a_time_has_it_also_where_there_are_no_locks() {
        for has_locks in [true, false] {
            let directory = tempfile::tempdir().unwrap();
            let folder = Folder::open(directory.path()).unwrap();
            let place = FilePlace::new(&folder, "lock");
            fault::set_locks(has_locks);
            let LockAttempt::Held(held) = FolderLock::take(&place).unwrap() else {
                panic!("nobody has it");
            };
            assert_eq!(held.is_mark(), !has_locks);
            let second = FolderLock::take(&place).unwrap();
            assert!(!matches!(second, LockAttempt::Held(_)));
            drop(held);
            let third = FolderLock::take(&place).unwrap();
            fault::set_locks(true);
            assert!(matches!(third, LockAttempt::Held(_)));
        }
    }

    #[test]
    fn a_process_that_is_ending_is_waited_for() {
        let directory = tempfile::tempdir().unwrap();
        let place = FilePlace::new(&Folder::open(directory.path()).unwrap(), "lock");
        let held = FolderLock::take(&place).unwrap();
        let at_once = FolderLock::take_after(&place, Duration::ZERO).unwrap();
        assert!(matches!(at_once, LockAttempt::Taken));

        thread::scope(|scope| {
            const LONG: Duration = Duration::from_secs(60);
            let second = scope.spawn(|| FolderLock::take_after(&place, LONG).unwrap());
            assert!(!second.is_finished());
            drop(held);
            assert!(matches!(second.join().unwrap(), LockAttempt::Held(_)));
        });
    }

    #[test]
    fn only_a_regular_file_is_locked() {
        let directory = tempfile::tempdir().unwrap();
        let folder = Folder::open(directory.path()).unwrap();
        let path = |name: &str| directory.path().join(name);
        rustix::fs::mkfifoat(rustix::fs::CWD, path("fifo"), 0o600.into()).unwrap();
        std::fs::create_dir(path("folder")).unwrap();
        std::os::unix::fs::symlink("nothing", path("link")).unwrap();

        for name in ["fifo", "folder", "link"] {
            let taken = FolderLock::take(&FilePlace::new(&folder, name));
            assert!(taken.is_err(), "{name}");
        }
        assert!(!path("nothing").exists());
    }

    #[test]
    fn a_mark_goes_only_if_its_process_is_gone_for_sure() {
        let directory = tempfile::tempdir().unwrap();
        let folder = Folder::open(directory.path()).unwrap();
        let (place, path) = (
            FilePlace::new(&folder, "lock"),
            directory.path().join("lock.held"),
        );
        let (us, here) = (getpid(), device());

        // No process has the highest number that there can be.
        for (text, is_left) in [
            (format!("{} {here}\n", i32::MAX), true),
            (format!("{us} {here}\n"), true),
            (format!("{} another-device\n", i32::MAX), false),
            (format!("1 {here}\n"), false),
            (String::new(), false),
            ("0 0".to_owned(), false),
        ] {
            std::fs::write(&path, &text).unwrap();
            fault::set_locks(false);
            let taken = FolderLock::take(&place).unwrap();
            fault::set_locks(true);
            assert_eq!(matches!(taken, LockAttempt::Held(_)), is_left, "{text}");
            if !is_left {
                assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
            }
        }
    }
}
