// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A power cut after any call to the disk: old bytes or new bytes, and acknowledged means kept.
//!
//! The calls are those of the real binary, seen by strace. Each beginning of their sequence is
//! played on a simulated disk that then loses what was not fsynced, and the store opens what is left.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::path::Path;

use skep::store::{Store, StoreOptions, StoredContent};

use crate::support::pieces::{STEPS, append, create, field, tell};
use crate::support::power::{Disk, replay};
use crate::support::process::{Place, digest, noise};
use crate::support::served::Served;
use crate::support::syscalls::{self, Call};

/// All models and their bytes.
type Models = BTreeMap<String, Vec<u8>>;

/// One request, and what it does to the models.
enum Step {
    Put(&'static str, Vec<u8>),
    Delete(&'static str),
}

#[test]
#[cfg_attr(not(has_strace), ignore = "strace is not installed")]
fn acknowledged_is_kept_and_names_hold_whole_models() {
    // More than one write each, and small enough to be kept as a whole in the log.
    let bytes = |seed: u8| -> Vec<u8> { (0..90_000).map(|n| (n % 251) as u8 ^ seed).collect() };
    let steps = [
        Step::Put("model", bytes(1)),
        Step::Put("model", bytes(2)),
        Step::Put("other", bytes(3)),
        Step::Delete("model"),
        Step::Put("model", Vec::new()),
        Step::Put("model", bytes(4)),
    ];
    let place = Place::new();
    let server = Served::start_traced(&place, &["--plain"]);
    let mut states = vec![Models::new()];
    for step in &steps {
        let mut models = states.last().unwrap().clone();
        match step {
            Step::Put(name, bytes) => {
                let path = place.file("content", bytes);
                let path = path.to_str().unwrap();
                let answer = server.curl(&format!("/v1/models/{name}"), &["-T", path]);
                assert!(matches!(answer.status, 200 | 201), "{}", answer.text());
                models.insert((*name).to_owned(), bytes.clone());
            }
            Step::Delete(name) => {
                server
                    .curl(&format!("/v1/models/{name}"), &["-X", "DELETE"])
                    .is(204);
                models.remove(*name);
            }
        }
        states.push(models);
    }
    let root = server.dir.clone();
    server.stop().exits(0);
    let calls = syscalls::calls(&place);
    let count = |wanted: fn(&Call) -> bool| calls.iter().filter(|call| wanted(call)).count();
    assert_eq!(
        count(|call| *call == Call::Acknowledge),
        steps.len(),
        "answers in the log"
    );
    let images = replay(Disk::new(&root), &calls, |image, acknowledged, case| {
        let left = tempfile::tempdir().unwrap();
        image.unpack(left.path());
        let found = models(&Store::open(left.path(), StoreOptions::default()).unwrap());
        // What the requests that were answered made, or that and the one that was running.
        let allowed = &states[acknowledged..states.len().min(acknowledged + 2)];
        assert!(allowed.contains(&found), "{case}: {}", sizes(&found));
    });
    assert!(images > 30, "only {images} power cuts");
}

#[test]
#[cfg_attr(not(has_strace), ignore = "strace is not installed")]
fn an_upload_in_pieces_goes_on_where_it_was_acknowledged() {
    let bytes = noise(1, 200_000);
    let place = Place::new();
    let server = Served::start_traced(&place, STEPS);
    let path = create(&server, "m", "\nUpload-Length: 200000");
    let answer = append(&server, &path, 0, "?0", &bytes[..150_000]);
    assert_eq!(answer.status, 204, "{answer:?}");
    let answer = append(&server, &path, 150_000, "?1", &bytes[150_000..]);
    assert_eq!(answer.status, 201, "{answer:?}");
    let (root, password) = (server.dir.clone(), server.password());
    server.stop().exits(0);
    let promised = [None, Some(0), Some(150_000), Some(bytes.len())];
    let calls = syscalls::calls(&place);
    let images = replay(Disk::new(&root), &calls, |image, acknowledged, case| {
        let place = Place::new();
        place.secret("password", &password);
        fs::create_dir(place.path("dm_models")).unwrap();
        image.unpack(&place.path("dm_models"));
        let server = Served::start_in(&place, STEPS);
        let answer = tell(&server, &path);
        if answer.status == 404 {
            // Neither the upload nor what it made may be lost, once it was promised.
            let is_whole = || server.curl("/v1/models/m", &[]).body == bytes;
            assert!(
                promised[acknowledged].is_none() || is_whole(),
                "{case}: it is lost"
            );
            return;
        }
        assert_eq!(answer.status, 204, "{case}: {answer:?}");
        let offset: usize = field(&answer, "upload-offset").unwrap().parse().unwrap();
        assert!(Some(offset) >= promised[acknowledged], "{case}: {offset}");
        if !answer.has("upload-complete: ?1") {
            let answer = append(&server, &path, offset, "?1", &bytes[offset..]);
            assert!(matches!(answer.status, 200 | 201), "{case}: {answer:?}");
        }
        assert_eq!(
            server.curl("/v1/models/m", &[]).is(200).body,
            bytes,
            "{case}"
        );
    });
    assert!(images > 30, "only {images} power cuts");
}

#[test]
#[cfg_attr(not(has_strace), ignore = "strace is not installed")]
fn a_change_set_happens_as_a_whole_or_not_at_all() {
    let (one, two, three) = (noise(1, 9_001), noise(2, 9_002), noise(3, 9_003));
    let place = Place::new();
    let server = Served::start_traced(&place, &["--plain", "--keep-versions", "2"]);
    let put = |path: &str, bytes: &[u8]| {
        let file = place.file("content", bytes);
        server.curl(path, &["-T", file.to_str().unwrap()]).is(201);
    };
    put("/v1/models/me/a", &one);
    put("/v1/models/me/b", &two);
    let begun = server.curl("/v1/changes?root=me", &["-X", "POST"]).is(201);
    let set = begun.field("location").unwrap().to_owned();
    put(&format!("{set}/me/a"), &three);
    put(&format!("{set}/me/deep/c"), &two);
    let known = format!("{set}/me/moved?blob={}", digest(&one));
    server.curl(&known, &["-X", "PUT"]).is(201);
    let committed = server.curl(&format!("{set}?others=remove"), &["-X", "POST"]);
    assert_eq!(committed.is(200).json()["removed"], 1);
    let root = server.dir.clone();
    server.stop().exits(0);

    let state = |models: &[(&str, &Vec<u8>)]| -> Models {
        let models = models.iter();
        models
            .map(|(name, bytes)| ((*name).to_owned(), (*bytes).clone()))
            .collect()
    };
    let before = state(&[("me/a", &one), ("me/b", &two)]);
    let mut states = vec![Models::new(), state(&[("me/a", &one)]), before.clone()];
    // The beginning, three names, and then the commit.
    states.extend(std::iter::repeat_n(before, 4));
    states.push(state(&[
        ("me/a", &three),
        ("me/deep/c", &two),
        ("me/moved", &one),
    ]));
    let calls = syscalls::calls(&place);
    let answers = calls.iter().filter(|call| **call == Call::Acknowledge);
    assert_eq!(answers.count(), states.len() - 1, "answers in the log");
    let images = replay(Disk::new(&root), &calls, |image, acknowledged, case| {
        let left = tempfile::tempdir().unwrap();
        image.unpack(left.path());
        let store = Store::open(left.path(), StoreOptions::default()).unwrap();
        let found = models(&store);
        let allowed = &states[acknowledged..states.len().min(acknowledged + 2)];
        assert!(allowed.contains(&found), "{case}: {}", sizes(&found));

        // What was committed is no set any more.
        let sets = left.path().join(".skep/changes");
        let sets = fs::read_dir(sets).map_or(0, Iterator::count);
        assert!(sets == 0 || found != states[7], "{case}: {sets} sets");
    });
    assert!(images > 60, "only {images} power cuts");
}

#[test]
#[cfg_attr(not(has_strace), ignore = "strace is not installed")]
fn large_models_of_a_change_set_are_as_durable_as_small_ones() {
    // The first is larger than what is made durable together with the set.
    let (large, small) = (noise(1, (1 << 20) + 1), noise(2, 9_001));
    let place = Place::new();
    let server = Served::start_traced(&place, &["--plain"]);
    let begun = server.curl("/v1/changes", &["-X", "POST"]).is(201);
    let set = begun.field("location").unwrap().to_owned();
    for (name, bytes) in [("large", &large), ("small", &small)] {
        let file = place.file("content", bytes);
        let path = format!("{set}/{name}");
        server.curl(&path, &["-T", file.to_str().unwrap()]).is(201);
    }
    server.curl(&set, &["-X", "POST"]).is(200);
    let root = server.dir.clone();
    server.stop().exits(0);

    let both = [("large", large), ("small", small)];
    let both: Models = both.map(|(name, bytes)| (name.to_owned(), bytes)).into();
    let calls = syscalls::calls(&place);
    let images = replay(Disk::new(&root), &calls, |image, acknowledged, case| {
        let left = tempfile::tempdir().unwrap();
        image.unpack(left.path());
        let found = models(&Store::open(left.path(), StoreOptions::default()).unwrap());
        // After the beginning and two names comes the commit.
        let is_allowed = match acknowledged {
            0..=2 => found.is_empty(),
            3 => found.is_empty() || found == both,
            _ => found == both,
        };
        assert!(is_allowed, "{case}: {}", sizes(&found));
    });
    assert!(images > 30, "only {images} power cuts");
}

#[test]
#[cfg_attr(not(has_strace), ignore = "strace is not installed")]
fn a_folder_that_is_there_is_exchanged_as_a_whole_also_for_who_looks_into_it() {
    let bytes = |seed: u64| noise(seed, 9_000 + usize::try_from(seed).unwrap());
    let place = Place::new();
    let server = Served::start_traced(&place, &["--plain", "--keep-versions", "2"]);
    let put = |path: &str, seed: u64| {
        let file = place.file("content", bytes(seed));
        server.curl(path, &["-T", file.to_str().unwrap()]).is(201);
    };
    let first = [("me/f/a", 1), ("me/f/goes", 2), ("me/f/in/stays", 3)];
    for (name, seed) in first {
        put(&format!("/v1/models/{name}"), seed);
    }
    let begun = server.curl("/v1/changes?root=me", &["-X", "POST"]).is(201);
    let set = begun.field("location").unwrap().to_owned();
    put(&format!("{set}/me/f/a"), 4);
    put(&format!("{set}/me/f/deep/new"), 5);
    server
        .curl(&format!("{set}/me/f/goes"), &["-X", "DELETE"])
        .is(204);
    server.curl(&set, &["-X", "POST"]).is(200);
    let root = server.dir.clone();
    server.stop().exits(0);

    let state = |models: &[(&str, u64)]| -> Models {
        let models = models.iter();
        models
            .map(|(name, seed)| ((*name).to_owned(), bytes(*seed)))
            .collect()
    };
    let before = state(&first);
    let after = state(&[("me/f/a", 4), ("me/f/deep/new", 5), ("me/f/in/stays", 3)]);
    let mut states: Vec<_> = (0..3).map(|count| state(&first[..count])).collect();
    // The beginning, three names, and then the commit.
    states.extend(std::iter::repeat_n(before.clone(), 5));
    states.push(after.clone());

    let calls = syscalls::calls(&place);
    let answers = calls.iter().filter(|call| **call == Call::Acknowledge);
    assert_eq!(answers.count(), states.len() - 1, "answers in the log");
    let exchanges = calls
        .iter()
        .filter(|call| matches!(call, Call::Exchange { .. }));
    assert_eq!(exchanges.count(), 1);
    let images = replay(Disk::new(&root), &calls, |image, acknowledged, case| {
        let left = tempfile::tempdir().unwrap();
        image.unpack(left.path());
        if acknowledged >= 3 {
            let mut seen = Models::new();
            collect(left.path(), &left.path().join("me"), &mut seen);
            assert!(seen == before || seen == after, "{case}: {}", sizes(&seen));
        }

        let store = Store::open(left.path(), StoreOptions::default()).unwrap();
        let found = models(&store);
        let allowed = &states[acknowledged..states.len().min(acknowledged + 2)];
        assert!(allowed.contains(&found), "{case}: {}", sizes(&found));
        if found == after {
            let versions = store.versions(&"me/f/goes".parse().unwrap());
            assert_eq!(versions.unwrap().len(), 1, "{case}");
            let sets = fs::read_dir(left.path().join(".skep/changes"));
            assert_eq!(sets.unwrap().count(), 0, "{case}");
        }
    });
    assert!(images > 60, "only {images} power cuts");
}

/// The files of a folder, as other programs find them.
fn collect(root: &Path, folder: &Path, found: &mut Models) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(root, &path, found);
        } else {
            let name = path.strip_prefix(root).unwrap().to_str().unwrap();
            found.insert(name.to_owned(), fs::read(&path).unwrap());
        }
    }
}

