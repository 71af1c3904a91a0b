// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Which objects there are: whose they are, how old, and who needs them.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::clock;
use crate::digest::Digest;
use crate::disk::FilePlace;
use crate::error::{Error, ErrorKind, Result};
use crate::model::charge;
use crate::store::catalog::Stamp;
use crate::store::clearing::ClearedKind;
use crate::store::hidden_folder::{HiddenFolder, OBJECTS};
use crate::store::options::StoreOptions;
use crate::text::counted;
use crate::threads::lock;

/// All objects, by their digests.
#[derive(Default)]
pub(crate) struct Objects(Mutex<ObjectsState>);

#[derive(Default)]
struct ObjectsState {
    here: BTreeMap<[u8; 32], KnownObject>,
    /// By how many each is needed, also of objects that are not here yet.
    pins: BTreeMap<[u8; 32], u32>,
    /// Those that commits have given a name, or that are pinned no more, and that may go.
    named: BTreeSet<[u8; 32]>,
    /// Sizes of those that are on their way, and who sends them.
    coming: BTreeMap<u64, (u64, Option<String>)>,
    next: u64,
}

struct KnownObject {
    size: u64,
    /// Who sent it; nobody knows after a start.
    sender: Option<String>,
    /// For which its bytes have proven to be those of the digest.
    proof: Option<Stamp>,
    /// How old it was when this process first saw it, and since when nobody asked for it.
    seen: (Duration, Instant),
}

impl KnownObject {
    fn age(&self) -> Duration {
        self.seen.0.saturating_add(self.seen.1.elapsed())
    }
}

impl Objects {
    /// Finds those that a process before has left.
    pub(crate) fn open(hidden: &HiddenFolder) -> Self {
        let objects = Self::default();
        if let Err(error) = objects.take_up(hidden) {
            log::warn!("bytes without a name cannot be listed: {error}");
        }
        objects
    }

    fn take_up(&self, hidden: &HiddenFolder) -> io::Result<()> {
        let Some(folder) = hidden.existing(OBJECTS)? else {
            return Ok(());
        };
        let mut state = lock(&self.0);
        for entry in folder.entries()? {
            let name = entry?.name.into_string().unwrap_or_default();
            let Ok(digest) = name.parse::<Digest>() else {
                continue;
            };
            let facts = FilePlace::new(&folder, &name).facts()?;
            if facts.is_file() {
                let age = clock::now().duration_since(facts.changed.time());
                let object = KnownObject {
                    size: facts.size,
                    sender: None,
                    proof: None,
                    seen: (age.unwrap_or_default(), Instant::now()),
                };
                state.here.insert(*digest.as_bytes(), object);
            }
        }
        Ok(())
    }

    /// The place of an object, whether it is there or not.
    ///
    /// # Errors
    /// `NotFound` if there are none at all; otherwise those of the file system.
    pub(super) fn place(hidden: &HiddenFolder, digest: &[u8; 32]) -> io::Result<FilePlace> {
        let name = Digest::from_bytes(*digest).to_string();
        Ok(FilePlace::new(&hidden.folder(OBJECTS)?, name))
    }

    /// The places of those that have these digests.
    pub(crate) fn places(
        &self,
        hidden: &HiddenFolder,
        wanted: &BTreeSet<[u8; 32]>,
    ) -> BTreeMap<[u8; 32], FilePlace> {
        let state = lock(&self.0);
        let here = wanted
            .iter()
            .filter(|digest| state.here.contains_key(*digest));
        here.filter_map(|digest| Some((*digest, Self::place(hidden, digest).ok()?)))
            .collect()
    }

    /// Notes that a commit has given bytes a name, or that nobody pins them any more.
    pub(crate) fn note_named(&self, digests: &BTreeSet<[u8; 32]>) {
        let mut state = lock(&self.0);
        let state = &mut *state;
        let here = digests
            .iter()
            .filter(|digest| state.here.contains_key(*digest));
        state.named.extend(here);
    }

    /// Those of which that was noted since it was asked last.
    pub(super) fn take_named(&self) -> BTreeSet<[u8; 32]> {
        std::mem::take(&mut lock(&self.0).named)
    }

    /// Whether the bytes of an object were written so, as far as its stamp tells.
    pub(crate) fn is_proven(&self, digest: &[u8; 32], stamp: &Stamp) -> bool {
        let state = lock(&self.0);
        let proof = state.here.get(digest).and_then(|object| object.proof);
        proof == Some(*stamp)
    }

    /// Notes that files have got or lost a name by this store: that changes a time in their stamps, and no bytes.
    pub(crate) fn learn_linked(&self, hidden: &HiddenFolder, digests: &BTreeSet<[u8; 32]>) {
        let mut state = lock(&self.0);
        for digest in digests {
            let Some(object) = state.here.get_mut(digest) else {
                continue;
            };
            let facts = Self::place(hidden, digest).and_then(|place| place.facts());
            let Ok(stamp) = facts.map(Stamp::of) else {
                continue;
            };
            object.proof = object.proof.map(|old| {
                let is_linked = stamp.is_linked_since(&old);
                if is_linked { stamp } else { old }
            });
        }
    }

