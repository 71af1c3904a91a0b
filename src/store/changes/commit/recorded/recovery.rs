// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What becomes of the change sets that a process before has left.

use std::io;
use std::time::{Duration, Instant};

use crate::error::{Error, ErrorKind, Result};
use crate::store::catalog::Catalog;
use crate::store::changes::change::Change;
use crate::store::changes::change_files::{APPENDED, COMMIT, ChangeFiles, ENTRIES, INTENT};
use crate::store::changes::change_journal::{read_entry, read_intent};
use crate::store::changes::change_set::ChangeSet;
use crate::store::changes::commit::assembled::{discard_tree, left_folder};
use crate::store::changes::commit::committed::outcome;
use crate::store::changes::commit::recorded::redo::{self, Obstacle};
use crate::store::changes::open_changes::log_failure;
use crate::store::hidden_folder::{CHANGES, HIDDEN};

/// Completes what was committed, takes up what can go on, and removes the rest.
///
/// # Errors
/// Those of the file system: with half of a commit, nothing may be served.
pub(crate) fn recover(catalog: &Catalog) -> Result<()> {
    if catalog.layout.is_read_only() {
        return Ok(());
    }

    let hidden = catalog.layout.hidden();
    let unreadable = |error| {
        let place = catalog.layout.directory().join(HIDDEN).join(CHANGES);
        Error::local(format!("reading {}", place.display()), error)
    };
    let Some(all) = hidden.existing(CHANGES).map_err(unreadable)? else {
        return Ok(());
    };

    for entry in all.entries().map_err(unreadable)? {
        let name = entry.map_err(unreadable)?.name;
        // Folders with other names were not made by this room, and stay.
        let Some(id) = name.to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        let files = ChangeFiles::new(hidden, id);
        if files.place(COMMIT).is_ok_and(|place| place.exists()) {
            match redo::complete(catalog, &files, Obstacle::IsLeft) {
                // Records are written as a whole, so this is none of ours.
                Err(error) if is_no_record(&error) => {
                    log::error!("the change set {id} is removed: {error}");
                    log_failure(files.remove());
                }
                Err(error) => return Err(incomplete(&error)),
                // For a caller that did not get the answer.
                Ok(steps) => catalog.changes.end(id, Some(outcome(&steps, 0))),
            }
            continue;
        }

        discard_assembled(catalog, &files);
        let has_place = catalog.changes.count() < catalog.options.changes_max;
        match load(&files, catalog) {
            Some(set) if has_place && set.age() < catalog.options.upload_age_max => {
                catalog.changes.take_up(id, set);
            }
            _ => log_failure(files.remove()),
        }
    }
    Ok(())
}

/// Removes what was assembled for a commit that was not decided, or that is done: links to files of a folder.
fn discard_assembled(catalog: &Catalog, files: &ChangeFiles) {
    let Ok(set) = files.folder() else { return };
    let folder = left_folder(&set);
    let _linking = folder.as_ref().map(|folder| catalog.linking(folder));
    log_failure(discard_tree(&set));
}

fn is_no_record(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::InvalidData
}

fn incomplete(error: &io::Error) -> Error {
    let text = format!("a change set was committed, and cannot be completed: {error}");
    Error::new(ErrorKind::Internal, text).hint("make room in the model directory, and start again")
}

/// A change set as a process before has left it; `None` if it cannot go on.
fn load(files: &ChangeFiles, catalog: &Catalog) -> Option<ChangeSet> {
    let intent = files.place(INTENT).ok()?.read(INTENT_BYTES_MAX).ok()?;
    let request = read_intent(str::from_utf8(&intent).ok()?)?;

    let place = files.place(ENTRIES).ok()?;
    let journal = place.open_as(APPENDED, 0o600).ok()?;
    let changed = place.facts().ok()?.modified.time();
    let text = place.read(ENTRIES_BYTES_MAX).ok()?;
    let mut set = ChangeSet::new(files.clone(), request, journal);

    // The last line may have been cut.
    for line in String::from_utf8_lossy(&text).split_inclusive('\n') {
        let Some((name, change)) = line.strip_suffix('\n').and_then(read_entry) else {
            continue;
        };
        set.insert(name, change, catalog.layout.folds_names());
    }

    // What has lost its bytes has to be sent again.
    set.entries.retain(|_, change| {
        let Change::Sent(bytes) = change else {
            return true;
        };
        let facts = files.place(bytes.number).and_then(|place| place.facts());
        facts.is_ok_and(|facts| facts.is_file() && facts.size == bytes.size)
    });

    // A time in the future is the mark of a clock that was set back: not old.
    set.seen = (changed.elapsed().unwrap_or(Duration::ZERO), Instant::now());
    Some(set)
}

const INTENT_BYTES_MAX: u64 = 64 << 10;

/// More than the lines of the largest set.
const ENTRIES_BYTES_MAX: u64 = 1 << 30;
