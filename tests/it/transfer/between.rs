// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What stands between a client and its server, and limits of the device itself.

use std::collections::HashMap;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use skep::client::{Client, ClientOptions};
use skep::{Digest, ErrorKind, Request, Response, Server, Status, TempServer};

use crate::support::process::{Place, Process, noise, run, run_with};
use crate::support::served::Served;

/// What the client makes of one answer to a command.
fn answered(words: &[&str], answer: &str) -> (Place, crate::support::process::Outcome) {
    let place = Place::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let words = [words, &["--server", &url]].concat();
    let getting = Process::start(&mut place.skep(&words));
    let (mut socket, _) = listener.accept().unwrap();
    let _ = socket.read(&mut [0; 4096]).unwrap();
    socket.write_all(answer.as_bytes()).unwrap();
    (place, getting.finish())
}

#[test]
fn the_page_of_a_login_is_no_model() {
    for (kind, page) in [
        (
            "Content-Type: text/html; charset=utf-8\r\n",
            "<html>log in</html>",
        ),
        ("Content-Type: Text/HTML\r\n", "<p>"),
        (
            "Content-Type: text/plain\r\nETag: \"x\"\r\n",
            "log in first",
        ),
        ("Content-Type: application/json\r\n", "{}"),
        ("", "what is this?"),
    ] {
        for words in [&["get", "m"][..], &["cat", "m"], &["get", "m", "-o", "-"]] {
            let length = page.len();
            let answer = format!("HTTP/1.1 200 OK\r\n{kind}Content-Length: {length}\r\n\r\n{page}");
            let (place, ended) = answered(words, &answer);
            let ended = ended.exits(1).says("is not a model");
            assert!(ended.stdout.is_empty(), "{words:?} {kind}");
            assert_eq!(std::fs::read_dir(place.path("")).unwrap().count(), 0);
        }
    }
    // What says nothing else is one, also without a digest, and that is told.
    for kind in [
        "Content-Type: Application/Octet-Stream\r\n",
        "ETag: W/\"1\"\r\n",
    ] {
        let answer = format!("HTTP/1.1 200 OK\r\n{kind}Content-Length: 1\r\n\r\nx");
        let (place, ended) = answered(&["get", "m"], &answer);
        ended.exits(10);
        assert_eq!(place.read("m"), b"x");
    }
}

/// A proxy that takes no more than so many bytes in a request, before a server of uploads in parts.
fn proxy(limit: usize, stored: Arc<Mutex<HashMap<String, Vec<u8>>>>) -> TempServer {
    let uploads = Mutex::new(Vec::<(String, Vec<u8>)>::new());
    let handler = move |request: &mut Request<'_>| {
        let mut body = Vec::new();
        if request.body().read_to_end(&mut body).is_err() || body.len() > limit {
            return Response::text(Status(413), "<html>413</html>")
                .field("content-type", "text/html");
        }
        let target = request.path().to_owned();
        let is_last = request.fields().value("upload-complete") == Some("?1");
        let published = |name: &str, bytes: Vec<u8>| {
            let value = serde_json::json!({
                "name": name, "size": bytes.len(), "modified": "2026-01-01T00:00:00Z",
                "digest": format!("{:?}", Digest::of(&bytes)),
            });
            stored.lock().unwrap().insert(name.to_owned(), bytes);
            Response::json(Status::CREATED, &value)
        };
        let mut uploads = uploads.lock().unwrap();
        let upload = target
            .strip_prefix("/v1/uploads/")
            .map(|id| usize::from_str_radix(id, 16).unwrap());
        match (request.method().as_str(), upload) {
            ("OPTIONS", _) => Response::new(Status::NO_CONTENT).field("upload-limit", "max-age=9"),
            ("PUT", None) if request.fields().value("upload-complete") == Some("?0") => {
                uploads.push((target.rsplit('/').next().unwrap().to_owned(), Vec::new()));
                Response::new(Status::CREATED)
                    .field(
                        "location",
                        format!("/v1/uploads/{:032x}", uploads.len() - 1),
                    )
                    .field("upload-offset", "0")
            }
            ("PUT", None) => published(target.rsplit('/').next().unwrap(), body),
            ("PATCH", Some(id)) => {
                uploads[id].1.extend_from_slice(&body);
                if is_last {
                    let (name, bytes) = uploads[id].clone();
                    return published(&name, bytes);
                }
                Response::new(Status::NO_CONTENT)
            }
            ("HEAD", Some(id)) => Response::new(Status::NO_CONTENT)
                .field("upload-complete", "?0")
                .field("upload-offset", uploads[id].1.len().to_string()),
            _ => Response::text(Status::NOT_FOUND, "none"),
        }
    };
    TempServer::start(Server::bind("127.0.0.1:0", handler).unwrap()).unwrap()
}

#[test]
fn a_proxy_that_limits_requests_gets_smaller_ones() {
    for (limit, sizes) in [
        (1 << 20, &[3 << 20, (1 << 20) + 1, 10 << 20][..]),
        (100_000, &[500_000, 100_001, 3 << 20]),
    ] {
        let stored = Arc::default();
        let server = proxy(limit, Arc::clone(&stored));
        let url = format!("http://{}", server.url().trim_start_matches("http://"));
        let place = Place::new();
        for (number, size) in sizes.iter().enumerate() {
            let bytes = noise(number as u64, *size);
            place.file("m", &bytes);
            run(&mut place.skep(&["put", "m", "--server", &url])).exits(0);
            assert!(
                stored.lock().unwrap().remove("m").unwrap() == bytes,
                "{size}"
            );
            let words = ["put", "-", "--name", "p", "--server", &url];
            run_with(&mut place.skep(&words), &bytes).exits(0);
            assert!(
                stored.lock().unwrap().remove("p").unwrap() == bytes,
                "{size}"
            );
        }
    }

    // Where even small ones are too large, the error says where the limit is.
    let server = proxy(1000, Arc::default());
    let place = Place::new();
    place.file("m", noise(1, 100_000));
    let words = ["put", "m", "--server", server.url()];
    run(&mut place.skep(&words))
        .exits(8)
        .says("client_max_body_size");
}

