// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The edge: addresses, the accept loop that survives errors, places for connections, and TLS.
//!
//! Not here: anything of HTTP. A connection leaves the edge as a [`Transport`](crate::transport::Transport).

/// The list of what an authority has revoked, beside its certificate.
mod authority;
mod certificate;
mod descriptors;
mod device;
mod door;
mod limits;
mod listener;
mod mutual;
mod reload;
mod socket;
mod tls;

pub(crate) use authority::{Authority, Papers};
pub(crate) use certificate::Place;
pub(crate) use descriptors::make_room;
pub(crate) use device::{host_name, local_address, places, prepare};
pub(crate) use limits::Connections;
pub(crate) use listener::{Entry, Incoming, Listener, Rest};
pub use mutual::TlsOptions;
pub(crate) use mutual::{Callers, Unknown};
pub(crate) use reload::{Following, TlsFiles, names, pin};
pub(crate) use tls::{Acceptor, open};

pub(crate) const REVOKED: &str = "crl.pem";

/// The file of an authority that lists what it has issued.
pub(crate) const ISSUED: &str = "issued";
