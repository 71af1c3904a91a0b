// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The section `[uploads]` of the settings: interrupted uploads and how long they wait to be resumed.

use std::time::Duration;

use crate::config::settings::setting::{Effect, Setting, row, set};
use crate::limits::FOREVER;
use crate::text::{bytes, bytes_or_none, count_or_none, duration_or_none};

/// The rows of this section.
pub(crate) const ROWS: &[Setting] = &[
    row(
        "max-uploads",
        "N",
        "16",
        "Interrupted uploads that can be resumed, half of them of one caller; further ones are answered 503",
        Effect::NextStart,
        set!(unbounded_count, store.uploads_max),
    )
    .off("no limit"),
    row(
        "max-uploads-bytes",
        "SIZE",
        "128GiB",
        "Size of all unfinished uploads together, half of it for one caller",
        Effect::NextStart,
        set!(unbounded_bytes, store.uploads_bytes_max),
    )
    .off("no limit but that of the disk"),
    row(
        "upload-max-age",
        "TIME",
        "24h",
        "How long an interrupted upload is kept if nobody resumes it",
        Effect::NextStart,
        set!(unbounded_time, store.upload_age_max),
    )
    .off("until it is finished or removed"),
    row(
        "upload-sync-bytes",
        "SIZE",
        "8MiB",
        "Largest number of bytes of an upload that a power cut can lose",
        Effect::NextStart,
        set!(bytes, store.upload_sync_bytes),
    )
    .stays("a power cut would lose all of an upload"),
    row(
        "max-changes",
        "N",
        "16",
        "Change sets that are open at a time, half of them of one caller; further ones are answered 503",
        Effect::NextStart,
        set!(unbounded_count, store.changes_max),
    )
    .off("no limit"),
    row(
        "max-change-files",
        "N",
        "100000",
        "Names in one change set, each of which is kept in memory until its commit",
        Effect::NextStart,
        set!(unbounded_count, store.change_files_max),
    )
    .off("no limit"),
    row(
        "max-change-memory",
        "SIZE",
        "128MiB",
        "Memory for the names of all open change sets and what is said of them, half of it for one caller",
        Effect::NextStart,
        set!(unbounded_bytes, store.change_memory_max),
    )
    .off("no limit"),
    row(
        "max-references",
        "N",
        "1000",
        "Branches and tags of one repository of the hub, each of which keeps its files",
        Effect::NextStart,
        set!(unbounded_count, store.references_max),
    )
    .off("no limit"),
];

/// What nothing reaches stands for a limit that is switched off: the store compares and knows no other case.
fn unbounded_count(text: &str) -> Result<usize, String> {
    count_or_none(text).map(|count| if count == 0 { usize::MAX } else { count })
}

pub(super) fn unbounded_bytes(text: &str) -> Result<u64, String> {
    bytes_or_none(text).map(|bytes| if bytes == 0 { u64::MAX } else { bytes })
}

pub(super) fn unbounded_time(text: &str) -> Result<Duration, String> {
    duration_or_none(text).map(|time| if time.is_zero() { FOREVER } else { time })
}
