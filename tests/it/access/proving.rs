// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Over lines that can be read, requests are signed (RFC 9421): no secret crosses them, nothing that was
//! signed can be used a second time, and nothing of it can be changed. The genuine counterpart is the
//! Python package http-message-signatures, which `scripts/setup` fetches.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;

use serde_json::{Value, json};

use crate::support::process::{Outcome, Place, run, run_with};
use crate::support::raw::Raw;
use crate::support::served::Served;

/// Runs the genuine package.
fn genuine(what: &str, asked: &Value) -> Outcome {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/signatures");
    let place = Place::new();
    let mut command = place.command("python3");
    command.env("PYTHONPATH", target.join("interop/http-message-signatures"));
    command.arg(fixtures.join("driver.py")).arg(what);
    run_with(&mut command, asked.to_string().as_bytes())
}

/// Has the genuine package sign a request and send it.
fn signs(server: &Served, more: Value) -> Value {
    let mut asked = json!({ "url": server.url, "secret": server.password() });
    for (key, value) in more.as_object().unwrap() {
        asked[key] = value.clone();
    }
    genuine("sign", &asked).exits(0).json()
}

#[test]
#[cfg_attr(not(has_signatures), ignore = "scripts/setup was not run")]
fn what_a_genuine_signer_signs_is_taken_once() {
    let server = Served::start(&["--plain"]);
    let put = json!({"method": "PUT", "path": "/v1/models/m", "body": "abc", "times": 2});
    let answer = signs(&server, put.clone());
    // The second one is the same request once more.
    assert_eq!(answer["statuses"], json!([201, 401]), "{answer}");
    assert!(
        answer["text"].as_str().unwrap().contains("used before"),
        "{answer}"
    );
    assert!(
        answer["wish"].as_str().unwrap().contains("nonce="),
        "{answer}"
    );
    assert_eq!(std::fs::read(server.dir.join("m")).unwrap(), b"abc");

    let get = |components: Value| {
        let path = "/v1/models/m?a=b";
        let get = json!({"method": "GET", "path": path, "components": components});
        signs(&server, get)["statuses"][0].clone()
    };
    for good in [
        json!(["@method", "@authority", "@request-target"]),
        json!(["@method", "@target-uri"]),
        json!(["@scheme", "@method", "@authority", "@path", "@query"]),
    ] {
        assert_eq!(get(good.clone()), 200, "{good}");
    }
    for bad in [
        json!(["@method", "@path", "@query"]),
        json!(["@authority", "@target-uri"]),
    ] {
        assert_eq!(get(bad.clone()), 401, "{bad}");
    }

    let with = |fields: Value| {
        let mut ranged = json!({"method": "GET", "path": "/v1/models/m"});
        ranged["fields"] = fields;
        signs(&server, ranged)
    };
    let part = with(json!({"Range": "bytes=1-1"}));
    assert_eq!(
        (&part["statuses"][0], &part["text"]),
        (&json!(206), &json!("b"))
    );
    let log = server.stop().exits(0).stderr;
    assert!(log.contains(" password PUT /v1/models/m 201 "), "{log}");
}

/// What passes from a client to a server, changed on the way.
struct Meddler {
    url: String,
    thread: std::thread::JoinHandle<Vec<u8>>,
}

impl Meddler {
    /// Leads one connection to a server. What follows the first head, which only asks for a nonce, is
    /// changed.
    fn before(server: &Served, change: impl Fn(Vec<u8>) -> Vec<u8> + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let target = server.url["http://".len()..].to_owned();

        let thread = std::thread::spawn(move || {
            let (mut client, _) = listener.accept().unwrap();
            let mut upstream = TcpStream::connect(target).unwrap();
            let (mut back, mut answers) =
                (client.try_clone().unwrap(), upstream.try_clone().unwrap());
            std::thread::spawn(move || {
                let _ = std::io::copy(&mut answers, &mut back);
                let _ = back.shutdown(std::net::Shutdown::Both);
            });
            let (mut seen, mut sent) = (Vec::new(), Vec::new());
            let mut buffer = [0; 65536];
            while let Ok(count @ 1..) = client.read(&mut buffer) {
                seen.extend_from_slice(&buffer[..count]);
                let is_first = seen.len() == count;
                let bytes = buffer[..count].to_vec();
                let bytes = if is_first { bytes } else { change(bytes) };
                sent.extend_from_slice(&bytes);
                if upstream.write_all(&bytes).is_err() {
                    break;
                }
            }
            let _ = upstream.shutdown(std::net::Shutdown::Write);
            seen
        });

        Self { url, thread }
    }

