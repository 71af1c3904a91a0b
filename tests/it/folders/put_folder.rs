// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Directories that are sent as folders: one step on the server, and nothing travels that is there.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::{Duration, SystemTime};

use rustix::process::Signal;
use serde_json::Value;

use crate::support::folders::tree;
use crate::support::process::{Outcome, Place, Process, digest, noise, run, until};
use crate::support::served::Served;
use crate::support::terminal::Terminal;

/// Files of some minutes ago, so that they are not young.
fn write(place: &Place, files: &[(&str, &[u8])]) {
    for (name, bytes) in files {
        let path = place.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        age(&path, 600);
    }
}

fn age(path: &Path, seconds: u64) {
    let file = fs::File::options().append(true).open(path).unwrap();
    let time = SystemTime::now() - Duration::from_secs(seconds);
    file.set_modified(time).unwrap();
}

fn folder(outcome: &Outcome) -> Value {
    outcome.json()["folders"][0].clone()
}

fn counts(outcome: &Outcome) -> [u64; 4] {
    let folder = folder(outcome);
    let removed = folder["removed"].as_array().unwrap().len() as u64;
    let count = |key: &str| folder[key].as_u64().unwrap();
    [count("published"), removed, count("same"), count("sent")]
}

/// How many change sets the server has open.
fn sets(server: &Served) -> usize {
    fs::read_dir(server.dir.join(".skep/changes")).map_or(0, Iterator::count)
}

#[test]
fn a_directory_becomes_a_folder_and_what_is_there_does_not_travel() {
    let server = Served::start(&["--plain", "--keep-versions", "1"]);
    let place = &server.place;
    let large = noise(1, 3 << 20);
    write(
        place,
        &[
            ("bert/config.json", b"{}"),
            ("bert/onnx/model.onnx", &large),
            ("bert/onnx/notes", b"notes"),
            ("bert/.git/config", b"hidden"),
        ],
    );
    let put = |arguments: &[&str]| server.skep(&[&["put", "--json"], arguments].concat());

    let first = put(&["bert", "--name", "me/bert"]).exits(0);
    assert_eq!(counts(&first), [3, 0, 0, 7 + large.len() as u64]);
    let revision = folder(&first)["revision"].as_str().unwrap().to_owned();
    assert_eq!(revision.len(), 40);
    assert_eq!(
        fs::read(server.dir.join("me/bert/onnx/model.onnx")).unwrap(),
        large
    );
    assert!(!server.dir.join("me/bert/.git").exists());

    let second = put(&["bert/", "--name", "me/bert", "--exit-unchanged"]).exits(9);
    assert_eq!(counts(&second), [0, 0, 3, 0]);

    // What is remembered of a file is not read again: not even if it is wrong.
    let kept = fs::read_dir(place.home().join("digests")).unwrap();
    let kept = kept.map(|entry| entry.unwrap().path()).next().unwrap();
    let right = fs::read_to_string(&kept).unwrap();
    let notes_digest = digest(b"notes");
    let notes_digest = notes_digest.strip_prefix("sha256:").unwrap();
    assert!(right.contains(notes_digest), "{right}");
    fs::write(&kept, right.replace(notes_digest, &"0".repeat(64))).unwrap();
    let told = put(&["bert", "--name", "me/bert", "-n"]).exits(0);
    assert_eq!(
        folder(&told)["send"],
        serde_json::json!(["me/bert/onnx/notes"])
    );
    fs::write(&kept, right).unwrap();

    // Other bytes of the same size are seen also where a program has set their time back.
    let notes = place.path("bert/onnx/notes");
    let time = notes.metadata().unwrap().modified().unwrap();
    fs::write(&notes, b"NOTES").unwrap();
    fs::File::open(&notes).unwrap().set_modified(time).unwrap();
    let third = put(&["bert", "--name", "me/bert"]).exits(0);
    assert_eq!(counts(&third), [1, 0, 2, 5]);

    // A file that is moved is named by its digest; what would be done is told, and not done.
    fs::rename(place.path("bert/onnx"), place.path("bert/moved")).unwrap();
    fs::remove_file(place.path("bert/config.json")).unwrap();
    let mirror = ["bert", "--name", "me/bert", "--delete"];
    let before = tree(&server.dir.join("me"));
    let told = put(&[&mirror[..], &["-n"]].concat()).exits(0);
    assert_eq!(folder(&told)["known"].as_array().unwrap().len(), 2);
    assert_eq!(folder(&told)["remove"].as_array().unwrap().len(), 3);
    assert_eq!((tree(&server.dir.join("me")), sets(&server)), (before, 0));

    put(&mirror).exits(2).says("-y");
    let moved = put(&[&mirror[..], &["-y"]].concat()).exits(0);
    assert_eq!(counts(&moved), [2, 3, 0, 0]);
    let left = tree(&server.dir.join("me/bert"));
    // Two files and their folder.
    assert_eq!(left.len(), 3);
    assert_eq!(left[&server.dir.join("me/bert/moved/model.onnx")], large);
    server.skep(&["rollback", "me/bert/config.json"]).exits(0);

    // And back again, with hidden files.
    let back = ["get", "me/bert/", "-o", "back"];
    server.skep(&back).exits(0);
    assert_eq!(tree(&place.path("back")).len(), 4);
    let hidden = put(&["bert", "--name", "me/bert", "--hidden"]).exits(0);
    assert_eq!(counts(&hidden), [1, 0, 2, 6]);
    assert_eq!(sets(&server), 0);
}

