// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The errors that a new user makes: one clear line, the right exit code, and nothing half-made.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::Stdio;

use rustix::process::Signal;

use crate::support::process::{Mounted, Place, Process, noise, one_line, run, run_with, until};
use crate::support::served::Served;

#[test]
fn a_wrong_or_missing_password_is_refused() {
    let server = Served::start(&[]);
    // The refusal is heard although most of the file is still under way.
    server.place.file("m", noise(1, 8 << 20));
    let mut wrong = server.command(&["put", "m"]);
    let refused = run(wrong.env("SKEP_PASSWORD", "wrong"))
        .exits(7)
        .says("password is wrong");
    one_line(&refused.says("SKEP_PASSWORD"));
    let stranger = Place::new();
    let mut without = server.command_of(&stranger, &["ls", "--accept-new"]);
    run(&mut without)
        .exits(7)
        .says("a password or a token is needed")
        .says("SKEP_PASSWORD");
    assert!(server.names().is_empty());
}

#[test]
fn a_server_that_is_not_there() {
    // A port that was free a moment ago.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    drop(listener);
    let place = Place::new();
    place.file("m", "x");
    for verb in ["put", "get", "cat", "rm", "post", "load"] {
        let mut command = place.skep(&[verb, "m", "--server", &url]);
        let outcome = run(command.env("SKEP_PASSWORD", "secret"));
        one_line(&outcome.exits(3).says("--server"));
    }
    run(&mut place.skep(&["ls", "--server", "https://no-such-host.invalid"])).exits(3);
    assert_eq!(place.read("m"), b"x");
}

#[test]
fn http_and_https_mixed_up() {
    for (flags, wrong, right) in [
        (&[][..], "http://", "https://"),
        (&["--plain"], "https://", "http://"),
    ] {
        let server = Served::start(flags);
        let url = server.url.replace(right, wrong);
        let outcome = server.skep(&["ls", "--server", &url]);
        assert_ne!(outcome.code, 0);
        one_line(&outcome.says(right));
    }
}

#[test]
fn a_port_that_is_taken() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let place = Place::new();
    let outcome = run(&mut place.skep(&["serve", "127.0.0.1", "--port", &port]));
    assert!(outcome.stdout.is_empty());
    one_line(&outcome.exits(2).says("--port").says(&port));
}

#[test]
fn directories_that_cannot_be_used() {
    let place = Place::new();
    place.file("file", "x");
    let serve = ["serve", "127.0.0.1", "--port", "0"];
    for dir in ["file", "file/below", "/proc/skep"] {
        let mut command = place.skep(&serve);
        one_line(&run(command.args(["--dir", dir])).exits(2).says(dir));
    }
    let mut command = place.skep(&serve);
    one_line(
        &run(command.env("SKEP_HOME", place.path("file")))
            .exits(2)
            .says("SKEP_HOME"),
    );
    let mut command = place.skep(&serve);
    run(command.env_remove("SKEP_HOME").env_remove("HOME"))
        .exits(2)
        .says("SKEP_HOME");
}

#[test]
fn files_and_models_that_are_not_there() {
    let server = Served::start(&[]);
    one_line(
        &server
            .skep(&["put", "missing.onnx"])
            .exits(4)
            .says("missing.onnx"),
    );
    server.skep(&["put", "."]).exits(2).says("directory");
    server.place.file("model.onnx", "x");
    server.skep(&["put", "model.onnx"]).exits(0);
    for verb in ["get", "cat", "rm"] {
        let outcome = server
            .skep(&[verb, "modle.onnx"])
            .exits(4)
            .says("model.onnx");
        one_line(&outcome);
    }
    assert_eq!(server.names(), ["model.onnx"]);
    // What is not there on this side is no fault of the server.
    std::os::unix::fs::symlink("nothing", server.place.path("dangling")).unwrap();
    for (target, advice) in [
        ("nowhere/x", "mkdir"),
        ("dangling", "remove"),
        ("model.onnx/x", "another path"),
    ] {
        let outcome = server.skep(&["get", "model.onnx", "-o", target]).exits(2);
        one_line(&outcome.says(target).says(advice));
    }
}

