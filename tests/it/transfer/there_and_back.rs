// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Bytes in are bytes out: by the client and by curl, over HTTPS and plain.

use std::ffi::OsStr;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::UnixStream;

use crate::support::process::{Place, Process, digest, noise, run, run_with};
use crate::support::served::Served;

#[test]
fn the_client_puts_lists_gets_and_removes() {
    for arguments in [&[][..], &["--plain"]] {
        let server = Served::start(arguments);
        assert_eq!(server.fp.is_some(), arguments.is_empty());
        let bytes = noise(1, 100_000);
        server.place.file("m.onnx", &bytes);
        let put = server.skep(&["put", "m.onnx"]).exits(0).text();
        assert!(
            put.contains(&digest(&bytes)) && put.contains("created"),
            "{put}"
        );
        let list = server.skep(&["ls", "-l"]).exits(0).text();
        assert!(
            list.starts_with("m.onnx  100000  ") && list.contains(&digest(&bytes)),
            "{list}"
        );
        let got = server
            .skep(&["get", "m.onnx", "-o", "copy"])
            .exits(0)
            .text();
        assert_eq!(got, "copy\n");
        assert_eq!(server.place.read("copy"), bytes);
        assert_eq!(server.skep(&["cat", "m.onnx"]).exits(0).stdout, bytes);
        server.skep(&["rm", "m.onnx"]).exits(0);
        assert!(server.names().is_empty());
        server.skep(&["get", "m.onnx", "-o", "none"]).exits(4);
        assert!(!server.place.path("none").exists());
        server.stop().exits(0);
    }
}

#[test]
fn several_files_standard_input_and_a_directory() {
    let server = Served::start(&[]);
    for name in ["a", "b", "c"] {
        server.place.file(name, name.repeat(1000));
    }
    server.skep(&["put", "a", "b", "c"]).exits(0);
    run_with(
        &mut server.command(&["put", "-", "--name", "words.txt"]),
        b"one two",
    )
    .exits(0);
    assert_eq!(server.names(), ["a", "b", "c", "words.txt"]);
    fs::create_dir(server.place.path("into")).unwrap();
    server
        .skep(&["get", "a", "b", "words.txt", "-o", "into/"])
        .exits(0);
    assert_eq!(server.place.read("into/words.txt"), b"one two");
    assert_eq!(server.place.read("into/b"), "b".repeat(1000).as_bytes());
    assert_eq!(
        server.skep(&["get", "a", "-o", "-"]).exits(0).stdout,
        "a".repeat(1000).as_bytes()
    );
    // What can be done is done, and the first failure decides the exit code.
    server
        .skep(&["get", "nowhere", "c", "-o", "into/"])
        .exits(4);
    assert_eq!(server.place.read("into/c"), "c".repeat(1000).as_bytes());
    server.skep(&["rm", "a", "b"]).exits(0);
    assert_eq!(server.names(), ["c", "words.txt"]);
}

#[test]
fn a_directory_that_is_not_there_is_made() {
    let server = Served::start(&[]);
    server.place.file("m", "x");
    server.skep(&["put", "m"]).exits(0);
    server.skep(&["get", "none", "-o", "new/"]).exits(4);
    assert!(!server.place.path("new").exists());
    server
        .skep(&["get", "m", "-o", "new/"])
        .exits(0)
        .says("created the directory new/");
    assert_eq!(server.place.read("new/m"), b"x");
    let quiet = server.skep(&["get", "m", "-o", "other/", "-q"]).exits(0);
    server
        .skep(&["get", "m", "m", "-o", "other"])
        .exits(2)
        .says("named twice");
    assert_eq!(
        (quiet.stderr.as_str(), server.place.read("other/m")),
        ("", b"x".to_vec())
    );
    // It is as open as one that mkdir makes.
    fs::create_dir(server.place.path("plain")).unwrap();
    let mode = |name: &str| server.place.path(name).metadata().unwrap().permissions();
    assert_eq!(mode("new"), mode("plain"));
    server
        .skep(&["get", "m", "-o", "m/x/"])
        .exits(2)
        .says("m/x/");
}

