// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What is kept of models beside their bytes, tried with real files: old versions, where they come
//! from, and damage that is found.

use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, SystemTime};
use std::{fs, thread};

use tempfile::TempDir;

use crate::channels::{Channels, Received};
use crate::digest::Digest;
use crate::disk::fault;
use crate::event::Happening;
use crate::model::VersionChoice;
use crate::signature::SecretKey;
use crate::store::*;

fn options() -> StoreOptions {
    StoreOptions {
        clock_tick: Duration::ZERO,
        reserve_bytes: 0,
        ..StoreOptions::default()
    }
}

fn open(directory: &TempDir, versions_max: usize) -> Store {
    Store::open(
        directory.path(),
        StoreOptions {
            versions_max,
            ..options()
        },
    )
    .unwrap()
}

fn name(text: &str) -> ModelName {
    text.parse().unwrap()
}

fn put(store: &Store, text: &str, bytes: &[u8]) -> Result<Published> {
    put_as(store, text, bytes, None)
}

fn put_as(store: &Store, text: &str, bytes: &[u8], license: Option<&str>) -> Result<Published> {
    let mut upload = store.upload(Some(bytes.len() as u64))?;
    upload.write_all(bytes)?;
    upload.describe(Metadata::new(license, None, None)?);
    upload.commit(&name(text), None, &Condition::Any)
}

fn license(store: &Store, text: &str) -> Option<String> {
    store
        .about(&store.find(&name(text)).unwrap())?
        .metadata
        .license
}

/// The sizes of the versions, newest first, after checking that all their digests are known.
fn sizes(store: &Store, text: &str) -> Vec<u64> {
    let versions = store.versions(&name(text)).unwrap();
    assert!(
        versions.iter().all(|version| version.digest.is_some()),
        "{versions:?}"
    );
    versions.iter().map(|version| version.size).collect()
}

fn bytes(directory: &TempDir, text: &str) -> Vec<u8> {
    fs::read(directory.path().join(text)).unwrap()
}

#[test]
fn the_newest_versions_are_kept_and_come_back() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory, 2);
    for length in 1..=4 {
        let bytes = vec![7; length];
        put_as(&store, "m", &bytes, Some(&format!("licence {length}"))).unwrap();
    }
    assert_eq!(sizes(&store, "m"), [3, 2]);
    let back = store.rollback(&name("m")).unwrap();
    assert_eq!(
        (back.model.size, back.model.digest),
        (3, Some(Digest::of(&[7; 3])))
    );
    assert_eq!(sizes(&store, "m"), [4, 2]);
    assert_eq!(license(&store, "m").as_deref(), Some("licence 3"));
    store.rollback(&name("m")).unwrap();
    assert_eq!(
        (bytes(&directory, "m").len(), sizes(&store, "m")),
        (4, vec![3, 2])
    );
    store.remove(&name("m")).unwrap();
    assert_eq!(sizes(&store, "m"), [4, 3]);
    assert!(!store.rollback(&name("m")).unwrap().replaced);
    assert_eq!(
        (bytes(&directory, "m").len(), sizes(&store, "m")),
        (4, vec![3])
    );
    drop(store);
    let store = open(&directory, 2);
    assert_eq!(sizes(&store, "m"), [3]);
    assert_eq!(store.forget_versions(&name("m")).unwrap(), 1);
    assert_eq!(
        store.rollback(&name("m")).unwrap_err().kind(),
        ErrorKind::NotFound
    );
    assert_eq!(
        store.versions(&name("other")).unwrap_err().kind(),
        ErrorKind::NotFound
    );
}

#[test]
fn a_version_that_is_not_there_is_told_from_a_model_that_is_not() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory, 1);
    put(&store, "once", b"one").unwrap();
    put(&store, "removed", b"one").unwrap();
    store.remove(&name("removed")).unwrap();

    for (text, choice, message) in [
        ("none", VersionChoice::Newest, "there is no model 'none'"),
        (
            "once",
            VersionChoice::Newest,
            "no older version of 'once' is kept",
        ),
        (
            "removed",
            VersionChoice::Digest(Digest::of(b"two")),
            "no version ",
        ),
    ] {
        let error = store.rollback_to(&name(text), choice).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert!(error.message().starts_with(message), "{error}");
    }
}

#[test]
fn old_and_new_bytes_survive_whichever_call_to_the_disk_fails() {
    let directory = tempfile::tempdir().unwrap();
    for call in 0.. {
        let store = open(&directory, 1);
        put_as(&store, "m", b"old", Some("old licence")).unwrap();
        store.forget_versions(&name("m")).unwrap();
        fault::set(Some(call));
        let result = put_as(&store, "m", b"newer", Some("new licence"));
        let reached = !fault::set(None);
        drop(store);
        let store = open(&directory, 1);
        assert!(
            store
                .catalog()
                .digester
                .wait_until_idle(Duration::from_secs(20))
        );
        let now = bytes(&directory, "m");
        let license = license(&store, "m");
        if now == b"newer" {
            assert_eq!(sizes(&store, "m"), [3], "call {call}");
            assert_eq!(license.as_deref(), Some("new licence"), "call {call}");
            // The bytes of before are whole and described, too.
            store.rollback(&name("m")).unwrap();
            assert_eq!(bytes(&directory, "m"), b"old", "call {call}");
            assert_eq!(
                self::license(&store, "m").as_deref(),
                Some("old licence"),
                "call {call}"
            );
        } else {
            assert!(result.is_err() && now == b"old", "call {call}: {now:?}");
            assert_eq!(sizes(&store, "m"), [0; 0], "call {call}");
            assert!(
                license.is_none_or(|license| license == "old licence"),
                "call {call}"
            );
        }
        if !reached {
            result.unwrap();
            assert!(call >= 12, "only {call} calls were tried");
            return;
        }
    }
}

#[test]
fn what_power_cuts_leave_too_much_is_no_version() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory, 2);
    put(&store, "m", b"one").unwrap();
    let folder = directory.path().join(".skep/versions/m");
    fs::create_dir_all(&folder).unwrap();
    for left in ["1.unknown", "2.unknown"] {
        fs::hard_link(directory.path().join("m"), folder.join(left)).unwrap();
    }
    fs::write(folder.join("kept-0000000000000001.part"), b"cut").unwrap();
    // The links changed a time of the model, as somebody's hand would, so its digest may be unknown.
    let sizes = || -> Vec<u64> {
        store
            .versions(&name("m"))
            .unwrap()
            .iter()
            .map(|version| version.size)
            .collect()
    };
    assert_eq!(sizes(), [0; 0]);
    put(&store, "m", b"two!").unwrap();
    assert_eq!(sizes(), [3]);
    assert_eq!(fs::read_dir(folder).unwrap().count(), 1);
}