#[test]
fn posting_is_advised_to_those_who_post() {
    let server = Served::start(&["--plain"]);
    let said = server
        .skep(&["post", "."])
        .exits(2)
        .says("skep post ./*")
        .stderr;
    assert!(!said.contains("skep put"), "{said}");
    let said = server
        .skep(&["post", "-"])
        .exits(2)
        .says("'skep post FILE'")
        .stderr;
    assert!(!said.contains("skep put"), "{said}");
    server
        .skep(&["post", "--send-password", "missing"])
        .exits(4)
        .says("missing");
}

#[test]
fn names_cannot_lead_out_of_the_directory() {
    let server = Served::start(&[]);
    server.place.file("m", "x");
    for name in ["../x", "a/../b", "/a", "a/", ".hidden", "..", ""] {
        one_line(
            &server
                .skep(&["put", "m", "--name", name])
                .exits(2)
                .says("name"),
        );
        // A slash at the end means a folder, which is not there.
        let refused = if name == "a/" { 4 } else { 2 };
        server.skep(&["get", name]).exits(refused);
        server.skep(&["rm", "-y", name]).exits(refused);
    }
    assert!(server.names().is_empty());
    assert!(!server.place.path("x").exists());
}

#[test]
fn flags_and_values_that_do_not_exist() {
    let place = Place::new();
    run(&mut place.skep(&[])).exits(2).says("Usage");
    run(&mut place.skep(&["sevre"])).exits(2).says("serve");
    run(&mut place.skep(&["serve", "--prot", "1"]))
        .exits(2)
        .says("--port");
    run(&mut place.skep(&["ls", "--server", "ftp://x"])).exits(2);
    run(&mut place.skep(&["ls", "--server", "https://pi:8443/x"]))
        .exits(2)
        .says("path");
    for (flag, value) in [
        ("--timeout", "soon"),
        ("--port", "99999"),
        ("--max-upload-bytes", "1X"),
    ] {
        let outcome = run(&mut place.skep(&["serve", flag, value]));
        one_line(&outcome.exits(2).says(value).says(&flag[2..]));
    }
    let mut command = place.skep(&["serve"]);
    run(command.env("SKEP_WORKERS", "many"))
        .exits(2)
        .says("SKEP_WORKERS");
    run(&mut place.skep(&["serve", "here:there"]))
        .exits(2)
        .says("here:there");
    run(&mut place.skep(&["serve", "9000"]))
        .exits(2)
        .says("did you mean --port 9000");
    run(&mut place.skep(&["serve", "models"]))
        .exits(2)
        .says("the models are in --dir DIR");
    for (words, tip) in [
        (
            &["ls", "https://192.0.2.1:8443"][..],
            "--server https://192.0.2.1:8443",
        ),
        (&["status", "192.0.2.1"], "skep status --server 192.0.2.1"),
        (&["fingerprint", "--server", "x"], "skep fingerprint URL"),
        (
            &["get", "https://192.0.2.1:8443"],
            "--server https://192.0.2.1:8443",
        ),
    ] {
        run(&mut place.skep(words))
            .exits(2)
            .says("a server is named with")
            .says(tip);
    }
    run(&mut place.skep(&["help", "serv"]))
        .exits(2)
        .says("did you mean 'skep help serve'?");
    let secret = run(&mut place.skep(&["serve", "--passwort", "x"])).exits(2);
    assert!(!secret.stderr.contains("'--password'"), "{}", secret.stderr);
    run_with(&mut place.skep(&["ls", "--password-stdin"]), b"\n")
        .exits(2)
        .says("standard input: the password is empty");
    let mut command = place.skep(&["config"]);
    run(command.env("SKEP_MAX_CONECTIONS", "9")).exits(0).says(
        "SKEP_MAX_CONECTIONS is unknown and has no effect; did you mean SKEP_MAX_CONNECTIONS?",
    );
    place.file("one-file", "x");
    run(&mut place.skep(&["get", "a", "b", "-o", "one-file"]))
        .exits(2)
        .says("-o DIR/");
    for help in [
        &["help"][..],
        &["--help"],
        &["put", "--help"],
        &["--version"],
        &["version"],
    ] {
        let outcome = run(&mut place.skep(help)).exits(0);
        assert!(outcome.stderr.is_empty() && !outcome.stdout.is_empty());
    }
}

