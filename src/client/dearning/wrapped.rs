// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A file on its way out: base64 inside of JSON, made piece by piece.

use std::io::{self, Read};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::error::{Error, ErrorKind};

/// A reader of `head`, a source in base64, and the end of the JSON.
pub(crate) struct Wrapped<'a> {
    source: &'a mut dyn Read,
    length: u64,
    read: u64,
    progress: &'a mut dyn FnMut(u64),
    head: String,
    /// What was made but not read yet, from `start` on.
    ready: String,
    start: usize,
    raw: Vec<u8>,
}

impl<'a> Wrapped<'a> {
    pub(crate) fn new(
        head: String,
        source: &'a mut dyn Read,
        length: u64,
        progress: &'a mut dyn FnMut(u64),
    ) -> Self {
        let ready = head.clone();
        Self {
            source,
            length,
            read: 0,
            progress,
            head,
            ready,
            start: 0,
            raw: Vec::new(),
        }
    }

    /// The length of the whole.
    pub(crate) fn length(&self) -> u64 {
        let text = self.length.div_ceil(3).saturating_mul(4);
        text.saturating_add((self.head.len() + TAIL.len()) as u64)
    }

    /// Makes the next piece, of whole groups of three bytes but at the end.
    fn refill(&mut self) -> io::Result<()> {
        let left = self.length - self.read;
        self.ready.clear();
        self.start = 0;
        let count = left.min(PIECE_BYTES);
        self.raw.clear();
        (&mut *self.source).take(count).read_to_end(&mut self.raw)?;

        // The announced length can no longer be kept, and padding would make it another file.
        if (self.raw.len() as u64) < count {
            let reason = "the file became shorter while it was being sent";
            return Err(Error::new(ErrorKind::Interrupted, reason).into());
        }

        self.read += count;
        STANDARD.encode_string(&self.raw, &mut self.ready);
        // An empty file comes here once as well, because its tail is still due.
        if self.read == self.length {
            self.ready.push_str(TAIL);
        }

        (self.progress)(count);

        Ok(())
    }

    fn is_done(&self) -> bool {
        self.read == self.length && self.ready.ends_with(TAIL)
    }
}

impl Read for Wrapped<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.start == self.ready.len() {
            if self.is_done() {
                return Ok(0);
            }
            self.refill()?;
        }
        let count = (&self.ready.as_bytes()[self.start..]).read(buffer)?;
        self.start += count;
        Ok(count)
    }
}

const TAIL: &str = "\"}";

/// A multiple of three, so that only the last piece is padded.
pub(crate) const PIECE_BYTES: u64 = 48 * 1024;
