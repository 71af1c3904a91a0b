// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Each limit of connections and time can be switched off, and then holds nobody up; a server whose
//! limits are off still ends.
//!
//! Time is measured by a second server that keeps the limit: once it has lost patience, the one without
//! has had the same time.

use std::io::Read;
use std::time::{Duration, Instant};

use skep::{Content, Limits, Request, Response, Status};

use crate::support::process::Place;
use crate::support::raw::{PATIENCE, Raw, Running, echo, get, put};
use crate::support::served::Served;

const SHORT: Duration = Duration::from_millis(300);

/// A server that keeps a limit, and one for which it is switched off.
fn with_and_without(set: fn(&mut Limits, Duration)) -> [Running; 2] {
    [SHORT, Duration::ZERO].map(|time| Running::start(echo, |limits| set(limits, time)))
}

/// Says the same to both; the one that keeps the limit answers 408 or ends, and then the other one is
/// told the rest, and has to answer.
fn outlasts(servers: &[Running; 2], first: &str, rest: &str) {
    let [mut bounded, mut free] = servers.each_ref().map(Running::open);
    // The one without the limit waits for longer.
    for raw in [&mut free, &mut bounded] {
        raw.send(first);
    }
    if let Some(answer) = bounded.next_answer() {
        assert_eq!(answer.status, 408);
    }
    free.send(rest);
    assert_eq!(free.answer().status, 200, "{first:?}");
}

#[test]
fn without_an_idle_timeout_a_silent_connection_stays() {
    let servers = with_and_without(|limits, time| limits.idle_timeout = time);
    outlasts(&servers, "", &get("/"));
}

#[test]
fn without_a_head_timeout_a_head_may_come_late() {
    let servers = with_and_without(|limits, time| limits.head_timeout = time);
    outlasts(&servers, "GET / HTTP/1.1\r\n", "Host: a\r\n\r\n");
    let servers = with_and_without(|limits, time| limits.timeout = time);
    outlasts(&servers, "GET / HTTP/1.1\r\n", "Host: a\r\n\r\n");
}

#[test]
fn without_a_body_timeout_a_body_may_stall() {
    // A rate is a limit of its own.
    let servers = with_and_without(|limits, time| {
        limits.body_timeout = time;
        limits.rate_min = 0;
    });
    for fields in ["Content-Length: 4", "Content-Length: 100000"] {
        let rest = if fields.ends_with('4') { 2 } else { 99_998 };
        outlasts(&servers, &put("/a", fields, "xy"), &"z".repeat(rest));
    }
    let rest = "2\r\nzz\r\n0\r\n\r\n";
    outlasts(
        &servers,
        &put("/a", "Transfer-Encoding: chunked", "2\r\nxy\r\n"),
        rest,
    );
}

#[test]
fn without_a_rate_a_body_may_trickle() {
    let [bounded, free] = [1 << 30, 0].map(|rate| {
        Running::start(echo, |limits| {
            limits.rate_min = rate;
            limits.body_timeout = 4 * SHORT;
        })
    });

    for fields in ["Content-Length: 500", "Content-Length: 100000"] {
        let head = put("/a", fields, "");
        let [mut cut, mut whole] = [&bounded, &free].map(Running::open);
        cut.send(&head);
        whole.send(&head);

        // No stall is as long as the timeout, but all of them together are.
        let mut taken = 0;
        while taken < 200 {
            whole.send("x");
            taken += 1;
            if cut.drip(b"x", SHORT / 4) == 0 || has_something(&cut) {
                break;
            }
        }
        assert!((4..200).contains(&taken), "{taken} bytes");
        let length: usize = fields.rsplit(' ').next().unwrap().parse().unwrap();
        whole.send("z".repeat(length - taken));
        assert_eq!(whole.answer().status, 200, "{fields}");
    }
}

fn has_something(raw: &Raw) -> bool {
    raw.stream.set_nonblocking(true).unwrap();
    let found = raw.stream.peek(&mut [0]).is_ok();
    raw.stream.set_nonblocking(false).unwrap();
    found
}

#[test]
fn without_a_write_timeout_a_caller_may_take_its_time() {
    const LENGTH: usize = 32 << 20;
    let long = |_: &mut Request<'_>| {
        let bytes = std::io::repeat(7).take(LENGTH as u64);
        Response::new(Status::OK).content(Content::Chunked(Box::new(bytes)))
    };
    let [bounded, free] = [SHORT, Duration::ZERO].map(|time| {
        Running::start(long, |limits| {
            limits.write_timeout = time;
            limits.rate_min = 0;
            limits.connections_max = 1;
        })
    });
    let [mut cut, mut whole] = [&bounded, &free].map(Running::open);
    for raw in [&mut whole, &mut cut] {
        raw.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        raw.until("\r\n\r\n").unwrap();
    }

    // The only place of the bounded server is given back once the time of its caller is over.
    let start = Instant::now();
    while bounded.ask(get("/")).status != 200 {
        assert!(start.elapsed() < PATIENCE, "the caller is not cut off");
    }
    assert!(cut.rest().is_none_or(|rest| rest.len() < LENGTH));
    let rest = whole.rest().unwrap();
    assert!(rest.len() > LENGTH && rest.ends_with(b"0\r\n\r\n"));
}

