// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Every limit holds: connections, requests, time; and what a panic or a shutdown costs.

use std::io::Read;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use skep::{
    Admission, Content, ErrorKind, Handler, NewConnection, Request, Response, Server, Session,
    Status,
};

use crate::support::raw::{PATIENCE, Raw, Running, echo, get, put};

const SHORT: Duration = Duration::from_millis(300);

#[test]
fn the_request_over_the_limit_is_told_to_come_back() {
    let (handler, begun, release) = held();
    let server = Running::start(handler, |limits| limits.connections_max = 2);
    let mut running: Vec<Raw> = (0..2).map(|_| server.open()).collect();
    for raw in &mut running {
        raw.send(get("/held"));
        begun.recv_timeout(PATIENCE).unwrap();
    }

    // Connections that wait take no place, and a refused request does not cost the connection.
    let mut over = server.open();
    over.send(get("/over"));
    let answer = over.answer();
    assert_eq!(answer.status, 503);
    assert!(
        answer.has("retry-after: 1") && !answer.has("connection: close"),
        "{answer:?}"
    );
    assert_eq!(server.metrics.rejected.value(), 1);

    // The handler has its say in that, and a panic there is no end either.
    assert!(answer.has("x-refused: /over"), "{answer:?}");
    over.send(get("/panic"));
    assert_eq!(over.answer().status, 500);

    release.send(()).unwrap();
    release.send(()).unwrap();
    for raw in &mut running {
        assert_eq!(raw.answer().status, 200);
    }

    let start = Instant::now();
    loop {
        over.send(get("/again"));
        if over.answer().status == 200 {
            break;
        }
        assert!(
            start.elapsed() < PATIENCE,
            "places that were left are not given out"
        );
    }
}

#[test]
fn strangers_that_wait_make_room() {
    let server = Running::start(echo, |limits| limits.connections_idle_max = 3);
    let mut strangers: Vec<Raw> = (0..3).map(|_| server.open()).collect();
    for raw in &mut strangers {
        raw.send(get("/in"));
        assert_eq!(raw.answer().status, 200);
    }

    let mut newcomer = server.open();
    newcomer.send(get("/new"));
    assert_eq!(newcomer.answer().status, 200);
    assert!(strangers[0].next_answer().is_none(), "the oldest leaves");
    strangers[1].send(get("/still"));
    assert_eq!(strangers[1].answer().status, 200);
}

#[test]
fn the_last_request_of_a_connection_is_told_so() {
    let server = Running::start(echo, |limits| limits.requests_per_connection_max = 3);
    let mut raw = server.open();
    raw.send(get("/1") + &get("/2") + &get("/3") + &get("/4"));
    assert!(!raw.answer().has("connection: close"));
    assert!(!raw.answer().has("connection: close"));
    let last = raw.answer();
    assert!(
        last.has("connection: close") && last.text() == "/3 0",
        "{last:?}"
    );
    assert!(raw.next_answer().is_none());
}

#[test]
fn a_dripping_head_does_not_move_its_deadline() {
    let server = Running::start(echo, |limits| limits.head_timeout = SHORT);
    let mut raw = server.open();
    let start = Instant::now();
    let taken = raw.drip(get(&format!("/{}", "x".repeat(500))).as_bytes(), SHORT / 6);
    assert!(taken < 20, "{taken} bytes were waited for");
    assert!(start.elapsed() < PATIENCE);
    let answer = raw.answer();
    assert_eq!(answer.status, 408);
    assert!(answer.has("connection: close"));
    assert!(raw.next_answer().is_none());
}

#[test]
fn a_dripping_body_does_not_move_its_deadline() {
    let server = Running::start(echo, |limits| {
        limits.body_timeout = SHORT;
        limits.rate_min = 1 << 20;
    });
    for fields in [
        "Content-Length: 1000",
        "Content-Length: 100000",
        "Transfer-Encoding: chunked",
    ] {
        let mut raw = server.open();
        raw.send(put("/a", fields, "3e8;x="));
        let taken = raw.drip("y".repeat(500).as_bytes(), SHORT / 6);
        assert!(taken < 30, "{fields}: {taken} bytes were waited for");
        assert_eq!(raw.answer().status, 408, "{fields}");
        assert!(raw.next_answer().is_none());
    }
}

#[test]
fn a_body_is_not_kept_before_anybody_knows_whose_it_is() {
    let refuse = |_: &mut Request<'_>| Response::text(Status::UNAUTHORIZED, "who are you?");
    let server = Running::start(refuse, |limits| limits.body_timeout = PATIENCE * 100);
    let mut raw = server.open();
    raw.send(put("/a", "Content-Length: 5000", "x"));
    assert_eq!(raw.answer().status, 401);
}

