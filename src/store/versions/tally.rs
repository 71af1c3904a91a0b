// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What the versions of all models take together: counted once, and kept up with each change, so that no
//! upload has to look through those of every name.
//!
//! They are counted when they first matter. What hands change in the folder of versions is seen when
//! something is about to give way, for which all is counted again. The same look finds the oldest ones, so
//! that many can go before the next look.

use std::collections::{BinaryHeap, VecDeque};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::model::{ModelName, taken};
use crate::store::catalog::{Layout, Standing};
use crate::store::hidden_folder::VERSIONS;
use crate::store::versions::aged_version::AgedVersion;
use crate::store::versions::version_files::{ModelVersion, list};
use crate::threads::lock;

/// What versions take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct KeptVersions {
    /// Their bytes, as [`charge`](crate::model::charge) counts them, and their folders.
    pub(crate) bytes: u64,
    /// The names that have versions and are no models any more.
    pub(crate) removed: u64,
}

/// The count of all versions of a store; nothing until it matters.
#[derive(Default)]
pub(crate) struct VersionCount {
    counted: Mutex<Option<Counted>>,
    /// Some may have to give way once nobody changes any name.
    owes_room: AtomicBool,
}

struct Counted {
    kept: KeptVersions,
    /// The oldest ones there were, oldest first.
    oldest: VecDeque<AgedVersion>,
    at: Instant,
    took: Duration,
}

impl VersionCount {
    /// What all versions take, as far as they are counted.
    pub(crate) fn kept(&self) -> KeptVersions {
        let counted = lock(&self.counted);
        let counted = counted.as_ref();
        counted.map_or_else(KeptVersions::default, |counted| counted.kept)
    }

    /// Whether they are counted.
    pub(crate) fn is_counted(&self) -> bool {
        lock(&self.counted).is_some()
    }

    /// Notes that some may have to give way, which concerns all names.
    pub(crate) fn owe_room(&self) {
        self.owes_room.store(true, Ordering::SeqCst);
    }

    /// Whether that is to be looked at.
    pub(crate) fn owes_room(&self) -> bool {
        self.owes_room.load(Ordering::SeqCst)
    }

    /// The same for whoever looks at it now; no one else does.
    pub(crate) fn pays_room(&self) -> bool {
        self.owes_room.swap(false, Ordering::SeqCst)
    }

    /// Takes the oldest of those that the last count has found, and that was not taken yet.
    pub(crate) fn take_oldest(&self) -> Option<AgedVersion> {
        lock(&self.counted).as_mut()?.oldest.pop_front()
    }

    /// Takes off what is gone.
    pub(crate) fn subtract(&self, gone: KeptVersions) {
        if let Some(counted) = lock(&self.counted).as_mut() {
            let KeptVersions { bytes, removed } = &mut counted.kept;
            *bytes = bytes.saturating_sub(gone.bytes);
            *removed = removed.saturating_sub(gone.removed);
        }
    }

    /// Counts all versions, if that was not done just now. Nobody may change any meanwhile.
    pub(crate) fn renew(&self, layout: &Layout) {
        // Where nothing can go, this is not what the store is busy with.
        let is_new = lock(&self.counted)
            .as_ref()
            .is_some_and(|before| before.at.elapsed() < before.took * REST_FACTOR);
        if !is_new {
            self.count(layout);
        }
    }

    /// Counts all versions. Nobody may change any meanwhile.
    pub(crate) fn count(&self, layout: &Layout) {
        let start = Instant::now();
        let mut kept = KeptVersions::default();
        // The youngest of those that are kept in mind is on top, for an older one to take its place.
        let mut oldest = BinaryHeap::new();

        for name in layout.hidden().names_in(VERSIONS).into_iter().flatten() {
            let versions = list(layout, &name).unwrap_or_default();
            let own = kept_of_these(layout, &name, &versions);
            kept.bytes += own.bytes;
            kept.removed += own.removed;

            for version in &versions {
                oldest.push(AgedVersion::new(&name, version));
                if oldest.len() > OLDEST_MAX {
                    oldest.pop();
                }
            }
        }

        *lock(&self.counted) = Some(Counted {
            kept,
            oldest: oldest.into_sorted_vec().into(),
            at: Instant::now(),
            took: start.elapsed(),
        });
    }
}

/// What the versions of one name take. What cannot be read is not ours.
pub(crate) fn kept_of(layout: &Layout, name: &ModelName) -> KeptVersions {
    kept_of_these(layout, name, &list(layout, name).unwrap_or_default())
}

fn kept_of_these(layout: &Layout, name: &ModelName, versions: &[ModelVersion]) -> KeptVersions {
    let is_model = matches!(layout.standing(name), Ok(Standing::Model(_)));

    KeptVersions {
        bytes: taken(versions.iter().map(|version| version.size)),
        removed: u64::from(!versions.is_empty() && !is_model),
    }
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
        let is_counted = count.is_counted();
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

        if let Some(counted) = lock(&self.count.counted).as_mut() {
            let KeptVersions { bytes, removed } = &mut counted.kept;
            *bytes = (*bytes + after.bytes).saturating_sub(before.bytes);
            *removed = (*removed + after.removed).saturating_sub(before.removed);
        }
    }
}

/// Versions that go before all are looked through again: some hundred kilobytes of memory.
const OLDEST_MAX: usize = 2048;

/// How much longer than a count nothing is counted again.
const REST_FACTOR: u32 = 20;