    /// The size of an object, which counts as young again. A sender that is given is the only one who may know of
    /// it.
    pub(crate) fn touched(&self, digest: Digest, sender: Option<&str>) -> Option<u64> {
        let mut state = lock(&self.0);
        let object = state.here.get_mut(digest.as_bytes())?;
        if sender.is_some() && object.sender.as_deref() != sender {
            return None;
        }
        object.seen = (Duration::ZERO, Instant::now());
        Some(object.size)
    }

    /// Takes room for bytes that are about to come.
    ///
    /// # Errors
    /// `NoSpace` beyond the bounds of unfinished uploads.
    pub(super) fn reserve(
        &self,
        size: u64,
        sender: Option<String>,
        options: &StoreOptions,
    ) -> Result<u64> {
        let mut state = lock(&self.0);
        let sum = |own_only: bool| {
            let is_counted = |whose: &Option<String>| !own_only || *whose == sender;
            let is_free = |digest: &[u8; 32]| !state.pins.contains_key(digest);
            let here = state.here.iter();
            let here = here.filter(|(digest, one)| is_free(digest) && is_counted(&one.sender));
            let coming = state.coming.values().filter(|(_, whose)| is_counted(whose));
            let sizes = here.map(|(_, one)| one.size);
            let sizes = sizes.chain(coming.map(|(size, _)| *size));
            sizes.fold((0_u64, 0_usize), |(bytes, count), size| {
                (bytes.saturating_add(size), count + 1)
            })
        };

        let (max, count_max) = (options.uploads_bytes_max, options.change_files_max);
        let is_within = |(bytes, count): (u64, usize), max: u64, count_max: usize| {
            size <= max.saturating_sub(bytes) && count < count_max
        };
        let whose = if !is_within(sum(false), max, count_max) {
            "of all callers"
        } else if !is_within(sum(true), max - max / 2, count_max - count_max / 2) {
            "of one caller"
        } else {
            let number = state.next;
            state.next += 1;
            state.coming.insert(number, (size, sender));
            return Ok(number);
        };
        let size = counted(size, "byte");
        let text = format!("{size} do not fit beside what was sent {whose} and is not committed");
        Err(Error::new(ErrorKind::NoSpace, text)
            .hint("commit what was sent, or raise max-uploads-bytes and max-change-files"))
    }

    /// Gives such room back.
    pub(super) fn release(&self, number: u64) {
        lock(&self.0).coming.remove(&number);
    }

    /// Notes that an object is here.
    pub(super) fn add(&self, digest: &[u8; 32], stamp: Stamp, sender: Option<String>) {
        let object = KnownObject {
            size: stamp.size,
            sender,
            proof: Some(stamp),
            seen: (Duration::ZERO, Instant::now()),
        };
        lock(&self.0).here.insert(*digest, object);
    }

    pub(super) fn add_pins(&self, digests: &BTreeSet<[u8; 32]>) {
        let mut state = lock(&self.0);
        for digest in digests {
            *state.pins.entry(*digest).or_default() += 1;
        }
    }

    /// Takes pins back; returns the objects here that have none any more.
    pub(crate) fn remove_pins(&self, digests: &BTreeSet<[u8; 32]>) -> BTreeSet<[u8; 32]> {
        let mut state = lock(&self.0);
        let mut free = BTreeSet::new();
        for digest in digests {
            let Some(count) = state.pins.get_mut(digest) else {
                continue;
            };
            *count -= 1;
            if *count == 0 {
                state.pins.remove(digest);
                free.insert(*digest);
            }
        }
        free.retain(|digest| state.here.contains_key(digest));
        free
    }

    /// What those that are pinned take, whether models have the same bytes or not.
    pub(crate) fn pinned_bytes(&self) -> u64 {
        let state = lock(&self.0);
        let here = state.here.iter();
        let pinned = here.filter(|(digest, _)| state.pins.contains_key(*digest));
        let sizes = pinned.map(|(_, object)| charge(object.size));
        sizes.fold(0, u64::saturating_add)
    }

    /// Those that are not pinned, for so long at least not asked for, and not among those that are needed.
    pub(super) fn left_alone(
        &self,
        idle_min: Duration,
        needed: &BTreeSet<[u8; 32]>,
    ) -> BTreeSet<[u8; 32]> {
        let state = lock(&self.0);
        let here = state.here.iter();
        let left = here.filter(|(digest, object)| {
            object.age() >= idle_min
                && !state.pins.contains_key(*digest)
                && !needed.contains(*digest)
        });
        left.map(|(digest, _)| *digest).collect()
    }

    /// What these take.
    pub(super) fn sizes_of(&self, digests: &BTreeSet<[u8; 32]>) -> ClearedKind {
        let state = lock(&self.0);
        let mut sizes = ClearedKind::default();
        let here = digests.iter().filter_map(|digest| state.here.get(digest));
        here.for_each(|object| sizes.add(object.size));
        sizes
    }

    /// Notes that an object is not here any more.
    pub(super) fn forget(&self, digest: &[u8; 32]) {
        lock(&self.0).here.remove(digest);
    }
}
