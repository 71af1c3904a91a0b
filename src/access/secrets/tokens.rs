// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Tokens: random secrets with a name, a role and an end, of which the home keeps digests only.
//!
//! The file `tokens` has a line for each: name, role, digest, and when it was made and when it ends,
//! in seconds since 1970 (`-` for never). A line that cannot be read lets nobody in and costs no other
//! token anything; it stays where it is until its token is removed. What is left of a line that was cut
//! has too few words, or an end that is over already.

use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::access::principal::{How, Principal};
use crate::access::role::Role;
use crate::access::secrets::password::{Lock, Password, letters};
use crate::error::{Error, ErrorKind, Result};
use crate::{clock, home};

/// All tokens of a home.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tokens {
    all: Vec<Token>,
    /// Lines that cannot be read, as they are.
    damaged: Vec<String>,
}

/// What is kept of a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) name: String,
    pub(crate) role: Role,
    pub(crate) lock: Lock,
    pub(crate) made: SystemTime,
    /// When it ends; `None` for never.
    pub(crate) end: Option<SystemTime>,
}

/// What a new token is to be.
pub(crate) struct NewToken {
    pub(crate) name: String,
    pub(crate) role: Role,
    pub(crate) end: Option<SystemTime>,
}

impl Tokens {
    /// The tokens of a home; none if there is no file.
    ///
    /// # Errors
    /// `Usage` if the file cannot be read.
    pub(crate) fn open(home: &Path) -> Result<Self> {
        let path = file(home);
        match std::fs::read_to_string(&path) {
            Ok(text) => Self::read(&text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(Error::local(
                format!("{} cannot be read", path.display()),
                error,
            )),
        }
    }

    /// Makes a token, keeps its digest, and returns the token, which is nowhere else.
    ///
    /// # Errors
    /// `Usage` for a name that cannot be one or a home that cannot be written, `Conflict` if there is
    /// one of that name, `TooLarge` if there are too many.
    pub(crate) fn add(home: &Path, new: NewToken) -> Result<Password> {
        if !is_plain(&new.name) {
            let text = "the name of a token is 1 to 64 letters, digits and . _ - @";
            return Err(Error::new(ErrorKind::Usage, text));
        }

        if !can_be_named(&new.name) {
            let text = format!("'{}' is what the log says of others", new.name);
            return Err(Error::new(ErrorKind::Usage, text).hint("name the token otherwise"));
        }

        let secret = Password::new(format!("{PREFIX}{}", letters(LETTERS)?))?;

        Self::change(home, |tokens| {
            let is_damaged = tokens.damaged.iter().any(|line| is_of(line, &new.name));
            if is_damaged || tokens.all.iter().any(|token| token.name == new.name) {
                let text = format!("there is a token '{}' already", new.name);
                return Err(Error::new(ErrorKind::Conflict, text)
                    .hint(format!("'skep token rm {}' removes it", new.name)));
            }
            if tokens.all.len() >= TOKENS_MAX {
                let text = format!("there are {TOKENS_MAX} tokens already");
                return Err(Error::new(ErrorKind::TooLarge, text).hint("remove some"));
            }
            let lock = Lock::new(secret.text().as_bytes());
            let (made, NewToken { name, role, end }) = (clock::now(), new);
            tokens.all.push(Token {
                name,
                role,
                lock,
                made,
                end,
            });
            Ok(())
        })?;

        Ok(secret)
    }

    /// Removes a token; a running server knows it no more from then on.
    ///
    /// # Errors
    /// `NotFound`, and `Usage` for a home that cannot be written.
    pub(crate) fn remove(home: &Path, name: &str) -> Result<()> {
        Self::change(home, |tokens| {
            let count = tokens.all.len() + tokens.damaged.len();
            tokens.all.retain(|token| token.name != name);
            tokens.damaged.retain(|line| !is_of(line, name));
            if tokens.all.len() + tokens.damaged.len() == count {
                let text = format!("there is no token '{}'", name.escape_debug());
                Err(Error::new(ErrorKind::NotFound, text).hint("'skep token ls' lists them"))
            } else {
                Ok(())
            }
        })
    }

    fn change(home: &Path, change: impl FnOnce(&mut Self) -> Result<()>) -> Result<()> {
        home::TOKENS.change(home, |text| {
            let mut tokens = Self::read(text)?;
            change(&mut tokens)?;
            Ok(Some(tokens.text()))
        })
    }

    /// All of them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Token> {
        self.all.iter()
    }

    /// Whose lock this is, if that token has not ended. All are looked at, whichever it is.
    pub(crate) fn principal(&self, lock: &Lock, now: SystemTime) -> Option<Principal> {
        let mut found = None;
        for token in &self.all {
            if token.lock == *lock {
                found = Some(token);
            }
        }
        found
            .filter(|token| !self.is_over(token, now))
            .map(Token::principal)
    }

