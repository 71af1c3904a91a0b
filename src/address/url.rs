// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The address of a server as a user writes it: `https://host:8443`, `host:8443`, just `host`, or a
//! Unix socket (`unix:/run/skep/socket`, `unix:@name`).

use std::ffi::OsString;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::address::zone;
use crate::error::{Error, ErrorKind, Result};

/// Where a server is, and whether it is spoken to through TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerUrl {
    scheme: Scheme,
    host: String,
    /// The interface of a link-local address, as it was given: its name, which stays, or its number.
    zone: Option<String>,
    port: u16,
    /// The name of a Unix socket, a NUL byte in front of an abstract one; then the rest is for show.
    socket: Option<PathBuf>,
}

/// Whether TLS is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// Plain HTTP.
    Http,
    /// HTTP through TLS.
    Https,
}

impl ServerUrl {
    /// The port of a server unless another one is given.
    pub const PORT: u16 = 8443;

    /// The host without brackets: a name or a number.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Whether TLS is spoken.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// Whether the server is on this very device, as far as its address tells.
    pub fn is_loopback(&self) -> bool {
        match self.host.parse::<IpAddr>() {
            Ok(address) => address.to_canonical().is_loopback(),
            Err(_) => self.host.eq_ignore_ascii_case("localhost"),
        }
    }

    /// Host and port, an IPv6 number in brackets: what a server is known by. For a
    /// Unix socket, its address.
    pub fn authority(&self) -> String {
        if let Some(socket) = &self.socket {
            return match socket.as_os_str().as_bytes() {
                [0, name @ ..] => format!("unix:@{}", escaped(name)),
                _ => format!("unix:{}", socket.display()),
            };
        }

        if self.host.contains(':') {
            let zone = self.zone.as_ref().map(|zone| format!("%{zone}"));
            format!("[{}{}]:{}", self.host, zone.unwrap_or_default(), self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    /// The Unix socket of a server that has one.
    pub(crate) fn socket(&self) -> Option<&Path> {
        self.socket.as_deref()
    }

    /// What the paths of requests are appended to. The interface stays at home (RFC 6874 section 3).
    pub(crate) fn base(&self) -> String {
        match self.socket {
            Some(_) => "http://localhost".to_owned(),
            None => Self {
                zone: None,
                ..self.clone()
            }
            .to_string(),
        }
    }

    /// The number of the interface; 0 where none is needed.
    ///
    /// # Errors
    /// `Usage` for a link-local address without one, and for one that this device does not have.
    pub(crate) fn zone_number(&self) -> Result<u32> {
        let Some(zone) = &self.zone else {
            return match self.host.parse::<Ipv6Addr>() {
                Ok(ip) if ip.is_unicast_link_local() => {
                    let text = format!("{} may be on any interface of this device", self.host);
                    Err(Error::new(ErrorKind::Usage, text).hint(format!(
                        "name the one that leads there: [{}%wlan0]:{} ('ip link' lists them)",
                        self.host, self.port
                    )))
                }
                _ => Ok(0),
            };
        };

        zone::number_of(zone).ok_or_else(|| {
            let text = format!("this device has no interface '{zone}'");
            Error::new(ErrorKind::Usage, text).hint("'ip link' lists the interfaces")
        })
    }
}

impl fmt::Display for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.socket.is_some() {
            return f.write_str(&self.authority());
        }
        let scheme = match self.scheme {
            Scheme::Http => "http",
            Scheme::Https => "https",
        };
        write!(f, "{scheme}://{}", self.authority())
    }
}

impl FromStr for ServerUrl {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let bad = |reason: &str| bad(text, reason);

        // `skep serve` takes `http://unix:PATH` as well.
        let plain = text.strip_prefix("http://").unwrap_or(text);
        if let Some(name) = plain.strip_prefix("unix:") {
            let socket = socket(name).ok_or_else(|| bad("is not valid"))?;
            let socket = Some(OsString::from_vec(socket).into());

            // Requests need a host, which a socket does not have. TLS would protect nothing: the
            // bytes do not leave the device.
            let host = "localhost".to_owned();
            return Ok(Self {
                scheme: Scheme::Http,
                host,
                zone: None,
                port: 80,
                socket,
            });
        }

