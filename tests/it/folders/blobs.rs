// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Bytes by their digest over HTTP, as curl asks for them.

use std::fs;
use std::path::PathBuf;

use crate::support::process::digest;
use crate::support::served::Served;

const BINARY: &str = "content-type: application/octet-stream";

fn put(server: &Served, name: &str, bytes: &str) {
    let arguments = ["-X", "PUT", "-H", BINARY, "--data-binary", bytes];
    let answer = server.curl(&format!("/v1/models/{name}"), &arguments);
    assert!([200, 201].contains(&answer.status), "{}", answer.text());
}

/// The path of the bytes with this content.
fn blob(bytes: &[u8]) -> String {
    let digest = digest(bytes);
    let hex = digest.strip_prefix("sha256:").unwrap_or(&digest);
    format!("/v1/blobs/sha256/{hex}")
}

/// The one old version of a model.
fn version_of(server: &Served, name: &str) -> PathBuf {
    let folder = server.dir.join(".skep/versions").join(name);
    let mut entries = fs::read_dir(folder).unwrap();
    entries.next().unwrap().unwrap().path()
}

#[test]
#[cfg_attr(not(has_curl), ignore = "curl is not installed")]
fn bytes_of_models_and_versions_are_handed_out_by_digest() {
    let server = Served::start(&["--plain", "--keep-versions", "1"]);
    put(&server, "me/a", "first bytes");
    let path = blob(b"first bytes");
    let answer = server.curl(&path, &[]).is(200);
    assert_eq!(answer.text(), "first bytes");
    let hex = &path[path.rfind('/').unwrap() + 1..];
    assert_eq!(answer.field("etag").unwrap(), format!("\"sha256-{hex}\""));
    assert!(answer.field("repr-digest").unwrap().starts_with("sha-256="));
    assert_eq!(
        answer.field("cache-control").unwrap(),
        "private, max-age=31536000, immutable"
    );
    assert_eq!(answer.field("content-disposition").unwrap(), "attachment");

    // A replaced model is an old version now; it answers the same.
    put(&server, "me/a", "second bytes");
    assert_eq!(server.curl(&path, &[]).is(200).text(), "first bytes");
    let part = server.curl(&path, &["-r", "6-"]).is(206);
    assert_eq!(part.text(), "bytes");
    assert_eq!(part.field("content-range").unwrap(), "bytes 6-10/11");
    let tag = format!("if-none-match: \"sha256-{hex}\"");
    let known = server.curl(&path, &["-H", &tag]).is(304);
    assert!(known.field("cache-control").unwrap().contains("immutable"));
    let head = server.curl(&path, &["-I"]).is(200);
    assert_eq!(head.field("content-length").unwrap(), "11");

    server.curl(&blob(b"never here"), &[]).is(404);
    for wrong in ["00", "x", &"g".repeat(64)] {
        server
            .curl(&format!("/v1/blobs/sha256/{wrong}"), &[])
            .is(400);
    }
    server.curl("/v1/blobs/md5/00", &[]).is(404);
}

#[test]
#[cfg_attr(not(has_curl), ignore = "curl is not installed")]
fn a_changed_file_is_not_handed_out_for_its_old_digest() {
    let server = Served::start(&["--plain", "--keep-versions", "1"]);
    put(&server, "m", "first bytes");
    put(&server, "m", "second bytes");
    server.curl(&blob(b"first bytes"), &[]).is(200);

    // Of the same lengths, behind the back of the server.
    fs::write(server.dir.join("m"), "SECOND BYTES").unwrap();
    server.curl(&blob(b"second bytes"), &[]).is(404);
    fs::write(version_of(&server, "m"), "FIRST BYTES").unwrap();
    server.curl(&blob(b"first bytes"), &[]).is(404);
}

#[test]
#[cfg_attr(not(has_curl), ignore = "curl is not installed")]
fn callers_without_credentials_get_bytes_of_models_only() {
    let server = Served::start(&["--plain", "--keep-versions", "1", "--anonymous-read"]);
    put(&server, "m", "first bytes");
    put(&server, "m", "second bytes");
    let first = blob(b"first bytes");
    server.curl(&first, &[]).is(200);
    server.curl_as(&first, &[], b"").is(404);
    server.curl_as(&blob(b"second bytes"), &[], b"").is(200);
}
