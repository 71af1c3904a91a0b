// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Transfers go on where they stopped, whoever was killed, and nothing that arrived is sent again.

use std::fs;
use std::path::Path;

use rustix::process::Signal;

use crate::support::process::{Place, Process, digest, noise, run, until};
use crate::support::relay::Relay;
use crate::support::served::Served;

const MEBIBYTE: u64 = 1 << 20;

/// What may be on its way, in the buffers of four sockets, when a wire is cut.
const UNDER_WAY: u64 = 5 * MEBIBYTE;

/// How much a client fetches before it makes it durable.
const STEP: u64 = 8 * MEBIBYTE;

/// Slow enough to be interrupted, fast enough not to wait for.
const RATE: &str = "12MiB";

pub(crate) fn mebibytes(count: usize) -> Vec<u8> {
    noise(count as u64, count << 20)
}

pub(crate) fn through(server: &Served, relay: &Relay, words: &[&str]) -> Process {
    let mut command = server.command(words);
    Process::start(command.env("SKEP_SERVER", &relay.url))
}

/// How many bytes of a file the journal beside it vouches for.
fn noted(server: &Served, name: &str) -> u64 {
    let journal = fs::read_to_string(server.place.path(&format!(".{name}.skep-journal")));
    let lines = journal.unwrap_or_default();
    lines
        .lines()
        .skip(1)
        .last()
        .and_then(|line| line.parse().ok())
        .unwrap_or(0)
}

/// Waits until a transfer of a file has got further than that, in a way that lasts.
fn await_half(server: &Served, verb: &str, name: &str, bytes: u64) {
    until(|| match verb {
        "get" => noted(server, name) >= bytes,
        _ => server.part_sizes().iter().any(|size| *size >= bytes),
    });
}

/// Kills a process once so many more bytes went to the server or came from it.
fn kill_after(process: Process, relay: &Relay, bytes: u64) {
    let (up, down) = relay.passed();
    until(|| relay.passed().0 + relay.passed().1 >= up + down + bytes);
    process.signal(Signal::KILL);
    assert_eq!(process.finish().code, -9);
}

fn hidden(directory: &Path) -> usize {
    let names = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name());
    names
        .filter(|name| name.to_string_lossy().starts_with('.'))
        .count()
}

#[test]
fn a_killed_put_goes_on_where_it_stopped() {
    let server = Served::start(&[]);
    let relay = Relay::to(&server.url);
    let bytes = mebibytes(32);
    server.place.file("m", &bytes);
    let words = ["put", "m", "--limit-rate", RATE, "--json"];
    for _ in 0..3 {
        kill_after(through(&server, &relay, &words), &relay, 6 * MEBIBYTE);
    }
    let put = through(&server, &relay, &words).finish().exits(0).json();
    let put = &put["models"][0];
    let resumed_at = put["resumed_at"].as_u64().unwrap();
    assert!(resumed_at >= 6 * MEBIBYTE, "{put}");
    assert_eq!(put["sent"].as_u64().unwrap(), 32 * MEBIBYTE - resumed_at);
    assert_eq!(put["digest"], digest(&bytes));
    assert!(fs::read(server.dir.join("m")).unwrap() == bytes);
    let up = relay.passed().0;
    assert!(up <= 32 * MEBIBYTE + 3 * UNDER_WAY, "{up} bytes");
    assert_eq!(
        fs::read_dir(server.place.home().join("uploads"))
            .unwrap()
            .count(),
        0
    );
}

#[test]
fn a_killed_get_goes_on_where_it_stopped() {
    let server = Served::start(&[]);
    let relay = Relay::to(&server.url);
    let bytes = mebibytes(40);
    server.place.file("m", &bytes);
    server.skep(&["put", "m"]).exits(0);
    let words = ["get", "m", "-o", "copy", "--limit-rate", RATE, "--json"];
    for round in 1..4 {
        let running = through(&server, &relay, &words);
        await_half(&server, "get", "copy", round * STEP);
        running.signal(Signal::KILL);
        assert_eq!(running.finish().code, -9);
        assert!(!server.place.path("copy").exists());
    }
    let got = through(&server, &relay, &words).finish().exits(0).json();
    let got = &got["files"][0];
    let resumed_at = got["resumed_at"].as_u64().unwrap();
    assert!(resumed_at >= 3 * STEP, "{got}");
    assert_eq!(
        got["received"].as_u64().unwrap(),
        40 * MEBIBYTE - resumed_at
    );
    assert!(server.place.read("copy") == bytes);
    let down = relay.passed().1;
    assert!(
        down <= 40 * MEBIBYTE + 3 * (STEP + UNDER_WAY),
        "{down} bytes"
    );
    assert_eq!(hidden(&server.place.path("")), 0);
}

