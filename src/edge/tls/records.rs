// SPDX-License-Identifier: Apache-2.0 OR MIT
//! TLS between a socket and its content, with no buffer of its own while nothing is under way.
//!
//! Invariant: of what was received, at most one record is decrypted before somebody asks for it, and at
//! most one more is kept encrypted, apart from what a reader has asked for.

use std::io::{self, Write as _};
use std::sync::Arc;

use rustls::server::{ServerConnectionData, UnbufferedServerConnection};
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncodeTlsData, EncryptError, UnbufferedStatus, WriteTraffic,
};

use crate::edge::socket::Timed;
use crate::edge::tls::incoming::{Appetite, Incoming};
use crate::edge::tls::spare_buffers::SpareBuffers;

/// The server's side of TLS on one connection.
pub(crate) struct Records {
    session: UnbufferedServerConnection,
    spare: Arc<SpareBuffers>,
    incoming: Incoming,
    /// Whether rustls needs more bytes to go on.
    is_settled: bool,
    source: Source,
    /// What was decrypted, and how much of that was read.
    content: Vec<u8>,
    read: usize,
    /// What was encrypted, and how much of that was sent.
    outgoing: Vec<u8>,
    sent: usize,
    /// Whether the socket did not take what is outgoing; otherwise that goes with the next bytes.
    is_blocked: bool,
}

/// What is to be expected of the other side.
enum Source {
    Open,
    /// It has said goodbye (`close_notify`).
    Closed,
    /// The socket ended without a goodbye, so what came last may be missing.
    Cut,
    Failed(rustls::Error),
}

/// What came of one turn of rustls.
enum Turn {
    /// Something was decrypted, of which the reader has so many bytes.
    Content(usize),
    /// There may be more to send.
    Encoded,
    /// More has to be received.
    Blocked,
    /// The other side has said goodbye.
    Closed,
    /// Both sides have.
    Over,
    Encrypted(Result<usize, EncryptError>),
    Failed,
}

