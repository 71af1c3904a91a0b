// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Keys that sign and verify, in the files and strings of minisign.
//!
//! A key file is a comment and a line of base64
//! (<https://jedisct1.github.io/minisign/#public-key-format>). A public key is
//! `Ed || key id[8] || key[32]`. A secret key is `Ed || kdf[2] || B2 || salt[32] || opslimit[8] ||
//! memlimit[8] || key id[8] || seed[32] || public key[32] || checksum[32]`; `kdf` is `Sc` (scrypt) where
//! a password protects what follows the limits, and zero where none does. minisign's scrypt takes
//! 1 GiB of memory, which the devices of this house do not have, so only the latter are read.

use std::path::Path;
use std::str::FromStr;
use std::{fmt, fs};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use blake2::Blake2b256;
use blake2::digest::Digest as _;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};

use super::{Algorithm, LEGACY, Signature, UNTRUSTED};
use crate::error::{Error, ErrorKind, Result};

/// A key that verifies signatures.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey {
    pub(crate) id: [u8; 8],
    key: [u8; 32],
}

impl PublicKey {
    /// The key that a text means: the key itself (`RW...`) or the path of a file that has it.
    ///
    /// # Errors
    /// `Usage` if it is neither.
    pub fn named(text: &str) -> Result<Self> {
        let text = text.trim();
        if let Ok(key) = text.parse() {
            return Ok(key);
        }
        let read = fs::read_to_string(text).map_err(|error| {
            let said = Error::io(text, error);
            let text = format!("{}, and it is no public key itself", said.message());
            Error::new(ErrorKind::Usage, text).hint("give a key (RW...), or a file that has one")
        })?;
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
            None if bytes.len() == SECRET_BYTES => {
                let text = "that is a secret key, and its public key is needed";
                Err(Error::new(ErrorKind::Usage, text).hint("it is in the .pub file beside it"))
            }
            None => Err(
                Error::new(ErrorKind::Usage, "that is no public key of minisign")
                    .hint("it looks like RW... and has 56 letters"),
            ),
        }
    }
}

/// A key that signs. It is never printed.
pub struct SecretKey {
    seed: [u8; 32],
    pair: Ed25519KeyPair,
    public: PublicKey,
}

impl SecretKey {
    /// A new key.
    ///
    /// # Errors
    /// `Internal` if the system has no random numbers.
    pub fn generate() -> Result<Self> {
        let (mut id, mut seed) = ([0; 8], [0; 32]);
        getrandom::fill(&mut id)
            .and_then(|()| getrandom::fill(&mut seed))
            .map_err(|error| {
                Error::new(ErrorKind::Internal, "there are no random numbers").because(error)
            })?;
        let unusable = |_| Error::new(ErrorKind::Internal, "the new key cannot be used");
        let pair = Ed25519KeyPair::from_seed_unchecked(&seed).map_err(unusable)?;
        Ok(Self::of(id, seed, pair))
    }

    fn of(id: [u8; 8], seed: [u8; 32], pair: Ed25519KeyPair) -> Self {
        let mut key = [0; 32];
        key.copy_from_slice(pair.public_key().as_ref());
        Self {
            seed,
            pair,
            public: PublicKey { id, key },
        }
    }

    /// Reads a key file.
    ///
    /// # Errors
    /// `Usage` if it cannot be read, has no secret key, or one that a password protects.
    pub fn read(path: &Path) -> Result<Self> {
        let shown = path.display();
        let text = fs::read_to_string(path)
            .map_err(|error| Error::local(format!("reading the secret key {shown}"), error))?;
        Self::parse(&text).map_err(|(reason, hint)| {
            let text = format!("{shown} cannot be used: {reason}");
            Error::new(ErrorKind::Usage, text).hint(hint.replace("FILE", &shown.to_string()))
        })
    }

    fn parse(text: &str) -> std::result::Result<Self, (&'static str, &'static str)> {
        let bytes = decoded(text);
        let hint = "'skep keygen' and 'minisign -G -W' make one";
        if bytes.len() != SECRET_BYTES || !bytes.starts_with(LEGACY) {
            return Err(("it has no secret key of minisign", hint));
        }
        let (kdf, rest) = (&bytes[2..4], &bytes[54..]);
        if kdf != NO_KDF {
            let hint = "copy it and run 'minisign -C -W -s COPY', which takes the password off; \
                        or sign with 'minisign -S -s FILE'";
            return Err(("a password protects it", hint));
        }
        let broken = ("it was cut or changed", hint);
        let (id, rest) = rest.split_first_chunk::<8>().ok_or(broken)?;
        let (seed, rest) = rest.split_first_chunk::<32>().ok_or(broken)?;
        let (key, checksum) = rest.split_first_chunk::<32>().ok_or(broken)?;
        // minisign 0.11 leaves the checksum of a key without password zero.
        if checksum.iter().any(|byte| *byte != 0) && checksum != self::checksum(id, seed, key) {
            return Err(broken);
        }
        let pair = Ed25519KeyPair::from_seed_and_public_key(seed, key).map_err(|_| broken)?;
        Ok(Self::of(*id, *seed, pair))
    }

    /// The key that verifies what this one signs.
    pub fn public_key(&self) -> &PublicKey {
        &self.public
    }

    /// The file that `minisign -G -W` would write. Whoever reads it can sign.
    pub fn file_text(&self) -> String {
        let PublicKey { id, key } = &self.public;
        let checksum = checksum(id, &self.seed, key);
        let parts = [
            &LEGACY[..],
            NO_KDF,
            b"B2",
            &[0; 48],
            id,
            &self.seed,
            key,
            &checksum,
        ];
        format!(
            "{UNTRUSTED}skep secret key {}\n{}\n",
            shown(*id),
            STANDARD.encode(parts.concat())
        )
    }

    /// Signs a file by its BLAKE2b-512, and a comment, in which control characters but tabs become
    /// question marks.
    pub fn sign(&self, prehash: &[u8; 64], comment: &str) -> Signature {
        let plain = |letter: char| {
            if letter.is_control() && letter != '\t' {
                '?'
            } else {
                letter
            }
        };
        let signed = |message: &[u8]| {
            let mut signature = [0; 64];
            signature.copy_from_slice(self.pair.sign(message).as_ref());
            signature
        };
        let mut made = Signature {
            algorithm: Algorithm::Prehashed,
            key_id: self.public.id,
            signature: signed(prehash),
            untrusted_comment: "signature from skep secret key".to_owned(),
            trusted_comment: comment.chars().map(plain).collect(),
            comment_signature: [0; 64],
        };
        made.comment_signature = signed(&made.comment_message());
        made
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SecretKey").field(&self.public).finish()
    }
}

/// A key id as minisign prints it: the number that it is in little endian.
pub(crate) fn shown(id: [u8; 8]) -> String {
    format!("{:016X}", u64::from_le_bytes(id))
}

/// The bytes of the line that has the key, or nothing.
fn decoded(text: &str) -> Vec<u8> {
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let line = lines.find(|line| !line.starts_with(UNTRUSTED.trim_end()));
    line.and_then(|line| STANDARD.decode(line).ok())
        .unwrap_or_default()
}

fn checksum(id: &[u8; 8], seed: &[u8; 32], key: &[u8; 32]) -> [u8; 32] {
    let mut hash = Blake2b256::new();
    for part in [&LEGACY[..], id, seed, key] {
        hash.update(part);
    }
    hash.finalize().into()
}

const NO_KDF: &[u8; 2] = &[0; 2];

/// The length of a secret key.
const SECRET_BYTES: usize = 158;
