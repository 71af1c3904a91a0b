// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What a head may be and what not.

use ErrorKind::{BadRequest, FieldsTooLarge, NotImplemented, VersionNotSupported};

use super::*;

fn read(head: &str) -> Result<Head> {
    parse(head.as_bytes(), &Limits::default())
}

fn refused(head: &str) -> ErrorKind {
    read(head).expect_err(head).kind()
}

#[test]
fn a_usual_head_is_read() {
    let head = read("PUT /v1/models/a%20b?x=1 HTTP/1.1\r\nHost: pi\r\nContent-Length: 12\r\n\r\n");
    let head = head.unwrap();
    assert_eq!((head.method, head.version), (Method::Put, Version::Http11));
    assert_eq!(head.target, "/v1/models/a%20b?x=1");
    assert_eq!(head.framing, Framing::Length(12));
    assert_eq!(head.fields.value("host"), Some("pi"));
    assert!(head.keeps_alive());
}

#[test]
fn blanks_and_tabs_around_a_value_are_no_part_of_it() {
    let fields = "Host:\tpi \t\r\nSkep-License: MIT\t\r\nSkep-Source:\t a\tb \r\nContent-Length:\t12\t\r\nEmpty:\t \r\n";
    let head = read(&format!("PUT /x HTTP/1.1\r\n{fields}\r\n")).unwrap();
    assert_eq!(head.framing, Framing::Length(12));
    for (name, value) in [
        ("host", "pi"),
        ("skep-license", "MIT"),
        ("skep-source", "a\tb"),
        ("empty", ""),
    ] {
        assert_eq!(head.fields.value(name), Some(value), "{name}");
    }
}

#[test]
fn targets_come_in_origin_form() {
    for (sent, kept) in [
        ("/", "/"),
        ("//evil.example/%2e", "/evil.example/%2e"),
        ("///a//b", "/a//b"),
        ("http://pi:8443/x?y", "/x?y"),
        ("http://pi", "/"),
        ("http://pi?y", "/?y"),
        ("*", "*"),
    ] {
        let head = read(&format!("GET {sent} HTTP/1.1\r\nHost: pi\r\n\r\n")).unwrap();
        assert_eq!(head.target, kept, "{sent}");
    }
    for bad in ["x", "pi:443", "/a#b", "mailto:a"] {
        assert_eq!(
            refused(&format!("GET {bad} HTTP/1.1\r\nHost: pi\r\n\r\n")),
            BadRequest,
            "{bad}"
        );
    }
}

