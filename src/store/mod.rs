// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The models of one directory: plain files that are listed, opened, replaced and removed whole.
//!
//! Invariants: a name holds the old bytes or the new bytes, never a mixture; what was acknowledged
//! survives a power cut; a digest belongs to exactly the bytes it is shown for. Models may be copied in,
//! changed and removed by hand at any time. Only regular files are models, and links are not followed.
//!
//! Not here: HTTP, passwords, and how a file gets its name durably (`disk.rs`).

mod about;
mod blobs;
mod catalog;
mod changes;
mod check;
mod claim;
mod clearing;
mod failure;
mod hidden_folder;
mod listing;
mod locking;
mod objects;
mod options;
mod publishing;
mod ready_files;
mod references;
mod removal;
mod revisions;
mod rules;
mod store_events;
mod store_handle;
mod stored;
#[cfg(test)]
mod tests;
mod upload;
mod versions;
mod xorbs;

pub use crate::model::Verified;
pub use about::{About, Metadata};
pub(crate) use blobs::BlobSearch;
pub use catalog::CacheCounts;
pub(crate) use changes::{
    Change, ChangeId, ChangeRequest, CommitOutcome, ExpectedState, MoveRequest, Others,
};
pub use check::{Check, ScrubCounts, Verdict};
pub use claim::{Condition, Published};
pub(crate) use clearing::{ClearMode, ClearRequest, ClearedKind};
pub(crate) use listing::Listing;
pub(crate) use objects::{ObjectRequest, ObjectUpload};
pub use options::{Replace, StoreOptions};
pub(crate) use references::{ReferenceKind, ReferenceName};
pub(crate) use revisions::{FolderMember, Manifest, RevisionChoice};
pub(crate) use store_events::StoreEvents;
pub use store_handle::Store;
pub use stored::{OpenedModel, StoredContent};
pub use upload::Upload;
pub(crate) use upload::{AppendMode, UploadIntent, UploadSession};
pub use versions::ModelVersion;
pub(crate) use versions::{RemovedModel, no_version};
pub(crate) use xorbs::{SESSION_LIFE, XetSessionId, XetUpload};

use std::path::Path;
use std::sync::{Arc, Mutex, RwLock};
use std::time::SystemTime;

#[cfg(test)]
use crate::error::ErrorKind;
use crate::error::{Error, Result};
use crate::model::{ListRequest, Model, ModelName};
use crate::signature::Signature;
use crate::threads::{lock, spawn};
use blobs::ProvenBlobs;
use catalog::{Cache, Catalog, Digester, Index, Layout, NameList, Stamp, Standing};
use changes::{OpenChanges, ShownCommits, UnfinishedCommit};
use check::Scrub;
pub(crate) use failure::is_for_callers;
use failure::{mendable, unlisted, unreadable, unstored};
use hidden_folder::strange_entries::tell_of_strange_entries;
use locking::name_locks::NameLocks;
use objects::Objects;
use ready_files::ReadyQueue;
use store_handle::Owner;
use upload::UnfinishedUploads;
use versions::VersionCount;
use xorbs::XetSessions;

impl Store {
    /// Opens a model directory, which is made where it is missing, and starts the threads `cache`,
    /// `digester` and, where it is wanted, `scrub`. The directory is this store's own until its last clone is dropped.
    ///
    /// # Errors
    /// `Usage` if the directory cannot be used, with the reason and a way out; `AlreadyRunning` if
    /// another store has it; `NoSpace` if the disk is too full to even prepare it.
    pub fn open(directory: &Path, options: StoreOptions) -> Result<Self> {
        Self::open_with(directory, options, StoreEvents::default())
    }

