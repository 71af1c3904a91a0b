// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Servers that lie about an upload: the client says so, tries only so often, and asks for nothing else.

use skep::Digest;

use crate::support::liar::{Liar, Question, Then};
use crate::support::process::{Place, noise};

/// Large enough to be sent in parts.
const SIZE: usize = 3 << 20;

pub(crate) const UPLOAD: &str = "/v1/uploads/0123456789abcdef0123456789abcdef";

fn stored(name: &str, bytes: &[u8]) -> String {
    let (size, digest) = (bytes.len(), Digest::of(bytes));
    format!(
        "{{\"name\":\"{name}\",\"size\":{size},\"modified\":\"2000-01-01T00:00:00Z\",\"digest\":\"{digest:?}\"}}"
    )
}

fn json(question: &mut Question<'_>, status: &str, body: &str) -> Then {
    question.answer(
        status,
        "Content-Type: application/json\r\n",
        body.as_bytes(),
    )
}

/// What a skep answers that is to have this file under the name `m`.
pub(crate) fn honest(question: &mut Question<'_>, bytes: &[u8]) -> Then {
    let place = format!("Location: {UPLOAD}\r\nUpload-Offset: 0\r\nUpload-Complete: ?0\r\n");
    if question.is("options ") {
        question.answer("204 No Content", "Upload-Limit: min-size=0\r\n", b"")
    } else if question.is("put ") {
        question.body();
        question.answer("201 Created", &place, b"")
    } else if question.is("patch ") {
        question.body();
        json(question, "201 Created", &stored("m", bytes))
    } else if question.is("delete ") {
        question.answer("204 No Content", "", b"")
    } else {
        question.answer("404 Not Found", "", b"")
    }
}

