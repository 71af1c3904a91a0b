// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Base64 in blocks: text that comes in pieces of any length, decoded by whole vectors of the CPU.

use base64::engine::{Engine, GeneralPurposeConfig};
use base64::{DecodeError, DecodeSliceError};

/// The engine for the standard alphabet that is the fastest on this CPU.
#[cfg(any(
    target_arch = "x86_64",
    all(target_arch = "aarch64", target_feature = "neon")
))]
pub(crate) use base64::engine::Simd as BlockEngine;

/// The engine for the standard alphabet, where no CPU has vectors that it could use.
#[cfg(not(any(
    target_arch = "x86_64",
    all(target_arch = "aarch64", target_feature = "neon")
)))]
pub(crate) use base64::engine::GeneralPurpose as BlockEngine;

#[cfg(any(
    target_arch = "x86_64",
    all(target_arch = "aarch64", target_feature = "neon")
))]
pub(crate) fn engine(config: GeneralPurposeConfig) -> BlockEngine {
    BlockEngine::standard(config)
}

#[cfg(not(any(
    target_arch = "x86_64",
    all(target_arch = "aarch64", target_feature = "neon")
)))]
pub(crate) fn engine(config: GeneralPurposeConfig) -> BlockEngine {
    BlockEngine::new(&base64::alphabet::STANDARD, config)
}

/// What has been decoded is not base64, or not only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NotBase64 {
    /// How many bytes of the text come before the first one that cannot stand there.
    pub(crate) offset: u64,
}

/// Decodes base64 that ends in canonical padding, and drops spaces, as Python's decoder does. Its other
/// blanks do not stand in a string of JSON as they are.
pub(crate) struct BlockDecoder {
    engine: BlockEngine,
    /// The beginning of a quantum, the four symbols of three bytes (RFC 4648 section 4).
    begun: [u8; QUANTUM],
    begun_count: usize,
    /// Where in the text those symbols are.
    begun_at: [u64; QUANTUM],
    /// How many bytes of text have been taken.
    taken: u64,
    /// Nothing but spaces may follow.
    is_padded: bool,
    plain: Box<[u8]>,
    plain_count: usize,
}

impl BlockDecoder {
    /// A decoder that holds back up to `bytes` of what it has decoded.
    pub(crate) fn new(bytes: usize) -> Self {
        let lenient = GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true);

