// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Who may change names now: one change at a time in each top folder, or one alone for all of them.
//!
//! A change takes one of these locks and no second one. It holds none of a change set's own state but that of its
//! own set, which comes before; the locks of a decision, of what readers see, and of counts come after.

use std::collections::BTreeSet;
use std::sync::{Condvar, Mutex, PoisonError};

use crate::model::ModelName;
use crate::text::composed;
use crate::threads::lock;

/// The names that change at a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NameScope {
    /// All of them.
    All,
    /// Those of one top folder, or the one model of that name, in the form in which it is the same for all file
    /// systems and people.
    Top(String),
}

impl NameScope {
    /// The smallest one that has this name.
    pub(crate) fn of(name: &ModelName) -> Self {
        let top = name.segments().next().unwrap_or_default();
        Self::Top(composed(top).to_lowercase())
    }

    /// The smallest one that has all of these names.
    pub(crate) fn of_all<'a>(names: impl IntoIterator<Item = &'a ModelName>) -> Self {
        let mut names = names.into_iter().map(Self::of);
        let Some(first) = names.next() else {
            return Self::All;
        };
        if names.all(|other| other == first) {
            first
        } else {
            Self::All
        }
    }
}

/// The locks of all names.
#[derive(Default)]
pub(crate) struct NameLocks {
    state: Mutex<LocksState>,
    /// Somebody is done.
    change: Condvar,
}

#[derive(Default)]
struct LocksState {
    is_held: bool,
    /// How many wait for all names: those who come later wait behind them, so that they get their turn.
    waiting: usize,
    tops: BTreeSet<String>,
}

impl LocksState {
    fn is_free(&self) -> bool {
        !self.is_held && self.tops.is_empty()
    }
}

impl NameLocks {
    /// Waits until nobody else changes any of these names.
    pub(crate) fn lock(&self, scope: NameScope) -> NameGuard<'_> {
        let mut state = lock(&self.state);
        match &scope {
            NameScope::All => {
                state.waiting += 1;
                let waited = self.change.wait_while(state, |state| !state.is_free());
                state = waited.unwrap_or_else(PoisonError::into_inner);
                state.waiting -= 1;
                state.is_held = true;
            }
            NameScope::Top(top) => {
                let waited = self.change.wait_while(state, |state| {
                    state.is_held || state.waiting > 0 || state.tops.contains(top)
                });
                state = waited.unwrap_or_else(PoisonError::into_inner);
                state.tops.insert(top.clone());
            }
        }
        drop(state);
        NameGuard { locks: self, scope }
    }

    /// Whether somebody changes these names now.
    #[cfg(test)]
    pub(crate) fn is_held(&self, scope: &NameScope) -> bool {
        let state = lock(&self.state);
        match scope {
            NameScope::All => state.is_held,
            NameScope::Top(top) => state.tops.contains(top),
        }
    }

    /// Locks all names, if nobody changes any now.
    pub(crate) fn try_lock_all(&self) -> Option<NameGuard<'_>> {
        let mut state = lock(&self.state);
        if !state.is_free() {
            return None;
        }
        state.is_held = true;
        Some(NameGuard {
            locks: self,
            scope: NameScope::All,
        })
    }
}

/// Lives as long as names change.
pub(crate) struct NameGuard<'a> {
    locks: &'a NameLocks,
    scope: NameScope,
}

impl NameGuard<'_> {
    /// Whether nobody else changes any name.
    pub(crate) fn is_of_all(&self) -> bool {
        self.scope == NameScope::All
    }
}

impl Drop for NameGuard<'_> {
    fn drop(&mut self) {
        let mut state = lock(&self.locks.state);
        match &self.scope {
            NameScope::All => state.is_held = false,
            NameScope::Top(top) => drop(state.tops.remove(top)),
        }
        self.locks.change.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{TryRecvError, channel};
    use std::thread;

    use super::*;

    fn scope(text: &str) -> NameScope {
        NameScope::of(&text.parse().unwrap())
    }

    #[test]
    fn a_scope_is_what_names_have_in_common_at_the_top() {
        assert_eq!(scope("f/a/b"), scope("F"));
        assert_eq!(scope("\u{e9}/a"), scope("e\u{301}"));
        assert_ne!(scope("f/a"), scope("g/a"));

        let names = |texts: &[&str]| -> Vec<ModelName> {
            texts.iter().map(|text| text.parse().unwrap()).collect()
        };
        assert_eq!(
            NameScope::of_all(&names(&["f/a", "f", "f/b/c"])),
            scope("f")
        );
        assert_eq!(NameScope::of_all(&names(&["f/a", "g"])), NameScope::All);
        assert_eq!(NameScope::of_all(&names(&[])), NameScope::All);
    }

    #[test]
    fn changes_in_two_folders_go_on_side_by_side_and_one_of_all_names_waits_for_both() {
        let locks = NameLocks::default();
        let (one, two) = (locks.lock(scope("f/a")), locks.lock(scope("g")));
        assert!(!one.is_of_all() && locks.try_lock_all().is_none());

        thread::scope(|scoped| {
            let (sender, all_held) = channel();
            let (release, released) = channel::<()>();
            let locks = &locks;
            scoped.spawn(move || {
                let all = locks.lock(NameScope::All);
                sender.send(all.is_of_all()).unwrap();
                released.recv().unwrap();
            });
            drop(one);
            assert_eq!(all_held.try_recv(), Err(TryRecvError::Empty));
            drop(two);
            assert!(all_held.recv().unwrap());

            // Nobody comes in beside it.
            let (sender, top_held) = channel();
            scoped.spawn(move || {
                let _top = locks.lock(scope("h"));
                sender.send(()).unwrap();
            });
            assert_eq!(top_held.try_recv(), Err(TryRecvError::Empty));
            assert!(locks.try_lock_all().is_none());
            release.send(()).unwrap();
            top_held.recv().unwrap();
        });
        assert!(locks.try_lock_all().is_some());
    }

    #[test]
    fn who_waits_for_all_names_gets_its_turn() {
        let locks = NameLocks::default();
        let held = locks.lock(scope("f"));
        thread::scope(|scoped| {
            let all = scoped.spawn(|| drop(locks.lock(NameScope::All)));
            while lock(&locks.state).waiting == 0 {
                thread::yield_now();
            }
            let top = scoped.spawn(|| drop(locks.lock(scope("g"))));
            assert!(!top.is_finished() && lock(&locks.state).tops.len() == 1);
            drop(held);
            all.join().unwrap();
            top.join().unwrap();
        });
    }
}
