// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What hands have put into a folder while it was about to be exchanged gets its place in the new one.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io;

use crate::disk::{FileKind, FilePlace, Folder};
use crate::model::ModelName;
use crate::store::catalog::Layout;
use crate::store::changes::commit::assembled::found_place;
use crate::store::changes::commit::exchange::changed_names::ChangedNames;
use crate::store::changes::commit::recorded::step_record::CommitStep;
use crate::store::ready_files::is_ready_file;

/// Moves what the old folder has and the new one has not, without what the commit replaces and removes.
///
/// What hands have removed meanwhile is there again: nobody can tell it from what was assembled.
///
/// # Errors
/// Those of the file system; the rest stays where it is.
pub(in crate::store::changes::commit) fn bring_over(
    layout: &Layout,
    set: &Folder,
    name: &ModelName,
    steps: &[CommitStep],
) -> io::Result<()> {
    let bringing = Bringing(ChangedNames::of_steps(steps));
    let old = match found_place(set, name) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        place => place?,
    };
    let new = layout.place(name)?;
    match old.facts() {
        // The folder had gone before the new one came.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Ok(facts) if facts.kind == FileKind::Folder => {
            let old = old.folder().enter_any(name.file_name())?;
            let new = new.folder().enter_any(name.file_name())?;
            bringing.bring(&old, &new, &format!("{name}/"))
        }
        other => other.and_then(|_| put_beside(&old, &new)),
    }
}

struct Bringing<'a>(ChangedNames<'a>);

impl Bringing<'_> {
    fn bring(&self, old: &Folder, new: &Folder, prefix: &str) -> io::Result<()> {
        let mut there = BTreeMap::new();
        for entry in new.entries()? {
            let entry = entry?;
            there.insert(entry.name, entry.inode);
        }

        for entry in old.entries()?.collect::<io::Result<Vec<_>>>()? {
            // Nearly all of them are the same files, and nobody has to look at those.
            let is_same = there.get(&entry.name) == Some(&entry.inode);
            if !is_same && !is_ready(old, &entry.name) {
                self.bring_one(old, new, prefix, entry.name)?;
            }
        }
        Ok(())
    }

    fn bring_one(
        &self,
        old: &Folder,
        new: &Folder,
        prefix: &str,
        name: OsString,
    ) -> io::Result<()> {
        let text = name.to_str().map(str::to_owned);
        let (source, target) = (FilePlace::new(old, &name), FilePlace::new(new, name));
        let facts = match source.facts() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            facts => facts?,
        };
        let path = text.as_ref().map(|text| format!("{prefix}{text}"));
        if path.as_ref().is_some_and(|path| self.0.takes(path, &facts)) {
            return Ok(());
        }

        let is_folder = facts.kind == FileKind::Folder;
        let there = match target.facts() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            there => Some(there?),
        };
        match (there, text, path) {
            (Some(there), ..) if there.is_same_file(&facts) => Ok(()),
            (Some(there), Some(text), Some(path))
                if is_folder && there.kind == FileKind::Folder =>
            {
                let (old, new) = (old.enter_any(&text)?, new.enter_any(&text)?);
                self.bring(&old, &new, &format!("{path}/"))
            }
            // Hands have put another file there, before the exchange or after it: the last one counts.
            (Some(there), ..) if !is_folder && there.kind != FileKind::Folder => {
                if facts.changed < there.changed {
                    return Ok(());
                }
                source.rename_to(&target)
            }
            (Some(_), ..) => put_beside(&source, &target),
            // The models of this folder are gone, and so is the folder, unless there is more in it.
            (None, Some(text), Some(path))
                if is_folder && self.0.has_below(&format!("{path}/")) =>
            {
                let (old, prefix) = (old.enter_any(&text)?, format!("{path}/"));
                if self.has_more(&old, &prefix)? {
                    self.bring(&old, &new.make_open_unsynced(&text)?, &prefix)?;
                }
                Ok(())
            }
            (None, ..) => source.rename_to_free(&target),
        }
    }

    /// Whether anything is in a folder, or below, but what the commit takes away.
    fn has_more(&self, folder: &Folder, prefix: &str) -> io::Result<bool> {
        for entry in folder.entries()? {
            let name = entry?.name;
            if is_ready(folder, &name) {
                continue;
            }
            let facts = FilePlace::new(folder, &name).facts()?;
            let Some(text) = name.to_str() else {
                return Ok(true);
            };
            let path = format!("{prefix}{text}");
            let is_taken = if facts.kind == FileKind::Folder {
                let inner = format!("{path}/");
                self.0.has_below(&inner) && !self.has_more(&folder.enter_any(text)?, &inner)?
            } else {
                self.0.takes(&path, &facts)
            };
            if !is_taken {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Whether it is the file of a folder that tells its revision, which does not hold any more.
fn is_ready(folder: &Folder, name: &OsStr) -> bool {
    name.to_str()
        .is_some_and(|name| is_ready_file(folder, name))
}

/// Gives what hands have put in the place of a folder, or a folder in the place of a model, a name beside it.
fn put_beside(source: &FilePlace, target: &FilePlace) -> io::Result<()> {
    for number in 1..=BESIDE_MAX {
        let mut name = target.file_name().to_owned();
        name.push(format!(".by-hand-{number}"));
        match source.rename_to_free(&FilePlace::new(target.folder(), name)) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            renamed => return renamed,
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

/// Names that are tried.
const BESIDE_MAX: u32 = 100;
