// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `skep rm`: removes models from a server.

use std::collections::{BTreeMap, BTreeSet};

use clap::{Arg, ArgAction, ArgMatches, Command};

use crate::cli::flags::{Selector, args, selected};
use crate::cli::terminal::{Output, size};
use crate::cli::verbs::transfer::get;
use crate::client::{Client, RETRIES_MAX, Removal, TransferEvent, Undo};
use crate::error::{ErrorKind, Result};
use crate::model::{Model, ModelName, NameFilter, Revision, taken};
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
    let meant = Meant::of(&selectors, is_of_versions, &mut client)?;

    // Whoever writes a name says what goes.
    if !is_plain {
        ask(matches, &meant.models, &mut client)?;
    }

    output.json_list("removed");
    let removed = |what: &str, name: &ModelName| {
        output.json_item(&name.as_str())?;
        output.done(&format!("removed {what}{name}"))
    };

    // The old versions are a resource of their own: removing them leaves the model alone.
    if is_of_versions {
        output.each(meant.models.keys(), |name| {
            client.forget_versions(name)?;
            removed("the old versions of ", name)
        });
        return Ok(());
    }

    // What a folder or a pattern stands for goes in one step, or none of it.
    let (mut named, together): (Vec<_>, Vec<_>) = meant
        .models
        .keys()
        .cloned()
        .partition(|name| meant.named.contains(name));
    if !together.is_empty() {
        let removal = match (&selectors[..], meant.revision) {
            ([Selector::Folder(folder)], Some(revision)) => Removal::Folder(folder, revision),
            _ => Removal::Names(&together),
        };
        let done = client.remove_together(&removal, RETRIES_MAX, &mut |event| {
            if let TransferEvent::Retrying { error, .. } = event {
                output.note(&format!("{}; trying again", error.message()));
            }
        });
        match done {
            Ok(committed) => {
                together.iter().try_for_each(|name| removed("", name))?;
                if !committed.kept {
                    output.note(&format!("{UNKEPT}: no old versions of them are kept"));
                }
            }
            // What makes room must not need any.
            Err(error) if error.kind() == ErrorKind::NoSpace => {
                output.note("the server has no room to do it in one step: one after the other");
                named.extend(together);
            }
            Err(error) => return Err(error),
        }
    }

    output.each(named, |name| {
        let undo = client.remove_with_undo(&name)?;
        removed("", &name)?;
        if undo == Undo::Impossible {
            output.note(&format!("{UNKEPT}: no old version of '{name}' is kept"));
        }
        Ok(())
    });
    Ok(())
}

/// The models that are meant.
#[derive(Default)]
struct Meant {
    /// With their sizes.
    models: BTreeMap<ModelName, u64>,
    /// Those that were named one by one.
    named: BTreeSet<ModelName>,
    /// The revision of the last folder, where all digests are known.
    revision: Option<Revision>,
}

impl Meant {
    /// Finds out what is meant; also that of which only old versions are there, if it is about these.
    fn of(selectors: &[Selector], is_of_versions: bool, client: &mut Client) -> Result<Self> {
        let mut meant = Self::default();
        for selector in selectors {
            let before = meant.models.len();

            let filter = match selector {
                // Whether it is there is told when its turn comes.
                Selector::Name(name) => {
                    meant.models.insert(name.clone(), 0);
                    meant.named.insert(name.clone());
                    continue;
                }
                Selector::Folder(folder) => NameFilter {
                    prefix: format!("{folder}/"),
                    ..NameFilter::default()
                },
                Selector::Pattern(pattern) | Selector::Folders(pattern) => NameFilter {
                    pattern: Some(pattern.clone()),
                    ..NameFilter::default()
                },
            };

            let list = client.list_all(filter)?;
            let models = list.models.into_iter().map(Model::try_from);
            let models = models.collect::<Result<Vec<_>>>()?;
            if let Selector::Folder(folder) = selector {
                meant.revision = revision(&models, folder);
            }
            meant.take(models.into_iter().map(|model| (model.name, model.size)));
            if is_of_versions {
                let kept = list.kept.into_iter();
                let kept = kept.map(|kept| Ok((kept.name.parse()?, kept.size)));
                meant.take(kept.collect::<Result<Vec<_>>>()?.into_iter());
            }
            if meant.models.len() == before {
                selector.clone().models(client)?;
            }
        }
        Ok(meant)
    }

    fn take(&mut self, models: impl Iterator<Item = (ModelName, u64)>) {
        self.models.extend(models);
    }
}

/// The revision of a folder, where all digests are known.
fn revision(models: &[Model], folder: &ModelName) -> Option<Revision> {
    let mut models: Vec<_> = models.iter().collect();
    models.sort_unstable_by(|one, other| one.name.cmp(&other.name));
    let start = folder.as_str().len() + 1;
    let members = models
        .iter()
        .map(|model| Some((&model.name.as_str()[start..], model.digest?)));
    let members: Vec<_> = members.collect::<Option<_>>()?;
    Some(Revision::of(members.into_iter()))
}

/// Shows what would go, and asks.
fn ask(matches: &ArgMatches, names: &BTreeMap<ModelName, u64>, client: &mut Client) -> Result<()> {
    if matches.get_flag("yes") {
        return Ok(());
    }
    let bytes = names.values().copied().fold(0, u64::saturating_add);
    let models = counted(names.len() as u64, "model");
    let what = if matches.get_flag("versions") {
        format!("remove the old versions of {models}")
    } else {
        format!("remove {models} ({})", size(bytes))
    };
    let shown: Vec<_> = names.keys().map(ToString::to_string).collect();
    let mut what = format!("{what} from {}", client.server());
    if !matches.get_flag("versions") && !can_be_undone(names, client) {
        what += " for good (the server keeps no old versions of so much)";
    }
    selected::agreed(matches, &what, &shown)
}

/// Whether the server says that it keeps old versions of what goes; one that says nothing is believed.
fn can_be_undone(names: &BTreeMap<ModelName, u64>, client: &mut Client) -> bool {
    let undo = client.status().ok().and_then(|status| status.undo);
    undo.is_none_or(|undo| taken(names.values().copied()) <= undo)
}

const UNKEPT: &str = "this cannot be undone";

const EXAMPLES: &str = "\
Examples:
  skep rm old.onnx
  skep rm 'me/bert*/**'                       shows what would go, and asks
  skep rm -y me/old/
  skep rm --versions model.onnx";
