// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A folder that is assembled in a change set, where nobody looks, and that gets its name as a whole.

use std::io;

use crate::disk::{FilePlace, Folder};
use crate::model::ModelName;
use crate::store::catalog::Layout;
use crate::store::changes::change_files::TREE;
use crate::store::changes::commit::step_record::{CommitStep, StepKind};

/// Where a model stands in a folder that is assembled, whose folders are made where they are missing.
///
/// # Errors
/// Those of the file system.
pub(super) fn assembled_place(set: &Folder, name: &ModelName) -> io::Result<FilePlace> {
    let tree = set.make_unsynced(TREE)?;
    let folder = tree.descend(name.folders(), Folder::make_open_unsynced)?;
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
