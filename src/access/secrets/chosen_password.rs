// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The password that a person chose: kept by argon2id (RFC 9106), which makes every guess cost memory
//! and time, and sized so that a Raspberry Pi Zero (512 MiB, one slow core) can pay it.

use std::collections::VecDeque;
use std::fmt::Display;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use argon2::password_hash::PasswordHasher as _;
use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Argon2, Block, Params, Version};
use ring::hmac;
use subtle::ConstantTimeEq as _;

use crate::access::secrets::password::{PUBLISHED, Password, random};
use crate::digest::Digest;
use crate::error::{Error, ErrorKind, Result};
use crate::threads::lock;
use crate::{disk, home};

/// What is kept of a chosen password; the right one is remembered for a while. Whoever asks takes care
/// that one guess is verified at a time, so that guesses never take more than 8 MiB together.
#[derive(Default)]
pub(crate) struct SlowLock {
    kept: Option<Kept>,
    good: Mutex<Good>,
    /// What every guess is computed in. Threads that take and give back so much again and again leave it
    /// with the allocator, each of them some.
    memory: Mutex<Vec<Block>>,
}

/// A digest of a password with its salt and its parameters, which are within the bounds of this file.
struct Kept(PasswordHash);

impl SlowLock {
    /// Reads the line that [`keep`] wrote, in the PHC string format.
    ///
    /// # Errors
    /// `Usage` if it is anything else, or asks for more than this house spends.
    pub(crate) fn read(text: &str) -> Result<Self> {
        let kept = Kept::read(text.trim()).ok_or_else(|| {
            Error::new(ErrorKind::Usage, "this is not what 'skep passwd' writes")
                .hint("set the password again with 'skep passwd'")
        })?;
        Ok(Self {
            kept: Some(kept),
            ..Self::default()
        })
    }

    /// A lock for a password that is kept nowhere.
    ///
    /// # Errors
    /// `Internal` if the system has no random numbers.
    pub(crate) fn of(password: &Password) -> Result<Self> {
        Ok(Self {
            kept: Some(Kept::make(password.text().as_bytes())?),
            ..Self::default()
        })
    }

    /// Whether a password was set at all.
    pub(crate) fn is_set(&self) -> bool {
        self.kept.is_some()
    }

    /// Whether this is the password, if that was found out lately.
    pub(crate) fn is_known(&self, secret: &[u8]) -> bool {
        self.is_set() && lock(&self.good).has(secret)
    }

    /// Whether this is the password, by a long computation unless that was found out lately.
    pub(crate) fn opens(&self, secret: &[u8]) -> bool {
        let Some(kept) = &self.kept else {
            return false;
        };

        if self.is_known(secret) {
            return true;
        }

        let opens = kept.is(secret, &mut lock(&self.memory));
        if opens {
            lock(&self.good).add(secret);
        }
        opens
    }
}

impl Kept {
    fn make(password: &[u8]) -> Result<Self> {
        let params = Params::new(MEMORY_KIB, PASSES, 1, Some(OUTPUT_BYTES)).map_err(failed)?;
        let salt = random::<SALT_BYTES>()?;
        let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);

        let hash = argon.hash_password_with_salt(password, &salt);
        hash.map(Self).map_err(failed)
    }

    /// The digests are compared in constant time.
    fn is(&self, password: &[u8], memory: &mut Vec<Block>) -> bool {
        let (Ok(params), Some(salt), Some(wanted)) =
            (Params::try_from(&self.0), &self.0.salt, &self.0.hash)
        else {
            return false;
        };

        memory.resize(params.block_count(), Block::new());
        let mut found = [0; OUTPUT_BYTES];
        let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let done = argon.hash_password_into_with_memory(password, salt, &mut found, memory);
        done.is_ok() && bool::from(found.ct_eq(wanted.as_bytes()))
    }

    /// Reads the PHC string format.
    fn read(text: &str) -> Option<Self> {
        let hash = PasswordHash::new(text).ok()?;

        // Only the variant and the version that this program writes are accepted.
        let is_argon2id = hash.algorithm.as_str() == Algorithm::Argon2id.as_str()
            && hash.version == Some(Version::V0x13.into());

        let params = Params::try_from(&hash).ok()?;

        // Verifying uses the numbers of the file: a slip in it could take all memory, or minutes
        // for each request.
        let is_affordable = params.m_cost() <= MEMORY_KIB_MAX
            && params.t_cost() <= PASSES_MAX
            && params.p_cost() == 1;

        let is_whole = hash.salt.is_some() && params.output_len() == Some(OUTPUT_BYTES);

        (is_argon2id && is_affordable && is_whole).then_some(Self(hash))
    }

    /// The line of the file that [`Kept::read`] reads.
    fn text(&self) -> String {
        format!("{}\n", self.0)
    }
}

