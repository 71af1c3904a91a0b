// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Change sets, tried with real files: every call to the disk that can fail, and what others do meanwhile.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crate::digest::Digest;
use crate::disk::fault;
use crate::signature::{SecretKey, Signature};
use crate::store::changes::change::{ChangeRequest, Others};
use crate::store::*;

type Models = BTreeMap<String, Vec<u8>>;

pub(super) fn open(directory: &Path, versions_max: usize) -> Store {
    let options = StoreOptions {
        reserve_bytes: 0,
        versions_max,
        // What is broken off stays so until somebody asks.
        finish_pause: Duration::from_secs(3600),
        ..StoreOptions::default()
    };
    Store::open(directory, options).unwrap()
}

pub(super) fn name(text: &str) -> ModelName {
    text.parse().unwrap()
}

fn begin(store: &Store, root: Option<&str>) -> ChangeId {
    let request = ChangeRequest {
        root: root.map(name),
        principal: None,
    };
    store.begin_change(request).unwrap()
}

fn try_send(store: &Store, id: ChangeId, text: &str, bytes: &[u8]) -> Result<Published> {
    let mut upload = store.upload(Some(bytes.len() as u64))?;
    upload.write_all(bytes)?;
    upload.end(&name(text), None, &Condition::Any, Some(id))
}

fn send(store: &Store, id: ChangeId, text: &str, bytes: &[u8]) {
    try_send(store, id, text, bytes).unwrap();
}

fn know(store: &Store, id: ChangeId, text: &str, bytes: &[u8]) -> Result<Published> {
    let digest = Digest::of(bytes);
    store.stage_known(id, &name(text), digest, Metadata::default(), None)
}

fn put(store: &Store, text: &str, bytes: &[u8]) {
    let mut upload = store.upload(None).unwrap();
    upload.write_all(bytes).unwrap();
    upload.commit(&name(text), None, &Condition::Any).unwrap();
}

fn bytes_of(store: &Store, text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    match store.open_model(&name(text)).ok()?.content {
        StoredContent::Cached(cached) => bytes.extend_from_slice(&cached),
        StoredContent::File(mut file) => drop(file.read_to_end(&mut bytes).unwrap()),
    }
    Some(bytes)
}

fn models(store: &Store) -> Models {
    let models = store.list().unwrap().into_iter();
    let models = models.map(|model| model.name.to_string());
    models
        .map(|name| {
            let bytes = bytes_of(store, &name).unwrap();
            (name, bytes)
        })
        .collect()
}

fn state(models: &[(&str, &str)]) -> Models {
    let models = models.iter();
    models
        .map(|(name, text)| ((*name).to_owned(), text.as_bytes().to_vec()))
        .collect()
}

fn sets(directory: &Path) -> usize {
    let sets = fs::read_dir(directory.join(".skep/changes"));
    sets.map_or(0, Iterator::count)
}

/// Two models, and a set that replaces one, moves its old bytes, makes another and removes the rest.
fn prepared(directory: &Path, versions_max: usize) -> (Store, ChangeId) {
    let store = open(directory, versions_max);
    put(&store, "me/a", b"one");
    put(&store, "me/b", b"two");
    put(&store, "else", b"untouched");
    let id = begin(&store, Some("me"));
    send(&store, id, "me/a", b"three");
    send(&store, id, "me/deep/c", b"four");
    know(&store, id, "me/moved", b"one").unwrap();
    (store, id)
}

const BEFORE: &[(&str, &str)] = &[("else", "untouched"), ("me/a", "one"), ("me/b", "two")];
const AFTER: &[(&str, &str)] = &[
    ("else", "untouched"),
    ("me/a", "three"),
    ("me/deep/c", "four"),
    ("me/moved", "one"),
];

#[test]
fn a_set_is_done_whole_or_not_at_all_whichever_call_to_the_disk_fails() {
    for (versions_max, again) in [(0, true), (0, false), (2, true), (2, false)] {
        let mut calls = 0;
        while fails_at(calls, versions_max, again) {
            calls += 1;
        }
        assert!(calls > 12, "only {calls} calls were tried");
    }
}

#[test]
fn a_set_is_done_whole_or_not_at_all_where_each_file_is_made_durable_by_itself() {
    fault::set_whole_sync(false);
    for again in [true, false] {
        let mut calls = 0;
        while fails_at(calls, 2, again) {
            calls += 1;
        }
        assert!(calls > 30, "only {calls} calls were tried");
    }
    fault::set_whole_sync(true);
}

