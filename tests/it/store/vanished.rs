// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A model directory that goes while it is served, as a card does that is pulled out, and comes back.

use std::fs;

use crate::support::process::{Mounted, Place, noise, run};
use crate::support::served::Served;

#[test]
#[cfg_attr(not(has_curl), ignore = "curl is not installed")]
fn a_vanished_directory_is_told_of_and_served_again_when_it_is_back() {
    let server = Served::start(&["--plain"]);
    server.place.file("m", noise(1, 5000));
    server.skep(&["put", "m"]).exits(0);
    let away = server.place.path("away");
    fs::rename(&server.dir, &away).unwrap();
    for (path, arguments) in [
        ("/v1/models", &[][..]),
        ("/v1/models/m", &[]),
        ("/v1/info/m", &[]),
        ("/v1/verify/m", &["-X", "POST"]),
        ("/v1/models/m", &["-X", "DELETE"]),
        ("/v1/models/m", &["-T", "m"]),
        ("/v1/models/n", &["-T", "m"]),
    ] {
        let answer = server.curl(path, arguments).is(503);
        let text = answer.text();
        assert!(
            text.contains("the model directory is missing"),
            "{path}: {text}"
        );
    }
    server
        .skep(&["get", "m", "-o", "copy", "--retries", "0"])
        .exits(5)
        .says("unmounted");
    server.curl("/healthz", &[]).is(200);
    assert!(
        !server.dir.exists(),
        "nothing may be made where a card belongs"
    );
    fs::rename(&away, &server.dir).unwrap();
    server.skep(&["get", "m", "-o", "copy"]).exits(0);
    assert_eq!(server.place.read("copy"), noise(1, 5000));
    server.skep(&["put", "m", "--name", "n"]).exits(0);
    assert_eq!(server.names(), ["m", "n"]);
    server.stop().exits(0);
}

#[test]
#[cfg_attr(not(has_mounts), ignore = "no file system can be mounted here")]
#[cfg_attr(not(has_curl), ignore = "curl is not installed")]
#[cfg_attr(not(has_mount), ignore = "mount is not installed")]
fn nothing_is_put_where_a_card_was_mounted() {
    let place = Place::new();
    fs::create_dir(place.path("disk")).unwrap();
    place.file("m", noise(1, 5000));
    let server = Served::start_in(&place, &["--plain", "--dir", "disk"]);
    server.skep(&["put", "m"]).exits(0);
    // Seen from the server, this is the same as a card that goes.
    let other = Mounted::new(&place, &["-t", "tmpfs", "-o", "size=4m", "tmpfs"]);
    for arguments in [&[][..], &["-T", "m"]] {
        let answer = server.curl("/v1/models/m", arguments).is(503);
        assert!(
            answer.text().contains("another file system"),
            "{}",
            answer.text()
        );
    }
    server.curl("/v1/models", &[]).is(503);
    assert_eq!(fs::read_dir(place.path("disk")).unwrap().count(), 0);
    drop(other);
    server.skep(&["put", "m"]).exits(0);
    assert_eq!(server.skep(&["cat", "m"]).exits(0).stdout, noise(1, 5000));
    server.stop().exits(0);
}

#[test]
#[cfg_attr(not(has_mounts), ignore = "no file system can be mounted here")]
#[cfg_attr(not(has_curl), ignore = "curl is not installed")]
#[cfg_attr(not(has_mount), ignore = "mount is not installed")]
fn a_read_only_directory_is_told_of_and_still_read() {
    let place = Place::new();
    fs::create_dir(place.path("disk")).unwrap();
    place.file("m", noise(1, 5000));
    let disk = place.path("disk").to_str().unwrap().to_owned();
    let card = Mounted::new(&place, &["--bind", &disk]);
    let remount = |mode: &str| {
        let mut mount = place.command("mount");
        run(mount.args(["-o", &format!("remount,bind,{mode}"), &disk])).exits(0);
    };
    let server = Served::start_in(&place, &["--plain", "--dir", "disk"]);
    server.skep(&["put", "m"]).exits(0);
    remount("ro");
    for arguments in [&["-T", "m"], &["-X", "DELETE"]] {
        let answer = server.curl("/v1/models/m", arguments).is(500);
        assert!(answer.text().contains("read-only"), "{}", answer.text());
    }
    server.curl("/v1/models/m", &[]).is(200);
    remount("rw");
    server.skep(&["put", "m"]).exits(0);
    server.skep(&["rm", "m"]).exits(0);
    server.stop().exits(0);
    drop(card);
}
