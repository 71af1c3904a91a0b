// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Heads and bodies have one reading or none: what could have two is refused and ends the connection
//! (facts F4 to F6 of the design).

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use skep::{Content, Request, Response, Status};

use crate::support::raw::{Answer, Running, echo, get, put};

fn start() -> Running {
    Running::start(echo, |_| {})
}

/// Sends bytes and a request behind them: if the bytes are refused, that one must not be answered.
fn only_answer(server: &Running, bytes: &str) -> Answer {
    let mut raw = server.open();
    raw.send(bytes);
    raw.send(get("/smuggled"));
    raw.end();
    let answer = raw.answer();
    assert!(answer.has("connection: close"), "{bytes:?}: {answer:?}");
    assert!(raw.next_answer().is_none(), "{bytes:?} has two answers");
    answer
}

#[test]
fn refused_heads_get_one_answer_and_an_end() {
    let server = start();
    let long = |length: usize| "x".repeat(length);
    let many: String = (0..64).map(|number| format!("x-{number}: y\r\n")).collect();
    let cases = [
        (
            400,
            put("/a", "Content-Length: 1\r\nTransfer-Encoding: chunked", ""),
        ),
        (400, put("/a", "Content-Length: 1\r\nContent-Length: 1", "")),
        (400, put("/a", "Content-Length: 1, 1", "")),
        (400, put("/a", "Content-Length: +1", "")),
        (400, put("/a", "Content-Length: 0x1", "")),
        (400, put("/a", "Content-Length:", "")),
        (400, put("/a", "Content-Length: 9223372036854775808", "")),
        (400, put("/a", "Content-Length: 18446744073709551617", "")),
        (501, put("/a", "Transfer-Encoding: gzip, chunked", "")),
        (501, put("/a", "Transfer-Encoding: chunked, gzip", "")),
        (
            501,
            put(
                "/a",
                "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
                "",
            ),
        ),
        (400, put("/a", "X: y\r\n folded", "")),
        (400, put("/a", "X : y", "")),
        (400, put("/a", "X: a\0b", "")),
        (400, put("/a", "X: a\rb", "")),
        (400, put("/a", "X: a\nb: c", "")),
        (400, "GET / HTTP/1.1\nHost: a\n\n".to_owned()),
        (400, "GET / HTTP/1.1\r\n\r\n".to_owned()),
        (
            400,
            "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n".to_owned(),
        ),
        (400, "GET /\r\n".to_owned()),
        (400, "GET  / HTTP/1.1\r\nHost: a\r\n\r\n".to_owned()),
        (400, "GET ?x HTTP/1.1\r\nHost: a\r\n\r\n".to_owned()),
        (
            400,
            "\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(),
        ),
        (
            400,
            "PUT / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned(),
        ),
        (501, "BREW / HTTP/1.1\r\nHost: a\r\n\r\n".to_owned()),
        (505, "GET / HTTP/2.0\r\nHost: a\r\n\r\n".to_owned()),
        (505, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned()),
        (414, get(&format!("/{}", long(8192)))),
        (431, put("/a", &format!("x: {}", long(16 * 1024)), "")),
        (431, put("/a", &format!("{many}content-length: 0"), "")),
        (417, put("/a", "Expect: 200-ok\r\nContent-Length: 1", "")),
    ];
    for (status, bytes) in cases {
        let answer = only_answer(&server, &bytes);
        assert_eq!(answer.status, status, "{bytes:?}: {answer:?}");
    }
    assert_eq!(
        server.metrics.requests.value(),
        0,
        "no handler saw any of them"
    );
}

#[test]
fn a_head_without_end_is_refused_before_it_fills_the_memory() {
    let server = start();
    let mut raw = server.open();
    raw.send("GET / HTTP/1.1\r\n");
    raw.send("x".repeat(17 * 1024));
    assert_eq!(raw.answer().status, 431);
    let mut raw = server.open();
    raw.send("G".repeat(9 * 1024));
    assert_eq!(raw.answer().status, 414);
}

