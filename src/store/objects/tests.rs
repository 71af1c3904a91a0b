// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Objects on real files: what is kept, who may know of it, what goes and when.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use crate::digest::Digest;
use crate::store::*;

fn options() -> StoreOptions {
    StoreOptions {
        reserve_bytes: 0,
        clock_tick: Duration::ZERO,
        ..StoreOptions::default()
    }
}

fn open(directory: &Path) -> Store {
    Store::open(directory, options()).unwrap()
}

fn request(bytes: &[u8], sender: &str) -> ObjectRequest {
    ObjectRequest {
        size: bytes.len() as u64,
        digest: Some(Digest::of(bytes)),
        sender: Some(sender.to_owned()),
    }
}

fn keep(store: &Store, bytes: &[u8], sender: &str) -> Digest {
    let mut upload = store.begin_object(request(bytes, sender)).unwrap();
    upload.write_all(bytes).unwrap();
    upload.keep().unwrap()
}

fn kept(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory.join(".skep/objects"));
    let names = entries.into_iter().flatten().flatten();
    let mut names: Vec<_> = names
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn commit(store: &Store, name: &str, digest: Digest) -> Result<()> {
    let id = store.begin_change(ChangeRequest::default()).unwrap();
    let name = name.parse().unwrap();
    let staged = store.stage_known(id, &name, digest, Metadata::default(), None);
    staged.and_then(|_| store.commit_change(id, Others::Keep, None).map(drop))
}

fn set(digests: &[Digest]) -> BTreeSet<[u8; 32]> {
    digests.iter().map(|digest| *digest.as_bytes()).collect()
}

#[test]
fn an_object_is_kept_under_its_digest_and_goes_when_it_gets_a_name() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let digest = keep(&store, b"bytes", "me");
    assert_eq!(kept(directory.path()), [digest.to_string()]);
    assert_eq!(store.object_size(digest, None), Some(5));
    // Its sender may know of it, and no other sender.
    assert_eq!(store.object_size(digest, Some("me")), Some(5));
    assert_eq!(store.object_size(digest, Some("other")), None);

    // Nobody is handed it out by its digest.
    for search in [BlobSearch::Models, BlobSearch::Versions] {
        let error = store.open_blob(digest, search).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
    }

    // The same once more changes nothing.
    assert_eq!(keep(&store, b"bytes", "me"), digest);
    commit(&store, "m", digest).unwrap();
    assert_eq!(fs::read(directory.path().join("m")).unwrap(), b"bytes");
    assert_eq!(kept(directory.path()), [""; 0]);
    let model = store.find(&"m".parse().unwrap()).unwrap();
    assert_eq!(model.digest, Some(digest), "nobody has to read it again");
    assert!(store.open_blob(digest, BlobSearch::Models).is_ok());
}

#[test]
fn other_bytes_than_were_announced_are_not_kept() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());

    let mut upload = store.begin_object(request(b"bytes", "me")).unwrap();
    upload.write_all(b"other").unwrap();
    assert_eq!(upload.keep().unwrap_err().kind(), ErrorKind::Integrity);

    let mut upload = store.begin_object(request(b"bytes", "me")).unwrap();
    upload.write_all(b"byte").unwrap();
    assert_eq!(upload.keep().unwrap_err().kind(), ErrorKind::BadRequest);

    let mut upload = store.begin_object(request(b"bytes", "me")).unwrap();
    assert!(upload.write_all(b"bytes more").is_err());
    drop(upload);
    assert_eq!(kept(directory.path()), [""; 0]);
    let parts = fs::read_dir(directory.path().join(".skep/parts")).unwrap();
    assert_eq!(parts.count(), 0);
}

#[test]
fn objects_are_bounded_and_one_sender_has_half() {
    let directory = tempfile::tempdir().unwrap();
    let options = StoreOptions {
        uploads_bytes_max: 100,
        change_files_max: 6,
        ..options()
    };
    let store = Store::open(directory.path(), options).unwrap();
    let refused = |bytes: &[u8], sender: &str| {
        let refused = store.begin_object(request(bytes, sender)).map(drop);
        refused.unwrap_err().kind()
    };
    keep(&store, &[1; 30], "me");
    assert_eq!(refused(&[2; 21], "me"), ErrorKind::NoSpace);
    // What is on its way counts, and its room comes back.
    let coming = store.begin_object(request(&[2; 20], "me")).unwrap();
    assert_eq!(refused(&[3; 1], "me"), ErrorKind::NoSpace);
    drop(coming);
    keep(&store, &[3; 1], "me");
    keep(&store, &[4; 40], "other");
    assert_eq!(refused(&[5; 30], "third"), ErrorKind::NoSpace);

    // Their number is bounded as well.
    keep(&store, &[6; 1], "me");
    assert_eq!(refused(&[7; 1], "me"), ErrorKind::NoSpace);
    // What is pinned does not count.
    store.pin_objects(&set(&[Digest::of(&[6; 1])]));
    keep(&store, &[7; 1], "me");
}

