// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The routes of the hub that change something, as no client of ours would call them.

use serde_json::{Value, json};

use crate::support::process::digest;
use crate::support::served::{Answer, Served};

const NDJSON: &str = "content-type: application/x-ndjson";

fn commit(server: &Served, repo: &str, lines: &[Value]) -> Answer {
    let mut body: Vec<_> = lines.iter().map(Value::to_string).collect();
    body.insert(
        0,
        json!({"key": "header", "value": {"summary": "s"}}).to_string(),
    );
    let body = body.join("\n");
    let path = format!("/hf/api/models/{repo}/commit/main");
    server.curl(&path, &["-H", NDJSON, "--data-binary", &body])
}

fn file(path: &str, content: &str) -> Value {
    json!({"key": "file", "value": {"content": content, "path": path, "encoding": "base64"}})
}

fn names(server: &Served) -> Vec<String> {
    let list = server.curl("/v1/models", &[]).is(200).json();
    let models = list["models"].as_array().unwrap().iter();
    let names = models.map(|model| model["name"].as_str().unwrap().to_owned());
    names.collect()
}

fn known(path: &str, bytes: &[u8]) -> Value {
    let oid = digest(bytes).replace("sha256:", "");
    json!({"key": "lfsFile", "value": {"path": path, "algo": "sha256", "oid": oid}})
}

fn deleted(key: &str, path: &str) -> Value {
    json!({"key": key, "value": {"path": path}})
}

#[test]
#[cfg_attr(not(has_curl), ignore = "curl is not installed")]
fn a_commit_is_made_whole_or_not_at_all() {
    let server = Served::start(&["--plain"]);
    let first = commit(
        &server,
        "me/r",
        &[file("a", "YQ=="), file("d/b", "Yg=="), file("d/c", "Yw==")],
    );
    let first = first.is(200).json();
    assert!(
        first["commitUrl"]
            .as_str()
            .unwrap()
            .ends_with(first["commitOid"].as_str().unwrap())
    );
    assert_eq!(names(&server), ["me/r/a", "me/r/d/b", "me/r/d/c"]);

    // Bytes that are here need not be sent, nor does one line that is wrong spare the others.
    commit(
        &server,
        "me/r",
        &[
            known("copy", b"b"),
            deleted("deletedFile", "a"),
            deleted("deletedFolder", "d"),
        ],
    )
    .is(200);
    assert_eq!(names(&server), ["me/r/copy"]);
    for (bad, status) in [
        (known("x", b"never sent"), 400),
        (file("../x", ""), 400),
        (file("x", "?"), 400),
        (deleted("deletedFile", "none"), 404),
        (deleted("deletedFolder", "none"), 404),
        (json!({"key": "copyFile", "value": {}}), 400),
        (json!([]), 400),
    ] {
        let refused = commit(&server, "me/r", &[file("new", "YQ=="), bad.clone()]).is(status);
        assert!(refused.json()["error"].is_string(), "{bad}");
        assert_eq!(names(&server), ["me/r/copy"], "{bad}");
    }
    // A name in the other form of Unicode is the same file.
    for form in ["\u{e9}", "e\u{301}"] {
        commit(&server, "me/form", &[file(form, "YQ==")]).is(200);
        let path = format!(
            "/hf/me/form/resolve/main/{}",
            form.replace('\u{e9}', "%C3%A9")
                .replace('\u{301}', "%CC%81")
        );
        server.curl(&path, &[]).is(200);
    }
    commit(&server, "me/form", &[deleted("deletedFile", "e\u{301}")]).is(200);
    assert_eq!(names(&server), ["me/r/copy"]);
    let sets = std::fs::read_dir(server.dir.join(".skep/changes"));
    assert_eq!(sets.map_or(0, Iterator::count), 0);

    // Nothing to do is no failure, and makes no repository.
    let same = commit(&server, "me/r", &[]).is(200).json();
    let now = server.curl("/hf/api/models/me/r", &[]).json();
    assert_eq!(same["commitOid"], now["sha"]);
    commit(&server, "me/none", &[]).is(200);
    assert_eq!(names(&server), ["me/r/copy"]);
}

