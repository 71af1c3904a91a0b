// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A list of models that is read bit by bit, so that a slow reader of a long one costs little memory.

use std::ops::ControlFlow;
use std::sync::{Arc, RwLockReadGuard};

use crate::error::{Error, ErrorKind, Result};
use crate::model::{Depth, ListRequest, Model, ModelName, NameFilter};
use crate::store::catalog::{Catalog, ListedKind, ListedName, NameRange, Stamp, Standing};
use crate::store::changes::{HiddenNames, NameSpan};
use crate::store::failure::{unlisted, unstored};
use crate::store::store_handle::Store;
use crate::store::versions::{self, RemovedModel};

/// Models, sorted by name, and then folders. Those that come or go meanwhile may be in it or not; of those that a
/// commit changes together, all are as they were before it or as they are after it ([`Store::go_on`]).
pub(crate) struct Listing {
    catalog: Arc<Catalog>,
    request: ListRequest,
    turn: u64,
    /// How many commits were shown when it was looked at last.
    commits: u64,
    /// The folder next to the model directory in which it has what was before a later commit.
    outdated: Option<String>,
    /// The last name that was told.
    told: String,
    /// The last name of a page that is not the last one.
    end: Option<String>,
    kind: ListedKind,
    /// The name after which to go on; `None` at the end.
    place: Option<String>,
    /// The names that come next, last one first, with the models in those of folders.
    next: Vec<(String, u64)>,
}

/// All models together.
pub(crate) struct StoreTotals {
    pub(crate) models: u64,
    pub(crate) bytes: u64,
    /// Bytes of the disk beside its reserve, as far as the file system says.
    pub(crate) free: Option<u64>,
}

impl Store {
    /// How many models there are, how large they are, and how much room is left.
    ///
    /// # Errors
    /// Those of the file system.
    pub(crate) fn totals(&self) -> Result<StoreTotals> {
        let mut totals = StoreTotals {
            models: 0,
            bytes: 0,
            free: None,
        };
        // One by one: to look at all of them must not cost the memory of all.
        for (_, size) in self.listing(ListRequest::default())?.sizes() {
            totals.models += 1;
            totals.bytes = totals.bytes.saturating_add(size);
        }

        let catalog = self.catalog();
        let free = catalog.layout.folder().free_bytes().map_err(unstored)?;
        totals.free = free.map(|free| free.saturating_sub(catalog.options.reserve_bytes));
        Ok(totals)
    }

    /// Keeps change sets from being shown until it is dropped, if all of these names can be looked up. Nothing else
    /// of the store may be called meanwhile but a listing.
    ///
    /// # Errors
    /// `Busy` if one of them is one of a commit that is not done to its end.
    pub(crate) fn hold(&self, filter: &NameFilter) -> Result<RwLockReadGuard<'_, HiddenNames>> {
        let shown = self.catalog().shown();
        shown.check_list(filter)?;
        Ok(shown)
    }

    /// Begins a list.
    ///
    /// # Errors
    /// As [`Store::list`].
    pub(crate) fn listing(&self, request: ListRequest) -> Result<Listing> {
        let catalog = Arc::clone(self.catalog());
        catalog.layout.check_there()?;

        let tick = catalog.options.clock_tick;
        let begun = catalog
            .name_list
            .begin(&catalog.layout, &catalog.ready, tick);
        let turn = begun.map_err(unlisted)?;

        let mut listing = Listing {
            commits: catalog.shown_commits.count(),
            outdated: None,
            told: request.after.clone(),
            place: Some(request.after.clone()),
            end: None,
            kind: ListedKind::Both,
            next: Vec::new(),
            catalog,
            request,
            turn,
        };
        listing.end = listing.page_end();
        listing.kind = ListedKind::Models;
        Ok(listing)
    }

    /// [`Store::hold`] for the next piece of a list, some of which was read before.
    ///
    /// # Errors
    /// As [`Store::hold`], and `Busy` if a commit since then has changed both names that were told and others that
    /// are still to come: the list would have one half of it.
    pub(crate) fn go_on(&self, listing: &mut Listing) -> Result<RwLockReadGuard<'_, HiddenNames>> {
        let held = self.hold(&listing.request.filter)?;
        listing.look_again()?;
        Ok(held)
    }
}

