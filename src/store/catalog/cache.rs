// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The contents of small models in memory, bounded in bytes and entries, until nobody wants them.
//!
//! An entry counts only for the stamp it was read under, which the caller has just taken from the
//! file, so a change by hand is seen at once. Contents enter on the first read, not on upload: an
//! upload then needs no second copy in memory, and most models that arrive are not asked for soon.

use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::digest::Digest;
use crate::model::ModelName;
use crate::store::about::About;
use crate::store::catalog::stamp::Stamp;
use crate::store::options::StoreOptions;
use crate::store::stored::{OpenedModel, StoredContent};
use crate::threads::lock;

/// How often the cache was asked and what is in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CacheCounts {
    /// Small models that were in the cache when they were asked for.
    pub hits: u64,
    /// Small models that had to be read.
    pub misses: u64,
    /// Bytes of content in the cache now.
    pub bytes: u64,
    /// Models in the cache now.
    pub entries: usize,
}

/// The cache.
pub(crate) struct Cache {
    bytes_max: u64,
    entries_max: usize,
    idle: Duration,
    state: Mutex<CacheState>,
    /// The first entry has come, entries were cleared, or it is over.
    change: Condvar,
}

#[derive(Default)]
struct CacheState {
    entries: HashMap<ModelName, CachedModel>,
    counts: CacheCounts,
    /// Counts uses, because two of them can be at the same `Instant`.
    turn: u64,
    closed: bool,
}

struct CachedModel {
    stamp: Stamp,
    digest: Digest,
    about: Option<Arc<About>>,
    content: Arc<[u8]>,
    used: Instant,
    turn: u64,
}

impl Cache {
    pub(crate) fn new(options: &StoreOptions) -> Self {
        Self {
            bytes_max: options.cache_bytes_max,
            entries_max: options.cache_entries_max,
            idle: options.cache_idle,
            state: Mutex::default(),
            change: Condvar::new(),
        }
    }

    /// A model that has this stamp now. Counts a hit.
    pub(crate) fn hit(&self, name: &ModelName, stamp: &Stamp) -> Option<OpenedModel> {
        let mut guard = lock(&self.state);
        let state = &mut *guard;
        state.turn += 1;

        let entry = state.entries.get_mut(name)?;
        if entry.stamp != *stamp {
            return None;
        }

        // The time decides on idleness, the turn on the order of removal.
        entry.used = Instant::now();
        entry.turn = state.turn;
        state.counts.hits += 1;

        Some(OpenedModel {
            model: stamp.model(name, Some(entry.digest)),
            stamp: *stamp,
            about: entry.about.clone(),
            content: StoredContent::Cached(Arc::clone(&entry.content)),
        })
    }

    /// Counts that a model had to be read, which has this stamp now.
    pub(crate) fn miss(&self, name: &ModelName, stamp: &Stamp) {
        let mut state = lock(&self.state);
        state.counts.misses += 1;

        // The cached bytes are those of an older file; nobody will ask for them again.
        if state
            .entries
            .get(name)
            .is_some_and(|entry| entry.stamp != *stamp)
        {
            state.remove(name);
        }
    }

    /// Whether there is content of this name, whatever its stamp. This is no use of it.
    pub(crate) fn has(&self, name: &ModelName) -> bool {
        lock(&self.state).entries.contains_key(name)
    }

    /// Inserts a content and removes those that were used least recently.
    pub(crate) fn insert(
        &self,
        name: &ModelName,
        stamp: Stamp,
        digest: Digest,
        about: Option<Arc<About>>,
        content: &Arc<[u8]>,
    ) {
        let size = content.len() as u64;
        let mut state = lock(&self.state);

        // The old content goes first, so that it does not count against the bounds of the new one.
        state.remove(name);
        if size > self.bytes_max || self.entries_max == 0 || state.closed {
            return;
        }

        // Room is made before the insertion, so the bounds hold at every moment.
        while state.entries.len() >= self.entries_max || state.counts.bytes + size > self.bytes_max
        {
            state.remove_oldest();
        }

        state.turn += 1;
        let (used, turn) = (Instant::now(), state.turn);

        let entry = CachedModel {
            stamp,
            digest,
            about,
            content: Arc::clone(content),
            used,
            turn,
        };

        state.entries.insert(name.clone(), entry);
        state.counts.bytes += size;

        // Only the first entry wakes the cleaner, which otherwise has a timer running already.
        if state.entries.len() == 1 {
            self.change.notify_all();
        }
    }

    pub(crate) fn remove(&self, name: &ModelName) {
        lock(&self.state).remove(name);
    }

    pub(crate) fn counts(&self) -> CacheCounts {
        let state = lock(&self.state);
        CacheCounts {
            entries: state.entries.len(),
            ..state.counts
        }
    }