#[test]
fn who_says_nothing_is_closed_without_a_word() {
    let server = Running::start(echo, |limits| limits.idle_timeout = SHORT);
    let mut silent = server.open();
    let mut used = server.open();
    used.send(get("/"));
    used.answer();
    assert!(silent.next_answer().is_none() && used.next_answer().is_none());
    // A line break is not the beginning of a request.
    let mut raw = server.open();
    raw.send("\r\n");
    assert!(raw.next_answer().is_none());
}

#[test]
fn who_takes_nothing_of_an_answer_loses_it() {
    let endless = |_: &mut Request<'_>| {
        Response::new(Status::OK).content(Content::Chunked(Box::new(std::io::repeat(0))))
    };
    let server = Running::start(endless, |limits| {
        limits.write_timeout = SHORT;
        limits.connections_max = 1;
    });
    let mut raw = server.open();
    raw.send(get("/"));
    raw.until("\r\n\r\n").unwrap();
    let start = Instant::now();
    loop {
        let mut next = server.open();
        next.send(get("/"));
        let mut status = [0; 12];
        next.stream.read_exact(&mut status).unwrap();
        if &status == b"HTTP/1.1 200" {
            break;
        }
        assert!(start.elapsed() < PATIENCE, "the place is not given back");
    }
}

#[test]
fn bodies_that_wait_for_a_100_do_not_take_all_workers() {
    let server = Running::start(echo, |limits| limits.workers = 3);
    let mut waiting: Vec<Raw> = (0..3).map(|_| server.open()).collect();
    for raw in &mut waiting {
        raw.send(put("/a", "Content-Length: 1\r\nExpect: 100-continue", ""));
    }
    // One of them has a worker; the others wait for it, and are told to come back.
    let start = Instant::now();
    assert_eq!(server.ask(get("/")).status, 200);
    assert!(
        start.elapsed() < PATIENCE,
        "short requests wait for slow bodies"
    );
    let mut statuses: Vec<u16> = waiting.iter_mut().map(|raw| raw.answer().status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [100, 503, 503]);
}

#[test]
fn a_panic_costs_one_answer() {
    let server = Running::start(echo, |limits| limits.workers = 2);
    let mut raw = server.open();
    for number in 1..=8 {
        raw.send(get("/panic"));
        let answer = raw.answer();
        assert_eq!(answer.status, 500);
        assert!(
            !answer.text().contains("as asked"),
            "the panic's words are not for callers"
        );
        assert_eq!(server.metrics.panics.value(), number);
    }
    raw.send(get("/next"));
    assert_eq!(raw.answer().text(), "/next 0");
}

/// Panics wherever it is asked to.
struct Bomb;

impl Handler for Bomb {
    fn handle(&self, request: &mut Request<'_>) -> Response {
        match request.path() {
            "/drop" => {
                request.session().insert(Dropped);
                Response::text(Status::OK, "it is in the session")
            }
            "/content" => {
                let reader = std::iter::once(()).map(|()| panic!("in the content"));
                Response::new(Status::OK).content(Content::pieces(reader))
            }
            _ => Response::text(Status::OK, "fine"),
        }
    }

    fn on_connect(&self, _: &NewConnection<'_>, session: &mut Session) -> Admission {
        assert!(session.value::<u8>().is_none());
        if ONCE.lock().unwrap().take().is_some() {
            panic!("in on_connect");
        }
        Admission::Accept
    }
}

static ONCE: Mutex<Option<()>> = Mutex::new(Some(()));

struct Dropped;

impl Drop for Dropped {
    fn drop(&mut self) {
        panic!("while dropped");
    }
}

