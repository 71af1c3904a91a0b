// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The answer to a challenge, as it stands in an `Authorization` field.

use std::fmt;

use ring::hmac;

use crate::access::secrets::Lock;
use crate::digest::Digest;

/// Nonce, count and the client's own nonce, and the proof.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ChallengeAnswer {
    pub(crate) nonce: String,
    pub(crate) count: u32,
    pub(crate) own: String,
    pub(crate) response: Digest,
}

impl ChallengeAnswer {
    /// Reads `nonce="...", count=1, cnonce="...", response="..."` in any order.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let value = |key: &str| {
            // No value of ours has a comma in it, so quoted strings need no parser.
            let mut members = text
                .split(',')
                .filter_map(|member| member.trim().split_once('='));
            let (_, value) = members.find(|(name, _)| name.trim().eq_ignore_ascii_case(key))?;
            let value = value.trim().trim_matches('"');
            (value.len() <= VALUE_BYTES_MAX && value.is_ascii()).then(|| value.to_owned())
        };

        let (nonce, own) = (value("nonce")?, value("cnonce")?);
        let count = value("count")?.parse().ok()?;

        Some(Self {
            nonce,
            count,
            own,
            response: value("response")?.parse().ok()?,
        })
    }

    /// Whether it proves the secret that opens this lock, for this request.
    pub(crate) fn is_of(&self, key: &Lock, signed: SignedRequest<'_>) -> bool {
        response(key, signed, &self.nonce, &self.own, self.count) == self.response
    }
}

impl fmt::Display for ChallengeAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            nonce,
            count,
            own,
            response,
        } = self;

        write!(
            f,
            "{SCHEME} nonce=\"{nonce}\", count={count}, cnonce=\"{own}\", "
        )?;

        write!(f, "response=\"{response}\"")
    }
}

const VALUE_BYTES_MAX: usize = 200;

/// The name of the scheme.
pub(crate) const SCHEME: &str = "Skep-HMAC";

/// What of a request an answer covers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SignedRequest<'a> {
    /// The method; GET where it is HEAD.
    pub(crate) method: &'a str,
    /// Path and query as they are sent.
    pub(crate) target: &'a str,
    /// The values of `Content-Digest` and `Repr-Digest`, empty where they are not sent.
    pub(crate) digests: [&'a str; 2],
}

/// The HMAC-SHA-256 (RFC 2104) over what an answer covers, one line for each. No part can have a line
/// break in it.
pub(crate) fn response(
    key: &Lock,
    signed: SignedRequest<'_>,
    nonce: &str,
    own: &str,
    count: u32,
) -> Digest {
    let SignedRequest {
        method,
        target,
        digests: [content, repr],
    } = signed;

    // A line for each part, empty where a digest is missing, so that no two requests have the same
    // text. The 1 is the version of this form.
    let text =
        format!("{SCHEME} 1\n{method}\n{target}\n{nonce}\n{own}\n{count}\n{content}\n{repr}\n");
    let key = hmac::Key::new(hmac::HMAC_SHA256, key.digest().as_bytes());
    let mut bytes = [0; 32];
    bytes.copy_from_slice(hmac::sign(&key, text.as_bytes()).as_ref());

    Digest::from_bytes(bytes)
}
