// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Other names for models and folders, tried with real files: every call to the disk that can fail, and what
//! goes along.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::time::SystemTime;

use crate::channels::{Channels, Received};
use crate::digest::Digest;
use crate::disk::fault;
use crate::event::Happening;
use crate::store::catalog::Stamp;
use crate::store::changes::change::Bytes;
use crate::store::changes::commit::commit_plan::{CommitPlan, Planned};
use crate::store::changes::commit::committed::learn;
use crate::store::changes::commit::plan::{known_versions, plan};
use crate::store::changes::commit::preparing::make_durable;
use crate::store::changes::tests::{name, open};
use crate::store::*;
use crate::threads::lock;

fn put(store: &Store, text: &str, bytes: &str, license: Option<&str>) {
    let metadata = Metadata::new(license, None, None).unwrap();
    let mut upload = store.upload(None).unwrap();
    upload.describe(metadata);
    upload.write_all(bytes.as_bytes()).unwrap();
    upload.commit(&name(text), None, &Condition::Any).unwrap();
}

fn try_move(store: &Store, from: &str, to: &str) -> Result<usize> {
    let request = MoveRequest {
        from: name(from.trim_end_matches('/')),
        to: name(to.trim_end_matches('/')),
        is_folder: from.ends_with('/'),
        expected: ExpectedState::Any,
    };
    store.move_model(&request).map(|outcome| outcome.models)
}

/// All models with their bytes, licences and the bytes of their old versions, newest first.
fn state(store: &Store) -> BTreeMap<String, (String, String, Vec<u64>)> {
    let models = store.list().unwrap().into_iter();
    models
        .map(|model| {
            let path = store.directory().join(model.name.as_str());
            let known = store.find(&model.name).unwrap();
            let about = store.about(&known);
            let license = about.and_then(|about| about.metadata.license);
            let versions = store.versions(&model.name).unwrap();
            let sizes = versions.iter().map(|version| version.size).collect();
            (
                model.name.to_string(),
                (
                    fs::read_to_string(path).unwrap(),
                    license.unwrap_or_default(),
                    sizes,
                ),
            )
        })
        .collect()
}

type Prepare = fn(&Store);

fn whole_folder(store: &Store) {
    put(store, "f/a", "one", None);
    put(store, "f/a", "three", Some("MIT"));
    put(store, "f/deep/b", "12", None);
    put(store, "f/deep/b", "x", Some("Apache-2.0"));
    put(store, "else", "untouched", None);
}

/// Versions and a licence are left under the new names.
fn left_under_the_new_name(store: &Store) {
    put(store, "new/a", "left", Some("GPL"));
    put(store, "new/deep/b", "left too", Some("GPL"));
    store.remove(&name("new/a")).unwrap();
    store.remove(&name("new/deep/b")).unwrap();
    whole_folder(store);
}

#[test]
fn a_folder_has_its_new_name_whole_or_not_at_all_whichever_call_to_the_disk_fails() {
    for prepare in [whole_folder as Prepare, left_under_the_new_name] {
        let mut calls = 0;
        while fails_at(calls, prepare, "f/", "new/") {
            calls += 1;
        }
        assert!(calls > 8, "only {calls} calls were tried");
    }
}

#[test]
fn a_model_has_its_new_name_whole_or_not_at_all_whichever_call_to_the_disk_fails() {
    for prepare in [whole_folder as Prepare, left_under_the_new_name] {
        let mut calls = 0;
        while fails_at(calls, prepare, "f/a", "new/a") {
            calls += 1;
        }
        assert!(calls > 8, "only {calls} calls were tried");
    }
}

