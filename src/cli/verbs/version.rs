// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `skep version`: prints the version.

use clap::{ArgMatches, Command};
use serde_json::json;

use crate::cli::terminal::Output;
use crate::error::Result;

pub(crate) fn arguments(command: Command) -> Command {
    command
}

pub(crate) fn run(_: &ArgMatches, output: &Output) -> Result<()> {
    let version = env!("CARGO_PKG_VERSION");
    output.line(&format!("skep {version}"))?;
    output.json(&json!({"schema": 1, "name": "skep", "version": version}))
}
