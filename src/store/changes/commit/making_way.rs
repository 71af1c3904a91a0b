// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Models that go with a commit make way for what gets their place in the same step: a folder for a file of its
//! name, and a file for a folder.

use std::collections::BTreeSet;
use std::io;
use std::ops::Bound;

use crate::disk::{FileKind, FilePlace, Folder};
use crate::model::ModelName;
use crate::store::catalog::Catalog;
use crate::store::ready_files::is_ready_file;

/// Whether a name is free once these models are gone, and is not before.
///
/// # Errors
/// Those of the file system.
pub(super) fn is_made(
    catalog: &Catalog,
    name: &ModelName,
    leaving: &BTreeSet<ModelName>,
) -> io::Result<bool> {
    if leaving.is_empty() {
        return Ok(false);
    }
    // What is a model is no folder, so nothing can be below it.
    if name.ancestors().any(|above| leaving.contains(&above)) {
        return Ok(true);
    }

    let root = catalog.layout.folder();
    match root.descend(name.segments(), Folder::enter_any) {
        Ok(folder) => {
            let prefix = format!("{name}/");
            Ok(has_models(&prefix, leaving) && holds_only(catalog, &folder, &prefix, leaving, 0)?)
        }
        Err(error) if is_no_folder(&error) => Ok(false),
        Err(error) => Err(error),
    }
}

fn is_no_folder(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidFilename, InvalidInput, NotADirectory, NotFound};
    matches!(
        error.kind(),
        InvalidFilename | InvalidInput | NotADirectory | NotFound
    )
}

fn has_models(prefix: &str, leaving: &BTreeSet<ModelName>) -> bool {
    let from = (Bound::Included(prefix), Bound::Unbounded);
    let mut next = leaving.range::<str, _>(from);
    next.next()
        .is_some_and(|name| name.as_str().starts_with(prefix))
}

/// Whether nothing else is in a folder, hidden files included.
fn holds_only(
    catalog: &Catalog,
    folder: &Folder,
    prefix: &str,
    leaving: &BTreeSet<ModelName>,
    depth: usize,
) -> io::Result<bool> {
    for entry in folder.entries()? {
        let Some(name) = entry?.name.into_string().ok() else {
            return Ok(false);
        };
        let path = format!("{prefix}{name}");
        let is_leaving = match FilePlace::new(folder, &name).facts()?.kind {
            // It goes before the models around it do.
            FileKind::File if is_ready_file(folder, &name) => {
                catalog.ready.is_used() && has_models(prefix, leaving)
            }
            FileKind::File => leaving.contains(path.as_str()),
            FileKind::Folder if depth < ModelName::SEGMENTS_MAX => {
                let inner = folder.enter_any(&name)?;
                holds_only(catalog, &inner, &format!("{path}/"), leaving, depth + 1)?
            }
            _ => false,
        };
        if !is_leaving {
            return Ok(false);
        }
    }
    Ok(true)
}
