// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What uploads in pieces promise, tried with real files and failing disks.

use std::fs;
use std::io::Read as _;
use std::path::PathBuf;
use std::sync::mpsc::channel;

use tempfile::TempDir;

use super::*;
use crate::digest::Digest;
use crate::disk::fault;
use crate::error::ErrorKind;
use crate::model::ModelName;
use crate::store::changes::ChangeRequest;
use crate::store::claim::Condition;
use crate::store::options::StoreOptions;
use crate::store::upload::entry::Interrupt;
use crate::store::upload::journal::{UploadStage, UploadState};
use crate::store::upload::writer::AppendMode;

/// Options with a journal of small steps.
fn options() -> StoreOptions {
    StoreOptions {
        upload_sync_bytes: 1000,
        ..StoreOptions::default()
    }
}

fn open(directory: &TempDir) -> Store {
    Store::open(directory.path(), options()).unwrap()
}

fn name() -> ModelName {
    "m".parse().unwrap()
}

fn begin(store: &Store) -> String {
    store
        .begin(UploadIntent::new(name()))
        .unwrap()
        .id()
        .to_string()
}

/// Appends in pieces of 400 bytes and ends as a request does.
fn append(store: &Store, id: &str, bytes: &[u8], piece: AppendMode) -> Result<()> {
    let mut turn = store.turn(id)?;
    let mut append = turn.append(piece, None)?;
    for bytes in bytes.chunks(400) {
        if let Err(error) = append.write(bytes) {
            return Err(append.cut(error));
        }
    }
    append.finish()
}

fn offset(store: &Store, id: &str) -> usize {
    usize::try_from(store.turn(id).unwrap().offset()).unwrap()
}

fn kept(directory: &TempDir, id: &str) -> Vec<u8> {
    fs::read(
        directory
            .path()
            .join(".skep/parts")
            .join(id)
            .with_extension("bytes"),
    )
    .unwrap()
}

fn files(directory: &std::path::Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten();
    entries.map(|entry| entry.unwrap().path()).collect()
}

/// All files that uploads have.
fn left(directory: &TempDir) -> Vec<PathBuf> {
    let hidden = directory.path().join(".skep");
    [files(&hidden.join("parts")), files(&hidden.join("uploads"))].concat()
}

fn model(store: &Store) -> Vec<u8> {
    let mut bytes = Vec::new();
    match store.open_model(&name()).unwrap().content {
        crate::store::stored::StoredContent::Cached(cached) => bytes.extend_from_slice(&cached),
        crate::store::stored::StoredContent::File(mut file) => {
            file.read_to_end(&mut bytes).unwrap();
        }
    }
    bytes
}

fn kind<T>(result: Result<T>) -> ErrorKind {
    result.err().expect("an error").kind()
}

fn noise(length: usize) -> Vec<u8> {
    (0..length)
        .map(|index| u8::try_from(index * index / 7 % 251).unwrap())
        .collect()
}

#[test]
fn an_upload_goes_on_after_a_restart_with_all_that_was_ordered() {
    let directory = tempfile::tempdir().unwrap();
    let bytes = noise(5000);
    let order = UploadIntent {
        length: Some(5000),
        digest: Some(Digest::of(&bytes)),
        condition: Condition::Absent,
        ..UploadIntent::new(name())
    };
    let store = open(&directory);
    let id = store.begin(order.clone()).unwrap().id().to_string();
    append(&store, &id, &bytes[..2300], AppendMode::Kept).unwrap();
    drop(store);
    let store = open(&directory);
    assert_eq!(offset(&store, &id), 2300);
    assert_eq!(store.turn(&id).unwrap().order(), &order);
    append(&store, &id, &bytes[2300..], AppendMode::Kept).unwrap();
    store.turn(&id).unwrap().commit().unwrap();
    assert_eq!(model(&store), bytes);
    drop(store);
    let store = open(&directory);
    assert_eq!(store.turn(&id).unwrap().done(), Some(Digest::of(&bytes)));
    // The condition is that of the end.
    let id = store.begin(order).unwrap().id().to_string();
    append(&store, &id, &bytes, AppendMode::Kept).unwrap();
    assert_eq!(
        kind(store.turn(&id).unwrap().commit()),
        ErrorKind::PreconditionFailed
    );
    assert_eq!(kind(store.turn(&id)), ErrorKind::NotFound);
}

