// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Tokens: random secrets with a name, a role and an end, of which the home keeps public keys only.
//!
//! The file `tokens` has a line for each: name, role, public key, and when it was made and when it ends,
//! in seconds since 1970 (`-` for never). Format 1 of the home had the SHA-256 of the secret in place of
//! the key. Such a line is replaced when its token is first shown over TLS.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::access::principal::{How, Principal};
use crate::access::role::Role;
use crate::access::secrets::derived_key::{CallerKey, DerivedKey};
use crate::access::secrets::password::{Lock, Password, TokenForm};
use crate::error::{Error, ErrorKind, Result};
use crate::text::{entries, name_of, unreadable, with_entry};
use crate::{clock, home};

/// All tokens of a home.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tokens(Vec<Token>);

/// What is kept of a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) name: String,
    pub(crate) role: Role,
    pub(crate) key: TokenKey,
    pub(crate) made: SystemTime,
    /// When it ends; `None` for never.
    pub(crate) end: Option<SystemTime>,
}

/// By what a token is recognised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TokenKey {
    /// The public key that its secret stands for.
    Public(CallerKey),
    /// The SHA-256 of its secret, as format 1 of the home had it.
    Digest(Lock),
}

impl TokenKey {
    fn read(word: &str) -> Option<Self> {
        let public = word.parse().map(Self::Public);
        public
            .or_else(|_| {
                word.parse()
                    .map(|digest| Self::Digest(Lock::from_digest(digest)))
            })
            .ok()
    }
}

impl fmt::Display for TokenKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Public(key) => key.fmt(f),
            Self::Digest(lock) => lock.digest().fmt(f),
        }
    }
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
        let text = home::TOKENS.read(home)?;
        Ok(Self::read(&file(home), &text))
    }

    /// Makes a token, keeps its public key, and returns the token, which is nowhere else.
    ///
    /// # Errors
    /// `Usage` for a name that cannot be one or a home that cannot be written, `Conflict` if there is
    /// one of that name, `TooLarge` if there are too many.
    pub(crate) fn add(home: &Path, new: NewToken) -> Result<Password> {
        Self::add_as(home, new, TokenForm::Own)
    }

    /// The same, for a token of this form.
    ///
    /// # Errors
    /// As [`Tokens::add`].
    pub(crate) fn add_as(home: &Path, new: NewToken, form: TokenForm) -> Result<Password> {
        let secret = Password::generate_token_as(form)?;
        let key = DerivedKey::of(secret.text().as_bytes())
            .ok_or_else(|| Error::new(ErrorKind::Internal, "the new token has no key"))?;
        Self::add_key(home, new, *key.public())?;

        Ok(secret)
    }

    /// Keeps the public key of a token that somebody else has made.
    ///
    /// # Errors
    /// As [`Tokens::add`]; `Conflict` also if there is a token with that key.
    pub(crate) fn add_key(home: &Path, new: NewToken, key: CallerKey) -> Result<()> {
        check_name(&new.name)?;

        let token = Token {
            name: new.name,
            role: new.role,
            key: TokenKey::Public(key),
            made: clock::now(),
            end: new.end,
        };

        home::TOKENS.change(home, |text| {
            // Checked under the lock of the file, so that two commands at once cannot both add the name.
            // A line that cannot be read has its name, too: it could not be removed any more.
            if entries(text).any(|(_, line)| name_of(line) == Some(&token.name)) {
                let text = format!("there is a token '{}' already", token.name);
                return Err(Error::new(ErrorKind::Conflict, text)
                    .hint(format!("'skep token rm {}' removes it", token.name)));
            }

            // Two names for one key would make the log say who it was not.
            let known = entries(text).filter_map(|(_, line)| Token::read(line));
            if known.into_iter().any(|known| known.key == token.key) {
                let text = "there is a token with this public key already";
                return Err(Error::new(ErrorKind::BadRequest, text).hint("make a new key"));
            }

            if entries(text).count() >= TOKENS_MAX {
                let text = format!("there are {TOKENS_MAX} tokens already");
                return Err(Error::new(ErrorKind::TooLarge, text).hint("remove some"));
            }

            let text = if text.is_empty() { HEADER } else { text };
            Ok(Some(with_entry(text, &token.line())))
        })
    }

    /// Replaces the digest in the line of a token by the public key; a line that is another one by now
    /// stays.
    ///
    /// # Errors
    /// `Usage` if the home cannot be written.
    pub(crate) fn upgrade(home: &Path, old: &Token, key: CallerKey) -> Result<()> {
        let new = Token {
            key: TokenKey::Public(key),
            ..old.clone()
        };

        home::TOKENS.change(home, |text| {
            let lines = text.lines().map(|line| match Token::read(line) {
                Some(token) if token == *old => new.line(),
                _ => line.to_owned(),
            });
            let changed: String = lines.map(|line| line + "\n").collect();
            Ok((changed != text).then_some(changed))
        })
    }

    /// Removes a token; a running server knows it no more from then on.
    ///
    /// # Errors
    /// `NotFound`, and `Usage` for a home that cannot be written.
    pub(crate) fn remove(home: &Path, name: &str) -> Result<()> {
        home::TOKENS.change(home, |text| {
            let others: Vec<_> = text
                .lines()
                .filter(|line| name_of(line) != Some(name))
                .collect();

            if others.len() == text.lines().count() {
                let text = format!("there is no token '{}'", name.escape_debug());
                return Err(
                    Error::new(ErrorKind::NotFound, text).hint("'skep token ls' lists them")
                );
            }

            Ok(Some(
                others.iter().map(|line| format!("{line}\n")).collect(),
            ))
        })
    }

    /// All of them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Token> {
        self.0.iter()
    }

    /// The token with this key. All are looked at, whichever it is.
    pub(crate) fn find(&self, key: &TokenKey) -> Option<&Token> {
        let mut found = None;
        for token in &self.0 {
            if token.key == *key {
                found = Some(token);
            }
        }
        found
    }

    /// Whether some of them are kept as format 1 of the home had them.
    pub(crate) fn have_digests(&self) -> bool {
        self.0
            .iter()
            .any(|token| matches!(token.key, TokenKey::Digest(_)))
    }

    /// Whether a token has ended. A clock that was never set counts as standing where the newest
    /// token was made, so that no end is put off by much.
    pub(crate) fn is_over(&self, token: &Token, now: SystemTime) -> bool {
        let newest = self.0.iter().map(|token| token.made).max().unwrap_or(now);
        token.end.is_some_and(|end| end <= now.max(newest))
    }

    /// The tokens in a text; a line that cannot be read opens nothing, and is reported.
    pub(crate) fn read(path: &Path, text: &str) -> Self {
        let mut tokens = Vec::new();
        let mut bad = Vec::new();

        for (number, line) in entries(text) {
            match Token::read(line) {
                Some(token) => tokens.push(token),
                None => bad.push(number),
            }
        }

        if let Some(warning) = unreadable(path, &bad) {
            log::warn!("{warning}");
        }

        Self(tokens)
    }
}

