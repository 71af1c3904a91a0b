// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The right to change a file, which one process at a time has: for changes that take a moment.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, OFlags};
use rustix::io::Errno;

use crate::disk::{UNFINISHED, fault};
use crate::threads::lock;

/// The right, until it is dropped.
pub(crate) enum ChangeLock {
    /// An exclusive `flock`, which also a sudden end of the process gives up.
    Flock { _file: File },
    /// Where the file system knows no locks (some network and FUSE ones): a file beside the lock file,
    /// which only one process can create.
    Mark(PathBuf),
}

impl ChangeLock {
    /// Waits for the right at most 10 seconds. The lock file is created where it is missing and stays.
    ///
    /// # Errors
    /// `TimedOut` with the reason if somebody else has it for longer; otherwise those of the file system.
    pub(crate) fn wait(path: &Path) -> io::Result<Self> {
        Self::wait_until(path, Instant::now() + LOCK_WAIT)
    }

    fn wait_until(path: &Path, end: Instant) -> io::Result<Self> {
        // The lock file is never removed: a process that waits for it would lock a file without a name.
        let file = open_lock(path)?;

        // No file system wakes one up at a time limit, so both ways ask again and again.
        loop {
            match flock_now(&file) {
                Ok(()) => return Ok(Self::Flock { _file: file }),
                Err(Errno::NOSYS | Errno::NOTSUP | Errno::NOLCK) => return mark(path, end),
                Err(Errno::INTR) => {}
                Err(Errno::WOULDBLOCK) if Instant::now() < end => std::thread::sleep(LOCK_STEP),
                Err(Errno::WOULDBLOCK) => {
                    let text = format!("another process keeps {} for too long", path.display());
                    return Err(io::Error::new(io::ErrorKind::TimedOut, text));
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl Drop for ChangeLock {
    fn drop(&mut self) {
        if let Self::Mark(path) = self {
            lock(&UNFINISHED).remove(path);
            let _ = fs::remove_file(path);
        }
    }
}

/// Creates the mark of a lock file. One that a killed process has left is not removed: nobody can tell
/// it from that of a process on another device, and removing the wrong one would lose a change.
fn mark(path: &Path, end: Instant) -> io::Result<ChangeLock> {
    let mut name = path.as_os_str().to_owned();
    name.push(MARK_SUFFIX);
    let path = PathBuf::from(name);

    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);

    // Creating a name that nobody has is one step on every file system.
    loop {
        match options.open(&path) {
            Ok(_) => {
                // A signal that ends the process must not leave it to be removed by hand.
                lock(&UNFINISHED).insert(path.clone(), None);
                return Ok(ChangeLock::Mark(path));
            }
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            Err(_) if Instant::now() < end => std::thread::sleep(LOCK_STEP),
            Err(_) => {
                let text = format!(
                    "{} says that another process changes the file; if no skep runs, one was \
                     killed: remove it",
                    path.display()
                );
                return Err(io::Error::new(io::ErrorKind::TimedOut, text));
            }
        }
    }
}

/// Opens a lock file, which is created where it is missing, and never a file that a link leads to.
fn open_lock(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
        .open(path)
}

fn flock_now(file: &File) -> Result<(), Errno> {
    if fault::has_locks() {
        rustix::fs::flock(file, FlockOperation::NonBlockingLockExclusive)
    } else {
        Err(Errno::NOTSUP)
    }
}

/// How long a change waits for another one, which takes a moment.
const LOCK_WAIT: Duration = Duration::from_secs(10);

const LOCK_STEP: Duration = Duration::from_millis(5);

const MARK_SUFFIX: &str = ".held";

#[cfg(test)]
mod tests {
    use super::*;

    use std::sync::atomic::{AtomicBool, Ordering};

    /// Eight threads take turns; returns how often two were at it at one time.
    fn overlaps(path: &Path, has_locks: bool) -> usize {
        let is_taken = AtomicBool::new(false);
        let turn = || {
            fault::set_locks(has_locks);
            let turns = (0..10).map(|_| {
                let _lock = ChangeLock::wait(path).unwrap();
                let was_taken = is_taken.swap(true, Ordering::SeqCst);
                std::thread::yield_now();
                is_taken.store(false, Ordering::SeqCst);
                usize::from(was_taken)
            });
            turns.sum::<usize>()
        };
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(turn)).collect();
            let counts = threads.into_iter().map(|thread| thread.join().unwrap());
            counts.sum()
        })
    }

    #[test]
    fn one_at_a_time_has_it_also_where_there_are_no_locks() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lock");
        for has_locks in [true, false] {
            assert_eq!(overlaps(&path, has_locks), 0, "locks: {has_locks}");
        }
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_mark_that_was_left_is_named_and_stays() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lock");
        let left = directory.path().join("lock.held");
        fs::write(&left, "").unwrap();
        fault::set_locks(false);
        let error = ChangeLock::wait_until(&path, Instant::now()).err().unwrap();
        fault::set_locks(true);
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        let text = error.to_string();
        assert!(text.contains(left.to_str().unwrap()), "{text}");
        assert!(left.exists());
    }

    #[test]
    fn a_mark_goes_with_a_process_that_a_signal_ends() {
        let directory = tempfile::tempdir().unwrap();
        fault::set_locks(false);
        let held = ChangeLock::wait(&directory.path().join("lock")).unwrap();
        fault::set_locks(true);

        // What is listed there is removed at such an end.
        let mark = directory.path().join("lock.held");
        assert!(lock(&UNFINISHED).contains_key(&mark));
        drop(held);
        assert!(!lock(&UNFINISHED).contains_key(&mark));
    }

    #[test]
    fn whoever_keeps_it_too_long_is_no_reason_to_wait_for_ever() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lock");
        let held = ChangeLock::wait(&path).unwrap();
        let error = ChangeLock::wait_until(&path, Instant::now()).err().unwrap();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        drop(held);
        assert!(ChangeLock::wait_until(&path, Instant::now()).is_ok());
    }
}
