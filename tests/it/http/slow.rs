// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Answers at their callers' pace: a slow reader gets every byte and costs no thread, and one that
//! takes too little is cut in time.

use std::collections::HashMap;
use std::fs;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use skep::{
    Address, Content, Endless, Happened, Limits, Metrics, Request, Response, Server, ServerHandle,
    ServerOptions, Status,
};

use super::rude::session;
use crate::support::process::{noise, until};
use crate::support::raw::{PATIENCE, get};

/// What carries the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Line {
    Plain,
    Tls,
    Unix,
}

const LINES: [Line; 3] = [Line::Plain, Line::Tls, Line::Unix];

/// A server in this process.
struct Slow {
    handle: ServerHandle,
    metrics: Arc<Metrics>,
    line: Line,
    /// Tells that a reader was let go of, and how much was read of it.
    gone: Receiver<(Instant, usize)>,
    /// The other ends of all streams.
    ends: Arc<Mutex<Vec<UnixStream>>>,
}

/// A caller, whatever it speaks over.
trait Caller: Read + Write + Send {}

impl<T: Read + Write + Send> Caller for T {}

/// Tells when it is dropped.
struct Telling<R> {
    inner: R,
    read: usize,
    gone: Sender<(Instant, usize)>,
}

impl<R> Telling<R> {
    fn new(inner: R, gone: Sender<(Instant, usize)>) -> Self {
        let read = 0;
        Self { inner, read, gone }
    }
}

impl<R: Read> Read for Telling<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.read += count;
        Ok(count)
    }
}

impl<R> Drop for Telling<R> {
    fn drop(&mut self) {
        let _ = self.gone.send((Instant::now(), self.read));
    }
}

/// A stream of events.
struct Events(UnixStream);

impl Endless for Events {
    fn next(&mut self) -> Happened {
        let mut buffer = [0; 64];
        match self.0.read(&mut buffer) {
            Ok(0) => Happened::End,
            Ok(count) if buffer[..count].contains(&b'!') => panic!("as asked"),
            Ok(count) => Happened::Bytes(buffer[..count].to_vec()),
            Err(_) => Happened::Nothing,
        }
    }

