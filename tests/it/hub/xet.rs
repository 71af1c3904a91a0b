// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Uploads by xet: chunks and shards made by hand, and those of the genuine client.

use std::fs;

use serde_json::json;

use super::genuine::python;
use crate::support::process::{digest, noise};
use crate::support::served::{Answer, Served};

/// An address, and the token that comes with it.
struct Session {
    path: String,
    token: String,
}

impl Session {
    fn new(server: &Served, repo: &str) -> Self {
        let path = format!("/hf/api/models/{repo}/xet-write-token/main");
        let answer = server.curl(&path, &[]).is(200);
        let told = answer.json();
        let (url, token) = (&told["casUrl"], &told["accessToken"]);
        let (url, token) = (url.as_str().unwrap(), token.as_str().unwrap());

        // Some clients read the fields; heads are read in lower case here.
        let has = |name: &str, value: &str| answer.field(name) == Some(&value.to_lowercase());
        assert!(has("x-xet-cas-url", url) && has("x-xet-access-token", token));
        assert!(has("x-xet-token-expiration", &told["exp"].to_string()));
        assert!(has("cache-control", "no-store"));
        Self {
            path: url.strip_prefix(&server.url).unwrap().to_owned(),
            token: token.to_owned(),
        }
    }

    fn call(&self, server: &Served, path: &str, arguments: &[&str], body: &[u8]) -> Answer {
        let field = format!("authorization: Bearer {}", self.token);
        let arguments = [&["-H", field.as_str()], arguments].concat();
        server.curl_as(&format!("{}{path}", self.path), &arguments, body)
    }

    fn xorb(&self, server: &Served, hash: u8, body: &[u8]) -> Answer {
        let path = format!("/v1/xorbs/default/{}", format!("{hash:02x}").repeat(32));
        self.call(server, &path, POST, body)
    }

    fn shard(&self, server: &Served, body: &[u8]) -> Answer {
        self.call(server, "/v1/shards", POST, body)
    }
}

const POST: &[&str] = &["-X", "POST", "--data-binary", "@-"];

/// A chunk that is not packed.
fn chunk(plain: &[u8]) -> Vec<u8> {
    let length = &plain.len().to_le_bytes()[..3];
    [&[0], length, &[0], length, plain].concat()
}

/// A row of a shard; a byte makes its hash.
fn row(hash: [u8; 32], numbers: [u32; 4]) -> Vec<u8> {
    [&hash[..], &numbers.map(u32::to_le_bytes).concat()].concat()
}

/// A shard of one file of so many bytes, which is one chunk of a xorb.
fn shard(bytes: &[u8], hash: u8) -> Vec<u8> {
    let mut words = [0; 32];
    let digits = digest(bytes).replace("sha256:", "");
    for (index, word) in words.iter_mut().enumerate() {
        *word = u8::from_str_radix(&digits[2 * index..2 * index + 2], 16).unwrap();
    }
    words.chunks_exact_mut(8).for_each(<[u8]>::reverse);

    let size = u32::try_from(bytes.len()).unwrap();
    let mut shard = b"HFRepoMetaData\0UigEj{\x81W\x83\xa5\xbd\xd9\\\xcd\xd1J\xa9".to_vec();
    shard.extend([2_u64.to_le_bytes(), [0; 8]].concat());
    shard.extend(row([7; 32], [1 << 30, 1, 0, 0]));
    shard.extend(row([hash; 32], [0, size, 0, 1]));
    shard.extend(row(words, [0; 4]));
    shard.extend(row([0xff; 32], [0; 4]));
    shard
}

fn commit(server: &Served, repo: &str, path: &str, bytes: &[u8]) -> Answer {
    commit_to(server, repo, "main", (path, bytes))
}

fn commit_to(server: &Served, repo: &str, branch: &str, (path, bytes): (&str, &[u8])) -> Answer {
    let oid = digest(bytes).replace("sha256:", "");
    let value = json!({"path": path, "algo": "sha256", "oid": oid, "size": bytes.len()});
    let line = json!({"key": "lfsFile", "value": value}).to_string();
    let path = format!("/hf/api/models/{repo}/commit/{branch}");
    server.curl(&path, &["--data-binary", &line])
}

fn sessions(server: &Served) -> usize {
    let found = fs::read_dir(server.dir.join(".skep/xet"));
    found.map_or(0, Iterator::count)
}

