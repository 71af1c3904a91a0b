// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `skep put DIR`: sends a directory as a folder of models, which the server publishes in one step.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use clap::{Arg, ArgAction, ArgMatches, Command};
use serde_json::{Value, json};

use crate::cli::flags::{args, is_set, selected};
use crate::cli::terminal::{Output, size};
use crate::cli::verbs::transfer::described;
use crate::cli::verbs::transfer::tree::sent_tree::SentTree;
use crate::cli::verbs::transfer::tree::source_tree::{FolderThere, SourceTree, TreeSteps};
use crate::cli::verbs::transfer::tree::tree_wish::TreeWish;
use crate::client::{Client, Committed, RememberedDigests, TransferOptions};
use crate::error::{Error, ErrorKind, Result};
use crate::model::ModelName;
use crate::signature::Signature;
use crate::text::{composed, counted};

pub(crate) fn arguments(command: Command) -> Command {
    let switch = |name, help| {
        let switch = Arg::new(name).long(name).help_heading("Transfer");
        switch.action(ArgAction::SetTrue).help(help)
    };
    let delete = "Remove the models of the folder that the directory does not have";
    let command = command
        .arg(switch("delete", delete))
        .arg(
            switch(
                "dry-run",
                "Say what would be done with a directory, and do nothing",
            )
            .short('n'),
        )
        .arg(switch("hidden", "Send hidden files of a directory, too"));
    selected::yes(command, "Remove models without a question (--delete)")
}

/// Refuses flags that say nothing of single files.
///
/// # Errors
/// `Usage`.
pub(crate) fn check_unused(matches: &ArgMatches) -> Result<()> {
    for flag in ["delete", "dry-run", "hidden"] {
        if matches.get_flag(flag) {
            let text = format!("--{flag} is for directories");
            return Err(Error::new(ErrorKind::Usage, text).hint("name a directory: skep put DIR"));
        }
    }
    Ok(())
}

pub(crate) fn run(
    matches: &ArgMatches,
    directories: &[PathBuf],
    name: Option<ModelName>,
    output: &Output,
) -> Result<()> {
    check_alone(matches, directories)?;
    let wish = TreeWish::of(matches)?;

    // All names are looked at before a connection is made.
    let mut trees = Vec::new();
    for directory in directories {
        let root = match &name {
            Some(name) => name.clone(),
            None => root_of(directory)?,
        };
        trees.push(SourceTree::read(directory, root, &wish, output)?);
    }
    check_apart(&trees)?;

    let options = args::transfer(matches)?;
    let mut client = args::client(matches, output)?;
    described::describe(matches, &mut client)?;

    let mut changed = 0;
    output.json_list("folders");
    output.each(trees, |tree| {
        let done = tree.send(&mut client, &wish, &options, matches, output);
        client.leave_change();
        let (value, count) = done?;
        changed += count;
        output.json_item(&value)
    });

    if changed == 0 && is_set(matches, "exit-unchanged")? {
        output.nothing_to_do();
    }
    Ok(())
}

impl SourceTree {
    /// Makes the folder what the directory is; returns what is told of it, and how much was changed.
    fn send(
        &self,
        client: &mut Client,
        wish: &TreeWish,
        options: &TransferOptions,
        matches: &ArgMatches,
        output: &Output,
    ) -> Result<(Value, u32)> {
        let there = FolderThere::of(client.list_below(&self.root)?, &self.root);
        let canonical = self.directory.canonicalize();
        let canonical = canonical.unwrap_or_else(|_| self.directory.clone());
        let mut digests = RememberedDigests::open(client.home(), &canonical);

        let steps = self.compare(&there, wish, &mut digests)?;
        let unsigned = self.unsigned(&steps);
        if wish.is_dry {
            let mut value = steps.tell(&self.root, output)?;
            if let Some(lost) = told_unsigned(&unsigned) {
                output.note(&lost);
            }
            value["unsigned"] = json!(unsigned);
            return Ok((value, 1));
        }
        if !steps.removed.is_empty() {
            let models = counted(steps.removed.len() as u64, "model");
            let mut what = format!("remove {models} of {}/ from {}", self.root, client.server());
            if let Some(lost) = told_unsigned(&unsigned) {
                what += &format!(", and {lost}");
            }
            let names: Vec<_> = steps.removed.iter().map(ToString::to_string).collect();
            selected::agreed(matches, &what, &names)?;
        }

        let is_meant = |digests: &mut RememberedDigests| {
            let ways: BTreeSet<&str> = self.files.values().map(|file| file.way.as_str()).collect();
            digests.save(|way| ways.contains(way));
        };
        if steps.is_nothing() {
            is_meant(&mut digests);
            output.note(&format!("{}/ is up to date", self.root));
            return Ok((folder_value(&self.root, None, &steps, 0), 0));
        }

        let mut sending = SentTree {
            tree: self,
            client,
            options,
            digests: &mut digests,
            wish,
            sent: 0,
            output,
        };
        let expected = there.revision.filter(|_| wish.removes);
        let committed = sending.carry_out(&steps, expected);
        let sent = sending.sent;
        is_meant(&mut digests);
        let committed = committed?;

        let revision = committed.revision.as_deref().unwrap_or("not known yet");
        output.done(&format!(
            "{}/  {} published, {} removed, {} unchanged  {} sent  revision {revision}",
            self.root,
            committed.published,
            committed.removed,
            steps.unchanged as u64 + committed.unchanged,
            size(sent),
        ))?;
        if !committed.kept {
            output.note(
                "what was replaced or removed cannot be brought back: no old versions of it are kept",
            );
        }
        if let Some(lost) = told_unsigned(&unsigned) {
            output.note(&format!("{lost}: sign them again with --sign KEY"));
        }
        let mut value = folder_value(&self.root, Some(&committed), &steps, sent);
        value["unsigned"] = json!(unsigned);
        Ok((value, 1))
    }

