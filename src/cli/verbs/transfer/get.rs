// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `skep get`: fetches models and saves them as files.

use std::path::Path;

use clap::{Arg, ArgAction, ArgMatches, Command};

use crate::cli::flags::{Destination, Selector, args, destination, is_set};
use crate::cli::terminal::{Output, Progress, signals};
use crate::cli::verbs::models::old_state;
use crate::cli::verbs::signing::{tell, verify_signature};
use crate::cli::verbs::transfer::saved::{unverified, value};
use crate::cli::verbs::transfer::tree::get_tree;
use crate::client::{
    Changes, Client, Download, Fetched, FileTimes, Proof, SignedName, TransferEvent,
    TransferOptions,
};
use crate::error::{Error, ErrorKind, Result};
use crate::model::ModelName;

pub(crate) fn arguments(command: Command) -> Command {
    let names = names("Models to fetch: names, folders (NAME/) and patterns");
    let command = destination::arguments(args::server(command.before_help(EXAMPLES).arg(names)));
    let no_times = Arg::new("no-times").long("no-times");
    let no_times = no_times.action(ArgAction::SetTrue);
    args::transfers(get_tree::arguments(command))
        .arg(no_times.help("Do not give files the time that they had when they were sent"))
        .arg(verify_signature::flag("verify-key"))
        .arg(verify_signature::any_name().requires("verify-key"))
}

/// The list of model names.
pub(crate) fn names(help: &'static str) -> Arg {
    Arg::new("name")
        .value_name("NAME")
        .num_args(1..)
        .required(true)
        .help(help)
}

/// The model names that were given.
///
/// # Errors
/// `BadRequest` for what is no model name.
pub(crate) fn parse_names(matches: &ArgMatches) -> Result<Vec<ModelName>> {
    let names = matches.get_many::<String>("name").into_iter().flatten();
    names.map(|name| parse_name(name)).collect()
}

/// A model name that was given.
///
/// # Errors
/// `BadRequest` for what is none, such as the URL of a server.
pub(crate) fn parse_name(name: &str) -> Result<ModelName> {
    name.parse().map_err(|error: Error| {
        if name.contains("://") {
            error.hint(format!("a server is named with a flag: --server {name}"))
        } else {
            error
        }
    })
}

pub(crate) fn run(matches: &ArgMatches, output: &Output) -> Result<()> {
    let selectors = Selector::all(matches, "name")?;
    let mut options = args::transfer(matches)?;
    if is_set(matches, "exit-unchanged")? {
        options.changes = Changes::Required;
    }
    options.signer = verify_signature::key(matches, "verify-key")?;
    if matches.get_flag(verify_signature::ANY_NAME) {
        options.signed_name = SignedName::Any;
    }

    if is_set(matches, "no-times")? {
        options.times = FileTimes::Fresh;
    }

    let (selectors, client) = meant(matches, selectors, output)?;
    let connected = || client.map_or_else(|| args::client(matches, output), Ok);

    if get_tree::is_meant(matches, &selectors) {
        // To compare what is there costs less than to fetch it.
        options.changes = Changes::Required;
        let mut client = connected()?;
        let changed = get_tree::run(matches, selectors, &mut client, options, output)?;
        return finish(matches, changed, output);
    }

    let names = selectors.iter().filter_map(Selector::name).cloned();
    let names: Vec<_> = names.collect();
    let destination = Destination::of(matches, &names)?;
    if destination == Destination::Stdout {
        output.for_bytes()?;
    }

    // Bytes on standard output cannot be taken back if their signature turns out to be wrong.
    if options.signer.is_some() && destination == Destination::Stdout {
        let text = "standard output would get the bytes before their signature is checked";
        return Err(Error::new(ErrorKind::Usage, text).hint("save it as a file first: -o FILE"));
    }

    let mut client = connected()?;
    let mut changed = 0;
    output.json_list("files");

    output.each(names, |name| {
        let Some(path) = destination.path(&name) else {
            changed += 1;
            return print(&mut client, &name, output);
        };

        // The signature first: without a right one, the model need not be fetched.
        if options.signer.is_some() {
            options.signature = Some(client.signature(&name)?);
        }
        let fetched = save(&mut client, &name, &path, &destination, &options, output)?;
        if let Some(signature) = &options.signature {
            tell(output, name.as_str(), signature);
        }

        // Only a digest of the server proves the bytes; without one, the user has to know.
        match fetched.proof {
            Proof::Nothing => unverified(&name, output),
            Proof::Unchanged => output.note(&format!("{} is up to date", path.display())),
            Proof::Digest => {}
        }
        changed += u32::from(fetched.proof != Proof::Unchanged);
        output.json_item(&value(&name, &path, &fetched))?;
        output.done(&path.display().to_string())
    });

    finish(matches, changed, output)
}

