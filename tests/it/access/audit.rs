// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The log: one line for each event, in the form that was asked for, wherever it goes, and never one
//! that a caller wrote.

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;

use crate::support::process::{DEADLINE, Place, digest, run, until};
use crate::support::raw::{Raw, put};
use crate::support::served::Served;

/// Does a few things to a server and returns its log.
fn story(server: Served) -> String {
    server
        .curl("/v1/models/m", &["-A", "teller/1", "-X", "PUT", "-d", ""])
        .is(201);
    server.curl("/v1/models", &[]).is(200);
    server.curl_as("/healthz", &[], b"").is(200);
    server
        .curl_as("/v1/models/m?secret-of-mine", &["-u", "x:hunter22"], b"")
        .is(401);
    // Control characters, C1 ones and line separators, in the name and in the program's name.
    let odd = "/v1/models/a%0A2026%20forged%C2%85%E2%80%A8b";
    server
        .curl(odd, &["-A", "x\u{85}y\u{2028}z\u{9b}31m\"q"])
        .is(400);
    server.stop().exits(0).stderr
}

fn holds_no_secret(log: &str) {
    assert!(
        !log.contains("hunter22") && !log.contains("secret-of-mine"),
        "{log}"
    );
    for line in log.lines() {
        let is_bad =
            |letter: char| letter.is_control() || ('\u{2028}'..='\u{202e}').contains(&letter);
        assert!(
            !line.contains(is_bad) && !line.starts_with("2026 forged"),
            "{line:?}"
        );
    }
}

#[test]
#[cfg_attr(not(has_curl), ignore = "curl is not installed")]
fn a_line_says_who_did_what() {
    let log = story(Served::start(&["--plain"]));
    holds_no_secret(&log);
    let line = log.lines().find(|line| line.contains(" PUT ")).unwrap();
    assert!(
        line.contains(" info 127.0.0.1:") && line.contains(" password PUT /v1/models/m 201 "),
        "{line}"
    );
    let empty = digest(b"");
    for part in [
        "ms ",
        " name=m ",
        &format!(" digest={empty} "),
        " id=",
        " agent=teller/1",
    ] {
        assert!(line.contains(part), "{part}: {line}");
    }
    assert!(
        log.lines()
            .any(|line| line.contains(" - GET /v1/models/m 401 ")),
        "{log}"
    );
    assert!(
        !log.contains(" GET /v1/models 200") && !log.contains("/healthz"),
        "{log}"
    );
    assert!(
        log.contains("a\\\\u{a}2026 forged\\\\u{85}") || log.contains("a\\u{a}2026 forged\\u{85}"),
        "{log}"
    );
    let log = story(Served::start(&["--plain", "--log-polls"]));
    assert!(
        log.contains(" GET /v1/models 200") && log.contains(" GET /healthz 200"),
        "{log}"
    );
}

#[test]
#[cfg_attr(not(has_curl), ignore = "curl is not installed")]
fn the_id_of_an_event_is_told_to_the_caller() {
    let server = Served::start(&["--plain"]);
    let answer = server.curl("/v1/models/none", &[]).is(404);
    let id = answer.field("x-request-id").unwrap().to_owned();
    let log = server.stop().exits(0).stderr;
    assert!(
        log.lines().any(|line| line.contains(&format!("id={id}"))),
        "{id}: {log}"
    );
}

#[test]
#[cfg_attr(not(has_curl), ignore = "curl is not installed")]
fn programs_get_objects_or_pairs() {
    let log = story(Served::start(&["--plain", "--log-format", "json"]));
    holds_no_secret(&log);
    let lines = log.lines().filter(|line| !line.starts_with("skep: "));
    let values: Vec<Value> = lines
        .map(|line| serde_json::from_str(line).expect(line))
        .collect();
    let put = values.iter().find(|value| value["what"] == "PUT").unwrap();
    assert_eq!(
        (&put["who"], &put["status"], &put["name"]),
        (&"password".into(), &201.into(), &"m".into())
    );
    assert_eq!(put["digest"], digest(b"").as_str());
    assert!(
        put["ms"].is_u64() && put["sent"].is_u64() && put["time"].is_string(),
        "{put}"
    );
    // Other lines of the log are objects, too.
    assert!(
        values.iter().any(|value| value["text"].is_string()),
        "{log}"
    );
    let log = story(Served::start(&["--plain", "--log-format", "logfmt"]));
    holds_no_secret(&log);
    let put = log
        .lines()
        .find(|line| line.contains(" what=PUT "))
        .unwrap();
    assert!(
        put.starts_with("time=20")
            && put.contains(" who=password ")
            && put.contains(" status=201 "),
        "{put}"
    );
    let log = story(Served::start(&["--plain", "--log-format", "clf"]));
    holds_no_secret(&log);
    let put = log.lines().find(|line| line.contains("\"PUT ")).unwrap();
    assert!(put.starts_with("127.0.0.1 - password ["), "{put}");
    assert!(
        put.contains("] \"PUT /v1/models/m HTTP/1.1\" 201 ")
            && put.ends_with(" \"-\" \"teller/1\""),
        "{put}"
    );
}