/// Commits with one call to the disk that fails; whether there was such a call. After an error, it is committed
/// again, or the next start has to know.
fn fails_at(call: u32, versions_max: usize, again: bool) -> bool {
    let directory = tempfile::tempdir().unwrap();
    let (store, id) = prepared(directory.path(), versions_max);
    fault::set(Some(call));
    let result = store.commit_change(id, Others::Remove, None);
    let reached = !fault::set(None);

    let case = format!("call {call}, again: {again}, {versions_max} versions");
    // Nobody sees a half of it.
    match store.list() {
        Ok(_) => {
            let seen = models(&store);
            assert!(seen == state(BEFORE) || seen == state(AFTER), "{case}");
        }
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Busy, "{case}");
            let told = result.as_ref().map_err(Error::kind);
            assert_eq!(told.unwrap_err(), ErrorKind::Busy, "{case}");
            assert_eq!(bytes_of(&store, "else").unwrap(), b"untouched", "{case}");
        }
    }
    if again && result.is_err() {
        let done = store.commit_change(id, Others::Remove, None).expect(&case);
        assert_eq!((done.published, done.removed), (3, 1), "{case}");
        assert_eq!(models(&store), state(AFTER), "{case}");
    }
    drop(store);

    let store = open(directory.path(), versions_max);
    let found = models(&store);
    let is_done = found == state(AFTER);
    assert!(is_done || found == state(BEFORE), "{case}: {found:?}");
    assert!(is_done || result.is_err(), "{case}");
    assert_eq!(sets(directory.path()), usize::from(!is_done), "{case}");

    if !is_done {
        store.commit_change(id, Others::Remove, None).expect(&case);
        assert_eq!(models(&store), state(AFTER), "{case}");
    }
    if versions_max > 0 {
        let versions = store.versions(&name("me/b")).unwrap();
        assert_eq!(versions[0].digest, Some(Digest::of(b"two")), "{case}");
        assert_eq!(store.versions(&name("me/a")).unwrap()[0].size, 3, "{case}");
    }
    reached
}

#[test]
fn readers_never_see_half_of_a_set() {
    // As a folder that is exchanged, and file by file as on /sdcard.
    for exchange_files in [1000, 0] {
        let directory = tempfile::tempdir().unwrap();
        let options = StoreOptions {
            reserve_bytes: 0,
            exchange_files,
            ..StoreOptions::default()
        };
        let store = Store::open(directory.path(), options).unwrap();
        let names: Vec<String> = (0..40).map(|number| format!("f/{number:02}")).collect();
        let is_over = AtomicBool::new(false);

        thread::scope(|scope| {
            scope.spawn(|| {
                for round in 1..20_u8 {
                    let id = begin(&store, Some("f"));
                    for name in &names {
                        send(&store, id, name, &[round; 100]);
                    }
                    store.commit_change(id, Others::Keep, None).unwrap();
                }
                is_over.store(true, Ordering::SeqCst);
            });
            // What comes first is never newer than what is looked at later.
            let mut looks = 0;
            while !is_over.load(Ordering::SeqCst) || looks == 0 {
                let (first, last) = (&names[0], &names[names.len() - 1]);
                for (earlier, later) in [(first, last), (last, first)] {
                    let earlier = bytes_of(&store, earlier);
                    let later = bytes_of(&store, later);
                    assert!(earlier <= later, "{earlier:?} and then {later:?}");
                }
                looks += 1;
            }
        });
    }
}

#[test]
fn a_set_survives_a_restart_and_says_what_it_lost() {
    let directory = tempfile::tempdir().unwrap();
    let (store, id) = prepared(directory.path(), 0);
    drop(store);

    // A cut in the middle of a line, a file that is lost, one that has other bytes, and one that nobody knows.
    let set = directory.path().join(".skep/changes").join(id.to_string());
    let mut journal = fs::read(set.join("entries")).unwrap();
    journal.extend_from_slice(b"remove\tels");
    fs::write(set.join("entries"), journal).unwrap();
    let store = open(directory.path(), 0);
    let entries = store.change(id, "", 100).unwrap().entries;
    assert_eq!(entries.len(), 3);
    drop(store);
    fs::write(set.join("1"), "THREE").unwrap();
    fs::remove_file(set.join("2")).unwrap();

    let store = open(directory.path(), 0);
    let names: Vec<_> = store.change(id, "", 100).unwrap().entries;
    assert_eq!(names.len(), 2);
    let lost = store.commit_change(id, Others::Keep, None).unwrap_err();
    assert_eq!(lost.kind(), ErrorKind::Conflict);
    assert!(lost.message().contains("'me/a'"), "{lost}");
    assert_eq!(models(&store), state(BEFORE));

    send(&store, id, "me/a", b"three");
    send(&store, id, "me/deep/c", b"four");
    store.commit_change(id, Others::Remove, None).unwrap();
    assert_eq!(models(&store), state(AFTER));
    assert_eq!(sets(directory.path()), 0);
}

