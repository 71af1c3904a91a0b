// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Files with revisions, tried with real folders: after every way in and out, with every call to the disk that
//! can fail, and beside what hands do.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::time::Duration;

use crate::digest::Digest;
use crate::disk::fault;
use crate::model::{Revision, VersionChoice};
use crate::signature::{Prehash, SecretKey};
use crate::store::catalog::FolderRevision;
use crate::store::ready_files::ready_writer::settle;
use crate::store::*;

const DEADLINE: Duration = Duration::from_secs(60);

fn options() -> StoreOptions {
    StoreOptions {
        reserve_bytes: 0,
        ready_files: true,
        ready_delay: Duration::ZERO,
        clock_tick: Duration::ZERO,
        versions_max: 3,
        // What is broken off stays so until somebody asks.
        finish_pause: Duration::from_secs(3600),
        ..StoreOptions::default()
    }
}

/// A store that has written all files there are to be.
fn open(directory: &Path) -> Store {
    let store = Store::open(directory, options()).unwrap();
    wait(&store);
    store
}

/// One that writes none for now.
fn open_slow(directory: &Path) -> Store {
    let options = StoreOptions {
        ready_delay: Duration::from_secs(3600),
        ..options()
    };
    Store::open(directory, options).unwrap()
}

fn wait(store: &Store) {
    let catalog = store.catalog();
    // Each of the two threads may have work for the other one, which has none for it then.
    for _ in 0..2 {
        assert!(catalog.digester.wait_until_idle(DEADLINE));
        assert!(catalog.ready.wait_until_idle(DEADLINE));
    }
}

fn name(text: &str) -> ModelName {
    text.parse().unwrap()
}

fn try_put(store: &Store, text: &str, bytes: &str) -> Result<Published> {
    let mut upload = store.upload(None)?;
    upload.write_all(bytes.as_bytes())?;
    upload.commit(&name(text), None, &Condition::Any)
}

fn put(store: &Store, text: &str, bytes: &str) {
    try_put(store, text, bytes).unwrap();
}

fn commit(store: &Store, root: &str, models: &[(&str, &str)], others: Others) -> Result<ChangeId> {
    let request = ChangeRequest {
        root: Some(name(root)),
        principal: None,
    };
    let id = store.begin_change(request)?;
    for (text, bytes) in models {
        let mut upload = store.upload(None)?;
        upload.write_all(bytes.as_bytes())?;
        upload.end(&name(text), None, &Condition::Any, Some(id))?;
    }
    store.commit_change(id, others, None).map(|_| id)
}

fn try_move(store: &Store, from: &str, to: &str) -> Result<()> {
    let request = MoveRequest {
        from: name(from.trim_end_matches('/')),
        to: name(to.trim_end_matches('/')),
        is_folder: from.ends_with('/'),
        expected: ExpectedState::Any,
    };
    store.move_model(&request).map(drop)
}

/// What is in the directory: the digests of models, and the texts of files of ours.
#[derive(Debug, Default, PartialEq, Eq)]
struct Seen {
    models: BTreeMap<String, Digest>,
    ready: BTreeMap<String, String>,
}

impl Seen {
    /// As a program that looks into the directory.
    fn of(directory: &Path) -> Self {
        let mut seen = Self::default();
        seen.read(directory, "");
        seen
    }

    fn read(&mut self, directory: &Path, prefix: &str) {
        for entry in fs::read_dir(directory).unwrap() {
            let entry = entry.unwrap();
            let (path, own) = (entry.path(), entry.file_name().into_string().unwrap());
            if own == ".ready" {
                assert!(!prefix.is_empty(), "the model directory itself has none");
                let folder = prefix.trim_end_matches('/').to_owned();
                self.ready.insert(folder, fs::read_to_string(path).unwrap());
            } else if path.is_dir() && own != ".skep" {
                self.read(&path, &format!("{prefix}{own}/"));
            } else if path.is_file() {
                let digest = Digest::of(&fs::read(path).unwrap());
                self.models.insert(format!("{prefix}{own}"), digest);
            }
        }
    }