impl Token {
    fn read(line: &str) -> Option<Self> {
        let mut words = line.split_whitespace();
        // A name that `add` refuses would be taken for somebody else in the log.
        let name = words
            .next()
            .filter(|name| is_plain(name) && can_be_named(name));
        let (name, role) = (name?.to_owned(), words.next()?.parse().ok()?);
        let key = TokenKey::read(words.next()?)?;
        let made = time(words.next()?)?;

        let end = match words.next()? {
            "-" => None,
            end => Some(time(end)?),
        };

        // A further word may be a restriction that a newer version wrote, so it is not ignored.
        words.next().is_none().then_some(Self {
            name,
            role,
            key,
            made,
            end,
        })
    }

    fn line(&self) -> String {
        let end = self
            .end
            .map_or_else(|| "-".to_owned(), |end| seconds(end).to_string());
        let (name, role, key) = (&self.name, self.role, &self.key);
        format!("{name} {role} {key} {} {end}", seconds(self.made))
    }

    pub(crate) fn principal(&self) -> Principal {
        Principal {
            name: self.name.clone(),
            rights: self.role.rights(),
            how: How::Token,
        }
    }
}

/// # Errors
/// `Usage` for a name that cannot be that of a token.
fn check_name(name: &str) -> Result<()> {
    if !is_plain(name) {
        let text = "the name of a token is 1 to 64 letters, digits and . _ - @";
        return Err(Error::new(ErrorKind::Usage, text));
    }

    // The log names callers, and a token called `owner` would pass for the owner there.
    if !can_be_named(name) {
        let text = format!(
            "'{name}' cannot be the name of a token: it is reserved, or has no letter or digit"
        );
        return Err(Error::new(ErrorKind::Usage, text).hint("choose another name"));
    }

    Ok(())
}

