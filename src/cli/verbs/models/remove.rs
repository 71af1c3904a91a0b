// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `skep rm`: removes models from a server.

use clap::{Arg, ArgAction, ArgMatches, Command};

use crate::cli::flags::args;
use crate::cli::terminal::Output;
use crate::cli::verbs::transfer::get;
use crate::error::Result;

pub(crate) fn arguments(command: Command) -> Command {
    let versions = Arg::new("versions")
        .long("versions")
        .action(ArgAction::SetTrue);

    let versions = versions.help("Remove only the old versions of the models");

    args::server(
        command
            .before_help(EXAMPLES)
            .arg(get::names("Models to remove"))
            .arg(versions),
    )
}

pub(crate) fn run(matches: &ArgMatches, output: &Output) -> Result<()> {
    let names = get::parse_names(matches)?;
    let mut client = args::client(matches, output)?;
    output.json_list("removed");

    output.each(names, |name| {
        // The old versions are a resource of their own: removing them leaves the model alone.
        let what = if matches.get_flag("versions") {
            client
                .forget_versions(&name)
                .map(|()| "the old versions of ")?
        } else {
            client.remove(&name).map(|()| "")?
        };
        output.json_item(&name.as_str())?;
        output.done(&format!("removed {what}{name}"))
    });

    Ok(())
}

const EXAMPLES: &str = "\
Examples:
  skep rm old.onnx
  skep rm --versions model.onnx";
