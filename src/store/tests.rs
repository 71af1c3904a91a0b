// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What the store promises, tried with real files.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, SystemTime};
use std::{fs, thread};

use tempfile::TempDir;

use super::*;
use crate::digest::Digest;
use crate::disk::fault;

const DEADLINE: Duration = Duration::from_secs(20);

/// Options under which files count as settled at once.
fn eager() -> StoreOptions {
    StoreOptions {
        clock_tick: Duration::ZERO,
        versions_max: 0,
        ..StoreOptions::default()
    }
}

/// The same, and no model is small.
fn large() -> StoreOptions {
    StoreOptions {
        cache_file_bytes_max: 0,
        ..eager()
    }
}

fn open(directory: &TempDir) -> Store {
    Store::open(directory.path(), eager()).unwrap()
}

fn name(text: &str) -> ModelName {
    text.parse().unwrap()
}

fn put(store: &Store, text: &str, bytes: &[u8]) -> Published {
    try_put(store, text, bytes, &Condition::Any).unwrap()
}

fn try_put(store: &Store, text: &str, bytes: &[u8], condition: &Condition) -> Result<Published> {
    let mut upload = store.upload(Some(bytes.len() as u64))?;
    upload.write_all(bytes)?;
    upload.commit(&name(text), Some(&Digest::of(bytes)), condition)
}

/// The bytes of a model, after checking everything that is said about them.
fn read(store: &Store, text: &str) -> Vec<u8> {
    let OpenedModel { model, content, .. } = store.open_model(&name(text)).unwrap();
    let bytes = match content {
        StoredContent::Cached(bytes) => bytes.to_vec(),
        StoredContent::File(file) => io::read_to_string(file).unwrap().into_bytes(),
    };
    assert_eq!(model.size, bytes.len() as u64);
    assert!(
        model
            .digest
            .is_none_or(|digest| digest == Digest::of(&bytes))
    );
    bytes
}

fn kind<T>(result: Result<T>) -> ErrorKind {
    result.err().expect("an error").kind()
}

fn parts(directory: &TempDir) -> usize {
    let hidden = directory.path().join(".skep");
    let count = |path| fs::read_dir(path).unwrap().count();
    let stray = fs::read_dir(&hidden).unwrap().filter(|entry| {
        entry
            .as_ref()
            .unwrap()
            .file_name()
            .to_str()
            .unwrap()
            .ends_with(".part")
    });
    stray.count() + count(hidden.join("parts"))
}

#[test]
fn what_goes_in_comes_out() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory);
    let first = put(&store, "b.dm", b"one");
    assert!(!first.replaced);
    assert_eq!(
        (first.model.size, first.model.digest),
        (3, Some(Digest::of(b"one")))
    );
    assert_eq!(read(&store, "b.dm"), b"one");
    let second = put(&store, "b.dm", b"two!");
    assert!(second.replaced);
    assert_eq!(read(&store, "b.dm"), b"two!");
    put(&store, "a", b"");
    assert_eq!(read(&store, "a"), b"");
    assert_eq!(store.find(&name("b.dm")).unwrap(), second.model);
    let names: Vec<_> = store
        .list()
        .unwrap()
        .into_iter()
        .map(|model| model.name)
        .collect();
    assert_eq!(names, [name("a"), name("b.dm")]);
    assert_eq!(store.remove(&name("b.dm")).unwrap(), second.model);
    assert_eq!(kind(store.remove(&name("b.dm"))), ErrorKind::NotFound);
    assert_eq!(kind(store.open_model(&name("b.dm"))), ErrorKind::NotFound);
    assert_eq!(fs::read(directory.path().join("a")).unwrap(), b"");
}

