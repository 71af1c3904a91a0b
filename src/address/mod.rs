// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Where a server listens, and where a server is.

mod address_reach;
mod listen;
mod listen_address;
mod network;
mod trusted_proxies;
mod url;
mod zone;

pub(crate) use address_reach::{AddressReach, is_public};
pub use listen::Address;
pub(crate) use listen::DEFAULT_PORT;
pub use listen_address::ListenAddress;
pub(crate) use listen_address::UnsaidScheme;
pub(crate) use network::Network;
pub(crate) use trusted_proxies::TrustedProxies;
pub use url::{Scheme, ServerUrl};
