// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Uploads by Git LFS: bytes that come before the commit that names them, by links that are good for nothing else.

use std::fs;

use serde_json::{Value, json};

use crate::support::process::{digest, noise};
use crate::support::served::{Answer, Served};

const JSON: &str = "content-type: application/vnd.git-lfs+json";

fn oid(bytes: &[u8]) -> String {
    digest(bytes).replace("sha256:", "")
}

fn batch(server: &Served, repo: &str, objects: &[(&str, u64)]) -> Answer {
    let objects = objects
        .iter()
        .map(|(oid, size)| json!({"oid": oid, "size": size}));
    let asked = json!({
        "operation": "upload",
        "transfers": ["basic", "multipart"],
        "objects": objects.collect::<Vec<_>>(),
        "hash_algo": "sha256",
    });
    let path = format!("/hf/{repo}.git/info/lfs/objects/batch");
    server.curl(&path, &["-H", JSON, "-d", &asked.to_string()])
}

/// The link for one object, without the address of the server.
fn link(server: &Served, repo: &str, bytes: &[u8]) -> String {
    let told = batch(server, repo, &[(&oid(bytes), bytes.len() as u64)]).is(200);
    let href = told.json()["objects"][0]["actions"]["upload"]["href"].clone();
    let href = href.as_str().unwrap().to_owned();
    href.strip_prefix(&server.url).unwrap().to_owned()
}

/// What nobody's credentials go along with.
fn put(server: &Served, link: &str, bytes: &[u8]) -> Answer {
    server.curl_as(link, &["-X", "PUT", "--data-binary", "@-"], bytes)
}

fn commit(server: &Served, repo: &str, path: &str, bytes: &[u8]) -> Answer {
    let value = json!({"path": path, "algo": "sha256", "oid": oid(bytes), "size": bytes.len()});
    let line = json!({"key": "lfsFile", "value": value}).to_string();
    let path = format!("/hf/api/models/{repo}/commit/main");
    server.curl(&path, &["--data-binary", &line])
}

#[test]
#[cfg_attr(not(has_curl), ignore = "curl is not installed")]
fn an_object_comes_by_its_link_and_is_seen_with_its_commit() {
    let server = Served::start(&["--plain"]);
    let bytes = noise(3, 300_000);
    for repo in ["me/r", "datasets/me/d", "one"] {
        let own = [bytes.as_slice(), repo.as_bytes()].concat();
        let link = link(&server, repo, &own);
        let verify = format!("/hf/{repo}.git/info/lfs/verify");
        let asked = json!({"oid": oid(&own), "size": own.len()}).to_string();
        server.curl(&verify, &["-H", JSON, "-d", &asked]).is(404);
        commit(&server, "me/early", "a", &own).is(400);

        put(&server, &link, &own).is(200);
        // A client that did not get the answer sends it once more.
        put(&server, &link, &own).is(200);
        server.curl(&verify, &["-H", JSON, "-d", &asked]).is(200);
        let again = batch(&server, repo, &[(&oid(&own), own.len() as u64)]).json();
        assert_eq!(again["objects"][0].get("actions"), None);
        // Nobody sees it before its commit.
        let blob = format!("/v1/blobs/sha256/{}", oid(&own));
        server.curl(&blob, &[]).is(404);
        let objects = server.dir.join(".skep/objects");
        assert_eq!(fs::read_dir(&objects).unwrap().count(), 1);

        let target = repo.replace("datasets/", "");
        commit(&server, &target, "deep/m.bin", &own).is(200);
        server.curl(&blob, &[]).is(200);
        let path = format!("/v1/models/{target}/deep/m.bin");
        assert_eq!(server.curl(&path, &[]).is(200).body, own);
        assert_eq!(fs::read_dir(&objects).unwrap().count(), 0);
    }
}

