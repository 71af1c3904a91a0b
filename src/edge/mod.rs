// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The edge: addresses, the accept loop that survives errors, places for connections, and TLS.
//!
//! Not here: anything of HTTP. A connection leaves the edge as a [`Transport`](crate::transport::Transport).

mod descriptors;
mod encrypted;
mod listener;
mod listening_socket;
mod places;
mod socket;

pub(crate) use descriptors::make_room;
pub(crate) use encrypted::open;
pub(crate) use listener::{Admittance, Incoming, Listener, Rest};
pub(crate) use places::Connections;
