// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A name is a path: where its file lies, what may stand beside it, and what becomes of its folders.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use serde_json::Value;

use crate::support::process::{Place, Process, run};
use crate::support::served::{Answer, Served};

const BINARY: &str = "content-type: application/octet-stream";

fn put(server: &Served, name: &str, bytes: &str) -> Answer {
    let arguments = ["-X", "PUT", "-H", BINARY, "--data-binary", bytes];
    server.curl(&format!("/v1/models/{name}"), &arguments)
}

fn listed(server: &Served) -> Vec<String> {
    let list: Value = server.curl("/v1/models", &[]).is(200).json();
    let models = list["models"].as_array().unwrap();
    let names = models.iter().map(|model| model["name"].as_str().unwrap());
    names.map(str::to_owned).collect()
}

#[test]
#[cfg_attr(not(has_curl), ignore = "curl is not installed")]
fn a_name_is_the_path_of_a_plain_file() {
    let server = Served::start(&["--plain", "--keep-versions", "2"]);
    let name = "me/b%c3%a9rt%20tiny/.gitattributes";
    let made = put(&server, name, "one").is(201);
    assert_eq!(
        made.field("location").unwrap(),
        format!("/v1/models/{name}")
    );

    let path = server.dir.join("me/b\u{e9}rt tiny/.gitattributes");
    assert_eq!(fs::read(&path).unwrap(), b"one");
    let mode = |path: &std::path::Path| path.metadata().unwrap().permissions().mode() & 0o777;
    let outer = server.dir.join("me");
    // What the umask leaves for files holds for folders, which have to be searched as well.
    assert_eq!(mode(&outer) & 0o666, mode(&path));

    put(&server, name, "two").is(200);
    put(&server, name, "three").is(200);
    assert_eq!(
        server
            .curl(&format!("/v1/models/{name}"), &[])
            .is(200)
            .text(),
        "three"
    );
    let info = server.curl(&format!("/v1/info/{name}"), &[]).is(200).json();
    assert_eq!(info["name"], "me/b\u{e9}rt tiny/.gitattributes");
    assert_eq!(info["versions"].as_array().unwrap().len(), 2);
    server
        .curl(&format!("/v1/verify/{name}"), &["-X", "POST"])
        .is(200);
    server
        .curl(&format!("/v1/rollback/{name}?to=1"), &["-X", "POST"])
        .is(200);
    assert_eq!(fs::read(&path).unwrap(), b"one");

    // A tree that is copied in by hand is served, and links in it are not followed.
    fs::create_dir_all(server.dir.join("hand/deep")).unwrap();
    fs::write(server.dir.join("hand/deep/m"), "by hand").unwrap();
    symlink("/etc", server.dir.join("hand/etc")).unwrap();
    symlink("m", server.dir.join("hand/deep/link")).unwrap();
    assert_eq!(
        server.curl("/v1/models/hand/deep/m", &[]).is(200).text(),
        "by hand"
    );
    for outside in [
        "hand/etc/hostname",
        "hand/deep/link",
        "hand/../../x",
        "hand%2Fdeep%2Fm",
    ] {
        let status = server.curl(&format!("/v1/models/{outside}"), &[]).status;
        assert!([400, 404].contains(&status), "{outside}: {status}");
    }
    assert_eq!(
        listed(&server),
        ["hand/deep/m", "me/b\u{e9}rt tiny/.gitattributes"]
    );
}

#[test]
#[cfg_attr(not(has_curl), ignore = "curl is not installed")]
fn folders_come_and_go_with_their_models() {
    let server = Served::start(&["--plain"]);
    put(&server, "a/b/c/one", "1").is(201);
    put(&server, "a/two", "2").is(201);
    let remove = |name: &str| server.curl(&format!("/v1/models/{name}"), &["-X", "DELETE"]);

    remove("a/b/c/one").is(204);
    assert!(!server.dir.join("a/b").exists() && server.dir.join("a/two").exists());
    // What is no model keeps its folder.
    fs::write(server.dir.join("a/-notes"), "").unwrap();
    remove("a/two").is(204);
    assert!(server.dir.join("a/-notes").exists());
    fs::remove_file(server.dir.join("a/-notes")).unwrap();

    // The same where versions are kept, for two models whose versions could meet.
    let unknown = "1.unknown";
    let place = server.place.clone();
    server.stop();
    let server = Served::start_in(&place, &["--plain", "--keep-versions", "1"]);
    for round in ["x", "y"] {
        put(&server, "n", round).is(if round == "x" { 201 } else { 200 });
    }
    server.curl("/v1/models/n", &["-X", "DELETE"]).is(204);
    for name in [format!("n/{unknown}"), format!("n/.git/{unknown}")] {
        put(&server, &name, "inner").is(201);
        server
            .curl(&format!("/v1/models/{name}"), &["-X", "DELETE"])
            .is(204);
        server
            .curl(&format!("/v1/rollback/{name}"), &["-X", "POST"])
            .is(201);
        server
            .curl(&format!("/v1/models/{name}"), &["-X", "DELETE"])
            .is(204);
    }
    assert!(!server.dir.join("n").exists());
    server.curl("/v1/rollback/n", &["-X", "POST"]).is(201);
    assert_eq!(server.curl("/v1/models/n", &[]).is(200).text(), "y");
}

