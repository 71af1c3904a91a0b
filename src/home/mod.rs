// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Where skep keeps what belongs to a user, and every file that is kept there: identity, passwords,
//! tokens, known servers. No other room names a file of the home, and each file is changed one way.

mod exposed;
mod home_files;
mod home_format;
mod kept_time;
mod running_servers;

pub(crate) use home_files::{
    ADDRESSES, AUTHORITY, CERTIFICATE, CHOSEN_PASSWORD, CONFIG, DIGESTS, HomeFile, INVITATIONS,
    KEY, KNOWN_SERVERS, PASSWORD, SERVERS, SIGNING_KEY, TOKENS, UPLOADS,
};
pub(crate) use home_format::{check_format, prepare};
pub(crate) use kept_time::{DAY, KeptTime, learn as learn_time};
pub(crate) use running_servers::{RunningServer, note as note_server, noted as noted_servers};

use std::ffi::OsString;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::{env, io};

use crate::disk;
use crate::disk::ChangeLock;
use crate::error::{Error, ErrorKind, Result};
use exposed::{Reach, Us};

/// The home of skep: `SKEP_HOME`, else `$XDG_CONFIG_HOME/skep`, else `~/.config/skep`.
///
/// # Errors
/// `Usage` if none of the three is set.
pub(crate) fn directory() -> Result<PathBuf> {
    find(|name| env::var_os(name))
}

/// Checks that a home is this user's, and that only its owner can read the secrets of it, and change what
/// skep trusts. What is not there is nobody's.
///
/// # Errors
/// `Usage` with the commands that mend it.
pub(crate) fn check_modes(home: &Path) -> Result<()> {
    let own = env::var_os("HOME").filter(|home| !home.is_empty());
    let own = own.map(PathBuf::from);

    // On Android, what is above the directories of an app is of a user called system.
    let owners = match env::var_os("ANDROID_ROOT") {
        Some(_) => own.as_deref(),
        None => Some(Path::new("/")),
    };
    let modes = own.as_deref();
    exposed::check(home, Reach { modes, owners })
}

/// The owner of a file that belongs to another user than this one and root.
pub(crate) fn stranger(path: &Path) -> Option<u32> {
    Us::now().stranger(path)
}