#[test]
#[cfg_attr(not(has_curl), ignore = "curl is not installed")]
fn a_link_is_good_for_one_object_of_one_repository() {
    let server = Served::start(&["--plain", "--max-upload-bytes", "1000000"]);
    let bytes = noise(4, 1000);
    let good = link(&server, "me/r", &bytes);
    let (path, ticket) = good.split_once('?').unwrap();
    let other = oid(b"other");
    let bad = [
        path.to_owned(),
        format!("{path}?ticket="),
        format!("{path}?ticket=x"),
        format!("{good}x"),
        format!("{good}&a=b"),
        good.replace("/me/r.git", "/me/s.git"),
        good.replace(&oid(&bytes), &other),
        good.replace("/1000?", "/1001?"),
        format!("/hf/me/r.git/info/lfs/objects/{other}/5?{ticket}"),
    ];
    for link in bad {
        let status = put(&server, &link, &bytes).status;
        assert!([400, 401].contains(&status), "{status} {link}");
    }
    // It opens nothing else, and does not read.
    server.curl_as(&good, &[], b"").is(405);
    server
        .curl_as(&format!("/v1/models?{ticket}"), &[], b"")
        .is(401);
    // A right secret in its place is none.
    let secret = format!("{path}?ticket={}", server.password());
    put(&server, &secret, &bytes).is(401);

    // Other bytes than it names, more and fewer.
    put(&server, &good, &noise(5, 1000)).is(422);
    put(&server, &good, &bytes[..999]).is(400);
    put(&server, &good, &[bytes.as_slice(), b"x"].concat()).is(413);
    assert_eq!(server.parts(), 0);
    commit(&server, "me/r", "m", &bytes).is(400);
    put(&server, &good, &bytes).is(200);
    commit(&server, "me/r", "m", &bytes).is(200);

    // What is wrong with one object is no matter of the others.
    let told = batch(
        &server,
        "me/r",
        &[
            (&oid(&bytes), 1000),
            (&oid(&bytes), 999),
            ("nonsense", 3),
            (&other, 1_000_001),
            (&other, 5),
        ],
    );
    let told = told.is(200).json();
    let objects = told["objects"].as_array().unwrap();
    let codes: Vec<_> = objects
        .iter()
        .map(|object| object["error"]["code"].as_u64())
        .collect();
    assert_eq!(codes, [None, Some(400), Some(400), Some(413), None]);
    assert!(objects[4]["actions"]["upload"]["href"].is_string());
    for body in [
        json!({"operation": "download", "objects": []}),
        json!({"operation": "upload", "objects": [], "hash_algo": "md5"}),
        json!({}),
    ] {
        let path = "/hf/me/r.git/info/lfs/objects/batch";
        server.curl(path, &["-d", &body.to_string()]).is(400);
    }
}

#[test]
#[cfg_attr(not(has_curl), ignore = "curl is not installed")]
fn links_end_with_the_token_and_stand_in_no_log() {
    let server = Served::start(&["--plain", "--log-level", "debug"]);
    let made = server.skep(&["token", "new", "laptop"]).exits(0).text();
    let field = format!("authorization: Bearer {}", made.trim());
    let bytes = noise(6, 100);
    let asked = json!({"operation": "upload", "objects": [{"oid": oid(&bytes), "size": 100}]});
    let path = "/hf/me/r.git/info/lfs/objects/batch";
    let told = server.curl_as(path, &["-H", &field, "-d", &asked.to_string()], b"");
    let href = told.is(200).json()["objects"][0]["actions"]["upload"]["href"].clone();
    let href = href.as_str().unwrap().strip_prefix(&server.url).unwrap();
    put(&server, href, &bytes).is(200);

    server.skep(&["token", "remove", "laptop"]).exits(0);
    put(&server, href, &bytes).is(401);
    // Another token of the same name does not bring it back.
    server.skep(&["token", "new", "laptop"]).exits(0);
    put(&server, href, &bytes).is(401);
    let ticket = href.split_once("ticket=").unwrap().1.to_owned();
    let log = server.stop().stderr;
    assert!(log.contains("/info/lfs/objects/"), "{log}");
    assert!(!log.contains(&ticket[..20]), "{log}");
}

#[test]
#[cfg_attr(not(has_curl), ignore = "curl is not installed")]
fn objects_meet_the_rules_when_they_get_a_name() {
    let server = Served::start(&["--plain", "--require-format", "--accept", "*.gguf"]);
    let (good, bad) = (b"GGUF and more".as_slice(), b"no such file".as_slice());
    for bytes in [good, bad] {
        let link = link(&server, "r", bytes);
        put(&server, &link, bytes).is(200);
    }
    commit(&server, "r", "m.gguf", bad).is(415);
    commit(&server, "r", "m.bin", good).is(415);
    commit(&server, "r", "m.gguf", good).is(200);
    assert!(server.dir.join("r/m.gguf").exists());

    // What nobody names stays for a while.
    let told: Value = server
        .skep(&["gc", "--idle", "1h", "--json"])
        .exits(0)
        .json();
    assert_eq!(told["freed"][2]["files"], 0, "{told}");
    let objects = server.dir.join(".skep/objects");
    assert_eq!(fs::read_dir(objects).unwrap().count(), 1);
}