    /// The models that stay while their signatures go.
    fn unsigned(&self, steps: &TreeSteps) -> Vec<String> {
        let models = steps.removed.iter().filter_map(Signature::model_of);
        let mut models: Vec<_> = models.collect();
        if models.is_empty() {
            return Vec::new();
        }

        let here = self.composed_names();
        models.retain(|model| here.contains(&composed(model.as_str())));
        models.iter().map(ToString::to_string).collect()
    }
}

/// Says of models that stay that their signatures go.
fn told_unsigned(unsigned: &[String]) -> Option<String> {
    let first = unsigned.first()?;
    let models = counted(unsigned.len() as u64, "model");
    Some(format!(
        "the signatures of {models} that stay go with them, first that of '{first}'"
    ))
}

/// What is told of a folder in JSON; `committed` is nothing where nothing was to be done.
fn folder_value(
    root: &ModelName,
    committed: Option<&Committed>,
    steps: &TreeSteps,
    sent: u64,
) -> Value {
    let removed: Vec<_> = steps.removed.iter().map(ModelName::as_str).collect();
    let same = committed.map_or(0, |committed| committed.unchanged);
    json!({
        "name": format!("{root}/"),
        "published": committed.map_or(0, |committed| committed.published),
        "removed": removed,
        "same": same + steps.unchanged as u64,
        "sent": sent,
        "revision": committed.and_then(|committed| committed.revision.clone()),
        "unsigned": [],
        "unchanged": committed.is_none(),
    })
}

/// Directories are sent by themselves, and judged as a whole.
fn check_alone(matches: &ArgMatches, directories: &[PathBuf]) -> Result<()> {
    if let Some(file) = directories.iter().find(|file| !file.is_dir()) {
        let text = format!("{} is no directory, but others are", file.display());
        return Err(Error::new(ErrorKind::Usage, text)
            .hint("send files and directories with a command each"));
    }

    for flag in ["create", "if-match", "size", "digest"] {
        let is_given = matches.try_contains_id(flag).unwrap_or(false)
            && matches.value_source(flag) != Some(clap::parser::ValueSource::DefaultValue);
        if is_given {
            let text = format!("--{flag} is for single files, and a directory is sent as a whole");
            return Err(Error::new(ErrorKind::Usage, text).hint("leave it out"));
        }
    }
    Ok(())
}

/// Two directories that become folders of which one is in the other would change each other.
fn check_apart(trees: &[SourceTree]) -> Result<()> {
    for (number, tree) in trees.iter().enumerate() {
        for other in &trees[..number] {
            let (one, two) = (&tree.root, &other.root);
            if one == two || one.is_below(two) || two.is_below(one) {
                let text = format!(
                    "{} and {} would both be in '{}/'; nothing was sent",
                    other.directory.display(),
                    tree.directory.display(),
                    if one.is_below(two) { two } else { one }
                );
                return Err(Error::new(ErrorKind::Usage, text)
                    .hint("send them one at a time, with --name NAME"));
            }
        }
    }
    Ok(())
}

/// The folder that a directory becomes if none is named.
fn root_of(directory: &Path) -> Result<ModelName> {
    let path = match directory.file_name() {
        Some(_) => directory.to_owned(),
        // `.` and `..` have a name, too.
        None => directory
            .canonicalize()
            .map_err(|error| Error::local(format!("reading {}", directory.display()), error))?,
    };
    let name = path.file_name().and_then(|name| name.to_str());
    let name = name.and_then(|name| name.parse().ok());
    name.ok_or_else(|| {
        let text = format!("{} has no name that a folder can have", directory.display());
        Error::new(ErrorKind::Usage, text).hint("give one with --name NAME")
    })
}
