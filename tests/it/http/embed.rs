// SPDX-License-Identifier: Apache-2.0 OR MIT
//! An address and a handler are a server: what a program that embeds one can rely on.

#![allow(clippy::unwrap_used, reason = "a test may end by panic")]

use std::io::{Read, Seek, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use skep::client::{Answer, Client, ClientOptions, Payload};
use skep::{
    Admission, Content, ErrorKind, Handler, Limits, Method, NewConnection, Request, Response,
    Server, ServerHandle, ServerOptions, Session, Status, TempServer,
};

use crate::support::raw::PATIENCE;

pub(crate) fn start(address: &str, options: ServerOptions, handler: impl Handler) -> TempServer {
    let server = Server::with_options(&[address.parse().unwrap()], options, handler);
    TempServer::start(server.unwrap()).unwrap()
}

fn serve(handler: impl Handler) -> TempServer {
    start("127.0.0.1:0", ServerOptions::default(), handler)
}

pub(crate) fn client_of(server: &ServerHandle) -> Client {
    let mut options = ClientOptions::new(server.url().parse().unwrap());
    options.timeout = Duration::from_secs(10);
    Client::new(options).unwrap()
}

pub(crate) fn get(client: &mut Client, target: &str) -> Answer {
    client.request("GET", target, &[], Payload::Empty).unwrap()
}

fn text(answer: Answer) -> String {
    String::from_utf8(answer.read_all(1 << 20).unwrap()).unwrap()
}

#[test]
fn a_server_runs_in_the_background_until_its_handle_ends_it() {
    let handler = |_: &mut Request<'_>| Response::text(Status::OK, "hello, world\n");
    let handle = Server::bind("127.0.0.1:0", handler)
        .unwrap()
        .start()
        .unwrap();
    let skep::Address::Ip(address) = handle.address() else {
        panic!("{}", handle.address())
    };
    let address = *address;
    assert_ne!(address.port(), 0);
    assert_eq!(handle.url(), format!("http://{address}"));
    assert_eq!(handle.addresses().len(), 1);
    let mut client = client_of(&handle);
    assert_eq!(text(get(&mut client, "/")), "hello, world\n");
    handle.shutdown();
    handle.join().unwrap();
    // A port may have been given to somebody else by now, a socket in a folder of its own not.
    let handle = Server::bind("unix:auto", handler).unwrap().start().unwrap();
    let mut client = client_of(&handle);
    assert_eq!(text(get(&mut client, "/")), "hello, world\n");
    handle.shutdown();
    handle.join().unwrap();
    let error = client
        .request("GET", "/", &[], Payload::Empty)
        .err()
        .unwrap();
    assert_eq!(error.kind(), ErrorKind::Unreachable);
}

#[test]
fn a_server_without_an_address_is_an_error() {
    let handler = |_: &mut Request<'_>| Response::new(Status::OK);
    let error = Server::with_options(&[], ServerOptions::default(), handler)
        .err()
        .unwrap();
    assert_eq!(error.kind(), ErrorKind::Usage);
    let error = Server::bind("::1:8443", handler).err().unwrap();
    assert!(error.hint_text().unwrap().contains("[::1]:8443"), "{error}");
}

#[test]
fn limits_that_let_nobody_in_are_an_error() {
    let handler = |_: &mut Request<'_>| Response::new(Status::OK);
    let broken: [fn(&mut Limits); 5] = [
        |limits| limits.fields_max = 0,
        |limits| limits.connections_max = 70_000,
        |limits| limits.json_bytes_max = usize::MAX,
        |limits| limits.workers = 0,
        |limits| limits.head_bytes_max = 1,
    ];
    for damage in broken {
        let mut options = ServerOptions::default();
        damage(&mut options.limits);
        let addresses = ["127.0.0.1:0".parse().unwrap()];
        let error = Server::with_options(&addresses, options, handler)
            .err()
            .unwrap();
        assert_eq!(error.kind(), ErrorKind::Usage, "{error}");
    }
    // The numbers of Degu.
    let limits = Limits::default();
    assert_eq!(limits.timeout, Duration::from_secs(15));
    assert_eq!(
        (limits.connections_max, limits.requests_per_connection_max),
        (25, 100)
    );
}

/// Sends the body of a request back in the kind that the path names.
fn echo(request: &mut Request<'_>) -> Response {
    let announced = request
        .body()
        .length()
        .map_or("chunked".to_owned(), |n| n.to_string());
    let mut bytes = Vec::new();
    let kind = request.segments()[0].to_owned();
    // A fixed length is read by pieces, as a handler that has little memory does.
    while request.body().take(1000).read_to_end(&mut bytes).unwrap() > 0 {}
    let content = match kind.as_str() {
        "empty" => Content::Empty,
        "bytes" => Content::Bytes(bytes),
        "shared" => Content::Shared(Arc::from(&bytes[..]), 1..bytes.len()),
        "file" => {
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(&bytes).unwrap();
            file.rewind().unwrap();
            Content::File {
                file,
                offset: 1,
                length: bytes.len() as u64 - 1,
            }
        }
        "reader" => Content::Reader(bytes.len() as u64, Box::new(std::io::Cursor::new(bytes))),
        "chunked" => Content::Chunked(Box::new(std::io::Cursor::new(bytes))),
        "pieces" => {
            let pieces: Vec<_> = bytes.chunks(777).map(<[u8]>::to_vec).collect();
            Content::pieces(pieces)
        }
        _ => return Response::new(Status::NOT_FOUND),
    };
    Response::new(Status::OK)
        .field("x-announced", announced)
        .content(content)
}

#[test]
fn bodies_of_all_kinds_travel_both_ways_on_one_connection() {
    let server = serve(echo);
    let mut client = client_of(&server);
    for size in [1_usize, 5000, 300_000] {
        let bytes: Vec<u8> = (0..=250).cycle().take(size).collect();
        for kind in [
            "bytes", "shared", "file", "reader", "chunked", "pieces", "empty",
        ] {
            for sent in ["bytes", "reader", "chunked"] {
                let mut source = &bytes[..];
                let payload = match sent {
                    "bytes" => Payload::Bytes(&bytes),
                    "reader" => Payload::Reader(size as u64, &mut source),
                    _ => Payload::Chunked(&mut source),
                };
                let answer = client
                    .request("POST", &format!("/{kind}"), &[], payload)
                    .unwrap();
                let announced = match sent {
                    "chunked" => "chunked".to_owned(),
                    _ => size.to_string(),
                };
                assert_eq!(answer.status(), 200);
                assert_eq!(answer.field("X-Announced"), Some(&*announced));
                let is_chunked = answer.field("transfer-encoding") == Some("chunked");
                assert_eq!(is_chunked, matches!(kind, "chunked" | "pieces"), "{kind}");
                let expected = match kind {
                    "empty" => &[],
                    "shared" | "file" => &bytes[1..],
                    _ => &bytes[..],
                };
                assert!(
                    answer.read_all(size).unwrap() == expected,
                    "{kind} of {size} as {sent}"
                );
            }
        }
    }
    let empty = client
        .request("POST", "/bytes", &[], Payload::Empty)
        .unwrap();
    assert_eq!(empty.field("content-length"), Some("0"));
}

#[test]
fn a_request_that_cannot_be_written_is_not_sent() {
    let server = serve(echo);
    let mut client = client_of(&server);
    for (method, target, field) in [
        ("G ET", "/", ("a", "b")),
        ("GET", "bytes", ("a", "b")),
        ("GET", "/a b", ("a", "b")),
        ("GET", "/", ("a b", "c")),
        ("GET", "/", ("a", "b\r\nc: d")),
    ] {
        let error = client
            .request(method, target, &[field], Payload::Empty)
            .err()
            .unwrap();
        assert_eq!(
            error.kind(),
            ErrorKind::Usage,
            "{method} {target} {field:?}"
        );
    }
    let mut short = &b"12"[..];
    let error = client
        .request("POST", "/bytes", &[], Payload::Reader(3, &mut short))
        .err();
    assert_eq!(error.unwrap().kind(), ErrorKind::Interrupted);
}

struct ReadOnly;

impl Handler for ReadOnly {
    fn handle(&self, request: &mut Request<'_>) -> Response {
        assert_eq!(request.method(), Method::Get);
        Response::text(Status::OK, "12345")
    }

    fn methods(&self) -> &[Method] {
        &[Method::Get]
    }
}

#[test]
fn methods_are_a_matter_of_the_server() {
    let server = serve(ReadOnly);
    let mut client = client_of(&server);
    for _ in 0..2 {
        let answer = client.request("HEAD", "/", &[], Payload::Empty).unwrap();
        assert_eq!(
            (answer.status(), answer.field("content-length")),
            (200, Some("5"))
        );
        assert_eq!(text(answer), "");
        assert_eq!(text(get(&mut client, "/")), "12345");
    }
    for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"] {
        let answer = client
            .request(method, "/", &[], Payload::Bytes(b"x"))
            .unwrap();
        assert_eq!(
            (answer.status(), answer.field("allow")),
            (405, Some("GET, HEAD")),
            "{method}"
        );
    }
    let mut line = TcpStream::connect(server.url().strip_prefix("http://").unwrap());
    let line = line.as_mut().unwrap();
    line.write_all(b"BREW / HTTP/1.1\r\nHost: x\r\n\r\n")
        .unwrap();
    let mut answer = String::new();
    line.read_to_string(&mut answer).unwrap();
    assert!(
        answer.starts_with("HTTP/1.1 501 Not Implemented\r\n"),
        "{answer}"
    );
}

