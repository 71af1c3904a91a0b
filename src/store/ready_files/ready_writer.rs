// SPDX-License-Identifier: Apache-2.0 OR MIT
//! One thread that gives folders their files once they are left alone, and what a start does before that.

use std::io::{self, Write as _};
use std::time::{Duration, Instant};

use crate::disk::{self, Folder, Part};
use crate::error::{ErrorKind, Result};
use crate::model::Revision;
use crate::store::catalog::{Catalog, FolderRevision, is_absence};
use crate::store::failure::unlisted;
use crate::store::hidden_folder::READY_MARK;
use crate::store::locking::name_locks::NameScope;
use crate::store::ready_files::ready_place::{ReadyFound, look, place_in, text_of};
use crate::store::ready_files::unready::tell_of_foreign;

/// What a start does before anything is served: no file stays that is not true, and where none are wanted any
/// more, none stays at all.
///
/// # Errors
/// Those of the file system.
pub(crate) fn begin(catalog: &Catalog) -> Result<()> {
    let layout = &catalog.layout;
    if layout.is_read_only() {
        return Ok(());
    }
    if layout.has_ready_files() {
        catalog.ready.use_it();
        return check_all(catalog).map_err(unlisted);
    }

    let mark = layout
        .hidden()
        .existing_file(READY_MARK)
        .map_err(unlisted)?;
    let Some(mark) = mark.filter(|mark| mark.exists()) else {
        return Ok(());
    };
    if let Err(error) = sweep(catalog).and_then(|()| mark.remove()) {
        log::warn!("not all files '.ready' are removed, which the next start tries again: {error}");
        // What is left must not outlive what it says.
        catalog.ready.use_it();
    }
    Ok(())
}

/// Removes what is not true, and has the rest written by and by.
fn check_all(catalog: &Catalog) -> io::Result<()> {
    catalog.folder_revisions(None, &mut |found| {
        let name = &found.folder;
        let is_settled = found.has_file
            && check(catalog, &found).unwrap_or_else(|error| {
                log::error!("'{name}/.ready' may be of another revision, and stays: {error}");
                true
            });
        if !is_settled && found.revision.is_some() {
            catalog.ready.mark([name]);
        }
    })
}

/// Removes a file that is not true; returns whether what is there can stay.
fn check(catalog: &Catalog, found: &FolderRevision<'_>) -> io::Result<bool> {
    let place = place_in(found.opened);
    match look(&place)? {
        ReadyFound::Nothing => Ok(false),
        ReadyFound::Foreign(kind) => {
            tell_of_foreign(catalog, &found.folder, kind);
            Ok(true)
        }
        ReadyFound::Ours(there) if there.is_some() && there == found.revision => Ok(true),
        ReadyFound::Ours(_) => place.remove().map(|()| false),
    }
}

/// Removes all files of ours.
fn sweep(catalog: &Catalog) -> io::Result<()> {
    let mut swept = Ok(());
    catalog.folder_revisions(None, &mut |found| {
        let place = place_in(found.opened);
        let removed = match look(&place) {
            Ok(ReadyFound::Ours(_)) => place.remove(),
            looked => looked.map(drop),
        };
        if removed.is_err() {
            swept = removed;
        }
    })?;
    swept
}

/// The work of the thread, until the queue is closed.
pub(crate) fn run(catalog: &Catalog) {
    while let Some(task) = catalog.ready.next() {
        let (start, mut writing) = (Instant::now(), Duration::ZERO);
        let done = catalog.folder_revisions(task.top(), &mut |found| {
            // One that has none gets it with the folders around it, whatever has taken it away.
            if task.has(&found.folder) || !found.has_file {
                let start = Instant::now();
                settle(catalog, &found);
                writing += start.elapsed();
            }
        });
        if let Err(error) = done
            && !is_gone(&error)
            && !catalog.ready.is_closing()
        {
            log::warn!("folders are not looked at for their files '.ready': {error}");
        }
        catalog
            .ready
            .rest_after(start.elapsed().saturating_sub(writing));
    }
}

/// Gives a folder the file that it is to have.
pub(super) fn settle(catalog: &Catalog, found: &FolderRevision<'_>) {
    let name = &found.folder;
    match try_settle(catalog, found) {
        Ok(()) => {}
        Err(error) if is_gone(&error) => {}
        Err(error) => {
            if ErrorKind::from_io(&error) == ErrorKind::NoSpace {
                catalog.ready.try_later(name);
            }
            if catalog.ready.is_news(name) {
                log::warn!("'{name}/.ready' is not written: {error}");
            }
        }
    }
}

fn try_settle(catalog: &Catalog, found: &FolderRevision<'_>) -> io::Result<()> {
    let name = &found.folder;
    match look(&place_in(found.opened))? {
        ReadyFound::Ours(there) if there.is_some() && there == found.revision => return Ok(()),
        ReadyFound::Nothing if found.revision.is_none() => return Ok(()),
        ReadyFound::Foreign(kind) => {
            tell_of_foreign(catalog, name, kind);
            return Ok(());
        }
        _ => {}
    }

    // Nothing is written for a place where it cannot go.
    found.opened.check_writable()?;
    if found.opened.facts()?.device != catalog.layout.folder().facts()?.device {
        return Err(io::ErrorKind::CrossesDevices.into());
    }

    // The fsync comes before others have to wait for the names.
    let part = found
        .revision
        .filter(|_| catalog.layout.has_ready_files())
        .map(|revision| written(catalog, revision))
        .transpose();

    let _guard = catalog.locking(NameScope::of(name));
    if catalog.ready.is_waiting(name) || catalog.unfinished.is_there() {
        return Ok(());
    }
    // By its name, since a folder that was moved is another one.
    let folder = catalog.layout.folder();
    let folder = folder.descend(name.segments(), Folder::enter_any)?;
    let place = place_in(&folder);
    match look(&place)? {
        ReadyFound::Nothing => {}
        ReadyFound::Ours(_) => place.remove()?,
        ReadyFound::Foreign(_) => return Ok(()),
    }
    // What is not true any more goes, whether there is room for another one or not.
    match part? {
        // A power cut may take the name away; a start gives it back.
        Some(part) => part.move_to_free(&place).map(drop),
        None => Ok(()),
    }
}

/// A file of the models' mode that is on the disk as a whole before it gets its name.
fn written(catalog: &Catalog, revision: Revision) -> io::Result<Part> {
    // What is in the way of the next start is known before it is there.
    let mark = catalog.layout.hidden().file(READY_MARK)?;
    if !mark.exists() {
        disk::write_at(&mark, b"", 0o600)?;
    }

    let mut part = catalog.layout.part()?;
    part.write_all(text_of(revision).as_bytes())?;
    part.sync()?;
    Ok(part)
}

fn is_gone(error: &io::Error) -> bool {
    is_absence(error) || error.kind() == io::ErrorKind::NotADirectory
}
