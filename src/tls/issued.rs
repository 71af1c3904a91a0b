// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The list of what an authority has issued: one line for each certificate, with its serial number.

use crate::error::Result;
use crate::random;
use crate::text::entries;

/// A certificate that was issued.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Issued {
    /// The serial number, in hexadecimal digits.
    pub(crate) serial: String,
    pub(crate) name: String,
    /// Its end, in seconds since 1970.
    pub(crate) end: u64,
    /// When it was revoked.
    pub(crate) revoked: Option<u64>,
}

impl Issued {
    /// A line of the list.
    pub(super) fn line(&self) -> String {
        let revoked = self
            .revoked
            .map(|at| format!(" revoked {at}"))
            .unwrap_or_default();
        format!("{} {} {}{revoked}", self.serial, self.name, self.end)
    }
}

/// The numbers of the lines that cannot be read.
pub(super) fn bad_lines(text: &str) -> Vec<usize> {
    let bad = entries(text).filter(|(_, line)| read(line).is_none());
    bad.map(|(number, _)| number).collect()
}

/// Reads `SERIAL NAME END` or `SERIAL NAME END revoked AT`.
pub(super) fn read(line: &str) -> Option<Issued> {
    let words: Vec<_> = line.split_ascii_whitespace().collect();
    let (serial, name, end, revoked) = match words[..] {
        [serial, name, end] => (serial, name, end, None),
        [serial, name, end, "revoked", at] => (serial, name, end, Some(at.parse().ok()?)),
        _ => return None,
    };

    // A number that was damaged would revoke another certificate, or none.
    let is_serial =
        serial.len() == SERIAL_DIGITS && serial.bytes().all(|digit| digit.is_ascii_hexdigit());
    let end = end.parse().ok().filter(|_| is_serial)?;

    Some(Issued {
        serial: serial.to_owned(),
        name: name.to_owned(),
        end,
        revoked,
    })
}

/// A positive number that nobody guesses and that never comes twice (RFC 5280 section 4.1.2.2).
pub(super) fn random_serial() -> Result<String> {
    let mut random = random::bytes::<{ SERIAL_DIGITS / 2 }>()?;
    random[0] = random[0] & 0x7f | 0x40;
    Ok(random
        .iter()
        .fold(String::new(), |text, byte| text + &format!("{byte:02x}")))
}

/// Of a serial number.
const SERIAL_DIGITS: usize = 32;
