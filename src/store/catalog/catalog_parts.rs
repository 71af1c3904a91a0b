// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What the store and its threads share, and how what they know of a model is brought together.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::SystemTime;

use crate::digest::Digest;
use crate::error::{Error, ErrorKind, Result};
use crate::model::{Model, ModelName};
use crate::store::about::About;
use crate::store::blobs::ProvenBlobs;
use crate::store::catalog::cache::Cache;
use crate::store::catalog::digester::Digester;
use crate::store::catalog::index::Index;
use crate::store::catalog::layout::{Layout, Standing};
use crate::store::catalog::name_list::NameList;
use crate::store::catalog::stamp::Stamp;
use crate::store::changes::{CommitStep, HiddenNames, OpenChanges, ShownCommits, UnfinishedCommit};
use crate::store::check::Scrub;
use crate::store::claim::Condition;
use crate::store::failure::unreadable;
use crate::store::locking::name_locks::NameLocks;
use crate::store::objects::Objects;
use crate::store::options::StoreOptions;
use crate::store::ready_files::ReadyQueue;
use crate::store::revisions::AskedManifest;
use crate::store::store_events::StoreEvents;
use crate::store::stored::{OpenedModel, StoredContent};
use crate::store::upload::UnfinishedUploads;
use crate::store::versions::{Tally, VersionCount};
use crate::store::xorbs::XetSessions;
use crate::threads::lock;

/// The parts of a store.
pub(crate) struct Catalog {
    pub(crate) layout: Layout,
    pub(crate) options: StoreOptions,
    pub(crate) index: Index,
    pub(crate) cache: Cache,
    pub(crate) name_list: NameList,
    pub(crate) digester: Digester,
    /// The folders whose files with revisions are to be looked at.
    pub(crate) ready: ReadyQueue,
    pub(crate) scrub: Scrub,
    pub(crate) version_count: VersionCount,
    pub(crate) events: StoreEvents,
    /// Held while a condition is checked and the name gets its new content. [`Catalog::changing`] takes them.
    pub(crate) names: NameLocks,
    /// Held, with names locked, from the decision of a commit until it is done.
    pub(crate) decision: Mutex<()>,
    pub(crate) pending: UnfinishedUploads,
    pub(crate) changes: OpenChanges,
    pub(crate) unfinished: UnfinishedCommit,
    /// The revisions that were asked for last, newest first.
    pub(crate) last_manifests: Mutex<VecDeque<AskedManifest>>,
    /// Digests of old versions that were asked for by digest.
    pub(crate) proven_blobs: ProvenBlobs,
    /// Bytes that need no name.
    pub(crate) objects: Objects,
    /// Held while a reference is changed.
    pub(crate) references: Mutex<()>,
    /// What uploads by xet have sent.
    pub(crate) xet_sessions: XetSessions,
    /// Held shared while a name is looked up, and alone while a change set gives all its names their bytes. What is
    /// in it are the names that nobody may look up although it is not held.
    pub(crate) shown: RwLock<HiddenNames>,
    pub(crate) shown_commits: ShownCommits,
}

impl Catalog {
    /// What stands under a name, in the directory that is at its path now.
    pub(crate) fn standing(&self, name: &ModelName) -> Result<Standing> {
        self.layout.check_there()?;
        self.layout
            .standing(name)
            .map_err(|error| unreadable(name, error))
    }