#[test]
fn what_is_abandoned_or_too_old_leaves_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let (store, id) = prepared(directory.path(), 0);
    store.abandon_change(id).unwrap();
    assert_eq!(
        store.change(id, "", 1).err().unwrap().kind(),
        ErrorKind::NotFound
    );
    let late = try_send(&store, id, "me/x", b"x").unwrap_err();
    assert_eq!(late.kind(), ErrorKind::NotFound);
    assert_eq!((models(&store), sets(directory.path())), (state(BEFORE), 0));

    let id = begin(&store, None);
    send(&store, id, "x", b"x");
    drop(store);
    let options = StoreOptions {
        upload_age_max: Duration::ZERO,
        ..StoreOptions::default()
    };
    let store = Store::open(directory.path(), options).unwrap();
    assert_eq!((models(&store), sets(directory.path())), (state(BEFORE), 0));
    let parts = fs::read_dir(directory.path().join(".skep/parts")).unwrap();
    assert_eq!(parts.count(), 0);
}

#[test]
fn a_set_is_as_old_as_its_last_change_also_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let hour = Duration::from_secs(3600);
    let id = begin(&open(directory.path(), 0), None);
    let journal = directory
        .path()
        .join(".skep/changes")
        .join(id.to_string())
        .join("entries");
    let journal = fs::File::options().append(true).open(journal).unwrap();
    let old = SystemTime::now() - 2 * hour;
    journal.set_modified(old).unwrap();

    for (age_max, left) in [(3 * hour, 1), (hour, 0)] {
        let options = StoreOptions {
            upload_age_max: age_max,
            ..StoreOptions::default()
        };
        drop(Store::open(directory.path(), options).unwrap());
        assert_eq!(sets(directory.path()), left);
    }
}

#[test]
fn names_of_a_set_that_exclude_each_other_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path(), 0);
    put(&store, "file", b"x");
    let id = begin(&store, None);
    send(&store, id, "a/b", b"x");
    for other in ["a", "a/b/c"] {
        let error = try_send(&store, id, other, b"x").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict, "{other}");
        assert!(error.message().contains("'a/b'"), "{error}");
    }
    send(&store, id, "a-b", b"x");
    send(&store, id, "m\u{f6}del", b"x");
    let other_form = try_send(&store, id, "mo\u{308}del", b"x").unwrap_err();
    assert_eq!(other_form.kind(), ErrorKind::Conflict);

    // The same goes for folders, of which each may have its own form.
    send(&store, id, "\u{f6}/u\u{308}/a", b"x");
    for other in ["o\u{308}/b", "\u{f6}/\u{fc}/b", "o\u{308}/u\u{308}/b"] {
        let error = try_send(&store, id, other, b"x").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict, "{other}");
        assert!(error.message().contains("other form"), "{error}");
    }
    send(&store, id, "\u{f6}/u\u{308}/b", b"x");
    for gone in ["a", "b"] {
        let gone = name(&format!("\u{f6}/u\u{308}/{gone}"));
        store.stage_removal(id, &gone).unwrap();
    }

    // What was to be there and is not to be there any more is in nobody's way.
    store.stage_removal(id, &name("a/b")).unwrap();
    send(&store, id, "a", b"x");

    // A model that is there excludes a folder of its name; nothing of the set happens.
    send(&store, id, "file/below", b"x");
    let error = store.commit_change(id, Others::Keep, None).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert_eq!(models(&store), state(&[("file", "x")]));
    store.stage_removal(id, &name("file/below")).unwrap();
    store.commit_change(id, Others::Keep, None).unwrap();
    assert_eq!(models(&store).len(), 4);
}