/// Counts connections, and the requests of each; lets in as many connections as it has places.
struct Counting {
    places: u32,
    connections: AtomicU32,
}

struct Number(u32);

impl Handler for Counting {
    fn handle(&self, request: &mut Request<'_>) -> Response {
        let session = request.session();
        let number = session.value::<Number>().unwrap().0;
        let count = session.insert(0_u32).unwrap_or_default() + 1;
        session.insert(count);
        Response::text(Status::OK, format!("{number}.{count}"))
    }

    fn on_connect(&self, connection: &NewConnection<'_>, session: &mut Session) -> Admission {
        let peer = connection.peer();
        let socket = connection.descriptor().unwrap();
        assert_eq!(
            rustix::net::sockopt::socket_type(socket),
            Ok(rustix::net::SocketType::STREAM)
        );
        assert!(peer.is_local() && peer.address.is_some() && peer.tls.is_none());
        let number = self.connections.fetch_add(1, Ordering::SeqCst);
        session.insert(Number(number));
        assert!(number <= self.places, "a panic refuses, too");
        if number < self.places {
            Admission::Accept
        } else {
            Admission::Refuse
        }
    }
}

#[test]
fn a_session_lasts_as_long_as_its_connection() {
    let mut options = ServerOptions::default();
    options.limits.requests_per_connection_max = 3;
    let handler = Counting {
        places: 3,
        connections: AtomicU32::new(0),
    };
    let server = start("127.0.0.1:0", options, handler);
    let (mut one, mut other) = (client_of(&server), client_of(&server));
    assert_eq!(text(get(&mut one, "/")), "0.1");
    assert_eq!(text(get(&mut other, "/")), "1.1");
    let second = get(&mut one, "/");
    assert_eq!(second.field("connection"), None);
    assert_eq!(text(second), "0.2");
    let third = get(&mut one, "/");
    assert_eq!(third.field("connection"), Some("close"));
    assert_eq!(text(third), "0.3");
    assert_eq!(text(get(&mut one, "/")), "2.1");
    assert_eq!(text(get(&mut other, "/")), "1.2");
    // The places are taken: further connections are closed without a byte, whether the handler says
    // no or panics over it.
    for _ in 0..2 {
        let mut refused = TcpStream::connect(&server.url()[7..]).unwrap();
        let mut answer = Vec::new();
        let _ = refused.read_to_end(&mut answer);
        assert_eq!(answer, b"");
    }
    assert_eq!(text(get(&mut other, "/")), "1.3");
}

