// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Commits that the disk breaks off at any call, once, and then works again: the store does the rest without being
//! asked, and until then nobody sees a mixture.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::time::Duration;

use crate::disk::fault;
use crate::model::NameFilter;
use crate::store::changes::change_files::ChangeFiles;
use crate::store::changes::commit::recorded::finishing::try_again;
use crate::store::changes::tests::name;
use crate::store::locking::name_locks::NameScope;
use crate::store::*;

const DEADLINE: Duration = Duration::from_secs(60);

fn open(directory: &Path, finish_pause: Duration) -> Store {
    let options = StoreOptions {
        reserve_bytes: 0,
        finish_pause,
        // Models are in the cache at once.
        clock_tick: Duration::ZERO,
        ..StoreOptions::default()
    };
    Store::open(directory, options).unwrap()
}

/// A store in which nobody tries anything again without being asked.
fn open_slow(directory: &Path) -> Store {
    open(directory, Duration::from_secs(3600))
}

fn try_put(store: &Store, text: &str, bytes: &str) -> Result<Published> {
    let mut upload = store.upload(None)?;
    upload.write_all(bytes.as_bytes())?;
    upload.commit(&name(text), None, &Condition::Any)
}

fn put(store: &Store, text: &str, bytes: &str) {
    try_put(store, text, bytes).unwrap();
}

fn begin(store: &Store, root: Option<&str>, models: &[(&str, &str)]) -> ChangeId {
    let request = ChangeRequest {
        root: root.map(name),
        principal: None,
    };
    let id = store.begin_change(request).unwrap();
    for (text, bytes) in models {
        let mut upload = store.upload(None).unwrap();
        upload.write_all(bytes.as_bytes()).unwrap();
        let done = upload.end(&name(text), None, &Condition::Any, Some(id));
        done.unwrap();
    }
    id
}

/// What is changed: prepared first, so that only the change itself meets a disk that fails.
struct Case {
    text: &'static str,
    begin: fn(&Store) -> Option<ChangeId>,
    run: fn(&Store, Option<ChangeId>) -> Result<()>,
}

fn keep(store: &Store, id: Option<ChangeId>) -> Result<()> {
    let done = store.commit_change(id.unwrap(), Others::Keep, None);
    done.map(drop)
}

fn replace(store: &Store, id: Option<ChangeId>) -> Result<()> {
    let done = store.commit_change(id.unwrap(), Others::Remove, None);
    done.map(drop)
}

fn rename(store: &Store, from: &str, to: &str) -> Result<()> {
    let request = MoveRequest {
        from: name(from.trim_end_matches('/')),
        to: name(to.trim_end_matches('/')),
        is_folder: from.ends_with('/'),
        expected: ExpectedState::Any,
    };
    store.move_model(&request).map(drop)
}

const CASES: &[Case] = &[
    Case {
        text: "by name",
        begin: |store| {
            let models = [("f/a", "new"), ("g/b", "new"), ("h/new", "new")];
            let id = begin(store, None, &models);
            store.stage_removal(id, &name("f/in/goes")).unwrap();
            Some(id)
        },
        run: keep,
    },
    Case {
        text: "exchanged",
        begin: |store| Some(begin(store, Some("f"), &[("f/a", "new"), ("f/b", "new")])),
        run: replace,
    },
    Case {
        text: "a new folder",
        begin: |store| {
            Some(begin(
                store,
                Some("n"),
                &[("n/a", "new"), ("n/in/b", "new")],
            ))
        },
        run: replace,
    },
    Case {
        text: "turned",
        begin: |store| {
            Some(begin(
                store,
                Some("f"),
                &[("f/a/x", "new"), ("f/in", "new")],
            ))
        },
        run: replace,
    },
    Case {
        text: "a folder that moves",
        begin: |_| None,
        run: |store, _| rename(store, "f/", "m/f/"),
    },
    Case {
        text: "a model that moves with its signature",
        begin: |_| None,
        run: |store, _| rename(store, "f/a", "m/a"),
    },
];