#[test]
fn keeping_alive_follows_the_version() {
    let close = read("GET / HTTP/1.1\r\nHost: a\r\nConnection: x, Close\r\n\r\n").unwrap();
    assert!(!close.keeps_alive());
    assert!(!read("GET / HTTP/1.0\r\n\r\n").unwrap().keeps_alive());
    assert!(
        read("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
            .unwrap()
            .keeps_alive()
    );
}

#[test]
fn lengths_have_one_reading() {
    let with = |fields: &str| format!("PUT /x HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n");
    for bad in [
        "Content-Length: 1\r\nContent-Length: 1",
        "Content-Length: 1, 1",
        "Content-Length: +1",
        "Content-Length: -1",
        "Content-Length: 0x10",
        "Content-Length:",
        "Content-Length: 1 2",
        "Content-Length: 9223372036854775808",
        "Content-Length: 99999999999999999999999",
        "Content-Length: 1\r\nTransfer-Encoding: chunked",
    ] {
        assert_eq!(refused(&with(bad)), BadRequest, "{bad}");
    }
    for unknown in [
        "gzip",
        "gzip, chunked",
        "chunked, chunked",
        "chunked;x=1",
        "xchunked",
        "",
    ] {
        let head = with(&format!("Transfer-Encoding: {unknown}"));
        assert_eq!(refused(&head), NotImplemented, "{unknown}");
    }
    let twice = with("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked");
    assert_eq!(refused(&twice), NotImplemented);
    assert_eq!(
        read(&with("Transfer-Encoding: Chunked")).unwrap().framing,
        Framing::Chunked
    );
    // More than fits a 32-bit device's usize.
    let large = read(&with("Content-Length: 9223372036854775807")).unwrap();
    assert_eq!(large.framing, Framing::Length(9_223_372_036_854_775_807));
    let old = "PUT /x HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert_eq!(refused(old), BadRequest);
}

#[test]
fn ambiguous_syntax_is_refused() {
    for bad in [
        "GET / HTTP/1.1\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\rX: y\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost : a\r\n\r\n",
        "GET / HTTP/1.1\r\n Host: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX: \0\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX: \x1b\r\n\r\n",
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n",
        "GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1 x\r\nHost: a\r\n\r\n",
        "GET / http/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.10\r\nHost: a\r\n\r\n",
        "\r\n\r\n",
        "GET /\r\n\r\n",
        "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /% HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /a%zz HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nRange: bytes=0-1\r\nRange: bytes=1-\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nAuthorization: a b\r\nAuthorization: c d\r\n\r\n",
        "G\u{e9}T / HTTP/1.1\r\nHost: a\r\n\r\n",
        "\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.x\r\nHost: a\r\n\r\n",
        "GET / HTTP/2.x\r\nHost: a\r\n\r\n",
        "GET / HTTP/x.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.10\r\nHost: a\r\n\r\n",
    ] {
        assert_eq!(refused(bad), BadRequest, "{bad:?}");
    }
}

#[test]
fn a_request_line_is_as_long_as_it_may_be_and_no_longer() {
    // Its end is a CR, which counts.
    let line = |length: usize| {
        let target = "x".repeat(length - "GET / HTTP/1.1\r".len());
        format!("GET /{target} HTTP/1.1\r\nHost: a\r\n\r\n")
    };
    assert!(read(&line(LINE_BYTES_MAX)).is_ok());
    for length in [LINE_BYTES_MAX + 1, LINE_BYTES_MAX + 1000] {
        assert_eq!(refused(&line(length)), ErrorKind::TargetTooLong);
        // It is refused before it is there.
        let begun = check_start(&line(length).as_bytes()[..LINE_BYTES_MAX + 1]);
        assert_eq!(begun.unwrap_err().kind(), ErrorKind::TargetTooLong);
    }
}

#[test]
fn a_later_minor_version_is_served_as_the_one_that_is_known() {
    for minor in 1..=9 {
        let head = read(&format!("GET /x HTTP/1.{minor}\r\nHost: a\r\n\r\n")).unwrap();
        assert_eq!(
            (head.version, head.target.as_str()),
            (Version::Http11, "/x")
        );
    }
}

#[test]
fn versions_and_methods_that_nobody_here_speaks() {
    assert_eq!(
        refused("GET / HTTP/2.0\r\nHost: a\r\n\r\n"),
        VersionNotSupported
    );
    assert_eq!(
        refused("GET / HTTP/0.9\r\nHost: a\r\n\r\n"),
        VersionNotSupported
    );
    assert_eq!(
        refused("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
        VersionNotSupported
    );
    assert_eq!(
        refused("BREW / HTTP/1.1\r\nHost: a\r\n\r\n"),
        NotImplemented
    );
    assert_eq!(refused("get / HTTP/1.1\r\nHost: a\r\n\r\n"), NotImplemented);
}

#[test]
fn a_head_has_at_most_so_many_fields() {
    let with = |count| {
        let fields: String = (0..count).map(|index| format!("X{index}: y\r\n")).collect();
        format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n")
    };
    assert!(read(&with(63)).is_ok());
    assert_eq!(refused(&with(64)), FieldsTooLarge);
}

#[test]
fn the_end_is_found_across_reads() {
    let bytes = b"GET / HTTP/1.1\r\n\r\nrest";
    for from in 0..15 {
        assert_eq!(end(bytes, from), Some(18), "{from}");
    }
    assert_eq!(end(b"GET / HTTP/1.1\r\n\r", 0), None);
}

#[test]
fn a_body_is_early_unless_its_caller_waits_or_it_is_large() {
    let early = |fields: &str| {
        let head = read(&format!("PUT /x HTTP/1.1\r\nHost: x\r\n{fields}\r\n")).unwrap();
        (head.has_early_body(), head.expects_continue())
    };
    assert_eq!(early(""), (true, false));
    assert_eq!(early("Content-Length: 5\r\n"), (true, false));
    assert_eq!(early("Expect: 100-continue\r\n"), (true, false));
    let waits = "Content-Length: 5\r\nExpect: 100-continue\r\n";
    assert_eq!(early(waits), (false, true));
    assert_eq!(early("Content-Length: 99999999\r\n"), (false, false));
    assert_eq!(early("Transfer-Encoding: chunked\r\n"), (false, false));
    let piece = "Content-Length: 5\r\nUpload-Complete: ?0\r\n";
    assert_eq!(early(piece), (false, false));
}