impl Listing {
    /// Looks at the commits that were shown since it was looked at last, while none can be.
    fn look_again(&mut self) -> Result<()> {
        let catalog = Arc::clone(&self.catalog);
        let count = catalog.shown_commits.count();
        if count == self.commits {
            return Ok(());
        }

        let spans = catalog.shown_commits.since(self.commits);
        let Some(spans) = spans.filter(|spans| spans.iter().all(|span| self.is_whole_with(span)))
        else {
            let text = "models of this list were changed together while it was read";
            return Err(Error::new(ErrorKind::Busy, text).hint("ask for it again"));
        };
        self.commits = count;

        // Names that were read ahead, and folders that were looked at, are those of before.
        if !spans.is_empty() && !self.is_over() {
            let tick = catalog.options.clock_tick;
            let begun = catalog
                .name_list
                .begin(&catalog.layout, &catalog.ready, tick);
            self.turn = begun.map_err(unlisted)?;
            self.next.clear();
            self.place = Some(self.told.clone());
        }
        Ok(())
    }

    /// Whether all that a commit has changed is still to come, or nothing of it. What is told of one folder next to
    /// the model directory is of one moment for all commits together.
    fn is_whole_with(&mut self, span: &NameSpan) -> bool {
        let start = self.request.filter.common_start().unwrap_or_default();
        if self.is_over() || !span.may_have(start) {
            return true;
        }

        // Models are told before folders, and these with the number of models in them.
        if self.has_folders() {
            let is_within_one = top(&span.first) == top(&span.last) && !start.contains('/');
            return is_within_one || self.told == self.request.after;
        }

        let is_told = span.first <= self.told;
        let is_to_come = span.last > self.told;
        let folder = top(&self.told);
        if is_to_come && self.outdated.as_deref() == Some(folder) && top(&span.first) == folder {
            return false;
        }
        if is_told && !is_to_come && top(&span.last) == folder {
            self.outdated = Some(folder.to_owned());
        }
        !(is_told && is_to_come)
    }

    /// Whether nothing more is told of what commits change together.
    fn is_over(&self) -> bool {
        let is_last_kind = !self.has_folders() || self.kind == ListedKind::Folders;
        is_last_kind && self.place.is_none() && self.next.is_empty()
    }

    /// The last name of this page, if another one follows.
    pub(crate) fn next_after(&self) -> Option<&str> {
        self.end.as_deref()
    }

    /// Whether folders are told instead of the models in them.
    pub(crate) fn has_folders(&self) -> bool {
        self.request.filter.depth == Depth::Folders
    }

    /// The next folder with its models, after all models were read.
    pub(crate) fn next_folder(&mut self) -> Option<(String, u64)> {
        if !self.has_folders() {
            return None;
        }
        if self.kind != ListedKind::Folders {
            self.kind = ListedKind::Folders;
            self.place = Some(self.request.after.clone());
            self.told.clone_from(&self.request.after);
            self.next.clear();
        }
        self.next_name()
    }

    /// What there is of removed models, told with the last page. That it cannot be read hides no model.
    pub(crate) fn removed(&self) -> Box<dyn Iterator<Item = RemovedModel> + Send> {
        if self.end.is_some() {
            return Box::new(std::iter::empty());
        }

        let filter = self.request.filter.clone();
        let is_meant = move |name: &ModelName| filter.takes(name.as_str());
        versions::removed(Arc::clone(&self.catalog), is_meant).unwrap_or_else(|error| {
            log::warn!("old versions of removed models are not listed: {error}");
            Box::new(std::iter::empty())
        })
    }

    /// The names of all models and their sizes, of which no digest is asked for.
    fn sizes(mut self) -> impl Iterator<Item = (ModelName, u64)> {
        std::iter::from_fn(move || self.next_standing().map(|(name, stamp)| (name, stamp.size)))
    }

    fn next_standing(&mut self) -> Option<(ModelName, Stamp)> {
        loop {
            let Ok(name) = self.next_name()?.0.parse() else {
                continue;
            };
            match self.catalog.layout.standing(&name) {
                Ok(Standing::Model(stamp)) => return Some((name, stamp)),
                // What is no model, or vanished meanwhile.
                Ok(_) => {}
                // One damaged entry of an old card must not hide all the others.
                Err(error) => log::warn!("the model '{name}' is not listed: {error}"),
            }
        }
    }

