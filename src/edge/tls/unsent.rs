// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Bytes of a TLS connection that are encrypted and that the socket has not taken.

use std::io::{self, Write as _};

use rustls::server::ServerConnectionData;
use rustls::unbuffered::{EncodeError, EncodeTlsData};

use crate::edge::socket::Timed;

/// Encrypted bytes, in memory that exists only while there are any.
#[derive(Default)]
pub(crate) struct Unsent {
    bytes: Vec<u8>,
    sent: usize,
    /// Whether the socket did not take them; otherwise they go with the next bytes.
    is_blocked: bool,
}

impl Unsent {
    /// What is still to be sent.
    pub(crate) fn rest(&self) -> &[u8] {
        &self.bytes[self.sent..]
    }

    /// Whether the socket did not take all that was to be sent.
    pub(crate) fn is_blocked(&self) -> bool {
        self.is_blocked
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Adds bytes behind all others.
    pub(crate) fn add(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Adds what rustls has to say.
    pub(crate) fn encode(&mut self, data: &mut EncodeTlsData<'_, ServerConnectionData>) {
        let start = self.bytes.len();
        loop {
            match data.encode(&mut self.bytes[start..]) {
                Ok(count) => return self.bytes.truncate(start + count),
                // The first attempt asks for the size.
                Err(EncodeError::InsufficientSize(error)) => {
                    self.bytes.resize(start + error.required_size, 0);
                }
                Err(EncodeError::AlreadyEncoded) => return self.bytes.truncate(start),
            }
        }
    }

    /// Sends everything.
    ///
    /// # Errors
    /// Those of the socket; what it did not take is kept.
    pub(crate) fn send(&mut self, timed: &mut Timed) -> io::Result<()> {
        let result = write_some(timed, &self.bytes[self.sent..], &mut self.sent);
        self.is_blocked = result.is_err();
        if result.is_ok() {
            self.clear();
        }

        result
    }

    /// Sends bytes where nothing else is to be sent, and keeps what the socket does not take.
    ///
    /// # Errors
    /// Those of the socket.
    pub(crate) fn send_through(&mut self, timed: &mut Timed, bytes: &[u8]) -> io::Result<()> {
        let mut sent = 0;
        let result = write_some(timed, bytes, &mut sent);
        if result.is_err() {
            self.add(&bytes[sent..]);
            self.is_blocked = true;
        }

        result
    }
}

/// Whether an error says only that the socket takes nothing more at the moment.
pub(crate) fn is_full(error: &io::Error, timed: &Timed) -> bool {
    error.kind() == io::ErrorKind::WouldBlock && timed.writes_at_once()
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
