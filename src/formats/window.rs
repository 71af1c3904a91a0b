// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Bytes of a model that are read where a reader of a format needs them, within bounds.

use std::io;

/// Where the bytes of a model are.
pub(crate) trait ByteSource {
    /// How many there are.
    fn size(&self) -> u64;

    /// Fills a buffer with the bytes from an offset on; all of them are within the size.
    ///
    /// # Errors
    /// Those of the source.
    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<()>;
}

/// Why the reading of a header ended early.
#[derive(Debug)]
pub(crate) enum Flaw {
    /// The bytes are none of the format.
    Damaged(&'static str),
    /// They may be right, but a bound of this reader ends before they do.
    Bounded(&'static str),
    /// The source failed.
    Source(io::Error),
}

pub(crate) type Flawed<T> = Result<T, Flaw>;

/// How much is read of a source.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReadBounds {
    /// Bytes in all reads together.
    pub(crate) bytes_max: u64,
    /// Reads, each of which may be a request to a server.
    pub(crate) reads_max: u64,
    /// What one read begins with, and what it grows to while no place is left out.
    pub(crate) piece_min: usize,
    pub(crate) piece_max: usize,
}

/// A place in the bytes of a model, and what was read around it.
pub(crate) struct Window<'a> {
    source: &'a mut dyn ByteSource,
    bounds: ReadBounds,
    held: Vec<u8>,
    /// The offset of the first byte that is held.
    start: u64,
    at: u64,
    /// How many bytes the next read takes.
    piece: usize,
    size: u64,
}

impl<'a> Window<'a> {
    pub(crate) fn new(source: &'a mut dyn ByteSource, bounds: ReadBounds) -> Self {
        let size = source.size();
        Self {
            source,
            bounds,
            held: Vec::new(),
            start: 0,
            at: 0,
            // What a header begins with is always needed, and most of it is no longer than this.
            piece: bounds.piece_max.min(FIRST_BYTES),
            size,
        }
    }

    /// How many bytes the model has.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    pub(crate) fn at(&self) -> u64 {
        self.at
    }

    pub(crate) fn left(&self) -> u64 {
        self.size - self.at
    }

    /// Goes to another place, where nothing is read yet.
    pub(crate) fn seek(&mut self, at: u64) -> Flawed<()> {
        if at > self.size {
            return Err(ENDS);
        }
        self.at = at;
        Ok(())
    }

    pub(crate) fn skip(&mut self, count: u64) -> Flawed<()> {
        self.seek(self.at.checked_add(count).ok_or(ENDS)?)
    }

    pub(crate) fn byte(&mut self) -> Flawed<u8> {
        self.fill()?;
        let index = self.at - self.start;
        self.at += 1;
        // It was just filled.
        let byte = usize::try_from(index)
            .ok()
            .and_then(|index| self.held.get(index));
        byte.copied().ok_or(ENDS)
    }

    /// The next byte, which stays.
    pub(crate) fn peek(&mut self) -> Flawed<u8> {
        let byte = self.byte()?;
        self.at -= 1;
        Ok(byte)
    }

    pub(crate) fn bytes<const COUNT: usize>(&mut self) -> Flawed<[u8; COUNT]> {
        let mut bytes = [0; COUNT];
        for byte in &mut bytes {
            *byte = self.byte()?;
        }
        Ok(bytes)
    }

    /// A number of so many bytes, at most eight, the least of which comes first.
    pub(crate) fn number(&mut self, bytes: u32) -> Flawed<u64> {
        let mut number = 0;
        for place in 0..bytes {
            number |= u64::from(self.byte()?) << (8 * place);
        }
        Ok(number)
    }

    /// So many bytes, of which the first ones are returned and the others skipped.
    pub(crate) fn text(&mut self, length: u64, kept_max: u64) -> Flawed<Vec<u8>> {
        let end = self.at.checked_add(length).ok_or(ENDS)?;
        if end > self.size {
            return Err(ENDS);
        }

        let mut text = Vec::new();
        for _ in 0..length.min(kept_max) {
            text.push(self.byte()?);
        }
        self.seek(end)?;
        Ok(text)
    }

    /// All bytes before the next end of a line, of which the first ones are returned.
    pub(crate) fn line(&mut self, kept_max: usize) -> Flawed<Vec<u8>> {
        let mut line = Vec::new();
        loop {
            match self.byte()? {
                b'\n' => return Ok(line),
                byte if line.len() < kept_max => line.push(byte),
                _ => {}
            }
        }
    }

    /// Has the byte at the present place among those that are held.
    fn fill(&mut self) -> Flawed<()> {
        let end = self.start + self.held.len() as u64;
        if (self.start..end).contains(&self.at) {
            return Ok(());
        }
        if self.at >= self.size {
            return Err(ENDS);
        }

        // Who jumps far does so again, to read little.
        let is_far = self.at < self.start || self.at - end > FAR_BYTES;
        if is_far && !self.held.is_empty() {
            self.piece = self.bounds.piece_min;
        }
        let length = self.left().min(self.piece as u64);
        self.piece = (self.piece * 2).min(self.bounds.piece_max);

        if self.bounds.reads_max == 0 || self.bounds.bytes_max < length {
            return Err(Flaw::Bounded("it is longer than what is read of a header"));
        }
        self.bounds.reads_max -= 1;
        self.bounds.bytes_max -= length;

        // The piece is bounded by what this device holds in any case.
        self.held
            .resize(usize::try_from(length).unwrap_or_default(), 0);
        self.start = self.at;
        let read = self.source.read_at(self.at, &mut self.held);
        read.map_err(|error| {
            self.held.clear();
            Flaw::Source(error)
        })
    }
}

pub(crate) const ENDS: Flaw = Flaw::Damaged("it ends before its header does");

const FIRST_BYTES: usize = 64 << 10;

/// What a read ahead costs less than another request.
const FAR_BYTES: u64 = 16 << 10;