fn failed(error: impl Display) -> Error {
    Error::new(
        ErrorKind::Internal,
        format!("the password cannot be digested: {error}"),
    )
}

/// The right passwords of late, as digests with a key that no other process has.
#[derive(Default)]
struct Good {
    key: Option<hmac::Key>,
    seen: VecDeque<(Digest, Instant)>,
}

impl Good {
    fn has(&self, secret: &[u8]) -> bool {
        let Some(key) = &self.key else { return false };
        let (tag, now) = (keyed(key, secret), Instant::now());
        self.seen
            .iter()
            .any(|(known, at)| *known == tag && now.duration_since(*at) < GOOD_FOR)
    }

    fn add(&mut self, secret: &[u8]) {
        // Without random numbers nothing is remembered, and each request pays for argon2.
        if self.key.is_none() {
            let Ok(key) = random::<32>() else { return };
            self.key = Some(hmac::Key::new(hmac::HMAC_SHA256, &key));
        }

        let Some(key) = &self.key else { return };
        let tag = keyed(key, secret);
        self.seen.retain(|(known, _)| *known != tag);
        if self.seen.len() >= GOOD_MAX {
            self.seen.pop_front();
        }

        self.seen.push_back((tag, Instant::now()));
    }
}

fn keyed(key: &hmac::Key, secret: &[u8]) -> Digest {
    Digest::of(hmac::sign(key, secret).as_ref())
}

/// Keeps a password that a person chose; a running server takes it from now on.
///
/// # Errors
/// `Usage` if it is too short or known to everybody, or if the home cannot be written.
pub(crate) fn keep(home: &Path, password: &Password) -> Result<()> {
    check(password.text())?;
    let kept = Kept::make(password.text().as_bytes())?.text();

    home::CHOSEN_PASSWORD.write(home, &kept)
}

/// Refuses what is among the first guesses.
///
/// # Errors
/// `Usage` with the reason.
pub(crate) fn check(text: &str) -> Result<()> {
    match weakness(text) {
        Some(reason) => {
            Err(Error::new(ErrorKind::Usage, reason).hint("use three or four random words"))
        }
        None => Ok(()),
    }
}

/// Why a password is among the first guesses; `None` if it is not.
pub(crate) fn weakness(text: &str) -> Option<String> {
    // Ten times the same character is long enough.
    let first = text.chars().next();
    let repeats = text.chars().all(|character| Some(character) == first);

    if text.chars().count() < CHARACTERS_MIN {
        Some(format!(
            "the password is too short: {CHARACTERS_MIN} characters at least"
        ))
    } else if repeats {
        Some("the password repeats a single character".to_owned())
    } else if text == PUBLISHED {
        Some("this password is published as dearning's default".to_owned())
    } else {
        None
    }
}

/// Forgets the chosen password.
///
/// # Errors
/// `NotFound` if there is none, `Usage` if the home cannot be written.
pub(crate) fn remove(home: &Path) -> Result<()> {
    disk::remove(&file(home)).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => Error::new(ErrorKind::NotFound, "no password was set"),
        _ => Error::local(format!("removing {}", file(home).display()), error),
    })
}

/// Where it is kept in a home.
pub(crate) fn file(home: &Path) -> PathBuf {
    home::CHOSEN_PASSWORD.path(home)
}

/// 8 MiB: a Pi Zero has 512 MiB for everything.
const MEMORY_KIB: u32 = 8 * 1024;

/// What the memory is smaller than usual, the passes are more (RFC 9106 section 4).
const PASSES: u32 = 4;

/// What a file may ask for: it was written by this program, but a slip must not stop the device.
const MEMORY_KIB_MAX: u32 = 64 * 1024;
const PASSES_MAX: u32 = 16;

const SALT_BYTES: usize = 16;
const OUTPUT_BYTES: usize = 32;

/// The least that NIST SP 800-63B asks of passwords that people choose is 8; nobody watches here.
pub(crate) const CHARACTERS_MIN: usize = 10;

