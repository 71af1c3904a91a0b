// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The section `[uploads]` of the settings: interrupted uploads and how long they wait to be resumed.

use crate::config::settings::setting::{Effect, Setting, row, set};
use crate::text::{bytes, count, duration};

/// The rows of this section.
pub(crate) const ROWS: &[Setting] = &[
    row(
        "max-uploads",
        "N",
        "16",
        "Interrupted uploads that can be resumed; further ones are answered 503",
        Effect::NextStart,
        set!(count, store.uploads_max),
    ),
    row(
        "max-uploads-bytes",
        "SIZE",
        "128GiB",
        "Size of all unfinished uploads together",
        Effect::NextStart,
        set!(bytes, store.uploads_bytes_max),
    ),
    row(
        "upload-max-age",
        "TIME",
        "24h",
        "How long an interrupted upload is kept if nobody resumes it",
        Effect::NextStart,
        set!(duration, store.upload_age_max),
    ),
    row(
        "upload-sync-bytes",
        "SIZE",
        "8MiB",
        "Largest number of bytes of an upload that a power cut can lose",
        Effect::NextStart,
        set!(bytes, store.upload_sync_bytes),
    ),
];
