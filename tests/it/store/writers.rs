// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Eight writers of one name and four readers: every read is one complete version.
//!
//! Each writes 25 times; `SKEP_TEST_SECONDS=30` makes it a matter of time.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::process::{digest, noise};
use crate::support::served::Served;
use skep::Password;
use skep::client::{Client, ClientOptions, Payload};

const WRITERS: u64 = 8;

/// How often each writes, if no time is given.
const ROUNDS: u64 = 25;

/// Bytes that begin with the digest of the rest, so that each version proves itself.
fn version(seed: u64, length: usize) -> Vec<u8> {
    let rest = noise(seed, length);
    [digest(&rest).into_bytes(), rest].concat()
}

#[track_caller]
fn is_whole(bytes: &[u8]) {
    let (head, rest) = bytes.split_at("sha256:".len() + 64);
    assert!(
        head == digest(rest).as_bytes(),
        "a mixture of {} bytes",
        bytes.len()
    );
}

fn client(url: &str, password: &str) -> Client {
    let mut options = ClientOptions::new(url.parse().unwrap());
    options.password = Some(Password::new(password).unwrap());
    Client::new(options).unwrap()
}

fn race(arguments: &[&str]) {
    let seconds = std::env::var("SKEP_TEST_SECONDS")
        .ok()
        .and_then(|text| text.parse().ok());
    let server = Served::start(arguments);
    // Rounds and not time, so that a busy machine does as much as an idle one.
    let end = seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds));
    let goes_on = |round: u64| match end {
        Some(end) => Instant::now() < end,
        None => round < ROUNDS,
    };
    let writing = AtomicU64::new(WRITERS);
    let (url, password) = (server.url.clone(), server.password());
    let client = || client(&url, &password);
    let (writes, reads) = (AtomicU64::new(0), AtomicU64::new(0));
    let put = |client: &mut Client, bytes: &[u8]| {
        let answer = client
            .request("PUT", "/v1/models/m", &[], Payload::Bytes(bytes))
            .unwrap();
        let status = answer.status();
        answer.read_all(10_000).unwrap();
        assert!(matches!(status, 200 | 201), "{status}");
    };
    put(&mut client(), &version(0, 1000));
    thread::scope(|scope| {
        for writer in 0..WRITERS {
            let (client, writes, writing, goes_on) = (&client, &writes, &writing, &goes_on);
            scope.spawn(move || {
                let mut client = client();
                // Some are kept in memory, some are too large for it.
                let length = 1000 + usize::try_from(writer * writer).unwrap() * 50_000;
                let mut round = 0;
                while goes_on(round) {
                    round += 1;
                    put(&mut client, &version(writer * 1_000_000 + round, length));
                    writes.fetch_add(1, Ordering::Relaxed);
                }
                writing.fetch_sub(1, Ordering::SeqCst);
            });
        }
        for _ in 0..4 {
            scope.spawn(|| {
                let mut client = client();
                // Each reads at least once, and as long as anybody writes.
                let mut is_first = true;
                while std::mem::take(&mut is_first) || writing.load(Ordering::SeqCst) > 0 {
                    let answer = client.request("GET", "/v1/models/m", &[], Payload::Empty);
                    let answer = answer.unwrap();
                    assert_eq!(answer.status(), 200);
                    let tag = answer.field("etag").unwrap().to_owned();
                    let bytes = answer.read_all(8 << 20).unwrap();
                    is_whole(&bytes);
                    let digest = digest(&bytes).replace(':', "-");
                    assert!(
                        tag == format!("\"{digest}\"") || tag.starts_with("W/"),
                        "{tag}"
                    );
                    reads.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    let (writes, reads) = (writes.into_inner(), reads.into_inner());
    println!("{arguments:?}: {writes} writes, {reads} reads");
    assert!(
        writes >= WRITERS && reads >= 4,
        "{writes} writes, {reads} reads"
    );
    assert_eq!(server.parts(), 0);
    is_whole(&std::fs::read(server.dir.join("m")).unwrap());
    server.stop().exits(0);
}

#[test]
fn readers_of_a_contended_name_get_whole_versions() {
    // With a worker for each writer, so that none is told to come back.
    race(&["--plain", "--workers", "12"]);
    race(&["--plain", "--workers", "12", "--keep-versions", "2"]);
}
