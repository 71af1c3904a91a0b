// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `skep show`: tells all that a server knows of a model.

use clap::{ArgMatches, Command};

use crate::cli::flags::args;
use crate::cli::terminal::{Output, size};
use crate::cli::verbs::transfer::get;
use crate::error::Result;
use crate::model::ModelInfo;
use crate::text::counted;
use crate::wire::{InfoWire, digest_text, rfc3339};

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
    output.json_list("models");

    output.each(names, |name| {
        let info = client.info(&name)?;
        for (key, value) in rows(&info) {
            output.line(&format!("{key:<10}{value}"))?;
        }
        output.json_item(&InfoWire::from(&info))
    });

    Ok(())
}

fn rows(info: &ModelInfo) -> Vec<(&'static str, String)> {
    // A dash says that the server does not know it; an empty cell could be a fault.
    let known = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    let model = &info.model;
    let size_text = format!("{} ({})", size(model.size), counted(model.size, "byte"));
    let mut rows = vec![
        ("name", model.name.as_str().to_owned()),
        ("size", size_text),
        ("digest", known(model.digest.map(digest_text))),
        ("modified", rfc3339(model.modified)),
        ("licence", known(info.license.clone())),
        ("source", known(info.source.clone())),
        ("uploader", known(info.uploader.clone())),
        ("uploaded", known(info.uploaded.map(rfc3339))),
    ];

    // One row for each old version, all with the same key.
    rows.extend(info.versions.iter().map(|version| {
        let text = [
            version.number.to_string(),
            size(version.size),
            rfc3339(version.modified),
            known(version.digest.map(digest_text)),
        ];
        ("before", text.join("  "))
    }));

    rows
}

const EXAMPLES: &str = "\
Examples:
  skep show model.onnx
  skep show model.onnx --json | jq -r '.models[].license'";
