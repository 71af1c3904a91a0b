// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A stream that is being sent: what is known of it, and the piece of it that is in memory.

use std::io::{self, Read};

use crate::client::connection::TransferRate;
use crate::client::single_pass::{Outcome, Stored};
use crate::client::transfer::{TransferEvent, TransferEvents, TransferOptions};
use crate::client::upload::pieces::likely_outcome;
use crate::client::upload::upload_path::UploadPath;
use crate::digest::{Digest, Hasher};
use crate::error::{Error, ErrorKind, Result};
use crate::model::{Model, ModelName};
use crate::text::counted;

/// Bytes that can be read only once, and what is known of them.
pub struct Piped<'a> {
    /// Where they come from. An error of it ends the upload, and nothing is published.
    pub source: &'a mut dyn Read,
    /// How many there have to be.
    pub length: Option<u64>,
    /// What digest they have to have.
    pub digest: Option<Digest>,
    /// What is done where there are none.
    pub empty: EmptyInput,
    /// Is asked at the end of the source, before the upload is completed. Where it fails, nothing is
    /// published.
    pub complete: &'a mut dyn FnMut() -> Result<()>,
}

/// What is done with an input of no bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EmptyInput {
    /// It is refused: most often, its producer failed.
    #[default]
    Refused,
    /// It is an empty model.
    Allowed,
}

/// A stream on its way, and the piece of it that is in memory.
pub(crate) struct Piping<'a, 'p> {
    pub(crate) name: &'a ModelName,
    pub(crate) input: Piped<'p>,
    pub(crate) options: &'a TransferOptions,
    pub(crate) pace: TransferRate,
    /// Has seen all up to the end of the piece.
    pub(crate) hasher: Hasher,
    pub(crate) piece: Vec<u8>,
    /// Where the piece begins in the model.
    pub(crate) start: u64,
    /// Whether the source has ended after the piece.
    pub(crate) is_end: bool,
    /// How many bytes one request may bring.
    pub(crate) piece_max: u64,
    /// The upload on the server.
    /// Before there is one, nothing is sent in pieces.
    pub(crate) location: Option<UploadPath>,
    /// Whether the server has to be asked how much it has.
    pub(crate) is_unsure: bool,
    /// Whether the server has less than what cannot be read again.
    pub(crate) is_lost: bool,
    /// Bytes read from the source.
    pub(crate) read: u64,
    /// Bytes sent in all attempts.
    pub(crate) sent: u64,
}

impl Piping<'_, '_> {
    /// Reads on until the piece is full or the source ends.
    pub(crate) fn fill(&mut self, events: TransferEvents<'_>) -> Result<()> {
        self.piece.try_reserve_exact(PIPED_BYTES).map_err(|error| {
            Error::new(
                ErrorKind::Internal,
                "there is no memory for a piece of the input",
            )
            .because(error)
        })?;

        let mut buffer = vec![0; READ_BYTES];
        while !self.is_end && self.piece.len() < PIPED_BYTES {
            let room = READ_BYTES.min(PIPED_BYTES - self.piece.len());
            let count = self.read_source(&mut buffer[..room])?;
            self.piece.extend_from_slice(&buffer[..count]);
            if count == 0 {
                self.is_end = true;
            }
        }

        // Shows a slow producer that it is listened to.
        events(TransferEvent::Progress(self.start));

        Ok(())
    }

    /// Reads from the source, digests what comes, and refuses more than was announced.
    pub(crate) fn read_source(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let count = loop {
            match self.input.source.read(buffer) {
                // A system call that a signal interrupted is no failure of the source.
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(unreadable(error)),
                Ok(count) => break count,
            }
        };
        self.hasher.update(&buffer[..count]);
        self.read += count as u64;

        // What is too much already need not be sent.
        match self.input.length {
            Some(length) if self.read > length => Err(self.of_other_length(length)),
            _ => Ok(count),
        }
    }

    /// The piece is with the server.
    pub(crate) fn next(&mut self) {
        self.start += self.piece.len() as u64;
        self.piece.clear();
    }

    pub(crate) fn digest(&self) -> Digest {
        self.hasher.clone().finish()
    }

    /// Compares what came with what was announced.
    pub(crate) fn check_announced(&self) -> Result<()> {
        let length = self.input.length;
        if self.read == 0 && self.input.empty == EmptyInput::Refused && length != Some(0) {
            return Err(Error::new(
                ErrorKind::Usage,
                "the input is empty, as if the program before it had failed; nothing was sent",
            )
            .hint("if an empty model is meant, add --allow-empty"));
        }

        if let Some(length) = length.filter(|length| *length != self.read) {
            return Err(self.of_other_length(length));
        }

        let digest = self.digest();
        if let Some(expected) = self.input.digest.filter(|expected| *expected != digest) {
            let text = format!(
                "the input has the digest {digest:?} instead of {expected:?}; nothing was published"
            );
            return Err(Error::new(ErrorKind::Integrity, text));
        }

        Ok(())
    }

    fn of_other_length(&self, expected: u64) -> Error {
        let more = if self.read > expected {
            "at least "
        } else {
            ""
        };
        let came = counted(self.read, "byte");
        let text =
            format!("the input has {more}{came} instead of {expected}; nothing was published");
        Error::new(ErrorKind::Integrity, text)
    }

    pub(crate) fn stored(&self, model: Model, digest: Digest, outcome: Option<Outcome>) -> Stored {
        Stored {
            model,
            digest,
            outcome: outcome.unwrap_or_else(|| likely_outcome(self.options.replaces)),
            sent: self.sent,
            resumed_at: None,
        }
    }
}

/// Bytes in memory that are sent no faster than they may be.
pub(crate) struct Paced<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) pace: &'a TransferRate,
}

impl Read for Paced<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let room = self.pace.piece(buffer.len());
        let count = self.bytes.read(&mut buffer[..room])?;
        self.pace.spend(count)?;
        Ok(count)
    }
}

fn unreadable(error: io::Error) -> Error {
    match error.downcast::<Error>() {
        Ok(ours) => ours,
        Err(error) => Error::local("reading the input", error),
    }
}

/// What is read ahead of the line; a cut costs so much at most.
const PIPED_BYTES: usize = 4 << 20;

const READ_BYTES: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stop::Stop;

    #[test]
    fn a_piece_ends_where_it_is_full_and_the_stream_only_where_its_source_does() {
        let name = "m".parse().unwrap();
        let options = TransferOptions::default();

        for (length, is_end) in [
            (0, true),
            (PIPED_BYTES - 1, true),
            (PIPED_BYTES, false),
            (PIPED_BYTES + 1, false),
        ] {
            let mut source = io::repeat(7).take(length as u64);
            let mut piping = Piping {
                name: &name,
                input: Piped {
                    source: &mut source,
                    length: None,
                    digest: None,
                    empty: EmptyInput::Allowed,
                    complete: &mut || Ok(()),
                },
                options: &options,
                pace: TransferRate::new(None, &Stop::new()),
                hasher: Hasher::new(),
                piece: Vec::new(),
                start: 0,
                is_end: false,
                piece_max: 0,
                location: None,
                is_unsure: false,
                is_lost: false,
                read: 0,
                sent: 0,
            };

            piping.fill(&mut |_| {}).unwrap();
            assert_eq!(piping.piece.len(), length.min(PIPED_BYTES), "{length}");
            assert_eq!(piping.is_end, is_end, "{length}");
        }
    }
}
