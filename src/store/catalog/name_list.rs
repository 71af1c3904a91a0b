// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The sorted names of all models, once in memory however many listings read it.
//!
//! What is in memory is looked at once for each listing that begins, folder by folder as the listing comes
//! there, and read again where the file system says that it has changed ([`KnownFolder`]). So a page costs
//! what it has, and what was changed by hand is in the next list.

use std::io;
use std::ops::ControlFlow;
use std::sync::Mutex;
use std::time::Duration;

use crate::model::{Depth, NameFilter};
use crate::store::catalog::known_folder::{FolderWay, KnownFolder, ListTurn, find};
use crate::store::catalog::layout::Layout;
use crate::store::ready_files::ReadyQueue;
use crate::threads::lock;

/// What listings share.
#[derive(Default)]
pub(crate) struct NameList(Mutex<NameListState>);

#[derive(Default)]
struct NameListState {
    /// How many listings have begun.
    turns: u64,
    root: KnownFolder,
}

/// Some of the names of a list.
pub(crate) struct NameRange<'a> {
    pub(crate) filter: &'a NameFilter,
    /// The listing that asks.
    pub(crate) turn: u64,
    /// They come after this text in the order of bytes.
    pub(crate) after: &'a str,
    /// The last one.
    pub(crate) end: Option<&'a str>,
    pub(crate) kind: ListedKind,
}

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ListedKind {
    Models,
    Folders,
    Both,
}

/// A name in a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ListedName<'a> {
    /// That of a folder has a separator at its end.
    pub(crate) name: &'a str,
    /// How many models are in the folder; 0 for a model.
    pub(crate) models: u64,
}

impl NameList {
    /// The number of a listing that begins, which has every name that was there before.
    ///
    /// # Errors
    /// Those of the file system.
    pub(crate) fn begin(
        &self,
        layout: &Layout,
        ready: &ReadyQueue,
        tick: Duration,
    ) -> io::Result<u64> {
        let mut state = lock(&self.0);
        state.turns += 1;

        let number = state.turns;
        let turn = ListTurn {
            number,
            ready,
            tick,
        };
        let root = FolderWay::root(layout.folder());
        state.root.renew(&root, "", turn)?;
        Ok(number)
    }

    /// Tells the names of a range in the order of their bytes until there are no more, or `tell` wants none
    /// any more, or enough were looked at for one time. Returns the last name that was looked at if there
    /// may be more behind it.
    pub(crate) fn walk(
        &self,
        layout: &Layout,
        ready: &ReadyQueue,
        tick: Duration,
        range: &NameRange<'_>,
        tell: &mut dyn FnMut(ListedName<'_>) -> ControlFlow<()>,
    ) -> Option<String> {
        let start = range.filter.common_start()?;
        let mut walk = Walk {
            range,
            start,
            lower: start.max(range.after),
            turn: ListTurn {
                number: range.turn,
                ready,
                tick,
            },
            looked: 0,
            tell,
        };

        let mut state = lock(&self.0);
        let root = FolderWay::root(layout.folder());
        let mut path = String::new();
        match walk.enter(&mut state.root, &root, &mut path) {
            ControlFlow::Break(Halt::Paused) => Some(path),
            _ => None,
        }
    }
}

/// Why a walk does not go on.
enum Halt {
    /// There are no more names in the range.
    Over,
    /// There may be more behind the path.
    Paused,
}

struct Walk<'a> {
    range: &'a NameRange<'a>,
    /// What all names begin with.
    start: &'a str,
    /// No name is less.
    lower: &'a str,
    turn: ListTurn<'a>,
    looked: usize,
    tell: &'a mut dyn FnMut(ListedName<'_>) -> ControlFlow<()>,
}

impl Walk<'_> {
    /// Walks through a folder, whose path is empty or has a separator at its end.
    fn enter(
        &mut self,
        known: &mut KnownFolder,
        way: &FolderWay<'_>,
        path: &mut String,
    ) -> ControlFlow<Halt> {
        known.renew_inner(way, path, self.turn);

        let length = path.len();
        let (names, folders) = known.parts();
        let mut cursor = names.from(self.begin_in(path));

        while let Some(name) = cursor.next() {
            path.truncate(length);
            path.push_str(name);

            // A folder comes before all that is in it.
            let is_within = path.starts_with(self.start) || self.start.starts_with(path.as_str());
            let is_behind = self.range.end.is_some_and(|end| path.as_str() > end);
            if is_behind || (!is_within && path.as_str() > self.start) {
                return ControlFlow::Break(Halt::Over);
            }

            let inner = name.ends_with('/').then(|| find(folders, name));
            match inner.flatten() {
                Some(inner) if self.is_told_once(path) => {
                    self.folder(inner, &way.inner(name), path)?;
                }
                Some(inner) => {
                    self.enter(inner, &way.inner(name), path)?;
                    continue;
                }
                None => self.model(path)?,
            }

            // Others wait for the lock.
            self.looked += 1;
            if self.looked >= LOOKED_MAX {
                return ControlFlow::Break(Halt::Paused);
            }
        }
        ControlFlow::Continue(())
    }

    /// The first name of a folder that matters: of the folder that the lower bound leads through, the segment
    /// by which it does.
    fn begin_in(&self, path: &str) -> &str {
        match self.lower.strip_prefix(path) {
            Some(rest) => match rest.find('/') {
                Some(place) => &rest[..=place],
                None => rest,
            },
            None => "",
        }
    }

    /// Whether of a folder only its name is told.
    fn is_told_once(&self, path: &str) -> bool {
        let filter = self.range.filter;
        filter.depth == Depth::Folders && path.len() > filter.prefix.len()
    }

    fn model(&mut self, path: &str) -> ControlFlow<Halt> {
        let is_meant = self.range.kind != ListedKind::Folders
            && path > self.range.after
            && path.starts_with(self.start)
            && self.range.filter.is_matched(path);
        self.tell(is_meant, path, 0)
    }

    fn folder(
        &mut self,
        inner: &mut KnownFolder,
        way: &FolderWay<'_>,
        path: &mut String,
    ) -> ControlFlow<Halt> {
        let is_meant = self.range.kind != ListedKind::Models
            && path.as_str() > self.range.after
            && self.range.filter.is_matched(path.trim_end_matches('/'));
        let models = if is_meant {
            inner.count(way, path, self.turn)
        } else {
            0
        };
        self.tell(models > 0, path, models)
    }

    fn tell(&mut self, is_meant: bool, name: &str, models: u64) -> ControlFlow<Halt> {
        if is_meant && (self.tell)(ListedName { name, models }).is_break() {
            return ControlFlow::Break(Halt::Paused);
        }
        ControlFlow::Continue(())
    }
}

/// Names that are looked at under one lock.
const LOOKED_MAX: usize = 4096;
