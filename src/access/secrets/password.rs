// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Passwords: how they are made, and what a server keeps of those that are random enough to be kept as
//! a plain digest.

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
            return Err(Error::new(
                ErrorKind::Usage,
                "the password has a line break or NUL in it",
            ));
        }

        Ok(Self(text))
    }

    /// Makes a password of 20 letters and digits, about 99 bits, none of them easily confused.
    ///
    /// # Errors
    /// `Internal` if the system has no random numbers.
    pub fn generate() -> Result<Self> {
        letters(LENGTH).map(Self)
    }

    /// Makes a token: `skep_` and 32 of the same letters, about 158 bits.
    ///
    /// # Errors
    /// `Internal` if the system has no random numbers.
    pub(crate) fn generate_token() -> Result<Self> {
        Self::generate_token_as(TokenForm::Own)
    }

    /// The same, in a form that clients expect.
    ///
    /// # Errors
    /// As [`Password::generate_token`].
    pub(crate) fn generate_token_as(form: TokenForm) -> Result<Self> {
        let (prefix, count) = form.parts();
        Ok(Self(format!("{prefix}{}", letters(count)?)))
    }

    /// Whether it has the form of those that are made here, and so cannot be guessed.
    pub(crate) fn is_made(&self) -> bool {
        is_made(self.0.as_bytes())
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

/// What a token looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TokenForm {
    Own,
    /// As those of Hugging Face: some clients show no others to the API of a hub.
    Hub,
}

impl TokenForm {
    /// How it begins, so that people and scanners for leaked secrets recognise it, and how many letters follow.
    fn parts(self) -> (&'static str, usize) {
        match self {
            Self::Own => ("skep_", 32),
            Self::Hub => ("hf_", 34),
        }
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(..)")
    }
}

/// What a server keeps of a secret with enough randomness: enough to recognise it, not enough to tell
/// it. Two locks are compared in constant time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lock(Digest);

impl Lock {
    /// A lock that this secret opens.
    pub(crate) fn new(secret: &[u8]) -> Self {
        Self(Digest::of(secret))
    }

    /// A lock whose digest was kept.
    pub(crate) fn from_digest(digest: Digest) -> Self {
        Self(digest)
    }

    /// What is kept of it.
    pub(crate) fn digest(&self) -> &Digest {
        &self.0
    }
}

/// Whether a secret has exactly the form of a made password or of a token.
pub(crate) fn is_made(secret: &[u8]) -> bool {
    is_token(secret) || are_letters(secret, LENGTH)
}

/// Whether a secret has exactly the form of a token, known or not: nobody chooses such a password.
pub(crate) fn is_token(secret: &[u8]) -> bool {
    [TokenForm::Own, TokenForm::Hub].into_iter().any(|form| {
        let (prefix, count) = form.parts();
        let letters = secret.strip_prefix(prefix.as_bytes());
        letters.is_some_and(|letters| are_letters(letters, count))
    })
}

fn are_letters(text: &[u8], length: usize) -> bool {
    text.len() == length && text.iter().all(|letter| LETTERS.contains(letter))
}

/// So many random letters and digits.
///
/// # Errors
/// `Internal` if the system has no random numbers.
fn letters(count: usize) -> Result<String> {
    let mut text = String::with_capacity(count + 32);
    while text.len() < count {
        let bytes: [u8; 32] = random()?;
        // Bytes beyond the last whole multiple are thrown away, so every letter is as likely.
        let fair = bytes
            .iter()
            .map(|byte| usize::from(*byte))
            .filter(|byte| *byte < 248);
        text.extend(fair.map(|byte| char::from(LETTERS[byte % LETTERS.len()])));
    }

    text.truncate(count);

    Ok(text)
}

/// Random bytes.
///
/// # Errors
/// `Internal` if the system has none.
pub(crate) fn random<const N: usize>() -> Result<[u8; N]> {
    crate::random::bytes()
}

/// The password that the dearning package publishes as its default: everybody knows it.
pub(crate) const PUBLISHED: &str = "dearning_secure";

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
        assert!(one.is_made() && other.is_made());
        let cut = &one.text()[1..];
        for words in [
            "my very own password",
            "twenty letters long.",
            cut,
            &format!("{cut}A"),
        ] {
            assert!(!Password::new(words).unwrap().is_made(), "{words}");
        }
        assert_ne!(one, other);
    }

    #[test]
    fn tokens_have_one_of_two_forms() {
        for (form, start, length) in [(TokenForm::Own, "skep_", 37), (TokenForm::Hub, "hf_", 37)] {
            let token = Password::generate_token_as(form).unwrap();
            assert!(token.text().starts_with(start) && token.is_made());
            assert_eq!(token.text().len(), length);
            for other in [
                &token.text()[1..],
                &token.text()[..36],
                &format!("{}a", token.text()),
            ] {
                assert!(!is_token(other.as_bytes()), "{other}");
            }
        }
        assert!(!is_token(format!("hf_{}", "a".repeat(32)).as_bytes()));
    }

    #[test]
    fn every_letter_of_a_made_password_is_as_likely() {
        let made = letters(10_000 * LETTERS.len()).unwrap();
        for letter in LETTERS {
            let count = made.bytes().filter(|one| one == letter).count();
            // Seven times the standard deviation; a letter that one more byte stood for had 11,250.
            assert!((9_300..10_700).contains(&count), "{letter}: {count}");
        }
    }

    #[test]
    fn a_password_is_never_shown() {
        assert_eq!(
            format!("{:?}", Password::new("secret").unwrap()),
            "Password(..)"
        );
    }

    #[test]
    fn unusable_passwords_are_refused() {
        assert!(Password::new("").is_err());
        assert!(Password::new("a\nb").is_err());
    }
}