#[test]
#[cfg_attr(not(has_curl), ignore = "curl is not installed")]
fn a_commit_meets_the_rules_of_uploads() {
    let server = Served::start(&["--plain", "--accept", "*.json", "--max-upload-bytes", "10"]);
    commit(&server, "r", &[file("a.json", "e30=")]).is(200);
    commit(&server, "r", &[file("a.bin", "e30=")]).is(415);
    commit(&server, "r", &[file("b.json", "QUJDQUJDQUJDQUJD")]).is(413);
    commit(&server, "r", &[known("b.bin", b"{}")]).is(415);
    assert_eq!(names(&server), ["r/a.json"]);
    let ways = json!({"files": [{"path": "..", "sample": "", "size": 1}]}).to_string();
    let json = ["-H", "content-type: application/json", "-d", &ways];
    server
        .curl("/hf/api/models/r/preupload/main", &json)
        .is(400);

    for path in ["commit/feat%2Fx", "preupload/other"] {
        let refused = server
            .curl(&format!("/hf/api/models/r/{path}"), &["-d", "{}"])
            .is(404);
        assert_eq!(refused.field("x-error-code"), Some("revisionnotfound"));
    }
    server
        .curl("/hf/api/models/r/commit/main?create_pr=1", &["-d", "{}"])
        .is(400);
}

#[test]
#[cfg_attr(not(has_curl), ignore = "curl is not installed")]
fn repositories_are_made_moved_and_removed() {
    let server = Served::start(&["--plain"]);
    let send = |method: &str, path: &str, body: Value| {
        let body = body.to_string();
        server.curl(
            &format!("/hf/api/{path}"),
            &[
                "-X",
                method,
                "-H",
                "content-type: application/json",
                "-d",
                &body,
            ],
        )
    };
    let made = send(
        "POST",
        "repos/create",
        json!({"name": "r", "organization": null, "private": true}),
    )
    .is(200);
    assert_eq!(
        made.json()["url"],
        format!("{}/hf/models/owner/r", server.url)
    );
    assert!(
        made.field("x-hf-warning")
            .unwrap()
            .starts_with("visibility;")
    );
    commit(&server, "owner/r", &[file("a", "YQ==")]).is(200);
    let again = send(
        "POST",
        "repos/create",
        json!({"name": "r", "organization": "owner", "type": "model"}),
    )
    .is(409);
    assert_eq!(again.json()["url"], made.json()["url"]);

    send("PUT", "models/owner/r/settings", json!({"private": false})).is(200);
    send("PUT", "models/owner/r/settings", json!({"gated": "auto"})).is(400);
    send("PUT", "models/owner/none/settings", json!({})).is(404);
    for body in [
        json!({}),
        json!([]),
        json!({"name": "a/b/c"}),
        json!({"name": "x", "type": "bucket"}),
        json!({"name": ".."}),
    ] {
        send("POST", "repos/create", body).is(400);
    }

    send(
        "POST",
        "repos/move",
        json!({"fromRepo": "owner/r", "toRepo": "we/s", "type": "model"}),
    )
    .is(200);
    assert_eq!(names(&server), ["we/s/a"]);

    // Where there is a repository, with files or without, none is moved to.
    send("POST", "repos/create", json!({"name": "bare"})).is(200);
    commit(&server, "we/full", &[file("b", "Yg==")]).is(200);
    for (from, to) in [
        ("we/s", "owner/bare"),
        ("we/s", "we/full"),
        ("owner/bare", "we/full"),
    ] {
        send(
            "POST",
            "repos/move",
            json!({"fromRepo": from, "toRepo": to}),
        )
        .is(409);
    }
    assert_eq!(names(&server), ["we/full/b", "we/s/a"]);
    let full = json!({"name": "full", "organization": "we"});
    send("DELETE", "repos/delete", full).is(200);
    send(
        "POST",
        "repos/move",
        json!({"fromRepo": "owner/r", "toRepo": "we/t"}),
    )
    .is(404);
    send(
        "DELETE",
        "repos/delete",
        json!({"name": "s", "organization": "me"}),
    )
    .is(404);
    send(
        "DELETE",
        "repos/delete",
        json!({"name": "s", "organization": "we"}),
    )
    .is(200);
    assert!(names(&server).is_empty());

    // What is kept of it does not hinder a new one of its name.
    let again = json!({"name": "s", "organization": "we"});
    send("POST", "repos/create", again.clone()).is(200);
    send("POST", "repos/create", again.clone()).is(409);
    send("DELETE", "repos/delete", again).is(200);
    server.skep(&["rollback", "we/s/"]).exits(0);
    assert_eq!(names(&server), ["we/s/a"]);
}

