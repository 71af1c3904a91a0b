// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `skep get` of folders and patterns: paths are kept, nothing outside of the directory is touched.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use serde_json::json;
use skep::Digest;

use crate::support::process::{Mounted, Place, Process, noise, until};
use crate::support::served::Served;
use crate::support::terminal::Terminal;

/// A server of these models, each with its name as its bytes.
fn served(models: &[&str]) -> Served {
    let server = Served::start(&["--plain"]);
    // What is uploaded has a digest at once.
    for model in models {
        server.place.file("sent", model);
        server.skep(&["put", "sent", "--name", model]).exits(0);
    }
    fs::remove_file(server.place.path("sent")).unwrap();
    server
}

/// The paths of all files in a directory, sorted.
fn files(directory: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![PathBuf::from(directory)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.is_symlink() {
                folders.push(path);
            } else {
                let path = path.strip_prefix(directory).unwrap();
                found.push(path.to_str().unwrap().to_owned());
            }
        }
    }
    found.sort();
    found
}

const BERT: &[&str] = &[
    "me/bert/.gitattributes",
    "me/bert/config.json",
    "me/bert/onnx/model.onnx",
    "me/bert/onnx/model.onnx.data",
    "me/bert-tiny/config.json",
    "me/other",
];

#[test]
fn a_folder_comes_with_its_paths_and_what_is_there_is_not_fetched_again() {
    let server = served(BERT);
    let place = &server.place;

    let told = server.skep(&["get", "me/bert/", "-o", "x/y", "--json"]);
    let told = told.exits(0).says("1 hidden file left out").json();
    assert_eq!(told["files"].as_array().unwrap().len(), 3);
    let got = ["config.json", "onnx/model.onnx", "onnx/model.onnx.data"];
    assert_eq!(files(&place.path("x/y")), got);
    let bytes = fs::read(place.path("x/y/onnx/model.onnx")).unwrap();
    assert_eq!(bytes, b"me/bert/onnx/model.onnx");

    // Only what has changed comes again.
    fs::write(server.dir.join("me/bert/config.json"), "new").unwrap();
    fs::write(place.path("x/y/onnx/model.onnx"), "me/bert/onnx/model.xxxx").unwrap();
    let told = server.skep(&["get", "me/bert/", "-o", "x/y"]).exits(0);
    assert!(
        told.stderr.contains("2 models fetched, 1 up to date"),
        "{}",
        told.stderr
    );
    assert_eq!(fs::read(place.path("x/y/config.json")).unwrap(), b"new");
    let again = server.skep(&["get", "me/bert/", "-o", "x/y", "--exit-unchanged"]);
    again.exits(9);

    // Without -o, the folder keeps its name.
    server.skep(&["get", "me/bert/", "--hidden"]).exits(0);
    assert_eq!(files(&place.path("bert")).len(), 4);
    server.skep(&["get", "zz/"]).exits(4);
    assert!(!place.path("zz").exists());
}

#[test]
fn patterns_and_filters_say_what_is_fetched() {
    let server = served(BERT);
    let place = &server.place;
    let get = |words: &[&str], to: &str| {
        server.skep(&[&["get", "-o", to], words].concat()).exits(0);
        files(&place.path(to))
    };

    let found = get(&["me/bert*/**"], "a/");
    let wanted = [
        "bert-tiny/config.json",
        "bert/config.json",
        "bert/onnx/model.onnx",
        "bert/onnx/model.onnx.data",
    ];
    assert_eq!(found, wanted);
    let found = get(&["me/", "--include", "*.onnx", "--include", "*.json"], "b");
    assert_eq!(found, wanted[..3]);
    let found = get(
        &["me/", "--exclude", "*.json", "--exclude", "me/bert/onnx/**"],
        "c",
    );
    assert_eq!(found, ["other"]);
    let found = get(&["me/bert/*.json", "me/other"], "d");
    assert_eq!(found, ["config.json", "other"]);

    // Two models for one file are refused before anything is fetched.
    for twice in [
        &["me/bert/*.json", "me/bert-tiny/*.json"][..],
        &["me/bert/", "me/bert-tiny/"],
        &["me/bert/*.json", "me/bert-tiny/config.json"],
    ] {
        let told = server.skep(&[&["get", "-o", "twice"], twice].concat());
        told.exits(2).says("config.json");
        assert!(!place.path("twice").exists());
    }
    server.skep(&["get", "me/", "-o", "-"]).exits(2);
    place.file("file", "");
    server.skep(&["get", "me/", "-o", "file"]).exits(2);

    // A name that exists is a name.
    fs::write(server.dir.join("me/o*"), "star").unwrap();
    server.skep(&["get", "me/o*", "-o", "e"]).exits(0);
    assert_eq!(fs::read(place.path("e")).unwrap(), b"star");
}