#[test]
fn a_directory_that_was_cut_goes_on_in_the_same_set() {
    let server = Served::start(&["--plain"]);
    let place = &server.place;
    let large = noise(2, 6 << 20);
    write(
        place,
        &[("d/a", b"first"), ("d/b", &large), ("d/c", b"last")],
    );
    let put = ["put", "d", "--name", "d", "--json"];
    let mut slow = server.command(&[&put[..], &["--limit-rate", "2MiB"]].concat());
    let process = Process::start(&mut slow);
    until(|| server.part_sizes().iter().any(|size| *size > 1 << 20));
    process.signal(Signal::INT);
    process.finish().exits(130);
    assert_eq!(sets(&server), 1);
    assert!(server.names().is_empty());

    let done = server.skep(&put).exits(0);
    let [published, _, _, sent] = counts(&done);
    assert_eq!(published, 3);
    assert!(sent < 6 << 20, "{sent} bytes were sent again");
    assert_eq!(fs::read(server.dir.join("d/b")).unwrap(), large);
    assert_eq!((sets(&server), server.parts()), (0, 0));

    // A set that wanted something else is given up.
    write(place, &[("d/x", &large)]);
    age(&place.path("d/x"), 500);
    let mut slow = server.command(&[&put[..], &["--always", "--limit-rate", "2MiB"]].concat());
    let process = Process::start(&mut slow);
    until(|| server.part_sizes().iter().any(|size| *size > 1 << 20));
    process.signal(Signal::INT);
    process.finish().exits(130);
    fs::remove_file(place.path("d/x")).unwrap();
    write(place, &[("d/a", b"FIRST")]);
    age(&place.path("d/a"), 100);
    let done = server.skep(&put).exits(0);
    assert_eq!(counts(&done), [1, 0, 2, 5]);
    // The server sees a moment later that nobody sends any more.
    until(|| (sets(&server), server.parts()) == (0, 0));
    assert!(!server.dir.join("d/x").exists());
}

#[test]
fn what_cannot_be_meant_is_refused_before_anything_is_sent() {
    let server = Served::start(&["--plain"]);
    let place = &server.place;
    write(
        place,
        &[
            ("d/a", b"x"),
            ("e/d/b", b"x"),
            ("bad/a.", b"x"),
            ("file", b"x"),
        ],
    );
    fs::create_dir(place.path("empty")).unwrap();
    symlink("a", place.path("d/link")).unwrap();
    let put = |arguments: &[&str]| server.skep(&[&["put"], arguments].concat());

    put(&["d", "file"]).exits(2).says("no directory");
    put(&["d", "--create"])
        .exits(2)
        .says("--create is for single files");
    put(&["d", "e/d"]).exits(2).says("would both be in 'd/'");
    put(&["d", "e", "--name", "x"]).exits(2).says("--name");
    put(&["bad"]).exits(2).says("ends with a dot");
    put(&["empty"]).exits(2).says("no files");
    put(&["file", "--delete"])
        .exits(2)
        .says("--delete is for directories");
    assert!(server.names().is_empty() && sets(&server) == 0);

    // A link is left out and told of; it is followed where that is wanted.
    put(&["d"]).exits(10).says("d/link is a link");
    put(&["d", "--follow-links"]).exits(0);
    assert_eq!(fs::read(server.dir.join("d/link")).unwrap(), b"x");

    // A file that stands where the folder is to be is named, and stays.
    put(&["file"]).exits(0);
    put(&["e", "--name", "file"]).exits(11).says("'file'");
    assert_eq!(server.names(), ["d", "file"]);
    assert_eq!(fs::read(server.dir.join("file")).unwrap(), b"x");
}

