// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What is secret is nobody's to read, however careless the umask is.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::process::{Outcome, Place, Process, noise, run, run_with, until};
use crate::support::served::Served;

/// The binary with a umask of 0.
fn careless(place: &Place, arguments: &[&str]) -> Command {
    let mut command = place.command("sh");
    command.args([
        "-c",
        "umask 0; exec \"$0\" \"$@\"",
        env!("CARGO_BIN_EXE_skep"),
    ]);
    command.args(arguments);
    command
}

fn skep(server: &Served, place: &Place, arguments: &[&str]) -> Outcome {
    run(careless(place, arguments).env("SKEP_SERVER", &server.url))
}

/// All plain files below a folder, with their permissions.
fn modes(folder: &Path, into: &mut Vec<(PathBuf, u32)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let metadata = path.symlink_metadata().unwrap();
        if metadata.is_dir() {
            assert_eq!(
                metadata.permissions().mode() & 0o022,
                0,
                "{}",
                path.display()
            );
            modes(&path, into);
        } else {
            into.push((path, metadata.permissions().mode() & 0o777));
        }
    }
}

#[test]
#[cfg_attr(not(has_curl), ignore = "curl is not installed")]
fn no_file_of_a_home_or_log_is_for_others() {
    let place = Place::new();
    let log = place.path("log");
    let words = ["serve", "127.0.0.1", "--port", "0", "--log-polls"];
    let rolled = [
        "--log-file",
        log.to_str().unwrap(),
        "--log-max-bytes",
        "1KiB",
    ];
    let mut command = careless(&place, &[&words[..], &rolled].concat());
    let server = Served::ready(&place, Process::start(&mut command));
    for _ in 0..20 {
        server.curl("/v1/models", &[]).is(200);
    }
    until(|| place.path("log.2").exists());

    // Everything that a server keeps.
    skep(&server, &place, &["token", "new", "phone"]).exits(0);
    let invited = skep(&server, &place, &["invite", "--json"]).exits(0).json();
    run_with(&mut careless(&place, &["passwd"]), b"four words of mine\n").exits(0);

    // Everything that a client keeps; of an upload that was cut, its address.
    let device = Place::new();
    let invitation = invited["invitation"].as_str().unwrap();
    skep(&server, &device, &["pair", invitation]).exits(0);
    device.file("m", noise(1, 24 << 20));
    let mut put = careless(&device, &["put", "m", "--limit-rate", "4MiB"]);
    let put = Process::start(put.env("SKEP_SERVER", &server.url));
    until(|| server.part_sizes().iter().any(|size| *size > 1 << 20));
    put.signal(rustix::process::Signal::KILL);
    put.finish();
    let remembered = device.home().join("uploads");
    assert_eq!(fs::read_dir(remembered).unwrap().count(), 1);

    let mut found = Vec::new();
    modes(&place.home(), &mut found);
    modes(&device.home(), &mut found);
    for number in ["", ".1", ".2"] {
        let path = place.path(&format!("log{number}"));
        let mode = fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        found.push((path, mode));
    }
    for (path, mode) in &found {
        // The certificate of a server is for everybody.
        let is_public = path.ends_with("server.crt");
        let wanted = if is_public { 0o644 } else { 0o600 };
        assert_eq!(mode & !wanted, 0, "{} has {mode:o}", path.display());
    }
    for name in ["password", "tokens", "server.key", "servers", "log.1"] {
        assert!(
            found.iter().any(|(path, _)| path.ends_with(name)),
            "{name}: {found:?}"
        );
    }
}
