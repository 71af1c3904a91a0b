// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Bytes of a TLS connection that were received and that rustls has not finished with.

use std::io::{self, Read as _};

use crate::edge::socket::Timed;
use crate::edge::tls::spare_buffers::{SPARE_BYTES, SpareBuffers};

/// Received bytes, in a buffer that exists only while there are any.
#[derive(Default)]
pub(crate) struct Incoming {
    /// The received bytes are those from `start` to `end`.
    buffer: Vec<u8>,
    start: usize,
    end: usize,
}

/// How much may be received.
#[derive(Clone, Copy)]
pub(crate) enum Appetite {
    /// What a handshake needs, whose messages may stretch over several records.
    Handshake,
    /// One record, even if the reader wants less.
    Record,
    /// So many bytes of content, and one record.
    Bulk(usize),
}

impl Incoming {
    /// What was received and not finished with.
    pub(crate) fn bytes(&mut self) -> &mut [u8] {
        &mut self.buffer[self.start..self.end]
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// The memory that is in use.
    #[cfg(test)]
    pub(crate) fn capacity(&self) -> usize {
        self.buffer.capacity()
    }

    /// Drops bytes at the front.
    pub(crate) fn discard(&mut self, count: usize) {
        self.start = self.end.min(self.start + count);
    }

    /// Receives more, once.
    ///
    /// # Errors
    /// Those of the socket, and `InvalidData` if what was received already is longer than anything that
    /// TLS allows.
    pub(crate) fn receive(
        &mut self,
        timed: &mut Timed,
        appetite: Appetite,
        spare: &SpareBuffers,
    ) -> io::Result<usize> {
        let held = self.end - self.start;
        let held_max = match appetite {
            Appetite::Handshake => HANDSHAKE_BYTES_MAX,
            Appetite::Record | Appetite::Bulk(_) => RECORD_BYTES_MAX,
        };
        if held >= held_max {
            let text = "the other side sent a TLS message that is too long";
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }

        // Memory follows what has arrived, not what a record announces.
        let size = match appetite {
            Appetite::Bulk(wanted) => SPARE_BYTES.min(wanted.saturating_add(RECORD_BYTES_MAX)),
            Appetite::Handshake | Appetite::Record => held_max.min(held + held.max(READ_BYTES)),
        };

        self.make_room(size, spare);
        let count = timed.read(&mut self.buffer[self.end..size])?;
        self.end += count;

        Ok(count)
    }

    /// Moves the received bytes to the front of a buffer of at least `size` bytes.
    fn make_room(&mut self, size: usize, spare: &SpareBuffers) {
        let held = self.end - self.start;

        if self.buffer.len() >= size {
            self.buffer.copy_within(self.start..self.end, 0);
        } else {
            let mut larger = if size > RECORD_BYTES_MAX {
                spare.take()
            } else {
                vec![0; size]
            };
            larger[..held].copy_from_slice(self.bytes());
            spare.give_back(std::mem::replace(&mut self.buffer, larger));
        }

        (self.start, self.end) = (0, held);
    }

    /// Gives memory back before a wait that may be long.
    pub(crate) fn release(&mut self, spare: &SpareBuffers) {
        let rest = if self.is_empty() {
            Vec::new()
        } else if self.buffer.len() == SPARE_BYTES {
            self.bytes().to_vec()
        } else {
            return;
        };

        (self.start, self.end) = (0, rest.len());
        spare.give_back(std::mem::replace(&mut self.buffer, rest));
    }
}

/// A record with its header (RFC 5246 section 6.2.3, whose records are larger than those of RFC 8446).
const RECORD_BYTES_MAX: usize = 5 + 16_384 + 2048;

/// A message of a handshake with the records that it comes in, as rustls bounds them elsewhere: chains of
/// certificates are long.
const HANDSHAKE_BYTES_MAX: usize = 0xffff;

/// How much is received at a time where a request is expected.
const READ_BYTES: usize = 4096;