    /// Whether a token has ended. A clock that was never set counts as standing where the newest
    /// token was made, so that no end is put off by much.
    pub(crate) fn is_over(&self, token: &Token, now: SystemTime) -> bool {
        let newest = self.all.iter().map(|token| token.made).max().unwrap_or(now);
        token.end.is_some_and(|end| end <= now.max(newest))
    }

    /// Reads the file. A line that cannot be read is told in the log by its number.
    ///
    /// # Errors
    /// None: what is not a file of tokens has no token in it.
    #[allow(
        clippy::unnecessary_wraps,
        reason = "all readers of watched files have one form"
    )]
    pub(crate) fn read(text: &str) -> Result<Self> {
        let mut tokens = Self::default();
        let mut numbers = Vec::new();

        // Editors of some systems put a byte order mark in front.
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);

        for (index, line) in text.lines().enumerate() {
            if line.trim().is_empty() || line.starts_with('#') {
                continue;
            }
            match Token::read(line) {
                Some(token) => tokens.all.push(token),
                None => {
                    tokens.damaged.push(line.to_owned());
                    numbers.push(index + 1);
                }
            }
        }

        if let Some(first) = numbers.first() {
            let more = match numbers.len() - 1 {
                0 => String::new(),
                more => format!(" (and {more} more)"),
            };
            log::error!(
                "{}, line {first}{more}: this is not a token, and it lets nobody in; remove it \
                 ('skep token rm NAME') and make the token anew",
                home::TOKENS.name
            );
        }

        Ok(tokens)
    }

    fn text(&self) -> String {
        let mut text =
            String::from("# Tokens of skep, as digests. 'skep token' changes this file.\n");
        for Token {
            name,
            role,
            lock,
            made,
            end,
        } in &self.all
        {
            let digest = lock.digest();
            let end = end.map_or_else(|| "-".to_owned(), |end| seconds(end).to_string());
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{name} {role} {digest} {} {end}", seconds(*made));
        }

        for line in &self.damaged {
            let _ = writeln!(text, "{line}");
        }

        text
    }
}

impl Token {
    fn read(line: &str) -> Option<Self> {
        let mut words = line.split_whitespace();
        let name = words
            .next()
            .filter(|name| is_plain(name) && can_be_named(name))?;
        let role = words.next()?.parse().ok()?;
        let lock = Lock::from_digest(words.next()?.parse().ok()?);
        let made = time(words.next()?)?;

        let end = match words.next()? {
            "-" => None,
            end => Some(time(end)?),
        };

        words.next().is_none().then_some(Self {
            name: name.to_owned(),
            role,
            lock,
            made,
            end,
        })
    }

    pub(crate) fn principal(&self) -> Principal {
        Principal {
            name: self.name.clone(),
            rights: self.role.rights(),
            how: How::Token,
        }
    }
}

