// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What dead processes have left in the hidden folder.

use std::io;
use std::time::Duration;

use crate::disk::{self, Folder};
use crate::model::ModelName;
use crate::store::catalog::layout::file_names::{AWKWARD, COMPOSED};
use crate::store::hidden_folder::{
    ABOUT, CHANGES, HIDDEN, HiddenFolder, PARTS, REVISIONS, UPLOADS, VERSIONS,
};

/// Removes the parts that dead processes have left, if they are at least this old.
///
/// # Errors
/// Those of the file system, with the name of the folder in which it failed.
pub(super) fn sweep(
    hidden: &HiddenFolder,
    age_min: Duration,
) -> Result<(), (&'static str, io::Error)> {
    for (name, prefixes) in SWEPT {
        sweep_room(hidden, name, prefixes, age_min).map_err(|error| (*name, error))?;
    }
    Ok(())
}

/// Removes the parts that dead processes have left in a folder, if it is there.
fn sweep_room(
    hidden: &HiddenFolder,
    name: &str,
    prefixes: &[&str],
    age_min: Duration,
) -> io::Result<()> {
    let Some(folder) = hidden.existing(name)? else {
        return Ok(());
    };

    sweep_folder(&folder, prefixes, age_min, ModelName::SEGMENTS_MAX)
}

/// The same for one folder and those of models in folders, which are so deep at most.
fn sweep_folder(
    folder: &Folder,
    prefixes: &[&str],
    age_min: Duration,
    depth: usize,
) -> io::Result<()> {
    for prefix in prefixes {
        disk::remove_left_over(folder, prefix, age_min)?;
    }

    // What is no folder of this store was not made by it, and stays.
    let Some(inner) = folder.enter(HIDDEN).ok().filter(|_| depth > 0) else {
        return Ok(());
    };
    for entry in inner.entries()? {
        let name = entry?.name;
        if let Some(folder) = name.to_str().and_then(|name| inner.enter(name).ok()) {
            sweep_folder(&folder, prefixes, age_min, depth - 1)?;
        }
    }
    Ok(())
}

/// The folders in which parts can be left over, with their prefixes. Journals and descriptions are
/// written as parts, too.
const SWEPT: &[(&str, &[&str])] = &[
    (PARTS, &[UPLOAD_PREFIX, COMPOSED, AWKWARD]),
    (UPLOADS, &[disk::WRITTEN_PREFIX]),
    (ABOUT, &[disk::WRITTEN_PREFIX]),
    (VERSIONS, &[]),
    (CHANGES, &[]),
    (REVISIONS, &[]),
];

/// Of the parts in which whole uploads arrive.
pub(super) const UPLOAD_PREFIX: &str = "upload-";