#[test]
fn a_version_comes_back_as_of_now_and_replaces_nothing_for_good() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory, 9);
    for length in 1..=4 {
        put(&store, "m", &vec![7; length]).unwrap();
    }
    drop(store);

    // Callers that have the model of between must not be told that it was not modified since.
    let old = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    let digest = Digest::of(&[7]);
    let kept = directory
        .path()
        .join(format!(".skep/versions/m/1.{digest}"));
    fs::File::open(kept).unwrap().set_modified(old).unwrap();

    // A setting that keeps no versions is for uploads: whoever brings one back may change their mind.
    let store = open(&directory, 0);
    let back = store.rollback_to(&name("m"), VersionChoice::Digest(digest));
    assert!(back.unwrap().model.modified > old + Duration::from_secs(1000));
    assert_eq!(bytes(&directory, "m"), [7]);
    assert_eq!(sizes(&store, "m"), [4, 3, 2]);
}

#[test]
fn what_is_no_version_is_neither_shown_nor_removed() {
    let directory = tempfile::tempdir().unwrap();
    let folder = directory.path().join(".skep/versions/m");
    fs::create_dir_all(&folder).unwrap();
    let planted = ["notes", "7", "7.unknown", "8.unknown", "9.unknown"];
    fs::write(folder.join("notes"), "precious").unwrap();
    fs::write(folder.join("7"), "precious").unwrap();
    fs::create_dir(folder.join("7.unknown")).unwrap();
    std::os::unix::fs::symlink("notes", folder.join("8.unknown")).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, folder.join("9.unknown"), 0o600.into()).unwrap();

    for versions_max in [0, 1] {
        let store = open(&directory, versions_max);
        for round in 1..=3 {
            put(&store, "m", &vec![7; round]).unwrap();
            assert_eq!(sizes(&store, "m").len(), versions_max.min(round - 1));
        }
        store.forget_versions(&name("m")).unwrap();
        store.remove(&name("m")).unwrap();
        store.forget_versions(&name("m")).unwrap_or_default();
        let left = fs::read_dir(&folder).unwrap();
        let mut left: Vec<_> = left.map(|entry| entry.unwrap().file_name()).collect();
        left.sort();
        let mut planted = planted;
        planted.sort_unstable();
        assert_eq!(left, planted, "{versions_max}");
    }
}

#[test]
fn removing_and_bringing_back_lose_nothing_whichever_call_to_the_disk_fails() {
    let directory = tempfile::tempdir().unwrap();
    for call in 0.. {
        let store = open(&directory, 3);
        put(&store, "m", b"one").unwrap();
        put(&store, "m", b"two!").unwrap();
        let newest = || {
            store
                .versions(&name("m"))
                .map(|versions| versions[0].size)
                .ok()
        };
        fault::set(Some(call));
        let rolled = store.rollback(&name("m"));
        let reached = !fault::set(None);
        let now = bytes(&directory, "m");
        let expected: (&[u8], _) = match now.len() {
            3 => (b"one", Some(4)),
            _ => (b"two!", Some(3)),
        };
        assert_eq!((&now[..], newest()), expected, "call {call}");
        fault::set(Some(call));
        let removed = store.remove(&name("m"));
        let reached = reached || !fault::set(None);
        if directory.path().join("m").exists() {
            assert_eq!(bytes(&directory, "m"), now, "call {call}")
        } else {
            assert_eq!(newest(), Some(now.len() as u64), "call {call}")
        }
        if !reached {
            assert!(
                rolled.is_ok() && removed.is_ok() && call > 4,
                "only {call} calls were tried"
            );
            return;
        }
        let _ = store.forget_versions(&name("m"));
    }
}

#[test]
fn a_model_never_vanishes_while_versions_of_it_are_kept() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory, 2);
    put(&store, "m", &[1; 500]).unwrap();
    thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for round in 0..60 {
                match round % 3 {
                    2 => store.rollback(&name("m")).map(drop).unwrap(),
                    _ => put(&store, "m", &[1; 500]).map(drop).unwrap(),
                }
            }
        });
        while !writer.is_finished() {
            assert_eq!(bytes(&directory, "m"), [1; 500]);
            assert_eq!(store.open_model(&name("m")).unwrap().model.size, 500);
        }
    });
}

#[test]
fn the_quota_counts_versions_and_what_is_replaced() {
    let directory = tempfile::tempdir().unwrap();
    let quota = |versions_max| {
        let options = StoreOptions {
            total_bytes_max: 100_000,
            versions_max,
            ..options()
        };
        Store::open(directory.path(), options).unwrap()
    };
    let admitted = |store: &Store, text: &str, size| {
        store
            .admit(&name(text), Some(size), &Metadata::default())
            .map_err(|error| error.kind())
    };
    let store = quota(0);
    put(&store, "m", &[0; 60_000]).unwrap();
    assert_eq!(admitted(&store, "m", 100_000), Ok(()));
    assert_eq!(admitted(&store, "n", 40_000), Ok(()));
    assert_eq!(admitted(&store, "n", 40_001), Err(ErrorKind::NoSpace));
    assert_eq!(
        put(&store, "n", &[0; 40_001]).unwrap_err().kind(),
        ErrorKind::NoSpace
    );
    drop(store);
    // Versions have what models leave: 60,000 and 41,000 bytes do not fit.
    let store = quota(1);
    put(&store, "m", &[0; 41_000]).unwrap();
    assert_eq!(sizes(&store, "m"), [0; 0]);
    put(&store, "m", &[0; 35_000]).unwrap();
    assert_eq!(sizes(&store, "m"), [41_000]);

    // The version of 41,000 gives way, and what is no version does not.
    assert_eq!(admitted(&store, "n", 65_001), Err(ErrorKind::NoSpace));
    put(&store, "n", &[0; 25_000]).unwrap();
    assert_eq!(sizes(&store, "m"), [0; 0]);
    put(&store, "m", &[0; 34_000]).unwrap();
    assert_eq!(sizes(&store, "m"), [35_000]);
    assert_eq!(
        put(&store, "n", &[0; 66_001]).unwrap_err().kind(),
        ErrorKind::NoSpace
    );
    assert_eq!(
        (sizes(&store, "m"), sizes(&store, "n")),
        (vec![35_000], vec![])
    );
    // A length that is not known is bounded while it comes.
    let mut upload = store.upload(None).unwrap();
    let piece = vec![0; 1 << 20];
    let error = (0..6).find_map(|_| upload.write_all(&piece).err()).unwrap();
    assert_eq!(Error::from(error).kind(), ErrorKind::NoSpace);
}

/// A store with bounds for tiny models.
fn bounded(directory: &TempDir, total_bytes_max: u64, models_max: usize) -> Store {
    let bounds = StoreOptions {
        total_bytes_max,
        models_max,
        versions_max: 1,
        ..options()
    };
    Store::open(directory.path(), bounds).unwrap()
}

