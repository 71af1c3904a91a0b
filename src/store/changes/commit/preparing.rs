// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What a commit does before it is decided, and how that is taken back.

use std::io;

use crate::disk::{self, FilePlace};
use crate::model::ModelName;
use crate::store::catalog::{Catalog, Layout, Stamp};
use crate::store::changes::change::Change;
use crate::store::changes::change_files::ChangeFiles;
use crate::store::changes::change_set::ChangeSet;
use crate::store::changes::commit::assembled::{self, discard_tree};
use crate::store::changes::commit::commit_plan::CommitPlan;
use crate::store::changes::commit::committed::{claim, learn_linked};
use crate::store::revisions::{self, Manifest};
use crate::store::rules::{self, UnsyncedWords};
use crate::store::versions;

/// Makes the bytes of a set survive a power cut.
///
/// # Errors
/// Those of the file system.
pub(super) fn make_durable(catalog: &Catalog, set: &ChangeSet) -> io::Result<()> {
    if catalog.layout.folder().sync_file_system()? {
        return Ok(());
    }

    for change in set.entries.values() {
        if let Change::Sent(bytes) = change {
            set.files.place(bytes.number)?.sync()?;
        }
    }
    set.files.folder()?.sync()
}

/// Does everything that can fail for want of room, and that nobody sees: bytes that the store has get a file
/// in the set, old bytes become versions, folders are made, and what is said of new bytes is written down.
///
/// # Errors
/// Those of the file system.
pub(super) fn prepare(
    catalog: &Catalog,
    files: &ChangeFiles,
    plan: &CommitPlan,
    before: Option<&Manifest>,
) -> io::Result<()> {
    let set = files.folder()?;
    let is_whole = catalog.layout.folder().syncs_as_whole()?;
    let is_assembled = plan.new_folder.is_some() || plan.exchange.is_some();
    if plan.exchange.is_none() {
        // An earlier try may have left some of it, which is not what is there now.
        discard_tree(&set)?;
    }

    // Where one call makes all of it durable, no step has to do so by itself.
    let (make, keep): (MakePlace, KeepVersion) = if is_whole {
        (Layout::made_place_unsynced, versions::keep_unsynced)
    } else {
        (Layout::made_place, versions::keep)
    };
    let mut words = is_whole.then(|| UnsyncedWords::new(catalog));
    let mut ways = is_assembled.then(|| assembled::ways(&set)).transpose()?;

    for one in &plan.published {
        let place = FilePlace::new(&set, one.bytes.number.to_string());
        let mut takes_mode = one.source.is_none();
        if let Some(source) = &one.source {
            let _ = place.remove_unsynced();
            // What is replaced keeps its mode, which another name of the source would give up.
            let current = one
                .current
                .and_then(|_| catalog.layout.place(&one.name).ok());
            takes_mode = current.is_some_and(|current| !disk::have_one_mode(source, &current));
            if takes_mode {
                disk::copy(source, &place)?;
            } else {
                disk::preserve_unsynced(source, &place)?;
            }
        }

        if let Some(ways) = &mut ways {
            drop(ways.to(one.name.folders())?);
        } else if !one.waits {
            drop(make(&catalog.layout, &one.name)?);
        }
        let needed = || versions::digests(catalog, &one.name);
        let (claim, signature) = (claim(one), one.bytes.signature.as_ref());
        match &mut words {
            Some(words) => words.keep(&claim, signature, needed)?,
            None => rules::keep(catalog, &claim, signature, &needed())?,
        }

        if let Some(stamp) = &one.current {
            if takes_mode {
                disk::take_mode(&place, &catalog.layout.place(&one.name)?)?;
            }
            if plan.keeps_versions {
                keep(catalog, &one.name, stamp)?;
            }
        }
    }

    learn_linked(catalog, plan);
    if let Some(before) = before {
        revisions::keep(catalog.layout.hidden(), before)?;
    }

    // All of that is there before the steps are decided.
    if !catalog.layout.folder().sync_file_system()? {
        set.sync()?;
    }
    Ok(())
}

type MakePlace = fn(&Layout, &ModelName) -> io::Result<FilePlace>;
type KeepVersion = fn(&Catalog, &ModelName, &Stamp) -> io::Result<()>;

/// Takes back what was prepared for a commit that is not done.
pub(super) fn tidy_up(catalog: &Catalog, files: &ChangeFiles, plan: &CommitPlan) {
    for one in &plan.published {
        if one.source.is_some() {
            let linked = files.place(one.bytes.number);
            let _ = linked.and_then(|place| place.remove_unsynced());
        }

        if one.current.is_none() {
            catalog.layout.remove_empty_folders(&one.name);
        } else if catalog.options.versions_max > 0 {
            versions::tidy(catalog, &one.name);
        }
    }
    if let Err(error) = files.folder().and_then(|set| discard_tree(&set)) {
        log::debug!("what was assembled for a commit stays until the next one: {error}");
    }
    learn_linked(catalog, plan);
}