#[test]
fn a_name_is_old_or_new_whichever_call_to_the_disk_fails() {
    let directory = tempfile::tempdir().unwrap();
    put(&open(&directory), "m", b"old");
    for call in 0.. {
        let store = open(&directory);
        fault::set(Some(call));
        let result = try_put(&store, "m", b"newer", &Condition::Any);
        let reached = !fault::set(None);
        let before = read(&store, "m");
        assert_eq!(parts(&directory), 0, "call {call}");
        drop(store);
        let store = open(&directory);
        let after = read(&store, "m");
        assert_eq!(before, after, "call {call}");
        assert!(
            after == b"old" || after == b"newer",
            "call {call}: {after:?}"
        );
        if !reached {
            assert!(call >= 6, "only {call} calls were tried");
            assert_eq!((result.is_ok(), after), (true, b"newer".to_vec()));
            return;
        }
        assert_eq!(kind(result), ErrorKind::Internal, "call {call}");
        put(&store, "m", b"old");
    }
}

#[test]
fn a_failed_write_cannot_be_committed() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory);
    let mut upload = store.upload(None).unwrap();
    upload.write_all(b"one").unwrap();
    fault::set(Some(0));
    assert!(upload.write_all(b"two").is_err());
    upload.write_all(b"three").unwrap();
    assert_eq!(
        kind(upload.commit(&name("m"), None, &Condition::Any)),
        ErrorKind::Internal
    );
    assert_eq!((store.list().unwrap().len(), parts(&directory)), (0, 0));
}

#[test]
fn a_dropped_short_long_or_wrong_upload_leaves_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory);
    let begin = |size, bytes: &[u8]| {
        let mut upload = store.upload(size).unwrap();
        upload.write_all(bytes).unwrap();
        assert_eq!(upload.written(), bytes.len() as u64);
        upload
    };
    drop(begin(None, b"one"));
    let short = begin(Some(4), b"one")
        .commit(&name("m"), None, &Condition::Any)
        .unwrap_err();
    assert_eq!(
        (short.kind(), short.message()),
        (ErrorKind::BadRequest, "the body ended after 3 of 4 bytes")
    );
    let long = begin(Some(3), b"one").write_all(b"!").unwrap_err();
    assert_eq!(Error::from(long).kind(), ErrorKind::BadRequest);
    let wrong = begin(None, b"one").commit(&name("m"), Some(&Digest::of(b"two")), &Condition::Any);
    assert_eq!(kind(wrong), ErrorKind::Integrity);
    assert_eq!(kind(store.upload(Some(u64::MAX))), ErrorKind::NoSpace);
    assert_eq!((store.list().unwrap().len(), parts(&directory)), (0, 0));
}

#[test]
fn conditions_are_checked_before_a_name_changes() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path(), large()).unwrap();
    let matches = |bytes| Condition::Matches(Digest::of(bytes));
    for condition in [Condition::Exists, matches(b"one")] {
        assert_eq!(
            kind(try_put(&store, "m", b"x", &condition)),
            ErrorKind::PreconditionFailed
        );
    }
    try_put(&store, "m", b"one", &Condition::Absent).unwrap();
    for condition in [Condition::Absent, matches(b"two")] {
        assert_eq!(
            kind(try_put(&store, "m", b"x", &condition)),
            ErrorKind::PreconditionFailed
        );
        assert_eq!(
            kind(store.remove_if(&name("m"), &condition)),
            ErrorKind::PreconditionFailed
        );
        assert_eq!(
            kind(store.check(&name("m"), &condition)),
            ErrorKind::PreconditionFailed
        );
    }
    assert!(
        try_put(&store, "m", b"two!", &matches(b"one"))
            .unwrap()
            .replaced
    );
    fs::write(directory.path().join("m"), b"by hand").unwrap();
    assert!(
        try_put(&store, "m", b"three", &matches(b"by hand"))
            .unwrap()
            .replaced
    );
    store.check(&name("m"), &Condition::Exists).unwrap();
    store.remove_if(&name("m"), &matches(b"three")).unwrap();
    assert_eq!(
        kind(store.remove_if(&name("m"), &Condition::Any)),
        ErrorKind::NotFound
    );
}