/// Answers to one step of an upload; `None` leaves the step to an honest server.
type Lie = fn(&mut Question<'_>) -> Option<Then>;

/// How far an upload is, as `HEAD` is told.
fn at(question: &mut Question<'_>, offset: &str) -> Option<Then> {
    let fields = format!("Upload-Offset: {offset}\r\nUpload-Complete: ?0\r\n");
    question
        .is("head /v1/uploads/")
        .then(|| question.answer("204 No Content", &fields, b""))
}

/// Takes a part of the first append and hangs up.
fn cut(question: &mut Question<'_>) -> Option<Then> {
    question.is("patch ").then(|| {
        question.take(1 << 20);
        Then::Close
    })
}

const LIES: &[(&str, Lie, i32)] = &[
    ("other bytes", |question| stores(question, "m", b"other"), 6),
    (
        "another name",
        |question| {
            let bytes = noise(3, SIZE);
            stores(question, "n", &bytes)
        },
        6,
    ),
    (
        "a name outside",
        |question| {
            let bytes = noise(3, SIZE);
            stores(question, "../m", &bytes)
        },
        1,
    ),
    (
        "no digest",
        |question| {
            says(
                question,
                "{\"name\":\"m\",\"size\":3145728,\"modified\":\"2000-01-01T00:00:00Z\"}",
            )
        },
        6,
    ),
    ("no JSON", |question| says(question, "hello"), 1),
    ("no body", |question| says(question, ""), 1),
    (
        "more than there is",
        |question| cut(question).or_else(|| at(question, "3145729")),
        1,
    ),
    (
        "far more than there is",
        |question| cut(question).or_else(|| at(question, "18446744073709551615")),
        1,
    ),
    (
        "less than nothing",
        |question| cut(question).or_else(|| at(question, "-1")),
        1,
    ),
    (
        "no number",
        |question| cut(question).or_else(|| at(question, "x")),
        1,
    ),
    (
        "always nothing",
        |question| cut(question).or_else(|| at(question, "0")),
        5,
    ),
    (
        "always the same",
        |question| cut(question).or_else(|| at(question, "1048576")),
        5,
    ),
    (
        "gone each time",
        |question| {
            question.is("patch ").then(|| {
                question.body();
                question.answer("404 Not Found", "", b"")
            })
        },
        5,
    ),
    (
        "a conflict each time",
        |question| {
            let told = question.is("patch ").then(|| {
                question.body();
                question.answer("409 Conflict", "", b"")
            });
            told.or_else(|| at(question, "0"))
        },
        11,
    ),
    (
        "busy until the end of time",
        |question| {
            question.is("patch ").then(|| {
                question.body();
                question.answer("503 Busy", "Retry-After: 4000000000\r\n", b"")
            })
        },
        5,
    ),
    (
        "a promise without an end",
        |question| {
            question
                .is("patch ")
                .then(|| question.endlessly(&b"HTTP/1.1 100 Continue\r\n\r\n".repeat(1000)))
        },
        1,
    ),
];

fn stores(question: &mut Question<'_>, name: &str, bytes: &[u8]) -> Option<Then> {
    says(question, &stored(name, bytes))
}

/// Takes the append and answers it with a success that says this.
fn says(question: &mut Question<'_>, body: &str) -> Option<Then> {
    question.is("patch ").then(|| {
        question.body();
        json(question, "201 Created", body)
    })
}

#[test]
fn a_lie_about_an_upload_is_told() {
    let bytes = noise(3, SIZE);
    for (lie, answer, code) in LIES {
        let (right, answer) = (bytes.clone(), *answer);
        let liar = Liar::start(move |question| match answer(question) {
            Some(then) => then,
            None => honest(question, &right),
        });
        let place = Place::new();
        place.file("m", &bytes);
        let told = liar.skep(&place, &["put", "m", "--retries", "2"]);
        let heads = liar.heads();
        let patches = heads
            .iter()
            .filter(|head| head.starts_with("patch "))
            .count();
        assert_eq!(told.code, *code, "{lie}: {}", told.stderr);
        // What cannot be is not shown as progress either.
        if lie.ends_with("than there is") {
            assert!(!told.stderr.contains("resuming"), "{lie}: {}", told.stderr);
        }
        // Two attempts after the first, and two after one that got further.
        assert!(patches <= 4, "{lie}: {patches}");
        for head in heads {
            let target = head.split(' ').nth(1).unwrap();
            assert!(
                [UPLOAD, "/v1/models/m"].contains(&target),
                "{lie}: {target}"
            );
        }
        assert!(liar.taken() < 64 << 20, "{lie}: {}", liar.taken());
    }
    let liar = Liar::start(move |question| honest(question, &bytes));
    let place = Place::new();
    place.file("m", noise(3, SIZE));
    liar.skep(&place, &["put", "m"]).exits(0);
}

#[test]
fn a_key_that_changes_between_two_parts_gets_nothing() {
    let bytes = noise(3, SIZE);
    let right = bytes.clone();
    let liar = Liar::of_keys(2, move |question| match cut(question) {
        Some(then) => then,
        None => honest(question, &right),
    });
    let place = Place::new();
    place.file("m", &bytes);
    let told = liar.skep(&place, &["put", "m"]).exits(7);
    assert!(
        told.stderr.contains(&liar.pins[1].to_string()),
        "{}",
        told.stderr
    );
    let heads = liar.heads();
    let last = heads.last().unwrap();
    assert!(
        last.starts_with("patch "),
        "a request went to another key: {last}"
    );
}

#[test]
fn an_upload_is_looked_for_among_uploads_only() {
    let bytes = noise(3, SIZE);
    let other = Liar::start(|question| question.answer("200 OK", "", b""));
    let elsewhere = [
        "/v1/models/precious".to_owned(),
        "/v1/uploads/../models/precious".to_owned(),
        "/v1/uploads/%2e%2e/models/precious".to_owned(),
        "/v1/uploads/".to_owned(),
        "/v1/uploads/0123456789ABCDEF0123456789ABCDEG".to_owned(),
        format!("{UPLOAD}/../../models/precious"),
        format!("{UPLOAD}?x=/v1/models/precious"),
        format!("{UPLOAD}#x"),
        format!("{UPLOAD}0"),
        format!("{}{UPLOAD}", other.url),
        format!("//{}{UPLOAD}", &other.url["http://".len()..]),
        "/healthz".to_owned(),
        "*".to_owned(),
        String::new(),
    ];
    for location in elsewhere {
        let (right, field) = (bytes.clone(), location.clone());
        let liar = Liar::start(move |question| {
            if question.is("put ") && question.field("upload-complete") == Some("?0") {
                question.body();
                let fields = format!("Location: {field}\r\nUpload-Offset: 0\r\n");
                return question.answer("201 Created", &fields, b"");
            }
            // A file that cannot be sent in parts comes at once.
            if question.is("put ") {
                question.body();
                return json(question, "201 Created", &stored("m", &right));
            }
            // A failed append leads to a question, and to the end of the upload.
            if question.is("patch ") {
                question.body();
                return question.answer("400 Bad Request", "", b"");
            }
            honest(question, &right)
        });
        let place = Place::new();
        place.file("m", &bytes);
        let told = liar.skep(&place, &["put", "m", "--retries", "1"]);
        for head in liar.heads() {
            let target = head.split(' ').nth(1).unwrap();
            assert_eq!(target, "/v1/models/m", "{location}: {}", told.stderr);
        }
        // What an earlier process remembers of it is not followed either.
        let places = std::fs::read_dir(place.home().join("uploads"));
        for remembered in places.into_iter().flatten() {
            let text = std::fs::read_to_string(remembered.unwrap().path()).unwrap();
            assert!(!text.contains("precious"), "{location}: {text}");
        }
    }
    assert_eq!(other.heads(), [""; 0]);
}

#[test]
fn a_commit_that_has_less_than_was_sent_is_not_believed() {
    const SET: &str = "/v1/changes/0123456789abcdef0123456789abcdef";

    for (published, unchanged, code) in [(0, 0, 6), (1, 0, 6), (0, 1, 6), (1, 1, 0), (2, 0, 0)] {
        let place = Place::new();
        std::fs::create_dir(place.path("d")).unwrap();
        for name in ["d/a", "d/b"] {
            place.file(name, name);
        }

        let liar = Liar::start(move |question| {
            // The end of a body that has no length.
            if question.is("0\r\n") {
                Then::Again
            } else if question.is("get /v1/models") {
                json(question, "200 OK", r#"{"schema":1,"models":[]}"#)
            } else if question.is("post /v1/changes?") {
                let place = format!("Location: {SET}\r\n");
                question.answer("201 Created", &place, b"")
            } else if question.is("post ") {
                let body = format!(
                    r#"{{"schema":1,"published":{published},"removed":0,"kept":true,"unchanged":{unchanged},"revision":null}}"#
                );
                json(question, "200 OK", &body)
            } else if question.is("options ") {
                question.answer("204 No Content", "", b"")
            } else if question.is("put ") {
                question.body();
                let name = if question.is(&format!("put {SET}/d/a")) {
                    "d/a"
                } else {
                    "d/b"
                };
                json(question, "201 Created", &stored(name, name.as_bytes()))
            } else {
                question.answer("404 Not Found", "", b"")
            }
        });

        let told = liar.skep(&place, &["put", "d", "--retries", "0"]);
        assert_eq!(told.code, code, "{} {:?}", told.stderr, liar.heads());
        if code != 0 {
            let count = published + unchanged;
            told.says(&format!("it has {count} of the 2 files that were sent"));
        }
    }
}
