// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `skep passwd`: sets a password that is easy to remember, for the server on this device. A running
//! server takes it at once; the password that was made at first start goes on working.

use std::io::{self, IsTerminal as _, Read as _, Write as _};

use clap::{Arg, ArgAction, ArgMatches, Command};
use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
use serde_json::json;

use crate::access::{self, Password};
use crate::cli::terminal::Output;
use crate::error::{Error, ErrorKind, Result};
use crate::home;

pub(crate) fn arguments(command: Command) -> Command {
    let remove = Arg::new("remove")
        .long("remove")
        .action(ArgAction::SetTrue)
        .help("Forget the password instead");
    command.before_help(EXAMPLES).arg(remove)
}

pub(crate) fn run(matches: &ArgMatches, output: &Output) -> Result<()> {
    let home = home::directory()?;
    if matches.get_flag("remove") {
        access::remove_password(&home)?;
        output.note("the password is forgotten");
        return output.json(&json!({ "schema": 1, "set": false }));
    }
    let password = match io::stdin().is_terminal() {
        true => asked()?,
        false => line(io::stdin().lock().take(BYTES_MAX))?,
    };
    access::keep_password(&home, &Password::new(password)?)?;
    output.note("the password is set; a running server takes it from now on");
    output.json(&json!({ "schema": 1, "set": true }))
}

/// Asks twice at the terminal, without showing what is typed.
fn asked() -> Result<String> {
    let (first, again) = (hidden("new password: ")?, hidden("the same again: ")?);
    match first == again {
        true => Ok(first),
        false => Err(Error::new(ErrorKind::Usage, "the two differ").hint("try again")),
    }
}

/// Reads a line from the terminal. Keys come one by one, so that Ctrl-C leaves no terminal behind that
/// shows nothing.
fn hidden(prompt: &str) -> Result<String> {
    let failed = |error| Error::io("reading from the terminal", error);
    let stdin = io::stdin();
    let shown = tcgetattr(&stdin).map_err(|error| failed(error.into()))?;
    let mut silent = shown.clone();
    silent.local_modes -= LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG;
    io::stderr().write_all(prompt.as_bytes()).map_err(failed)?;
    tcsetattr(&stdin, OptionalActions::Flush, &silent).map_err(|error| failed(error.into()))?;
    let read = keys(stdin.lock());
    let restored = tcsetattr(&stdin, OptionalActions::Now, &shown);
    let _ = io::stderr().write_all(b"\n");
    restored.map_err(|error| failed(error.into()))?;
    read
}

/// The line that keys make, the ones that take back included.
fn keys(source: impl io::BufRead) -> Result<String> {
    let mut line = Vec::new();
    for key in source.bytes() {
        match key.map_err(|error| Error::io("reading from the terminal", error))? {
            b'\r' | b'\n' | END => break,
            INTERRUPT => return Err(Error::new(ErrorKind::Cancelled, "nothing was changed")),
            RUBOUT | BACKSPACE => {
                // A character may have been several bytes.
                while line.pop().is_some_and(|byte: u8| byte & 0xc0 == 0x80) {}
            }
            KILL => line.clear(),
            other => line.push(other),
        }
    }
    String::from_utf8(line).map_err(|_| Error::new(ErrorKind::Usage, "the password is not UTF-8"))
}

fn line(mut source: impl io::BufRead) -> Result<String> {
    let mut text = String::new();
    source
        .read_line(&mut text)
        .map_err(|error| Error::io("reading the password", error))?;
    Ok(text.trim_end_matches(['\n', '\r']).to_owned())
}

const BYTES_MAX: u64 = 4096;

/// Ctrl-C, Ctrl-D, Ctrl-H, Ctrl-U and the key that most terminals have for taking back.
const INTERRUPT: u8 = 3;
const END: u8 = 4;
const BACKSPACE: u8 = 8;
const KILL: u8 = 21;
const RUBOUT: u8 = 127;

const EXAMPLES: &str = "\
Examples:
  skep passwd                                   asks for it at the terminal
  pass show skep | skep passwd                  takes the first line of the input";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_make_a_line() {
        for (typed, line) in [
            ("abc\rd", "abc"),
            ("ab\u{7f}c\n", "ac"),
            ("h\u{e9}\u{8}i\n", "hi"),
            ("wrong\u{15}right\u{4}", "right"),
            ("\u{7f}", ""),
        ] {
            assert_eq!(keys(typed.as_bytes()).unwrap(), line, "{typed:?}");
        }
        assert_eq!(
            keys(&b"a\x03"[..]).unwrap_err().kind(),
            ErrorKind::Cancelled
        );
        assert_eq!(keys(&b"\xff\n"[..]).unwrap_err().kind(), ErrorKind::Usage);
    }
}
