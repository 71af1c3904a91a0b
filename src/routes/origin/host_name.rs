// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What keeps web pages from using somebody's browser against this server: names it is not called by
//! get nothing that is open, and secrets do not stand in URLs.
//!
//! A page can make its own name lead to this server (DNS rebinding), and its script then reads what needs
//! no credentials. Numbers, this device's names and those of the settings pass. Whoever shows right
//! credentials in the request passes under any name, so that tunnels work: the browser keeps
//! credentials by name and never shows those of another one. A client certificate is no such proof.

use std::net::{Ipv4Addr, Ipv6Addr};

use percent_encoding::percent_decode_str;

use crate::error::{Error, ErrorKind, Result};

/// The names under which open things are handed out.
pub(crate) struct HostNames(Vec<String>);

impl HostNames {
    /// The names of this device and others; `*.example.org` stands for all names with one more part.
    pub(crate) fn new(names: impl IntoIterator<Item = String>) -> Self {
        let names = names
            .into_iter()
            .map(|name| name.trim_end_matches('.').to_ascii_lowercase());
        Self(names.filter(|name| !name.is_empty()).collect())
    }

    /// Checks the `Host` field of a request that gets something without credentials of its own.
    ///
    /// # Errors
    /// `Misdirected` (421, RFC 9110 section 15.5.20).
    pub(crate) fn check(&self, field: Option<&str>) -> Result<()> {
        // Browsers always send the field.
        let Some(host) = field.map(name) else {
            return Ok(());
        };

        if self.has(&host) {
            return Ok(());
        }

        let text = format!("'{}' is not a name of this server", host.escape_debug());

        Err(Error::new(ErrorKind::Misdirected, text)
            .hint("use its IP address, send credentials, or add the name with --host-names"))
    }

    fn has(&self, host: &str) -> bool {
        // A web page can give its own name the address of this server, but it cannot own a number.
        let is_number = host.parse::<Ipv4Addr>().is_ok()
            || host
                .trim_matches(['[', ']'])
                .split('%')
                .next()
                .unwrap_or_default()
                .parse::<Ipv6Addr>()
                .is_ok();

        let is_here = host == "localhost" || host.ends_with(".localhost") || host.is_empty();

        // The asterisk stands for exactly one label, as in certificates.
        let is_known = |name: &String| match name.strip_prefix("*.") {
            Some(suffix) => host
                .split_once('.')
                .is_some_and(|(first, rest)| !first.is_empty() && rest == suffix),
            None => name == host,
        };

        is_number || is_here || self.0.iter().any(is_known)
    }
}

/// The host of a `Host` field, without its port, in lower case.
fn name(field: &str) -> String {
    let field = field.trim();
    let host = match field.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => match host {
            // A bare IPv6 number has more colons.
            host if host.contains(':') && !host.ends_with(']') => field,
            host => host,
        },
        _ => field,
    };

    host.trim_end_matches('.').to_ascii_lowercase()
}

/// Refuses a secret in a URL, where logs, histories and proxies keep it.
///
/// # Errors
/// `BadRequest`.
pub(crate) fn no_secret_in(query: Option<&str>) -> Result<()> {
    // Only names of members are compared: their values may be secrets and are never repeated.
    let keys = query
        .unwrap_or_default()
        .split('&')
        .map(|pair| pair.split('=').next().unwrap_or(pair));

    // Any letter may be written as its number (RFC 3986 section 2.3).
    let is_secret = |key: &str| {
        let key: Vec<u8> = percent_decode_str(key).collect();
        SECRETS
            .iter()
            .any(|secret| key.eq_ignore_ascii_case(secret.as_bytes()))
    };

    if keys.into_iter().any(is_secret) {
        Err(
            Error::new(ErrorKind::BadRequest, "a secret must not be in a URL").hint(
                "send it as Authorization: Bearer SECRET; change this one now, it may be in logs",
            ),
        )
    } else {
        Ok(())
    }
}

const SECRETS: &[&str] = &[
    "password",
    "passwd",
    "pwd",
    "token",
    "access_token",
    "secret",
    "api_key",
    "apikey",
    "auth",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_known_names_pass() {
        let names = HostNames::new([
            "Pi".to_owned(),
            "pi.local".to_owned(),
            "*.skep.example".to_owned(),
        ]);
        for host in [
            "127.0.0.1",
            "192.168.1.10:8443",
            "[::1]:8443",
            "::1",
            "[fe80::1%25wlan0]:1",
            "localhost",
            "LOCALHOST:80",
            "a.localhost",
            "pi:8443",
            "PI.local.",
            "x.skep.example:443",
            "",
        ] {
            assert!(names.check(Some(host)).is_ok(), "{host}");
        }
        assert!(names.check(None).is_ok());
        for host in [
            "evil.example",
            "pi.evil.example",
            "127.0.0.1.evil.example",
            "skep.example",
            "localhost.evil",
            "x.y.skep.example",
            ".skep.example",
            "1.2.3",
            "evil:80:80",
            "0x7f000001",
        ] {
            let error = names.check(Some(host)).expect_err(host);
            assert_eq!(error.kind(), ErrorKind::Misdirected);
        }
    }

    #[test]
    fn secrets_do_not_stand_in_urls() {
        for query in [
            "token=x",
            "a=b&Password=",
            "access_token",
            "a&b&secret=1",
            "pass%77ord=x",
            "a&%54OKEN",
        ] {
            assert!(no_secret_in(Some(query)).is_err(), "{query}");
        }
        for query in [
            "",
            "a=token",
            "tokens=3",
            "name=password",
            "a%26token=3",
            "%ff",
        ] {
            assert!(no_secret_in(Some(query)).is_ok(), "{query}");
        }
        assert!(no_secret_in(None).is_ok());
    }
}