#[test]
fn one_directory_has_one_server() {
    let server = Served::start(&[]);
    let dir = server.dir.to_str().unwrap();
    let other = Place::new();
    let mut second = other.skep(&["serve", "127.0.0.1", "--port", "0", "--dir", dir]);
    one_line(&run(&mut second).exits(12).says(dir));
    // It goes free with its server, however that ended.
    server.process.signal(Signal::KILL);
    let (place, dir) = (server.place.clone(), dir.to_owned());
    server.process.finish();
    Served::start_in(&place, &["--dir", &dir]).stop().exits(0);
}

#[test]
fn the_ready_line_is_for_scripts() {
    let place = Place::new();
    let arguments = ["serve", "127.0.0.1", "--port", "0", "--json"];
    let process = Process::start(&mut place.skep(&arguments));
    let line = process.line().unwrap();
    let ready: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(
        (&ready["ready"], &ready["models"]),
        (&true.into(), &0.into())
    );
    assert!(
        ready["url"]
            .as_str()
            .is_some_and(|url| !url.ends_with(":0")),
        "{line}"
    );
    assert!(
        ready["digest"]
            .as_str()
            .is_some_and(|fp| fp.starts_with("sha256:")),
        "{line}"
    );
    process.signal(Signal::TERM);
    assert_eq!(process.finish().exits(0).text().lines().count(), 1);
}

#[test]
fn both_signals_end_a_server_well() {
    for signal in [Signal::INT, Signal::TERM] {
        let server = Served::start(&[]);
        server.process.signal(signal);
        server.process.finish().exits(0);
    }
    let server = Served::start(&[]);
    server.process.signal(Signal::HUP);
    server.skep(&["ls"]).exits(0);
}

#[test]
fn silent_connections_do_not_hold_up_the_end() {
    let server = Served::start(&["--plain", "--drain-timeout", "1h", "--head-timeout", "1h"]);
    let authority = server.url.trim_start_matches("http://").to_owned();
    let silent = TcpStream::connect(&authority).unwrap();
    let mut kept = TcpStream::connect(&authority).unwrap();
    kept.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        .unwrap();
    assert!(kept.read(&mut [0; 4096]).unwrap() > 0);
    server.stop().exits(0);
    drop((silent, kept));
}

#[test]
fn an_interrupted_put_leaves_nothing() {
    let server = Served::start(&[]);
    let mut command = server.command(&["put", "-", "--name", "slow"]);
    let mut putting = Process::start(command.stdin(Stdio::piped()));
    let mut pipe = putting.stdin();
    // More than all buffers on the way hold, so that the upload has begun.
    pipe.write_all(&noise(1, 16 << 20)).unwrap();
    assert_eq!(server.parts(), 1);
    putting.signal(Signal::INT);
    putting.finish().exits(130).says("interrupted");
    until(|| server.parts() == 0);
    assert!(server.names().is_empty());
    server.stop().exits(0);
}

#[test]
fn an_interrupted_get_leaves_nothing() {
    let place = Place::new();
    // A server that sends a part of a model and no more.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let getting = Process::start(&mut place.skep(&["get", "m", "--server", &url]));
    let (mut socket, _) = listener.accept().unwrap();
    let _ = socket.read(&mut [0; 4096]).unwrap();
    socket
        .write_all(b"HTTP/1.1 200 OK\r\nETag: W/\"1\"\r\nContent-Length: 1000000\r\n\r\n")
        .unwrap();
    socket.write_all(&noise(1, 500_000)).unwrap();
    let files = || fs::read_dir(place.path("")).unwrap().count();
    until(|| files() > 0);
    assert_eq!(files(), 1, "the part is beside its target");
    getting.signal(Signal::INT);
    getting.finish().exits(130).says("interrupted");
    assert_eq!(files(), 0);
}

#[test]
fn a_download_that_is_cut_is_no_file() {
    let place = Place::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    place.file("m", "old");
    let getting = Process::start(&mut place.skep(&["get", "m", "--server", &url]));
    let (mut socket, _) = listener.accept().unwrap();
    let _ = socket.read(&mut [0; 4096]).unwrap();
    socket
        .write_all(b"HTTP/1.1 200 OK\r\nETag: W/\"1\"\r\nContent-Length: 10\r\n\r\nhalf")
        .unwrap();
    drop((socket, listener));
    let code = getting.finish().code;
    assert!([3, 5].contains(&code), "{code}");
    assert_eq!(place.read("m"), b"old");
    assert_eq!(fs::read_dir(place.path("")).unwrap().count(), 1);
}

