// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `skep rollback`: brings back what models were before.

use clap::{ArgMatches, Command};
use serde_json::json;

use crate::cli::flags::args;
use crate::cli::terminal::{Output, size};
use crate::cli::verbs::transfer::get;
use crate::error::Result;
use crate::wire::{ModelWire, digest_text};

pub(crate) fn arguments(command: Command) -> Command {
    args::server(
        command
            .before_help(EXAMPLES)
            .arg(get::names("Models to bring back")),
    )
}

pub(crate) fn run(matches: &ArgMatches, output: &Output) -> Result<()> {
    let names = get::parse_names(matches)?;
    let mut client = args::client(matches, output)?;
    let mut models = Vec::new();

    output.each(names, |name| {
        let model = client.rollback(&name)?;
        let digest = model.digest.map(digest_text).unwrap_or_default();
        let line = format!("{name}  {}  {digest}", size(model.size));
        models.push(ModelWire::from(&model));
        output.done(line.trim_end())
    });

    output.json(&json!({"schema": 1, "models": models}))
}

const EXAMPLES: &str = "\
Examples:
  skep rollback model.onnx";