    /// The same for a store that others listen to.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub(crate) fn open_with(
        directory: &Path,
        options: StoreOptions,
        events: StoreEvents,
    ) -> Result<Self> {
        // The lock of the directory comes first: nothing in it may be read or tidied while another
        // process uses it.
        let layout = Layout::open(directory, &options)?;
        let catalog = Arc::new(Catalog {
            index: Index::open(layout.kept_index()),
            cache: Cache::new(&options),
            name_list: NameList::default(),
            digester: Digester::new(options.clock_tick),
            ready: ReadyQueue::new(options.ready_delay),
            names: NameLocks::default(),
            decision: Mutex::default(),
            pending: UnfinishedUploads::open(&layout, &options),
            scrub: Scrub::default(),
            version_count: VersionCount::default(),
            changes: OpenChanges::default(),
            unfinished: UnfinishedCommit::default(),
            shown_commits: ShownCommits::default(),
            last_manifests: Mutex::default(),
            proven_blobs: ProvenBlobs::default(),
            objects: Objects::open(layout.hidden()),
            references: Mutex::default(),
            xet_sessions: XetSessions::open(&layout),
            shown: RwLock::default(),
            events,
            layout,
            options,
        });

        // The owner comes before its threads: dropped, it ends the others where one cannot be started.
        let store = Self(Arc::new(Owner {
            catalog,
            threads: Mutex::default(),
        }));

        // Before anybody looks: what was committed is there as a whole.
        let strange = tell_of_strange_entries(store.catalog().layout.hidden());
        changes::recover(store.catalog()).map_err(|error| mendable(error, &strange))?;
        references::begin(&store);
        ready_files::begin(store.catalog())?;
        store.catalog().begin_bounds();

        let (cleaner, digester) = (Arc::clone(store.catalog()), Arc::clone(store.catalog()));
        let threads = [
            spawn("cache", move || cleaner.cache.run()),
            spawn("digester", move || {
                digester
                    .digester
                    .run(&digester.layout, &digester.index, &digester.ready)
            }),
        ];

        for thread in threads {
            let thread = thread.map_err(|error| Error::io("cannot start a thread", error))?;
            lock(&store.0.threads).push(thread);
        }

        // No thread exists for what is switched off: each costs a stack on a small device.
        let options = &store.catalog().options;
        if !options.scrub_interval.is_zero() {
            store.start("scrub", check::run)?;
        }
        if store.catalog().layout.has_ready_files() {
            store.start("ready", |catalog| ready_files::run(catalog))?;
        }

        let layout = &store.catalog().layout;
        layout.tell_of_strange_names().map_err(unlisted)?;

        // One listing at the start queues every model whose digest is not in the index, and has the names
        // in memory for the first caller.
        store.listing(ListRequest::default())?.for_each(drop);
        Ok(store)
    }

    /// The absolute path of the directory.
    pub fn directory(&self) -> &Path {
        self.catalog().layout.directory()
    }

    /// All models, sorted by name. Digests that are not known yet are being computed.
    ///
    /// # Errors
    /// `Busy` if the directory is not there, or if a commit is not done to its end; otherwise those of the file
    /// system.
    pub fn list(&self) -> Result<Vec<Model>> {
        let catalog = self.catalog();
        catalog.layout.check_there()?;

        // A folder that is exchanged meanwhile would seem to lose its models.
        let models = {
            let shown = catalog.shown();
            shown.check_all()?;
            catalog.layout.models().map_err(unlisted)?
        };

        let model = |(name, stamp): &(ModelName, Stamp)| catalog.model(name, stamp);
        let mut models: Vec<Model> = models.iter().map(model).collect();
        models.sort_unstable_by(|one, other| one.name.cmp(&other.name));
        Ok(models)
    }

    /// The name of the model that a caller means: letters with marks are the same letters in both forms of
    /// Unicode, of which file systems and keyboards do not use the same one.
    pub(crate) fn spelled(&self, name: &ModelName) -> ModelName {
        self.catalog().spelled(name)
    }

    /// What is known of a model.
    ///
    /// # Errors
    /// `NotFound` if there is none, with the name that may have been meant; `Busy` if the directory is
    /// not there, or if the name is one of a commit that is not done to its end; otherwise those of the file system.
    pub fn find(&self, name: &ModelName) -> Result<Model> {
        let standing = {
            let shown = self.catalog().shown();
            shown.check(name)?;
            self.catalog().standing(name)?
        };
        match standing {
            Standing::Model(stamp) => Ok(self.catalog().model(name, &stamp)),
            _ => Err(self.catalog().not_found(name)),
        }
    }

    /// Opens a model for reading.
    ///
    /// # Errors
    /// As [`Store::find`].
    pub fn open_model(&self, name: &ModelName) -> Result<OpenedModel> {
        let catalog = self.catalog();
        let size_max = catalog.options.cache_file_bytes_max;

        let shown = catalog.shown();
        shown.check(name)?;

        // The stamp is taken from the file itself, so a model that was changed by hand is never
        // served from the cache.
        if catalog.cache.has(name)
            && let Standing::Model(stamp) = catalog.standing(name)?
            && let Some(opened) = catalog.cached(name, &stamp)
        {
            return Ok(opened);
        }

        // The name can change between the look above and this call: from here on, only the open
        // file and its own stamp count.
        catalog.layout.check_there()?;
        let unreadable = |error| unreadable(name, error);
        let start = SystemTime::now();
        let opened = catalog.layout.open_model(name).map_err(unreadable)?;
        drop(shown);
        let (file, stamp) = opened.ok_or_else(|| catalog.not_found(name))?;

        if stamp.size <= size_max {
            catalog.cache.miss(name, &stamp);
            let about = |digest| rules::find(catalog, name, Some(digest)).map(Arc::new);
            let read = catalog.read_small(name, &file, (start, stamp), &about);
            if let Some(stored) = read.map_err(unreadable)? {
                return Ok(stored);
            }
        }

        let model = catalog.model(name, &stamp);
        let about = rules::find(catalog, name, model.digest).map(Arc::new);
        Ok(OpenedModel {
            model,
            stamp,
            about,
            content: StoredContent::File(file),
        })
    }

    /// Whether a model is in memory, perhaps as it was before it changed; nothing is asked of the disk.
    pub(crate) fn may_be_cached(&self, name: &ModelName) -> bool {
        self.catalog().cache.has(name)
    }

    /// Opens a model that is in memory; nothing is read from the disk but the stamp of its file.
    pub(crate) fn open_cached(&self, name: &ModelName) -> Option<OpenedModel> {
        let catalog = self.catalog();
        // Whoever calls this cannot wait for a change set.
        let shown = catalog.shown.try_read().ok()?;
        shown.check(name).ok()?;
        match catalog.standing(name) {
            Ok(Standing::Model(stamp)) => catalog.cached(name, &stamp),
            _ => None,
        }
    }

    /// Begins an upload, of a size that is known or not.
    ///
    /// # Errors
    /// `NoSpace` if the known size does not fit; otherwise those of the file system.
    pub fn upload(&self, size: Option<u64>) -> Result<Upload> {
        self.catalog().check_changeable()?;
        self.catalog().check_space(size.unwrap_or_default())?;
        let part = self.catalog().layout.part().map_err(unstored)?;
        Ok(Upload::new(self.clone(), part, size))
    }

    /// Whether a condition holds for now, to refuse an upload before its bytes travel;
    /// [`Upload::commit`] checks it again.
    ///
    /// # Errors
    /// Those of the condition, as in [`Upload::commit`].
    pub fn check(&self, name: &ModelName, condition: &Condition) -> Result<()> {
        let digested = self.catalog().digest_for(name, condition)?;
        let current = self.catalog().judge(name, condition, digested)?;
        self.catalog().check_replace(name, condition, current)
    }

    /// What was said of a model's present bytes when they were uploaded.
    pub fn about(&self, model: &Model) -> Option<About> {
        rules::find(self.catalog(), &model.name, model.digest)
    }

    /// Adds what was said of the bytes of a model that was opened.
    pub(crate) fn described(&self, opened: OpenedModel) -> OpenedModel {
        OpenedModel {
            about: self.about(&opened.model).map(Arc::new),
            ..opened
        }
    }

    /// Whether an upload has the signature it needs as far as can be told now, to refuse it before its
    /// bytes travel; [`Upload::commit`] checks the bytes.
    ///
    /// # Errors
    /// `Integrity` if uploads have to be signed and this one is not, or by another key; otherwise
    /// those of the file system.
    pub fn check_signer(&self, name: &ModelName, signature: Option<&Signature>) -> Result<()> {
        self.catalog().expect_signature(name, signature)
    }

    /// How the cache does.
    pub fn counts(&self) -> CacheCounts {
        self.catalog().cache.counts()
    }

    /// Ends the threads, even in the middle of a long file, and writes the index. The store can still
    /// be used, without them. The last drop does the same.
    pub fn close(&self) {
        self.0.close();
    }
}