#[test]
#[cfg_attr(not(has_mounts), ignore = "no file system can be mounted here")]
#[cfg_attr(not(has_mount), ignore = "mount is not installed")]
fn a_full_disk_keeps_the_old_content() {
    let place = Place::new();
    let disk = place.path("disk");
    fs::create_dir(&disk).unwrap();
    let mounted = Mounted::new(&place, &["-t", "tmpfs", "-o", "size=4m", "tmpfs"]);
    let server = Served::start_in(&place, &["--dir", "disk/models", "--reserve-bytes", "0"]);
    place.file("small", "small");
    place.file("large", noise(1, 8 << 20));
    server.skep(&["put", "small", "--name", "m"]).exits(0);
    one_line(
        &server
            .skep(&["put", "large", "--name", "m"])
            .exits(8)
            .says("space"),
    );
    let mut command = server.command(&["put", "-", "--name", "m"]);
    run_with(&mut command, &noise(1, 8 << 20))
        .exits(8)
        .says("space");
    assert_eq!(server.skep(&["cat", "m"]).exits(0).stdout, b"small");
    assert_eq!((server.names(), server.parts()), (vec!["m".to_owned()], 0));
    // The other way round: the disk of the client is full.
    fs::write(server.dir.join("large"), noise(1, 3 << 20)).unwrap();
    let full = server.skep(&["get", "large", "-o", "disk/copy"]).exits(8);
    one_line(&full.says("disk/copy").says("space"));
    assert_eq!(fs::read_dir(&disk).unwrap().count(), 1);
    server.stop().exits(0);
    drop(mounted);
}

#[test]
fn no_suggestion_reaches_beyond_the_thing_itself() {
    fn look(folder: &std::path::Path, seen: &mut usize) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                look(&path, seen);
                continue;
            }
            if path.extension().is_none_or(|end| end != "rs") {
                continue;
            }
            let text = fs::read_to_string(&path).unwrap();
            for line in text.lines() {
                let words: Vec<_> = line
                    .split(|c: char| c.is_whitespace() || "\"`'".contains(c))
                    .collect();
                let is_command = |word: &&str| ["chown", "chmod", "chgrp", "rm"].contains(word);
                let Some(at) = words.iter().position(is_command) else {
                    continue;
                };
                *seen += 1;
                let flags = words[at + 1..]
                    .iter()
                    .take_while(|word| word.starts_with('-'));
                let is_deep = |flag: &&str| {
                    *flag == "--recursive"
                        || !flag.starts_with("--") && flag.contains(['R', 'r', 'f'])
                };
                assert!(!flags.clone().any(is_deep), "{}: {line}", path.display());
            }
        }
    }

    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut seen = 0;
    look(&root.join("src"), &mut seen);
    assert!(seen > 5, "{seen}");
}