#[test]
#[cfg_attr(not(has_curl), ignore = "curl is not installed")]
fn a_log_file_is_set_aside_when_it_is_full_and_opened_anew() {
    let place = Place::new();
    let file = place.path("skep.log");
    let name = file.to_str().unwrap();
    let settings = [
        "--plain",
        "--log-file",
        name,
        "--log-max-bytes",
        "2KiB",
        "--log-keep",
        "2",
    ];
    let server = Served::start_in(&place, &settings);
    for number in 0..60 {
        server
            .curl(&format!("/v1/models/none-{number:04}"), &[])
            .is(404);
    }
    let size = |name: &str| {
        fs::metadata(place.path(name))
            .map(|metadata| metadata.len())
            .ok()
    };
    // Between two files there is none for a moment.
    until(|| fs::read_to_string(&file).is_ok_and(|text| text.contains("none-0059")));
    assert!((1..=2048).contains(&size("skep.log").unwrap()));
    assert!(size("skep.log.1").is_some_and(|size| size <= 2048) && size("skep.log.2").is_some());
    assert_eq!(size("skep.log.3"), None);
    // What another program has moved away is begun anew.
    fs::rename(&file, place.path("moved")).unwrap();
    server.process.signal(Signal::HUP);
    until(|| file.exists());
    server.curl("/v1/models/after", &[]).is(404);
    until(|| fs::read_to_string(&file).unwrap().contains("after"));
    let printed = server.stop().exits(0).stderr;
    assert!(!printed.contains("none-0001"), "{printed}");
    let nowhere = [
        "serve",
        "127.0.0.1",
        "--port",
        "0",
        "--log-file",
        "/proc/none/skep.log",
    ];
    run(&mut place.skep(&nowhere)).exits(2).says("log-file");
}

#[test]
#[cfg_attr(not(has_curl), ignore = "curl is not installed")]
fn syslog_gets_packets() {
    let place = Place::new();
    let path = place.path("log");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(DEADLINE)).unwrap();
    let server = Served::start_in(&place, &["--plain", "--log-syslog", path.to_str().unwrap()]);
    server.curl("/v1/models/none", &[]).is(404);
    let mut buffer = [0; 4096];
    loop {
        let count = socket.recv(&mut buffer).unwrap();
        let text = String::from_utf8_lossy(&buffer[..count]).into_owned();
        if text.contains("/v1/models/none") {
            let start = format!("<30>skep[{}]: info 127.0.0.1:", server.process.id());
            assert!(
                text.starts_with(&start) && text.contains(" password GET "),
                "{text}"
            );
            return;
        }
    }
}

#[test]
fn requests_without_a_place_are_in_the_log_but_do_not_fill_it() {
    let server = Served::start(&[
        "--plain",
        "--max-connections",
        "1",
        "--reserved-connections",
        "0",
    ]);
    let address = server.url.trim_start_matches("http://").to_owned();
    let fields = format!("Authorization: Bearer {}", server.password());

    // Whoever is told to go on has the only place.
    let mut running = Raw::open(&address);
    let length = format!("Content-Length: 100000\r\n{fields}\r\nExpect: 100-continue");
    running.send(put("/v1/models/a", &length, ""));
    assert_eq!(running.answer().status, 100);

    let start = Instant::now();
    let mut others = Raw::open(&address);
    let mut ids = Vec::new();
    for _ in 0..50 {
        let fields = format!("Content-Length: 1\r\n{fields}");
        others.send(put("/v1/models/b?secret-of-mine", &fields, "x"));
        let answer = others.answer();
        assert_eq!(answer.status, 503);
        let id = answer
            .head
            .lines()
            .find_map(|line| line.strip_prefix("x-request-id: "));
        ids.push(id.unwrap().to_owned());
    }
    let elapsed = start.elapsed();
    drop((running, others));

    let log = server.stop().exits(0).stderr;
    holds_no_secret(&log);
    let is_written = |id: &&String| {
        let id = format!(" id={id}");
        log.lines()
            .any(|line| line.contains(" - PUT /v1/models/b 503 ") && line.contains(&id))
    };
    let written = ids.iter().filter(is_written).count();
    let left_out = left_out(&log, "requests that were answered 503");
    assert!(
        written >= 10 && written + left_out == 50,
        "{written} + {left_out}: {log}"
    );
    // A machine on which they take this long writes all of them.
    assert!(left_out > 0 || elapsed > Duration::from_secs(4), "{log}");
}

