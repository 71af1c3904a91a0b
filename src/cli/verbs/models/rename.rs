// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `skep mv`: gives a model or a folder of a server another name.

use clap::{Arg, ArgMatches, Command};
use serde_json::json;

use crate::cli::flags::{Selector, args};
use crate::cli::terminal::Output;
use crate::cli::verbs::transfer::get;
use crate::error::{Error, ErrorKind, Result};
use crate::model::{ModelName, NamePattern};
use crate::text::counted;

pub(crate) fn arguments(command: Command) -> Command {
    let name = |id: &'static str, shown: &'static str, help: &'static str| {
        Arg::new(id).value_name(shown).required(true).help(help)
    };
    args::server(
        command
            .before_help(EXAMPLES)
            .arg(name("name", "NAME", "The model, or the folder (NAME/)"))
            .arg(name(
                "to",
                "TO",
                "Its new name; for a model, FOLDER/ leaves it its last part",
            )),
    )
}

pub(crate) fn run(matches: &ArgMatches, output: &Output) -> Result<()> {
    let text = |id: &str| matches.get_one::<String>(id).cloned().unwrap_or_default();
    let (from, to) = (text("name"), text("to"));
    let (from, is_folder) = name_of(&from)?;
    // What is no name is refused before anything is sent.
    let (target, is_into) = name_of(&to)?;
    let end = if is_into { "/" } else { "" };

    let mut client = args::client(matches, output)?;
    if is_folder && NamePattern::has_wildcard(from.as_str()) && !client.has_folder(&from)? {
        let text = format!("'{from}/' is a pattern, and one thing gets one other name");
        return Err(Error::new(ErrorKind::Usage, text).hint("write the name itself"));
    }
    output.json_list("moved");
    output.each([from], |from| {
        let moved = client.rename(&from, is_folder, &format!("{target}{end}"))?;
        let (from, name) = (&moved.from, &moved.name);
        output.json_item(&json!({
            "from": from, "name": name, "models": moved.models, "size": moved.size,
        }))?;
        let models = if name.ends_with('/') {
            format!("  {}", counted(moved.models, "model"))
        } else {
            String::new()
        };
        output.done(&format!("{from} is now {name}{models}"))
    });
    Ok(())
}

/// A name, and whether it is written as that of a folder.
fn name_of(text: &str) -> Result<(ModelName, bool)> {
    match text.parse() {
        Ok(Selector::Folder(folder)) => Ok((folder, true)),
        Ok(Selector::Name(name)) => Ok((name, false)),
        // A model may be called so.
        Ok(Selector::Pattern(_)) => Ok((get::parse_name(text)?, false)),
        // And so may a folder.
        Ok(Selector::Folders(_)) => Ok((text.strip_suffix('/').unwrap_or(text).parse()?, true)),
        Err(error) => Err(error),
    }
}

const EXAMPLES: &str = "\
Examples:
  skep mv model.onnx model-2026.onnx
  skep mv model.onnx old/                     as old/model.onnx
  skep mv me/bert-new/ me/bert/               a folder, in one step; nothing may have the new name";
