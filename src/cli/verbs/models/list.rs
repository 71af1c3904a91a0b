// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `skep ls`: lists the models of a server, its folders, or what patterns stand for.

use std::collections::BTreeMap;

use clap::{Arg, ArgAction, ArgMatches, Command};
use unicode_width::UnicodeWidthStr as _;

use crate::cli::flags::{Selector, args};
use crate::cli::terminal::{Output, size};
use crate::cli::verbs::models::old_state;
use crate::cli::verbs::transfer::get;
use crate::client::Client;
use crate::error::{Error, ErrorKind, Result};
use crate::model::{Depth, Model, NameFilter, NamePattern};
use crate::text::{counted, escaped};
use crate::wire::{FolderWire, KeptWire, ListWire, ModelWire, digest_text, rfc3339};

pub(crate) fn arguments(command: Command) -> Command {
    let names = get::names("Names, folders (NAME/) and patterns to list [default: all]");
    let names = names.required(false);
    let switch = |name, short| {
        let switch = Arg::new(name).short(short).long(name);
        switch.action(ArgAction::SetTrue)
    };
    let long = switch("long", 'l');
    let long = long.help("Show exact sizes and whole digests, and sums in the end");
    let recursive = switch("recursive", 'R');
    let recursive = recursive.help("Show all models in folders instead of the folders");
    let command = command.before_help(EXAMPLES).arg(names);
    args::server(command.arg(long).arg(recursive))
}

pub(crate) fn run(matches: &ArgMatches, output: &Output) -> Result<()> {
    let selectors = Selector::all(matches, "name")?;
    let mut client = args::client(matches, output)?;
    let mut found = Found {
        is_whole: matches.get_flag("recursive"),
        ..Found::default()
    };

    if selectors.is_empty() {
        found.all(&mut client, output)?;
        if found.len() == 0 {
            output.note("there are no models on this server");
        }
    } else {
        let selectors = old_state::resolve(matches, selectors, &mut client)?;
        if client.has_version() {
            let text = "old versions of a model are not listed by their numbers";
            return Err(
                Error::new(ErrorKind::Usage, text).hint("'skep show NAME' lists all of them")
            );
        }
        // What a folder was is kept as the models that it had.
        found.is_whole |= client.has_revision();
        output.each(selectors, |selector| found.add(&selector, &mut client));
    }

    let is_long = matches.get_flag("long");
    found.print(is_long, output)?;
    if is_long {
        found.sums(&mut client, output);
    }

    output.json(&ListWire {
        schema: 1,
        models: found.models.values().map(ModelWire::from).collect(),
        folders: found.has_folders.then(|| found.folders()),
        kept: found.kept,
        next: None,
    })
}

/// What is listed.
#[derive(Default)]
struct Found {
    /// Whether models are shown, and not the folders that they are in.
    is_whole: bool,
    models: BTreeMap<String, Model>,
    /// Folders with the number of models in them; their names have a separator at the end.
    folders: BTreeMap<String, u64>,
    has_folders: bool,
    kept: Vec<KeptWire>,
}

impl Found {
    /// All models; on a terminal, where they are too many to be read, those of the top level and the folders.
    fn all(&mut self, client: &mut Client, output: &Output) -> Result<()> {
        if self.is_whole || !output.is_terminal() {
            return self.list(client, NameFilter::default());
        }

        let first = client.list_first(NameFilter::default(), READABLE_MAX)?;
        if first.next.is_none() {
            return self.take(first);
        }
        output.note("there are many models, so those in folders are only counted; -R lists all");
        self.list(client, level(""))
    }

    fn add(&mut self, selector: &Selector, client: &mut Client) -> Result<()> {
        let before = self.len();

        match selector {
            Selector::Name(name) => match client.find(name)? {
                Some(model) => drop(self.models.insert(model.name.to_string(), model)),
                None => self.folder(client, &format!("{name}/"))?,
            },
            Selector::Folder(folder) => self.folder(client, &format!("{folder}/"))?,
            Selector::Pattern(pattern) | Selector::Folders(pattern) => {
                self.pattern(client, pattern)?;
            }
        }

        // What was listed for another argument is there, too.
        if self.len() == before && selector.models(client).is_err() {
            return Err(selector.absent());
        }
        Ok(())
    }

    fn folder(&mut self, client: &mut Client, prefix: &str) -> Result<()> {
        let filter = level(prefix);
        if !self.is_whole {
            return self.list(client, filter);
        }
        let depth = Depth::All;
        self.list(client, NameFilter { depth, ..filter })
    }

