// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Passwords: how they are made, carried in an `Authorization` field, and compared without telling
//! by the time it takes how much of a guess was right.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::digest::Digest;
use crate::error::{Error, ErrorKind, Result};

/// A password in clear text, which neither `Debug` nor a log ever shows.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(String);

impl Password {
    /// Takes a password as the user wrote it.
    ///
    /// # Errors
    /// `Usage` if it is empty or has a line break in it, which no client could send.
    pub fn new(text: impl Into<String>) -> Result<Self> {
        let text = text.into();
        if text.is_empty() {
            return Err(Error::new(ErrorKind::Usage, "the password is empty"));
        }
        if text.contains(['\n', '\r', '\0']) {
            return Err(Error::new(ErrorKind::Usage, "the password has a line break or NUL in it"));
        }
        Ok(Self(text))
    }

    /// Makes a password of 20 letters and digits, about 99 bits, none of them easily confused.
    ///
    /// # Errors
    /// `Internal` if the system has no random numbers.
    pub fn generate() -> Result<Self> {
        let mut text = String::with_capacity(LENGTH);
        while text.len() < LENGTH {
            let mut bytes = [0; 32];
            getrandom::fill(&mut bytes).map_err(|error| {
                Error::new(ErrorKind::Internal, format!("no random numbers: {error}"))
            })?;
            // Bytes beyond the last whole multiple are thrown away, so every letter is as likely.
            let fair = bytes.iter().map(|byte| usize::from(*byte)).filter(|byte| *byte < 248);
            text.extend(fair.map(|byte| char::from(LETTERS[byte % LETTERS.len()])));
        }
        text.truncate(LENGTH);
        Ok(Self(text))
    }

    /// The text, to be sent or kept in a file.
    pub fn text(&self) -> &str {
        &self.0
    }

    /// The value of an `Authorization` field that carries this password (RFC 7617).
    pub fn basic(&self) -> String {
        format!("Basic {}", STANDARD.encode(format!("skep:{}", self.0)))
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(..)")
    }
}

/// What a server keeps of its password: enough to recognise it, not enough to tell it.
#[derive(Clone, Debug)]
pub(crate) struct Lock(Digest);

impl Lock {
    /// A lock that this password opens.
    pub(crate) fn new(password: &Password) -> Self {
        Self(Digest::of(password.text().as_bytes()))
    }

    /// Whether what a caller presented is the password. Digests are compared in constant time.
    pub(crate) fn opens(&self, presented: &[u8]) -> bool {
        Digest::of(presented) == self.0
    }
}

/// The password in an `Authorization` field: `Bearer PASSWORD` or `Basic base64(ANY:PASSWORD)`;
/// `None` for other schemes and what cannot be read.
pub(crate) fn presented(field: &str) -> Option<Vec<u8>> {
    let (scheme, value) = field.trim().split_once(' ')?;
    let value = value.trim_start();
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(value.as_bytes().to_vec());
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let pair = STANDARD.decode(value).ok()?;
    let colon = pair.iter().position(|byte| *byte == b':')?;
    Some(pair[colon + 1..].to_vec())
}

/// The user name in an `Authorization` field of the scheme Basic.
pub(crate) fn user(field: &str) -> Option<String> {
    let (scheme, value) = field.trim().split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let pair = String::from_utf8(STANDARD.decode(value.trim_start()).ok()?).ok()?;
    pair.split_once(':').map(|(user, _)| user.to_owned())
}

const LENGTH: usize = 20;

/// 31 letters and digits without `0 1 i l o`; 248 is 8 times 31.
const LETTERS: &[u8; 31] = b"abcdefghjkmnpqrstuvwxyz23456789";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn made_passwords_are_long_and_differ() {
        let (one, other) = (Password::generate().unwrap(), Password::generate().unwrap());
        assert_eq!(one.text().len(), LENGTH);
        assert!(one.text().bytes().all(|byte| LETTERS.contains(&byte)));
        assert_ne!(one, other);
    }

    #[test]
    fn both_schemes_carry_a_password() {
        let password = Password::new("pass:w\u{f6}rd").unwrap();
        let lock = Lock::new(&password);
        assert!(lock.opens(&presented(&password.basic()).unwrap()));
        assert!(lock.opens(&presented("bearer  pass:w\u{f6}rd").unwrap()));
        assert!(!lock.opens(&presented("Bearer password").unwrap()));
        for unreadable in ["", "Basic", "Basic ###", "Basic bm9jb2xvbg==", "Digest x"] {
            assert_eq!(presented(unreadable), None, "{unreadable}");
        }
    }

    #[test]
    fn a_password_is_never_shown() {
        assert_eq!(format!("{:?}", Password::new("secret").unwrap()), "Password(..)");
    }

    #[test]
    fn unusable_passwords_are_refused() {
        assert!(Password::new("").is_err());
        assert!(Password::new("a\nb").is_err());
    }
}