#[test]
fn standard_output_by_any_name_is_written_to_and_not_replaced() {
    let server = Served::start(&[]);
    server.place.file("m", "bytes");
    server.skep(&["put", "m"]).exits(0);
    for name in ["-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"] {
        let mut file = fs::File::create(server.place.path("log")).unwrap();
        file.write_all(b"before ").unwrap();
        let mut command = server.command(&["get", "m", "-o", name]);
        assert!(command.stdout(file).status().unwrap().success());
        assert_eq!(server.place.read("log"), b"before bytes", "{name}");
    }
}

#[test]
fn bytes_that_nobody_could_verify_are_noted() {
    let place = Place::new();
    for flags in [&[][..], &["-q"]] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let words = ["get", "m", "--server", &url];
        let getting = Process::start(&mut place.skep(&[&words, flags].concat()));
        let (mut socket, _) = listener.accept().unwrap();
        let _ = socket.read(&mut [0; 4096]).unwrap();
        socket
            .write_all(b"HTTP/1.1 200 OK\r\nETag: W/\"1\"\r\nContent-Length: 1\r\n\r\nx")
            .unwrap();
        getting.finish().exits(10).says("could not be verified");
    }
}

#[test]
fn the_client_reads_abstract_names_as_the_server_prints_them() {
    let place = Place::new();
    let address = format!("unix:@skep transfer \\x5c{}", std::process::id());
    let process = Process::start(&mut place.skep(&["serve", &address]));
    let line = process.line().unwrap();
    let url = line.split(' ').nth(2).unwrap();
    assert!(url.contains("\\x20transfer\\x20\\x5c"), "{line}");
    run(&mut place.skep(&["ls", "--server", url])).exits(0);
}

#[test]
fn a_second_put_replaces() {
    let server = Served::start(&[]);
    server.place.file("m", "old");
    server.skep(&["put", "m"]).exits(0);
    server.place.file("m", "newer");
    let put = server.skep(&["put", "m"]).exits(0).text();
    assert!(put.contains("replaced"), "{put}");
    assert_eq!(server.skep(&["cat", "m"]).exits(0).stdout, b"newer");
    assert_eq!(server.parts(), 0);
}

#[test]
fn of_many_puts_to_one_name_one_wins() {
    let server = Served::start(&[]);
    let bytes = |number: u64| noise(number, 200_000);
    let puts = (0..8).map(|number| {
        let file = format!("file-{number}");
        server.place.file(&file, bytes(number));
        Process::start(&mut server.command(&["put", &file, "--name", "m"]))
    });
    for put in puts.collect::<Vec<_>>() {
        put.finish().exits(0);
    }
    let found = server.skep(&["cat", "m"]).exits(0).stdout;
    assert!((0..8).any(|number| bytes(number) == found));
    assert_eq!((server.names(), server.parts()), (vec!["m".to_owned()], 0));
}

#[test]
fn an_empty_model_is_a_model() {
    let server = Served::start(&[]);
    server.place.file("empty", "");
    server.skep(&["put", "empty"]).exits(0);
    assert_eq!(server.skep(&["cat", "empty"]).exits(0).stdout, b"");
    server.skep(&["get", "empty", "-o", "copy"]).exits(0);
    assert_eq!(server.place.read("copy"), b"");
}

#[test]
fn sixty_four_mebibytes_go_there_and_back() {
    let server = Served::start(&[]);
    let bytes = noise(64, 64 << 20);
    server.place.file("large", &bytes);
    let put = server.skep(&["put", "large"]).exits(0).text();
    assert!(put.contains(&digest(&bytes)), "{put}");
    server.skep(&["get", "large", "-o", "copy"]).exits(0);
    assert!(server.place.read("copy") == bytes);
}

