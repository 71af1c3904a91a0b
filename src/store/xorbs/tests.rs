// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Uploads by xet on real files: what is put together, what is refused, what goes and when.

use std::fs;
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::time::{Duration, Instant};

use crate::digest::Digest;
use crate::formats::xet::XorbHash;
use crate::formats::xet::xet_made::*;
use crate::store::*;
use crate::threads::lock;

fn options() -> StoreOptions {
    StoreOptions {
        reserve_bytes: 0,
        clock_tick: Duration::ZERO,
        ..StoreOptions::default()
    }
}

fn open_as(directory: &Path, change: impl FnOnce(&mut StoreOptions)) -> Store {
    let mut options = options();
    change(&mut options);
    Store::open(directory, options).unwrap()
}

fn open(directory: &Path) -> Store {
    open_as(directory, |_| {})
}

fn session() -> XetSessionId {
    XetSessionId::random().unwrap()
}

fn upload(session: XetSessionId, size: usize) -> XetUpload {
    XetUpload {
        session,
        sender: Some("me".to_owned()),
        size: size as u64,
    }
}

/// A hash in paths, of a byte.
fn name(byte: u8) -> XorbHash {
    let mut words = hash(byte);
    words.chunks_exact_mut(8).for_each(<[u8]>::reverse);
    Digest::from_bytes(words).to_string().parse().unwrap()
}

fn send(store: &Store, id: XetSessionId, byte: u8, xorb: &[u8]) -> Result<bool> {
    let mut sent = store.begin_xorb(name(byte), upload(id, xorb.len()))?;
    // In pieces, as a connection brings them.
    for piece in xorb.chunks(997) {
        sent.write_all(piece)?;
    }
    sent.keep()
}

fn send_shard(store: &Store, id: XetSessionId, shard: &[u8]) -> Result<usize> {
    let mut sent = store.begin_shard(upload(id, shard.len()))?;
    sent.write_all(shard)?;
    sent.put_together(1 << 20)
}

/// The row of a SHA-256.
fn digest_row(digest: Digest) -> [u8; 32] {
    let mut words = *digest.as_bytes();
    words.chunks_exact_mut(8).for_each(<[u8]>::reverse);
    words
}

/// A xorb, bytes, the first chunk and the end.
type Segment = (u8, u32, u32, u32);

/// A shard of one file, by its digest and its segments.
fn shard_of(file: &[u8], segments: &[Segment]) -> Vec<u8> {
    let count = u32::try_from(segments.len()).unwrap();
    let mut shard = ShardMade::new().row(hash(9), [DIGEST, count, 0, 0]);
    for (xorb, bytes, first, end) in segments {
        shard = shard.row(hash(*xorb), [0, *bytes, *first, *end]);
    }
    shard.row(digest_row(Digest::of(file)), [0; 4]).end()
}

fn read(store: &Store, digest: Digest) -> Option<Vec<u8>> {
    let opened = store.open_object(digest).unwrap()?;
    let StoredContent::File(mut file) = opened.content else {
        panic!("an object is in memory");
    };
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).unwrap();
    Some(bytes)
}

fn left(directory: &Path) -> usize {
    let sessions = fs::read_dir(directory.join(".skep/xet"));
    let sessions = sessions.into_iter().flatten().flatten();
    let count = |path: &Path| fs::read_dir(path).unwrap().count();
    sessions.map(|entry| count(&entry.path())).sum()
}

fn parts(directory: &Path) -> usize {
    fs::read_dir(directory.join(".skep/parts")).unwrap().count()
}

fn commit(store: &Store, name: &str, digest: Digest) {
    let id = store.begin_change(ChangeRequest::default()).unwrap();
    let name = name.parse().unwrap();
    let staged = store.stage_known(id, &name, digest, Metadata::default(), None);
    staged.unwrap();
    store.commit_change(id, Others::Keep, None).unwrap();
}

#[track_caller]
fn refused<T>(result: Result<T>, kind: ErrorKind, words: &str) {
    let error = result.map(drop).expect_err(words);
    let told = error.to_string();
    assert_eq!(error.kind(), kind, "{told}");
    assert!(told.contains(words), "{told}");
}

