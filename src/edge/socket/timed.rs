// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Reads and writes of a socket under time limits.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::PollFlags;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send, sockopt};

use super::{Socket, UNSENT_BYTES_MAX, UNSENT_BYTES_MAX_FAST};
use crate::transport::TimeLimit;

/// A socket whose every wait is bounded, shared with the register that may have to close it.
pub(crate) struct Timed {
    socket: Arc<Socket>,
    reads: TimeLimit,
    writes: TimeLimit,
    packets: Packets,
    /// The last read took all that the kernel had.
    is_drained: bool,
    /// Bytes that the kernel has taken.
    taken: u64,
    /// How many of them it keeps unsent at most.
    unsent_max: u32,
    opened: Instant,
    /// The kernel has been told how long the other side may take.
    has_patience: bool,
}

/// When the kernel sends a packet that is not full.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Packets {
    AtOnce,
    OnceFull,
}

impl Timed {
    pub(crate) fn new(socket: Arc<Socket>) -> Self {
        Self {
            socket,
            reads: FIRST_LIMIT,
            writes: FIRST_LIMIT,
            packets: Packets::AtOnce,
            is_drained: false,
            taken: 0,
            unsent_max: UNSENT_BYTES_MAX,
            opened: Instant::now(),
            has_patience: false,
        }
    }

    /// Whether the last read took all that the kernel had.
    pub(crate) fn is_drained(&self) -> bool {
        self.is_drained
    }

    /// There may be more in the kernel, until a read finds out.
    pub(crate) fn expect_more(&mut self) {
        self.is_drained = false;
    }

    /// Whether reads wait for nothing.
    pub(crate) fn reads_at_once(&self) -> bool {
        self.reads.is_at_once()
    }

    /// Whether writes wait for nothing.
    pub(crate) fn writes_at_once(&self) -> bool {
        self.writes.is_at_once()
    }

    pub(crate) fn socket(&self) -> &Socket {
        &self.socket
    }