    /// Keeps change sets from being shown while what comes from one look is read.
    pub(crate) fn shown(&self) -> RwLockReadGuard<'_, HiddenNames> {
        self.shown.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps everybody from looking names up, while these steps are done.
    pub(crate) fn hide(&self, steps: &[CommitStep]) -> RwLockWriteGuard<'_, HiddenNames> {
        let hidden = self.shown.write().unwrap_or_else(PoisonError::into_inner);
        self.shown_commits.note(steps);
        hidden
    }

    /// The model of this stamp; if its digest is not known yet, it will be.
    pub(crate) fn model(&self, name: &ModelName, stamp: &Stamp) -> Model {
        let digest = self.index.find(name, stamp);
        if digest.is_none() {
            self.digester.queue(name);
            self.ready.notice(name);
        }
        stamp.model(name, digest)
    }

    /// What keeps the count of versions up while those of a name change.
    pub(crate) fn tally<'a>(&'a self, name: &'a ModelName) -> Tally<'a> {
        Tally::begin(&self.version_count, &self.layout, name)
    }

    /// The model of this stamp, if it is in memory.
    pub(crate) fn cached(&self, name: &ModelName, stamp: &Stamp) -> Option<OpenedModel> {
        self.cache.hit(name, stamp)
    }

    /// Reads, digests and caches a small model; `None` if it has grown large meanwhile. Its stamp was taken
    /// after the time that comes with it. The file keeps its position.
    ///
    /// A file that is changed by hand while it is read is read again, three times at most. What was
    /// read then is handed out, with its own digest, as any other program would have read it.
    pub(crate) fn read_small(
        &self,
        name: &ModelName,
        file: &File,
        (mut start, mut stamp): (SystemTime, Stamp),
        about: &dyn Fn(Digest) -> Option<Arc<About>>,
    ) -> io::Result<Option<OpenedModel>> {
        let size_max = self.options.cache_file_bytes_max;
        let mut tries_left = 3;

        // Tries are bounded, because a program that writes without end must not hold a request.
        loop {
            tries_left -= 1;

            // The length is checked again on the open file, since memory of that size is about to
            // be allocated.
            if stamp.size > size_max {
                return Ok(None);
            }
            let content = read_shared(file, usize::try_from(stamp.size).unwrap_or(0))?;
            let size = content.len() as u64;

            // A stamp that differs after the read, or another length, means that somebody wrote
            // meanwhile.
            let stable = Stamp::of(&file.metadata()?) == stamp && stamp.size == size;
            if !stable && tries_left > 0 {
                // The start is taken before the stamp: what changes the file later than that gets a
                // later time.
                start = SystemTime::now();
                stamp = Stamp::of(&file.metadata()?);
                continue;
            }

            let digest = Digest::of(&content);
            let about = about(digest);
            if stable {
                self.keep(name, (stamp, start), digest, about.clone(), &content);
            }

            // Bytes of an unstable file may be fewer than its stamp says; the length that counts is
            // that of what is sent.
            let model = Model {
                size,
                ..stamp.model(name, Some(digest))
            };
            return Ok(Some(OpenedModel {
                model,
                stamp,
                about,
                content: StoredContent::Cached(content),
            }));
        }
    }

    /// Learns from a content that was read from `start` on, if its stamp can be trusted: if it was not
    /// young, or if it is that of an upload with this digest.
    fn keep(
        &self,
        name: &ModelName,
        (stamp, start): (Stamp, SystemTime),
        digest: Digest,
        about: Option<Arc<About>>,
        content: &Arc<[u8]>,
    ) {
        let known = self.index.find(name, &stamp);
        if known.is_some_and(|known| known != digest) {
            // What is remembered stays, for a later check to tell of it; the bytes go out with the
            // digest that they have.
            log::error!(
                "the model '{name}' is damaged: its bytes have changed, but its size and times have not"
            );
        } else if known.is_some() {
            self.cache.insert(name, stamp, digest, about, content);
        } else if stamp.young_for(self.options.clock_tick, start).is_zero() {
            self.cache.insert(name, stamp, digest, about, content);
            self.learn(name, stamp, digest);
        } else {
            // A young stamp may cover a second change within one clock tick, so the digest is not
            // trusted now but computed again later.
            self.digester.queue(name);
        }
    }

    /// The digest that a condition needs, computed where it is not known. That can take long, so it is
    /// done before `names` is locked; [`Catalog::judge`] uses it only if the stamp is still the same.
    pub(crate) fn digest_for(
        &self,
        name: &ModelName,
        condition: &Condition,
    ) -> Result<Option<(Stamp, Digest)>> {
        // All other conditions are decided without a digest.
        if !matches!(condition, Condition::Matches(_)) {
            return Ok(None);
        }

        self.layout.check_there()?;
        let unreadable = |error| unreadable(name, error);
        let Some((file, stamp)) = self.layout.open_model(name).map_err(unreadable)? else {
            return Ok(None);
        };

        if let Some(digest) = self.index.find(name, &stamp) {
            return Ok(Some((stamp, digest)));
        }

        // A stamp that is the same before and after the read vouches for the digest.
        let digest = Digest::of_reader(&file).map_err(unreadable)?;
        let unchanged = Stamp::of(&file.metadata().map_err(unreadable)?) == stamp;

        Ok(unchanged.then_some((stamp, digest)))
    }

    /// Whether the condition holds and the name is free for a model; returns the stamp of the model
    /// that has it now. Only under the lock of `names` is the answer more than a guess.
    pub(crate) fn judge(
        &self,
        name: &ModelName,
        condition: &Condition,
        digested: Option<(Stamp, Digest)>,
    ) -> Result<Option<Stamp>> {
        // On file systems that fold names, a rename onto `A` would silently replace `a`.
        let clash = self
            .layout
            .clash(name)
            .map_err(|error| unreadable(name, error))?;

        if let Some(other) = clash {
            let text = format!("'{name}' and '{other}' are the same name on this file system");
            return Err(Error::new(ErrorKind::Conflict, text).hint("remove the other one first"));
        }

        let current = match self.standing(name)? {
            Standing::Nothing if self.spelled(name) != *name => {
                let text = format!("'{name}' is there already, in the other form of Unicode");
                return Err(Error::new(ErrorKind::Conflict, text)
                    .hint("write it as the list of models does, or remove it first"));
            }
            Standing::Nothing => {
                self.check_way(name)?;
                None
            }
            Standing::Model(stamp) => Some(stamp),
            // A power cut can leave a folder whose last model is gone.
            Standing::Other(_) if self.layout.remove_empty_folder(name) => None,
            Standing::Other(kind) => {
                let models = self.layout.names_below(name).into_iter();
                let mut models = models.flat_map(|names| names.within(NEAR_ENTRIES_MAX));
                let text = match models.find_map(|model| model.ok()) {
                    Some(model) => {
                        format!("'{name}' is {kind} with other models such as '{model}'")
                    }
                    None => format!("'{name}' is {kind} in the model directory"),
                };
                let text = format!("{text}, and is not replaced");
                return Err(Error::new(ErrorKind::Conflict, text).hint("choose another name"));
            }
        };

        let unmet = |text| Err(Error::new(ErrorKind::PreconditionFailed, text));

        // A condition of a caller is answered like an `If-Match` or `If-None-Match` of HTTP (RFC
        // 9110 section 13.1).
        match (condition, current) {
            (Condition::Absent, Some(_)) => unmet(format!("the model '{name}' exists already")),
            (Condition::Exists | Condition::Matches(_) | Condition::ModifiedAt(_), None) => {
                unmet(format!("there is no model '{name}'"))
            }
            (Condition::ModifiedAt(time), Some(stamp)) if stamp.modified() != *time => {
                unmet(format!("the model '{name}' has changed meanwhile"))
            }
            (Condition::Matches(wanted), Some(stamp)) => match digested {
                Some((known, digest)) if known == stamp && digest == *wanted => Ok(current),
                // Another upload or a hand was faster, so it is not what the caller knows.
                _ if self.index.find(name, &stamp) == Some(*wanted) => Ok(current),
                _ => unmet(format!("the model '{name}' has changed meanwhile")),
            },
            _ => Ok(current),
        }
    }

    /// Whether each folder of a new model is a folder, or can be made.
    fn check_way(&self, name: &ModelName) -> Result<()> {
        let found = self.layout.in_the_way(name);
        let Some((other, kind)) = found.map_err(|error| unreadable(name, error))? else {
            return Ok(());
        };
        let text = format!("'{name}' cannot be a model, for '{other}' is {kind}, and no folder");
        let hint = format!("choose another name, or remove '{other}' first");
        Err(Error::new(ErrorKind::Conflict, text).hint(hint))
    }

    /// Removes the file of a model, durably.
    pub(crate) fn remove_file(&self, name: &ModelName) -> io::Result<()> {
        self.layout.place(name)?.remove()
    }

    pub(crate) fn learn(&self, name: &ModelName, stamp: Stamp, digest: Digest) {
        self.learn_all(&[(name.clone(), stamp, digest)]);
    }

    /// The same for many models, which are written down together.
    pub(crate) fn learn_all(&self, learned: &[(ModelName, Stamp, Digest)]) {
        if learned.is_empty() {
            return;
        }
        for (name, stamp, digest) in learned {
            self.index.insert(name, *stamp, *digest);
            self.ready.notice(name);
        }
        self.index.note(&self.layout, learned);
        self.digester.save_later();
    }

    pub(crate) fn forget(&self, name: &ModelName) {
        self.index.remove(name);
        self.cache.remove(name);
        self.digester.save_later();
        // Whoever may see only what is there now may not see it by what others have asked for before.
        for asked in &mut *lock(&self.last_manifests) {
            asked.is_present &= !name.is_below(&asked.manifest.root);
        }
    }
}

/// Reads at most `length` bytes straight into memory that can be shared, so that a model is not in
/// memory twice while it is read.
fn read_shared(file: &File, length: usize) -> io::Result<Arc<[u8]>> {
    // Zeroed memory in an `Arc` from the start: converting a `Vec` later would copy it.
    let mut bytes: Arc<[u8]> = std::iter::repeat_n(0, length).collect();
    let mut count = 0;

    // Nobody else has it yet.
    let buffer = Arc::get_mut(&mut bytes).unwrap_or_default();

    while count < length {
        match file.read_at(&mut buffer[count..], count as u64) {
            // A file that has become shorter yields what it has; the caller compares the length.
            Ok(0) => return Ok(bytes[..count].into()),
            Ok(more) => count += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }

    Ok(bytes)
}

/// Entries of folders that are read for a name in an error: not all are models.
pub(super) const NEAR_ENTRIES_MAX: usize = 2000;