    /// What the client has sent.
    fn seen(self) -> Vec<u8> {
        self.thread.join().unwrap()
    }
}

/// Replaces a text by another one, wherever it stands.
fn replaced(bytes: &[u8], old: &str, new: &str) -> Vec<u8> {
    let mut result = Vec::new();
    let mut rest = bytes;
    while let Some(at) = rest
        .windows(old.len())
        .position(|window| window == old.as_bytes())
    {
        result.extend_from_slice(&rest[..at]);
        result.extend_from_slice(new.as_bytes());
        rest = &rest[at + old.len()..];
    }
    result.extend_from_slice(rest);
    result
}

#[test]
#[cfg_attr(not(has_signatures), ignore = "scripts/setup was not run")]
fn a_genuine_verifier_finds_our_signature_right_and_nobody_can_repeat_it() {
    let server = Served::start(&["--plain"]);
    let stranger = Place::new();
    stranger.file("m", "content");
    let meddler = Meddler::before(&server, |bytes| bytes);
    let url = meddler.url.clone();
    let mut put = stranger.skep(&["put", "m", "--server", &url]);
    run(put.env("SKEP_PASSWORD", server.password())).exits(0);

    let seen = meddler.seen();
    let text = String::from_utf8(seen.clone()).unwrap();
    assert!(!text.contains(&server.password()), "{text}");
    assert!(
        !text.to_ascii_lowercase().contains("authorization"),
        "{text}"
    );

    // The last request, which is the one with the content.
    let start = text.rfind("PUT /v1/models/m ").unwrap();
    let (head, body) = text[start..].split_once("\r\n\r\n").unwrap();
    let fields: Vec<_> = head
        .lines()
        .skip(1)
        .map(|line| line.split_once(": ").unwrap())
        .collect();
    let mut asked = json!({
        "method": "PUT",
        "url": format!("{url}/v1/models/m"),
        "fields": fields,
        "body": body,
        "secret": server.password(),
    });
    let found = genuine("verify", &asked).exits(0).json();
    let covered = found["covered"][0].to_string();
    for component in [
        "@method",
        "@authority",
        "@request-target",
        "content-digest",
        "content-type",
    ] {
        assert!(covered.contains(component), "{covered}");
    }
    asked["body"] = "Content".into();
    assert_ne!(genuine("verify", &asked).code, 0);

    let mut raw = Raw::open(&server.url["http://".len()..]);
    std::fs::remove_file(server.dir.join("m")).unwrap();
    raw.send(&text[start..]);
    let replayed = raw.answer();
    assert_eq!(replayed.status, 401, "{}", replayed.head);
    assert!(
        replayed.text().contains("used before"),
        "{}",
        replayed.text()
    );
    assert!(
        replayed.head.contains("accept-signature: sig="),
        "{}",
        replayed.head
    );
    assert_eq!(server.names(), Vec::<String>::new());
}