#[test]
#[cfg_attr(not(has_curl), ignore = "curl is not installed")]
fn branches_and_tags_have_states_of_their_own() {
    let server = Served::start(&["--plain", "--keep-versions", "0"]);
    let send = |method: &str, path: &str, body: &Value| {
        let body = body.to_string();
        let json = [
            "-X",
            method,
            "-H",
            "content-type: application/json",
            "-d",
            &body,
        ];
        server.curl(&format!("/hf/api/models/me/r/{path}"), &json)
    };
    commit(&server, "me/r", &[file("a", "YQ=="), file("d/b", "Yg==")]).is(200);
    let first = server.curl("/hf/api/models/me/r", &[]).json()["sha"].clone();
    let first = first.as_str().unwrap();
    send("POST", "branch/feat%2Fx", &json!({})).is(200);
    send("POST", "branch/feat%2Fx", &json!({})).is(409);
    send(
        "POST",
        "tag/main",
        &json!({"tag": "v1", "message": "first"}),
    )
    .is(200);
    send("POST", "tag/feat%2Fx", &json!({"tag": "v1"})).is(409);

    // A commit to the branch is none to main, and is read under its name and its commit.
    let lines = [file("c", "Yw=="), deleted("deletedFile", "a")];
    let body: Vec<_> = lines.iter().map(Value::to_string).collect();
    let path = "/hf/api/models/me/r/commit/feat%2Fx";
    let made = server
        .curl(path, &["--data-binary", &body.join("\n")])
        .is(200)
        .json();
    let second = made["commitOid"].as_str().unwrap();
    assert_eq!(names(&server), ["me/r/a", "me/r/d/b"]);
    let now = server
        .curl("/hf/api/models/me/r/revision/feat%2Fx", &[])
        .json();
    assert_eq!(now["sha"], second);
    for revision in ["feat%2Fx", "refs%2Fheads%2Ffeat%2Fx", "feat/x", second] {
        let file = |path: &str| format!("/hf/me/r/resolve/{revision}/{path}");
        let read = server.curl(&file("c"), &[]).is(200);
        assert_eq!(
            (read.text(), read.field("x-repo-commit")),
            ("c".into(), Some(second))
        );
        assert_eq!(server.curl(&file("d/b"), &[]).is(200).text(), "b");
        let missing = server.curl(&file("a"), &[]).is(404);
        assert_eq!(missing.field("x-error-code"), Some("entrynotfound"));
    }
    let tree = server.curl("/hf/api/models/me/r/tree/feat%2Fx?recursive=true", &[]);
    let paths = tree.is(200).json();
    let paths: Vec<_> = paths
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["path"].clone())
        .collect();
    assert_eq!(paths, ["c", "d", "d/b"]);

    // Some clients leave slashes as they are.
    for (path, whole) in [
        ("tree/feat/x", "tree/feat%2Fx"),
        ("tree/feat/x/d", "tree/feat%2Fx/d"),
        ("tree/refs/heads/main/d", "tree/main/d"),
        ("commits/feat/x", "commits/feat%2Fx"),
        ("revision/feat/x", "revision/feat%2Fx"),
    ] {
        let read = |path| {
            server
                .curl(&format!("/hf/api/models/me/r/{path}"), &[])
                .is(200)
                .json()
        };
        assert_eq!(read(path), read(whole), "{path}");
    }
    for path in ["tree/feat/y", "commits/feat/x/d", "revision/feat/x/d"] {
        let missing = server
            .curl(&format!("/hf/api/models/me/r/{path}"), &[])
            .is(404);
        assert_eq!(
            missing.field("x-error-code"),
            Some("revisionnotfound"),
            "{path}"
        );
    }

    // A tag stays whatever becomes of main, and takes no commit.
    commit(
        &server,
        "me/r",
        &[file("a", "bmV3"), deleted("deletedFile", "d/b")],
    )
    .is(200);
    assert_eq!(
        server.curl("/hf/me/r/resolve/v1/a", &[]).is(200).text(),
        "a"
    );
    let at = format!("/hf/me/r/resolve/{first}/d/b");
    assert_eq!(server.curl(&at, &[]).is(200).text(), "b");
    server
        .curl("/hf/api/models/me/r/commit/v1", &["-d", "{}"])
        .is(400);
    let refs = server.curl("/hf/api/models/me/r/refs", &[]).is(200).json();
    assert_eq!(refs["tags"][0]["targetCommit"], first);
    assert_eq!(refs["branches"][1]["ref"], "refs/heads/feat/x");
    let list = server
        .curl("/hf/api/models/me/r/commits/feat%2Fx", &[])
        .is(200)
        .json();
    assert_eq!(list[0]["id"], second);

    // Older clients want the fraction of the second.
    let date = list[0]["date"].as_str().unwrap();
    let modified = now["lastModified"].as_str().unwrap();
    assert!(date.ends_with(".000Z") && modified.ends_with(".000Z"));

    // Whoever has come too late to a branch is told so.
    let late = json!({"key": "header", "value": {"summary": "s", "parentCommit": first}});
    let body = format!("{late}\n{}", file("e", "ZQ=="));
    server.curl(path, &["--data-binary", &body]).is(412);

    for (method, path, body, status) in [
        ("DELETE", "branch/v1", json!({}), 404),
        ("DELETE", "tag/feat%2Fx", json!({}), 404),
        ("DELETE", "branch/main", json!({}), 400),
        ("POST", "branch/a..b", json!({}), 400),
        ("POST", "branch/y", json!({"startingPoint": "none"}), 404),
        ("POST", "branch/y", json!({"startingPoint": "v1"}), 200),
        ("POST", "tag/main", json!({"tag": first}), 400),
        ("POST", "tag/none", json!({"tag": "t"}), 404),
        ("DELETE", "branch/feat%2Fx", json!({}), 200),
        ("DELETE", "tag/v1", json!({}), 200),
    ] {
        send(method, path, &body).is(status);
    }
    let gone = server
        .curl(&format!("/hf/me/r/resolve/{second}/c"), &[])
        .is(404);
    assert_eq!(gone.field("x-error-code"), Some("revisionnotfound"));
    assert_eq!(
        server.curl("/hf/me/r/resolve/y/d/b", &[]).is(200).text(),
        "b"
    );
}

