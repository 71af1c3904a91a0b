// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The edge: addresses, the accept loop that survives errors, places for connections, and TLS.
//!
//! Not here: anything of HTTP. A connection leaves the edge as a [`Transport`](crate::transport::Transport).

mod address;
mod certificate;
mod descriptors;
mod door;
mod limits;
mod listener;
mod mutual;
mod socket;
mod tls;

pub use address::Address;
pub(crate) use address::DEFAULT_PORT;
pub use mutual::TlsOptions;

pub(crate) use certificate::{Identity, local_address};
pub(crate) use descriptors::make_room;
pub(crate) use limits::Connections;
pub(crate) use listener::{Entry, Incoming, Listener, Rest};
pub(crate) use tls::{Acceptor, open};
