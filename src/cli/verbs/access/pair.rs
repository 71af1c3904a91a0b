// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `skep pair`: accepts an invitation, so that this device knows the server and the server it.

use std::io::{self, BufRead as _};

use clap::{Arg, ArgMatches, Command};
use serde_json::json;

use crate::cli::terminal::{Output, signals};
use crate::client::{PairNames, accept};
use crate::error::{Error, Result};
use crate::home;

pub(crate) fn arguments(command: Command) -> Command {
    let invitation = Arg::new("invitation")
        .value_name("INVITATION")
        .required(true);
    let flag = |name: &'static str| Arg::new(name).long(name).value_name("NAME");
    command
        .before_help(EXAMPLES)
        .arg(invitation.help("What 'skep invite' printed; - reads it from standard input"))
        .arg(flag("name").help("What to call the server here [default: its host]"))
        .arg(flag("device").help("What to call this device there [default: its host name]"))
}

pub(crate) fn run(matches: &ArgMatches, output: &Output) -> Result<()> {
    let given = matches
        .get_one::<String>("invitation")
        .map(String::as_str)
        .unwrap_or_default();

    let invitation = match given {
        // The secret in an argument can be seen in the list of processes; standard input is the way
        // around that.
        "-" => {
            let mut line = String::new();
            let read = io::stdin().lock().read_line(&mut line);
            read.map_err(|error| Error::io("standard input", error))?;
            line.parse()?
        }
        text => text.parse()?,
    };

    let home = home::directory()?;
    home::learn_time(&home);
    let text = |name: &str| matches.get_one::<String>(name).cloned();

    // The server names the token after this, as far as that is a valid name and free there.
    let device = text("device").unwrap_or_else(crate::tls::host_name);
    signals::watch()?;

    let names = PairNames {
        server: text("name"),
        device,
    };

    let (saved, reply) = accept(&invitation, names, &home)?;

    output.line(&format!(
        "paired with {} ({}) as {}, role {}",
        saved.name, saved.url, reply.name, reply.role
    ))?;

    output.note(&format!("try next: skep ls --server {}", saved.name));

    output.json(&json!({
        "schema": 1,
        "name": saved.name,
        "url": saved.url.to_string(),
        "device": reply.name,
        "role": reply.role,
    }))
}

const EXAMPLES: &str = "\
Examples:
  skep pair 'skep://192.168.1.10:8443#...'
  skep pair - --name pi                      the invitation on standard input";
