// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `skep rm`: removes models from a server.

use clap::{ArgMatches, Command};
use serde_json::json;

use super::output::Output;
use super::{args, get};
use crate::error::Result;

pub(super) fn arguments(command: Command) -> Command {
    args::server(command.before_help(EXAMPLES).arg(get::names("Models to remove")))
}

pub(super) fn run(matches: &ArgMatches, output: &Output) -> Result<()> {
    let names = get::parse_names(matches)?;
    let mut client = args::client(matches, output)?;
    let mut removed = Vec::new();
    output.each(names, |name| {
        client.remove(&name)?;
        removed.push(name.as_str().to_owned());
        output.line(&format!("removed {name}"))
    });
    output.json(&json!({"schema": 1, "removed": removed}))
}

const EXAMPLES: &str = "\
Examples:
  skep rm old.onnx";