#[test]
#[cfg_attr(not(has_curl), ignore = "curl is not installed")]
fn a_file_and_a_folder_of_one_name_are_a_conflict_that_names_both() {
    let server = Served::start(&["--plain"]);
    put(&server, "a/b", "1").is(201);
    put(&server, "m", "1").is(201);

    for (name, other) in [("a", "a/b"), ("m/x", "m"), ("a/b/c/d", "a/b")] {
        let refused = put(&server, name, "2").is(409).json();
        let text = refused["detail"].as_str().unwrap();
        assert!(
            text.contains(&format!("'{name}'")) && text.contains(&format!("'{other}'")),
            "{text}"
        );
        server.curl(&format!("/v1/models/{name}"), &[]).is(404);
    }
    assert_eq!(listed(&server), ["a/b", "m"]);

    for reserved in [
        ".hidden/x",
        "a/.skep/x",
        "a/.Skep-y",
        "a/.ready",
        "mesh_peers.json",
        "a//b",
        "a/%2E%2E/x",
    ] {
        put(&server, reserved, "2").is(400);
    }
    let deep = "d/".repeat(15) + "d";
    put(&server, &deep, "2").is(201);
    put(&server, &(deep + "/d"), "2").is(400);
}

#[test]
fn what_is_not_for_callers_is_no_model() {
    let place = Place::new();
    let models = place.path("models");
    let tree = models.to_str().unwrap();
    let serve = |home: &str, more: &[&str]| {
        let words = [
            "serve",
            "127.0.0.1",
            "--port",
            "0",
            "--plain",
            "--dir",
            tree,
        ];
        let mut command = place.skep(&[&words[..], more].concat());
        run(command.env("SKEP_HOME", place.path(home)))
    };

    // Whether it is there already or not, and by whatever path it is named.
    for home in ["models/home", "models", "models/a/../b/home"] {
        let refused = serve(home, &[]).exits(2).says("model directory");
        assert!(refused.stderr.contains("--dir"), "{}", refused.stderr);
        assert!(!models.exists(), "{home}");
    }
    fs::create_dir(&models).unwrap();
    symlink("models", place.path("link")).unwrap();
    serve("link/home", &[]).exits(2).says("the home");
    let log = models.join("skep.log");
    serve("home", &["--log-file", log.to_str().unwrap()])
        .exits(2)
        .says("the log");
    let with_key = [
        "serve",
        "--dir",
        tree,
        "--cert",
        "x",
        "--key",
        "models/server.key",
    ];
    run(&mut place.skep(&with_key)).exits(2).says("the key");

    // What is hidden has no name that a request can have.
    let mut command = place.skep(&[
        "serve",
        "127.0.0.1",
        "--port",
        "0",
        "--plain",
        "--dir",
        tree,
    ]);
    let process = Process::start(command.env("SKEP_HOME", models.join(".home")));
    let server = Served::ready(&place, process);
    assert!(models.join(".home/password").exists());
    server.stop().exits(0);
}

#[test]
fn the_client_fetches_models_of_folders() {
    let server = Served::start(&[]);
    server.place.file("m.onnx", b"model");
    let done = |arguments: &[&str]| {
        let outcome = server.skep(arguments);
        assert_eq!(outcome.code, 0, "{arguments:?}: {}", outcome.stderr);
        String::from_utf8(outcome.stdout).unwrap()
    };

    done(&["put", "m.onnx", "--name", "me/tiny/m.onnx"]);
    done(&["get", "me/tiny/m.onnx", "-o", "here/"]);
    assert_eq!(
        fs::read(server.place.path("here/m.onnx")).unwrap(),
        b"model"
    );
    assert_eq!(done(&["cat", "me/tiny/m.onnx"]), "model");
    assert!(done(&["ls"]).contains("me/tiny/m.onnx"));

    // Two models that would be one file are refused before anything is fetched.
    let twice = server.skep(&["get", "me/tiny/m.onnx", "m.onnx", "-o", "twice/"]);
    assert_eq!(twice.code, 2, "{}", twice.stderr);
    assert!(!server.place.path("twice").exists());

    // A hidden file of the caller is replaced only where it is named.
    done(&["put", "m.onnx", "--name", "me/.profile"]);
    server.skep(&["get", "me/.profile"]).exits(2).says("hidden");
    assert!(!server.place.path(".profile").exists());
    done(&["get", "me/.profile", "-o", ".profile"]);

    done(&["rm", "me/tiny/m.onnx", "me/.profile"]);
    assert!(server.names().is_empty());
}
