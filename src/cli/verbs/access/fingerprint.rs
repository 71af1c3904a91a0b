// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `skep fingerprint`: prints what a server is recognised by.

use std::time::Duration;

use clap::{Arg, ArgAction, ArgMatches, Command};
use serde_json::json;

use crate::cli::flags::{args, node_settings, paired_server};
use crate::cli::terminal::Output;
use crate::client;
use crate::error::{Error, ErrorKind, Result};

pub(crate) fn arguments(command: Command) -> Command {
    let url = Arg::new("url")
        .value_name("URL")
        .help("A server [default: the one of this device]");
    let wait = Arg::new("connect-timeout")
        .long("connect-timeout")
        .value_name("TIME")
        .allow_negative_numbers(true);
    let wait = wait.help("Give up connecting after this time; none: never [default: 30s]");
    let curl = Arg::new("curl").long("curl").action(ArgAction::SetTrue);
    let curl = curl.help("Print the form that curl takes for --pinnedpubkey");
    command.before_help(EXAMPLES).arg(url).arg(curl).arg(wait)
}

pub(crate) fn run(matches: &ArgMatches, output: &Output) -> Result<()> {
    let pin = match matches.get_one::<String>("url") {
        Some(url) => {
            let wait = args::time_limit(matches, "connect-timeout")?;

            // Only a handshake takes place: nothing is sent to a server that nobody has checked.
            let pin =
                client::shown_pin(&url.parse()?, wait.unwrap_or(CONNECT)).map_err(|error| {
                    paired_server::without_server(
                        error,
                        "is a skep with TLS running at this address?",
                    )
                })?;
            output.note(
                "this is the key that the server shows; ask its owner whether it is the right one",
            );
            pin
        }
        None => own()?,
    };

    // A script takes the whole line, so each form has a line alone.
    if matches.get_flag("curl") {
        output.line(&pin.for_curl())?;
    } else {
        output.line(&pin.to_string())?;
        // `-k` switches off only the check of authorities; curl still checks the pin.
        output.note(&format!(
            "for curl: -k --pinnedpubkey {} (--curl prints it)",
            pin.for_curl()
        ));
    }

    output.json(&json!({
        "schema": 1,
        "digest": pin.to_string().to_lowercase(),
        "curl": pin.for_curl(),
    }))
}

/// The pin of this device's own identity, which is not made for this.
fn own() -> Result<crate::pin::Pin> {
    let config = node_settings::of_home()?;
    let none = || {
        let text = format!("there is no identity in {} yet", config.home.display());
        Error::new(ErrorKind::NotFound, text).hint("'skep serve' makes one when it first starts")
    };
    config.kept_pin()?.ok_or_else(none)
}

const CONNECT: Duration = Duration::from_secs(30);

const EXAMPLES: &str = "\
Examples:
  skep fingerprint                             the server of this device
  skep fingerprint https://192.168.1.10:8443   what another one shows
  skep fingerprint --curl                      for curl -k --pinnedpubkey";