/// Moves with one call to the disk that fails; whether there was such a call. After that, the store is opened
/// again.
fn fails_at(call: u32, prepare: Prepare, from: &str, to: &str) -> bool {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path(), 3);
    prepare(&store);
    let before = state(&store);

    fault::set(Some(call));
    let result = try_move(&store, from, to);
    let reached = !fault::set(None);
    let case = format!("call {call} of {from} to {to}");
    // Nobody sees a half of it, nor bytes without a name.
    let seen = state(&store);
    let is_shown = seen.keys().all(|name| !is_moved(name, from));
    if result.is_ok() {
        assert!(is_shown, "{case}: {seen:?}");
    } else if !is_shown {
        assert_eq!(seen, before, "{case}");
    }
    drop(store);

    let store = open(directory.path(), 3);
    let after = state(&store);
    if after == before {
        assert!(result.is_err(), "{case}");
    } else {
        let expected: BTreeMap<_, _> = before
            .into_iter()
            .map(|(name, mut model)| {
                if !is_moved(&name, from) {
                    return (name, model);
                }
                // What was left there is older than what came.
                if prepare as usize == left_under_the_new_name as Prepare as usize {
                    model.2.push(if name.ends_with('a') { 4 } else { 8 });
                }
                (name.replacen(from, to, 1), model)
            })
            .collect();
        assert_eq!(after, expected, "{case}");
    }

    let sets = fs::read_dir(directory.path().join(".skep/changes"));
    assert_eq!(sets.map_or(0, Iterator::count), 0, "{case}");
    for room in ["about", "versions"] {
        let old = directory.path().join(".skep").join(room).join(".skep/f/a");
        let is_there = after.contains_key("f/a");
        assert_eq!(old.exists(), is_there, "{case}: {room}");
    }
    reached
}

fn is_moved(name: &str, from: &str) -> bool {
    name == from || (from.ends_with('/') && name.starts_with(from))
}

#[test]
fn digests_revisions_and_versions_go_along() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path(), 2);
    put(&store, "f/a", "one", None);
    put(&store, "f/deep/b", "two", None);
    for bytes in ["three", "four"] {
        let request = ChangeRequest {
            root: Some(name("f/deep")),
            principal: None,
        };
        let id = store.begin_change(request).unwrap();
        let mut upload = store.upload(None).unwrap();
        upload.write_all(bytes.as_bytes()).unwrap();
        let c = name("f/deep/b");
        upload.end(&c, None, &Condition::Any, Some(id)).unwrap();
        store.commit_change(id, Others::Keep, None).unwrap();
    }

    let before = store
        .folder_info(&name("f/deep"), BlobSearch::Versions)
        .unwrap();
    assert_eq!(before.kept.len(), 2);
    assert_eq!(try_move(&store, "f/", "x/y/").unwrap(), 2);
    let after = store
        .folder_info(&name("x/y/deep"), BlobSearch::Versions)
        .unwrap();
    assert_eq!(
        (after.revision, &after.kept),
        (before.revision, &before.kept)
    );
    let digest = store.find(&name("x/y/a")).unwrap().digest;
    assert_eq!(digest, Some(Digest::of(b"one")));

    let choice = "newest".parse().unwrap();
    let done = store.rollback_folder(&name("x/y/deep"), choice, None, None);
    assert_eq!(done.unwrap().revision, Some(before.kept[0].revision));
    store.rollback(&name("x/y/deep/b")).unwrap();
    assert!(store.folder_info(&name("f"), BlobSearch::Versions).is_err());
    for room in ["", ".skep/versions/.skep", ".skep/revisions/.skep"] {
        let old = directory.path().join(room).join("f");
        assert!(!old.exists(), "{room}");
    }
}

#[test]
fn a_folder_goes_without_versions_where_only_its_neighbour_has_some() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path(), 2);
    put(&store, "f/neighbour", "old", None);
    put(&store, "f/neighbour", "newer", None);
    put(&store, "f/deep/a", "one", None);

    assert_eq!(try_move(&store, "f/deep/", "f/new/").unwrap(), 1);
    let state = state(&store);
    assert_eq!(state["f/new/a"].0, "one");
    assert_eq!(state["f/neighbour"].2, [3]);
}

