// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `skep show`: tells all that a server knows of a model.

use clap::{ArgMatches, Command};
use serde_json::json;

use crate::cli::flags::args;
use crate::cli::terminal::{Output, size};
use crate::cli::verbs::transfer::get;
use crate::error::Result;
use crate::wire::InfoWire;

pub(crate) fn arguments(command: Command) -> Command {
    args::server(
        command
            .before_help(EXAMPLES)
            .arg(get::names("Models to show")),
    )
}

pub(crate) fn run(matches: &ArgMatches, output: &Output) -> Result<()> {
    let names = get::parse_names(matches)?;
    let mut client = args::client(matches, output)?;
    let mut models = Vec::new();

    output.each(names, |name| {
        let info = client.info(&name)?;
        for (key, value) in rows(&info) {
            output.line(&format!("{key:<10}{value}"))?;
        }
        models.push(info);
        Ok(())
    });

    output.json(&json!({"schema": 1, "models": models}))
}

fn rows(info: &InfoWire) -> Vec<(&'static str, String)> {
    let unknown = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
    let mut rows = vec![
        ("name", info.name.clone()),
        ("size", format!("{} ({} bytes)", size(info.size), info.size)),
        ("digest", unknown(&info.digest)),
        ("modified", info.modified.clone()),
        ("licence", unknown(&info.license)),
        ("source", unknown(&info.source)),
        ("uploader", unknown(&info.uploader)),
        ("uploaded", unknown(&info.uploaded)),
    ];

    rows.extend(info.versions.iter().map(|version| {
        let text = [
            size(version.size),
            version.modified.clone(),
            unknown(&version.digest),
        ];
        ("before", text.join("  "))
    }));

    rows
}

const EXAMPLES: &str = "\
Examples:
  skep show model.onnx
  skep show model.onnx --json | jq -r '.models[].license'";
