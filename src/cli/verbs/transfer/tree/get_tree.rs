// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `skep get NAME/` and `skep get PATTERN`: fetches many models and keeps the paths of their folders.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use clap::{Arg, ArgAction, ArgMatches, Command};
use serde_json::json;

use crate::cli::flags::{Selector, args, selected};
use crate::cli::terminal::{Output, ShownItem, size};
use crate::cli::verbs::transfer::tree::fetched_tree::{FetchedTree, TreeTarget, is_there};
use crate::cli::verbs::transfer::tree::same_place::{FoldedPaths, is_excluded};
use crate::client::{Client, HiddenFiles, TargetTree, TransferOptions};
use crate::error::{Error, ErrorKind, Result};
use crate::model::{Model, NamePattern};
use crate::text::counted;

pub(crate) fn arguments(command: Command) -> Command {
    let pattern = |name, help| {
        let pattern = Arg::new(name).long(name).value_name("PATTERN");
        pattern.action(ArgAction::Append).help(help)
    };
    let switch = |name, help| {
        let switch = Arg::new(name).long(name);
        switch.action(ArgAction::SetTrue).help(help)
    };
    let include = "Of folders and patterns, fetch only names that match; without '/', the last segment counts";
    let exclude = "Of folders and patterns, leave out names that match";
    let delete = "Remove the files of the directory that the folder does not have";

    let command = command
        .arg(pattern("include", include))
        .arg(pattern("exclude", exclude))
        .arg(switch("delete", delete))
        .arg(switch("dry-run", "Say what would be done, and do nothing").short('n'))
        .arg(switch("hidden", "Fetch and remove hidden files, too"));
    selected::yes(command, "Remove files without a question (--delete)")
}

/// Whether what is asked for is more than single models.
pub(crate) fn is_meant(matches: &ArgMatches, selectors: &[Selector]) -> bool {
    let is_set = |name| matches.get_flag(name);
    !selectors.iter().all(Selector::is_name) || is_set("delete") || is_set("dry-run")
}

pub(crate) fn run(
    matches: &ArgMatches,
    selectors: Vec<Selector>,
    client: &mut Client,
    options: TransferOptions,
    output: &Output,
) -> Result<u32> {
    let wish = Wish::of(matches, &selectors)?;
    let is_pinned = pin(&selectors, client)?;
    let shown = shown(&selectors);
    let plan = wish.plan(selectors, client, output)?;
    let tree = TargetTree::open(&wish.directory)?;
    let gone = wish.gone(&plan, tree.as_ref())?;

    if wish.is_dry {
        return plan
            .tell(&gone, tree.as_ref(), &options, output)
            .map(|()| 1);
    }
    plan.check_room(&wish.directory, tree.as_ref())?;
    if !gone.is_empty() {
        let files = counted(gone.len() as u64, "file");
        let what = format!("remove {files} from {}", wish.directory.display());
        selected::agreed(matches, &what, &gone)?;
    }

    let tree = match tree {
        Some(tree) => tree,
        None => TargetTree::make(&wish.directory)?,
    };
    plan.check_apart(&tree)?;

    // What stands where a folder is to be, or in the place of a file, goes first.
    let models = plan.models;
    let is_in_the_way = |gone: &String| is_excluded(gone, &models);
    let (in_the_way, gone) = gone.into_iter().partition::<Vec<_>, _>(is_in_the_way);
    output.json_list("files");
    let mut removed = remove(in_the_way, &wish, &tree, output);

    let models: Vec<_> = models.into_iter().collect();
    let fetched = FetchedTree::fetch(
        TreeTarget {
            shown: &shown,
            directory: &wish.directory,
            tree: &tree,
            connections: wish.connections,
            is_pinned,
        },
        &models,
        client,
        &options,
        output,
    )?;

    let (files, unchanged) = (fetched.files, fetched.unchanged);
    let news = counted((files.len() as u64).saturating_sub(unchanged), "model");
    output.note(&format!("{news} fetched, {unchanged} up to date"));

    let mut result = json!({"schema": 1, "files": files});
    if wish.removes {
        if files.len() == models.len() {
            removed.extend(remove(gone, &wish, &tree, output));
        } else if !gone.is_empty() {
            let other = if removed.is_empty() { "" } else { "other " };
            output.incomplete(&format!(
                "not everything was fetched, so no {other}file was removed"
            ));
        }
        result["removed"] = json!(removed);
    }
    output.json(&result)?;
    Ok(u32::try_from((files.len() as u64).saturating_sub(unchanged)).unwrap_or(u32::MAX))
}