fn prepare(store: &Store) {
    for (text, bytes) in [
        ("f/a", "first"),
        ("f/a", "old"),
        ("f/a.minisig", "signature"),
        ("f/in/goes", "goes"),
        ("f/in/stays", "stays"),
        ("g/b", "old"),
        ("else", "untouched"),
    ] {
        put(store, text, bytes);
        bytes_of(store, text).unwrap();
        assert!(store.open_cached(&name(text)).is_some());
    }
}

type Models = BTreeMap<String, String>;

/// As a program that looks into the directory.
fn models(directory: &Path) -> Models {
    let (mut found, mut folders) = (Models::new(), vec![directory.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let below = path.strip_prefix(directory).unwrap().to_str().unwrap();
            if path.is_dir() && below != ".skep" {
                folders.push(path);
            } else if path.is_file() {
                found.insert(below.to_owned(), fs::read_to_string(&path).unwrap());
            }
        }
    }
    found
}

/// What a case makes of the models.
fn expected(case: &Case) -> (Models, Models) {
    let directory = tempfile::tempdir().unwrap();
    let store = open_slow(directory.path());
    prepare(&store);
    let before = models(directory.path());
    let id = (case.begin)(&store);
    (case.run)(&store, id).unwrap();
    (before, models(directory.path()))
}

fn bytes_of(store: &Store, text: &str) -> Result<Option<String>> {
    let opened = match store.open_model(&name(text)) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    let mut text = String::new();
    match opened.content {
        StoredContent::Cached(bytes) => text.push_str(str::from_utf8(&bytes).unwrap()),
        StoredContent::File(mut file) => drop(file.read_to_string(&mut text).unwrap()),
    }
    Ok(Some(text))
}

/// Looks at all names: each is answered 503, or all of the others have what they had, or what they are to have.
/// Returns whether some are hidden.
fn look(store: &Store, (before, after): &(Models, Models), case: &str) -> bool {
    let (mut is_before, mut is_after, mut is_hidden) = (true, true, false);
    for text in before.keys().chain(after.keys()) {
        let model = name(text);
        match bytes_of(store, text) {
            Ok(found) => {
                is_before &= found.as_ref() == before.get(text);
                is_after &= found.as_ref() == after.get(text);
                assert!(
                    store.find(&model).is_ok() == found.is_some(),
                    "{case}: {text}"
                );
                store.open_cached(&model);
            }
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Busy, "{case}: {text}: {error}");
                for told in [
                    store.find(&model).map(drop),
                    store.versions(&model).map(drop),
                    store.verify(&model).map(drop),
                    store
                        .folder_info(&model.ancestors().next().unwrap(), BlobSearch::Versions)
                        .map(drop),
                ] {
                    let kind = told.map_err(|error| error.kind());
                    assert_eq!(kind, Err(ErrorKind::Busy), "{case}: {text}");
                }
                assert!(store.open_cached(&model).is_none(), "{case}: {text}");
                is_hidden = true;
            }
        }
    }
    assert!(is_before || is_after, "{case}");
    assert_eq!(bytes_of(store, "else").unwrap().unwrap(), "untouched");

    let listed = store.list().map_err(|error| error.kind());
    match listed {
        Ok(listed) => {
            let listed: Vec<_> = listed.iter().map(|model| model.name.as_str()).collect();
            let is_of = |models: &Models| listed.iter().eq(models.keys());
            assert!(is_of(before) || is_of(after), "{case}: {listed:?}");
            assert!(!is_hidden, "{case}");
        }
        Err(kind) => assert!(kind == ErrorKind::Busy && is_hidden, "{case}"),
    }
    let filter = |prefix: &str| NameFilter {
        prefix: prefix.to_owned(),
        ..NameFilter::default()
    };
    assert_eq!(store.hold(&filter("")).is_err(), is_hidden, "{case}");
    store.hold(&filter("els")).map(drop).unwrap();
    is_hidden
}

