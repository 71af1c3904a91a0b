// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A socket to a server whose every wait ends when the client is stopped, and whose reads have an end.
//!
//! Invariant: after a stop, each read and each write fails. So an end of the stream that only the stop
//! brought about is never taken for the end of an answer.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use socket2::{Domain, SockAddr, Socket, Type};

use crate::client::retry::stopped;
use crate::stop::{Stop, StopListener, Waited};
use crate::text::DURATION_MAX;

/// A connected socket.
pub(crate) struct StoppableSocket {
    socket: Arc<Socket>,
    stop: Stop,
    /// When reads fail, however little came until then.
    end: Option<Instant>,
    /// The timeout of the socket for a single read, as it was set last.
    read_timeout: Duration,
    /// Held to be dropped.
    _listener: StopListener,
}

impl StoppableSocket {
    /// Has a stop end the waits on a connected socket.
    pub(crate) fn new(socket: Socket, stop: &Stop) -> Self {
        let socket = Arc::new(socket);
        let woken = Arc::clone(&socket);

        let listener = stop.on_stop(move || {
            // If the other side hung up already, nobody waits.
            let _ = woken.shutdown(Shutdown::Both);
        });

        Self {
            socket,
            stop: stop.clone(),
            end: None,
            read_timeout: Duration::ZERO,
            _listener: listener,
        }
    }

    /// Connects over TCP within a time.
    ///
    /// # Errors
    /// `TimedOut`, those of the system, and [`stopped`].
    pub(crate) fn connect(address: SocketAddr, time: Duration, stop: &Stop) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
        // A blocking connect lasts as long as the system likes, and no stop would end it.
        socket.set_nonblocking(true)?;

        match socket.connect(&address.into()) {
            Err(error) if Errno::from_io_error(&error) == Some(Errno::INPROGRESS) => {
                await_connection(&socket, time, stop)?;
            }
            other => other?,
        }

        // From here on, the timeouts of the socket bound each wait, and a stop shuts it down.
        socket.set_nonblocking(false)?;
        socket.set_tcp_nodelay(true)?;

        Ok(Self::new(socket, stop))
    }

    /// Connects to a Unix socket within a time.
    ///
    /// # Errors
    /// As [`StoppableSocket::connect`].
    pub(crate) fn connect_path(path: &Path, time: Duration, stop: &Stop) -> io::Result<Self> {
        let address = SockAddr::unix(path)?;
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        let end = Instant::now().checked_add(time);

        // Where the queue of the listener is full, the system says so (connect(2), EAGAIN), and `poll` does
        // not tell when there is room, so this asks again and again.
        while let Err(error) = socket.connect(&address) {
            match error.kind() {
                io::ErrorKind::WouldBlock => {}
                io::ErrorKind::Interrupted => continue,
                _ => return Err(error),
            }
            if end.is_some_and(|end| Instant::now() >= end) {
                return Err(io::ErrorKind::TimedOut.into());
            }
            if let Waited::Stopped = stop.wait_for(QUEUE_STEP) {
                return Err(stopped().into());
            }
        }

        socket.set_nonblocking(false)?;

        Ok(Self::new(socket, stop))
    }

    /// Has reads fail with `TimedOut` from a moment on, or never. A limit for each single read would let a
    /// server go on with a byte now and then.
    pub(crate) fn read_until(&mut self, end: Option<Instant>) {
        self.end = end;
    }

    /// Has the next read wait no longer than until the end.
    fn limit_read(&mut self) -> io::Result<()> {
        let left = match self.end {
            Some(end) => end.saturating_duration_since(Instant::now()),
            None => DURATION_MAX,
        };
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }

        // In whole steps, so that a line that is never silent costs no further system call.
        let steps = left.as_nanos().div_ceil(TIMEOUT_STEP.as_nanos());
        let timeout = TIMEOUT_STEP.saturating_mul(u32::try_from(steps).unwrap_or(u32::MAX));
        if timeout != self.read_timeout {
            self.socket.set_read_timeout(Some(timeout))?;
            self.read_timeout = timeout;
        }

        Ok(())
    }

    /// For its options and for `poll`.
    pub(crate) fn socket(&self) -> &Socket {
        &self.socket
    }

    fn unless_stopped<T>(&self, result: io::Result<T>) -> io::Result<T> {
        if self.stop.is_stopped() {
            Err(stopped().into())
        } else {
            result
        }
    }
}

impl Read for StoppableSocket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let limited = self.limit_read();
        let result = limited.and_then(|()| (&*self.socket).read(buffer));
        self.unless_stopped(result)
    }
}

impl Write for StoppableSocket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let result = (&*self.socket).write(bytes);
        self.unless_stopped(result)
    }

    fn write_vectored(&mut self, pieces: &[io::IoSlice<'_>]) -> io::Result<usize> {
        let result = (&*self.socket).write_vectored(pieces);
        self.unless_stopped(result)
    }

    fn flush(&mut self) -> io::Result<()> {
        (&*self.socket).flush()
    }
}

