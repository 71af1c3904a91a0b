// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What is to be freed, and what was: values only.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::disk::FileFacts;

/// What is to be freed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ClearRequest {
    /// How many versions of each model, and revisions of each folder, stay.
    pub(crate) keep: usize,
    /// For how long nobody has gone on with an upload or a change set that goes.
    pub(crate) idle_min: Duration,
    pub(crate) mode: ClearMode,
}

/// Whether anything is removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ClearMode {
    Remove,
    Count,
}

/// What was freed, or would be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cleared {
    pub(crate) versions: ClearedKind,
    pub(crate) revisions: ClearedKind,
    pub(crate) uploads: ClearedKind,
    pub(crate) changes: ClearedKind,
    /// What was said of bytes that are not here any more.
    pub(crate) descriptions: ClearedKind,
    /// Remembered digests of models that are not here any more: lines of one file.
    pub(crate) digests: ClearedKind,
}

/// What was freed of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ClearedKind {
    pub(crate) files: u64,
    pub(crate) bytes: u64,
}

impl ClearedKind {
    pub(crate) fn add(&mut self, bytes: u64) {
        self.files += 1;
        self.bytes += bytes;
    }

    pub(crate) fn add_all(&mut self, others: Self) {
        self.files += others.files;
        self.bytes += others.bytes;
    }
}

/// Counts the bytes of files, each when its last name goes.
#[derive(Default)]
pub(crate) struct FileCount(BTreeMap<u64, u64>);

impl FileCount {
    /// What is freed when a file loses the name of which this is said, before it does.
    pub(crate) fn freed(&mut self, facts: &FileFacts, mode: ClearMode) -> u64 {
        if facts.links <= 1 {
            return facts.size;
        }
        let gone = self.0.entry(facts.inode).or_default();
        *gone += 1;
        // Where nothing is removed, the names that would be are still counted.
        let is_last = mode == ClearMode::Count && *gone == facts.links;
        if is_last { facts.size } else { 0 }
    }
}