#[test]
#[cfg_attr(not(target_os = "linux"), ignore = "only Linux tells the peak")]
fn memory_does_not_grow_with_the_size_of_a_model() {
    let server = Served::start(&[]);
    server.place.file("large", noise(7, 256 << 20));
    server.skep(&["put", "large"]).exits(0);
    server.skep(&["get", "large", "-o", "copy"]).exits(0);
    let status = fs::read_to_string(format!("/proc/{}/status", server.process.id())).unwrap();
    let peak = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .unwrap();
    let kibibytes: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
    // A build for tests is larger than a release, and both are far below the model.
    let most = if cfg!(debug_assertions) { 48 } else { 16 };
    assert!(kibibytes <= most * 1024, "{kibibytes} KiB");
}

#[test]
fn json_output_is_json() {
    let server = Served::start(&[]);
    server.place.file("m", "x");
    let put = server.skep(&["put", "m", "--json"]).exits(0).json();
    assert_eq!(put["models"][0]["outcome"], "created");
    assert_eq!(put["models"][0]["digest"], digest(b"x"));
    let list = server.skep(&["ls", "--json"]).exits(0).json();
    assert_eq!(list["models"][0]["name"], "m");
    let got = server
        .skep(&["get", "m", "--json", "-o", "copy"])
        .exits(0)
        .json();
    assert_eq!(got["files"][0]["path"], "copy");
    assert_eq!(
        server.skep(&["rm", "m", "--json"]).exits(0).json()["schema"],
        1
    );
    assert_eq!(
        server.skep(&["ls", "--json"]).exits(0).json()["models"]
            .as_array()
            .unwrap()
            .len(),
        0
    );
}

#[test]
fn a_file_is_a_model_and_a_model_is_a_file() {
    let server = Served::start(&[]);
    fs::write(server.dir.join("by-hand"), "copied").unwrap();
    assert_eq!(server.skep(&["cat", "by-hand"]).exits(0).stdout, b"copied");
    fs::write(server.dir.join("by-hand"), "changed in place").unwrap();
    assert_eq!(
        server.skep(&["cat", "by-hand"]).exits(0).stdout,
        b"changed in place"
    );
    fs::remove_file(server.dir.join("by-hand")).unwrap();
    server.skep(&["cat", "by-hand"]).exits(4);
    assert_eq!(server.skep(&["ls"]).exits(0).text(), "");
    // What is not a plain file of the directory is not a model.
    std::os::unix::fs::symlink("/etc/passwd", server.dir.join("link")).unwrap();
    fs::create_dir(server.dir.join("folder")).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(server.dir.join("socket")).unwrap();
    UnixStream::connect(server.dir.join("socket")).unwrap();
    for name in ["link", "folder", "socket", ".skep"] {
        assert_ne!(server.skep(&["cat", name]).code, 0, "{name}");
    }
    // Nor is what has a name that no client could write.
    fs::write(server.dir.join("esc\x1b[2J"), "x").unwrap();
    fs::write(server.dir.join(OsStr::from_bytes(b"\xff")), "x").unwrap();
    assert_eq!(server.skep(&["ls"]).exits(0).text(), "");
}

#[test]
#[cfg_attr(not(has_wget), ignore = "wget is not installed")]
fn wget_goes_on_where_it_stopped() {
    let server = Served::start(&["--plain"]);
    let bytes = noise(3, 3 << 20);
    server.place.file("m", &bytes);
    server.skep(&["put", "m"]).exits(0);
    server.place.file("partial", &bytes[..1 << 20]);
    let url = format!("{}/v1/models/m", server.url);
    let mut wget = server.place.command("wget");
    wget.args([
        "-c",
        "-O",
        "partial",
        "--auth-no-challenge",
        "--user",
        "x",
        "--password",
    ]);
    let outcome = run(wget.args([server.password(), url])).exits(0);
    assert!(server.place.read("partial") == bytes);
    let said = outcome.stderr;
    assert!(
        said.contains("206 Partial Content") && said.contains("2097152"),
        "{said}"
    );
    server.stop().exits(0);
}