#[test]
fn whoever_changes_a_signed_request_gets_nothing() {
    // A lock would be met before a signature is looked at.
    let server = Served::start(&["--plain", "--lockout-failures", "none"]);
    for name in ["m", "n"] {
        std::fs::write(server.dir.join(name), "before").unwrap();
    }
    let stranger = Place::new();
    stranger.file("m", "after!");
    stranger.file("new", "after!");

    type Case = (
        &'static [&'static str],
        &'static [(&'static str, &'static str)],
    );
    let cases: &[Case] = &[
        (
            &["rm", "m"],
            &[("DELETE /v1/models/m ", "DELETE /v1/models/n ")],
        ),
        (
            &["rm", "m"],
            &[("DELETE /v1/models/m ", "DELETE /v1/models/m?x ")],
        ),
        (
            &["get", "m", "-o", "copy"],
            &[("GET /v1/models/m ", "DELETE /v1/models/m ")],
        ),
        (
            &["get", "m", "-o", "copy"],
            &[("GET /v1/models/m ", "GET /v1/models/n ")],
        ),
        (
            &["get", "m", "-o", "copy"],
            &[("\r\n\r\n", "\r\nrange: bytes=0-0\r\n\r\n")],
        ),
        (&["put", "m"], &[("PUT /v1/models/m ", "PUT /v1/models/n ")]),
        (
            &["put", "m"],
            &[("PUT /v1/models/m ", "POST /v1/models/m ")],
        ),
        (&["put", "m"], &[("after!", "AFTER!")]),
        (&["put", "m"], &[("sha-256=:", "sha-256=:AAAA")]),
        (&["put", "m"], &[("host: ", "host: 1")]),
        (
            &["put", "m"],
            &[("\r\n\r\n", "\r\nif-none-match: *\r\n\r\n")],
        ),
        (
            &["put", "m"],
            &[("\r\n\r\n", "\r\nupload-complete: ?0\r\n\r\n")],
        ),
        (
            &["put", "m"],
            &[("\r\n\r\n", "\r\nskep-license: mine\r\n\r\n")],
        ),
        (
            &["put", "m"],
            &[(
                "content-type: application/octet",
                "content-type: application/other",
            )],
        ),
        (
            &["put", "new", "--create"],
            &[("if-none-match: *", "if-none-match: x")],
        ),
        (
            &["put", "new", "--create"],
            &[("if-none-match: *", "x-one: *")],
        ),
    ];

    for (arguments, changes) in cases {
        let meddler = Meddler::before(&server, |bytes| {
            changes
                .iter()
                .fold(bytes, |bytes, (old, new)| replaced(&bytes, old, new))
        });
        let arguments = [*arguments, &["--server", &meddler.url, "--retries", "0"]].concat();
        let mut command = stranger.skep(&arguments);
        let outcome = run(command.env("SKEP_PASSWORD", server.password()));
        assert_ne!(outcome.code, 0, "{arguments:?} {changes:?}");

        assert_eq!(server.names(), ["m", "n"], "{arguments:?} {changes:?}");
        for name in ["m", "n"] {
            let bytes = std::fs::read(server.dir.join(name)).unwrap();
            assert_eq!(bytes, b"before", "{arguments:?} {changes:?}");
        }
        assert_eq!(server.parts(), 0, "{arguments:?} {changes:?}");
    }

    // Unchanged, all of them do what they are meant to.
    for (arguments, _) in cases {
        let meddler = Meddler::before(&server, |bytes| bytes);
        let arguments = [*arguments, &["--server", &meddler.url]].concat();
        let mut command = stranger.skep(&arguments);
        std::fs::write(server.dir.join("m"), "before").unwrap();
        let _ = std::fs::remove_file(server.dir.join("new"));
        run(command.env("SKEP_PASSWORD", server.password())).exits(0);
    }
}

#[test]
fn whoever_changes_a_piece_completes_nothing() {
    let server = Served::start(&["--plain", "--lockout-failures", "none"]);
    let stranger = Place::new();
    stranger.file("big", crate::support::process::noise(7, 3 << 20));
    let put = |meddler: &Meddler| {
        let mut put = stranger.skep(&["put", "big", "--server", &meddler.url, "--retries", "0"]);
        run(put.env("SKEP_PASSWORD", server.password()))
    };

    for (old, new) in [
        ("upload-complete: ?0", "upload-complete: ?1"),
        ("upload-offset: 0", "upload-offset: 1"),
        ("upload-length: 3145728", "upload-length: 1048576"),
        ("PATCH /v1/uploads/", "DELETE /v1/uploads/"),
    ] {
        let meddler = Meddler::before(&server, move |bytes| replaced(&bytes, old, new));
        assert_ne!(put(&meddler).code, 0, "{old}");
        assert_eq!(server.names(), Vec::<String>::new(), "{old}");
    }

    let meddler = Meddler::before(&server, |bytes| bytes);
    put(&meddler).exits(0);
    assert_eq!(server.names(), ["big"]);
}

