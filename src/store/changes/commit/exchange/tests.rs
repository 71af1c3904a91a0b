// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Folders that change in one step, looked at as other programs do: every call to the disk that can fail, what
//! hands do meanwhile, and what is changed file by file.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use rustix::fs::IFlags;

use crate::disk::{Folder, fault};
use crate::store::changes::commit::recorded::step_record::{CommitStep, StepKind};
use crate::store::changes::tests::name;
use crate::store::*;

fn open_with(directory: &Path, versions_max: usize, exchange_files: usize) -> Store {
    let options = StoreOptions {
        reserve_bytes: 0,
        versions_max,
        exchange_files,
        // What is broken off stays so until somebody asks.
        finish_pause: std::time::Duration::from_secs(3600),
        ..StoreOptions::default()
    };
    Store::open(directory, options).unwrap()
}

/// A directory on a file system that can exchange folders.
fn directory() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let folder = Folder::open(directory.path()).unwrap();
    if folder.exchanges_folders().unwrap() {
        directory
    } else {
        tempfile::tempdir_in("/dev/shm").unwrap()
    }
}

fn open(directory: &Path) -> Store {
    open_with(directory, 1, 100)
}

fn put(store: &Store, text: &str, bytes: &str) {
    let mut upload = store.upload(None).unwrap();
    upload.write_all(bytes.as_bytes()).unwrap();
    upload.commit(&name(text), None, &Condition::Any).unwrap();
}

fn begin(store: &Store, root: Option<&str>) -> ChangeId {
    let request = ChangeRequest {
        root: root.map(name),
        principal: None,
    };
    store.begin_change(request).unwrap()
}

fn send(store: &Store, id: ChangeId, text: &str, bytes: &str) {
    let mut upload = store.upload(None).unwrap();
    upload.write_all(bytes.as_bytes()).unwrap();
    let done = upload.end(&name(text), None, &Condition::Any, Some(id));
    done.unwrap();
}

fn commit(store: &Store, id: ChangeId) -> Result<CommitOutcome> {
    store.commit_change(id, Others::Keep, None)
}

/// What another program finds in a folder of the model directory: files with their bytes, links and FIFOs.
fn seen(directory: &Path, folder: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut folders = vec![directory.join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let facts = fs::symlink_metadata(&path).unwrap();
            let below = path.strip_prefix(directory).unwrap();
            let text = if facts.is_dir() {
                folders.push(path.clone());
                "folder".to_owned()
            } else if facts.is_file() {
                fs::read_to_string(&path).unwrap()
            } else {
                format!("{:?}", facts.file_type().is_symlink())
            };
            found.insert(below.to_str().unwrap().to_owned(), text);
        }
    }
    found
}

fn inode(directory: &Path, text: &str) -> u64 {
    fs::symlink_metadata(directory.join(text)).unwrap().ino()
}

fn sets(directory: &Path) -> usize {
    let sets = fs::read_dir(directory.join(".skep/changes"));
    sets.map_or(0, Iterator::count)
}

/// A folder with models, and with what hands have put there; and a set that replaces one, adds another and
/// removes two.
fn prepared(directory: &Path, store: &Store) -> ChangeId {
    for (text, bytes) in [
        ("f/a", "old"),
        ("f/goes", "goes"),
        ("f/in/stays", "stays"),
        ("f/in/deep/goes", "goes too"),
        ("else", "untouched"),
    ] {
        put(store, text, bytes);
    }
    symlink("a", directory.join("f/link")).unwrap();
    let fifo = directory.join("f/in/fifo");
    rustix::fs::mkfifoat(rustix::fs::CWD, fifo, 0o600.into()).unwrap();
    fs::create_dir(directory.join("f/empty")).unwrap();

    let id = begin(store, Some("f"));
    send(store, id, "f/a", "new bytes");
    send(store, id, "f/more/b", "more");
    for text in ["f/goes", "f/in/deep/goes"] {
        store.stage_removal(id, &name(text)).unwrap();
    }
    id
}

