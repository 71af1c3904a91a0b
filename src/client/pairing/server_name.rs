// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What a paired server may be called here: a word that is never taken for another server.

use crate::address::ServerUrl;
use crate::error::{Error, ErrorKind, Result};

/// What a server is called if nobody says: its address, without the port where that is the usual one.
/// Read as an address, this name leads to the very same server.
pub(crate) fn default_name(url: &ServerUrl) -> String {
    let authority = url.authority();
    match authority.strip_suffix(&format!(":{}", ServerUrl::PORT)) {
        Some(host) => host.to_owned(),
        None => authority,
    }
}

/// The other server that a name leads to where it is read as an address.
pub(crate) fn other_meaning(name: &str, urls: &[ServerUrl]) -> Option<ServerUrl> {
    let meant: ServerUrl = name.parse().ok()?;
    (!urls.contains(&meant)).then_some(meant)
}

/// Checks that a name is one word, and not the address of another server than the one at `urls`.
///
/// # Errors
/// `Usage`.
pub(crate) fn check_word(name: &str, urls: &[ServerUrl]) -> Result<()> {
    let refused = |reason: &str| {
        let shown = name.escape_debug();
        let text = format!("a server cannot be called '{shown}': {reason}");
        Err(Error::new(ErrorKind::Usage, text).hint("give it another name: --name NAME"))
    };

    let is_odd = |letter: char| letter.is_whitespace() || letter.is_control() || letter == '/';
    if name.is_empty() || name.starts_with('#') || name.contains(is_odd) {
        return refused("a name is one word");
    }

    // With a dot or a colon, whoever reads it takes it for an address. `localhost` is one as well.
    match other_meaning(name, urls) {
        Some(meant) if name.contains(['.', ':']) || meant.is_loopback() => {
            refused("that is the address of another one")
        }
        None if name.contains(':') && name.parse::<ServerUrl>().is_err() => {
            refused("a colon belongs to an address")
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_default_name_leads_to_the_same_server() {
        for (url, name) in [
            ("pi.local", "pi.local"),
            ("vm:1234", "vm:1234"),
            ("vm.evil.example", "vm.evil.example"),
            ("192.0.2.1", "192.0.2.1"),
            ("[::1]:1", "[::1]:1"),
            ("[2001:db8::1]", "[2001:db8::1]"),
        ] {
            let url: ServerUrl = url.parse().unwrap();
            assert_eq!(default_name(&url), name);
            assert_eq!(name.parse::<ServerUrl>().unwrap(), url);
            check_word(name, &[url]).unwrap();
        }
    }

    #[test]
    fn no_name_is_the_address_of_another_server() {
        let urls = ["vm:1234".parse().unwrap()];
        assert_eq!(
            other_meaning("vm", &urls).unwrap().to_string(),
            "https://vm:8443"
        );
        for good in ["vm", "vm:1234", "nas", "m\u{f6}ve"] {
            check_word(good, &urls).unwrap();
        }
        for bad in [
            "",
            "a b",
            "#a",
            "a/b",
            "a\u{7}",
            "vm:8443",
            "nas.local",
            "192.0.2.1",
            "::1",
            "[::1]",
            "unix:@x",
            "localhost",
            "LOCALHOST",
            "a:b",
        ] {
            assert_eq!(
                check_word(bad, &urls).unwrap_err().kind(),
                ErrorKind::Usage,
                "{bad}"
            );
        }
    }
}