#[test]
fn a_limit_on_the_size_of_files_is_told() {
    let server = Served::start(&[]);
    server.place.file("m", noise(1, 3 << 20));
    server.skep(&["put", "m"]).exits(0);
    for line in [
        "\"$SKEP\" get m -o copy",
        "\"$SKEP\" cat m > copy",
        "\"$SKEP\" load m -o copy",
    ] {
        let skep = server.command(&[]).get_program().to_owned();
        let mut command = server.place.command("sh");
        command.args(["-c", &format!("ulimit -f 1000; {line}")]);
        command.env("SKEP", skep).env("SKEP_SERVER", &server.url);
        run(&mut command).exits(8).says("ulimit");
    }

    // The same goes for commands that write the home only.
    for line in ["\"$SKEP\" token new x", "\"$SKEP\" keygen -o key"] {
        let skep = server.command(&[]).get_program().to_owned();
        let mut command = server.place.command("sh");
        command.args(["-c", &format!("ulimit -f 0; {line}")]);
        run(command.env("SKEP", skep)).exits(8).says("ulimit");
    }
    server.stop().exits(0);
}

#[test]
fn a_byte_order_mark_in_a_file_of_a_person_is_no_part_of_it() {
    let server = Served::start(&[]);
    let password = server.password();
    let place = Place::new();
    place.file("password", format!("\u{feff}{password}\r\n"));
    let words = ["ls", "--accept-new", "--password-file", "password"];
    run(&mut server.command_of(&place, &words)).exits(0);
    let words = ["ls", "--password-stdin"];
    let marked = format!("\u{feff}{password}\n");
    run_with(&mut server.command_of(&place, &words), marked.as_bytes()).exits(0);

    let home = server.place.home().join("password");
    std::fs::write(&home, format!("\u{feff}{password}\n")).unwrap();
    server.skep(&["ls"]).exits(0);

    // Keys and signatures that were opened in an editor.
    server.place.file("m", "x");
    server.skep(&["keygen", "-o", "team.key"]).exits(0);
    server.skep(&["sign", "--key", "team.key", "m"]).exits(0);
    for name in ["team.key", "team.pub", "m.minisig"] {
        let text = String::from_utf8(server.place.read(name)).unwrap();
        server.place.file(name, format!("\u{feff}{text}"));
    }
    server.skep(&["verify", "--key", "team.pub", "m"]).exits(0);
    server.skep(&["sign", "--key", "team.key", "m"]).exits(0);
    let kept = server.place.clone();
    server.stop().exits(0);

    // A server that starts with such a password does not take the mark for a letter of it.
    let server = Served::start_in(&kept, &[]);
    let mut listing = server.command_of(&place, &["ls", "--accept-new"]);
    run(listing.env("SKEP_PASSWORD", password)).exits(0);
    server.stop().exits(0);
}

/// Reads the head of a request.
fn head(socket: &mut TcpStream) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        socket.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
}

/// Takes a model and answers that it has it.
fn take(socket: &mut TcpStream, bytes: &[u8]) {
    head(socket);
    socket.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").unwrap();
    let mut taken = vec![0; bytes.len()];
    socket.read_exact(&mut taken).unwrap();
    assert!(taken == bytes);

    let stored = serde_json::json!({
        "name": "m", "size": bytes.len(), "modified": "2026-01-01T00:00:00Z",
        "digest": format!("{:?}", Digest::of(bytes)),
    });
    let (stored, kind) = (stored.to_string(), "Content-Type: application/json");
    let length = stored.len();
    let answer = format!("HTTP/1.1 201 Created\r\n{kind}\r\nContent-Length: {length}\r\n\r\n");
    socket.write_all((answer + &stored).as_bytes()).unwrap();
}

#[test]
fn a_connection_that_ended_while_it_was_idle_costs_no_upload() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let client = || Client::new(ClientOptions::new(url.parse().unwrap())).unwrap();
    // The client waits for a word of the server before it reads so much.
    let bytes = noise(5, 2 << 20);
    let put = |client: &mut Client| {
        let length = Some(bytes.len() as u64);
        client.put(&"m".parse().unwrap(), &mut &bytes[..], length, &mut |_| {})
    };

    std::thread::scope(|scope| {
        scope.spawn(|| {
            let (mut first, _) = listener.accept().unwrap();
            take(&mut first, &bytes);
            head(&mut first);
            drop(first);
            let (mut second, _) = listener.accept().unwrap();
            take(&mut second, &bytes);

            // One that has just been made is not stale: whoever ends it means it.
            drop(second);
            let (mut third, _) = listener.accept().unwrap();
            head(&mut third);
        });
        let mut one = client();
        put(&mut one).unwrap();
        assert_eq!(put(&mut one).unwrap().sent, bytes.len() as u64);
        drop(one);
        let error = put(&mut client()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Interrupted, "{error}");
    });
    listener.set_nonblocking(true).unwrap();
    assert!(listener.accept().is_err(), "it was tried again");
}
