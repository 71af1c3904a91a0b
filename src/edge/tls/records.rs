// SPDX-License-Identifier: Apache-2.0 OR MIT
//! TLS between a socket and its content, with no buffer of its own while nothing is under way.
//!
//! Invariant: of what was received, at most one record is decrypted before somebody asks for it, and at
//! most one more is kept encrypted, apart from what a reader has asked for.

use std::io;
use std::sync::Arc;

use rustls::server::{ServerConnectionData, UnbufferedServerConnection};
use rustls::unbuffered::{EncryptError, WriteTraffic};

use crate::edge::socket::Timed;
use crate::edge::tls::incoming::{Appetite, Incoming};
use crate::edge::tls::spare_buffers::SpareBuffers;
use crate::edge::tls::tls_session::{FarEnd, TlsSession, Turn};
use crate::edge::tls::unsent::is_full;

/// The server's side of TLS on one connection.
pub(crate) struct Records {
    session: TlsSession,
    spare: Arc<SpareBuffers>,
    /// What was decrypted, and how much of that was read.
    content: Vec<u8>,
    read: usize,
}

impl Records {
    /// A connection that has not shaken hands, with what was received of it.
    pub(crate) fn new(
        rustls: UnbufferedServerConnection,
        incoming: Incoming,
        spare: Arc<SpareBuffers>,
    ) -> Self {
        Self {
            session: TlsSession::new(rustls, incoming),
            spare,
            content: Vec::new(),
            read: 0,
        }
    }

    pub(crate) fn rustls(&self) -> &UnbufferedServerConnection {
        self.session.rustls()
    }

