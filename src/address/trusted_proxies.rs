// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Which callers are proxies that say for whom they call.

use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use crate::address::Network;

/// The proxies that are believed; by default none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct TrustedProxies {
    networks: Vec<Network>,
    /// Whether all callers on Unix sockets are such proxies.
    unix: bool,
}

impl TrustedProxies {
    /// Whether a caller with this address is one of them; who has none is on a Unix socket.
    pub(crate) fn has(&self, caller: Option<SocketAddr>) -> bool {
        match caller {
            Some(address) => self.has_address(address.ip()),
            None => self.unix,
        }
    }

    /// Whether the proxy at this address is one of them.
    pub(crate) fn has_address(&self, address: IpAddr) -> bool {
        self.networks.iter().any(|network| network.has(address))
    }
}

impl FromStr for TrustedProxies {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut proxies = Self::default();
        let items = text.split(',').map(str::trim);
        for item in items.filter(|item| !item.is_empty()) {
            if item == UNIX {
                proxies.unix = true;
            } else {
                proxies.networks.push(item.parse()?);
            }
        }
        Ok(proxies)
    }
}

/// What stands for the callers on Unix sockets.
const UNIX: &str = "unix";
