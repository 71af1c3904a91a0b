// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Homes of other versions: one of format 1 upgrades by itself, one of a newer format is left alone.
//!
//! `tests/fixtures/phase-one` was made by the last version of format 1.

use std::fs;
use std::path::Path;

use crate::support::folders::{self, copy};
use crate::support::process::{Place, run};
use crate::support::served::Served;

const READ: &str = "skep_52a2f8fsutqkqhu783t5uhx66h8w337c";
const WRITE: &str = "skep_2ezh8tdbtq7sfz6tpremn3xq2chamza6";
const OVER: &str = "skep_dcrtwmq68m58cwz3n4b996xerjqnh8ht";
const PAIRED: &str = "skep_gwhfca8sd99433b4t2kf645wqrumftj3";

/// A copy of a home that the last version of format 1 has written.
fn of_format_1() -> Place {
    let kept = folders::of_format_1().join("home");
    let place = Place::new();
    copy(&kept, &place.home());
    place
}

/// The line of a token in a home.
fn line(place: &Place, name: &str) -> String {
    let text = fs::read_to_string(place.home().join("tokens")).unwrap();
    let mut lines = text.lines().map(str::to_owned);
    lines
        .find(|line| line.starts_with(&format!("{name} ")))
        .unwrap()
}

#[test]
#[cfg_attr(not(has_curl), ignore = "curl is not installed")]
fn a_token_of_format_1_is_replaced_at_its_first_right_use_over_tls() {
    let place = of_format_1();
    let before = line(&place, "t-read");
    let call = |server: &Served, secret: &str| {
        let field = format!("authorization: Bearer {secret}");
        server.curl_as("/v1/models", &["-H", &field], b"")
    };

    let plain = Served::start_in(&place, &["--plain"]);
    assert!(call(&plain, READ).is(401).text().contains("older skep"));
    let client = Place::new();
    let signs = |server: &Served, secret: &str| {
        let mut ls = server.command_of(&client, &["ls"]);
        run(ls.env("SKEP_PASSWORD", secret))
    };
    signs(&plain, READ).exits(7).says("https://");
    assert_eq!(line(&place, "t-read"), before);
    plain.stop().exits(0);

    let server = Served::start_in(&place, &[]);
    call(&server, OVER).is(401);
    call(&server, "skep_52a2f8fsutqkqhu783t5uhx66h8w337d").is(401);
    assert_eq!(line(&place, "t-read"), before);
    call(&server, READ).is(200);
    let after = line(&place, "t-read");
    let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
    let (old, new) = (words(&before), words(&after));
    assert_eq!((old[2].len(), new[2].len()), (64, 43), "{after}");
    assert_eq!((&old[..2], &old[3..]), (&new[..2], &new[3..]));
    assert_eq!(line(&place, "t-write").split(' ').nth(2).unwrap().len(), 64);

    // It goes on to be good, for what its role may.
    call(&server, READ).is(200);
    let field = format!("authorization: Bearer {READ}");
    server
        .curl_as("/v1/models/m", &["-H", &field, "-X", "PUT", "-d", "x"], b"")
        .is(403);
    call(&server, PAIRED).is(200);
    server.stop().exits(0);

    let plain = Served::start_in(&place, &["--plain"]);
    call(&plain, READ).is(200);
    signs(&plain, READ).exits(0);
    signs(&plain, WRITE).exits(7);
    assert_eq!(fs::read(place.home().join("format")).unwrap(), b"2\n");

    // The made password stays in the home, for the owner's own commands, and was never a digest.
    plain.skep(&["ls"]).exits(0);
    run(&mut place.skep(&["token", "rm", "t-write"])).exits(0);
    signs(&plain, READ).exits(0);
}

/// All files below a directory and what is in them.
fn content(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(content(&path));
        } else {
            found.push((path.display().to_string(), fs::read(&path).unwrap()));
        }
    }
    found.sort();
    found
}

#[test]
fn a_home_of_a_newer_format_is_left_alone_by_every_verb() {
    let place = of_format_1();
    place.file("m", "x");
    for number in ["3\n", "1000000\n", "?"] {
        fs::write(place.home().join("format"), number).unwrap();
        let before = content(&place.home());
        for arguments in [
            &["serve", "127.0.0.1", "--port", "0"][..],
            &["token", "new", "pi"],
            &["token", "ls"],
            &["token", "rm", "t-read"],
            &["passwd"],
            &["invite"],
            &["pair", "skep://127.0.0.1#x.y"],
            &["ca", "issue", "pi"],
            &["keygen"],
            &["put", "m"],
            &["ls", "--server", "https://127.0.0.1:1"],
            &["ls", "--server", "unix:/nowhere"],
            &["fingerprint"],
            &["config"],
        ] {
            let outcome = run(&mut place.skep(arguments)).exits(2);
            let said = &outcome.stderr;
            assert!(said.contains("format"), "{arguments:?}: {said}");
        }
        assert_eq!(content(&place.home()), before);
        run(&mut place.skep(&["help", "put"])).exits(0);
    }
}
