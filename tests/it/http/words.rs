// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What callers say that must not count: weak tags for ranges, impossible sizes, and secrets in queries.

use std::fs::File;

use skep::Limits;

use crate::support::raw::{Raw, Running, echo, put};
use crate::support::served::Served;

#[test]
#[cfg_attr(not(has_curl), ignore = "curl is not installed")]
fn a_weak_tag_is_no_reason_for_a_range() {
    let server = Served::start(&["--plain"]);
    let mut was_weak = false;
    for number in 0..20 {
        // Too much to be digested in no time, and a new name each time.
        let (name, size) = (format!("m{number}"), 1_u64 << 30);
        File::create(server.dir.join(&name))
            .unwrap()
            .set_len(size)
            .unwrap();
        let path = format!("/v1/models/{name}");
        let tag = server.curl(&path, &["-I"]).is(200);
        // Tags have a case, unlike the names of fields.
        let shown = tag.field("etag").unwrap().replacen("w/", "W/", 1);
        let field = format!("If-Range: {shown}");
        // A range of one byte: an answer with everything is cut by curl.
        let words = ["-H", &field, "-r", "5-5", "--max-filesize", "1000"];
        let answer = server.curl(&path, &words);
        let is_weak = |answer: &crate::support::served::Answer| {
            answer
                .field("etag")
                .is_some_and(|tag| tag.starts_with("w/"))
        };
        if is_weak(&tag) {
            assert_eq!(answer.status, 200, "{field}");
            was_weak |= is_weak(&answer);
        }
        std::fs::remove_file(server.dir.join(&name)).unwrap();
        if was_weak {
            break;
        }
    }
    assert!(was_weak, "the digest was always known already");
}

#[test]
fn a_size_beyond_all_files_is_refused_before_its_bytes() {
    let server = Running::start(echo, |_: &mut Limits| ());
    for size in [
        "8000000000000000",
        "ffffffffffffffff",
        "FFFFFFFFFFFFFFFF0",
        "00008000000000000001",
    ] {
        let mut raw = server.open();
        // The connection stays open, so nothing but the size is wrong.
        raw.send(put(
            "/a",
            "Transfer-Encoding: chunked",
            &format!("{size}\r\nabc"),
        ));
        let answer = raw.answer();
        assert_eq!(answer.status, 400, "{size}: {answer:?}");
        assert!(answer.text().contains("2^63"), "{size}: {}", answer.text());
    }
    for length in [
        "9223372036854775808",
        "18446744073709551615",
        "18446744073709551616",
    ] {
        let mut raw = server.open();
        raw.send(put("/a", &format!("Content-Length: {length}"), "abc"));
        assert_eq!(raw.answer().status, 400, "{length}");
    }
}

/// Sends something to a server, and does not care what it is answered.
fn tell(server: &Served, bytes: String) {
    let mut raw = Raw::open(&server.url["http://".len()..]);
    raw.send(bytes);
    raw.end();
    // Some of this is answered by an end.
    raw.rest();
}

/// Ends a server whose log has so many lines, and no query in any.
fn end(server: Served, lines: usize) {
    let log = server.stop().exits(0).stderr;
    assert!(log.lines().count() >= lines, "{log}");
    for line in log.lines() {
        assert!(!line.contains("opensesame"), "{line}");
    }
}

const LOG: [&str; 4] = ["--plain", "--log-level", "debug", "--log-polls"];

#[test]
fn no_query_is_in_the_log() {
    let server = Served::start(&LOG);
    let known = format!("Authorization: Bearer {}\r\n", server.password());
    for path in [
        "/",
        "/healthz",
        "/v1/models",
        "/v1/models/m",
        "/v1/info/m",
        "/none",
        "/v1/pair",
    ] {
        for method in ["GET", "HEAD", "PUT", "POST", "DELETE", "PATCH", "OPTIONS"] {
            let line = format!("{method} {path}?x=opensesame HTTP/1.1\r\n{known}");
            tell(
                &server,
                format!("{line}Host: 127.0.0.1\r\nContent-Length: 0\r\n\r\n"),
            );
        }
    }
    end(server, 20);

    // There is a bound to lines about strangers, and the first ones are within it.
    let requests = [
        "GET /v1/models?opensesame HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /v1/models?opensesame HTTP/1.1\r\n\r\n",
        "GET /v1/models?opensesame HTTP/9.9\r\nHost: a\r\n\r\n",
        "GET /v1/models#opensesame HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET http://a/v1/models?opensesame HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /v1/models?opensesame HTTP/1.1\r\nHost: a\r\nBad Field: x\r\n\r\n",
        "GET /v1/models?opensesame HTTP/1.1\r\nHost: a?opensesame\r\n\r\n",
        "PUT /v1/models/m?opensesame HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n",
        "BREW /v1/models/m?opensesame HTTP/1.1\r\nHost: a\r\n\r\n",
    ];
    let server = Served::start(&LOG);
    for request in requests {
        tell(&server, request.to_owned());
    }
    end(server, 5);
}