#[test]
fn cuts_of_the_wire_are_survived_in_one_run() {
    for flags in [&[][..], &["--plain"]] {
        let server = Served::start(flags);
        let relay = Relay::to(&server.url);
        let bytes = mebibytes(24);
        server.place.file("m", &bytes);
        for words in [
            ["put", "m", "--limit-rate", RATE],
            ["get", "m", "--limit-rate", RATE],
        ] {
            let before = relay.passed();
            relay.cut_each(4 * MEBIBYTE, 4);
            let running = through(&server, &relay, &words);
            running.finish().exits(0).says("trying again");
            assert_eq!(relay.cuts_left(), 0);
            let (up, down) = relay.passed();
            let passed = (up - before.0).max(down - before.1);
            assert!(
                passed <= 24 * MEBIBYTE + 4 * UNDER_WAY,
                "{words:?}: {passed} bytes"
            );
            assert!(server.place.read("m") == bytes);
            assert!(fs::read(server.dir.join("m")).unwrap() == bytes);
            fs::remove_file(server.place.path("m")).unwrap();
        }
        assert_eq!((server.parts(), hidden(&server.place.path(""))), (0, 0));
    }
}

#[test]
fn a_server_that_was_killed_and_comes_back_is_waited_for() {
    let place = Place::new();
    let mut server = Served::start_in(&place, &[]);
    let relay = Relay::to(&server.url);
    let bytes = mebibytes(32);
    place.file("m", &bytes);
    for verb in ["put", "get"] {
        // Slowly: the server has to go before all has arrived, on a busy machine, too.
        let words = [verb, "m", "--limit-rate", "4MiB"];
        let running = through(&server, &relay, &words);
        await_half(&server, verb, "m", 2 * STEP);
        server.process.signal(Signal::KILL);
        assert_eq!(server.process.finish().code, -9);
        server = Served::start_in(&place, &[]);
        relay.lead_to(&server.url);
        running.finish().exits(0).says("resuming after");
        assert!(place.read("m") == bytes);
        assert!(fs::read(server.dir.join("m")).unwrap() == bytes);
        fs::remove_file(place.path("m")).unwrap();
    }
}

#[test]
fn another_address_of_the_same_server_does() {
    let place = Place::new();
    let bytes = mebibytes(32);
    place.file("m", &bytes);
    let mut server = Served::start_in(&place, &[]);
    for (verb, kind) in [("put", "models"), ("get", "files")] {
        let running = Process::start(&mut server.command(&[verb, "m", "--limit-rate", RATE]));
        await_half(&server, verb, "m", 2 * STEP);
        running.signal(Signal::KILL);
        assert_eq!(running.finish().code, -9);
        server.process.signal(Signal::KILL);
        assert_eq!(server.process.finish().code, -9);
        server = Served::start_in(&place, &[]);
        // It has another port now.
        let ended = server.skep(&[verb, "m", "--json"]).exits(0).json();
        let resumed_at = ended[kind][0]["resumed_at"].as_u64();
        let resumed_at = resumed_at.unwrap_or_else(|| panic!("{ended}"));
        assert!(resumed_at >= STEP, "{ended}");
        assert!(place.read("m") == bytes);
        assert!(fs::read(server.dir.join("m")).unwrap() == bytes);
        fs::remove_file(place.path("m")).unwrap();
    }
}