#[test]
fn one_rule_holds_for_times_sizes_and_numbers_of_every_flag() {
    let server = Served::start(&[]);
    server.place.file("m", "x");
    for flag in [
        "--timeout",
        "--connect-timeout",
        "--limit-rate",
        "--retries",
    ] {
        let value = if flag == "--retries" { "5" } else { " 9 " };
        for value in [value, "none", "NONE", "0"] {
            server.skep(&["put", "m", "--always", flag, value]).exits(0);
        }
        let said = server.skep(&["put", "m", flag, "soon"]).exits(2);
        one_line(&said.says(&format!("{flag}: write ")).says("or none"));
    }
    for (flag, variable) in [
        ("--timeout", "SKEP_TIMEOUT"),
        ("--limit-rate", "SKEP_LIMIT_RATE"),
    ] {
        let said = server.skep(&["put", "m", flag, "-5"]).exits(2);
        one_line(&said.says(&format!("{flag}: write ")));
        let mut command = server.command(&["put", "m"]);
        let said = run(command.env(variable, "soon")).exits(2);
        one_line(&said.says(&format!("the variable {variable}: write ")));
    }
    let url = server.url.as_str();
    server
        .skep(&["fingerprint", url, "--connect-timeout", "none"])
        .exits(0);
    for (words, value, told) in [
        (&["invite", "--expires"][..], "none", "it cannot be none"),
        (&["invite", "--expires"], "0", "more than 0"),
        (&["token", "new", "a", "--expires"], "0", "more than 0"),
        (&["token", "new", "a", "--expires"], "101y", "nor a day"),
        (&["serve", "--drain-timeout"], "none", "switched off"),
        (&["serve", "--lockout-time"], "0", "more than 0"),
    ] {
        let said = server.skep(&[words, &[value]].concat()).exits(2);
        one_line(&said.says(told).says("--"));
    }
    let said = server.skep(&["token", "new", "a", "--expires", "tomorrow"]);
    let said = said
        .exits(2)
        .says("write it as 90d, 12h, 2027-01-31 or none");
    assert_eq!(said.stderr.matches("write ").count(), 1, "{}", said.stderr);
    let made = server.skep(&["token", "new", "a", "--expires", "none", "--json"]);
    assert!(made.exits(0).json()["expires"].is_null());
    server
        .skep(&["token", "new", "b", "--expires", "60"])
        .exits(0);
    let list = server.skep(&["token", "ls"]).exits(0).text();
    assert!(
        list.contains("for ever") && list.contains("until"),
        "{list}"
    );
}

#[test]
fn a_list_has_columns_of_cells_and_an_empty_one_says_so() {
    let server = Served::start(&[]);
    let empty = server.skep(&["ls"]).exits(0);
    assert_eq!(empty.text(), "");
    one_line(&empty.says("there are no models on this server"));
    let quiet = server.skep(&["ls", "-q"]).exits(0);
    assert_eq!((quiet.text(), quiet.stderr), (String::new(), String::new()));

    // A letter takes one cell, two (CJK), or none (a combining accent).
    for (name, cells) in [
        ("model.onnx", 10),
        ("\u{6a21}\u{578b}.dm", 7),
        ("e\u{301}.txt", 5),
    ] {
        server.place.file(name, "x");
        server.skep(&["put", name]).exits(0);
        let list = server.skep(&["ls"]).exits(0).text();
        let line = list.lines().find(|line| line.starts_with(name)).unwrap();
        let gap = line[name.len()..].bytes().take_while(|byte| *byte == b' ');
        assert_eq!(gap.count(), 10 - cells + 2, "{list}");
    }
}

#[test]
fn without_a_terminal_progress_is_a_line_for_each_tenth() {
    let server = Served::start(&[]);
    server.place.file("big", noise(1, 8 << 20));
    server.skep(&["put", "big"]).exits(0);
    let get = ["get", "big", "-o", "copy", "--limit-rate", "2MiB"];
    let said = server.skep(&get).exits(0).stderr;
    let lines: Vec<_> = said.lines().collect();
    assert!((2..=10).contains(&lines.len()), "{said}");
    let percents = lines.iter().map(|line| {
        let rest = line.strip_prefix("skep: big: ").unwrap();
        let (percent, rest) = rest.split_once(" % (").unwrap();
        assert!(rest.ends_with(" MiB of 8.00 MiB)"), "{line}");
        percent.parse::<u32>().unwrap()
    });
    let percents: Vec<_> = percents.collect();
    assert!(
        percents.is_sorted() && percents.last() == Some(&100),
        "{said}"
    );
    assert!(!said.contains(['\r', '\u{1b}']), "{said:?}");

    for flag in ["-q", "--no-progress"] {
        let said = server.skep(&[&get[..], &[flag]].concat()).exits(0).stderr;
        assert_eq!(said, "", "{flag}");
    }
}

#[test]
fn a_reader_that_has_gone_away_is_told_by_141_and_by_nothing_else() {
    let server = Served::start(&[]);
    fs::write(server.dir.join("m"), noise(1, 1 << 20)).unwrap();
    for words in [
        &["ls"][..],
        &["cat", "m"],
        &["ls", "--json"],
        &["config"],
        &["show", "m"],
    ] {
        let (read, write) = std::io::pipe().unwrap();
        drop(read);
        let mut command = server.command(words);
        let output = command
            .stdout(write)
            .stderr(Stdio::piped())
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(141), "{words:?}");
        assert_eq!(output.stderr, b"", "{words:?}");
    }
}
