// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The key that checks signatures.

use std::str::FromStr;
use std::{fmt, fs};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::signature::{ED25519, UnparsedPublicKey};

use crate::error::{Error, ErrorKind, Result};
use crate::signature::minisign::{LEGACY, UNTRUSTED};

/// A key that verifies signatures.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey {
    pub(crate) id: [u8; 8],
    pub(crate) key: [u8; 32],
}

impl PublicKey {
    /// The key that a text means: the key itself (`RW...`) or the path of a file that has it.
    ///
    /// # Errors
    /// `Usage` if it is neither.
    pub fn named(text: &str) -> Result<Self> {
        let text = text.trim();

        // What reads as a key is one; a file with such a name needs `./` in front.
        if let Ok(key) = text.parse() {
            return Ok(key);
        }

        let read = fs::read_to_string(text).map_err(|error| {
            let said = Error::io(text, error);
            let text = format!("{}, and it is not a public key either", said.message());
            Error::new(ErrorKind::Usage, text)
                .hint("give a key (RW...), or a file that contains one")
        })?;

        // Editors of some systems put a byte order mark in front.
        let read = read.strip_prefix('\u{feff}').unwrap_or(&read);
        read.parse().map_err(|error: Error| {
            Error::new(ErrorKind::Usage, format!("{text}: {}", error.message()))
        })
    }

    /// The file that minisign would write.
    pub fn file_text(&self) -> String {
        format!("{UNTRUSTED}minisign public key {self:?}\n{self}\n")
    }

    pub(crate) fn has_signed(&self, message: &[u8], signature: &[u8; 64]) -> bool {
        UnparsedPublicKey::new(&ED25519, self.key)
            .verify(message, signature)
            .is_ok()
    }
}

impl fmt::Display for PublicKey {
    /// Writes `RW...`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&STANDARD.encode([&LEGACY[..], &self.id, &self.key].concat()))
    }
}

impl fmt::Debug for PublicKey {
    /// Writes the key id as minisign does.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&shown(self.id))
    }
}

impl FromStr for PublicKey {
    type Err = Error;

    /// Reads `RW...`, alone or in the lines of a key file.
    fn from_str(text: &str) -> Result<Self> {
        let bytes = decoded(text);
        let parts = bytes
            .strip_prefix(LEGACY)
            .and_then(|rest| rest.split_first_chunk::<8>());

        match parts.and_then(|(id, key)| Some((*id, key.try_into().ok()?))) {
            Some((id, key)) => Ok(Self { id, key }),
            // The files of a pair differ only in their suffix, so the wrong one is easily named.
            None if bytes.len() == SECRET_BYTES => {
                let text = "this is a secret key, but the public key is needed";
                Err(Error::new(ErrorKind::Usage, text).hint("it is in the .pub file beside it"))
            }
            None => Err(
                Error::new(ErrorKind::Usage, "this is not a minisign public key")
                    .hint("a public key begins with RW and has 56 characters"),
            ),
        }
    }
}

/// A key id as minisign prints it: the number that it is in little endian.
pub(crate) fn shown(id: [u8; 8]) -> String {
    format!("{:016X}", u64::from_le_bytes(id))
}

/// The bytes of the line that has the key, or nothing.
pub(crate) fn decoded(text: &str) -> Vec<u8> {
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let line = lines.find(|line| !line.starts_with(UNTRUSTED.trim_end()));
    line.and_then(|line| STANDARD.decode(line).ok())
        .unwrap_or_default()
}

/// The length of a secret key.
pub(crate) const SECRET_BYTES: usize = 158;