#[test]
fn a_name_excludes_its_other_spelling_while_it_is_there_and_never_itself() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path(), 0);
    let id = begin(&store, None);
    let (composed, decomposed) = ("\u{f6}", "o\u{308}");

    send(&store, id, composed, b"one");
    send(&store, id, composed, b"two");

    // What was sent before is not kept beside it.
    let set = directory.path().join(".skep/changes").join(id.to_string());
    let files = fs::read_dir(&set).unwrap();
    let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    assert_eq!(names.filter(|name| name.parse::<u64>().is_ok()).count(), 1);

    let error = try_send(&store, id, decomposed, b"three").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    store.stage_removal(id, &name(composed)).unwrap();
    send(&store, id, decomposed, b"three");
}

#[test]
fn a_set_is_bounded_as_uploads_are() {
    let directory = tempfile::tempdir().unwrap();
    let options = StoreOptions {
        reserve_bytes: 0,
        changes_max: 4,
        change_files_max: 2,
        uploads_bytes_max: 100,
        models_max: 3,
        total_bytes_max: 6 * 4096,
        accept: vec!["*.bin".to_owned(), "m?".to_owned()],
        ..StoreOptions::default()
    };
    let store = Store::open(directory.path(), options).unwrap();
    let request = |who: &str| ChangeRequest {
        root: Some(name("f")),
        principal: Some(who.to_owned()),
    };
    let first = store.begin_change(request("a")).unwrap();
    store.begin_change(request("a")).unwrap();
    let third = store.begin_change(request("a")).unwrap_err();
    assert_eq!(third.kind(), ErrorKind::Busy);
    let other = store.begin_change(request("b")).unwrap();

    let kind = |result: Result<Published>| result.unwrap_err().kind();
    assert_eq!(
        kind(try_send(&store, first, "f/m.txt", b"x")),
        ErrorKind::UnsupportedType
    );
    send(&store, first, "f/m1", &[0; 50]);
    assert_eq!(
        kind(try_send(&store, first, "f/m2", b"x")),
        ErrorKind::NoSpace
    );
    send(&store, first, "f/m1", &[0; 40]);
    send(&store, first, "f/m2", b"x");
    assert_eq!(
        kind(try_send(&store, first, "f/m3", b"x")),
        ErrorKind::NoSpace
    );

    send(&store, other, "f/m3", b"x");
    send(&store, other, "f/m4", b"x");
    store.commit_change(other, Others::Keep, None).unwrap();
    let full = store.commit_change(first, Others::Keep, None).unwrap_err();
    assert_eq!(full.kind(), ErrorKind::NoSpace);
    assert!(full.to_string().contains("max-models"), "{full}");
    assert_eq!(models(&store).len(), 2);

    // In the place of the others, they fit.
    let done = store.commit_change(first, Others::Remove, None).unwrap();
    assert_eq!((done.published, done.removed), (2, 2));
    assert_eq!(
        store.commit_change(first, Others::Remove, None).unwrap(),
        done
    );
}

#[test]
fn what_has_its_bytes_already_is_counted_and_makes_no_revision() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path(), 1);
    put(&store, "me/a", b"one");
    let id = begin(&store, Some("me"));
    send(&store, id, "me/a", b"one");
    let done = store.commit_change(id, Others::Keep, None).unwrap();
    assert_eq!((done.published, done.removed, done.unchanged), (0, 0, 1));
    assert!(!directory.path().join(".skep/revisions").exists());
}

#[test]
fn the_number_of_models_is_bounded_and_old_versions_make_room() {
    let bounded = |directory: &Path, models_max| {
        let options = StoreOptions {
            reserve_bytes: 0,
            versions_max: 1,
            models_max,
            ..StoreOptions::default()
        };
        Store::open(directory, options).unwrap()
    };
    let commit = |store: &Store, texts: &[&str], removed: Option<&str>| {
        let id = begin(store, Some("me"));
        texts.iter().for_each(|text| send(store, id, text, b"new"));
        if let Some(text) = removed {
            store.stage_removal(id, &name(text)).unwrap();
        }
        let done = store.commit_change(id, Others::Keep, None);
        done.map_err(|error| error.kind())
    };

    // The model that goes leaves its place, and so does what is kept of one that went before.
    for (models_max, texts, is_done) in [
        (2, &["me/c"][..], true),
        (2, &["me/c", "me/d"], false),
        (3, &["me/c", "me/d"], true),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let store = bounded(directory.path(), models_max);
        put(&store, "me/a", b"a");
        put(&store, "me/b", b"b");
        let done = commit(&store, texts, Some("me/a"));
        assert_eq!(done.is_ok(), is_done, "{texts:?}: {done:?}");
    }
    for (models_max, texts, is_done) in [
        (1, &["me/x"][..], true),
        (2, &["me/y", "me/z"], true),
        (1, &["me/y", "me/z"], false),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let store = bounded(directory.path(), models_max);
        put(&store, "me/x", b"x");
        store.remove(&name("me/x")).unwrap();
        let done = commit(&store, texts, None);
        assert_eq!(done.is_ok(), is_done, "{texts:?}: {done:?}");
    }
}

