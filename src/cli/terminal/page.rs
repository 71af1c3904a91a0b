// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Models that are shown and not saved: code tidied up, and no binary bytes on a terminal.

use std::io::{self, Write};

use crate::cli::terminal::output::Output;
use crate::client::tidy;
use crate::error::{Error, ErrorKind, Result};

/// Bytes that are kept in memory to be shown, up to a limit.
#[derive(Default)]
pub(crate) struct Page(Vec<u8>);

impl Page {
    /// Shows the bytes: text tidied up, all else as it is.
    ///
    /// # Errors
    /// `Usage` for binary bytes on a terminal; otherwise those of standard output.
    pub(crate) fn show(&self, name: &str, output: &Output) -> Result<()> {
        check(&self.0, name, output)?;
        output.write(&tidy(&self.0))
    }
}

impl Write for Page {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // Checked for each piece, so that no server can fill the memory.
        if self.0.len() + bytes.len() > BYTES_MAX {
            let message = format!(
                "this is too large to show as text: more than {} MiB",
                BYTES_MAX >> 20
            );
            let error = Error::new(ErrorKind::TooLarge, message).hint("save it as a file");
            return Err(error.into());
        }

        self.0.extend_from_slice(bytes);

        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Refuses to show bytes that would confuse a terminal.
///
/// # Errors
/// `Usage` for binary bytes on a terminal.
pub(crate) fn check(beginning: &[u8], name: &str, output: &Output) -> Result<()> {
    if !output.is_terminal() || !is_binary(beginning) {
        return Ok(());
    }
    let message = format!("'{name}' is binary and standard output is a terminal");
    Err(Error::new(ErrorKind::Usage, message).hint("'skep get' and 'skep load' save it as a file"))
}

/// Whether bytes have a NUL or an escape in them, or are not UTF-8 (but for a cut last character).
fn is_binary(bytes: &[u8]) -> bool {
    let is_cut = |error: std::str::Utf8Error| error.error_len().is_none();
    bytes.contains(&0)
        || bytes.contains(&0x1b)
        || !std::str::from_utf8(bytes).map_or_else(is_cut, |_| true)
}

/// Code is never that long.
const BYTES_MAX: usize = 64 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_told_from_binary() {
        assert!(!is_binary(b""));
        assert!(!is_binary("\u{f6}\r\n".as_bytes()));
        assert!(!is_binary(b"a\xe2\x82"));
        assert!(is_binary(b"a\0"));
        assert!(is_binary(b"\xff\xfea"));
        assert!(is_binary(b"\x1b[2J"));
    }
}
