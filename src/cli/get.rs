// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `skep get`: fetches models and saves them as files.

use clap::{Arg, ArgMatches, Command};
use serde_json::json;

use super::args;
use super::destination::{self, Destination};
use super::output::Output;
use super::progress::Progress;
use crate::client::Download;
use crate::error::Result;
use crate::model::ModelName;

pub(super) fn arguments(command: Command) -> Command {
    let command = command.before_help(EXAMPLES).arg(names("Models to fetch"));
    destination::arguments(args::server(command))
}

/// The list of model names.
pub(super) fn names(help: &'static str) -> Arg {
    Arg::new("name").value_name("NAME").num_args(1..).required(true).help(help)
}

/// The model names that were given.
///
/// # Errors
/// `BadRequest` for what is no model name.
pub(super) fn parse_names(matches: &ArgMatches) -> Result<Vec<ModelName>> {
    let names = matches.get_many::<String>("name").into_iter().flatten();
    names.map(|name| name.parse()).collect()
}

pub(super) fn run(matches: &ArgMatches, output: &Output) -> Result<()> {
    let names = parse_names(matches)?;
    let destination = Destination::of(matches, names.len())?;
    let mut client = args::client(matches, output)?;
    let mut files = Vec::new();
    output.each(names, |name| {
        let mut download = client.get(&name)?;
        let mut progress = Progress::start(output, name.as_str(), download.size());
        let mut advance = |count| progress.advance(count);
        let Some(path) = destination.path(&name) else {
            output.write_with(|stdout| download.copy(stdout, &mut advance))?;
            drop(progress);
            note_unverified(&download, output);
            return Ok(());
        };
        destination.prepare(output)?;
        let digest = download.save(&path, &mut advance)?;
        drop(progress);
        note_unverified(&download, output);
        files.push(json!({
            "name": name.as_str(),
            "path": path.display().to_string(),
            "size": download.received(),
            "digest": format!("{digest:?}"),
        }));
        output.line(&path.display().to_string())
    });
    match destination {
        Destination::Stdout => Ok(()),
        _ => output.json(&json!({"schema": 1, "files": files})),
    }
}

/// Tells of a download that could not be verified.
pub(super) fn note_unverified(download: &Download, output: &Output) {
    if download.announced().is_none() {
        let name = download.name();
        output.note(&format!(
            "the bytes of '{name}' could not be verified: the server knows no digest of them (yet)"
        ));
    }
}

const EXAMPLES: &str = "\
Examples:
  skep get model.onnx
  skep get model.onnx labels.txt -o models/
  skep get dataset.tar -o - | tar x";