#[test]
fn names_that_have_only_versions_count_for_the_quota() {
    let directory = tempfile::tempdir().unwrap();
    let store = bounded(&directory, 40 << 10, 0);
    let put_and_removed = |text: String| {
        put(&store, &text, b"x")?;
        store.remove(&name(&text))
    };

    // Each takes a block, and so does its folder. The oldest of them give way, but to no more than is needed.
    let count = (0..100).take_while(|number| put_and_removed(format!("m{number}")).is_ok());
    assert_eq!(count.count(), 100);
    let versions = directory.path().join(".skep/versions");
    let kept = || {
        let names = fs::read_dir(&versions).unwrap();
        let mut names: Vec<_> = names
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    };
    assert_eq!(kept(), ["m95", "m96", "m97", "m98", "m99"]);

    // What models take, versions cannot.
    put(&store, "n", &vec![0; 20 << 10]).unwrap();
    assert_eq!(kept(), ["m98", "m99"]);
    let error = put(&store, "o", &vec![0; 21 << 10]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoSpace);
    assert!(
        error.message().contains("20480 of them are used"),
        "{error}"
    );
    assert_eq!(kept(), ["m98", "m99"]);

    // What hands remove is seen when it matters, if not at once: nothing else has to go.
    fs::remove_dir_all(versions.join("m98")).unwrap();
    let deadline = std::time::Instant::now() + Duration::from_secs(60);
    loop {
        store.catalog().version_count.renew(&store.catalog().layout);
        if store.catalog().version_count.kept().bytes == 8 << 10 {
            break;
        }
        assert!(std::time::Instant::now() < deadline);
    }
    put(&store, "o", b"x").unwrap();
    assert_eq!(kept(), ["m99"]);
    store.rollback(&name("m99")).unwrap();
}

/// The folders and files below a folder.
fn inodes(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    entries
        .map(|entry| {
            let is_folder = entry.file_type().unwrap().is_dir();
            1 + if is_folder { inodes(&entry.path()) } else { 0 }
        })
        .sum()
}

#[test]
fn folders_count_for_the_quota_wherever_names_make_them() {
    let deep = |number: usize| format!("{number}/b/c/d/e/f/g/h/i/j/k/l/m/n/o/p");
    for (license, removes) in [
        (None, false),
        (Some("MIT"), false),
        (None, true),
        (Some("MIT"), true),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let store = bounded(&directory, 1 << 20, 0);
        for number in 0..120 {
            let _ = put_as(&store, &deep(number), b"x", license);
            if removes {
                let _ = store.remove(&name(&deep(number)));
            }
        }

        // At most one name more than the quota takes, and what every store has. Versions of names that are gone
        // give way.
        let inodes = inodes(directory.path());
        let least = if removes { 20 } else { 100 };
        assert!(
            (least..256 + 80).contains(&inodes),
            "{inodes} {license:?} {removes}"
        );
    }
}

#[test]
fn a_folder_counts_once_for_all_that_is_in_it() {
    let directory = tempfile::tempdir().unwrap();
    let store = bounded(&directory, 18 * 4096, 0);
    put(&store, "a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/p", b"x").unwrap();
    put(&store, "a/b/c/other", b"x").unwrap();

    let error = put(&store, "a/b/x/other", b"x").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoSpace);
    assert!(error.message().contains("61440 by folders"), "{error}");
    assert!(error.message().contains("and 8192 more"), "{error}");

    // What goes makes room.
    store.remove(&name("a/b/c/other")).unwrap();
    store.forget_versions(&name("a/b/c/other")).unwrap();
    put(&store, "a/b/x/other", b"x").unwrap();
}

#[test]
fn names_that_have_only_versions_count_for_the_number_of_models() {
    let directory = tempfile::tempdir().unwrap();
    let store = bounded(&directory, 0, 2);
    put(&store, "a", b"x").unwrap();
    put(&store, "b", b"x").unwrap();
    store.remove(&name("a")).unwrap();
    put(&store, "a", b"y").unwrap();
    store.remove(&name("a")).unwrap();
    store.rollback(&name("a")).unwrap();
    let error = put(&store, "c", b"x").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoSpace);

    // A removed one keeps its place until another name needs it.
    store.remove(&name("a")).unwrap();
    assert_eq!(sizes(&store, "a"), [1]);
    put(&store, "c", b"x").unwrap();
    assert!(store.versions(&name("a")).is_err());

    // The one goes that was removed first.
    let directory = tempfile::tempdir().unwrap();
    let store = bounded(&directory, 0, 3);
    for text in ["z", "y", "x"] {
        put(&store, text, b"x").unwrap();
    }
    store.remove(&name("z")).unwrap();
    store.remove(&name("y")).unwrap();
    put(&store, "c", b"x").unwrap();
    assert!(store.versions(&name("z")).is_err());
    assert_eq!(sizes(&store, "y"), [1]);
}

#[test]
fn what_is_no_model_takes_no_place_of_one() {
    let directory = tempfile::tempdir().unwrap();
    let store = bounded(&directory, 0, 2);
    put(&store, "a", b"x").unwrap();
    fs::create_dir(directory.path().join("folder")).unwrap();
    for link in ["one", "two"] {
        std::os::unix::fs::symlink("a", directory.path().join(link)).unwrap();
    }

    put(&store, "b", b"x").unwrap();
    put(&store, "b", b"y").unwrap();
    let error = put(&store, "c", b"x").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoSpace);
}

#[test]
fn the_count_of_versions_follows_what_gives_way() {
    let (directory, reserve) = (tempfile::tempdir().unwrap(), 1 << 20);
    let options = StoreOptions {
        reserve_bytes: reserve,
        versions_max: 9,
        ..options()
    };
    let store = Store::open(directory.path(), options).unwrap();
    for text in ["model", "removed"] {
        for byte in [1, 2] {
            put(&store, text, &[byte; 100_000]).unwrap();
            wait_for_the_clock(&directory);
        }
    }
    store.remove(&name("removed")).unwrap();

    let check = |left: u64| {
        let all = ["model", "removed"].map(|text| {
            let kept = super::kept_of(&store.catalog().layout, &name(text));
            (kept.bytes, kept.removed)
        });
        let counted = store.catalog().version_count.kept();
        let sum = (all[0].0 + all[1].0, all[0].1 + all[1].1);
        assert_eq!((counted.bytes, counted.removed), sum);
        assert_eq!(sum.1, left);
    };

    // First the one of the model, then both of the model that was removed.
    check(1);
    for left in [1, 1, 0] {
        fault::set_free_bytes(Some(reserve - 1));
        drop(store.upload(None).unwrap());
        fault::set_free_bytes(None);
        check(left);
    }
}

