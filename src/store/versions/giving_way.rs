// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Old versions give way to newer ones, and to models: the oldest first, of whatever model.
//!
//! Which is the oldest is what the file system says, so a sudden end between two removals leaves nothing
//! behind. A power cut may bring back the last ones, which then go with the next upload.

use std::collections::BTreeSet;
use std::io;

use crate::disk::{FilePlace, Folder};
use crate::model::{BLOCK_BYTES, ModelName, charge, taken};
use crate::store::catalog::{Catalog, Standing};
use crate::store::hidden_folder::VERSIONS;
use crate::store::locking::name_locks::NameScope;
use crate::store::versions::aged_version::AgedVersion;
use crate::store::versions::pruning::{forget_removed, prune, remove_empty};
use crate::store::versions::tally::{KeptVersions, kept_of};
use crate::store::versions::version_files::{list, parse};
use crate::store::versions::version_room::VersionRoom;

impl Catalog {
    /// Whether versions are kept, and those of these sizes have room among them.
    pub(crate) fn keeps_versions(
        &self,
        sizes: impl IntoIterator<Item = u64>,
        room: VersionRoom,
    ) -> bool {
        let sizes = sizes.into_iter();
        self.options.versions_max > 0 && taken(sizes) <= room.bytes.min(self.version_bytes_max())
    }

    /// How many bytes can be removed at once so that all of them become versions; `None` for any number.
    pub(crate) fn undo_bytes(&self) -> Option<u64> {
        if self.options.versions_max == 0 {
            return Some(0);
        }
        Some(self.version_bytes_max()).filter(|bytes| *bytes < u64::MAX)
    }

    /// What all versions may take together.
    fn version_bytes_max(&self) -> u64 {
        let options = &self.options;
        if options.versions_max == 0 {
            // What was asked for is kept all the same.
            return u64::MAX;
        }

        let total = match options.version_share_max {
            0 => None,
            _ => self.layout.folder().total_bytes().ok().flatten(),
        };
        let share = total.map(|total| total / 100 * options.version_share_max);
        let size = Some(options.version_bytes_max).filter(|size| *size > 0);
        share.into_iter().chain(size).min().unwrap_or(u64::MAX)
    }
}

/// Removes the oldest versions until all of them have room; a failure is logged, since the models are well.
/// All names are locked, and no tally is open.
pub(crate) fn keep_within(catalog: &Catalog, room: VersionRoom) {
    let bytes_max = room.bytes.min(catalog.version_bytes_max());
    if bytes_max == u64::MAX && room.removed == u64::MAX {
        return;
    }

    let count = &catalog.version_count;
    let is_over = || {
        let kept = count.kept();
        kept.bytes > bytes_max || kept.removed > room.removed
    };
    if !count.is_counted() || is_over() {
        // Hands may have removed some.
        count.renew(&catalog.layout);
    }

    let over = count.kept().removed.saturating_sub(room.removed);
    if over > 0 {
        give_up_removed(catalog, usize::try_from(over).unwrap_or(usize::MAX));
    }
    give_way_while(catalog, |_| count.kept().bytes > bytes_max);
}

/// Frees so many bytes of the disk, or all that versions have; returns how many were freed.
pub(crate) fn free(catalog: &Catalog, wanted: u64) -> u64 {
    let Ok(_guard) = catalog.changing(NameScope::All) else {
        return 0;
    };
    let count = &catalog.version_count;
    count.renew(&catalog.layout);

    give_way_while(catalog, |freed| freed < wanted)
}

/// Whether the versions have so many bytes that they could free.
pub(crate) fn could_free(catalog: &Catalog, wanted: u64) -> bool {
    if catalog.version_count.kept().bytes < wanted {
        let _guard = catalog.locking(NameScope::All);
        catalog.version_count.renew(&catalog.layout);
    }
    catalog.version_count.kept().bytes >= wanted
}

/// Removes the oldest versions while more has to go than these bytes that were freed; returns the bytes.
fn give_way_while(catalog: &Catalog, is_wanting: impl Fn(u64) -> bool) -> u64 {
    let (mut freed, mut has_gone) = (0_u64, true);

    while is_wanting(freed) {
        let Some(oldest) = catalog.version_count.take_oldest() else {
            // The last look found some that all stay.
            if !has_gone {
                break;
            }
            catalog.version_count.count(&catalog.layout);
            has_gone = false;
            continue;
        };

        match give_up(catalog, &oldest) {
            Ok(None) => {}
            Ok(Some(bytes)) => {
                log::info!(
                    "an old version of '{}' has given way: {} bytes",
                    oldest.name,
                    bytes
                );
                freed += bytes;
                has_gone = true;
            }
            Err(error) => {
                let name = &oldest.name;
                log::warn!("an old version of '{name}' cannot be removed: {error}");
            }
        }
    }
    freed
}

/// Removes a version; returns how many bytes of the disk that frees, and `None` if it is not that one any
/// more.
fn give_up(catalog: &Catalog, old: &AgedVersion) -> io::Result<Option<u64>> {
    let name = &old.name;
    let Some(folder) = catalog.layout.versions_of(name)? else {
        return Ok(None);
    };
    let place = FilePlace::new(&folder, old.file_name());
    let facts = match place.facts() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        facts => facts?,
    };
    // Another one has come under the name, or it was a model meanwhile.
    if !facts.is_file() || facts.changed != old.kept {
        return Ok(None);
    }

    if facts.links == 1 {
        // Of a model with thousands of versions, not all are looked at for each that goes.
        place.remove_unsynced()?;
        catalog.version_count.subtract(KeptVersions {
            bytes: charge(facts.size),
            removed: 0,
        });
        tidy_last(catalog, name, &folder)?;
        return Ok(Some(facts.size));
    }

    // It may have another name among the versions, which counts now. Models that have their file in common
    // with it stay as they are.
    let tally = catalog.tally(name);
    place.remove_unsynced()?;
    if list(&catalog.layout, name)?.is_empty() {
        remove_empty(catalog, name);
        forget_removed(catalog, name);
    }
    drop(tally);
    if let Some(digest) = old.digest() {
        catalog.learn_linked(&BTreeSet::from([*digest.as_bytes()]));
    }
    Ok(Some(0))
}

/// What comes after the last version of a model has gone.
fn tidy_last(catalog: &Catalog, name: &ModelName, folder: &Folder) -> io::Result<()> {
    for entry in folder.entries()? {
        if entry?.name.to_str().and_then(parse).is_some() {
            return Ok(());
        }
    }

    let is_model = matches!(catalog.layout.standing(name), Ok(Standing::Model(_)));
    catalog.version_count.subtract(KeptVersions {
        bytes: BLOCK_BYTES,
        removed: u64::from(!is_model),
    });
    remove_empty(catalog, name);
    forget_removed(catalog, name);
    Ok(())
}

/// Removes all versions of so many models that were removed, of those first that were kept first.
fn give_up_removed(catalog: &Catalog, most: usize) {
    let layout = &catalog.layout;
    let names = layout.hidden().names_in(VERSIONS).into_iter().flatten();
    let mut removed: Vec<_> = names
        .filter(|name| kept_of(layout, name).removed > 0)
        .filter_map(|name| {
            let newest = list(layout, &name).ok()?.into_iter().next()?;
            Some((newest.kept, name))
        })
        .collect();
    removed.sort_unstable();

    for (_, name) in removed.iter().take(most) {
        let _tally = catalog.tally(name);
        match prune(catalog, name, 0) {
            Ok(()) => forget_removed(catalog, name),
            Err(error) => log::warn!("old versions of '{name}' cannot be removed: {error}"),
        }
    }
}
