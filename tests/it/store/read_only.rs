// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Models that are served and not changed: because a setting says so, or because their file system does.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::support::pieces::ask;
use crate::support::process::{Mounted, Place, run};
use crate::support::served::Served;

const FIELDS: &str = "Accept: */*";

/// Asks for what reads and what changes, and looks whether anything did.
fn is_served_and_not_changed(server: &Served) {
    let names = |folder: &Path| -> BTreeMap<_, _> {
        let entries = fs::read_dir(folder).unwrap().map(Result::unwrap);
        let dated = entries.map(|entry| {
            (
                entry.file_name(),
                entry.metadata().unwrap().modified().unwrap(),
            )
        });
        dated.collect()
    };
    let before = names(&server.dir);

    let read = ask(server, "GET /v1/models/m", FIELDS, b"");
    assert_eq!((read.status, read.content.as_slice()), (200, &b"bytes"[..]));
    let verified = ask(server, "POST /v1/verify/m", FIELDS, b"");
    assert_eq!(verified.status, 200, "{}", verified.text());
    let list = server.skep(&["ls", "-l"]).exits(0).text();
    assert!(list.starts_with("m  5  "), "{list}");

    for (line, fields) in [
        ("PUT /v1/models/m", FIELDS),
        ("PUT /v1/models/n", FIELDS),
        ("PUT /v1/models/n", "Upload-Complete: ?0"),
        ("DELETE /v1/models/m", FIELDS),
        ("POST /v1/rollback/m", FIELDS),
        ("DELETE /v1/versions/m", FIELDS),
    ] {
        let answer = ask(server, line, fields, b"");
        assert_eq!(answer.status, 403, "{line} {fields}: {}", answer.text());
        assert!(
            answer.text().contains("read-only"),
            "{line}: {}",
            answer.text()
        );
    }
    assert_eq!(names(&server.dir), before);
}

#[test]
fn a_server_that_is_told_so_changes_nothing() {
    let place = Place::new();
    fs::create_dir(place.path("models")).unwrap();
    fs::write(place.path("models/m"), "bytes").unwrap();
    let arguments = ["--plain", "--dir", "models", "--read-only"];
    let server = Served::start_in(&place, &arguments);
    server.process.await_stderr("served read-only");
    is_served_and_not_changed(&server);

    // Nothing has to be ours alone, so another server may read, too.
    let other = Served::start_in(&place, &arguments);
    is_served_and_not_changed(&other);
    other.stop().exits(0);
    server.stop().exits(0);
    assert!(!place.path("models/.skep").exists());

    let serve = ["serve", "127.0.0.1", "--port", "0", "--plain"];
    let missing = [&serve[..], &["--read-only", "--dir", "missing"]].concat();
    run(&mut place.skep(&missing)).exits(2).says("missing");
    assert!(!place.path("missing").exists());
}

#[test]
#[cfg_attr(not(has_mounts), ignore = "no file system can be mounted here")]
#[cfg_attr(not(has_mount), ignore = "mount is not installed")]
fn a_read_only_file_system_is_served_as_it_is() {
    let place = Place::new();
    fs::create_dir(place.path("disk")).unwrap();
    let _disk = Mounted::new(&place, &["-t", "tmpfs", "-o", "size=4m", "tmpfs"]);
    let disk = place.path("disk");
    fs::write(disk.join("m"), "bytes").unwrap();
    let mut remount = place.command("mount");
    run(remount.args(["-o", "remount,ro"]).arg(&disk)).exits(0);

    let server = Served::start_in(&place, &["--plain", "--dir", "disk"]);
    server
        .process
        .await_stderr("served read-only: their file system is");
    is_served_and_not_changed(&server);
    let outcome = server.stop().exits(0);
    assert!(!outcome.stderr.contains("index"), "{}", outcome.stderr);
}
