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
use std::{fmt, fs};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use blake2::Blake2b256;
use blake2::digest::Digest as _;
use ring::signature::{Ed25519KeyPair, KeyPair as _};

use crate::error::{Error, ErrorKind, Result};
use crate::random;
use crate::signature::document::Signature;
use crate::signature::minisign::{Algorithm, LEGACY, UNTRUSTED};
use crate::signature::public_key::{PublicKey, SECRET_BYTES, decoded, shown};

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
        let id = random::bytes()?;
        let seed = random::bytes()?;
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
        // Editors of some systems put a byte order mark in front.
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
        Self::parse(text).map_err(|(reason, hint)| {
            let text = format!("{shown} cannot be used: {reason}");
            Error::new(ErrorKind::Usage, text).hint(hint.replace("FILE", &shown.to_string()))
        })
    }

    fn parse(text: &str) -> std::result::Result<Self, (&'static str, &'static str)> {
        let bytes = decoded(text);
        let hint = "'skep keygen' and 'minisign -G -W' make one";
        if bytes.len() != SECRET_BYTES || !bytes.starts_with(LEGACY) {
            return Err(("it does not contain a minisign secret key", hint));
        }

        // Bytes 4 to 53 are the name of the checksum, the salt and the limits of scrypt.
        let (kdf, rest) = (&bytes[2..4], &bytes[54..]);

        if kdf != NO_KDF {
            let hint = "copy it and run 'minisign -C -W -s COPY', which removes the password; \
                        or sign with 'minisign -S -s FILE'";
            return Err(("a password protects it", hint));
        }

        let broken = ("it is incomplete or was changed", hint);
        let (id, rest) = rest.split_first_chunk::<8>().ok_or(broken)?;
        let (seed, rest) = rest.split_first_chunk::<32>().ok_or(broken)?;
        let (key, checksum) = rest.split_first_chunk::<32>().ok_or(broken)?;

        // minisign 0.11 leaves the checksum of a key without password zero.
        if checksum.iter().any(|byte| *byte != 0) && checksum != self::checksum(id, seed, key) {
            return Err(broken);
        }

        // This also checks that the public key belongs to the seed, which a zero checksum leaves
        // open.
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

        // `B2` stands for a BLAKE2b checksum; the 48 zeros are the salt and the limits of the
        // unused scrypt.
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
        // A line break in the comment would begin another line of the signature file.
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

        // The comment is signed together with the signature above it, so it cannot be moved to
        // another file.
        made.comment_signature = signed(&made.comment_message());

        made
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SecretKey").field(&self.public).finish()
    }
}

fn checksum(id: &[u8; 8], seed: &[u8; 32], key: &[u8; 32]) -> [u8; 32] {
    let mut hash = Blake2b256::new();
    for part in [&LEGACY[..], id, seed, key] {
        hash.update(part);
    }
    hash.finalize().into()
}

const NO_KDF: &[u8; 2] = &[0; 2];
