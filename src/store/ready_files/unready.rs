// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The guard around every change of models: no folder around them has a file while they change.

use std::collections::BTreeSet;
use std::io;

use crate::disk::{self, Folder};
use crate::model::ModelName;
use crate::store::catalog::{Catalog, is_absence};
use crate::store::ready_files::ready_place::{ReadyFound, look, place_in};
use crate::store::ready_files::ready_queue::ReadyQueue;

/// Lives as long as models change; the names are locked meanwhile.
pub(crate) struct Unready<'a> {
    queue: &'a ReadyQueue,
    folders: BTreeSet<ModelName>,
}

impl Catalog {
    /// Removes the files of all folders in which these names are, durably. They come back some time after the
    /// guard is gone.
    ///
    /// # Errors
    /// Those of the file system; then the change must not begin.
    pub(crate) fn unready<'n>(
        &self,
        names: impl IntoIterator<Item = &'n ModelName>,
    ) -> io::Result<Unready<'_>> {
        let mut guard = Unready {
            queue: &self.ready,
            folders: BTreeSet::new(),
        };
        if !self.ready.is_used() {
            return Ok(guard);
        }

        let mut last = None;
        for name in names {
            // Names of one folder come one after the other.
            let folder = name.split_last().0;
            if last != Some(folder) {
                guard.folders.extend(name.ancestors());
                last = Some(folder);
            }
        }

        // Whoever computes a revision now does not write it.
        guard.queue.mark(&guard.folders);
        remove_files(self, &guard.folders)?;
        Ok(guard)
    }
}

impl Drop for Unready<'_> {
    fn drop(&mut self) {
        if !self.folders.is_empty() {
            self.queue.mark(&self.folders);
        }
    }
}

fn remove_files(catalog: &Catalog, folders: &BTreeSet<ModelName>) -> io::Result<()> {
    // One call makes all removals durable where the file system can do that; for a single model, which may be
    // on another one, it is never worth it.
    let root = catalog.layout.folder();
    let is_whole = folders.len() > ModelName::SEGMENTS_MAX && root.syncs_as_whole()?;
    let mut is_changed = false;

    for name in folders {
        let folder = match root.descend(name.segments(), Folder::enter_any) {
            // The folder is not there yet, or something else that the change itself tells of.
            Err(error) if is_absence(&error) || error.kind() == io::ErrorKind::NotADirectory => {
                continue;
            }
            folder => folder?,
        };

        let place = place_in(&folder);
        match look(&place)? {
            ReadyFound::Nothing => {}
            ReadyFound::Foreign(kind) => tell_of_foreign(catalog, name, kind),
            ReadyFound::Ours(_) if is_whole => {
                disk::fault::check()?;
                place.remove_unsynced()?;
                is_changed = true;
            }
            ReadyFound::Ours(_) => place.remove()?,
        }
    }

    if is_changed {
        root.sync_file_system()?;
    }
    Ok(())
}

/// Says that something has the name of a file of ours, and stays.
pub(super) fn tell_of_foreign(catalog: &Catalog, folder: &ModelName, kind: &str) {
    if catalog.ready.is_news(folder) {
        log::warn!(
            "'{folder}/.ready' is {kind}, is left alone, and says nothing of the folder; remove it, and the \
             folder gets one with its revision"
        );
    }
}
