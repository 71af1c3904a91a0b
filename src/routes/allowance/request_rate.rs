// SPDX-License-Identifier: Apache-2.0 OR MIT
//! How often one caller may ask: a bucket of requests for each principal, and for each address of
//! callers who are not known.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::error::{Error, ErrorKind, Result};
use crate::routes::allowance::counted_caller::CountedCaller;
use crate::threads::lock;

/// The requests that callers may still send.
pub(crate) struct RequestRate {
    /// Requests a minute, and how many may come at once; 0 for any number.
    per_minute: u32,
    callers: Mutex<HashMap<CountedCaller, Bucket>>,
}

/// What one caller has left.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    /// When the bucket is full again. This one time says all: until then, requests are missing in it.
    full_at: Instant,
}

impl RequestRate {
    /// Buckets for so many requests a minute.
    pub(crate) fn new(per_minute: u32) -> Self {
        Self {
            per_minute,
            callers: Mutex::default(),
        }
    }

    /// Takes one request out of a bucket.
    ///
    /// # Errors
    /// `TooManyRequests`, with the time after which there is one again.
    pub(crate) fn take(&self, key: CountedCaller, now: Instant) -> Result<()> {
        if self.per_minute == 0 {
            return Ok(());
        }

        let each = MINUTE / self.per_minute;
        let mut callers = lock(&self.callers);
        if callers.len() >= CALLERS_MAX && !callers.contains_key(&key) {
            make_room(&mut callers, now);
        }

        let bucket = callers.entry(key).or_insert(Bucket { full_at: now });
        let full_at = bucket.full_at.max(now) + each;
        let excess = full_at.saturating_duration_since(now + MINUTE);

        // Refused requests take nothing, so that who waits as told is served.
        if !excess.is_zero() {
            // Whole seconds are told, and nobody comes too early.
            let pause = Duration::from_secs(excess.as_secs() + 1);
            return Err(too_often(self.per_minute).again_after(pause));
        }

        bucket.full_at = full_at;
        Ok(())
    }
}

/// Forgets whose bucket is full; if there is nobody, who has most left.
fn make_room(callers: &mut HashMap<CountedCaller, Bucket>, now: Instant) {
    callers.retain(|_, bucket| bucket.full_at > now);
    if callers.len() < CALLERS_MAX {
        return;
    }

    let fullest = callers.iter().min_by_key(|(_, bucket)| bucket.full_at);
    let fullest = fullest.map(|(key, _)| key.clone());
    if let Some(key) = fullest {
        callers.remove(&key);
    }
}

fn too_often(per_minute: u32) -> Error {
    let text = format!("this server answers {per_minute} requests a minute of one caller");
    Error::new(ErrorKind::TooManyRequests, text)
        .hint("wait for as long as Retry-After says (setting max-request-rate)")
}

const MINUTE: Duration = Duration::from_secs(60);

/// Callers that are remembered at one time.
const CALLERS_MAX: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn name(number: usize) -> CountedCaller {
        CountedCaller::Principal(format!("token:{number}"))
    }

    #[test]
    fn who_waits_as_told_is_served() {
        let rate = RequestRate::new(6);
        let mut now = Instant::now();
        for _ in 0..6 {
            rate.take(name(0), now).unwrap();
        }
        let error = rate.take(name(0), now).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TooManyRequests);
        rate.take(name(1), now).unwrap();

        now += error.retry_after().unwrap();
        rate.take(name(0), now).unwrap();
        rate.take(name(0), now).unwrap_err();
    }

    #[test]
    fn many_callers_take_a_bounded_memory_and_free_nobody() {
        let rate = RequestRate::new(1);
        let now = Instant::now();
        let busy = RequestRate::new(3);
        for _ in 0..3 {
            busy.take(name(0), now).unwrap();
        }
        for number in 1..3 * CALLERS_MAX {
            busy.take(name(number), now).unwrap();
            rate.take(name(number), now).unwrap();
        }
        assert_eq!(lock(&rate.callers).len(), CALLERS_MAX);
        busy.take(name(0), now).unwrap_err();
    }
}
