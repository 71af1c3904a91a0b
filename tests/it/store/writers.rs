// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Eight writers of one name and four readers: every read is one complete version.
//!
//! It takes 2 s; `SKEP_TEST_SECONDS=30` makes it longer.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::process::{digest, noise};
use crate::support::served::Served;
use skep::Password;
use skep::client::{Client, ClientOptions, Payload};

const WRITERS: u64 = 8;

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
    let end = Instant::now() + Duration::from_secs(seconds.unwrap_or(1));
    let server = Served::start(arguments);
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
            let (client, writes) = (&client, &writes);
            scope.spawn(move || {
                let mut client = client();
                // Some are kept in memory, some are too large for it.
                let length = 1000 + usize::try_from(writer * writer).unwrap() * 50_000;
                let mut round = 0;
                while Instant::now() < end {
                    round += 1;
                    put(&mut client, &version(writer * 1_000_000 + round, length));
                    writes.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        for _ in 0..4 {
            scope.spawn(|| {
                let mut client = client();
                while Instant::now() < end {
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