#[test]
fn the_count_of_versions_is_kept_up_without_a_look_at_other_names() {
    let directory = tempfile::tempdir().unwrap();
    let store = bounded(&directory, 1 << 30, 100);
    let counted = || store.catalog().version_count.kept();

    // Once they are counted, no change asks for the versions of other names: what hands add is not seen.
    put(&store, "a", b"").unwrap();
    store.remove(&name("a")).unwrap();
    store.forget_versions(&name("a")).unwrap();
    let strange = directory.path().join(".skep/versions/strange");
    fs::create_dir_all(&strange).unwrap();
    fs::write(strange.join("1.unknown"), vec![0; 10_000]).unwrap();

    for round in 0..60 {
        let text = ["a", "b", "a.minisig"][round % 3];
        match round % 7 {
            0..=2 => drop(put(&store, text, &vec![7; 3000 * round])),
            3 => drop(store.remove(&name(text))),
            4 => drop(store.rollback(&name(text))),
            5 => drop(put(&store, text, b"")),
            _ => drop(store.forget_versions(&name(text))),
        }

        let (mut bytes, mut removed) = (0, 0);
        for text in ["a", "b", "a.minisig"] {
            let kept = super::kept_of(&store.catalog().layout, &name(text));
            bytes += kept.bytes;
            removed += kept.removed;
        }
        assert_eq!(
            (counted().bytes, counted().removed),
            (bytes, removed),
            "{round}"
        );
    }

    let other = Store::open(tempfile::tempdir().unwrap().path(), options()).unwrap();
    assert_eq!(other.catalog().version_count.kept().bytes, 0);
}

/// The sizes of the versions of some models, and 0 where there is none.
fn newest<const COUNT: usize>(store: &Store, names: [&str; COUNT]) -> [u64; COUNT] {
    names.map(|text| {
        let versions = store.versions(&name(text)).unwrap_or_default();
        versions.first().map_or(0, |version| version.size)
    })
}

#[test]
fn versions_stay_within_their_bytes_and_the_oldest_go_first() {
    let directory = tempfile::tempdir().unwrap();
    let within = |version_bytes_max| {
        let options = StoreOptions {
            version_bytes_max,
            version_share_max: 0,
            versions_max: 9,
            ..options()
        };
        Store::open(directory.path(), options).unwrap()
    };
    let store = within(100_000);
    for (text, size) in [("b", 30_000), ("a", 20_000), ("d", 40_000), ("c", 10_000)] {
        put_as(&store, text, &vec![7; size], Some("MIT")).unwrap();
    }

    // All of them fit but for one, each with a block for its folder.
    for text in ["b", "a", "d"] {
        store.remove(&name(text)).unwrap();
        wait_for_the_clock(&directory);
    }
    assert_eq!(newest(&store, ["b", "a", "d"]), [0, 20_000, 40_000]);
    assert!(!directory.path().join(".skep/versions/b").exists());
    assert!(!directory.path().join(".skep/about/b").exists());

    // What came back and went again is not old any more.
    store.rollback(&name("a")).unwrap();
    store.remove(&name("a")).unwrap();
    wait_for_the_clock(&directory);
    put(&store, "c", &[1; 30_000]).unwrap();
    put(&store, "c", &[2; 10]).unwrap();
    assert_eq!(newest(&store, ["a", "c", "d"]), [20_000, 30_000, 0]);
    assert_eq!(sizes(&store, "c"), [30_000, 10_000]);

    // What is too large by itself is not kept, and sends nothing away.
    put(&store, "large", &[3; 100_000]).unwrap();
    put(&store, "large", b"").unwrap();
    put(&store, "large", &[3; 100_000]).unwrap();
    assert_eq!(newest(&store, ["large"]), [0]);
    store.forget_versions(&name("large")).unwrap();
    store.remove(&name("large")).unwrap();
    assert_eq!(newest(&store, ["a", "c", "large"]), [20_000, 30_000, 0]);
    drop(store);

    // A bound that was made smaller holds from the next change on.
    let store = within(25_000);
    put(&store, "other", b"x").unwrap();
    assert_eq!(newest(&store, ["a", "c"]), [0, 0]);
    put(&store, "other", b"y").unwrap();
    assert_eq!(newest(&store, ["a", "c", "other"]), [0, 0, 1]);
}

/// Waits until what changes gets another time than what has changed.
fn wait_for_the_clock(directory: &TempDir) {
    let probe = directory.path().join(".skep/probe");
    let time = || {
        fs::write(&probe, "x").unwrap();
        let facts = fs::metadata(&probe).unwrap();
        std::os::unix::fs::MetadataExt::ctime_nsec(&facts)
    };
    let before = time();
    while time() == before {}
    fs::remove_file(probe).unwrap();
}

#[test]
fn more_versions_than_one_look_finds_give_way() {
    let directory = tempfile::tempdir().unwrap();
    let folder = directory.path().join(".skep/versions/m");
    fs::create_dir_all(&folder).unwrap();
    for number in 1..=2500 {
        fs::write(folder.join(format!("{number}.unknown")), b"x").unwrap();
    }
    let options = StoreOptions {
        version_bytes_max: 10 * 4096,
        version_share_max: 0,
        versions_max: 100_000,
        ..options()
    };
    let store = Store::open(directory.path(), options).unwrap();
    put(&store, "other", b"x").unwrap();
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 9);
}

#[test]
fn versions_that_cannot_go_stop_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let folder = directory.path().join(".skep/versions/m");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("1.unknown"), b"x").unwrap();
    fs::write(folder.join("2.unknown"), b"x").unwrap();
    let options = StoreOptions {
        version_bytes_max: 4096,
        version_share_max: 0,
        ..options()
    };
    let store = Store::open(directory.path(), options).unwrap();
    let mut calls = 0;
    loop {
        fault::set(Some(calls));
        let result = put(&store, "other", b"x");
        let is_over = fault::set(None);
        calls += 1;
        let other = fs::read(directory.path().join("other")).unwrap_or_default();
        assert!(other.len() <= 1);
        if is_over {
            result.unwrap();
            break;
        }
    }
    assert!(!folder.exists());
}

#[test]
fn versions_give_way_to_uploads_where_the_disk_is_full() {
    let directory = tempfile::tempdir().unwrap();
    let options = StoreOptions {
        reserve_bytes: 1 << 20,
        versions_max: 9,
        ..options()
    };
    let store = Store::open(directory.path(), options).unwrap();
    for size in [300_000, 200_000, 100_000, 10] {
        put(&store, "m", &vec![7; size]).unwrap();
        wait_for_the_clock(&directory);
    }

    // With 250,000 bytes less than the reserve, one version goes.
    fault::set_free_bytes(Some((1 << 20) - 250_000));
    let upload = store.upload(None).unwrap();
    assert_eq!(sizes(&store, "m"), [100_000, 200_000]);
    drop(upload);

    // Whoever announces more than all of them have is refused, and nothing goes.
    let refused = store.upload(Some(60_000)).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::NoSpace);
    let refused = store.admit(&name("n"), Some(u64::MAX), &Metadata::default());
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::NoSpace);
    assert_eq!(sizes(&store, "m"), [100_000, 200_000]);

    // What is announced and comes later has room when it comes.
    fault::set_free_bytes(Some((1 << 20) + (30 << 20)));
    let upload = store.upload(Some((30 << 20) + 250_000)).unwrap();
    assert_eq!(sizes(&store, "m"), [100_000, 200_000]);
    fault::set_free_bytes(Some((1 << 20) - 250_000));
    store.check_growth(30 << 20, Some((30 << 20) + 10)).unwrap();
    assert_eq!(sizes(&store, "m"), [0; 0]);
    drop(upload);
    let refused = store.upload(None).unwrap_err();
    fault::set_free_bytes(None);
    assert_eq!(refused.kind(), ErrorKind::NoSpace);
}