#[test]
#[cfg_attr(not(has_curl), ignore = "curl is not installed")]
fn curl_stores_and_fetches() {
    for arguments in [&[][..], &["--plain"]] {
        let server = Served::start(arguments);
        let bytes = noise(2, 3 << 20);
        server.place.file("m", &bytes);
        let path = "/v1/models/m";
        let put = server.curl(path, &["-T", "m"]).is(201);
        assert_eq!(put.json()["digest"], digest(&bytes));
        assert!(put.field("location").is_some_and(|place| place == path));
        server.curl(path, &["-T", "m"]).is(200);
        server.curl(path, &["-o", "copy"]).is(200);
        assert!(server.place.read("copy") == bytes);
        server.place.file("partial", &bytes[..1 << 20]);
        server.curl(path, &["-C", "-", "-o", "partial"]).is(206);
        assert!(server.place.read("partial") == bytes);
        let part = server.curl(path, &["-r", "10-19"]).is(206);
        assert_eq!(
            (part.body.as_slice(), part.field("content-range")),
            (&bytes[10..20], Some("bytes 10-19/3145728"))
        );
        server.curl(path, &["-r", "3145728-"]).is(416);
        let head = server.curl(path, &["-I"]).is(200);
        assert_eq!(head.field("content-length"), Some("3145728"));
        assert_eq!(head.field("x-content-type-options"), Some("nosniff"));
        server.curl(path, &["-X", "DELETE"]).is(204);
        server.curl(path, &["-X", "DELETE"]).is(404);
        server.curl(path, &[]).is(404);
    }
}

#[test]
#[cfg_attr(not(has_curl), ignore = "curl is not installed")]
fn chunked_uploads_and_expectations_are_taken() {
    let server = Served::start(&[]);
    let user = format!(":{}", server.password());
    let bytes = noise(3, 300_000);
    let sent = ["-u", user.as_str(), "-T", "-"];
    server.curl_as("/v1/models/chunked", &sent, &bytes).is(201);
    let expecting = ["-u", user.as_str(), "-T", "-", "-H", "Expect: 100-continue"];
    server
        .curl_as("/v1/models/expected", &expecting, &bytes)
        .is(201);
    assert_eq!(fs::read(server.dir.join("chunked")).unwrap(), bytes);
    assert_eq!(fs::read(server.dir.join("expected")).unwrap(), bytes);
}

#[test]
#[cfg_attr(not(has_curl), ignore = "curl is not installed")]
fn preconditions_hold_or_nothing_changes() {
    let server = Served::start(&[]);
    server.place.file("one", "one");
    server.place.file("two", "two");
    let path = "/v1/models/m";
    let tag = server
        .curl(path, &["-T", "one"])
        .is(201)
        .field("etag")
        .unwrap()
        .to_owned();
    let (known, wanted) = (format!("If-None-Match: {tag}"), format!("If-Match: {tag}"));
    server.curl(path, &["-H", &known]).is(304);
    server.curl(path, &["-H", &wanted]).is(200);
    server
        .curl(path, &["-T", "two", "-H", "If-None-Match: *"])
        .is(412);
    server
        .curl(path, &["-T", "two", "-H", "If-Match: \"sha256-other\""])
        .is(412);
    assert_eq!(fs::read(server.dir.join("m")).unwrap(), b"one");
    server.curl(path, &["-T", "two", "-H", &wanted]).is(200);
    server.curl(path, &["-X", "DELETE", "-H", &wanted]).is(412);
    server.curl(path, &["-H", &known]).is(200);
    assert_eq!(fs::read(server.dir.join("m")).unwrap(), b"two");
    let false_digest = "Repr-Digest: sha-256=:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=:";
    server
        .curl(path, &["-T", "one", "-H", false_digest])
        .is(422);
    assert_eq!(
        (fs::read(server.dir.join("m")).unwrap(), server.parts()),
        (b"two".to_vec(), 0)
    );
}