    /// What the file of a folder has to say.
    fn text(&self, folder: &str) -> String {
        let prefix = format!("{folder}/");
        let members = self.models.iter();
        let members =
            members.filter_map(|(name, digest)| Some((name.strip_prefix(&prefix)?, *digest)));
        format!("{}\n", Revision::of(members))
    }

    #[track_caller]
    fn is_true(&self, case: &str) {
        for (folder, text) in &self.ready {
            assert_eq!(*text, self.text(folder), "{case}: {folder}");
        }
    }

    /// Every folder with models has a file, and each of them is true.
    #[track_caller]
    fn is_whole(&self, case: &str) {
        self.is_true(case);
        let folders = self
            .models
            .keys()
            .flat_map(|text| Vec::from_iter(name(text).ancestors()));
        let folders: BTreeSet<_> = folders.map(|folder| folder.to_string()).collect();
        let there: BTreeSet<_> = self.ready.keys().cloned().collect();
        assert_eq!(there, folders, "{case}");
    }
}

/// A way in which models change.
type Way = (
    &'static str,
    fn(&Store) -> Result<()>,
    &'static [&'static str],
);

/// All of them, each with the folders around what it changes.
const WAYS: &[Way] = &[
    (
        "put",
        |store| try_put(store, "f/deep/b", "new").map(drop),
        &["f", "f/deep"],
    ),
    (
        "put a first one",
        |store| try_put(store, "f/new/deep/c", "new").map(drop),
        &["f"],
    ),
    (
        "remove",
        |store| store.remove(&name("f/deep/b")).map(drop),
        &["f", "f/deep"],
    ),
    (
        "remove the last one",
        |store| store.remove(&name("g/only")).map(drop),
        &["g"],
    ),
    (
        "roll back",
        |store| store.rollback(&name("f/a")).map(drop),
        &["f"],
    ),
    ("move", |store| try_move(store, "f/a", "g/a"), &["f", "g"]),
    (
        "move a folder",
        |store| try_move(store, "f/deep/", "g/deep/"),
        &["f", "g"],
    ),
    (
        "move a top folder",
        |store| try_move(store, "f/", "h/"),
        &[],
    ),
    (
        "bring a signature back",
        |store| {
            let present = VersionChoice::Digest(Digest::of(b"signed"));
            store.rollback_to(&name("f/s"), present).map(drop)
        },
        &[],
    ),
    (
        "commit",
        |store| {
            let models = [("f/a", "changed"), ("f/deep/c", "c"), ("f/x/y/z", "z")];
            commit(store, "f", &models, Others::Remove).map(drop)
        },
        &["f", "f/deep"],
    ),
    (
        "commit a new folder",
        |store| {
            let models = [("f/new/a", "one"), ("f/new/in/b", "two")];
            commit(store, "f/new", &models, Others::Keep).map(drop)
        },
        &["f"],
    ),
    (
        "commit a file in the place of a folder",
        |store| commit(store, "f", &[("f/deep", "a file")], Others::Remove).map(drop),
        &["f", "f/deep"],
    ),
    (
        "roll a folder back",
        |store| {
            let newest = "newest".parse().unwrap();
            store
                .rollback_folder(&name("f/deep"), newest, None, None)
                .map(drop)
        },
        &["f", "f/deep"],
    ),
];

/// Has a signature with a model that is kept and does not stand beside it.
fn put_signed(store: &Store, text: &str, bytes: &[u8]) {
    let key = SecretKey::generate().unwrap();
    let prehash = Prehash::of(&mut &bytes[..]).unwrap();
    let file = name(text).file_name().to_owned();
    let comment = format!("timestamp:1\tfile:{file}\thashed");
    let mut upload = store.upload(None).unwrap();
    upload.write_all(bytes).unwrap();
    upload.set_signature(Some(key.sign(&prehash, &comment)));
    upload.commit(&name(text), None, &Condition::Any).unwrap();
}

