// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `skep passwd`: sets a password that is easy to remember, for the server on this device. A running
//! server takes it at once; the password that was made at first start goes on working.

use std::io::{self, IsTerminal as _, Read as _};
use std::path::Path;

use clap::{Arg, ArgAction, ArgMatches, Command};
use serde_json::json;

use crate::access::{self, Password};
use crate::cli::terminal::{Output, ask, signals};
use crate::error::{Error, Result};
use crate::home;

pub(crate) fn arguments(command: Command) -> Command {
    let remove = Arg::new("remove")
        .long("remove")
        .action(ArgAction::SetTrue)
        .help("Remove the password instead");
    command.before_help(EXAMPLES).arg(remove)
}

pub(crate) fn run(matches: &ArgMatches, output: &Output) -> Result<()> {
    let home = home::directory()?;
    if matches.get_flag("remove") {
        access::remove_password(&home)?;
        output.note("the password that you had set was removed");
        tell_of_the_made_one(&home, output);
        return output.json(&json!({ "schema": 1, "set": false }));
    }

    // What is typed is not shown, so it is asked for twice; the output of a program is taken as it is.
    let password = if io::stdin().is_terminal() {
        // Nobody types twice what cannot be kept.
        home::CHOSEN_PASSWORD.check_change(&home)?;
        output.note(&format!(
            "{} characters at least, for example three or four random words",
            access::CHARACTERS_MIN
        ));
        signals::watch(output.interrupted_report())?;
        ask::new_password(access::check_password)?
    } else {
        line(io::stdin().lock().take(BYTES_MAX))?
    };

    access::keep_password(&home, &Password::new(password)?)?;
    output.note("the password is set; a running server takes it from now on");
    tell_of_the_made_one(&home, output);

    output.json(&json!({ "schema": 1, "set": true }))
}

/// Whoever replaces a password that became known must not think that the other one is gone.
fn tell_of_the_made_one(home: &Path, output: &Output) {
    let path = home::PASSWORD.path(home);
    if path.exists() {
        output.note(&format!(
            "the one in {} opens the server, too; to end that, remove the file and restart the server",
            path.display()
        ));
    }
}

fn line(mut source: impl io::BufRead) -> Result<String> {
    let mut text = String::new();
    source
        .read_line(&mut text)
        .map_err(|error| Error::io("reading the password", error))?;
    Ok(text.trim_end_matches(['\n', '\r']).to_owned())
}

const BYTES_MAX: u64 = 4096;

const EXAMPLES: &str = "\
Examples:
  skep passwd                                   asks for it at the terminal
  pass show skep | skep passwd                  takes the first line of the input";