#[test]
fn no_empty_folder_stays_where_versions_were() {
    let directory = tempfile::tempdir().unwrap();
    let store = bounded(&directory, 0, 0);
    let folder = directory.path().join(".skep/versions/m");
    for _ in 0..2 {
        put(&store, "m", b"x").unwrap();
        store.remove(&name("m")).unwrap();
        assert!(folder.exists());
        let error = store.find(&name("m")).unwrap_err();
        assert!(
            error.hint_text().unwrap().contains("skep rollback m"),
            "{error:?}"
        );
        store.rollback(&name("m")).unwrap();
        assert!(!folder.exists());
        put(&store, "m", b"y").unwrap();
        store.forget_versions(&name("m")).unwrap();
        assert!(!folder.exists());
    }
}

#[test]
fn a_name_that_is_taken_is_replaced_only_on_purpose_where_that_is_set() {
    let directory = tempfile::tempdir().unwrap();
    let options = StoreOptions {
        replace: Replace::Refuse,
        ..options()
    };
    let store = Store::open(directory.path(), options).unwrap();
    put(&store, "m", b"one").unwrap();
    assert_eq!(
        put(&store, "m", b"two").unwrap_err().kind(),
        ErrorKind::Conflict
    );
    let checked = |condition| {
        store
            .check(&name("m"), &condition)
            .map_err(|error| error.kind())
    };
    assert_eq!(checked(Condition::Any), Err(ErrorKind::Conflict));
    assert_eq!(
        checked(Condition::Absent),
        Err(ErrorKind::PreconditionFailed)
    );
    assert_eq!(checked(Condition::Exists), Ok(()));
    assert_eq!(checked(Condition::Matches(Digest::of(b"one"))), Ok(()));
    store.remove(&name("m")).unwrap();
    put(&store, "m", b"two").unwrap();
}

#[test]
fn what_was_said_belongs_to_the_very_bytes() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory, 0);
    put_as(&store, "m", b"one", Some("MIT")).unwrap();
    assert_eq!(license(&store, "m").as_deref(), Some("MIT"));
    put(&store, "m", b"two").unwrap();
    assert_eq!(license(&store, "m"), None);
    put_as(&store, "m", b"three", Some("Apache-2.0")).unwrap();
    fs::write(directory.path().join("m"), b"by hand").unwrap();
    assert!(
        store
            .catalog()
            .digester
            .wait_until_idle(Duration::from_secs(20))
    );
    assert_eq!(license(&store, "m"), None);
    store.remove(&name("m")).unwrap();
    assert_eq!(
        fs::read_dir(directory.path().join(".skep/about"))
            .unwrap()
            .count(),
        0
    );
}

#[test]
fn what_is_said_anew_of_the_same_bytes_supersedes_what_was_said_before() {
    let directory = tempfile::tempdir().unwrap();
    let key = SecretKey::generate().unwrap();
    let store = open(&directory, 0);
    put_as(&store, "m", b"one", Some("MIT")).unwrap();
    put_as(&store, "m", b"one", Some("Apache-2.0")).unwrap();
    assert_eq!(license(&store, "m").as_deref(), Some("Apache-2.0"));

    // A signature says nothing of the licence.
    put_signed(&store, "m", b"one", signature(&key, b"one", "m")).unwrap();
    assert_eq!(license(&store, "m").as_deref(), Some("Apache-2.0"));

    // What is said of bytes that are gone goes with the next line.
    for text in ["two", "three", "four"] {
        put_as(&store, "m", text.as_bytes(), Some("MIT")).unwrap();
    }
    let lines = fs::read_to_string(directory.path().join(".skep/about/m")).unwrap();
    assert!(lines.lines().count() <= 2, "{lines}");
}

#[test]
fn what_was_said_goes_with_the_last_version() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory, 1);
    let descriptions = || {
        fs::read_dir(directory.path().join(".skep/about"))
            .unwrap()
            .count()
    };

    put_as(&store, "m", b"one", Some("MIT")).unwrap();
    put_as(&store, "m", b"two", Some("MIT")).unwrap();
    assert_eq!(store.forget_versions(&name("m")).unwrap(), 1);
    assert_eq!(license(&store, "m").as_deref(), Some("MIT"));

    store.remove(&name("m")).unwrap();
    assert_eq!(descriptions(), 1);
    assert_eq!(store.forget_versions(&name("m")).unwrap(), 1);
    assert_eq!(descriptions(), 0);
}

#[test]
fn unfinished_descriptions_go_at_the_start_and_finished_ones_stay() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory, 0);
    put_as(&store, "m.part", b"one", Some("MIT")).unwrap();
    drop(store);

    let unfinished = directory.path().join(".skep/about/.0000000000000002.part");
    fs::write(&unfinished, b"x").unwrap();
    let store = open(&directory, 0);
    assert!(!unfinished.exists());
    assert_eq!(license(&store, "m.part").as_deref(), Some("MIT"));
}

fn verify(store: &Store, text: &str) -> Verdict {
    let mut check = store.verify(&name(text)).unwrap();
    loop {
        if let Some(verdict) = check.step() {
            assert_eq!(
                check.read(),
                fs::metadata(store.directory().join(text)).unwrap().len()
            );
            return verdict;
        }
    }
}

#[test]
fn a_check_tells_damage_from_changes_by_hand() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory, 0);
    let large = vec![1; 3 << 20];
    put(&store, "m", &large).unwrap();
    let check = store.verify(&name("m")).unwrap();
    assert_eq!((check.size(), check.read()), (3 << 20, 0));
    assert_eq!(verify(&store, "m").outcome, Verified::Intact);
    let Standing::Model(stamp) = store.catalog().standing(&name("m")).unwrap() else {
        panic!()
    };
    store
        .catalog()
        .index
        .insert(&name("m"), stamp, Digest::of(b"other"));
    for _ in 0..2 {
        let verdict = verify(&store, "m");
        assert_eq!(verdict.outcome, Verified::Damaged);
        assert_eq!(verdict.digest, Some(Digest::of(&large)));
        assert_eq!(verdict.remembered, Some(Digest::of(b"other")));
    }
    fs::write(directory.path().join("m"), b"by hand").unwrap();
    assert_eq!(verify(&store, "m").outcome, Verified::Changed);
    assert_eq!(verify(&store, "m").outcome, Verified::Intact);
    fs::write(directory.path().join("n"), b"new").unwrap();
    assert_eq!(verify(&store, "n").outcome, Verified::New);
    assert_eq!(
        store.verify(&name("none")).err().unwrap().kind(),
        ErrorKind::NotFound
    );
}