#[test]
fn two_mirrors_of_one_folder_do_not_undo_each_other_unseen() {
    let server = Served::start(&["--plain", "--replace", "refuse"]);
    let place = &server.place;
    write(place, &[("one/a", b"1"), ("two/a", b"2")]);
    let put = |directory: &str| server.skep(&["put", directory, "--name", "f", "--delete", "-y"]);
    put("one").exits(0);

    // The rules of the server hold for sets, too, and an abandoned one leaves nothing.
    let refused = put("two");
    assert_ne!(refused.code, 0);
    refused.says("does not replace models");
    assert_eq!(fs::read(server.dir.join("f/a")).unwrap(), b"1");
}

#[test]
fn a_directory_that_does_not_fit_leaves_nothing_behind() {
    let server = Served::start(&["--plain", "--max-uploads-bytes", "3MiB"]);
    let place = &server.place;
    let bytes = noise(3, 1 << 20);
    write(
        place,
        &[("d/a", &bytes), ("d/b", &bytes[1..]), ("d/c", b"x")],
    );
    server.skep(&["put", "d"]).exits(8).says("do not fit");
    assert_eq!((sets(&server), server.parts()), (0, 0));
    fs::remove_file(place.path("d/b")).unwrap();
    server.skep(&["put", "d"]).exits(0);
}

#[test]
fn what_is_here_and_cannot_be_sent_is_not_removed_there() {
    let server = Served::start(&["--plain"]);
    let place = &server.place;
    write(
        place,
        &[
            ("d/a", b"a"),
            ("d/sub/b", b"b"),
            ("d/sub/deep/c", b"c"),
            ("d/gone", b"g"),
        ],
    );
    server.skep(&["put", "d"]).exits(0);

    // Moved to a larger disk, with a link in its place.
    fs::rename(place.path("d/sub"), place.path("elsewhere")).unwrap();
    symlink(place.path("elsewhere"), place.path("d/sub")).unwrap();
    fs::remove_file(place.path("d/a")).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(place.path("d/a")).unwrap();
    fs::remove_file(place.path("d/gone")).unwrap();
    write(place, &[("d/new", b"n")]);

    let told = server
        .skep(&["put", "d", "--delete", "-y", "--json"])
        .exits(10);
    let folder = folder(&told);
    assert_eq!(folder["removed"], serde_json::json!(["d/gone"]));
    for left in ["d/sub/b", "d/sub/deep/c", "d/a", "d/new"] {
        assert!(server.dir.join(left).is_file(), "{left}");
    }
}

#[test]
fn a_mirror_follows_where_a_file_becomes_a_folder_there_as_well() {
    let server = Served::start(&["--plain"]);
    let place = &server.place;
    write(place, &[("d/a/b", b"1"), ("d/x", b"2")]);
    server.skep(&["put", "d"]).exits(0);
    fs::remove_dir_all(place.path("d")).unwrap();
    write(place, &[("d/a", b"3"), ("d/x/y", b"4")]);
    server.skep(&["put", "d", "--delete", "-y"]).exits(0);
    assert!(server.dir.join("d/a").is_file() && server.dir.join("d/x/y").is_file());
}

#[test]
fn a_signed_directory_has_a_signature_beside_each_model() {
    let server = Served::start(&["--plain"]);
    let place = &server.place;
    server.skep(&["keygen", "-o", "team.key"]).exits(0);
    write(place, &[("d/a", b"a"), ("d/sub/b", b"b")]);
    server.skep(&["put", "d"]).exits(0);

    // Equal bytes without a signature are sent once more, and a mirror leaves signatures alone.
    let put = ["put", "d", "--sign", "team.key", "--delete", "-y"];
    server.skep(&put).exits(0);
    for name in ["d/a", "d/sub/b"] {
        assert!(
            server.dir.join(format!("{name}.minisig")).is_file(),
            "{name}"
        );
    }
    let again = server.skep(&[&put[..], &["--json"]].concat()).exits(0);
    assert_eq!(counts(&again), [0, 0, 2, 0]);
    let get = ["get", "d/", "-o", "back", "--verify-key", "team.pub"];
    let told = server.skep(&get).exits(0);
    assert!(!told.stderr.contains("another name"), "{}", told.stderr);
    assert_eq!(fs::read(place.path("back/sub/b")).unwrap(), b"b");
    assert!(place.path("back/a.minisig").is_file());
}