        Self {
            engine: engine(lenient),
            begun: [0; QUANTUM],
            begun_count: 0,
            begun_at: [0; QUANTUM],
            taken: 0,
            is_padded: false,
            plain: vec![0; bytes.max(3 * QUANTUM)].into(),
            plain_count: 0,
        }
    }

    /// How many bytes of text [`BlockDecoder::decode`] takes at once; 0 until [`BlockDecoder::drain`]
    /// has been called.
    pub(crate) fn room(&self) -> usize {
        // One quantum less, because one that was begun earlier may be completed.
        ((self.plain.len() - self.plain_count) / 3).saturating_sub(1) * QUANTUM
    }

    /// What has been decoded since the last call.
    pub(crate) fn drain(&mut self) -> &[u8] {
        let count = std::mem::take(&mut self.plain_count);
        &self.plain[..count]
    }

    /// Decodes a piece of at most [`BlockDecoder::room`] bytes. After an error nothing of the piece
    /// counts, and every byte of the earlier ones has been a symbol, a space or padding.
    pub(crate) fn decode(&mut self, piece: &[u8]) -> Result<(), NotBase64> {
        debug_assert!(piece.len() <= self.room());
        let mut rest = piece;

        while !rest.is_empty() {
            if self.begun_count == 0 && !self.is_padded {
                let whole = rest.len() - rest.len() % QUANTUM;
                let good = self.decode_quanta(&rest[..whole])?;
                self.taken += good as u64;
                rest = &rest[good..];
            }

            // What ends a block is judged symbol by symbol: a space, padding, the end of a piece.
            while let Some((first, behind)) = rest.split_first() {
                self.push(*first)?;
                self.taken += 1;
                rest = behind;
                if self.begun_count == 0 && *first != b' ' {
                    break;
                }
            }
        }

        Ok(())
    }

    /// Skips blanks that stand in the text as escapes.
    pub(crate) fn skip(&mut self) {
        self.taken += 1;
    }

    /// Whether the text may end here.
    pub(crate) fn complete(&self) -> Result<(), NotBase64> {
        if self.begun_count == 0 {
            Ok(())
        } else {
            Err(self.here())
        }
    }

    /// The error of the next byte of the text.
    pub(crate) fn here(&self) -> NotBase64 {
        NotBase64 { offset: self.taken }
    }

    /// Decodes the quanta that have neither spaces nor padding within, and says how many bytes they are.
    fn decode_quanta(&mut self, quanta: &[u8]) -> Result<usize, NotBase64> {
        let Err(error) = self.decode_block(quanta) else {
            return Ok(quanta.len());
        };

        // The engine decodes in order, so that all before the byte it names is in order.
        let good = match error {
            DecodeSliceError::DecodeError(DecodeError::InvalidByte(at, _)) => at - at % QUANTUM,
            _ => quanta.len() - QUANTUM,
        };

        match self.decode_block(&quanta[..good]) {
            Ok(()) => Ok(good),
            Err(_) => Err(self.here()),
        }
    }

    fn decode_block(&mut self, block: &[u8]) -> Result<(), DecodeSliceError> {
        let plain = &mut self.plain[self.plain_count..];
        let count = self.engine.decode_slice(block, plain)?;
        self.plain_count += count;
        self.is_padded = count < block.len() / QUANTUM * 3;
        Ok(())
    }

    /// Takes one byte of text.
    fn push(&mut self, byte: u8) -> Result<(), NotBase64> {
        match byte {
            b' ' => return Ok(()),
            // A byte is judged when it comes: the caller gives up what has been taken.
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'+' | b'/' | b'=' if !self.is_padded => {}
            _ => return Err(self.here()),
        }

        self.begun[self.begun_count] = byte;
        self.begun_at[self.begun_count] = self.taken;
        self.begun_count += 1;

        if self.begun_count == QUANTUM {
            self.begun_count = 0;
            let quantum = self.begun;
            let decoded = self.decode_block(&quantum);
            decoded.map_err(|error| self.within_quantum(&error))?;
        }

        Ok(())
    }

    /// Where a quantum is wrong; padding that does not fit is told of at its end.
    fn within_quantum(&self, error: &DecodeSliceError) -> NotBase64 {
        let at = match error {
            DecodeSliceError::DecodeError(DecodeError::InvalidByte(at, _)) => *at,
            _ => QUANTUM - 1,
        };
        NotBase64 {
            offset: self.begun_at[at.min(QUANTUM - 1)],
        }
    }
}

/// Symbols that stand for three bytes together.
pub(crate) const QUANTUM: usize = 4;

#[cfg(test)]
mod tests {
    use base64::alphabet::STANDARD;
    use base64::engine::GeneralPurpose;
    use proptest::prelude::*;

    use super::*;