/// How many lines about this a log says that it lacks.
fn left_out(log: &str, about: &str) -> usize {
    let about = format!(" about {about} ");
    let count = |line: &str| {
        let words = line.split_once(&about)?.0;
        words.split(' ').rev().nth(1)?.parse::<usize>().ok()
    };
    log.lines().filter_map(count).sum()
}

/// Asks 50 times for a model that is not there, then once as the owner, and returns the log.
fn flooded(settings: &[&str], fields: &str, statuses: &[u16]) -> String {
    let server = Served::start(&[&["--plain"], settings].concat());
    let mut raw = Raw::open(server.url.trim_start_matches("http://"));
    for number in 0..50 {
        raw.send(format!(
            "GET /v1/models/none HTTP/1.1\r\nHost: 127.0.0.1\r\n{fields}\r\n"
        ));
        let status = *statuses.get(number).or(statuses.last()).unwrap();
        assert_eq!(raw.answer().status, status, "{number}");
    }
    let own = format!("Authorization: Bearer {}\r\n", server.password());
    raw.send(format!(
        "GET /v1/models/none HTTP/1.1\r\nHost: 127.0.0.1\r\n{own}\r\n"
    ));
    assert_eq!(raw.answer().status, 404);
    drop(raw);

    let log = server.stop().exits(0).stderr;
    assert!(log.contains(" password GET /v1/models/none 404 "), "{log}");
    log
}

#[test]
fn what_strangers_do_is_a_few_lines_and_a_sum() {
    let written = |log: &str, what: &str| log.matches(what).count();

    let log = flooded(&[], "", &[401]);
    let shown = written(&log, " - GET /v1/models/none 401 ");
    let missing = left_out(&log, "requests of strangers at 127.0.0.1");
    // Twelve in a minute, and the test may begin in one and end in the next.
    assert!(
        shown <= 24 && shown + missing == 50,
        "{shown} + {missing}: {log}"
    );

    let start = Instant::now();
    let log = flooded(&["--anonymous-read"], "", &[404]);
    let elapsed = start.elapsed();
    let shown = written(&log, " anonymous GET /v1/models/none 404 ");
    let missing = left_out(&log, "requests without credentials");
    assert_eq!(shown + missing, 50, "{log}");
    assert!(missing > 0 || elapsed > Duration::from_secs(4), "{log}");

    // Whoever is locked out was told so, and the lines before say why.
    let locked = ["--lockout-failures", "2", "--lockout-time", "15m"];
    let log = flooded(&locked, "Authorization: Bearer x\r\n", &[401, 401, 429]);
    assert_eq!(written(&log, " - GET /v1/models/none 401 "), 2, "{log}");
    assert_eq!(written(&log, " 429 "), 0, "{log}");
}

#[test]
fn what_a_caller_sends_makes_no_long_lines() {
    let server = Served::start(&["--plain"]);
    let mut raw = Raw::open(server.url.trim_start_matches("http://"));
    let long = "x".repeat(4000);

    // The name of a model is in the line twice.
    raw.send(format!(
        "GET /v1/models/{long} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    ));
    assert_eq!(raw.answer().status, 401);
    raw.send(format!(
        "GET /{long} HTTP/1.1\r\nHost: {long}\r\nUser-Agent: {long}\r\n\r\n"
    ));
    assert!(raw.answer().status >= 400);
    drop(raw);

    let log = server.stop().exits(0).stderr;
    assert!(log.contains(&"x".repeat(197)), "{log}");
    assert!(log.lines().all(|line| line.len() < 600), "{log}");
}

#[test]
#[cfg_attr(not(has_curl), ignore = "curl is not installed")]
fn a_head_is_logged_as_one() {
    let server = Served::start(&["--plain", "--log-polls"]);
    server.curl("/v1/models", &["-I"]).is(200);
    let log = server.stop().exits(0).stderr;
    assert!(log.contains("HEAD /v1/models "), "{log}");
}