#[test]
fn a_model_that_changes_after_its_time_was_seen_is_not_replaced() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path(), large()).unwrap();
    put(&store, "m", b"seen");
    let seen = Condition::ModifiedAt(store.find(&name("m")).unwrap().modified);
    store.check(&name("m"), &seen).unwrap();

    let path = directory.path().join("m");
    let later = SystemTime::now() + Duration::from_secs(5);
    let file = File::options().write(true).open(&path).unwrap();
    file.set_modified(later).unwrap();
    assert_eq!(
        kind(try_put(&store, "m", b"new", &seen)),
        ErrorKind::PreconditionFailed
    );
    assert_eq!(
        kind(store.remove_if(&name("m"), &seen)),
        ErrorKind::PreconditionFailed
    );
    assert_eq!(fs::read(&path).unwrap(), b"seen");

    let seen = Condition::ModifiedAt(later);
    assert!(try_put(&store, "m", b"new", &seen).unwrap().replaced);
    store.remove(&name("m")).unwrap();
    assert_eq!(
        kind(try_put(&store, "m", b"new", &seen)),
        ErrorKind::PreconditionFailed
    );
}

#[test]
fn files_that_come_and_change_by_hand_are_digested_in_the_background() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("before"), b"1").unwrap();
    let store = Store::open(directory.path(), large()).unwrap();
    put(&store, "changed", b"old");
    fs::write(directory.path().join("copied"), b"22").unwrap();
    fs::write(directory.path().join("changed"), b"333").unwrap();
    let past = SystemTime::UNIX_EPOCH + Duration::from_secs(1);
    let file = File::options()
        .write(true)
        .open(directory.path().join("changed"))
        .unwrap();
    file.set_modified(past).unwrap();
    store.list().unwrap();
    assert!(store.catalog().digester.wait_until_idle(DEADLINE));
    let models = store.list().unwrap();
    let digests: Vec<_> = models.iter().map(|model| model.digest.unwrap()).collect();
    assert_eq!(
        digests,
        [Digest::of(b"1"), Digest::of(b"333"), Digest::of(b"22")]
    );
    assert_eq!(models[1].modified, past);
    fs::remove_file(directory.path().join("copied")).unwrap();
    assert_eq!(store.list().unwrap().len(), 2);
}

#[test]
fn a_young_file_is_not_trusted_yet() {
    let directory = tempfile::tempdir().unwrap();
    let options = StoreOptions {
        clock_tick: Duration::from_secs(3600),
        ..StoreOptions::default()
    };
    let store = Store::open(directory.path(), options).unwrap();
    fs::write(directory.path().join("m"), b"one").unwrap();
    for _ in 0..2 {
        assert_eq!(read(&store, "m"), b"one");
        assert_eq!(store.find(&name("m")).unwrap().digest, None);
    }
    assert_eq!((store.counts().entries, store.counts().misses), (0, 2));
    put(&store, "m", b"an upload is known");
    read(&store, "m");
    read(&store, "m");
    assert_eq!((store.counts().entries, store.counts().hits), (1, 1));
}

#[test]
fn damage_is_found_and_not_forgotten_when_a_small_model_is_read() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory);
    put(&store, "m", b"one");
    let Standing::Model(stamp) = store.catalog().standing(&name("m")).unwrap() else {
        panic!()
    };
    store
        .catalog()
        .index
        .insert(&name("m"), stamp, Digest::of(b"two"));
    for _ in 0..2 {
        assert_eq!(read(&store, "m"), b"one");
        assert_eq!(
            store.find(&name("m")).unwrap().digest,
            Some(Digest::of(b"two"))
        );
    }
    assert_eq!(store.counts().entries, 0);
}