#[test]
#[cfg_attr(not(has_curl), ignore = "curl is not installed")]
fn chunks_become_a_file_that_is_seen_with_its_commit() {
    let server = Served::start(&["--plain"]);
    let bytes = noise(1, 100_000);
    let session = Session::new(&server, "me/r");
    let told = session.xorb(&server, 0xab, &chunk(&bytes)).is(200).json();
    assert_eq!(told, json!({"was_inserted": true}));
    let told = session.xorb(&server, 0xab, &chunk(&bytes)).is(200).json();
    assert_eq!(told, json!({"was_inserted": false}));
    commit(&server, "me/r", "m", &bytes).is(400);

    let told = session.shard(&server, &shard(&bytes, 0xab)).is(200).json();
    assert_eq!(told, json!({"result": 1}));
    let told = session.shard(&server, &shard(&bytes, 0xab)).is(200).json();
    assert_eq!(told, json!({"result": 0}));
    let blob = format!("/v1/blobs/{}", digest(&bytes).replace(':', "/"));
    server.curl(&blob, &[]).is(404);
    assert_eq!(sessions(&server), 1);

    commit(&server, "me/r", "deep/m", &bytes).is(200);
    let found = server.curl("/hf/me/r/resolve/main/deep/m", &[]).is(200);
    assert!(found.body == bytes);
    assert_eq!(sessions(&server), 0);

    // The same for a branch.
    let bytes = noise(8, 1000);
    let branch = "/hf/api/models/me/r/branch/b";
    server.curl(branch, &["-X", "POST"]).is(200);
    let second = Session::new(&server, "me/r");
    second.xorb(&server, 1, &chunk(&bytes)).is(200);
    second.shard(&server, &shard(&bytes, 1)).is(200);
    commit_to(&server, "me/r", "b", ("m", &bytes)).is(200);
    let found = server.curl("/hf/me/r/resolve/b/m", &[]).is(200);
    assert!(found.body == bytes);
    assert_eq!(sessions(&server), 0);

    // What clients ask for besides is not there, and they go on.
    let rest = format!("default/{}", "00".repeat(32));
    session
        .call(&server, &format!("/v1/chunks/{rest}"), &[], b"")
        .is(404);
    session
        .call(&server, &format!("/v1/xorb-grants/{rest}"), POST, b"{}")
        .is(404);
    session.call(&server, "/v2/shards", POST, b"x").is(404);
}

#[test]
#[cfg_attr(not(has_curl), ignore = "curl is not installed")]
fn a_token_is_good_for_one_address_and_in_no_log() {
    let server = Served::start(&["--plain", "--log-level", "debug"]);
    let bytes = noise(2, 1000);
    let made = server.skep(&["token", "new", "laptop"]).exits(0).text();
    let field = format!("authorization: Bearer {}", made.trim());
    let path = "/hf/api/models/me/r/xet-write-token/main";
    let told = server.curl_as(path, &["-H", &field], b"").is(200).json();
    let own = Session {
        path: told["casUrl"].as_str().unwrap()[server.url.len()..].to_owned(),
        token: told["accessToken"].as_str().unwrap().to_owned(),
    };
    let other = Session::new(&server, "me/r");
    assert_ne!(own.path, other.path);

    // Nor for anything else, nor are other secrets good for it.
    let crossed = Session {
        path: own.path.clone(),
        token: other.token.clone(),
    };
    crossed.xorb(&server, 1, &chunk(&bytes)).is(401);
    crossed.shard(&server, &shard(&bytes, 1)).is(401);
    let secret = Session {
        path: own.path.clone(),
        token: server.password(),
    };
    secret.xorb(&server, 1, &chunk(&bytes)).is(401);
    let field = format!("authorization: Bearer {}", own.token);
    server.curl_as(path, &["-H", &field], b"").is(401);
    server.curl_as("/v1/models", &["-H", &field], b"").is(401);
    assert_eq!((sessions(&server), server.parts()), (0, 0));

    // A body is not waited for.
    let refused = crossed.call(
        &server,
        "/v1/shards",
        &["-X", "POST", "-H", "content-length: 60000000"],
        b"",
    );
    refused.is(401);

    // It ends with the token of its holder.
    own.xorb(&server, 1, &chunk(&bytes)).is(200);
    server.skep(&["token", "remove", "laptop"]).exits(0);
    own.shard(&server, &shard(&bytes, 1)).is(401);

    // And with the server, which does not keep what was sent.
    other.xorb(&server, 1, &chunk(&bytes)).is(200);
    let place = server.place.clone();
    let log = server.stop().stderr;
    assert!(log.contains("/v1/xorbs/default/"), "{log}");
    for token in [&own.token, &other.token] {
        assert!(!log.contains(&token[..20]), "{log}");
    }
    let server = Served::start_in(&place, &["--plain"]);
    assert_eq!(sessions(&server), 0);
    other.shard(&server, &shard(&bytes, 1)).is(401);
}