/// Three chunks of each kind: 300, 400 and 501 bytes.
fn xorb_of(plain: &[u8]) -> Vec<u8> {
    let (first, rest) = plain.split_at(300);
    let (second, third) = rest.split_at(400);
    [
        chunk(0, first, 300),
        chunk(1, &lz4(second), 400),
        chunk(2, &lz4(&in_planes(third)), third.len()),
    ]
    .concat()
}

#[test]
fn a_file_is_put_together_from_chunks_of_several_xorbs() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let plain = pattern(1201);
    let id = session();
    assert!(send(&store, id, 1, &xorb_of(&plain)).unwrap());
    assert!(send(&store, id, 2, &chunk(0, b"other", 5)).unwrap());
    // Once more is no harm.
    assert!(!send(&store, id, 1, &xorb_of(&plain)).unwrap());
    assert_eq!(left(directory.path()), 2);

    let file = [&plain[300..], b"other", &plain[..700]].concat();
    let segments = [(1, 901, 1, 3), (2, 5, 0, 1), (1, 700, 0, 2)];
    let digest = Digest::of(&file);
    let shard = shard_of(&file, &segments);
    assert_eq!(send_shard(&store, id, &shard).unwrap(), 1);
    assert_eq!(read(&store, digest), Some(file));
    // A shard that is sent again, as after a lost answer, finds it.
    assert_eq!(send_shard(&store, id, &shard).unwrap(), 0);
    assert_eq!(parts(directory.path()), 0);

    // It has no name, and is that of its sender, until a commit names it; then all of the session goes.
    assert_eq!(store.object_size(digest, Some("other")), None);
    assert_eq!(left(directory.path()), 2);
    commit(&store, "m", digest);
    assert_eq!(left(directory.path()), 0);
    assert!(store.find(&"m".parse().unwrap()).is_ok());
}

#[test]
fn a_session_stays_while_one_of_its_files_has_no_name() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let id = session();
    send(
        &store,
        id,
        1,
        &[chunk(0, b"a", 1), chunk(0, b"b", 1)].concat(),
    )
    .unwrap();
    send_shard(&store, id, &shard_of(b"a", &[(1, 1, 0, 1)])).unwrap();
    send_shard(&store, id, &shard_of(b"b", &[(1, 1, 1, 2)])).unwrap();
    commit(&store, "a", Digest::of(b"a"));
    assert_eq!(left(directory.path()), 1);
    // There may be more shards.
    send_shard(&store, id, &shard_of(b"ab", &[(1, 2, 0, 2)])).unwrap();
    commit(&store, "b", Digest::of(b"b"));
    assert_eq!(left(directory.path()), 1);
    commit(&store, "ab", Digest::of(b"ab"));
    assert_eq!(left(directory.path()), 0);
}

#[test]
fn a_session_that_goes_on_after_its_commit_stays() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let (id, other) = (session(), session());
    send(&store, id, 1, &chunk(0, b"a", 1)).unwrap();
    send_shard(&store, id, &shard_of(b"a", &[(1, 1, 0, 1)])).unwrap();
    send(&store, other, 2, &chunk(0, b"b", 1)).unwrap();
    send_shard(&store, other, &shard_of(b"b", &[(2, 1, 0, 1)])).unwrap();

    // Something comes while its only file gets a name.
    let held = store.begin_xorb(name(3), upload(id, 1)).unwrap();
    commit(&store, "a", Digest::of(b"a"));
    drop(held);
    assert_eq!(left(directory.path()), 2);
    send(&store, id, 3, &chunk(0, b"c", 1)).unwrap();
    commit(&store, "b", Digest::of(b"b"));
    assert_eq!(left(directory.path()), 2);
    send_shard(&store, id, &shard_of(b"c", &[(3, 1, 0, 1)])).unwrap();
    commit(&store, "c", Digest::of(b"c"));
    assert_eq!(left(directory.path()), 0);
}

#[test]
fn a_xorb_that_comes_twice_at_one_time_counts_once() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let (id, xorb) = (session(), chunk(0, b"a", 1));
    let begin = || store.begin_xorb(name(1), upload(id, xorb.len())).unwrap();
    let (mut first, mut second) = (begin(), begin());
    first.write_all(&xorb).unwrap();
    second.write_all(&xorb).unwrap();
    assert!(second.keep().unwrap());
    assert!(!first.keep().unwrap());
    let cleared = store
        .catalog()
        .clear_xorbs(Duration::ZERO, ClearMode::Count);
    assert_eq!((cleared.files, cleared.bytes), (1, 17));
    assert_eq!(parts(directory.path()), 0);
}

