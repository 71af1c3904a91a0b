// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Nobody starves: neither by crowds on kept connections nor by callers that are as slow as they may
//! be (facts F3 and F4 of the design).

use crate::support::raw::PATIENCE;
use std::fs;
use std::io::{Read, Write};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use skep::{Content, Request, Response, Status};

use crate::support::raw::{Raw, Running, echo, get, put};
use crate::support::served::Served;

#[test]
fn bursts_on_kept_connections_are_all_answered() {
    let server = Running::start(echo, |limits| limits.connections_max = 220);
    let mut crowd: Vec<Raw> = (0..200).map(|_| server.open()).collect();
    for burst in 0..5 {
        let start = Instant::now();
        for raw in &mut crowd {
            raw.send(get("/burst"));
        }
        for raw in &mut crowd {
            assert_eq!(raw.answer().status, 200);
        }
        assert!(
            start.elapsed() < PATIENCE,
            "burst {burst}: {:?}",
            start.elapsed()
        );
    }
    assert_eq!(server.metrics.connections.value(), 200);
}

#[test]
fn slow_callers_do_not_slow_down_others() {
    let handler = |request: &mut Request<'_>| match request.path() {
        "/endless" => {
            let content = Content::Chunked(Box::new(std::io::repeat(0)));
            Response::new(Status::OK).content(content)
        }
        "/large" => {
            let content = Content::Reader(1 << 30, Box::new(std::io::repeat(0).take(1 << 30)));
            Response::new(Status::OK).content(content)
        }
        _ => echo(request),
    };
    let server = Running::start(handler, |_| {});
    // Downloads that take nothing, uploads that send a byte now and then, heads that never end: three
    // places of the 25 are left.
    let mut slow: Vec<Raw> = (0..22).map(|_| server.open()).collect();
    for (number, raw) in slow.iter_mut().enumerate() {
        match number % 4 {
            0 => raw.send(get("/endless")),
            1 => raw.send(get("/large")),
            2 => raw.send(put("/up", "Content-Length: 1000000", "x")),
            _ => raw.send("GET / HTTP/1.1\r\nHost"),
        }
    }
    let mut worst = Duration::ZERO;
    for _ in 0..50 {
        let start = Instant::now();
        let answer = server.ask(get("/healthz"));
        assert_eq!(answer.status, 200);
        worst = worst.max(start.elapsed());
        for raw in slow.iter_mut().skip(2).step_by(4) {
            let _ = raw.stream.write_all(b"x");
        }
        thread::yield_now();
    }
    println!("the slowest of 50 short requests took {worst:?}");
    assert!(worst < Duration::from_secs(1), "{worst:?}");
}

#[test]
fn a_caller_with_one_request_after_the_other_does_not_hold_up_others() {
    let server = Served::start(&["--plain", "--log-polls"]);
    let address = server.url.trim_start_matches("http://");
    let (mut eager, mut other) = (Raw::open(address), Raw::open(address));
    for raw in [&mut eager, &mut other] {
        raw.send(get("/healthz"));
        assert_eq!(raw.answer().status, 200);
    }

    // The server finds all of them at one time.
    server.process.interrupt();
    eager.send(get("/healthz").repeat(50));
    other.send(get("/healthz"));
    server.process.signal(Signal::CONT);
    assert_eq!(other.answer().status, 200);
    for _ in 0..50 {
        assert_eq!(eager.answer().status, 200);
    }

    // All are answered by the thread that waits for everybody, which logs them in its order.
    let peers = [&eager, &other].map(|raw| raw.stream.local_addr().unwrap().to_string());
    let log = server.stop().exits(0).stderr;
    let last = |peer: &String| {
        log.rfind(peer)
            .unwrap_or_else(|| panic!("no {peer}: {log}"))
    };
    assert!(last(&peers[1]) < last(&peers[0]), "{log}");
}

#[test]
fn bodies_of_strangers_take_a_share_of_the_places_only() {
    let server = Served::start(&["--plain"]);
    let address = server.url.trim_start_matches("http://");
    let password = server.password();
    let token = format!("Authorization: Bearer {password}\r\n");

    // More than there are places for requests that run, and none of their bodies ever ends.
    let request = |path: &str, fields: &str| {
        format!("POST {path} HTTP/1.1\r\nHost: a\r\n{fields}Content-Length: 60000\r\n\r\n[")
    };
    let mut strangers: Vec<Raw> = Vec::new();
    for path in ["/load_model", "/import_model", "/v1/pair"] {
        for _ in 0..20 {
            let mut raw = Raw::open(address);
            raw.send(request(path, ""));
            strangers.push(raw);
        }
    }

    // Uploads that show nothing, or what is wrong, are refused without a place.
    for (fields, status) in [("", 401), ("Authorization: Bearer wrong\r\n", 401)] {
        let mut raw = Raw::open(address);
        raw.send(request("/v1/models/m", fields));
        assert_eq!(raw.answer().status, status);
    }

    for _ in 0..40 {
        let mut raw = Raw::open(address);
        raw.send(format!(
            "PUT /v1/models/m HTTP/1.1\r\nHost: a\r\n{token}\
             Content-Length: 10000\r\nConnection: close\r\n\r\n{}",
            "x".repeat(10_000)
        ));
        assert!([201, 204, 200].contains(&raw.answer().status));

        let mut raw = Raw::open(address);
        raw.send(format!(
            "GET /v1/models HTTP/1.1\r\nHost: a\r\n{token}Connection: close\r\n\r\n"
        ));
        assert_eq!(raw.answer().status, 200);
    }
}

