// SPDX-License-Identifier: Apache-2.0 OR MIT
//! References on real files: what they keep, what moves them on, and what goes with them.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read as _, Write as _};
use std::path::Path;

use crate::digest::Digest;
use crate::model::Revision;
use crate::store::*;

fn options() -> StoreOptions {
    StoreOptions {
        reserve_bytes: 0,
        versions_max: 0,
        clock_tick: std::time::Duration::ZERO,
        references_max: 3,
        ..StoreOptions::default()
    }
}

fn open(directory: &Path) -> Store {
    Store::open(directory, options()).unwrap()
}

fn name(text: &str) -> ModelName {
    text.parse().unwrap()
}

fn put(store: &Store, text: &str, bytes: &str) {
    let mut upload = store.upload(None).unwrap();
    upload.write_all(bytes.as_bytes()).unwrap();
    upload.commit(&name(text), None, &Condition::Any).unwrap();
}

fn branch(text: &str) -> ReferenceName {
    ReferenceName::new(ReferenceKind::Branch, text).unwrap()
}

fn now(store: &Store) -> Arc<Manifest> {
    store.present_manifest(&name("r")).unwrap().unwrap()
}

/// The paths of a branch, and what is in the files.
fn files(store: &Store, text: &str) -> Vec<(String, String)> {
    let (_, manifest) = store.find_reference(&name("r"), text).unwrap().unwrap();
    let read = manifest.members.iter().map(|member| {
        let mut bytes = String::new();
        match store.open_member(member).unwrap().content {
            StoredContent::File(mut file) => file.read_to_string(&mut bytes).unwrap(),
            StoredContent::Cached(_) => panic!("an object is not cached"),
        };
        (member.name.as_str().to_owned(), bytes)
    });
    read.collect()
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    let pairs = expected.iter();
    pairs
        .map(|(path, bytes)| ((*path).to_owned(), (*bytes).to_owned()))
        .collect()
}

fn objects(directory: &Path) -> usize {
    let folder = fs::read_dir(directory.join(".skep/objects"));
    folder.map_or(0, Iterator::count)
}

/// Commits what is sent, named and removed to a branch.
fn commit(
    store: &Store,
    text: &str,
    sent: &[(&str, &str)],
    known: &[(&str, &str)],
    removed: &[&str],
    expected: Option<Revision>,
) -> Result<Revision> {
    let id = store.begin_change(ChangeRequest {
        root: Some(name("r")),
        principal: None,
    })?;
    let done = filled(store, id, sent, known, removed)
        .and_then(|()| store.commit_to_reference(id, &name("r"), &branch(text), expected));
    if done.is_err() {
        store.abandon_change(id).unwrap();
    }
    done
}

fn filled(
    store: &Store,
    id: ChangeId,
    sent: &[(&str, &str)],
    known: &[(&str, &str)],
    removed: &[&str],
) -> Result<()> {
    for (path, bytes) in sent {
        let mut upload = store.upload(None)?;
        upload.write_all(bytes.as_bytes())?;
        upload.end(&name(path), None, &Condition::Any, Some(id))?;
    }
    for (path, bytes) in known {
        let digest = Digest::of(bytes.as_bytes());
        store.stage_known(id, &name(path), digest, Metadata::default(), None)?;
    }
    for path in removed {
        store.stage_removal(id, &name(path))?;
    }
    Ok(())
}

#[test]
fn a_reference_stays_whole_whatever_becomes_of_the_models() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    put(&store, "r/a", "one");
    put(&store, "r/d/b", "two");
    let first = now(&store);
    let tag = ReferenceName::new(ReferenceKind::Tag, "v1").unwrap();
    store.make_reference(&tag, &first).unwrap();
    let again = store.make_reference(&tag, &first).unwrap_err();
    assert_eq!(again.kind(), ErrorKind::Conflict);

    put(&store, "r/a", "new");
    store.remove(&name("r/d/b")).unwrap();
    let expected = pairs(&[("r/a", "one"), ("r/d/b", "two")]);
    assert_eq!(files(&store, "v1"), expected);
    let found = store.reference_at(&name("r"), first.revision()).unwrap();
    assert_eq!(found.unwrap().revision(), first.revision());

    // It survives a start, which pins its bytes again, and a look for what nobody needs.
    drop(store);
    let store = open(directory.path());
    let all = ClearRequest {
        keep: 0,
        idle_min: std::time::Duration::ZERO,
        mode: ClearMode::Remove,
    };
    store.clear(&all).unwrap();
    assert_eq!(files(&store, "v1"), expected);

    // It goes with its folder to another name, and its bytes go with it in the end.
    let request = MoveRequest {
        from: name("r"),
        to: name("deep/s"),
        is_folder: true,
        expected: ExpectedState::Any,
    };
    store.move_model(&request).unwrap();
    assert_eq!(store.references(&name("r")).unwrap().len(), 0);
    let (moved, _) = store
        .find_reference(&name("deep/s"), "v1")
        .unwrap()
        .unwrap();
    assert_eq!(store.repositories().unwrap(), [name("deep/s")]);
    assert!(store.remove_reference(&name("deep/s"), &moved).unwrap());
    assert!(!store.remove_reference(&name("deep/s"), &moved).unwrap());
    assert_eq!(objects(directory.path()), 0);
    let left = directory.path().join(".skep/references");
    assert_eq!(fs::read_dir(left).unwrap().count(), 0);
}

