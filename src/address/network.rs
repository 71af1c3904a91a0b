// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A network of IP addresses, as settings name it: `192.168.0.0/16`, `fd00::/8`, or a single address.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

/// Addresses that begin with the same bits. IPv4 addresses are their mapped form (RFC 4291 section
/// 2.5.5.2), so both ways of writing one are the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Network {
    bits: u128,
    /// How many of the 128 bits count.
    length: u32,
}

impl Network {
    /// Whether an address is in this network.
    pub(crate) fn has(&self, address: IpAddr) -> bool {
        mapped(address) & mask(self.length) == self.bits
    }
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || format!("'{}' is not an address or a network", text.escape_debug());
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length)),
            None => (text, None),
        };

        let address: IpAddr = address.parse().map_err(|_| bad())?;
        let width = if address.is_ipv4() { 32 } else { 128 };
        let length = match length {
            None => width,
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                digits.parse().map_err(|_| bad())?
            }
            Some(_) => return Err(bad()),
        };

        if length > width {
            return Err(format!("{}: at most /{width}", bad()));
        }

        let (bits, length) = (mapped(address), 128 - width + length);
        if bits & mask(length) != bits {
            let text = text.escape_debug();
            return Err(format!("'{text}' has bits behind those of the network"));
        }

        Ok(Self { bits, length })
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match IpAddr::V6(Ipv6Addr::from_bits(self.bits)).to_canonical() {
            address if self.length == 128 => address.fmt(f),
            IpAddr::V4(address) if self.length >= 96 => write!(f, "{address}/{}", self.length - 96),
            address => write!(f, "{address}/{}", self.length),
        }
    }
}

fn mapped(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
        IpAddr::V6(address) => address.to_bits(),
    }
}

fn mask(length: u32) -> u128 {
    u128::MAX.checked_shl(128 - length).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_has_its_addresses_and_no_others() {
        for (network, inside, outside) in [
            ("192.168.0.0/16", "192.168.3.4", "192.169.0.0"),
            ("10.0.0.1", "::ffff:10.0.0.1", "10.0.0.2"),
            ("fd00::/8", "fdff::1", "fe00::1"),
            ("::1", "::1", "::2"),
            ("0.0.0.0/0", "203.0.113.9", "2001:db8::1"),
            ("2001:db8::1/128", "2001:db8::1", "2001:db8::2"),
        ] {
            let read: Network = network.parse().unwrap();
            assert!(read.has(inside.parse().unwrap()), "{network}");
            assert!(!read.has(outside.parse().unwrap()), "{network}");
        }
        assert_eq!(
            "10.0.0.0/8".parse::<Network>().unwrap().to_string(),
            "10.0.0.0/8"
        );
        assert_eq!(
            "fd00::/8".parse::<Network>().unwrap().to_string(),
            "fd00::/8"
        );
    }

    #[test]
    fn slips_of_the_hand_are_told() {
        for bad in [
            "",
            "a",
            "1.2.3.4/33",
            "1.2.3.4/",
            "1.2.3.4/+8",
            "::/129",
            "192.168.1.1/16",
        ] {
            assert!(bad.parse::<Network>().is_err(), "{bad}");
        }
    }
}
