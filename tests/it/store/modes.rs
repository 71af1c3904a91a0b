// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Who else may read what is stored: the umask says it of new files, and a replaced file says it itself.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use crate::support::pieces::{append, ask, create};
use crate::support::process::{Place, Process, run};
use crate::support::served::Served;

const PLAIN: &str = "Accept: */*";

/// A program with this umask.
fn with_umask(place: &Place, umask: &str, arguments: &[&str]) -> Command {
    let mut command = place.command("sh");
    let script = format!("umask {umask}; exec \"$0\" \"$@\"");
    command.args(["-c", &script, env!("CARGO_BIN_EXE_skep")]);
    command.args(arguments);
    command
}

fn mode(path: &Path) -> u32 {
    path.metadata().unwrap().permissions().mode() & 0o777
}

fn share(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

#[test]
fn stored_files_have_the_mode_that_the_umask_leaves_or_that_of_what_they_replace() {
    for (umask, expected) in [("022", 0o644), ("027", 0o640), ("077", 0o600)] {
        let place = Place::new();
        let serve = ["serve", "127.0.0.1", "--port", "0", "--plain"];
        let kept = [&serve[..], &["--keep-versions", "1"]].concat();
        let process = Process::start(&mut with_umask(&place, umask, &kept));
        let server = Served::ready(&place, process);
        let directory = server.dir.clone();
        let path = |name: &str| directory.join(name);

        ask(&server, "PUT /v1/models/whole", PLAIN, b"x");
        let upload = create(&server, "pieces", "");
        append(&server, &upload, 0, "?1", b"x");
        for name in ["whole", "pieces"] {
            assert_eq!(mode(&path(name)), expected, "{name}, umask {umask}");
            share(&path(name), 0o664);
        }

        ask(&server, "PUT /v1/models/whole", PLAIN, b"new");
        let upload = create(&server, "pieces", "");
        append(&server, &upload, 0, "?1", b"new");
        for name in ["whole", "pieces"] {
            assert_eq!(fs::read(path(name)).unwrap(), b"new");
            assert_eq!(mode(&path(name)), 0o664, "{name}, umask {umask}");
        }

        // What is kept beside the models stays private.
        assert_eq!(mode(&path(".skep")), 0o700);
        ask(&server, "PUT /v1/models/whole", "Skep-License: MIT", b"x");
        assert_eq!(mode(&path(".skep/about/whole")), 0o600);
        server.stop().exits(0);
        assert_eq!(mode(&path(".skep/index")), 0o600);
    }
}

#[test]
fn fetched_files_have_the_mode_that_the_umask_leaves_or_that_of_what_they_replace() {
    let server = Served::start(&["--plain"]);
    ask(&server, "PUT /v1/models/m", PLAIN, b"x");
    let get = ["get", "m", "-o", "copy"];
    let fetch = |umask: &str| {
        let mut command = with_umask(&server.place, umask, &get);
        run(command.env("SKEP_SERVER", &server.url)).exits(0);
    };

    let copy = server.place.path("copy");
    fetch("027");
    assert_eq!(mode(&copy), 0o640);
    share(&copy, 0o664);
    ask(&server, "PUT /v1/models/m", PLAIN, b"new");
    fetch("077");
    assert_eq!(fs::read(&copy).unwrap(), b"new");
    assert_eq!(mode(&copy), 0o664);
    server.stop().exits(0);
}

#[test]
fn a_directory_that_everybody_can_write_to_is_told_of_and_served() {
    let place = Place::new();
    let models = place.path("models");
    fs::create_dir(&models).unwrap();
    for (mode, is_told) in [
        (0o777, true),
        (0o1777, true),
        (0o775, false),
        (0o755, false),
    ] {
        fs::set_permissions(&models, Permissions::from_mode(mode)).unwrap();
        let server = Served::start_in(&place, &["--plain", "--dir", "models"]);
        server.skep(&["ls"]).exits(0);
        let log = server.stop().exits(0).stderr;
        let command = format!("run: chmod o-w '{}'", models.display());
        assert_eq!(log.contains(&command), is_told, "{mode:o}: {log}");
    }
}