#[test]
fn what_cannot_become_the_file_that_it_says_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let plain = pattern(1201);
    let id = session();
    send(&store, id, 1, &xorb_of(&plain)).unwrap();
    let whole = Digest::of(&plain);

    let cases: &[(&[Segment], &str)] = &[
        (&[(2, 1201, 0, 3)], "were not sent"),
        (&[(1, 1201, 0, 4)], "were not sent"),
        (&[(1, 1201, 3, 4)], "were not sent"),
        (&[(1, 1201, 0, u32::MAX)], "were not sent"),
        (&[(1, 1200, 0, 3)], "another number of bytes"),
        (&[(1, 1202, 0, 3)], "another number of bytes"),
        (&[(1, 300, 0, 1), (2, 901, 1, 3)], "were not sent"),
        (&[(1, 0, 0, 3)], "no chunks"),
    ];
    for (segments, words) in cases {
        let sent = send_shard(&store, id, &shard_of(&plain, segments));
        refused(sent, ErrorKind::BadRequest, words);
    }
    let wrong = send_shard(&store, id, &shard_of(b"others", &[(1, 1201, 0, 3)]));
    refused(wrong, ErrorKind::Integrity, "was expected");
    let large = send_shard(&store, id, &shard_of(&plain, &[(1, 1 << 21, 0, 3)]));
    refused(large, ErrorKind::TooLarge, "larger than this server takes");
    let nameless = ShardMade::new()
        .row(hash(9), [0, 1, 0, 0])
        .row(hash(1), [0, 1201, 0, 3])
        .end();
    refused(
        send_shard(&store, id, &nameless),
        ErrorKind::BadRequest,
        "no SHA-256",
    );
    refused(
        send_shard(&store, id, b"none"),
        ErrorKind::BadRequest,
        "the shard cannot be read",
    );

    // Those of another session do not count, and nothing is left of all this.
    let other = send_shard(&store, session(), &shard_of(&plain, &[(1, 1201, 0, 3)]));
    refused(other, ErrorKind::BadRequest, "were not sent");
    assert_eq!(store.object_size(whole, None), None);
    assert_eq!((parts(directory.path()), left(directory.path())), (0, 1));

    // A chunk that is damaged is told when it is needed.
    let mut damaged = xorb_of(&plain);
    damaged[320] ^= 0xff;
    send(&store, id, 3, &damaged).unwrap();
    let sent = send_shard(&store, id, &shard_of(&plain, &[(3, 1201, 0, 3)]));
    refused(sent, ErrorKind::BadRequest, "a xorb cannot be read");

    send_shard(&store, id, &shard_of(&plain, &[(1, 1201, 0, 3)])).unwrap();
    assert_eq!(read(&store, whole), Some(plain));
}

#[test]
fn what_is_no_xorb_is_refused_while_it_comes() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let id = session();
    let xorb = xorb_of(&pattern(1201));
    let sent = send(&store, id, 1, &xorb[..xorb.len() - 1]);
    refused(sent, ErrorKind::BadRequest, "cut within a chunk");
    refused(
        send(&store, id, 1, &[7; 5000]),
        ErrorKind::BadRequest,
        "unknown version",
    );
    refused(send(&store, id, 1, b""), ErrorKind::BadRequest, "no chunks");

    let mut sent = store.begin_xorb(name(1), upload(id, 10)).unwrap();
    let longer = sent.write_all(&chunk(0, b"abc", 3)).map_err(Error::from);
    refused(
        longer,
        ErrorKind::BadRequest,
        "longer than it was announced",
    );
    drop(sent);
    let mut shard = store.begin_shard(upload(id, 10)).unwrap();
    let longer = shard.write_all(&[0; 11]).map_err(Error::from);
    refused(
        longer,
        ErrorKind::BadRequest,
        "longer than it was announced",
    );
    drop(shard);
    assert_eq!((parts(directory.path()), left(directory.path())), (0, 0));

    // What older clients put behind the chunks is not kept.
    let mut tabled = xorb.clone();
    tabled.extend(b"XETBLOB\0");
    tabled.extend([7; 500]);
    send(&store, id, 1, &tabled).unwrap();
    let file = pattern(1201);
    send_shard(&store, id, &shard_of(&file, &[(1, 1201, 0, 3)])).unwrap();
    let path = fs::read_dir(directory.path().join(".skep/xet"))
        .unwrap()
        .next();
    let path = path.unwrap().unwrap().path().join(name(1).to_string());
    assert_eq!(fs::metadata(path).unwrap().len(), xorb.len() as u64 + 16);
}

