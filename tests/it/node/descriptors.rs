// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A server with few file descriptors says so, and divides them among those who come.

use crate::support::process::{Place, Process};
use crate::support::raw::{Raw, get};
use crate::support::served::Served;

/// A server that may have so many descriptors.
fn with(place: &Place, descriptors: u32) -> Served {
    let mut command = place.command("sh");
    command
        .args(["-c", &format!("ulimit -n {descriptors}; exec \"$@\""), "sh"])
        .arg(env!("CARGO_BIN_EXE_skep"))
        .args(["serve", "127.0.0.1", "--port", "0", "--plain"]);
    Served::ready(place, Process::start(&mut command))
}

#[test]
fn with_few_descriptors_there_are_fewer_connections_and_a_word_about_it() {
    let place = Place::new();
    let server = with(&place, 60);
    let address = server.url.trim_start_matches("http://").to_owned();

    // More than there are descriptors for: the oldest make room, and everybody who comes is answered.
    let mut crowd = Vec::new();
    for _ in 0..80 {
        let mut raw = Raw::open(&address);
        raw.send(get("/healthz"));
        assert_eq!(raw.answer().status, 200);
        crowd.push(raw);
    }
    drop(crowd);
    place.file("m", "a model");
    server.skep(&["put", "m"]).exits(0);

    let log = server.stop().exits(0).stderr;
    let line = log
        .lines()
        .find(|line| line.contains("file descriptors"))
        .unwrap();
    assert!(
        line.contains(" taking 4 and 12; ") && line.contains("ulimit -n 378"),
        "{line}"
    );
    assert!(!log.contains("no connection can be accepted"), "{log}");
}

#[test]
fn one_connection_less_is_told_as_well() {
    let log = with(&Place::new(), 377).stop().exits(0).stderr;
    assert!(log.contains(" taking 25 and 255; "), "{log}");
    let log = with(&Place::new(), 378).stop().exits(0).stderr;
    assert!(!log.contains("file descriptors"), "{log}");
}
