// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What a store may spend, with its defaults.

use std::time::Duration;

use crate::signature::PublicKey;

/// Bounds of a store.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoreOptions {
    /// The largest model that is cached, and digested while it is opened. Default 2 MiB.
    pub cache_file_bytes_max: u64,
    /// Bytes of all cached models. Default 8 MiB.
    pub cache_bytes_max: u64,
    /// Cached models. Default 50.
    pub cache_entries_max: usize,
    /// For how long a model stays cached that nobody asks for. Default 60 s.
    pub cache_idle: Duration,
    /// When an unfinished upload of another process counts as left over, on file systems without locks;
    /// with locks it does at once. Default 24 h.
    pub part_age_max: Duration,
    /// Uploads that come in pieces and are not finished; one principal may have half of them. Default 16.
    pub uploads_max: usize,
    /// Bytes of all of them together, of which one principal may have half. Default 128 GiB.
    pub uploads_bytes_max: u64,
    /// How long one that nobody continues is kept. Default 24 h.
    pub upload_age_max: Duration,
    /// After how many bytes they are made durable and their number is journalled. Default 8 MiB.
    pub upload_sync_bytes: u64,
    /// Change sets that are open; one principal may have half of them. Default 16.
    pub changes_max: usize,
    /// Names in one of them. Default 100,000.
    pub change_files_max: usize,
    /// Bytes of memory for the names of all of them, of which one principal may have half. Default 128 MiB.
    pub change_memory_max: u64,
    /// Files of a folder that may stay as they are where a change set changes the folder in one step, also for
    /// programs that look into the directory themselves; 0 to have each file get its name by itself. Default 1000.
    pub exchange_files: usize,
    /// Branches and tags of one folder. Default 1000.
    pub references_max: usize,
    /// If there are any: only what one of these keys has signed is published. Files that are copied in
    /// by hand are not asked. Default none.
    pub signers: Vec<PublicKey>,
    /// Bytes of all models and their kept versions, each of which counts 4 KiB at least, as does a folder of
    /// versions; 0 for no limit, which is the default. Versions give way to models.
    pub total_bytes_max: u64,
    /// How many models there may be, with the removed ones of which versions are kept, and which give way; 0 for
    /// no limit, which is the default. What is copied in by hand counts, but is not refused.
    pub models_max: usize,
    /// What an upload leaves free on the disk. Default 64 MiB.
    pub reserve_bytes: u64,
    /// Patterns of the names that uploads may have, with `*` and `?`; none (the default) for any.
    pub accept: Vec<String>,
    /// What happens to an upload whose name is taken. Default: it replaces the model.
    pub replace: Replace,
    /// Models are served as they are: nothing is changed in the directory. Default: not.
    pub read_only: bool,
    /// Whether uploads have to name a licence. Default: not.
    pub require_license: bool,
    /// How many keys with values may be said of a model. Default 16.
    pub meta_max: usize,
    /// How many bytes they may have together. Default 4 KiB.
    pub meta_bytes_max: usize,
    /// Whether models whose names end as those of a known format (`.gguf`, `.zip`) have to begin as files
    /// of that format do. Default: not.
    pub require_format: bool,
    /// Whether models whose names end as those of pickles (`.pt`, `.bin`, `.pkl`) are refused if they import
    /// more than what makes tensors. Default: not.
    pub refuse_unsafe_pickles: bool,
    /// How many versions of a model are kept when it is replaced or removed. Default 1.
    pub versions_max: usize,
    /// Bytes of all kept versions, the oldest of which give way to newer ones; 0 for no limit. Default 4 GiB.
    pub version_bytes_max: u64,
    /// How much of the file system all kept versions may take, in percent; 0 for no limit. Default 10.
    pub version_share_max: u64,
    /// How often all models are read again to find damage; zero (the default) for never.
    pub scrub_interval: Duration,
    /// Whether a file `.ready` with its revision stands in each folder of models. Default: not.
    pub ready_files: bool,
    /// How long a folder has to be left alone before it gets one.
    pub(crate) ready_delay: Duration,
    /// How long a commit that the disk broke off is left alone before it is tried again; it doubles with each attempt.
    pub(crate) finish_pause: Duration,
    /// The coarsest clock of a file system: 2 s on FAT, and 0.1 s for the kernel's own ticks.
    pub(crate) clock_tick: Duration,
}

/// What happens to an upload whose name is taken, if it says nothing of what it replaces.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Replace {
    /// It replaces the model.
    #[default]
    Replace,
    /// It is refused.
    Refuse,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self {
            cache_file_bytes_max: 2 << 20,
            cache_bytes_max: 8 << 20,
            cache_entries_max: 50,
            cache_idle: Duration::from_secs(60),
            part_age_max: Duration::from_secs(24 * 60 * 60),
            uploads_max: 16,
            uploads_bytes_max: 128 << 30,
            upload_age_max: Duration::from_secs(24 * 60 * 60),
            upload_sync_bytes: 8 << 20,
            changes_max: 16,
            change_files_max: 100_000,
            references_max: 1000,
            change_memory_max: 128 << 20,
            exchange_files: 1000,
            signers: Vec::new(),
            total_bytes_max: 0,
            models_max: 0,
            reserve_bytes: 64 << 20,
            accept: Vec::new(),
            replace: Replace::Replace,
            read_only: false,
            require_license: false,
            meta_max: 16,
            meta_bytes_max: 4 << 10,
            require_format: false,
            refuse_unsafe_pickles: false,
            versions_max: 1,
            version_bytes_max: 4 << 30,
            version_share_max: 10,
            scrub_interval: Duration::ZERO,
            ready_files: false,
            ready_delay: Duration::from_secs(1),
            finish_pause: Duration::from_secs(1),
            clock_tick: Duration::from_millis(2100),
        }
    }
}
