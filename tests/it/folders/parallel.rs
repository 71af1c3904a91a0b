// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Several files of a folder at a time: what comes of them is the same as one after the other.

use std::fs;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;

use crate::support::folders::tree;
use crate::support::process::{Place, Process, noise, until};
use crate::support::served::Served;

/// Files `d/00` to `d/NN` of so many bytes.
fn write(place: &Place, count: usize, length: usize) {
    fs::create_dir_all(place.path("d")).unwrap();
    for number in 0..count {
        let bytes = noise(number as u64, length);
        fs::write(place.path(&format!("d/{number:02}")), bytes).unwrap();
    }
}

fn names(value: &Value) -> Vec<&str> {
    let files = value.as_array().unwrap().iter();
    files.map(|file| file["name"].as_str().unwrap()).collect()
}

#[test]
fn a_server_has_as_many_connections_as_it_has_room_for() {
    for arguments in [
        &["--plain"][..],
        &["--max-connections", "4"],
        &["--plain", "--max-connections", "1"],
        &["--max-connections-per-address", "2"],
        &["--max-connections-per-address", "1"],
    ] {
        let server = Served::start(arguments);
        write(&server.place, 40, 3000);
        let put = server.skep(&["put", "d", "-j", "16", "--json"]).exits(0);
        let folder = &put.json()["folders"][0];
        assert_eq!(folder["published"], 40, "{arguments:?}");
        assert!(folder["sent"].as_u64().unwrap() >= 40 * 3000);

        let got = server.skep(&["get", "d/", "-o", "x", "-j", "16", "--json"]);
        let told = got.exits(0).json();
        let wanted: Vec<_> = (0..40).map(|number| format!("d/{number:02}")).collect();
        assert_eq!(names(&told["files"]), wanted);
        let bytes = |name: &str| tree(&server.place.path(name)).into_values();
        assert!(bytes("d").eq(bytes("x")), "{arguments:?}");
    }
}

#[test]
fn the_first_failure_ends_what_is_published_as_a_whole() {
    let server = Served::start(&["--plain", "--max-upload-bytes", "4000"]);
    write(&server.place, 40, 3000);
    server.place.file("d/20", noise(20, 5000));
    let put = server.skep(&["put", "d", "--json"]).exits(8);
    let told = put.json();
    assert_eq!(told["failed"].as_array().unwrap().len(), 1);
    assert_eq!(told["error"]["kind"], "too-large");
    let detail = told["error"]["detail"].as_str().unwrap();
    assert!(detail.starts_with("d/20: "), "{detail}");
    assert_eq!(put.stderr.matches("error:").count(), 1, "{}", put.stderr);
    assert!(server.names().is_empty());

    // The same set is gone on with, and what it has is not sent again.
    server.place.file("d/20", noise(20, 3000));
    let put = server.skep(&["put", "d", "--json"]).exits(0).json();
    let sent = put["folders"][0]["sent"].as_u64().unwrap();
    assert_eq!(put["folders"][0]["published"], 40);
    assert!(sent < 40 * 3000, "{sent}");
}

#[test]
fn failures_of_single_files_are_told_in_the_order_of_their_names() {
    let server = Served::start(&["--plain"]);
    write(&server.place, 40, 3000);
    server.skep(&["put", "d"]).exits(0);
    // Neither of them can be replaced by a file.
    fs::create_dir_all(server.place.path("x/30")).unwrap();
    fs::create_dir_all(server.place.path("x/07")).unwrap();

    let get = ["get", "d/", "-o", "x", "--delete", "-y", "--json"];
    let told = server.skep(&get).exits(11);
    let told = told.json();
    assert_eq!(names(&told["failed"]), ["d/07", "d/30"]);
    assert!(told["error"]["detail"].as_str().unwrap().contains("x/07"));
    assert_eq!(names(&told["files"]).len(), 38);
    assert!(names(&told["files"]).is_sorted());
}

#[test]
fn a_signal_ends_all_connections_and_the_next_command_goes_on() {
    let server = Served::start(&["--plain"]);
    write(&server.place, 4, 1 << 20);
    server.skep(&["put", "d"]).exits(0);

    let get = ["get", "d/", "-o", "x", "--json"];
    let process =
        Process::start(&mut server.command(&[&get[..], &["--limit-rate", "1MiB"]].concat()));
    // All of them are under way, and none can be done.
    let parts = || -> u64 {
        let parts = fs::read_dir(server.place.path("x")).into_iter().flatten();
        let begun = parts.filter(|part| part.as_ref().unwrap().metadata().unwrap().len() > 150_000);
        begun.count() as u64
    };
    until(|| parts() == 4);
    process.signal(Signal::INT);
    let ended = process.finish().exits(130).json();
    assert_eq!(ended["error"]["kind"], "cancelled");
    assert_eq!(ended["files"].as_array().unwrap().len(), 0);
    assert!(!server.place.path("x/00").exists());

    let told = server.skep(&get).exits(0).json();
    for file in told["files"].as_array().unwrap() {
        assert!(
            file["resumed_at"].as_u64().is_some_and(|at| at > 0),
            "{told}"
        );
    }
    let bytes = |name: &str| tree(&server.place.path(name)).into_values();
    assert!(bytes("d").eq(bytes("x")));
}

#[test]
fn a_rate_is_that_of_all_connections_together() {
    let server = Served::start(&["--plain"]);
    write(&server.place, 8, 256 << 10);
    for words in [
        ["put", "d", "--limit-rate", "1MiB"],
        ["get", "d/", "--limit-rate", "1MiB"],
    ] {
        let start = Instant::now();
        server.skep(&words).exits(0);
        // 2 MiB, of which a moment's worth may come at once.
        assert!(start.elapsed() >= Duration::from_millis(1600), "{words:?}");
        let _ = fs::remove_dir_all(server.place.path("d"));
    }
}

#[test]
fn numbers_that_make_no_sense_are_refused() {
    let server = Served::start(&["--plain"]);
    write(&server.place, 1, 1);
    for number in ["0", "65", "none", "-1", "four"] {
        server
            .skep(&["put", "d", "-j", number])
            .exits(2)
            .says("--parallel");
        server.skep(&["get", "d/", "--parallel", number]).exits(2);
    }
    let mut put = server.command(&["put", "d"]);
    let put = crate::support::process::run(put.env("SKEP_PARALLEL", "0"));
    put.exits(2).says("SKEP_PARALLEL");
    server.skep(&["put", "d", "-j", "64"]).exits(0);
}