    /// The work of the cleaner thread: clears what was idle for too long. It sleeps without a timer
    /// while the cache is empty, so an idle device is not woken.
    pub(crate) fn run(&self) {
        let mut state = lock(&self.state);
        while !state.closed {
            let next = state.clear_idle(self.idle, Instant::now());

            // Tests wait for the moment in which idle entries are gone.
            self.change.notify_all();
            state = match next {
                None => self
                    .change
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner),
                Some(next) => {
                    let waited = self.change.wait_timeout(state, next);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }

    /// Ends [`Cache::run`] and empties the cache for good.
    pub(crate) fn close(&self) {
        let mut state = lock(&self.state);
        state.closed = true;
        state.entries.clear();
        state.counts.bytes = 0;
        self.change.notify_all();
    }
}

impl CacheState {
    fn remove(&mut self, name: &ModelName) {
        if let Some(entry) = self.entries.remove(name) {
            self.counts.bytes -= entry.content.len() as u64;
        }
    }

    /// A walk over all entries, of which there are about 50.
    fn remove_oldest(&mut self) {
        let oldest = self.entries.iter().min_by_key(|(_, entry)| entry.turn);
        if let Some(name) = oldest.map(|(name, _)| name.clone()) {
            self.remove(&name);
        }
    }

    /// Clears what was idle for too long and says when to look again; `None` if nothing is left.
    fn clear_idle(&mut self, idle: Duration, now: Instant) -> Option<Duration> {
        let age = |entry: &CachedModel| now.saturating_duration_since(entry.used);
        self.entries.retain(|_, entry| age(entry) < idle);
        self.counts.bytes = self
            .entries
            .values()
            .map(|entry| entry.content.len() as u64)
            .sum();
        self.entries.values().map(|entry| idle - age(entry)).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::threads::spawn;

    fn cache(bytes_max: u64, entries_max: usize, idle: Duration) -> Arc<Cache> {
        let bounds = StoreOptions {
            cache_bytes_max: bytes_max,
            cache_entries_max: entries_max,
            cache_idle: idle,
            ..StoreOptions::default()
        };
        Arc::new(Cache::new(&bounds))
    }

    fn insert(cache: &Cache, name: &str, length: usize) {
        let content = vec![7; length].into();
        cache.insert(
            &name.parse().unwrap(),
            stamp(1),
            Digest::of(b""),
            None,
            &content,
        );
    }

    fn stamp(size: u64) -> Stamp {
        format!("{size} 2 3 4 5 6").parse().unwrap()
    }

    fn has(cache: &Cache, name: &str) -> bool {
        let name = name.parse().unwrap();
        let is_hit = cache.hit(&name, &stamp(1)).is_some();
        if !is_hit {
            cache.miss(&name, &stamp(1));
        }
        is_hit
    }

    #[test]
    fn the_least_recently_used_makes_room() {
        let cache = cache(10, 3, Duration::MAX);
        insert(&cache, "a", 4);
        insert(&cache, "b", 4);
        assert!(has(&cache, "a"));
        insert(&cache, "c", 4);
        assert!(!has(&cache, "b") && has(&cache, "a") && has(&cache, "c"));
        insert(&cache, "d", 1);
        insert(&cache, "e", 1);
        assert!(!has(&cache, "a"), "a fourth entry is one too many");
        insert(&cache, "f", 11);
        assert!(!has(&cache, "f"), "larger than the whole cache");
        let counts = CacheCounts {
            hits: 3,
            misses: 3,
            bytes: 6,
            entries: 3,
        };
        assert_eq!(cache.counts(), counts);
    }

    #[test]
    fn an_entry_of_another_stamp_is_dropped() {
        let cache = cache(10, 3, Duration::MAX);
        insert(&cache, "a", 4);
        let name = "a".parse().unwrap();
        assert!(cache.hit(&name, &stamp(2)).is_none());
        cache.miss(&name, &stamp(2));
        assert_eq!(cache.counts().entries, 0);
    }

    #[test]
    fn only_idle_entries_are_cleared() {
        let minute = Duration::from_secs(60);
        let cache = cache(10, 3, minute);
        insert(&cache, "a", 4);
        insert(&cache, "b", 4);
        let mut state = lock(&cache.state);
        let start = Instant::now();
        for (name, used) in [("a", start), ("b", start + minute / 2)] {
            state.entries.get_mut(name).unwrap().used = used;
        }
        assert_eq!(
            state.clear_idle(minute, start + minute / 4),
            Some(minute * 3 / 4)
        );
        assert_eq!(state.clear_idle(minute, start + minute), Some(minute / 2));
        assert_eq!(state.counts.bytes, 4);
        assert_eq!(state.clear_idle(minute, start + minute * 2), None);
        assert_eq!(state.counts.bytes, 0);
    }

    #[test]
    fn the_thread_empties_an_idle_cache_and_ends_when_told() {
        let cache = cache(10, 3, Duration::from_millis(1));
        let own = Arc::clone(&cache);
        let thread = spawn("cache", move || own.run()).unwrap();
        for _ in 0..2 {
            insert(&cache, "a", 4);
            let deadline = Duration::from_secs(10);
            let filled = |state: &mut CacheState| !state.entries.is_empty();
            let waited = cache
                .change
                .wait_timeout_while(lock(&cache.state), deadline, filled);
            assert!(!waited.unwrap().1.timed_out());
        }
        cache.close();
        thread.join().unwrap();
    }
}
