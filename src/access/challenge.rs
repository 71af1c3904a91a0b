// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The scheme `Skep-HMAC`: a secret is proved over a line that can be read, and does not cross it.
//!
//! It is built like Digest (RFC 7616): the server gives a nonce, the client answers with an HMAC over
//! method, target, nonce, a nonce of its own, a count and the digests of the content that the request
//! announces. The key is the SHA-256 of the secret, which is all that a server keeps of it.
//!
//! Limits: it does not encrypt, it does not prove who the server is, and of the body it covers only what
//! `Content-Digest` or `Repr-Digest` say. Whoever listens can try out guesses at home, so only random
//! secrets may be used: tokens and generated passwords. A chosen password is kept by argon2, whose
//! output is no such key, and cannot be used at all.

use super::challenge_answer::ChallengeAnswer;
use crate::access::challenge_answer::{SCHEME, SignedRequest, response};
use crate::access::secrets::{Lock, Password, letters};
use crate::error::Result;

/// Secrets with less than this could be guessed by whoever listens.
pub(crate) const TOKEN_CHARACTERS_MIN: usize = 20;

/// A challenge, as a client received it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Challenge {
    nonce: String,
}

impl Challenge {
    /// The challenge in the value of a `WWW-Authenticate` field, which may have several.
    pub(crate) fn find(field: &str) -> Option<Self> {
        // Names of schemes do not depend on case (RFC 9110 section 11.1).
        let lower = field.to_ascii_lowercase();
        let start = lower.find(&SCHEME.to_ascii_lowercase())? + SCHEME.len();
        let rest = field.get(start..)?;
        let (_, rest) = rest.split_once("nonce=\"")?;
        let (nonce, _) = rest.split_once('"')?;

        // The nonce is sent back in a field, where nothing in it may end the quotes or the line.
        let is_plain = nonce
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));

        (is_plain && (1..=200).contains(&nonce.len())).then(|| Self {
            nonce: nonce.to_owned(),
        })
    }

    /// The value of an `Authorization` field; `count` begins with 1 and grows with each request.
    ///
    /// # Errors
    /// `Internal` if the system has no random numbers.
    pub(crate) fn answer(
        &self,
        secret: &Password,
        count: u32,
        signed: SignedRequest<'_>,
    ) -> Result<String> {
        let key = Lock::new(secret.text().as_bytes());

        // Our own nonce keeps a false server from choosing all of the text that the HMAC covers.
        let (nonce, own) = (self.nonce.clone(), letters(20)?);
        let response = response(&key, signed, &nonce, &own, count);

        Ok(ChallengeAnswer {
            nonce,
            count,
            own,
            response,
        }
        .to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::credentials::Credentials;

    const SIGNED: SignedRequest<'_> = SignedRequest {
        method: "PUT",
        target: "/v1/models/a?b",
        digests: ["sha-256=:x:", ""],
    };

    fn answer(text: &str) -> ChallengeAnswer {
        match Credentials::read(text) {
            Credentials::Answer(answer) => answer,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_answer_proves_the_secret_for_one_request_only() {
        let field = "Basic realm=\"a\", skep-hmac realm=\"a\", nonce=\"ab-_9\", stale=true, Bearer";
        let challenge = Challenge::find(field).unwrap();
        let secret = Password::generate().unwrap();
        let text = challenge.answer(&secret, 7, SIGNED).unwrap();
        assert!(!text.contains(secret.text()));
        let (key, read) = (Lock::new(secret.text().as_bytes()), answer(&text));
        assert_eq!((read.nonce.as_str(), read.count), ("ab-_9", 7));
        assert!(read.is_of(&key, SIGNED));
        assert!(!read.is_of(&Lock::new(b"other"), SIGNED));
        for other in [
            SignedRequest {
                method: "GET",
                ..SIGNED
            },
            SignedRequest {
                target: "/v1/models/b",
                ..SIGNED
            },
            SignedRequest {
                digests: ["sha-256=:y:", ""],
                ..SIGNED
            },
            SignedRequest {
                digests: ["", "sha-256=:x:"],
                ..SIGNED
            },
        ] {
            assert!(!read.is_of(&key, other), "{other:?}");
        }
        assert!(!answer(&text.replace("count=7", "count=8")).is_of(&key, SIGNED));
        assert!(!answer(&text.replace("ab-_9", "ab-_8")).is_of(&key, SIGNED));
    }

    #[test]
    fn the_formula_is_the_documented_one() {
        // printf 'Skep-HMAC 1\nGET\n/v1/models\nn\nc\n1\n\n\n' | openssl dgst -sha256 -mac HMAC
        //   -macopt hexkey:$(printf secret | sha256sum | cut -c1-64)
        let signed = SignedRequest {
            method: "GET",
            target: "/v1/models",
            digests: ["", ""],
        };
        let computed = response(&Lock::new(b"secret"), signed, "n", "c", 1);
        assert_eq!(
            computed.to_string(),
            "57e2ac52dbc654119aae321f40184c1474af3326c36b7231bb6ccbdef8d948ec"
        );
    }

    #[test]
    fn other_fields_have_no_challenge() {
        for field in [
            "",
            "Basic realm=\"skep\"",
            "Skep-HMAC",
            "Skep-HMAC nonce=\"\"",
            "Skep-HMAC nonce=\"a b\"",
        ] {
            assert_eq!(Challenge::find(field), None, "{field}");
        }
    }
}