#[test]
#[cfg_attr(not(has_curl), ignore = "curl is not installed")]
fn both_ways_to_show_a_password_work_and_none_is_refused() {
    let server = Served::start(&[]);
    let user = format!("anybody:{}", server.password());
    let bearer = format!("Authorization: Bearer {}", server.password());
    server.curl_as("/v1/models", &["-u", &user], &[]).is(200);
    server.curl_as("/v1/models", &["-H", &bearer], &[]).is(200);
    let refused = server.curl_as("/v1/models", &[], &[]).is(401);
    assert!(refused.field("www-authenticate").is_some());
    assert_eq!(
        refused.field("content-type"),
        Some("application/problem+json")
    );
    server
        .curl_as("/v1/models", &["-u", "anybody:wrong"], &[])
        .is(401);
    server.curl_as("/v1/models/m", &["-T", "-"], b"x").is(401);
    assert!(server.names().is_empty());
    server.curl_as("/healthz", &[], &[]).is(200);
}

#[test]
#[cfg_attr(not(has_curl), ignore = "curl is not installed")]
fn names_are_decoded_once_and_checked() {
    let server = Served::start(&[]);
    server.place.file("m", "x");
    server
        .curl(
            "/v1/models/my%20m%C3%B6del%20%F0%9F%90%9D.onnx",
            &["-T", "m"],
        )
        .is(201);
    assert_eq!(server.names(), ["my m\u{f6}del \u{1f41d}.onnx"]);
    let got = server
        .curl("/v1/models/my%20m%C3%B6del%20%F0%9F%90%9D.onnx", &[])
        .is(200);
    let saved_as = got.field("content-disposition").unwrap();
    assert!(
        saved_as.contains("filename*=utf-8''my%20m%c3%b6del"),
        "{saved_as}"
    );
    assert_eq!(
        run(&mut server.command(&["cat", &server.names()[0]]))
            .exits(0)
            .stdout,
        b"x"
    );
    for bad in [
        "..%2fx", "%2e%2e", ".skep", "a%00b", "%ff", "a%5cb", "a%0ab",
    ] {
        server
            .curl(&format!("/v1/models/{bad}"), &["-T", "m"])
            .is(400);
        server.curl(&format!("/v1/models/{bad}"), &[]).is(400);
    }
    assert!(!server.place.path("x").exists());
}

#[test]
#[cfg_attr(not(has_curl), ignore = "curl is not installed")]
fn other_paths_and_methods_are_told_apart() {
    let server = Served::start(&[]);
    server.curl("/nowhere", &[]).is(404);
    let wrong = server
        .curl("/v1/models/m", &["-X", "PATCH", "-d", "x"])
        .is(405);
    let allow = wrong.field("allow").unwrap();
    assert!(
        ["get", "head", "put", "post", "delete"]
            .iter()
            .all(|word| allow.contains(word)),
        "{allow}"
    );
    for (method, path, hint) in [
        ("PUT", "/v1/models", "PUT /v1/models/NAME"),
        ("POST", "/v1/models/", "POST /v1/models/NAME"),
        ("DELETE", "/v1/models", "DELETE /v1/models/NAME"),
        ("PUT", "/v1/info/m", "this path takes GET, HEAD, OPTIONS"),
        ("GET", "/v1/pair", "this path takes POST, OPTIONS"),
    ] {
        let answer = server.curl(path, &["-X", method]).is(405);
        assert_eq!(answer.json()["hint"], hint, "{method} {path}");
    }
    assert_eq!(server.curl("/v1/models/m", &["-X", "BREW"]).status / 100, 5);
}

#[test]
#[cfg_attr(not(has_curl), ignore = "curl is not installed")]
fn plain_http_at_the_tls_port_is_told_so() {
    let mut server = Served::start(&[]);
    server.url = server.url.replace("https://", "http://");
    let answer = server.curl_as("/healthz", &[], &[]).is(400);
    assert!(answer.text().contains("https://"), "{}", answer.text());
}
