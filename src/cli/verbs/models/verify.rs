// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `skep verify`: has a server read its models again and tells of damage; with `--key`, checks signatures.

use clap::{ArgMatches, Command};

use crate::cli::flags::{Selector, args};
use crate::cli::terminal::{Output, Progress};
use crate::cli::verbs::signing::verify_signature;
use crate::cli::verbs::transfer::get;
use crate::client::Client;
use crate::error::{Error, ErrorKind, Result};
use crate::model::{ModelName, Verification, Verified};
use crate::wire::{VerifyWire, digest_text};

pub(crate) fn arguments(command: Command) -> Command {
    let names = get::names(
        "Models on the server, folders (NAME/) and patterns [default: all]; with --key, files on this device",
    );
    let key = verify_signature::flag("key").requires("name");
    args::server(
        command
            .before_help(EXAMPLES)
            .arg(names.required(false))
            .arg(key)
            .arg(verify_signature::any_name().requires("key")),
    )
}

pub(crate) fn run(matches: &ArgMatches, output: &Output) -> Result<()> {
    // Signatures are checked here and not on the server, which could claim anything if it was
    // broken into.
    if matches.contains_id("key") {
        return verify_signature::run(matches, output);
    }

    let selectors = Selector::all(matches, "name")?;
    let mut client = args::client(matches, output)?;
    let names = meant(selectors, &mut client)?;

    output.json_list("models");

    output.each(names, |name| {
        let mut progress = Progress::start(output, name.as_str(), None);
        let verified = client.verify(&name, &mut |count| progress.advance(count));

        // The bar has to go before a line is printed where it stands.
        drop(progress);
        let verified = verified?;
        let outcome = verified.outcome.word();
        let digest = verified.digest.map(digest_text).unwrap_or_default();
        output.line(format!("{name}  {outcome}  {digest}").trim_end())?;

        // The outcome is printed in any case; damage is a failure as well, for the exit code.
        let error = complaint(&name, &verified);
        if verified.outcome == Verified::Changed {
            let known = verified.remembered.map(digest_text).unwrap_or_default();
            output.incomplete(&format!(
                "the file of the model '{name}' was changed on the device of the server: its digest was \
                 {known}; if nobody meant that, send the model again with 'skep put --always'"
            ));
        }
        output.json_item(&VerifyWire::from(&verified))?;
        error.map_or(Ok(()), Err)
    });

    Ok(())
}

/// The models that are meant; all of them if nothing is written.
fn meant(selectors: Vec<Selector>, client: &mut Client) -> Result<Vec<ModelName>> {
    if selectors.is_empty() {
        let models = client.list()?;
        return Ok(models.into_iter().map(|model| model.name).collect());
    }

    let mut names = Vec::new();
    for selector in Selector::literal(selectors, client)? {
        match selector {
            // Whether it is there is told when its turn comes.
            Selector::Name(name) => names.push(name),
            other => names.extend(other.models(client)?.into_iter().map(|model| model.name)),
        }
    }
    Ok(names)
}

fn complaint(name: &ModelName, verified: &Verification) -> Option<Error> {
    let text = match verified.outcome {
        Verified::Damaged => {
            let remembered = verified.remembered.map(digest_text);
            let remembered = remembered.unwrap_or_else(|| "another one".to_owned());
            format!("the model '{name}' is damaged: its digest was {remembered}")
        }
        Verified::Unreadable => format!("the model '{name}' cannot be read any more"),
        Verified::Intact | Verified::New | Verified::Changed => return None,
    };
    Some(
        Error::new(ErrorKind::Integrity, text)
            .hint("send it again with 'skep put --always', and check the disk"),
    )
}

const EXAMPLES: &str = "\
Examples:
  skep verify
  skep verify model.onnx
  skep verify 'me/bert*/**'
  skep verify --key sign.pub model.onnx       model.onnx and model.onnx.minisig of this device";
