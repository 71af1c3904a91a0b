// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Answers without an end: they come as it happens, a caller that leaves is noticed, and a shutdown
//! waits for none of them.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use skep::{
    Content, Endless, Handler, Happened, Request, Response, Server, ServerHandle, ServerOptions,
    Status,
};

/// For what must not happen at all.
const DEADLINE: Duration = Duration::from_secs(20);

/// Bytes that come through a pair of sockets.
struct Line {
    socket: UnixStream,
    gone: Sender<()>,
}

impl Endless for Line {
    fn next(&mut self) -> Happened {
        let mut buffer = [0; 64];
        match self.socket.read(&mut buffer) {
            Ok(0) => Happened::End,
            Ok(count) => Happened::Bytes(buffer[..count].to_vec()),
            Err(_) => Happened::Nothing,
        }
    }

    fn descriptor(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        let _ = self.gone.send(());
    }
}

struct Served {
    handle: ServerHandle,
    /// The other ends of all lines.
    ends: Arc<Mutex<Vec<UnixStream>>>,
    gone: Receiver<()>,
}

fn serve() -> Served {
    let ends: Arc<Mutex<Vec<UnixStream>>> = Arc::default();
    let (gone_sender, gone) = channel();
    let kept = Arc::clone(&ends);
    let gone_sender = Mutex::new(gone_sender);
    let handler = move |_: &mut Request<'_>| {
        let (ours, theirs) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        (&theirs).write_all(b"first").unwrap();
        kept.lock().unwrap().push(theirs);
        let gone = gone_sender.lock().unwrap().clone();
        let line = Line { socket: ours, gone };
        Response::new(Status::OK).content(Content::Endless(Box::new(line)))
    };

    Served {
        handle: start(handler),
        ends,
        gone,
    }
}

fn start(handler: impl Handler) -> ServerHandle {
    let mut options = ServerOptions::default();
    options.limits.connections_max = 40;
    // Nothing may come to an end by this.
    options.limits.drain_timeout = Duration::from_secs(3600);
    options.limits.idle_timeout = Duration::from_secs(3600);
    let address = "127.0.0.1:0".parse().unwrap();
    let server = Server::with_options(&[address], options, handler).unwrap();
    server.start().unwrap()
}

/// A caller that has read the head and the first chunk.
fn watch(handle: &ServerHandle) -> BufReader<TcpStream> {
    let address = handle.url().strip_prefix("http://").unwrap().to_owned();
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        .unwrap();

    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    while line != "\r\n" {
        line.clear();
        assert_ne!(reader.read_line(&mut line).unwrap(), 0, "no head");
    }
    assert_eq!(chunk(&mut reader), b"first");
    reader
}

fn chunk(reader: &mut BufReader<TcpStream>) -> Vec<u8> {
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    let length = usize::from_str_radix(line.trim_end(), 16).expect(&line);
    let mut bytes = vec![0; length + 2];
    reader.read_exact(&mut bytes).unwrap();
    assert_eq!(bytes.split_off(length), b"\r\n");
    bytes
}

#[test]
fn what_happens_is_sent_when_it_happens() {
    let served = serve();
    let mut reader = watch(&served.handle);

    for text in ["one", "two"] {
        let end = &served.ends.lock().unwrap()[0];
        (&*end).write_all(text.as_bytes()).unwrap();
        assert_eq!(chunk(&mut reader), text.as_bytes());
    }

    // The other end is closed, so the content ends after all, and so does the answer.
    served.ends.lock().unwrap().clear();
    assert_eq!(chunk(&mut reader), b"");
    served.handle.shutdown();
    served.handle.join().unwrap();
}

#[test]
fn a_shutdown_ends_twenty_of_them_whole() {
    let served = serve();
    let mut readers: Vec<_> = (0..20).map(|_| watch(&served.handle)).collect();

    served.handle.shutdown();
    served.handle.join().unwrap();
    for reader in &mut readers {
        assert_eq!(chunk(reader), b"", "it was cut");
    }
}

/// Content that has something new at any time, so many bytes of it.
struct Flood(UnixStream, usize);

impl Endless for Flood {
    fn next(&mut self) -> Happened {
        Happened::Bytes(vec![b'x'; self.1])
    }

