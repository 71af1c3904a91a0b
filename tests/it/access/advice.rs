// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What errors advise: what whoever typed the command can do, in the words of the command line.

use std::fs;
use std::os::unix::fs::DirBuilderExt as _;

use rustix::process::Signal;

use crate::support::process::{Outcome, Place, run};
use crate::support::served::Served;
use crate::support::terminal::Terminal;

fn skep(place: &Place, arguments: &[&str]) -> Outcome {
    run(&mut place.skep(arguments))
}

fn invitation(server: &Served) -> String {
    let told = skep(&server.place, &["invite", "--json"]).exits(0).json();
    told["invitation"].as_str().unwrap().to_owned()
}

#[test]
fn a_device_whose_token_is_gone_is_told_to_pair_again() {
    let server = Served::start(&[]);
    let device = Place::new();
    let offered = invitation(&server);
    let pair = ["pair", &offered, "--device", "phone", "--name", "pi"];
    skep(&device, &pair).exits(0);
    skep(&device, &["ls", "--server", "pi"]).exits(0);
    // One letter too many, which no name server knows.
    skep(&device, &["ls", "--server", "pii"])
        .exits(3)
        .says("did you mean --server pi, which is paired here?");

    skep(&server.place, &["token", "rm", "phone"]).exits(0);
    let told = skep(&device, &["ls"])
        .exits(7)
        .says("the token of the pairing 'pi'")
        .says("skep pair INVITATION --name pi");
    assert!(!told.stderr.contains("password"), "{}", told.stderr);

    // A password that is given is not told as a token.
    let mut given = device.skep(&["ls"]);
    let told = run(given.env("SKEP_PASSWORD", "another")).exits(7);
    assert!(!told.stderr.contains("pairing 'pi'"), "{}", told.stderr);
}

#[test]
fn an_invitation_without_its_end_is_told_as_such() {
    let server = Served::start(&[]);
    let offered = invitation(&server);
    let device = Place::new();
    for end in [
        offered.len() - 1,
        offered.len() - 12,
        offered.len() - 30,
        20,
    ] {
        skep(&device, &["pair", &offered[..end]])
            .exits(2)
            .says("its end is missing");
    }
    skep(&device, &["pair", "pi.local"])
        .exits(2)
        .says("this is not an invitation");
    skep(&device, &["pair", &offered]).exits(0);

    // The server is gone without a word.
    server.process.signal(Signal::KILL);
    let place = server.place.clone();
    assert_eq!(server.process.finish().code, -9);
    skep(&place, &["invite"])
        .exits(3)
        .says("no server of this home runs");
    for words in [
        &["fingerprint", "127.0.0.1:1"][..],
        &["pair", "skep://127.0.0.1:1#x"],
    ] {
        let told = skep(&place, words);
        assert!(!told.stderr.contains("--server"), "{}", told.stderr);
    }
}

#[test]
fn hints_name_flags_and_not_only_fields() {
    let server = Served::start(&["--plain", "--replace", "refuse"]);
    server.place.file("m", "old");
    server.skep(&["put", "m"]).exits(0);
    server.place.file("m", "new");
    server
        .skep(&["put", "m"])
        .exits(11)
        .says("skep put --if-match DIGEST");
    server
        .skep(&["put", "m", "--name", "-dash"])
        .exits(2)
        .says("write '--name=-dash'");

    // A file of the home that cannot be read costs one sentence.
    let servers = server.place.home().join("servers");
    fs::DirBuilder::new().mode(0o700).create(servers).unwrap();
    let told = server.skep(&["ls"]).exits(2).says("chmod u+r");
    assert!(told.stderr.len() < 300, "{}", told.stderr);
}

#[test]
fn hints_have_no_words_of_http() {
    for (settings, words, code, hint) in [
        (
            &["--replace", "refuse"][..],
            &["put", "m"][..],
            11,
            "skep put --if-match",
        ),
        (
            &[],
            &["put", "m", "--if-match", OTHER],
            11,
            "has changed meanwhile",
        ),
        (&[], &["put", "m", "--create"], 11, "exists already"),
        (
            &["--require-license"],
            &["put", "m", "--always"],
            2,
            "skep put --license",
        ),
    ] {
        let server = Served::start(&[&["--plain"][..], settings].concat());
        server.place.file("m", "old");
        server.skep(&["put", "m", "--license", "MIT"]).exits(0);
        server.place.file("m", "new");
        let told = server.skep(words).exits(code).says(hint);
        for word in ["in HTTP", "field", "PUT", "If-", "Skep-"] {
            assert!(!told.stderr.contains(word), "{word}: {}", told.stderr);
        }
    }
}

/// The digest of nothing that is stored here.
const OTHER: &str = "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

#[test]
fn the_manual_that_cannot_be_written_is_a_failure() {
    let place = Place::new();
    let full = || fs::File::options().write(true).open("/dev/full").unwrap();
    for words in [
        &["help", "files"][..],
        &["--help"],
        &["--version"],
        &["version"],
        &["put", "--help"],
    ] {
        // A pipe would be full only for a while.
        let mut command = place.skep(words);
        let told = command.stdout(full()).output().unwrap();
        assert_eq!(told.status.code(), Some(8), "{words:?}");
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let told = place.skep(words).stdout(writer).output().unwrap();
        assert_eq!(told.status.code(), Some(141), "{words:?}");
    }
}

#[test]
#[cfg_attr(not(has_setsid), ignore = "setsid is not installed")]
fn no_error_comes_before_the_question_for_a_password() {
    let server = Served::start(&["--plain"]);
    let stranger = Place::new();
    let mut terminal = Terminal::start(&stranger.skep(&["ls", "--server", &server.url]), 80);
    terminal.asks("password or token of");
    terminal.types(&format!("{}\r", server.password()));
    let (code, _, screen) = terminal.ends();
    assert_eq!(code, 0, "{screen}");
    assert!(!screen.contains("error"), "{screen}");
}