#[test]
fn panics_elsewhere_cost_one_connection() {
    let server = Running::start(Bomb, |limits| {
        limits.connections_max = 2;
        limits.workers = 1;
    });
    assert!(server.open().next_answer().is_none(), "on_connect panicked");
    for _ in 0..4 {
        let mut raw = server.open();
        raw.send(get("/content"));
        assert_eq!(raw.rest(), None, "the content panicked");
        let mut raw = server.open();
        raw.send(get("/drop"));
        assert_eq!(raw.answer().status, 200);
        raw.end();
        raw.rest();

        // This connection is over while the only worker still has it.
        let mut raw = server.open();
        raw.send("GET /drop HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        assert_eq!(raw.answer().status, 200);
        raw.rest();
    }
    assert_eq!(server.ask(get("/")).text(), "fine");
    assert_eq!(server.metrics.panics.value(), 9);
}

/// A handler that says when it has begun, and answers when it is told to.
struct Held {
    begun: SyncSender<()>,
    held: Mutex<Receiver<()>>,
    /// Kept by each session.
    sessions: Arc<()>,
}

impl Handler for Held {
    fn handle(&self, request: &mut Request<'_>) -> Response {
        if request.path() == "/held" {
            self.begun.send(()).unwrap();
            let _ = self.held.lock().unwrap().recv();
        }
        echo(request)
    }

    fn refused(&self, request: &mut Request<'_>, response: Response) -> Response {
        assert_ne!(request.path(), "/panic", "as asked");
        response.field("x-refused", request.path().to_owned())
    }

    fn on_connect(&self, _: &NewConnection<'_>, session: &mut Session) -> Admission {
        session.insert(Arc::clone(&self.sessions));
        Admission::Accept
    }
}

fn held() -> (Held, Receiver<()>, SyncSender<()>) {
    let (begun, seen) = sync_channel(10);
    let (release, held) = sync_channel(10);
    (
        Held {
            begun,
            held: Mutex::new(held),
            sessions: Arc::default(),
        },
        seen,
        release,
    )
}

#[test]
fn a_request_that_comes_while_another_is_answered_is_not_forgotten() {
    let (handler, begun, release) = held();
    let server = Running::start(handler, |_| {});
    let mut raw = server.open();
    raw.send(get("/held") + &get("/second"));
    begun.recv_timeout(PATIENCE).unwrap();

    // The event of this one comes while a worker has the connection, and the second request is in the
    // buffer already.
    raw.send(get("/third"));
    assert_eq!(server.ask(get("/other")).status, 200);
    release.send(()).unwrap();
    for path in ["/held", "/second", "/third"] {
        assert_eq!(raw.answer().text(), format!("{path} 0"));
    }
}

#[test]
fn a_shutdown_finishes_what_runs_and_closes_what_waits() {
    let (handler, begun, release) = held();
    let server = Running::start(handler, |_| {});
    let (mut idle, mut busy, mut upload) = (server.open(), server.open(), server.open());
    idle.send(get("/"));
    idle.answer();
    busy.send(get("/held") + &get("/too-late"));
    begun.recv_timeout(PATIENCE).unwrap();
    upload.send(put("/a", "Content-Length: 3\r\nExpect: 100-continue", ""));
    assert_eq!(upload.answer().status, 100);
    server.shut_down();
    assert!(
        idle.next_answer().is_none(),
        "idle connections are closed at once"
    );
    upload.send("abc");
    let answer = upload.answer();
    assert!(
        answer.text() == "/a 3" && answer.has("connection: close"),
        "{answer:?}"
    );
    release.send(()).unwrap();
    let answer = busy.answer();
    assert!(
        answer.text() == "/held 0" && answer.has("connection: close"),
        "{answer:?}"
    );
    assert!(busy.next_answer().is_none());
    drop((busy, upload));
    let start = Instant::now();
    server.join();
    assert!(start.elapsed() < PATIENCE);
}

#[test]
fn a_handler_that_never_returns_does_not_keep_a_shutdown_from_ending() {
    let (handler, begun, release) = held();
    let sessions = Arc::clone(&handler.sessions);
    let server = Running::start(handler, |limits| {
        limits.drain_timeout = SHORT;
        limits.workers = 1;
    });
    let (mut stuck, mut waiting) = (server.open(), server.open());
    stuck.send(get("/held"));
    begun.recv_timeout(PATIENCE).unwrap();
    waiting.send(get("/waiting"));
    let start = Instant::now();
    while server.metrics.requests.value() < 2 {
        thread::yield_now();
    }
    server.shut_down();
    server.join();
    assert!(start.elapsed() < PATIENCE);
    // A request that nobody has taken up is not left hanging, with its connection and thread.
    waiting.rest();
    drop(release);
    let start = Instant::now();
    while Arc::strong_count(&sessions) > 1 {
        assert!(start.elapsed() < PATIENCE, "a connection was forgotten");
        thread::yield_now();
    }
}

#[test]
fn a_server_that_never_ran_ends_as_well() {
    let server = Server::bind("127.0.0.1:0", echo).unwrap();
    let address = server.url().strip_prefix("http://").unwrap().to_owned();
    drop(server);
    let error = std::net::TcpStream::connect(address).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
    let error = Server::bind("nowhere", echo).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Usage);
}
