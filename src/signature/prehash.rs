// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The BLAKE2b-512 of a file (RFC 7693), computed while its bytes stream.

use std::io::{self, Read};

use blake2::Blake2b512;
use blake2::digest::Digest as _;

/// The BLAKE2b-512 of a file, which is what gets signed.
#[derive(Default)]
pub(crate) struct Prehash(Blake2b512);

impl Prehash {
    /// Takes the next bytes.
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The digest of all of them.
    pub(crate) fn finish(self) -> [u8; 64] {
        self.0.finalize().into()
    }

    /// That of all that a reader yields.
    pub(crate) fn of(content: &mut dyn Read) -> io::Result<[u8; 64]> {
        let (mut hash, mut buffer) = (Self::default(), vec![0; 64 << 10]);
        loop {
            match content.read(&mut buffer) {
                Ok(0) => return Ok(hash.finish()),
                Ok(count) => hash.update(&buffer[..count]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}
