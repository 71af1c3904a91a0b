// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The words of minisign's format that keys and signatures share.

/// What Ed25519 is told to sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Algorithm {
    /// The BLAKE2b-512 of the file.
    Prehashed,
    /// The whole file.
    Legacy,
}

pub(crate) const UNTRUSTED: &str = "untrusted comment: ";

pub(crate) const TRUSTED: &str = "trusted comment: ";

pub(crate) const PREHASHED: &[u8; 2] = b"ED";

pub(crate) const LEGACY: &[u8; 2] = b"Ed";
