// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Those who wait without a thread: nobody of them is forgotten, holds up the end, or ends the others.

use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use crate::support::process::DEADLINE;
use crate::support::raw::{Running, echo, get, put};

const LONG: Duration = Duration::from_secs(3600);

#[test]
fn a_body_that_is_read_away_does_not_hold_up_the_end() {
    let server = Running::start(echo, |limits| {
        limits.body_timeout = LONG;
        limits.timeout = LONG;
        limits.drain_timeout = LONG;
    });

    // Of this body nobody wants anything, and the caller never sends the rest.
    let mut raw = server.open();
    raw.send(put("/ignore", "Content-Length: 20000", "x"));
    let answer = raw.answer();
    assert_eq!(answer.status, 200);
    assert!(!answer.has("connection: close"), "{answer:?}");

    server.shut_down();
    let (ended, end) = channel();
    thread::spawn(move || {
        server.join();
        ended.send(()).unwrap();
    });
    end.recv_timeout(DEADLINE)
        .expect("the server waits for a body that nobody wants");
    assert!(raw.next_answer().is_none());
}

#[test]
fn the_request_behind_a_body_that_is_read_away_is_answered() {
    let server = Running::start(echo, |_| {});
    let mut raw = server.open();
    raw.send(put("/ignore", "Content-Length: 60000", &"x".repeat(30_000)));
    assert_eq!(raw.answer().text(), "ignored");
    raw.send("x".repeat(30_000) + &get("/next"));
    assert_eq!(raw.answer().text(), "/next 0");
    raw.send(put("/ignore", "Content-Length: 60000", &"x".repeat(60_000)) + &get("/last"));
    assert_eq!(raw.answer().text(), "ignored");
    assert_eq!(raw.answer().text(), "/last 0");
}
