// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Those who wait without a thread: nobody of them is forgotten, holds up the end, or ends the others.

use std::io::{IoSlice, Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use rustix::process::Signal;
use skep::{
    Admission, Handler, NewConnection, Request, Response, Server, ServerOptions, Session, Status,
};

use crate::support::process::{DEADLINE, Place, until};
use crate::support::raw::{PATIENCE, Raw, Running, echo, get, put};
use crate::support::served::Served;

const LONG: Duration = Duration::from_secs(3600);

const SHORT: Duration = Duration::from_millis(300);

#[test]
fn a_body_that_is_read_away_does_not_hold_up_the_end() {
    let server = Running::start(echo, |limits| {
        limits.body_timeout = LONG;
        limits.timeout = LONG;
        limits.drain_timeout = LONG;
    });

    // Of this body nobody wants anything, and the caller never sends the rest.
    let mut raw = server.open();
    raw.send(put("/ignore", "Content-Length: 20000", "x"));
    let answer = raw.answer();
    assert_eq!(answer.status, 200);
    assert!(!answer.has("connection: close"), "{answer:?}");

    server.shut_down();
    let (ended, end) = channel();
    thread::spawn(move || {
        server.join();
        ended.send(()).unwrap();
    });
    end.recv_timeout(DEADLINE)
        .expect("the server waits for a body that nobody wants");
    assert!(raw.next_answer().is_none());
}

#[test]
fn the_request_behind_a_body_that_is_read_away_is_answered() {
    let server = Running::start(echo, |_| {});
    let mut raw = server.open();
    raw.send(put("/ignore", "Content-Length: 60000", &"x".repeat(30_000)));
    assert_eq!(raw.answer().text(), "ignored");
    raw.send("x".repeat(30_000) + &get("/next"));
    assert_eq!(raw.answer().text(), "/next 0");
    raw.send(put("/ignore", "Content-Length: 60000", &"x".repeat(60_000)) + &get("/last"));
    assert_eq!(raw.answer().text(), "ignored");
    assert_eq!(raw.answer().text(), "/last 0");
}

#[test]
fn a_body_that_is_read_away_has_its_time_as_well() {
    let server = Running::start(echo, |limits| limits.body_timeout = SHORT);
    let mut raw = server.open();
    raw.send(put("/ignore", "Content-Length: 20000", "x"));
    assert!(!raw.answer().has("connection: close"));
    assert!(raw.next_answer().is_none());
}

#[test]
fn whoever_does_not_leave_after_the_last_answer_is_not_waited_for() {
    let server = Running::start(echo, |limits| limits.drain_timeout = LONG);
    let mut raw = server.open();
    raw.send("GET / HTTP/1.1\r\n\r\n");
    assert_eq!(raw.answer().status, 400);

    server.shut_down();
    let (ended, end) = channel();
    thread::spawn(move || {
        server.join();
        ended.send(()).unwrap();
    });
    end.recv_timeout(DEADLINE)
        .expect("the server waits for a caller that was told everything");
}

#[test]
fn whoever_sends_on_after_the_last_answer_is_not_read_for_ever() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let address = format!("unix:{}", path.display()).parse().unwrap();
    let server = Server::with_options(&[address], ServerOptions::default(), echo).unwrap();
    let handle = server.start().unwrap();

    let mut stream = UnixStream::connect(&path).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    stream.read_to_end(&mut Vec::new()).unwrap();

    // What is taken is what is read and what fits into the kernel.
    let piece = vec![b'x'; 64 * 1024];
    let taken = (0..256).find(|_| stream.write_all(&piece).is_err());
    assert!(taken.is_some(), "all of it was read");
    handle.shutdown();
    handle.join().unwrap();
}

/// Refuses every second connection, with something in its session that panics when it is dropped.
#[derive(Default)]
struct Trap(AtomicU32);

struct Dropped;

impl Drop for Dropped {
    fn drop(&mut self) {
        panic!("while dropped");
    }
}

impl Handler for Trap {
    fn handle(&self, _: &mut Request<'_>) -> Response {
        Response::text(Status::OK, "fine")
    }

    fn on_connect(&self, _: &NewConnection<'_>, session: &mut Session) -> Admission {
        if self.0.fetch_add(1, Ordering::Relaxed).is_multiple_of(2) {
            session.insert(Dropped);
            return Admission::Refuse;
        }
        Admission::Accept
    }
}

#[test]
fn a_panic_while_somebody_is_let_in_costs_one_connection() {
    let server = Running::start(Trap::default(), |_| {});
    for _ in 0..4 {
        assert_eq!(server.open().rest().unwrap_or_default(), b"");
        assert_eq!(server.ask(get("/")).text(), "fine");
    }
}

/// Sends bytes with a descriptor along.
fn send_with_rights(stream: &UnixStream, bytes: &[u8]) {
    let descriptors = [stream.as_fd()];
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut along = SendAncillaryBuffer::new(&mut space);
    assert!(along.push(SendAncillaryMessage::ScmRights(&descriptors)));
    let slices = [IoSlice::new(bytes)];
    let count = sendmsg(stream, &slices, &mut along, SendFlags::empty()).unwrap();
    assert_eq!(count, bytes.len());
}