/// What is meant by the words, and a client if the server had to be asked: it knows of old states that are named.
fn meant(
    matches: &ArgMatches,
    selectors: Vec<Selector>,
    output: &Output,
) -> Result<(Vec<Selector>, Option<Client>)> {
    if !old_state::is_written(matches) && selectors.iter().all(Selector::is_name) {
        return Ok((selectors, None));
    }

    // What a pattern stands for is up to the server; what is wrong with names is told without it.
    let mut client = args::client(matches, output)?;
    let selectors = old_state::resolve(matches, selectors, &mut client)?;
    if client.has_version() && matches.get_one::<String>("verify-key").is_some() {
        let text = "a signature belongs to the present bytes of a model, and not to an old version";
        return Err(Error::new(ErrorKind::Usage, text).hint(
            "fetch it without --verify-key, or bring it back first: skep rollback NAME --to NUMBER",
        ));
    }
    Ok((selectors, Some(client)))
}

fn finish(matches: &ArgMatches, changed: u32, output: &Output) -> Result<()> {
    if changed == 0 && is_set(matches, "exit-unchanged")? {
        output.nothing_to_do();
    }

    Ok(())
}

fn print(client: &mut Client, name: &ModelName, output: &Output) -> Result<()> {
    let mut download = client.get(name)?;
    let mut progress = Progress::start(output, name.as_str(), download.size());
    output.write_with(|stdout| download.copy(stdout, &mut |count| progress.advance(count)))?;
    drop(progress);
    note_unverified(&download, output);
    Ok(())
}

fn save(
    client: &mut Client,
    name: &ModelName,
    path: &Path,
    destination: &Destination,
    options: &TransferOptions,
    output: &Output,
) -> Result<Fetched> {
    let _resumable = signals::Interruptible::resumable(client.shutdown());
    let mut progress = Progress::start(output, name.as_str(), None);
    let mut prepared = Ok(());

    let fetched = client.fetch(name, path, options, &mut |event| {
        // Only when bytes are about to come, so that a wrong name leaves no empty directory behind.
        if matches!(event, TransferEvent::Started { .. }) && prepared.is_ok() {
            prepared = destination.prepare(output);
        }
        progress.tell(&event);
    });

    // Without its directory, the file could not be written either; this is why.
    prepared.and(fetched)
}

/// Tells of a download that could not be verified.
pub(crate) fn note_unverified(download: &Download, output: &Output) {
    if download.announced().is_none() {
        unverified(download.name(), output);
    }
}

const EXAMPLES: &str = "\
Examples:
  skep get model.onnx
  skep get model.onnx labels.txt -o models/
  skep get me/bert/ -o bert/                  a folder with its paths
  skep get me/bert/ -o bert/ --delete -n      what would make bert/ its mirror
  skep get 'me/bert*/**' --include '*.onnx'
  skep get model.onnx@3                       an old version that 'skep show' lists
  skep get model.onnx --verify-key sign.pub
  skep get model.onnx --if-changed --limit-rate 2MiB
  skep get dataset.tar -o - | tar x";