fn expected() -> BTreeMap<String, String> {
    let expected = [
        ("f/a", "new bytes"),
        ("f/empty", "folder"),
        ("f/in", "folder"),
        ("f/in/fifo", "false"),
        ("f/in/stays", "stays"),
        ("f/link", "true"),
        ("f/more", "folder"),
        ("f/more/b", "more"),
    ];
    let expected = expected.iter();
    expected
        .map(|(path, text)| ((*path).to_owned(), (*text).to_owned()))
        .collect()
}

#[test]
fn a_folder_changes_in_one_step_whichever_call_to_the_disk_fails() {
    for versions_max in [0, 1] {
        for again in [true, false] {
            let mut calls = 0;
            while fails_at(calls, versions_max, again) {
                calls += 1;
            }
            assert!(calls > 20, "only {calls} calls were tried");
        }
    }
}

/// Commits with one call to the disk that fails; whether there was such a call.
fn fails_at(call: u32, versions_max: usize, again: bool) -> bool {
    let directory = directory();
    let path = directory.path();
    let store = open_with(path, versions_max, 100);
    let id = prepared(path, &store);
    let before = seen(path, "f");
    let number = inode(path, "f");

    fault::set(Some(call));
    let result = commit(&store, id);
    let reached = !fault::set(None);

    let case = format!("call {call}, {versions_max} versions, again: {again}");
    let now = seen(path, "f");
    assert!(now == before || now == expected(), "{case}: {now:?}");
    if result.is_ok() {
        assert_eq!(now, expected(), "{case}");
    }
    if !reached {
        assert_ne!(inode(path, "f"), number, "it was not exchanged");
    }

    let mut is_done = result.is_ok();
    if again && !is_done {
        let done = commit(&store, id).expect(&case);
        assert_eq!((done.published, done.removed), (2, 2), "{case}");
        is_done = true;
    }
    if is_done {
        let versions = store.versions(&name("f/a")).unwrap();
        assert_eq!(versions.len(), versions_max, "{case}");
        let versions = store.versions(&name("f/in/deep/goes"));
        assert_eq!(versions.is_ok(), versions_max > 0, "{case}");
    }
    // Nobody has to read what stays: its digest is known all the time.
    assert!(has_digest(&store, "f/in/stays"), "{case}");
    drop(store);

    let store = open_with(path, versions_max, 100);
    let after = seen(path, "f");
    assert!(after == before || after == expected(), "{case}: {after:?}");
    if is_done {
        assert_eq!(after, expected(), "{case}");
    }
    assert!(has_digest(&store, "f/in/stays"), "{case}: after a start");
    assert_eq!(sets(path), usize::from(after == before), "{case}");
    reached
}

/// Whether a digest is known. Nobody reads a file in the first seconds after it has changed.
fn has_digest(store: &Store, text: &str) -> bool {
    store.find(&name(text)).unwrap().digest.is_some()
}

#[test]
fn a_file_system_that_knows_no_exchange_is_asked_once_whichever_call_fails() {
    for is_known_later in [false, true] {
        let mut calls = 0;
        while refused_fails_at(calls, is_known_later) {
            calls += 1;
        }
        assert!(calls > 20, "only {calls} calls were tried");
    }
}

/// Commits with one call to the disk that fails. Then a process takes it up for which the file system still
/// knows no exchange, or one that knows it, as where something was mounted meanwhile.
fn refused_fails_at(call: u32, is_known_later: bool) -> bool {
    let directory = directory();
    let path = directory.path();
    let store = open(path);
    let id = prepared(path, &store);
    let (before, number) = (seen(path, "f"), inode(path, "f"));

    fault::set_exchange(false);
    fault::set(Some(call));
    let result = commit(&store, id);
    let reached = !fault::set(None);
    drop(store);

    // The start finds it in whatever state.
    fault::set_exchange(is_known_later);
    let store = open(path);
    fault::set_exchange(true);
    let after = seen(path, "f");
    let case = format!("call {call}, known later: {is_known_later}");
    assert!(
        after == expected() || (result.is_err() && after == before),
        "{case}: {after:?}"
    );
    assert!(has_digest(&store, "f/in/stays"), "{case}");
    if !reached {
        assert_eq!(inode(path, "f"), number);
    }
    reached
}