/// A store of some folders with versions and revisions, and with all files.
fn prepared(directory: &Path) -> Store {
    let store = open(directory);
    put(&store, "m", "no folder");
    put(&store, "f/a", "one");
    put(&store, "f/a", "two");
    commit(&store, "f/deep", &[("f/deep/b", "three")], Others::Keep).unwrap();
    commit(&store, "f/deep", &[("f/deep/b", "four")], Others::Keep).unwrap();
    put(&store, "g/only", "five");
    put_signed(&store, "f/s", b"signed");
    wait(&store);
    let seen = Seen::of(directory);
    seen.is_whole("prepared");
    assert_eq!(seen.ready.len(), 3);
    store
}

#[test]
fn every_folder_has_its_revision_after_every_way_in_and_out() {
    for (case, change, _) in WAYS {
        let directory = tempfile::tempdir().unwrap();
        let store = prepared(directory.path());
        let before = Seen::of(directory.path());
        change(&store).expect(case);
        wait(&store);

        let seen = Seen::of(directory.path());
        seen.is_whole(case);
        assert_ne!(seen, before, "{case}");
        for (folder, text) in &seen.ready {
            let info = store
                .folder_info(&name(folder), BlobSearch::Versions)
                .unwrap();
            assert_eq!(format!("{}\n", info.revision.unwrap()), *text, "{case}");
        }
        // Each is of the models' mode, and no file is left over.
        let mode = |path: &str| {
            fs::metadata(directory.path().join(path))
                .unwrap()
                .permissions()
                .mode()
        };
        for folder in seen.ready.keys() {
            assert_eq!(mode(&format!("{folder}/.ready")), mode("m"), "{case}");
        }
        let parts = fs::read_dir(directory.path().join(".skep/parts")).unwrap();
        assert_eq!(parts.count(), 0, "{case}");
    }
}

#[test]
fn no_folder_around_a_change_has_a_file_whichever_call_to_the_disk_fails() {
    for (case, change, folders) in WAYS {
        let mut calls = 0;
        while fails_at(calls, case, *change, folders) {
            calls += 1;
        }
        assert!(calls > 3, "{case}: only {calls} calls were tried");
    }
}

/// Changes models with one call to the disk that fails; whether there was such a call.
fn fails_at(call: u32, case: &str, change: fn(&Store) -> Result<()>, folders: &[&str]) -> bool {
    let directory = tempfile::tempdir().unwrap();
    let store = prepared(directory.path());
    // None of them is written again.
    store.catalog().ready.hold();

    fault::set(Some(call));
    let result = change(&store);
    let reached = !fault::set(None);

    // As a sudden end at this call would leave it.
    let case = format!("{case}, call {call}");
    let seen = Seen::of(directory.path());
    seen.is_true(&case);
    if result.is_ok() {
        for folder in folders {
            assert!(!seen.ready.contains_key(*folder), "{case}: {folder}");
        }
    }
    drop(store);

    // The next start completes what was decided, and gives each folder its file. It costs much, and is the
    // same for most calls.
    if call.is_multiple_of(3) || !reached {
        let store = open(directory.path());
        Seen::of(directory.path()).is_whole(&case);
        drop(store);
    }
    reached
}

