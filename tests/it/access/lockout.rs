// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Whoever guesses passwords is locked out, at no cost for anybody else and none for the disk.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::time::SystemTime;

use crate::support::process::until;
use crate::support::raw::Raw;
use crate::support::served::Served;

/// Bytes that a process has caused to be written to disks so far.
fn written(server: &Served) -> u64 {
    let text = fs::read_to_string(format!("/proc/{}/io", server.process.id())).unwrap();
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("write_bytes: "));
    line.unwrap().parse().unwrap()
}

/// When anything below the model directory last changed, and how much there is.
fn state(server: &Served) -> Vec<(String, u64, SystemTime)> {
    let mut found = Vec::new();
    let mut folders = vec![server.dir.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let metadata = path.symlink_metadata().unwrap();
            if metadata.is_dir() {
                folders.push(path.clone());
            }
            found.push((
                path.display().to_string(),
                metadata.size(),
                metadata.modified().unwrap(),
            ));
        }
    }
    found.sort();
    found
}

#[test]
#[cfg_attr(not(has_curl), ignore = "curl is not installed")]
fn two_hundred_wrong_passwords_are_locked_out_and_cost_nothing() {
    // No attempt is earned while the test runs, however slow the machine is.
    let time = ["--lockout-time", "30m", "--lockout-time-max", "30m"];
    let server = Served::start(&[&["--plain"][..], &time].concat());
    server
        .curl("/v1/models/m", &["-X", "PUT", "-d", "x"])
        .is(201);
    let address = server.url["http://".len()..].to_owned();
    let (before, bytes) = (state(&server), written(&server));
    let mut statuses = Vec::new();
    for number in 0..200 {
        let mut raw = Raw::open(&address);
        // A body that is announced and never sent: a refusal must not wait for it.
        raw.send(format!(
            "PUT /v1/models/m HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer wrong{number}\r\n\
             Content-Length: 100000000\r\nExpect: 100-continue\r\n\r\n"
        ));
        let answer = raw.answer();
        assert_ne!(answer.status, 100, "the body was asked for");
        if answer.status == 429 {
            assert!(answer.head.contains("\nretry-after: "), "{}", answer.head);
        }
        statuses.push(answer.status);
    }
    let wrong = statuses.iter().filter(|status| **status == 401).count();
    let locked = statuses.iter().filter(|status| **status == 429).count();
    assert!(
        (10..=12).contains(&wrong) && wrong + locked == 200,
        "{statuses:?}"
    );
    assert!(
        statuses[..10].iter().all(|status| *status == 401),
        "{statuses:?}"
    );
    assert_eq!(state(&server), before);
    assert_eq!(written(&server), bytes);
    // Nothing is told of a further guess, and the right one, which cannot be guessed, opens.
    let refused = server
        .curl_as("/v1/models", &["-u", "x:wrong"], b"")
        .is(429);
    let seconds: u64 = refused.field("retry-after").unwrap().parse().unwrap();
    assert!((1..=1800).contains(&seconds), "{seconds}");
    server.curl("/v1/models", &[]).is(200);

    // Nor does the dearning API differ.
    let load = |password: &str| {
        let body = format!("{{\"password\": \"{password}\", \"filename\": \"m\"}}");
        server.curl_as("/load_model", &["--data-binary", "@-"], body.as_bytes())
    };
    let refused = load("wrong").is(429);
    assert!(refused.json()["error"].is_string() && refused.field("retry-after").is_some());
    load(&server.password()).is(200);
    // What is open stays open, and other addresses notice nothing.
    server.curl_as("/healthz", &[], b"").is(200);
    server
        .curl("/v1/models/m", &["--interface", "127.0.0.2"])
        .is(200);
    let wrong = server.curl_as(
        "/v1/models",
        &["--interface", "127.0.0.3", "-u", "x:no"],
        b"",
    );
    wrong.is(401);
}

#[test]
#[cfg_attr(not(has_curl), ignore = "curl is not installed")]
fn many_guesses_at_once_are_hardly_more() {
    let server = Served::start(&["--plain"]);
    let address = server.url["http://".len()..].to_owned();
    let guess = |number: u32| {
        let mut raw = Raw::open(&address);
        let field = format!("Authorization: Bearer wrong{number}");
        raw.send(format!(
            "GET /v1/models HTTP/1.1\r\nHost: 127.0.0.1\r\n{field}\r\n\r\n"
        ));
        raw
    };
    // All are under way before the first answer is read; there are places for 23 of one address.
    let waiting: Vec<_> = (0..20).map(guess).collect();
    let statuses: Vec<_> = waiting
        .into_iter()
        .map(|mut raw| raw.answer().status)
        .collect();
    let tried = statuses.iter().filter(|status| **status == 401).count();
    // Each of the 8 workers may have been at one when the tenth failed.
    assert!((10..=17).contains(&tried), "{statuses:?}");
    server
        .curl_as("/v1/models", &["-u", "x:wrong"], b"")
        .is(429);
    server.curl("/v1/models", &[]).is(200);
}

#[test]
#[cfg_attr(not(has_curl), ignore = "curl is not installed")]
fn a_lock_ends_and_can_be_switched_off() {
    let settings = ["--plain", "--lockout-failures", "3", "--lockout-time", "1s"];
    let server = Served::start(&settings);
    for _ in 0..3 {
        server
            .curl_as("/v1/models", &["-u", "x:wrong"], b"")
            .is(401);
    }
    let guess = || server.curl_as("/v1/models", &["-u", "x:wrong"], b"");
    guess().is(429);
    until(|| guess().status == 401);
    let server = Served::start(&["--plain", "--lockout-failures", "0"]);
    for _ in 0..20 {
        server
            .curl_as("/v1/models", &["-u", "x:wrong"], b"")
            .is(401);
    }
    server.curl("/v1/models", &[]).is(200);
}

#[test]
#[cfg_attr(not(has_curl), ignore = "curl is not installed")]
fn passwords_in_bodies_are_counted_as_well() {
    let server = Served::start(&["--plain"]);
    let guess = |password: &str| {
        let body = format!("{{\"password\": \"{password}\", \"filename\": \"m\"}}");
        server
            .curl_as("/load_model", &["--data-binary", "@-"], body.as_bytes())
            .status
    };
    let statuses: Vec<_> = (0..15)
        .map(|number| guess(&format!("wrong{number}")))
        .collect();
    assert_eq!(statuses[..10], [403; 10]);
    assert!(statuses.ends_with(&[429, 429, 429]), "{statuses:?}");
}
