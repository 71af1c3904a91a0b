// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Every limit of the server with its default; each is also a setting.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use crate::error::{Error, ErrorKind, Result};

/// Limits on connections, requests and time. The defaults are those of Degu and of the manual
/// (`skep::manual::security`).
///
/// Where "0: none" is written, zero switches the limit off. [`Server::limits`](crate::Server::limits) then
/// shows a number or a time that nothing reaches.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Connections whose request runs at one time, answers being sent included; a further request is
    /// answered 503. A quarter of them is kept for callers who have shown who they are. 0: none but that
    /// of the descriptors. Default 25.
    #[doc(alias = "max_connections")]
    pub connections_max: usize,
    /// Connections that wait at one time: for a request, for the rest of its head, or in a TLS handshake.
    /// A further one takes the place of the oldest whose caller has not shown who it is, and is answered
    /// 503 if there is none. 0: none but that of the descriptors. Default 256.
    pub connections_idle_max: usize,
    /// Connections at one time, running or not, from one address (IPv6: one /64); loopback is exempt.
    /// 0: none. Default 16.
    pub connections_per_address_max: usize,
    /// Places among [`Limits::connections_max`], and as many among [`Limits::connections_idle_max`], that
    /// only local callers may take. Default 2.
    pub connections_reserved: usize,
    /// Requests on one connection; the last answer says `Connection: close`. 0: none. Default 100.
    #[doc(alias = "max_requests_per_connection")]
    pub requests_per_connection_max: u32,
    /// Threads that run handlers. Default 8.
    pub workers: usize,
    /// Bytes of a request head. Default 16 KiB.
    pub head_bytes_max: usize,
    /// Fields of a request head. Default 64.
    pub fields_max: usize,
    /// From the first byte of a head (or of a TLS handshake) to its last. 0: none. Default 10 s.
    pub head_timeout: Duration,
    /// Any single read or write. 0: none. Default 15 s.
    pub timeout: Duration,
    /// A connection without a request. 0: none. Default 15 s.
    pub idle_timeout: Duration,
    /// A body of which nothing arrives. 0: none. Default 15 s.
    pub body_timeout: Duration,
    /// A caller that takes nothing of an answer. 0: none. Default 20 s.
    pub write_timeout: Duration,
    /// The slowest average rate, in bytes a second, of a body or an answer after its first
    /// [`Limits::body_timeout`] or [`Limits::write_timeout`]; where that is off, after its first 15 s.
    /// 0: none. Default 1,024.
    pub rate_min: u64,
    /// How long a shutdown waits for running requests; not at all with 0. Default 10 s.
    pub drain_timeout: Duration,
    /// Bytes read and thrown away of a body that was refused, for callers that look at the answer only after they
    /// have sent everything. Default 16 MiB.
    pub drain_bytes_max: u64,
    /// Bytes of an upload. 0: none. Default 64 GiB.
    pub upload_bytes_max: u64,
    /// Bytes that one caller may send in a day, in all requests together. 0: none. Default 0.
    pub upload_bytes_per_day_max: u64,
    /// Bytes that one caller may be sent in a day, in all answers together. 0: none. Default 0.
    pub download_bytes_per_day_max: u64,
    /// Bytes of a JSON body (without streamed content). Default 1 MiB.
    pub json_bytes_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_max: 25,
            connections_idle_max: 256,
            connections_per_address_max: 16,
            // Users of the device itself get in even if strangers hold all other places.
            connections_reserved: 2,
            requests_per_connection_max: 100,
            workers: 8,
            head_bytes_max: 16 * 1024,
            fields_max: 64,
            head_timeout: Duration::from_secs(10),
            timeout: Duration::from_secs(15),
            idle_timeout: Duration::from_secs(15),
            body_timeout: Duration::from_secs(15),
            write_timeout: Duration::from_secs(20),
            // A body that trickles in byte by byte would never run into a timeout.
            rate_min: 1024,
            drain_timeout: Duration::from_secs(10),
            drain_bytes_max: 16 * 1024 * 1024,
            upload_bytes_max: 64 << 30,
            upload_bytes_per_day_max: 0,
            download_bytes_per_day_max: 0,
            json_bytes_max: 1 << 20,
        }
    }
}