#[test]
fn whoever_listens_hears_of_damage() {
    let directory = tempfile::tempdir().unwrap();
    let channels = Channels::new(SystemTime::now(), 1);
    let events = StoreEvents {
        models: channels.open("models", 9).unwrap(),
        ..StoreEvents::default()
    };
    let store = Store::open_with(directory.path(), options(), events).unwrap();
    put(&store, "m", b"bytes").unwrap();
    let Standing::Model(stamp) = store.catalog().standing(&name("m")).unwrap() else {
        panic!()
    };
    let other = Digest::of(b"other");
    store.catalog().index.insert(&name("m"), stamp, other);

    let heard = channels.subscribe(&["models"], 9).unwrap();
    assert_eq!(verify(&store, "m").outcome, Verified::Damaged);
    let Some(Received::Event(delivery)) = heard.try_next() else {
        panic!("nobody was told");
    };
    let Happening::ModelDamaged {
        digest, expected, ..
    } = &delivery.event.what
    else {
        panic!("another event");
    };
    let told = (*digest, *expected);
    assert_eq!(told, (Some(Digest::of(b"bytes")), Some(other)));
}

#[test]
fn the_scrub_finds_damage_by_itself_and_ends_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory, 0);
    put(&store, "m", &vec![1; 3 << 20]).unwrap();
    put(&store, "n", b"well").unwrap();
    let Standing::Model(stamp) = store.catalog().standing(&name("m")).unwrap() else {
        panic!()
    };
    store
        .catalog()
        .index
        .insert(&name("m"), stamp, Digest::of(b"other"));
    assert_eq!(store.scrub_counts(), ScrubCounts::default());
    drop(store);
    let options = StoreOptions {
        scrub_interval: Duration::from_millis(1),
        ..options()
    };
    let store = Store::open(directory.path(), options).unwrap();
    let start = std::time::Instant::now();
    while store.scrub_counts().rounds == 0 {
        assert!(start.elapsed() < Duration::from_secs(60));
        thread::yield_now();
    }
    // The next round may be under way.
    let counts = store.scrub_counts();
    let rounds = counts.rounds;
    assert!((2 * rounds..=2 * rounds + 2).contains(&counts.models));
    assert!((rounds..=rounds + 1).contains(&counts.damaged));
}

/// A store that takes only what a key of the test has signed, and how that key signs.
fn signing(directory: &TempDir, key: &SecretKey) -> Store {
    let options = StoreOptions {
        versions_max: 9,
        signers: vec![key.public_key().clone()],
        ..options()
    };
    Store::open(directory.path(), options).unwrap()
}

fn signature(key: &SecretKey, bytes: &[u8], file: &str) -> Signature {
    let prehash = crate::signature::Prehash::of(&mut &bytes[..]).unwrap();
    key.sign(&prehash, &format!("timestamp:1\tfile:{file}\thashed"))
}

fn put_signed(store: &Store, text: &str, bytes: &[u8], signature: Signature) -> Result<Published> {
    let mut upload = store.upload(Some(bytes.len() as u64))?;
    upload.write_all(bytes)?;
    upload.set_signature(Some(signature));
    upload.commit(&name(text), None, &Condition::Any)
}

#[test]
fn every_version_can_be_had_and_none_gets_lost() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory, 4);
    for length in 1..=4 {
        put(&store, "m", &vec![7; length]).unwrap();
    }
    let to = |choice| {
        store
            .rollback_to(&name("m"), choice)
            .map(|back| back.model.size)
    };
    let numbers = || -> Vec<_> {
        let versions = store.versions(&name("m")).unwrap();
        versions.iter().map(|one| (one.number, one.size)).collect()
    };
    assert_eq!(numbers(), [(3, 3), (2, 2), (1, 1)]);
    assert_eq!(to(VersionChoice::Number(1)).unwrap(), 1);
    assert_eq!(numbers(), [(4, 4), (3, 3), (2, 2)]);
    assert_eq!(to(VersionChoice::Digest(Digest::of(&[7; 2]))).unwrap(), 2);
    assert_eq!(numbers(), [(5, 1), (4, 4), (3, 3)]);
    // Asked again, it is there already.
    assert_eq!(to(VersionChoice::Digest(Digest::of(&[7; 2]))).unwrap(), 2);
    assert_eq!(numbers(), [(5, 1), (4, 4), (3, 3)]);

    for missing in [
        VersionChoice::Number(1),
        VersionChoice::Digest(Digest::of(b"x")),
    ] {
        let error = to(missing).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert!(error.hint_text().unwrap().contains("5, 4, 3"), "{error}");
    }
    assert_eq!(bytes(&directory, "m"), [7; 2]);
}

#[test]
fn a_version_comes_back_only_by_the_rules_of_uploads() {
    let directory = tempfile::tempdir().unwrap();
    let key = SecretKey::generate().unwrap();
    let store = open(&directory, 9);
    put(&store, "m", b"unsigned").unwrap();
    put_as(&store, "m", b"licensed", Some("MIT")).unwrap();
    drop(store);

    let store = signing(&directory, &key);
    let signed = |bytes: &[u8]| put_signed(&store, "m", bytes, signature(&key, bytes, "m"));
    signed(b"one").unwrap();
    signed(b"two").unwrap();
    for number in [1, 2] {
        let error = store.rollback_to(&name("m"), VersionChoice::Number(number));
        let error = error.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Integrity);
        assert!(error.message().contains("does not come back"), "{error}");
    }
    assert_eq!(bytes(&directory, "m"), b"two");

    // The version was signed when it came, and its signature stands beside it again.
    store.rollback(&name("m")).unwrap();
    assert_eq!(bytes(&directory, "m"), b"one");
    let beside = Signature::from_bytes(&bytes(&directory, "m.minisig")).unwrap();
    assert!(beside.is_same(&signature(&key, b"one", "m")));
    drop(store);

    let options = StoreOptions {
        require_license: true,
        versions_max: 9,
        accept: vec!["*.onnx".to_owned()],
        ..options()
    };
    let store = Store::open(directory.path(), options.clone()).unwrap();
    let error = store.rollback(&name("m")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnsupportedType);
    drop(store);

    let store = Store::open(
        directory.path(),
        StoreOptions {
            accept: Vec::new(),
            ..options
        },
    );
    let store = store.unwrap();
    let error = store.rollback(&name("m")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BadRequest);
    store
        .rollback_to(&name("m"), VersionChoice::Digest(Digest::of(b"licensed")))
        .unwrap();
    assert_eq!(license(&store, "m").as_deref(), Some("MIT"));
}