    fn descriptor(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// A stream in which more happens than anybody takes.
struct Flood(UnixStream);

impl Endless for Flood {
    fn next(&mut self) -> Happened {
        Happened::Bytes(vec![0; 1 << 20])
    }

    fn descriptor(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Panics after some bytes.
struct Faulty(usize);

impl Read for Faulty {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        assert!(self.0 > 0, "as asked");
        let count = buffer.len().min(self.0);
        buffer[..count].fill(b'x');
        self.0 -= count;
        Ok(count)
    }
}

/// Of each answer.
const LENGTH: usize = 1_500_000;

fn content() -> Vec<u8> {
    noise(7, LENGTH)
}

fn tls() -> rustls::ServerConfig {
    let issued = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(issued.signing_key.serialize_der());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![issued.cert.der().clone()], key.unwrap())
        .unwrap()
}

impl Slow {
    fn start(line: Line, set: impl FnOnce(&mut Limits)) -> Self {
        let (sender, gone) = channel();
        let sender = Mutex::new(sender);
        let ends: Arc<Mutex<Vec<UnixStream>>> = Arc::default();
        let kept = Arc::clone(&ends);
        let bytes: Arc<[u8]> = content().into();
        let mut file = tempfile::tempfile().unwrap();
        // What is asked for is a range of it.
        file.write_all(b"before").unwrap();
        file.write_all(&bytes).unwrap();
        file.write_all(b"after").unwrap();

        let handler = move |request: &mut Request<'_>| {
            let sender = sender.lock().unwrap().clone();
            let content = match request.path() {
                "/bytes" => Content::Bytes(bytes.to_vec()),
                "/fitting" => Content::Bytes(vec![0; 100_000]),
                "/shared" => Content::Shared(Arc::clone(&bytes), 0..LENGTH),
                "/file" => Content::File {
                    file: file.try_clone().unwrap(),
                    offset: 6,
                    length: LENGTH as u64,
                },
                "/reader" => {
                    let reader = Telling::new(io::Cursor::new(bytes.to_vec()), sender);
                    Content::Reader(LENGTH as u64, Box::new(reader))
                }
                "/chunked" => Content::Chunked(Box::new(io::Cursor::new(bytes.to_vec()))),
                "/zeros" => Content::Chunked(Box::new(Telling::new(io::repeat(0), sender))),
                "/faulty" => Content::Chunked(Box::new(Faulty(100_000))),
                "/events" => {
                    let (ours, theirs) = UnixStream::pair().unwrap();
                    ours.set_nonblocking(true).unwrap();
                    kept.lock().unwrap().push(theirs);
                    Content::Endless(Box::new(Events(ours)))
                }
                "/flood" => Content::Endless(Box::new(Flood(UnixStream::pair().unwrap().0))),
                _ => Content::Bytes(b"small".to_vec()),
            };
            Response::new(Status::OK).content(content)
        };

        let mut options = ServerOptions::default();
        options.limits.connections_max = 200;
        // Nothing may come to an end by these.
        options.limits.drain_timeout = Duration::from_secs(3600);
        options.limits.idle_timeout = Duration::from_secs(3600);
        set(&mut options.limits);
        if line == Line::Tls {
            options.tls_config = Some(Arc::new(tls()));
        }

        let address = match line {
            Line::Unix => "unix:auto",
            Line::Plain | Line::Tls => "127.0.0.1:0",
        };
        let server = Server::with_options(&[address.parse().unwrap()], options, handler).unwrap();
        let metrics = server.metrics();
        Self {
            handle: server.start().unwrap(),
            metrics,
            line,
            gone,
            ends,
        }
    }

    fn open(&self) -> Box<dyn Caller> {
        self.open_with(None, None)
    }

    /// A connection whose kernel takes no more than so many bytes, in packets of at most so many.
    fn open_with(&self, window: Option<usize>, packet: Option<u32>) -> Box<dyn Caller> {
        match &self.handle.addresses()[0] {
            Address::Ip(address) => {
                let kind = socket2::Type::STREAM;
                let socket = socket2::Socket::new(socket2::Domain::IPV4, kind, None).unwrap();
                if let Some(window) = window {
                    socket.set_recv_buffer_size(window).unwrap();
                }
                if let Some(packet) = packet {
                    socket.set_tcp_mss(packet).unwrap();
                }
                socket.connect(&(*address).into()).unwrap();
                let stream = TcpStream::from(socket);
                stream.set_read_timeout(Some(PATIENCE)).unwrap();
                match self.line {
                    Line::Tls => Box::new(rustls::StreamOwned::new(session(), stream)),
                    Line::Plain | Line::Unix => Box::new(stream),
                }
            }
            Address::Unix(path) => {
                let stream = UnixStream::connect(path).unwrap();
                stream.set_read_timeout(Some(PATIENCE)).unwrap();
                Box::new(stream)
            }
            other => panic!("{other}"),
        }
    }

    fn end(self) {
        self.handle.shutdown();
        self.handle.join().unwrap();
    }
}

/// A caller takes its time. This is its rudeness, and nothing that a test waits for.
fn pause(time: Duration) {
    let (_kept, never) = channel::<()>();
    let _ = never.recv_timeout(time);
}

/// Longer than a thread waits for room.
const PAUSE: Duration = Duration::from_millis(120);

fn line(caller: &mut dyn Caller) -> String {
    let mut line = Vec::new();
    let mut byte = [0];
    while !line.ends_with(b"\r\n") {
        caller.read_exact(&mut byte).unwrap();
        line.push(byte[0]);
    }
    String::from_utf8(line).unwrap().trim_end().to_owned()
}

/// Status and fields.
fn head(caller: &mut dyn Caller) -> (String, HashMap<String, String>) {
    let status = line(caller);
    let mut fields = HashMap::new();
    loop {
        let field = line(caller);
        let Some((name, value)) = field.split_once(": ") else {
            return (status, fields);
        };
        fields.insert(name.to_ascii_lowercase(), value.to_owned());
    }
}

/// Reads so many bytes, and stops now and then if there are many.
fn slowly(caller: &mut dyn Caller, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    if length < LENGTH {
        caller.read_exact(&mut bytes).unwrap();
        return bytes;
    }

    let (first, rest) = bytes.split_at_mut(length.min(300_000));
    pause(PAUSE);
    caller.read_exact(first).unwrap();
    pause(PAUSE);
    caller.read_exact(rest).unwrap();
    bytes
}

fn answer(caller: &mut dyn Caller) -> Vec<u8> {
    let (status, fields) = head(caller);
    assert_eq!(status, "HTTP/1.1 200 OK");
    if let Some(length) = fields.get("content-length") {
        return slowly(caller, length.parse().unwrap());
    }

    let mut content = Vec::new();
    if fields.contains_key("transfer-encoding") {
        loop {
            let size = usize::from_str_radix(&line(caller), 16).unwrap();
            if content.is_empty() {
                pause(PAUSE);
            }
            let start = content.len();
            content.resize(start + size, 0);
            caller.read_exact(&mut content[start..]).unwrap();
            assert_eq!(line(caller), "");
            if size == 0 {
                return content;
            }
        }
    }

    pause(PAUSE);
    caller.read_to_end(&mut content).unwrap();
    content
}

#[test]
fn slow_readers_get_every_byte_in_order() {
    let expected = content();
    let kinds = ["/file", "/bytes", "/shared", "/reader", "/chunked"];
    for line in LINES {
        let server = Slow::start(line, |_| {});
        let mut caller = server.open_with(Some(64 * 1024), None);
        // All of them are there before the first answer is taken.
        for kind in kinds {
            caller.write_all(get(kind).as_bytes()).unwrap();
            caller.write_all(get("/small").as_bytes()).unwrap();
        }
        for kind in kinds {
            assert!(answer(&mut *caller) == expected, "{line:?} {kind}");
            assert_eq!(answer(&mut *caller), b"small", "{line:?} after {kind}");
        }

        // Without chunks, the end of the connection ends the content.
        let mut caller = server.open_with(Some(64 * 1024), None);
        let old = "GET /chunked HTTP/1.0\r\nHost: a\r\n\r\n";
        caller.write_all(old.as_bytes()).unwrap();
        assert!(answer(&mut *caller) == expected, "{line:?}");

        // A caller that has closed its half still takes its answer.
        if let (Line::Plain, Address::Ip(address)) = (line, &server.handle.addresses()[0]) {
            let mut caller = TcpStream::connect(address).unwrap();
            caller.write_all(get("/file").as_bytes()).unwrap();
            caller.shutdown(std::net::Shutdown::Write).unwrap();
            assert!(answer(&mut caller) == expected, "half closed");
        }
        server.end();
    }
}

#[test]
fn whoever_takes_nothing_is_cut_in_time() {
    const TIMEOUT: Duration = Duration::from_secs(2);
    for line in LINES {
        for window in [None, Some(2048)] {
            let server = Slow::start(line, |limits| limits.write_timeout = TIMEOUT);
            let mut caller = server.open_with(window, None);
            caller.write_all(get("/zeros").as_bytes()).unwrap();
            let mut first = [0];
            caller.read_exact(&mut first).unwrap();
            let begun = Instant::now();
            let (gone, read) = server.gone.recv_timeout(PATIENCE).unwrap();
            let cut = gone - begun;
            println!("{line:?} {window:?}: cut after {cut:?}, {read} bytes");
            assert!(cut < TIMEOUT * 5 / 2, "{line:?} {window:?}: {cut:?}");

            // What waits for a caller that takes nothing is little.
            if window.is_some() {
                assert!(read < 600_000, "{line:?}: {read} bytes wait here");
            }
            server.end();
        }
    }
}

#[test]
fn whoever_takes_something_is_not_cut_before_the_kernel_tells_of_room() {
    const TIMEOUT: Duration = Duration::from_secs(4);
    let server = Slow::start(Line::Unix, |limits| limits.write_timeout = TIMEOUT);
    let mut caller = server.open();
    caller.write_all(get("/zeros").as_bytes()).unwrap();
    head(&mut *caller);

    // A Unix socket holds about three such pieces, and tells of room once nearly all of them are gone
    // (unix(7) counts them whole).
    let mut piece = [0; 66_000];
    for _ in 0..6 {
        pause(TIMEOUT * 3 / 8);
        caller.read_exact(&mut piece).unwrap();
    }
    assert!(server.gone.try_recv().is_err(), "it was cut");
    drop(caller);
    server.end();
}

#[test]
fn whoever_reads_steadily_through_a_small_window_is_not_cut() {
    for line in [Line::Plain, Line::Tls] {
        let server = Slow::start(line, |limits| {
            limits.write_timeout = Duration::from_secs(1);
        });
        // The window never has room for a whole packet of the loopback device.
        let mut caller = server.open_with(Some(16_384), Some(1448));
        caller.write_all(get("/zeros").as_bytes()).unwrap();

        let start = Instant::now();
        let mut piece = [0; 1000];
        while start.elapsed() < Duration::from_secs(5) {
            caller.read_exact(&mut piece).unwrap();
            pause(Duration::from_millis(20));
        }
        assert!(server.gone.try_recv().is_err(), "{line:?}: it was cut");
        drop(caller);
        server.end();
    }
}

/// Whether the kernel still knows the server's side of a connection (proc_pid_net_tcp(5)).
fn is_known(server: u16, caller: u16) -> bool {
    let table = fs::read_to_string("/proc/self/net/tcp").unwrap();
    let (local, remote) = (format!(":{server:04X}"), format!(":{caller:04X}"));
    let mut rows = table.lines().map(|row| row.split_whitespace());
    rows.any(|mut row| {
        row.nth(1).is_some_and(|field| field.ends_with(&local))
            && row.next().is_some_and(|field| field.ends_with(&remote))
    })
}

#[test]
fn what_nobody_takes_does_not_stay_in_the_kernel_after_the_end() {
    let server = Slow::start(Line::Plain, |limits| {
        limits.write_timeout = Duration::from_secs(1);
        limits.rate_min = 1 << 20;
    });
    let Address::Ip(address) = server.handle.addresses()[0] else {
        panic!("another address");
    };
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(2048).unwrap();
    socket.connect(&address.into()).unwrap();
    let mut caller = TcpStream::from(socket);
    let port = caller.local_addr().unwrap().port();

    // The kernel has room for the answer, but the caller takes nothing of it.
    let request = "GET /fitting HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    caller.write_all(request.as_bytes()).unwrap();
    caller.read_exact(&mut [0]).unwrap();
    assert!(is_known(address.port(), port));

    let start = Instant::now();
    while is_known(address.port(), port) {
        assert!(start.elapsed() < PATIENCE, "its bytes are still there");
        pause(PAUSE);
    }
    server.end();
}

#[test]
fn whoever_takes_too_little_is_cut() {
    for line in [Line::Plain, Line::Tls] {
        let server = Slow::start(line, |limits| {
            limits.write_timeout = Duration::from_secs(1);
            limits.rate_min = 2 << 20;
        });
        let mut caller = server.open();
        caller.write_all(get("/zeros").as_bytes()).unwrap();
        let mut piece = [0; 8192];
        until(|| {
            // Once it is cut, the rest or an error is read.
            let _ = caller.read(&mut piece);
            pause(Duration::from_millis(10));
            server.gone.try_recv().is_ok()
        });
        server.end();
    }
}

#[test]
fn a_caller_that_leaves_gives_its_place_back() {
    for line in LINES {
        let server = Slow::start(line, |limits| {
            limits.connections_max = 1;
            limits.write_timeout = Duration::from_secs(3600);
        });
        let mut caller = server.open();
        caller.write_all(get("/zeros").as_bytes()).unwrap();
        caller.read_exact(&mut [0; 100]).unwrap();
        pause(PAUSE);
        drop(caller);
        server.gone.recv_timeout(PATIENCE).unwrap();

        // The content goes a moment before the place is free.
        until(|| {
            let mut next = server.open();
            next.write_all(get("/file").as_bytes()).unwrap();
            head(&mut *next).0 == "HTTP/1.1 200 OK"
        });
        server.end();
    }
}

#[test]
fn a_shutdown_waits_for_answers_that_wait() {
    let expected = content();
    for line in LINES {
        let server = Slow::start(line, |_| {});
        let mut callers: Vec<_> = (0..4)
            .map(|_| server.open_with(Some(64 * 1024), None))
            .collect();
        for caller in &mut callers {
            caller.write_all(get("/file").as_bytes()).unwrap();
            assert_eq!(head(&mut **caller).0, "HTTP/1.1 200 OK");
        }
        // A stream whose caller takes nothing is not waited for.
        let mut watcher = server.open();
        watcher.write_all(get("/events").as_bytes()).unwrap();
        assert_eq!(head(&mut *watcher).0, "HTTP/1.1 200 OK");

        pause(PAUSE);
        server.handle.shutdown();
        for caller in &mut callers {
            assert!(slowly(&mut **caller, LENGTH) == expected, "{line:?}");
        }
        server.handle.join().unwrap();
    }
}

#[test]
fn a_stream_that_nobody_takes_does_not_hold_up_a_shutdown() {
    let server = Slow::start(Line::Plain, |limits| {
        limits.write_timeout = Duration::from_secs(3600);
    });
    let mut watcher = server.open();
    watcher.write_all(get("/flood").as_bytes()).unwrap();
    head(&mut *watcher);

    // The poller sends to it, and still serves others.
    let mut next = server.open();
    next.write_all(get("/small").as_bytes()).unwrap();
    assert_eq!(answer(&mut *next), b"small");
    server.end();
    assert!(watcher.read_to_end(&mut Vec::new()).is_err(), "not cut");
}

#[test]
fn panics_in_contents_cost_one_answer() {
    let server = Slow::start(Line::Plain, |_| {});
    let mut caller = server.open();
    caller.write_all(get("/faulty").as_bytes()).unwrap();
    head(&mut *caller);
    assert!(caller.read_to_end(&mut Vec::new()).is_err(), "not cut");

    let mut watcher = server.open();
    watcher.write_all(get("/events").as_bytes()).unwrap();
    head(&mut *watcher);
    let end = server.ends.lock().unwrap().pop().unwrap();
    (&end).write_all(b"!").unwrap();
    assert!(watcher.read_to_end(&mut Vec::new()).is_err(), "not cut");

    assert_eq!(server.metrics.panics.value(), 2);
    let mut next = server.open();
    next.write_all(get("/small").as_bytes()).unwrap();
    assert_eq!(answer(&mut *next), b"small");
    server.end();
}

/// Threads of this process by the name that the server gives them.
fn threads(name: &str) -> usize {
    let tasks = fs::read_dir("/proc/self/task").unwrap();
    let names = tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("comm")).ok());
    names.filter(|comm| comm.trim_end() == name).count()
}