    fn next_name(&mut self) -> Option<(String, u64)> {
        while self.next.is_empty() {
            let mut found = Vec::new();
            self.walk(&mut |listed| {
                found.push((listed.name.to_owned(), listed.models));
                if found.len() < AT_ONCE {
                    ControlFlow::Continue(())
                } else {
                    ControlFlow::Break(())
                }
            })?;
            found.reverse();
            self.next = found;
        }
        let (name, models) = self.next.pop()?;
        self.told.clone_from(&name);
        Some((name, models))
    }

    /// Goes on with the names; `None` at their end.
    fn walk(&mut self, tell: &mut dyn FnMut(ListedName<'_>) -> ControlFlow<()>) -> Option<()> {
        let place = self.place.take()?;
        let range = NameRange {
            filter: &self.request.filter,
            turn: self.turn,
            after: &place,
            end: self.end.as_deref(),
            kind: self.kind,
        };
        let Catalog {
            layout,
            name_list,
            ready,
            ..
        } = &*self.catalog;
        let tick = self.catalog.options.clock_tick;
        self.place = name_list.walk(layout, ready, tick, &range, tell);
        Some(())
    }

    /// Where a page of so many names ends. It is known before the first of them is told, so that the head of
    /// the answer can have it.
    fn page_end(&mut self) -> Option<String> {
        let limit = self.request.limit?;
        let (mut count, mut end, mut is_cut) = (0, None, false);

        while !is_cut {
            let walked = self.walk(&mut |listed| {
                if count == limit {
                    is_cut = true;
                    return ControlFlow::Break(());
                }
                count += 1;
                if count == limit {
                    end = Some(listed.name.to_owned());
                }
                ControlFlow::Continue(())
            });
            if walked.is_none() {
                break;
            }
        }
        self.place = Some(self.request.after.clone());
        end.filter(|_| is_cut)
    }
}

impl Iterator for Listing {
    type Item = Model;

    fn next(&mut self) -> Option<Model> {
        let (name, stamp) = self.next_standing()?;
        Some(self.catalog.model(&name, &stamp))
    }
}

/// What is next to the model directory of this name.
fn top(name: &str) -> &str {
    name.split('/').next().unwrap_or(name)
}

/// Names that one listing has in memory.
const AT_ONCE: usize = 64;

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;
    use crate::store::changes::{ChangeRequest, Others};
    use crate::store::{Condition, StoreOptions};

    fn listing(store: &Store) -> Listing {
        store.listing(ListRequest::default()).unwrap()
    }

    #[test]
    fn listings_see_what_was_there_before_they_began() {
        let directory = tempfile::tempdir().unwrap();
        let write = |name: &str| std::fs::write(directory.path().join(name), "x").unwrap();
        (0..200).for_each(|number| write(&format!("m{number:03}")));
        std::fs::create_dir(directory.path().join("folder")).unwrap();
        let store = Store::open(directory.path(), StoreOptions::default()).unwrap();

        let mut slow = listing(&store);
        assert_eq!(slow.next().unwrap().name.as_str(), "m000");
        assert!(slow.next.len() < AT_ONCE, "names of one listing");
        write("later");
        std::fs::remove_file(directory.path().join("m199")).unwrap();

        let all: Vec<_> = listing(&store).map(|model| model.name).collect();
        assert_eq!((all.len(), all[0].as_str()), (200, "later"));
        assert!(all.is_sorted());

        let rest: Vec<_> = slow.by_ref().map(|model| model.name).collect();
        assert_eq!((rest.len(), rest[0].as_str()), (198, "m001"));
    }

    fn request(prefix: &str, pattern: &str, after: &str, limit: usize) -> ListRequest {
        let mut request = ListRequest {
            after: after.to_owned(),
            limit: (limit > 0).then_some(limit),
            ..ListRequest::default()
        };
        request.filter.prefix = prefix.to_owned();
        request.filter.pattern = pattern.parse().ok();
        request
    }

    fn names(listing: &mut Listing) -> Vec<String> {
        let models = listing.by_ref();
        models.map(|model| model.name.to_string()).collect()
    }

