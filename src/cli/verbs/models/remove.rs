// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `skep rm`: removes models from a server.

use std::collections::BTreeMap;

use clap::{Arg, ArgAction, ArgMatches, Command};

use crate::cli::flags::{Selector, args, selected};
use crate::cli::terminal::{Output, size};
use crate::cli::verbs::transfer::get;
use crate::client::Client;
use crate::error::Result;
use crate::model::{ModelName, NameFilter};
use crate::text::counted;

pub(crate) fn arguments(command: Command) -> Command {
    let names = get::names("Models to remove: names, folders (NAME/) and patterns");
    let versions = Arg::new("versions")
        .long("versions")
        .action(ArgAction::SetTrue)
        .help("Remove only the old versions of the models");

    let command = command.before_help(EXAMPLES).arg(names).arg(versions);
    args::server(selected::yes(
        command,
        "Remove what a folder or a pattern stands for without a question",
    ))
}

pub(crate) fn run(matches: &ArgMatches, output: &Output) -> Result<()> {
    let selectors = Selector::all(matches, "name")?;
    let is_of_versions = matches.get_flag("versions");
    let mut client = args::client(matches, output)?;

    let selectors = Selector::literal(selectors, &mut client)?;
    let is_plain = selectors.iter().all(Selector::is_name);
    let names = meant(selectors, is_of_versions, &mut client)?;

    // Whoever writes a name says what goes.
    if !is_plain {
        ask(matches, &names, &client)?;
    }

    output.json_list("removed");
    output.each(names.into_keys(), |name| {
        // The old versions are a resource of their own: removing them leaves the model alone.
        let what = if is_of_versions {
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

/// The models that are meant, with their sizes; with those of which only old versions are there, if it is
/// about these.
fn meant(
    selectors: Vec<Selector>,
    is_of_versions: bool,
    client: &mut Client,
) -> Result<BTreeMap<ModelName, u64>> {
    let mut names = BTreeMap::new();
    for selector in selectors {
        let before = names.len();

        let filter = match &selector {
            // Whether it is there is told when its turn comes.
            Selector::Name(name) => {
                names.insert(name.clone(), 0);
                continue;
            }
            Selector::Folder(folder) => NameFilter {
                prefix: format!("{folder}/"),
                ..NameFilter::default()
            },
            Selector::Pattern(pattern) => NameFilter {
                pattern: Some(pattern.clone()),
                ..NameFilter::default()
            },
        };

        let list = client.list_all(filter)?;
        let models = list
            .models
            .into_iter()
            .map(|model| (model.name, model.size));
        let kept = list.kept.into_iter().map(|kept| (kept.name, kept.size));
        for (name, size) in models.chain(kept.filter(|_| is_of_versions)) {
            names.insert(name.parse()?, size);
        }
        if names.len() == before {
            selector.models(client)?;
        }
    }
    Ok(names)
}

/// Shows what would go, and asks.
fn ask(matches: &ArgMatches, names: &BTreeMap<ModelName, u64>, client: &Client) -> Result<()> {
    let bytes = names.values().copied().fold(0, u64::saturating_add);
    let models = counted(names.len() as u64, "model");
    let what = if matches.get_flag("versions") {
        format!("remove the old versions of {models}")
    } else {
        format!("remove {models} ({})", size(bytes))
    };
    let shown: Vec<_> = names.keys().map(ToString::to_string).collect();
    let what = format!("{what} from {}", client.server());
    selected::agreed(matches, &what, &shown)
}

const EXAMPLES: &str = "\
Examples:
  skep rm old.onnx
  skep rm 'me/bert*/**'                       shows what would go, and asks
  skep rm -y me/old/
  skep rm --versions model.onnx";
