// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A server that the kernel keeps to its home, its model directory and what its settings name.

use std::fs;
use std::os::unix::fs::symlink;

use rustix::process::Signal;

use crate::support::process::Place;
use crate::support::served::Served;

/// A server whose certificate has become a link to a file outside of its folders.
fn with_certificate_outside(arguments: &[&str]) -> Served {
    let place = Place::new();
    let server = Served::start_in(&place, arguments);
    let certificate = place.home().join("server.crt");
    let outside = place.path("outside.crt");
    fs::rename(&certificate, &outside).unwrap();
    symlink(&outside, &certificate).unwrap();
    server.process.signal(Signal::HUP);
    server
}

#[test]
#[cfg_attr(not(has_landlock), ignore = "the kernel has no landlock")]
fn what_is_named_nowhere_is_out_of_reach() {
    let server = with_certificate_outside(&["--dir", "models"]);
    server.process.await_stderr("confined to ");
    server
        .process
        .await_stderr("the old certificate stays in use");
    server.process.await_stderr("the settings were read again");
    server.place.file("m", "x");
    server.skep(&["put", "m"]).exits(0);
    server.stop().exits(0);
}

#[test]
fn a_server_that_is_not_confined_follows_its_own_links() {
    let server = with_certificate_outside(&["--dir", "models", "--landlock", "false"]);
    server.process.await_stderr("the settings were read again");
    let outcome = server.stop().exits(0);
    assert!(
        !outcome.stderr.contains("old certificate"),
        "{}",
        outcome.stderr
    );
    assert!(!outcome.stderr.contains("confined"), "{}", outcome.stderr);
}

#[test]
#[cfg_attr(not(has_landlock), ignore = "the kernel has no landlock")]
fn what_the_settings_name_is_reached_and_a_new_place_needs_a_restart() {
    let place = Place::new();
    for folder in ["logs", "elsewhere", "run"] {
        fs::create_dir(place.path(folder)).unwrap();
    }
    let config = place.home().join("config.toml");
    let log = |folder: &str| {
        let path = place.path(folder).join("log");
        fs::write(&config, format!("[log]\nlog-file = {path:?}\n")).unwrap();
    };
    log("logs");

    let socket = format!("unix:{}", place.path("run/socket").display());
    let urls = place.path("run/urls");
    let server = Served::start_in(
        &place,
        &["--plain", &socket, "--write-addr", urls.to_str().unwrap()],
    );
    assert!(fs::read_to_string(urls).unwrap().contains("http://"));

    let logged = || fs::read_to_string(place.path("logs/log")).unwrap_or_default();
    log("elsewhere");
    server.process.signal(Signal::HUP);
    crate::support::process::until(|| logged().contains("out of reach"));
    assert!(logged().contains("restart the server"), "{}", logged());
    assert!(!place.path("elsewhere/log").exists());

    // A log file that was moved away is made anew.
    log("logs");
    fs::rename(place.path("logs/log"), place.path("logs/old")).unwrap();
    server.process.signal(Signal::HUP);
    crate::support::process::until(|| logged().contains("the settings were read again"));
    server.stop().exits(0);
    assert!(!place.path("run/socket").exists());
}
