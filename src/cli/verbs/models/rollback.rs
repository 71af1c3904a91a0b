// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `skep rollback`: brings back what models were before.

use clap::{Arg, ArgMatches, Command};

use serde_json::json;

use crate::cli::flags::{Selector, args};
use crate::cli::terminal::{Output, size};
use crate::cli::verbs::transfer::get;
use crate::error::{Error, ErrorKind, Result};
use crate::model::{ModelName, VersionChoice};
use crate::wire::{ModelWire, digest_text};

pub(crate) fn arguments(command: Command) -> Command {
    let to = Arg::new("to").long("to").value_name("VERSION");
    let to = to.help("The version: its number or its digest, as 'skep show' lists them [default: the newest one]");
    args::server(
        command
            .before_help(EXAMPLES)
            .arg(get::names("Models to bring back"))
            .arg(to),
    )
}

pub(crate) fn run(matches: &ArgMatches, output: &Output) -> Result<()> {
    if let Some(folders) = Selector::folders(matches, "name")? {
        return roll_folders_back(folders, matches, output);
    }

    let names = get::parse_names(matches)?;
    let choice = matches
        .get_one::<String>("to")
        .map_or(Ok(VersionChoice::Newest), |text| text.parse())?;

    // Numbers and digests are of one model each.
    if names.len() > 1 && choice != VersionChoice::Newest {
        let text = "--to names a version of one model, but several models are given";
        return Err(Error::new(ErrorKind::Usage, text).hint("call it once for each of them"));
    }

    let mut client = args::client(matches, output)?;
    output.json_list("models");

    output.each(names, |name| {
        let model = client.rollback_to(&name, choice)?;
        let digest = model.digest.map(digest_text).unwrap_or_default();
        let line = format!("{name}  {}  {digest}", size(model.size));
        output.json_item(&ModelWire::from(&model))?;
        output.done(line.trim_end())
    });

    Ok(())
}

fn roll_folders_back(folders: Vec<ModelName>, matches: &ArgMatches, output: &Output) -> Result<()> {
    let to = matches.get_one::<String>("to").map(String::as_str);
    if folders.len() > 1 && to.is_some() {
        let text = "--to names a revision of one folder, but several folders are given";
        return Err(Error::new(ErrorKind::Usage, text).hint("call it once for each of them"));
    }

    let mut client = args::client(matches, output)?;
    output.json_list("folders");
    output.each(folders, |folder| {
        let done = client.rollback_folder(&folder, to)?;
        let revision = done.revision.as_deref().unwrap_or("-");
        let (published, removed) = (done.published, done.removed);
        let line =
            format!("{folder}/  {published} published, {removed} removed  revision {revision}");
        output.json_item(&json!({"name": format!("{folder}/"), "revision": done.revision}))?;
        output.done(&line)
    });
    Ok(())
}

const EXAMPLES: &str = "\
Examples:
  skep rollback model.onnx                   what it was before; a second time undoes that
  skep rollback model.onnx --to 3            a version that 'skep show' lists
  skep rollback me/bert/                     a folder, before it was sent last
  skep rollback model.onnx --to sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
