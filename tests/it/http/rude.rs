// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Rude and unlucky clients against the real binary: it survives a lack of descriptors, resets and
//! crowds, and slow TLS (facts F1 to F3 of the design).

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process, prlimit};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme};

use crate::support::process::ended;
use crate::support::raw::{PATIENCE, Raw, get};

/// The real server as a process of its own.
struct Process {
    child: Child,
    address: String,
    folder: tempfile::TempDir,
}

impl Process {
    fn start(arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let journal = fs::File::create(folder.path().join("journal")).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_skep"))
            .args(["serve", "127.0.0.1", "--port", "0", "--dir"])
            .arg(folder.path().join("models"))
            .args(arguments)
            .env("SKEP_HOME", folder.path().join("home"))
            .stdout(Stdio::piped())
            .stderr(journal)
            .spawn()
            .unwrap();
        let address = ready(&mut child);
        Self {
            child,
            address,
            folder,
        }
    }

    fn id(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Whether a request is answered in time.
    fn is_well(&self, wait: Duration) -> bool {
        let start = Instant::now();
        let mut bytes = Vec::new();
        while start.elapsed() < wait {
            let Ok(mut stream) = TcpStream::connect(&self.address) else {
                continue;
            };
            stream.set_read_timeout(Some(wait)).unwrap();
            let sent = stream.write_all(get("/healthz").as_bytes());
            let mut piece = [0; 12];
            if sent.is_ok() && stream.read_exact(&mut piece).is_ok() && piece.ends_with(b"200") {
                return true;
            }
            bytes = piece.to_vec();
        }
        panic!(
            "not well after {wait:?}: {bytes:?}, journal: {}",
            self.journal()
        );
    }

    fn threads(&self) -> usize {
        fs::read_dir(format!("/proc/{}/task", self.child.id()))
            .unwrap()
            .count()
    }

    fn descriptors(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.child.id()))
            .unwrap()
            .count()
    }

    /// Processor time in hundredths of a second.
    fn ticks(&self) -> u64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        let fields: Vec<&str> = stat.rsplit(") ").next().unwrap().split(' ').collect();
        fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
    }

    fn journal(&self) -> String {
        fs::read_to_string(self.folder.path().join("journal")).unwrap()
    }

    /// Ends the server as a service manager does.
    fn end(self) {
        kill_process(self.id(), Signal::TERM).unwrap();
        self.wait();
    }

    fn wait(mut self) {
        let status = ended(&mut self.child);
        assert_eq!(status.code(), Some(0), "{}", self.journal());
        let journal = self.journal();
        assert!(!journal.contains("panicked"), "{journal}");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits for the ready line, and takes the address out of it.
fn ready(child: &mut Child) -> String {
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap())
        .read_line(&mut line)
        .unwrap();
    let url = line.split(' ').nth(2).expect("a ready line");
    url.split("//").nth(1).unwrap().to_owned()
}

#[test]
fn a_lack_of_descriptors_passes() {
    let server = Process::start(&["--plain", "--max-connections", "60"]);
    assert!(server.is_well(PATIENCE));
    let few = Some(server.descriptors() as u64 + 4);
    let before = Rlimit {
        current: few,
        maximum: None,
    };
    let hard = rustix::process::getrlimit(Resource::Nofile).maximum;
    let before = prlimit(
        Some(server.id()),
        Resource::Nofile,
        Rlimit {
            maximum: hard,
            ..before
        },
    );
    let before = before.unwrap();
    // They fit into the queue of the kernel, but not into the process.
    let crowd: Vec<Raw> = (0..30).map(|_| Raw::open(&server.address)).collect();
    let start = Instant::now();
    while !server.journal().contains("no connection can be accepted") {
        assert!(start.elapsed() < PATIENCE, "descriptors did not run out");
    }
    let (ticks, mut waiting) = (server.ticks(), Raw::open(&server.address));
    waiting.send(get("/healthz"));
    waiting
        .stream
        .set_read_timeout(Some(Duration::from_secs(1)))
        .unwrap();
    assert!(
        waiting.stream.read(&mut [0]).is_err(),
        "there was a descriptor left"
    );
    assert!(
        server.ticks() - ticks < 30,
        "the server spins: {}",
        server.ticks() - ticks
    );
    drop(crowd);
    let start = Instant::now();
    waiting.stream.set_read_timeout(Some(PATIENCE)).unwrap();
    assert_eq!(waiting.answer().status, 200);
    println!(
        "served {} ms after descriptors came free",
        start.elapsed().as_millis()
    );
    assert!(start.elapsed() < PATIENCE);
    prlimit(Some(server.id()), Resource::Nofile, before).unwrap();
    server.end();
}