        // HTTPS unless the user says otherwise, so that an omission sends no password in the clear.
        // Schemes do not depend on case (RFC 3986 section 3.1).
        let (scheme, rest) = match text.split_once("://") {
            None => (Scheme::Https, text),
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("https") => (Scheme::Https, rest),
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => (Scheme::Http, rest),
            Some(_) => return Err(bad("begins with neither http:// nor https://")),
        };

        let rest = rest.strip_suffix('/').unwrap_or(rest);

        if rest.starts_with("unix:") {
            return Err(bad("asks for TLS on a Unix socket")
                .hint("no byte leaves the device there: leave https:// out"));
        }

        // A password in an address would show up in logs and in the list of processes.
        if rest.contains('@') {
            return Err(bad("has a user or a password in it"));
        }

        if rest.contains(['/', '?', '#']) {
            return Err(bad("has a path after the host"));
        }

        let (host, port) = split(rest).ok_or_else(|| bad("is not valid"))?;
        let (host, zone) = match host.split_once('%') {
            Some((host, zone)) => (host, Some(zone)),
            None => (host, None),
        };

        // In a URL, the sign itself is escaped (RFC 6874 section 2): `%25wlan0`.
        let zone = zone.map(|zone| match zone.strip_prefix("25") {
            Some(rest) if !rest.is_empty() => rest.to_owned(),
            _ => zone.to_owned(),
        });

        // `parse` alone would accept `+8443`.
        let port = match port {
            None => Self::PORT,
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => digits
                .parse()
                .ok()
                .filter(|port| *port > 0)
                .ok_or_else(|| bad("has an invalid port"))?,
            Some(_) => return Err(bad("has an invalid port")),
        };

        // One spelling for each address: what a server is known by must not depend on its zeros.
        let host = match host.parse::<Ipv6Addr>() {
            Ok(ip) => ip.to_string(),
            Err(_) => host.to_ascii_lowercase(),
        };

        Ok(Self {
            scheme,
            host,
            zone,
            port,
            socket: None,
        })
    }
}

fn bad(text: &str, reason: &str) -> Error {
    // What stands before an @ is a password, and behind the # of an invitation is a secret.
    let shown = text.rsplit('@').next().unwrap_or_default();
    let shown = shown.split('#').next().unwrap_or_default();
    let shown: String = shown
        .chars()
        .take(80)
        .flat_map(char::escape_debug)
        .collect();

    Error::new(
        ErrorKind::Usage,
        format!("the server address '{shown}' {reason}"),
    )
    .hint("write it as https://192.168.1.10:8443, http://host:8080 or host:8443")
}

/// The name of a Unix socket as the kernel has it. In abstract names, `\xNN` stands for any byte, as
/// servers print them.
fn socket(text: &str) -> Option<Vec<u8>> {
    if text.contains(|character: char| character.is_control()) {
        return None;
    }

    let Some(name) = text.strip_prefix('@') else {
        return text.starts_with('/').then(|| text.as_bytes().to_vec());
    };

    // A NUL byte in front makes a name abstract (unix(7)).
    let mut bytes = vec![0];
    let mut parts = name.split('\\');
    bytes.extend_from_slice(parts.next()?.as_bytes());

    for part in parts {
        let (digits, plain) = part.strip_prefix('x')?.split_at_checked(2)?;

        // `from_str_radix` alone would accept a sign.
        let is_number = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        bytes.push(u8::from_str_radix(digits, 16).ok().filter(|_| is_number)?);
        bytes.extend_from_slice(plain.as_bytes());
    }

    // An empty name lets a listener choose one; nobody can connect to it.
    (2..=SOCKET_BYTES_MAX)
        .contains(&bytes.len())
        .then_some(bytes)
}

/// The form in which servers print an abstract name.
fn escaped(name: &[u8]) -> String {
    let mut text = String::new();
    for byte in name {
        match byte {
            b'!'..=b'~' if *byte != b'\\' => text.push(char::from(*byte)),
            _ => text.push_str(&format!("\\x{byte:02x}")),
        }
    }
    text
}

/// What the kernel has room for.
const SOCKET_BYTES_MAX: usize = 108;

/// Host and port of an authority; `None` if there is no valid host in it.
fn split(authority: &str) -> Option<(&str, Option<&str>)> {
    // A bare IPv6 address has no port: that would need brackets.
    if is_ipv6(authority) {
        return Some((authority, None));
    }

    if let Some(rest) = authority.strip_prefix('[') {
        let (host, rest) = rest.split_once(']')?;
        if !is_ipv6(host) {
            return None;
        }
        return match rest.strip_prefix(':') {
            Some(port) => Some((host, Some(port))),
            None => rest.is_empty().then_some((host, None)),
        };
    }

    let (host, port) = match authority.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (authority, None),
    };

    // RFC 1123 has no underscores in host names, but local networks use them.
    let is_host = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');

    (!host.is_empty() && host.len() <= 253 && host.bytes().all(is_host)).then_some((host, port))
}