/// Waits until a connection that is being made is there.
fn await_connection(socket: &Socket, time: Duration, stop: &Stop) -> io::Result<()> {
    let end = Instant::now().checked_add(time);
    let descriptor = stop.descriptor()?;

    let count = rustix::io::retry_on_intr(|| {
        // A signal interrupts `poll`, so the time that is left is computed anew for each call.
        let left = end.map(|end| end.saturating_duration_since(Instant::now()));
        let left = left.and_then(|left| Timespec::try_from(left).ok());
        let mut polled = [
            PollFd::new(socket, PollFlags::OUT),
            PollFd::from_borrowed_fd(descriptor, PollFlags::IN),
        ];
        poll(&mut polled, left.as_ref())
    })?;

    // A stop takes precedence, even if the connection was made at the same moment.
    if stop.is_stopped() {
        return Err(stopped().into());
    }
    if count == 0 {
        return Err(io::ErrorKind::TimedOut.into());
    }

    // A failed connection makes the socket writable, too; its error is kept there (connect(2)).
    socket.take_error()?.map_or(Ok(()), Err)
}

/// The unit of the time that a single read may wait.
const TIMEOUT_STEP: Duration = Duration::from_millis(100);

/// How long a full queue is left alone.
const QUEUE_STEP: Duration = Duration::from_millis(10);

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::sync::mpsc::channel;
    use std::thread;

    use super::*;
    use crate::stop::Reason;
    use crate::threads::spawn;

    /// Longer than any test takes.
    const DEADLINE: Duration = Duration::from_secs(60);

    /// A listener whose queue takes `queue` more connections than one.
    fn listener(queue: i32) -> (Socket, SocketAddr) {
        let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        listener
            .bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())
            .unwrap();
        listener.listen(queue).unwrap();
        let address = listener.local_addr().unwrap().as_socket().unwrap();
        (listener, address)
    }

    fn is_stop(error: io::Error) -> bool {
        crate::error::Error::from(error).message() == stopped().message()
    }

    #[test]
    fn a_stop_ends_connecting() {
        // The queue is full, so the kernel answers no further attempt.
        let (_listener, address) = listener(0);
        let never = Stop::new();
        let _queued = StoppableSocket::connect(address, DEADLINE, &never).unwrap();
        let late = StoppableSocket::connect(address, Duration::from_millis(10), &never);
        assert_eq!(late.err().unwrap().kind(), io::ErrorKind::TimedOut);

        let stop = Stop::new();
        stop.trigger(Reason::Shutdown);
        let ended = StoppableSocket::connect(address, DEADLINE, &stop);
        assert!(is_stop(ended.err().unwrap()));
    }

    #[test]
    fn a_full_queue_of_a_unix_socket_is_waited_for_and_no_longer() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let listener = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
        listener.bind(&SockAddr::unix(&path).unwrap()).unwrap();
        listener.listen(0).unwrap();

        let never = Stop::new();
        let step = Duration::from_millis(10);
        let mut queued = Vec::new();
        // How many a queue takes is up to the system.
        let full = loop {
            match StoppableSocket::connect_path(&path, step, &never) {
                Ok(socket) => queued.push(socket),
                Err(error) => break error,
            }
        };
        assert_eq!(full.kind(), io::ErrorKind::TimedOut);
        assert!(!queued.is_empty());

        let stop = Stop::new();
        stop.trigger(Reason::Shutdown);
        let ended = StoppableSocket::connect_path(&path, DEADLINE, &stop);
        assert!(is_stop(ended.err().unwrap()));

        let waiting = thread::spawn({
            let path = path.clone();
            move || StoppableSocket::connect_path(&path, DEADLINE, &Stop::new()).map(drop)
        });
        listener.accept().unwrap();
        waiting.join().unwrap().unwrap();
    }

    #[test]
    fn a_refused_connection_is_no_stop() {
        let (closed, address) = listener(0);
        drop(closed);
        let refused = StoppableSocket::connect(address, DEADLINE, &Stop::new());
        let kind = refused.err().unwrap().kind();
        assert_eq!(kind, io::ErrorKind::ConnectionRefused);
    }

    #[test]
    fn a_stop_ends_a_read_and_is_not_the_end_of_the_stream() {
        let (listener, address) = listener(1);
        let stop = Stop::new();
        let mut line = StoppableSocket::connect(address, DEADLINE, &stop).unwrap();
        let (mut other, _) = listener.accept().unwrap();
        other.write_all(b"x").unwrap();

        let (done, ended) = channel();
        let work = move || {
            let mut buffer = [0; 8];
            done.send(line.read(&mut buffer)).unwrap();
            done.send(line.read(&mut buffer)).unwrap();
            done.send(line.write(b"x")).unwrap();
        };
        spawn("reading", work).unwrap();
        assert_eq!(ended.recv_timeout(DEADLINE).unwrap().unwrap(), 1);

        stop.trigger(Reason::Shutdown);
        for _ in 0..2 {
            let result = ended.recv_timeout(DEADLINE).unwrap();
            assert!(is_stop(result.unwrap_err()));
        }
        drop(other);
    }
}
