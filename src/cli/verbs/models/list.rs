// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `skep ls`: lists the models of a server.

use clap::{Arg, ArgAction, ArgMatches, Command};
use unicode_width::UnicodeWidthStr as _;

use crate::cli::flags::args;
use crate::cli::terminal::{Output, size};
use crate::error::Result;
use crate::model::Model;
use crate::text::{counted, escaped};
use crate::wire::{KeptWire, ListWire, ModelWire, digest_text, rfc3339};

pub(crate) fn arguments(command: Command) -> Command {
    let long = Arg::new("long")
        .short('l')
        .long("long")
        .action(ArgAction::SetTrue);
    let long = long.help("Show exact sizes and whole digests");
    args::server(command.before_help(EXAMPLES).arg(long))
}

pub(crate) fn run(matches: &ArgMatches, output: &Output) -> Result<()> {
    let ListWire { models, kept, .. } = args::client(matches, output)?.list_all()?;
    let models = models.into_iter().map(Model::try_from);
    let models: Vec<Model> = models.collect::<Result<_>>()?;
    let rows: Vec<[String; 4]> = if matches.get_flag("long") {
        models.iter().map(long).collect()
    } else {
        models.iter().map(short).collect()
    };

    if rows.is_empty() {
        output.note("there are no models on this server");
    }

    // A terminal has cells, of which a letter takes none, one or two.
    let width = |column: usize| rows.iter().map(|row| row[column].width()).max();
    let (name_width, size_width) = (width(0).unwrap_or(0), width(1).unwrap_or(0));

    for [name, size, modified, digest] in &rows {
        let gap = " ".repeat(name_width - name.width());
        let line = format!("{name}{gap}  {size:>size_width$}  {modified}  {digest}");

        // While a digest is not known yet, its column is empty and would leave blanks at the end.
        output.line(line.trim_end())?;
    }

    if !kept.is_empty() {
        output.note(&removed(&kept));
    }

    let models = models.iter().map(ModelWire::from).collect();
    output.json(&ListWire {
        schema: 1,
        models,
        folders: None,
        kept,
        next: None,
    })
}

fn short(model: &Model) -> [String; 4] {
    let digest = model.digest.map(|digest| digest.to_string());
    let modified = rfc3339(model.modified).replace('T', " ");

    [
        escaped(model.name.as_str()).into_owned(),
        size(model.size),
        modified.chars().take("2000-01-01 00:00".len()).collect(),
        digest.unwrap_or_default().chars().take(12).collect(),
    ]
}

/// Says of which removed models the server keeps versions, which no row shows.
fn removed(kept: &[KeptWire]) -> String {
    let bytes = kept
        .iter()
        .fold(0, |sum: u64, one| sum.saturating_add(one.size));
    let names = kept.iter().take(SHOWN_MAX).map(|one| escaped(&one.name));
    let names: Vec<_> = names.collect();
    let rest = if kept.len() > SHOWN_MAX { ", ..." } else { "" };
    format!(
        "old versions of {} ({}) are kept: {}{rest}; 'skep rm --versions NAME' removes them",
        counted(kept.len() as u64, "removed model"),
        size(bytes),
        names.join(", ")
    )
}

fn long(model: &Model) -> [String; 4] {
    [
        escaped(model.name.as_str()).into_owned(),
        model.size.to_string(),
        rfc3339(model.modified),
        model.digest.map(digest_text).unwrap_or_default(),
    ]
}

/// Removed models that are named.
const SHOWN_MAX: usize = 10;

const EXAMPLES: &str = "\
Examples:
  skep ls
  skep ls -l --server 192.168.1.10
  skep ls --json | jq -r '.models[].name'";