#[test]
fn what_was_refused_is_not_assembled_again() {
    let directory = directory();
    let path = directory.path();
    let store = open(path);
    let id = prepared(path, &store);
    fault::set_exchange(false);
    commit(&store, id).unwrap();
    fault::set_exchange(true);
    assert!(!store.catalog().layout.exchanges());
    assert_eq!(seen(path, "f"), expected());

    // The next process asks again.
    drop(store);
    assert!(open(path).catalog().layout.exchanges());
}

/// Commits two changes and says whether the folder was exchanged.
fn is_exchanged(path: &Path, store: &Store, folder: &str, number_of: &str) -> bool {
    let number = inode(path, number_of);
    let id = begin(store, None);
    let old = fs::read_to_string(path.join(folder).join("1"));
    let bytes = format!("{} and new", old.unwrap());
    for file in ["1", "2"] {
        send(store, id, &format!("{folder}/{file}"), &bytes);
    }
    commit(store, id).unwrap();
    for file in ["1", "2"] {
        let text = fs::read_to_string(path.join(folder).join(file)).unwrap();
        assert_eq!(text, bytes);
    }
    inode(path, number_of) != number
}

#[test]
fn the_innermost_folder_is_exchanged_with_its_mode_and_nothing_around_it() {
    let directory = directory();
    let path = directory.path();
    let store = open(path);
    put(&store, "me/deep/1", "old");
    put(&store, "me/deep/in/stays", "stays");
    put(&store, "me/beside/b", "b");
    let mode = |text: &str, mode| {
        fs::set_permissions(path.join(text), fs::Permissions::from_mode(mode)).unwrap();
    };
    mode("me/deep", 0o2751);
    mode("me/deep/in", 0o710);

    let outer = inode(path, "me");
    let (file, beside) = (inode(path, "me/deep/in/stays"), inode(path, "me/beside"));
    assert!(is_exchanged(path, &store, "me/deep", "me/deep"));
    assert_eq!(
        (inode(path, "me"), inode(path, "me/beside")),
        (outer, beside)
    );
    assert_eq!(inode(path, "me/deep/in/stays"), file);
    for (text, wanted) in [("me/deep", 0o2751), ("me/deep/in", 0o710)] {
        let found = fs::metadata(path.join(text)).unwrap().mode();
        assert_eq!(found & 0o7777, wanted, "{text}");
    }
    assert_eq!(
        fs::metadata(path.join("me/deep/in/stays")).unwrap().nlink(),
        1
    );
    assert_eq!(sets(path), 0);
}

#[test]
fn what_a_new_folder_would_lose_is_changed_file_by_file() {
    let directory = directory();
    let path = directory.path();
    let store = open_with(path, 1, 3);
    let new = |folder: &str| {
        for file in ["1", "2", "stays"] {
            put(&store, &format!("{folder}/{file}"), "old");
        }
    };
    new("plain");
    assert!(is_exchanged(path, &store, "plain", "plain"));

    // Too much stays.
    for file in ["x", "y", "z"] {
        put(&store, &format!("plain/{file}"), "more");
    }
    assert!(!is_exchanged(path, &store, "plain", "plain"));

    // One file has its name in one step anyway.
    new("single");
    let number = inode(path, "single");
    let id = begin(&store, Some("single"));
    send(&store, id, "single/1", "new");
    commit(&store, id).unwrap();
    assert_eq!(inode(path, "single"), number);

    // The model directory itself is not exchanged.
    let number = inode(path, ".");
    let id = begin(&store, None);
    send(&store, id, "plain/1", "new");
    send(&store, id, "single/1", "newer");
    commit(&store, id).unwrap();
    assert_eq!(inode(path, "."), number);

    // A name that is no text.
    new("strange");
    let strange = std::os::unix::ffi::OsStrExt::from_bytes(b"strange/\xff");
    let strange: &std::ffi::OsStr = strange;
    fs::create_dir(path.join(strange)).unwrap();
    assert!(!is_exchanged(path, &store, "strange", "strange"));
    fs::remove_dir(path.join(strange)).unwrap();
    assert!(is_exchanged(path, &store, "strange", "strange"));
}

