// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Change sets over HTTP, as curl and other clients use them.

use std::fs;

use rustix::process::Signal;
use serde_json::Value;

use crate::support::pieces::{append, create_at, tell};
use crate::support::process::{Place, digest, noise};
use crate::support::served::{Answer, Served};

const BINARY: &str = "content-type: application/octet-stream";

fn begin(server: &Served, query: &str) -> String {
    let path = format!("/v1/changes{query}");
    let begun = server.curl(&path, &["-X", "POST"]).is(201);
    let location = begun.field("location").unwrap().to_owned();
    assert_eq!(
        location,
        format!("/v1/changes/{}", begun.json()["id"].as_str().unwrap())
    );
    location
}

fn put(server: &Served, path: &str, bytes: &str) -> Answer {
    let arguments = ["-X", "PUT", "-H", BINARY, "--data-binary", bytes];
    server.curl(path, &arguments)
}

fn names(server: &Served) -> Vec<String> {
    let list: Value = server.curl("/v1/models", &[]).is(200).json();
    let models = list["models"].as_array().unwrap();
    let names = models.iter().map(|model| model["name"].as_str().unwrap());
    names.map(str::to_owned).collect()
}

#[test]
#[cfg_attr(not(has_curl), ignore = "curl is not installed")]
fn a_folder_is_published_in_one_step() {
    let server = Served::start(&["--plain", "--keep-versions", "1"]);
    put(&server, "/v1/models/me/old", "old").is(201);
    let set = begin(&server, "?root=me%2F");
    let sent = put(&server, &format!("{set}/me/a/b%20c"), "one").is(201);
    assert_eq!(sent.field("location").unwrap(), format!("{set}/me/a/b%20c"));
    assert_eq!(sent.json()["digest"], digest(b"one"));
    put(&server, &format!("{set}/me/two"), "two").is(201);
    server
        .curl(&format!("{set}/me/gone"), &["-X", "DELETE"])
        .is(204);
    assert_eq!(names(&server), ["me/old"]);

    let told = server.curl(&set, &[]).is(200).json();
    assert_eq!(told["root"], "me/");
    let models = told["models"].as_array().unwrap();
    let changes = models.iter().map(|one| one["change"].as_str().unwrap());
    let changes: Vec<_> = changes.collect();
    assert_eq!(changes, ["sent", "removal", "sent"]);

    let committed = server.curl(&format!("{set}?others=remove"), &["-X", "POST"]);
    let committed = committed.is(200).json();
    assert_eq!(
        (&committed["published"], &committed["removed"]),
        (&Value::from(2), &Value::from(1))
    );
    assert_eq!(names(&server), ["me/a/b c", "me/two"]);
    assert_eq!(fs::read(server.dir.join("me/a/b c")).unwrap(), b"one");
    server.curl("/v1/rollback/me/old", &["-X", "POST"]).is(201);

    // The answer may have been lost; asking again does nothing again.
    let again = server.curl(&format!("{set}?others=remove"), &["-X", "POST"]);
    assert_eq!(again.is(200).json(), committed);
    assert_eq!(names(&server).len(), 3);
    server.curl(&set, &[]).is(404);
    server.curl(&set, &["-X", "DELETE"]).is(404);
}

#[test]
#[cfg_attr(not(has_curl), ignore = "curl is not installed")]
fn what_is_meant_otherwise_is_refused() {
    let server = Served::start(&["--plain"]);
    let set = begin(&server, "?root=me");
    let refused = |path: &str, arguments: &[&str], status: u16, words: &str| {
        let answer = server.curl(path, arguments).is(status);
        assert!(answer.text().contains(words), "{path}: {}", answer.text());
    };
    let post = &["-X", "POST"];
    refused("/v1/changes?root=../x", post, 400, "dot");
    refused("/v1/changes?folder=x", post, 400, "known here: root");
    refused(&format!("{set}?others=all"), post, 400, "keep or remove");
    refused(&format!("{set}?others=keep&others=keep"), post, 400, "once");
    refused(
        &format!("{set}/me/x?blob=12"),
        &["-X", "PUT"],
        400,
        "digest",
    );
    let nowhere = format!("{set}/me/x?blob={}", digest(b"nowhere"));
    refused(&nowhere, &["-X", "PUT"], 404, "no bytes with this digest");
    refused(
        &format!("{set}/other/x"),
        &["-T", "/dev/null"],
        400,
        "'me/'",
    );
    refused(
        &format!("{set}/me/x"),
        &["-T", "/dev/null", "-H", "if-match: *"],
        400,
        "if-match",
    );
    refused("/v1/changes/0123", post, 404, "does not exist");
    let stale = [
        "-X",
        "POST",
        "-H",
        "if-match: \"0123456789012345678901234567890123456789\"",
    ];
    refused(&set, &stale, 412, "has changed since");
    refused(
        &set,
        &["-X", "POST", "-H", "if-match: \"x\""],
        400,
        "40 hexadecimal",
    );

    // A form and a page are no models here either.
    let form = ["-X", "PUT", "-F", "file=@/dev/null"];
    refused(&format!("{set}/me/x"), &form, 415, "is a form");

    // Without the right to write, nobody learns anything of it.
    let reader = server
        .skep(&["token", "new", "reader", "--role", "read"])
        .exits(0);
    let secret = reader.text();
    let field = format!("authorization: Bearer {}", secret.trim());
    for arguments in [&["-X", "GET"][..], &["-X", "POST"], &["-X", "DELETE"]] {
        let arguments = [&["-H", field.as_str()], arguments].concat();
        server.curl_as(&set, &arguments, b"").is(403);
    }
    assert!(names(&server).is_empty());
}

#[test]
#[cfg_attr(not(has_curl), ignore = "curl is not installed")]
fn an_upload_in_pieces_goes_into_a_set_as_well() {
    let place = Place::new();
    let server = Served::start_in(&place, &["--plain"]);
    let set = begin(&server, "");
    let bytes = noise(1, 3 << 20);
    let half = bytes.len() / 2;
    let upload = create_at(&server, &format!("{set}/me/large"), "");
    append(&server, &upload, 0, "?0", &bytes[..half]);
    server.process.signal(Signal::KILL);
    server.process.finish();

    // Neither the set nor the upload is lost with the process.
    let server = Served::start_in(&place, &["--plain"]);
    assert!(tell(&server, &upload).has(&format!("upload-offset: {half}")));
    let last = append(&server, &upload, half, "?1", &bytes[half..]);
    assert_eq!(last.status, 201, "{last:?}");
    assert!(names(&server).is_empty());
    server.curl(&set, &["-X", "POST"]).is(200);
    assert_eq!(server.curl("/v1/models/me/large", &[]).is(200).body, bytes);
    server.stop().exits(0);
}
