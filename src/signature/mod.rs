// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Signatures of models, in the format of minisign.
//!
//! A signature file has four lines (<https://jedisct1.github.io/minisign/#signature-format>):
//!
//! ```text
//! untrusted comment: anything
//! base64(algorithm[2] || key id[8] || Ed25519 signature[64])
//! trusted comment: anything that is signed, too
//! base64(Ed25519 signature[64] of the signature above || the trusted comment)
//! ```
//!
//! The algorithm `ED` signs the BLAKE2b-512 of the file, so that memory stays constant; the older `Ed`
//! signs the file itself. New signatures are `ED`; both are read. Ed25519 is RFC 8032, BLAKE2b RFC 7693.
//!
//! Not here: where keys and signatures are kept, and who has to sign.

mod document;
mod minisign;
mod prehash;
mod public_key;
mod secret_key;
#[cfg(test)]
mod tests;

pub use document::Signature;
pub(crate) use prehash::Prehash;
pub use public_key::PublicKey;
pub use secret_key::SecretKey;