/// What to do once content may be sent.
type OnTraffic<'a> = &'a mut dyn FnMut(WriteTraffic<'_, ServerConnectionData>) -> Turn;

impl Records {
    /// A connection that has not shaken hands, with what was received of it.
    pub(crate) fn new(
        session: UnbufferedServerConnection,
        incoming: Incoming,
        spare: Arc<SpareBuffers>,
    ) -> Self {
        Self {
            session,
            spare,
            incoming,
            is_settled: false,
            source: Source::Open,
            content: Vec::new(),
            read: 0,
            outgoing: Vec::new(),
            sent: 0,
            is_blocked: false,
        }
    }

    pub(crate) fn session(&self) -> &UnbufferedServerConnection {
        &self.session
    }

    /// Shakes hands as far as the socket allows.
    ///
    /// # Errors
    /// `WouldBlock` if the other side has to say more, `InvalidData` with the error of rustls if it said
    /// something wrong, of which it was told, and those of the socket.
    pub(crate) fn shake_hands(&mut self, timed: &mut Timed) -> io::Result<()> {
        loop {
            match self.turn(&mut [], &mut |_| Turn::Blocked) {
                Turn::Encoded => continue,
                Turn::Failed => return Err(self.fail(timed)),
                _ if !self.session.is_handshaking() => break,
                _ => {}
            }

            self.send(timed)?;
            match self
                .incoming
                .receive(timed, Appetite::Handshake, &self.spare)?
            {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                _ => self.is_settled = false,
            }
        }

        // Many clients hold their request back until what they sent last is acknowledged (Nagle), which
        // tickets do. Without any, the kernel would let them wait for 40 ms.
        if self.outgoing.is_empty() && self.content.is_empty() {
            timed.acknowledge();
        }
        self.send(timed)?;
        self.release();

        Ok(())
    }

    /// Reads content.
    ///
    /// # Errors
    /// Those of the socket, `UnexpectedEof` if it ends without a goodbye, and `InvalidData`.
    pub(crate) fn read(&mut self, timed: &mut Timed, into: &mut [u8]) -> io::Result<usize> {
        if into.is_empty() {
            return Ok(0);
        }

        if self.content.is_empty() {
            let result = self.read_records(timed, into);
            self.release();
            return result;
        }

        let rest = &self.content[self.read..];
        let count = rest.len().min(into.len());
        into[..count].copy_from_slice(&rest[..count]);
        self.read += count;
        if self.read == self.content.len() {
            (self.content, self.read) = (Vec::new(), 0);
        }

        Ok(count)
    }

    fn read_records(&mut self, timed: &mut Timed, into: &mut [u8]) -> io::Result<usize> {
        let mut receipts = 0;
        loop {
            match self.turn(into, &mut |_| Turn::Blocked) {
                Turn::Content(count) => return Ok(count + self.read_on(&mut into[count..])),
                Turn::Encoded => {
                    // What answers the other side does not wait for an answer to a request.
                    self.send_or_keep(timed)?;
                    continue;
                }
                Turn::Failed => return Err(self.fail(timed)),
                Turn::Closed | Turn::Over => return Ok(0),
                Turn::Blocked | Turn::Encrypted(_) => {}
            }

            match self.source {
                Source::Open => {}
                Source::Cut => return Err(io::ErrorKind::UnexpectedEof.into()),
                Source::Closed | Source::Failed(_) => return Ok(0),
            }

            // One thread serves all who do not wait: records without content must not hold it.
            receipts += 1;
            if receipts > RECEIPTS_AT_ONCE && timed.reads_at_once() {
                timed.expect_more();
                return Err(io::ErrorKind::WouldBlock.into());
            }

            let appetite = if into.len() < CONTENT_BYTES_MAX {
                Appetite::Record
            } else {
                Appetite::Bulk(into.len())
            };
            match self.incoming.receive(timed, appetite, &self.spare)? {
                0 => self.source = Source::Cut,
                _ => self.is_settled = false,
            }
        }
    }

    /// Decrypts further records that were received, as long as the reader has room for them. An error
    /// is left to the next read.
    fn read_on(&mut self, into: &mut [u8]) -> usize {
        let mut filled = 0;
        while !self.is_settled && into.len() - filled >= CONTENT_BYTES_MAX {
            match self.turn(&mut into[filled..], &mut |_| Turn::Blocked) {
                Turn::Content(count) => filled += count,
                Turn::Encoded => {}
                _ => break,
            }
        }

        filled
    }

    /// Encrypts content and sends it. What was encrypted and not taken is kept, and goes before all else.
    ///
    /// # Errors
    /// Those of the socket: `WouldBlock` only if nothing of this content was encrypted, where nothing may
    /// wait. `InvalidData` if the other side has broken the rules.
    pub(crate) fn write(&mut self, timed: &mut Timed, content: &[u8]) -> io::Result<usize> {
        if content.is_empty() {
            return Ok(0);
        }
        if self.is_blocked || self.outgoing.len() > LATE_BYTES_MAX {
            self.send(timed)?;
        }

        let mut buffer = self.spare.take();
        let result = self.write_through(timed, content, &mut buffer);
        self.spare.give_back(buffer);

        result
    }

    fn write_through(
        &mut self,
        timed: &mut Timed,
        content: &[u8],
        buffer: &mut [u8],
    ) -> io::Result<usize> {
        let (count, length) = self.encrypt(content, buffer)?;

        let mut sent = 0;
        let result = write_some(timed, &buffer[..length], &mut sent);
        if sent < length {
            self.outgoing = buffer[sent..length].to_vec();
            self.is_blocked = true;
        }

        match result {
            // A flush sends the rest.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && timed.writes_at_once() => {
                Ok(count)
            }
            result => result.map(|()| count),
        }
    }

    /// Puts what is outgoing and then the records of some content into a buffer; says how much content
    /// that is, and how many bytes there are.
    fn encrypt(&mut self, content: &[u8], buffer: &mut [u8]) -> io::Result<(usize, usize)> {
        let mut most = content.len().min(RECORDS_AT_ONCE * CONTENT_BYTES_MAX);
        loop {
            let late = (self.outgoing.len() - self.sent).min(buffer.len());
            let mut on_traffic = |mut traffic: WriteTraffic<'_, ServerConnectionData>| {
                Turn::Encrypted(traffic.encrypt(&content[..most], &mut buffer[late..]))
            };

            match self.turn(&mut [], &mut on_traffic) {
                Turn::Encrypted(Ok(length)) => {
                    buffer[..late].copy_from_slice(&self.outgoing[self.sent..]);
                    (self.outgoing, self.sent) = (Vec::new(), 0);
                    return Ok((most, late + length));
                }
                // Records may be configured to be tiny, which makes them many.
                Turn::Encrypted(Err(EncryptError::InsufficientSize(_))) if most > 1 => most /= 2,
                Turn::Encrypted(Err(error)) => return Err(io::Error::other(error)),
                Turn::Content(_) | Turn::Encoded | Turn::Closed => {}
                Turn::Failed => return Err(self.failure()),
                Turn::Over | Turn::Blocked => return Err(io::ErrorKind::BrokenPipe.into()),
            }
        }
    }

    /// Sends what is outgoing.
    ///
    /// # Errors
    /// Those of the socket.
    pub(crate) fn send(&mut self, timed: &mut Timed) -> io::Result<()> {
        let result = write_some(timed, &self.outgoing[self.sent..], &mut self.sent);
        self.is_blocked = result.is_err();
        if result.is_ok() {
            (self.outgoing, self.sent) = (Vec::new(), 0);
        }

        result
    }

    /// The same for a reader, which does not wait for the socket to take something.
    fn send_or_keep(&mut self, timed: &mut Timed) -> io::Result<()> {
        match self.send(timed) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && timed.writes_at_once() => {
                Ok(())
            }
            result => result,
        }
    }

    /// Says goodbye, as far as the socket takes it.
    pub(crate) fn say_goodbye(&mut self, timed: &mut Timed) {
        let mut goodbye = [0; 256];
        let mut say = |mut traffic: WriteTraffic<'_, ServerConnectionData>| {
            Turn::Encrypted(traffic.queue_close_notify(&mut goodbye))
        };

        let length = loop {
            match self.turn(&mut [], &mut say) {
                // A goodbye that does not fit is encoded in the next turn.
                Turn::Content(_) | Turn::Encoded | Turn::Closed | Turn::Encrypted(Err(_)) => {}
                Turn::Encrypted(Ok(length)) => break length,
                Turn::Blocked | Turn::Over | Turn::Failed => break 0,
            }
        };

        self.outgoing.extend_from_slice(&goodbye[..length]);
        let _ = self.send(timed);
    }

    /// Whether there is something to read without another event of the socket.
    pub(crate) fn has_more(&self) -> bool {
        let has_records = !self.is_settled && !self.incoming.is_empty();
        // An end that was seen while something was written is still to be told.
        let is_open = matches!(self.source, Source::Open);

        !self.content.is_empty() || has_records || !is_open
    }

    /// Whether the socket did not take all that was to be sent.
    pub(crate) fn has_unsent(&self) -> bool {
        self.is_blocked
    }

    /// Has rustls work on what was received until there is one thing to do. Content goes to the reader,
    /// and what does not fit there is kept.
    fn turn(&mut self, into: &mut [u8], on_traffic: OnTraffic<'_>) -> Turn {
        if matches!(self.source, Source::Failed(_)) {
            return Turn::Failed;
        }

        let status = self.session.process_tls_records(self.incoming.bytes());
        let UnbufferedStatus { mut discard, state } = status;
        self.is_settled = false;
        let mut failure = None;

        let turn = match state {
            Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                let mut count = 0;
                while let Some(Ok(record)) = traffic.next_record() {
                    discard += record.discard;
                    let most = record.payload.len().min(into.len() - count);
                    into[count..count + most].copy_from_slice(&record.payload[..most]);
                    self.content.extend_from_slice(&record.payload[most..]);
                    count += most;
                }
                Turn::Content(count)
            }
            Ok(ConnectionState::EncodeTlsData(mut data)) => {
                encode(&mut data, &mut self.outgoing);
                Turn::Encoded
            }
            Ok(ConnectionState::TransmitTlsData(data)) => {
                // It is kept here until it is sent.
                data.done();
                Turn::Encoded
            }
            Ok(ConnectionState::WriteTraffic(traffic)) => {
                self.is_settled = true;
                on_traffic(traffic)
            }
            Ok(ConnectionState::BlockedHandshake) => {
                self.is_settled = true;
                Turn::Blocked
            }
            Ok(ConnectionState::PeerClosed) => {
                self.source = Source::Closed;
                Turn::Closed
            }
            Ok(ConnectionState::Closed) => {
                self.is_settled = true;
                Turn::Over
            }
            Err(error) => {
                failure = Some(error);
                Turn::Failed
            }
            // No early data is accepted, and no other state is known.
            Ok(_) => {
                failure = Some(rustls::Error::General("an unknown state".to_owned()));
                Turn::Failed
            }
        };

        self.incoming.discard(discard);
        if let Some(error) = failure {
            // Nothing more is read: rustls must not see the same bytes again.
            self.source = Source::Failed(error);
        }

        turn
    }

    /// Tells the other side what is wrong, if rustls has something to say.
    fn fail(&mut self, timed: &mut Timed) -> io::Error {
        while self.session.wants_write() {
            // What is to be sent comes before bytes are looked at.
            let UnbufferedStatus { state, .. } =
                self.session.process_tls_records(self.incoming.bytes());
            match state {
                Ok(ConnectionState::EncodeTlsData(mut data)) => {
                    encode(&mut data, &mut self.outgoing);
                }
                Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                    while traffic.next_record().is_some() {}
                }
                _ => break,
            }
        }
        let _ = self.send(timed);

        self.failure()
    }

    fn failure(&self) -> io::Error {
        match &self.source {
            Source::Failed(error) => io::Error::new(io::ErrorKind::InvalidData, error.clone()),
            _ => io::ErrorKind::InvalidData.into(),
        }
    }

    /// The memory that is in use for what is under way: received, decrypted and outgoing.
    #[cfg(test)]
    pub(crate) fn held_bytes(&self) -> (usize, usize, usize) {
        (
            self.incoming.capacity(),
            self.content.capacity(),
            self.outgoing.capacity(),
        )
    }

    fn release(&mut self) {
        // Records that are there already are about to be read.
        if self.is_settled || self.incoming.is_empty() {
            self.incoming.release(&self.spare);
        }
    }
}

