// SPDX-License-Identifier: Apache-2.0 OR MIT
//! One connection to a server as ureq needs it: plain or TLS, under time limits.
//!
//! A server may answer before it has read the whole body (wrong password, disk full) and then hang
//! up. ureq would report the broken pipe. So a channel looks for an answer before each write and
//! after a failed one; once there is one, it throws away what ureq still wants to send, tells the
//! body's reader through [`Early`] to come to its end, and hands the answer over.

use std::fmt;
use std::io::{self, Read, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustls::ClientConnection;
use ureq::Timeout;
use ureq::unversioned::transport::{Buffers, LazyBuffers, NextTimeout, Transport};

use crate::client::connection::cut::cut;
use crate::client::connection::early::{Early, is_final};
use crate::client::connection::handshake::refusal;
use crate::client::connection::stoppable_socket::StoppableSocket;
use crate::error::{Error, ErrorKind};
use crate::tls::Ahead;
use crate::transport::is_timeout;

/// A connection, after the handshake.
pub(crate) struct Channel {
    stream: StoppableSocket,
    tls: Option<Box<ClientConnection>>,
    /// What came for `tls` with other bytes.
    ahead: Ahead,
    buffers: LazyBuffers,
    early: Arc<Early>,
    timeout: Duration,
    /// When the answer was last seen to progress: the last bytes were sent, or its reader wanted more.
    since: Instant,
    /// Bytes that came since then.
    unseen: u64,
    /// Bytes sent since the last answer.
    sent: u64,
    /// Input arrived of which ureq does not know yet.
    fresh: bool,
    /// Bytes that came since the last one was sent and before an answer that is final; `None` from
    /// there on.
    interim: Option<u64>,
}

impl Channel {
    /// A channel on a stream whose write timeout is `timeout`, which is also the time without progress that
    /// a server may take to answer.
    pub(crate) fn new(
        stream: StoppableSocket,
        tls: Option<Box<ClientConnection>>,
        early: Arc<Early>,
        timeout: Duration,
    ) -> Self {
        let buffers = LazyBuffers::new(BUFFER_BYTES, BUFFER_BYTES);

        Self {
            stream,
            tls,
            ahead: Ahead::default(),
            buffers,
            early,
            timeout,
            since: Instant::now(),
            unseen: 0,
            sent: 0,
            fresh: false,
            interim: Some(0),
        }
    }

    fn send(&mut self, amount: usize) -> io::Result<()> {
        let mut bytes = &self.buffers.output()[..amount];
        let Some(tls) = &mut self.tls else {
            return self.stream.write_all(bytes);
        };

        loop {
            // rustls takes in no more than its own buffer has room for.
            let count = tls.writer().write(bytes)?;
            bytes = &bytes[count..];
            while tls.wants_write() {
                match tls.write_tls(&mut self.stream) {
                    // Without this arm, a socket that takes nothing would keep the loop going for ever.
                    Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                    Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
                    _ => {}
                }
            }
            if bytes.is_empty() {
                return Ok(());
            }
        }
    }

    /// Reads once, appends to the input, and returns how much it was; 0 is the end.
    fn receive(&mut self) -> io::Result<usize> {
        let input = self.buffers.input_append_buf();
        if input.is_empty() {
            // Whether the buffer or the bound is full first depends on how the bytes arrive.
            if self.interim.is_some() {
                return Err(endless_interim().into());
            }

            // ureq takes everything but half a head out of the buffer.
            let text = "the head of the answer is too large";
            return Err(Error::new(ErrorKind::FieldsTooLarge, text).into());
        }

        let count = match &mut self.tls {
            None => self.stream.read(input)?,
            Some(tls) => loop {
                match tls.reader().read(input) {
                    // rustls has no plain bytes yet and needs another record.
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    // No close_notify: rustls says how that differs from an end.
                    other => break other?,
                }
                pump(tls, &mut self.stream, &mut self.ahead)?;
            },
        };

        self.buffers.input_appended(count);
        self.count_interim(count)?;
        self.count_unseen(count)?;

        Ok(count)
    }

    /// Bounds what a server says before it answers, which nobody would ever see.
    fn count_interim(&mut self, count: usize) -> io::Result<()> {
        let Some(interim) = self.interim else {
            return Ok(());
        };

        if is_final(self.buffers.input()) {
            self.interim = None;
            return Ok(());
        }

        let interim = interim + count as u64;
        self.interim = Some(interim);
        if interim > INTERIM_BYTES_MAX {
            return Err(endless_interim().into());
        }

        Ok(())
    }

    /// Bounds what a server says without a byte of content.
    fn count_unseen(&mut self, count: usize) -> io::Result<()> {
        self.unseen += count as u64;
        if self.unseen <= UNSEEN_BYTES_MAX {
            return Ok(());
        }

        let text = "the server sends trailer fields without an end";
        Err(Error::new(ErrorKind::FieldsTooLarge, text)
            .hint("is --server (SKEP_SERVER) the address of a skep server?")
            .into())
    }

    /// Begins to count the time and the bytes without progress.
    fn progress(&mut self) {
        self.since = Instant::now();
        self.unseen = 0;
    }

    /// Takes in what has arrived without waiting; whether it is an answer, or the beginning of one.
    fn has_answer(&mut self) -> io::Result<bool> {
        // Nothing here waits, so what came late does no harm.
        self.stream.read_until(None);

        // Readable does not mean answered: session tickets and interim answers may come at any time.
        // A server may send tickets faster than they are taken in, so there is an end to it.
        for _ in 0..LOOKS_MAX {
            if self.ahead.is_empty() && !self.is_readable() {
                break;
            }
            if let Some(tls) = &mut self.tls {
                pump(tls, &mut self.stream, &mut self.ahead)?;
                let input = self.buffers.input_append_buf();
                match tls.reader().read(input) {
                    Ok(0) => return Err(io::ErrorKind::ConnectionReset.into()),
                    Ok(count) => {
                        self.buffers.input_appended(count);
                        self.count_interim(count)?;
                    }
                    // The record had no content for us, such as a session ticket.
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                    Err(error) => return Err(error),
                }
            } else if self.receive()? == 0 {
                return Err(io::ErrorKind::ConnectionReset.into());
            }
            self.fresh = true;
            if is_final(self.buffers.input()) {
                return Ok(true);
            }
        }

        Ok(false)
    }

    /// After a failed write: what had been sent before the server hung up. An answer is kept; an
    /// alert of TLS is returned in place of the `error`, which says less.
    fn last_words(&mut self, error: io::Error) -> Result<(), io::Error> {
        if refusal(&error).is_some() {
            return Err(error);
        }

        self.stream
            .read_until(Instant::now().checked_add(LAST_WORDS));

        while !is_final(self.buffers.input()) {
            match self.receive() {
                Err(alert) if refusal(&alert).is_some() => return Err(alert),
                Ok(0) | Err(_) => return Err(error),
                Ok(_) => self.fresh = true,
            }
        }

        Ok(())
    }

    fn is_readable(&self) -> bool {
        let mut polled = [PollFd::new(self.stream.socket(), PollFlags::IN)];
        matches!(
            poll(
                &mut polled,
                Some(&Timespec {
                    tv_sec: 0,
                    tv_nsec: 0
                })
            ),
            Ok(1..)
        )
    }

    /// How long the server may think. Before it answers an upload it writes it to its disk, and a
    /// slow SD card takes a second for 4 MiB.
    fn patience(&self) -> Duration {
        self.timeout + Duration::from_secs(self.sent >> 22)
    }

    fn tardy(&self) -> ureq::Error {
        let seconds = self.timeout.as_secs();
        let message = format!("the server made no progress for {seconds} s");
        let error = Error::new(ErrorKind::Interrupted, message).hint("--timeout waits longer");
        ureq::Error::Io(error.into())
    }
}

fn endless_interim() -> Error {
    Error::new(
        ErrorKind::NotImplemented,
        "the server sends interim answers without an end",
    )
}

/// Reads TLS records once and takes them in.
fn pump(
    tls: &mut ClientConnection,
    stream: &mut StoppableSocket,
    ahead: &mut Ahead,
) -> io::Result<()> {
    match ahead.feed(tls, stream) {
        Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
        other => other?,
    }

    let state = tls.process_new_packets();
    let state = state.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
    if state.tls_bytes_to_write() > 0 {
        // If this fails, so does the next write; what the server has to say is still worth reading.
        let _ = tls.write_tls(stream);
    }

    Ok(())
}

impl Transport for Channel {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, _: NextTimeout) -> Result<(), ureq::Error> {
        // The answer is here already, so whatever ureq still wants to send is thrown away.
        if self.early.is_set() {
            return Ok(());
        }

        // Asked before each write: a server that has answered may have stopped reading, and then the write
        // would wait until its timeout.
        let result = match self.has_answer() {
            Ok(true) => {
                self.early.set(true);
                return Ok(());
            }
            Ok(false) => self.send(amount),
            Err(error) => Err(error),
        };

        let Err(error) = result else {
            self.sent += amount as u64;
            self.interim = Some(0);
            self.progress();
            return Ok(());
        };

        // It hung up, or it stopped reading, and may have said why.
        match self.last_words(error) {
            Ok(()) => {
                self.early.set(true);
                Ok(())
            }
            Err(error) if is_timeout(&error) => Err(self.tardy()),
            Err(error) => Err(ureq::Error::Io(cut(error))),
        }
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, ureq::Error> {
        // While ureq waits for 100 Continue, silence is no failure: it sends the body all the same.
        let is_pause = timeout.reason == Timeout::Await100;
        // `has_answer` took this input in without ureq knowing of it, and nothing more may follow.
        if self.fresh && !is_pause {
            self.fresh = false;
            if !self.buffers.input().is_empty() {
                return Ok(true);
            }
        }

        if self.early.take_progress() {
            self.progress();
        }

        // All of a head has one limit, with the interim answers before it. The same goes for whatever comes
        // between two pieces of content.
        let mut end = self.since.checked_add(self.patience());
        if is_pause {
            let pause = Instant::now().checked_add(*timeout.after);
            end = [end, pause].into_iter().flatten().min();
        }
        self.stream.read_until(end);

        loop {
            match self.receive() {
                Ok(count) => {
                    // A final answer stays in the buffer of ureq, which asks for it with its next wait.
                    self.fresh = is_pause;
                    self.sent = if is_pause { self.sent } else { 0 };
                    return Ok(count > 0);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if is_timeout(&error) && is_pause => {
                    return Err(ureq::Error::Timeout(timeout.reason));
                }
                Err(error) if is_timeout(&error) => return Err(self.tardy()),
                Err(error) => return Err(ureq::Error::Io(cut(error))),
            }
        }
    }

    fn is_open(&mut self) -> bool {
        // TLS 1.3 servers send session tickets at any time, so bytes alone mean nothing.
        !self.early.is_set() && matches!(self.has_answer(), Ok(false)) && !self.fresh
    }

    fn is_tls(&self) -> bool {
        self.tls.is_some()
    }
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Channel")
            .field("is_tls", &self.tls.is_some())
            .finish_non_exhaustive()
    }
}

/// Enough to fill a TLS record four times; more is not faster on the devices measured.
const BUFFER_BYTES: usize = 64 * 1024;

/// Interim answers between two writes: some hundred, with fields.
const INTERIM_BYTES_MAX: u64 = 64 * 1024;

/// What may come without a byte of content: a head and the interim answers before it, or all trailer fields.
const UNSEEN_BYTES_MAX: u64 = 4 * BUFFER_BYTES as u64;

/// Records that are taken in between two writes.
const LOOKS_MAX: u32 = 64;

/// How long a server that hung up is given to show what it had to say.
const LAST_WORDS: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::net::{Ipv4Addr, TcpListener, TcpStream};

    use super::*;
    use crate::stop::Stop;

    /// A channel that waits for an answer no longer than this, and the other side.
    fn channel(timeout: Duration) -> (Channel, TcpStream) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (server, _) = listener.accept().unwrap();

        let stream = StoppableSocket::new(stream.into(), &Stop::new());
        let early = Arc::default();
        (Channel::new(stream, None, early, timeout), server)
    }

    fn wait(reason: Timeout, after: Duration) -> NextTimeout {
        NextTimeout {
            after: after.into(),
            reason,
            ..NextTimeout::default()
        }
    }

    #[test]
    fn silence_is_a_pause_before_the_body_and_a_failure_after_it() {
        let (short, long) = (Duration::from_millis(10), Duration::from_secs(60));

        // ureq sends the body after this error, and after no other.
        let (mut patient, _server) = channel(long);
        let result = patient.await_input(wait(Timeout::Await100, short));
        assert!(matches!(
            result,
            Err(ureq::Error::Timeout(Timeout::Await100))
        ));

        let (mut hasty, _server) = channel(short);
        let result = hasty.await_input(wait(Timeout::RecvResponse, long));
        let text = result.unwrap_err().to_string();
        assert!(text.contains("made no progress"), "{text}");

        // A server that is gone is not one that is slow.
        for reason in [Timeout::Await100, Timeout::RecvResponse] {
            let (mut cut, server) = channel(long);
            let reset = socket2::SockRef::from(&server).set_linger(Some(Duration::ZERO));
            reset.unwrap();
            drop(server);
            let error = cut.await_input(wait(reason, long)).unwrap_err();
            assert!(matches!(error, ureq::Error::Io(_)), "{error:?}");
            assert!(!error.to_string().contains("progress"), "{error}");
        }
    }

    #[test]
    fn interim_answers_without_an_end_are_told_however_they_arrive() {
        let long = Duration::from_secs(60);
        let interim = b"HTTP/1.1 100 Continue\r\n\r\n";

        // Pieces that fill the buffer to its last byte, and pieces that do not.
        for piece in [BUFFER_BYTES, BUFFER_BYTES / 2, 1000] {
            let (mut channel, mut server) = channel(long);
            let text = interim.repeat(2 * BUFFER_BYTES / interim.len());
            let mut sent = 0;

            let error = loop {
                let end = (sent + piece).min(text.len());
                server.write_all(&text[sent..end]).unwrap();
                // All of the piece, so that nothing is left to how it arrives.
                let before = channel.buffers.input().len();
                let failed = loop {
                    match channel.receive() {
                        Ok(_) if channel.buffers.input().len() < before + end - sent => {}
                        Ok(_) => break None,
                        Err(error) => break Some(error),
                    }
                };
                sent = end;
                if let Some(error) = failed {
                    break error;
                }
            };
            assert!(error.to_string().contains("interim answers"), "{error}");
        }
    }

    #[test]
    fn input_is_told_from_its_end() {
        let long = Duration::from_secs(60);
        let (mut channel, mut server) = channel(long);
        server.write_all(b"HTTP").unwrap();
        assert!(
            channel
                .await_input(wait(Timeout::RecvResponse, long))
                .unwrap()
        );

        drop(server);
        assert!(
            !channel
                .await_input(wait(Timeout::RecvResponse, long))
                .unwrap()
        );
    }

    /// Waits until something has come, or the end.
    fn await_bytes(channel: &Channel) {
        let mut polled = [PollFd::new(channel.stream.socket(), PollFlags::IN)];
        poll(&mut polled, None).unwrap();
    }

    #[test]
    fn a_connection_on_which_something_came_unasked_is_not_used_again() {
        let long = Duration::from_secs(60);
        let (mut open, mut server) = channel(long);
        assert!(open.is_open() && !open.is_tls());
        server
            .write_all(b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n")
            .unwrap();
        await_bytes(&open);
        assert!(!open.is_open());

        let (mut closed, server) = channel(long);
        drop(server);
        await_bytes(&closed);
        assert!(!closed.is_open());

        let (mut answered, _server) = channel(long);
        answered.early.set(true);
        assert!(!answered.is_open());
    }

    #[test]
    fn an_upload_gives_the_server_time_for_its_disk() {
        let (mut channel, _server) = channel(Duration::from_secs(60));
        let next = || wait(Timeout::SendBody, Duration::from_secs(60));
        for _ in 0..2 {
            channel.transmit_output(100, next()).unwrap();
        }
        assert_eq!(channel.sent, 200);
        assert_eq!(channel.patience(), Duration::from_secs(60));
        channel.sent = 40 << 20;
        assert_eq!(channel.patience(), Duration::from_secs(70));
    }

    #[test]
    fn interim_answers_have_an_end_or_are_given_up() {
        let (mut channel, mut server) = channel(Duration::from_secs(60));
        let interim = "HTTP/1.1 100 Continue\r\n\r\n";
        let mut counted = 0;
        let error = loop {
            server.write_all(interim.as_bytes()).unwrap();
            match channel.receive() {
                Ok(count) => counted += count as u64,
                Err(error) => break Error::from(error),
            }
            let length = channel.buffers.input().len();
            channel.buffers.input_consume(length);
            assert!(counted <= INTERIM_BYTES_MAX, "{counted}");
        };
        assert!(error.message().contains("interim answers without an end"));
        assert!(counted > INTERIM_BYTES_MAX - 2 * interim.len() as u64);
    }
}
