// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Lines about strangers: a few of each address and minute are written, the others counted. A log is kept
//! in a bounded size, and nobody without credentials may push out of it what others did.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::text::counted;
use crate::threads::lock;

/// The lines of the present minute.
pub(crate) struct StrangerLines(Mutex<StrangerMinute>);

#[derive(Default)]
struct StrangerMinute {
    since: Option<Instant>,
    written: u32,
    /// How many lines each address has written, and how many were left out.
    addresses: BTreeMap<String, (u32, u64)>,
    /// How many lines of addresses were left out that are not in the table.
    others: u64,
}

impl StrangerLines {
    pub(crate) fn new() -> Self {
        Self(Mutex::default())
    }

    /// Writes a line about somebody at this address unless this minute has had enough of them.
    pub(crate) fn write(&self, peer: &str, write: impl FnOnce()) {
        let (is_written, sums) = self.take(address_of(peer), Instant::now());
        sums.iter().for_each(|sum| log::info!("{sum}"));
        if is_written {
            write();
        }
    }

    /// Tells what was left out, once the minute is over.
    pub(crate) fn settle(&self) {
        let sums = lock(&self.0).settle(Instant::now());
        sums.iter().for_each(|sum| log::info!("{sum}"));
    }

    /// Whether one more line may be written, and the sums of a minute that is over.
    fn take(&self, address: &str, now: Instant) -> (bool, Vec<String>) {
        let mut minute = lock(&self.0);
        let sums = minute.settle(now);
        minute.since.get_or_insert(now);

        let has_room = minute.addresses.len() < ADDRESSES_MAX;
        let is_free = minute.written < LINES_MAX;
        if !has_room && !minute.addresses.contains_key(address) {
            minute.others += 1;
            return (false, sums);
        }

        let counts = minute.addresses.entry(address.to_owned()).or_default();
        let is_written = is_free && counts.0 < ADDRESS_LINES_MAX;
        if is_written {
            counts.0 += 1;
            minute.written += 1;
        } else {
            counts.1 += 1;
        }
        (is_written, sums)
    }
}

impl StrangerMinute {
    /// Begins another minute if one is over; a line for each address whose lines were left out.
    fn settle(&mut self, now: Instant) -> Vec<String> {
        let is_over = |since| now.saturating_duration_since(since) >= MINUTE;
        if !self.since.is_some_and(is_over) {
            return Vec::new();
        }

        let over = std::mem::take(self);
        let mut left_out: Vec<_> = over
            .addresses
            .into_iter()
            .filter(|(_, counts)| counts.1 > 0)
            .map(|(address, counts)| (address, counts.1))
            .collect();

        // Of many addresses, those with the most have a line of their own.
        left_out.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        let rest: u64 = left_out.iter().skip(SUMS_MAX).map(|(_, count)| count).sum();
        let others = over.others + rest;
        left_out.truncate(SUMS_MAX);

        let told = |address: &str, count| {
            let lines = counted(count, "line");
            format!("{lines} about requests of strangers at {address} were left out here")
        };
        let mut sums: Vec<_> = left_out
            .iter()
            .map(|(address, count)| told(address, *count))
            .collect();
        if others > 0 {
            sums.push(told("other addresses", others));
        }
        sums
    }
}

impl Drop for StrangerLines {
    fn drop(&mut self) {
        // A minute that is cut short has its sums as well.
        let minute = &mut *lock(&self.0);
        let end = minute.since.map(|since| since + MINUTE);
        for sum in end.map(|end| minute.settle(end)).unwrap_or_default() {
            log::info!("{sum}");
        }
    }
}

/// The address of a peer as it is shown, without its port or its process.
fn address_of(peer: &str) -> &str {
    match peer.strip_prefix("unix:") {
        Some(unix) => unix.rsplit_once(',').map_or(peer, |(_, user)| user),
        None => peer.rsplit_once(':').map_or(peer, |(address, _)| address),
    }
}

/// Lines of one address in a minute; a slip of the hand is seen whole.
const ADDRESS_LINES_MAX: u32 = 12;

/// Lines of all addresses in a minute.
const LINES_MAX: u32 = 30;

/// Addresses that are counted one by one.
const ADDRESSES_MAX: usize = 64;

/// Addresses with a sum of their own.
const SUMS_MAX: usize = 4;

const MINUTE: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_strangers_is_a_few_lines_and_a_sum() {
        let lines = StrangerLines::new();
        let start = Instant::now();
        let written = (0..200)
            .filter(|_| lines.take("192.0.2.1", start).0)
            .count();
        assert_eq!(written, 12);

        // Another address has lines of its own, and all together no more than so many.
        assert!(lines.take("192.0.2.2", start).0);
        let many = |number| lines.take(&format!("198.51.100.{number}"), start).0;
        assert_eq!((0..200).filter(|number| many(*number)).count(), 30 - 13);

        let (is_written, sums) = lines.take("192.0.2.1", start + MINUTE);
        assert!(is_written, "the next minute");
        assert_eq!(
            sums[0],
            "188 lines about requests of strangers at 192.0.2.1 were left out here"
        );
        assert_eq!(sums.len(), SUMS_MAX + 1);
        assert!(lines.take("192.0.2.1", start + MINUTE).1.is_empty());
    }

    #[test]
    fn ports_make_no_other_address() {
        assert_eq!(address_of("192.0.2.1:5000"), "192.0.2.1");
        assert_eq!(address_of("[2001:db8::1]:5"), "[2001:db8::1]");
        assert_eq!(address_of("unix:pid=1,uid=1000"), "uid=1000");
        assert_eq!(address_of("unix"), "unix");
    }
}
