// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Repositories of another hub: skep behind skep, and behind a stand-in that redirects as huggingface.co does.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

use serde_json::json;

use crate::support::process::{Place, Process, digest, noise, run, until};
use crate::support::served::{Answer, Served};

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// What the stand-in does, and what it has seen.
#[derive(Default)]
struct Told {
    /// Request lines with what they show, of both hosts.
    seen: Vec<String>,
    /// The bytes that files have, whatever was announced.
    files: BTreeMap<String, Vec<u8>>,
    /// Bytes of a file after which the connection breaks, so many times.
    cut_after: Option<usize>,
    cuts: usize,
    /// Whether files wait.
    is_held: bool,
    /// Where redirects lead to; the other host if there is nothing.
    elsewhere: Option<String>,
}

struct StandIn {
    told: Arc<(Mutex<Told>, Condvar)>,
    port: u16,
    content_port: u16,
}

impl StandIn {
    fn new() -> Self {
        let told = Arc::new((Mutex::new(Told::default()), Condvar::new()));
        let [main, content] = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        let port = main.local_addr().unwrap().port();
        let content_port = content.local_addr().unwrap().port();
        for (listener, host) in [(main, "hub"), (content, "content")] {
            let told = Arc::clone(&told);
            thread::spawn(move || {
                for stream in listener.incoming().flatten() {
                    let told = Arc::clone(&told);
                    thread::spawn(move || answer(&told, &stream, host, content_port));
                }
            });
        }
        Self {
            told,
            port,
            content_port,
        }
    }

    fn set(&self, change: impl FnOnce(&mut Told)) {
        change(&mut self.told.0.lock().unwrap());
        self.told.1.notify_all();
    }

    fn seen(&self) -> Vec<String> {
        self.told.0.lock().unwrap().seen.clone()
    }

    /// How often bytes of a file were asked for.
    fn count(&self, words: &str) -> usize {
        self.seen()
            .iter()
            .filter(|line| line.contains(words))
            .count()
    }

    fn serve(&self, arguments: &[&str]) -> Served {
        let address = format!("http://127.0.0.1:{}", self.port);
        let place = Place::new();
        let token = place.file("upstream-token", "hf_secret-of-the-upstream\n");
        let token = token.to_str().unwrap();
        let own = [
            "--plain",
            "--upstream",
            &address,
            "--upstream-token-file",
            token,
        ];
        let all = ["--mirror-repositories", "*"];
        let all = if arguments.contains(&all[0]) {
            &[]
        } else {
            &all[..]
        };
        Served::start_in(&place, &[&own[..], all, arguments].concat())
    }
}