fn encode(data: &mut EncodeTlsData<'_, ServerConnectionData>, outgoing: &mut Vec<u8>) {
    let start = outgoing.len();
    loop {
        match data.encode(&mut outgoing[start..]) {
            Ok(count) => return outgoing.truncate(start + count),
            // The first attempt asks for the size.
            Err(EncodeError::InsufficientSize(error)) => {
                outgoing.resize(start + error.required_size, 0);
            }
            Err(EncodeError::AlreadyEncoded) => return outgoing.truncate(start),
        }
    }
}

/// Writes until everything is written, and counts.
fn write_some(timed: &mut Timed, bytes: &[u8], written: &mut usize) -> io::Result<()> {
    let mut left = bytes;
    while !left.is_empty() {
        match timed.write(left) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => {
                *written += count;
                left = &left[count..];
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }

    Ok(())
}

/// The content of a record (RFC 8446 section 5.1).
pub(crate) const CONTENT_BYTES_MAX: usize = 16 * 1024;

/// How many records are encrypted before they are sent.
pub(crate) const RECORDS_AT_ONCE: usize = 4;

/// Reads of the socket for one read of content, where nothing may wait.
const RECEIPTS_AT_ONCE: usize = 4;

/// What may wait for the next content to be sent with it.
const LATE_BYTES_MAX: usize = 2048;