#[test]
fn a_sudden_end_costs_at_most_one_step() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory);
    let (id, bytes) = (begin(&store), noise(4500));
    let mut turn = store.turn(&id).unwrap();
    let mut append = turn.append(AppendMode::Kept, None).unwrap();
    let steps: Vec<_> = bytes
        .chunks(400)
        .filter_map(|bytes| append.write(bytes).unwrap())
        .collect();
    assert_eq!(steps, [800, 1600, 2400, 3200, 4000]);
    // What a dead process leaves is what there is now, and behind the offset even more.
    let copy = tempfile::tempdir().unwrap();
    let hidden = copy.path().join(".skep");
    for path in left(&directory) {
        let to = hidden.join(path.strip_prefix(directory.path().join(".skep")).unwrap());
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(path, to).unwrap();
    }
    let store = open(&copy);
    assert_eq!((offset(&store, &id), kept(&copy, &id).len()), (4000, 4500));
    self::append(&store, &id, &bytes[4000..], AppendMode::Kept).unwrap();
    store.turn(&id).unwrap().commit().unwrap();
    assert_eq!(model(&store), bytes);
}

#[test]
fn offset_and_bytes_agree_whichever_call_to_the_disk_fails() {
    let bytes = noise(3500);
    for call in 0.. {
        let directory = tempfile::tempdir().unwrap();
        let store = open(&directory);
        fault::set(Some(call));
        let begun = store
            .begin(UploadIntent::new(name()))
            .map(|turn| turn.id().to_string());
        let Ok(id) = begun else {
            assert!(!fault::set(None));
            assert_eq!(left(&directory), [""; 0].map(PathBuf::from), "call {call}");
            continue;
        };
        let mut results = vec![append(&store, &id, &bytes[..1700], AppendMode::Kept)];
        let told = offset(&store, &id);
        results.push(append(&store, &id, &bytes[told..], AppendMode::Kept));
        if offset(&store, &id) == bytes.len() {
            results.push(store.turn(&id).unwrap().commit().map(drop));
        }
        let reached = !fault::set(None);
        if !reached {
            assert!(
                results.iter().all(Result::is_ok) && call > 30,
                "call {call}: {results:?}"
            );
            assert_eq!(model(&store), bytes);
            return;
        }
        let told = store
            .turn(&id)
            .map(|turn| (turn.offset(), turn.done().is_some()));
        check(&directory, &id, &bytes, told.ok(), call);
    }
}

/// Whether a copy of a directory can go on with what was told.
fn check(directory: &TempDir, id: &str, bytes: &[u8], told: Option<(u64, bool)>, call: u32) {
    let copy = tempfile::tempdir().unwrap();
    for path in left(directory).into_iter().chain(files(directory.path())) {
        let to = copy
            .path()
            .join(path.strip_prefix(directory.path()).unwrap());
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        if path.is_file() {
            fs::copy(path, to).unwrap();
        }
    }
    let store = open(&copy);
    let Some((offset, false)) = told else {
        // It is a model, though the very last fsync may have failed; then nothing is left of it.
        assert_eq!(model(&store), bytes, "call {call}");
        // Whoever was not told what came of it asks, also after a sudden end.
        if told.is_some() {
            let done = store.turn(id).unwrap().done();
            assert_eq!(done, Some(Digest::of(bytes)), "call {call}");
        }
        return;
    };
    let found = self::offset(&store, id);
    assert!(
        found as u64 >= offset,
        "call {call}: {offset} was told, {found} is there"
    );
    assert_eq!(kept(&copy, id)[..found], bytes[..found], "call {call}");
    append(&store, id, &bytes[found..], AppendMode::Kept).unwrap();
    store.turn(id).unwrap().commit().unwrap();
    assert_eq!(model(&store), bytes, "call {call}");
}