    /// Shakes hands as far as the socket allows.
    ///
    /// # Errors
    /// `WouldBlock` if the other side has to say more, `InvalidData` with the error of rustls if it said
    /// something wrong, of which it was told, and those of the socket.
    pub(crate) fn shake_hands(&mut self, timed: &mut Timed) -> io::Result<()> {
        loop {
            match self.read_turn(&mut []) {
                Turn::Encoded => continue,
                Turn::Failed => return Err(self.session.fail(timed)),
                _ if !self.rustls().is_handshaking() => break,
                _ => {}
            }

            self.send(timed)?;
            if self.receive(timed, Appetite::Handshake)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }

        // Many clients hold their request back until what they sent last is acknowledged (Nagle), which
        // tickets do. Without any, the kernel would let them wait for 40 ms.
        if self.session.outgoing.rest().is_empty() && self.content.is_empty() {
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
            match self.read_turn(into) {
                Turn::Content(count) => return Ok(count + self.read_on(&mut into[count..])),
                Turn::Encoded => {
                    // What answers the other side does not wait for an answer to a request.
                    match self.send(timed) {
                        Err(error) if !is_full(&error, timed) => return Err(error),
                        _ => continue,
                    }
                }
                Turn::Failed => return Err(self.session.fail(timed)),
                Turn::Closed | Turn::Over => return Ok(0),
                Turn::Blocked | Turn::Encrypted(_) => {}
            }

            match self.session.far_end {
                FarEnd::Open => {}
                FarEnd::Cut => return Err(io::ErrorKind::UnexpectedEof.into()),
                FarEnd::Closed | FarEnd::Failed(_) => return Ok(0),
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
            if self.receive(timed, appetite)? == 0 {
                self.session.far_end = FarEnd::Cut;
            }
        }
    }

    /// Decrypts further records that were received, as long as the reader has room for them. An error
    /// is left to the next read.
    fn read_on(&mut self, into: &mut [u8]) -> usize {
        let mut filled = 0;
        while !self.session.is_settled && into.len() - filled >= CONTENT_BYTES_MAX {
            match self.read_turn(&mut into[filled..]) {
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
        if self.has_unsent() || self.session.outgoing.rest().len() > LATE_BYTES_MAX {
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

        let outgoing = &mut self.session.outgoing;
        match outgoing.send_through(timed, &buffer[..length]) {
            // A flush sends the rest.
            Err(error) if is_full(&error, timed) => Ok(count),
            result => result.map(|()| count),
        }
    }

    /// Puts what is outgoing and then the records of some content into a buffer; says how much content
    /// that is, and how many bytes there are.
    fn encrypt(&mut self, content: &[u8], buffer: &mut [u8]) -> io::Result<(usize, usize)> {
        let mut most = content.len().min(RECORDS_AT_ONCE * CONTENT_BYTES_MAX);
        loop {
            let late = self.session.outgoing.rest().len().min(buffer.len());
            let mut on_traffic = |mut traffic: WriteTraffic<'_, ServerConnectionData>| {
                Turn::Encrypted(traffic.encrypt(&content[..most], &mut buffer[late..]))
            };

            let session = &mut self.session;
            match session.turn(&mut [], &mut self.content, &mut on_traffic) {
                Turn::Encrypted(Ok(length)) => {
                    buffer[..late].copy_from_slice(session.outgoing.rest());
                    session.outgoing.clear();
                    return Ok((most, late + length));
                }
                // Records may be configured to be tiny, which makes them many.
                Turn::Encrypted(Err(EncryptError::InsufficientSize(_))) if most > 1 => most /= 2,
                Turn::Encrypted(Err(error)) => return Err(io::Error::other(error)),
                Turn::Content(_) | Turn::Encoded | Turn::Closed => {}
                Turn::Failed => return Err(self.session.failure()),
                Turn::Over | Turn::Blocked => return Err(io::ErrorKind::BrokenPipe.into()),
            }
        }
    }

    /// Sends what is outgoing.
    ///
    /// # Errors
    /// Those of the socket.
    pub(crate) fn send(&mut self, timed: &mut Timed) -> io::Result<()> {
        self.session.outgoing.send(timed)
    }

    /// Says goodbye, as far as the socket takes it.
    pub(crate) fn say_goodbye(&mut self, timed: &mut Timed) {
        let mut goodbye = [0; 256];
        let mut say = |mut traffic: WriteTraffic<'_, ServerConnectionData>| {
            Turn::Encrypted(traffic.queue_close_notify(&mut goodbye))
        };

        let length = loop {
            match self.session.turn(&mut [], &mut self.content, &mut say) {
                // A goodbye that does not fit is encoded in the next turn.
                Turn::Content(_) | Turn::Encoded | Turn::Closed | Turn::Encrypted(Err(_)) => {}
                Turn::Encrypted(Ok(length)) => break length,
                Turn::Blocked | Turn::Over | Turn::Failed => break 0,
            }
        };

        self.session.outgoing.add(&goodbye[..length]);
        let _ = self.send(timed);
    }

    /// Whether there is something to read without another event of the socket.
    pub(crate) fn has_more(&self) -> bool {
        let session = &self.session;
        let has_records = !session.is_settled && !session.incoming.is_empty();
        // An end that was seen while something was written is still to be told.
        let is_open = matches!(session.far_end, FarEnd::Open);

        !self.content.is_empty() || has_records || !is_open
    }

    /// Whether the socket did not take all that was to be sent.
    pub(crate) fn has_unsent(&self) -> bool {
        self.session.outgoing.is_blocked()
    }

    /// A turn that reads what it can, and encrypts nothing.
    fn read_turn(&mut self, into: &mut [u8]) -> Turn {
        let wait = &mut |_: WriteTraffic<'_, ServerConnectionData>| Turn::Blocked;
        self.session.turn(into, &mut self.content, wait)
    }

    fn receive(&mut self, timed: &mut Timed, appetite: Appetite) -> io::Result<usize> {
        let count = self
            .session
            .incoming
            .receive(timed, appetite, &self.spare)?;
        if count > 0 {
            self.session.is_settled = false;
        }

        Ok(count)
    }

    /// The memory that is in use for what is under way: received, decrypted and outgoing.
    #[cfg(test)]
    pub(crate) fn held_bytes(&self) -> (usize, usize, usize) {
        (
            self.session.incoming.capacity(),
            self.content.capacity(),
            self.session.outgoing.rest().len(),
        )
    }

    fn release(&mut self) {
        // Records that are there already are about to be read.
        if self.session.is_settled || self.session.incoming.is_empty() {
            self.session.incoming.release(&self.spare);
        }
    }
}

/// The content of a record (RFC 8446 section 5.1).
pub(crate) const CONTENT_BYTES_MAX: usize = 16 * 1024;

/// How many records are encrypted before they are sent.
pub(crate) const RECORDS_AT_ONCE: usize = 4;

/// Reads of the socket for one read of content, where nothing may wait.
const RECEIPTS_AT_ONCE: usize = 4;

/// What may wait for the next content to be sent with it.
const LATE_BYTES_MAX: usize = 2048;