#[test]
fn what_changed_meanwhile_is_transferred_anew() {
    let server = Served::start(&["--plain"]);
    let relay = Relay::to(&server.url);
    let (old, new) = (mebibytes(30), mebibytes(31));
    server.place.file("m", &old);
    server.skep(&["put", "m"]).exits(0);
    let get = ["get", "m", "-o", "copy", "--limit-rate", RATE];
    let running = through(&server, &relay, &get);
    await_half(&server, "get", "copy", STEP);
    running.signal(Signal::KILL);
    assert_eq!(running.finish().code, -9);
    server.place.file("m", &new);
    server.skep(&["put", "m"]).exits(0);
    server
        .skep(&get)
        .exits(0)
        .says("starting again, the model has changed");
    assert!(server.place.read("copy") == new);
    assert_eq!((hidden(&server.place.path("")), server.parts()), (0, 0));
    // The other way round: half of one file, then another one under its name.
    let put = ["put", "m", "--always", "--limit-rate", RATE];
    kill_after(through(&server, &relay, &put), &relay, 12 * MEBIBYTE);
    until(|| server.parts() == 1);
    server.place.file("m", &old);
    let put = run(server
        .command(&["put", "m", "--json"])
        .env("SKEP_SERVER", &relay.url));
    let put = put.exits(0).json();
    assert_eq!(put["models"][0]["sent"].as_u64().unwrap(), old.len() as u64);
    assert!(fs::read(server.dir.join("m")).unwrap() == old);
    assert_eq!(server.parts(), 0);
}

#[test]
fn a_signal_says_how_to_go_on() {
    let server = Served::start(&[]);
    let relay = Relay::to(&server.url);
    let bytes = mebibytes(32);
    server.place.file("a m", &bytes);
    for (words, signal, code) in [
        (["put", "a m", "--limit-rate", RATE], Signal::INT, 130),
        (["get", "a m", "--limit-rate", RATE], Signal::TERM, 143),
    ] {
        let running = through(&server, &relay, &words);
        await_half(&server, words[0], "a m", STEP);
        running.signal(signal);
        let told = format!("resume with: skep {} 'a m' --limit-rate {RATE}\n", words[0]);
        running.finish().exits(code).says(&told);
        let ended = through(&server, &relay, &words).finish().exits(0);
        assert!(ended.stderr.contains("resuming after"), "{}", ended.stderr);
        assert!(server.place.read("a m") == bytes);
        fs::remove_file(server.place.path("a m")).unwrap();
    }
}

#[test]
fn of_two_gets_of_one_file_the_second_stays_away() {
    let server = Served::start(&["--plain"]);
    let bytes = mebibytes(16);
    server.place.file("m", &bytes);
    server.skep(&["put", "m"]).exits(0);
    let words = ["get", "m", "-o", "copy"];
    let slow =
        Process::start(&mut server.command(&[&words[..], &["--limit-rate", "1MiB"]].concat()));
    until(|| hidden(&server.place.path("")) > 0);
    server
        .skep(&words)
        .exits(5)
        .says("another skep is fetching copy");
    slow.signal(Signal::KILL);
    assert_eq!(slow.finish().code, -9);
    server.skep(&words).exits(0);
    assert!(server.place.read("copy") == bytes);
    assert_eq!(hidden(&server.place.path("")), 0);
}

#[test]
fn a_server_that_stays_away_is_given_up() {
    let server = Served::start(&["--plain"]);
    server.place.file("m", mebibytes(16));
    let put = ["put", "m", "--limit-rate", "4MiB", "--retries", "2"];
    let running = Process::start(&mut server.command(&put));
    until(|| server.part_sizes().iter().any(|size| *size > MEBIBYTE));
    server.process.signal(Signal::KILL);
    let ended = running.finish().exits(5).says("gave up after 2 attempts");
    assert_eq!(
        ended.stderr.matches("trying again").count(),
        2,
        "{}",
        ended.stderr
    );
    // One that was never there is not waited for.
    run(server
        .place
        .skep(&["put", "m"])
        .env("SKEP_SERVER", &server.url))
    .exits(3);
    run(server
        .place
        .skep(&["put", "m", "--retries", "x"])
        .env("SKEP_SERVER", &server.url))
    .exits(2);
}