#[test]
fn folders_that_are_too_deep_for_models_are_not_walked_to_their_end() {
    let directory = directory();
    let path = directory.path();
    let store = open(path);
    put(&store, "f/1", "old");
    let deep: PathBuf = std::iter::repeat_n("d", 20).collect();
    fs::create_dir_all(path.join("f").join(deep)).unwrap();
    assert!(!is_exchanged(path, &store, "f", "f"));
    assert_eq!(sets(path), 0);
}

#[test]
fn attributes_and_owners_are_not_lost() {
    let directory = directory();
    let path = directory.path();
    let store = open(path);
    for folder in ["own", "own/in"] {
        put(&store, &format!("{folder}/1"), "old");
        let place = path.join(folder);
        let flags = rustix::fs::XattrFlags::empty();
        if rustix::fs::setxattr(&place, "user.note", b"mine", flags).is_ok() {
            assert!(!is_exchanged(path, &store, "own", "own"), "{folder}");
            rustix::fs::removexattr(&place, "user.note").unwrap();
        }
        let opened = fs::File::open(&place).unwrap();
        if let Ok(before) = rustix::fs::ioctl_getflags(&opened)
            && rustix::fs::ioctl_setflags(&opened, before | IFlags::NOATIME).is_ok()
        {
            assert!(!is_exchanged(path, &store, "own", "own"), "{folder}");
            rustix::fs::ioctl_setflags(&opened, before).unwrap();
        }
        // Only root can give a folder away.
        if std::os::unix::fs::chown(&place, Some(4711), None).is_ok() {
            assert!(!is_exchanged(path, &store, "own", "own"), "{folder}");
            let us = rustix::process::geteuid().as_raw();
            std::os::unix::fs::chown(&place, Some(us), None).unwrap();
        }
        if std::os::unix::fs::chown(&place, None, Some(4711)).is_ok() {
            assert!(is_exchanged(path, &store, "own", "own"), "{folder}");
            assert_eq!(fs::metadata(&place).unwrap().gid(), 4711);
        }
        assert!(is_exchanged(path, &store, "own", "own"), "{folder}");
    }
}

#[test]
fn no_exchange_is_wanted_where_the_setting_says_so() {
    let directory = directory();
    let store = open_with(directory.path(), 1, 0);
    put(&store, "f/1", "old");
    assert!(!is_exchanged(directory.path(), &store, "f", "f"));
}

fn ready() -> String {
    format!("{}\n", "0f".repeat(20))
}

#[test]
fn a_file_that_tells_the_revision_goes_with_it() {
    let directory = directory();
    let path = directory.path();
    let store = open(path);
    put(&store, "f/1", "old");
    put(&store, "f/in/stays", "stays");
    put(&store, "f/changes/x", "old");
    put(&store, "f/other/x", "old");
    for folder in ["f", "f/in", "f/changes"] {
        fs::write(path.join(folder).join(".ready"), ready()).unwrap();
    }
    // What is not ours stays.
    fs::write(path.join("f/other/.ready"), "of somebody else").unwrap();
    let id = begin(&store, None);
    send(&store, id, "f/1", "new");
    send(&store, id, "f/changes/x", "new");
    send(&store, id, "f/other/x", "new");
    commit(&store, id).unwrap();
    for (folder, stays) in [
        ("f", false),
        ("f/in", true),
        ("f/changes", false),
        ("f/other", true),
    ] {
        let ready = path.join(folder).join(".ready");
        assert_eq!(ready.exists(), stays, "{folder}");
    }
}