#[test]
fn a_commit_that_the_disk_broke_off_has_no_file_until_it_is_done() {
    let (mut call, mut broken) = (0, 0);
    loop {
        let directory = tempfile::tempdir().unwrap();
        let store = prepared(directory.path());
        let request = ChangeRequest {
            root: Some(name("f")),
            principal: None,
        };
        let id = store.begin_change(request).unwrap();
        for text in ["f/a", "f/deep/b", "f/new/c"] {
            let mut upload = store.upload(None).unwrap();
            upload.write_all(b"changed").unwrap();
            upload
                .end(&name(text), None, &Condition::Any, Some(id))
                .unwrap();
        }
        wait(&store);

        fault::set(Some(call));
        let result = store.commit_change(id, Others::Keep, None);
        let reached = !fault::set(None);
        wait(&store);
        let seen = Seen::of(directory.path());
        if result.is_ok() && store.catalog().unfinished.is_there() {
            // Only the record is left, with which nothing is changed until the next start.
            seen.is_true(&format!("call {call}"));
            call += 1;
            continue;
        }
        if store.catalog().unfinished.is_there() {
            broken += 1;
            let left: Vec<_> = seen.ready.keys().collect();
            assert_eq!(left, ["g"], "call {call}");
            store.commit_change(id, Others::Keep, None).unwrap();
            wait(&store);
        }
        Seen::of(directory.path()).is_whole(&format!("call {call}"));
        if !reached {
            break;
        }
        call += 1;
    }
    assert!(broken > 1, "{broken} commits were broken off");
}

#[test]
fn what_is_not_ours_stays() {
    let directory = tempfile::tempdir().unwrap();
    let outside = tempfile::tempdir().unwrap();
    let path = |text: &str| directory.path().join(text);
    let precious = outside.path().join("precious");
    let valid = format!("{}\n", "0".repeat(40));
    fs::write(&precious, &valid).unwrap();

    let folders = ["folder", "link", "fifo", "text", "long", "capitals"];
    for folder in folders {
        fs::create_dir(path(folder)).unwrap();
    }
    fs::create_dir(path("folder/.ready")).unwrap();
    symlink(&precious, path("link/.ready")).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, path("fifo/.ready"), 0o600.into()).unwrap();
    fs::write(path("text/.ready"), "yes\n").unwrap();
    fs::write(path("long/.ready"), format!("{valid}\n")).unwrap();
    fs::write(path("capitals/.ready"), "A".repeat(40) + "\n").unwrap();

    let kinds = || {
        folders.map(|folder| {
            fs::symlink_metadata(path(folder).join(".ready"))
                .unwrap()
                .file_type()
        })
    };
    let before = kinds();
    for ready_files in [true, true, false] {
        let options = StoreOptions {
            ready_files,
            ..options()
        };
        let store = Store::open(directory.path(), options).unwrap();
        for folder in folders {
            put(&store, &format!("{folder}/m"), "bytes");
            put(&store, &format!("{folder}/m"), "others");
        }
        put(&store, "well/m", "bytes");
        wait(&store);
        assert_eq!(path("well/.ready").exists(), ready_files);
        drop(store);
        assert_eq!(kinds(), before);
        assert_eq!(fs::read_to_string(path("text/.ready")).unwrap(), "yes\n");
        assert_eq!(fs::read_to_string(&precious).unwrap(), valid);
    }
    for folder in folders {
        let store = open(directory.path());
        store.remove(&name(&format!("{folder}/m"))).unwrap();
        assert!(path(folder).join(".ready").symlink_metadata().is_ok());
    }
}

#[test]
fn a_start_removes_what_is_not_true_any_more() {
    let directory = tempfile::tempdir().unwrap();
    drop(prepared(directory.path()));
    let path = |text: &str| directory.path().join(text);

    // Hands were there while nobody served.
    fs::write(path("f/deep/b"), "by hand").unwrap();
    fs::remove_file(path("g/only")).unwrap();
    fs::create_dir_all(path("copied/in")).unwrap();
    fs::write(path("copied/in/m"), "by hand").unwrap();
    fs::copy(path("f/.ready"), path("copied/in/.ready")).unwrap();

    let store = open_slow(directory.path());
    assert_eq!(Seen::of(directory.path()).ready, BTreeMap::new());
    drop(store);
    let store = open(directory.path());
    Seen::of(directory.path()).is_whole("after hands");
    drop(store);

    // What is true stays as it is.
    let inode =
        |text: &str| std::os::unix::fs::MetadataExt::ino(&fs::metadata(path(text)).unwrap());
    let before = inode("f/deep/.ready");
    drop(open(directory.path()));
    assert_eq!(inode("f/deep/.ready"), before);
}