#[test]
fn a_file_that_never_is_as_its_stamp_says_is_read_and_not_kept() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory);

    // The kernel says of it that it has the length of a page, and gives a line.
    let file = File::open("/sys/devices/system/cpu/online").unwrap();
    let line = fs::read("/sys/devices/system/cpu/online").unwrap();
    let stamp = Stamp::of(&file.metadata().unwrap());
    assert_ne!(stamp.size, line.len() as u64);

    let catalog = store.catalog();
    let read = catalog.read_small(&name("m"), &file, (SystemTime::now(), stamp), &|_| None);
    let model = read.unwrap().unwrap().model;
    assert_eq!(model.size, line.len() as u64);
    assert_eq!(model.digest, Some(Digest::of(&line)));
    assert_eq!(store.counts().entries, 0);
}

#[test]
fn only_regular_files_with_good_names_are_models() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory);
    let path = |text: &str| directory.path().join(text);
    fs::write(path(".hidden"), b"x").unwrap();
    fs::write(path("back\\slash"), b"x").unwrap();
    fs::write(path("target"), b"secret").unwrap();
    std::os::unix::fs::symlink(path("target"), path("link")).unwrap();
    std::os::unix::fs::symlink(path("nowhere"), path("dangling")).unwrap();
    fs::create_dir(path("directory")).unwrap();
    fs::write(path("directory/-no-model"), b"x").unwrap();
    fs::create_dir(path("empty")).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, path("fifo"), 0o600.into()).unwrap();
    for other in ["link", "dangling", "directory", "fifo"] {
        assert_eq!(
            kind(store.find(&name(other))),
            ErrorKind::NotFound,
            "{other}"
        );
        assert_eq!(
            kind(store.open_model(&name(other))),
            ErrorKind::NotFound,
            "{other}"
        );
        assert_eq!(
            kind(store.remove(&name(other))),
            ErrorKind::NotFound,
            "{other}"
        );
        let error = try_put(&store, other, b"x", &Condition::Any).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict, "{other}: {error}");
        assert!(path(other).symlink_metadata().is_ok());
    }
    assert_eq!(fs::read(path("target")).unwrap(), b"secret");
    assert_eq!(store.list().unwrap().len(), 1);

    // A folder in which nothing is may be what a power cut has left of one whose last model went.
    put(&store, "empty", b"x");
    assert_eq!(fs::read(path("empty")).unwrap(), b"x");
}

#[test]
fn small_models_come_from_the_cache_until_they_change() {
    let directory = tempfile::tempdir().unwrap();
    let options = StoreOptions {
        cache_file_bytes_max: 4,
        ..eager()
    };
    let store = Store::open(directory.path(), options).unwrap();
    put(&store, "m", b"one");
    put(&store, "large", b"large");
    let counts = || {
        (
            store.counts().hits,
            store.counts().misses,
            store.counts().bytes,
        )
    };
    assert_eq!(counts(), (0, 0, 0));
    read(&store, "m");
    read(&store, "m");
    read(&store, "large");
    assert_eq!(counts(), (1, 1, 3));
    fs::write(directory.path().join("m"), b"hand").unwrap();
    assert_eq!(read(&store, "m"), b"hand");
    assert_eq!(counts(), (1, 2, 4));
    put(&store, "m", b"put");
    assert_eq!(counts(), (1, 2, 0));
    assert_eq!(read(&store, "m"), b"put");
    fs::write(directory.path().join("m"), b"has grown").unwrap();
    assert_eq!(read(&store, "m"), b"has grown");
    store.remove(&name("m")).unwrap();
    assert_eq!(store.counts().entries, 0);
}

#[test]
fn the_index_survives_and_forgets_what_is_gone_or_changed() {
    let directory = tempfile::tempdir().unwrap();
    // Nothing settles here, so only what the index says can be known.
    let options = StoreOptions {
        clock_tick: Duration::from_secs(3600),
        ..large()
    };
    let store = Store::open(directory.path(), options.clone()).unwrap();
    put(&store, "a b", b"one");
    put(&store, "gone", b"two");
    fs::remove_file(directory.path().join("gone")).unwrap();
    put(&store, "changed", b"three");
    fs::write(directory.path().join("changed"), b"by hand").unwrap();
    store.close();
    store.close();
    let index = fs::read_to_string(directory.path().join(".skep/index")).unwrap();
    assert_eq!(index.lines().count(), 1);
    drop(store);
    let store = Store::open(directory.path(), options).unwrap();
    assert_eq!(
        store.find(&name("a b")).unwrap().digest,
        Some(Digest::of(b"one"))
    );
}