#[test]
fn the_folders_that_a_set_makes_count_for_the_quota() {
    let directory = tempfile::tempdir().unwrap();
    let options = StoreOptions {
        reserve_bytes: 0,
        total_bytes_max: 8 * 4096,
        versions_max: 0,
        ..StoreOptions::default()
    };
    let store = Store::open(directory.path(), options).unwrap();
    put(&store, "f/a/b/c/old", b"x");

    // Two files and nine folders are too many, and two files and six folders are not.
    let (set, fitting) = (begin(&store, Some("f")), begin(&store, Some("f")));
    send(&store, set, "f/d/e/f/g/h/new", b"x");
    let full = store.commit_change(set, Others::Keep, None).unwrap_err();
    assert_eq!(full.kind(), ErrorKind::NoSpace);
    assert!(full.to_string().contains("36864 by folders"), "{full}");
    send(&store, fitting, "f/d/e/new", b"x");
    store.commit_change(fitting, Others::Keep, None).unwrap();

    // In the place of the others, it fits.
    store.commit_change(set, Others::Remove, None).unwrap();
    assert_eq!(models(&store).len(), 1);
}

#[test]
fn revisions_count_for_the_quota() {
    let directory = tempfile::tempdir().unwrap();
    let options = StoreOptions {
        reserve_bytes: 0,
        total_bytes_max: 20 * 4096,
        versions_max: 1,
        ..StoreOptions::default()
    };
    let store = Store::open(directory.path(), options).unwrap();
    for bytes in ["one", "two", "three"] {
        let set = begin(&store, Some("r/s"));
        send(&store, set, "r/s/m", bytes.as_bytes());
        store.commit_change(set, Others::Keep, None).unwrap();
    }

    // Of the model two folders, and of the revision two, one of its own, and a file. The version gives way with
    // its folders.
    let full = store.admit(&name("x"), Some(1 << 20), &Metadata::default());
    let full = full.unwrap_err().to_string();
    assert!(full.contains("24576 by folders"), "{full}");
}

#[test]
fn of_two_sets_that_know_what_they_change_one_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path(), 0);
    let (one, two) = (begin(&store, Some("f")), begin(&store, Some("f")));
    send(&store, one, "f/a", b"one");
    send(&store, two, "f/a", b"two");
    let empty = store.catalog().manifest(&name("f")).unwrap();
    let empty = empty.map(|empty| empty.revision());

    let first = store.commit_change(one, Others::Keep, empty).unwrap();
    let second = store.commit_change(two, Others::Keep, empty).unwrap_err();
    assert_eq!(second.kind(), ErrorKind::PreconditionFailed);
    let second = store.commit_change(two, Others::Keep, first.revision);
    assert_ne!(second.unwrap().revision, first.revision);
    assert_eq!(models(&store), state(&[("f/a", "two")]));
}

#[test]
fn what_gets_bytes_of_another_name_keeps_its_own_mode() {
    use std::os::unix::fs::PermissionsExt as _;

    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path(), 1);
    put(&store, "open", b"one");
    put(&store, "closed", b"two");
    let path = |name: &str| directory.path().join(name);
    let mode = |name: &str| path(name).metadata().unwrap().permissions().mode() & 0o777;
    for (name, mode) in [("open", 0o644), ("closed", 0o600)] {
        fs::set_permissions(path(name), fs::Permissions::from_mode(mode)).unwrap();
    }
    // A change by hand has the digest computed again.
    let known = |name: &str| store.find(&self::name(name)).unwrap().digest.is_some();
    while !known("open") || !known("closed") {
        thread::yield_now();
    }

    let id = begin(&store, None);
    know(&store, id, "closed", b"one").unwrap();
    know(&store, id, "new", b"one").unwrap();
    store.commit_change(id, Others::Keep, None).unwrap();
    assert_eq!((mode("open"), mode("closed")), (0o644, 0o600));
    let all = [("closed", "one"), ("new", "one"), ("open", "one")];
    assert_eq!(models(&store), state(&all));
}

