// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The keys of the secrets that were shown lately, so that a caller who shows one with each request
//! costs one HMAC and not the derivation of a key.
//!
//! What is kept of a secret is its HMAC with a key of this process: an image of its memory cannot be
//! compared with guesses elsewhere. Only the key is remembered, and never whose it is, so that the end
//! of a token counts at once.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use ring::hmac;

use crate::access::secrets::derived_key::{CallerKey, DerivedKey};
use crate::access::secrets::password::{is_made, random};
use crate::error::Result;
use crate::threads::lock;

/// Finds the keys of secrets.
pub(crate) struct RememberedKeys {
    key: hmac::Key,
    /// The latest last.
    entries: Mutex<VecDeque<RememberedKey>>,
}

struct RememberedKey {
    mark: hmac::Tag,
    key: CallerKey,
    since: Instant,
}

impl RememberedKeys {
    /// # Errors
    /// `Internal` if the system has no random numbers.
    pub(crate) fn new() -> Result<Self> {
        Ok(Self {
            key: hmac::Key::new(hmac::HMAC_SHA256, &random::<32>()?),
            entries: Mutex::default(),
        })
    }

    /// The public key of a secret; `None` for one that was not made here, which costs nothing.
    pub(crate) fn of(&self, secret: &[u8]) -> Option<CallerKey> {
        self.of_at(secret, Instant::now())
    }

    /// Keeps the key of a secret that has proved right; wrong ones would only push others out.
    pub(crate) fn remember(&self, secret: &[u8], key: CallerKey) {
        self.remember_at(secret, key, Instant::now());
    }

    fn of_at(&self, secret: &[u8], now: Instant) -> Option<CallerKey> {
        if !is_made(secret) {
            return None;
        }

        let mark = hmac::sign(&self.key, secret);
        let known = lock(&self.entries)
            .iter()
            .find(|entry| entry.mark.as_ref() == mark.as_ref() && is_fresh(entry, now))
            .map(|entry| entry.key);

        known.or_else(|| DerivedKey::of(secret).map(|key| *key.public()))
    }

    fn remember_at(&self, secret: &[u8], key: CallerKey, now: Instant) {
        let mut entries = lock(&self.entries);
        // The latest are those of callers that are at work now.
        if entries
            .iter()
            .rev()
            .any(|entry| entry.key == key && is_fresh(entry, now))
        {
            return;
        }

        entries.retain(|entry| is_fresh(entry, now));
        if entries.len() >= ENTRIES_MAX {
            entries.pop_front();
        }

        entries.push_back(RememberedKey {
            mark: hmac::sign(&self.key, secret),
            key,
            since: now,
        });
    }
}

fn is_fresh(entry: &RememberedKey, now: Instant) -> bool {
    now.saturating_duration_since(entry.since) < LIFE
}

/// How long a key is remembered.
const LIFE: Duration = Duration::from_secs(60);

/// More callers than a small device serves in that time.
const ENTRIES_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::secrets::Password;

    #[test]
    fn a_key_is_remembered_for_a_minute_and_never_for_another_secret() {
        let keys = RememberedKeys::new().unwrap();
        let start = Instant::now();
        let secret = Password::generate().unwrap();
        let secret = secret.text().as_bytes();
        let right = keys.of(secret).unwrap();
        // Nobody has this key: only memory can give it back.
        let planted = *DerivedKey::of(b"abcdefghjkmnpqrstuvw").unwrap().public();
        keys.remember_at(secret, planted, start);

        let later = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(keys.of_at(secret, later(59)), Some(planted));
        assert_eq!(keys.of_at(secret, later(60)), Some(right));
        let other = Password::generate().unwrap();
        let key = keys.of_at(other.text().as_bytes(), later(1)).unwrap();
        assert!(key != planted && key != right);
        assert_eq!(keys.of(b"four words of mine"), None);
    }

    #[test]
    fn memory_is_bounded() {
        let keys = RememberedKeys::new().unwrap();
        for _ in 0..2 * ENTRIES_MAX {
            let secret = Password::generate().unwrap();
            let secret = secret.text().as_bytes();
            keys.remember(secret, keys.of(secret).unwrap());
        }
        assert_eq!(lock(&keys.entries).len(), ENTRIES_MAX);
    }
}