#[test]
fn a_piece_with_a_digest_counts_as_a_whole_or_not_at_all() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory);
    let (id, bytes) = (begin(&store), noise(3000));
    append(&store, &id, &bytes[..500], AppendMode::Kept).unwrap();
    let wrong = AppendMode::Whole(Digest::of(b"other"));
    assert_eq!(
        kind(append(&store, &id, &bytes[500..], wrong)),
        ErrorKind::Integrity
    );
    assert_eq!(offset(&store, &id), 500);
    assert_eq!(kept(&directory, &id).len(), 500);
    let right = AppendMode::Whole(Digest::of(&bytes[500..]));
    append(&store, &id, &bytes[500..], right).unwrap();
    assert_eq!(
        store.turn(&id).unwrap().commit().unwrap().model.digest,
        Some(Digest::of(&bytes))
    );
}

#[test]
fn the_newest_request_takes_over() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory);
    let (id, bytes) = (begin(&store), noise(3000));
    let (interrupt, interrupted) = channel();
    let call: Interrupt = Box::new(move || interrupt.send(()).unwrap());
    std::thread::scope(|scope| {
        let mut turn = store.turn(&id).unwrap();
        let mut append = turn.append(AppendMode::Kept, Some(call)).unwrap();
        append.write(&bytes[..700]).unwrap();
        let newer = scope.spawn(|| offset(&store, &id));
        interrupted.recv().unwrap();
        // What it still reads is not its own business any more.
        let error = append.write(&bytes[700..]).unwrap_err();
        assert_eq!(append.cut(error).kind(), ErrorKind::Conflict);
        drop(turn);
        assert_eq!(newer.join().unwrap(), 700);
    });
    append(&store, &id, &bytes[700..], AppendMode::Kept).unwrap();
    store.turn(&id).unwrap().commit().unwrap();
    assert_eq!(model(&store), bytes);
}

#[test]
fn there_are_only_so_many_of_so_many_bytes_for_so_long() {
    let directory = tempfile::tempdir().unwrap();
    let few = StoreOptions {
        uploads_max: 4,
        uploads_bytes_max: 2000,
        ..options()
    };
    let store = Store::open(directory.path(), few.clone()).unwrap();
    let sized = |length| UploadIntent {
        length: Some(length),
        ..UploadIntent::new(name())
    };
    let one = store.begin(sized(600)).unwrap().id().to_string();
    assert_eq!(kind(store.begin(sized(401))), ErrorKind::NoSpace);
    let two = begin(&store);
    assert_eq!(
        kind(append(&store, &two, &noise(401), AppendMode::Kept)),
        ErrorKind::NoSpace
    );
    append(
        &store,
        &two,
        &noise(400)[offset(&store, &two)..],
        AppendMode::Kept,
    )
    .unwrap();
    assert_eq!(kind(store.begin(sized(0))), ErrorKind::Busy);
    store.turn(&one).unwrap().remove().unwrap();
    assert_eq!(kind(store.turn(&one)), ErrorKind::NotFound);
    let three = begin(&store);
    drop(store);
    // Nobody goes on with them.
    let brief = StoreOptions {
        upload_age_max: Duration::ZERO,
        ..few
    };
    let store = Store::open(directory.path(), brief).unwrap();
    for id in [two, three] {
        assert_eq!(kind(store.turn(&id)), ErrorKind::NotFound);
    }
    assert_eq!(left(&directory), [""; 0].map(PathBuf::from));
}

#[test]
fn one_principal_leaves_places_and_bytes_to_others() {
    let directory = tempfile::tempdir().unwrap();
    let few = StoreOptions {
        uploads_max: 4,
        uploads_bytes_max: 1000,
        ..options()
    };
    let of = |principal: &str, length| UploadIntent {
        length: Some(length),
        principal: Some(principal.to_owned()),
        ..UploadIntent::new(name())
    };

    let store = Store::open(directory.path(), few.clone()).unwrap();
    assert_eq!(kind(store.begin(of("a", 501))), ErrorKind::NoSpace);
    store.begin(of("a", 500)).unwrap();
    assert_eq!(kind(store.begin(of("a", 1))), ErrorKind::NoSpace);
    store.begin(of("a", 0)).unwrap();
    drop(store);

    // A restart makes nobody of them.
    let store = Store::open(directory.path(), few).unwrap();
    let error = store.begin(of("a", 0)).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Busy);
    assert!(
        error.message().starts_with("you have 2 unfinished"),
        "{error}"
    );
    store.begin(of("b", 500)).unwrap();
}

