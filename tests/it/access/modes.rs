// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What is secret is nobody's to read, however careless the umask is.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown};
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

/// What each verb says of a home, and how it ends.
fn every_verb(place: &Place, strict: &str) -> Vec<(String, Outcome)> {
    let verbs: [&[&str]; 15] = [
        &["serve", "127.0.0.1", "--port", "x"],
        &["config"],
        &["put", "m", "--server", "https://127.0.0.1:1"],
        &["get", "m", "--server", "unix:/nowhere"],
        &["ls", "--server", "https://127.0.0.1:1"],
        &["post", "m", "--server", "https://127.0.0.1:1"],
        &["keygen", "-o", "/nowhere/key"],
        &["sign", "m"],
        &["invite", "127.0.0.1"],
        &["pair", "skep://127.0.0.1#x.y"],
        &["ca", "ls"],
        &["fingerprint"],
        &["token", "ls"],
        &["passwd"],
        &["verify", "--key", "k", "m"],
    ];
    let run = |words: &[&str]| {
        let mut command = place.skep(words);
        (
            words.join(" "),
            run(command.env("SKEP_STRICT_MODES", strict)),
        )
    };
    verbs.into_iter().map(run).collect()
}

#[test]
fn a_home_that_others_can_use_is_refused_by_every_verb() {
    let place = Place::new();
    let server = Served::start_in(&place, &["--plain"]);
    server.skep(&["token", "new", "phone"]).exits(0);
    server.stop().exits(0);
    let set = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode));
    let home = place.home();

    for (name, open, right) in [
        ("", 0o777, 0o700),
        ("tokens", 0o666, 0o600),
        ("password", 0o644, 0o600),
    ] {
        let path = home.join(name);
        set(&path, open).unwrap();
        for (verb, ended) in every_verb(&place, "") {
            let said = &ended.stderr;
            assert!(
                ended.code == 2 && said.contains("run: chmod go"),
                "{verb}: {said}"
            );
        }

        // Where modes are made up, it works and the server tells of it.
        for (verb, ended) in every_verb(&place, "0") {
            assert!(!ended.stderr.contains("chmod"), "{verb}: {}", ended.stderr);
        }
        let mut open = place.skep(&["serve", "127.0.0.1", "--port", "0"]);
        let open = Process::start(open.env("SKEP_STRICT_MODES", "0"));
        let open = Served::ready(&place, open).stop().exits(0);
        open.says("warning others on this device can")
            .says("run: chmod go");

        // What is told to be typed is enough.
        let told = run(&mut place.skep(&["token", "ls"])).exits(2).stderr;
        let command = told.split("run: ").nth(1).unwrap();
        let command = command.split("; where").next().unwrap();
        run(place.command("sh").args(["-c", command])).exits(0);
        run(&mut place.skep(&["token", "ls"])).exits(0);
        set(&path, right).unwrap();
    }
}

#[test]
fn a_home_of_another_user_is_refused_by_root_too_and_nothing_is_made_in_it() {
    let place = Place::new();
    let theirs = place.path("theirs");
    fs::create_dir(&theirs).unwrap();
    // Only root can give a directory away.
    if chown(&theirs, Some(4711), None).is_err() {
        return;
    }

    // As sudo calls it where it keeps HOME.
    let skep = |words: &[&str], strict: &str| {
        let mut command = place.skep(words);
        command.env("SKEP_STRICT_MODES", strict);
        run(command.env_remove("SKEP_HOME").env("HOME", &theirs))
    };
    let serve = ["serve", "127.0.0.1", "--port", "0"];
    for words in [&["token", "new", "x"][..], &["ca", "init"], &serve] {
        let told = skep(words, "").exits(2).says("another user (uid 4711)");
        told.says("run skep as that user, without sudo, or set SKEP_HOME");
    }
    assert_eq!(fs::read_dir(&theirs).unwrap().count(), 0);

    // Where owners are made up.
    skep(&["token", "new", "x"], "0").exits(0);
    skep(&["token", "ls"], "")
        .exits(2)
        .says("SKEP_STRICT_MODES=0");
}

#[test]
fn a_token_that_cannot_be_shown_is_none() {
    let place = Place::new();
    for json in ["", " --json"] {
        let mut full = place.command("sh");
        let script = format!("exec \"$0\" token new x{json} >/dev/full");
        full.args(["-c", &script, env!("CARGO_BIN_EXE_skep")]);
        run(&mut full).exits(8).says("no token was made");
        assert_eq!(run(&mut place.skep(&["token", "ls"])).exits(0).text(), "");
    }
    run(&mut place.skep(&["token", "new", "x"])).exits(0);
}
