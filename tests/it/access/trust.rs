// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Pins and passwords: who is trusted, where secrets come from, and where they never go.

use std::fs;

use crate::support::process::{Place, Process, one_line, run, run_with};
use crate::support::served::Served;

#[test]
fn a_new_server_is_trusted_by_pin_or_on_request() {
    let server = Served::start(&[]);
    let (fp, password) = (server.fp.clone().unwrap(), server.password());
    let stranger = Place::new();
    let call = |arguments: &[&str]| {
        let mut command = server.command_of(&stranger, arguments);
        run(command.env("SKEP_PASSWORD", &password))
    };
    // Without a terminal there is nobody to ask.
    one_line(
        &call(&["ls"])
            .exits(7)
            .says(&fp)
            .says("--pin")
            .says("--accept-new"),
    );
    call(&["ls", "--pin", &fp]).exits(0);
    let wrong = format!("SHA256:{}", "0".repeat(64));
    one_line(
        &call(&["ls", "--pin", &wrong])
            .exits(7)
            .says(&fp)
            .says(&wrong),
    );
    call(&["ls", "--pin", "SHA256:12"]).exits(2);
    call(&["ls"]).exits(7);
    call(&["ls", "--insecure"]).exits(0).says("--insecure");
    call(&["ls", "--accept-new"]).exits(0);
    call(&["ls"]).exits(0);
}

#[test]
fn a_changed_identity_is_a_hard_stop() {
    let server = Served::start(&[]);
    let (fp, password) = (server.fp.clone().unwrap(), server.password());
    let stranger = Place::new();
    let mut first = server.command_of(&stranger, &["ls", "--accept-new"]);
    run(first.env("SKEP_PASSWORD", &password)).exits(0);
    let port = server.url.rsplit(':').next().unwrap().to_owned();
    let (url, home) = (server.url.clone(), server.place.home());
    let place = server.place.clone();
    server.stop().exits(0);
    fs::remove_file(home.join("server.crt")).unwrap();
    fs::remove_file(home.join("server.key")).unwrap();
    let mut again = place.skep(&["serve", "127.0.0.1", "--port", &port]);
    let process = Process::start(&mut again);
    let line = process.line().unwrap();
    let new = line
        .split(' ')
        .find_map(|word| word.strip_prefix("fp="))
        .unwrap();
    for flags in [&[][..], &["--accept-new"]] {
        let mut command = stranger.skep(&[&["ls", "--server", &url], flags].concat());
        let outcome = run(command.env("SKEP_PASSWORD", &password));
        one_line(&outcome.exits(7).says(&fp).says(new).says("known_servers"));
    }
}

#[test]
fn variables_stand_in_for_flags() {
    let place = Place::new();
    let mut command = place.skep(&["serve", "127.0.0.1"]);
    command
        .env("DEARNING_PASSWORD", "abcdefghjkmnpqrstuvw")
        .env("DEARNING_PORT", "0");
    command
        .env("DEARNING_MODEL_DIR", "models")
        .env("SKEP_PLAIN", "yes");
    let process = Process::start(&mut command);
    let line = process.line().unwrap();
    assert!(
        line.contains("http://") && line.contains("/models "),
        "{line}"
    );
    let url = line.split(' ').nth(2).unwrap();
    let stranger = Place::new();
    let list = |variables: &[(&str, &str)]| {
        let mut command = stranger.skep(&["ls"]);
        run(command
            .env("SKEP_SERVER", url)
            .envs(variables.iter().copied()))
        .code
    };
    assert_eq!(list(&[("DEARNING_PASSWORD", "abcdefghjkmnpqrstuvw")]), 0);
    assert_eq!(
        list(&[
            ("SKEP_PASSWORD", "bbcdefghjkmnpqrstuvw"),
            ("DEARNING_PASSWORD", "abcdefghjkmnpqrstuvw")
        ]),
        7
    );
    stranger.file("secret", "abcdefghjkmnpqrstuvw\n");
    assert_eq!(list(&[("SKEP_PASSWORD_FILE", "secret")]), 0);
    let mut command = stranger.skep(&["ls", "--server", url, "--password-stdin"]);
    run_with(&mut command, b"abcdefghjkmnpqrstuvw\n").exits(0);
    run(&mut stranger.skep(&["ls", "--server", url, "--password-file", "secret"])).exits(0);
    for file in ["none", "."] {
        let outcome = run(&mut stranger.skep(&["ls", "--server", url, "--password-file", file]));
        one_line(
            &outcome
                .exits(2)
                .says(&format!("from {file}: "))
                .says("--password-file"),
        );
    }
    // A proxy of the environment is not asked: passwords go to the server alone.
    let proxies = [
        ("http_proxy", "http://127.0.0.1:1"),
        ("DEARNING_PASSWORD", "abcdefghjkmnpqrstuvw"),
    ];
    assert_eq!(list(&proxies), 0);
}

#[test]
fn secrets_are_neither_taken_nor_shown() {
    let server = Served::start(&["-vvv"]);
    let password = server.password();
    server.place.file("m", "x");
    let refused = server.skep(&["ls", "--password", "hunter22"]).exits(2);
    assert!(!refused.stderr.contains("hunter22"));
    let mut shown = String::new();
    for arguments in [
        &["put", "m", "-vv"][..],
        &["get", "m", "-o", "copy", "-vvv"],
        &["ls", "-vvv"],
        &["put", "m", "--always", "--log-level", "trace"],
    ] {
        let outcome = server.skep(arguments).exits(0);
        // What was asked and answered, and nothing of libraries, whose dumps of heads have secrets in them.
        for line in outcome.stderr.lines() {
            let is_ours = line.starts_with("skep: debug: ") && line.contains("/v1/")
                || line.starts_with("skep: debug: the answer is ");
            assert!(is_ours, "{arguments:?}: {line}");
        }
        assert!(!outcome.stderr.is_empty());
        shown.push_str(&outcome.stderr);
        shown.push_str(&outcome.text());
    }
    let mut wrong = server.command(&["ls", "-vv"]);
    shown.push_str(&run(wrong.env("SKEP_PASSWORD", "hunter22")).exits(7).stderr);
    let place = server.place.clone();
    let log = server.stop().exits(0).stderr;
    assert!(
        !shown.contains(&password) && !shown.contains("hunter22"),
        "{shown}"
    );
    // It is shown when it is made, to a person at a terminal, and never again.
    assert!(!log.contains(&password), "{log}");
    assert!(log.contains("made a password and kept it in"), "{log}");
    assert!(!log.contains("hunter22"), "{log}");
    let log = Served::start_in(&place, &["-vvv"]).stop().exits(0).stderr;
    assert!(!log.contains(&password), "{log}");
}

#[test]
fn a_password_does_not_cross_a_network_in_the_clear() {
    let place = Place::new();
    // An address for documentation, to which nothing is sent.
    let mut command = place.skep(&["ls", "--server", "http://192.0.2.1:8443"]);
    let outcome = run(command.env("SKEP_PASSWORD", "secret"));
    one_line(&outcome.exits(7).says("--send-password"));
}