#[test]
fn broken_bodies_are_errors_for_the_handler_and_end_the_connection() {
    let server = start();
    let chunked = |body: &str| put("/a", "Transfer-Encoding: chunked", body);
    for body in [
        "x\r\nabc\r\n0\r\n\r\n",
        "-1\r\nabc\r\n0\r\n\r\n",
        "0x3\r\nabc\r\n0\r\n\r\n",
        "\r\n",
        "3\nabc\r\n0\r\n\r\n",
        "3 \r\nabc\r\n0\r\n\r\n",
        "3\r\nabcd\r\n0\r\n\r\n",
        "3\r\nabc3\r\ndef\r\n0\r\n\r\n",
        "3\r\nabc0\r\n\r\n",
        "3\r\nabc\n0\r\n\r\n",
        "8000000000000000\r\nabc",
        "10000000000000003\r\nabc\r\n0\r\n\r\n",
        "3;a\rb\r\nabc\r\n0\r\n\r\n",
        "3;a\0b\r\nabc\r\n0\r\n\r\n",
        "0\r\nnot a field\r\n\r\n",
        "0\r\nx: a\rb\r\n\r\n",
        "0\r\n x: y\r\n\r\n",
    ] {
        assert_eq!(only_answer(&server, &chunked(body)).status, 400, "{body:?}");
    }
    let long = format!("3;{}\r\nabc\r\n0\r\n\r\n", "x".repeat(5000));
    assert_eq!(only_answer(&server, &chunked(&long)).status, 400);
    let trailers = format!("0\r\n{}\r\n", "x: y\r\n".repeat(65));
    assert_eq!(only_answer(&server, &chunked(&trailers)).status, 400);

    // Nobody waits for the end of a line that is too long.
    let mut raw = server.open();
    raw.send(chunked(&format!("3;{}", "x".repeat(5000))));
    let answer = raw.answer();
    assert_eq!(answer.status, 400);
    assert!(answer.text().contains("too long"), "{answer:?}");
}

#[test]
fn a_cut_body_is_an_error_for_the_handler() {
    let server = start();
    for bytes in [
        put("/a", "Content-Length: 10", "123"),
        put("/a", "Content-Length: 100000", "123"),
        put("/a", "Transfer-Encoding: chunked", "3\r\nabc\r\n"),
        put("/a", "Transfer-Encoding: chunked", "3\r\nabc\r\n0\r\n"),
    ] {
        let mut raw = server.open();
        raw.send(&bytes);
        raw.end();
        let answer = raw.answer();
        assert_eq!(answer.status, 400, "{bytes:?}");
        assert!(answer.text().contains("early"), "{answer:?}");
        assert!(raw.next_answer().is_none());
    }
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let server = start();
    let mut raw = server.open();
    let mut bytes = String::new();
    for number in 0..20 {
        bytes += &get(&format!("/{number}"));
        bytes += &put(&format!("/{number}/l"), "Content-Length: 5", "GET /");
        let body = "5;x=\"y\"\r\nGET /\r\n1\r\n \r\n0\r\nContent-Length: 9\r\n\r\n";
        // Some callers send a line break that belongs to nothing.
        bytes += &put(
            &format!("/{number}/c"),
            "Transfer-Encoding: chunked",
            &format!("{body}\r\n"),
        );
    }
    raw.send(bytes);
    for number in 0..20 {
        assert_eq!(raw.answer().text(), format!("/{number} 0"));
        assert_eq!(raw.answer().text(), format!("/{number}/l 5"));
        assert_eq!(raw.answer().text(), format!("/{number}/c 6"));
    }
}

#[test]
fn an_unread_body_is_never_a_request() {
    let server = Running::start(echo, |limits| limits.drain_bytes_max = 64 * 1024);
    let smuggled = get("/smuggled");
    for path in ["/ignore", "/refuse", "/panic"] {
        // Little enough to be read away.
        let mut raw = server.open();
        raw.send(put(
            path,
            &format!("Content-Length: {}", smuggled.len()),
            &smuggled,
        ));
        raw.send(get("/next"));
        raw.answer();
        assert_eq!(raw.answer().text(), "/next 0", "{path}");
        // Too much, or of unknown length: the connection ends, and the answer arrives all the same.
        let many = smuggled.repeat(10_000);
        let long = format!("Content-Length: {}", many.len());
        // F5: the last would be allocated by a careless drain.
        let huge = "Content-Length: 1000000000000000000";
        for fields in [&long, "Transfer-Encoding: chunked", huge] {
            let mut raw = server.open();
            // Were it closed with this unread, the caller would get a reset.
            raw.send(put(path, fields, &smuggled.repeat(1000)));
            assert!(raw.answer().has("connection: close"), "{path} {fields}");
            raw.end();
            assert!(raw.next_answer().is_none(), "{path} {fields}");
        }
    }
}

