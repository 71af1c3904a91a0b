// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Random numbers of the system, which nobody can guess: the only room that asks for them.

use std::io;

use crate::error::{Error, ErrorKind, Result};

/// So many random bytes.
///
/// # Errors
/// `Internal` if the system has none to give.
pub(crate) fn bytes<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| {
        let text = format!("the system has no random numbers: {error}");
        Error::new(ErrorKind::Internal, text)
    })?;
    Ok(bytes)
}

/// For names that nobody else has or guesses.
///
/// # Errors
/// If the system has none.
pub(crate) fn number() -> io::Result<u64> {
    let random = bytes().map_err(io::Error::other)?;
    Ok(u64::from_ne_bytes(random))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_are_alike() {
        assert_ne!(bytes::<16>().unwrap(), bytes::<16>().unwrap());
    }
}
