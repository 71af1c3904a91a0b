// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A power cut after any call of the client to the disk: files are old or new, and what a transfer
//! left can be continued or is not there.
//!
//! The calls are those of the real binary, seen by strace. Each beginning of their sequence is played
//! on a simulated disk that then loses what was not fsynced, and the client goes on with what is left.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::support::liar::{Liar, Question, Then, tagged};
use crate::support::power::{Disk, replay};
use crate::support::process::{Place, noise, run};
use crate::support::served::Served;
use crate::support::syscalls::{self, Call};
use crate::transfer::lies_to_put::{UPLOAD, honest};

/// Runs the client under strace, and returns what it did with its end as the last event.
fn traced(place: &Place, url: &str, arguments: &[&str], code: i32) -> Vec<Call> {
    let mut command = syscalls::traced(place, arguments);
    run(command.env("SKEP_SERVER", url)).exits(code);
    let mut calls = syscalls::calls(place);
    calls.push(Call::Acknowledge);
    calls
}

/// The names in a directory.
fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.collect()
}

/// Hands out a model, or the rest of it.
fn hand_out(question: &mut Question<'_>, bytes: &[u8]) -> Then {
    let start: Option<usize> = question
        .field("range")
        .map(|range| range["bytes=".len()..range.len() - 1].parse().unwrap());
    let Some(start) = start else {
        return question.answer("200 OK", &tagged(bytes), bytes);
    };
    let (last, size) = (bytes.len() - 1, bytes.len());
    let range = format!("Content-Range: bytes {start}-{last}/{size}\r\n");
    let fields = tagged(bytes) + &range;
    question.answer("206 Partial Content", &fields, &bytes[start..])
}

#[test]
#[cfg_attr(not(has_strace), ignore = "strace is not installed")]
fn a_fetched_file_is_the_old_one_or_the_new_one() {
    let (old, new) = (noise(1, 50_001), noise(2, 300_000));
    let sent = new.clone();
    let liar = Liar::start(move |question| hand_out(question, &sent));
    let place = Place::new();
    let saved = place.path("saved");
    fs::create_dir(&saved).unwrap();
    let target = saved.join("m");
    fs::write(&target, &old).unwrap();
    let words = ["get", "m", "-o", target.to_str().unwrap()];
    let calls = traced(&place, &liar.url, &words, 0);
    let disk = Disk::new(&saved).with(&target, &old);
    let images = replay(disk, &calls, |image, ended, case| {
        let left = tempfile::tempdir().unwrap();
        image.unpack(left.path());
        let found = fs::read(left.path().join("m")).unwrap();
        let is_allowed = found == new || (ended == 0 && found == old);
        assert!(is_allowed, "{case}: {} bytes", found.len());
    });
    assert!(images > 10, "only {images} power cuts");
}

#[test]
#[cfg_attr(not(has_strace), ignore = "strace is not installed")]
fn a_download_goes_on_with_bytes_that_are_there() {
    let bytes = noise(2, 600_000);
    // Each attempt gets 150,000 bytes more, and the fourth one the rest.
    let (sent, is_whole) = (bytes.clone(), AtomicBool::new(false));
    let cutting = Liar::start(move |question| {
        let before = question.number * 150_000 + usize::from(question.number == 0);
        if question.number == 3 || is_whole.load(Ordering::SeqCst) {
            return hand_out(question, &sent);
        }
        let start = question.field("range").map_or(0, |range| {
            range["bytes=".len()..range.len() - 1].parse().unwrap()
        });
        assert!(start <= before, "{start}");
        let (size, last) = (sent.len(), sent.len() - 1);
        let status = match start {
            0 => "200 OK\r\n".to_owned(),
            _ => format!("206 Partial Content\r\nContent-Range: bytes {start}-{last}/{size}\r\n"),
        };
        let fields = tagged(&sent);
        let length = size - start;
        question.say(format!(
            "HTTP/1.1 {status}{fields}Content-Length: {length}\r\n\r\n"
        ));
        question.say(&sent[start..start + 150_000]);
        Then::Close
    });
    let place = Place::new();
    let saved = place.path("saved");
    fs::create_dir(&saved).unwrap();
    let target = saved.join("m");
    let words = ["get", "m", "-o", target.to_str().unwrap(), "--retries", "0"];
    let mut calls = Vec::new();
    for code in [5, 5, 5, 0] {
        calls.extend(traced(&place, &cutting.url, &words, code));
    }
    assert!(fs::read(&target).unwrap() == bytes);
    assert_eq!(names(&saved), ["m"]);
    let sent = bytes.clone();
    let honest = Liar::start(move |question| hand_out(question, &sent));
    let images = replay(Disk::new(&saved), &calls, |image, ended, case| {
        let place = Place::new();
        image.unpack(&place.path(""));
        if let Ok(found) = fs::read(place.path("m")) {
            assert!(found == bytes, "{case}: {} bytes", found.len());
        }
        assert!(ended < 4 || place.path("m").exists(), "{case}: it is lost");
        let told = honest.skep(&place, &["get", "m"]).exits(0);
        // The journal has not vouched for anything that is not there.
        assert!(!told.stderr.contains("damaged"), "{case}: {}", told.stderr);
        assert!(place.read("m") == bytes, "{case}");
        assert_eq!(names(&place.path("")), ["m"], "{case}");
    });
    assert!(images > 30, "only {images} power cuts");
}