    /// A store of these models, each of one byte.
    fn store_of(models: &[&str]) -> (tempfile::TempDir, Store) {
        let directory = tempfile::tempdir().unwrap();
        for model in models {
            let path = directory.path().join(model);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "x").unwrap();
        }
        let store = Store::open(directory.path(), StoreOptions::default()).unwrap();
        (directory, store)
    }

    const TREE: &[&str] = &[
        "a", "a-b", "b/a", "b/b/c", "b/b-c", "b/bb", "b.x", "b0", "c/c/c/c",
    ];

    #[test]
    fn pages_begin_and_end_anywhere_and_have_each_name_once() {
        let (_directory, store) = store_of(TREE);
        let mut sorted = TREE.to_vec();
        sorted.sort_unstable();
        let prefixes = [
            "", "a", "b", "b/", "b/b", "b/b/", "c/c/", "d", "b/b/c", "b/b/c/",
        ];
        let places = [
            "", "a", "b", "b/", "b/b", "b/b/", "b/b/z", "b0", "c/", "zzz", "b//",
        ];

        for prefix in prefixes {
            for pattern in ["", "**", "*", "b/*", "**/c", "b*/b?", "c/c/c/c"] {
                let matching: Option<crate::model::NamePattern> = pattern.parse().ok();
                let is_meant = |name: &str| {
                    name.starts_with(prefix)
                        && matching
                            .as_ref()
                            .is_none_or(|pattern| pattern.matches(name))
                };
                for place in places {
                    let wanted = sorted.iter().filter(|name| is_meant(name));
                    let wanted: Vec<_> = wanted.copied().filter(|name| *name > place).collect();

                    for limit in [0, 1, 2, 5] {
                        let (mut all, mut after) = (Vec::new(), place.to_owned());
                        loop {
                            let page = request(prefix, pattern, &after, limit);
                            let mut listing = store.listing(page).unwrap();
                            let page = names(&mut listing);
                            assert!(limit == 0 || page.len() <= limit);
                            all.extend(page);
                            match listing.next_after() {
                                Some(next) => after = next.to_owned(),
                                None => break,
                            }
                        }
                        assert_eq!(all, wanted, "{prefix} {pattern} {place} {limit}");
                    }
                }
            }
        }
    }

    /// A set that gives models one more byte each, and makes those that are not there.
    fn commit(store: &Store, models: &[&str]) {
        let request = ChangeRequest {
            root: None,
            principal: None,
        };
        let id = store.begin_change(request).unwrap();
        for model in models {
            let mut upload = store.upload(None).unwrap();
            upload.write_all(b"xx").unwrap();
            let model = model.parse().unwrap();
            upload.end(&model, None, &Condition::Any, Some(id)).unwrap();
        }
        store.commit_change(id, Others::Keep, None).unwrap();
    }

    #[test]
    fn a_list_that_is_read_in_pieces_has_all_of_a_commit_or_nothing() {
        let mut models: Vec<_> = (0..150).map(|number| format!("f/m{number:03}")).collect();
        models.extend(["a", "g/a", "g/b", "z"].map(str::to_owned));
        let models: Vec<_> = models.iter().map(String::as_str).collect();

        // What is committed after 100 models were told, and whether the list can go on.
        let cases: &[(&[&[&str]], bool)] = &[
            (&[&["f/m000", "f/m149"]], false),
            (&[&["a", "z"]], false),
            (&[&["f/m120", "f/m121x", "f/m149"]], true),
            (&[&["a", "f/m000"]], true),
            (&[&["g/a", "g/aa", "g/b", "z"]], true),
            // Of one folder, what is told later is no newer than what was told before.
            (&[&["f/m001"], &["f/m140"]], false),
            (&[&["f/m140"], &["f/m001"]], true),
            (&[&["f/m001"], &["g/a", "z"]], true),
            (&[&["a"], &["f/m140"]], true),
        ];
        for (sets, is_whole) in cases {
            let (_directory, store) = store_of(&models);
            let mut listing = store.listing(ListRequest::default()).unwrap();
            let told: Vec<_> = listing.by_ref().take(100).collect();
            assert_eq!(told[99].name.as_str(), "f/m098");
            store.go_on(&mut listing).map(drop).unwrap();

            for set in *sets {
                commit(&store, set);
            }
            match store.go_on(&mut listing).map(drop) {
                Err(error) => {
                    assert!(!is_whole, "{sets:?}");
                    assert_eq!(error.kind(), ErrorKind::Busy);
                }
                Ok(()) => {
                    assert!(is_whole, "{sets:?}");
                    let rest: Vec<_> = listing.by_ref().collect();
                    for set in *sets {
                        let sizes = set.iter().map(|name| {
                            let mut all = told.iter().chain(&rest);
                            all.find(|model| model.name.as_str() == *name)
                                .map_or(0, |model| model.size)
                        });
                        let sizes: Vec<_> = sizes.collect();
                        assert!(
                            sizes.iter().all(|size| *size == sizes[0] && *size > 0),
                            "{set:?} {sizes:?}"
                        );
                    }
                    // At its end, nothing concerns it any more.
                    commit(&store, &["a", "z"]);
                    store.go_on(&mut listing).map(drop).unwrap();
                }
            }
        }
    }

    #[test]
    fn a_list_of_folders_has_all_of_a_commit_or_nothing() {
        let (_directory, store) = store_of(&["a", "f/a", "f/b", "g/f/a", "g/f/b", "g/m", "h"]);
        let begun = |prefix: &str| {
            let mut request = request(prefix, "", "", 0);
            request.filter.depth = Depth::Folders;
            let mut listing = store.listing(request).unwrap();
            listing.next().unwrap();
            listing
        };
        let (mut all, mut inner, mut one) = (begun(""), begun("g/"), begun("h"));
        for (number, (set, is_whole)) in [
            (&["f/a", "f/c"][..], [true, true, true]),
            (&["g/m", "g/f/c"], [true, false, true]),
            (&["a", "f/d"], [false, false, true]),
        ]
        .into_iter()
        .enumerate()
        {
            commit(&store, set);
            let listings = [&mut all, &mut inner, &mut one];
            let found = listings.map(|listing| store.go_on(listing).is_ok());
            assert_eq!(found, is_whole, "{number}");
        }

        let mut late = begun("");
        commit(&store, &["f/e"]);
        store.go_on(&mut late).map(drop).unwrap();
        names(&mut late);
        let folder = |name: &str, models| Some((name.to_owned(), models));
        assert_eq!(late.next_folder(), folder("f/", 5));
        commit(&store, &["g/n"]);
        store.go_on(&mut late).map(drop).unwrap();
        assert_eq!(late.next_folder(), folder("g/", 5));
        assert_eq!(late.next_folder(), None);
        commit(&store, &["a", "h"]);
        store.go_on(&mut late).map(drop).unwrap();
    }

    #[test]
    fn folders_are_told_once_with_all_that_is_in_them() {
        let (directory, store) = store_of(TREE);
        let level = |prefix, pattern, after, limit| {
            let mut request = request(prefix, pattern, after, limit);
            request.filter.depth = Depth::Folders;
            let mut listing = store.listing(request).unwrap();
            let models = names(&mut listing);
            let folders: Vec<_> = std::iter::from_fn(|| listing.next_folder()).collect();
            let next = listing.next_after().map(str::to_owned);
            (models, folders, next)
        };
        let folder = |name: &str, models| (name.to_owned(), models);

        let (models, folders, next) = level("", "", "", 0);
        assert_eq!(models, ["a", "a-b", "b.x", "b0"]);
        assert_eq!(folders, [folder("b/", 4), folder("c/", 1)]);
        assert_eq!(next, None);
        let (models, folders, _) = level("b/b", "", "", 0);
        assert_eq!(models, ["b/b-c", "b/bb"]);
        assert_eq!(folders, [folder("b/b/", 1)]);
        assert_eq!(level("", "c*", "", 0).1, [folder("c/", 1)]);
        assert_eq!(level("c/c", "", "", 0).1, [folder("c/c/", 1)]);

        // A page that ends with a folder goes on behind all that is in it.
        let (models, folders, next) = level("", "", "a-b", 2);
        assert_eq!(
            (models, folders),
            (vec!["b.x".to_owned()], vec![folder("b/", 4)])
        );
        assert_eq!(next.as_deref(), Some("b/"));
        let (models, folders, next) = level("", "", "b/", 2);
        assert_eq!(
            (models, folders),
            (vec!["b0".to_owned()], vec![folder("c/", 1)])
        );
        assert_eq!(next, None);

        // What hands change, at any depth, is in the next list.
        std::fs::write(directory.path().join("c/c/c/d"), "x").unwrap();
        std::fs::remove_dir_all(directory.path().join("b/b")).unwrap();
        std::fs::create_dir_all(directory.path().join("empty/empty")).unwrap();
        assert_eq!(level("", "", "", 0).1, [folder("b/", 3), folder("c/", 2)]);
    }

    #[test]
    fn a_walk_that_rests_goes_on_where_it_was() {
        let directory = tempfile::tempdir().unwrap();
        for folder in 0..90 {
            let path = directory.path().join(format!("f{folder:02}"));
            std::fs::create_dir(&path).unwrap();
            (0..100).for_each(|n| std::fs::write(path.join(format!("m{n:02}")), "").unwrap());
        }
        let store = Store::open(directory.path(), StoreOptions::default()).unwrap();

        // Both are behind more names than are looked at under one lock.
        let mut listing = store.listing(request("", "*/m99", "", 85)).unwrap();
        assert_eq!(listing.next_after(), Some("f84/m99"));
        assert_eq!(names(&mut listing).len(), 85);
        let all = names(&mut store.listing(request("", "f[89/*", "", 0)).unwrap());
        assert!(all.is_empty());
        assert_eq!(store.totals().unwrap().models, 9000);
    }

    #[test]
    fn removed_models_are_told_with_the_last_page_that_they_belong_to() {
        let directory = tempfile::tempdir().unwrap();
        let options = StoreOptions {
            versions_max: 1,
            reserve_bytes: 0,
            ..StoreOptions::default()
        };
        let store = Store::open(directory.path(), options).unwrap();
        for (name, is_removed) in [("a", false), ("b", false), ("c/x", true), ("d", true)] {
            let name = name.parse().unwrap();
            let upload = store.upload(None).unwrap();
            upload.commit(&name, None, &Condition::Any).unwrap();
            if is_removed {
                store.remove(&name).unwrap();
            }
        }
        let removed = |request| {
            let kept = store.listing(request).unwrap().removed();
            let mut names: Vec<_> = kept.map(|model| model.name.to_string()).collect();
            names.sort();
            names
        };
        assert_eq!(removed(request("", "", "", 0)), ["c/x", "d"]);
        assert_eq!(removed(request("c/", "", "", 0)), ["c/x"]);
        assert_eq!(removed(request("", "?", "", 0)), ["d"]);
        assert!(removed(request("", "", "", 1)).is_empty());
        assert_eq!(removed(request("", "", "a", 1)), ["c/x", "d"]);
    }

    #[test]
    fn a_further_name_is_refused_where_there_are_enough_models() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join("folder")).unwrap();
        std::fs::write(directory.path().join("a"), "x").unwrap();
        let options = StoreOptions {
            models_max: 2,
            reserve_bytes: 0,
            ..StoreOptions::default()
        };
        let store = Store::open(directory.path(), options).unwrap();
        let admit = |name: &str| store.admit(&name.parse().unwrap(), Some(1), &Default::default());

        admit("b").unwrap();
        std::fs::write(directory.path().join("b"), "x").unwrap();
        assert_eq!(admit("c").unwrap_err().kind(), ErrorKind::NoSpace);
        admit("a").unwrap();
    }

    #[test]
    fn a_version_that_comes_back_is_a_further_name_as_well() {
        let directory = tempfile::tempdir().unwrap();
        let options = StoreOptions {
            models_max: 1,
            versions_max: 1,
            reserve_bytes: 0,
            ..StoreOptions::default()
        };
        let store = Store::open(directory.path(), options).unwrap();
        let put = |name: &ModelName| {
            let upload = store.upload(None).unwrap();
            upload.commit(name, None, &Condition::Any).unwrap();
        };

        let gone = "gone".parse().unwrap();
        put(&gone);
        store.remove(&gone).unwrap();
        std::fs::write(directory.path().join("present"), "by hand").unwrap();
        assert_eq!(
            store.rollback(&gone).unwrap_err().kind(),
            ErrorKind::NoSpace
        );

        std::fs::remove_file(directory.path().join("present")).unwrap();
        store.rollback(&gone).unwrap();
    }
}