fn all_threads() -> usize {
    fs::read_dir("/proc/self/task").unwrap().count()
}

#[test]
#[ignore = "it counts the threads of its process, so the next test gives it one of its own"]
fn who_waits_alone_costs_no_thread() {
    let expected = content();
    let server = Slow::start(Line::Plain, |_| {});
    let mut first = server.open();
    first.write_all(get("/small").as_bytes()).unwrap();
    assert_eq!(answer(&mut *first), b"small");
    let before = all_threads();

    let mut watchers: Vec<_> = (0..64).map(|_| server.open()).collect();
    for watcher in &mut watchers {
        watcher.write_all(get("/events").as_bytes()).unwrap();
        head(&mut **watcher);
    }
    let mut readers: Vec<_> = (0..50)
        .map(|_| server.open_with(Some(64 * 1024), None))
        .collect();
    for reader in &mut readers {
        reader.write_all(get("/file").as_bytes()).unwrap();
        head(&mut **reader);
    }

    until(|| threads("answer") == 0);
    assert!(all_threads() <= before);

    // Events need no thread either.
    for (end, watcher) in server.ends.lock().unwrap().iter().zip(&mut watchers) {
        { end }.write_all(b"event").unwrap();
        assert_eq!(line(&mut **watcher), "5");
        assert_eq!(line(&mut **watcher), "event");
    }
    assert!(all_threads() <= before);

    for reader in &mut readers {
        let mut bytes = vec![0; LENGTH];
        reader.read_exact(&mut bytes).unwrap();
        assert!(bytes == expected);
    }
    drop((watchers, readers, first));
    server.end();
}

#[test]
fn who_waits_costs_no_thread() {
    let outcome = Command::new(std::env::current_exe().unwrap())
        .args(["http::slow::who_waits_alone_costs_no_thread", "--exact"])
        .args(["--ignored", "--nocapture", "--test-threads", "1"])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&outcome.stdout);
    let errors = String::from_utf8_lossy(&outcome.stderr);
    assert!(outcome.status.success(), "{text}{errors}");
    assert!(text.contains("1 passed"), "{text}");
}
