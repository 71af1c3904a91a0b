// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `skep show`: tells all that a server knows of a model, and what the model says of itself.

use clap::{ArgMatches, Command};
use serde_json::{Value, json};

use crate::cli::flags::{Selector, args};
use crate::cli::terminal::{Output, size};
use crate::cli::verbs::models::{old_state, shown_header};
use crate::cli::verbs::transfer::get;
use crate::client::Client;
use crate::error::Result;
use crate::model::{ModelInfo, ModelName};
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
    let folders = Selector::folders(matches, "name")?;
    if !old_state::is_written(matches) {
        if let Some(folders) = folders {
            return show_folders(folders, &mut args::client(matches, output)?, output);
        }
        let names = get::parse_names(matches)?;
        return show_models(names, &mut args::client(matches, output)?, output);
    }

    let mut client = args::client(matches, output)?;
    let meant = old_state::resolve(matches, Selector::all(matches, "name")?, &mut client)?;
    let (mut names, mut folders) = (Vec::new(), Vec::new());
    for selector in meant {
        match selector {
            Selector::Name(name) => names.push(name),
            Selector::Folder(folder) => folders.push(folder),
            Selector::Pattern(_) | Selector::Folders(_) => {
                return get::parse_names(matches).map(drop);
            }
        }
    }
    if names.is_empty() {
        show_folders(folders, &mut client, output)
    } else {
        show_models(names, &mut client, output)
    }
}

fn show_models(names: Vec<ModelName>, client: &mut Client, output: &Output) -> Result<()> {
    output.json_list("models");

    output.each(names, |name| {
        let info = client.info_of_state(&name)?;
        let header = client.header(&info.model)?;
        let of_header = header.as_ref().map(shown_header::rows);
        for (key, value) in rows(&info).into_iter().chain(of_header.unwrap_or_default()) {
            output.line(&format!("{key:<9} {value}"))?;
        }

        let mut told = json!(InfoWire::from(&info));
        told["header"] = header.as_ref().map_or(Value::Null, shown_header::json_of);
        output.json_item(&told)
    });

    Ok(())
}

fn show_folders(folders: Vec<ModelName>, client: &mut Client, output: &Output) -> Result<()> {
    output.json_list("folders");
    output.each(folders, |folder| {
        let info = client.folder_info(&folder)?;
        let revision = info.revision.as_deref().unwrap_or("-").to_owned();
        let size_text = format!("{} ({})", size(info.size), counted(info.size, "byte"));
        let rows = [
            ("name", info.name.clone()),
            ("models", info.models.to_string()),
            ("size", size_text),
            ("revision", revision),
        ];
        for (key, value) in rows {
            output.line(&format!("{key:<10}{value}"))?;
        }
        for old in &info.revisions {
            let text = format!("{}  {}  {}", old.number, old.replaced, old.revision);
            output.line(&format!("{:<10}{text}", "before"))?;
        }
        output.json_item(&info)
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

    if let Some(modified) = info.file_modified {
        rows.push(("file time", rfc3339(modified)));
    }
    // All of them have the same key, as it would be written to say it again.
    let meta = info.meta.iter();
    rows.extend(meta.map(|(key, value)| ("meta", format!("{key}={value}"))));

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
  skep show me/bert/                         a folder, with its revisions
  skep show me/bert@2                        the same as it was in one of them
  skep show model.onnx --json | jq -r '.models[].license'";
