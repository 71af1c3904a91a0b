// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Lists: their pages, what they are asked for, and what hands change meanwhile.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

use serde_json::{Value, json};
use socket2::{Domain, Socket, Type};

use crate::support::pieces::{Target as _, head};
use crate::support::served::Served;
use crate::support::terminal::Terminal;

/// A server of these models, which were copied in by hand.
fn served(models: &[&str], arguments: &[&str]) -> Served {
    let server = Served::start(&[&["--plain"], arguments].concat());
    for model in models {
        by_hand(&server, model);
    }
    server
}

fn by_hand(server: &Served, model: &str) {
    let path = server.dir.join(model);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, model).unwrap();
}

fn names(list: &Value, member: &str) -> Vec<String> {
    let models = list[member].as_array().unwrap().iter();
    let names = models.map(|model| model["name"].as_str().unwrap());
    names.map(str::to_owned).collect()
}

fn list(server: &Served, query: &str) -> Value {
    let answer = server.curl(&format!("/v1/models{query}"), &[]);
    answer.is(200).json()
}

#[test]
#[cfg_attr(not(has_curl), ignore = "curl is not installed")]
fn a_slow_reader_never_gets_half_of_a_commit() {
    // More than the buffers of the two sockets have.
    let models: Vec<_> = (0..6000).map(|n| format!("me/{:a<240}", n)).collect();
    let (first, last) = (models[0].clone(), models[999].clone());
    let models: Vec<_> = models.iter().map(String::as_str).collect();
    let server = served(&models, &[]);
    let curl = |line: &[&str]| server.curl(line[1], &["-X", line[0], "-d", "new"]);
    let address: SocketAddr = server.address().parse().unwrap();

    for (names, is_whole) in [
        (vec!["other/a", "other/b"], true),
        (vec![&*first, &*last], false),
    ] {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).unwrap();
        socket.set_recv_buffer_size(2048).unwrap();
        socket.connect(&address.into()).unwrap();
        let mut reader = TcpStream::from(socket);
        let head = head(&server, "GET /v1/models", "Connection: close");
        reader.write_all(head.as_bytes()).unwrap();
        reader.read_exact(&mut [0; 100]).unwrap();

        let begun = curl(&["POST", "/v1/changes"]);
        let set = begun.field("location").unwrap();
        for name in names {
            curl(&["PUT", &format!("{set}/{name}")]).is(201);
        }
        curl(&["POST", set]).is(200);

        let mut rest = Vec::new();
        let _ = reader.read_to_end(&mut rest);
        assert_eq!(
            rest.ends_with(b"}\n\r\n0\r\n\r\n"),
            is_whole,
            "{} bytes",
            rest.len()
        );
    }
    assert_eq!(list(&server, "")["models"].as_array().unwrap().len(), 6002);
}

#[test]
#[cfg_attr(not(has_curl), ignore = "curl is not installed")]
fn a_link_leads_from_page_to_page() {
    let all: Vec<_> = (0..250).map(|n| format!("me/m{n:03} \u{f6}")).collect();
    let models: Vec<_> = all.iter().map(String::as_str).collect();
    let server = served(&models, &[]);
    by_hand(&server, "other");

    let (mut path, mut found, mut pages) =
        ("/v1/models?prefix=me/&limit=100".to_owned(), Vec::new(), 0);
    loop {
        let answer = server.curl(&path, &[]).is(200);
        let page = answer.json();
        found.extend(names(&page, "models"));
        pages += 1;
        let Some(link) = answer.field("link") else {
            assert!(page.get("next").is_none());
            break;
        };
        assert_eq!(page["next"], json!(found.last().unwrap()));
        let target = link.strip_prefix('<').unwrap();
        path = target.strip_suffix(">; rel=\"next\"").unwrap().to_owned();
    }
    assert_eq!((found, pages), (all, 3));

    // The same without a limit, in chunks.
    assert_eq!(names(&list(&server, "?prefix=me/"), "models").len(), 250);
    server.curl("/v1/models?limit=1", &["-I"]).is(200);
}