#[test]
fn settings_that_need_more_descriptors_than_there_are_are_lowered() {
    let program = env!("CARGO_BIN_EXE_skep");
    let folder = tempfile::tempdir().unwrap();
    let script = format!(
        "ulimit -n 100; exec {program} serve 127.0.0.1 --plain --port 0 --dir models \
         --max-connections 500"
    );
    let child = Command::new("sh")
        .args(["-c", &script])
        .current_dir(&folder)
        .env("SKEP_HOME", folder.path().join("home"))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // From here on it is ended even if the test fails.
    let mut server = Process {
        child,
        address: String::new(),
        folder,
    };
    server.address = ready(&mut server.child);
    let errors = server.child.stderr.take().unwrap();
    let warning = BufReader::new(errors)
        .lines()
        .map_while(Result::ok)
        .find(|line| line.contains("too few for 500 running and 256 waiting"));
    assert!(warning.expect("a warning").contains("taking 10 and 8"));
    let mut crowd: Vec<Raw> = (0..8).map(|_| Raw::open(&server.address)).collect();
    for raw in &mut crowd {
        raw.send(get("/healthz"));
        assert_eq!(raw.answer().status, 200);
    }
    // Strangers make room for further ones.
    assert!(server.is_well(PATIENCE));
    assert!(crowd[0].next_answer().is_none());
}

#[test]
fn storms_of_resets_leave_no_trace() {
    let server = Process::start(&["--plain"]);
    assert!(server.is_well(PATIENCE));
    let (threads, descriptors) = (server.threads(), server.descriptors());
    for number in 0..1500 {
        let stream = TcpStream::connect(&server.address).unwrap();
        let socket = socket2::SockRef::from(&stream);
        socket.set_linger(Some(Duration::ZERO)).unwrap();
        // At once, in the middle of a head, and after a request.
        let whole = get("/");
        let bytes = ["", "GET / HT", &whole][number % 3];
        let _ = (&stream).write_all(bytes.as_bytes());
    }
    assert!(server.is_well(PATIENCE));
    let start = Instant::now();
    while server.threads() > threads || server.descriptors() > descriptors {
        assert!(
            start.elapsed() < PATIENCE,
            "{} threads are left",
            server.threads()
        );
    }
    server.end();
}

#[test]
fn threads_are_bounded_by_the_settings() {
    let server = Process::start(&["--plain", "--max-connections", "50", "--workers", "4"]);
    let mut crowd: Vec<Raw> = (0..50).map(|_| Raw::open(&server.address)).collect();
    for raw in &mut crowd {
        raw.send(get("/healthz"));
        assert_eq!(raw.answer().status, 200);
    }
    let more: Vec<Raw> = (0..100).map(|_| Raw::open(&server.address)).collect();
    let start = Instant::now();
    let mut most = 0;
    while start.elapsed() < Duration::from_millis(500) {
        most = most.max(server.threads());
    }
    println!("{most} threads for 50 connections and 4 workers");
    assert!(most <= 50 + 4 + OTHER_THREADS, "{most} threads");
    drop(more);
    // A shutdown closes idle connections at once.
    let start = Instant::now();
    server.end();
    assert!(start.elapsed() < PATIENCE);
}

/// Main, accept, signals, the engine's feed and tiny_http's own, the store's, and four refusals.
const OTHER_THREADS: usize = 16;

