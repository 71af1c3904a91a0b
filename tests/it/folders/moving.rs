// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Other names for models and folders: over HTTP, with the command, and beside readers.

use std::collections::BTreeSet;
use std::fs;

use crate::support::process::digest;
use crate::support::served::Served;

fn put(server: &Served, name: &str, text: &str) {
    fs::write(server.place.path("file"), text).unwrap();
    server.skep(&["put", "file", "--name", name]).exits(0);
}

fn names(server: &Served) -> Vec<String> {
    let list = server.curl("/v1/models", &[]).is(200).json();
    let models = list["models"].as_array().unwrap().iter();
    models
        .map(|model| model["name"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
#[cfg_attr(not(has_curl), ignore = "curl is not installed")]
fn a_model_and_a_folder_get_other_names_with_all_that_is_kept_of_them() {
    let server = Served::start(&["--plain", "--keep-versions", "2"]);
    put(&server, "a b.bin", "one");
    put(&server, "a b.bin", "three");
    put(&server, "f/x", "x");
    put(&server, "f/in/y", "y");

    // A name that a URL has to escape.
    let moved = server
        .skep(&["mv", "a b.bin", "c?d.bin", "--json"])
        .exits(0)
        .json();
    let told = &moved["moved"][0];
    assert_eq!(
        (&told["from"], &told["name"]),
        (&"a b.bin".into(), &"c?d.bin".into())
    );
    assert_eq!((&told["models"], &told["size"]), (&1.into(), &5.into()));
    assert_eq!(names(&server), ["c?d.bin", "f/in/y", "f/x"]);
    let info = server.curl("/v1/info/c%3Fd.bin", &[]).is(200).json();
    assert_eq!(info["digest"], digest(b"three"));
    assert_eq!(info["versions"][0]["digest"], digest(b"one"));

    // Into a folder, under its last segment; a folder is one without a slash as well.
    let text = server.skep(&["mv", "c?d.bin", "f/"]).exits(0).text();
    assert_eq!(text, "c?d.bin is now f/c?d.bin\n");
    let text = server.skep(&["mv", "f", "g/h"]).exits(0).text();
    assert_eq!(text, "f/ is now g/h/  3 models\n");
    assert_eq!(names(&server), ["g/h/c?d.bin", "g/h/in/y", "g/h/x"]);
    server.skep(&["rollback", "g/h/c?d.bin"]).exits(0);
    let bytes = server.curl("/v1/models/g/h/c%3Fd.bin", &[]).is(200);
    assert_eq!(bytes.text(), "one");

    let post = ["-X", "POST"];
    let told = server.curl("/v1/move/g/h/x?to=x", &post).is(200).json();
    assert_eq!((&told["schema"], &told["name"]), (&1.into(), &"x".into()));
    for (path, status) in [
        ("/v1/move/g/h/in/y", 400),
        ("/v1/move/g/h/in/y?to=", 400),
        ("/v1/move/g/h/in/y?to=../y", 400),
        ("/v1/move/g/h/in/y?to=.skep/y", 400),
        ("/v1/move/g/h/in/y?to=z&to=w", 400),
        ("/v1/move/g/?to=g/in", 400),
        ("/v1/move/nothing?to=z", 404),
        ("/v1/move/x?to=g", 409),
        ("/v1/move/x?to=x", 409),
        ("/v1/move/g/?to=x", 409),
        ("/v1/move/g/?to=x/in", 409),
    ] {
        server.curl(path, &post).is(status);
    }
    assert_eq!(names(&server), ["g/h/c?d.bin", "g/h/in/y", "x"]);
}

#[test]
fn what_cannot_move_is_said_and_nothing_moves() {
    let server = Served::start(&["--plain"]);
    put(&server, "a", "one");
    put(&server, "f/b", "two");
    server.skep(&["mv", "a", "f"]).exits(11).says("'f/b'");
    server
        .skep(&["mv", "f/", "f/in/"])
        .exits(2)
        .says("into itself");
    server
        .skep(&["mv", "none", "b"])
        .exits(4)
        .says("there is no model 'none'");
    server
        .skep(&["mv", "none/", "b"])
        .exits(4)
        .says("there is no folder 'none/'");
    server.skep(&["mv", "f*/", "b"]).exits(2).says("pattern");
    server.skep(&["mv", "a"]).exits(2);
    server.skep(&["mv", "a", "../b"]).exits(2);
}

#[test]
#[cfg_attr(not(has_curl), ignore = "curl is not installed")]
fn a_signature_goes_along_and_its_name_is_asked_for() {
    let server = Served::start(&["--plain"]);
    server.skep(&["keygen", "-o", "team.key"]).exits(0);
    fs::write(server.place.path("m.bin"), "bytes").unwrap();
    server
        .skep(&["sign", "--key", "team.key", "m.bin"])
        .exits(0);
    for name in ["m.bin", "m.bin.minisig"] {
        let whole = format!("d/{name}");
        server.skep(&["put", name, "--name", &whole]).exits(0);
    }

    // It was made for a file of this name, as a client that verifies would say.
    server
        .skep(&["mv", "d/m.bin", "other.bin"])
        .exits(6)
        .says("was made for a file named");
    server.skep(&["mv", "d/m.bin", "e/f/"]).exits(0);
    assert_eq!(names(&server), ["e/f/m.bin", "e/f/m.bin.minisig"]);
    server
        .skep(&["get", "e/f/m.bin", "--verify-key", "team.pub", "-o", "back"])
        .exits(0);
}

#[test]
fn readers_find_a_folder_under_one_of_its_names_and_never_a_half() {
    let server = Served::start(&["--plain"]);
    let tree = server.place.path("tree");
    for number in 0..30 {
        let file = tree.join(format!("{}/{number}", number % 3));
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, number.to_string()).unwrap();
    }
    server.skep(&["put", "tree", "--name", "a"]).exits(0);

    let first = |model: &serde_json::Value| {
        let name = model["name"].as_str().unwrap();
        name.split('/').next().unwrap().to_owned()
    };
    for names in [["a/", "b/"], ["b/", "a/"]].iter().cycle().take(10) {
        let mut moving = server.command(&["mv", names[0], names[1]]).spawn().unwrap();
        loop {
            let list = server.skep(&["ls", "-R", "--json"]).exits(0).json();
            let models = list["models"].as_array().unwrap();
            let firsts: BTreeSet<_> = models.iter().map(first).collect();
            assert_eq!((models.len(), firsts.len()), (30, 1), "{firsts:?}");
            if let Some(status) = moving.try_wait().unwrap() {
                assert!(status.success());
                break;
            }
        }
    }
}

#[test]
#[cfg_attr(not(has_curl), ignore = "curl is not installed")]
fn a_move_and_a_rollback_ask_whether_it_is_what_the_caller_believes() {
    let server = Served::start(&["--plain"]);
    put(&server, "a", "one");
    put(&server, "a", "two");
    let put_folder = |text: &str| {
        fs::create_dir_all(server.place.path("f")).unwrap();
        fs::write(server.place.path("f/x"), text).unwrap();
        server.skep(&["put", "f"]).exits(0);
    };
    put_folder("x");
    let revision = || {
        let info = server.curl("/v1/info/f/", &[]).is(200).json();
        info["revision"].as_str().unwrap().to_owned()
    };
    let tag = |path: &str| {
        let answer = server.curl(path, &["-I"]).is(200);
        answer.field("etag").unwrap().to_owned()
    };
    let post = |path: &str, condition: &str| {
        let field = format!("If-Match: {condition}");
        server.curl(path, &["-X", "POST", "-H", &field])
    };

    let (old_tag, old_revision) = (tag("/v1/models/a"), revision());
    put(&server, "a", "three");
    put_folder("other");
    let wrong = format!("\"{old_revision}\"");
    for (path, condition) in [
        ("/v1/move/a?to=b", &old_tag),
        ("/v1/rollback/a", &old_tag),
        ("/v1/move/f/?to=g", &wrong),
        ("/v1/rollback/f/", &wrong),
    ] {
        post(path, condition).is(412);
    }
    post("/v1/move/f/?to=g", "\"no revision\"").is(400);
    assert_eq!(names(&server), ["a", "f/x"]);
    assert_eq!(server.curl("/v1/models/a", &[]).is(200).text(), "three");

    // A model that has the wanted version already is no reason to let a wrong condition pass.
    let info = server.curl("/v1/info/a", &[]).is(200).json();
    let present = info["digest"].as_str().unwrap();
    post(&format!("/v1/rollback/a?to={present}"), &old_tag).is(412);

    post("/v1/rollback/a", &tag("/v1/models/a")).is(200);
    assert_eq!(server.curl("/v1/models/a", &[]).is(200).text(), "two");
    post("/v1/move/a?to=b", "*").is(200);
    post("/v1/move/b?to=c", &tag("/v1/models/b")).is(200);
    post("/v1/move/f/?to=g", &format!("\"{}\"", revision())).is(200);
    assert_eq!(names(&server), ["c", "g/x"]);
}

#[test]
fn a_folder_that_is_called_like_a_pattern_is_this_folder() {
    let server = Served::start(&["--plain", "--keep-versions", "1"]);
    for name in ["x*/one", "xa/two", "xab/three"] {
        put(&server, name, name);
    }

    let told = server.skep(&["show", "x*/", "--json"]).exits(0).json();
    assert!(told.to_string().contains("x*"), "{told}");
    let told = server.skep(&["ls", "x*/", "--json"]).exits(0).json();
    assert_eq!(told["models"].as_array().unwrap().len(), 1, "{told}");
    let told = server.skep(&["verify", "x*/", "--json"]).exits(0).json();
    assert_eq!(told["models"].as_array().unwrap().len(), 1, "{told}");
    let told = server.skep(&["get", "x*/", "-o", "got", "--json"]).exits(0);
    assert_eq!(told.json()["files"].as_array().unwrap().len(), 1);
    assert!(server.place.path("got/one").exists());

    // What is called otherwise stays, and comes back by this name.
    server.skep(&["rm", "-y", "x*/"]).exits(0);
    assert_eq!(names(&server), ["xa/two", "xab/three"]);
    server.skep(&["rollback", "x*/"]).exits(0);
    assert_eq!(names(&server), ["x*/one", "xa/two", "xab/three"]);
    server.skep(&["mv", "x*/", "y?/"]).exits(0);
    server.skep(&["mv", "y?/", "xb/"]).exits(0);
    assert_eq!(names(&server), ["xa/two", "xab/three", "xb/one"]);

    // Where there is no such folder, it is a pattern.
    server.skep(&["rm", "-y", "xa*/"]).exits(0);
    assert_eq!(names(&server), ["xb/one"]);
}