#[test]
fn bytes_that_are_named_have_to_be_there_still() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path(), 1);
    put(&store, "a", b"one");
    let id = begin(&store, None);
    let nowhere = know(&store, id, "x", b"nowhere").unwrap_err();
    assert_eq!(nowhere.kind(), ErrorKind::NotFound);
    know(&store, id, "b", b"one").unwrap();
    know(&store, id, "same/c", b"one").unwrap();

    // As a version, they are still here; and then not any more.
    put(&store, "a", b"two");
    let done = store.commit_change(id, Others::Keep, None).unwrap();
    assert_eq!((done.published, done.unchanged), (2, 0));
    let all = [("a", "two"), ("b", "one"), ("same/c", "one")];
    assert_eq!(models(&store), state(&all));

    let id = begin(&store, None);
    know(&store, id, "d", b"two").unwrap();
    know(&store, id, "b", b"one").unwrap();
    let more = begin(&store, None);
    know(&store, more, "d", b"two").unwrap();
    know(&store, more, "e", b"two").unwrap();
    put(&store, "a", b"three");
    store.forget_versions(&name("a")).unwrap();
    let gone = store.commit_change(id, Others::Keep, None).unwrap_err();
    assert_eq!(gone.kind(), ErrorKind::Conflict);
    assert_eq!(gone.message(), "the bytes of 'd' are not here any more");
    let gone = store.commit_change(more, Others::Keep, None).unwrap_err();
    let text = "'d' are not here any more, nor those of 1 other name of";
    assert!(gone.message().contains(text), "{gone}");
}

#[test]
fn bytes_that_are_only_named_meet_the_rules_of_those_that_are_sent() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path(), 0);
    let bytes = b"cos\nsystem\n(S'x'\ntR.";
    put(&store, "a", bytes);
    drop(store);

    let key = SecretKey::generate().unwrap();
    let prehash = crate::signature::Prehash::of(&mut bytes.as_slice()).unwrap();
    let signature = key.sign(&prehash, "file:b");
    let taken = |text: &str, signature: Option<&Signature>, set: &dyn Fn(&mut StoreOptions)| {
        let mut options = StoreOptions {
            reserve_bytes: 0,
            ..StoreOptions::default()
        };
        set(&mut options);
        let store = Store::open(directory.path(), options).unwrap();
        let (id, digest) = (begin(&store, None), Digest::of(bytes));
        let metadata = Metadata::default();
        let known = store.stage_known(id, &name(text), digest, metadata, signature.cloned());
        known.map(drop).map_err(|error| error.kind())
    };
    let format = |options: &mut StoreOptions| options.require_format = true;
    let pickles = |options: &mut StoreOptions| options.refuse_unsafe_pickles = true;
    let signed = |options: &mut StoreOptions| options.signers = vec![key.public_key().clone()];
    let unsupported = Err(ErrorKind::UnsupportedType);
    assert_eq!(taken("b.gguf", None, &format), unsupported);
    assert_eq!(taken("b", None, &format), Ok(()));
    assert_eq!(taken("b.pkl", None, &pickles), unsupported);
    assert_eq!(taken("b", None, &pickles), Ok(()));
    assert_eq!(taken("b", None, &signed), Err(ErrorKind::Integrity));
    assert_eq!(taken("b", Some(&signature), &signed), Ok(()));
    assert_eq!(taken("b.gguf", None, &|_| {}), Ok(()));
}

#[test]
fn what_is_planted_among_the_sets_costs_little_and_stops_nothing() {
    let directory = tempfile::tempdir().unwrap();
    drop(open(directory.path(), 0));
    fs::write(directory.path().join("m"), "precious").unwrap();
    let sets_of = directory.path().join(".skep/changes");
    let plant = |number: u32| {
        let set = sets_of.join(format!("{number:032x}"));
        fs::create_dir_all(&set).unwrap();
        set
    };
    fs::write(plant(1).join("commit"), "skep-commit 1\npublish 1 ../x\n").unwrap();
    fs::write(plant(2).join("commit"), "skep-commit 1\nremove 8 - m").unwrap();
    std::os::unix::fs::symlink("/etc/passwd", plant(3).join("commit")).unwrap();
    for number in 4..30 {
        fs::write(plant(number).join("intent"), "skep-change 1\n").unwrap();
        fs::write(plant(number).join("entries"), "x".repeat(100_000)).unwrap();
    }
    fs::create_dir_all(sets_of.join("other")).unwrap();

    let store = open(directory.path(), 0);
    assert_eq!(models(&store), state(&[("m", "precious")]));
    // As many as there may be, and what is no set.
    assert_eq!(store.catalog().changes.count(), 16);
    assert_eq!(sets(directory.path()), 17);
}