/// Whether a name has the length and the letters of one.
fn is_plain(name: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || b"._-@".contains(&byte);
    (1..=NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(is_letter)
}

/// Whether a line that cannot be read begins with this name.
fn is_of(line: &str, name: &str) -> bool {
    line.split_whitespace().next() == Some(name)
}

/// Whether a token may have this name: it is not what logs call others by (see `Principal`), and has a
/// letter or a digit.
pub(crate) fn can_be_named(name: &str) -> bool {
    let is_taken = ["owner", "anonymous"]
        .iter()
        .any(|taken| name.eq_ignore_ascii_case(taken));
    !is_taken && name.bytes().any(|byte| byte.is_ascii_alphanumeric())
}

/// Where the tokens of a home are.
pub(crate) fn file(home: &Path) -> PathBuf {
    home::TOKENS.path(home)
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs()
}

fn time(seconds: &str) -> Option<SystemTime> {
    UNIX_EPOCH.checked_add(Duration::from_secs(seconds.parse().ok()?))
}

/// How a token begins, so that people and scanners for leaked secrets recognise it.
const PREFIX: &str = "skep_";

/// About 158 bits.
const LETTERS: usize = 32;

const NAME_BYTES_MAX: usize = 64;

/// Each of them is compared with every answer to a challenge.
const TOKENS_MAX: usize = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    fn new(name: &str, end: Option<SystemTime>) -> NewToken {
        NewToken {
            name: name.to_owned(),
            role: Role::Write,
            end,
        }
    }

    #[test]
    fn tokens_are_kept_as_digests_and_found_again() {
        let home = tempfile::tempdir().unwrap();
        let secret = Tokens::add(home.path(), new("pi-1", None)).unwrap();
        Tokens::add(home.path(), new("pi-2", None)).unwrap();
        let text = std::fs::read_to_string(file(home.path())).unwrap();
        assert!(!text.contains(&secret.text()[PREFIX.len()..]));
        let mode = std::fs::metadata(file(home.path())).unwrap();
        assert_eq!(std::os::unix::fs::MetadataExt::mode(&mode) & 0o777, 0o600);
        let tokens = Tokens::open(home.path()).unwrap();
        let found = tokens.principal(&Lock::new(secret.text().as_bytes()), SystemTime::now());
        assert_eq!(found.unwrap().name, "pi-1");
        assert_eq!(
            tokens.principal(&Lock::new(b"skep_x"), SystemTime::now()),
            None
        );
        let error = Tokens::add(home.path(), new("pi-1", None)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict);
        Tokens::remove(home.path(), "pi-1").unwrap();
        let error = Tokens::remove(home.path(), "pi-1").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert_eq!(Tokens::open(home.path()).unwrap().all.len(), 1);
    }

    #[test]
    fn a_token_ends_also_where_the_clock_was_set_back() {
        let home = tempfile::tempdir().unwrap();
        let now = SystemTime::now();
        let end = Some(now + Duration::from_secs(100));
        let secret = Tokens::add(home.path(), new("short", end)).unwrap();
        let lock = Lock::new(secret.text().as_bytes());
        let tokens = Tokens::open(home.path()).unwrap();
        assert!(tokens.principal(&lock, now).is_some());
        assert!(
            tokens
                .principal(&lock, now + Duration::from_secs(101))
                .is_none()
        );
        assert!(tokens.principal(&lock, UNIX_EPOCH).is_some());
        let past = Some(now - Duration::from_secs(100));
        let secret = Tokens::add(home.path(), new("past", past)).unwrap();
        let tokens = Tokens::open(home.path()).unwrap();
        assert!(
            tokens
                .principal(&Lock::new(secret.text().as_bytes()), UNIX_EPOCH)
                .is_none()
        );
    }

    #[test]
    fn a_line_that_cannot_be_read_costs_one_token_and_opens_nothing() {
        let digest = "0".repeat(64);
        let fine = format!("# x\n\na read {digest} 5 -\nb admin {digest} 5 6\n");
        assert_eq!(Tokens::read(&fine).unwrap().all.len(), 2);

        for bad in [
            "c",
            "c read x 5 -",
            &format!("c root {digest} 5 -"),
            &format!("c read {digest} 5"),
            &format!("c read {digest} 5 x"),
            &format!("owner admin {digest} 5 -"),
            &format!("\u{fffd} admin {digest} 5 -"),
        ] {
            for text in [format!("{bad}\n{fine}"), format!("\u{feff}{fine}{bad}")] {
                let tokens = Tokens::read(&text).unwrap();
                let names: Vec<_> = tokens.iter().map(|token| token.name.as_str()).collect();
                assert_eq!(names, ["a", "b"], "{bad}");
                assert_eq!(tokens.damaged, [bad]);
            }
        }
    }

    #[test]
    fn what_is_left_of_a_line_that_was_cut_opens_nothing() {
        let now = SystemTime::now();
        let token = Token {
            name: "pi".to_owned(),
            role: Role::Admin,
            lock: Lock::new(b"secret"),
            made: now,
            end: Some(now + Duration::from_secs(1000)),
        };
        let whole = Tokens {
            all: vec![token],
            damaged: Vec::new(),
        };
        let text = whole.text();
        let lock = Lock::new(b"secret");
        let opens = |text: &str| Tokens::read(text).unwrap().principal(&lock, now).is_some();

        assert!(opens(text.trim_end()));
        for end in 0..text.trim_end().len() {
            assert!(!opens(&text[..end]), "{end}");
        }
    }

    #[test]
    fn a_change_keeps_lines_that_cannot_be_read_until_their_token_is_removed() {
        let home = tempfile::tempdir().unwrap();
        std::fs::write(file(home.path()), "pi-1 write 12\npi-2 write 13\n").unwrap();
        Tokens::add(home.path(), new("pi-3", None)).unwrap();

        let error = Tokens::add(home.path(), new("pi-1", None)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict);
        Tokens::remove(home.path(), "pi-1").unwrap();
        Tokens::add(home.path(), new("pi-1", None)).unwrap();

        let tokens = Tokens::open(home.path()).unwrap();
        assert_eq!(tokens.all.len(), 2);
        assert_eq!(tokens.damaged, ["pi-2 write 13"]);
    }

    #[test]
    fn names_have_letters_and_a_length() {
        let home = tempfile::tempdir().unwrap();
        for bad in ["", "a b", "a\n", "\u{e9}", &"a".repeat(65)] {
            let error = Tokens::add(home.path(), new(bad, None)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Usage, "{bad}");
        }
    }
}