#[test]
fn a_shutdown_lets_the_running_request_finish() {
    let (entered, is_entered) = std::sync::mpsc::channel();
    let (leave, may_leave) = std::sync::mpsc::channel();
    let may_leave = std::sync::Mutex::new(may_leave);
    let server = Server::bind("127.0.0.1:0", move |_: &mut Request<'_>| {
        entered.send(()).unwrap();
        may_leave.lock().unwrap().recv_timeout(PATIENCE).unwrap();
        Response::text(Status::OK, "done")
    });
    let handle = server.unwrap().start().unwrap();
    let mut client = client_of(&handle);
    let caller = std::thread::spawn(move || text(get(&mut client, "/")));
    is_entered.recv_timeout(PATIENCE).unwrap();
    handle.shutdown();
    leave.send(()).unwrap();
    assert_eq!(caller.join().unwrap(), "done");
    handle.join().unwrap();
}

#[test]
fn a_handler_can_be_mounted_below_a_segment() {
    fn inner(request: &mut Request<'_>) -> Response {
        let text = format!("{:?} below {:?}", request.segments(), request.script());
        Response::text(Status::OK, text)
    }
    let outer = |request: &mut Request<'_>| match request.shift() {
        Some("app") => inner(request),
        _ => Response::problem(Status::NOT_FOUND, "nothing is mounted there"),
    };
    let options = ServerOptions::default();
    let server = start("127.0.0.1:0", options, outer);
    let mut client = client_of(&server);
    let answer = get(&mut client, "/app/a%20b/c");
    assert_eq!(
        answer.read_all(100).unwrap(),
        br#"["a b", "c"] below ["app"]"#
    );
    assert_eq!(get(&mut client, "/other").status(), 404);
}