impl Limits {
    /// Refuses numbers with which nobody could be served, or which no device can keep.
    ///
    /// # Errors
    /// `Usage`, with the name of the setting.
    pub(crate) fn check(&self) -> Result<()> {
        match self.fault() {
            None => Ok(()),
            Some((setting, text)) => Err(Error::new(
                ErrorKind::Usage,
                format!("{setting} must be {text}"),
            )),
        }
    }

    /// The first setting whose value cannot be used, and what it must be.
    pub(crate) fn fault(&self) -> Option<(&'static str, String)> {
        if self.workers == 0 {
            return Some(("workers", "more than 0".to_owned()));
        }

        // The table of fields and the head are there for every caller.
        if self.fields_max == 0 {
            return Some(("max-fields", "more than 0".to_owned()));
        }

        let counts = [
            ("workers", self.workers, WORKERS_MAX),
            ("max-connections", self.connections_max, CONNECTIONS_MAX),
            ("max-fields", self.fields_max, FIELDS_MAX),
        ];
        if let Some((name, _, most)) = counts.iter().find(|(_, number, most)| number > most) {
            return Some((name, format!("at most {most}")));
        }

        if self.head_bytes_max < HEAD_BYTES_MIN {
            return Some(("max-head-bytes", "at least 1KiB".to_owned()));
        }

        if self.head_bytes_max > HEAD_BYTES_MAX {
            return Some(("max-head-bytes", "at most 1MiB".to_owned()));
        }

        if self.json_bytes_max > JSON_BYTES_MAX {
            return Some(("max-json-bytes", "at most 64MiB".to_owned()));
        }

        None
    }

    /// The limits without any that is switched off: what nothing reaches stands for those. Numbers and
    /// times are then compared and added without a case of their own, and no sum of them overflows.
    pub(crate) fn in_force(mut self) -> Self {
        for count in [
            &mut self.connections_max,
            &mut self.connections_idle_max,
            &mut self.connections_per_address_max,
        ] {
            if *count == 0 {
                *count = usize::MAX;
            }
        }

        if self.requests_per_connection_max == 0 {
            self.requests_per_connection_max = u32::MAX;
        }

        if self.upload_bytes_max == 0 {
            self.upload_bytes_max = FILE_BYTES_MAX;
        }

        for bytes in [
            &mut self.upload_bytes_per_day_max,
            &mut self.download_bytes_per_day_max,
        ] {
            if *bytes == 0 {
                *bytes = u64::MAX;
            }
        }

        for time in [
            &mut self.head_timeout,
            &mut self.timeout,
            &mut self.idle_timeout,
            &mut self.body_timeout,
            &mut self.write_timeout,
        ] {
            if time.is_zero() {
                *time = FOREVER;
            }
            *time = (*time).min(FOREVER);
        }

        self.drain_timeout = self.drain_timeout.min(FOREVER);
        self
    }

    /// The settings that are switched off although they keep strangers from taking all that there is.
    pub(crate) fn open_to_strangers(&self) -> Vec<&'static str> {
        let rows = [
            ("max-connections", self.connections_max == 0),
            ("max-idle-connections", self.connections_idle_max == 0),
            (
                "max-connections-per-address",
                self.connections_per_address_max == 0,
            ),
            ("head-timeout", self.head_timeout.is_zero()),
            ("idle-timeout", self.idle_timeout.is_zero()),
            ("body-timeout", self.body_timeout.is_zero()),
            ("write-timeout", self.write_timeout.is_zero()),
            ("min-rate", self.rate_min == 0),
        ];
        let off = rows.into_iter().filter(|(_, is_off)| *is_off);
        off.map(|(name, _)| name).collect()
    }

    /// How long `bytes` of a body or an answer may take, when nothing of it may stall for longer than
    /// `stall`: what [`Limits::rate_min`] asks for.
    pub(crate) fn time_for(&self, bytes: u64, stall: Duration) -> Duration {
        match self.rate_min {
            0 => FOREVER,
            rate => {
                // Without a limit for stalls, the rate is still asked for.
                let grace = if stall < FOREVER { stall } else { GRACE };
                let wanted = grace.saturating_add(Duration::from_secs(bytes / rate));
                wanted.min(FOREVER)
            }
        }
    }
}

/// A hundred years: longer than any server runs, and added to a clock it does not overflow.
pub(crate) const FOREVER: Duration = Duration::from_secs(36_525 * 24 * 3_600);

/// How long a body or an answer may take before its rate counts, where it may stall for any time.
const GRACE: Duration = Duration::from_secs(15);