#[test]
#[cfg_attr(not(has_setsid), ignore = "setsid is not installed")]
fn a_mirror_that_drops_signatures_says_so() {
    let server = Served::start(&["--plain"]);
    let place = &server.place;
    server.skep(&["keygen", "-o", "team.key"]).exits(0);
    write(place, &[("d/a", b"a"), ("d/sub/b", b"b"), ("d/gone", b"c")]);
    server.skep(&["put", "d", "--sign", "team.key"]).exits(0);
    fs::remove_file(place.path("d/gone")).unwrap();

    let lost = "the signatures of 2 models that stay go with them, first that of 'd/a'";
    let told = server.skep(&["put", "d", "--delete", "-n", "--json"]);
    let told = told.exits(0).says(lost).json();
    assert_eq!(
        told["folders"][0]["unsigned"],
        serde_json::json!(["d/a", "d/sub/b"])
    );
    assert!(server.dir.join("d/a.minisig").is_file());

    let mut terminal = Terminal::start(&server.command(&["put", "d", "--delete"]), 200);
    terminal.types("n\r");
    let (ended, _, screen) = terminal.ends();
    assert_eq!(ended, 1, "{screen}");
    assert!(screen.contains(lost), "{screen}");
    let told = server.skep(&["put", "d", "--delete", "-y", "--json"]);
    let told = told.exits(0).says(lost).json();
    let folder = &told["folders"][0];
    assert_eq!(folder["unsigned"], serde_json::json!(["d/a", "d/sub/b"]));

    // Nothing is said where nothing is lost.
    fs::remove_file(place.path("d/a")).unwrap();
    let told = server.skep(&["put", "d", "--delete", "-n", "--json"]);
    let told = told.exits(0);
    assert!(!told.stderr.contains("signature"), "{}", told.stderr);
    assert_eq!(told.json()["folders"][0]["unsigned"], serde_json::json!([]));
    let told = server
        .skep(&["put", "d", "--delete", "-y", "--json"])
        .exits(0);
    assert!(!told.stderr.contains("signature"), "{}", told.stderr);
    assert_eq!(told.json()["folders"][0]["unsigned"], serde_json::json!([]));
}

#[test]
fn what_is_said_anew_of_equal_bytes_is_kept() {
    let server = Served::start(&["--plain"]);
    write(&server.place, &[("d/a", b"a")]);
    server.skep(&["put", "d", "--meta", "stage=test"]).exits(0);
    server
        .skep(&["put", "d", "--meta", "stage=prod", "--license", "MIT"])
        .exits(0);
    let told = server.skep(&["show", "d/a"]).exits(0).text();
    assert!(
        told.contains("stage=prod") && told.contains("MIT"),
        "{told}"
    );
}

#[test]
fn all_names_that_no_model_can_have_are_told_at_once() {
    let server = Served::start(&["--plain"]);
    let directory = server.place.path("d");
    fs::create_dir(&directory).unwrap();
    for number in 0..11 {
        fs::write(directory.join(format!("-wrong{number}")), "x").unwrap();
    }
    fs::write(directory.join("right"), "x").unwrap();

    let told = server.skep(&["put", "d"]).exits(2).says("and 1 other file");
    assert_eq!(
        told.stderr.matches("d/-wrong").count(),
        10,
        "{}",
        told.stderr
    );
    assert!(server.names().is_empty());
}

#[test]
fn a_folder_that_cannot_be_read_is_named() {
    let place = Place::new();
    let deep = ["s"; 30].join("/");
    fs::create_dir_all(place.path("d").join(&deep)).unwrap();
    write(&place, &[("d/a", b"a")]);

    // Each folder on the way is open, and there are no more descriptors than these.
    let mut command = place.command("sh");
    let script = "ulimit -n 20; exec \"$0\" put d";
    command.args(["-c", script, env!("CARGO_BIN_EXE_skep")]);
    run(&mut command).exits(1).says("reading d/s/s/s");
}

#[test]
fn an_output_that_cannot_be_written_has_one_code() {
    let server = Served::start(&["--plain"]);
    write(&server.place, &[("d/a", b"a"), ("m", b"m")]);
    server.skep(&["put", "m"]).exits(0);
    for words in [
        &["put", "d", "--always"][..],
        &["put", "m", "--always"],
        &["ls"],
        &["ls", "--json"],
        &["cat", "m"],
        &["get", "m", "-o", "-"],
        &["get", "d/", "-o", "t"],
        &["show", "m"],
        &["verify"],
    ] {
        let full = fs::File::options().write(true).open("/dev/full").unwrap();
        let told = server.command(words).stdout(full).output().unwrap();
        let shown = String::from_utf8_lossy(&told.stderr).into_owned();
        assert_eq!(told.status.code(), Some(8), "{words:?}: {shown}");
        assert!(
            shown.contains("standard output cannot be written: no space left"),
            "{words:?}: {shown}"
        );

        // Whoever has read enough is no failure to complain about.
        let _ = fs::remove_dir_all(server.place.path("t"));
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let told = server.command(words).stdout(writer).output().unwrap();
        let shown = String::from_utf8_lossy(&told.stderr).into_owned();
        assert_eq!(told.status.code(), Some(141), "{words:?}: {shown}");
        assert!(!shown.contains("error"), "{words:?}: {shown}");
    }
}
