// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Which addresses may be talked to, where somebody else chooses the host.

use std::net::IpAddr;

/// The addresses that may be talked to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AddressReach {
    Anywhere,
    /// Those that are in no private network: whoever else chooses a host must not choose one of this house.
    Public,
}

impl AddressReach {
    pub(crate) fn has(self, address: IpAddr) -> bool {
        self == Self::Anywhere || is_public(address)
    }
}

/// Whether an address is in the open internet, by the registries of special addresses (RFC 6890).
pub(crate) fn is_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(ip) => {
            let [first, second, third, _] = ip.octets();
            let is_shared = first == 100 && (64..128).contains(&second);
            let is_special = first == 0
                || first >= 240
                || (first, second, third) == (192, 0, 0)
                || (first == 198 && (18..20).contains(&second));
            !(is_shared
                || is_special
                || ip.is_private()
                || ip.is_loopback()
                || ip.is_link_local()
                || ip.is_multicast()
                || ip.is_documentation())
        }
        IpAddr::V6(ip) => {
            // Only global unicast, and none of the addresses that lead to some IPv4 address (NAT64, 6to4).
            let segments = ip.segments();
            let is_global = segments[0] & 0xe000 == 0x2000;
            let is_special =
                segments[0] == 0x2002 || (segments[0] == 0x2001 && segments[1] < 0x200);
            is_global && !is_special && (segments[0], segments[1]) != (0x2001, 0xdb8)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_address_of_a_house_is_public() {
        let is_public = |text: &str| is_public(text.parse().unwrap());
        for address in [
            "1.1.1.1",
            "100.63.0.1",
            "198.20.0.1",
            "172.32.0.1",
            "2606:4700::1111",
        ] {
            assert!(is_public(address), "{address}");
            assert!(AddressReach::Public.has(address.parse().unwrap()));
        }
        for address in [
            "0.0.0.0",
            "10.0.0.1",
            "100.64.0.1",
            "127.0.0.1",
            "169.254.169.254",
            "172.16.0.1",
            "192.0.0.8",
            "192.0.2.1",
            "192.168.1.1",
            "198.18.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:10.0.0.1",
            "64:ff9b::a00:1",
            "fc00::1",
            "fe80::1",
            "ff02::1",
            "2001:db8::1",
            "2001::1",
            "2002:a00:1::1",
        ] {
            assert!(!is_public(address), "{address}");
            assert!(AddressReach::Anywhere.has(address.parse().unwrap()));
        }
    }
}