#[test]
fn what_is_said_of_names_is_bounded_in_memory_and_on_the_disk() {
    let directory = tempfile::tempdir().unwrap();
    let options = || StoreOptions {
        reserve_bytes: 0,
        change_memory_max: 40_000,
        ..StoreOptions::default()
    };
    let store = Store::open(directory.path(), options()).unwrap();
    put(&store, "here", b"x");
    let id = begin(&store, None);
    let said = Metadata::new(Some(&"l".repeat(900)), None, None).unwrap();
    let know = |id, text: &str| {
        let digest = Digest::of(b"x");
        store.stage_known(id, &name(text), digest, said.clone(), None)
    };

    // One name again and again takes no more than the last time, and its journal is written anew.
    for _ in 0..1900 {
        know(id, "again").unwrap();
    }
    let journal = directory
        .path()
        .join(".skep/changes")
        .join(id.to_string())
        .join("entries");
    assert!(fs::metadata(&journal).unwrap().len() < 1_500_000);

    // One caller has half of the memory, in all its sets together, and loses nothing that is there.
    let full = (0..100)
        .map_while(|number| know(id, &number.to_string()).ok())
        .count();
    assert!((5..25).contains(&full), "{full}");
    let error = know(begin(&store, None), "other").unwrap_err();
    assert!(error.to_string().contains("max-change-memory"), "{error}");
    let other = ChangeRequest {
        root: None,
        principal: Some("other".to_owned()),
    };
    know(store.begin_change(other).unwrap(), "other").unwrap();
    drop(store);

    let store = Store::open(directory.path(), options()).unwrap();
    let done = store.commit_change(id, Others::Keep, None).unwrap();
    assert_eq!(done.published, full + 1);
}

#[test]
fn what_was_put_in_the_place_of_sent_bytes_is_not_published() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path(), 0);
    let outside = directory.path().join("outside");
    fs::write(&outside, "x").unwrap();

    type Swap = fn(&Path, &Path);
    let swaps: [Swap; 3] = [
        |place, outside| std::os::unix::fs::symlink(outside, place).unwrap(),
        |place, _| fs::create_dir(place).unwrap(),
        |place, _| fs::write(place, "longer").unwrap(),
    ];
    for swap in swaps {
        let id = begin(&store, None);
        send(&store, id, "a", b"x");
        send(&store, id, "b", b"x");
        let place = directory
            .path()
            .join(".skep/changes")
            .join(id.to_string())
            .join("1");
        fs::remove_file(&place).unwrap();
        swap(&place, &outside);

        let error = store.commit_change(id, Others::Keep, None).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
        assert!(bytes_of(&store, "b").is_none());
        store.abandon_change(id).unwrap();
    }
    assert_eq!(sets(directory.path()), 0);
}

#[test]
fn a_commit_that_a_start_completed_tells_what_came_of_it() {
    let directory = tempfile::tempdir().unwrap();
    let (store, id) = prepared(directory.path(), 0);
    drop(store);
    let set = directory.path().join(".skep/changes").join(id.to_string());
    let record = "skep-commit 1\npublish 1 me/a\nremove 3 - me/b\n";
    fs::write(set.join("commit"), record).unwrap();

    let store = open(directory.path(), 0);
    let done = store.commit_change(id, Others::Remove, None).unwrap();
    assert_eq!((done.published, done.removed), (1, 1));
}

#[test]
fn what_a_folder_was_is_kept_also_where_its_digests_are_not_known() {
    let directory = tempfile::tempdir().unwrap();
    let (store, id) = prepared(directory.path(), 1);
    let before = store
        .folder_info(&name("me"), BlobSearch::Versions)
        .unwrap()
        .revision;
    drop(store);
    let options = StoreOptions {
        reserve_bytes: 0,
        versions_max: 1,
        clock_tick: Duration::from_millis(300),
        ..StoreOptions::default()
    };
    let store = Store::open(directory.path(), options).unwrap();

    // As after a kill: nothing was written down.
    for known in ["me/a", "me/b"] {
        store.catalog().index.remove(&name(known));
    }
    store.commit_change(id, Others::Remove, None).unwrap();
    let kept = store
        .folder_info(&name("me"), BlobSearch::Versions)
        .unwrap()
        .kept;
    assert_eq!(kept.first().map(|kept| kept.revision), before);
}

