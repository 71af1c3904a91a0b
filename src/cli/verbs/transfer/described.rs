// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What `skep put` says of the models that it sends.

use std::collections::BTreeMap;

use clap::{Arg, ArgAction, ArgMatches, Command};

use crate::client::Client;
use crate::error::{Error, ErrorKind, Result};

pub(super) fn arguments(command: Command) -> Command {
    let said = |name: &'static str| Arg::new(name).long(name).value_name("TEXT");
    command
        .arg(said("license").help("The licence of the models, for example Apache-2.0"))
        .arg(said("source").help("Where the models come from, for example a URL"))
        .arg(
            Arg::new("meta")
                .long("meta")
                .value_name("KEY=VALUE")
                .action(ArgAction::Append)
                .help("What else is to be known of the models (can be repeated)"),
        )
}

/// Whether anything is said, which is for the server also where the bytes are the same.
pub(super) fn is_any(matches: &ArgMatches) -> bool {
    ["license", "source", "meta"]
        .iter()
        .any(|flag| matches.contains_id(flag))
}

/// Has it said of all models that are sent.
///
/// # Errors
/// `Usage` for what cannot be said.
pub(super) fn describe(matches: &ArgMatches, client: &mut Client) -> Result<()> {
    let mut meta = BTreeMap::new();
    for pair in matches.get_many::<String>("meta").into_iter().flatten() {
        let Some((key, value)) = pair.split_once('=').filter(|(_, value)| !value.is_empty()) else {
            let text = format!("--meta {pair} has no value");
            return Err(Error::new(ErrorKind::Usage, text).hint("write --meta KEY=VALUE"));
        };
        if meta.insert(key.to_owned(), value.to_owned()).is_some() {
            let text = format!("--meta {key} is there twice");
            return Err(Error::new(ErrorKind::Usage, text).hint("a key has one value"));
        }
    }

    let said = |name| matches.get_one::<String>(name).map(String::as_str);
    client.describe(said("license"), said("source"), &meta)
}