#[test]
fn switched_off_it_leaves_none_behind_and_looks_for_none_where_it_never_was_on() {
    let directory = tempfile::tempdir().unwrap();
    drop(prepared(directory.path()));
    let path = |text: &str| directory.path().join(text);
    let off = StoreOptions {
        ready_files: false,
        ..options()
    };
    assert!(path(".skep/ready").exists());

    // What nothing is changed in keeps what it has.
    let read_only = StoreOptions {
        read_only: true,
        ..options()
    };
    for options in [
        read_only.clone(),
        StoreOptions {
            ready_files: false,
            ..read_only
        },
    ] {
        fs::write(path("f/deep/b"), "by hand").unwrap();
        let store = Store::open(directory.path(), options).unwrap();
        store.list().unwrap();
        drop(store);
        assert_eq!(Seen::of(directory.path()).ready.len(), 3);
    }

    let store = Store::open(directory.path(), off.clone()).unwrap();
    assert_eq!(Seen::of(directory.path()).ready.len(), 0);
    assert!(!path(".skep/ready").exists());
    put(&store, "f/a", "six");
    wait(&store);
    drop(store);

    let text = format!("{}\n", "0".repeat(40));
    fs::write(path("f/.ready"), &text).unwrap();
    let store = Store::open(directory.path(), off).unwrap();
    put(&store, "f/a", "seven");
    drop(store);
    assert_eq!(fs::read_to_string(path("f/.ready")).unwrap(), text);
}

#[test]
fn what_hands_do_is_seen_with_the_next_list() {
    let directory = tempfile::tempdir().unwrap();
    let store = prepared(directory.path());
    let path = |text: &str| directory.path().join(text);
    let look = || {
        store
            .listing(ListRequest::default())
            .unwrap()
            .for_each(drop);
        wait(&store);
        Seen::of(directory.path()).is_whole("by hand");
    };
    look();

    fs::write(path("f/deep/b"), "changed").unwrap();
    look();
    fs::write(path("f/deep/c"), "new").unwrap();
    look();
    fs::remove_file(path("f/deep/b")).unwrap();
    look();
    fs::rename(path("f/deep"), path("g/moved")).unwrap();
    look();
    fs::remove_file(path("g/moved/c")).unwrap();
    look();
    commit(&store, "f/x", &[("f/x/y/m", "new")], Others::Keep).unwrap();
    look();

    // Nothing tells of files that go before something around them changes or the server starts.
    for folder in ["f", "f/x", "f/x/y"] {
        fs::remove_file(path(folder).join(".ready")).unwrap();
    }
    put(&store, "f/a", "eight");
    look();
}

#[test]
fn a_folder_whose_models_hands_have_removed_makes_way() {
    let directory = tempfile::tempdir().unwrap();
    drop(prepared(directory.path()));
    let store = open_slow(directory.path());
    let path = |text: &str| directory.path().join(text);

    fs::remove_file(path("g/only")).unwrap();
    assert!(path("g/.ready").exists());
    put(&store, "g", "a file");
    assert!(path("g").is_file());

    fs::remove_file(path("f/deep/b")).unwrap();
    let models = [("f/deep/x", "new"), ("f/deep/y/z", "new")];
    commit(&store, "f/deep", &models, Others::Keep).unwrap();
    drop(store);
    let store = open(directory.path());
    let seen = Seen::of(directory.path());
    seen.is_whole("made way");
    assert!(seen.ready.contains_key("f/deep/y"));
    drop(store);

    // Something that is not ours keeps a folder where it is.
    fs::remove_file(path("f/deep/y/z")).unwrap();
    fs::write(path("f/deep/y/.ready"), "precious").unwrap();
    let store = open(directory.path());
    let error = try_put(&store, "f/deep/y", "a file").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert_eq!(
        fs::read_to_string(path("f/deep/y/.ready")).unwrap(),
        "precious"
    );
}

