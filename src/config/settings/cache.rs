// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The section `[cache]` of the settings: memory for small models.

use crate::config::settings::setting::{Effect, Setting, row, set};
use crate::config::settings::uploads::unbounded_time;
use crate::text::{bytes_or_none, count_or_none};

/// The rows of this section.
pub(crate) const ROWS: &[Setting] = &[
    row(
        "cache-bytes",
        "SIZE",
        "8MiB",
        "Memory for small models",
        Effect::NextStart,
        set!(bytes_or_none, store.cache_bytes_max),
    )
    .off("nothing is kept in memory"),
    row(
        "cache-file-bytes",
        "SIZE",
        "2MiB",
        "The largest model that is kept in memory",
        Effect::NextStart,
        set!(bytes_or_none, store.cache_file_bytes_max),
    )
    .off("nothing is kept in memory"),
    row(
        "cache-entries",
        "N",
        "50",
        "How many models are kept in memory",
        Effect::NextStart,
        set!(count_or_none, store.cache_entries_max),
    )
    .off("nothing is kept in memory"),
    row(
        "cache-idle",
        "TIME",
        "1m",
        "How long an unused model stays in memory",
        Effect::NextStart,
        set!(unbounded_time, store.cache_idle),
    )
    .off("until others need the memory"),
];