#[test]
fn a_new_folder_appears_as_a_whole_wherever_all_of_a_set_is_in_it() {
    let directory = directory();
    let path = directory.path();
    let store = open(path);
    put(&store, "me/a", "a");
    let number = inode(path, "me");
    let id = begin(&store, None);
    send(&store, id, "me/new/x/1", "1");
    send(&store, id, "me/new/x/2", "2");
    commit(&store, id).unwrap();
    assert_eq!(inode(path, "me"), number);
    let found = seen(path, "me");
    assert_eq!(found["me/new/x/1"], "1");
    assert_eq!(found["me/new/x/2"], "2");
}

#[test]
fn digests_and_versions_are_kept_where_files_have_more_names() {
    let directory = directory();
    let path = directory.path();
    let store = open_with(path, 3, 100);
    put(&store, "f/a", "one");
    put(&store, "f/b", "two");
    put(&store, "f/stays", "stays");
    // The same file under a name outside, and under one inside.
    let id = begin(&store, None);
    let digest = crate::digest::Digest::of(b"stays");
    for text in ["outside", "f/twin"] {
        let known = store.stage_known(id, &name(text), digest, Metadata::default(), None);
        known.unwrap();
    }
    commit(&store, id).unwrap();
    assert_eq!(inode(path, "outside"), inode(path, "f/stays"));

    for round in 0..3 {
        let id = begin(&store, Some("f"));
        send(&store, id, "f/a", &format!("a {round}"));
        send(&store, id, "f/b", &format!("b {round}"));
        commit(&store, id).unwrap();
        for text in ["f/stays", "f/twin", "outside", "f/a", "f/b"] {
            assert!(has_digest(&store, text), "{text} in round {round}");
        }
    }
    assert_eq!(inode(path, "outside"), inode(path, "f/twin"));
    assert_eq!(fs::metadata(path.join("f/stays")).unwrap().nlink(), 3);
    let info = store.folder_info(&name("f"), BlobSearch::Versions).unwrap();
    assert_eq!(info.kept.len(), 3);

    // An old revision comes back in one step as well, with its bytes.
    let number = inode(path, "f");
    let newest = "newest".parse().unwrap();
    store
        .rollback_folder(&name("f"), newest, None, None)
        .unwrap();
    assert_ne!(inode(path, "f"), number);
    assert_eq!(seen(path, "f")["f/a"], "a 1");

    // The index that is kept says the same.
    drop(store);
    let store = open_with(path, 3, 100);
    for text in ["f/stays", "f/twin", "outside", "f/a", "f/b"] {
        assert!(has_digest(&store, text), "{text}");
    }
}

/// The set of a commit that was decided, as a start finds it: what was assembled stands in its tree.
struct Found {
    directory: tempfile::TempDir,
    set: PathBuf,
}

impl Found {
    /// A folder with models, of which `f/goes` is to go, `f/a` to be replaced, and `f/stays` is assembled.
    fn new() -> Self {
        let directory = directory();
        let store = open(directory.path());
        for text in ["f/a", "f/goes", "f/hollow/goes", "f/in/stays", "f/stays"] {
            put(&store, text, "old");
        }
        drop(store);
        let set = directory
            .path()
            .join(".skep/changes/0123456789abcdef0123456789abcdef");
        fs::create_dir_all(set.join("tree/f/in")).unwrap();
        let found = Self { directory, set };
        for text in ["f/stays", "f/in/stays"] {
            fs::hard_link(found.path(text), found.set.join("tree").join(text)).unwrap();
        }
        fs::write(found.set.join("1"), "new").unwrap();
        let inode = inode(&found.set, "tree/f");
        let record = format!(
            "skep-commit 1\npublish 1 f/a\nexchange {inode} f\nremove 3 - f/goes\n\
             remove 3 - f/hollow/goes\n"
        );
        fs::write(found.set.join("commit"), record).unwrap();
        found
    }