/// Has a change fail at one call to the disk, or at all from that one on; whether that was reached, and how it was
/// answered.
fn run_failing(
    store: &Store,
    case: &Case,
    call: u32,
    for_good: bool,
) -> (Option<ChangeId>, Result<()>, bool) {
    let id = (case.begin)(store);
    if for_good {
        fault::set_for_good(call);
    } else {
        fault::set(Some(call));
    }
    let result = (case.run)(store, id);
    (id, result, !fault::set(None))
}

#[test]
fn a_commit_that_the_disk_broke_off_is_done_by_the_store_itself_whichever_call_failed() {
    for case in CASES {
        let (before, after) = expected(case);
        let (mut call, mut broken) = (0, 0);
        loop {
            let directory = tempfile::tempdir().unwrap();
            let store = open(directory.path(), Duration::ZERO);
            prepare(&store);
            let (id, result, is_reached) = run_failing(&store, case, call, false);
            let text = format!("{}, call {call}", case.text);

            // Nobody asks for anything.
            let unfinished = &store.catalog().unfinished;
            assert!(unfinished.wait_until_done(DEADLINE), "{text}");
            let now = models(directory.path());
            let is_decided = match result.as_ref().map_err(Error::kind) {
                Ok(()) => true,
                Err(ErrorKind::Busy) => id.is_some(),
                Err(_) => now == after,
            };
            broken += u32::from(result.is_err() && is_decided);
            assert_eq!(
                now,
                if is_decided {
                    after.clone()
                } else {
                    before.clone()
                },
                "{text}"
            );
            let both = (before.clone(), after.clone());
            assert!(!look(&store, &both, &text));

            // The caller is told what came of it, and others can change something.
            if let Some(id) = id.filter(|_| is_decided) {
                let count = store.commit_change(id, Others::Keep, None).unwrap();
                assert!(count.published > 1, "{text}");
                assert!(store.change(id, "", 1).is_err(), "{text}");
            }
            // A start would do it once more, whatever has been changed until then.
            let sets = fs::read_dir(directory.path().join(".skep/changes"));
            let mut sets = sets.into_iter().flatten().map(|set| set.unwrap().path());
            assert!(sets.all(|set| !set.join("commit").exists()), "{text}");
            put(&store, "more", "bytes");
            if is_decided && case.text.starts_with("a folder") {
                assert_eq!(store.versions(&name("m/f/a")).unwrap().len(), 1, "{text}");
            }
            drop(store);

            let store = open_slow(directory.path());
            let sets = fs::read_dir(directory.path().join(".skep/changes"));
            let left = sets.map_or(0, Iterator::count);
            assert_eq!(left, usize::from(id.is_some() && !is_decided), "{text}");
            assert_eq!(
                bytes_of(&store, "more").unwrap().unwrap(),
                "bytes",
                "{text}"
            );
            fs::remove_file(directory.path().join("more")).unwrap();
            let then = models(directory.path());
            assert_eq!(
                then,
                if is_decided {
                    after.clone()
                } else {
                    before.clone()
                },
                "{text}"
            );
            if !is_reached {
                break;
            }
            call += 1;
        }
        assert!(broken > 1, "{}: {broken} of {call}", case.text);
    }
}