fn of(session: XetSessionId, size: u64, sender: &str) -> XetUpload {
    XetUpload {
        session,
        sender: Some(sender.to_owned()),
        size,
    }
}

#[test]
fn bytes_are_bounded_and_half_of_them_is_for_others() {
    let directory = tempfile::tempdir().unwrap();
    let store = open_as(directory.path(), |options| options.uploads_bytes_max = 100);
    let (mine, others) = (session(), session());
    let begin = |id, size, sender| store.begin_xorb(name(2), of(id, size, sender)).map(drop);

    // What is under way counts, in all sessions together, also for a shard.
    let first = store.begin_xorb(name(1), of(mine, 30, "me")).unwrap();
    refused(
        begin(mine, 21, "me"),
        ErrorKind::NoSpace,
        "sent of one caller",
    );
    refused(
        begin(session(), 21, "me"),
        ErrorKind::NoSpace,
        "sent of one caller",
    );
    begin(mine, 20, "me").unwrap();
    drop(first);
    begin(mine, 50, "me").unwrap();

    // What has come counts with its table: 10 bytes, a header and two places.
    send(&store, mine, 1, &chunk(0, &[7; 10], 10)).unwrap();
    refused(
        begin(mine, 25, "me"),
        ErrorKind::NoSpace,
        "25 bytes do not fit",
    );
    let shard = store.begin_shard(of(mine, 25, "me")).map(drop);
    refused(shard, ErrorKind::NoSpace, "25 bytes do not fit");
    begin(mine, 24, "me").unwrap();
    let second = store.begin_xorb(name(3), of(others, 50, "other")).unwrap();
    refused(
        begin(session(), 25, "third"),
        ErrorKind::NoSpace,
        "of all callers",
    );
    drop(second);
}

#[test]
fn sessions_and_xorbs_are_bounded_and_half_of_them_is_for_others() {
    let directory = tempfile::tempdir().unwrap();
    let store = open_as(directory.path(), |options| {
        options.uploads_max = 4;
        options.change_files_max = 6;
    });
    let ids = [session(), session(), session(), session()];
    let begin = |id, sender| store.begin_xorb(name(9), of(id, 1, sender));
    drop(begin(ids[0], "me").unwrap());
    drop(begin(ids[1], "me").unwrap());
    refused(
        begin(ids[2], "me"),
        ErrorKind::Busy,
        "too many uploads by xet",
    );
    drop(begin(ids[2], "other").unwrap());
    drop(begin(ids[3], "third").unwrap());
    refused(
        begin(session(), "fourth"),
        ErrorKind::Busy,
        "too many uploads by xet",
    );
    // Those that there are go on, but nobody goes on with that of somebody else.
    drop(begin(ids[3], "third").unwrap());
    refused(begin(ids[3], "me"), ErrorKind::NotFound, "somebody else");

    for byte in 1..4 {
        send(&store, ids[0], byte, &chunk(0, b"a", 1)).unwrap();
    }
    refused(
        begin(ids[0], "me"),
        ErrorKind::NoSpace,
        "sent of one caller",
    );
    let _held = [(); 3].map(|()| begin(ids[2], "other").unwrap());
    refused(begin(ids[3], "third"), ErrorKind::NoSpace, "of all callers");
}

/// Has a session be one that nobody has gone on with for so long.
fn age(store: &Store, id: XetSessionId, idle: Duration) {
    let mut sessions = lock(&store.catalog().xet_sessions.0);
    let used = Instant::now()
        .checked_sub(idle)
        .expect("a clock that began before");
    sessions.get_mut(&id).unwrap().used = used;
}