#[test]
fn a_directory_has_one_store_which_clears_up_after_dead_ones() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory);
    let upload = store.upload(None).unwrap();
    let second = Store::open(directory.path(), eager()).err().unwrap();
    assert_eq!(second.kind(), ErrorKind::AlreadyRunning);
    assert_eq!(parts(&directory), 1);
    drop(store);
    let second = Store::open(directory.path(), eager());
    assert_eq!(
        kind(second),
        ErrorKind::AlreadyRunning,
        "the upload still holds it"
    );
    drop(upload);
    for left in [
        ".skep/parts/upload-0000000000000001.part",
        ".skep/.0000000000000002.part",
        ".skep/parts/other",
    ] {
        fs::write(directory.path().join(left), b"x").unwrap();
    }
    let store = open(&directory);
    assert_eq!(parts(&directory), 1, "only what is not a part is left");
    assert!(store.directory().is_absolute());
}

#[test]
fn an_unusable_directory_is_refused_with_a_way_out() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    fs::write(&file, b"x").unwrap();
    assert_eq!(kind(Store::open(&file, eager())), ErrorKind::Usage);
    assert_eq!(
        kind(Store::open(&file.join("below"), eager())),
        ErrorKind::Usage
    );
    if rustix::process::geteuid().is_root() {
        return;
    }
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o500)).unwrap();
    let error = Store::open(directory.path(), eager()).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Usage);
    assert!(error.message().contains("mode 0500"), "{error}");
    assert!(error.hint_text().unwrap().contains("chmod"), "{error}");
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o700)).unwrap();
}

#[test]
fn the_name_that_was_meant_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory);
    put(&store, "model.onnx", b"x");
    let error = store.find(&name("Modl.onnx")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "there is no model 'Modl.onnx'; did you mean 'model.onnx'?"
    );

    // Among many, only so many are looked at.
    for number in 0..1500 {
        fs::write(directory.path().join(format!("m{number}")), "x").unwrap();
    }
    assert_eq!(store.catalog().first_names().len(), 1000);

    // Also where most are no models.
    let directory = tempfile::tempdir().unwrap();
    for number in 0..3000 {
        let mark = if number % 10 == 0 { "m" } else { "-" };
        fs::write(directory.path().join(format!("{mark}{number}")), "x").unwrap();
    }
    let names = open(&directory).catalog().first_names();
    assert!(names.len() < 300, "all entries were read");
}

#[test]
fn readers_see_whole_versions_while_writers_race() {
    let directory = tempfile::tempdir().unwrap();
    for options in [StoreOptions::default(), large()] {
        let store = Store::open(directory.path(), options).unwrap();
        put(&store, "m", &[0; 9000]);
        thread::scope(|scope| {
            let writers: Vec<_> = (1..4)
                .map(|writer| {
                    let store = store.clone();
                    scope.spawn(move || {
                        for round in 0..20 {
                            put(&store, "m", &vec![writer; 9000 + round]);
                        }
                    })
                })
                .collect();
            while !writers.iter().all(|writer| writer.is_finished()) {
                let bytes = read(&store, "m");
                assert!(bytes.len() >= 9000 && bytes.iter().all(|byte| *byte == bytes[0]));
            }
        });
        assert_eq!(parts(&directory), 0);
    }
}

