// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Whether all folders that a commit changes can be changed: it is asked before anything is decided, since a
//! commit is done as a whole.

use std::collections::BTreeSet;
use std::io;

use crate::disk::{FileFacts, Folder};
use crate::error::{Error, ErrorKind, Result};
use crate::model::ModelName;
use crate::store::catalog::Catalog;
use crate::store::changes::commit::commit_plan::CommitPlan;
use crate::store::failure::unstored;

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