#[test]
fn a_folder_that_cannot_be_changed_is_found_before_anything_is_decided() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path(), 0);
    put(&store, "f/a", b"one");
    put(&store, "f/own/b", b"two");
    let own = directory.path().join("f/own");
    let mode = |mode| {
        let mode = std::os::unix::fs::PermissionsExt::from_mode(mode);
        fs::set_permissions(&own, mode).unwrap();
    };

    let is_root = rustix::process::geteuid().is_root();
    if !is_root {
        mode(0o555);
        let id = begin(&store, Some("f"));
        send(&store, id, "f/a", b"three");
        send(&store, id, "f/own/c", b"four");
        let error = store.commit_change(id, Others::Keep, None).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict);
        assert!(error.message().contains("'f/own/'"), "{error}");
        assert_eq!(bytes_of(&store, "f/a").unwrap(), b"one");
        mode(0o755);
        store.commit_change(id, Others::Keep, None).unwrap();
    }

    // A record of a commit that hands have made impossible: the rest of it is done, and the server starts.
    drop(store);
    let id = "0123456789abcdef0123456789abcdef";
    let set = directory.path().join(".skep/changes").join(id);
    fs::create_dir_all(&set).unwrap();
    fs::write(set.join("1"), "five").unwrap();
    fs::write(set.join("2"), "six").unwrap();
    fs::create_dir_all(directory.path().join("f/taken")).unwrap();
    fs::write(directory.path().join("f/taken/by-hand"), "x").unwrap();
    let record = "skep-commit 1\npublish 1 f/taken\npublish 2 f/z\n";
    fs::write(set.join("commit"), record).unwrap();
    let store = open(directory.path(), 0);
    assert_eq!(bytes_of(&store, "f/z").unwrap(), b"six");
    assert!(directory.path().join("f/taken/by-hand").is_file() && !set.exists());

    // What is not in a set without a folder would be everything.
    let id = begin(&store, None);
    let error = store.commit_change(id, Others::Remove, None).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BadRequest);
}

#[test]
fn callers_leave_places_to_others_and_what_they_left_alone_gives_way() {
    let directory = tempfile::tempdir().unwrap();
    let options = StoreOptions {
        reserve_bytes: 0,
        changes_max: 8,
        ..StoreOptions::default()
    };
    let store = Store::open(directory.path(), options).unwrap();
    let begin = |who: &str| {
        let principal = Some(who.to_owned());
        store.begin_change(ChangeRequest {
            root: None,
            principal,
        })
    };

    // Two callers cannot have all places, whatever they do.
    let first = begin("a").unwrap();
    let second = begin("a").unwrap();
    begin("a").unwrap();
    begin("a").unwrap();
    assert_eq!(begin("a").unwrap_err().kind(), ErrorKind::Busy);
    begin("b").unwrap();
    begin("b").unwrap();
    assert_eq!(begin("b").unwrap_err().kind(), ErrorKind::Busy);
    begin("c").unwrap();

    // Of those of a caller, the one goes that it has left alone longest, but none that gets bytes.
    let seen_before = |id, hours: u64| {
        let change = store.catalog().changes.find(id).unwrap();
        let age = Duration::from_secs(hours * 3600);
        change.set.lock().unwrap().seen = (age, std::time::Instant::now());
    };
    seen_before(first, 3);
    seen_before(second, 2);
    let mut order = UploadIntent::new(name("x"));
    order.change = Some(first);
    drop(store.begin(order).unwrap());
    begin("a").unwrap();
    assert!(store.change(first, "", 1).is_ok());
    assert_eq!(
        store.change(second, "", 1).err().unwrap().kind(),
        ErrorKind::NotFound
    );
    assert_eq!(begin("a").unwrap_err().kind(), ErrorKind::Busy);
    assert_eq!(sets(directory.path()), 7);
}

#[test]
fn a_file_and_a_folder_of_one_name_are_a_conflict_in_both_forms_of_unicode() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path(), 0);
    let id = begin(&store, None);
    // And so are two files.
    for (there, other) in [
        ("o/\u{e9}", "o/e\u{301}"),
        ("\u{ee}", "i\u{302}/b"),
        ("o\u{302}/b", "\u{f4}"),
    ] {
        send(&store, id, there, b"x");
        let error = try_send(&store, id, other, b"y").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict, "{other}");
    }
}