#[test]
fn what_came_of_an_upload_is_told_however_many_others_send() {
    let directory = tempfile::tempdir().unwrap();
    let few = StoreOptions {
        uploads_max: 4,
        ..options()
    };
    let store = Store::open(directory.path(), few).unwrap();
    let done = |principal: &str| {
        let order = UploadIntent {
            principal: Some(principal.to_owned()),
            ..UploadIntent::new(name())
        };
        let mut turn = store.begin(order).unwrap();
        turn.commit().unwrap();
        turn.id().to_string()
    };

    let first = done("b");
    let others: Vec<_> = (0..6).map(|_| done("a")).collect();
    done("b");
    assert!(store.turn(&first).unwrap().done().is_some());
    assert_eq!(kind(store.turn(&others[0])), ErrorKind::NotFound);
}

#[test]
fn what_a_later_request_tells_is_kept_and_counts() {
    let (directory, bytes) = (tempfile::tempdir().unwrap(), noise(1500));
    let store = open(&directory);
    let id = begin(&store);
    append(&store, &id, &bytes, AppendMode::Kept).unwrap();
    let amend = |length, digest| store.turn(&id).unwrap().amend(length, digest);
    amend(None, Some(Digest::of(b"other"))).unwrap();
    amend(Some(1500), None).unwrap();
    assert_eq!(
        kind(amend(None, Some(Digest::of(&bytes)))),
        ErrorKind::BadRequest
    );
    // A length that is known stays.
    amend(Some(7), None).unwrap();
    drop(store);

    let store = open(&directory);
    let order = store.turn(&id).unwrap().order().clone();
    assert_eq!(order.length, Some(1500));
    assert_eq!(order.digest, Some(Digest::of(b"other")));
    assert_eq!(
        kind(store.turn(&id).unwrap().commit()),
        ErrorKind::Integrity
    );
}

#[test]
fn an_upload_leaves_the_reserve_of_the_disk_alone_while_it_grows() {
    let (directory, bytes) = (tempfile::tempdir().unwrap(), noise(9000));
    let reserve = 1 << 20;
    let few = StoreOptions {
        reserve_bytes: reserve,
        ..options()
    };
    let store = Store::open(directory.path(), few).unwrap();
    fault::set_free_bytes(Some(reserve + 9000));
    let id = begin(&store);
    append(&store, &id, &bytes[..3000], AppendMode::Kept).unwrap();

    // Others have filled the disk meanwhile. At most one step is written yet, and none of it is lost.
    fault::set_free_bytes(Some(reserve - 1));
    let refused = append(&store, &id, &bytes[3000..], AppendMode::Kept);
    assert_eq!(kind(refused), ErrorKind::NoSpace);
    let told = offset(&store, &id);
    assert!((3000..=4000).contains(&told), "{told}");

    fault::set_free_bytes(Some(reserve + 9000));
    append(&store, &id, &bytes[told..], AppendMode::Kept).unwrap();
    store.turn(&id).unwrap().commit().unwrap();
    fault::set_free_bytes(None);
    assert_eq!(model(&store), bytes);
}

#[test]
fn a_journal_that_may_say_either_is_written_again_and_only_then() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory);
    let turn = store.begin(UploadIntent::new(name())).unwrap();
    let files = turn.files();
    drop(turn);

    let journalled = || UploadState::load(&files).unwrap().offset;
    let mut state = UploadState::new(UploadIntent::new(name()));
    state.offset = 5;
    fault::set(Some(0));
    state.save(&files).unwrap_err();
    assert!(!fault::set(None) && !state.is_journalled());
    assert_eq!(journalled(), 0);
    state.save_again(&files).unwrap();
    assert!(state.is_journalled());
    assert_eq!(journalled(), 5);

    // What it surely says costs no write.
    state.offset = 6;
    state.save_again(&files).unwrap();
    assert_eq!(journalled(), 5);
}

