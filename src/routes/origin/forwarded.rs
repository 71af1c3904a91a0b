// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Who stands behind a proxy that is trusted: read from `Forwarded` (RFC 7239), or from the older
//! `X-Forwarded-For`, `X-Forwarded-Proto` and `X-Forwarded-Host`.
//!
//! Each proxy adds an element at the end, and whoever calls the first one can write what it likes in
//! front. So the list is read from its end: the first address that is no trusted proxy is the caller.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use crate::address::TrustedProxies;
use crate::http::Fields;
use crate::transport::{Peer, TlsIdentity};

/// What a proxy says of one hop.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Hop {
    address: Option<IpAddr>,
    is_encrypted: Option<bool>,
    host: Option<String>,
}

/// What the proxies say of the caller; nothing unless they are trusted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Forwarded {
    address: Option<IpAddr>,
    is_encrypted: Option<bool>,
    /// The host that the caller asked for.
    pub(crate) host: Option<String>,
}

impl Forwarded {
    /// Reads the fields of a request that came from this peer.
    pub(crate) fn read(proxies: &TrustedProxies, peer: &Peer, fields: &Fields) -> Self {
        if !proxies.has(peer.address) {
            return Self::default();
        }

        let has = |name: &str| fields.value(name).is_some();
        let hops = match (has("forwarded"), USUAL.iter().any(|name| has(name))) {
            (false, false) => return Self::default(),
            (true, false) => standard(fields),
            (false, true) => usual(fields),
            // A proxy writes one kind of them, and passes on what callers write of the other.
            (true, true) => {
                return Self {
                    address: Some(UNKNOWN),
                    is_encrypted: Some(false),
                    host: None,
                };
            }
        };

        // An address that is not told ends the walk: what is in front of it may come from anybody.
        let is_proxy = |hop: &Hop| {
            hop.address
                .is_some_and(|address| proxies.has_address(address))
        };
        let own = hops.iter().rev().find(|hop| !is_proxy(hop));
        let own = own.or(hops.first()).cloned().unwrap_or_default();

        // Whoever is not told is not the proxy itself, which may be this device.
        Self {
            address: own.address.or(Some(UNKNOWN)),
            is_encrypted: own.is_encrypted,
            host: own.host,
        }
    }

    /// The caller as it would look without proxies; `None` if they say nothing of it.
    pub(crate) fn peer(&self, proxy: &Peer) -> Option<Peer> {
        if self.address.is_none() && self.is_encrypted.is_none() {
            return None;
        }

        let mut peer = proxy.clone();
        if let Some(address) = self.address {
            peer.address = Some(SocketAddr::new(address, 0));
            peer.unix = None;
        }

        match self.is_encrypted {
            Some(true) if peer.tls.is_none() => peer.tls = Some(TlsIdentity::default()),
            // Others could read what came to the proxy, however that came from there.
            Some(false) => peer.tls = None,
            _ => {}
        }
        Some(peer)
    }
}

/// The last elements of `Forwarded`, in their order.
fn standard(fields: &Fields) -> Vec<Hop> {
    let mut hops = Vec::new();
    for element in last_members(fields, "forwarded") {
        let mut hop = Hop::default();
        for pair in element.split(';') {
            let Some((name, value)) = pair.trim().split_once('=') else {
                continue;
            };
            let value = value.trim_matches('"');
            match name.to_ascii_lowercase().as_str() {
                "for" => hop.address = address(value),
                "proto" => hop.is_encrypted = is_encrypted(value),
                "host" => hop.host = Some(value.to_owned()),
                _ => {}
            }
        }
        hops.push(hop);
    }
    hops
}

/// The last elements of `X-Forwarded-For`, and for all of them what the other two fields say: these come
/// from the proxy that the caller spoke to, or were replaced by a later one.
fn usual(fields: &Fields) -> Vec<Hop> {
    let last = |name| last_members(fields, name).pop();
    let is_encrypted = last("x-forwarded-proto").and_then(is_encrypted);
    let host = last("x-forwarded-host").map(str::to_owned);
    let hop = |address: Option<IpAddr>| Hop {
        address,
        is_encrypted,
        host: host.clone(),
    };

    let addresses = last_members(fields, "x-forwarded-for");
    if addresses.is_empty() {
        return vec![hop(None)];
    }
    addresses
        .into_iter()
        .map(|text| hop(address(text)))
        .collect()
}

/// The last members of a list over all fields of a name, in their order.
fn last_members<'a>(fields: &'a Fields, name: &'a str) -> Vec<&'a str> {
    let members = fields.values(name).flat_map(|value| value.split(','));
    let members: Vec<_> = members.map(str::trim).collect();
    members[members.len().saturating_sub(HOPS_MAX)..].to_vec()
}