#[test]
fn a_session_that_nobody_goes_on_with_makes_room() {
    let directory = tempfile::tempdir().unwrap();
    let store = open_as(directory.path(), |options| {
        options.uploads_max = 2;
        options.upload_age_max = Duration::from_secs(1200);
    });
    let begin = |id| store.begin_xorb(name(9), of(id, 1, "me"));
    let (left_alone, next) = (session(), session());
    send(&store, left_alone, 1, &chunk(0, b"a", 1)).unwrap();
    age(&store, left_alone, Duration::from_secs(590));
    refused(begin(next), ErrorKind::Busy, "too many");
    age(&store, left_alone, Duration::from_secs(600));
    drop(begin(next).unwrap());
    assert_eq!(left(directory.path()), 0);

    // One that is at work does not.
    let held = begin(next).unwrap();
    age(&store, next, Duration::from_secs(600));
    refused(begin(session()), ErrorKind::Busy, "too many");
    drop(held);
}

#[test]
fn a_session_that_nobody_needs_the_room_of_stays_as_long_as_uploads_do() {
    let directory = tempfile::tempdir().unwrap();
    let store = open_as(directory.path(), |options| {
        options.upload_age_max = Duration::from_secs(1200);
    });
    let next = session();
    send(&store, next, 1, &chunk(0, b"a", 1)).unwrap();
    age(&store, next, Duration::from_secs(1199));
    drop(
        store
            .begin_xorb(name(9), of(session(), 1, "other"))
            .unwrap(),
    );
    assert_eq!(left(directory.path()), 1);
    age(&store, next, Duration::from_secs(1200));
    let _ = store.begin_xorb(name(9), of(session(), 1, "other"));
    assert_eq!(left(directory.path()), 0);
}

#[test]
fn what_is_left_is_counted_and_freed() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let id = session();
    send(&store, id, 1, &chunk(0, b"a", 1)).unwrap();
    let held = store.begin_xorb(name(2), upload(id, 1)).unwrap();
    let mut request = ClearRequest {
        keep: 1,
        idle_min: Duration::ZERO,
        mode: ClearMode::Count,
    };
    let mut clear = |mode, idle_min| {
        request.mode = mode;
        request.idle_min = idle_min;
        let uploads = store.clear(&request).unwrap().uploads;
        (uploads.files, uploads.bytes)
    };
    assert_eq!(clear(ClearMode::Remove, Duration::ZERO), (0, 0));
    drop(held);
    assert_eq!(clear(ClearMode::Remove, Duration::from_secs(3600)), (0, 0));
    assert_eq!(clear(ClearMode::Count, Duration::ZERO), (1, 17));
    assert_eq!(left(directory.path()), 1);
    assert_eq!(clear(ClearMode::Remove, Duration::ZERO), (1, 17));
    assert_eq!(
        fs::read_dir(directory.path().join(".skep/xet"))
            .unwrap()
            .count(),
        0
    );
    let sent = send_shard(&store, id, &shard_of(b"a", &[(1, 1, 0, 1)]));
    refused(sent, ErrorKind::BadRequest, "were not sent");
}

#[test]
fn a_start_removes_what_was_sent_before_and_nothing_else() {
    let directory = tempfile::tempdir().unwrap();
    let outside = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let id = session();
    send(&store, id, 1, &chunk(0, b"a", 1)).unwrap();
    drop(store);

    let room = directory.path().join(".skep/xet");
    fs::write(outside.path().join(name(1).to_string()), "mine").unwrap();
    let link = room.join(session().to_string());
    std::os::unix::fs::symlink(outside.path(), &link).unwrap();
    let strange = room.join("strange");
    fs::create_dir(&strange).unwrap();
    fs::write(strange.join(name(1).to_string()), "mine").unwrap();
    let store = open(directory.path());
    assert!(!room.join(id.to_string()).exists());
    assert!(outside.path().join(name(1).to_string()).exists());
    assert!(strange.join(name(1).to_string()).exists());
    send(&store, session(), 1, &chunk(0, b"a", 1)).unwrap();
    drop(store);

    // One that is served read-only changes nothing.
    let count = left(directory.path());
    let store = open_as(directory.path(), |options| options.read_only = true);
    assert_eq!(left(directory.path()), count);
    let sent = store.begin_xorb(name(1), upload(session(), 1));
    refused(sent, ErrorKind::Forbidden, "read-only");
}