/// Whether a name has the length and the letters of one.
fn is_plain(name: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || b"._-@".contains(&byte);
    (1..=NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(is_letter)
}

/// Whether a token may have this name: it is not what logs call others by (see `Principal`), and has a
/// letter or a digit.
pub(crate) fn can_be_named(name: &str) -> bool {
    let is_taken = ["owner", "anonymous"]
        .iter()
        .any(|taken| name.eq_ignore_ascii_case(taken));
    !is_taken && name.bytes().any(|byte| byte.is_ascii_alphanumeric())
}

/// Whether a server may have named a token so.
pub(crate) fn is_token_name(name: &str) -> bool {
    is_plain(name)
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

const HEADER: &str = "# Tokens of skep, as public keys. 'skep token' changes this file.\n";

const NAME_BYTES_MAX: usize = 64;

/// Each of them is compared with every secret and every signature.
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

    /// Whether a secret opens one of these tokens now.
    fn opens(tokens: &Tokens, secret: &[u8], now: SystemTime) -> Option<String> {
        let key = *DerivedKey::of(secret)?.public();
        let token = tokens.find(&TokenKey::Public(key))?;
        (!tokens.is_over(token, now)).then(|| token.name.clone())
    }

    #[test]
    fn tokens_are_kept_as_public_keys_and_found_again() {
        let home = tempfile::tempdir().unwrap();
        let secret = Tokens::add(home.path(), new("pi-1", None)).unwrap();
        Tokens::add(home.path(), new("pi-2", None)).unwrap();
        let text = std::fs::read_to_string(file(home.path())).unwrap();
        assert!(!text.contains(&secret.text()["skep_".len()..]));
        // A digest of the secret would let whoever reads it try guesses, and served as a key before.
        let digest = crate::digest::Digest::of(secret.text().as_bytes());
        assert!(!text.contains(&digest.to_string()));
        let mode = std::fs::metadata(file(home.path())).unwrap();
        assert_eq!(std::os::unix::fs::MetadataExt::mode(&mode) & 0o777, 0o600);
        let tokens = Tokens::open(home.path()).unwrap();
        assert!(!tokens.have_digests());
        let found = opens(&tokens, secret.text().as_bytes(), SystemTime::now());
        assert_eq!(found.unwrap(), "pi-1");
        let other = Password::generate_token().unwrap();
        assert_eq!(
            opens(&tokens, other.text().as_bytes(), SystemTime::now()),
            None
        );
        let error = Tokens::add(home.path(), new("pi-1", None)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict);
        Tokens::remove(home.path(), "pi-1").unwrap();
        let error = Tokens::remove(home.path(), "pi-1").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        let left = Tokens::open(home.path()).unwrap();
        let names: Vec<_> = left.iter().map(|token| token.name.as_str()).collect();
        assert_eq!(names, ["pi-2"]);
    }

    #[test]
    fn a_token_ends_also_where_the_clock_was_set_back() {
        let home = tempfile::tempdir().unwrap();
        let now = SystemTime::now();
        let end = Some(now + Duration::from_secs(100));
        let secret = Tokens::add(home.path(), new("short", end)).unwrap();
        let bytes = secret.text().as_bytes();
        let tokens = Tokens::open(home.path()).unwrap();
        assert!(opens(&tokens, bytes, now).is_some());
        assert!(opens(&tokens, bytes, now + Duration::from_secs(101)).is_none());
        assert!(opens(&tokens, bytes, UNIX_EPOCH).is_some());
        let past = Some(now - Duration::from_secs(100));
        let secret = Tokens::add(home.path(), new("past", past)).unwrap();
        let tokens = Tokens::open(home.path()).unwrap();
        assert!(opens(&tokens, secret.text().as_bytes(), UNIX_EPOCH).is_none());
    }

    #[test]
    fn a_bad_line_opens_nothing_and_costs_no_other_token() {
        let digest = "0".repeat(64);
        let fine = format!("# x\n\na read {digest} 5 -\nb admin {digest} 5 6\n");
        let count = |text: &str| Tokens::read(Path::new("tokens"), text).0.len();
        assert_eq!(count(&fine), 2);
        let bad = format!("pi read x 5 -\nc root {digest} 5 -\nd read {digest} 5\n");
        for line in bad.lines().chain(["a", "\u{fffd}"]) {
            assert_eq!(count(line), 0, "{line}");
            assert_eq!(count(&format!("{line}\n{fine}")), 2, "{line}");
        }

        // What is added and removed leaves everything else as it was.
        let home = tempfile::tempdir().unwrap();
        std::fs::write(file(home.path()), format!("{bad}{fine}")).unwrap();
        Tokens::add(home.path(), new("new", None)).unwrap();
        Tokens::remove(home.path(), "b").unwrap();
        let text = std::fs::read_to_string(file(home.path())).unwrap();
        let kept = format!("{bad}# x\n\na read {digest} 5 -\nnew write ");
        assert!(text.starts_with(&kept), "{text}");

        // A bad line keeps its name until it is removed.
        let error = Tokens::add(home.path(), new("pi", None)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict);
        Tokens::remove(home.path(), "pi").unwrap();
        Tokens::add(home.path(), new("pi", None)).unwrap();
        assert_eq!(Tokens::open(home.path()).unwrap().0.len(), 3);
    }

    #[test]
    fn what_is_left_of_a_line_that_was_cut_opens_nothing() {
        let now = SystemTime::now();
        let secret = Password::generate_token().unwrap();
        let public = *DerivedKey::of(secret.text().as_bytes()).unwrap().public();
        let key = TokenKey::Public(public);
        let token = |name: &str| Token {
            name: name.to_owned(),
            role: Role::Admin,
            key: key.clone(),
            made: now,
            end: Some(now + Duration::from_secs(1000)),
        };
        let opens = |line: &str| {
            let tokens = Tokens::read(Path::new("tokens"), line);
            tokens
                .find(&key)
                .is_some_and(|token| !tokens.is_over(token, now))
        };

        let line = token("pi").line();
        assert!(opens(&line));
        for end in 0..line.len() {
            assert!(!opens(&line[..end]), "{end}");
        }

        // Nor does a name that the log has for others.
        assert!(!opens(&token("owner").line()));
    }

    #[test]
    fn a_line_of_format_1_is_replaced_by_the_public_key() {
        let home = tempfile::tempdir().unwrap();
        let secret = Password::generate_token().unwrap();
        let digest = crate::digest::Digest::of(secret.text().as_bytes());
        let other = "0".repeat(64);
        let text = format!("# mine\npi read {digest} 5 -\nold write {other} 5 6\n");
        std::fs::write(file(home.path()), &text).unwrap();

        let tokens = Tokens::open(home.path()).unwrap();
        assert!(tokens.have_digests());
        let lock = Lock::new(secret.text().as_bytes());
        let old = tokens.find(&TokenKey::Digest(lock)).unwrap();
        let key = *DerivedKey::of(secret.text().as_bytes()).unwrap().public();
        Tokens::upgrade(home.path(), old, key).unwrap();
        let upgraded = format!("# mine\npi read {key} 5 -\nold write {other} 5 6\n");
        assert_eq!(
            std::fs::read_to_string(file(home.path())).unwrap(),
            upgraded
        );

        // What somebody has removed meanwhile does not come back.
        Tokens::remove(home.path(), "pi").unwrap();
        Tokens::upgrade(home.path(), old, key).unwrap();
        assert!(
            Tokens::open(home.path())
                .unwrap()
                .find(&TokenKey::Public(key))
                .is_none()
        );
    }

    #[test]
    fn no_two_tokens_have_one_key() {
        let home = tempfile::tempdir().unwrap();
        let secret = Password::generate_token().unwrap();
        let key = *DerivedKey::of(secret.text().as_bytes()).unwrap().public();
        Tokens::add_key(home.path(), new("pi", None), key).unwrap();
        let error = Tokens::add_key(home.path(), new("phone", None), key).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BadRequest);
    }

    #[test]
    fn odd_names_are_refused() {
        let home = tempfile::tempdir().unwrap();
        for bad in ["", "a b", "a\n", "\u{e9}", &"a".repeat(65)] {
            let error = Tokens::add(home.path(), new(bad, None)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Usage, "{bad}");
        }
    }
}