#[test]
fn requests_with_descriptors_between_them_are_all_answered() {
    let (begun, held) = channel();
    let (release, released) = channel();
    let (begun, released) = (
        std::sync::Mutex::new(begun),
        std::sync::Mutex::new(released),
    );
    let handler = move |request: &mut Request<'_>| {
        if request.path() == "/held" {
            begun.lock().unwrap().send(()).unwrap();
            let _ = released.lock().unwrap().recv();
        }
        echo(request)
    };

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let address = format!("unix:{}", path.display()).parse().unwrap();
    let server = Server::with_options(&[address], ServerOptions::default(), handler).unwrap();
    let handle = server.start().unwrap();

    let mut stream = UnixStream::connect(&path).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(get("/held").as_bytes()).unwrap();
    held.recv_timeout(PATIENCE).unwrap();

    // Both are there before the server reads, and no read goes beyond the descriptors of the first.
    send_with_rights(&stream, get("/second").as_bytes());
    stream.write_all(get("/third").as_bytes()).unwrap();
    release.send(()).unwrap();

    let mut text = String::new();
    while !text.contains("/third 0") {
        let mut piece = [0; 4096];
        let count = stream.read(&mut piece).expect("all three are answered");
        assert!(count > 0, "{text}");
        text.push_str(str::from_utf8(&piece[..count]).unwrap());
    }
    handle.shutdown();
    handle.join().unwrap();
}

#[test]
fn who_was_heard_while_the_server_was_stopped_is_not_too_late() {
    let server = Served::start(&["--plain", "--idle-timeout", "3s"]);
    let mut raw = Raw::open(server.url.trim_start_matches("http://"));
    raw.send(get("/healthz"));
    assert_eq!(raw.answer().status, 200);

    // The thread that waits for everybody has to be interrupted while it waits.
    server.process.interrupt();
    raw.send(get("/healthz"));
    // Nothing comes, and meanwhile the time of this connection is over.
    raw.stream
        .set_read_timeout(Some(Duration::from_secs(4)))
        .unwrap();
    let _ = raw.stream.peek(&mut [0]);
    raw.stream.set_read_timeout(Some(PATIENCE)).unwrap();
    server.process.signal(Signal::CONT);
    assert_eq!(raw.answer().status, 200);
    server.stop().exits(0);
}

/// A request of the owner.
fn asked_by_owner(server: &Served, path: &str) -> String {
    let fields = format!("Authorization: Bearer {}", server.password());
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n\r\n")
}

/// The status of an answer to the owner.
fn status(server: &Served, path: &str) -> u16 {
    let mut raw = Raw::open(server.url.trim_start_matches("http://"));
    raw.send(asked_by_owner(server, path));
    raw.answer().status
}

#[test]
fn small_answers_that_nobody_takes_count_as_requests_that_run() {
    let server = Served::start(&[
        "--plain",
        "--max-connections=1",
        "--max-requests-per-connection=none",
        "--write-timeout=1h",
    ]);
    assert_eq!(status(&server, "/v1/models"), 200);

    // It is answered without a worker, again and again.
    let open = || {
        let greedy = Raw::open(server.url.trim_start_matches("http://"));
        greedy.stream.set_nonblocking(true).unwrap();
        greedy
    };
    let mut greedy = open();
    let requests = get("/healthz").repeat(1000);
    let mut sent = 0;
    until(|| {
        match (&greedy.stream).write(&requests.as_bytes()[sent..]) {
            Ok(count) => sent = (sent + count) % requests.len(),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            // It was cut, since the only place was that of the other request at this moment.
            Err(_) => (greedy, sent) = (open(), 0),
        }
        status(&server, "/v1/models") == 503
    });

    drop(greedy);
    until(|| status(&server, "/v1/models") == 200);
    server.stop().exits(0);
}

#[test]
fn large_answers_from_memory_count_as_requests_that_run() {
    let place = Place::new();
    let arguments = ["--plain", "--max-connections=1", "--write-timeout=1h"];
    let server = Served::start_in(&place, &arguments);
    let mut raw = Raw::open(server.url.trim_start_matches("http://"));
    let fields = format!("Authorization: Bearer {}", server.password());
    let fields = format!("Content-Length: 1900000\r\n{fields}");
    raw.send(put("/v1/models/m", &fields, &"x".repeat(1_900_000)));
    assert_eq!(raw.answer().status, 201);

    // From the second time on it is in memory, and answered without a worker.
    assert_eq!(status(&server, "/v1/models/m"), 200);
    assert_eq!(status(&server, "/v1/models/m"), 200);

    let mut greedy = Raw::open(server.url.trim_start_matches("http://"));
    greedy.send(asked_by_owner(&server, "/v1/models/m"));
    greedy.stream.read_exact(&mut [0; 12]).unwrap();
    assert_eq!(status(&server, "/v1/models/m"), 503);
    assert_eq!(status(&server, "/v1/models"), 503);
    server.process.signal(Signal::KILL);
}