#[test]
fn a_signature_vouches_for_its_file_only() {
    let directory = tempfile::tempdir().unwrap();
    let key = SecretKey::generate().unwrap();
    let store = signing(&directory, &key);
    let old = signature(&key, b"old", "old-demo.onnx");
    let refused = |result: Result<Published>| {
        let error = result.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Integrity, "{error}");
        assert!(error.message().contains("old-demo.onnx"), "{error}");
    };
    let error = store
        .check_signer(&name("door-lock.onnx"), Some(&old))
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Integrity);
    refused(put_signed(&store, "door-lock.onnx", b"old", old.clone()));
    // Neither beside the model, before it comes.
    refused(put(
        &store,
        "door-lock.onnx.minisig",
        old.to_string().as_bytes(),
    ));
    put(&store, "old-demo.onnx.minisig", old.to_string().as_bytes()).unwrap();
    put(&store, "old-demo.onnx", b"old").unwrap();

    // A hand may put it there, past the server.
    fs::write(directory.path().join("copied.minisig"), old.to_string()).unwrap();
    refused(put(&store, "copied", b"old"));
    let other = signature(&key, b"old", "m");
    let error = put_signed(&store, "m", b"other bytes", other).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Integrity);

    // A store that asks nobody for signatures takes none for another file either.
    let elsewhere = tempfile::tempdir().unwrap();
    refused(put_signed(&open(&elsewhere, 0), "m", b"old", old));

    // A comment without a name is for any file.
    let prehash = crate::signature::Prehash::of(&mut &b"old"[..]).unwrap();
    put_signed(
        &store,
        "door-lock.onnx",
        b"old",
        key.sign(&prehash, "by hand"),
    )
    .unwrap();
}

#[test]
fn a_signature_comes_and_goes_with_its_bytes() {
    let directory = tempfile::tempdir().unwrap();
    let key = SecretKey::generate().unwrap();
    let store = open(&directory, 0);
    let text = |bytes: &[u8]| signature(&key, bytes, "m").to_string();
    let side = || fs::read_to_string(directory.path().join("m.minisig")).unwrap_or_default();

    // The model first, then its signature; and the other way round.
    put(&store, "m", b"one").unwrap();
    put(&store, "m.minisig", text(b"one").as_bytes()).unwrap();
    put(&store, "m", b"one").unwrap();
    assert_eq!(side(), text(b"one"));
    put(&store, "m", b"two").unwrap();
    assert_eq!(side(), "");
    store.remove(&name("m")).unwrap();
    put(&store, "m.minisig", text(b"three").as_bytes()).unwrap();
    put(&store, "m", b"three").unwrap();
    assert_eq!(side(), text(b"three"));

    // One that comes with the bytes takes the place of the old one.
    put_signed(&store, "m", b"four", signature(&key, b"four", "m")).unwrap();
    assert_eq!(side(), text(b"four"));
    put(&store, "m.minisig", text(b"five").as_bytes()).unwrap();
    put(&store, "m", b"five").unwrap();
    assert_eq!(side(), text(b"five"));

    store.remove(&name("m")).unwrap();
    assert_eq!(side(), "");

    // What only has the name of a signature is left alone.
    put(&store, "m.minisig", b"a model of that name").unwrap();
    put(&store, "m", b"six").unwrap();
    put(&store, "m", b"seven").unwrap();
    store.remove(&name("m")).unwrap();
    assert_eq!(side(), "a model of that name");
}

#[test]
fn a_signature_that_comes_later_is_that_of_the_bytes_of_now() {
    let directory = tempfile::tempdir().unwrap();
    let (key, other) = (
        SecretKey::generate().unwrap(),
        SecretKey::generate().unwrap(),
    );
    let store = open(&directory, 9);
    let path = directory.path().join("m.minisig");
    let side = || fs::read_to_string(&path).unwrap_or_default();
    let text = |key, bytes: &[u8]| signature(key, bytes, "m").to_string();

    put_as(&store, "m", b"one", Some("MIT")).unwrap();
    put_as(&store, "m", b"two", Some("MIT")).unwrap();
    put(&store, "m.minisig", text(&key, b"two").as_bytes()).unwrap();
    store.rollback(&name("m")).unwrap();
    assert_eq!(side(), "");
    store.rollback(&name("m")).unwrap();
    assert_eq!(side(), text(&key, b"two"));

    // What hands did to it ends with a rollback to the very bytes that are there.
    let back = || store.rollback_to(&name("m"), VersionChoice::Digest(Digest::of(b"two")));
    fs::remove_file(&path).unwrap();
    back().unwrap();
    assert_eq!(side(), text(&key, b"two"));
    fs::write(&path, text(&other, b"two")).unwrap();
    back().unwrap();
    assert_eq!(side(), text(&key, b"two"));
}

#[test]
fn whichever_call_to_the_disk_fails_no_version_gets_lost_and_no_signature_is_wrong() {
    let directory = tempfile::tempdir().unwrap();
    let key = SecretKey::generate().unwrap();
    let mut calls = 0;
    for call in 0.. {
        let store = signing(&directory, &key);
        for bytes in [&b"one"[..], b"two!", b"three"] {
            put_signed(&store, "m", bytes, signature(&key, bytes, "m")).unwrap();
        }
        let first = VersionChoice::Digest(Digest::of(b"one"));
        fault::set(Some(call));
        let result = store.rollback_to(&name("m"), first);
        let reached = !fault::set(None);
        drop(store);

        let store = signing(&directory, &key);
        let now = bytes(&directory, "m");
        assert!(now == b"three" || now == b"one", "call {call}: {now:?}");
        for bytes in [&b"one"[..], b"two!", b"three"] {
            let choice = VersionChoice::Digest(Digest::of(bytes));
            store
                .catalog()
                .digester
                .wait_until_idle(Duration::from_secs(20));
            store.rollback_to(&name("m"), choice).unwrap();
            assert_eq!(self::bytes(&directory, "m"), bytes, "call {call}");
            let beside = Signature::from_bytes(&self::bytes(&directory, "m.minisig"));
            assert!(
                beside.unwrap().is_same(&signature(&key, bytes, "m")),
                "call {call}"
            );
        }
        if !reached {
            result.unwrap();
            calls = call;
            break;
        }
        store.remove(&name("m")).unwrap();
        let _ = store.forget_versions(&name("m"));
    }
    assert!(calls > 8, "only {calls} calls were tried");
}

