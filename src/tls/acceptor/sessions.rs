// SPDX-License-Identifier: Apache-2.0 OR MIT
//! TLS sessions that callers may resume: so many, for so long, and in the memory of the server only.
//!
//! A ticket is nothing but a random number under which the session is kept here, so there is no key that
//! would have to be changed, and whoever steals one later learns nothing of earlier traffic.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use rustls::server::StoresServerSessions;

use crate::threads::lock;

/// Sessions in the order in which they began.
#[derive(Default)]
pub(crate) struct Sessions(Mutex<VecDeque<KeptSession>>);

struct KeptSession {
    key: Vec<u8>,
    value: Vec<u8>,
    since: Instant,
}

impl Sessions {
    fn put_at(&self, key: Vec<u8>, value: Vec<u8>, since: Instant) -> bool {
        if key.len() + value.len() > SESSION_BYTES_MAX {
            return false;
        }

        let mut sessions = lock(&self.0);
        sessions.retain(|kept| kept.key != key);
        if sessions.len() >= SESSIONS_MAX {
            sessions.pop_front();
        }
        sessions.push_back(KeptSession { key, value, since });

        true
    }

    fn get_at(&self, key: &[u8], now: Instant) -> Option<Vec<u8>> {
        let mut sessions = lock(&self.0);
        forget_old(&mut sessions, now);
        let found = sessions.iter().find(|kept| kept.key == key)?;
        Some(found.value.clone())
    }

    fn take_at(&self, key: &[u8], now: Instant) -> Option<Vec<u8>> {
        let mut sessions = lock(&self.0);
        forget_old(&mut sessions, now);
        let index = sessions.iter().position(|kept| kept.key == key)?;
        sessions.remove(index).map(|kept| kept.value)
    }
}

/// The oldest sessions come first.
fn forget_old(sessions: &mut VecDeque<KeptSession>, now: Instant) {
    while let Some(oldest) = sessions.front()
        && now.saturating_duration_since(oldest.since) >= SESSION_AGE_MAX
    {
        sessions.pop_front();
    }
}

impl StoresServerSessions for Sessions {
    fn put(&self, key: Vec<u8>, value: Vec<u8>) -> bool {
        self.put_at(key, value, Instant::now())
    }

    fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.get_at(key, Instant::now())
    }

    fn take(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.take_at(key, Instant::now())
    }

    fn can_cache(&self) -> bool {
        true
    }
}

impl fmt::Debug for Sessions {
    /// Their content is secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sessions")
    }
}

/// How many sessions are kept; each handshake makes one.
const SESSIONS_MAX: usize = 256;

/// A session without a certificate is a few hundred bytes, most of them a name.
const SESSION_BYTES_MAX: usize = 2048;

/// How long a session can be resumed (RFC 8446 section 4.6.1 allows seven days).
const SESSION_AGE_MAX: Duration = Duration::from_secs(2 * 60 * 60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_are_few_and_end() {
        let (sessions, start) = (Sessions::default(), Instant::now());
        let key = |number: usize| number.to_be_bytes().to_vec();
        for number in 0..SESSIONS_MAX + 1 {
            assert!(sessions.put_at(key(number), vec![1], start));
        }
        assert_eq!(
            sessions.get_at(&key(0), start),
            None,
            "the oldest made room"
        );
        assert_eq!(sessions.get_at(&key(1), start), Some(vec![1]));
        assert!(!sessions.put_at(key(0), vec![0; SESSION_BYTES_MAX], start));

        assert_eq!(sessions.take_at(&key(1), start), Some(vec![1]));
        assert_eq!(sessions.take_at(&key(1), start), None, "once");

        let later = start + SESSION_AGE_MAX;
        sessions.put_at(key(7), vec![2], later);
        assert_eq!(sessions.get_at(&key(2), later), None, "too old");
        assert_eq!(sessions.take_at(&key(7), later), Some(vec![2]));
        assert!(lock(&sessions.0).is_empty());
    }
}
