// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A connected socket of either family, and its plain transport.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::sendfile;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendAncillaryBuffer, SendFlags, recv, send, sendmsg, sockopt};

use crate::transport::{Peer, TimeLimit, Transport, Wake};

/// A connected socket.
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

    fn peek(&self) -> io::Result<Option<u8>> {
        let mut byte = [0];
        let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
        let (count, _) = recv(self.descriptor(), &mut byte, flags)?;
        Ok((count > 0).then_some(byte[0]))
    }

    /// Has the socket tell the other side of an error when it is closed (RST), and forget what was not
    /// sent yet.
    pub(crate) fn abort(&self) {
        // Unix sockets have nothing of the kind.
        if let Self::Tcp(stream) = self {
            let _ = socket2::SockRef::from(stream).set_linger(Some(Duration::ZERO));
        }
    }

    /// Waits as [`Transport::wait`] says.
    pub(crate) fn wait(&self, source: BorrowedFd<'_>, stop: BorrowedFd<'_>) -> io::Result<Wake> {
        // Bytes of a next request are no reason to wake: only the end is.
        let mut events = [
            PollFd::from_borrowed_fd(stop, PollFlags::IN),
            PollFd::from_borrowed_fd(self.descriptor(), PollFlags::RDHUP),
            PollFd::from_borrowed_fd(source, PollFlags::IN),
        ];

        rustix::io::retry_on_intr(|| poll(&mut events, None))?;

        let is_ready = |event: &PollFd<'_>| !event.revents().is_empty();
        let [stop, left, _] = &events;

        Ok(match (is_ready(stop), is_ready(left)) {
            (true, _) => Wake::Stop,
            (false, true) => Wake::Left,
            (false, false) => Wake::Source,
        })
    }

    /// Has the kernel send some bytes of a file from where it stands.
    fn send_file(&self, file: &File, length: u64) -> rustix::io::Result<u64> {
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let count = rustix::io::retry_on_intr(|| sendfile(self.descriptor(), file, None, length))?;
        Ok(count as u64)
    }

    fn set_read_timeout(&self, timeout: Duration) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.set_read_timeout(Some(timeout)),
            Self::Unix(stream) => stream.set_read_timeout(Some(timeout)),
        }
    }

    fn set_write_timeout(&self, timeout: Duration) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.set_write_timeout(Some(timeout)),
            Self::Unix(stream) => stream.set_write_timeout(Some(timeout)),
        }
    }
}

/// A socket whose every wait is bounded, shared with the register that may have to close it.
pub(crate) struct Timed {
    socket: Arc<Socket>,
    reads: Clock,
    writes: Clock,
    packets: Packets,
    /// The last read took all that the kernel had.
    is_drained: bool,
}

/// When the kernel sends a packet that is not full.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Packets {
    AtOnce,
    OnceFull,
}

/// One direction's limit, and what the socket was last told, since telling it costs a system call.
struct Clock {
    limit: TimeLimit,
    told: Option<Duration>,
}

impl Clock {
    fn new() -> Self {
        let limit = TimeLimit {
            step: Duration::from_secs(15),
            deadline: None,
        };
        Self { limit, told: None }
    }

    /// What the socket has to be told before the next wait, if anything.
    fn next(&mut self) -> io::Result<Option<Duration>> {
        let left = self.limit.left()?;
        // A wait may be shorter than allowed by a quarter, so that a deadline that comes nearer does
        // not cost a system call each time; it is never longer.
        if self
            .told
            .is_some_and(|told| told <= left && told >= left - left / 4)
        {
            return Ok(None);
        }

        self.told = Some(left);

        Ok(Some(left))
    }
}

