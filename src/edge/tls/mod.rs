// SPDX-License-Identifier: Apache-2.0 OR MIT
//! TLS on connections that were accepted: the handshake in steps, and the transport after it.

mod caller_check;
mod encrypted;
mod incoming;
mod records;
mod spare_buffers;
#[cfg(test)]
mod tests;
mod tls_handshake;
mod tls_session;
mod unsent;

pub(crate) use tls_handshake::{Handshake, Handshakes};
