// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Nonces for signatures: the server knows its own by an HMAC and keeps none of those it gave out; those
//! that came with a right signature it keeps for their life, so that none is taken twice.
//!
//! Time is that of the monotonic clock since the start, so a device without a clock is as safe.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;

use crate::access::secrets::random;
use crate::error::Result;
use crate::threads::lock;

/// Gives out nonces and takes them back.
pub(crate) struct Nonces {
    key: hmac::Key,
    start: Instant,
    used: Mutex<Used>,
}

#[derive(Default)]
struct Used {
    /// By the time at which they were made.
    nonces: BTreeSet<Nonce>,
    /// Nonces made up to this time (in milliseconds) are too old: one of them was forgotten.
    floor: u64,
}

/// When a nonce was made, in milliseconds since the start, and what tells it from others.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Nonce {
    made: u64,
    random: u64,
}

impl Nonces {
    /// # Errors
    /// `Internal` if the system has no random numbers.
    pub(crate) fn new() -> Result<Self> {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &random::<32>()?);
        Ok(Self {
            key,
            start: Instant::now(),
            used: Mutex::default(),
        })
    }

    /// A new nonce.
    ///
    /// # Errors
    /// `Internal` if the system has no random numbers.
    pub(crate) fn make(&self) -> Result<String> {
        self.make_at(self.now())
    }

    /// The nonce in a text, if it is one of ours and not too old.
    pub(crate) fn read(&self, text: &str) -> Option<Nonce> {
        self.read_at(text, self.now())
    }

    /// Takes a nonce that came with a right signature; false if it came before.
    pub(crate) fn take(&self, nonce: Nonce) -> bool {
        let mut used = lock(&self.used);

        // Whether a nonce this old was used before is not known any more, so it counts as used.
        if nonce.made <= used.floor || !used.nonces.insert(nonce) {
            return false;
        }

        // Memory is bounded. The floor rises with each nonce that is dropped, so that none of them
        // can be taken again.
        if used.nonces.len() > USED_MAX
            && let Some(oldest) = used.nonces.pop_first()
        {
            used.floor = used.floor.max(oldest.made);
        }

        true
    }

    fn now(&self) -> u64 {
        // From 1 on, so that the floor of 0 is below all.
        u64::try_from(self.start.elapsed().as_millis())
            .unwrap_or(u64::MAX)
            .saturating_add(1)
    }

    fn make_at(&self, made: u64) -> Result<String> {
        let mut bytes = [made.to_be_bytes(), random::<8>()?].concat();
        let tag = hmac::sign(&self.key, &bytes);
        bytes.extend_from_slice(&tag.as_ref()[..TAG_BYTES]);
        Ok(URL_SAFE_NO_PAD.encode(bytes))
    }

    fn read_at(&self, text: &str, now: u64) -> Option<Nonce> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (plain, tag) = bytes.split_at_checked(16)?;
        let ours = hmac::sign(&self.key, plain);

        // Constant time, since an early exit would tell a forger how much of the tag is right.
        if !bool::from(subtle::ConstantTimeEq::ct_eq(
            &ours.as_ref()[..TAG_BYTES],
            tag,
        )) {
            return None;
        }

        let (made, random) = plain.split_at(8);
        let number = |bytes: &[u8]| bytes.try_into().map(u64::from_be_bytes).ok();

        let nonce = Nonce {
            made: number(made)?,
            random: number(random)?,
        };

        // The floor counts here, too: a client whose nonce was forgotten gets a new one and is not
        // charged with a guess.
        let limit = u64::try_from(LIFE.as_millis()).ok()?;
        let is_fresh = now.saturating_sub(nonce.made) < limit;

        (is_fresh && nonce.made > lock(&self.used).floor).then_some(nonce)
    }
}

/// How long a nonce is good for; our client asks for another one after a minute.
const LIFE: Duration = Duration::from_secs(300);

/// 128 bits.
const TAG_BYTES: usize = 16;

/// How many nonces that were used are remembered: with more signed requests in [`LIFE`], whoever has
/// kept one for long needs another round trip.
const USED_MAX: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nonces_are_ours_fresh_and_good_once() {
        let nonces = Nonces::new().unwrap();
        let text = nonces.make().unwrap();
        let nonce = nonces.read(&text).unwrap();
        assert!(nonces.take(nonce) && !nonces.take(nonce));
        let other = Nonces::new().unwrap();
        assert!(other.read(&text).is_none());
        let mut forged = text.clone().into_bytes();
        forged[3] ^= 1;
        assert!(nonces.read(std::str::from_utf8(&forged).unwrap()).is_none());
        for junk in ["", "AAAA", "\u{e9}", &text[1..], &format!("{text}AAAA")] {
            assert!(nonces.read(junk).is_none(), "{junk}");
        }
        let (now, deadline) = (nonces.now(), Instant::now() + Duration::from_secs(60));
        while nonces.now() == now {
            assert!(Instant::now() < deadline, "no time passes");
        }
        let old = nonces.make_at(5).unwrap();
        assert!(nonces.read_at(&old, 299_000).is_some());
        assert!(nonces.read_at(&old, 300_005).is_none());
    }

    #[test]
    fn what_was_forgotten_is_not_taken_again() {
        let nonces = Nonces::new().unwrap();
        let last = USED_MAX as u64 + 50;
        let texts: Vec<_> = (1..=last)
            .map(|made| nonces.make_at(made).unwrap())
            .collect();
        // The latest first: what is forgotten is the oldest all the same.
        for text in texts.iter().rev().take(USED_MAX) {
            assert!(nonces.take(nonces.read_at(text, last).unwrap()));
        }
        for text in texts.iter().take(50) {
            assert!(nonces.take(nonces.read_at(text, last).unwrap()));
        }
        assert_eq!(lock(&nonces.used).nonces.len(), USED_MAX);
        // Whoever shows one of them gets another one and is not charged with a guess.
        for text in &texts[..50] {
            assert!(nonces.read_at(text, last).is_none());
        }
        for text in &texts {
            let again = nonces
                .read_at(text, last)
                .is_some_and(|nonce| nonces.take(nonce));
            assert!(!again);
        }
    }
}
