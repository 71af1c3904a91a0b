// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Asks whoever sits at the terminal: whether a server is the right one, and for a new password.

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};

use rpassword::{Config, ConfigBuilder};

use crate::access::Password;
use crate::cli::terminal::signals::{self, Asking};
use crate::cli::terminal::standard::HiddenTyping;
use crate::client::FirstUse;
use crate::error::{Error, ErrorKind, Result};
use crate::pin::Pin;
use crate::text::escaped;

/// What happens with new servers: a question if there is somebody to ask, else a refusal.
pub(crate) fn first_use() -> FirstUse {
    if has_somebody() {
        FirstUse::Ask(Box::new(ask))
    } else {
        FirstUse::Refuse
    }
}

/// Whether somebody is there to ask.
pub(crate) fn has_somebody() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

fn ask(server: &str, pin: Pin) -> bool {
    let question = format!(
        "{server} is not known yet. It shows the key\n  {pin}\n\
         Compare that with what 'skep serve' printed on the other device.\n\
         Trust this server from now on? [y/N, or the fingerprint that it must have] "
    );

    // Only an explicit yes counts: Enter, the end of the input and an error refuse.
    match answer_to(&question).map(|answer| TrustAnswer::of(&answer, pin)) {
        Some(TrustAnswer::Yes) => true,
        Some(TrustAnswer::No) | None => false,
        Some(TrustAnswer::OtherKey) => {
            let text = "that is another fingerprint: this is not the server that you mean\n";
            let _ = io::stderr().write_all(text.as_bytes());
            false
        }
    }
}

/// The line that somebody types after a question; `None` if there is none, or the question cannot be shown.
fn answer_to(question: &str) -> Option<String> {
    let _asking = Asking::begin();

    // Nobody can agree to a question that was not shown. Standard error is free again while somebody thinks:
    // a signal ends the command then, and says so there.
    let mut stderr = io::stderr();
    let shown = stderr.write_all(question.as_bytes());
    shown.and_then(|()| stderr.flush()).ok()?;

    let mut answer = String::new();
    let read = io::stdin().lock().read_line(&mut answer);
    signals::give_way();
    read.ok().map(|_| answer)
}

/// Whether somebody says yes to a question about some names, of which the first ones are shown; Enter, the
/// end of the input and an error are none.
pub(crate) fn agree(question: &str, names: &[String]) -> bool {
    let mut text = String::new();
    for name in names.iter().take(NAMES_MAX) {
        text += &format!("  {}\n", escaped(name));
    }
    if names.len() > NAMES_MAX {
        text += &format!("  ... and {} more\n", names.len() - NAMES_MAX);
    }
    text += &format!("{}? [y/N] ", escaped(question));

    let answer = answer_to(&text).unwrap_or_default();
    matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes")
}

/// What somebody says to the key that a server shows.
#[derive(Debug, PartialEq, Eq)]
enum TrustAnswer {
    Yes,
    No,
    /// The fingerprint of another key.
    OtherKey,
}

impl TrustAnswer {
    /// Reads a yes, or a fingerprint in one of the forms in which they are printed: whoever compares two
    /// of them by eye sees less than this does.
    fn of(answer: &str, shown: Pin) -> Self {
        let answer = answer.trim();
        if matches!(answer.to_ascii_lowercase().as_str(), "y" | "yes") {
            return Self::Yes;
        }

        let answer = answer.strip_prefix("fp=").unwrap_or(answer);
        let of_curl = answer == shown.for_curl();
        let pin = answer
            .parse::<Pin>()
            .or_else(|_| format!("SHA256:{answer}").parse());

        match pin {
            _ if of_curl => Self::Yes,
            Ok(pin) if pin == shown => Self::Yes,
            Ok(_) => Self::OtherKey,
            // A form that is cut off, or of another program.
            Err(_) if answer.len() > SHORT => Self::OtherKey,
            Err(_) => Self::No,
        }
    }
}

/// Names that are shown before a question.
const NAMES_MAX: usize = 30;

/// Longer answers are no words.
const SHORT: usize = 16;

/// Asks for the password of a server, without showing what is typed; `None` if nobody is there to ask.
///
/// # Errors
/// `Declined` at Ctrl-D, `Usage` if it cannot be one; those of the terminal.
pub(crate) fn password(server: &str) -> Result<Option<Password>> {
    if !has_somebody() {
        return Ok(None);
    }

    let prompt = format!("password or token of {server}: ");
    let typed = hidden(&prompt, ConfigBuilder::new().build())?;
    Password::new(typed).map(Some)
}

/// Asks for a new password twice, without showing what is typed; the first time it is checked.
///
/// # Errors
/// `Declined` at Ctrl-D, `Usage` if both differ or are not UTF-8; those of the terminal and
/// of the check.
pub(crate) fn new_password(check: impl FnOnce(&str) -> Result<()>) -> Result<String> {
    let terminal = || ConfigBuilder::new().build();

    let first = hidden("new password: ", terminal())?;
    check(&first)?;
    let again = hidden("the new password again: ", terminal())?;

    if first == again {
        Ok(first)
    } else {
        Err(Error::new(ErrorKind::Usage, "the two passwords differ").hint("try again"))
    }
}

/// Asks for an invitation, which is a secret and not shown as it is pasted.
///
/// # Errors
/// `Declined` at Ctrl-D; those of the terminal.
pub(crate) fn invitation() -> Result<String> {
    let question = "paste what 'skep invite' printed on the other device (it is not shown): ";
    hidden(question, ConfigBuilder::new().build())
}

/// A line that is not shown. Signals are watched: Ctrl-C raises one while nothing is shown yet.
fn hidden(prompt: &str, config: Config) -> Result<String> {
    let _asking = Asking::begin();
    let _typing = HiddenTyping::begin();
    let typed = rpassword::prompt_password_with_config(prompt, config);
    signals::give_way();

    let line = typed.map_err(|error| match error.kind() {
        io::ErrorKind::Interrupted => Error::new(ErrorKind::Cancelled, "nothing was changed"),
        io::ErrorKind::UnexpectedEof => Error::new(ErrorKind::Declined, "nothing was changed"),
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
    fn the_right_fingerprint_is_a_yes_and_a_wrong_one_a_clear_no() {
        let hex = "ab".repeat(32);
        let pin: Pin = format!("SHA256:{hex}").parse().unwrap();
        let other = "cd".repeat(32);
        for yes in [
            "y",
            " YES\n",
            &hex,
            &format!("fp=SHA256:{hex}"),
            &format!("sha256:{hex}\n"),
            &pin.for_curl(),
        ] {
            assert_eq!(TrustAnswer::of(yes, pin), TrustAnswer::Yes, "{yes}");
        }
        for no in ["", "\n", "n", "no", "yep", "ab"] {
            assert_eq!(TrustAnswer::of(no, pin), TrustAnswer::No, "{no}");
        }
        for wrong in [
            &other,
            &format!("SHA256:{other}"),
            &hex[..40],
            "sha256//AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
        ] {
            assert_eq!(
                TrustAnswer::of(wrong, pin),
                TrustAnswer::OtherKey,
                "{wrong}"
            );
        }
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
        assert_eq!(typed(b"\x04").unwrap_err().kind(), ErrorKind::Declined);

        // Ctrl-C raises SIGINT, which ends whoever does not watch for it.
        let sigint = signal_hook::consts::SIGINT;
        signal_hook::flag::register(sigint, std::sync::Arc::default()).unwrap();
        assert_eq!(typed(b"a\x03").unwrap_err().kind(), ErrorKind::Cancelled);
    }
}
