// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The answer to a challenge, as it stands in an `Authorization` field.

use std::fmt;

use super::challenge::{SCHEME, Signed, response};
use super::password::Lock;
use crate::digest::Digest;

/// Nonce, count and the client's own nonce, and the proof.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) nonce: String,
    pub(crate) count: u32,
    pub(crate) own: String,
    pub(crate) response: Digest,
}

impl Answer {
    /// Reads `nonce="...", count=1, cnonce="...", response="..."` in any order.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let value = |key: &str| {
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
    pub(crate) fn is_of(&self, key: &Lock, signed: Signed<'_>) -> bool {
        response(key, signed, &self.nonce, &self.own, self.count) == self.response
    }
}

impl fmt::Display for Answer {
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
