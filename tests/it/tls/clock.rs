// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A device whose clock was never set: everything works, and no wrong date leaves it.

use std::path::PathBuf;
use std::process::Command;

use crate::support::process::{Place, Process, run};
use crate::support::served::Served;

/// The library of Debian's package faketime.
fn faketime() -> PathBuf {
    let folders = std::fs::read_dir("/usr/lib").unwrap().flatten();
    let mut files = folders.map(|folder| folder.path().join("faketime/libfaketime.so.1"));
    files
        .find(|path| path.exists())
        .expect("faketime is not installed")
}

/// Has a program start in 1970.
fn in_1970<'a>(command: &'a mut Command, library: &PathBuf) -> &'a mut Command {
    command
        .env("LD_PRELOAD", library)
        .env("FAKETIME", "@1970-01-02 00:00:00")
        .env("TZ", "UTC");
    // Waits are no dates, and what is on the disk has the time that it has.
    command
        .env("DONT_FAKE_MONOTONIC", "1")
        .env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    command.env("NO_FAKE_STAT", "1")
}

fn serve(place: &Place, library: Option<&PathBuf>, flags: &[&str]) -> Served {
    let mut command = place.skep(&["serve", "127.0.0.1", "--port", "0"]);
    command.args(flags);
    let process = Process::start(match library {
        Some(library) => in_1970(&mut command, library),
        None => &mut command,
    });
    Served::ready(place, process)
}

#[test]
#[cfg_attr(not(has_faketime), ignore = "faketime is not installed")]
fn a_clock_in_1970_on_either_side_or_both_hinders_nothing() {
    let library = faketime();
    for (of_server, of_client) in [(true, false), (false, true), (true, true)] {
        let place = Place::new();
        let server = serve(&place, of_server.then_some(&library), &[]);
        let stranger = Place::new();
        stranger.file("m", "a model");
        let skep = |place: &Place, arguments: &[&str]| {
            let mut command = server.command_of(place, arguments);
            command.env("SKEP_PASSWORD", server.password());
            run(if of_client {
                in_1970(&mut command, &library)
            } else {
                &mut command
            })
        };
        let fp = server.fp.clone().unwrap();
        assert_eq!(
            skep(&stranger, &["fingerprint", &server.url])
                .exits(0)
                .text()
                .trim_end(),
            fp
        );
        let device = Place::new();
        device.file("m", "another");
        let mut invite = server.place.skep(&["invite", "--json"]);
        let invite = if of_server {
            in_1970(&mut invite, &library)
        } else {
            &mut invite
        };
        let invitation = run(invite).exits(0).json()["invitation"]
            .as_str()
            .unwrap()
            .to_owned();
        for arguments in [
            &["pair", invitation.as_str()][..],
            &["put", "m", "--name", "n"],
        ] {
            let mut command = device.skep(arguments);
            run(if of_client {
                in_1970(&mut command, &library)
            } else {
                &mut command
            })
            .exits(0);
        }
        skep(&stranger, &["put", "m", "--accept-new"]).exits(0);
        skep(&stranger, &["get", "m", "-o", "copy"]).exits(0);
        assert_eq!(stranger.read("copy"), b"a model");
        let certificate = place.home().join("server.crt");
        skep(&stranger, &["ls", "--ca", certificate.to_str().unwrap()]).exits(0);
        let log = server.stop().exits(0).stderr;
        assert!(!log.contains("1970-"), "{log}");
        assert!(
            !place.home().join("clock").exists() || !of_server,
            "no wrong time is kept"
        );
    }
}

#[test]
#[cfg_attr(not(has_faketime), ignore = "faketime is not installed")]
fn certificates_of_an_authority_work_in_1970() {
    let library = faketime();
    let place = Place::new();
    let skep = |arguments: &[&str]| {
        run(in_1970(&mut place.skep(arguments), &library)).exits(0);
    };
    skep(&["ca", "init"]);
    skep(&["ca", "issue", "pi", "--for", "127.0.0.1"]);
    let ca = place.home().join("ca/ca.crt");
    let ca = ca.to_str().unwrap();
    let flags = [
        "--cert",
        "pi/pi.crt",
        "--key",
        "pi/pi.key",
        "--client-ca",
        ca,
    ];
    for library in [Some(&library), None] {
        let server = serve(&place, library, &flags);
        let flags = [
            "ls",
            "--ca",
            ca,
            "--client-cert",
            "pi/pi.crt",
            "--client-key",
            "pi/pi.key",
        ];
        let mut command = server.command_of(&place, &flags);
        run(command.env("SKEP_PASSWORD", server.password())).exits(0);
        server.stop().exits(0);
    }
}

#[test]
#[cfg_attr(not(has_faketime), ignore = "faketime is not installed")]
#[cfg_attr(not(has_curl), ignore = "curl is not installed")]
fn a_server_without_a_clock_sends_no_date() {
    let library = faketime();
    for (library, has_date) in [(Some(&library), false), (None, true)] {
        let server = serve(&Place::new(), library, &[]);
        let answer = server.curl_as("/healthz", &[], b"").is(200);
        assert_eq!(
            answer.field("date").is_some(),
            has_date,
            "{:?}",
            answer.field("date")
        );
    }
}

#[test]
#[cfg_attr(not(has_curl), ignore = "curl is not installed")]
fn the_time_is_kept_and_is_a_floor_from_then_on() {
    let place = Place::new();
    let kept = || -> u64 {
        let text = std::fs::read_to_string(place.home().join("clock")).unwrap();
        text.trim_end().parse().unwrap()
    };
    Served::start_in(&place, &["-q"]).stop().exits(0);
    let first = kept();
    // Not again on the same day.
    Served::start_in(&place, &["-q"]).stop().exits(0);
    assert_eq!(kept(), first);
    // A clock that is behind what was kept is not trusted, and what was kept stays.
    let future = first + 400 * 24 * 60 * 60;
    std::fs::write(place.home().join("clock"), format!("{future}\n")).unwrap();
    let server = Served::start_in(&place, &["-q"]);
    assert_eq!(
        server.curl_as("/healthz", &[], b"").is(200).field("date"),
        None
    );
    server.stop().exits(0);
    assert_eq!(kept(), future);
}