#[test]
fn a_response_has_a_reason_phrase_of_its_own() {
    let large = || vec![b'x'; 100_000];
    let handler = move |request: &mut Request<'_>| {
        let response = match request.segments() {
            ["empty"] => Response::new(Status::NO_CONTENT),
            ["bytes"] => Response::text(Status::OK, "hello"),
            ["large"] => Response::new(Status::OK).content(Content::Bytes(large())),
            ["reader"] => {
                let reader = Box::new(std::io::Cursor::new(large()));
                Response::new(Status::OK).content(Content::Reader(100_000, reader))
            }
            ["pieces"] => Response::new(Status::OK).content(Content::pieces([large()])),
            ["usual"] => return Response::new(Status::NOT_FOUND),
            _ => {
                let split = "OK\r\ncontent-length: 0\r\n\r\nHTTP/1.1 200 OK";
                let response = Response::new(Status::OK).with_reason(split);
                return response.unwrap_or_else(|error| Response::error(&error));
            }
        };
        response.with_reason("Gr\u{f6}\u{df}e\tand more").unwrap()
    };
    let server = serve(handler);
    let answer = |method: &str, path: &str| {
        let mut line = TcpStream::connect(&server.url()[7..]).unwrap();
        write!(
            line,
            "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        )
        .unwrap();
        let mut answer = String::new();
        line.read_to_string(&mut answer).unwrap();
        answer
    };

    // Each way of sending: at once, bit by bit, in chunks, and without content.
    for (method, path, status) in [
        ("GET", "/empty", 204),
        ("GET", "/bytes", 200),
        ("HEAD", "/bytes", 200),
        ("GET", "/large", 200),
        ("GET", "/reader", 200),
        ("GET", "/pieces", 200),
        ("HEAD", "/pieces", 200),
    ] {
        let answer = answer(method, path);
        let begins = format!("HTTP/1.1 {status} Gr\u{f6}\u{df}e\tand more\r\nserver: skep\r\n");
        assert!(answer.starts_with(&begins), "{path}: {answer:.100}");
        // The own client takes the same bytes.
        assert_eq!(get(&mut client_of(&server), path).status(), status);
    }
    let usual = answer("GET", "/usual");
    assert!(usual.starts_with("HTTP/1.1 404 Not Found\r\n"), "{usual}");

    // A phrase with line breaks is an error where it is made, and never a second answer.
    let refused = answer("GET", "/split");
    let begins = "HTTP/1.1 500 Internal Server Error\r\n";
    assert!(refused.starts_with(begins), "{refused}");
    assert_eq!(refused.matches("\nHTTP/1.1").count(), 0, "{refused}");
}

#[test]
fn a_status_that_is_no_answer_is_a_mistake_of_the_server() {
    let handler = |request: &mut Request<'_>| {
        let code = request.segments()[0].parse().unwrap();
        Response::text(Status(code), "x")
    };
    let server = serve(handler);
    for (code, expected) in [
        (0, 500),
        (100, 500),
        (101, 500),
        (199, 500),
        (200, 200),
        (599, 599),
        (600, 500),
        (65535, 500),
    ] {
        let answer = get(&mut client_of(&server), &format!("/{code}"));
        assert_eq!(answer.status(), expected, "{code}");
    }
}

#[test]
fn the_sockets_that_listen_can_be_handed_on() {
    let handler = |_: &mut Request<'_>| Response::text(Status::OK, "fine");
    let first = Server::bind("127.0.0.1:0", handler).unwrap();
    let socket = first.descriptors()[0].try_clone_to_owned().unwrap();
    let url = first.url();
    drop(first);

    let mut options = ServerOptions::default();
    options.sockets = vec![socket];
    let second = TempServer::start(Server::with_options(&[], options, handler).unwrap()).unwrap();
    assert_eq!(second.url(), url);
    assert_eq!(get(&mut client_of(&second), "/").status(), 200);
}

#[test]
fn a_handler_has_the_socket_of_the_connection() {
    let handler = |request: &mut Request<'_>| {
        let descriptor = request.descriptor().unwrap();
        let seen = rustix::net::getpeername(descriptor).unwrap();
        let seen = std::net::SocketAddr::try_from(seen.unwrap()).unwrap();
        assert_eq!(request.peer().address, Some(seen));
        Response::text(Status::OK, seen.to_string())
    };
    let server = serve(handler);
    let mut line = TcpStream::connect(&server.url()[7..]).unwrap();
    line.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        .unwrap();
    let mut answer = String::new();
    line.read_to_string(&mut answer).unwrap();
    assert!(
        answer.ends_with(&format!("\r\n\r\n{}", line.local_addr().unwrap())),
        "{answer}"
    );
}

#[test]
fn a_server_shows_what_it_was_made_of() {
    let mut options = ServerOptions::default();
    options.limits.connections_max = 7;
    let addresses = ["127.0.0.1:0".parse().unwrap()];
    let server = Server::with_options(&addresses, options, ReadOnly).unwrap();
    assert_eq!(server.handler().methods(), [Method::Get]);
    assert_eq!(server.limits().connections_max, 7);
    assert_eq!(server.limits().requests_per_connection_max, 100);
    assert_eq!(server.descriptors().len(), server.addresses().len());
    assert_eq!(server.tls(), None);
}
