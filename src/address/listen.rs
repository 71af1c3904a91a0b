// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Addresses to listen on, in the forms that users write them.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::path::{Component, Path, PathBuf};
use std::str::FromStr;

use crate::address::zone;
use crate::error::{Error, ErrorKind, Result};

/// Where a server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Address {
    /// `127.0.0.1:8443`, `[::1]:0`, `[fe80::1%wlan0]:8443`; port 0 lets the system choose.
    Ip(SocketAddr),
    /// `*:8443`: all addresses of this device, IPv4 and IPv6, on one socket; where there is no IPv6, all
    /// of IPv4.
    Everywhere(u16),
    /// `unix:/absolute/path`. A socket that was left there by a server of the same user that is gone
    /// is replaced; anything else that is there stays, and is an error.
    Unix(PathBuf),
    /// `unix:auto`: a socket with a random name in a new folder that only its owner can enter.
    UnixAuto,
    /// `unix:@name`: a name in the abstract namespace of Linux and Android, which has no file. An
    /// empty name (`unix:@`) lets the kernel choose one. Bytes other than visible ASCII are written
    /// as `\xNN`; the `@` stands for the NUL byte that such names begin with in the kernel.
    Abstract(Vec<u8>),
    /// `fd:3`: a listening socket that was inherited under this number.
    Descriptor(i32),
}

impl Address {
    /// Reads an address in which the port may be missing.
    ///
    /// # Errors
    /// `Usage`, with the form that was probably meant.
    pub fn parse(text: &str, default_port: u16) -> Result<Self> {
        if let Some(path) = text.strip_prefix("unix:") {
            return unix(path);
        }

        if let Some(number) = text.strip_prefix("fd:") {
            return descriptor(number).ok_or_else(|| bad(text).hint("write it as fd:3"));
        }

        if let Some(rest) = text.strip_prefix('*') {
            let port = match rest.strip_prefix(':') {
                Some(port) => port.parse().map_err(|_| bad(text))?,
                None if rest.is_empty() => default_port,
                None => return Err(bad(text)),
            };
            return Ok(Self::Everywhere(port));
        }

        // Brackets keep the colons of an IPv6 address apart from that of the port (RFC 3986 section
        // 3.2.2).
        if let Some(rest) = text.strip_prefix('[') {
            return ipv6(rest, default_port).ok_or_else(|| bad(text));
        }

        // Without brackets, `::1:8443` may be an address, or an address and a port.
        if text.matches(':').count() > 1 {
            let hint = format!("write an IPv6 address in brackets, as in [::1]:{default_port}");
            return Err(bad(text).hint(hint));
        }

        let (host, port) = match text.split_once(':') {
            Some((host, port)) => (host, port.parse().map_err(|_| bad(text))?),
            None => (text, default_port),
        };

        // The ports of other programs are written so: `9000`, `:9000`.
        let number = text.strip_prefix(':').unwrap_or(text);
        if let Ok(number) = number.parse::<u16>() {
            let hint = format!("did you mean --port {number}, or *:{number}?");
            return Err(bad(text).hint(hint));
        }

        // No other name is accepted: the answer of a resolver may change, or be no address of this
        // device.
        let host = if host == "localhost" {
            "127.0.0.1"
        } else {
            host
        };

        let ip: IpAddr = host.parse().map_err(|_| {
            bad(text).hint(
                "give the IP address of an interface, or * for all of them; the models are in --dir DIR",
            )
        })?;

        Ok(Self::Ip(SocketAddr::new(ip, port)))
    }

    /// The port, if it stands for all addresses of this device.
    pub(crate) fn everywhere(&self) -> Option<u16> {
        match self {
            Self::Everywhere(port) => Some(*port),
            Self::Ip(ip) if ip.ip().is_unspecified() => Some(ip.port()),
            _ => None,
        }
    }

    /// The address as the host and port of a URL; the unspecified address, which no client can
    /// connect to on every system, is shown as loopback.
    pub fn authority(&self) -> String {
        let mut address = match self {
            Self::Ip(address) => *address,
            Self::Everywhere(port) => SocketAddr::from(([127, 0, 0, 1], *port)),
            _ => return self.to_string(),
        };

        match address.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => {
                address.set_ip(IpAddr::from([127, 0, 0, 1]));
            }
            IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
            _ => {}
        }

        address.to_string()
    }
}

impl FromStr for Address {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::parse(text, DEFAULT_PORT)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(address) => address.fmt(f),
            Self::Everywhere(port) => write!(f, "*:{port}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::UnixAuto => f.write_str("unix:auto"),
            Self::Abstract(name) => {
                f.write_str("unix:@")?;
                name.iter().try_for_each(|byte| match byte {
                    // The backslash begins an escape, so it is escaped itself: what is printed here
                    // can be read again.
                    b'\\' => f.write_str("\\x5c"),
                    b'!'..=b'~' => write!(f, "{}", char::from(*byte)),
                    _ => write!(f, "\\x{byte:02x}"),
                })
            }
            Self::Descriptor(number) => write!(f, "fd:{number}"),
        }
    }
}

/// Reads what follows the opening bracket: `::1]:8443`, `fe80::1%wlan0]`.
fn ipv6(text: &str, default_port: u16) -> Option<Address> {
    let (host, port) = text.split_once(']')?;
    let port = match port.strip_prefix(':') {
        Some(port) => port.parse().ok()?,
        None if port.is_empty() => default_port,
        None => return None,
    };

    // A link-local address needs its interface (RFC 4007 section 11).
    let (ip, scope) = match host.split_once('%') {
        Some((ip, scope)) => (ip, zone::number_of(scope)?),
        None => (host, 0),
    };

    Some(Address::Ip(
        SocketAddrV6::new(ip.parse().ok()?, port, 0, scope).into(),
    ))
}