fn answer(told: &(Mutex<Told>, Condvar), stream: &TcpStream, host: &str, content_port: u16) {
    let mut reader = BufReader::new(stream);
    loop {
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            if line.trim().is_empty() {
                break;
            }
            lines.push(line.trim().to_owned());
        }
        let field = |name: &str| {
            let found = lines
                .iter()
                .find_map(|line| line.to_lowercase().strip_prefix(name).map(str::to_owned));
            found.unwrap_or_default().trim().to_owned()
        };
        let path = lines[0].split(' ').nth(1).unwrap().to_owned();
        let shown = format!(
            "{host} {path} range:{} auth:{}",
            field("range:"),
            field("authorization:")
        );
        let mut state = told.0.lock().unwrap();
        state.seen.push(shown);
        let mut stream = stream;
        let mut send = |head: &str, body: &[u8]| {
            let head = format!("HTTP/1.1 {head}\r\nContent-Length: {}\r\n\r\n", body.len());
            let _ = stream.write_all(head.as_bytes());
            let _ = stream.write_all(body);
        };

        let root = "/api/models/big/model";
        let file = path.strip_prefix(&format!("/big/model/resolve/{COMMIT}/"));
        let bytes_of = path
            .strip_prefix("/content/")
            .or_else(|| path.strip_prefix("/api/resolve-cache/"));
        if path == format!("{root}/revision/main") || path == root {
            let told = json!({"id": "big/model", "sha": COMMIT, "siblings": [], "xetHash": "x"});
            let fields = format!("200 OK\r\nX-Repo-Commit: {COMMIT}\r\nSet-Cookie: a=b");
            send(&fields, told.to_string().as_bytes());
        } else if path.starts_with(&format!("{root}/tree/{COMMIT}")) {
            let oid = |bytes: &[u8]| digest(bytes).replace("sha256:", "");
            let large = noise(1, 600_000);
            let tree = json!([
                {"type": "file", "path": "large.bin", "oid": "1".repeat(40), "size": large.len(), "xetHash": "x",
                    "lfs": {"oid": oid(&large), "size": large.len(), "pointerSize": 131}},
                {"type": "file", "path": "sub/small.txt", "oid": "ce013625030ba8dba906f756967f9e9ca394464a", "size": 6},
                {"type": "file", "path": "empty", "oid": "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391", "size": 0},
            ]);
            send("200 OK", tree.to_string().as_bytes());
        } else if let Some(file) = file {
            let location = match &state.elsewhere {
                Some(elsewhere) => elsewhere.clone(),
                None if file == "large.bin" => {
                    format!("http://127.0.0.1:{content_port}/content/{file}")
                }
                None => format!("/api/resolve-cache/{file}"),
            };
            let status = if file == "large.bin" {
                "302 Found"
            } else {
                "307 Temporary Redirect"
            };
            send(
                &format!("{status}\r\nLocation: {location}\r\nX-Xet-Hash: x"),
                b"",
            );
        } else if let Some(file) = bytes_of {
            while state.is_held {
                state = told.1.wait(state).unwrap();
            }
            let usual = match file {
                "large.bin" => noise(1, 600_000),
                _ => b"hello\n".to_vec(),
            };
            let bytes = state.files.get(file).cloned().unwrap_or(usual);
            let start = field("range:")
                .replace("bytes=", "")
                .replace('-', "")
                .parse()
                .unwrap_or(0);
            let head = match start {
                0 => "200 OK".to_owned(),
                _ => format!(
                    "206 Partial Content\r\nContent-Range: bytes {start}-{}/{}",
                    bytes.len() - 1,
                    bytes.len()
                ),
            };
            match state.cut_after.filter(|_| state.cuts > 0) {
                Some(count) => {
                    state.cuts -= 1;
                    let length = bytes.len() - start;
                    let head = format!("HTTP/1.1 {head}\r\nContent-Length: {length}\r\n\r\n");
                    let _ = stream.write_all(head.as_bytes());
                    let _ = stream.write_all(&bytes[start..bytes.len().min(start + count)]);
                    let _ = stream.shutdown(std::net::Shutdown::Both);
                    return;
                }
                None => send(&head, &bytes[start..]),
            }
        } else if path.contains("/gated/") {
            send(
                "403 Forbidden\r\nX-Error-Code: GatedRepo\r\nX-Error-Message: ask for access",
                b"{}",
            );
        } else if path.contains("/busy/") {
            send("429 Too Many Requests\r\nRetry-After: 77", b"{}");
        } else {
            send("401 Unauthorized", b"{}");
        }
    }
}

fn get(server: &Served, path: &str) -> Answer {
    server.curl(&format!("/hf{path}"), &[])
}

#[test]
#[cfg_attr(not(has_curl), ignore = "curl is not installed")]
fn what_is_not_here_comes_from_the_upstream_and_stays() {
    let hub = StandIn::new();
    let server = hub.serve(&["--log-level", "debug"]);
    let large = noise(1, 600_000);
    let told = get(&server, "/api/models/big/model").is(200);
    assert_eq!(told.json()["sha"], COMMIT);
    assert_eq!(
        (told.json().get("xetHash"), told.field("set-cookie")),
        (None, None)
    );
    let tree = get(
        &server,
        &format!("/api/models/big/model/tree/{COMMIT}?recursive=true"),
    )
    .is(200);
    assert_eq!(tree.json()[0].get("xetHash"), None);

    for revision in ["main", COMMIT] {
        let read = get(&server, &format!("/big/model/resolve/{revision}/large.bin")).is(200);
        assert_eq!(read.body, large);
        let etag = format!("\"{}\"", digest(&large).replace("sha256:", ""));
        assert_eq!(read.field("etag"), Some(etag.as_str()));
        for name in ["location", "x-xet-hash", "link"] {
            assert_eq!(read.field(name), None, "{name}");
        }
        assert_eq!(read.field("x-repo-commit"), Some(COMMIT));
    }
    let small = get(&server, "/big/model/resolve/main/sub/small.txt").is(200);
    assert_eq!(small.text(), "hello\n");
    assert_eq!(
        small.field("etag"),
        Some("\"ce013625030ba8dba906f756967f9e9ca394464a\"")
    );
    let head = server
        .curl("/hf/big/model/resolve/main/empty", &["-I"])
        .is(200);
    assert_eq!(head.field("content-length"), Some("0"));
    let first = server
        .curl(
            "/hf/big/model/resolve/main/empty",
            &["-H", "range: bytes=0-0"],
        )
        .is(200);
    assert_eq!(first.field("content-range"), Some("bytes */0"));
    let part = server
        .curl(
            "/hf/big/model/resolve/main/large.bin",
            &["-H", "range: bytes=10-19"],
        )
        .is(206);
    assert_eq!(part.body, large[10..20]);
    let missing = get(&server, "/big/model/resolve/main/none").is(404);
    assert_eq!(missing.field("x-error-code"), Some("entrynotfound"));
    assert_eq!(missing.field("x-repo-commit"), Some(COMMIT));

    // It was fetched once, the token of the upstream went there only, and nobody's token went there.
    assert_eq!(
        hub.count("/content/large.bin"),
        1,
        "{}",
        server.stop().stderr
    );
    let password = server.password();
    for line in hub.seen() {
        let has_token = line.contains("hf_secret-of-the-upstream");
        assert_eq!(has_token, line.starts_with("hub "), "{line}");
        assert!(!line.contains(&password), "{line}");
    }

    // Nobody who may not read has anything fetched, and what is here wins.
    let before = hub.seen().len();
    server
        .curl_as("/hf/big/other/resolve/main/a", &[], b"")
        .is(401);
    assert_eq!(hub.seen().len(), before);
    let none = get(&server, "/api/models/no/such").is(404);
    assert_eq!(none.field("x-error-code"), Some("reponotfound"));
    let gated = get(&server, "/api/models/gated/model").is(403);
    assert_eq!(gated.field("x-error-code"), Some("gatedrepo"));
    let busy = get(&server, "/api/models/busy/model").is(429);
    assert_eq!(busy.field("retry-after"), Some("77"));
    assert!(!server.dir.join("big").exists());
}