#[test]
fn what_changes_while_a_file_is_computed_gets_none_that_is_old() {
    type Change = fn(&Store);
    let changes: [Change; 2] = [
        |store| put(store, "f/a", "changed"),
        |store| {
            try_move(store, "f/", "h/").unwrap();
            put(store, "h/a", "changed");
        },
    ];

    for change in changes {
        let directory = tempfile::tempdir().unwrap();
        drop(prepared(directory.path()));
        fs::remove_file(directory.path().join("f/.ready")).unwrap();
        let store = open_slow(directory.path());
        let catalog = store.catalog();
        // The start has told that it is missing.
        assert!(catalog.ready.is_waiting(&name("f")));
        catalog.ready.forget_all();

        let mut is_found = false;
        let look = catalog.folder_revisions(Some(&name("f")), &mut |found| {
            if found.folder == name("f") {
                is_found = found.revision.is_some();
                change(&store);
                settle(catalog, &found);
            }
        });
        look.unwrap();
        assert!(is_found);
        Seen::of(directory.path()).is_true("while it was computed");
    }
}

#[test]
fn each_file_counts_as_a_block_for_the_quota() {
    for (ready_files, blocks) in [(false, 2), (true, 3)] {
        for missing in [0, 1] {
            let directory = tempfile::tempdir().unwrap();
            let options = StoreOptions {
                ready_files,
                total_bytes_max: blocks * 4096 - missing,
                ..options()
            };
            let store = Store::open(directory.path(), options).unwrap();
            let result = try_put(&store, "f/m", "one");
            assert_eq!(result.is_ok(), missing == 0, "{ready_files}, {missing}");
        }
    }
}

#[test]
fn on_a_full_disk_no_file_stays_that_is_not_true() {
    let directory = tempfile::tempdir().unwrap();
    let store = prepared(directory.path());
    store.catalog().ready.hold();
    let path = directory.path().join("g/.ready");
    fs::write(&path, format!("{}\n", "0".repeat(40))).unwrap();

    let look = || {
        let found = &mut |found: FolderRevision<'_>| settle(store.catalog(), &found);
        store
            .catalog()
            .folder_revisions(Some(&name("g")), found)
            .unwrap();
    };
    fault::set_full(true);
    look();
    fault::set_full(false);
    assert!(!path.exists());
    assert!(store.catalog().ready.is_waiting(&name("g")));

    store.catalog().ready.forget_all();
    look();
    Seen::of(directory.path()).is_whole("with room again");
}

#[test]
fn folders_are_looked_at_when_a_change_is_met_and_when_its_digest_is_known() {
    let directory = tempfile::tempdir().unwrap();
    drop(prepared(directory.path()));
    let path = directory.path().join("g/only");

    // Whoever meets it does not wait for the digest.
    let young = StoreOptions {
        clock_tick: Duration::from_secs(3600),
        ..options()
    };
    let store = Store::open(directory.path(), young).unwrap();
    store.catalog().ready.hold();
    fs::write(&path, "by hand").unwrap();
    assert!(!store.catalog().ready.is_waiting(&name("g")));
    assert_eq!(store.find(&name("g/only")).unwrap().digest, None);
    assert!(store.catalog().ready.is_waiting(&name("g")));
    drop(store);

    let store = open(directory.path());
    let catalog = store.catalog();
    catalog.ready.hold();
    fs::write(&path, "by hand again").unwrap();
    catalog.digester.queue(&name("g/only"));
    assert!(catalog.digester.wait_until_idle(DEADLINE));
    assert!(catalog.ready.is_waiting(&name("g")));
}
