// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A folder that is assembled in a change set, where nobody looks, and that gets its name as a whole.

use std::io;

use crate::disk::{FilePlace, Folder};
use crate::error::Result;
use crate::model::ModelName;
use crate::store::catalog::{Catalog, Layout, Standing};
use crate::store::changes::commit::recorded::step_record::{CommitStep, StepKind};
use crate::store::hidden_folder::{LastWay, TREE};

/// The outermost of the folders that lead to this one, itself included, whose name nothing has.
///
/// # Errors
/// Those of the file system.
pub(super) fn new_folder(catalog: &Catalog, folder: &ModelName) -> Result<Option<ModelName>> {
    let mut folders: Vec<_> = folder.ancestors().collect();
    folders.reverse();
    folders.push(folder.clone());

    for name in folders {
        match catalog.standing(&name)? {
            Standing::Nothing => return Ok(Some(name)),
            Standing::Model(_) => return Ok(None),
            Standing::Other(_) => {}
        }
    }
    // A power cut can leave a folder whose last model is gone.
    let is_free = catalog.layout.remove_empty_folder(folder);
    Ok(is_free.then(|| folder.clone()))
}

/// Where a model stands in a folder that is assembled, whose folders are made where they are missing.
///
/// # Errors
/// Those of the file system.
pub(super) fn assembled_place(set: &Folder, name: &ModelName) -> io::Result<FilePlace> {
    let tree = set.make_unsynced(TREE)?;
    let folder = tree.descend(name.folders(), Folder::make_open_unsynced)?;
    Ok(FilePlace::new(&folder, name.file_name()))
}

/// Ways to the folders in which models are assembled, which are made where they are missing.
///
/// # Errors
/// Those of the file system.
pub(super) fn ways(set: &Folder) -> io::Result<LastWay> {
    let tree = set.make_unsynced(TREE)?;
    Ok(LastWay::new(&tree, Folder::make_open_unsynced))
}

/// Removes the folder in which something was assembled, if there is one.
///
/// # Errors
/// Those of the file system.
pub(super) fn discard_tree(set: &Folder) -> io::Result<()> {
    match set.enter(TREE) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        tree => {
            tree?.remove_all()?;
            set.remove_empty(TREE)
        }
    }
}

/// The folder of which an earlier process has left something in a set: the innermost one that has all of it.
pub(super) fn left_folder(set: &Folder) -> Option<ModelName> {
    let (mut folder, mut path) = (set.enter(TREE).ok()?, String::new());
    for _ in 0..ModelName::SEGMENTS_MAX {
        let mut entries = folder.entries().ok()?;
        let (Some(Ok(entry)), None) = (entries.next(), entries.next()) else {
            break;
        };
        let Some(segment) = entry.name.to_str() else {
            break;
        };
        let Ok(inner) = folder.enter_any(segment) else {
            break;
        };
        let between = if path.is_empty() { "" } else { "/" };
        path = format!("{path}{between}{segment}");
        folder = inner;
    }
    path.parse().ok()
}

/// The place in the set of what was assembled, or of what had the name before.
///
/// # Errors
/// `NotFound` if nothing was assembled there; otherwise those of the file system.
pub(super) fn found_place(set: &Folder, name: &ModelName) -> io::Result<FilePlace> {
    let tree = set.enter(TREE)?;
    let folder = tree.descend(name.folders(), Folder::enter_any)?;
    Ok(FilePlace::new(&folder, name.file_name()))
}

/// Gives a folder that was assembled its name.
///
/// # Errors
/// Those of the file system.
pub(super) fn appear(
    layout: &Layout,
    set: &Folder,
    root: &ModelName,
    steps: &[CommitStep],
) -> io::Result<()> {
    let source = assembled_place(set, root)?;
    match source.rename_to_free(&layout.made_place(root)?) {
        // It was done before.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        // Somebody has made the folder meanwhile, and may have put something in it.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        renamed => return renamed,
    }

    let is_published = |step: &&CommitStep| matches!(step.what, StepKind::Publish(_));
    for step in steps.iter().filter(is_published) {
        let source = assembled_place(set, &step.name)?;
        match source.rename_to(&layout.made_place(&step.name)?) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            renamed => renamed?,
        }
    }
    Ok(())
}
