// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Transfers that are to leave something of the line to others: an even number of bytes per second.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::client::retry::pause;
use crate::error::Result;
use crate::stop::Stop;
use crate::threads::lock;

/// The speed of all transfers of a client; clones share it.
#[derive(Clone)]
pub(crate) struct TransferRate {
    rate: Option<u64>,
    stop: Stop,
    /// When what went over the line so far should have.
    due: Arc<Mutex<Instant>>,
}

impl TransferRate {
    /// At most `rate` bytes per second, if there is a rate.
    pub(crate) fn new(rate: Option<u64>, stop: &Stop) -> Self {
        Self {
            rate: rate.map(|rate| rate.max(1)),
            stop: stop.clone(),
            due: Arc::new(Mutex::new(Instant::now())),
        }
    }

    /// The same for transfers that something else stops.
    pub(crate) fn until(&self, stop: &Stop) -> Self {
        Self {
            stop: stop.clone(),
            ..self.clone()
        }
    }

    /// How much to take at once, at most `room`: a twentieth of a second's worth.
    pub(crate) fn piece(&self, room: usize) -> usize {
        let piece = self
            .rate
            .map_or(u64::MAX, |rate| (rate / 20).max(PIECE_BYTES_MIN));
        room.min(usize::try_from(piece).unwrap_or(usize::MAX))
    }

    /// Waits until `count` more bytes are due.
    ///
    /// # Errors
    /// `Interrupted` if the client was stopped.
    pub(crate) fn spend(&self, count: usize) -> Result<()> {
        let time = self.after(count as u64, Instant::now());
        if time.is_zero() {
            return Ok(());
        }
        pause(time, &self.stop)
    }

    fn after(&self, count: u64, now: Instant) -> Duration {
        let Some(rate) = self.rate else {
            return Duration::ZERO;
        };
        // Time that was lost is made up for, but not all at once.
        let earliest = now.checked_sub(CREDIT).unwrap_or(now);
        let nanoseconds = u128::from(count) * 1_000_000_000 / u128::from(rate);
        let cost = Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX));

        let mut due = lock(&self.due);
        *due = (*due).max(earliest) + cost.min(COST_MAX);
        due.saturating_duration_since(now)
    }
}

const PIECE_BYTES_MIN: u64 = 512;

const CREDIT: Duration = Duration::from_millis(200);

const COST_MAX: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    use crate::error::ErrorKind;
    use crate::stop::Reason;

    #[test]
    fn bytes_take_the_time_that_the_rate_says() {
        let pace = TransferRate::new(Some(1000), &Stop::new());
        let start = *lock(&pace.due);
        assert_eq!(pace.after(100, start), Duration::from_millis(100));
        assert_eq!(pace.after(100, start), Duration::from_millis(200));
        // A moment lost is made up for, a minute lost is not.
        let later = start + Duration::from_millis(300);
        assert_eq!(pace.after(100, later), Duration::ZERO);
        let much_later = start + Duration::from_secs(60);
        assert_eq!(pace.after(300, much_later), Duration::from_millis(100));
    }

    #[test]
    fn several_transfers_share_what_the_line_is_to_carry() {
        let one = TransferRate::new(Some(1000), &Stop::new());
        let other = one.until(&Stop::new());
        let start = *lock(&one.due);
        assert_eq!(one.after(100, start), Duration::from_millis(100));
        assert_eq!(other.after(100, start), Duration::from_millis(200));
        assert_eq!(one.clone().after(100, start), Duration::from_millis(300));
    }

    #[test]
    fn a_stop_ends_the_wait_for_the_next_bytes() {
        let stop = Stop::new();
        let pace = TransferRate::new(Some(1), &stop);
        stop.trigger(Reason::Shutdown);
        let error = pace.spend(60).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Interrupted);

        // What is stopped for itself does not wait for what goes on.
        let own = Stop::new();
        let other = TransferRate::new(Some(1), &Stop::new()).until(&own);
        own.trigger(Reason::Shutdown);
        let error = other.spend(60).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Interrupted);
    }

    #[test]
    fn pieces_are_small_where_the_rate_is() {
        assert_eq!(TransferRate::new(None, &Stop::new()).piece(65536), 65536);
        assert_eq!(
            TransferRate::new(None, &Stop::new()).after(u64::MAX, Instant::now()),
            Duration::ZERO
        );
        assert_eq!(
            TransferRate::new(Some(100_000), &Stop::new()).piece(65536),
            5000
        );
        assert_eq!(TransferRate::new(Some(1), &Stop::new()).piece(65536), 512);
        assert_eq!(
            TransferRate::new(Some(1 << 30), &Stop::new()).piece(65536),
            65536
        );
    }
}