impl Timed {
    pub(crate) fn new(socket: Arc<Socket>) -> Self {
        let (reads, writes) = (Clock::new(), Clock::new());
        Self {
            socket,
            reads,
            writes,
            packets: Packets::AtOnce,
            is_drained: false,
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
        self.reads.limit.is_at_once()
    }

    /// Whether writes wait for nothing.
    pub(crate) fn writes_at_once(&self) -> bool {
        self.writes.limit.is_at_once()
    }

    /// Looks at the first byte without taking it, and without waiting for it.
    pub(crate) fn peek(&mut self) -> io::Result<Option<u8>> {
        let result = self.socket.peek();
        // Otherwise the byte is still there.
        self.is_drained = result.is_err();
        result
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
        self.reads.limit = limit;
    }

    pub(crate) fn set_write_limit(&mut self, limit: TimeLimit) {
        self.writes.limit = limit;
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

    fn before_read(&mut self) -> io::Result<()> {
        match self.reads.next()? {
            Some(timeout) => self.socket.set_read_timeout(timeout),
            None => Ok(()),
        }
    }

    fn before_write(&mut self) -> io::Result<()> {
        match self.writes.next()? {
            Some(timeout) => self.socket.set_write_timeout(timeout),
            None => Ok(()),
        }
    }
}

impl Read for Timed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let result = if self.reads.limit.is_at_once() {
            let received = recv(self.socket.descriptor(), &mut *buffer, RecvFlags::DONTWAIT);
            received.map(|(count, _)| count).map_err(io::Error::from)
        } else {
            self.before_read()?;
            match &*self.socket {
                Socket::Tcp(stream) => { stream }.read(buffer),
                Socket::Unix(stream) => { stream }.read(buffer),
            }
        };

        // A stream socket that gives less than it was asked for has no more (epoll(7)).
        self.is_drained = !matches!(result, Ok(count) if count == buffer.len());

        result
    }
}

impl Write for Timed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.writes_at_once() {
            return Ok(send(self.socket.descriptor(), bytes, SEND_AT_ONCE)?);
        }

        self.before_write()?;
        match &*self.socket {
            Socket::Tcp(stream) => { stream }.write(bytes),
            Socket::Unix(stream) => { stream }.write(bytes),
        }
    }

    fn write_vectored(&mut self, slices: &[io::IoSlice<'_>]) -> io::Result<usize> {
        if self.writes_at_once() {
            let mut nothing = SendAncillaryBuffer::default();
            let descriptor = self.socket.descriptor();
            return Ok(sendmsg(descriptor, slices, &mut nothing, SEND_AT_ONCE)?);
        }

        self.before_write()?;
        match &*self.socket {
            Socket::Tcp(stream) => { stream }.write_vectored(slices),
            Socket::Unix(stream) => { stream }.write_vectored(slices),
        }
    }

    /// Sends what waits for a full packet.
    fn flush(&mut self) -> io::Result<()> {
        self.set_packets(Packets::AtOnce);
        Ok(())
    }
}

const SEND_AT_ONCE: SendFlags = SendFlags::DONTWAIT.union(SendFlags::NOSIGNAL);

/// A connection without encryption.
pub(crate) struct Plain {
    pub(crate) timed: Timed,
    pub(crate) peer: Peer,
}

impl Read for Plain {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.timed.read(buffer)
    }
}

impl Write for Plain {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.timed.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.timed.flush()
    }
}

impl Transport for Plain {
    fn set_read_limit(&mut self, limit: TimeLimit) {
        self.timed.set_read_limit(limit);
    }

    fn set_write_limit(&mut self, limit: TimeLimit) {
        self.timed.set_write_limit(limit);
    }

    /// The kernel copies where it can. `io::copy` would not have it do so: the standard library takes
    /// `sendfile` from a file to a socket for unsafe as long as the file can change.
    fn send_file(&mut self, file: &mut File, length: u64) -> io::Result<u64> {
        self.timed.before_write()?;
        self.timed.fill_packets();
        match self.timed.socket().send_file(file, length) {
            // Some file systems cannot.
            Err(Errno::INVAL | Errno::NOSYS) => io::copy(&mut file.take(length), &mut self.timed),
            result => Ok(result?),
        }
    }

    fn has_more(&self) -> bool {
        !self.timed.is_drained()
    }

    fn expect_more(&mut self) {
        self.timed.expect_more();
    }

    fn has_unsent(&self) -> bool {
        false
    }

    fn finish(&mut self) {
        self.timed.socket().shutdown(Shutdown::Write);
    }

    fn abort(&mut self) {
        self.timed.socket().abort();
    }

    fn peer(&self) -> &Peer {
        &self.peer
    }

    fn wait(&self, source: BorrowedFd<'_>, stop: BorrowedFd<'_>) -> io::Result<Wake> {
        self.timed.socket().wait(source, stop)
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        Some(self.timed.descriptor())
    }

    fn interrupter(&self) -> Box<dyn Fn() + Send> {
        self.timed.interrupter()
    }
}
