// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Beginning a change: the names are locked for it, and no commit waits to be done to its end.

use std::sync::MutexGuard;

use crate::error::{Error, Result};
use crate::store::catalog::Catalog;
use crate::store::changes::{refused, try_again};
use crate::store::locking::name_locks::{NameGuard, NameScope};
use crate::store::versions::{self, VersionRoom};
use crate::threads::lock;

/// A change of names that goes on.
pub(crate) struct Changing<'a> {
    catalog: &'a Catalog,
    /// `None` at its end.
    guard: Option<NameGuard<'a>>,
}

impl Catalog {
    /// Whether models can be changed: the directory is there, is not served read-only, and no commit waits to be
    /// done to its end. One that waits is tried before.
    ///
    /// # Errors
    /// As [`Layout::check_writable`](crate::store::catalog::Layout::check_writable), and `Busy`.
    pub(crate) fn check_changeable(&self) -> Result<()> {
        self.layout.check_writable()?;
        self.check_finished()
    }

    /// Locks names for a change. Whoever waited for them while a commit was broken off is refused, too: what
    /// that has left to do would undo the change.
    ///
    /// # Errors
    /// `Busy` if a commit waits to be done to its end.
    pub(crate) fn changing(&self, scope: NameScope) -> Result<Changing<'_>> {
        // Where a bound counts all models together, two changes at a time could exceed it.
        let is_bound = self.options.total_bytes_max > 0 || self.options.models_max > 0;
        let scope = if is_bound { NameScope::All } else { scope };

        self.check_finished()?;
        let locked = self.locking(scope);
        if self.unfinished.is_there() {
            return Err(unfinished());
        }
        Ok(locked)
    }

    /// Locks names whatever waits to be done.
    pub(crate) fn locking(&self, scope: NameScope) -> Changing<'_> {
        Changing {
            catalog: self,
            guard: Some(self.names.lock(scope)),
        }
    }

    /// Lets one commit at a time be decided and done, so that one at most can be broken off.
    ///
    /// # Errors
    /// `Busy` if one was, in whatever folder.
    pub(crate) fn deciding(&self) -> Result<MutexGuard<'_, ()>> {
        let guard = lock(&self.decision);
        if self.unfinished.is_there() {
            return Err(unfinished());
        }
        Ok(guard)
    }

    fn check_finished(&self) -> Result<()> {
        if self.unfinished.is_there() && self.unfinished.may_try() {
            let _guard = self.locking(NameScope::All);
            // It is told of in the log.
            let _ = try_again(self);
        }
        if self.unfinished.is_there() {
            return Err(unfinished());
        }
        Ok(())
    }
}

impl<'a> Changing<'a> {
    /// What is changed.
    pub(crate) fn catalog(&self) -> &'a Catalog {
        self.catalog
    }

    /// Whether nobody else changes any name.
    pub(crate) fn is_of_all(&self) -> bool {
        self.guard.as_ref().is_some_and(NameGuard::is_of_all)
    }

    /// Removes the oldest versions until all of them have room: at the end of this change, or of the last of those
    /// that go on beside it, since it concerns all names. No tally is open.
    pub(crate) fn keep_within(&self, room: VersionRoom) {
        if self.is_of_all() {
            versions::keep_within(self.catalog, room);
        } else {
            // Every other room is that of a bound of all models.
            self.catalog.version_count.owe_room();
        }
    }
}

impl Drop for Changing<'_> {
    fn drop(&mut self) {
        let count = &self.catalog.version_count;
        drop(self.guard.take());
        // Whoever else changes something does it at its own end.
        while count.owes_room() {
            let Some(_guard) = self.catalog.names.try_lock_all() else {
                return;
            };
            if count.pays_room() {
                versions::keep_within(self.catalog, VersionRoom::UNBOUNDED);
            }
        }
    }
}