    fn path(&self, text: &str) -> PathBuf {
        self.directory.path().join(text)
    }

    /// What a start makes of it.
    fn after(&self) -> BTreeMap<String, String> {
        drop(open(self.directory.path()));
        assert_eq!(sets(self.directory.path()), 0);
        seen(self.directory.path(), "f")
    }

    /// The exchange itself, as it was done before the end.
    fn exchange(&self) {
        let (one, two) = (self.path("f"), self.set.join("tree/f"));
        let flags = rustix::fs::RenameFlags::EXCHANGE;
        rustix::fs::renameat_with(rustix::fs::CWD, one, rustix::fs::CWD, two, flags).unwrap();
    }
}

fn whole(more: &[(&str, &str)]) -> BTreeMap<String, String> {
    let whole = [
        ("f/a", "new"),
        ("f/in", "folder"),
        ("f/in/stays", "old"),
        ("f/stays", "old"),
    ];
    let all = whole.iter().chain(more);
    all.map(|(path, text)| ((*path).to_owned(), (*text).to_owned()))
        .collect()
}

#[test]
fn a_start_exchanges_what_was_decided_once() {
    let found = Found::new();
    assert_eq!(found.after(), whole(&[]));
    assert_eq!(
        open(found.directory.path())
            .versions(&name("f/goes"))
            .unwrap()
            .len(),
        1
    );

    // It was done, but for what a power cut has taken back.
    let found = Found::new();
    found.exchange();
    assert_eq!(found.after(), whole(&[]));
    assert_eq!(
        open(found.directory.path())
            .versions(&name("f/goes"))
            .unwrap()
            .len(),
        1
    );

    // It was refused, and what was assembled was put away.
    let found = Found::new();
    fs::rename(found.set.join("tree"), found.set.join("apart")).unwrap();
    let number = inode(found.directory.path(), "f");
    assert_eq!(found.after(), whole(&[]));
    assert_eq!(inode(found.directory.path(), "f"), number);
}

#[test]
fn what_hands_did_meanwhile_is_not_lost() {
    for before in [true, false] {
        let found = Found::new();
        if before {
            found.exchange();
        }
        // The old folder, wherever it is.
        let old = |text: &str| {
            if before {
                found.set.join("tree").join(text)
            } else {
                found.path(text)
            }
        };
        fs::write(old("f/by-hand"), "h").unwrap();
        fs::create_dir_all(old("f/new/deep")).unwrap();
        fs::write(old("f/new/deep/h"), "h").unwrap();
        fs::write(old("f/in/h"), "h").unwrap();
        fs::write(old("f/hollow/h"), "h").unwrap();
        fs::write(old("f/goes.tmp"), "a newer one").unwrap();
        fs::rename(old("f/goes.tmp"), old("f/goes")).unwrap();
        fs::write(old("f/stays.tmp"), "replaced").unwrap();
        fs::rename(old("f/stays.tmp"), old("f/stays")).unwrap();
        fs::write(old("f/.ready"), ready()).unwrap();

        let more = [
            ("f/by-hand", "h"),
            ("f/goes", "a newer one"),
            ("f/hollow", "folder"),
            ("f/hollow/h", "h"),
            ("f/in/h", "h"),
            ("f/new", "folder"),
            ("f/new/deep", "folder"),
            ("f/new/deep/h", "h"),
            ("f/stays", "replaced"),
        ];
        assert_eq!(found.after(), whole(&more), "exchanged before: {before}");
    }

    // What came after the exchange is newer than what was assembled.
    let found = Found::new();
    found.exchange();
    fs::write(found.path("f/tmp"), "newest").unwrap();
    fs::rename(found.path("f/tmp"), found.path("f/stays")).unwrap();
    // Clocks of file systems tick slowly.
    let changed = |path: &Path| {
        let facts = fs::metadata(path).unwrap();
        (facts.ctime(), facts.ctime_nsec())
    };
    while changed(&found.path("f/stays")) <= changed(&found.set.join("tree/f/stays")) {
        fs::set_permissions(found.path("f/stays"), fs::Permissions::from_mode(0o600)).unwrap();
    }
    assert_eq!(found.after(), whole(&[("f/stays", "newest")]));
}