#[test]
fn slow_tokens_together_leave_a_place_for_others() {
    let server = Served::start(&["--plain"]);
    let address = server.url.trim_start_matches("http://");
    fs::write(server.dir.join("large"), vec![7; 32 << 20]).unwrap();
    let token = |name: &str| {
        let made = server.skep(&["token", "new", name, "--role", "read", "-q"]);
        made.exits(0).text().trim().to_owned()
    };
    let send = |secret: &str, path: &str| {
        let mut raw = Raw::open(address);
        raw.send(format!(
            "GET {path} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {secret}\r\n\r\n"
        ));
        raw
    };

    // Each of them begins as many downloads as it may, and takes nothing of them.
    let other = token("other");
    let mut slow: Vec<Raw> = Vec::new();
    for number in 1..=5 {
        let secret = token(&format!("slow-{number}"));
        let mut begun = 0;
        loop {
            let mut raw = send(&secret, "/v1/models/large");
            let mut line = [0; 12];
            raw.stream.read_exact(&mut line).unwrap();
            match &line[9..] {
                b"200" => begun += 1,
                refused => {
                    assert_eq!(refused, b"429", "of {number}");
                    break;
                }
            }
            slow.push(raw);
        }
        assert!(begun > 0, "{number} found no place");
        assert_eq!(send(&other, "/v1/models").answer().status, 200, "{number}");
    }
    drop(slow);
}

#[test]
fn one_token_takes_a_share_of_the_places_only() {
    let server = Served::start(&["--plain"]);
    let address = server.url.trim_start_matches("http://");
    let owner = server.password();
    let token = |name: &str, role: &str| {
        let made = server.skep(&["token", "new", name, "--role", role, "-q"]);
        made.exits(0).text().trim().to_owned()
    };
    let (reader, writer) = (token("reader", "read"), token("writer", "write"));
    let other = token("other", "write");
    fs::write(server.dir.join("large"), vec![7; 32 << 20]).unwrap();

    let send = |secret: &str, request: &str, fields: &str, body: &str| {
        let mut raw = Raw::open(address);
        raw.send(format!(
            "{request} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {secret}\r\n{fields}\r\n{body}"
        ));
        raw
    };
    let status = |raw: &mut Raw| {
        let mut line = [0; 12];
        raw.stream.read_exact(&mut line).unwrap();
        str::from_utf8(&line[9..]).unwrap().parse::<u16>().unwrap()
    };

    // Downloads that nobody takes, and uploads that never end.
    let mut slow: Vec<Raw> = (0..25)
        .map(|_| send(&reader, "GET /v1/models/large", "", ""))
        .collect();
    let mut seen: Vec<u16> = slow.iter_mut().map(status).collect();
    seen.sort_unstable();
    assert_eq!(seen, [[200; 13].as_slice(), &[429; 12]].concat());

    let stalled: Vec<Raw> = (0..3)
        .map(|_| {
            let fields = "Content-Length: 1000000\r\nExpect: 100-continue\r\n";
            let mut raw = send(&writer, "PUT /v1/models/never", fields, "");
            assert_eq!(raw.answer().status, 100);
            raw
        })
        .collect();
    let more = send(
        &writer,
        "PUT /v1/models/more",
        "Content-Length: 20000\r\n",
        "x",
    )
    .answer();
    assert_eq!(more.status, 429);
    assert!(more.has("retry-after: 1"), "{more:?}");
    assert!(more.text().contains("of this caller"), "{more:?}");

    for secret in [&other, &owner] {
        for _ in 0..10 {
            let close = "Connection: close\r\n";
            assert_eq!(
                send(secret, "GET /v1/models", close, "").answer().status,
                200
            );
            let fields = "Content-Length: 20000\r\nConnection: close\r\n";
            let put = send(secret, "PUT /v1/models/m", fields, &"x".repeat(20_000)).answer();
            assert!([200, 201].contains(&put.status), "{put:?}");
        }
    }
    drop((slow, stalled));
}