#[test]
#[cfg_attr(not(has_curl), ignore = "curl is not installed")]
fn ten_callers_have_one_fetch_and_read_while_it_arrives() {
    let hub = StandIn::new();
    hub.set(|told| told.is_held = true);
    let server = hub.serve(&[]);
    let large = noise(1, 600_000);
    let field = format!("authorization: Bearer {}", server.password());
    let url = format!("{}/hf/big/model/resolve/main/large.bin", server.url);
    let readers: Vec<_> = (0..10)
        .map(|_| {
            let mut command = server.place.command("curl");
            command.args(["-q", "-s", "-S", "-f", "-H", &field, &url]);
            Process::start(&mut command)
        })
        .collect();
    until(|| hub.count("/content/large.bin") > 0);
    // Others are answered meanwhile.
    get(&server, "/api/models/big/model").is(200);
    server.curl("/v1/models", &[]).is(200);
    hub.set(|told| told.is_held = false);
    for reader in readers {
        assert!(reader.finish().exits(0).stdout == large);
    }
    assert_eq!(hub.count("/content/large.bin"), 1);
    assert_eq!(hub.count("/tree/"), 1);
}

#[test]
#[cfg_attr(not(has_curl), ignore = "curl is not installed")]
fn a_broken_fetch_goes_on_where_it_ended() {
    let hub = StandIn::new();
    hub.set(|told| (told.cut_after, told.cuts) = (Some(200_000), 2));
    let server = hub.serve(&[]);
    let large = noise(1, 600_000);
    let read = get(&server, "/big/model/resolve/main/large.bin").is(200);
    assert_eq!((read.code, read.body == large), (0, true));
    let starts: Vec<_> = hub
        .seen()
        .into_iter()
        .filter(|line| line.starts_with("content "))
        .collect();
    assert!(
        starts.len() == 3 && starts[2].contains("range:bytes="),
        "{starts:?}"
    );
}

#[test]
#[cfg_attr(not(has_curl), ignore = "curl is not installed")]
fn other_bytes_than_were_announced_reach_nobody_whole() {
    let hub = StandIn::new();
    hub.set(|told| {
        told.files.insert("large.bin".to_owned(), noise(2, 600_000));
        told.files
            .insert("sub/small.txt".to_owned(), b"hallo\n".to_vec());
    });
    let server = hub.serve(&[]);
    for (path, size) in [("large.bin", 600_000), ("sub/small.txt", 6)] {
        let read = get(&server, &format!("/big/model/resolve/main/{path}"));
        assert!(
            read.code != 0 && read.body.len() < size,
            "{path} {}",
            read.body.len()
        );
    }
    let objects = std::fs::read_dir(server.dir.join(".skep/objects"));
    assert_eq!(objects.map_or(0, Iterator::count), 0);

    // Once it is right there, it is right here.
    hub.set(|told| told.files.clear());
    let read = get(&server, "/big/model/resolve/main/large.bin").is(200);
    assert_eq!(read.body, noise(1, 600_000));
    assert!(
        server
            .stop()
            .stderr
            .contains("other bytes than it announces")
    );
}