#[test]
fn filters_that_leave_nothing_are_told() {
    let server = served(&["f/a", "f/b"]);
    for filter in [
        &["--include", "nope*"][..],
        &["--include", "["],
        &["--exclude", "*"],
    ] {
        let told = server.skep(&[&["get", "f/", "-o", "t"], filter].concat());
        let told = told.exits(4);
        told.says("--include and --exclude leave nothing of 2 models");
        assert!(!server.place.path("t").exists(), "{filter:?}");
    }

    // A mirror of what the folder has no longer.
    fs::create_dir(server.place.path("t")).unwrap();
    server.place.file("t/c", "old");
    let mirror = ["get", "f/", "-o", "t", "--include", "c", "--delete", "-y"];
    server.skep(&mirror).exits(0);
    assert!(files(&server.place.path("t")).is_empty());
}

#[test]
fn nothing_is_written_or_removed_through_a_link() {
    let server = served(BERT);
    let place = &server.place;
    let outside = place.path("outside");
    fs::create_dir_all(outside.join("onnx")).unwrap();
    fs::write(outside.join("precious"), "precious").unwrap();
    let target = place.path("t");

    fs::create_dir(&target).unwrap();
    symlink(&outside, target.join("onnx")).unwrap();
    symlink(outside.join("precious"), target.join("config.json")).unwrap();
    symlink(&outside, target.join("extra")).unwrap();
    symlink(outside.join("precious"), target.join("stale")).unwrap();

    for more in [&[][..], &["--delete", "-y"]] {
        let told = server.skep(&[&["get", "me/bert/", "-o", "t"], more].concat());
        told.exits(11).says("link");
        assert_eq!(files(&outside), ["precious"]);
        assert_eq!(fs::read(outside.join("precious")).unwrap(), b"precious");
    }

    // With the links out of the way all comes, and those that are in nobody's way stay.
    fs::remove_file(target.join("onnx")).unwrap();
    fs::remove_file(target.join("config.json")).unwrap();
    server
        .skep(&["get", "me/bert/", "-o", "t", "--delete", "-y"])
        .exits(0);
    assert_eq!(files(&outside), ["precious"]);
    assert!(target.join("stale").is_symlink() && target.join("extra").is_symlink());

    // The directory itself is the choice of the user.
    symlink("t", place.path("chosen")).unwrap();
    server.skep(&["get", "me/bert/", "-o", "chosen"]).exits(0);
}

#[test]
fn a_mirror_loses_what_the_folder_does_not_have_and_nothing_else() {
    let server = served(BERT);
    let place = &server.place;
    server.skep(&["get", "me/bert/", "-o", "t"]).exits(0);
    let stale = [
        "t/old",
        "t/onnx/old.onnx",
        "t/gone/deep/x",
        "t/.hidden",
        "t/keep.txt",
    ];
    for name in stale {
        fs::create_dir_all(place.path(name).parent().unwrap()).unwrap();
        place.file(name, "local");
    }
    let before = files(&place.path("t"));
    let mirror = [
        "get",
        "me/bert/",
        "-o",
        "t",
        "--delete",
        "--exclude",
        "*.txt",
    ];
    let with = |more: &[&str]| server.skep(&[&mirror, more].concat());

    // It shows what would be done, and does nothing unasked.
    fs::write(server.dir.join("me/bert/new"), "new").unwrap();
    let told = with(&["-n"]).exits(0).text();
    let lines: Vec<_> = told.lines().collect();
    assert!(lines[0].starts_with("would fetch new"), "{told}");
    assert_eq!(
        lines[1..],
        [
            "would remove gone/deep/x",
            "would remove old",
            "would remove onnx/old.onnx"
        ]
    );
    let told = with(&["-n", "--json"]).exits(0).json();
    assert_eq!(told["fetch"], json!(["me/bert/new"]));
    with(&[]).exits(2).says("-y");
    assert_eq!(files(&place.path("t")), before);

    let told = with(&["-y", "--json"]).exits(0).json();
    assert_eq!(told["removed"].as_array().unwrap().len(), 3);
    let left = [
        ".hidden",
        "config.json",
        "keep.txt",
        "new",
        "onnx/model.onnx",
        "onnx/model.onnx.data",
    ];
    assert_eq!(files(&place.path("t")), left);
    assert!(!place.path("t/gone").exists());

    // Of several folders, and of what is not there, nothing is a mirror.
    for words in [
        &["me/bert/", "me/bert-tiny/"][..],
        &["me/other"],
        &["me/b*"],
    ] {
        let told = server.skep(&[&["get", "-o", "t", "--delete", "-y"], words].concat());
        told.exits(2).says("--delete");
    }
    server
        .skep(&["get", "zz/", "-o", "t", "--delete", "-y"])
        .exits(4);
    assert_eq!(files(&place.path("t")), left);

    // Nor after a failure.
    place.file("t/late", "local");
    fs::write(server.dir.join("me/bert/onnx2"), "x").unwrap();
    fs::create_dir(place.path("t/onnx2")).unwrap();
    with(&["-y"]).exits(11).says("no file was removed");
    assert!(place.path("t/late").exists());
}

