// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The lockout at every door: guesses in bodies that were begun before it, and how long it lasts.

use crate::support::process::{Place, run, until};
use crate::support::raw::Raw;
use crate::support::served::Served;

/// No attempt is earned while a test runs, however slow the machine is.
const LOCKOUT: [&str; 6] = [
    "--lockout-failures",
    "3",
    "--lockout-time",
    "30m",
    "--lockout-time-max",
    "30m",
];

/// Three wrong passwords, after which the caller is locked out.
fn lock_out(server: &Served) {
    for number in 0..3 {
        let guess = format!("x:wrong{number}");
        server.curl_as("/v1/models", &["-u", &guess], b"").is(401);
    }
    server
        .curl_as("/v1/models", &["-u", "x:wrong"], b"")
        .is(429);
}

#[test]
#[cfg_attr(not(has_curl), ignore = "curl is not installed")]
fn a_password_in_a_body_that_was_begun_before_is_not_looked_at() {
    for path in ["/load_model", "/import_model"] {
        let server = Served::start(&[&["--plain"][..], &LOCKOUT].concat());
        // Large enough for a worker to wait for it.
        let blanks = " ".repeat(10_000);
        let body = format!(
            "{{\"password\": \"wrong\", \"filename\": \"m\", \"content_b64\": \"eA==\"{blanks}}}"
        );
        let mut raw = Raw::open(&server.url["http://".len()..]);
        raw.send(format!(
            "POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nExpect: 100-continue\r\n\
             Content-Length: {}\r\n\r\n",
            body.len()
        ));
        // The route has begun to read, so nothing in front of it sees the password any more.
        assert_eq!(raw.answer().status, 100, "{path}");
        lock_out(&server);
        raw.send(&body);
        assert_eq!(raw.answer().status, 429, "{path}");
    }
}

#[test]
fn a_token_that_has_expired_opens_nothing_however_it_is_shown() {
    for flags in [&[][..], &["--plain"]] {
        let server = Served::start(flags);
        let issue = |name: &str, time: &str| {
            let words = ["token", "new", name, "--expires", time, "--json"];
            let issued = server.skep(&words).exits(0).json();
            issued["token"].as_str().unwrap().to_owned()
        };
        let device = Place::new();
        let fp = server.fp.as_deref().unwrap_or_default();
        let ask = |token: &str| {
            let mut command = server.command_of(&device, &["ls"]);
            command.env("SKEP_PASSWORD", token);
            if !fp.is_empty() {
                command.env("SKEP_PIN", fp);
            }
            run(&mut command)
        };
        let (long, short) = (issue("long", "1h"), issue("short", "1s"));
        ask(&long).exits(0);
        // The first refusal is that of the token, and no lock has come before.
        until(|| ask(&short).code != 0);
        ask(&short).exits(7);
        ask(&long).exits(0);
    }
}

#[test]
#[cfg_attr(not(has_curl), ignore = "curl is not installed")]
fn whoever_is_locked_out_is_told_for_how_long() {
    let server = Served::start(&[&["--plain"][..], &LOCKOUT].concat());
    lock_out(&server);
    let load = "{\"password\": \"wrong\", \"filename\": \"m\"}";
    let pair = "{\"secret\": \"wrong\", \"name\": \"x\"}";
    let doors: [(&str, &[&str], &str); 5] = [
        ("/v1/models", &["-u", "x:wrong"], ""),
        ("/v1/models/m", &["-u", "x:wrong", "-T", "-"], "x"),
        ("/load_model", &["--data-binary", "@-"], load),
        ("/import_model", &["--data-binary", "@-"], load),
        ("/v1/pair", &["--data-binary", "@-"], pair),
    ];
    for (path, words, body) in doors {
        let answer = server.curl_as(path, words, body.as_bytes()).is(429);
        let seconds = answer.field("retry-after").map(|text| text.parse::<u64>());
        let Some(Ok(seconds)) = seconds else {
            panic!("{path}: {seconds:?}");
        };
        // Half an hour, of which a test takes no more than the half.
        assert!((900..=1800).contains(&seconds), "{path}: {seconds}");
    }
}