#[test]
#[cfg_attr(not(has_curl), ignore = "curl is not installed")]
fn what_was_fetched_is_there_while_the_upstream_is_away() {
    let upstream = Served::start(&["--plain"]);
    let put = |name: &str, text: &str| {
        let path = format!("/v1/models/me/m/{name}");
        let status = upstream.curl(&path, &["-X", "PUT", "-d", text]).status;
        assert!(status == 200 || status == 201);
    };
    put("config.json", "{}");
    put("a.bin", "weights");
    let address = format!("{}/hf", upstream.url);
    let place = Place::new();
    let token = place.file("token", upstream.password());
    let arguments = [
        "--plain",
        "--upstream",
        &address,
        "--upstream-token-file",
        token.to_str().unwrap(),
        "--mirror-repositories",
        "me/*",
        "--mirror-fresh",
        "none",
    ];
    let mirror = Served::start_in(&place, &arguments);
    for name in ["config.json", "a.bin"] {
        get(&mirror, &format!("/me/m/resolve/main/{name}")).is(200);
    }
    let sha = get(&mirror, "/api/models/me/m").is(200).json()["sha"].clone();
    // A branch is what the upstream says it is.
    put("a.bin", "others");
    assert_eq!(
        get(&mirror, "/me/m/resolve/main/a.bin").is(200).text(),
        "others"
    );
    let now = get(&mirror, "/api/models/me/m").is(200);
    assert_ne!(now.json()["sha"], sha);
    assert_eq!(now.field("x-hf-warning"), None);
    upstream.stop();

    let away = |mirror: &Served| {
        let read = get(mirror, "/me/m/resolve/main/a.bin").is(200);
        assert_eq!(read.text(), "others");
        assert!(read.field("x-hf-warning").unwrap().starts_with("mirror;"));
        let old = format!("/me/m/resolve/{}/config.json", sha.as_str().unwrap());
        assert_eq!(get(mirror, &old).is(200).text(), "{}");
        get(mirror, "/api/models/me/never").is(503);
        let told = get(mirror, "/api/models/me/m").is(200);
        assert_eq!(told.json()["sha"], now.json()["sha"]);
    };
    away(&mirror);
    // Also after a start, and what nobody needs is not freed.
    mirror.skep(&["gc", "--idle", "1s"]).exits(0);
    mirror.stop();
    let mirror = Served::start_in(&place, &arguments);
    away(&mirror);
}

#[test]
#[cfg_attr(not(has_curl), ignore = "curl is not installed")]
fn the_mirror_is_bounded_and_goes_where_it_may() {
    let hub = StandIn::new();
    let server = hub.serve(&["--mirror-repositories", "me/*,big/other"]);
    get(&server, "/api/models/big/model").is(404);
    assert!(hub.seen().is_empty());

    let server = hub.serve(&["--max-mirror-file-bytes", "500kB"]);
    get(&server, "/big/model/resolve/main/large.bin").is(507);
    get(&server, "/big/model/resolve/main/sub/small.txt").is(200);
    assert_eq!(hub.count("/content/"), 0);

    // What was asked for longest ago gives way.
    let server = hub.serve(&["--max-mirror-bytes", "600000"]);
    get(&server, "/big/model/resolve/main/sub/small.txt").is(200);
    get(&server, "/big/model/resolve/main/large.bin").is(200);
    let objects = server.dir.join(".skep/objects");
    until(|| std::fs::read_dir(&objects).unwrap().count() == 1);

    // Redirects without an end and to nowhere.
    for elsewhere in [
        "/big/model/resolve/0123456789abcdef0123456789abcdef01234567/x",
        "file:///etc/passwd",
        "https://u@x/",
    ] {
        let server = hub.serve(&[]);
        hub.set(|told| told.elsewhere = Some(elsewhere.to_owned()));
        let read = get(&server, "/big/model/resolve/main/sub/small.txt");
        assert!(read.code != 0 || read.status != 200, "{elsewhere}");
    }
    assert!(hub.content_port > 0);

    // An address that is none, and a token that others could read.
    for arguments in [
        &["--upstream", "huggingface.co"][..],
        &[
            "--upstream",
            "http://192.0.2.1",
            "--upstream-token-file",
            "/etc/hostname",
        ],
        &["--upstream", "https://pi", "--upstream-ca", "/etc/hostname"],
    ] {
        let place = Place::new();
        let mut command = place.skep(&[&["serve", "--plain", "--port", "0"], arguments].concat());
        run(&mut command).exits(2);
    }
}
