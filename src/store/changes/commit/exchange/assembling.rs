// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Assembling the folder that comes in the place of another one.

use std::io;

use crate::disk::{FileKind, FilePlace, Folder};
use crate::model::ModelName;
use crate::store::catalog::{Catalog, Standing};
use crate::store::changes::change_files::ChangeFiles;
use crate::store::changes::commit::assembled::{assembled_place, discard_tree};
use crate::store::changes::commit::commit_plan::{CommitPlan, FolderExchange};
use crate::store::changes::commit::exchange::changed_names::ChangedNames;
use crate::store::ready_files::is_ready_file;

/// The folder that a commit may change in one step: the innermost one in which all of it happens. A single
/// file needs no such step.
pub(in crate::store::changes::commit) fn folder_of(
    catalog: &Catalog,
    plan: &CommitPlan,
) -> Option<ModelName> {
    let is_meant = catalog.options.exchange_files > 0
        && plan.new_folder.is_none()
        && plan.published.len() + plan.removed.len() > 1
        && !plan.published.iter().any(|one| one.waits);
    if !is_meant || !catalog.layout.exchanges() {
        return None;
    }

    let folder = ModelName::common_folder(plan.names())?;
    let standing = catalog.layout.standing(&folder);
    matches!(standing, Ok(Standing::Other(_))).then_some(folder)
}

/// Assembles in the set what a folder has that stays; `None` if it cannot be done, and then nothing is left.
/// What comes gets its place when the commit is decided.
pub(in crate::store::changes::commit) fn assemble(
    catalog: &Catalog,
    files: &ChangeFiles,
    plan: &CommitPlan,
    name: &ModelName,
) -> Option<FolderExchange> {
    let assembled = files.folder().and_then(|set| {
        discard_tree(&set)?;
        carry_folder(catalog, &set, plan, name)
    });

    let assembled = assembled.inspect_err(|error| {
        log::debug!("'{name}/' is changed file by file: {error}");
        // What stays goes with the set.
        let _ = files.folder().and_then(|set| discard_tree(&set));
    });
    assembled.ok()
}

fn carry_folder(
    catalog: &Catalog,
    set: &Folder,
    plan: &CommitPlan,
    name: &ModelName,
) -> io::Result<FolderExchange> {
    let current = catalog.layout.place(name)?;
    current.folder().check_writable()?;
    let from = current.folder().enter_any(name.file_name())?;

    let above = assembled_place(set, name)?;
    let to = above.folder().make_like(name.file_name(), &from)?;
    let mut carrying = Carrying {
        changed: ChangedNames::of_plan(plan),
        left: catalog.options.exchange_files,
    };
    carrying.carry(&from, &to, &format!("{name}/"), 0)?;

    Ok(FolderExchange {
        folder: name.clone(),
        inode: to.facts()?.inode,
    })
}

struct Carrying<'a> {
    changed: ChangedNames<'a>,
    /// How many more files and folders may be carried over.
    left: usize,
}

/// What came of a folder.
#[derive(PartialEq, Eq)]
enum Carried {
    /// Its models go, and it had nothing else.
    Nothing,
    All,
}

impl Carrying<'_> {
    fn carry(
        &mut self,
        from: &Folder,
        to: &Folder,
        prefix: &str,
        depth: usize,
    ) -> io::Result<Carried> {
        if depth > ModelName::SEGMENTS_MAX {
            return Err(unable("its folders are too deep"));
        }

        let (mut stays, mut goes) = (false, false);
        let changes = self.changed.has_below(prefix);
        for entry in from.entries()? {
            let entry = entry?;
            let place = FilePlace::new(from, &entry.name);
            let text = entry.name.to_str();
            let path = text.map(|text| format!("{prefix}{text}"));
            let kind = match entry.kind {
                Some(kind) => kind,
                None => place.facts()?.kind,
            };

            let is_changed = path
                .as_ref()
                .is_some_and(|path| self.changed.get(path).is_some());
            if is_changed && kind == FileKind::Folder {
                return Err(unable("a model is to have the name of a folder"));
            }
            let is_ready = || text.is_some_and(|text| is_ready_file(from, text));
            if is_changed || (changes && is_ready()) {
                goes = true;
                continue;
            }

            let left = self.left.checked_sub(1);
            self.left = left.ok_or_else(|| unable("too much in it stays as it is"))?;
            if kind != FileKind::Folder {
                place.link_to(&FilePlace::new(to, &entry.name))?;
                stays = true;
                continue;
            }

            let (Some(text), Some(path)) = (text, path) else {
                return Err(unable("a name in it is not UTF-8"));
            };
            let (inner, inner_prefix) = (from.enter_any(text)?, format!("{path}/"));
            // The name in a folder is that of what is covered.
            if inner.facts()?.inode != entry.inode {
                return Err(unable("something is mounted in it"));
            }
            let made = to.make_like(text, &inner)?;
            match self.carry(&inner, &made, &inner_prefix, depth + 1)? {
                Carried::All => stays = true,
                Carried::Nothing if self.changed.comes_below(&inner_prefix) => stays = true,
                // It goes with the last of its models.
                Carried::Nothing => {
                    to.remove_empty(text)?;
                    goes = true;
                }
            }
        }

        Ok(if goes && !stays {
            Carried::Nothing
        } else {
            Carried::All
        })
    }
}

fn unable(reason: &str) -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, reason.to_owned())
}
