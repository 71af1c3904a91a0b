// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `skep pair`: accepts an invitation, so that this device knows the server and the server it.

use std::io::{self, BufRead as _, IsTerminal as _, Read as _};

use clap::{Arg, ArgMatches, Command};
use serde_json::json;

use crate::access::Invitation;
use crate::child;
use crate::cli::flags::paired_server;
use crate::cli::terminal::{Output, ask, signals};
use crate::client::{PairNames, accept};
use crate::error::{Error, Result};
use crate::home;

pub(crate) fn arguments(command: Command) -> Command {
    let invitation = Arg::new("invitation").value_name("INVITATION");
    let flag = |name: &'static str| Arg::new(name).long(name).value_name("NAME");
    command
        .before_help(EXAMPLES)
        .arg(invitation.help(
            "What 'skep invite' printed; - reads it from standard input [default: asks for it]",
        ))
        .arg(flag("name").help("What to call the server here [default: its host]"))
        .arg(flag("device").help("What to call this device there [default: its host name]"))
}

pub(crate) fn run(matches: &ArgMatches, output: &Output) -> Result<()> {
    signals::watch(output.interrupted_report())?;
    let given = matches.get_one::<String>("invitation");
    let invitation: Invitation = match given.map(String::as_str) {
        None if io::stdin().is_terminal() => ask::invitation()?.parse()?,
        None | Some(STDIN) => first_line()?.parse()?,
        Some(text) => {
            let invitation = text.parse()?;
            hide(text);
            invitation
        }
    };

    let home = home::directory()?;
    home::learn_time(&home);
    let text = |name: &str| matches.get_one::<String>(name).cloned();

    // The server names the token after this, as far as that is a valid name and free there.
    let device = text("device").unwrap_or_else(crate::tls::host_name);

    let names = PairNames {
        server: text("name"),
        device,
    };

    let (saved, reply) = accept(&invitation, names, &home).map_err(|error| {
        let hint = "is the server running, and can this device reach it? 'skep invite ADDRESS' there names other addresses";
        paired_server::without_server(error, hint)
    })?;

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

/// The invitation on standard input.
fn first_line() -> Result<String> {
    let mut line = String::new();
    let mut input = io::stdin().lock().take(LINE_BYTES_MAX);
    let read = input.read_line(&mut line);
    read.map_err(|error| Error::io("standard input", error))?;
    Ok(line)
}

/// Takes the secret out of the list of processes, which everybody on this device can read, before
/// anything that lasts begins: this program begins anew with the invitation on standard input.
fn hide(invitation: &str) {
    let mut arguments: Vec<_> = std::env::args_os().collect();
    for argument in &mut arguments {
        if argument == invitation {
            *argument = STDIN.into();
        }
    }

    // Whoever embeds the command line may have other arguments than the process.
    if arguments.iter().any(|argument| argument == STDIN) {
        let error = child::begin_again(&arguments, format!("{invitation}\n").as_bytes());
        log::debug!("the invitation stays in the list of processes: {error}");
    }
}

/// Stands for standard input.
const STDIN: &str = "-";

/// Longer than any invitation.
const LINE_BYTES_MAX: u64 = 4096;

const EXAMPLES: &str = "\
Examples:
  skep pair                                  asks for the invitation
  skep pair 'skep://192.168.1.10:8443#...'
  skep pair - --name pi                      the invitation on standard input";