#[test]
fn what_nobody_names_goes_and_what_is_needed_stays() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let left = keep(&store, b"left", "me");
    let pinned = keep(&store, b"pinned", "me");
    let named = keep(&store, b"named", "me");
    store.pin_objects(&set(&[pinned]));
    let id = store.begin_change(ChangeRequest::default()).unwrap();
    let held = store.hold_change(id).unwrap();
    let name = "m".parse().unwrap();
    let metadata = Metadata::default();
    store.stage_known(id, &name, named, metadata, None).unwrap();

    let clear = |idle_min, mode| {
        let request = ClearRequest {
            keep: 9,
            idle_min,
            mode,
        };
        store.clear(&request).unwrap().uploads
    };
    let hour = Duration::from_secs(3600);
    assert_eq!(clear(hour, ClearMode::Remove).files, 0);
    let told = clear(Duration::ZERO, ClearMode::Count);
    assert_eq!((told.files, told.bytes), (1, 4));
    assert_eq!(kept(directory.path()).len(), 3);
    assert_eq!(clear(Duration::ZERO, ClearMode::Remove), told);
    assert_eq!(store.object_size(left, None), None);
    assert_eq!(kept(directory.path()).len(), 2);
    drop(held);

    // A name does not take a pinned one away, and nothing is left without pins.
    store.commit_change(id, Others::Keep, None).unwrap();
    commit(&store, "p", pinned).unwrap();
    assert_eq!(kept(directory.path()), [pinned.to_string()]);
    store.unpin_objects(&set(&[pinned]));
    assert_eq!(kept(directory.path()), [""; 0]);
    let model = store.find(&"p".parse().unwrap()).unwrap();
    assert_eq!(model.digest, Some(pinned), "nobody has to read it again");
}

#[test]
fn objects_of_a_process_before_are_read_before_they_count() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let [good, bad] = [b"good", b"evil"].map(|bytes| keep(&store, bytes, "me"));
    drop(store);
    let place = |digest: Digest| {
        directory
            .path()
            .join(".skep/objects")
            .join(digest.to_string())
    };
    fs::write(place(bad), "live").unwrap();

    let store = open(directory.path());
    assert_eq!(store.object_size(good, None), Some(4));
    commit(&store, "good", good).unwrap();
    assert!(commit(&store, "bad", bad).is_err());
    assert!(!directory.path().join("bad").exists());
    assert!(store.open_object(bad).unwrap().is_none());

    // Also those that change while the process runs.
    let other = keep(&store, b"bytes", "me");
    fs::write(place(other), "tytes").unwrap();
    assert!(store.open_object(other).unwrap().is_none());
}

#[test]
fn bytes_of_models_become_objects_and_outlive_them() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(
        directory.path(),
        StoreOptions {
            versions_max: 0,
            ..options()
        },
    )
    .unwrap();
    let name = "m".parse().unwrap();
    let mut upload = store.upload(None).unwrap();
    upload.write_all(b"model").unwrap();
    upload.commit(&name, None, &Condition::Any).unwrap();
    let digest = Digest::of(b"model");

    let digests = set(&[digest]);
    store.pin_objects(&digests);
    store.keep_known(&digests).unwrap();
    assert_eq!(store.find(&name).unwrap().digest, Some(digest));
    store.remove(&name).unwrap();
    assert!(store.open_object(digest).unwrap().is_some());
    store.keep_known(&digests).unwrap();

    let absent = set(&[Digest::of(b"absent")]);
    let error = store.keep_known(&absent).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
}

#[test]
fn commits_at_one_time_do_not_wait_for_each_other_in_a_circle() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let (sender, done) = mpsc::channel();
    let threads = ["a", "b", "c"].map(|folder| {
        let (store, sender) = (store.clone(), sender.clone());
        thread::spawn(move || {
            for number in 0..40 {
                let digest = keep(&store, format!("{folder}{number}").as_bytes(), "me");
                commit(&store, &format!("one/{folder}/{number}"), digest).unwrap();
            }
            sender.send(()).unwrap();
        })
    });
    for _ in &threads {
        let ended = done.recv_timeout(Duration::from_secs(100));
        ended.expect("all commits end");
    }
    assert_eq!(kept(directory.path()), Vec::<String>::new());
}

#[test]
fn what_an_open_set_names_stays_when_it_is_pinned_no_more() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let digest = keep(&store, b"bytes", "me");
    store.pin_objects(&set(&[digest]));
    let id = store.begin_change(ChangeRequest::default()).unwrap();
    let (name, metadata) = ("m".parse().unwrap(), Metadata::default());
    store
        .stage_known(id, &name, digest, metadata, None)
        .unwrap();

    store.unpin_objects(&set(&[digest]));
    store.commit_change(id, Others::Keep, None).unwrap();
    assert_eq!(fs::read(directory.path().join("m")).unwrap(), b"bytes");
    assert_eq!(kept(directory.path()), [""; 0]);
}