#[test]
fn names_that_cannot_be_had_are_refused_and_nothing_moves() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path(), 0);
    put(&store, "a", "one", None);
    put(&store, "f/b", "two", None);
    put(&store, "g/c", "three", None);
    put(&store, "b.minisig", "x", None);
    put(&store, "a.minisig", "y", None);
    let before = state(&store);

    let long = format!("{}/", vec!["x"; 16].join("/"));
    for (from, to, kind) in [
        ("nothing", "b", ErrorKind::NotFound),
        ("nothing/", "b/", ErrorKind::NotFound),
        ("a", "a", ErrorKind::Conflict),
        ("f/", "f/", ErrorKind::Conflict),
        ("f/", "f/in/", ErrorKind::BadRequest),
        ("a", "f", ErrorKind::Conflict),
        ("a", "f/b", ErrorKind::Conflict),
        ("a", "f/b/c", ErrorKind::Conflict),
        ("f/", "a/", ErrorKind::Conflict),
        ("f/", "g/", ErrorKind::Conflict),
        ("f/", "a/in/", ErrorKind::Conflict),
        ("f/", &long, ErrorKind::BadRequest),
        // The signature of another model has the name of this one's.
        ("a", "b", ErrorKind::Conflict),
    ] {
        let error = try_move(&store, from, to).unwrap_err();
        assert_eq!(error.kind(), kind, "{from} {to}: {error}");
        assert_eq!(state(&store), before, "{from} {to}");
    }
    assert!(!directory.path().join(".skep/changes").exists());

    assert_eq!(try_move(&store, "a", "new").unwrap(), 2);
    assert!(directory.path().join("new.minisig").exists());
    assert!(!directory.path().join("a.minisig").exists());
}

#[test]
fn rules_for_uploads_hold_for_new_names() {
    let directory = tempfile::tempdir().unwrap();
    let options = StoreOptions {
        reserve_bytes: 0,
        accept: vec!["*.bin".to_owned(), "*.gguf".to_owned()],
        require_format: true,
        total_bytes_max: 5 * 4096,
        ..StoreOptions::default()
    };
    let store = Store::open(directory.path(), options).unwrap();
    put(&store, "d/a.bin", "one", None);
    let refused = |from: &str, to: &str, kind| {
        let error = try_move(&store, from, to).unwrap_err();
        assert_eq!(error.kind(), kind, "{to}: {error}");
    };
    refused("d/a.bin", "a.txt", ErrorKind::UnsupportedType);
    refused("d/a.bin", "a.gguf", ErrorKind::UnsupportedType);
    // Each folder takes a block of the disk.
    refused("d/a.bin", "1/2/3/4/5/6/a.bin", ErrorKind::NoSpace);
    refused("d/", "1/2/3/4/5/6/", ErrorKind::NoSpace);
    try_move(&store, "d/a.bin", "1/2/a.bin").unwrap();
    try_move(&store, "1/", "3/").unwrap();
}

#[test]
fn a_record_of_a_move_is_done_once_and_hands_are_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path(), 2);
    put(&store, "a", "one", None);
    put(&store, "a", "two", None);
    drop(store);

    // A start finds what another process wrote down, and what a hand has put there meanwhile.
    let set = directory
        .path()
        .join(".skep/changes/0123456789abcdef0123456789abcdef");
    let record = |text: &str| {
        fs::create_dir_all(&set).unwrap();
        fs::write(set.join("commit"), format!("skep-commit 1\n{text}\n")).unwrap();
    };
    // Nobody was told that it has the other name, so it keeps its own.
    record("move a\tb");
    let store = open(directory.path(), 2);
    assert_eq!(state(&store)["a"].2, [3]);
    assert!(!set.exists());
    drop(store);

    // What has it already is followed by its versions.
    fs::rename(directory.path().join("a"), directory.path().join("b")).unwrap();
    record("move a\tb");
    let store = open(directory.path(), 2);
    assert_eq!(
        state(&store)["b"],
        ("two".to_owned(), String::new(), vec![3])
    );
    assert!(!set.exists());
    drop(store);

    record("move a\tb");
    fs::write(directory.path().join("a"), "by hand").unwrap();
    let store = open(directory.path(), 2);
    let now = state(&store);
    assert_eq!((&now["a"].0[..], &now["b"].0[..]), ("by hand", "two"));
    assert_eq!((now["a"].2.len(), now["b"].2.len()), (0, 1));

    // What keeps its name keeps its versions.
    put(&store, "a", "newer", None);
    drop(store);
    record("move a\tb");
    let now = state(&open(directory.path(), 2));
    assert_eq!((now["a"].2.len(), now["b"].2.len()), (1, 1));
}

