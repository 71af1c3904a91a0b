// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A connected socket of either family, and what carries bytes over it.

mod plain;
mod timed;

pub(crate) use plain::Plain;
pub(crate) use timed::Timed;

use std::fs::File;
use std::io;
use std::net::{Shutdown, TcpStream};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::sendfile;
use rustix::io::Errno;
use rustix::net::sockopt;

/// A connected socket, whose own calls never wait (`O_NONBLOCK`): whoever waits does so by `poll`.
pub(crate) enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Socket {
    pub(crate) fn descriptor(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(stream) => stream.as_fd(),
            Self::Unix(stream) => stream.as_fd(),
        }
    }

    pub(crate) fn shutdown(&self, how: Shutdown) {
        let _ = match self {
            Self::Tcp(stream) => stream.shutdown(how),
            Self::Unix(stream) => stream.shutdown(how),
        };
    }

    /// Has the socket tell the other side of an error when it is closed (RST), and forget what was not
    /// sent yet.
    pub(crate) fn abort(&self) {
        // Unix sockets have nothing of the kind.
        if let Self::Tcp(stream) = self {
            let _ = socket2::SockRef::from(stream).set_linger(Some(Duration::ZERO));
        }
    }

    /// Has the connection end in an error if the other side's kernel takes nothing for this long, also
    /// after the socket was closed; `None` for any time.
    fn set_patience(&self, time: Option<Duration>) {
        // Unix sockets have nothing that is on its way. Where the option is missing, only what is still to
        // be written has a deadline. It has no other value for "never" than zero.
        if let Self::Tcp(stream) = self {
            let time = time.unwrap_or_default();
            let _ = socket2::SockRef::from(stream).set_tcp_user_timeout(Some(time));
        }
    }

    /// Bounds how many bytes the kernel keeps that were not sent yet.
    fn set_unsent_max(&self, bytes: u32) {
        if let Self::Tcp(stream) = self {
            let _ = socket2::SockRef::from(stream).set_tcp_notsent_lowat(bytes);
        }
    }

    /// How many bytes the buffer of the kernel holds at least when it is full. Each packet is counted with
    /// what it takes to keep it, so a full buffer may hold few bytes.
    fn buffered_when_full(&self) -> u64 {
        let size = sockopt::socket_send_buffer_size(self.descriptor()).unwrap_or_default();
        size as u64 / 4
    }

    /// Waits for one of `events`, or for an error; whether it came within `time`.
    fn wait(&self, events: PollFlags, time: Duration) -> io::Result<bool> {
        let until = Instant::now().checked_add(time);
        let mut polled = [PollFd::from_borrowed_fd(self.descriptor(), events)];

        loop {
            let left = until.map_or(time, |until| {
                until.saturating_duration_since(Instant::now())
            });
            // A time that the kernel cannot represent is no limit.
            let wait = Timespec::try_from(left).ok();
            match poll(&mut polled, wait.as_ref()) {
                Ok(count) => return Ok(count > 0),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Has the kernel send some bytes of a file.
    fn send_file(&self, file: &File, offset: u64, length: u64) -> rustix::io::Result<u64> {
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let mut from = offset;
        let count = rustix::io::retry_on_intr(|| {
            sendfile(self.descriptor(), file, Some(&mut from), length)
        })?;
        Ok(count as u64)
    }
}

/// How many bytes of a connection the kernel keeps that were not sent yet. It bounds what a reader that
/// takes nothing costs.
pub(crate) const UNSENT_BYTES_MAX: u32 = 128 * 1024;

/// The same for a reader that has shown that it is fast: whoever sends to it is woken less often.
const UNSENT_BYTES_MAX_FAST: u32 = 2 * 1024 * 1024;