#[test]
#[cfg_attr(not(has_curl), ignore = "curl is not installed")]
fn a_repository_is_there_before_its_first_file_and_after_its_last() {
    let server = Served::start(&["--plain"]);
    let send = |method: &str, path: &str, body: Value| {
        let body = body.to_string();
        let json = [
            "-X",
            method,
            "-H",
            "content-type: application/json",
            "-d",
            &body,
        ];
        server.curl(&format!("/hf/api/{path}"), &json)
    };
    let ids = |kind: &str| {
        let list = server.curl(&format!("/hf/api/{kind}"), &[]).is(200).json();
        let ids = list
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one["id"].as_str().unwrap().to_owned());
        ids.collect::<Vec<_>>()
    };
    server.curl("/hf/api/models/me/r", &[]).is(404);
    send(
        "POST",
        "repos/create",
        json!({"name": "r", "organization": "me"}),
    )
    .is(200);
    send(
        "POST",
        "repos/create",
        json!({"name": "r", "organization": "me"}),
    )
    .is(409);
    send(
        "POST",
        "repos/create",
        json!({"name": "d", "organization": "me", "type": "dataset"}),
    )
    .is(200);
    let told = server.curl("/hf/api/models/me/r", &[]).is(200).json();
    assert_eq!(told["siblings"], json!([]));
    for path in ["tree/main", "refs", "commits/main", "revision/main"] {
        server
            .curl(&format!("/hf/api/models/me/r/{path}"), &[])
            .is(200);
    }
    let commit_of = told["sha"].as_str().unwrap();
    server
        .curl(&format!("/hf/api/models/me/r/tree/{commit_of}"), &[])
        .is(200);
    let missing = server.curl("/hf/me/r/resolve/main/a", &[]).is(404);
    assert_eq!(missing.field("x-error-code"), Some("entrynotfound"));
    commit(&server, "me/s", &[file("a", "YQ==")]).is(200);
    assert_eq!(
        (ids("models"), ids("datasets")),
        (vec!["me/r".into(), "me/s".into()], vec!["me/d".into()])
    );

    // It gets another name, files, and loses them.
    send(
        "POST",
        "repos/move",
        json!({"fromRepo": "me/r", "toRepo": "me/s"}),
    )
    .is(409);
    send(
        "POST",
        "repos/move",
        json!({"fromRepo": "me/r", "toRepo": "we/t"}),
    )
    .is(200);
    commit(&server, "we/t", &[file("a", "YQ==")]).is(200);
    commit(&server, "we/t", &[deleted("deletedFile", "a")]).is(200);
    assert_eq!(ids("models"), ["me/s", "we/t"]);
    for (repo, status) in [("we/t", 200), ("me/s", 200), ("me/s", 404)] {
        let (organization, name) = repo.split_once('/').unwrap();
        send(
            "DELETE",
            "repos/delete",
            json!({"name": name, "organization": organization}),
        )
        .is(status);
    }
    assert!(ids("models").is_empty());
}