#[test]
fn a_version_with_other_bytes_than_its_name_says_becomes_no_model() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory, 2);
    for bytes in ["first", "other", "third"] {
        put(&store, "f/m", bytes.as_bytes()).unwrap();
    }
    let first = Digest::of(b"first");
    let kept = directory
        .path()
        .join(format!(".skep/versions/.skep/f/m/1.{first}"));

    // Somebody writes over a version, with as many bytes.
    assert_eq!(fs::read(&kept).unwrap(), b"first");
    fs::write(&kept, "FIRST").unwrap();
    for choice in [VersionChoice::Digest(first), VersionChoice::Number(1)] {
        let error = store.rollback_to(&name("f/m"), choice).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Integrity);
        let text = error.to_string();
        assert!(text.contains("version 1 of 'f/m' is damaged"), "{text}");
        assert!(text.contains("skep show f/m"), "{text}");
    }
    assert_eq!(bytes(&directory, "f/m"), b"third");
    assert_eq!(sizes(&store, "f/m"), [5, 5]);

    // No change set takes it by its digest, and none that took it before is committed.
    let request = || ChangeRequest {
        root: Some(name("g")),
        principal: None,
    };
    let stage = |id| store.stage_known(id, &name("g/m"), first, Metadata::default(), None);
    let id = store.begin_change(request()).unwrap();
    assert_eq!(stage(id).unwrap_err().kind(), ErrorKind::NotFound);
    fs::write(&kept, "first").unwrap();
    stage(id).unwrap();
    fs::write(&kept, "FIRST").unwrap();
    let error = store.commit_change(id, Others::Keep, None).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert!(!directory.path().join("g").exists());

    // What is whole comes back.
    fs::write(&kept, "first").unwrap();
    store.commit_change(id, Others::Keep, None).unwrap();
    assert_eq!(bytes(&directory, "g/m"), b"first");
    store
        .rollback_to(&name("f/m"), VersionChoice::Number(2))
        .unwrap();
    assert_eq!(bytes(&directory, "f/m"), b"other");
}

/// Makes the folder `f` one with the model `m` of these bytes.
fn put_folder(store: &Store, text: &str) {
    let request = ChangeRequest {
        root: Some(name("f")),
        principal: None,
    };
    let id = store.begin_change(request).unwrap();
    let mut upload = store.upload(None).unwrap();
    upload.write_all(text.as_bytes()).unwrap();
    let done = upload.end(&name("f/m"), None, &Condition::Any, Some(id));
    done.unwrap();
    store.commit_change(id, Others::Keep, None).unwrap();
}

#[test]
fn a_folder_comes_back_as_the_revision_of_a_number() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory, 9);
    for text in ["one", "two", "three"] {
        put_folder(&store, text);
    }
    let back = |number: u64| {
        let choice = number.to_string().parse().unwrap();
        store.rollback_folder(&name("f"), choice, None, None)
    };

    let kept = store
        .folder_info(&name("f"), BlobSearch::Versions)
        .unwrap()
        .kept;
    let numbers: Vec<_> = kept.iter().map(|revision| revision.number).collect();
    assert_eq!(numbers.len(), 2);
    let error = back(numbers[0] + 100).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert_eq!(bytes(&directory, "f/m"), b"three");
    back(numbers[1]).unwrap();
    assert_eq!(bytes(&directory, "f/m"), b"one");
}

#[test]
fn a_revision_whose_bytes_have_given_way_is_not_listed_and_not_passed_over() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory, 9);
    for text in ["one", "two", "three", "four"] {
        put_folder(&store, text);
    }
    let kept = || {
        let info = store.folder_info(&name("f"), BlobSearch::Versions);
        let kept = info.unwrap().kept.into_iter();
        kept.map(|kept| kept.number).collect::<Vec<_>>()
    };
    let all = kept();
    assert_eq!(all.len(), 3);

    // What another model has, in whatever way, is here.
    put(&store, "elsewhere", b"two").unwrap();
    for (text, left) in [("two", 3), ("one", 2), ("three", 1)] {
        let versions = store.versions(&name("f/m")).unwrap();
        let digest = Digest::of(text.as_bytes());
        let gone = versions.iter().find(|one| one.digest == Some(digest));
        store
            .forget_version(&name("f/m"), gone.unwrap().number)
            .unwrap();
        assert_eq!(kept().len(), left, "{text}");
    }
    assert_eq!(kept(), [all[1]]);

    let error = store.rollback_folder(&name("f"), RevisionChoice::Newest, None, None);
    assert_eq!(error.unwrap_err().kind(), ErrorKind::RevisionGone);
    assert_eq!(bytes(&directory, "f/m"), b"four");
    let number = RevisionChoice::Number(all[1]);
    store
        .rollback_folder(&name("f"), number, None, None)
        .unwrap();
    assert_eq!(bytes(&directory, "f/m"), b"two");
}

#[test]
fn a_folder_does_not_come_back_with_a_version_that_is_damaged() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory, 2);
    for text in ["first", "other"] {
        put_folder(&store, text);
    }
    let first = Digest::of(b"first");
    let kept = directory
        .path()
        .join(format!(".skep/versions/.skep/f/m/1.{first}"));
    fs::write(&kept, "FIRST").unwrap();
    let choice = || "newest".parse().unwrap();
    let error = store
        .rollback_folder(&name("f"), choice(), None, None)
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::RevisionGone);
    assert_eq!(bytes(&directory, "f/m"), b"other");

    fs::write(&kept, "first").unwrap();
    store
        .rollback_folder(&name("f"), choice(), None, None)
        .unwrap();
    assert_eq!(bytes(&directory, "f/m"), b"first");
}

#[test]
fn a_full_disk_is_no_end_while_versions_can_go_and_no_other_error_takes_any() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory, 9);
    for text in ["one", "two"] {
        put(&store, "m", text.as_bytes()).unwrap();
        wait_for_the_clock(&directory);
    }

    let catalog = store.catalog();
    let made_room = |kind: std::io::ErrorKind| catalog.made_room(&kind.into());
    assert!(!made_room(std::io::ErrorKind::PermissionDenied));
    assert_eq!(sizes(&store, "m"), [3]);
    fault::set_free_bytes(Some(0));
    assert!(made_room(std::io::ErrorKind::StorageFull));
    assert_eq!(sizes(&store, "m"), [0; 0]);
    assert!(!made_room(std::io::ErrorKind::StorageFull), "none is left");
    fault::set_free_bytes(None);
}

#[test]
fn a_model_of_an_old_revision_is_called_as_it_was() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory, 2);
    put_folder(&store, "first");
    let revision = store
        .folder_info(&name("f"), BlobSearch::Versions)
        .unwrap()
        .revision
        .unwrap();
    put_folder(&store, "other");
    let opened = store
        .open_model_at(&name("f/m"), revision, BlobSearch::Versions)
        .unwrap();
    assert_eq!(opened.model.name, name("f/m"));
    assert_eq!(opened.model.digest, Some(Digest::of(b"first")));
}
