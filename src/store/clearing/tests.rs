// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What is freed and what stays, tried with real files.

use std::fs;
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::time::Duration;

use crate::store::*;

fn open(directory: &Path) -> Store {
    let options = StoreOptions {
        clock_tick: Duration::ZERO,
        reserve_bytes: 0,
        versions_max: 3,
        ..StoreOptions::default()
    };
    Store::open(directory, options).unwrap()
}

fn name(text: &str) -> ModelName {
    text.parse().unwrap()
}

fn put(store: &Store, text: &str, bytes: &[u8]) {
    let mut upload = store.upload(None).unwrap();
    upload.describe(Metadata::new(Some("MIT"), None, None).unwrap());
    upload.write_all(bytes).unwrap();
    upload.commit(&name(text), None, &Condition::Any).unwrap();
}

fn clear(store: &Store, keep: usize, idle_min: Duration, mode: ClearMode) -> clearing::Cleared {
    let request = ClearRequest {
        keep,
        idle_min,
        mode,
    };
    store.clear(&request).unwrap()
}

/// The files in the hidden folder and their bytes, without those of the process.
fn kept(directory: &Path) -> (u64, u64) {
    fn sum(folder: &Path) -> (u64, u64) {
        let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
        entries.fold((0, 0), |(files, bytes), entry| {
            let facts = entry.metadata().unwrap();
            let name = entry.file_name();
            let (more, size) = if facts.is_dir() {
                sum(&entry.path())
            } else if ["lock", "format", "index"].iter().any(|own| name == *own) {
                (0, 0)
            } else {
                (1, facts.len())
            };
            (files + more, bytes + size)
        })
    }
    sum(&directory.join(".skep"))
}

#[test]
fn what_would_be_freed_is_what_is_freed_and_models_stay() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    for size in [30, 20, 10] {
        put(&store, "m", &vec![1; size]);
        put(&store, "deep/er/gone", &vec![2; size]);
    }
    store.remove(&name("deep/er/gone")).unwrap();
    for bytes in ["one", "two"] {
        let root = Some(name("f"));
        let request = ChangeRequest {
            root,
            principal: None,
        };
        let id = store.begin_change(request).unwrap();
        let mut upload = store.upload(None).unwrap();
        upload.write_all(bytes.as_bytes()).unwrap();
        upload
            .end(&name("f/a"), None, &Condition::Any, Some(id))
            .unwrap();
        store.commit_change(id, Others::Keep, None).unwrap();
    }
    let old = store.begin(UploadIntent::new(name("never"))).unwrap();
    drop(old);

    for keep in [1, 0] {
        let before = kept(directory.path());
        let told = clear(&store, keep, Duration::ZERO, ClearMode::Count);
        assert_eq!(kept(directory.path()), before);
        let done = clear(&store, keep, Duration::ZERO, ClearMode::Remove);
        assert_eq!(done, told);
        let after = kept(directory.path());
        let kinds = [
            done.versions,
            done.revisions,
            done.uploads,
            done.changes,
            done.descriptions,
        ];
        let files: u64 = kinds.iter().map(|kind| kind.files).sum();
        let bytes: u64 = kinds.iter().map(|kind| kind.bytes).sum();
        assert_eq!(
            (before.0 - after.0, before.1 - after.1),
            (files, bytes),
            "{keep}"
        );
        assert!(files > 0 && bytes > 0, "{keep}: {done:?}");

        let versions = store.versions(&name("m")).unwrap();
        assert_eq!(versions.len(), keep);
        assert_eq!(store.versions(&name("deep/er/gone")).is_ok(), keep > 0);
        let kept = store
            .folder_info(&name("f"), BlobSearch::Versions)
            .unwrap()
            .kept
            .len();
        assert_eq!(kept, keep);
    }

    // What is said of the model stays.
    let model = store.find(&name("m")).unwrap();
    assert!(store.about(&model).is_some());
    assert_eq!(fs::read(directory.path().join("m")).unwrap(), [1; 10]);
    assert_eq!(kept(directory.path()).0, 1);
    let again = clear(&store, 0, Duration::ZERO, ClearMode::Remove);
    assert_eq!(again, clearing::Cleared::default());
}

