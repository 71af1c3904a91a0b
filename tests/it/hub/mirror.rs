// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A mirror: what is not here comes from another hub, once for all who ask, and is checked.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use serde_json::Value;

use crate::support::process::{DEADLINE, Place, digest, noise, run, until};
use crate::support::served::{Answer, Served};
use crate::support::stand_in::{HubFile, StandIn, TOKEN, git_oid, large, small};

/// A server behind a hub, which shows it the token.
fn mirror_in(place: &Place, hub: &StandIn, arguments: &[&str]) -> Served {
    place.secret("upstream-token", TOKEN);
    let token = place.home().join("upstream-token");
    let upstream = [
        "--plain",
        "--upstream",
        &hub.hub.url,
        "--upstream-token-file",
        token.to_str().unwrap(),
        "--mirror-repositories",
        "me/*,datasets/me/*",
    ];
    Served::start_in(place, &[&upstream, arguments].concat())
}

fn mirror(hub: &StandIn, arguments: &[&str]) -> Served {
    mirror_in(&Place::new(), hub, arguments)
}

fn sha256(bytes: &[u8]) -> String {
    digest(bytes).replace("sha256:", "")
}

fn files(model: &[u8]) -> Vec<HubFile> {
    vec![
        small("config.json", "{\"hidden_size\": 4}"),
        small("empty.txt", ""),
        large("model.bin", model),
        small("sub/deep.txt", "deep"),
    ]
}

/// How many files the mirror keeps.
fn kept(server: &Served) -> usize {
    let objects = fs::read_dir(server.dir.join(".skep/objects"));
    objects.map_or(0, Iterator::count)
}

/// Leads nobody anywhere else, and shows nothing that is meant for this server.
fn leads_nowhere(answer: Answer) -> Answer {
    for name in ["location", "set-cookie", "x-xet-hash"] {
        assert_eq!(answer.field(name), None, "{name}");
    }
    let links = answer.field("link").unwrap_or_default();
    assert!(!links.contains("xet"), "{links}");
    assert!(!answer.text().contains("xetHash"), "{}", answer.text());
    answer
}

#[test]
#[cfg_attr(not(has_curl), ignore = "curl is not installed")]
fn what_is_not_here_comes_from_the_upstream_and_is_kept() {
    let (hub, model) = (StandIn::start(), noise(1, 3_000_000));
    let commit = hub.keep("me/r", &files(&model));
    hub.keep("datasets/me/d", &[small("data.csv", "a,b")]);
    let server = mirror(&hub, &[]);
    let told = leads_nowhere(server.curl("/hf/api/models/me/r", &[]).is(200)).json();
    assert_eq!(told["sha"].as_str(), Some(commit.as_str()));

    let (mut path, mut paths) = (
        format!("/hf/api/models/me/r/tree/{commit}?recursive=true"),
        Vec::new(),
    );
    loop {
        let page = leads_nowhere(server.curl(&path, &[]).is(200));
        let entries = page.json();
        let entries = entries.as_array().unwrap().iter();
        paths.extend(entries.map(|entry| entry["path"].as_str().unwrap().to_owned()));
        let Some(link) = page.field("link") else {
            break;
        };
        let next = link.strip_prefix('<').unwrap().split_once('>').unwrap().0;
        path = next.strip_prefix(&server.url).unwrap().to_owned();
    }
    assert_eq!(
        paths,
        ["config.json", "empty.txt", "model.bin", "sub/deep.txt"]
    );

    for file in files(&model) {
        let tag = if file.is_lfs {
            sha256(&file.bytes)
        } else {
            git_oid(&file.bytes)
        };
        let path = format!("/hf/me/r/resolve/main/{}", file.path);
        // Before it is here, while it comes, and afterwards.
        for arguments in [&["-I"][..], &[], &["-I"], &[]] {
            let answer = leads_nowhere(server.curl(&path, arguments).is(200));
            assert_eq!(
                answer.field("etag"),
                Some(format!("\"{tag}\"").as_str()),
                "{path}"
            );
            assert_eq!(answer.field("x-repo-commit"), Some(commit.as_str()));
            let size = file.bytes.len().to_string();
            assert_eq!(answer.field("content-length"), Some(size.as_str()));
            if arguments.is_empty() {
                assert_eq!(answer.body, file.bytes, "{path}");
            }
        }
    }
    let part = server
        .curl("/hf/me/r/raw/main/model.bin", &["-r", "2999990-"])
        .is(206);
    assert_eq!(part.body, model[2_999_990..]);
    let data = server
        .curl("/hf/datasets/me/d/resolve/main/data.csv", &[])
        .is(200);
    assert_eq!(data.text(), "a,b");
    server.curl("/hf/api/models/me/r/refs", &[]).is(200);
    server.curl("/hf/api/models/me/r/commits/main", &[]).is(200);
    assert_eq!(hub.fetched("get "), 1, "{:?}", hub.content.heads());

    // It is nothing that the server has by itself.
    assert_eq!(server.names(), [""; 0]);
    let blob = format!("/v1/blobs/sha256/{}", sha256(&model));
    server.curl(&blob, &[]).is(404);

    // The token of the upstream goes there and nowhere else; that of a caller goes nowhere.
    let shown = format!("authorization: bearer {TOKEN}");
    assert!(hub.hub.heads().iter().all(|head| head.contains(&shown)));
    let content = hub.content.heads();
    assert!(
        content.iter().all(|head| !head.contains("authorization")),
        "{content:?}"
    );
    let password = server.password().to_ascii_lowercase();
    assert!(hub.hub.heads().iter().all(|head| !head.contains(&password)));
    let log = server.stop().stderr;
    assert!(!log.contains(TOKEN), "{log}");
}