#[test]
fn whoever_took_the_port_or_the_socket_learns_no_secret() {
    let home = Place::new();
    let password = "abcdefghjkmnpqrstuvw";
    home.secret("password", &format!("{password}\n"));
    home.file("m", "x");

    let fake = |mut stream: Box<dyn ReadWrite>| {
        let mut buffer = [0; 4096];
        let mut seen = Vec::new();
        while !seen.ends_with(b"\r\n\r\n") {
            match stream.read(&mut buffer) {
                Ok(count @ 1..) => seen.extend_from_slice(&buffer[..count]),
                _ => break,
            }
        }
        // It wants the password itself.
        let answer = "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"skep\"\r\n\
                      Content-Length: 0\r\nConnection: close\r\n\r\n";
        stream.write_all(answer.as_bytes()).unwrap();
        String::from_utf8_lossy(&seen).to_ascii_lowercase()
    };

    let port = TcpListener::bind("127.0.0.1:0").unwrap();
    let path = home.path("socket");
    let socket = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let tcp_url = format!("http://{}", port.local_addr().unwrap());
    let unix_url = format!("unix:{}", path.display());
    let by_port = std::thread::spawn(move || fake(Box::new(port.accept().unwrap().0)));
    let by_socket = std::thread::spawn(move || fake(Box::new(socket.accept().unwrap().0)));

    let basic = base64::Engine::encode(
        &base64::engine::general_purpose::STANDARD,
        format!("skep:{password}"),
    );
    for (url, thread) in [(tcp_url, by_port), (unix_url, by_socket)] {
        run(&mut home.skep(&["put", "m", "--server", &url]))
            .exits(7)
            .says("takes no signatures");
        let seen = thread.join().unwrap();
        assert!(seen.contains("signature-input: sig="), "{seen}");
        assert!(!seen.contains("authorization"), "{seen}");
        assert!(
            !seen.contains(password) && !seen.contains(&basic.to_ascii_lowercase()),
            "{seen}"
        );
    }
}

trait ReadWrite: std::io::Read + std::io::Write + Send {}
impl<T: std::io::Read + std::io::Write + Send> ReadWrite for T {}

#[test]
fn what_a_person_chose_is_not_proved_where_somebody_may_listen() {
    let server = Served::start(&["--plain"]);
    let chosen = "correcthorsebatterystaple";
    run_with(
        &mut server.command(&["passwd"]),
        format!("{chosen}\n").as_bytes(),
    )
    .exits(0);
    let stranger = Place::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    for words in [chosen, "pass", "abcdefghjkmnpqrstuv1", "skep_abc"] {
        let mut ls = stranger.skep(&["ls", "--server", &url]);
        run(ls.env("SKEP_PASSWORD", words))
            .exits(7)
            .says("skep did not make")
            .says("skep token new");
    }
    // Nothing was sent, not even a request for a nonce.
    listener.set_nonblocking(true).unwrap();
    assert!(listener.accept().is_err());
}

#[test]
#[cfg_attr(not(has_mounts), ignore = "only root can be somebody else")]
fn a_socket_of_another_user_gets_nothing() {
    let place = Place::new();
    let name = format!("skep-test-{}", std::process::id());
    let script = "import os, socket, sys\n\
                  os.setuid(65534)\n\
                  server = socket.socket(socket.AF_UNIX)\n\
                  server.bind('\\0' + sys.argv[1])\n\
                  server.listen()\n\
                  print('ready', flush=True)\n\
                  print(server.accept()[0].recv(4096))\n";
    let mut command = place.command("python3");
    // Root is trusted everywhere, so the client has to be somebody whose sockets are another one's.
    let process = crate::support::process::Process::start(command.args(["-c", script, &name]));
    assert_eq!(process.line().as_deref(), Some("ready"));
    let mut ls = place.skep(&["ls", "--server", &format!("unix:@{name}")]);
    run(ls.env("SKEP_PASSWORD", "abcdefghjkmnpqrstuvw"))
        .exits(7)
        .says("belongs to the user 65534");
    let said = String::from_utf8_lossy(&process.finish().stdout).into_owned();
    assert!(said.contains("b''"), "{said}");
}
