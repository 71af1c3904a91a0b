// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A disk that fails the client at the Nth call, for every N: a clear error, old bytes or new bytes, and
//! the next run puts everything right.

use std::fs;
use std::process::Command;

use skep::Digest;

use crate::support::liar::{Liar, tagged};
use crate::support::process::{Outcome, Place, noise, run};
use crate::support::served::Served;
use crate::support::syscalls::failing_skep;
use crate::transfer::lies_to_put::honest;

/// What fails, and how. Failing writes would hit sockets as well; those of files are failed by the unit
/// tests of the download.
const FAILURES: [(&str, &str); 6] = [
    ("fsync,fdatasync", "EIO"),
    ("fsync,fdatasync", "ENOSPC"),
    ("rename,renameat,renameat2", "EIO"),
    ("ftruncate", "EIO"),
    ("unlink,unlinkat", "EIO"),
    ("flock", "EIO"),
];

/// More calls than the client makes of any kind.
const CALLS_MAX: u32 = 40;

/// So many runs in which nothing fails any more show that all calls were failed.
const ENOUGH: usize = 3;

/// What failed is told.
fn assert_told(told: &Outcome, case: &str) {
    let stderr = &told.stderr;
    assert!(
        told.code == 0 || stderr.contains("skep: error: "),
        "{case}: {stderr}"
    );
}

#[test]
#[cfg_attr(not(has_strace), ignore = "strace is not installed")]
fn a_failing_call_leaves_the_old_file_or_the_new_one() {
    let (old, bytes) = (noise(1, 5_000), noise(2, 300_000));
    let sent = bytes.clone();
    let liar = Liar::start(move |question| {
        let (size, last) = (sent.len(), sent.len() - 1);
        match question.field("range").map(str::to_owned) {
            Some(range) => {
                let start: usize = range["bytes=".len()..range.len() - 1].parse().unwrap();
                let range = format!("Content-Range: bytes {start}-{last}/{size}\r\n");
                let fields = tagged(&sent) + &range;
                question.answer("206 Partial Content", &fields, &sent[start..])
            }
            None => question.answer("200 OK", &tagged(&sent), &sent),
        }
    });
    for (calls, error) in FAILURES {
        let mut codes = Vec::new();
        for call in 1..=CALLS_MAX {
            let case = format!("call {call} of {calls} with {error}");
            let place = Place::new();
            place.file("m", &old);
            // An earlier attempt was cut.
            place.file(".m.skep-part", &bytes[..200_000]);
            let digest = Digest::of(&bytes);
            place.file(".m.skep-journal", format!("{digest} 300000\n200000\n"));
            let mut command = failing_skep(&place, calls, error, call);
            command.args(["get", "m", "--retries", "0"]);
            let told = run(command.env("SKEP_SERVER", &liar.url));
            let found = place.read("m");
            assert!(
                found == bytes || (found == old && told.code != 0),
                "{case}: {}",
                told.stderr
            );
            assert_told(&told, &case);
            codes.push(told.code);
            // Whatever is left, the next run puts right.
            liar.skep(&place, &["get", "m"]).exits(0);
            assert!(place.read("m") == bytes, "{case}");
            let left = fs::read_dir(place.path("")).unwrap().count();
            assert_eq!(left, 1, "{case}");
            if codes.ends_with(&[0; ENOUGH]) && (codes.len() > ENOUGH || call > 6) {
                break;
            }
        }
        assert!(
            codes.ends_with(&[0; ENOUGH]),
            "{calls} with {error}: {codes:?}"
        );
    }
}

#[test]
#[cfg_attr(not(has_strace), ignore = "strace is not installed")]
fn a_server_is_known_completely_or_not_at_all() {
    let liar = Liar::of_keys(1, |question| {
        let body = b"{\"schema\":1,\"models\":[]}";
        question.answer("200 OK", "Content-Type: application/json\r\n", body)
    });
    for (calls, error) in FAILURES {
        for call in 1..=4 {
            let case = format!("call {call} of {calls} with {error}");
            let place = Place::new();
            let file = place.home().join("known_servers");
            let old = format!("pi.example:8443 {}\n", liar.pins[0]);
            fs::write(&file, &old).unwrap();
            let mut command = failing_skep(&place, calls, error, call);
            command.args(["ls", "--accept-new", "--server", &liar.url]);
            let told = run(&mut command);
            let found = fs::read_to_string(&file).unwrap();
            let new = format!("{old}{} {}\n", &liar.url["https://".len()..], liar.pins[0]);
            assert!(
                found == new || (found == old && told.code != 0),
                "{case}: {found}"
            );
            // What failed is told, and then nothing was sent.
            assert_told(&told, &case);
        }
    }
}

#[test]
#[cfg_attr(not(has_strace), ignore = "strace is not installed")]
fn what_cannot_be_remembered_costs_no_upload() {
    let bytes = noise(3, 3 << 20);
    let right = bytes.clone();
    let liar = Liar::start(move |question| honest(question, &right));
    for (calls, error) in FAILURES.iter().chain(&[("mkdir,mkdirat", "EACCES")]) {
        for call in 1..=4 {
            let case = format!("call {call} of {calls} with {error}");
            let place = Place::new();
            place.file("m", &bytes);
            let mut command = failing_skep(&place, calls, error, call);
            command.args(["put", "m", "--retries", "0"]);
            let told = run(command.env("SKEP_SERVER", &liar.url));
            assert_eq!(told.code, 0, "{case}: {}", told.stderr);
            // What is left of it misleads nobody.
            liar.skep(&place, &["put", "m", "--retries", "0"]).exits(0);
        }
    }
}

#[test]
#[cfg_attr(not(has_strace), ignore = "strace is not installed")]
fn a_pairing_is_kept_completely_or_not_at_all() {
    let server = Served::start(&[]);
    let place = Place::new();
    let pair = |command: &mut Command, name: &str| {
        let invited = server.skep(&["invite", "--json"]).exits(0).json();
        let invitation = invited["invitation"].as_str().unwrap();
        run(command.args(["pair", invitation, "--name", name]))
    };
    pair(&mut place.skep(&[]), "first").exits(0);
    let file = place.home().join("servers");
    for (calls, error) in &FAILURES[..3] {
        for call in 1..=4 {
            let case = format!("call {call} of {calls} with {error}");
            let old = fs::read_to_string(&file).unwrap();
            let name = format!("pi{}", old.lines().count());
            let told = pair(&mut failing_skep(&place, calls, error, call), &name);
            let found = fs::read_to_string(&file).unwrap();
            // The line of this pairing and all that were there, or just these.
            let is_new = old.lines().all(|line| found.contains(line))
                && found.lines().count() == old.lines().count() + 1;
            assert!(
                is_new || (found == old && told.code != 0),
                "{case}: {found}"
            );
            assert_told(&told, &case);
            run(&mut place.skep(&["ls", "--server", "first"])).exits(0);
        }
    }
}