#[test]
#[cfg_attr(not(has_curl), ignore = "curl is not installed")]
fn what_the_upstream_refuses_is_told_with_its_code() {
    let hub = StandIn::start();
    let commit = hub.keep("me/r", &files(b"model"));
    hub.keep("me/g", &[small("a.txt", "a"), large("b.bin", "b")]);
    let server = mirror(&hub, &[]);
    let refused = |path: &str, status: u16, code: &str| {
        let answer = leads_nowhere(server.curl(path, &[]).is(status));
        assert_eq!(answer.field("x-error-code"), Some(code), "{path}");
        answer
    };
    refused("/hf/api/models/me/none", 404, "reponotfound");
    refused("/hf/me/none/resolve/main/a", 404, "reponotfound");
    refused("/hf/api/models/me/r/revision/none", 404, "revisionnotfound");
    refused("/hf/me/r/resolve/none/config.json", 404, "revisionnotfound");
    let missing = refused("/hf/me/r/resolve/main/none", 404, "entrynotfound");
    assert_eq!(missing.field("x-repo-commit"), Some(commit.as_str()));

    // A name that a repository had leads to the one that it has.
    hub.conduct().renamed.insert("me/old", "me/r");
    let config = server
        .curl("/hf/me/old/resolve/main/config.json", &[])
        .is(200);
    assert_eq!(config.text(), "{\"hidden_size\": 4}");
    server.curl("/hf/api/models/me/old", &[]).is(200);
    server
        .curl("/hf/me/old/resolve/main/model.bin", &[])
        .is(200);

    // What the token does not open: it is told before any byte, to a HEAD as well.
    let place = Place::new();
    let arguments = [
        "--plain",
        "--upstream",
        &hub.hub.url,
        "--mirror-repositories",
        "*",
    ];
    let stranger = Served::start_in(&place, &arguments);
    hub.conduct().gated.insert("me/g");
    for (path, arguments) in [
        ("a.txt", &["-I"][..]),
        ("a.txt", &[]),
        ("b.bin", &["-I"]),
        ("b.bin", &[]),
    ] {
        let answer = stranger
            .curl(&format!("/hf/me/g/resolve/main/{path}"), arguments)
            .is(403);
        assert_eq!(answer.field("x-error-code"), Some("gatedrepo"), "{path}");
    }
    assert_eq!(
        server
            .curl("/hf/me/g/resolve/main/b.bin", &[])
            .is(200)
            .text(),
        "b"
    );

    // Whoever is to wait is told for how long.
    hub.conduct().answers = Some(
        "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 55\r\nRateLimit: \"api\";r=0;t=55\r\nContent-Length: 0\r\n\r\n",
    );
    let answer = server.curl("/hf/api/models/me/later", &[]).is(429);
    assert_eq!(answer.field("retry-after"), Some("55"));
    assert_eq!(answer.field("ratelimit"), Some("\"api\";r=0;t=55"));
}