#[test]
fn a_signal_lets_an_upload_finish() {
    let server = Process::start(&["--plain"]);
    let password = fs::read_to_string(server.folder.path().join("home/password")).unwrap();
    let password = password.trim();
    let mut raw = Raw::open(&server.address);
    let fields = format!("Authorization: Bearer {password}\r\nExpect: 100-continue");
    let head = "PUT /v1/models/slow HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n";
    raw.send(format!("{head}{fields}\r\n\r\n"));
    assert_eq!(raw.answer().status, 100, "{}", server.journal());
    raw.send("x".repeat(50_000));
    kill_process(server.id(), Signal::TERM).unwrap();
    let start = Instant::now();
    while !server.journal().contains("finishing what is running") {
        assert!(start.elapsed() < PATIENCE, "{}", server.journal());
    }
    raw.send("y".repeat(50_000));
    let answer = raw.answer();
    assert_eq!(answer.status, 201, "{answer:?}");
    assert!(answer.has("connection: close"));
    drop(raw);
    server.wait();
}

/// Trusts everybody: these tests are about time.
#[derive(Debug)]
struct Anyone;

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ECDSA_NISTP256_SHA256]
    }
}

/// What a caller needs that takes any server.
pub(crate) fn trusting(provider: CryptoProvider) -> ClientConfig {
    ClientConfig::builder_with_provider(Arc::new(provider))
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anyone))
        .with_no_client_auth()
}

pub(crate) fn session() -> ClientConnection {
    let config = trusting(rustls::crypto::ring::default_provider());
    ClientConnection::new(Arc::new(config), "localhost".try_into().unwrap()).unwrap()
}

#[test]
fn slow_tls_is_ended_at_every_stage() {
    let server = Process::start(&["--head-timeout", "500ms", "--idle-timeout", "500ms"]);
    let pause = Duration::from_millis(100);
    // Nothing, and a handshake that drips.
    let mut silent = Raw::open(&server.address);
    let mut hello = Vec::new();
    session().write_tls(&mut hello).unwrap();
    let mut dripping = Raw::open(&server.address);
    assert!(
        dripping.drip(&hello, pause) < 20,
        "a dripping handshake is waited for"
    );
    silent.rest();
    // A record that drips, in place of a request.
    let mut raw = Raw::open(&server.address);
    let mut client = session();
    while client.is_handshaking() {
        client.complete_io(&mut raw.stream).unwrap();
    }
    client
        .writer()
        .write_all(get(&"/x".repeat(400)).as_bytes())
        .unwrap();
    let mut record = Vec::new();
    client.write_tls(&mut record).unwrap();
    // Session tickets may still come; they are no end.
    raw.stream.set_read_timeout(Some(pause)).unwrap();
    while raw.stream.read(&mut [0; 4096]).is_ok_and(|count| count > 0) {}
    let taken = raw.drip(&record, pause);
    assert!(taken < 20, "{taken} bytes of a record were waited for");
    server.end();
}

#[test]
fn the_connection_over_the_limit_is_told_so_over_tls() {
    let server = Process::start(&["--max-idle-connections", "1", "--head-timeout", "1h"]);
    let password = fs::read_to_string(server.folder.path().join("home/password")).unwrap();

    // A caller that has shown who it is makes no room.
    let (mut kept, mut known) = (Raw::open(&server.address), session());
    let mut stream = rustls::Stream::new(&mut known, &mut kept.stream);
    let fields = format!("Authorization: Bearer {}", password.trim());
    let request = format!("GET /v1/models HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200");

    let mut raw = Raw::open(&server.address);
    let mut client = session();
    let mut stream = rustls::Stream::new(&mut client, &mut raw.stream);
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 503");

    // Refused callers that shake hands slowly are let go sooner than others.
    let mut slow = Raw::open(&server.address);
    let start = Instant::now();
    slow.rest();
    assert!(start.elapsed() < PATIENCE, "{:?}", start.elapsed());
    drop(kept);
}