#[test]
fn without_limits_of_number_everybody_is_served() {
    let server = Running::start(echo, |limits| {
        limits.connections_max = 0;
        limits.connections_idle_max = 0;
        limits.requests_per_connection_max = 0;
        limits.connections_per_address_max = 0;
    });

    // Bodies that are not there yet keep more requests running than the default allows.
    let mut running: Vec<Raw> = (0..40).map(|_| server.open()).collect();
    for raw in &mut running {
        raw.send(put("/a", "Content-Length: 2", "x"));
    }

    let mut idle: Vec<Raw> = (0..400).map(|_| server.open()).collect();
    let mut busy = server.open();
    for number in 0..300 {
        busy.send(get(&format!("/{number}")));
        let answer = busy.answer();
        assert!(answer.status == 200 && !answer.has("connection: close"));
    }

    for raw in idle.iter_mut().take(3) {
        raw.send(get("/"));
        assert_eq!(raw.answer().status, 200, "the oldest was not pushed out");
    }
    for raw in &mut running {
        raw.send("y");
        assert_eq!(raw.answer().status, 200);
    }
    assert_eq!(server.metrics.rejected.value(), 0);
}

#[test]
fn times_that_no_clock_can_hold_are_no_fault() {
    let server = Running::start(echo, |limits| {
        limits.head_timeout = Duration::MAX;
        limits.timeout = Duration::MAX;
        limits.idle_timeout = Duration::MAX;
        limits.body_timeout = Duration::MAX;
        limits.write_timeout = Duration::MAX;
        limits.drain_timeout = Duration::MAX;
        limits.rate_min = 1;
    });
    let mut raw = server.open();
    raw.send(put("/a", "Content-Length: 100000", &"x".repeat(99_999)));
    assert_eq!(server.ask(get("/")).status, 200);
    raw.send("y");
    assert_eq!(raw.answer().status, 200);
}

#[test]
fn a_shutdown_waits_for_no_head() {
    // Nothing but the end of the server ends these connections within the life of this test.
    let server = Running::start(echo, |limits| {
        limits.drain_timeout = Duration::from_secs(3600);
        limits.head_timeout = Duration::ZERO;
        limits.idle_timeout = Duration::ZERO;
        limits.timeout = Duration::ZERO;
        limits.body_timeout = Duration::ZERO;
    });
    let mut waiting: Vec<Raw> = [
        "",
        "G",
        "GET / HTTP/1.1\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n",
    ]
    .map(|first| {
        let mut raw = server.open();
        raw.send(first);
        raw
    })
    .into();

    // All of them were read before this one is answered or not much later.
    assert_eq!(server.ask(get("/")).status, 200);
    server.shut_down();
    for raw in &mut waiting {
        assert!(raw.next_answer().is_none());
    }
    server.join();
}

#[test]
fn a_signal_ends_a_server_whose_limits_are_off() {
    let place = Place::new();
    let off = [
        "--max-connections",
        "none",
        "--max-idle-connections",
        "none",
        "--head-timeout",
        "none",
        "--idle-timeout",
        "0",
        "--timeout",
        "none",
        "--write-timeout",
        "never",
        "--min-rate",
        "none",
        "--drain-timeout",
        "1h",
    ];
    let served = Served::start_in(&place, &off);
    let address = served.url.strip_prefix("https://").unwrap().to_owned();

    // Half a TLS handshake: the beginning of a record of 512 bytes.
    let mut half = Raw::open(&address);
    half.send([0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3]);
    let silent = Raw::open(&address);
    served.curl("/v1/models", &[]).is(200);

    let config = place.skep(&[&["config"], &off[..]].concat()).output();
    let config = String::from_utf8(config.unwrap().stdout).unwrap();
    for line in [
        "max-connections = \"none\"",
        "idle-timeout = \"none\"",
        "write-timeout = \"none\"",
        "max-total-bytes = \"none\"",
    ] {
        assert!(
            config.lines().any(|found| found == line),
            "{line}: {config}"
        );
    }

    let outcome = served.stop();
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    let told: Vec<_> = outcome
        .stderr
        .lines()
        .filter(|line| line.contains("switched off: "))
        .collect();
    assert_eq!(told.len(), 1, "{}", outcome.stderr);
    assert!(
        told[0].contains(
            "max-connections, max-idle-connections, head-timeout, idle-timeout, write-timeout, min-rate"
        ),
        "{told:?}"
    );
    drop((half, silent));
}