#[test]
fn a_record_is_done_to_its_end_and_removes_only_what_it_means() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path(), 0);
    put(&store, "old", "x", None);
    put(&store, "other", "by hand", None);
    drop(store);

    // The new folder was there, and went again.
    let set = directory
        .path()
        .join(".skep/changes/0123456789abcdef0123456789abcdef");
    fs::create_dir_all(&set).unwrap();
    let record = "skep-commit 1\npublish 1 new/a\nappear new\nremove 1 - old\nremove 3 - other\n";
    fs::write(set.join("commit"), record).unwrap();

    let store = open(directory.path(), 0);
    assert_eq!(Vec::from_iter(state(&store).into_keys()), ["other"]);
    assert!(!set.exists());

    // No version is kept where none is wanted.
    let error = store.versions(&name("old")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
}

#[test]
fn a_new_folder_is_there_at_once_whichever_call_to_the_disk_fails() {
    for again in [true, false] {
        let mut calls = 0;
        while new_folder_fails_at(calls, again) {
            calls += 1;
        }
        assert!(calls > 8, "only {calls} calls were tried");
    }
}

fn send(store: &Store, id: ChangeId, text: &str) {
    let mut upload = store.upload(Some(text.len() as u64)).unwrap();
    upload.write_all(text.as_bytes()).unwrap();
    let done = upload.end(&name(text), None, &Condition::Any, Some(id));
    done.unwrap();
}

/// Commits with one call to the disk that fails; whether there was such a call.
fn new_folder_fails_at(call: u32, again: bool) -> bool {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path(), 1);
    put(&store, "me/other", "x", None);
    let all = ["me/new/a", "me/new/deep/b", "me/new/deep/er/c"];
    let request = ChangeRequest {
        root: Some(name("me/new")),
        principal: None,
    };
    let id = store.begin_change(request).unwrap();
    all.iter().for_each(|text| send(&store, id, text));

    fault::set(Some(call));
    let result = store.commit_change(id, Others::Remove, None);
    let reached = !fault::set(None);

    // Who looks into the directory itself sees nothing of it, or all.
    let case = format!("call {call}, again: {again}");
    let there = |text: &&str| directory.path().join(text).exists();
    let count = all.iter().filter(|text| there(text)).count();
    let folder = directory.path().join("me/new");
    assert_eq!(count, if folder.exists() { 3 } else { 0 }, "{case}");
    assert!(result.is_err() || count == 3, "{case}");

    if again && result.is_err() {
        let done = store.commit_change(id, Others::Remove, None).expect(&case);
        assert_eq!((done.published, done.removed), (3, 0), "{case}");
    }
    drop(store);
    let store = open(directory.path(), 1);
    let count = state(&store)
        .keys()
        .filter(|name| name.starts_with("me/new/"))
        .count();
    assert!([0, 3].contains(&count), "{case}");
    if again || result.is_ok() {
        assert_eq!(count, 3, "{case}");
    }
    let sets = fs::read_dir(directory.path().join(".skep/changes")).unwrap();
    assert_eq!(sets.count(), usize::from(count == 0), "{case}");
    reached
}

#[test]
fn a_folder_that_a_hand_makes_in_the_middle_of_a_commit_keeps_what_is_in_it() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path(), 1);
    drop(store);

    // As a start finds it: one file is assembled, the other one is not, and there is a folder of the name.
    let set = directory
        .path()
        .join(".skep/changes/0123456789abcdef0123456789abcdef");
    fs::create_dir_all(set.join("tree/f/in")).unwrap();
    fs::write(set.join("tree/f/in/a"), "a").unwrap();
    fs::write(set.join("2"), "b").unwrap();
    let record = "skep-commit 1\npublish 1 f/in/a\npublish 2 f/b\nappear f\n";
    fs::write(set.join("commit"), record).unwrap();
    fs::create_dir_all(directory.path().join("f")).unwrap();
    fs::write(directory.path().join("f/by-hand"), "h").unwrap();

    let store = open(directory.path(), 1);
    let names: Vec<_> = state(&store).into_keys().collect();
    assert_eq!(names, ["f/b", "f/by-hand", "f/in/a"]);
    assert!(!set.exists());
}

