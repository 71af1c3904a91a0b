// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `skep config`: what is in force for each setting, and where it was written; and whether a file of
//! settings is right.

use std::path::{Path, PathBuf};

use clap::{Arg, ArgAction, ArgMatches, Command};
use serde_json::{Value, json};

use crate::cli::flags::{activation, node_settings};
use crate::cli::terminal::Output;
use crate::config::{Config, Effective, Layer, Origin, Setting};
use crate::error::{Error, ErrorKind, Result};

pub(crate) fn arguments(command: Command) -> Command {
    let check = Command::new("check")
        .about("Check a file of settings, without a server")
        .arg(
            Arg::new("file")
                .value_name("FILE")
                .required(true)
                .value_parser(clap::value_parser!(PathBuf))
                .help("The file, for example a new config.toml"),
        );

    let origin = Arg::new("show-origin")
        .long("show-origin")
        .action(ArgAction::SetTrue)
        .help("Show where each value was written");

    let command = command.before_help(EXAMPLES).arg(origin).subcommand(check);

    node_settings::arguments(command)
}

pub(crate) fn run(matches: &ArgMatches, output: &Output) -> Result<()> {
    if let Some(("check", matches)) = matches.subcommand() {
        let file = matches.get_one::<PathBuf>("file");
        return check(file.map_or(Path::new(""), PathBuf::as_path), output);
    }

    let config = node_settings::read(matches)?;
    let shows_origin = matches.get_flag("show-origin");
    let mut section_before = "";
    let mut values = Vec::new();

    // The lines are a valid `config.toml`, to be saved and edited.
    for (section, setting, effective) in config.effective() {
        if section.name != section_before {
            if !section_before.is_empty() {
                output.line("")?;
            }
            output.line(&format!("[{}]", section.name))?;
            section_before = section.name;
        }
        output.line(&line(setting, &effective, shows_origin))?;
        values.push(value(section.name, setting, &effective));
    }

    for table in &config.tables {
        output.line("")?;
        output.line(&table.header())?;
        for entry in &table.entries {
            let text = Value::String(entry.text.clone());
            output.line(&format!("{} = {text}", entry.key))?;
        }
    }

    output.json(&json!({ "schema": 1, "settings": values }))?;

    // What is shown may still be refused by a server: numbers that contradict each other.
    config.check()
}

/// Reads a file as a server would, and says what is wrong with it.
fn check(file: &Path, output: &Output) -> Result<()> {
    let shown = file.display();

    if file.is_dir() {
        let text = format!("{shown} is a directory; a file of settings is needed");
        let inside = crate::home::CONFIG.path(file);
        return Err(
            Error::new(ErrorKind::Usage, text).hint(format!("for example {}", inside.display()))
        );
    }

    if !file.exists() {
        let text = format!("there is no file {shown}");
        return Err(Error::new(ErrorKind::NotFound, text));
    }

    let (layer, mut mistakes) = Layer::with_mistakes(file)?;

    // Only the file counts here, neither a home nor the environment.
    let mut config = Config::new(PathBuf::new());
    mistakes.extend(config.take_all(&layer));

    // The sockets of systemd are there only at a start.
    activation::leave_out(&mut config);
    mistakes.extend(config.faults_with_files());

    if !mistakes.is_empty() {
        mistakes.sort_by_key(|mistake| line_of(mistake, file));
        let items = vec![shown.to_string(); mistakes.len()];
        let mut rest = mistakes.into_iter();
        output.each(items, |_| rest.next().map_or(Ok(()), Err));
        return Ok(());
    }

    output.line(&format!("{shown}: no mistakes"))?;

    output.json(&json!({ "schema": 1, "path": shown.to_string(), "right": true }))
}

/// The line of a file that a mistake is in; those without one come last.
fn line_of(mistake: &Error, file: &Path) -> usize {
    let place = format!("{}, line ", file.display());
    let rest = mistake.message().strip_prefix(&place);
    let number = rest.and_then(|rest| rest.split(':').next()?.parse().ok());
    number.unwrap_or(usize::MAX)
}

/// A line as it may stand in `config.toml`; a setting without a value is shown as a comment.
fn line(setting: &Setting, effective: &Effective, shows_origin: bool) -> String {
    let text = &effective.text;

    // TOML has numbers and booleans without quotes, and its strings are written like those of JSON.
    let value = if setting.is_boolean() || text.bytes().all(|byte| byte.is_ascii_digit()) {
        text.clone()
    } else {
        Value::String(text.clone()).to_string()
    };

    let line = if text.is_empty() {
        format!("# {} =", setting.key)
    } else {
        format!("{} = {value}", setting.key)
    };

    if shows_origin {
        format!("{line:<40} # {}", effective.origin)
    } else {
        line
    }
}

fn value(section: &str, setting: &Setting, effective: &Effective) -> Value {
    json!({
        "section": section,
        "key": setting.key,
        "value": effective.text,
        "default": setting.default,
        "origin": effective.origin.to_string(),
        "is_default": effective.origin == Origin::Default,
        "effect": setting.effect.to_string(),
    })
}

const EXAMPLES: &str = "\
Examples:
  skep config --show-origin          every setting, its value, and where it was written
  skep config --workers 4            what 'skep serve --workers 4' would take
  skep config check config.toml      whether a file is right";
