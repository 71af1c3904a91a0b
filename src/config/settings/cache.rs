// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The section `[cache]` of the settings: memory for small models.

use crate::config::settings::setting::{Effect, Setting, row, set};
use crate::text::{bytes, count, duration};

/// The rows of this section.
pub(crate) const ROWS: &[Setting] = &[
    row(
        "cache-bytes",
        "SIZE",
        "8MiB",
        "Memory for small models",
        Effect::NextStart,
        set!(bytes, store.cache_bytes_max),
    ),
    row(
        "cache-file-bytes",
        "SIZE",
        "2MiB",
        "The largest model that is kept in memory",
        Effect::NextStart,
        set!(bytes, store.cache_file_bytes_max),
    ),
    row(
        "cache-entries",
        "N",
        "50",
        "How many models are kept in memory",
        Effect::NextStart,
        set!(count, store.cache_entries_max),
    ),
    row(
        "cache-idle",
        "TIME",
        "1m",
        "How long an unused model stays in memory",
        Effect::NextStart,
        set!(duration, store.cache_idle),
    ),
];