/// `192.0.2.1`, `192.0.2.1:5`, `2001:db8::1`, `[2001:db8::1]:5`; not `unknown` and not `_hidden`.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text.trim_start_matches('[').trim_end_matches(']');
    let address = bare.parse().ok();
    address.or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip()))
}

fn is_encrypted(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "https" => Some(true),
        "http" => Some(false),
        _ => None,
    }
}

/// The older fields.
const USUAL: &[&str] = &["x-forwarded-for", "x-forwarded-proto", "x-forwarded-host"];

/// Stands for a caller whose address is not told.
const UNKNOWN: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

/// More proxies in a row are a loop, or a list that somebody made up.
const HOPS_MAX: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn read(peer: &str, fields: &[(&str, &str)]) -> Forwarded {
        let proxies = "10.0.0.0/8, ::1, unix".parse().unwrap();
        let fields = fields.iter().copied().collect();
        let peer = Peer {
            address: peer.parse().ok(),
            ..Peer::default()
        };
        Forwarded::read(&proxies, &peer, &fields)
    }

    fn address_of(peer: &str, fields: &[(&str, &str)]) -> Option<String> {
        read(peer, fields)
            .address
            .map(|address| address.to_string())
    }

    #[test]
    fn only_who_is_trusted_is_believed() {
        let told = ("x-forwarded-for", "192.0.2.7");
        assert_eq!(
            address_of("10.1.1.1:5", &[told]).as_deref(),
            Some("192.0.2.7")
        );
        assert_eq!(address_of("192.0.2.1:5", &[told]), None);
        // No address stands for a Unix socket.
        assert_eq!(address_of("", &[told]).as_deref(), Some("192.0.2.7"));
    }

    #[test]
    fn what_a_caller_wrote_itself_does_not_count() {
        for (list, found) in [
            ("127.0.0.1, 192.0.2.7", Some("192.0.2.7")),
            (
                "127.0.0.1, 192.0.2.7, 10.2.2.2, 10.3.3.3",
                Some("192.0.2.7"),
            ),
            ("127.0.0.1, unknown, 10.2.2.2", Some("0.0.0.0")),
            ("10.2.2.2, 10.3.3.3", Some("10.2.2.2")),
            ("[2001:db8::1]:99", Some("2001:db8::1")),
            ("192.0.2.7:81", Some("192.0.2.7")),
            ("", Some("0.0.0.0")),
        ] {
            let told = [("x-forwarded-for", list)];
            assert_eq!(address_of("10.1.1.1:5", &told).as_deref(), found, "{list}");

            let elements: Vec<_> = list
                .split(", ")
                .map(|hop| format!("For=\"{hop}\";proto=https"))
                .collect();
            let elements = elements.join(", ");
            let told = [("forwarded", elements.as_str())];
            assert_eq!(address_of("10.1.1.1:5", &told).as_deref(), found, "{list}");
        }

        // Callers add the kind of fields that the proxy does not write.
        for other in USUAL {
            let told = [
                ("forwarded", "for=127.0.0.1;proto=https"),
                (*other, "192.0.2.7"),
            ];
            let read = read("10.1.1.1:5", &told);
            assert_eq!(read.address, Some(UNKNOWN), "{other}");
            assert_eq!(read.is_encrypted, Some(false), "{other}");
        }

        let many = vec!["10.0.0.1"; 1000].join(",");
        let told = [("x-forwarded-for", many.as_str())];
        assert_eq!(address_of("10.1.1.1:5", &told).as_deref(), Some("10.0.0.1"));
    }

    #[test]
    fn the_caller_looks_as_without_a_proxy() {
        let proxy = Peer {
            address: "10.1.1.1:5".parse().ok(),
            ..Peer::default()
        };
        let forwarded = read(
            "10.1.1.1:5",
            &[
                ("x-forwarded-for", "192.0.2.7"),
                ("x-forwarded-proto", "https"),
                ("x-forwarded-host", "models.example"),
            ],
        );
        assert_eq!(forwarded.host.as_deref(), Some("models.example"));
        let peer = forwarded.peer(&proxy).unwrap();
        assert_eq!(peer.address, "192.0.2.7:0".parse().ok());
        assert!(peer.tls.is_some() && !peer.is_local());

        let plain = read("10.1.1.1:5", &[("forwarded", "for=192.0.2.7;proto=http")]);
        let encrypted = Peer {
            tls: Some(TlsIdentity::default()),
            ..proxy.clone()
        };
        assert_eq!(plain.peer(&encrypted).unwrap().tls, None);
        assert_eq!(Forwarded::default().peer(&proxy), None);
    }
}