    fn pattern(&mut self, client: &mut Client, pattern: &NamePattern) -> Result<()> {
        let text = pattern.as_str();
        let folder = pattern.literal_folder();
        let rest = &text[folder.len()..];
        let filter = NameFilter {
            pattern: Some(pattern.clone()),
            ..level(folder)
        };

        // Only names of one folder can be those of folders in it.
        let is_level = !rest.contains('/') && !rest.contains("**");
        if is_level && !self.is_whole {
            return self.list(client, filter);
        }

        let depth = Depth::All;
        self.list(client, NameFilter { depth, ..filter })?;
        if is_level {
            let pattern = Some(format!("{text}/**").parse()?);
            let filter = NameFilter {
                pattern,
                ..NameFilter::default()
            };
            self.list(client, filter)?;
        }
        Ok(())
    }

    fn list(&mut self, client: &mut Client, filter: NameFilter) -> Result<()> {
        let list = client.list_all(filter)?;
        self.take(list)
    }

    fn take(&mut self, list: ListWire) -> Result<()> {
        for model in list.models {
            let model = Model::try_from(model)?;
            self.models.insert(model.name.to_string(), model);
        }
        self.has_folders |= list.folders.is_some();
        for folder in list.folders.unwrap_or_default() {
            self.folders.insert(folder.name, folder.models);
        }
        for kept in list.kept {
            if !self.kept.iter().any(|other| other.name == kept.name) {
                self.kept.push(kept);
            }
        }
        Ok(())
    }

    fn len(&self) -> usize {
        self.models.len() + self.folders.len() + self.kept.len()
    }

    fn folders(&self) -> Vec<FolderWire> {
        let folders = self.folders.iter().map(|(name, models)| FolderWire {
            name: name.clone(),
            models: *models,
        });
        folders.collect()
    }

    fn print(&self, is_long: bool, output: &Output) -> Result<()> {
        let mut rows: BTreeMap<&str, [String; 4]> = BTreeMap::new();
        for (name, model) in &self.models {
            let row = if is_long { long(model) } else { short(model) };
            rows.insert(name, row);
        }
        for (name, models) in &self.folders {
            let shown = escaped(name).into_owned();
            let models = counted(*models, "model");
            rows.insert(name, [shown, String::new(), models, String::new()]);
        }

        // A terminal has cells, of which a letter takes none, one or two.
        let width = |column: usize| rows.values().map(|row| row[column].width()).max();
        let (name_width, size_width) = (width(0).unwrap_or(0), width(1).unwrap_or(0));

        for [name, size, modified, digest] in rows.values() {
            let gap = " ".repeat(name_width - name.width());
            let line = format!("{name}{gap}  {size:>size_width$}  {modified}  {digest}");

            // While a digest is not known yet, its column is empty and would leave blanks at the end.
            output.line(line.trim_end())?;
        }

        if !self.kept.is_empty() {
            output.note(&removed(&self.kept));
        }
        Ok(())
    }

    /// Tells the sums of what is shown, and how much room the server has.
    fn sums(&self, client: &mut Client, output: &Output) {
        let bytes = self.models.values().map(|model| model.size);
        let bytes = bytes.fold(0, u64::saturating_add);
        let models = counted(self.models.len() as u64, "model");
        let mut text = format!("{models}, {} ({})", counted(bytes, "byte"), size(bytes));

        let inner = self.folders.values().copied().fold(0, u64::saturating_add);
        if inner > 0 {
            let folders = counted(self.folders.len() as u64, "folder");
            text += &format!("; {} in {folders}", counted(inner, "model"));
        }

        // Who has shown nothing is not told.
        if let Some(free) = client.status().ok().and_then(|status| status.free) {
            text += &format!("; {} free on the server", size(free));
        }
        output.note(&text);
    }
}

/// One level of a folder, whose prefix is empty or has a separator at its end.
fn level(prefix: &str) -> NameFilter {
    NameFilter {
        prefix: prefix.to_owned(),
        pattern: None,
        depth: Depth::Folders,
    }
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

/// As many models are listed on a terminal without being asked for.
const READABLE_MAX: usize = 1000;

const EXAMPLES: &str = "\
Examples:
  skep ls
  skep ls -l --server 192.168.1.10
  skep ls me/                                 one level of a folder
  skep ls -R 'me/bert*'                       all below the folders that match
  skep ls --json | jq -r '.models[].name'";