#[test]
#[cfg_attr(not(has_setsid), ignore = "setsid is not installed")]
fn somebody_at_a_terminal_is_asked_before_files_are_removed() {
    let server = served(BERT);
    server.skep(&["get", "me/bert/", "-o", "t"]).exits(0);
    server.place.file("t/old", "local");
    let mirror = ["get", "me/bert/", "-o", "t", "--delete"];
    for (answer, code, is_left) in [("n", 1, true), ("y", 0, false)] {
        let mut terminal = Terminal::start(&server.command(&mirror), 100);
        terminal.types(&format!("{answer}\r"));
        let (ended, _, screen) = terminal.ends();
        assert_eq!(ended, code, "{screen}");
        assert!(
            screen.contains("remove 1 file from t") && screen.contains("  old"),
            "{screen}"
        );
        assert_eq!(server.place.path("t/old").exists(), is_left);
    }
}

#[test]
fn a_mirror_follows_where_a_file_becomes_a_folder_and_the_reverse() {
    let server = served(&["f/a", "f/b/c"]);
    let mirror = ["get", "f/", "-o", "t", "--delete", "-y"];
    server.skep(&mirror).exits(0);
    for name in ["f/a", "f/b/c"] {
        server.skep(&["rm", name]).exits(0);
    }
    fs::create_dir_all(server.dir.join("f/a")).unwrap();
    fs::write(server.dir.join("f/a/x"), "x").unwrap();
    fs::write(server.dir.join("f/b"), "b").unwrap();

    let told = server.skep(&[&mirror[..], &["--json"]].concat());
    let told = told.exits(0).json();
    assert_eq!(told["removed"], json!(["t/a", "t/b/c"]));
    assert_eq!(files(&server.place.path("t")), ["a/x", "b"]);
}

#[test]
fn all_of_a_folder_comes_from_one_revision() {
    for kept in ["0", "1"] {
        let server = Served::start(&["--plain", "--keep-versions", kept]);
        let publish = |byte: u8| {
            for name in ["a", "b", "c"] {
                fs::create_dir_all(server.place.path("f")).unwrap();
                fs::write(server.place.path("f").join(name), vec![byte; 300_000]).unwrap();
            }
            server.skep(&["put", "f"]).exits(0);
        };
        publish(1);

        // It is changed when the first model has arrived.
        let get = [
            "get",
            "f/",
            "-o",
            "t",
            "--parallel",
            "1",
            "--limit-rate",
            "300K",
        ];
        let mut command = server.command(&get);
        let getting = Process::start(&mut command);
        until(|| server.place.path("t/a").exists());
        publish(2);
        let ended = getting.finish();
        if kept == "1" {
            ended.exits(0);
        } else {
            ended.exits(4).says("has changed since the command began");
        }

        let bytes = files(&server.place.path("t")).into_iter();
        let firsts: Vec<u8> = bytes
            .map(|name| fs::read(server.place.path("t").join(name)).unwrap()[0])
            .collect();
        assert!(firsts.iter().all(|byte| *byte == 1), "{firsts:?}");
        assert_eq!(firsts.len() == 3, kept == "1");
    }
}

#[test]
#[cfg_attr(not(has_mounts), ignore = "no file system can be mounted here")]
#[cfg_attr(not(has_mount), ignore = "mount is not installed")]
fn a_folder_that_does_not_fit_is_not_begun() {
    let place = Place::new();
    fs::create_dir(place.path("disk")).unwrap();
    let mounted = Mounted::new(&place, &["-t", "tmpfs", "-o", "size=4m", "tmpfs"]);
    let server = Served::start_in(&place, &["--plain"]);
    fs::create_dir_all(place.path("f/g")).unwrap();
    for (number, name) in ["a", "b", "g/c"].into_iter().enumerate() {
        place.file(&format!("f/{name}"), noise(number as u64, 3 << 19));
    }
    server.skep(&["put", "f"]).exits(0);

    // Each of them would fit, and all together do not.
    let told = server.skep(&["get", "f/", "-o", "disk/t"]).exits(8);
    told.says("4718592 bytes needed for all")
        .says("nothing was fetched");
    assert_eq!(fs::read_dir(place.path("disk")).unwrap().count(), 0);

    // What is there already needs no room, and what was fetched in part only the rest.
    let two = ["get", "f/", "-o", "disk/t", "--include", "f/?"];
    server.skep(&two).exits(0);
    server.skep(&two).exits(0);
    fs::remove_file(place.path("disk/t/b")).unwrap();
    fs::create_dir(place.path("disk/t/g")).unwrap();
    let bytes = noise(2, 3 << 19);
    let journal = format!("{} {}\n{}\n", Digest::of(&bytes), bytes.len(), 1 << 20);
    place.file("disk/t/g/.c.skep-journal", journal);
    place.file("disk/t/g/.c.skep-part", &bytes[..1 << 20]);
    server
        .skep(&["get", "f/", "-o", "disk/t", "--exclude", "b"])
        .exits(0);
    drop((server, mounted));
}
