// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What the versions of all models take together: counted once, and kept up with each change, so that no
//! upload has to look through those of every name.
//!
//! Only a store with bounds counts. What hands change in the folder of versions is seen when something is
//! about to be refused, for which all is counted again.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::model::ModelName;
use crate::store::catalog::{Layout, Standing};
use crate::store::hidden_folder::VERSIONS;
use crate::store::versions::version_files::list;
use crate::threads::lock;

/// What versions take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct KeptVersions {
    /// Their bytes, as [`charge`] counts them, and their folders.
    pub(crate) bytes: u64,
    /// The names that have versions and are no models any more.
    pub(crate) removed: u64,
}

/// The count of all versions of a store; nothing where it has no bounds.
#[derive(Default)]
pub(crate) struct VersionCount(Mutex<Option<Counted>>);

#[derive(Clone, Copy)]
struct Counted {
    kept: KeptVersions,
    at: Instant,
    took: Duration,
}

impl VersionCount {
    /// What all versions take.
    pub(crate) fn kept(&self) -> KeptVersions {
        lock(&self.0).map_or_else(KeptVersions::default, |counted| counted.kept)
    }

    /// Counts all versions, if that was not done just now; says whether it did. Nobody may change any
    /// meanwhile.
    pub(crate) fn renew(&self, layout: &Layout) -> bool {
        let before = *lock(&self.0);
        // Where everything is refused, this is not what the store is busy with.
        if before.is_some_and(|before| before.at.elapsed() < before.took * REST_FACTOR) {
            return false;
        }

        let start = Instant::now();
        let mut kept = KeptVersions::default();
        for name in layout.hidden().names_in(VERSIONS).into_iter().flatten() {
            let own = kept_of(layout, &name);
            kept.bytes += own.bytes;
            kept.removed += own.removed;
        }

        *lock(&self.0) = Some(Counted {
            kept,
            at: Instant::now(),
            took: start.elapsed(),
        });
        true
    }
}

/// What the versions of one name take. What cannot be read is not ours.
pub(crate) fn kept_of(layout: &Layout, name: &ModelName) -> KeptVersions {
    let versions = list(layout, name).unwrap_or_default();
    let is_model = matches!(layout.standing(name), Ok(Standing::Model(_)));

    KeptVersions {
        bytes: taken(versions.iter().map(|version| version.size)),
        removed: u64::from(!versions.is_empty() && !is_model),
    }
}

/// What versions of these sizes take together with their folder.
pub(crate) fn taken(sizes: impl Iterator<Item = u64>) -> u64 {
    let bytes = sizes.fold(0, |sum: u64, size| sum.saturating_add(charge(size)));
    bytes + BLOCK_BYTES.min(bytes)
}

/// What a file of this size counts: a small one takes a block of the disk all the same.
pub(crate) fn charge(size: u64) -> u64 {
    size.max(BLOCK_BYTES)
}

/// Keeps the count up while a model and its versions change; the names are locked meanwhile.
pub(crate) struct Tally<'a> {
    count: &'a VersionCount,
    layout: &'a Layout,
    name: &'a ModelName,
    before: Option<KeptVersions>,
}

impl<'a> Tally<'a> {
    pub(crate) fn begin(count: &'a VersionCount, layout: &'a Layout, name: &'a ModelName) -> Self {
        let is_counted = lock(&count.0).is_some();
        Self {
            count,
            layout,
            name,
            before: is_counted.then(|| kept_of(layout, name)),
        }
    }
}

impl Drop for Tally<'_> {
    fn drop(&mut self) {
        let Some(before) = self.before else { return };
        let after = kept_of(self.layout, self.name);

        if let Some(counted) = lock(&self.count.0).as_mut() {
            let KeptVersions { bytes, removed } = &mut counted.kept;
            *bytes = (*bytes + after.bytes).saturating_sub(before.bytes);
            *removed = (*removed + after.removed).saturating_sub(before.removed);
        }
    }
}

/// The usual block of a file system.
pub(crate) const BLOCK_BYTES: u64 = 4096;

/// How much longer than a count nothing is counted again.
const REST_FACTOR: u32 = 20;
