// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The interface that a link-local address needs beside it (RFC 4007 section 11): its name or number.

use rustix::net::netdevice::name_to_index;
use rustix::net::{AddressFamily, SocketType, socket};

/// The number of an interface, given as that or by its name. The kernel is asked, which knows the
/// interfaces of this network namespace; `/sys/class/net` shows others, and is closed on Android.
pub(crate) fn number_of(zone: &str) -> Option<u32> {
    // `parse` alone would accept `+3`.
    if zone.bytes().all(|byte| byte.is_ascii_digit()) {
        return zone.parse().ok();
    }
    let socket = socket(AddressFamily::INET6, SocketType::DGRAM, None)
        .or_else(|_| socket(AddressFamily::INET, SocketType::DGRAM, None));
    name_to_index(socket.ok()?, zone).ok()
}

/// Whether a text can name an interface: its number, or up to 15 characters that need no quoting.
pub(crate) fn is_zone(text: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || b"._-@:+".contains(&byte);
    (1..=NAME_BYTES_MAX).contains(&text.len()) && text.bytes().all(is_letter)
}

/// What the kernel has room for (`IFNAMSIZ`), without the NUL byte at the end.
const NAME_BYTES_MAX: usize = 15;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interface_has_a_number_and_a_name() {
        assert_eq!(number_of("3"), Some(3));
        assert_eq!(number_of("lo"), Some(1));
        for bad in ["nope", "+3", "", "../lo", "4294967296"] {
            assert_eq!(number_of(bad), None, "{bad}");
        }
        for bad in ["", "a b", "a/b", "an-interface-with-a-name", "a\n", "a]"] {
            assert!(!is_zone(bad), "{bad}");
        }
    }
}