/// Whether a text is an IPv6 address, with or without an interface.
fn is_ipv6(text: &str) -> bool {
    let (ip, zone) = match text.split_once('%') {
        Some((ip, zone)) => (ip, Some(zone)),
        None => (text, None),
    };
    ip.parse::<Ipv6Addr>().is_ok() && zone.is_none_or(zone::is_zone)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_users_write_them() {
        for (text, url, local) in [
            ("pi", "https://pi:8443", false),
            ("pi:9000", "https://pi:9000", false),
            ("http://Pi.local:8080/", "http://pi.local:8080", false),
            ("HTTPS://127.0.0.1", "https://127.0.0.1:8443", true),
            ("http://localhost", "http://localhost:8443", true),
            ("[::1]:1", "https://[::1]:1", true),
            ("::1", "https://[::1]:8443", true),
            ("unix:/run/skep", "unix:/run/skep", true),
            ("unix:@skep", "unix:@skep", true),
            (r"unix:@a\x5cb\x00 c", r"unix:@a\x5cb\x00\x20c", true),
            ("unix:@h\u{e9}", r"unix:@h\xc3\xa9", true),
            ("https://[fe80::2]", "https://[fe80::2]:8443", false),
            ("[fe80::1%3]:1", "https://[fe80::1%3]:1", false),
            ("fe80::1%wlan0", "https://[fe80::1%wlan0]:8443", false),
            (
                "https://[FE80:0::1%25eth0]",
                "https://[fe80::1%eth0]:8443",
                false,
            ),
            ("[2001:DB8:0:0::1]", "https://[2001:db8::1]:8443", false),
            ("http://unix:/run/skep", "unix:/run/skep", true),
            ("[::ffff:127.0.0.1]:1", "https://[::ffff:127.0.0.1]:1", true),
        ] {
            let read: ServerUrl = text.parse().unwrap();
            assert_eq!(read.to_string(), url, "{text}");
            assert_eq!(read.is_loopback(), local, "{text}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for bad in [
            "",
            "https://",
            "ftp://pi",
            "pi:",
            "pi:0",
            "pi:65536",
            "pi:+1",
            "pi/path",
            "pi?x",
            "user:pw@pi:1",
            "[::1",
            "[::1]x",
            "[pi]:1",
            "a b",
            "pi:1:2",
            "p\u{f6}",
            "[fe80::1%]",
            "[fe80::1%a/b]",
            "127.0.0.1%lo",
            "pi%lo:1",
            "https://unix:/run/skep",
            "unix:",
            "unix:@",
            r"unix:@\n",
            r"unix:@\xg0",
            r"unix:@\x+1",
            r"unix:@\x0",
            "unix:@a\0b",
            "unix:relative",
        ] {
            assert_eq!(
                bad.parse::<ServerUrl>().unwrap_err().kind(),
                ErrorKind::Usage,
                "{bad}"
            );
        }
    }

    #[test]
    fn an_interface_is_found_and_stays_at_home() {
        let url = |text: &str| text.parse::<ServerUrl>().unwrap();
        assert_eq!(url("[fe80::1%lo]").zone_number().unwrap(), 1);
        assert_eq!(url("[fe80::1%3]").zone_number().unwrap(), 3);
        assert_eq!(url("pi").zone_number().unwrap(), 0);
        assert_eq!(url("[fe80::1%lo]").base(), "https://[fe80::1]:8443");
        for bad in ["[fe80::1]", "[fe80::1%nope]"] {
            let error = url(bad).zone_number().unwrap_err();
            assert!(error.hint_text().unwrap().contains("ip link"), "{error}");
        }
    }

    #[test]
    fn no_secret_of_an_address_is_repeated() {
        for text in [
            "https://x:hunter2@pi",
            "x:hunter2@pi",
            "skep://pi#pin.hunter2",
        ] {
            let error = text.parse::<ServerUrl>().unwrap_err().to_string();
            assert!(
                !error.contains("hunter2") && error.contains("pi"),
                "{error}"
            );
        }
    }
}
