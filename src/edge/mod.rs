// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The edge: listening sockets, one thread that waits for all connections, places for them, and TLS.
//!
//! Not here: anything of HTTP. A connection leaves the edge as an [`Arrival`] with its
//! [`Transport`](crate::transport::Transport), and waits here again as
//! [`Waiter`](crate::waiting::Waiter).

mod accepting;
mod arrival;
mod descriptors;
mod listener;
mod listening_socket;
mod places;
mod poller;
mod seats;
mod socket;
mod tls;

pub(crate) use accepting::{Reception, run};
pub(crate) use arrival::{Arrival, Entry, Welcome};
pub(crate) use descriptors::make_room;
pub(crate) use listener::Listener;
pub(crate) use places::Connections;
pub(crate) use seats::Seats;
pub(crate) use tls::Handshakes;