fn unix(text: &str) -> Result<Address> {
    if text == "auto" {
        return Ok(Address::UnixAuto);
    }

    if let Some(name) = text.strip_prefix('@') {
        let name = unescaped(name).filter(|name| name.len() <= ABSTRACT_BYTES_MAX);
        return name.map(Address::Abstract).ok_or_else(|| {
            bad(&format!("unix:{text}"))
                .hint("an abstract name has at most 107 bytes, and a backslash is written \\x5c")
        });
    }

    // One spelling for each path: no `..`, no doubled slash, no slash at the end. A control
    // character would break the line in which the address is printed.
    let path = Path::new(text);
    let is_plain = |part: Component<'_>| matches!(part, Component::RootDir | Component::Normal(_));
    let normal: PathBuf = path.components().collect();

    if !path.is_absolute()
        || !path.components().all(is_plain)
        || normal.as_os_str() != text
        || text.contains(char::is_control)
    {
        let text = format!("the socket path '{text}' is not absolute and normalised");
        return Err(Error::new(ErrorKind::Usage, text).hint("write it as unix:/run/skep/socket"));
    }

    Ok(Address::Unix(normal))
}

/// The bytes of an abstract name, in which `\xNN` stands for any byte.
fn unescaped(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;

    while let Some((plain, escape)) = rest.split_once('\\') {
        bytes.extend_from_slice(plain.as_bytes());
        let digits = escape.strip_prefix('x')?.get(..2)?;
        // `from_str_radix` alone would accept a sign.
        if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return None;
        }
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        rest = &escape[3..];
    }

    bytes.extend_from_slice(rest.as_bytes());

    Some(bytes)
}

/// The number of a descriptor; 1 and 2 are where this process prints.
fn descriptor(text: &str) -> Option<Address> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text
        .parse()
        .ok()
        .filter(|number| is_number && !matches!(number, 1 | 2))?;
    Some(Address::Descriptor(number))
}

fn bad(text: &str) -> Error {
    let text = text.escape_debug();
    Error::new(
        ErrorKind::Usage,
        format!("'{text}' is not an address to listen on"),
    )
}

/// The port of the dearning server, which is ours as well.
pub(crate) const DEFAULT_PORT: u16 = 8443;

/// What the kernel has room for, without the NUL byte in front.
const ABSTRACT_BYTES_MAX: usize = 107;

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        text.parse::<Address>().expect(text).to_string()
    }

    #[test]
    fn usual_forms_are_read() {
        for (text, meant) in [
            ("127.0.0.1:80", "127.0.0.1:80"),
            ("127.0.0.1", "127.0.0.1:8443"),
            ("localhost:0", "127.0.0.1:0"),
            ("[::1]:0", "[::1]:0"),
            ("[::]", "[::]:8443"),
            ("*", "*:8443"),
            ("*:0", "*:0"),
            ("[fe80::1%3]:8443", "[fe80::1%3]:8443"),
            ("[fe80::1%lo]:1", "[fe80::1%1]:1"),
            ("unix:/run/skep.sock", "unix:/run/skep.sock"),
            ("unix:auto", "unix:auto"),
            ("unix:@", "unix:@"),
            ("unix:@skep", "unix:@skep"),
            (r"unix:@a\x5cb\x00 c", r"unix:@a\x5cb\x00\x20c"),
            ("unix:@h\u{e9}", r"unix:@h\xc3\xa9"),
            ("fd:0", "fd:0"),
            ("fd:3", "fd:3"),
        ] {
            assert_eq!(shown(text), meant, "{text}");
            assert_eq!(
                text.parse::<Address>().unwrap(),
                meant.parse().unwrap(),
                "{text}"
            );
        }
    }

    #[test]
    fn other_forms_are_refused_with_a_hint() {
        for bad in [
            "",
            "pi",
            "::1:8443",
            "::1",
            "127.0.0.1:x",
            "127.0.0.1:65536",
            "[::1",
            "*x",
            "*:x",
            "*:",
            "[::1]x",
            "[fe80::1%nope]:1",
            "[fe80::1%../lo]:1",
            "[fe80::1%]:1",
            "[fe80::1%+3]:1",
            "[fe80::1%an-interface-with-a-long-name]:1",
            "unix:relative",
            "unix:/a/../b",
            "unix:/a//b",
            "unix:/a/",
            "unix:",
            "unix:/a\nb",
            r"unix:@\n",
            r"unix:@\xg0",
            r"unix:@\x0",
            r"unix:@\x+5",
            &format!("unix:@{}", "a".repeat(108)),
            "fd:",
            "fd:-1",
            "fd:+3",
            "fd:1",
            "fd:2",
            "fd:2147483648",
            "systemd:",
        ] {
            assert_eq!(
                bad.parse::<Address>().expect_err(bad).kind(),
                ErrorKind::Usage,
                "{bad}"
            );
        }
        let error = "::1:8443".parse::<Address>().unwrap_err();
        assert!(error.hint_text().unwrap().contains("[::1]:8443"));
        for port in ["9000", ":9000"] {
            let error = port.parse::<Address>().unwrap_err();
            assert!(error.hint_text().unwrap().contains("--port 9000,"));
        }
    }

    #[test]
    fn a_url_leads_somewhere() {
        assert_eq!(
            "0.0.0.0:1".parse::<Address>().unwrap().authority(),
            "127.0.0.1:1"
        );
        assert_eq!("*:1".parse::<Address>().unwrap().authority(), "127.0.0.1:1");
        assert_eq!("[::]:1".parse::<Address>().unwrap().authority(), "[::1]:1");
    }
}
