// SPDX-License-Identifier: Apache-2.0 OR MIT
//! HTTP Message Signatures (RFC 9421) of requests, by Ed25519: a caller proves a secret to whoever can read
//! the line, for one request only.
//!
//! The signature covers the method, the authority, the target, every field that changes what the request
//! means, and a nonce of the server that is good once. The content is covered by its `Content-Digest`
//! (RFC 9530). It does not encrypt, and it does not prove who the server is.
//!
//! Of the standard, these parts are not used, and refused: parameters of components (`sf`, `key`, `bs`,
//! `tr`, `req`), `@query-param`, and the algorithms other than `ed25519`.

mod component;
mod covered_fields;
mod nonce;
mod received_signature;
mod request_signer;
mod signature_base;
mod signature_wish;
#[cfg(test)]
mod tests;

pub(crate) use component::SignedRequest;
pub(crate) use nonce::Nonces;
pub(crate) use received_signature::ReceivedSignature;
pub(crate) use request_signer::sign;
pub(crate) use signature_wish::{accept_signature, wished_nonce};

/// What tells signatures for a skep from those for others (RFC 9421 section 2.3).
const TAG: &str = "skep";

/// The name of the algorithm in the registry of RFC 9421.
const ALGORITHM: &str = "ed25519";
