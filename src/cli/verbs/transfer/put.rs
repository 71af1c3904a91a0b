// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `skep put`: sends files to a server.

use clap::{Arg, ArgAction, ArgMatches, Command};
use serde_json::{Value, json};

use crate::cli::flags::{AnnouncedInput, Source, SourceReader, args, is_set, piped_input, source};
use crate::cli::terminal::{Output, Progress, signals, size};
use crate::cli::verbs::signing::sign;
use crate::cli::verbs::transfer::described;
use crate::cli::verbs::transfer::tree::put_tree;
use crate::client::{Changes, Client, Outcome, Piped, Replaces, Stored, TransferOptions};
use crate::digest::Digest;
use crate::error::{Error, ErrorKind, Result};
use crate::signature::Signature;
use crate::wire::ModelWire;

pub(crate) fn arguments(command: Command) -> Command {
    let flag = |name: &'static str| Arg::new(name).long(name).help_heading("Transfer");
    let switch = |name| flag(name).action(ArgAction::SetTrue);
    let command = source::arguments(args::server(command)).before_help(EXAMPLES);
    let command = piped_input::arguments(args::transfers(command));
    let command = described::arguments(put_tree::arguments(command));

    command
        .mut_arg("if-changed", |flag| {
            flag.help("Send nothing if the same bytes are there already [default for files]")
        })
        .arg(
            switch("always")
                .conflicts_with_all(["if-changed", "exit-unchanged"])
                .help("Send also what the server has already"),
        )
        .arg(switch("follow-links").help("Send the files to which links in a directory lead"))
        .arg(sign::flag("sign"))
        .arg(switch("create").help("Do not replace an existing model"))
        .arg(
            flag("if-match")
                .value_name("DIGEST")
                .conflicts_with("create")
                .help("Replace only a model with this digest"),
        )
}

pub(crate) fn run(matches: &ArgMatches, output: &Output) -> Result<()> {
    let (files, name) = source::files(matches)?;
    let has_input = files.iter().any(|file| file.as_os_str() == "-");

    // The password would be taken off the beginning of the file.
    if matches.get_flag("password-stdin") && has_input {
        let reason = "standard input cannot be both the password and the file";
        return Err(Error::new(ErrorKind::Usage, reason).hint("use --password-file"));
    }

    if files.iter().any(|file| file.is_dir()) {
        return put_tree::run(matches, &files, name, output);
    }
    put_tree::check_unused(matches)?;

    let mut options = args::transfer(matches)?;
    options.replaces = replaces(matches)?;
    let wants_changes = options.changes == Changes::Required || is_set(matches, "exit-unchanged")?;
    let input = AnnouncedInput::of(matches, files.len(), has_input)?;

    let asks_for_changes = matches.get_flag("if-changed") || matches.get_flag("exit-unchanged");
    if asks_for_changes && has_input && input.digest.is_none() {
        let text = "standard input has to be read before its digest is known, so --if-changed needs \
                    --digest here";
        return Err(Error::new(ErrorKind::Usage, text).hint("add --digest DIGEST"));
    }
    options.changes = changes(matches, wants_changes, options.replaces)?;

    // Key and files are looked at before a connection is made, so that a slip costs no waiting.
    let key = sign::key(matches, "sign")?;
    source::distinct(&files, name.as_ref(), key.is_some())?;
    let mut client = args::client(matches, output)?;
    // It goes with every model of this command.
    described::describe(matches, &mut client)?;
    let mut changed = 0;
    output.json_list("models");

    output.each(files, |file| {
        // Signed before it is sent, so that nothing is stored if the file cannot be signed.
        let signed = key
            .as_ref()
            .map(|key| sign::file(key, &file, name.as_ref()))
            .transpose()?;
        options.signature = signed.as_ref().map(|signed| signed.signature.clone());
        let source = Source::open(&file, name.as_ref(), "skep put")?;
        let name = source.name.clone();
        let stored = send(&mut client, source, &input, &options, output)?;
        let is_unchanged = stored.outcome == Outcome::Unchanged;
        output.json_item(&value(&stored))?;
        let (length, digest) = (size(stored.model.size), stored.digest);
        output.done(&format!(
            "{name}  {length}  {digest:?}  {}",
            outcome(&stored)
        ))?;

        changed += u32::from(!is_unchanged);
        let (Some(signed), Some(key)) = (signed, &key) else {
            return Ok(());
        };

        // Servers of this house keep the signature that came with the upload; to others, and to where the
        // same bytes were without it, it is sent by itself.
        if signed.is_there(&mut client, &name, key, &digest)? {
            if is_unchanged {
                return Ok(());
            }
            return output.done(&format!("{}  stored with it", Signature::name_for(&name)?));
        }
        changed += 1;
        let stored = signed.put(&mut client, &name)?;
        output.json_item(&value(&stored))?;
        output.done(&format!("{}  {}", stored.model.name, outcome(&stored)))
    });

    if changed == 0 && is_set(matches, "exit-unchanged")? {
        output.nothing_to_do();
    }

    Ok(())
}

