// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What HTTP needs of a connection, whatever carries it: bytes both ways under time limits.

use std::fmt;
use std::fs::File;
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

/// A connection that was accepted and, where TLS is spoken, has shaken hands.
///
/// A read or write that exceeds its time limit fails with `WouldBlock` or `TimedOut`.
pub(crate) trait Transport: Read + Write + Send {
    /// Bounds what follows: each wait for the other side, and all reads together.
    fn set_read_limit(&mut self, limit: TimeLimit);

    /// Bounds what follows: each wait for the other side, and all writes together.
    fn set_write_limit(&mut self, limit: TimeLimit);

    /// Sends some of the `length` bytes of a file from `offset` on, and returns how many; 0 at the end of
    /// the file.
    ///
    /// # Errors
    /// Those of reading and writing.
    fn send_file(&mut self, file: &File, offset: u64, length: u64) -> io::Result<u64>;

    /// Whether bytes may be waiting here or in the kernel of which no event tells any more.
    fn has_more(&self) -> bool;

    /// An event of the socket has come: there may be more in the kernel, until a read finds out.
    fn expect_more(&mut self);

    /// Whether bytes that were written are still on this side; [`Write::flush`] sends them.
    fn has_unsent(&self) -> bool;

    /// Says goodbye (TLS `close_notify`) and closes the sending half.
    fn finish(&mut self);

    /// Has the connection end in an error for the other side, so that what it got so far is not taken
    /// for everything.
    fn abort(&mut self);

    /// Bytes that the kernel has taken of this connection so far, records and all: what grows while the
    /// other side takes something.
    fn taken(&self) -> u64;

    /// How many bytes the kernel holds at least when it takes no more.
    fn held_when_full(&self) -> u64;

    /// Has the kernel keep more of what is written, since the other side is fast.
    fn widen(&mut self);

    /// Sets how long the other side may take, once everything is written, for what the kernel still has;
    /// `None` for any time, which is right while there is more to write.
    fn set_patience(&mut self, time: Option<Duration>);

    /// Waits until the kernel takes bytes again or the connection is broken; whether that was within
    /// `time`.
    ///
    /// # Errors
    /// Those of `poll`.
    fn wait_for_room(&self, time: Duration) -> io::Result<bool>;

    /// Whether the other side has closed its half, or the connection is broken. Nothing is read.
    fn is_left(&self) -> bool;

    /// Who is at the other end.
    fn peer(&self) -> &Peer;

    /// The socket itself; `None` where bytes come from something else.
    fn descriptor(&self) -> Option<BorrowedFd<'_>>;

    /// What ends the reads of this connection from another thread: they find its end.
    fn interrupter(&self) -> Box<dyn Fn() + Send>;
}

/// How long to wait: for any single step, and until when at the latest.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TimeLimit {
    /// For one wait in which nothing moves.
    pub step: Duration,
    /// For everything, however it trickles.
    pub deadline: Option<Instant>,
}

impl TimeLimit {
    /// No wait at all: what cannot be done at once fails with `WouldBlock`.
    pub(crate) const AT_ONCE: Self = Self {
        step: Duration::ZERO,
        deadline: None,
    };

    /// Whether nothing is to be waited for.
    pub(crate) fn is_at_once(&self) -> bool {
        self.step.is_zero()
    }

    /// What is left for the next step.
    ///
    /// # Errors
    /// `TimedOut` once the deadline has passed.
    pub(crate) fn left(&self) -> io::Result<Duration> {
        let Some(deadline) = self.deadline else {
            return Ok(self.step);
        };
        match deadline.checked_duration_since(Instant::now()) {
            // A socket takes zero for "for ever".
            Some(left) if !left.is_zero() => Ok(left.min(self.step)),
            _ => Err(io::ErrorKind::TimedOut.into()),
        }
    }
}

/// Who is at the other end of a connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Peer {
    /// The network address; `None` for Unix sockets.
    pub address: Option<SocketAddr>,
    /// Process, user and group of a caller on a Unix socket.
    pub unix: Option<UnixCredentials>,
    /// What TLS tells of the caller, if the connection is encrypted.
    pub tls: Option<TlsIdentity>,
}

impl Peer {
    /// Whether the caller is on this very device.
    pub fn is_local(&self) -> bool {
        self.address
            .is_none_or(|address| address.ip().to_canonical().is_loopback())
    }

    /// Whether it has shown a client certificate, which the edge has verified.
    pub(crate) fn has_certificate(&self) -> bool {
        self.tls
            .as_ref()
            .is_some_and(|tls| tls.certificate.is_some())
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.address, &self.unix) {
            (Some(address), _) => address.fmt(f),
            (None, Some(unix)) => write!(f, "unix:pid={},uid={}", unix.process, unix.user),
            (None, None) => f.write_str("unix"),
        }
    }
}

/// Who connected to a Unix socket, as the kernel says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnixCredentials {
    /// Process id.
    pub process: i32,
    /// User id.
    pub user: u32,
    /// Group id.
    pub group: u32,
}

/// What TLS tells of the other side.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsIdentity {
    /// The verified client certificate in DER, if one was asked for and shown.
    pub certificate: Option<Vec<u8>>,
    /// What the caller is called in that certificate: the first of its DNS names, without one its common
    /// name. The authority vouches for it.
    pub name: Option<String>,
}

/// Whether an error says that a time limit passed.
pub(crate) fn is_timeout(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
    )
}