fn find(read: impl Fn(&str) -> Option<OsString>) -> Result<PathBuf> {
    let path = |name| {
        read(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };

    if let Some(home) = path("SKEP_HOME") {
        return Ok(home);
    }

    // A relative path there is to be ignored, says the specification.
    if let Some(config) = path("XDG_CONFIG_HOME").filter(|path| path.is_absolute()) {
        return Ok(config.join("skep"));
    }

    // A system service may have none of the three, and must not write to where it happens to stand.
    match path("HOME") {
        Some(home) => Ok(home.join(".config/skep")),
        None => Err(Error::new(
            ErrorKind::Usage,
            "there is no place for keys and known servers: neither SKEP_HOME nor HOME is set",
        )
        .hint("set SKEP_HOME to a directory of yours")),
    }
}

impl HomeFile {
    /// Where it is in a home.
    pub(crate) fn path(&self, home: &Path) -> PathBuf {
        home.join(self.name)
    }

    /// What is in it, as [`disk::read_text`] reads it; nothing if it is not there.
    ///
    /// # Errors
    /// `Usage` with the path, if it cannot be read.
    pub(crate) fn read(&self, home: &Path) -> Result<String> {
        let path = self.path(home);

        match disk::read_text(&path) {
            // No file is made before there is something to keep.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
            read => read.map_err(|error| {
                let told = Error::local(format!("reading {}", path.display()), error);
                match told.kind() {
                    ErrorKind::Usage => told.hint(format!(
                        "make it readable for its owner (chmod u+r); without it: {}",
                        self.loss.replace('`', "'")
                    )),
                    _ => told,
                }
            }),
        }
    }

    /// Replaces it as a whole, durably; the home is made where it is missing.
    ///
    /// # Errors
    /// `Usage` with the path, if it cannot be written; the old content then stays.
    pub(crate) fn write(&self, home: &Path, text: &str) -> Result<()> {
        prepare(home)?;
        let path = self.path(home);
        disk::write(&path, text.as_bytes(), self.mode)
            .map_err(|error| Error::local(format!("writing {}", path.display()), error))
    }

    /// Reads it, changes it and writes it, while no other process does the same. `change` returns the
    /// new text, or `None` if nothing has changed; it may change another file of the home.
    ///
    /// # Errors
    /// Those of `change`, after which nothing has been written; `Usage` if the file cannot be read or
    /// written; `Busy` if another process keeps the lock for too long.
    pub(crate) fn change(
        &self,
        home: &Path,
        change: impl FnOnce(&str) -> Result<Option<String>>,
    ) -> Result<()> {
        let path = home.join(format!("{}.lock", self.name));
        prepare(home)?;

        // Held to the end: what is written below is what was read below.
        let _lock = ChangeLock::wait(&path).map_err(|error| self.not_locked(home, &path, error))?;

        // Read under the lock, or a change of somebody else would be undone.
        match change(&self.read(home)?)? {
            Some(text) => self.write(home, &text),
            None => Ok(()),
        }
    }

    fn not_locked(&self, home: &Path, path: &Path, error: io::Error) -> Error {
        if error.kind() == io::ErrorKind::TimedOut {
            let text = format!("{} was not changed: {error}", self.path(home).display());
            let error = Error::new(ErrorKind::Busy, text).of_this_device();
            return error.hint("try again, or see what still runs");
        }

        Error::local(format!("opening {}", path.display()), error)
    }

    /// Checks that it can be read, changed and written, with room for a line more, and leaves it as it is:
    /// for what cannot be had a second time if keeping it fails.
    ///
    /// # Errors
    /// As [`HomeFile::change`].
    pub(crate) fn check_change(&self, home: &Path) -> Result<()> {
        self.change(home, |text| {
            let room = vec![b' '; text.len() + LINE_BYTES_MAX];
            let write = || {
                let mut part = disk::Part::create(home, ".")?;
                part.write_all(&room)?;
                part.sync()
            };

            let path = self.path(home);
            write().map_err(|error| Error::local(format!("writing {}", path.display()), error))?;
            Ok(None)
        })
    }
}

/// More than any line of a file of the home has.
const LINE_BYTES_MAX: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    use std::fs;

    #[test]
    fn no_change_is_lost_and_none_is_half() {
        let home = tempfile::tempdir().unwrap();
        let change = |number: usize| {
            KNOWN_SERVERS.change(home.path(), |text| Ok(Some(format!("{text}{number}\n"))))
        };
        std::thread::scope(|scope| {
            for number in 0..8 {
                scope.spawn(move || (0..10).for_each(|step| change(number * 10 + step).unwrap()));
            }
        });

        let text = KNOWN_SERVERS.read(home.path()).unwrap();
        let mut numbers: Vec<usize> = text.lines().map(|line| line.parse().unwrap()).collect();
        numbers.sort_unstable();
        assert_eq!(numbers, (0..80).collect::<Vec<_>>());

        let refused = KNOWN_SERVERS.change(home.path(), |_| {
            Err(Error::new(ErrorKind::Conflict, "as asked"))
        });
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::Conflict);
        assert_eq!(KNOWN_SERVERS.read(home.path()).unwrap(), text);
    }

    #[test]
    fn without_locks_a_change_waits_for_others_all_the_same() {
        let home = tempfile::tempdir().unwrap();
        let change = |number: usize| {
            disk::fault::set_locks(false);
            SERVERS.change(home.path(), |text| Ok(Some(format!("{text}{number}\n"))))
        };
        std::thread::scope(|scope| {
            for number in 0..8 {
                scope.spawn(move || (0..5).for_each(|step| change(number * 5 + step).unwrap()));
            }
        });
        let text = SERVERS.read(home.path()).unwrap();
        assert_eq!(text.lines().count(), 40, "{text}");
    }

    #[test]
    fn who_waited_in_vain_may_try_again() {
        let kept = io::Error::new(io::ErrorKind::TimedOut, "somebody keeps it");
        let path = Path::new("/home/pi/servers.lock");
        let error = SERVERS.not_locked(Path::new("/home/pi"), path, kept);
        assert!(error.kind() == ErrorKind::Busy && error.is_local());
        assert!(error.message().contains("/home/pi/servers was not changed"));

        let denied = io::ErrorKind::PermissionDenied.into();
        let error = SERVERS.not_locked(Path::new("/home/pi"), path, denied);
        assert_eq!(error.kind(), ErrorKind::Usage);
        assert!(error.message().contains("opening /home/pi/servers.lock"));
    }

    #[test]
    fn a_check_finds_whatever_a_change_would_fail_at() {
        let home = tempfile::tempdir().unwrap();
        SERVERS.write(home.path(), "pi\n").unwrap();

        let mut found = 0;
        for call in 0.. {
            disk::fault::set(Some(call));
            let result = SERVERS.check_change(home.path());
            let is_reached = !disk::fault::set(None);
            if !is_reached {
                result.unwrap();
                break;
            }
            result.unwrap_err();
            found += 1;
        }

        // To create, to write, and to have it on the disk.
        assert_eq!(found, 3);
        assert_eq!(SERVERS.read(home.path()).unwrap(), "pi\n");
        let names = fs::read_dir(home.path()).unwrap();
        let mut names: Vec<_> = names.map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["format", "servers", "servers.lock"]);
    }

    #[test]
    fn a_byte_order_mark_is_no_content() {
        let home = tempfile::tempdir().unwrap();
        fs::write(SERVERS.path(home.path()), "\u{feff}pi").unwrap();
        assert_eq!(SERVERS.read(home.path()).unwrap(), "pi");
        assert_eq!(TOKENS.read(home.path()).unwrap(), "");
    }

    #[test]
    fn who_cannot_read_a_file_is_told_what_to_do_in_a_sentence() {
        let home = tempfile::tempdir().unwrap();
        fs::create_dir(TOKENS.path(home.path())).unwrap();
        let error = TOKENS.read(home.path()).unwrap_err();
        let text = error.to_string();
        assert!(
            text.contains("tokens: is a directory; make it readable"),
            "{text}"
        );
        assert!(
            text.contains("without it: every token") && !text.contains('`'),
            "{text}"
        );
        assert!(error.hint_text().unwrap().len() < 150, "{text}");
    }

    #[test]
    fn the_first_that_is_set_counts() {
        let found = |pairs: &[(&str, &str)]| {
            find(|name| {
                let pair = pairs.iter().find(|pair| pair.0 == name);
                pair.map(|pair| OsString::from(pair.1))
            })
        };
        let all = [
            ("SKEP_HOME", "a"),
            ("XDG_CONFIG_HOME", "/b"),
            ("HOME", "/c"),
        ];
        assert_eq!(found(&all).unwrap(), PathBuf::from("a"));
        assert_eq!(found(&all[1..]).unwrap(), PathBuf::from("/b/skep"));
        assert_eq!(found(&all[2..]).unwrap(), PathBuf::from("/c/.config/skep"));
        let odd = [("SKEP_HOME", ""), ("XDG_CONFIG_HOME", "b"), ("HOME", "/c")];
        assert_eq!(found(&odd).unwrap(), PathBuf::from("/c/.config/skep"));
        assert_eq!(found(&[]).unwrap_err().kind(), ErrorKind::Usage);
    }
}