#[test]
fn until_it_is_done_names_are_hidden_and_the_next_change_does_it_first() {
    let all = CASES.iter().flat_map(|case| [(case, false), (case, true)]);
    for (case, for_good) in all {
        let both = expected(case);
        let (mut call, mut hidden) = (0, 0);
        loop {
            let directory = tempfile::tempdir().unwrap();
            let store = open_slow(directory.path());
            prepare(&store);
            let (id, result, is_reached) = run_failing(&store, case, call, for_good);
            let text = format!("{}, call {call}, for good: {for_good}", case.text);
            let is_hidden = look(&store, &both, &text);
            let unfinished = &store.catalog().unfinished;
            assert!(unfinished.is_there() || !is_hidden, "{text}");
            hidden += u32::from(is_hidden);

            let is_undone = id.is_none() && models(directory.path()) == both.0;
            if unfinished.is_there() {
                // The disk fails still, and fails once more. The next attempt is not made at once.
                fault::set(Some(0));
                for is_tried in [true, false] {
                    let refused = try_put(&store, "else", "changed").unwrap_err();
                    assert_eq!(refused.kind(), ErrorKind::Busy, "{text}");
                    assert_eq!(fault::set(None), !is_tried, "{text}");
                    fault::set(Some(0));
                }
                fault::set(None);
                assert_eq!(look(&store, &both, &text), is_hidden, "{text}");
                assert!(store.catalog().changing(NameScope::All).is_err(), "{text}");
                unfinished.allow_try();
                put(&store, "else", "untouched");
                assert!(!unfinished.is_there(), "{text}");
                // A move of which nothing was done leaves a record that is not to be done later.
                let expected = if is_undone { &both.0 } else { &both.1 };
                assert_eq!(models(directory.path()), *expected, "{text}");
            } else if result.is_err() {
                assert_eq!(models(directory.path()), both.0, "{text}");
            }
            assert!(!look(&store, &both, &text), "{text}");
            if !is_reached {
                break;
            }
            call += 1;
        }
        // A folder that appears or moves is there or not, and so is a single model.
        let is_one_step = case.text.starts_with("a ");
        assert!(hidden > 0 || is_one_step, "{}: of {call}", case.text);
    }
}

#[test]
fn a_rollback_is_done_or_not_at_all_whichever_call_fails_and_nobody_has_to_ask_again() {
    let (mut call, mut answers) = (0, Vec::new());
    loop {
        let directory = tempfile::tempdir().unwrap();
        let store = open_slow(directory.path());
        prepare(&store);
        let before = models(directory.path());
        let id = begin(&store, Some("f"), &[("f/a", "new"), ("f/b", "new")]);
        replace(&store, Some(id)).unwrap();
        let after = models(directory.path());

        fault::set(Some(call));
        let choice = "newest".parse().unwrap();
        let done = store.rollback_folder(&name("f"), choice, None, None);
        let is_reached = !fault::set(None);
        let expected = if done.is_ok() { &before } else { &after };
        assert_eq!(models(directory.path()), *expected, "call {call}");
        store.list().unwrap();
        put(&store, "more", "bytes");
        answers.push(done.is_ok());
        if !is_reached {
            break;
        }
        call += 1;
    }
    let done = answers.iter().filter(|is_done| **is_done).count();
    assert!(done > 2 && done < answers.len(), "{answers:?}");
}

/// Breaks a commit off at the first of its steps.
fn broken_off(directory: &Path, models: &[(&str, &str)]) -> (Store, ChangeId) {
    for call in 0.. {
        let _ = fs::remove_dir_all(directory.join(".skep"));
        for folder in ["f", "g"] {
            let _ = fs::remove_dir_all(directory.join(folder));
        }
        let store = open_slow(directory);
        put(&store, "f/a", "old");
        put(&store, "g/b", "old");
        let id = begin(&store, None, models);
        fault::set(Some(call));
        let result = keep(&store, Some(id));
        assert!(!fault::set(None), "no step failed");
        if store.list().is_err() {
            assert!(result.is_err());
            return (store, id);
        }
    }
    unreachable!()
}

