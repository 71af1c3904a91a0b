// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Every number that a node counts, from whichever room keeps it.

use crate::metrics::{
    CACHE_BYTES, CACHE_ENTRIES, CACHE_HITS, CACHE_MISSES, Metric, Metrics, SCRUB_DAMAGED,
    SCRUB_MODELS, SCRUB_ROUNDS,
};
use crate::store::Store;

/// All rows with their values.
pub(crate) fn of(metrics: &Metrics, store: &Store) -> Vec<(&'static Metric, u64)> {
    let (cache, scrub) = (store.counts(), store.scrub_counts());
    let mut samples = metrics.samples();

    samples.extend([
        (&CACHE_HITS, cache.hits),
        (&CACHE_MISSES, cache.misses),
        (&CACHE_BYTES, cache.bytes),
        (&CACHE_ENTRIES, cache.entries as u64),
        (&SCRUB_ROUNDS, scrub.rounds),
        (&SCRUB_MODELS, scrub.models),
        (&SCRUB_DAMAGED, scrub.damaged),
    ]);

    samples
}