/// Whether bytes that are there already are sent again.
fn changes(matches: &ArgMatches, wants_changes: bool, replaces: Replaces) -> Result<Changes> {
    if wants_changes {
        return Ok(Changes::Required);
    }

    // Licence, source and conditions are for the server, also where the bytes are the same.
    if is_set(matches, "always")? || described::is_any(matches) || replaces != Replaces::Anything {
        Ok(Changes::Ignored)
    } else {
        Ok(Changes::Required)
    }
}

fn replaces(matches: &ArgMatches) -> Result<Replaces> {
    if matches.get_flag("create") {
        return Ok(Replaces::Nothing);
    }

    let Some(text) = matches.get_one::<String>("if-match") else {
        return Ok(Replaces::Anything);
    };

    piped_input::digest("--if-match", text).map(Replaces::Only)
}

fn send(
    client: &mut Client,
    source: Source,
    input: &AnnouncedInput,
    options: &TransferOptions,
    output: &Output,
) -> Result<Stored> {
    match source.reader {
        SourceReader::File(file) => {
            check_file(&file, input)?;
            let mut progress = Progress::start(output, source.name.as_str(), source.length);
            // Only a file can be read again from the middle, so only here Ctrl-C offers to go on.
            let _phase = signals::Interruptible::resumable(client.shutdown());
            client.put_file(&source.name, &file, options, &mut |event| {
                progress.tell(&event)
            })
        }
        SourceReader::Stream(stream) => {
            let mut stream = signals::WatchedInput::new(stream);
            let mut progress = Progress::start(output, source.name.as_str(), input.length);
            let _phase = signals::Interruptible::piped();
            let piped = Piped {
                source: &mut stream,
                length: input.length,
                digest: input.digest,
                empty: input.empty,
                // Its end may be the work of the signal that is to end this process, too.
                complete: &mut signals::settle,
            };
            client.put_piped(&source.name, piped, options, &mut |event| {
                progress.tell(&event)
            })
        }
    }
}

/// Compares a file with what was announced of it, before it is sent.
fn check_file(file: &std::fs::File, input: &AnnouncedInput) -> Result<()> {
    let unreadable = |error| Error::local("reading the file", error);
    let differs = |text: String| Err(Error::new(ErrorKind::Integrity, text));

    let length = file.metadata().map_err(unreadable)?.len();
    if let Some(expected) = input.length.filter(|expected| *expected != length) {
        return differs(format!(
            "the file has {length} bytes instead of {expected}; nothing was sent"
        ));
    }

    let Some(expected) = input.digest else {
        return Ok(());
    };
    // The upload reads by positions, so the offset of the file does not matter to it.
    let digest = Digest::of_reader(file).map_err(unreadable)?;
    if digest != expected {
        return differs(format!(
            "the file has the digest {digest:?} instead of {expected:?}; nothing was sent"
        ));
    }

    Ok(())
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
  skep put model.onnx --license MIT --source https://example.org/models --meta lang=de
  skep put --server 192.168.1.10 model.onnx --name current.onnx
  skep put bert/ --name me/bert                a folder, published in one step
  skep put bert/ --name me/bert --delete -n    what would make me/bert its mirror
  skep put --sign sign.key model.onnx
  tar c dataset | skep put - --name dataset.tar";
