// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The Ed25519 key pair that a made secret stands for: its holder signs with it, and a server keeps the
//! public half only.
//!
//! The seed is HKDF-SHA-256 (RFC 5869) of the secret's text, without salt, for `skep/ed25519/1`. It is
//! exactly as hard to guess as the secret, so only secrets that were made here stand for a key: words
//! that people choose could be found by trying.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hkdf::{HKDF_SHA256, Salt};
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use subtle::ConstantTimeEq as _;

use crate::access::secrets::password::is_made;
use crate::error::{Error, ErrorKind};

/// The key pair of a secret. It is never printed.
pub(crate) struct DerivedKey {
    pair: Ed25519KeyPair,
    public: CallerKey,
}

impl DerivedKey {
    /// The key pair of a secret that was made here; `None` for every other one.
    pub(crate) fn of(secret: &[u8]) -> Option<Self> {
        if !is_made(secret) {
            return None;
        }

        let mut seed = [0; 32];
        let derived = Salt::new(HKDF_SHA256, &[]).extract(secret);
        derived
            .expand(&[PURPOSE], HKDF_SHA256)
            .ok()?
            .fill(&mut seed)
            .ok()?;

        let pair = Ed25519KeyPair::from_seed_unchecked(&seed).ok()?;
        let public = pair.public_key().as_ref().try_into().ok()?;

        Some(Self {
            pair,
            public: CallerKey(public),
        })
    }

    /// The public half.
    pub(crate) fn public(&self) -> &CallerKey {
        &self.public
    }

    /// The signature (RFC 8032) of a text.
    pub(crate) fn sign(&self, text: &[u8]) -> Vec<u8> {
        self.pair.sign(text).as_ref().to_vec()
    }
}

impl fmt::Debug for DerivedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DerivedKey(..)")
    }
}

/// A public key by which a caller is recognised. Its text is 43 letters of base64url without padding.
#[derive(Clone, Copy, Debug, Eq)]
pub(crate) struct CallerKey([u8; 32]);

impl CallerKey {
    /// Whether this key's holder has signed a text.
    pub(crate) fn has_signed(&self, text: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ED25519, self.0)
            .verify(text, signature)
            .is_ok()
    }
}

/// Takes the same time wherever two keys differ.
impl PartialEq for CallerKey {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl fmt::Display for CallerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl FromStr for CallerKey {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok();
        let key = bytes.and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
        key.map(Self).ok_or_else(|| {
            let text = "a public key is 43 letters of base64url";
            Error::new(ErrorKind::BadRequest, text)
        })
    }
}

/// What the seed is for, so that nothing else that is ever derived from a secret is equal to it.
const PURPOSE: &[u8] = b"skep/ed25519/1";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::secrets::Password;

    #[test]
    fn the_derivation_is_the_documented_one() {
        // Python's cryptography:
        // seed = HKDF(SHA256(), 32, None, b"skep/ed25519/1").derive(b"abcdefghjkmnpqrstuvw")
        // Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()
        let key = DerivedKey::of(b"abcdefghjkmnpqrstuvw").unwrap();
        assert_eq!(
            key.public().to_string(),
            "TebSzgz9y72KnnpuCBlprV7qWNV3aNiUO-L1YLhJV7I"
        );
        let token = DerivedKey::of(b"skep_e5q8h2n4v7c3k9x2m6w8r5t3y7p4j2d6").unwrap();
        assert_eq!(
            token.public().to_string(),
            "mCKTzRrcYnZ0Q-IyQ81dNY0N2JgMv6-t1leR_2QT8wQ"
        );
    }

    #[test]
    fn only_made_secrets_stand_for_keys() {
        let (made, token) = (
            Password::generate().unwrap(),
            Password::generate_token().unwrap(),
        );
        assert!(DerivedKey::of(made.text().as_bytes()).is_some());
        assert!(DerivedKey::of(token.text().as_bytes()).is_some());
        for chosen in [
            "",
            "correcthorsebatterystaple",
            "abcdefghjkmnpqrstuv",
            "abcdefghjkmnpqrstuvwx",
            "abcdefghjkmnpqrstuv1",
            "Abcdefghjkmnpqrstuvw",
            "skep_",
            "skep_abcdefghjkmnpqr",
            &token.text()[1..],
            &token.text().to_uppercase(),
            &format!("{}a", token.text()),
        ] {
            assert!(DerivedKey::of(chosen.as_bytes()).is_none(), "{chosen}");
        }
    }

    #[test]
    fn a_key_survives_being_written_down() {
        let key = *DerivedKey::of(b"abcdefghjkmnpqrstuvw").unwrap().public();
        assert_eq!(key.to_string().parse::<CallerKey>().unwrap(), key);
        assert_eq!(key.to_string().len(), 43);
        for bad in [
            "",
            "AAAA",
            &key.to_string()[1..],
            &format!("{key}="),
            &format!("{key}A"),
        ] {
            assert!(bad.parse::<CallerKey>().is_err(), "{bad}");
        }
    }

    #[test]
    fn what_one_key_signed_no_other_one_did() {
        let key = DerivedKey::of(b"abcdefghjkmnpqrstuvw").unwrap();
        let signature = key.sign(b"text");
        assert!(key.public().has_signed(b"text", &signature));
        assert!(!key.public().has_signed(b"texT", &signature));
        let other = DerivedKey::of(b"bbcdefghjkmnpqrstuvw").unwrap();
        assert!(!other.public().has_signed(b"text", &signature));
    }
}