    fn descriptor(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[test]
fn a_shutdown_ends_content_that_never_runs_dry() {
    let handler = |_: &mut Request<'_>| {
        let (socket, _) = UnixStream::pair().unwrap();
        Response::new(Status::OK).content(Content::Endless(Box::new(Flood(socket, 4096))))
    };
    let server = Server::bind("127.0.0.1:0", handler).unwrap();
    let handle = server.start().unwrap();
    let mut line = TcpStream::connect(&handle.url()["http://".len()..]).unwrap();
    line.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        .unwrap();
    line.read_exact(&mut [0; 10_000]).unwrap();

    let reader = std::thread::spawn(move || {
        let mut rest = Vec::new();
        line.read_to_end(&mut rest).unwrap();
        rest.ends_with(b"\r\n0\r\n\r\n")
    });
    handle.shutdown();
    handle.join().unwrap();
    assert!(reader.join().unwrap(), "it was cut");
}

#[test]
fn a_shutdown_gives_a_caller_that_is_behind_the_end_of_its_content() {
    let handler = |_: &mut Request<'_>| {
        let (socket, _) = UnixStream::pair().unwrap();
        Response::new(Status::OK).content(Content::Endless(Box::new(Flood(socket, 4 << 20))))
    };
    let server = Server::bind("127.0.0.1:0", handler).unwrap();
    let handle = server.start().unwrap();
    let connect = || TcpStream::connect(&handle.url()["http://".len()..]).unwrap();
    let mut silent = vec![connect()];
    let mut line = connect();
    line.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        .unwrap();
    // Most of a piece is still to be sent then.
    fill(&line);
    silent.push(connect());

    // Those who say nothing are let go when the server knows that it stops, and the caller reads only then.
    handle.shutdown();
    for other in &mut silent {
        let _ = other.read(&mut [0]);
    }
    let mut rest = Vec::new();
    line.read_to_end(&mut rest).unwrap();
    assert!(rest.ends_with(b"\r\n0\r\n\r\n"), "it was cut");
    handle.join().unwrap();
}

/// Returns once nothing more arrives, since there is no room for it.
fn fill(line: &TcpStream) {
    let mut unread = 0;
    let (_kept, never) = channel::<()>();
    loop {
        let _ = never.recv_timeout(Duration::from_millis(200));
        let now = rustix::io::ioctl_fionread(line).unwrap();
        if now > 0 && now == unread {
            return;
        }
        unread = now;
    }
}

#[test]
fn a_caller_that_left_is_noticed_while_nothing_is_written() {
    let served = serve();
    let reader = watch(&served.handle);

    drop(reader);
    served.gone.recv_timeout(DEADLINE).unwrap();
    served.handle.shutdown();
    served.handle.join().unwrap();
}

/// What happens is told to all by one descriptor, from which nobody reads.
struct Shared {
    bell: Arc<UnixStream>,
    happened: Arc<AtomicUsize>,
    seen: usize,
}

impl Endless for Shared {
    fn next(&mut self) -> Happened {
        if self.happened.load(Ordering::SeqCst) <= self.seen {
            return Happened::Nothing;
        }
        self.seen += 1;
        Happened::Bytes(b"first".to_vec())
    }

    fn descriptor(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }
}

#[test]
fn one_descriptor_may_stand_for_many_streams() {
    let (bell, ringer) = UnixStream::pair().unwrap();
    let bell = Arc::new(bell);
    let happened = Arc::new(AtomicUsize::new(1));
    let counter = Arc::clone(&happened);
    let handle = start(move |_: &mut Request<'_>| {
        let source = Shared {
            bell: Arc::clone(&bell),
            happened: Arc::clone(&counter),
            seen: 0,
        };
        Response::new(Status::OK).content(Content::Endless(Box::new(source)))
    });

    let mut readers: Vec<_> = (0..3).map(|_| watch(&handle)).collect();
    for _ in 0..3 {
        happened.fetch_add(1, Ordering::SeqCst);
        (&ringer).write_all(b"x").unwrap();
        for reader in &mut readers {
            assert_eq!(chunk(reader), b"first");
        }
        // The others go on without the one that leaves.
        readers.remove(0);
        readers.push(watch_again(&handle, &happened));
    }
    handle.shutdown();
    handle.join().unwrap();
}

/// A caller that has read all that happened so far.
fn watch_again(handle: &ServerHandle, happened: &AtomicUsize) -> BufReader<TcpStream> {
    let mut reader = watch(handle);
    for _ in 1..happened.load(Ordering::SeqCst) {
        assert_eq!(chunk(&mut reader), b"first");
    }
    reader
}
