// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Servers that lie in the JSON of the dearning API: nothing is saved that is not whole, and no answer is
//! taken for ever.

use std::fs;

use crate::support::liar::Liar;
use crate::support::process::{Outcome, Place, run};

/// Runs the client with a password, which that API always wants, and lets it go unencrypted: otherwise nobody
/// is asked at all.
fn skep(liar: &Liar, place: &Place, arguments: &[&str]) -> Outcome {
    let mut command = place.skep(&[arguments, &["--send-password"]].concat());
    command.env("SKEP_SERVER", &liar.url);
    let told = run(command.env("SKEP_PASSWORD", "skep_h3x6w4m35nmh53xwskttdkm9b4gp6qhc"));
    assert!(!liar.heads().is_empty(), "{}", told.stderr);
    told
}

#[test]
fn a_lie_in_json_is_not_saved() {
    let nested = format!("{{\"a\":{}1{}}}", "[".repeat(100_000), "]".repeat(100_000));
    let lies = [
        "",
        "hello",
        "null",
        "[]",
        "{}",
        "{\"status\":\"ok\"}",
        "{\"status\":\"ok\",\"filename\":\"m\",\"content_b64\":\"aGVsbG8\"}",
        "{\"status\":\"ok\",\"filename\":\"m\",\"content_b64\":\"aGVs bG8=\"}",
        "{\"status\":\"ok\",\"filename\":\"m\",\"content_b64\":\"aGVsbG8=aGVs\"}",
        "{\"status\":\"ok\",\"filename\":\"m\",\"content_b64\":\"aGVs",
        "{\"status\":\"ok\",\"filename\":\"m\",\"content_b64\":\"aGVsbG8=\"",
        "{\"status\":\"ok\",\"filename\":\"m\",\"content_b64\":\"aGVsbG8=\"} and more",
        "{\"status\":\"ok\",\"filename\":\"m\",\"content_b64\":5}",
        "{\"status\":\"ok\",\"filename\":\"m\",\"content_b64\":null}",
        "{\"status\":\"ok\",\"files\":[]}",
        "{\"status\":\"ok\",\"files\":[{\"filename\":\"m\",\"error\":\"not found\"}]}",
        &nested,
    ];
    for lie in lies {
        let (body, shown) = (lie.to_owned(), &lie[..lie.len().min(80)]);
        let liar = Liar::start(move |question| {
            question.body();
            question.answer(
                "200 OK",
                "Content-Type: application/json\r\n",
                body.as_bytes(),
            )
        });
        let place = Place::new();
        place.file("copy", "old bytes");
        let told = skep(&liar, &place, &["load", "m", "-o", "copy"]);
        assert_ne!(told.code, 0, "{shown}");
        assert!(
            told.stderr.starts_with("skep: error: "),
            "{shown}: {}",
            told.stderr
        );
        assert_eq!(place.read("copy"), b"old bytes", "{shown}");
        assert_eq!(fs::read_dir(place.path("")).unwrap().count(), 1, "{shown}");
    }
}

#[test]
fn a_server_that_stored_another_length_is_told() {
    for (told, code) in [
        ("{\"status\":\"ok\",\"size\":9}", 0),
        // Some versions do not say.
        ("{\"status\":\"ok\"}", 0),
        ("{\"status\":\"ok\",\"size\":8}", 6),
        ("{\"status\":\"ok\",\"size\":10}", 6),
    ] {
        let liar = Liar::start(move |question| {
            question.body();
            question.answer(
                "200 OK",
                "Content-Type: application/json\r\n",
                told.as_bytes(),
            )
        });
        let place = Place::new();
        place.file("m", "old bytes");
        skep(&liar, &place, &["post", "m"]).exits(code);
    }
}

#[test]
fn json_without_an_end_is_not_taken_for_ever() {
    let chunk = |text: &str| format!("10000\r\n{}\r\n", text.repeat(0x10000 / text.len()));
    for (lie, start, piece) in [
        ("blanks", "", chunk(" ")),
        ("brackets", "", chunk("[")),
        ("members", "{\"a\":1", chunk(",\"a\":1 ")),
        ("one text", "{\"a\":\"", chunk("x")),
        ("one name", "{\"", chunk("x")),
        ("one number", "{\"a\":1", chunk("1")),
    ] {
        let liar = Liar::start(move |question| {
            question.body();
            question.say("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n");
            if !start.is_empty() {
                question.say(format!("{:x}\r\n{start}\r\n", start.len()));
            }
            question.endlessly(piece.as_bytes())
        });
        let place = Place::new();
        place.file("copy", "old bytes");
        for verb in [&["load", "m", "-o", "copy"][..], &["post", "copy"]] {
            let told = skep(&liar, &place, verb);
            assert_ne!(told.code, 0, "{lie}, {verb:?}");
            assert_eq!(place.read("copy"), b"old bytes", "{lie}");
        }
        assert!(liar.taken() < TAKEN_MAX, "{lie}: {}", liar.taken());
    }
}

/// What two verbs may take of what has no end: their own bounds, and what sockets hold.
const TAKEN_MAX: u64 = 64 << 20;