#[test]
fn a_100_is_sent_when_the_handler_reads_and_not_before() {
    let server = start();
    let fields = "Content-Length: 3\r\nExpect: 100-continue";
    let mut raw = server.open();
    raw.send(put("/a", fields, ""));
    assert_eq!(raw.answer().status, 100);
    raw.send("abc");
    assert_eq!(raw.answer().text(), "/a 3");
    raw.send(put("/refuse", fields, ""));
    let answer = raw.answer();
    assert_eq!(answer.status, 401, "the final status comes instead");
    assert!(answer.has("connection: close"));
    // HTTP/1.0 knows no expectations.
    let mut raw = server.open();
    raw.send("PUT /a HTTP/1.0\r\nContent-Length: 3\r\nExpect: x\r\n\r\nabc");
    assert_eq!(raw.answer().text(), "/a 3");
}

#[test]
fn a_value_cannot_become_a_field_nor_a_handler_change_the_framing() {
    let server = Running::start(
        |request: &mut Request<'_>| {
            let value = request.query().unwrap_or_default();
            let value = value.replace("%0d", "\r").replace("%0a", "\n");
            Response::text(Status::OK, "four")
                .field("x-echo", value)
                .field("Content-Length", "1")
                .field("transfer-encoding", "chunked")
        },
        |_| {},
    );
    let mut raw = server.open();
    raw.send(get("/?a%0d%0aset-cookie:b%0d%0a%0d%0aHTTP/1.1"));
    let answer = raw.answer();
    assert!(
        answer.has("x-echo: a  set-cookie:b    http/1.1"),
        "{answer:?}"
    );
    assert!(!answer.head.contains("transfer-encoding"));
    assert_eq!(answer.head.matches("content-length").count(), 1);
    assert_eq!(answer.text(), "four");
    raw.send(get("/"));
    assert_eq!(raw.answer().text(), "four");
}

#[test]
fn answers_to_head_and_to_http_1_0_end_where_they_should() {
    let server = Running::start(
        |request: &mut Request<'_>| match request.path() {
            "/stream" => {
                let pieces = ["ab", "cd"].map(|piece| piece.as_bytes().to_vec());
                Response::new(Status::OK).content(Content::pieces(pieces))
            }
            "/broken" => {
                let pieces = (0..2).map(|number| match number {
                    0 => vec![b'x'; 10],
                    _ => panic!("the content breaks off"),
                });
                Response::new(Status::OK).content(Content::pieces(pieces))
            }
            _ => Response::problem(Status::NOT_FOUND, "nothing"),
        },
        |_| {},
    );
    let mut raw = server.open();
    raw.send("HEAD /x HTTP/1.1\r\nHost: a\r\n\r\nHEAD /stream HTTP/1.1\r\nHost: a\r\n\r\n");
    let head = String::from_utf8(raw.until("\r\n\r\n").unwrap()).unwrap();
    assert!(
        head.contains("404") && head.contains("content-length"),
        "{head}"
    );
    let head = String::from_utf8(raw.until("\r\n\r\n").unwrap()).unwrap();
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    raw.send("HEAD /x HTTP/1.1\r\nHost: a\r\nX : y\r\n\r\n");
    raw.end();
    let head = raw.rest().unwrap();
    assert!(
        head.starts_with(b"HTTP/1.1 400") && head.ends_with(b"\r\n\r\n"),
        "{head:?}"
    );

    let mut raw = server.open();
    raw.send("GET /stream HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    let answer = String::from_utf8(raw.rest().unwrap()).unwrap();
    assert!(
        answer.contains("connection: close") && answer.ends_with("\r\n\r\nabcd"),
        "{answer}"
    );

    for version in ["1.0", "1.1"] {
        let mut raw = server.open();
        raw.send(format!("GET /broken HTTP/{version}\r\nHost: a\r\n\r\n"));
        assert_eq!(
            raw.rest(),
            None,
            "a cut answer must not look whole in HTTP/{version}"
        );
    }
    assert_eq!(server.metrics.panics.value(), 2);
}

#[test]
fn two_slashes_are_one_and_methods_are_counted_once() {
    let seen = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&seen);
    let server = Running::start(
        move |request: &mut Request<'_>| {
            count.fetch_add(1, Ordering::SeqCst);
            echo(request)
        },
        |_| {},
    );
    assert_eq!(
        server.ask(get("//evil.example/x")).text(),
        "/evil.example/x 0"
    );
    assert_eq!(
        server.ask(put("/a", "Content-Length: 3", "abc")).text(),
        "/a 3"
    );
    assert_eq!(seen.load(Ordering::SeqCst), 2);
}

#[test]
fn up_to_two_empty_lines_before_a_request_are_read_over() {
    let server = start();
    for before in ["", "\r\n", "\r\n\r\n"] {
        let mut raw = server.open();
        raw.send(before);
        raw.send(get("/a"));
        assert_eq!(raw.answer().status, 200, "{before:?}");
    }
}
