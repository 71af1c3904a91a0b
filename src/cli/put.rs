// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `skep put`: sends files to a server.

use clap::{ArgMatches, Command};
use serde_json::{Value, json};

use super::args;
use super::output::Output;
use super::progress::{Progress, size};
use super::source::{self, Source};
use crate::client::{Outcome, Stored};
use crate::error::{Error, ErrorKind, Result};

pub(super) fn arguments(command: Command) -> Command {
    source::arguments(args::server(command)).before_help(EXAMPLES)
}

pub(super) fn run(matches: &ArgMatches, output: &Output) -> Result<()> {
    let (files, name) = source::files(matches)?;
    if matches.get_flag("password-stdin") && files.iter().any(|file| file.as_os_str() == "-") {
        let reason = "standard input cannot be both the password and the file";
        return Err(Error::new(ErrorKind::Usage, reason).hint("use --password-file"));
    }
    let mut client = args::client(matches, output)?;
    let mut models = Vec::new();
    output.each(files, |file| {
        let mut source = Source::open(&file, name.as_ref(), "skep put")?;
        let mut progress = Progress::start(output, source.name.as_str(), source.length);
        let stored = client.put(&source.name, &mut *source.reader, source.length, &mut |count| {
            progress.advance(count);
        });
        drop(progress);
        let stored = stored?;
        models.push(value(&stored));
        output.line(&format!(
            "{}  {}  {:?}  {}",
            source.name,
            size(stored.model.size),
            stored.digest,
            outcome(&stored)
        ))
    });
    output.json(&json!({"schema": 1, "models": models}))
}

fn value(stored: &Stored) -> Value {
    let mut value = json!(stored.model);
    value["outcome"] = json!(outcome(stored));
    value
}

fn outcome(stored: &Stored) -> &'static str {
    match stored.outcome {
        Outcome::Created => "created",
        Outcome::Replaced => "replaced",
    }
}

const EXAMPLES: &str = "\
Examples:
  skep put model.onnx labels.txt
  skep put --server 192.168.1.10 model.onnx --name current.onnx
  tar c dataset | skep put - --name dataset.tar";