#[test]
fn what_cannot_have_its_name_stands_beside_it() {
    // A folder in the place of a model, and a file in the place of a folder.
    let found = Found::new();
    found.exchange();
    fs::remove_file(found.set.join("tree/f/a")).unwrap();
    fs::create_dir(found.set.join("tree/f/a")).unwrap();
    fs::write(found.set.join("tree/f/a/h"), "h").unwrap();
    fs::remove_dir_all(found.set.join("tree/f/in")).unwrap();
    fs::write(found.set.join("tree/f/in"), "h").unwrap();
    let more = [
        ("f/a.by-hand-1", "folder"),
        ("f/a.by-hand-1/h", "h"),
        ("f/in.by-hand-1", "h"),
    ];
    assert_eq!(found.after(), whole(&more));

    // A file in the place of the folder itself.
    let found = Found::new();
    fs::rename(found.path("f"), found.path("away")).unwrap();
    fs::write(found.path("f"), "h").unwrap();
    assert_eq!(found.after(), whole(&[]));
    assert_eq!(fs::read(found.path("f.by-hand-1")).unwrap(), b"h");
}

#[test]
fn a_folder_that_hands_have_taken_away_is_left_alone() {
    // Before the exchange, it is as if it had been empty.
    let found = Found::new();
    fs::rename(found.path("f"), found.path("away")).unwrap();
    assert_eq!(found.after(), whole(&[]));
    assert_eq!(seen(found.directory.path(), "away").len(), 7);

    // After it, it was meant.
    let found = Found::new();
    found.exchange();
    fs::rename(found.path("f"), found.path("away")).unwrap();
    drop(open(found.directory.path()));
    assert!(!found.path("f").exists());
    assert_eq!(sets(found.directory.path()), 0);
    assert_eq!(seen(found.directory.path(), "away").len(), 3);
}

#[test]
fn what_a_program_puts_into_the_old_folder_later_comes_along_as_well() {
    let directory = directory();
    let path = directory.path();
    let store = open(path);
    put(&store, "f/a", "new");
    let set = path.join(".skep/changes/0123456789abcdef0123456789abcdef");
    fs::create_dir_all(set.join("tree/f")).unwrap();
    fs::write(set.join("tree/f/late"), "late").unwrap();
    let steps = [CommitStep {
        name: name("f"),
        what: StepKind::Exchange(inode(path, "f")),
    }];
    let set = Folder::open(&set).unwrap();
    super::bring_late(&store.catalog().layout, &set, &steps).unwrap();
    assert_eq!(seen(path, "f")["f/late"], "late");
}

#[test]
fn what_an_earlier_try_has_left_does_not_appear() {
    let directory = directory();
    let path = directory.path();
    let store = open(path);
    let id = begin(&store, Some("f"));
    send(&store, id, "f/1", "1");
    let tree = path
        .join(".skep/changes")
        .join(id.to_string())
        .join("tree/f");
    fs::create_dir_all(&tree).unwrap();
    fs::write(tree.join("left"), "left").unwrap();
    commit(&store, id).unwrap();
    assert_eq!(seen(path, "f").len(), 1);
}
