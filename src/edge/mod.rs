// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The edge: addresses, the accept loop that survives errors, places for connections, and TLS.
//!
//! Not here: anything of HTTP. A connection leaves the edge as a [`Transport`](crate::transport::Transport).

mod acceptor;
mod authority;
mod certificate;
mod descriptors;
mod device;
mod door;
mod encrypted;
mod limits;
mod listener;
mod mutual;
mod provider;
mod reload;
mod socket;
mod tls_options;

pub(crate) use acceptor::Acceptor;
pub(crate) use authority::{Authority, Papers};
pub(crate) use certificate::Place;
pub(crate) use descriptors::make_room;
pub(crate) use device::{host_name, local_address, places, prepare};
pub(crate) use encrypted::open;
pub(crate) use limits::Connections;
pub(crate) use listener::{Entry, Incoming, Listener, Rest};
pub(crate) use mutual::{Callers, Unknown};
pub(crate) use reload::{Following, TlsFiles, names, pin};
pub use tls_options::TlsOptions;

/// The list of what an authority has revoked, beside its certificate.
pub(crate) const REVOKED: &str = "crl.pem";

/// The file of an authority that lists what it has issued.
pub(crate) const ISSUED: &str = "issued";