#[test]
#[cfg_attr(not(has_curl), ignore = "curl is not installed")]
fn what_is_wrong_is_told_and_nothing_stays() {
    let server = Served::start(&["--plain", "--max-upload-bytes", "50000"]);
    let bytes = noise(3, 1000);
    let session = Session::new(&server, "me/r");
    session.xorb(&server, 1, b"none").is(400);
    session.xorb(&server, 1, &chunk(&bytes)[..500]).is(400);
    session.shard(&server, b"none").is(400);
    let told = session.shard(&server, &shard(&bytes, 1)).is(400).json();
    let told = told["error"].as_str().unwrap();
    assert!(told.contains("were not sent to this address"), "{told}");
    session
        .call(&server, "/v1/xorbs/default/00", POST, &chunk(&bytes))
        .is(400);

    // More than the format has, before it comes.
    let long = ["-X", "POST", "-H", "content-length: 70000000"];
    session.call(&server, "/v1/shards", &long, b"").is(413);
    let xorb = format!("/v1/xorbs/default/{}", "01".repeat(32));
    session.call(&server, &xorb, &long, b"").is(413);

    session.xorb(&server, 1, &chunk(&bytes)).is(200);
    session.shard(&server, &shard(&noise(4, 1000), 1)).is(422);
    session.shard(&server, &shard(&bytes[..999], 1)).is(400);
    let large = noise(5, 60_000);
    session.xorb(&server, 2, &chunk(&large)).is(200);
    session.shard(&server, &shard(&large, 2)).is(413);
    commit(&server, "me/r", "m", &bytes).is(400);
    assert_eq!(server.parts(), 0);

    // What was right before goes on, and what is left is freed.
    session.shard(&server, &shard(&bytes, 1)).is(200);
    let told = server
        .skep(&["gc", "--idle", "1ms", "--json"])
        .exits(0)
        .json();
    assert_eq!(told["freed"][2]["files"], 3, "{told}");
    assert_eq!(sessions(&server), 0);
    session.shard(&server, &shard(&noise(9, 5), 1)).is(400);
}

#[test]
#[cfg_attr(not(has_curl), ignore = "curl is not installed")]
fn larger_files_are_asked_for_before_the_commit() {
    let server = Served::start(&["--plain"]);
    let sizes = [0, 1, 4 << 20, (4 << 20) + 1, u64::MAX];
    let files = sizes.map(|size| json!({"path": format!("{size}"), "size": size, "sample": ""}));
    let asked = json!({"files": files}).to_string();
    let told = server.curl("/hf/api/models/me/r/preupload/main", &["-d", &asked]);
    let told = told.is(200).json();
    let modes = told["files"].as_array().unwrap().iter();
    let modes: Vec<_> = modes.map(|file| file["uploadMode"].as_str()).collect();
    let (small, large) = (Some("regular"), Some("lfs"));
    assert_eq!(modes, [small, small, small, large, large]);

    // Programs send these ahead of the commit whatever their size, and none is sent that is empty.
    let files = [
        ("a/b.parquet", 1),
        ("x.tar.gz", 1),
        ("a.safetensors", 0),
        ("parquet", 1),
        ("a.json", 1),
    ];
    let files = files.map(|(path, size)| json!({"path": path, "size": size}));
    let asked = json!({"files": files}).to_string();
    let told = server.curl("/hf/api/models/me/r/preupload/main", &["-d", &asked]);
    let told = told.is(200).json();
    let modes = told["files"].as_array().unwrap().iter();
    let modes: Vec<_> = modes.map(|file| file["uploadMode"].as_str()).collect();
    assert_eq!(modes, [large, large, small, small, small]);
}

const SENDING: &str = r#"
import array, hashlib, os, random, threading
from huggingface_hub import CommitOperationAdd, HfApi, hf_hub_download

api, source = HfApi(), random.Random(7)
floats = array.array("f", (source.gauss(0, 1) for _ in range(2_000_000))).tobytes()
files = {
    "floats.bin": floats[:-1],
    "random.bin": source.randbytes(12_000_000),
    "zeros.bin": bytes(9_000_000) + b"end",
    "text.bin": b"".join(b"line %d of a text\n" % (number // 7) for number in range(600_000)),
}
for name, content in files.items():
    with open(name, "wb") as file:
        file.write(content)

def send(repository, names):
    operations = [CommitOperationAdd(name, name) for name in names]
    api.create_commit(repository, operations, commit_message="xet")

def compare(repository, names):
    for name in names:
        with open(hf_hub_download(repository, name), "rb") as file:
            print(repository, name, file.read() == files[name])

api.create_repo("me/one")
send("me/one", files)
compare("me/one", files)

# Chunks that this client has sent before are sent once more, as the address is another one.
files["mixed.bin"] = files["random.bin"][3_000_000:] + files["floats.bin"]
with open("mixed.bin", "wb") as file:
    file.write(files["mixed.bin"])
send("me/one", ["mixed.bin", "text.bin"])
compare("me/one", ["mixed.bin"])

threads = [threading.Thread(target=send, args=(f"me/{name}", files)) for name in ("two", "three")]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
compare("me/two", files)
compare("me/three", ["mixed.bin"])
"#;

#[test]
#[cfg_attr(not(has_huggingface_hub), ignore = "huggingface_hub is not installed")]
fn the_genuine_client_sends_by_xet() {
    for arguments in [
        &["--log-level", "info"][..],
        &["--plain", "--log-level", "info"],
    ] {
        let server = Served::start(arguments);
        let printed = python(&server, "newest", SENDING);
        assert!(!printed.contains("False"), "{printed}");
        assert_eq!(printed.lines().count(), 4 + 1 + 5 + 1, "{printed}");
        assert_eq!((sessions(&server), server.parts()), (0, 0));
        let log = server.stop().stderr;
        let xorbs = log.matches("/v1/xorbs/default/").count();
        assert!(xorbs >= 4, "{log}");
    }
}
