// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Every limit of the server with its default; each is also a setting.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use crate::error::{Error, ErrorKind, Result};

/// Limits on connections, requests and time. The defaults are those of Degu and of the manual
/// (`skep::manual::security`).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Connections whose request runs at one time, answers being sent included; a further request is
    /// answered 503. Default 25.
    #[doc(alias = "max_connections")]
    pub connections_max: usize,
    /// Connections that wait at one time: for a request, for the rest of its head, or in a TLS handshake.
    /// A further one takes the place of the oldest whose caller has not shown who it is, and is answered
    /// 503 if there is none. 0 sets no limit. Default 256.
    pub connections_idle_max: usize,
    /// Connections at one time, running or not, from one address (IPv6: one /64); loopback is exempt. Default 16.
    pub connections_per_address_max: usize,
    /// Places among [`Limits::connections_max`] that only local callers may take. Default 2.
    pub connections_reserved: usize,
    /// Requests on one connection; the last answer says `Connection: close`. Default 100.
    #[doc(alias = "max_requests_per_connection")]
    pub requests_per_connection_max: u32,
    /// Threads that run handlers. Default 8.
    pub workers: usize,
    /// Bytes of a request head. Default 16 KiB.
    pub head_bytes_max: usize,
    /// Fields of a request head. Default 64.
    pub fields_max: usize,
    /// From the first byte of a head (or of a TLS handshake) to its last. Default 10 s.
    pub head_timeout: Duration,
    /// Any single read or write. Default 15 s.
    pub timeout: Duration,
    /// A connection without a request. Default 15 s.
    pub idle_timeout: Duration,
    /// A body of which nothing arrives. Default 15 s.
    pub body_timeout: Duration,
    /// A caller that takes nothing of an answer. Default 20 s.
    pub write_timeout: Duration,
    /// The slowest average rate, in bytes a second, of a body or an answer after its first
    /// [`Limits::body_timeout`]. Default 1,024.
    pub rate_min: u64,
    /// How long a shutdown waits for running requests. Default 10 s.
    pub drain_timeout: Duration,
    /// Bytes read and thrown away of a body that was refused. Default 64 KiB.
    pub drain_bytes_max: u64,
    /// Bytes of an upload. Default 64 GiB.
    pub upload_bytes_max: u64,
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
            drain_bytes_max: 64 * 1024,
            upload_bytes_max: 64 << 30,
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
        let counts = [
            ("workers", self.workers, 1, WORKERS_MAX),
            ("max-connections", self.connections_max, 1, CONNECTIONS_MAX),
            (
                "max-connections-per-address",
                self.connections_per_address_max,
                1,
                usize::MAX,
            ),
            ("max-fields", self.fields_max, 1, FIELDS_MAX),
        ];

        // Sockets refuse a timeout of zero, and a deadline of zero is over before it begins.
        let times = [
            ("timeout", self.timeout),
            ("head-timeout", self.head_timeout),
            ("idle-timeout", self.idle_timeout),
            ("body-timeout", self.body_timeout),
            ("write-timeout", self.write_timeout),
        ];

        // With a count of zero, no request could be answered.
        for (name, number, least, most) in counts {
            if number < least {
                return Some((name, "more than 0".to_owned()));
            }
            if number > most {
                return Some((name, format!("at most {most}")));
            }
        }

        if self.requests_per_connection_max == 0 {
            return Some(("max-requests-per-connection", "more than 0".to_owned()));
        }

        if let Some((name, _)) = times.iter().find(|(_, time)| time.is_zero()) {
            return Some((name, "more than 0".to_owned()));
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
}

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
        Self(RwLock::new(Arc::new(limits)))
    }

    /// The limits as they are now.
    pub(crate) fn now(&self) -> Arc<Limits> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Changes the limits.
    pub(crate) fn change(&self, limits: Limits) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(limits);
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
            ("head-timeout must be more than 0", |limits| {
                limits.head_timeout = Duration::ZERO;
            }),
        ];

        assert!(Limits::default().check().is_ok());
        for (told, change) in rows {
            let mut limits = Limits::default();
            change(&mut limits);
            assert_eq!(limits.check().unwrap_err().message(), told);
        }
    }
}
