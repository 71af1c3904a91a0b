// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What a change set can never do is refused when it is first named, before bytes travel.

use std::fs;
use std::os::unix::fs::symlink;

use rustix::fs::{CWD, Mode};

use crate::support::process::Place;
use crate::support::served::{Answer, Served};

/// A server with a model, a folder, and what hands put into their places.
fn served() -> Served {
    let server = Served::start(&["--plain"]);
    let dir = &server.dir;
    fs::create_dir(dir.join("real")).unwrap();
    symlink("real", dir.join("linked")).unwrap();
    symlink("nothing", dir.join("real/hand")).unwrap();
    fs::write(dir.join("model"), "m").unwrap();
    rustix::fs::mkfifoat(CWD, dir.join("fifo"), Mode::RUSR).unwrap();
    server
}

fn sets(server: &Served) -> usize {
    let sets = fs::read_dir(server.dir.join(".skep/changes"));
    sets.map_or(0, Iterator::count)
}

#[test]
fn a_directory_that_cannot_become_a_folder_is_not_sent() {
    let server = served();
    let place: &Place = &server.place;
    fs::create_dir(place.path("d")).unwrap();
    place.file("d/a", "a");

    for (name, other) in [
        ("linked", "'linked' is a symbolic link"),
        ("linked/inner", "'linked' is a symbolic link"),
        ("real/hand", "'real/hand' is a symbolic link"),
        ("model", "'model' is a model"),
        ("model/inner", "'model' is a model"),
        ("fifo/inner", "'fifo' is a special file"),
    ] {
        let told = server.skep(&["put", "d", "--name", name]).exits(11);
        let told = told.says(&format!("'{name}/' cannot be a folder, for {other}"));
        told.says("remove '");
        // Not even a set was begun.
        assert_eq!(sets(&server), 0, "{name}");
    }
    server.skep(&["put", "d", "--name", "real"]).exits(0);
    assert!(server.dir.join("real/hand").is_symlink());
}

#[test]
#[cfg_attr(not(has_curl), ignore = "curl is not installed")]
fn a_name_that_cannot_become_a_model_is_refused_with_its_first_bytes() {
    let server = served();
    let begin = |query: &str| {
        let begun = server.curl(&format!("/v1/changes{query}"), &["-X", "POST"]);
        begun.is(201).field("location").unwrap().to_owned()
    };
    let put = |set: &str, name: &str| -> Answer {
        let arguments = ["-X", "PUT", "-H", "content-type: application/octet-stream"];
        let arguments = [&arguments[..], &["--data-binary", "bytes"]].concat();
        server.curl(&format!("{set}/{name}"), &arguments)
    };
    let set = begin("");
    for (name, other) in [
        ("linked/x", "linked"),
        ("real/hand", "real/hand"),
        ("real/hand/x/y", "real/hand"),
        ("fifo", "fifo"),
    ] {
        let refused = put(&set, name).is(409).json();
        let detail = refused["detail"].as_str().unwrap();
        let told = format!("'{name}' cannot be a model, for '{other}' is a ");
        assert!(detail.starts_with(&told), "{detail}");
    }

    // A model that the set removes is in nobody's way, nor is one that it replaces.
    put(&set, "model/x").is(201);
    put(&set, "real/new").is(201);
    server
        .curl(&format!("{set}/model"), &["-X", "DELETE"])
        .is(204);
    server.curl(&set, &["-X", "POST"]).is(200);
    assert_eq!(fs::read(server.dir.join("model/x")).unwrap(), b"bytes");
    let set = begin("?root=model");
    put(&set, "model/x").is(201);
    put(&set, "model/x/y").is(409);
    server
        .curl(&format!("{set}/model/x"), &["-X", "DELETE"])
        .is(204);
    put(&set, "model/x/y").is(201);
    server.curl(&set, &["-X", "POST"]).is(200);

    // One that is not of the folder of the set stays.
    let set = begin("?root=a/b");
    fs::write(server.dir.join("a"), "by hand").unwrap();
    let refused = put(&set, "a/b/x").is(409).json();
    let detail = refused["detail"].as_str().unwrap();
    assert!(detail.contains("for 'a' is a model"), "{detail}");
}
