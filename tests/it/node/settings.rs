// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Settings of a running server: the file in the home, and SIGHUP, which has it read again.

use rustix::process::Signal;

use crate::support::process::{Place, noise, run, until};
use crate::support::served::Served;

#[test]
fn a_hangup_has_the_file_read_again() {
    let place = Place::new();
    std::fs::create_dir_all(place.home()).unwrap();
    let settings = place.home().join("config.toml");
    std::fs::write(&settings, "max-upload-bytes = \"1KiB\"\n").unwrap();
    let server = Served::start_in(&place, &[]);
    place.file("m", noise(1, 5000));
    server.skep(&["put", "m"]).exits(8);
    std::fs::write(&settings, "max-upload-bytes = \"1MiB\"\nworkers = 3\n").unwrap();
    server.process.signal(Signal::HUP);
    until(|| server.skep(&["put", "m"]).code == 0);
    // A mistake changes nothing and ends nothing.
    std::fs::write(&settings, "max-upload-byte = 1\n").unwrap();
    server.process.signal(Signal::HUP);
    std::fs::write(place.path("n"), "n").unwrap();
    server.skep(&["put", "n"]).exits(0);
    let ended = server.stop().exits(0);
    ended
        .says("workers will take effect at the next start")
        .says("did you mean max-upload-bytes?");
}

#[test]
fn a_mistake_in_the_file_is_told_at_the_start() {
    let place = Place::new();
    std::fs::create_dir_all(place.home()).unwrap();
    std::fs::write(place.home().join("config.toml"), "\nworkers = \"many\"\n").unwrap();
    let outcome = run(&mut place.skep(&["serve", "--port", "0"])).exits(2);
    outcome.says("config.toml, line 2: 'many' is not a valid value for workers");
}

#[test]
fn signals_that_tell_of_trouble_elsewhere_end_nothing() {
    let server = Served::start(&["--plain"]);
    for signal in [Signal::PIPE, Signal::XFSZ, Signal::HUP] {
        server.process.signal(signal);
        server.skep(&["ls"]).exits(0);
    }
    server.stop().exits(0);
}

#[test]
fn a_hangup_moves_the_log() {
    let place = Place::new();
    std::fs::create_dir_all(place.home()).unwrap();
    let settings = place.home().join("config.toml");
    let (old, new) = (place.path("old.log"), place.path("new.log"));
    let text = |file: &std::path::Path, rest: &str| {
        format!("[log]\nfile = \"{}\"\n{rest}", file.display())
    };
    std::fs::write(&settings, text(&old, "")).unwrap();
    let server = Served::start_in(&place, &["--plain"]);
    place.file("m", b"m");
    server.skep(&["put", "m"]).exits(0);
    until(|| {
        std::fs::read_to_string(&old)
            .unwrap_or_default()
            .contains("/v1/models/m")
    });

    std::fs::write(&settings, text(&new, "max-bytes = 400\nkeep = 1\n")).unwrap();
    server.process.signal(Signal::HUP);
    until(|| std::fs::read_to_string(&new).is_ok());
    until(|| {
        server.skep(&["get", "m", "-o", "copy"]);
        place.path("new.log.1").exists()
    });

    assert!(!place.path("new.log.2").exists());
    server.stop().exits(0);
}
