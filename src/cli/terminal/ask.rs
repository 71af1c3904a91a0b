// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Asks whoever sits at the terminal: whether a server is the right one, and for a new password.

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};

use rpassword::{Config, ConfigBuilder};

use crate::cli::terminal::signals::Uninterrupted;
use crate::client::FirstUse;
use crate::error::{Error, ErrorKind, Result};
use crate::pin::Pin;

/// What happens with new servers: a question if there is somebody to ask, else a refusal.
pub(crate) fn first_use() -> FirstUse {
    if io::stdin().is_terminal() && io::stderr().is_terminal() {
        FirstUse::Ask(Box::new(ask))
    } else {
        FirstUse::Refuse
    }
}

fn ask(server: &str, pin: Pin) -> bool {
    let question = format!(
        "{server} is not known yet. It shows the key\n  {pin}\n\
         Compare that with what 'skep serve' printed on the other device.\n\
         Trust this server from now on? [y/N] "
    );

    let mut stderr = io::stderr().lock();

    // Nobody can agree to a question that was not shown.
    if stderr
        .write_all(question.as_bytes())
        .and_then(|()| stderr.flush())
        .is_err()
    {
        return false;
    }

    let mut answer = String::new();
    let read = io::stdin().lock().read_line(&mut answer);

    // Only an explicit yes counts: Enter, the end of the input and an error refuse.
    read.is_ok() && matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes")
}

/// Asks for a new password twice, without showing what is typed.
///
/// # Errors
/// `Cancelled` at Ctrl-C and Ctrl-D, `Usage` if both differ or are not UTF-8; those of the terminal.
pub(crate) fn new_password() -> Result<String> {
    // Ctrl-C raises SIGINT before the terminal is restored, which must not end the process then.
    let _uninterrupted = Uninterrupted::new()?;
    let terminal = || ConfigBuilder::new().build();

    let first = hidden("new password: ", terminal())?;
    let again = hidden("the new password again: ", terminal())?;

    if first == again {
        Ok(first)
    } else {
        Err(Error::new(ErrorKind::Usage, "the two passwords differ").hint("try again"))
    }
}

/// A line that is not shown. SIGINT must not end the process.
fn hidden(prompt: &str, config: Config) -> Result<String> {
    let typed = rpassword::prompt_password_with_config(prompt, config);
    let line = typed.map_err(|error| match error.kind() {
        io::ErrorKind::Interrupted | io::ErrorKind::UnexpectedEof => {
            Error::new(ErrorKind::Cancelled, "nothing was changed")
        }
        _ => Error::io("reading from the terminal", error),
    })?;

    // What is not UTF-8 comes as this character.
    if line.contains(char::REPLACEMENT_CHARACTER) {
        return Err(Error::new(ErrorKind::Usage, "the password is not UTF-8"));
    }

    Ok(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What comes of keys, which need no terminal here.
    fn typed(keys: &[u8]) -> Result<String> {
        let config = ConfigBuilder::new().input_data(keys).output_discard();
        hidden("", config.build())
    }

    #[test]
    fn keys_make_a_line() {
        for (keys, line) in [
            ("abc\rd", "abc"),
            ("ab\u{7f}c\n", "ac"),
            ("h\u{e9}\u{8}i\n", "hi"),
            ("wrong\u{15}right\n", "right"),
            ("\u{7f}\n", ""),
        ] {
            assert_eq!(typed(keys.as_bytes()).unwrap(), line, "{keys:?}");
        }
        assert_eq!(typed(b"\xff\n").unwrap_err().kind(), ErrorKind::Usage);
        assert_eq!(typed(b"\x04").unwrap_err().kind(), ErrorKind::Cancelled);

        let _uninterrupted = Uninterrupted::new().unwrap();
        assert_eq!(typed(b"a\x03").unwrap_err().kind(), ErrorKind::Cancelled);
    }
}
