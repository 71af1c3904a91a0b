// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What a server counts from its start on, as one table; each server counts for itself.

use std::sync::atomic::{AtomicU64, Ordering};

/// One row of the table, in the words of the Prometheus text format.
#[derive(Debug, PartialEq, Eq)]
pub struct Metric {
    /// The name, for example `skep_requests_total`.
    pub name: &'static str,
    /// What kind of number it is.
    pub kind: MetricKind,
    /// What it tells, in one sentence.
    pub help: &'static str,
    /// The names of its labels; there are none yet, and a value that a caller chooses is never one.
    pub labels: &'static [&'static str],
}

/// The kind of a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricKind {
    /// It only grows while the server runs.
    Counter,
    /// It goes up and down.
    Gauge,
}

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    /// How many there were.
    pub fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn add_one(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// Makes of one table the counts, the rows and the samples.
macro_rules! metrics {
    ($($field:ident: $name:literal, $help:literal;)*) => {
        /// The counts of one server.
        #[derive(Debug, Default)]
        #[non_exhaustive]
        pub struct Metrics {
            $(#[doc = $help] pub $field: Count,)*
        }

        /// The rows of [`Metrics`].
        pub const METRICS: &[Metric] = &[$(Metric {
            name: $name,
            kind: MetricKind::Counter,
            help: $help,
            labels: &[],
        }),*];

        impl Metrics {
            /// Every row with its value.
            pub fn samples(&self) -> Vec<(&'static Metric, u64)> {
                let values = [$(self.$field.value()),*];
                METRICS.iter().zip(values).collect()
            }
        }
    };
}

metrics! {
    connections: "skep_connections_total",
        "Connections that were accepted, those that found no place included.";
    rejected: "skep_connections_rejected_total", "Connections for which there was no place.";
    requests: "skep_requests_total", "Requests whose head could be read.";
    panics: "skep_panics_total", "Panics in handlers and in what they returned.";
}

/// A count that a room keeps itself, as a row beside [`METRICS`].
macro_rules! kept {
    ($($constant:ident: $name:literal, $kind:ident, $help:literal;)*) => {
        $(
            #[doc = $help]
            pub(crate) const $constant: Metric = Metric {
                name: $name,
                kind: MetricKind::$kind,
                help: $help,
                labels: &[],
            };
        )*
    };
}

kept! {
    CACHE_HITS: "skep_cache_hits_total", Counter, "Small models that were in the cache.";
    CACHE_MISSES: "skep_cache_misses_total", Counter, "Small models that had to be read.";
    CACHE_BYTES: "skep_cache_bytes", Gauge, "Bytes of content in the cache.";
    CACHE_ENTRIES: "skep_cache_entries", Gauge, "Models in the cache.";
    SCRUB_ROUNDS: "skep_scrub_rounds_total", Counter, "Rounds of the scrub over all models.";
    SCRUB_MODELS: "skep_scrub_models_total", Counter, "Models that the scrub has read.";
    SCRUB_DAMAGED: "skep_scrub_damaged_total", Counter,
        "Models that the scrub found damaged or could not read.";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_names_every_count_in_the_words_of_its_format() {
        let metrics = Metrics::default();
        metrics.requests.add_one();
        let samples = metrics.samples();
        assert_eq!(samples.len(), METRICS.len());

        for (row, value) in samples {
            let is_requests = row.name == "skep_requests_total";
            assert_eq!(value, u64::from(is_requests), "{}", row.name);
            assert!(row.name.starts_with("skep_") && row.name.ends_with("_total"));
            assert!(row.help.ends_with('.'), "{}", row.name);
        }
    }
}