/// Has all of a folder come from the revision that it has now, whoever changes it meanwhile; says whether it has
/// one.
fn pin(selectors: &[Selector], client: &mut Client) -> Result<bool> {
    let [Selector::Folder(folder)] = selectors else {
        return Ok(false);
    };
    if client.has_revision() {
        return Ok(false);
    }

    let revision = match client.folder_info(folder) {
        Ok(info) => info.revision,
        // What is wrong is told by the list.
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    let Some(revision) = revision else {
        return Ok(false);
    };
    client.go_to_revision(revision.parse()?);
    Ok(true)
}

/// What is fetched, for people.
fn shown(selectors: &[Selector]) -> String {
    let first = selectors.first().map(ShownItem::shown);
    match selectors.len() {
        0 | 1 => first.unwrap_or_default(),
        more => format!("{} and {} more", first.unwrap_or_default(), more - 1),
    }
}

/// What is to be done with the models that are meant.
struct Wish {
    directory: PathBuf,
    include: Vec<NamePattern>,
    exclude: Vec<NamePattern>,
    hidden: HiddenFiles,
    removes: bool,
    /// The folder of which the directory becomes a mirror.
    base: String,
    is_dry: bool,
    connections: usize,
}

/// Which models are fetched, by the paths at which they are saved.
struct Plan {
    models: BTreeMap<String, Model>,
}

impl Wish {
    fn of(matches: &ArgMatches, selectors: &[Selector]) -> Result<Self> {
        let patterns = |name| {
            let texts = matches.get_many::<String>(name).into_iter().flatten();
            texts.map(|text| text.parse()).collect::<Result<_>>()
        };

        let removes = matches.get_flag("delete");
        let folder = match selectors {
            [Selector::Folder(folder)] => Some(folder),
            _ if removes => {
                let text = "--delete needs one folder, of which the directory becomes a mirror";
                return Err(
                    Error::new(ErrorKind::Usage, text).hint("skep get FOLDER/ -o DIR --delete")
                );
            }
            _ => None,
        };

        let output = matches.get_one::<PathBuf>("output");
        let directory = match (output, folder) {
            (Some(output), _)
                if output.as_os_str() == "-" || (output.exists() && !output.is_dir()) =>
            {
                let text = "several models cannot be saved as one file";
                return Err(Error::new(ErrorKind::Usage, text).hint("name a directory: -o DIR/"));
            }
            (Some(output), _) => output.clone(),
            (None, Some(folder)) => PathBuf::from(folder.file_name()),
            (None, None) => PathBuf::from("."),
        };

        let hidden = if matches.get_flag("hidden") {
            HiddenFiles::Meant
        } else {
            HiddenFiles::LeftAlone
        };
        Ok(Self {
            directory,
            include: patterns("include")?,
            exclude: patterns("exclude")?,
            hidden,
            removes,
            base: folder.map_or_else(String::new, |folder| format!("{folder}/")),
            is_dry: matches.get_flag("dry-run"),
            connections: args::parallel(matches)?,
        })
    }

    /// Whether the filters leave a name in.
    fn takes(&self, name: &str) -> bool {
        let last = name.rsplit('/').next().unwrap_or(name);
        let is_one_of = |patterns: &[NamePattern]| {
            patterns.iter().any(|pattern| {
                let is_of_path = pattern.as_str().contains('/');
                pattern.matches(if is_of_path { name } else { last })
            })
        };
        (self.include.is_empty() || is_one_of(&self.include)) && !is_one_of(&self.exclude)
    }

    /// Finds out which models are meant and where they go, and refuses what would meet at one place.
    fn plan(&self, selectors: Vec<Selector>, client: &mut Client, output: &Output) -> Result<Plan> {
        let mut models: BTreeMap<String, Model> = BTreeMap::new();
        let (mut hidden, mut left_out) = (0, 0_u64);

        for selector in selectors {
            let base = selector.base();
            for model in selector.models(client)? {
                let name = model.name.as_str();
                let Some(way) = name.strip_prefix(&base).map(str::to_owned) else {
                    continue;
                };
                if !selector.is_name() && !self.takes(name) {
                    left_out += 1;
                    continue;
                }

                // Whoever stores a model must not say which hidden file is replaced here.
                let is_hidden = way.split('/').any(|segment| segment.starts_with('.'));
                if is_hidden && self.hidden == HiddenFiles::LeftAlone {
                    hidden += 1;
                    continue;
                }
                if let Some(other) = models.get(&way)
                    && other.name != model.name
                {
                    return Err(one_place(&other.name, &model.name, &way));
                }
                models.insert(way, model);
            }
        }

        // A mirror of what the filters name may be empty; otherwise they are mistyped.
        if models.is_empty() && hidden == 0 && left_out > 0 && !self.removes {
            let text = format!(
                "--include and --exclude leave nothing of {}",
                counted(left_out, "model")
            );
            return Err(Error::new(ErrorKind::NotFound, text)
                .hint("'*' and '?' are the wildcards; 'skep ls -R' lists the names"));
        }

        // What is a file for one of them cannot be a folder for another.
        for (way, model) in &models {
            for (place, _) in way.match_indices('/') {
                if let Some(other) = models.get(&way[..place]) {
                    return Err(one_place(&other.name, &model.name, &way[..place]));
                }
            }
        }

        if hidden > 0 {
            let files = counted(hidden, "hidden file");
            output.note(&format!("{files} left out (--hidden)"));
        }
        Ok(Plan { models })
    }

    /// The files that the folder does not have. Filters leave alone what they leave out.
    fn gone(&self, plan: &Plan, tree: Option<&TargetTree>) -> Result<Vec<String>> {
        let Some(tree) = tree.filter(|_| self.removes) else {
            return Ok(Vec::new());
        };
        let files = tree.files(self.hidden).map_err(|error| {
            Error::local(format!("reading {}", self.directory.display()), error)
        })?;
        let shown: BTreeSet<&str> = files.iter().map(String::as_str).collect();
        let meant = FoldedPaths::of(plan.models.keys().map(String::as_str));
        let is_there = |way: &str| matches!(tree.file(way), Ok(Some(_)));
        let gone = files.iter().filter(|way| {
            !meant.has(way, &shown, is_there) && self.takes(&format!("{}{way}", self.base))
        });
        Ok(gone.cloned().collect())
    }
}

impl Plan {
    /// Refuses models that would be saved as one file.
    fn check_apart(&self, tree: &TargetTree) -> Result<()> {
        let ways = FoldedPaths::of(self.models.keys().map(String::as_str));
        match ways.twins() {
            Some((one, other)) if tree.folds_names()? => Err(one_place(&one, &other, one)),
            _ => Ok(()),
        }
    }

    /// Makes sure, before any byte is asked for, that the disk has room for all that is to come. Each file
    /// stands beside the one that it replaces until it is whole.
    fn check_room(&self, directory: &Path, tree: Option<&TargetTree>) -> Result<()> {
        let Some(free) = TargetTree::free_bytes(directory) else {
            return Ok(());
        };

        let (mut used, mut needed) = (0_i128, 0_i128);
        for (way, model) in &self.models {
            let (old, part) = tree.map_or((0, 0), |tree| tree.taken_bytes(way));
            // What has the same length is most likely there already, and each file is looked at again.
            if old != model.size {
                used += i128::from(model.size.saturating_sub(part));
                needed = needed.max(used);
                used -= i128::from(old);
            }
        }
        let needed = u64::try_from(needed).unwrap_or(u64::MAX);
        if needed <= free {
            return Ok(());
        }

        let shown = directory.display();
        let text = format!(
            "writing to {shown}: no space left on the device: {} needed for all and {free} free; nothing was \
             fetched",
            counted(needed, "byte"),
        );
        Err(Error::new(ErrorKind::NoSpace, text)
            .hint("make room, or fetch less at a time: --include, --exclude"))
    }

    /// Says what would be done.
    fn tell(
        &self,
        gone: &[String],
        tree: Option<&TargetTree>,
        options: &TransferOptions,
        output: &Output,
    ) -> Result<()> {
        let (mut fetched, mut bytes, mut unchanged) = (Vec::new(), 0_u64, 0);
        for (way, model) in &self.models {
            if tree.is_some_and(|tree| is_there(tree, way, model, options)) {
                unchanged += 1;
                continue;
            }
            output.line(&format!("would fetch {way}  {}", size(model.size)))?;
            bytes = bytes.saturating_add(model.size);
            fetched.push(model.name.as_str());
        }
        for way in gone {
            output.line(&format!("would remove {way}"))?;
        }

        let models = counted(fetched.len() as u64, "model");
        let files = counted(gone.len() as u64, "file");
        output.note(&format!(
            "{models} ({}) to fetch, {unchanged} up to date, {files} to remove; nothing was done",
            size(bytes)
        ));
        output.json(&json!({"schema": 1, "fetch": fetched, "remove": gone}))
    }
}

/// Removes what the folder does not have.
fn remove(gone: Vec<String>, wish: &Wish, tree: &TargetTree, output: &Output) -> Vec<String> {
    let mut removed = Vec::new();
    output.each(gone, |way: String| {
        tree.remove(&way)?;
        let path = wish.directory.join(&way).display().to_string();
        output.done(&format!("removed {path}"))?;
        removed.push(path);
        Ok(())
    });
    removed
}

fn one_place(one: &impl ToString, other: &impl ToString, way: &str) -> Error {
    let (one, other) = (one.to_string(), other.to_string());
    let text = format!("'{one}' and '{other}' would both be saved as '{way}'; nothing was fetched");
    Error::new(ErrorKind::Usage, text).hint("fetch them one by one, each into its own -o DIR/")
}
