// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A server that answers as a script has it, whatever HTTP and the rules of skep say.

use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use skep::{Digest, Pin};

use super::process::{DEADLINE, Outcome, Place, run};

trait Duplex: Read + Write {}
impl<T: Read + Write> Duplex for T {}

/// What becomes of the connection after an answer.
pub(crate) enum Then {
    Again,
    Close,
}

type Script = dyn Fn(&mut Question<'_>) -> Then + Send + Sync;

/// A server on a free port of the loopback device, until it is dropped.
pub(crate) struct Liar {
    pub(crate) url: String,
    /// The keys that it shows by turns, a new one with each connection; none over plain HTTP.
    pub(crate) pins: Vec<Pin>,
    shared: Arc<Shared>,
    address: SocketAddr,
}

struct Shared {
    script: Box<Script>,
    tls: Vec<Arc<ServerConfig>>,
    /// The heads of all requests, in lower case.
    heads: Mutex<Vec<String>>,
    /// Bytes that a client took of what has no end.
    taken: AtomicU64,
    over: AtomicBool,
}

/// A request that waits for its answer.
pub(crate) struct Question<'a> {
    /// Its head in lower case.
    pub(crate) head: String,
    /// How many requests came before, over whatever connection.
    pub(crate) number: usize,
    line: &'a mut BufReader<Box<dyn Duplex>>,
    shared: &'a Shared,
}

impl Liar {
    /// One that speaks plain HTTP.
    pub(crate) fn start(
        script: impl Fn(&mut Question<'_>) -> Then + Send + Sync + 'static,
    ) -> Self {
        Self::with(0, Box::new(script))
    }

    /// One that speaks TLS and shows so many different keys by turns.
    pub(crate) fn of_keys(
        keys: usize,
        script: impl Fn(&mut Question<'_>) -> Then + Send + Sync + 'static,
    ) -> Self {
        Self::with(keys, Box::new(script))
    }

    fn with(keys: usize, script: Box<Script>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (tls, pins): (Vec<_>, Vec<_>) = (0..keys).map(|_| identity()).unzip();
        let shared = Arc::new(Shared {
            script,
            tls,
            heads: Mutex::default(),
            taken: AtomicU64::new(0),
            over: AtomicBool::new(false),
        });
        let scheme = if keys == 0 { "http" } else { "https" };
        let liar = Self {
            url: format!("{scheme}://{address}"),
            pins,
            shared: Arc::clone(&shared),
            address,
        };
        std::thread::spawn(move || accept(&listener, &shared));
        liar
    }

    /// Runs the client against it, in these directories.
    pub(crate) fn skep(&self, place: &Place, arguments: &[&str]) -> Outcome {
        let mut command = place.skep(arguments);
        command.env("SKEP_SERVER", &self.url);
        if let Some(pin) = self.pins.first() {
            command.env("SKEP_PIN", pin.to_string());
        }
        run(&mut command)
    }

    /// The heads of all requests so far, in lower case.
    pub(crate) fn heads(&self) -> Vec<String> {
        self.shared.heads.lock().unwrap().clone()
    }

    /// How many bytes clients took of what has no end, with what was on its way.
    pub(crate) fn taken(&self) -> u64 {
        self.shared.taken.load(Ordering::SeqCst)
    }
}

impl Drop for Liar {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::SeqCst);
        // Wakes the thread that accepts.
        let _ = TcpStream::connect(self.address);
    }
}

impl Question<'_> {
    /// Whether the request line begins so, such as `get /v1/models/m`.
    pub(crate) fn is(&self, start: &str) -> bool {
        self.head.starts_with(start)
    }

    /// The value of a field, in lower case.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.head
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }

    /// Reads bytes of the body.
    pub(crate) fn take(&mut self, bytes: u64) -> Vec<u8> {
        if self.field("expect") == Some("100-continue") {
            self.say("HTTP/1.1 100 Continue\r\n\r\n");
        }
        let mut body = Vec::new();
        let _ = self.line.take(bytes).read_to_end(&mut body);
        body
    }

    /// Reads all of a body whose length is known.
    pub(crate) fn body(&mut self) -> Vec<u8> {
        let length = self.field("content-length");
        let length = length.map_or(0, |length| length.parse().unwrap());
        self.take(length)
    }

    /// Sends bytes as they are; whether the client was still there.
    pub(crate) fn say(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        let line = self.line.get_mut();
        line.write_all(bytes.as_ref())
            .and_then(|()| line.flush())
            .is_ok()
    }

    /// Answers with a body whose length the fields tell.
    pub(crate) fn answer(&mut self, status: &str, fields: &str, body: &[u8]) -> Then {
        let head = format!(
            "HTTP/1.1 {status}\r\n{fields}Content-Length: {}\r\n\r\n",
            body.len()
        );
        self.say(head.as_bytes());
        self.say(body);
        Then::Again
    }

    /// Sends the same again and again until the client has had enough; it gets no more than a client
    /// with bounds ever takes.
    pub(crate) fn endlessly(&mut self, piece: &[u8]) -> Then {
        let mut sent = 0;
        while sent < ENDLESS_BYTES && self.say(piece) {
            sent += piece.len() as u64;
        }
        self.shared.taken.fetch_add(sent, Ordering::SeqCst);
        Then::Close
    }
}

/// The fields that belong to the bytes of a model.
pub(crate) fn tagged(bytes: &[u8]) -> String {
    let digest = Digest::of(bytes);
    format!(
        "Content-Type: application/octet-stream\r\nETag: {}\r\nRepr-Digest: {}\r\n",
        digest.etag(),
        digest.field()
    )
}

/// What stands for an endless answer: more than any client should take without a word.
pub(crate) const ENDLESS_BYTES: u64 = 256 << 20;

/// A key of a server, and its pin.
pub(crate) fn identity() -> (Arc<ServerConfig>, Pin) {
    let key = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(vec!["liar".to_owned()]).unwrap();
    let certificate = params.self_signed(&key).unwrap();
    let pin = Pin::of_certificate(certificate.der()).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    (Arc::new(config), pin)
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for (number, stream) in listener.incoming().enumerate() {
        if shared.over.load(Ordering::SeqCst) {
            return;
        }
        let Ok(stream) = stream else { continue };
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream.set_write_timeout(Some(DEADLINE)).unwrap();
        stream.set_nodelay(true).unwrap();
        let shared = Arc::clone(shared);
        std::thread::spawn(move || converse(stream, number, &shared));
    }
}

fn converse(stream: TcpStream, number: usize, shared: &Shared) {
    let stream: Box<dyn Duplex> = match shared.tls.len() {
        0 => Box::new(stream),
        keys => {
            let config = Arc::clone(&shared.tls[number % keys]);
            let connection = ServerConnection::new(config).unwrap();
            Box::new(StreamOwned::new(connection, stream))
        }
    };
    let mut line = BufReader::new(stream);
    loop {
        let mut head = String::new();
        while line.read_line(&mut head).unwrap_or(0) > 2 {}
        if !head.ends_with("\r\n\r\n") {
            return;
        }
        head.make_ascii_lowercase();
        let number = {
            let mut heads = shared.heads.lock().unwrap();
            heads.push(head.clone());
            heads.len() - 1
        };
        let mut question = Question {
            head,
            number,
            line: &mut line,
            shared,
        };
        if matches!((shared.script)(&mut question), Then::Close) {
            return;
        }
    }
}