#[test]
#[cfg_attr(not(has_curl), ignore = "curl is not installed")]
fn nothing_is_asked_for_those_who_may_not_read_and_of_what_is_not_listed() {
    let hub = StandIn::start();
    hub.keep("you/r", &files(b"model"));
    let server = mirror(&hub, &[]);
    for path in [
        "api/models/you/r",
        "you/r/resolve/main/config.json",
        "api/models/me/../you/r",
        "api/models/me/r/tree/main/../../../you/r",
        "api/models/me/r/tree/main/%2e%2e/%2E%2e/.%2e/you/r",
        "api/models/me/r/revision/%2e%2e",
    ] {
        let status = server.curl(&format!("/hf/{path}"), &[]).status;
        assert!([400, 404].contains(&status), "{status} {path}");
    }
    for path in ["api/models/me/r", "me/r/resolve/main/config.json"] {
        server.curl_as(&format!("/hf/{path}"), &[], b"").is(401);
    }
    assert_eq!(hub.hub.heads(), [""; 0]);

    // What is here is never asked for.
    server.place.file("a.txt", "own");
    server
        .skep(&["put", "a.txt", "--name", "me/own/a.txt"])
        .exits(0);
    let own = server.curl("/hf/me/own/resolve/main/a.txt", &[]).is(200);
    assert_eq!(own.text(), "own");
    server.curl("/hf/me/own/resolve/main/b.txt", &[]).is(404);
    assert_eq!(hub.hub.heads(), [""; 0]);
}