fn unfinished() -> Error {
    refused("the disk failed in the middle of a commit, and nothing is changed until that is done")
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write as _;
    use std::path::Path;
    use std::thread;

    use super::*;
    use crate::digest::Digest;
    use crate::error::ErrorKind;
    use crate::model::ModelName;
    use crate::store::{
        ChangeId, ChangeRequest, Condition, ExpectedState, Metadata, MoveRequest, Others, Store,
        StoreOptions,
    };

    fn open(directory: &Path) -> Store {
        let options = StoreOptions {
            reserve_bytes: 0,
            // One version of a small model, with its folder.
            version_bytes_max: 2 * 4096,
            ..StoreOptions::default()
        };
        Store::open(directory, options).unwrap()
    }

    fn name(text: &str) -> ModelName {
        text.parse().unwrap()
    }

    fn try_put(store: &Store, text: &str, bytes: &str) -> Result<()> {
        let mut upload = store.upload(None)?;
        upload.write_all(bytes.as_bytes())?;
        let done = upload.commit(&name(text), None, &Condition::Any);
        done.map(drop)
    }

    fn put(store: &Store, text: &str, bytes: &str) {
        try_put(store, text, bytes).unwrap();
    }

    fn begin(store: &Store, root: &str) -> ChangeId {
        let request = ChangeRequest {
            root: Some(name(root)),
            principal: None,
        };
        store.begin_change(request).unwrap()
    }

    fn begin_with(store: &Store, root: &str, text: &str, bytes: &str) -> ChangeId {
        let id = begin(store, root);
        let mut upload = store.upload(None).unwrap();
        upload.write_all(bytes.as_bytes()).unwrap();
        let done = upload.end(&name(text), None, &Condition::Any, Some(id));
        done.unwrap();
        id
    }

    fn commit(store: &Store, id: ChangeId) -> Result<()> {
        store.commit_change(id, Others::Keep, None).map(drop)
    }

    fn wait_until_held(store: &Store, scope: &NameScope) {
        while !store.catalog().names.is_held(scope) {
            thread::yield_now();
        }
    }

    #[test]
    fn a_change_in_another_folder_does_not_wait_for_a_commit_and_one_in_its_own_does() {
        let directory = tempfile::tempdir().unwrap();
        let store = &open(directory.path());
        for text in ["f/a", "g/a", "g/moves", "g/goes"] {
            put(store, text, "old");
        }
        let id = begin_with(store, "f", "f/a", "of the set");

        thread::scope(|scope| {
            // It has all prepared, and waits for its decision.
            let decision = lock(&store.catalog().decision);
            let committing = scope.spawn(|| commit(store, id));
            wait_until_held(store, &NameScope::of(&name("f")));

            put(store, "g/a", "new");
            put(store, "top", "new");
            store.rollback(&name("g/a")).unwrap();
            store.forget_versions(&name("g/a")).unwrap();
            store.remove(&name("g/goes")).unwrap();
            assert!(!committing.is_finished());

            let later = scope.spawn(|| try_put(store, "f/a", "later"));
            let moving = scope.spawn(|| {
                let request = MoveRequest {
                    from: name("g/moves"),
                    to: name("f/moves"),
                    is_folder: false,
                    expected: ExpectedState::Any,
                };
                store.move_model(&request).map(drop)
            });
            assert!(!later.is_finished() && !moving.is_finished());
            drop(decision);
            for done in [committing, later, moving] {
                done.join().unwrap().unwrap();
            }
        });
        let read = |text: &str| fs::read_to_string(directory.path().join(text)).unwrap();
        assert_eq!(
            (read("f/a"), read("f/moves")),
            ("later".into(), "old".into())
        );
    }

    #[test]
    fn bytes_that_a_set_names_in_another_folder_do_not_change_before_it_has_them() {
        let directory = tempfile::tempdir().unwrap();
        let store = &open(directory.path());
        put(store, "g/a", "known");
        put(store, "g/replaced", "version");
        put(store, "g/replaced", "newer");
        put(store, "f/own", "own");
        let own = NameScope::of(&name("f"));
        for (bytes, expected) in [
            ("known", &NameScope::All),
            ("version", &NameScope::All),
            ("own", &own),
        ] {
            let id = begin(store, "f");
            let digest = Digest::of(bytes.as_bytes());
            let text = name(&format!("f/{bytes}-again"));
            let staged = store.stage_known(id, &text, digest, Metadata::default(), None);
            staged.unwrap();
            thread::scope(|scope| {
                let decision = lock(&store.catalog().decision);
                let committing = scope.spawn(|| commit(store, id));
                // Whichever it takes for good, it waits with that.
                while !store.catalog().names.is_held(expected) {
                    assert!(!committing.is_finished(), "{bytes}");
                    thread::yield_now();
                }
                drop(decision);
                committing.join().unwrap().unwrap();
            });
        }
    }

    #[test]
    fn versions_give_way_when_the_last_change_ends() {
        let directory = tempfile::tempdir().unwrap();
        let store = &open(directory.path());
        put(store, "h/a", "old");
        put(store, "h/a", "new");
        let id = begin_with(store, "f", "f/a", "of the set");
        let versions = |text: &str| store.versions(&name(text)).unwrap().len();

        thread::scope(|scope| {
            let decision = lock(&store.catalog().decision);
            let committing = scope.spawn(|| commit(store, id));
            wait_until_held(store, &NameScope::of(&name("f")));
            put(store, "g/a", "old");
            put(store, "g/a", "new");
            assert_eq!((versions("g/a"), versions("h/a")), (1, 1));
            drop(decision);
            committing.join().unwrap().unwrap();
        });
        assert_eq!((versions("g/a"), versions("h/a")), (1, 0));
    }

    #[test]
    fn where_a_bound_counts_all_models_one_of_them_changes_at_a_time() {
        for (models_max, total_bytes_max) in [(0, 0), (9, 0), (0, 1 << 20)] {
            let directory = tempfile::tempdir().unwrap();
            let options = StoreOptions {
                models_max,
                total_bytes_max,
                ..StoreOptions::default()
            };
            let store = Store::open(directory.path(), options).unwrap();
            let changing = store.catalog().changing(NameScope::of(&name("f"))).unwrap();
            assert_eq!(changing.is_of_all(), models_max > 0 || total_bytes_max > 0);
        }
    }

    #[test]
    fn a_commit_that_waits_for_its_decision_is_refused_when_another_one_was_broken_off() {
        let directory = tempfile::tempdir().unwrap();
        let store = &open(directory.path());
        let (id, other) = (begin_with(store, "f", "f/a", "new"), begin(store, "g"));
        let catalog = store.catalog();
        thread::scope(|scope| {
            let decision = lock(&catalog.decision);
            let committing = scope.spawn(|| commit(store, id));
            wait_until_held(store, &NameScope::of(&name("f")));
            catalog
                .unfinished
                .leave_record(catalog.layout.hidden(), other);
            drop(decision);
            let refused = committing.join().unwrap().unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::Busy);
        });
        assert!(!directory.path().join("f").exists());
        put(store, "g/a", "new");
        commit(store, id).unwrap();
    }

    #[test]
    fn folders_of_versions_come_and_go_beside_each_other() {
        let directory = tempfile::tempdir().unwrap();
        let store = &open(directory.path());
        thread::scope(|scope| {
            for text in ["f/a", "g/a", "h/a"] {
                scope.spawn(move || {
                    for round in 0..200 {
                        put(store, text, &format!("{round}"));
                        let forgotten = store.forget_versions(&name(text));
                        forgotten.unwrap();
                    }
                });
            }
        });
    }
}
