// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Whether all folders that a commit changes can be changed: it is asked before anything is decided, since a
//! commit is done as a whole. What a set can never do is refused when it is first named, before bytes travel.

use std::collections::BTreeSet;
use std::io;

use crate::disk::{FileFacts, FileKind, Folder};
use crate::error::{Error, ErrorKind, Result};
use crate::model::ModelName;
use crate::store::catalog::{Catalog, Standing};
use crate::store::changes::commit::commit_plan::CommitPlan;
use crate::store::failure::{unreadable, unstored};

/// Looks at the folder of each name, or at the nearest one above it that is there.
///
/// # Errors
/// `Conflict` for one that is on another file system, or that this process may not change; otherwise those of
/// the file system.
pub(super) fn check_places(catalog: &Catalog, plan: &CommitPlan) -> Result<()> {
    let published = plan.published.iter().map(|one| &one.name);
    let names = published.chain(plan.removed.iter().map(|gone| &gone.name));
    let root = catalog.layout.folder();
    let device = root.facts().map_err(unstored)?.device;

    let mut seen = BTreeSet::new();
    for name in names {
        // Names of one folder come one after the other, and what is above was looked at with the first.
        if !seen.insert(name.split_last().0.unwrap_or_default()) {
            continue;
        }
        let (folder, shown) = nearest(root, name).map_err(unstored)?;
        check_folder(&folder, &shown, device)?;
    }
    Ok(())
}

/// Whether the folder of a set can be one. The set itself only removes what is in it.
///
/// # Errors
/// `Conflict` if something else stands in its place or in that of a folder that leads to it; otherwise those of the
/// file system.
pub(in crate::store::changes) fn check_root(catalog: &Catalog, root: &ModelName) -> Result<()> {
    let found = match kind_of(catalog, root) {
        Ok(FileKind::Folder) => None,
        Ok(_) => itself(catalog, root)?,
        Err(_) => before(catalog, root)?,
    };
    match found {
        Some((other, kind)) => Err(blocked(
            &format!("'{root}/' cannot be a folder"),
            &other,
            kind,
        )),
        None => Ok(()),
    }
}

/// Whether a name of a set can become a model. What the set may remove is in nobody's way: a model where a folder is
/// needed, or a folder of models, if they are of its own folder.
///
/// # Errors
/// As [`check_root`], and as [`check_places`] for a name that is free.
pub(in crate::store::changes) fn check_reachable(
    catalog: &Catalog,
    root: Option<&ModelName>,
    name: &ModelName,
) -> Result<()> {
    let found = match kind_of(catalog, name) {
        Ok(FileKind::File | FileKind::Folder) => None,
        Ok(_) => itself(catalog, name)?,
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => before(catalog, name)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let models = catalog.layout.folder();
            let (folder, shown) = nearest(models, name).map_err(unstored)?;
            let device = models.facts().map_err(unstored)?.device;
            return check_folder(&folder, &shown, device);
        }
        // What cannot be looked at is told of when it is to be written.
        Err(_) => None,
    };

    let can_leave = |other: &ModelName| {
        let is_of_set = root.is_none_or(|root| other.is_below(root));
        is_of_set && matches!(catalog.layout.standing(other), Ok(Standing::Model(_)))
    };
    match found {
        Some((other, kind)) if !can_leave(&other) => Err(blocked(
            &format!("'{name}' cannot be a model"),
            &other,
            kind,
        )),
        _ => Ok(()),
    }
}

fn kind_of(catalog: &Catalog, name: &ModelName) -> io::Result<FileKind> {
    let facts = catalog.layout.place(name).and_then(|place| place.facts());
    facts.map(|facts| facts.kind)
}

/// What has a name and is no folder.
fn itself(catalog: &Catalog, name: &ModelName) -> Result<Option<(ModelName, &'static str)>> {
    let standing = catalog.layout.standing(name);
    Ok(match standing.map_err(|error| unreadable(name, error))? {
        Standing::Nothing => None,
        Standing::Model(_) => Some((name.clone(), "a model")),
        Standing::Other(kind) => Some((name.clone(), kind)),
    })
}

/// What stands in the place of a folder that leads to a name.
fn before(catalog: &Catalog, name: &ModelName) -> Result<Option<(ModelName, &'static str)>> {
    let found = catalog.layout.in_the_way(name);
    let found = found.map_err(|error| unreadable(name, error))?;
    found
        .map(|(other, kind)| Ok((other.parse()?, kind)))
        .transpose()
}

fn blocked(what: &str, other: &ModelName, kind: &str) -> Error {
    let text = format!("{what}, for '{other}' is {kind} in the model directory");
    let hint = format!("choose another name, or remove '{other}' first");
    Error::new(ErrorKind::Conflict, text).hint(hint)
}

/// Whether a model can come to stand in a folder, and go from it.
fn check_folder(folder: &Folder, shown: &str, device: u64) -> Result<()> {
    let facts: FileFacts = folder.facts().map_err(unstored)?;
    let refused = |reason: &str| {
        let text = format!("the folder '{shown}' {reason}, so nothing of this change set is done");
        Error::new(ErrorKind::Conflict, text)
    };

    if facts.device != device {
        return Err(
            refused("is on another file system than the model directory")
                .hint("leave its models out of the set, or serve that file system by itself"),
        );
    }
    folder.check_writable().map_err(|error| {
        refused(&format!("cannot be changed by this server ({error})")).hint(
            "leave its models out of the set, or give the server's user the right to write to it",
        )
    })
}

/// The folder of a model, as far as it is there, with its name for people.
fn nearest(root: &Folder, name: &ModelName) -> io::Result<(Folder, String)> {
    let (mut folder, mut shown) = (root.clone(), String::new());
    for segment in name.folders() {
        match folder.enter_any(segment) {
            // A model can be there that makes way for the folder.
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
                ) =>
            {
                break;
            }
            entered => folder = entered?,
        }
        shown = format!("{shown}{segment}/");
    }
    Ok((folder, shown))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn a_folder_on_another_file_system_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let here = Folder::open(directory.path()).unwrap();
        let device = here.facts().unwrap().device;
        check_folder(&here, "f/", device).unwrap();

        let other = Folder::open(Path::new("/proc")).unwrap();
        let error = check_folder(&other, "f/", device).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict);
        assert!(error.message().contains("another file system"), "{error}");
    }
}