#[test]
fn a_name_that_the_file_system_refuses_is_refused_before_the_bytes() {
    let directory = tempfile::tempdir().unwrap();
    fault::set_refused(Some(':'));
    let store = open(&directory);
    let admit = |text: &str| store.admit(&name(text), Some(1), &Metadata::default());
    let refused = admit("a:b").unwrap_err();
    admit("a-b").unwrap();
    fault::set_refused(None);
    assert_eq!(refused.kind(), ErrorKind::BadRequest);
    assert!(refused.to_string().contains("this name"), "{refused}");
    assert_eq!(parts(&directory), 0);

    // Elsewhere such a name is as good as any.
    drop(store);
    let store = open(&directory);
    store
        .admit(&name("a:b"), Some(1), &Metadata::default())
        .unwrap();
    put(&store, "a:b", b"x");
}

#[test]
fn an_upload_of_any_length_leaves_the_reserve_of_the_disk_alone() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path(), eager()).unwrap();
    let reserve = eager().reserve_bytes;
    fault::set_free_bytes(Some(reserve + (1 << 30)));
    let mut upload = store.upload(None).unwrap();
    let piece = vec![7; 1 << 20];
    for _ in 0..5 {
        upload.write_all(&piece).unwrap();
    }

    // Others fill the disk meanwhile: that is seen after some mebibytes at the latest.
    fault::set_free_bytes(Some(reserve - 1));
    let mut writes = (0..64).map(|_| upload.write_all(&piece));
    let error = writes.find_map(Result::err).expect("an error");
    fault::set_free_bytes(None);
    assert_eq!(Error::from(error).kind(), ErrorKind::NoSpace);
    drop(upload);
    assert_eq!(parts(&directory), 0);

    // The same goes for the bound of all models.
    let few = StoreOptions {
        total_bytes_max: 1 << 20,
        reserve_bytes: 0,
        ..eager()
    };
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path(), few).unwrap();
    let mut upload = store.upload(None).unwrap();
    let mut writes = (0..64).map(|_| upload.write_all(&piece));
    let error = writes.find_map(Result::err).expect("an error");
    assert_eq!(Error::from(error).kind(), ErrorKind::NoSpace);
}

#[test]
fn a_removal_needs_no_room() {
    let directory = tempfile::tempdir().unwrap();
    let options = StoreOptions {
        versions_max: 2,
        ..eager()
    };
    let store = Store::open(directory.path(), options).unwrap();
    put(&store, "m", b"one");
    fault::set_full(true);
    let removed = store.remove(&name("m"));
    fault::set_full(false);
    removed.unwrap();
    assert_eq!(kind(store.find(&name("m"))), ErrorKind::NotFound);
    assert!(!directory.path().join("m").exists());
}

#[test]
fn both_forms_of_unicode_are_one_name() {
    let directory = tempfile::tempdir().unwrap();
    // The name of what is kept of a removed model counts, too.
    let options = StoreOptions {
        versions_max: 0,
        ..StoreOptions::default()
    };
    let store = Store::open(directory.path(), options).unwrap();
    let (one, two): (ModelName, ModelName) = (
        "\u{e9}t\u{e9}.onnx".parse().unwrap(),
        "e\u{301}te\u{301}.onnx".parse().unwrap(),
    );
    for (there, asked) in [(&one, &two), (&two, &one)] {
        assert_eq!(store.spelled(asked), *asked);
        fs::write(directory.path().join(there.as_str()), "x").unwrap();
        assert_eq!(store.spelled(asked), *there);
        assert_eq!(store.spelled(there), *there);

        // Whoever does not ask makes no second one.
        let upload = store.upload(None).unwrap();
        let error = upload.commit(asked, None, &Condition::Any).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict);
        store.remove(there).unwrap();
    }
}