/// How many right passwords are remembered, and how long. There is one; a change forgets it.
const GOOD_MAX: usize = 4;
const GOOD_FOR: Duration = Duration::from_secs(600);

#[cfg(test)]
mod tests {
    use super::*;

    fn password(text: &str) -> Password {
        Password::new(text).unwrap()
    }

    #[test]
    fn a_kept_password_is_recognised_and_nothing_else_is() {
        let home = tempfile::tempdir().unwrap();
        keep(home.path(), &password("correct horse battery")).unwrap();
        let text = std::fs::read_to_string(file(home.path())).unwrap();
        assert!(text.starts_with("$argon2id$v=19$m=8192,t=4,p=1$") && !text.contains("horse"));
        let slow = SlowLock::read(&text).unwrap();
        assert!(!slow.opens(b"correct horse batterx"));
        assert!(!slow.is_known(b"correct horse battery"));
        assert!(slow.opens(b"correct horse battery"));
        assert!(slow.is_known(b"correct horse battery") && !slow.is_known(b"correct horse"));
        assert!(!SlowLock::default().opens(b""));
        remove(home.path()).unwrap();
        assert_eq!(remove(home.path()).unwrap_err().kind(), ErrorKind::NotFound);
    }

    #[test]
    fn the_reference_of_argon2_is_understood() {
        // printf 'correct horse' | argon2 somesaltsomesalt -id -t 2 -k 8192 -p 1 -l 32 -e
        let text = "$argon2id$v=19$m=8192,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$K3Wd55Z72epI/vnwxX/5kaVWEdssdwjLlFHPncLm19U";
        let slow = SlowLock::read(text).unwrap();
        assert!(slow.opens(b"correct horse"));
        assert!(!slow.opens(b"correct horsf"));
    }

    #[test]
    fn a_file_of_the_first_version_is_understood_and_written_again() {
        let text = "$argon2id$v=19$m=8192,t=4,p=1$ZLigr+HXtU8QFlEkfvx0sQ\
                    $khEhMueXejAiZYF3hZ2h0lekpKbwMQSj12D3Bttqltg\n";
        let slow = SlowLock::read(text).unwrap();
        assert!(slow.opens(b"correct horse battery"));
        assert!(!slow.opens(b"correct horse batterx"));
        assert_eq!(slow.kept.unwrap().text(), text);
    }

    #[test]
    fn weak_passwords_and_odd_files_are_refused() {
        let home = tempfile::tempdir().unwrap();
        for weak in ["short", "aaaaaaaaaaaaaaa", PUBLISHED] {
            let error = keep(home.path(), &password(weak)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Usage, "{weak}");
        }
        assert!(!SlowLock::default().is_set() && !SlowLock::default().opens(b""));
        assert!(weakness("nine letr").is_some() && weakness("ten letter").is_none());
        let (salt, output) = ("c29tZXNhbHRzb21lc2FsdA", "A".repeat(43));
        for odd in [
            String::new(),
            "secret".to_owned(),
            format!("$argon2id$v=19$m=9999999,t=4,p=1${salt}${output}"),
            format!("$argon2id$v=19$m=8192,t=99,p=1${salt}${output}"),
            format!("$argon2id$v=19$m=8192,t=4,p=2${salt}${output}"),
            format!("$argon2id$v=19$m=8192,t=4,p=1${salt}$AAAA"),
            format!("$argon2id$v=19$m=8192,t=4,p=1${salt}$AAAAAAAAAAAAAAAAAAAAAA"),
            format!("$argon2id$v=19$m=8192,t=4,p=1${salt}"),
            format!("$argon2id$v=19$m=8192,t=4,p=1${salt}${output}$more"),
            format!("$argon2id$v=16$m=8192,t=4,p=1${salt}${output}"),
            format!("$argon2id$m=8192,t=4,p=1${salt}${output}"),
            format!("$argon2i$v=19$m=8192,t=4,p=1${salt}${output}"),
            format!("$pbkdf2-sha256$v=19$m=8192,t=4,p=1${salt}${output}"),
        ] {
            assert!(SlowLock::read(&odd).is_err(), "{odd}");
        }
    }

    #[test]
    fn few_are_remembered() {
        let mut good = Good::default();
        for number in 0..9_u8 {
            good.add(&[number]);
            good.add(&[number]);
        }
        assert_eq!(good.seen.len(), GOOD_MAX);
        assert!(good.has(&[8]) && !good.has(&[0]));
    }
}