    /// The socket itself.
    pub(crate) fn descriptor(&self) -> BorrowedFd<'_> {
        self.socket.descriptor()
    }

    /// What ends the reads of this socket from another thread.
    pub(crate) fn interrupter(&self) -> Box<dyn Fn() + Send> {
        let socket = Arc::clone(&self.socket);
        Box::new(move || socket.shutdown(Shutdown::Read))
    }

    pub(crate) fn set_read_limit(&mut self, limit: TimeLimit) {
        self.reads = limit;
    }

    pub(crate) fn set_write_limit(&mut self, limit: TimeLimit) {
        self.writes = limit;
    }

    /// Has only full packets sent until the next flush: whoever sends a file in pieces would otherwise
    /// wake the other side for each of them.
    pub(crate) fn fill_packets(&mut self) {
        self.set_packets(Packets::OnceFull);
    }

    /// Has the kernel acknowledge what was received at once, where nothing is sent that would do so.
    pub(crate) fn acknowledge(&self) {
        if let Socket::Tcp(stream) = &*self.socket {
            // It is faster, but works without.
            let _ = sockopt::set_tcp_quickack(stream, true);
        }
    }

    fn set_packets(&mut self, packets: Packets) {
        if self.packets != packets
            && let Socket::Tcp(stream) = &*self.socket
        {
            // It is faster, but works without.
            let _ = sockopt::set_tcp_cork(stream, packets == Packets::OnceFull);
        }
        self.packets = packets;
    }

    /// Bytes that the kernel has taken since the connection was made.
    pub(crate) fn taken(&self) -> u64 {
        self.taken
    }

    /// How many bytes the kernel holds at least when it takes no more.
    pub(crate) fn held_when_full(&self) -> u64 {
        let buffered = self.socket.buffered_when_full();
        buffered.min(u64::from(self.unsent_max))
    }

    /// Has the kernel keep more of this connection, since the other side is fast.
    pub(crate) fn widen(&mut self) {
        if self.unsent_max < UNSENT_BYTES_MAX_FAST {
            self.unsent_max = UNSENT_BYTES_MAX_FAST;
            self.socket.set_unsent_max(self.unsent_max);
        }
    }

    /// Sets how long the other side may take for what the kernel still has of this connection; `None` for
    /// any time.
    ///
    /// The kernel's clock for this (tcp(7), TCP_USER_TIMEOUT) is of no use while there is more to write: it
    /// runs on as long as the window is smaller than a packet, even if bytes are taken all the time. So it
    /// may have run since the connection was made, and gets that time on top.
    pub(crate) fn set_patience(&mut self, time: Option<Duration>) {
        if time.is_some() || self.has_patience {
            let age = self.opened.elapsed();
            self.socket
                .set_patience(time.map(|time| time.saturating_add(age)));
        }
        self.has_patience = time.is_some();
    }

    /// Waits until the kernel takes bytes again or the connection is broken; whether that was within
    /// `time`.
    pub(crate) fn wait_for_room(&self, time: Duration) -> io::Result<bool> {
        self.socket.wait(PollFlags::OUT, time)
    }

    /// Whether the other side has closed its half, or the connection is broken.
    pub(crate) fn is_left(&self) -> bool {
        let left = self.socket.wait(PollFlags::RDHUP, Duration::ZERO);
        left.unwrap_or(true)
    }

    /// Has the kernel send some bytes of a file, as many as it takes at once.
    pub(super) fn send_file(
        &mut self,
        file: &File,
        offset: u64,
        length: u64,
    ) -> rustix::io::Result<u64> {
        self.fill_packets();
        let count = self.socket.send_file(file, offset, length)?;
        self.taken += count;
        Ok(count)
    }

    /// Writes in one go, and waits for room as long as the limit allows.
    fn write_once(
        &mut self,
        write: impl Fn(BorrowedFd<'_>) -> rustix::io::Result<usize>,
    ) -> io::Result<usize> {
        loop {
            // A limit that has passed is an error whatever the kernel would take.
            let left = self.writes.left()?;
            match write(self.socket.descriptor()) {
                Ok(count) => {
                    self.taken += count as u64;
                    return Ok(count);
                }
                Err(Errno::AGAIN) if !self.writes_at_once() => {
                    if !self.socket.wait(PollFlags::OUT, left)? {
                        return Err(io::ErrorKind::TimedOut.into());
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Reads once, and waits for bytes as long as the limit allows.
    fn read_once(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let is_at_once = self.reads_at_once();
        // Where the last read took everything, the next one would mostly find nothing.
        let mut has_to_wait = self.is_drained && !is_at_once;

        loop {
            let left = self.reads.left()?;
            if has_to_wait && !self.socket.wait(PollFlags::IN, left)? {
                return Err(io::ErrorKind::TimedOut.into());
            }
            match recv(self.socket.descriptor(), &mut *buffer, RecvFlags::DONTWAIT) {
                Err(Errno::AGAIN) if !is_at_once => has_to_wait = true,
                result => return Ok(result?.0),
            }
        }
    }
}

impl Read for Timed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let result = self.read_once(buffer);

        // A TCP socket that gives less than it was asked for has no more (epoll(7)). A Unix socket may: it
        // ends a read where descriptors were sent along (unix(7)).
        self.is_drained = match (&result, &*self.socket) {
            (Ok(0) | Err(_), _) => true,
            (Ok(count), Socket::Tcp(_)) => *count < buffer.len(),
            (Ok(_), Socket::Unix(_)) => false,
        };

        result
    }
}

impl Write for Timed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_once(|socket| send(socket, bytes, SEND_FLAGS))
    }

    /// Sends what waits for a full packet.
    fn flush(&mut self) -> io::Result<()> {
        self.set_packets(Packets::AtOnce);
        Ok(())
    }
}

/// Sockets that were not accepted here may still be blocking ones.
const SEND_FLAGS: SendFlags = SendFlags::NOSIGNAL.union(SendFlags::DONTWAIT);

/// Until others are set.
const FIRST_LIMIT: TimeLimit = TimeLimit {
    step: Duration::from_secs(15),
    deadline: None,
};

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpListener, TcpStream};

    use super::*;

    #[test]
    fn packets_wait_until_they_are_full_or_flushed() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let mut timed = Timed::new(Arc::new(Socket::Tcp(stream)));
        let waits = |timed: &Timed| sockopt::tcp_cork(timed.descriptor()).unwrap();
        assert!(!waits(&timed));

        timed.fill_packets();
        assert!(waits(&timed));
        timed.flush().unwrap();
        assert!(!waits(&timed));
    }

    fn pair() -> (Timed, TcpStream) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        near.set_nonblocking(true).unwrap();
        let (far, _) = listener.accept().unwrap();
        (Timed::new(Arc::new(Socket::Tcp(near))), far)
    }

    #[test]
    fn what_the_kernel_holds_is_counted_low_and_a_fast_caller_gets_more() {
        let (mut timed, _far) = pair();
        let buffer = sockopt::socket_send_buffer_size(timed.descriptor()).unwrap() as u64;
        assert_eq!(timed.socket.buffered_when_full(), buffer / 4);
        assert!((2..=buffer / 4).contains(&timed.held_when_full()));

        let socket = Arc::clone(&timed.socket);
        let unsent_max = || match &*socket {
            Socket::Tcp(stream) => socket2::SockRef::from(stream).tcp_notsent_lowat().unwrap(),
            Socket::Unix(_) => unreachable!(),
        };
        timed.widen();
        assert_eq!(unsent_max(), UNSENT_BYTES_MAX_FAST);
        assert_eq!(timed.unsent_max, UNSENT_BYTES_MAX_FAST);
    }

    #[test]
    fn only_who_may_wait_waits_for_room() {
        let (mut timed, mut far) = pair();
        timed.set_write_limit(TimeLimit::AT_ONCE);
        let mut sent = 0;
        let full = loop {
            match timed.write(&[b'x'; 4096]) {
                Ok(count) => sent += count,
                Err(error) => break error,
            }
        };
        assert_eq!(full.kind(), io::ErrorKind::WouldBlock);
        assert_eq!(timed.taken(), sent as u64);
        assert!(!timed.wait_for_room(Duration::ZERO).unwrap());

        let moment = TimeLimit {
            step: Duration::from_millis(1),
            deadline: None,
        };
        timed.set_write_limit(moment);
        let late = timed.write(b"x").unwrap_err();
        assert_eq!(late.kind(), io::ErrorKind::TimedOut);

        // Somebody who waits longer gets what comes free.
        let minute = Duration::from_secs(60);
        timed.set_write_limit(TimeLimit {
            step: minute,
            deadline: None,
        });
        std::thread::scope(|scope| {
            let reader = scope.spawn(|| far.read_exact(&mut vec![0; sent]));
            assert_eq!(timed.write(b"x").unwrap(), 1);
            reader.join().unwrap().unwrap();
        });
        assert!(timed.wait_for_room(minute).unwrap());
    }
}