/// Takes one upload as a skep does, but the first append it cuts in the middle.
fn take_in(question: &mut Question<'_>, bytes: &[u8], is_cut: &AtomicBool) -> Then {
    if question.is(&format!("head {UPLOAD} ")) {
        let fields = "Upload-Offset: 1048576\r\nUpload-Complete: ?0\r\n";
        question.answer("204 No Content", fields, b"")
    } else if question.is(&format!("patch {UPLOAD} ")) && !is_cut.swap(true, Ordering::SeqCst) {
        question.take(1 << 20);
        Then::Close
    } else {
        honest(question, bytes)
    }
}

#[test]
#[cfg_attr(not(has_strace), ignore = "strace is not installed")]
fn an_upload_is_remembered_before_its_bytes_are_sent() {
    let bytes = noise(3, 3 << 20);
    let (sent, is_cut) = (bytes.clone(), AtomicBool::new(false));
    let liar = Liar::start(move |question| take_in(question, &sent, &is_cut));
    let place = Place::new();
    let file = place.file("m", &bytes);
    let words = ["put", file.to_str().unwrap(), "--retries", "0", "--json"];
    let calls = traced(&place, &liar.url, &words, 5);
    let images = replay(Disk::new(&place.home()), &calls, |image, events, case| {
        let place = Place::new();
        image.unpack(&place.home());
        let told = liar.skep(&place, &words).exits(0).json();
        let resumed_at = &told["models"][0]["resumed_at"];
        // The folder of a new file is not fsynced: that would cost each upload a write more.
        let must_be = events > 0 && !case.contains("names: Nothing");
        assert!(!must_be || *resumed_at == 1 << 20, "{case}: {told}");
        assert_eq!(names(&place.home().join("uploads")), [""; 0], "{case}");
    });
    assert!(images > 3, "only {images} power cuts");
    for head in liar.heads() {
        let target = head.split(' ').nth(1).unwrap();
        assert!([UPLOAD, "/v1/models/m"].contains(&target), "{target}");
    }
}

#[test]
#[cfg_attr(not(has_strace), ignore = "strace is not installed")]
fn the_known_servers_are_the_old_ones_or_one_more() {
    let liar = Liar::of_keys(1, |question| {
        let body = b"{\"schema\":1,\"models\":[]}";
        question.answer("200 OK", "Content-Type: application/json\r\n", body)
    });
    let place = Place::new();
    let file = place.home().join("known_servers");
    let old = format!("pi.example:8443 {}\n", liar.pins[0]);
    fs::write(&file, &old).unwrap();
    let calls = traced(&place, &liar.url, &["ls", "--accept-new"], 0);
    let new = fs::read_to_string(&file).unwrap();
    assert!(
        new.contains(&liar.url["https://".len()..]) && new.contains(&old),
        "{new}"
    );
    let disk = Disk::new(&place.home()).with(&file, old.as_bytes());
    let images = replay(disk, &calls, |image, ended, case| {
        let left = tempfile::tempdir().unwrap();
        image.unpack(left.path());
        let found = fs::read_to_string(left.path().join("known_servers")).unwrap();
        assert!(
            found == new || (ended == 0 && found == old),
            "{case}: {found}"
        );
    });
    assert!(images > 3, "only {images} power cuts");
}

#[test]
#[cfg_attr(not(has_strace), ignore = "strace is not installed")]
fn a_pairing_that_ended_well_is_kept() {
    let server = Served::start(&[]);
    let invite = |words: &[&str]| {
        let mut command = server.place.skep(&["invite", "--json"]);
        let told = run(command.args(words)).exits(0).json();
        told["invitation"].as_str().unwrap().to_owned()
    };
    let place = Place::new();
    let first = invite(&[]);
    run(&mut place.skep(&["pair", &first, "--name", "one"])).exits(0);
    let files = ["servers", "known_servers"].map(|name| place.home().join(name));
    let old = files.clone().map(|file| fs::read(file).unwrap());
    let second = invite(&[]);
    let calls = traced(&place, &server.url, &["pair", &second, "--name", "two"], 0);
    let new = files.clone().map(|file| fs::read(file).unwrap());
    let mut disk = Disk::new(&place.home());
    for (file, bytes) in files.iter().zip(&old) {
        disk = disk.with(file, bytes);
    }
    let images = replay(disk, &calls, |image, ended, case| {
        let left = tempfile::tempdir().unwrap();
        image.unpack(left.path());
        for (number, file) in ["servers", "known_servers"].iter().enumerate() {
            let found = fs::read(left.path().join(file)).unwrap();
            let is_allowed = found == new[number] || (ended == 0 && found == old[number]);
            assert!(
                is_allowed,
                "{case}: {file}: {}",
                String::from_utf8_lossy(&found)
            );
        }
    });
    assert!(images > 3, "only {images} power cuts");
}