#[test]
fn a_commit_to_a_branch_changes_no_model() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    put(&store, "r/a", "one");
    put(&store, "r/b", "two");
    let first = now(&store);
    store.make_reference(&branch("x"), &first).unwrap();

    let sent = [("r/c", "three"), ("r/b", "changed")];
    let second = commit(&store, "x", &sent, &[("r/d", "one")], &["r/a"], None).unwrap();
    assert_eq!(now(&store), first);
    let state = pairs(&[("r/b", "changed"), ("r/c", "three"), ("r/d", "one")]);
    assert_eq!(files(&store, "x"), state);
    let (_, manifest) = store.find_reference(&name("r"), "x").unwrap().unwrap();
    assert_eq!(manifest.revision(), second);

    // Whoever knows another state is refused, and so is a file in the place of a folder; nothing is lost then.
    let late = commit(
        &store,
        "x",
        &[("r/e", "e")],
        &[],
        &[],
        Some(first.revision()),
    );
    assert_eq!(late.unwrap_err().kind(), ErrorKind::PreconditionFailed);
    for path in ["r/c/inner", "r"] {
        let refused = commit(&store, "x", &[(path, "e")], &[], &[], Some(second));
        assert!(refused.is_err(), "{path}");
    }
    let none = commit(&store, "y", &[("r/e", "e")], &[], &[], None);
    assert_eq!(none.unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(files(&store, "x"), state);
    assert_eq!(store.catalog().changes.count(), 0);

    // What a branch has no more goes, and what it has is not taken for models.
    commit(&store, "x", &[], &[], &["r/b", "r/c"], Some(second)).unwrap();
    assert_eq!(files(&store, "x"), pairs(&[("r/d", "one")]));
    store
        .clear(&ClearRequest {
            keep: 0,
            idle_min: std::time::Duration::ZERO,
            mode: ClearMode::Remove,
        })
        .unwrap();
    assert_eq!(objects(directory.path()), 1);
    assert_eq!(store.list().unwrap().len(), 2);
}

#[test]
fn references_are_bounded_in_number_and_by_the_quota() {
    let directory = tempfile::tempdir().unwrap();
    let bounded = StoreOptions {
        total_bytes_max: 64 << 10,
        ..options()
    };
    let store = Store::open(directory.path(), bounded).unwrap();
    put(&store, "r/a", "one");
    let first = now(&store);
    for text in ["x", "y", "z"] {
        store.make_reference(&branch(text), &first).unwrap();
    }
    let many = store.make_reference(&branch("w"), &first).unwrap_err();
    assert_eq!(many.kind(), ErrorKind::NoSpace);

    let large = "x".repeat(30 << 10);
    commit(&store, "x", &[("r/l", &large)], &[], &[], None).unwrap();
    let other = "y".repeat(30 << 10);
    let full = commit(&store, "y", &[("r/l", &other)], &[], &[], None);
    assert_eq!(full.unwrap_err().kind(), ErrorKind::NoSpace);
    assert_eq!(files(&store, "y"), pairs(&[("r/a", "one")]));
    // Models have what references leave.
    let mut upload = store.upload(None).unwrap();
    upload.write_all(other.as_bytes()).unwrap();
    let full = upload
        .commit(&name("m"), None, &Condition::Any)
        .unwrap_err();
    assert_eq!(full.kind(), ErrorKind::NoSpace);
}

#[test]
fn a_repository_can_be_empty_and_is_forgotten_with_all_it_has() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let root = name("r");
    assert!(!store.is_repository(&root).unwrap());
    store.mark_repository(&root).unwrap();
    store.mark_repository(&root).unwrap();
    assert!(store.is_repository(&root).unwrap());

    let empty = Manifest {
        root: root.clone(),
        members: Vec::new(),
    };
    store.make_reference(&branch("x"), &empty).unwrap();
    assert_eq!(files(&store, "x"), []);
    commit(
        &store,
        "x",
        &[("r/a", "one")],
        &[],
        &[],
        Some(empty.revision()),
    )
    .unwrap();
    assert_eq!(files(&store, "x"), pairs(&[("r/a", "one")]));

    store.forget_repository(&root).unwrap();
    assert!(!store.is_repository(&root).unwrap());
    assert_eq!(store.repositories().unwrap(), []);
    assert_eq!(objects(directory.path()), 0);
}

#[test]
fn a_reference_that_was_changed_by_hand_is_none() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    put(&store, "r/a", "one");
    let first = now(&store);
    store.make_reference(&branch("x"), &first).unwrap();
    let place = directory.path().join(".skep/references/r/heads.x");
    let text = fs::read_to_string(&place).unwrap();
    for bad in [
        text.replace("reference 1", "reference 2"),
        text.replace(" 3 ", " 4 ") + "x",
        text.replace('a', "b"),
        String::new(),
    ] {
        fs::write(&place, &bad).unwrap();
        assert_eq!(
            store.find_reference(&name("r"), "x").unwrap(),
            None,
            "{bad}"
        );
        assert_eq!(
            store.reference_at(&name("r"), Revision::empty()).unwrap(),
            None
        );
    }
    // Bytes that were changed are not handed out.
    fs::write(&place, &text).unwrap();
    let digests = BTreeSet::from([*first.members[0].digest.as_bytes()]);
    assert_eq!(digests.len(), 1);
    let object = directory
        .path()
        .join(".skep/objects")
        .join(first.members[0].digest.to_string());
    fs::remove_file(&object).unwrap();
    fs::write(&object, "eno").unwrap();
    let damaged = store.open_member(&first.members[0]).unwrap_err();
    assert_eq!(damaged.kind(), ErrorKind::RevisionGone);
}