#[test]
fn an_upload_is_done_after_a_sudden_end_only_if_its_model_is_there() {
    let done = |bytes: &[u8], is_in_set: bool| {
        let directory = tempfile::tempdir().unwrap();
        let store = open(&directory);
        let request = ChangeRequest {
            root: None,
            principal: None,
        };
        let change = store.begin_change(request).unwrap();
        let turn = store.begin(UploadIntent::new(name())).unwrap();
        let (id, files) = (turn.id().to_string(), turn.files());
        drop(turn);

        // The end came between the rename and the last line of the journal.
        let mut state = UploadState::new(UploadIntent {
            change: is_in_set.then_some(change),
            ..UploadIntent::new(name())
        });
        state.offset = 10;
        state.stage = UploadStage::Finishing(Digest::of(b"ten bytes!"));
        state.save(&files).unwrap();
        files.bytes().unwrap().remove().unwrap();
        fs::write(directory.path().join("m"), bytes).unwrap();
        drop(store);

        let store = open(&directory);
        store.turn(&id).map(|turn| turn.done()).ok()
    };
    let digest = Digest::of(b"ten bytes!");
    assert_eq!(done(b"ten bytes!", false), Some(Some(digest)));
    assert_eq!(done(b"another one", false), None);
    // What a change set has, its own journal tells.
    assert_eq!(done(b"ten bytes!", true), None);
}

#[test]
fn uploads_into_a_change_set_go_with_it() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory);
    let [gone, other] = [(); 2].map(|()| {
        let request = ChangeRequest {
            root: None,
            principal: None,
        };
        store.begin_change(request).unwrap()
    });
    let [of_gone, of_other, of_none] = [Some(gone), Some(other), None].map(|change| {
        let order = UploadIntent {
            change,
            ..UploadIntent::new(name())
        };
        store.begin(order).unwrap().id().to_string()
    });

    store.catalog().pending.forget_change(gone);
    assert_eq!(kind(store.turn(&of_gone)), ErrorKind::NotFound);
    assert_eq!(left(&directory).len(), 4);
    for id in [of_other, of_none] {
        assert!(store.turn(&id).is_ok());
    }
}

#[test]
fn an_upload_that_is_gone_is_removed_once_more_without_a_word() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory);
    let turn = store.begin(UploadIntent::new(name())).unwrap();
    let files = turn.files();
    turn.remove().unwrap();
    files.remove().unwrap();
    assert_eq!(left(&directory), [""; 0].map(PathBuf::from));
}

#[test]
fn an_upload_that_met_a_full_disk_goes_on_with_the_right_digest() {
    let directory = tempfile::tempdir().unwrap();
    let full = StoreOptions {
        uploads_bytes_max: 200_000,
        ..StoreOptions::default()
    };
    let store = Store::open(directory.path(), full).unwrap();
    let (id, bytes) = (begin(&store), noise(150_000));
    append(&store, &id, &bytes[..10_000], AppendMode::Kept).unwrap();
    assert_eq!(
        kind(append(&store, &id, &bytes[10_000..], AppendMode::Kept)),
        ErrorKind::NoSpace
    );
    // A little was given back, so that the journal could be written.
    let told = offset(&store, &id);
    assert_eq!((told, kept(&directory, &id).len()), (34_464, 34_464));
    append(&store, &id, &bytes[told..100_000], AppendMode::Kept).unwrap();
    let digest = Digest::of(&bytes[..100_000]);
    assert_eq!(
        store.turn(&id).unwrap().commit().unwrap().model.digest,
        Some(digest)
    );
    assert!(model(&store) == bytes[..100_000]);
}

#[test]
fn an_upload_is_over_once_it_is_a_model_or_can_be_none() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory);
    let intent = |digest: &[u8]| UploadIntent {
        digest: Some(Digest::of(digest)),
        ..UploadIntent::new(name())
    };
    for (digest, is_model) in [(&b"bytes"[..], true), (b"other", false)] {
        let id = store.begin(intent(digest)).unwrap().id().to_string();
        append(&store, &id, b"bytes", AppendMode::Kept).unwrap();
        let mut turn = store.turn(&id).unwrap();
        assert!(!turn.is_over());
        assert_eq!(turn.commit().is_ok(), is_model);
        assert!(turn.is_over());
    }
}