#[test]
fn a_new_name_goes_into_the_folder_that_is_there_in_the_other_form_of_unicode() {
    let directory = tempfile::tempdir().unwrap();
    let options = StoreOptions {
        versions_max: 1,
        ..eager()
    };
    let store = Store::open(directory.path(), options).unwrap();
    put(&store, "caf\u{e9}/u\u{308}/a", b"a");
    let spelled = |text: &str| store.spelled(&name(text)).to_string();

    // The first folder is there composed, the second one decomposed.
    for form in [
        "cafe\u{301}/\u{fc}/b",
        "caf\u{e9}/\u{fc}/b",
        "cafe\u{301}/u\u{308}/b",
    ] {
        assert_eq!(spelled(form), "caf\u{e9}/u\u{308}/b");
    }
    assert_eq!(spelled("cafe\u{301}"), "caf\u{e9}");
    assert_eq!(spelled("cafe\u{301}/\u{fc}/a"), "caf\u{e9}/u\u{308}/a");
    assert_eq!(spelled("e\u{301}/b"), "e\u{301}/b");

    // What is kept of a folder that was removed is found, but makes no second one beside a folder that is there.
    store.remove(&name("caf\u{e9}/u\u{308}/a")).unwrap();
    assert_eq!(spelled("cafe\u{301}/\u{fc}/a"), "caf\u{e9}/u\u{308}/a");
    fs::create_dir(directory.path().join("cafe\u{301}")).unwrap();
    fs::write(directory.path().join("cafe\u{301}/n"), b"n").unwrap();
    assert_eq!(spelled("caf\u{e9}/n"), "cafe\u{301}/n");
    assert_eq!(spelled("caf\u{e9}/o"), "cafe\u{301}/o");
}

/// Does something with a store that has an old version of `d/m`, with each look at the disk failing in turn.
fn with_failing_looks(what: &str, work: impl Fn(&Store) -> Result<()>) {
    for look in 0.. {
        let directory = tempfile::tempdir().unwrap();
        let options = StoreOptions {
            versions_max: 2,
            ..large()
        };
        let store = Store::open(directory.path(), options).unwrap();
        put(&store, "d/m", b"first");
        put(&store, "d/m", b"second");

        fault::set_reads(Some(look));
        let result = work(&store);
        let reached = !fault::set_reads(None);
        let error = result.as_ref().err().map(Error::kind);
        let is_denied = matches!(
            error,
            Some(ErrorKind::NotFound | ErrorKind::PreconditionFailed)
        );
        assert!(!is_denied, "{what}, look {look}: {result:?}");

        let model = directory.path().join("d/m");
        let bytes = fs::read(&model).unwrap_or_default();
        let versions = store.versions(&name("d/m")).unwrap_or_default();
        let all = versions.iter().map(|version| version.size).sum::<u64>() + bytes.len() as u64;
        assert!(all >= 11, "{what}, look {look}: {all} bytes are left");
        if !reached {
            result.unwrap();
            assert!(look > 0, "{what} looks at nothing");
            return;
        }
    }
}

#[test]
fn a_disk_that_cannot_be_read_is_not_an_empty_one() {
    with_failing_looks("find", |store| {
        let model = store.find(&name("d/m"))?;
        assert_eq!(model.size, 6);
        Ok(())
    });
    with_failing_looks("open", |store| {
        assert_eq!(store.open_model(&name("d/m"))?.model.size, 6);
        Ok(())
    });
    with_failing_looks("versions", |store| {
        assert_eq!(store.versions(&name("d/m"))?.len(), 1);
        Ok(())
    });
    with_failing_looks("roll back", |store| store.rollback(&name("d/m")).map(drop));
    with_failing_looks("remove", |store| store.remove(&name("d/m")).map(drop));
    with_failing_looks("create", |store| {
        let created = try_put(store, "d/m", b"third", &Condition::Absent);
        match created.map_err(|error| error.kind()) {
            Err(ErrorKind::PreconditionFailed) => Ok(()),
            Err(_) => Err(Error::new(ErrorKind::Internal, "the disk failed")),
            Ok(_) => panic!("a model that is there was replaced"),
        }
    });
    with_failing_looks("replace", |store| {
        let published = try_put(store, "d/m", b"third", &Condition::Exists)?;
        assert!(published.replaced);
        Ok(())
    });
}