#[test]
fn a_folder_makes_way_for_a_file_and_a_file_for_a_folder_whichever_call_fails() {
    for versions_max in [0, 1] {
        let mut calls = 0;
        while turning_fails_at(calls, versions_max) {
            calls += 1;
        }
        assert!(calls > 8, "only {calls} calls were tried");
    }
}

/// Commits with one call to the disk that fails; whether there was such a call.
fn turning_fails_at(call: u32, versions_max: usize) -> bool {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path(), versions_max);
    put(&store, "t/a/b", "1", None);
    put(&store, "t/a/c/d", "2", None);
    put(&store, "t/x", "3", None);
    let names = |store: &Store| -> Vec<String> { state(store).into_keys().collect() };
    let before = names(&store);

    let request = ChangeRequest {
        root: Some(name("t")),
        principal: None,
    };
    let id = store.begin_change(request).unwrap();
    ["t/a", "t/x/y"]
        .iter()
        .for_each(|text| send(&store, id, text));

    fault::set(Some(call));
    let result = store.commit_change(id, Others::Remove, None);
    let reached = !fault::set(None);
    drop(store);

    let case = format!("call {call}, {versions_max} versions");
    let store = open(directory.path(), versions_max);
    let after = names(&store);
    assert!(
        after == ["t/a", "t/x/y"] || (result.is_err() && after == before),
        "{case}: {after:?}"
    );
    reached
}

#[test]
fn what_else_is_in_a_folder_keeps_its_place() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path(), 0);
    put(&store, "t/a/b", "1", None);
    // No model, so nobody has asked for it to go.
    let link = directory.path().join("t/a/link");
    std::os::unix::fs::symlink("b", &link).unwrap();

    let request = ChangeRequest {
        root: Some(name("t")),
        principal: None,
    };
    let id = store.begin_change(request).unwrap();
    send(&store, id, "t/a");
    let error = store.commit_change(id, Others::Remove, None).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert_eq!(state(&store).into_keys().collect::<Vec<_>>(), ["t/a/b"]);

    // Folders in which there is nothing are in nobody's way.
    fs::remove_file(link).unwrap();
    fs::create_dir_all(directory.path().join("t/a/empty/deep")).unwrap();
    store.commit_change(id, Others::Remove, None).unwrap();
    assert_eq!(state(&store).into_keys().collect::<Vec<_>>(), ["t/a"]);
}

#[test]
fn only_the_file_that_was_in_the_set_gets_its_digest() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path(), 1);
    let catalog = store.catalog();
    let found = || {
        let place = catalog.layout.place(&name("m")).unwrap();
        Stamp::of(place.facts().unwrap())
    };
    let plan = CommitPlan {
        published: vec![Planned {
            name: name("m"),
            bytes: Bytes {
                digest: Digest::of(b"sent"),
                size: 4,
                number: 1,
                is_unsure: false,
                metadata: Metadata::default(),
                signature: None,
            },
            source: None,
            current: None,
            replaced: None,
            waits: false,
        }],
        removed: Vec::new(),
        unchanged: 0,
        described: Vec::new(),
        new_folder: None,
        exchange: None,
        keeps_versions: false,
        room: versions::VersionRoom::UNBOUNDED,
    };

    // A hand has put the old folder back, with a file of the same size.
    fs::write(directory.path().join("m"), "sent").unwrap();
    let staged = found();
    fs::rename(directory.path().join("m"), directory.path().join("aside")).unwrap();
    fs::write(directory.path().join("m"), "hand").unwrap();
    learn(catalog, &plan, &[Some(staged)]);
    assert_eq!(catalog.index.find(&name("m"), &found()), None);
    learn(catalog, &plan, &[None]);
    assert_eq!(catalog.index.find(&name("m"), &found()), None);

    fs::rename(directory.path().join("aside"), directory.path().join("m")).unwrap();
    learn(catalog, &plan, &[Some(staged)]);
    let known = catalog.index.find(&name("m"), &found());
    assert_eq!(known, Some(Digest::of(b"sent")));
}

