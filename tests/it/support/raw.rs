// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Bytes over a socket, as no HTTP library would send them, and servers to send them to.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use skep::{
    Handler, Limits, Metrics, Request, Response, Server, ServerHandle, ServerOptions, Status,
};

/// Longer than anything here should ever take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A server in this process.
pub(crate) struct Running {
    handle: Option<ServerHandle>,
    address: String,
    pub(crate) metrics: Arc<Metrics>,
}

impl Running {
    pub(crate) fn start(handler: impl Handler, set: impl FnOnce(&mut Limits)) -> Self {
        let mut options = ServerOptions::default();
        set(&mut options.limits);
        let address = "127.0.0.1:0".parse().unwrap();
        let server = Server::with_options(&[address], options, handler).unwrap();
        let metrics = server.metrics();
        let handle = server.start().unwrap();
        let address = handle.url().strip_prefix("http://").unwrap().to_owned();
        Self {
            handle: Some(handle),
            address,
            metrics,
        }
    }

    /// Host and port.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    pub(crate) fn open(&self) -> Raw {
        Raw::open(&self.address)
    }

    /// What a fresh connection is answered.
    pub(crate) fn ask(&self, bytes: impl AsRef<[u8]>) -> Answer {
        let mut raw = self.open();
        raw.send(bytes);
        raw.answer()
    }

    /// Asks the server to end, without waiting.
    pub(crate) fn shut_down(&self) {
        self.handle.as_ref().unwrap().shutdown();
    }

    /// Waits for the end.
    pub(crate) fn join(mut self) {
        self.handle.take().unwrap().join().unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(handle) = self.handle.take() {
            handle.shutdown();
            let outcome = handle.join();
            if !std::thread::panicking() {
                outcome.unwrap();
            }
        }
    }
}

/// A connection on which anything can be said.
pub(crate) struct Raw {
    pub(crate) stream: TcpStream,
    buffer: Vec<u8>,
}

/// An answer, taken apart.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// The status line and the fields in lower case.
    pub(crate) head: String,
    pub(crate) content: Vec<u8>,
}

impl Answer {
    pub(crate) fn text(&self) -> &str {
        str::from_utf8(&self.content).unwrap()
    }

    pub(crate) fn has(&self, line: &str) -> bool {
        self.head.lines().any(|field| field == line)
    }
}

impl Raw {
    pub(crate) fn open(address: &str) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self {
            stream,
            buffer: Vec::new(),
        }
    }

    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).unwrap();
    }

    /// Sends one byte after the other until the other side has enough; says how many it took.
    pub(crate) fn drip(&mut self, bytes: &[u8], pause: Duration) -> usize {
        self.stream.set_read_timeout(Some(pause)).unwrap();
        for (count, byte) in bytes.iter().enumerate() {
            if self.stream.write_all(&[*byte]).is_err() {
                return count;
            }
            // The pause between two bytes ends as soon as there is an answer.
            match self.stream.peek(&mut [0]) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                _ => {
                    self.stream.set_read_timeout(Some(PATIENCE)).unwrap();
                    return count + 1;
                }
            }
        }
        self.stream.set_read_timeout(Some(PATIENCE)).unwrap();
        bytes.len()
    }

    pub(crate) fn end(&mut self) {
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    fn fill(&mut self) -> usize {
        let mut piece = [0; 65536];
        let count = loop {
            // With a time limit, a read can be interrupted by the end of a child process.
            match self.stream.read(&mut piece) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                result => break result.expect("an answer or an end"),
            }
        };
        self.buffer.extend_from_slice(&piece[..count]);
        count
    }

    /// Takes bytes up to and with `mark`; `None` at the end of the connection.
    pub(crate) fn until(&mut self, mark: &str) -> Option<Vec<u8>> {
        loop {
            let found = self
                .buffer
                .windows(mark.len())
                .position(|window| window == mark.as_bytes());
            if let Some(start) = found {
                return Some(self.buffer.drain(..start + mark.len()).collect());
            }
            if self.fill() == 0 {
                return None;
            }
        }
    }

    fn exactly(&mut self, count: usize) -> Vec<u8> {
        while self.buffer.len() < count {
            assert!(self.fill() > 0, "the content is cut");
        }
        self.buffer.drain(..count).collect()
    }

    pub(crate) fn answer(&mut self) -> Answer {
        self.next_answer().expect("an answer before the end")
    }

    /// The next answer, which is not to a HEAD; `None` if the connection ended properly.
    pub(crate) fn next_answer(&mut self) -> Option<Answer> {
        let Some(head) = self.until("\r\n\r\n") else {
            assert!(self.buffer.is_empty(), "half an answer: {:?}", self.buffer);
            return None;
        };
        let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let content = match head.split("content-length: ").nth(1) {
            Some(rest) => self.exactly(rest.lines().next().unwrap().parse().unwrap()),
            None if head.contains("transfer-encoding: chunked") => self.chunks(),
            None => Vec::new(),
        };
        Some(Answer {
            status,
            head,
            content,
        })
    }

    fn chunks(&mut self) -> Vec<u8> {
        let mut content = Vec::new();
        loop {
            let line = String::from_utf8(self.until("\r\n").unwrap()).unwrap();
            let size = usize::from_str_radix(line.trim(), 16).unwrap();
            content.extend(self.exactly(size));
            assert_eq!(self.exactly(2), b"\r\n");
            if size == 0 {
                return content;
            }
        }
    }

    /// What comes until the end of the connection; an error (RST) counts as `None`.
    pub(crate) fn rest(&mut self) -> Option<Vec<u8>> {
        let mut rest = std::mem::take(&mut self.buffer);
        self.stream.read_to_end(&mut rest).ok().map(|_| rest)
    }
}

/// A handler for most tests: reads the body where the path does not say otherwise.
pub(crate) fn echo(request: &mut Request<'_>) -> Response {
    match request.path() {
        "/panic" => panic!("as asked"),
        "/ignore" => Response::text(Status::OK, "ignored"),
        "/refuse" => Response::problem(Status::UNAUTHORIZED, "not you"),
        path => match request.body().read_all(1 << 20) {
            Ok(body) => Response::text(Status::OK, format!("{path} {}", body.len())),
            Err(error) => Response::error(&error),
        },
    }
}

pub(crate) fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")
}

pub(crate) fn put(path: &str, fields: &str, body: &str) -> String {
    format!("PUT {path} HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n{body}")
}
