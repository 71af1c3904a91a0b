// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Servers that lie about a model: the client says so, and keeps neither a wrong byte nor less than it had.

use std::fs;

use skep::Digest;

use crate::support::liar::{Liar, Question, Then, tagged};
use crate::support::process::{Place, noise};

/// What is in the working directory, hidden files as well.
fn names(place: &Place) -> Vec<String> {
    let entries = fs::read_dir(place.path("")).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.collect();
    names.sort();
    names
}

/// A lie: what it is, the answer, and the exit code of whoever hears it.
type Lie = (&'static str, String, i32);

fn answer(status: &str, fields: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\n{fields}\r\n\r\n{body}")
}

/// Answers to a plain question for a model, each of them with the bytes `hello`.
fn lies() -> Vec<Lie> {
    let (right, wrong) = (Digest::of(b"hello"), Digest::of(b"hallo"));
    let of_five =
        |fields: String| answer("200 OK", &format!("{fields}\r\nContent-Length: 5"), "hello");
    let tag = format!("ETag: {}", right.etag());
    vec![
        (
            "the digest of others",
            of_five(format!("Repr-Digest: {}", wrong.field())),
            6,
        ),
        (
            "the tag of others",
            of_five(format!("ETag: {}", wrong.etag())),
            6,
        ),
        (
            "two digests",
            of_five(format!(
                "ETag: {}\r\nRepr-Digest: {}",
                right.etag(),
                wrong.field()
            )),
            6,
        ),
        (
            "half a digest",
            of_five("Repr-Digest: sha-256=:aGVs:".to_owned()),
            6,
        ),
        ("half a tag", of_five("ETag: \"sha256-beef\"".to_owned()), 6),
        (
            "too few bytes",
            answer("200 OK", &format!("{tag}\r\nContent-Length: 6"), "hello"),
            5,
        ),
        (
            "no last chunk",
            answer(
                "200 OK",
                &format!("{tag}\r\nTransfer-Encoding: chunked"),
                "5\r\nhello\r\n",
            ),
            5,
        ),
        (
            "a chunk that ends early",
            answer(
                "200 OK",
                &format!("{tag}\r\nTransfer-Encoding: chunked"),
                "6\r\nhello",
            ),
            5,
        ),
        (
            "a chunk of no size",
            answer(
                "200 OK",
                &format!("{tag}\r\nTransfer-Encoding: chunked"),
                "zz\r\nhello\r\n0\r\n\r\n",
            ),
            1,
        ),
        (
            "a chunk of 2^64 bytes",
            answer(
                "200 OK",
                &format!("{tag}\r\nTransfer-Encoding: chunked"),
                "10000000000000005\r\nhello\r\n0\r\n\r\n",
            ),
            1,
        ),
        ("no length", answer("200 OK", &tag, "hello"), 1),
        (
            "two lengths",
            answer(
                "200 OK",
                &format!("{tag}\r\nContent-Length: 5\r\nContent-Length: 3"),
                "hello",
            ),
            1,
        ),
        (
            "a coding that nobody asked for",
            of_five(format!("{tag}\r\nContent-Encoding: gzip")),
            1,
        ),
        (
            "a transfer coding that nobody asked for",
            answer(
                "200 OK",
                &format!("{tag}\r\nTransfer-Encoding: gzip"),
                "hello",
            ),
            1,
        ),
        (
            "a range that nobody asked for",
            answer(
                "206 Partial Content",
                &format!("{tag}\r\nContent-Range: bytes 0-4/9\r\nContent-Length: 5"),
                "hello",
            ),
            1,
        ),
        (
            "all as a range",
            answer(
                "206 Partial Content",
                &format!("{tag}\r\nContent-Range: bytes 0-4/5\r\nContent-Length: 5"),
                "hello",
            ),
            1,
        ),
        ("nothing new", answer("304 Not Modified", &tag, ""), 2),
        ("nothing at all", answer("204 No Content", &tag, ""), 1),
        (
            "accepted",
            answer(
                "202 Accepted",
                &format!("{tag}\r\nContent-Length: 5"),
                "hello",
            ),
            1,
        ),
        (
            "another protocol",
            "SSH-2.0-OpenSSH_9.9\r\n\r\n".to_owned(),
            1,
        ),
        (
            "a status of no class",
            answer("999 Hello", &format!("{tag}\r\nContent-Length: 5"), "hello"),
            5,
        ),
        (
            "a protocol without asking",
            answer(
                "101 Switching Protocols",
                "Upgrade: x\r\nConnection: upgrade",
                "hello",
            ),
            2,
        ),
        ("silence", String::new(), 5),
    ]
}

#[test]
fn a_lie_about_a_model_is_not_saved() {
    for (lie, text, code) in lies() {
        let liar = Liar::start(move |question| {
            question.say(&text);
            Then::Close
        });
        let verbs = [
            &["get", "m", "-o", "copy", "--retries", "0"][..],
            &["get", "m", "-o", "-"],
            &["cat", "m"],
        ];
        for verb in verbs {
            let place = Place::new();
            place.file("copy", "old bytes");
            let told = liar.skep(&place, verb);
            assert_eq!(told.code, code, "{lie}, {verb:?}: {}", told.stderr);
            assert!(
                told.stderr.starts_with("skep: error: "),
                "{lie}: {}",
                told.stderr
            );
            assert_eq!(place.read("copy"), b"old bytes", "{lie}");
            assert_eq!(names(&place), ["copy"], "{lie}");
        }
        let asked = liar.heads().len();
        assert_eq!(asked, 3, "{lie}: a lie is not asked for again");
    }
}

#[test]
fn nobody_is_followed_elsewhere() {
    let other = Liar::start(|question| question.answer("200 OK", &tagged(b"hello"), b"hello"));
    for status in [
        "300 Choices",
        "301 Moved",
        "302 Found",
        "303 See",
        "307 There",
        "308 There",
    ] {
        let fields = format!("Location: {}/v1/models/m\r\n", other.url);
        let liar = Liar::start(move |question| question.answer(status, &fields, b""));
        let place = Place::new();
        place.file("m", noise(1, 2 << 20));
        for verb in [
            &["get", "m", "-o", "copy"][..],
            &["cat", "m"],
            &["ls"],
            &["rm", "m"],
            &["put", "m"],
        ] {
            let told = liar.skep(&place, verb);
            assert_ne!(told.code, 0, "{status}, {verb:?}: {}", told.stderr);
            assert_eq!(names(&place), ["m"], "{status}, {verb:?}");
        }
    }
    assert_eq!(other.heads(), [""; 0]);
}

/// The model that is being fetched, and how much of it an earlier attempt left.
const SIZE: usize = 200_000;
const KEPT: usize = 100_000;

fn model() -> Vec<u8> {
    noise(7, SIZE)
}

/// Leaves what a client leaves that was cut in the middle of these bytes.
fn leave(place: &Place, bytes: &[u8], kept: usize) {
    let digest = Digest::of(bytes);
    let journal = format!("{digest} {}\n{kept}\n", bytes.len());
    place.file(".copy.skep-journal", journal);
    place.file(".copy.skep-part", &bytes[..kept]);
}

const GET: [&str; 6] = ["get", "m", "-o", "copy", "--retries", "1"];

/// A range from this byte on, with other words about it.
fn rest(question: &mut Question<'_>, range: &str, fields: &str, body: &[u8]) -> Then {
    let fields = format!("{fields}Content-Range: {range}\r\n");
    question.answer("206 Partial Content", &fields, body)
}

#[test]
fn a_rest_that_is_another_is_not_glued_on() {
    let (bytes, other) = (model(), noise(8, SIZE));
    let right = format!("bytes {KEPT}-{}/{SIZE}", SIZE - 1);
    let rest_of = |bytes: &[u8]| bytes[KEPT..].to_vec();
    let ranges = [
        (
            "from the beginning",
            format!("bytes 0-{}/{SIZE}", SIZE - 1),
            tagged(&bytes),
            bytes.clone(),
        ),
        (
            "from elsewhere",
            format!("bytes {}-{}/{SIZE}", KEPT + 1, SIZE - 1),
            tagged(&bytes),
            rest_of(&bytes),
        ),
        (
            "from just before",
            format!("bytes {}-{}/{SIZE}", KEPT - 1, SIZE - 1),
            tagged(&bytes),
            rest_of(&bytes),
        ),
        (
            "to elsewhere",
            format!("bytes {KEPT}-{}/{SIZE}", SIZE - 2),
            tagged(&bytes),
            rest_of(&bytes),
        ),
        (
            "of another size",
            format!("bytes {KEPT}-{}/{}", SIZE - 1, SIZE + 1),
            tagged(&bytes),
            rest_of(&bytes),
        ),
        (
            "of an unknown size",
            format!("bytes {KEPT}-{}/*", SIZE - 1),
            tagged(&bytes),
            rest_of(&bytes),
        ),
        (
            "in other units",
            format!("lines {KEPT}-{}/{SIZE}", SIZE - 1),
            tagged(&bytes),
            rest_of(&bytes),
        ),
        (
            "of another digest",
            right.clone(),
            tagged(&other),
            rest_of(&other),
        ),
        (
            "of another digest, with our bytes",
            right.clone(),
            tagged(&other),
            rest_of(&bytes),
        ),
        (
            "of other bytes",
            right.clone(),
            tagged(&bytes),
            rest_of(&other),
        ),
        (
            "of other bytes and no digest",
            right.clone(),
            "Content-Type: application/octet-stream\r\nETag: W/\"1-2\"\r\n".to_owned(),
            rest_of(&other),
        ),
        (
            "of no range",
            String::new(),
            tagged(&bytes),
            rest_of(&bytes),
        ),
    ];
    for (lie, range, fields, body) in ranges {
        let whole = bytes.clone();
        // Whoever asks for everything gets it; it is the ranges that are wrong.
        let liar = Liar::start(move |question| match question.field("range") {
            Some(_) => rest(question, &range, &fields, &body),
            None => question.answer("200 OK", &tagged(&whole), &whole),
        });
        let place = Place::new();
        leave(&place, &bytes, KEPT);
        let told = liar.skep(&place, &GET).exits(0);
        // A rest that was announced as ours is found out at its end, any other one before its first byte.
        let words = if lie.starts_with("of other bytes") {
            "the part that was kept is damaged"
        } else {
            "the server does not send the part that was asked for"
        };
        assert!(told.stderr.contains(words), "{lie}: {}", told.stderr);
        assert!(place.read("copy") == bytes, "{lie}");
        assert_eq!(names(&place), ["copy"], "{lie}");
        assert_eq!(liar.heads().len(), 2, "{lie}");
    }
}

#[test]
fn what_lies_about_the_rest_and_the_whole_leaves_the_old_file() {
    let (bytes, other) = (model(), noise(8, SIZE));
    let right = format!("bytes {KEPT}-{}/{SIZE}", SIZE - 1);
    let fields = tagged(&bytes);
    let liar = Liar::start(move |question| match question.field("range") {
        Some(_) => rest(question, &right, &fields, &other[KEPT..]),
        None => question.answer("200 OK", &fields, &other),
    });
    let place = Place::new();
    place.file("copy", "old bytes");
    leave(&place, &bytes, KEPT);
    liar.skep(&place, &GET).exits(6);
    assert_eq!(place.read("copy"), b"old bytes");
    assert_eq!(names(&place), ["copy"]);
    assert_eq!(liar.heads().len(), 2);
}

#[test]
fn a_whole_model_in_place_of_a_rest_replaces_what_was_kept() {
    let (bytes, other) = (model(), noise(8, SIZE + 1));
    for whole in [bytes.clone(), other] {
        let sent = whole.clone();
        let liar = Liar::start(move |question| question.answer("200 OK", &tagged(&sent), &sent));
        let place = Place::new();
        leave(&place, &bytes, KEPT);
        liar.skep(&place, &GET).exits(0).says("starting again");
        assert!(place.read("copy") == whole);
        assert_eq!(names(&place), ["copy"]);
    }
}

#[test]
fn a_range_that_is_refused_is_given_up_once() {
    let bytes = model();
    for is_always in [false, true] {
        let whole = bytes.clone();
        let liar = Liar::start(move |question| match question.field("range") {
            None if !is_always => question.answer("200 OK", &tagged(&whole), &whole),
            _ => {
                let fields = "Content-Range: bytes */9\r\n";
                question.answer("416 Range Not Satisfiable", fields, b"")
            }
        });
        let place = Place::new();
        place.file("copy", "old bytes");
        leave(&place, &bytes, KEPT);
        let told = liar.skep(&place, &GET);
        assert_eq!(told.code, i32::from(is_always), "{}", told.stderr);
        let found = place.read("copy");
        assert!(
            found
                == if is_always {
                    b"old bytes".to_vec()
                } else {
                    bytes.clone()
                }
        );
        assert_eq!(names(&place), ["copy"]);
        assert_eq!(liar.heads().len(), 2);
    }
}

#[test]
fn a_rest_that_is_longer_than_announced_does_not_fill_the_disk() {
    let bytes = model();
    let right = format!("bytes {KEPT}-{}/{SIZE}", SIZE - 1);
    let (fields, whole) = (tagged(&bytes), bytes.clone());
    let liar = Liar::start(move |question| {
        if question.field("range").is_none() {
            return question.answer("200 OK", &fields, &whole);
        }
        question.say(format!(
            "HTTP/1.1 206 Partial Content\r\n{fields}Content-Range: {right}\r\n\
             Transfer-Encoding: chunked\r\n\r\n"
        ));
        question.endlessly(&[&b"10000\r\n"[..], &[7; 0x10000], b"\r\n"].concat())
    });
    let place = Place::new();
    leave(&place, &bytes, KEPT);
    liar.skep(&place, &GET).exits(0);
    assert!(place.read("copy") == bytes);
    assert_eq!(names(&place), ["copy"]);
    assert!(liar.taken() < TAKEN_MAX, "{}", liar.taken());
}

/// What a client may take of an answer that has no end: its own bounds, and what sockets hold.
const TAKEN_MAX: u64 = 64 << 20;

#[test]
fn a_model_that_changes_between_two_pieces_comes_from_one_version() {
    let (bytes, other) = (model(), noise(8, SIZE));
    let right = format!("bytes 150000-{}/{SIZE}", SIZE - 1);
    // The second answer: the rest of the other version under its own tag, under the old one, and all of it.
    for kind in 0..3 {
        let (bytes, other, right) = (bytes.clone(), other.clone(), right.clone());
        let (old, new) = (bytes.clone(), other.clone());
        let liar = Liar::start(move |question| match (question.number, kind) {
            (0, _) => {
                let fields = tagged(&bytes);
                question.say(format!(
                    "HTTP/1.1 200 OK\r\n{fields}Content-Length: {SIZE}\r\n\r\n"
                ));
                question.say(&bytes[..150_000]);
                Then::Close
            }
            (1, 0) => rest(question, &right, &tagged(&other), &other[150_000..]),
            (1, 1) => rest(question, &right, &tagged(&bytes), &other[150_000..]),
            _ => question.answer("200 OK", &tagged(&other), &other),
        });
        let place = Place::new();
        place.file("copy", &old);
        let told = liar.skep(&place, &GET).exits(0);
        assert!(
            told.stderr.contains("starting again"),
            "{kind}: {}",
            told.stderr
        );
        assert!(place.read("copy") == new, "{kind}");
        assert_eq!(names(&place), ["copy"], "{kind}");
    }
}

#[test]
fn a_key_that_changes_in_the_middle_ends_everything() {
    let bytes = model();
    let liar = Liar::of_keys(2, move |question| {
        let fields = tagged(&bytes);
        question.say(format!(
            "HTTP/1.1 200 OK\r\n{fields}Content-Length: {SIZE}\r\n\r\n"
        ));
        question.say(&bytes[..150_000]);
        Then::Close
    });
    let place = Place::new();
    place.file("copy", "old bytes");
    let told = liar.skep(&place, &GET).exits(7);
    assert!(
        told.stderr.contains(&liar.pins[1].to_string()),
        "{}",
        told.stderr
    );
    assert_eq!(liar.heads().len(), 1, "a request went to another key");
    assert_eq!(place.read("copy"), b"old bytes");
}

#[test]
fn an_answer_without_an_end_is_not_taken_for_ever() {
    let ok = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n";
    let chunked = "Transfer-Encoding: chunked\r\n\r\n";
    let chunk = |bytes: &[u8]| {
        [
            &b"10000\r\n"[..],
            &bytes.repeat(0x10000 / bytes.len()),
            b"\r\n",
        ]
        .concat()
    };
    let lies: [(&str, String, Vec<u8>); 9] = [
        ("fields", ok.to_owned(), b"X-Field: value\r\n".repeat(4000)),
        ("one field", format!("{ok}X-Field: "), vec![b'x'; 65536]),
        (
            "a status line",
            "HTTP/1.1 200 ".to_owned(),
            vec![b'x'; 65536],
        ),
        (
            "interim answers",
            String::new(),
            b"HTTP/1.1 103 Early Hints\r\n\r\n".repeat(2000),
        ),
        (
            "promises",
            String::new(),
            b"HTTP/1.1 100 Continue\r\n\r\n".repeat(2000),
        ),
        ("blanks", format!("{ok}{chunked}"), chunk(b" ")),
        ("brackets", format!("{ok}{chunked}"), chunk(b"[")),
        (
            "a gibibyte",
            format!("{ok}Content-Length: 1073741824\r\n\r\n"),
            vec![b' '; 65536],
        ),
        (
            "a refusal",
            format!(
                "HTTP/1.1 404 Not Found\r\nContent-Type: application/problem+json\r\n{chunked}"
            ),
            chunk(b" "),
        ),
    ];
    for (lie, start, piece) in lies {
        let liar = Liar::start(move |question| {
            question.say(&start);
            question.endlessly(&piece)
        });
        let place = Place::new();
        for verb in [
            &["ls"][..],
            &["show", "m"],
            &["verify", "m"],
            &["ls", "-l"],
            &["rollback", "m"],
        ] {
            let told = liar.skep(&place, verb);
            assert_ne!(told.code, 0, "{lie}, {verb:?}");
            assert!(
                told.stderr.len() < 2000,
                "{lie}, {verb:?}: {}",
                told.stderr.len()
            );
        }
        assert!(liar.taken() < 5 * TAKEN_MAX, "{lie}: {}", liar.taken());
    }
}

#[test]
fn what_no_skep_says_of_its_models_is_not_believed() {
    let model = |name: &str, size: &str, modified: &str, digest: &str| {
        format!(
            "{{\"name\":\"{name}\",\"size\":{size},\"modified\":\"{modified}\",\"digest\":\"{digest}\"}}"
        )
    };
    let (time, digest) = (
        "2000-01-01T00:00:00Z",
        crate::support::process::digest(b"hello"),
    );
    let escape = "a\\u001b[2J";
    let mut lies: Vec<String> = [
        "../x",
        "a/../../x",
        "",
        ".",
        ".skep",
        escape,
        &"x".repeat(70_000),
    ]
    .map(|name| model(name, "5", time, &digest))
    .to_vec();
    for size in ["-1", "1e30", "\"5\"", "null", "18446744073709551616"] {
        lies.push(model("m", size, time, &digest));
    }
    for modified in [
        "",
        "yesterday",
        "2000-13-01T00:00:00Z",
        "99999-01-01T00:00:00Z",
    ] {
        lies.push(model("m", "5", modified, &digest));
    }
    for digest in [
        "",
        "sha256:",
        "sha256:beef",
        "md5:00000000000000000000000000000000",
    ] {
        lies.push(model("m", "5", time, digest));
    }
    lies.push(format!("{}1{}", "[".repeat(200_000), "]".repeat(200_000)));
    lies.push("{\"a\":".repeat(200_000));
    for lie in lies {
        let body = format!("{{\"schema\":1,\"models\":[{lie}]}}");
        let shown: String = lie.chars().take(100).collect();
        let liar = Liar::start(move |question| {
            let body = if question.is("get /v1/models?") {
                &body
            } else {
                &lie
            };
            question.answer(
                "200 OK",
                "Content-Type: application/json\r\n",
                body.as_bytes(),
            )
        });
        let place = Place::new();
        for verb in [&["ls"][..], &["ls", "-l", "--json"], &["rollback", "m"]] {
            let told = liar.skep(&place, verb);
            assert_ne!(told.code, 0, "{verb:?}: {shown}: {}", told.text());
            assert!(!told.text().contains('\u{1b}'), "{verb:?}: {shown}");
            assert!(!told.stderr.contains('\u{1b}'), "{verb:?}: {shown}");
            assert!(
                told.stderr.len() < 3000,
                "{verb:?}: {shown}: {}",
                told.stderr.len()
            );
        }
    }
}

#[test]
fn a_list_without_an_end_costs_little_and_is_told_as_such() {
    let model = r#"{"name":"a","size":0,"modified":"2000-01-01T00:00:00Z"},"#;
    let piece = model.repeat(1000);
    let start = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1073741824\r\n\r\n\
                 {\"schema\":1,\"models\":[";
    let liar = Liar::start(move |question| {
        question.say(start);
        question.endlessly(piece.as_bytes())
    });
    let place = Place::new();
    for verb in [&["ls"][..], &["verify"]] {
        liar.skep(&place, verb)
            .exits(8)
            .says("the server lists more than 131072 models");
    }

    // So does what is kept of models that were removed.
    let kept = r#"{"name":"a","versions":1,"size":0},"#.repeat(1000);
    let liar = Liar::start(move |question| {
        question.say(start);
        question.say("],\"kept\":[");
        question.endlessly(kept.as_bytes())
    });
    liar.skep(&place, &["ls"])
        .exits(8)
        .says("the server lists more than 131072 models");

    // Long entries reach the bound of bytes before that of models.
    let long = format!(
        r#"{{"name":"{}","size":0,"modified":""}},"#,
        "x".repeat(4000)
    );
    let liar = Liar::start(move |question| {
        question.say(start);
        question.endlessly(long.repeat(16).as_bytes())
    });
    liar.skep(&place, &["ls"])
        .exits(8)
        .says("the answer has more than 33554432 bytes");
    assert!(liar.taken() < 5 * TAKEN_MAX, "{}", liar.taken());
}

#[test]
fn what_was_not_asked_for_is_not_removed_on_the_word_of_a_list() {
    let place = Place::new();
    fs::create_dir(place.path("d")).unwrap();
    place.file("d/a", "a");
    let body =
        br#"{"schema":1,"models":[{"name":"g/evil","size":0,"modified":"2000-01-01T00:00:00Z"}]}"#;
    let json = "Content-Type: application/json\r\n";

    for arguments in [
        &["rm", "-y", "f/*"][..],
        &["rm", "-y", "f/"],
        &["ls", "f/"],
        &["put", "d", "--name", "f", "--delete", "-y"],
    ] {
        let liar = Liar::start(move |question| question.answer("200 OK", json, body));
        let told = liar.skep(&place, arguments).exits(1);
        told.says("'g/evil', which was not asked for");
        let heads = liar.heads();
        assert!(
            heads.iter().all(|head| head.starts_with("get ")),
            "{heads:?}"
        );
    }
}

#[test]
fn pages_of_a_list_that_lead_nowhere_are_not_fetched_again() {
    let place = Place::new();
    let page = |first: usize, count: usize, next: &str| {
        let models = (first..first + count).map(|number| {
            format!(r#"{{"name":"m{number:09}","size":0,"modified":"2000-01-01T00:00:00Z"}}"#)
        });
        let models: Vec<_> = models.collect();
        let body = format!(
            r#"{{"schema":1,"models":[{}],"next":"{next}"}}"#,
            models.join(",")
        );
        body.into_bytes()
    };
    let json = "Content-Type: application/json\r\n";

    for next in ["m", ""] {
        let body = page(0, 1, next);
        let liar = Liar::start(move |question| question.answer("200 OK", json, &body));
        liar.skep(&place, &["ls"])
            .exits(1)
            .says("not one of API v1");
        assert!(liar.heads().len() <= 2, "{next}");
    }

    // What all pages have together is bounded as one page is.
    let liar = Liar::start(move |question| {
        let number = question.head.find("after=").map_or(0, |place| {
            let digits = question.head[place + 7..].get(..9);
            digits.and_then(|digits| digits.parse().ok()).unwrap_or(0)
        });
        let next = format!("m{:09}", number + 20_000);
        question.answer("200 OK", json, &page(number, 20_000, &next))
    });
    liar.skep(&place, &["ls"])
        .exits(8)
        .says("the server lists more than 131072 models");
}

#[test]
fn a_rollback_of_a_folder_is_asked_for_again_where_its_answer_is_lost() {
    let place = Place::new();
    let revision = "0f".repeat(20);
    let told = format!(
        r#"{{"schema":1,"name":"f/","models":1,"size":1,"revision":null,"revisions":[{{"number":7,"revision":"{revision}","replaced":"2026-01-01T00:00:00Z"}}]}}"#
    );
    let done = format!(
        r#"{{"schema":1,"published":1,"removed":0,"kept":true,"unchanged":0,"revision":"{revision}"}}"#
    );

    for arguments in [&["rollback", "f/"][..], &["rollback", "f/", "--to", "7"]] {
        let (told, done) = (told.clone(), done.clone());
        let liar = Liar::start(move |question| {
            let json = "Content-Type: application/json\r\n";
            if question.is("get /v1/info/f/") {
                return question.answer("200 OK", json, told.as_bytes());
            }
            // The first answer never comes.
            if question.number < 2 {
                return Then::Close;
            }
            question.answer("200 OK", json, done.as_bytes())
        });
        liar.skep(&place, arguments).exits(0);
        let asked = format!("post /v1/rollback/f/?to={revision} ");
        let heads = liar.heads();
        let again = heads.iter().filter(|head| head.starts_with(&asked));
        assert_eq!(again.count(), 2, "{heads:?}");
    }
}

/// One model of a folder, as a list has it.
fn listed(name: &str, bytes: &[u8]) -> String {
    let digest = Digest::of(bytes);
    format!(
        r#"{{"schema":1,"models":[{{"name":"{name}","size":{},"modified":"2000-01-01T00:00:00Z","digest":"{digest:?}"}}]}}"#,
        bytes.len()
    )
}

#[test]
fn what_is_not_the_revision_that_was_asked_for_is_not_saved() {
    let line = [
        &b"a\0"[..],
        Digest::of(b"right").to_string().as_bytes(),
        b"\n",
    ]
    .concat();
    let revision = Digest::of(&line).to_string()[..40].to_owned();
    let json = "Content-Type: application/json\r\n";

    // Another list, other bytes for the right list, and the truth.
    for (list, bytes, code) in [
        ("other", "right", 6),
        ("right", "other", 6),
        ("right", "right", 0),
    ] {
        let info = format!(
            r#"{{"schema":1,"name":"f/","models":1,"size":5,"revision":"{revision}","revisions":[{{"number":1,"revision":"{revision}","replaced":"2026-01-01T00:00:00Z"}}]}}"#
        );
        let liar = Liar::start(move |question| {
            if question.is("get /v1/info/f/") {
                return question.answer("200 OK", json, info.as_bytes());
            }
            if question.is("get /v1/models/f/a") {
                return question.answer("200 OK", &tagged(bytes.as_bytes()), bytes.as_bytes());
            }
            let is_of_revision = question.head.lines().next().unwrap().contains("revision=");
            let body = if is_of_revision {
                listed("f/a", list.as_bytes())
            } else {
                r#"{"schema":1,"models":[]}"#.to_owned()
            };
            question.answer("200 OK", json, body.as_bytes())
        });

        for state in [format!("f@{revision}"), "f@1".to_owned(), "f/".to_owned()] {
            let place = Place::new();
            let told = liar.skep(&place, &["get", &state, "-o", "t", "--retries", "0"]);
            assert_eq!(told.code, code, "{state}, {list}, {bytes}: {}", told.stderr);
            assert_eq!(place.path("t/a").exists(), code == 0, "{state}");
        }
        let is_listed = list == "right";
        let asked = |head: &String| head.starts_with("get /v1/models/f/a");
        assert_eq!(liar.heads().iter().any(asked), is_listed, "{list}, {bytes}");
        let told = liar.skep(&Place::new(), &["ls", &format!("f@{revision}")]);
        assert_eq!(told.code, if is_listed { 0 } else { 6 }, "{}", told.stderr);
    }
}

#[test]
fn another_version_than_the_one_that_was_asked_for_is_not_saved() {
    let json = "Content-Type: application/json\r\n";
    let liar = Liar::start(move |question| {
        if question.is("get /v1/blobs/") {
            return question.answer("200 OK", &tagged(b"other"), b"other");
        }
        let is_name = question.head.lines().next().unwrap().contains("prefix=m&");
        let body = if is_name {
            listed("m", b"right")
        } else {
            r#"{"schema":1,"models":[]}"#.to_owned()
        };
        question.answer("200 OK", json, body.as_bytes())
    });
    let state = format!("m@{:?}", Digest::of(b"right"));
    for verb in [
        &["get", &state, "-o", "copy"][..],
        &["get", &state, "-o", "-"],
        &["cat", &state],
    ] {
        let place = Place::new();
        let told = liar.skep(&place, verb).exits(6).says("was asked for");
        assert_eq!((told.stdout.len(), names(&place).len()), (0, 0), "{verb:?}");
    }
}