#[test]
fn whoever_listens_hears_of_each_name_that_a_commit_or_a_move_changes() {
    let directory = tempfile::tempdir().unwrap();
    let channels = Channels::new(SystemTime::now(), 4);
    let events = StoreEvents {
        models: channels.open("models", 100).unwrap(),
        ..StoreEvents::default()
    };
    let heard = channels.subscribe(&["models"], 100).unwrap();
    let store = Store::open_with(directory.path(), StoreOptions::default(), events).unwrap();
    let next = || -> Vec<String> {
        let events = std::iter::from_fn(|| heard.try_next());
        let mut told: Vec<_> = events
            .map(|one| match one {
                Received::Event(delivery) => match &delivery.event.what {
                    Happening::ModelPublished { name, replaced, .. } => {
                        format!("{name} {}", if *replaced { "new bytes" } else { "new" })
                    }
                    Happening::ModelRemoved { name, size, .. } => format!("{name} -{size}"),
                    Happening::ModelMoved { from, name, .. } => format!("{from} to {name}"),
                    _ => panic!("another event"),
                },
                Received::Missed(_) | Received::Gap => panic!("events were lost"),
            })
            .collect();
        told.sort();
        told
    };

    put(&store, "f/a", "one", None);
    put(&store, "f/b", "two", None);
    next();
    let request = ChangeRequest {
        root: Some(name("f")),
        principal: None,
    };
    let id = store.begin_change(request).unwrap();
    send(&store, id, "f/a");
    send(&store, id, "f/c");
    store.commit_change(id, Others::Remove, None).unwrap();
    assert_eq!(next(), ["f/a new bytes", "f/b -3", "f/c new"]);

    try_move(&store, "f/", "g/").unwrap();
    assert_eq!(next(), ["f/a to g/a", "f/c to g/c"]);
}

#[test]
fn bytes_that_somebody_replaced_since_they_were_read_are_not_those_that_were_named() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path(), 1);
    put(&store, "a", "one", None);
    let id = store.begin_change(ChangeRequest::default()).unwrap();
    let digest = Digest::of(b"one");
    store
        .stage_known(id, &name("b"), digest, Metadata::default(), None)
        .unwrap();
    put(&store, "a", "two", None);

    let catalog = store.catalog();
    let change = catalog.changes.find(id).unwrap();
    let set = lock(&change.set);
    let proven = known_versions(catalog, &set).unwrap();
    let (place, _) = proven.values().next().unwrap();
    let planned = || plan(catalog, &set, Others::Keep, &proven);
    let source = planned().unwrap().published.remove(0).source.unwrap();
    assert_eq!(source.path(), place.path());

    fs::remove_file(place.path()).unwrap();
    fs::write(place.path(), "ONE").unwrap();
    assert_eq!(
        planned().err().map(|error| error.kind()),
        Some(ErrorKind::Conflict)
    );
}

#[test]
fn where_no_call_makes_all_durable_each_file_of_a_set_is_made_so() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path(), 1);
    let id = store.begin_change(ChangeRequest::default()).unwrap();
    for text in ["a", "deep/b", "deep/c"] {
        send(&store, id, text);
    }
    let catalog = store.catalog();
    let change = catalog.changes.find(id).unwrap();
    let set = lock(&change.set);

    let calls = |syncs_whole: bool| {
        fault::set_whole_sync(syncs_whole);
        let failing = (0..).take_while(|call| {
            fault::set(Some(*call));
            let result = make_durable(catalog, &set);
            let reached = !fault::set(None);
            assert_eq!(result.is_err(), reached, "call {call}");
            reached
        });
        failing.count()
    };
    assert_eq!(calls(true), 1);
    assert_eq!(calls(false), 1 + 3 + 1, "the files, and their folder");
    fault::set_whole_sync(true);
}