#[test]
#[cfg_attr(not(has_strace), ignore = "strace is not installed")]
fn old_versions_and_a_rollback_lose_nothing_either() {
    // Told apart by their lengths.
    let bytes = |length: usize| noise(2, length);
    let place = Place::new();
    let arguments = ["--plain", "--keep-versions", "2"];
    let server = Served::start_traced(&place, &arguments);
    for length in [50_001, 50_002, 50_003] {
        let path = place.file("content", bytes(length));
        let answer = server.curl("/v1/models/m", &["-T", path.to_str().unwrap()]);
        assert!(matches!(answer.status, 200 | 201), "{}", answer.text());
    }
    server.curl("/v1/rollback/m", &["-X", "POST"]).is(200);
    let root = server.dir.clone();
    server.stop().exits(0);
    // After each answer: the model, and which versions there have to be.
    let states: [(Option<u64>, &[u64]); 5] = [
        (None, &[]),
        (Some(50_001), &[]),
        (Some(50_002), &[50_001]),
        (Some(50_003), &[50_001, 50_002]),
        (Some(50_002), &[50_001, 50_003]),
    ];
    let calls = syscalls::calls(&place);
    let images = replay(Disk::new(&root), &calls, |image, acknowledged, case| {
        let left = tempfile::tempdir().unwrap();
        image.unpack(left.path());
        let store = Store::open(left.path(), StoreOptions::default()).unwrap();
        let found = models(&store);
        let now = found.get("m").map(|found| {
            assert!(*found == bytes(found.len()), "{case}");
            found.len() as u64
        });
        let versions = store.versions(&"m".parse().unwrap()).unwrap_or_default();
        let versions: Vec<u64> = versions.iter().map(|version| version.size).collect();
        let is_allowed = |(model, kept): &(Option<u64>, &[u64])| {
            *model == now && kept.iter().all(|size| versions.contains(size))
        };
        let allowed = &states[acknowledged..states.len().min(acknowledged + 2)];
        assert!(
            allowed.iter().any(is_allowed),
            "{case}: {now:?}, before {versions:?}"
        );
    });
    assert!(images > 30, "only {images} power cuts");
}

/// What a store makes of its directory.
fn models(store: &Store) -> Models {
    let models = store.list().unwrap().into_iter().map(|model| {
        let mut bytes = Vec::new();
        match store.open_model(&model.name).unwrap().content {
            StoredContent::Cached(cached) => bytes.extend_from_slice(&cached),
            StoredContent::File(mut file) => drop(file.read_to_end(&mut bytes).unwrap()),
        }
        (model.name.to_string(), bytes)
    });
    let models = models.collect();
    let parts = store.directory().join(".skep/parts");
    assert_eq!(
        fs::read_dir(parts).unwrap().count(),
        0,
        "parts that nobody will resume"
    );
    models
}

fn sizes(models: &Models) -> String {
    let sizes = models
        .iter()
        .map(|(name, bytes)| format!("{name}: {} bytes", bytes.len()));
    sizes.collect::<Vec<_>>().join(", ")
}
