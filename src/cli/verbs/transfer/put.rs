// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `skep put`: sends files to a server.

use std::path::Path;

use clap::{Arg, ArgAction, ArgMatches, Command};
use serde_json::{Value, json};

use crate::cli::flags::{Source, SourceReader, args, source};
use crate::cli::terminal::{Output, Progress, signals, size};
use crate::cli::verbs::signing::sign;
use crate::client::{Client, Outcome, Replaces, Stored, TransferOptions};
use crate::digest::Digest;
use crate::error::{Error, ErrorKind, Result};
use crate::wire::ModelWire;

pub(crate) fn arguments(command: Command) -> Command {
    let flag = |name: &'static str| Arg::new(name).long(name).help_heading("Transfer");
    let said = |name: &'static str| Arg::new(name).long(name).value_name("TEXT");
    let command = source::arguments(args::server(command)).before_help(EXAMPLES);

    args::transfers(command)
        .arg(sign::flag("sign"))
        .arg(said("license").help("The licence of the models, for example Apache-2.0"))
        .arg(said("source").help("Where the models come from, for example a URL"))
        .arg(
            flag("create")
                .action(ArgAction::SetTrue)
                .help("Do not replace an existing model"),
        )
        .arg(
            flag("if-match")
                .value_name("DIGEST")
                .conflicts_with("create")
                .help("Replace only a model with this digest"),
        )
}

pub(crate) fn run(matches: &ArgMatches, output: &Output) -> Result<()> {
    let (files, name) = source::files(matches)?;

    // The password would be taken off the beginning of the file.
    if matches.get_flag("password-stdin") && files.iter().any(|file| file.as_os_str() == "-") {
        let reason = "standard input cannot be both the password and the file";
        return Err(Error::new(ErrorKind::Usage, reason).hint("use --password-file"));
    }

    let mut options = args::transfer(matches)?;
    options.replaces = replaces(matches)?;

    // Key and files are looked at before a connection is made, so that a slip costs no waiting.
    let key = sign::key(matches, "sign")?;
    let files = source::unfolded(files, name.as_ref(), output)?;
    let mut client = args::client(matches, output)?;
    let said = |name| matches.get_one::<String>(name).map(String::as_str);

    // Licence and source go with every model of this command, in fields of their own.
    client.describe(said("license"), said("source"))?;
    let (mut models, mut changed) = (Vec::new(), 0);

    output.each(files, |file| {
        // Signed before it is sent, so that nothing is stored if the file cannot be signed.
        let signed = key
            .as_ref()
            .map(|key| sign::file(key, &file, name.as_ref()))
            .transpose()?;
        options.signature = signed.as_ref().map(|signed| signed.signature.clone());
        let source = Source::open(&file, name.as_ref(), "skep put")?;
        let name = source.name.clone();
        let stored = send(&mut client, source, &file, &options, output)?;
        let is_unchanged = stored.outcome == Outcome::Unchanged;
        models.push(value(&stored));
        let (length, digest) = (size(stored.model.size), stored.digest);
        output.line(&format!(
            "{name}  {length}  {digest:?}  {}",
            outcome(&stored)
        ))?;

        // The signature follows the model, unless the server had both already: where the same bytes were
        // there without it, it is what this command is for.
        let missing = match (signed, &key) {
            (Some(signed), Some(key)) if is_unchanged => {
                let is_there = signed.is_there(&mut client, &name, key)?;
                Some(signed).filter(|_| !is_there)
            }
            (signed, _) => signed,
        };
        changed += u32::from(!is_unchanged || missing.is_some());
        let Some(signed) = missing else {
            return Ok(());
        };
        let stored = signed.put(&mut client, &name, &digest)?;
        models.push(value(&stored));
        output.line(&format!("{}  {}", stored.model.name, outcome(&stored)))
    });

    if changed == 0 && crate::cli::flags::is_set(matches, "exit-unchanged")? {
        output.nothing_to_do();
    }

    output.json(&json!({"schema": 1, "models": models}))
}

fn replaces(matches: &ArgMatches) -> Result<Replaces> {
    if matches.get_flag("create") {
        return Ok(Replaces::Nothing);
    }

    let Some(text) = matches.get_one::<String>("if-match") else {
        return Ok(Replaces::Anything);
    };

    // The forms of `skep ls -l` and of sha256sum.
    let digest: Digest = text
        .strip_prefix("sha256:")
        .unwrap_or(text)
        .parse()
        .map_err(|_| {
            Error::new(
                ErrorKind::Usage,
                "--if-match: a digest is 64 hexadecimal digits",
            )
            .hint("'skep ls -l' shows them")
        })?;

    Ok(Replaces::Only(digest))
}

fn send(
    client: &mut Client,
    source: Source,
    path: &Path,
    options: &TransferOptions,
    output: &Output,
) -> Result<Stored> {
    let mut progress = Progress::start(output, source.name.as_str(), source.length);
    match source.reader {
        SourceReader::File(file) => {
            // Only a file can be read again from the middle, so only here Ctrl-C offers to go on.
            let _resumable = signals::Resumable::new();
            client.put_file(&source.name, &file, options, &mut |event| {
                progress.tell(&event)
            })
        }

        // A stream is sent in one pass, by a call that takes no conditions.
        SourceReader::Stream(_) if options.replaces != Replaces::Anything => {
            let message = format!(
                "{} is not a regular file, so --create and --if-match",
                path.display()
            );
            Err(Error::new(
                ErrorKind::Usage,
                format!("{message} are not possible"),
            ))
        }
        SourceReader::Stream(mut stream) => {
            let mut advance = |count| progress.advance(count);
            client.put(&source.name, &mut *stream, source.length, &mut advance)
        }
    }
}

fn value(stored: &Stored) -> Value {
    let mut value = json!(ModelWire::from(&stored.model));
    value["outcome"] = json!(outcome(stored));
    value["sent"] = json!(stored.sent);
    value["resumed_at"] = json!(stored.resumed_at);
    value
}

fn outcome(stored: &Stored) -> &'static str {
    match stored.outcome {
        Outcome::Created => "created",
        Outcome::Replaced => "replaced",
        Outcome::Unchanged => "unchanged",
    }
}

const EXAMPLES: &str = "\
Examples:
  skep put model.onnx labels.txt
  skep put model.onnx --license MIT --source https://example.org/models
  skep put --server 192.168.1.10 model.onnx --name current.onnx
  skep put models/ --if-changed --limit-rate 2MiB
  skep put --sign sign.key model.onnx
  tar c dataset | skep put - --name dataset.tar";