#[test]
fn what_is_in_use_stays() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    for text in ["old bytes", "newer", "new"] {
        put(&store, "m", text.as_bytes());
    }
    let oldest = store.versions(&name("m")).unwrap().pop().unwrap();
    let digest = oldest.digest.unwrap();

    // A reader has a version open, a request an upload, and a change set names bytes of a version.
    let mut reader = match store
        .open_blob(digest, BlobSearch::Versions)
        .unwrap()
        .content
    {
        StoredContent::File(file) => file,
        StoredContent::Cached(_) => panic!("a version is not cached"),
    };
    let session = store.begin(UploadIntent::new(name("coming"))).unwrap();
    let whole = store.upload(Some(3)).unwrap();
    let request = ChangeRequest {
        root: None,
        principal: None,
    };
    let id = store.begin_change(request).unwrap();
    let metadata = Metadata::default();
    store
        .stage_known(id, &name("again"), digest, metadata, None)
        .unwrap();

    let done = clear(&store, 0, Duration::from_secs(60), ClearMode::Remove);
    assert_eq!(
        (done.versions.files, done.uploads.files, done.changes.files),
        (1, 0, 0)
    );
    let done = store.commit_change(id, Others::Keep, None).unwrap();
    assert_eq!(done.published, 1);
    assert_eq!(
        fs::read(directory.path().join("again")).unwrap(),
        b"old bytes"
    );

    let done = clear(&store, 0, Duration::ZERO, ClearMode::Remove);
    assert_eq!((done.versions.files, done.uploads.files), (1, 0));
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    assert_eq!(text, "old bytes");
    let mut whole = whole;
    whole.write_all(b"abc").unwrap();
    whole.commit(&name("whole"), None, &Condition::Any).unwrap();

    // The request ends, and its upload is not one that is running any more.
    drop(session);
    let done = clear(&store, 0, Duration::from_secs(60), ClearMode::Remove);
    assert_eq!(done.uploads.files, 0);
    let done = clear(&store, 0, Duration::ZERO, ClearMode::Remove);
    assert_eq!(done.uploads.files, 2);
}

#[test]
fn a_set_that_bytes_are_on_their_way_into_is_not_idle() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let id = store.begin_change(ChangeRequest::default()).unwrap();

    let held = store.hold_change(id).unwrap();
    clear(&store, 0, Duration::ZERO, ClearMode::Remove);
    let mut upload = store.upload(None).unwrap();
    upload.write_all(b"bytes").unwrap();
    upload
        .end(&name("m"), None, &Condition::Any, Some(id))
        .unwrap();

    drop(held);
    clear(&store, 0, Duration::ZERO, ClearMode::Remove);
    assert!(store.hold_change(id).is_err());
}

#[test]
fn change_sets_that_nobody_goes_on_with_go_with_their_bytes() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let request = || ChangeRequest {
        root: None,
        principal: None,
    };
    let [idle, decided] = [(); 2].map(|()| store.begin_change(request()).unwrap());
    let stage = |id, text: &str| {
        let mut upload = store.upload(None).unwrap();
        upload.write_all(&[7; 100]).unwrap();
        upload.end(&name(text), None, &Condition::Any, Some(id))
    };
    stage(idle, "idle").unwrap();
    stage(decided, "decided").unwrap();
    store.commit_change(decided, Others::Keep, None).unwrap();

    let hour = Duration::from_secs(3600);
    let young = clear(&store, 9, hour, ClearMode::Remove).changes;
    assert_eq!(young.files, 0);
    let before = kept(directory.path());
    let told = clear(&store, 9, Duration::ZERO, ClearMode::Count).changes;
    assert_eq!(kept(directory.path()), before);
    stage(idle, "another").unwrap();

    let before = kept(directory.path());
    let done = clear(&store, 9, Duration::ZERO, ClearMode::Remove).changes;
    let after = kept(directory.path());
    assert_eq!(done.files, told.files + 1);
    assert!(told.bytes >= 100 && done.bytes >= told.bytes + 100);
    let freed = (before.0 - after.0, before.1 - after.1);
    assert_eq!(freed, (done.files, done.bytes));
    assert_eq!(stage(idle, "late").unwrap_err().kind(), ErrorKind::NotFound);
    assert!(directory.path().join("decided").exists());
}

#[test]
fn digests_and_descriptions_of_what_hands_removed_go() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    put(&store, "by-hand", b"x");
    put(&store, "m", b"y");
    fs::remove_file(directory.path().join("by-hand")).unwrap();

    let done = clear(&store, 0, Duration::ZERO, ClearMode::Remove);
    assert_eq!((done.descriptions.files, done.digests.files), (1, 0));
    assert!(done.digests.bytes > 64, "{done:?}");
    let again = clear(&store, 0, Duration::ZERO, ClearMode::Remove);
    assert_eq!(again.digests.bytes, 0);
    let model = store.find(&name("m")).unwrap();
    assert!(model.digest.is_some() && store.about(&model).is_some());

    let read_only = StoreOptions {
        read_only: true,
        ..StoreOptions::default()
    };
    drop(store);
    let store = Store::open(directory.path(), read_only).unwrap();
    let request = ClearRequest {
        keep: 0,
        idle_min: Duration::ZERO,
        mode: ClearMode::Count,
    };
    let refused = store.clear(&request).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Forbidden);
}