/// Asks for a file and reads so much of it.
fn begin(server: &Served, path: &str, bytes: usize) -> (TcpStream, Vec<u8>) {
    let address = server.url.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    let password = server.password();
    let head = format!(
        "GET {path} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {password}\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    let (mut read, mut piece) = (Vec::new(), [0; 65536]);
    let start = loop {
        let end = read.windows(4).position(|four| four == b"\r\n\r\n");
        if let Some(end) = end.filter(|end| read.len() - end - 4 >= bytes) {
            break end + 4;
        }
        let count = stream.read(&mut piece).unwrap();
        assert_ne!(count, 0, "{}", String::from_utf8_lossy(&read));
        read.extend_from_slice(&piece[..count]);
    };
    assert!(
        read.starts_with(b"HTTP/1.1 200"),
        "{}",
        String::from_utf8_lossy(&read[..start])
    );
    (stream, read.split_off(start))
}

#[test]
#[cfg_attr(not(has_curl), ignore = "curl is not installed")]
fn ten_askers_are_one_fetch_and_read_while_it_arrives() {
    let (hub, model) = (StandIn::start(), noise(2, 2_000_000));
    hub.keep("me/r", &files(&model));
    hub.conduct().hold_at = Some(1_000_000);
    let server = mirror(&hub, &[]);
    let path = "/hf/me/r/resolve/main/model.bin";
    let askers: Vec<_> = (0..10).map(|_| begin(&server, path, 900_000)).collect();
    hub.until_held(1);
    assert_eq!(kept(&server), 0);

    // None of those who wait keeps others from being answered.
    server.curl("/v1/models", &[]).is(200);
    server.curl("/hf/api/models/me/r", &[]).is(200);
    hub.release();
    for (mut stream, mut read) in askers {
        stream.read_to_end(&mut read).unwrap();
        assert_eq!(read, model);
    }
    assert_eq!(hub.fetched("get "), 1);
    assert_eq!(kept(&server), 1);
}

#[test]
#[cfg_attr(not(has_curl), ignore = "curl is not installed")]
fn a_fetch_that_is_cut_goes_on_where_it_ended() {
    let (hub, model) = (StandIn::start(), noise(3, 2_000_000));
    hub.keep("me/r", &files(&model));
    hub.conduct().cuts.extend([700_000, 700_000, 1_500_000]);
    let server = mirror(&hub, &[]);
    let answer = server.curl("/hf/me/r/resolve/main/model.bin", &[]).is(200);
    assert!(answer.body == model);
    let ranges: Vec<_> = hub
        .content
        .heads()
        .iter()
        .map(|head| {
            let range = head.lines().find_map(|line| line.strip_prefix("range: "));
            range.unwrap_or_default().to_owned()
        })
        .collect();
    assert_eq!(
        ranges,
        ["", "bytes=700000-", "bytes=700000-", "bytes=1500000-"]
    );
}

#[test]
#[cfg_attr(not(has_curl), ignore = "curl is not installed")]
fn with_the_upstream_away_what_is_here_is_served() {
    let (hub, model) = (StandIn::start(), noise(4, 2_000_000));
    let commit = hub.keep("me/r", &files(&model));
    let place = Place::new();
    // Each request asks for the branch again.
    let server = mirror_in(&place, &hub, &["--mirror-fresh", "none"]);
    server
        .curl("/hf/me/r/resolve/main/config.json", &[])
        .is(200);
    server.curl("/hf/api/models/me/r", &[]).is(200);

    // It goes in the middle of a file: nobody takes the part for the whole.
    hub.conduct().hold_at = Some(1_200_000);
    let (mut asker, mut read) = begin(&server, "/hf/me/r/resolve/main/model.bin", 1_000_000);
    hub.until_held(1);
    hub.go_down();
    assert!(asker.read_to_end(&mut read).is_err() || read.len() < model.len());

    let told = server.curl("/hf/api/models/me/r", &[]).is(200);
    assert_eq!(told.json()["sha"].as_str(), Some(commit.as_str()));
    assert!(told.field("x-hf-warning").is_some());
    let config = server
        .curl("/hf/me/r/resolve/main/config.json", &[])
        .is(200);
    assert_eq!(config.text(), "{\"hidden_size\": 4}");
    assert!(config.field("x-hf-warning").is_some());
    let at_commit = server.curl(&format!("/hf/me/r/resolve/{commit}/config.json"), &[]);
    assert!(at_commit.is(200).field("x-hf-warning").is_none());
    server.curl("/hf/api/models/me/new", &[]).is(503);
    assert!(
        server
            .curl("/hf/me/r/resolve/main/sub/deep.txt", &[])
            .status
            >= 500
    );

    // Also after a start, which learns nothing new.
    let log = server.stop().stderr;
    assert!(log.contains("mirror"), "{log}");
    let server = mirror_in(&place, &hub, &["--mirror-fresh", "none"]);
    let config = server
        .curl("/hf/me/r/resolve/main/config.json", &[])
        .is(200);
    assert_eq!(config.text(), "{\"hidden_size\": 4}");
    hub.come_back();
    hub.release();
    // For a moment nobody asks an upstream that was away.
    let path = format!("/hf/me/r/resolve/{commit}/model.bin");
    until(|| server.curl(&path, &["-I"]).status == 200);
    assert!(server.curl(&path, &[]).is(200).body == model);
}

#[test]
#[cfg_attr(not(has_curl), ignore = "curl is not installed")]
fn other_bytes_than_are_announced_reach_nobody_whole_and_are_not_kept() {
    let (hub, model) = (StandIn::start(), noise(5, 500_000));
    hub.keep("me/r", &files(&model));
    hub.conduct().is_wrong = true;
    let server = mirror(&hub, &[]);
    let paths = ["model.bin", "config.json"];
    for file in paths {
        let answer = server.curl(&format!("/hf/me/r/resolve/main/{file}"), &[]);
        assert_ne!(answer.code, 0, "{file} is taken for whole");
    }
    assert_eq!(kept(&server), 0);
    hub.conduct().is_wrong = false;
    for file in paths {
        let answer = server.curl(&format!("/hf/me/r/resolve/main/{file}"), &[]);
        assert_eq!(answer.code, 0, "{file}");
    }
    assert_eq!(kept(&server), 2);
    let log = server.stop().stderr;
    assert!(
        log.contains("other bytes than") || log.contains("digest"),
        "{log}"
    );
}

#[test]
#[cfg_attr(not(has_curl), ignore = "curl is not installed")]
fn files_are_bounded_and_those_that_were_asked_for_longest_ago_give_way() {
    let hub = StandIn::start();
    let all = ["a.bin", "b.bin", "c.bin"];
    let parts: Vec<_> = (0..3).map(|seed| noise(seed + 10, 40_000)).collect();
    let mut list: Vec<_> = all
        .iter()
        .zip(&parts)
        .map(|(path, bytes)| large(path, bytes))
        .collect();
    list.push(large("huge.bin", noise(9, 60_000)));
    hub.keep("me/r", &list);
    let server = mirror(
        &hub,
        &[
            "--max-mirror-bytes",
            "100000",
            "--max-mirror-file-bytes",
            "50000",
        ],
    );
    for (path, bytes) in all.iter().zip(&parts) {
        let answer = server
            .curl(&format!("/hf/me/r/resolve/main/{path}"), &[])
            .is(200);
        assert!(answer.body == *bytes);
    }
    assert_eq!(kept(&server), 2);
    server.curl("/hf/me/r/resolve/main/huge.bin", &[]).is(507);
    server
        .curl("/hf/me/r/resolve/main/huge.bin", &["-I"])
        .is(507);
    assert_eq!(hub.fetched("get /lfs/me/r/huge"), 0);
}

#[test]
#[cfg_attr(not(has_curl), ignore = "curl is not installed")]
fn a_redirect_leads_nobody_into_the_house() {
    // The upstream is no address of this house by its name, which leads here all the same.
    let hub = StandIn::start();
    hub.keep("me/r", &[large("m.bin", "model")]);
    let port = hub.hub.url.rsplit(':').next().unwrap().to_owned();
    let place = Place::new();
    let upstream = format!("http://localhost.localdomain:{port}");
    let reach = std::net::ToSocketAddrs::to_socket_addrs(&("localhost.localdomain", 1));
    if reach.is_ok() {
        let server = Served::start_in(&place, &["--plain", "--upstream", &upstream]);
        let answer = server.curl("/hf/me/r/resolve/main/m.bin", &[]);
        assert_ne!((answer.status, answer.code), (200, 0));
        assert_eq!(hub.content.heads(), [""; 0]);
    }

    // Nor to a line that is none.
    let server = mirror(&hub, &[]);
    for bad in [
        "file:///etc/passwd?",
        "gopher://127.0.0.1:1",
        "http://user@127.0.0.1:1",
    ] {
        hub.conduct().content = Some(bad.to_owned());
        let answer = server.curl("/hf/me/r/resolve/main/m.bin", &[]);
        assert_ne!((answer.status, answer.code), (200, 0), "{bad}");
    }
    assert_eq!(hub.content.heads(), [""; 0]);
}

#[test]
#[cfg_attr(not(has_curl), ignore = "curl is not installed")]
fn a_skep_is_the_upstream_of_another_one() {
    let origin = Served::start(&[]);
    let model = noise(6, 3_000_000);
    let folder = origin.place.path("bert");
    fs::create_dir_all(folder.join("sub")).unwrap();
    fs::write(folder.join("sub/model.bin"), &model).unwrap();
    fs::write(folder.join("config.json"), "{}").unwrap();
    fs::write(folder.join("empty"), "").unwrap();
    origin.skep(&["put", "bert", "--name", "me/bert"]).exits(0);

    let place = Place::new();
    place.secret("token", &origin.password());
    let (token, certificate) = (
        place.home().join("token"),
        origin.place.home().join("server.crt"),
    );
    let upstream = format!("{}/hf", origin.url);
    let server = Served::start_in(
        &place,
        &[
            "--upstream",
            &upstream,
            "--upstream-token-file",
            token.to_str().unwrap(),
            "--upstream-ca",
            certificate.to_str().unwrap(),
            "--mirror-repositories",
            "me/*",
        ],
    );
    let told = server
        .skep(&["mirror", "me/bert", "--json"])
        .exits(0)
        .json();
    assert_eq!(told["repositories"][0]["models"], 3);
    assert_eq!(told["repositories"][0]["size"], 3_000_002);
    // The same once more, and what is not there.
    server.skep(&["mirror", "me/bert@main"]).exits(0);
    server.skep(&["mirror", "me/none"]).exits(4);
    server.skep(&["mirror", "--datasets", "me/bert"]).exits(4);

    drop(origin);
    let commit = told["repositories"][0]["commit"].as_str().unwrap();
    for (path, bytes) in [
        ("sub/model.bin", &model[..]),
        ("config.json", b"{}"),
        ("empty", b""),
    ] {
        let answer = server
            .curl(&format!("/hf/me/bert/resolve/{commit}/{path}"), &[])
            .is(200);
        assert!(answer.body == bytes, "{path}");
    }
    let listed: Value = server
        .curl("/hf/api/models/me/bert/revision/main", &[])
        .is(200)
        .json();
    assert_eq!(listed["sha"].as_str(), Some(commit));
}

#[test]
fn what_a_token_opens_is_named_and_a_token_lies_apart_from_the_models() {
    let place = Place::new();
    place.secret("token", TOKEN);
    let token = place.home().join("token");
    fs::create_dir(place.path("dm_models")).unwrap();
    let among_models = place.file("dm_models/token", TOKEN);
    let refused = |arguments: &[&str], words: &str| {
        let serve = ["serve", "127.0.0.1", "--port", "0", "--plain", "--upstream"];
        let mut command = place.skep(&[&serve, arguments].concat());
        run(&mut command).exits(2).says(words);
    };

    let (loopback, by_file) = ("http://127.0.0.1:1", "--upstream-token-file");
    let all = ["--mirror-repositories", "*"];
    let token = token.to_str().unwrap();
    refused(&[loopback, by_file, token], "mirror-repositories");
    refused(&[loopback, "--anonymous-read"], "mirror-repositories");
    let among_models = among_models.to_str().unwrap();
    let arguments = [&[loopback, by_file, among_models], &all[..]].concat();
    refused(&arguments, "in the model directory");
    // It would go over a line that others can read.
    let arguments = [&["http://192.0.2.1:1", by_file, token], &all[..]].concat();
    refused(&arguments, "read");
    refused(&["ftp://127.0.0.1"], "https://");
}