/// The kernel counts offsets in signed 64 bits.
const FILE_BYTES_MAX: u64 = i64::MAX as u64;

/// Each is a thread with a stack of its own, and they are started at once.
const WORKERS_MAX: usize = 256;

/// Each needs descriptors and a place in tables.
const CONNECTIONS_MAX: usize = 65_536;

/// The table of fields is allocated for every head.
const FIELDS_MAX: usize = 1024;

/// Every caller can have one in memory before it is known.
const HEAD_BYTES_MAX: usize = 1 << 20;

/// Every worker can have one in memory.
const JSON_BYTES_MAX: usize = 64 << 20;

/// A line and a few fields.
const HEAD_BYTES_MIN: usize = 1024;

/// Limits that may be changed while a server runs: whoever holds some keeps them, whoever comes next
/// gets the new ones.
#[derive(Debug, Default)]
pub(crate) struct LiveLimits(RwLock<Arc<Limits>>);

impl LiveLimits {
    pub(crate) fn new(limits: Limits) -> Self {
        Self(RwLock::new(Arc::new(limits.in_force())))
    }

    /// The limits as they are now.
    pub(crate) fn now(&self) -> Arc<Limits> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Changes the limits.
    pub(crate) fn change(&self, limits: Limits) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(limits.in_force());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_number_is_more_than_a_device_can_keep() {
        type Change = fn(&mut Limits);
        let rows: [(&str, Change); 7] = [
            ("workers must be more than 0", |limits| limits.workers = 0),
            ("workers must be at most 256", |limits| limits.workers = 257),
            ("max-connections must be at most 65536", |limits| {
                limits.connections_max = 65_537;
            }),
            ("max-fields must be at most 1024", |limits| {
                limits.fields_max = usize::MAX;
            }),
            ("max-head-bytes must be at most 1MiB", |limits| {
                limits.head_bytes_max = usize::MAX;
            }),
            ("max-json-bytes must be at most 64MiB", |limits| {
                limits.json_bytes_max = usize::MAX;
            }),
            ("max-fields must be more than 0", |limits| {
                limits.fields_max = 0;
            }),
        ];

        assert!(Limits::default().check().is_ok());
        for (told, change) in rows {
            let mut limits = Limits::default();
            change(&mut limits);
            assert_eq!(limits.check().unwrap_err().message(), told);
        }
    }

    #[test]
    fn what_is_off_is_never_reached_and_never_overflows() {
        use std::time::Instant;

        let off = Limits {
            connections_max: 0,
            connections_idle_max: 0,
            connections_per_address_max: 0,
            requests_per_connection_max: 0,
            head_timeout: Duration::ZERO,
            timeout: Duration::ZERO,
            idle_timeout: Duration::ZERO,
            body_timeout: Duration::ZERO,
            write_timeout: Duration::ZERO,
            rate_min: 0,
            upload_bytes_max: 0,
            ..Limits::default()
        };
        off.check().unwrap();
        assert_eq!(off.open_to_strangers().len(), 8);
        assert!(Limits::default().open_to_strangers().is_empty());

        // A program can set times that no clock can hold.
        let longest = Limits {
            head_timeout: Duration::MAX,
            timeout: Duration::MAX,
            idle_timeout: Duration::MAX,
            body_timeout: Duration::MAX,
            write_timeout: Duration::MAX,
            drain_timeout: Duration::MAX,
            rate_min: 1,
            ..off.clone()
        };

        let now = Instant::now();
        for limits in [off, longest] {
            let live = LiveLimits::new(limits).now();
            assert_eq!(live.connections_max, usize::MAX);
            assert_eq!(live.requests_per_connection_max, u32::MAX);
            for time in [
                live.head_timeout,
                live.timeout,
                live.idle_timeout,
                live.body_timeout,
                live.write_timeout,
            ] {
                assert_eq!(time, FOREVER);
                assert!(now + time + live.time_for(u64::MAX, time) > now);
            }
            assert!(now + live.drain_timeout >= now);
        }
    }

    #[test]
    fn a_rate_is_asked_for_even_where_stalls_are_not_bounded() {
        let second = Duration::from_secs(1);
        let mut limits = Limits {
            rate_min: 10,
            ..Limits::default()
        };
        assert_eq!(limits.time_for(20, second), 3 * second);
        assert_eq!(limits.time_for(20, FOREVER), 17 * second);
        limits.rate_min = 0;
        assert_eq!(limits.time_for(20, second), FOREVER);
    }
}
