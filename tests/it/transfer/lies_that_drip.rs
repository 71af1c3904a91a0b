// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Servers that go on with a little now and then, so that no single wait is long: the client gives up all the
//! same when nothing has progressed for its time limit.

use std::io::Write as _;
use std::net::TcpListener;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use crate::support::liar::{Liar, Then};
use crate::support::process::{DEADLINE, Place, run};

/// Far below the time limit of the client, so that no read of it ever waits that long.
const PAUSE: Duration = Duration::from_millis(50);

/// Says the same again and again until the client is gone, or until it is clear that it stays; whether it left.
fn drip(mut say: impl FnMut() -> bool) -> bool {
    let begun = Instant::now();
    while say() {
        if begun.elapsed() > DEADLINE / 2 {
            return false;
        }
        std::thread::sleep(PAUSE);
    }
    true
}

#[test]
fn an_answer_that_drips_ends_with_the_time_limit() {
    let ok =
        "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nETag: \"x\"\r\n".to_owned();
    let chunked = format!("{ok}Transfer-Encoding: chunked\r\n\r\n");
    let lies: [(&str, String, &str); 10] = [
        (
            "processing",
            String::new(),
            "HTTP/1.1 102 Processing\r\n\r\n",
        ),
        (
            "early hints",
            String::new(),
            "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n",
        ),
        ("promises", String::new(), "HTTP/1.1 100 Continue\r\n\r\n"),
        ("a status line", "HTTP/1.1 200 ".to_owned(), "x"),
        ("a field", format!("{ok}X-Field: "), "x"),
        ("fields", ok.clone(), "X-Field: x\r\n"),
        ("the size of a chunk", chunked.clone(), "0"),
        ("a chunk extension", format!("{chunked}5;x="), "x"),
        (
            "trailer fields",
            format!("{chunked}5\r\nhello\r\n0\r\n"),
            "X: y\r\n",
        ),
        (
            "a trailer field",
            format!("{chunked}5\r\nhello\r\n0\r\nX: "),
            "y",
        ),
    ];
    for (lie, start, piece) in lies {
        let liar = Liar::start(move |question| {
            question.say(&start);
            drip(|| question.say(piece));
            Then::Close
        });
        let place = Place::new();
        let told = liar.skep(&place, &["cat", "m", "--timeout", "1s"]);
        assert_eq!(told.code, 5, "{lie}: {}", told.stderr);
        assert!(
            told.stderr.contains("the server made no progress for 1 s"),
            "{lie}: {}",
            told.stderr
        );
        assert_eq!(liar.heads().len(), 1, "{lie}");
    }
}

#[test]
fn a_refusal_that_drips_is_told_with_its_status() {
    let (gone, left) = channel();
    let liar = Liar::start(move |question| {
        question.say("HTTP/1.1 507 Insufficient Storage\r\nContent-Length: 60000\r\n\r\n");
        gone.send(drip(|| question.say("x"))).unwrap();
        Then::Close
    });
    let place = Place::new();
    liar.skep(&place, &["ls", "--timeout", "1s"])
        .exits(8)
        .says("507");
    assert!(left.recv().unwrap(), "the client waited for all of it");
}

#[test]
fn an_answer_to_an_upload_that_drips_ends_with_the_time_limit() {
    let liar = Liar::start(|question| {
        question.body();
        drip(|| question.say("HTTP/1.1 102 Processing\r\n\r\n"));
        Then::Close
    });
    let place = Place::new();
    place.file("m", "hello");
    liar.skep(&place, &["put", "m", "--timeout", "1s", "--retries", "0"])
        .exits(5)
        .says("the server made no progress for 1 s");
}

#[test]
fn content_that_drips_is_progress() {
    let liar = Liar::start(|question| {
        question.say("HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nETag: \"x\"\r\nContent-Length: 30\r\n\r\n");
        for _ in 0..30 {
            question.say("x");
            std::thread::sleep(PAUSE);
        }
        Then::Close
    });
    let place = Place::new();
    let told = liar
        .skep(&place, &["cat", "m", "--timeout", "1s"])
        .exits(10);
    assert_eq!(told.stdout, [b'x'; 30]);
}

#[test]
fn a_flood_of_trailer_fields_has_an_end() {
    let liar = Liar::start(|question| {
        question.say("HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nETag: \"x\"\r\nTransfer-Encoding: chunked\r\n\r\n");
        question.say("5\r\nhello\r\n0\r\n");
        question.endlessly(&b"X-Field: value\r\n".repeat(4000))
    });
    let place = Place::new();
    liar.skep(&place, &["cat", "m"])
        .exits(8)
        .says("trailer fields without an end");
    // What the sockets hold comes on top.
    assert!(liar.taken() < 32 << 20, "{}", liar.taken());
}

#[test]
fn a_handshake_that_drips_ends_with_the_time_limit() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        let (mut line, _) = listener.accept().unwrap();
        // The head of a record of 16 KiB.
        line.write_all(&[22, 3, 3, 0x40, 0]).unwrap();
        drip(|| line.write_all(&[0]).is_ok());
    });
    let place = Place::new();
    let mut command = place.skep(&["ls", "--connect-timeout", "1s"]);
    run(command.env("SKEP_SERVER", url))
        .exits(3)
        .says("did not answer the TLS handshake within 1 s");
}
