// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Servers that were paired with, and how that is done.

mod accept;
mod server_name;
mod servers;

pub(crate) use accept::{PairNames, pair};
pub(crate) use servers::{PairedServer, Servers};