#[test]
fn what_hands_put_in_the_way_is_waited_for_and_then_left_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let models_of = [("f/a", "new"), ("g/b", "new")];
    for is_taken_away in [true, false] {
        let (store, id) = broken_off(directory.path(), &models_of);
        let path = |text: &str| directory.path().join(text);
        fs::rename(path("g"), path("aside")).unwrap();
        fs::write(path("g"), "by hand").unwrap();
        for _ in 0..4 {
            let error = try_again(store.catalog()).unwrap_err();
            assert_eq!(error.kind(), std::io::ErrorKind::NotADirectory);
            assert!(store.list().is_err());
        }

        if is_taken_away {
            fs::remove_file(path("g")).unwrap();
            fs::rename(path("aside"), path("g")).unwrap();
        }
        try_again(store.catalog()).unwrap();
        assert!(!store.catalog().unfinished.is_there());
        let found = models(directory.path());
        assert_eq!(found["f/a"], "new");
        if is_taken_away {
            assert_eq!(found["g/b"], "new");
        } else {
            assert_eq!((&found["g"][..], &found["aside/b"][..]), ("by hand", "old"));
            fs::remove_file(path("g")).unwrap();
            fs::remove_dir_all(path("aside")).unwrap();
        }
        assert_eq!(
            store
                .commit_change(id, Others::Keep, None)
                .unwrap()
                .published,
            2
        );
        put(&store, "f/a", "later");
    }
}

#[test]
fn a_set_that_hands_remove_after_its_commit_is_given_up_and_a_directory_that_is_away_is_not() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("models");
    let (store, id) = broken_off(&path, &[("f/a", "new"), ("g/b", "new")]);
    let away = directory.path().join("away");
    fs::rename(&path, &away).unwrap();
    for _ in 0..10 {
        try_again(store.catalog()).unwrap_err();
    }
    fs::rename(&away, &path).unwrap();
    let set = path.join(".skep/changes").join(id.to_string());
    fs::rename(&set, &away).unwrap();
    // It has waited long enough for hands.
    try_again(store.catalog()).unwrap();
    store.list().unwrap();
    let gone = store.commit_change(id, Others::Keep, None).unwrap_err();
    assert_eq!(gone.kind(), ErrorKind::NotFound);
    put(&store, "f/a", "later");
}

#[test]
fn steps_whose_record_is_gone_are_written_down_again_before_more_of_them_are_done() {
    let directory = tempfile::tempdir().unwrap();
    let (mut call, mut answers) = (0, Vec::new());
    loop {
        let new = [("f/a", "new"), ("g/b", "new")];
        let (store, id) = broken_off(directory.path(), &new);
        let set = format!(".skep/changes/{id}/commit");
        fs::remove_file(directory.path().join(set)).unwrap();
        fault::set(Some(call));
        let done = try_again(store.catalog());
        let is_reached = !fault::set(None);
        drop(store);

        // As a sudden end would leave it.
        let store = open_slow(directory.path());
        let seen = ["f/a", "g/b"].map(|text| bytes_of(&store, text).unwrap().unwrap());
        assert!(seen[0] == seen[1], "call {call}: {seen:?}");
        answers.push((done.is_ok(), seen[0] == "new"));
        if !is_reached {
            break;
        }
        call += 1;
    }
    assert!(answers.contains(&(false, true)), "{answers:?}");
    assert_eq!(answers.last(), Some(&(true, true)));
}

#[test]
fn a_record_that_may_come_back_with_the_power_is_removed_from_the_disk_once_more() {
    let directory = tempfile::tempdir().unwrap();
    let store = open_slow(directory.path());
    let id = begin(&store, None, &[("f/a", "new")]);
    let files = ChangeFiles::new(store.catalog().layout.hidden(), id);
    files.remove_record_again().unwrap();
    fault::set(Some(0));
    files.remove_record_again().unwrap_err();
    assert!(!fault::set(None));
}

#[test]
fn a_set_that_is_decided_does_not_get_too_old() {
    let directory = tempfile::tempdir().unwrap();
    let (store, id) = broken_off(directory.path(), &[("f/a", "new"), ("g/b", "new")]);
    let catalog = store.catalog();
    let options = StoreOptions {
        upload_age_max: Duration::ZERO,
        ..store.options().clone()
    };
    let (hidden, request) = (catalog.layout.hidden(), ChangeRequest::default());
    let other = catalog
        .changes
        .begin(hidden, &options, request, &|_, age| age);
    other.unwrap();
    assert_eq!(
        store
            .commit_change(id, Others::Keep, None)
            .unwrap()
            .published,
        2
    );
}
