// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Where a server listens together with what it speaks there: `http://127.0.0.1:8080`,
//! `https://0.0.0.0:8443`, `http://unix:/run/skep/socket`, or an address alone.

use std::fmt;
use std::str::FromStr;

use crate::address::listen::{Address, DEFAULT_PORT};
use crate::address::url::Scheme;
use crate::error::Result;

/// An address to listen on, and what is spoken there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenAddress {
    /// Where to listen.
    pub address: Address,
    /// What is spoken there; `None` for what the server speaks by default: HTTPS if it has TLS, else
    /// plain HTTP. On Unix sockets that is plain HTTP, unless callers need a certificate.
    pub scheme: Option<Scheme>,
}

/// What is spoken where an address does not say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct UnsaidScheme {
    pub(crate) network: Scheme,
    pub(crate) unix: Scheme,
}

impl UnsaidScheme {
    /// What is spoken on networks, and what on Unix sockets: plain HTTP, as clients expect there, unless that
    /// would lead past a certificate that callers need.
    pub(crate) fn new(network: Scheme, is_everywhere: bool) -> Self {
        let unix = if is_everywhere { network } else { Scheme::Http };
        Self { network, unix }
    }

    /// What is spoken at an address.
    pub(crate) fn at(self, address: &Address) -> Scheme {
        match address {
            Address::Unix(_) | Address::UnixAuto | Address::Abstract(_) => self.unix,
            Address::Ip(_) | Address::Everywhere(_) | Address::Descriptor(_) => self.network,
        }
    }
}

impl ListenAddress {
    /// Reads an address in which the scheme and the port may be missing.
    ///
    /// # Errors
    /// `Usage`, with the form that was probably meant.
    pub fn parse(text: &str, default_port: u16) -> Result<Self> {
        let schemes = [("http://", Scheme::Http), ("https://", Scheme::Https)];
        let with_scheme = schemes
            .into_iter()
            .find_map(|(prefix, scheme)| Some((text.strip_prefix(prefix)?, scheme)));

        let Some((rest, scheme)) = with_scheme else {
            return Ok(Address::parse(text, default_port)?.into());
        };

        // What was copied from a URL ends with a slash.
        let rest = rest.strip_suffix('/').unwrap_or(rest);

        Ok(Self {
            address: Address::parse(rest, default_port)?,
            scheme: Some(scheme),
        })
    }

    /// What is spoken there, if this is the default.
    pub fn scheme_or(&self, default: Scheme) -> Scheme {
        self.scheme.unwrap_or(default)
    }
}

impl From<Address> for ListenAddress {
    fn from(address: Address) -> Self {
        Self {
            address,
            scheme: None,
        }
    }
}

impl FromStr for ListenAddress {
    type Err = crate::error::Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::parse(text, DEFAULT_PORT)
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.scheme {
            Some(Scheme::Http) => write!(f, "http://{}", self.address),
            Some(Scheme::Https) => write!(f, "https://{}", self.address),
            None => self.address.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scheme_may_stand_in_front_of_every_form() {
        for (text, scheme, address) in [
            ("127.0.0.1", None, "127.0.0.1:9"),
            (
                "http://127.0.0.1:8101",
                Some(Scheme::Http),
                "127.0.0.1:8101",
            ),
            ("https://[::1]:0/", Some(Scheme::Https), "[::1]:0"),
            (
                "http://unix:/run/skep",
                Some(Scheme::Http),
                "unix:/run/skep",
            ),
            ("unix:@name", None, "unix:@name"),
        ] {
            let listen = ListenAddress::parse(text, 9).expect(text);
            assert_eq!(listen.scheme, scheme, "{text}");
            assert_eq!(listen.address.to_string(), address, "{text}");
        }
        assert!(ListenAddress::parse("ftp://127.0.0.1", 9).is_err());
        assert!(ListenAddress::parse("http://", 9).is_err());
    }
}