    /// All at once, as the plain engine has it.
    fn expected(text: &[u8]) -> Option<Vec<u8>> {
        let lenient = GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true);
        let compact: Vec<u8> = text.iter().copied().filter(|byte| *byte != b' ').collect();
        GeneralPurpose::new(&STANDARD, lenient).decode(compact).ok()
    }

    /// Piece by piece, with little room.
    fn decoded(pieces: &[&[u8]], room: usize) -> Option<Vec<u8>> {
        let mut decoder = BlockDecoder::new(room);
        let mut plain = Vec::new();
        for piece in pieces {
            let mut rest = *piece;
            while !rest.is_empty() {
                if decoder.room() == 0 {
                    plain.extend_from_slice(decoder.drain());
                }
                let (part, behind) = rest.split_at(rest.len().min(decoder.room()));
                decoder.decode(part).ok()?;
                rest = behind;
            }
        }
        plain.extend_from_slice(decoder.drain());
        decoder.complete().ok().map(|()| plain)
    }

    #[test]
    fn padding_and_blanks_are_judged_at_every_split() {
        let texts = [
            "",
            "QQ==",
            "QUI=",
            "QUJD",
            "QUJDRA==",
            "QR==",
            "QQ",
            "Q",
            "QQ=",
            "Q===",
            "====",
            "=",
            "QQ==QQ==",
            "QQ==Q",
            "QQ== ",
            "QQ==  \n\r\t\u{c} ",
            "QQ= =",
            "Q Q = =",
            " Q\nQ==",
            "QQ ==",
            "QQ=Q",
            "Q=Q=",
            "QUI= =",
            "QUJD QUJD",
            "QUJ D",
            "QUJD    QUJD",
            "-_-_",
            "QUJD\0",
            "QQ==\u{b}",
            "QU\u{f6}D",
            "    ",
            "QUJDQUJDQUJDQQ==    QUJD",
            "QUJDQUJDQUJDQUJDQ Q = =    ",
        ];
        for text in texts {
            let text = text.as_bytes();
            for split in 0..=text.len() {
                let (one, two) = text.split_at(split);
                assert_eq!(
                    decoded(&[one, two], 12),
                    expected(text),
                    "{text:?} at {split}"
                );
                assert_eq!(
                    decoded(&[one, two], 4096),
                    expected(text),
                    "{text:?} at {split}"
                );
            }
        }
    }

    #[test]
    fn the_first_bad_byte_is_told_at_every_split() {
        for (text, offset) in [
            ("QUJD!UJD", 4),
            ("QUJDQU?D", 6),
            ("QUJD QUJD\u{f6}", 9),
            ("QQ==QQ==", 4),
            ("Q U J D Q = Q =", 10),
            ("QQQ", 3),
        ] {
            for split in 0..=text.len() {
                let mut decoder = BlockDecoder::new(4096);
                let (one, two) = text.as_bytes().split_at(split);
                let decoded = decoder.decode(one).and_then(|()| decoder.decode(two));
                let fault = decoded.and_then(|()| decoder.complete()).unwrap_err();
                assert_eq!(fault.offset, offset, "{text:?} at {split}");
            }
        }
    }

    #[test]
    fn what_is_kept_of_a_piece_is_never_half_a_character() {
        for text in ["\u{f6}", "Q\u{f6}", "QUJDQU\u{f6}", "QUJDQUJDQ\u{1f41d}"] {
            let text = text.as_bytes();
            for end in text.iter().position(|byte| *byte >= 0x80).unwrap() + 1..text.len() {
                let mut decoder = BlockDecoder::new(4096);
                assert!(decoder.decode(&text[..end]).is_err(), "{text:?} to {end}");
            }
        }
    }

    proptest! {
        #[test]
        fn pieces_decode_like_the_whole(
            bytes in proptest::collection::vec(any::<u8>(), 0..700),
            blanks in proptest::collection::vec((any::<u16>(), " {1,9}"), 0..4),
            harm in proptest::option::weighted(0.3, (any::<u16>(), "[=!A\u{f6}\0 -]")),
            splits in proptest::collection::vec(any::<u16>(), 0..6),
            room in 12_usize..400,
        ) {
            let mut text = base64::engine::general_purpose::STANDARD.encode(&bytes).into_bytes();
            for (at, blank) in blanks {
                let at = usize::from(at) % (text.len() + 1);
                text.splice(at..at, blank.bytes());
            }
            if let Some((at, with)) = harm {
                let at = usize::from(at) % (text.len() + 1);
                text.splice(at..(at + 1).min(text.len()), with.bytes());
            }
            let mut ends: Vec<_> = splits.iter().map(|at| usize::from(*at) % (text.len() + 1)).collect();
            ends.extend([0, text.len()]);
            ends.sort_unstable();
            let pieces: Vec<_> = ends.windows(2).map(|ends| &text[ends[0]..ends[1]]).collect();
            prop_assert_eq!(decoded(&pieces, room), expected(&text));
        }
    }
}