#[test]
#[cfg_attr(not(has_curl), ignore = "curl is not installed")]
fn a_query_says_what_is_listed_or_is_refused() {
    let models = ["a", "b/x", "b/y/z", "b.c", "c/d*", "c/de"];
    let server = served(&models, &["--keep-versions", "1"]);

    let shown = list(&server, "?folders=1");
    assert_eq!(names(&shown, "models"), ["a", "b.c"]);
    let folders = json!([{"name": "b/", "models": 2}, {"name": "c/", "models": 2}]);
    assert_eq!(shown["folders"], folders);
    let inner = list(&server, "?folders=1&prefix=b/");
    assert_eq!(names(&inner, "models"), ["b/x"]);
    assert_eq!(inner["folders"], json!([{"name": "b/y/", "models": 1}]));
    let matching = |pattern: &str| names(&list(&server, &format!("?match={pattern}")), "models");
    assert_eq!(matching("b/**"), ["b/x", "b/y/z"]);
    assert_eq!(matching("c/d*"), ["c/d*", "c/de"]);
    assert_eq!(matching("?"), ["a"]);
    assert!(matching("zz*").is_empty());

    for wrong in [
        "limit=0",
        "limit=x",
        "prefixx=a",
        "match=",
        "folders=2",
        "after=a&after=b",
    ] {
        let refused = server.curl(&format!("/v1/models?{wrong}"), &[]).is(400);
        let hint = refused.json()["hint"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        assert!(!hint.is_empty(), "{wrong}");
    }
    server.curl("/v1/models?token=x", &[]).is(400);

    // What is kept of removed models is told once, and only where it belongs.
    for name in ["b/x", "a"] {
        server
            .curl(&format!("/v1/models/{name}"), &["-X", "DELETE"])
            .is(204);
    }
    assert_eq!(names(&list(&server, "?prefix=b"), "kept"), ["b/x"]);
    assert!(list(&server, "?prefix=c").get("kept").is_none());
    assert!(list(&server, "?limit=1").get("kept").is_none());
    let last = list(&server, "?limit=2&after=c/d*");
    assert_eq!(names(&last, "kept").len(), 2);
}

#[test]
#[cfg_attr(not(has_curl), ignore = "curl is not installed")]
fn what_hands_change_is_in_the_next_list() {
    let server = served(&["a", "b/c/one"], &[]);
    let all = || names(&list(&server, ""), "models");
    assert_eq!(all(), ["a", "b/c/one"]);

    // At once, also within a tick of the clock of the file system.
    for round in 0..50 {
        let name = format!("b/c/{round:02}");
        by_hand(&server, &name);
        assert!(all().contains(&name), "{name}");
        fs::remove_file(server.dir.join(&name)).unwrap();
        assert!(!all().contains(&name), "{name}");
    }

    fs::rename(server.dir.join("b"), server.dir.join("d")).unwrap();
    assert_eq!(all(), ["a", "d/c/one"]);
    fs::create_dir(server.dir.join("b")).unwrap();
    fs::rename(server.dir.join("d/c"), server.dir.join("b/c")).unwrap();
    assert_eq!(all(), ["a", "b/c/one"]);
    fs::remove_dir_all(server.dir.join("b")).unwrap();
    fs::write(server.dir.join("b"), "").unwrap();
    assert_eq!(all(), ["a", "b"]);
}

fn lines(server: &Served, words: &[&str]) -> Vec<String> {
    let told = server.skep(words).exits(0).text();
    let firsts = told.lines().map(|line| line.split("  ").next().unwrap());
    firsts.map(str::to_owned).collect()
}

#[test]
fn ls_shows_folders_and_what_patterns_stand_for() {
    let models = ["a", "me/bert/x", "me/bert/y/z", "me/c*", "me/cat", "we/x"];
    let server = served(&models, &[]);
    let shown = |words: &[&str]| lines(&server, &[&["ls"], words].concat());

    // All, as a script expects it.
    assert_eq!(shown(&[]), models);
    assert_eq!(shown(&["me/"]), ["me/bert/", "me/c*", "me/cat"]);
    assert_eq!(shown(&["me"]), ["me/bert/", "me/c*", "me/cat"]);
    assert_eq!(shown(&["-R", "me"]), models[1..5]);
    assert_eq!(shown(&["me/b*", "a"]), ["a", "me/bert/"]);
    assert_eq!(shown(&["-R", "me/b*"]), models[1..3]);
    assert_eq!(shown(&["**/x"]), ["me/bert/x", "we/x"]);
    assert_eq!(shown(&["*"]), ["a", "me/", "we/"]);
    // What exists is meant literally.
    assert_eq!(shown(&["me/c*"]), ["me/c*"]);
    assert_eq!(shown(&["me/ca*"]), ["me/cat"]);

    for absent in ["zz", "zz/", "zz*", "me/bert/?/?/?"] {
        let told = server.skep(&["ls", absent]).exits(4).says(absent);
        assert!(!told.stderr.contains("no models on"), "{}", told.stderr);
    }
    server.skep(&["ls", "a", "zz*"]).exits(4);
    server
        .skep(&["ls", "-l", "me/"])
        .exits(0)
        .says("2 models, 11 bytes");
    let told = server.skep(&["ls", "-l", "me/"]).exits(0);
    assert!(
        told.stderr.contains("2 models in 1 folder"),
        "{}",
        told.stderr
    );
    assert!(
        told.stderr.contains("free on the server"),
        "{}",
        told.stderr
    );

    let told = server.skep(&["ls", "--json", "me/"]).exits(0).json();
    assert_eq!(told["folders"], json!([{"name": "me/bert/", "models": 2}]));
    let told = server.skep(&["ls", "--json"]).exits(0).json();
    assert!(told.get("folders").is_none());
}

#[test]
fn rm_of_a_pattern_asks_or_needs_a_word() {
    let models = ["a", "me/bert/x", "me/bert/y/z", "me/c*", "me/cat", "we/x"];
    let server = served(&models, &["--keep-versions", "1"]);

    // Nobody is there to ask.
    for meant in ["me/**", "me/", "?"] {
        server.skep(&["rm", meant]).exits(2).says("-y");
    }
    server.skep(&["rm", "-y", "zz*"]).exits(4);
    server.skep(&["rm", "-y", "a", "zz/"]).exits(4);
    assert_eq!(lines(&server, &["ls"]), models);

    // A name is a name, also with a star in it.
    let told = server.skep(&["rm", "me/c*", "--json"]).exits(0).json();
    assert_eq!(told["removed"], json!(["me/c*"]));
    server.skep(&["rm", "a"]).exits(0);
    server.skep(&["rm", "-y", "me/bert/"]).exits(0);
    assert_eq!(lines(&server, &["ls"]), ["me/cat", "we/x"]);

    // Old versions of what is gone are meant, too.
    server.skep(&["rm", "-y", "--versions", "me/**"]).exits(0);
    let told = server.skep(&["ls", "--json"]).exits(0).json();
    assert_eq!(names(&told, "kept"), ["a"]);
}

#[test]
#[cfg_attr(not(has_setsid), ignore = "setsid is not installed")]
fn rm_of_a_pattern_shows_what_would_go() {
    let server = served(&["me/one", "me/two", "we"], &[]);
    for (answer, code, left) in [("n", 1, 3), ("", 1, 3), ("yes", 0, 1)] {
        let mut terminal = Terminal::start(&server.command(&["rm", "me/*"]), 100);
        terminal.types(&format!("{answer}\r"));
        let (ended, _, screen) = terminal.ends();
        assert_eq!(ended, code, "{screen}");
        assert!(
            screen.contains("me/one") && screen.contains("me/two"),
            "{screen}"
        );
        assert!(screen.contains("remove 2 models"), "{screen}");
        assert_eq!(lines(&server, &["ls"]).len(), left, "{answer}");
    }
}
