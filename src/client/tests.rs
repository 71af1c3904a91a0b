// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The client against servers that answer as scripted, rudely where servers do.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned, SupportedProtocolVersion};

use super::*;
use crate::access::Password;
use crate::digest::Digest;
use crate::pin::Pin;
use crate::threads;

trait Duplex: Read + Write {}
impl<T: Read + Write> Duplex for T {}
type Line = BufReader<Box<dyn Duplex>>;

/// A server that handles each connection with the same script until the test is over.
struct Fake {
    url: String,
    pin: Pin,
    connections: Arc<AtomicU64>,
}

impl Fake {
    fn start(script: impl Fn(&mut Line) + Send + 'static) -> Self {
        Self::with(None, script)
    }

    fn with(
        version: Option<&'static SupportedProtocolVersion>,
        script: impl Fn(&mut Line) + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let scheme = if version.is_some() { "https" } else { "http" };
        let url = format!("{scheme}://{}", listener.local_addr().unwrap());
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(vec!["x".to_owned()]).unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let pin = Pin::of_certificate(certificate.der()).unwrap();
        let tls = version.map(|version| {
            let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
            let provider = Arc::new(rustls::crypto::ring::default_provider());
            let builder = ServerConfig::builder_with_provider(provider);
            let builder = builder.with_protocol_versions(&[version]).unwrap();
            let chain = vec![certificate.der().clone()];
            Arc::new(
                builder
                    .with_no_client_auth()
                    .with_single_cert(chain, key)
                    .unwrap(),
            )
        });
        let connections = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&connections);
        let serve = move || {
            for stream in listener.incoming() {
                count.fetch_add(1, Ordering::Relaxed);
                script(&mut BufReader::new(wrap(stream.unwrap(), tls.as_ref())));
            }
        };
        threads::spawn("fake server", serve).unwrap();
        Self {
            url,
            pin,
            connections,
        }
    }

    fn client(&self) -> Client {
        let mut options = ClientOptions::new(self.url.parse().unwrap());
        if options.server.scheme() == Scheme::Https {
            options.trust = Trust::Pinned(self.pin);
        }
        options.timeout = Duration::from_secs(5);
        Client::new(options).unwrap()
    }

    fn connections(&self) -> u64 {
        self.connections.load(Ordering::Relaxed)
    }
}

fn wrap(stream: TcpStream, tls: Option<&Arc<ServerConfig>>) -> Box<dyn Duplex> {
    match tls {
        None => Box::new(stream),
        Some(config) => {
            let connection = ServerConnection::new(Arc::clone(config)).unwrap();
            Box::new(StreamOwned::new(connection, stream))
        }
    }
}

/// Reads the head of a request; empty if the client has gone.
fn head(line: &mut Line) -> String {
    let mut head = String::new();
    while line.read_line(&mut head).unwrap_or(0) > 2 {}
    head
}

fn say(line: &mut Line, text: &str) {
    line.get_mut().write_all(text.as_bytes()).unwrap();
    line.get_mut().flush().unwrap();
}

fn answer(line: &mut Line, status: &str, kind: &str, body: &str) {
    let length = body.len();
    say(
        line,
        &format!(
            "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n{body}"
        ),
    );
}

/// Takes uploads of a known length as a skep does, until the client goes.
fn store(line: &mut Line) {
    loop {
        let head = head(line).to_ascii_lowercase();
        let Some(length) = head.split("content-length: ").nth(1) else {
            return;
        };
        let length: u64 = length.split("\r\n").next().unwrap().parse().unwrap();
        if head.contains("100-continue") {
            say(line, "HTTP/1.1 100 Continue\r\n\r\n");
        }
        let digest = Digest::of_reader((&mut *line).take(length)).unwrap();
        let body = format!(
            r#"{{"name":"m","size":{length},"modified":"2000-01-01T00:00:00Z","digest":"{digest:?}"}}"#
        );
        answer(line, "201 Created", "application/json", &body);
    }
}

fn put(client: &mut Client, source: &mut dyn Read, length: u64) -> Result<Stored> {
    client.put(&"m".parse().unwrap(), source, Some(length), &mut |_| {})
}

const MIB: u64 = 1 << 20;
const FULL: &str = r#"{"status":507,"code":"no-space","detail":"the disk is full"}"#;

#[test]
fn uploads_arrive_on_one_connection_over_every_transport() {
    for version in [
        None,
        Some(&rustls::version::TLS12),
        Some(&rustls::version::TLS13),
    ] {
        let fake = Fake::with(version, store);
        let mut client = fake.client();
        for length in [0, 5, MIB, 3 * MIB + 1] {
            let stored = put(&mut client, &mut std::io::repeat(7), length).unwrap();
            assert_eq!(
                (stored.model.size, stored.outcome),
                (length, Outcome::Created)
            );
        }
        assert_eq!(fake.connections(), 1, "{version:?}");
    }
}

#[test]
fn a_refusal_in_the_middle_of_an_upload_is_shown() {
    for version in [None, Some(&rustls::version::TLS13)] {
        for late in [0, 100_000, 3 * MIB] {
            let fake = Fake::with(version, move |line| {
                let length = head(line).len();
                if length == 0 {
                    return;
                }
                say(line, "HTTP/1.1 100 Continue\r\n\r\n");
                std::io::copy(&mut (&mut *line).take(late), &mut std::io::sink()).unwrap();
                answer(
                    line,
                    "507 Insufficient Storage",
                    "application/problem+json",
                    FULL,
                );
            });
            for length in [Some(64 * MIB), None] {
                let (name, mut source) = ("m".parse().unwrap(), std::io::repeat(1));
                let result = fake.client().put(&name, &mut source, length, &mut |_| {});
                let error = result.unwrap_err();
                assert_eq!(
                    error.kind(),
                    ErrorKind::NoSpace,
                    "{version:?} {late}: {error}"
                );
                assert_eq!(error.message(), "the disk is full");
            }
        }
    }
}

#[test]
fn a_refusal_before_the_body_costs_nothing_of_it() {
    let fake = Fake::start(|line| {
        head(line);
        answer(
            line,
            "401 Unauthorized",
            "application/problem+json",
            r#"{"detail":"who?"}"#,
        );
        // The connection stays open until the client goes.
        let _ = line.read(&mut [0]);
    });
    let mut untouched = std::io::repeat(1).take(64 * MIB);
    let error = put(&mut fake.client(), &mut untouched, 64 * MIB).unwrap_err();
    assert_eq!(
        (error.kind(), error.message()),
        (ErrorKind::Unauthenticated, "who?")
    );
    assert_eq!(untouched.limit(), 64 * MIB);
}

#[test]
fn other_bytes_on_the_server_are_an_integrity_error() {
    let fake = Fake::start(|line| {
        head(line);
        line.read_exact(&mut [0; 3]).unwrap();
        let digest = Digest::of(b"other");
        let body = format!(
            r#"{{"name":"m","size":3,"modified":"2000-01-01T00:00:00Z","digest":"{digest:?}"}}"#
        );
        answer(line, "200 OK", "application/json", &body);
    });
    let error = put(&mut fake.client(), &mut &b"abc"[..], 3).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Integrity);
}

#[test]
fn a_download_that_failed_fails_again() {
    let wrong = Digest::of(b"hallo").field();
    for fields in [
        format!("Content-Length: 5\r\nRepr-Digest: {wrong}"),
        "Content-Length: 6".to_owned(),
        "Transfer-Encoding: chunked".to_owned(),
    ] {
        let text = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\n{fields}\r\n\r\nhello"
        );
        let fake = Fake::start(move |line| {
            if !head(line).is_empty() {
                say(line, &text);
            }
        });
        let mut download = fake.client().get(&"m".parse().unwrap()).unwrap();
        let mut all = Vec::new();
        for _ in 0..3 {
            let result = download.read_to_end(&mut all);
            assert!(result.is_err(), "{fields}: {result:?}");
        }
        assert_eq!(download.digest(), None, "{fields}");
    }
}

#[test]
fn what_cannot_be_said_of_models_is_not_kept() {
    let fake = Fake::start(store);
    let mut client = fake.client();
    let meta = |key: &str, value: &str| BTreeMap::from([(key.to_owned(), value.to_owned())]);
    client
        .describe(Some("MIT"), None, &meta("lang", "de, \u{e9}"))
        .unwrap();
    for (source, meta) in [
        (Some("a\nb"), meta("a", "b")),
        (None, meta("a=b", "c")),
        (None, meta("", "c")),
        (None, meta("a", "\tb")),
    ] {
        let error = client.describe(Some("MIT"), source, &meta).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Usage);
    }
    let fields = [
        ("skep-license", "MIT".to_owned()),
        ("skep-meta", "lang=UTF-8''de%2C%20%C3%A9".to_owned()),
    ];
    assert_eq!(client.about.fields(), fields);
    put(&mut client, &mut std::io::repeat(7), 5).unwrap();
}

#[test]
fn only_whole_and_right_downloads_are_kept() {
    let right = Digest::of(b"hello").etag();
    let wrong = Digest::of(b"hallo").field();
    for (fields, kind) in [
        (format!("Content-Length: 5\r\nETag: {right}"), None),
        (
            format!("Transfer-Encoding: chunked\r\nETag: {right}"),
            Some(ErrorKind::Interrupted),
        ),
        (
            format!("Content-Length: 5\r\nRepr-Digest: {wrong}"),
            Some(ErrorKind::Integrity),
        ),
        (
            format!("Content-Length: 6\r\nETag: {right}"),
            Some(ErrorKind::Interrupted),
        ),
    ] {
        let text = format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\nhello");
        let fake = Fake::start(move |line| {
            if !head(line).is_empty() {
                say(line, &text);
            }
        });
        let directory = tempfile::tempdir().unwrap();
        let target = directory.path().join("m");
        let mut download = fake.client().get(&"m".parse().unwrap()).unwrap();
        let length = fields.strip_prefix("Content-Length: ");
        let length = length.map(|length| length[..1].parse().unwrap());
        assert_eq!((download.size(), download.received()), (length, 0));
        let mut progress = 0;
        let result = download.save(&target, &mut |count| progress += count);
        if result.is_ok() {
            assert_eq!((download.received(), progress), (5, 5));
        }
        assert_eq!(download.digest(), result.as_ref().ok().copied());
        assert_eq!(
            result.as_ref().err().map(Error::kind),
            kind,
            "{fields}: {result:?}"
        );
        let kept = std::fs::read_dir(directory.path()).unwrap().count();
        assert_eq!(kept, usize::from(kind.is_none()), "{fields}");
    }
}

#[test]
fn what_is_no_whole_model_is_an_error_before_its_first_byte() {
    let wrong = Digest::of(b"hallo").field();
    for (status, fields, kind) in [
        (
            "206 Partial Content",
            "Content-Length: 5".to_owned(),
            ErrorKind::NotImplemented,
        ),
        (
            "204 No Content",
            "X: y".to_owned(),
            ErrorKind::NotImplemented,
        ),
        ("200 OK", "X: y".to_owned(), ErrorKind::NotImplemented),
        (
            "200 OK",
            "Transfer-Encoding: gzip".to_owned(),
            ErrorKind::NotImplemented,
        ),
        (
            "200 OK",
            "Content-Length: 5\r\nContent-Encoding: gzip".to_owned(),
            ErrorKind::NotImplemented,
        ),
        (
            "200 OK",
            "Content-Length: 5\r\nRepr-Digest: sha-256=:zz:".to_owned(),
            ErrorKind::Integrity,
        ),
        (
            "200 OK",
            "Content-Length: 5\r\nETag: \"sha256-zz\"".to_owned(),
            ErrorKind::Integrity,
        ),
        (
            "200 OK",
            format!(
                "Content-Length: 5\r\nRepr-Digest: {wrong}\r\nETag: {}",
                Digest::of(b"hello").etag()
            ),
            ErrorKind::Integrity,
        ),
    ] {
        let text = format!("HTTP/1.1 {status}\r\n{fields}\r\n\r\nhello");
        let fake = Fake::start(move |line| {
            if !head(line).is_empty() {
                say(line, &text);
            }
        });
        let error = fake
            .client()
            .get(&"m".parse().unwrap())
            .err()
            .expect(&fields);
        assert_eq!(error.kind(), kind, "{status} {fields}: {error}");
    }
}

#[test]
fn a_model_is_removed_only_by_an_answer_that_says_so() {
    for (status, is_gone) in [("204 No Content", true), ("202 Accepted", false)] {
        let fake = Fake::start(move |line| {
            head(line);
            say(
                line,
                &format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n"),
            );
        });
        let result = fake.client().remove(&"m".parse().unwrap());
        assert_eq!(result.is_ok(), is_gone, "{status}: {result:?}");
    }
}

#[test]
fn answers_that_are_cut_are_told_from_those_of_others() {
    let name: ModelName = "m".parse().unwrap();
    for fields in ["X: y", "Content-Length: 1000", "Transfer-Encoding: chunked"] {
        for body in [r#"{"content_b64":"aGVs"#, r#"{"size":"#, ""] {
            let body = match (fields.starts_with('T'), body.len()) {
                (true, 1..) => format!("{:x}\r\n{body}\r\n", body.len()),
                _ => body.to_owned(),
            };
            let text = format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\n{body}");
            let fake = Fake::start(move |line| {
                let head = head(line).to_ascii_lowercase();
                if let Some(length) = head.split("content-length: ").nth(1) {
                    let length: u64 = length.split("\r\n").next().unwrap().parse().unwrap();
                    std::io::copy(&mut (&mut *line).take(length), &mut std::io::sink()).unwrap();
                    say(line, &text);
                }
            });
            let mut options = ClientOptions::new(fake.url.parse().unwrap());
            options.password = Some(Password::new("secret").unwrap());
            options.password_over = PasswordOver::Anything;
            let mut client = Client::new(options).unwrap();
            let loaded = client.load(&name, &mut Vec::new(), &mut |_| {}).map(drop);
            let posted = client.post(&name, &mut &b"x"[..], 1, &mut |_| {}).map(drop);
            for error in [loaded.unwrap_err(), posted.unwrap_err()] {
                assert_eq!(
                    error.kind(),
                    ErrorKind::Interrupted,
                    "{fields} {body}: {error}"
                );
                assert_eq!(
                    error.message(),
                    "the server ended the connection",
                    "{fields} {body}"
                );
            }
        }
    }
}

#[test]
fn a_server_that_says_nothing_to_tls_is_given_up_in_plain_words() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}", silent.local_addr().unwrap());
    let mut options = ClientOptions::new(url.parse().unwrap());
    options.connect_timeout = Duration::from_millis(200);
    let error = Client::new(options).unwrap().list().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unreachable);
    assert!(
        error.message().contains("did not answer the TLS handshake"),
        "{error}"
    );
    assert!(
        error.hint_text().unwrap().contains("--connect-timeout"),
        "{error}"
    );
}

#[test]
fn a_stale_connection_is_replaced_without_a_word() {
    let fake = Fake::start(|line| {
        head(line);
        answer(
            line,
            "200 OK",
            "application/json",
            r#"{"schema":1,"models":[]}"#,
        );
        // This looks open to the client, and its next request gets no answer.
        head(line);
    });
    let mut client = fake.client();
    for _ in 0..3 {
        assert_eq!(client.list().unwrap(), []);
    }
    assert_eq!(fake.connections(), 3);
}

#[test]
fn a_list_that_breaks_off_is_asked_for_again() {
    let whole =
        r#"{"schema":1,"models":[{"name":"a","size":1,"modified":"2024-01-01T00:00:00Z"}]}"#;
    for cuts in [0, 1, 3, 4] {
        let left = AtomicU64::new(cuts);
        let fake = Fake::start(move |line| {
            head(line);
            let is_cut = left
                .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| {
                    left.checked_sub(1)
                })
                .is_ok();
            if is_cut {
                let fields = "Content-Type: application/json\r\nTransfer-Encoding: chunked";
                say(
                    line,
                    &format!(
                        "HTTP/1.1 200 OK\r\n{fields}\r\n\r\n12\r\n{}\r\n",
                        &whole[..18]
                    ),
                );
            } else {
                answer(line, "200 OK", "application/json", whole);
            }
        });

        let listed = fake.client().list();
        match cuts {
            4 => assert_eq!(listed.unwrap_err().kind(), ErrorKind::Interrupted),
            _ => assert_eq!(listed.unwrap().len(), 1, "{cuts}"),
        }
        assert_eq!(fake.connections(), (cuts + 1).min(4), "{cuts}");
    }
}

#[test]
fn an_upload_over_a_stale_connection_is_sent_again_while_nothing_of_it_was() {
    const LENGTH: u64 = 3 << 20;
    let list = r#"{"schema":1,"models":[]}"#;
    let stale = |taken: u64| {
        Fake::start(move |line| {
            let head = head(line).to_ascii_lowercase();
            if head.starts_with("get ") {
                answer(line, "200 OK", "application/json", list);
                // This looks open to the client until it sends a request.
                self::head(line);
                if taken > 0 {
                    say(line, "HTTP/1.1 100 Continue\r\n\r\n");
                    std::io::copy(&mut line.take(taken), &mut std::io::sink()).unwrap();
                }
                return;
            }

            say(line, "HTTP/1.1 100 Continue\r\n\r\n");
            let digest = Digest::of_reader((&mut *line).take(LENGTH)).unwrap();
            let body = format!(
                r#"{{"name":"m","size":{LENGTH},"modified":"2000-01-01T00:00:00Z","digest":"{digest:?}"}}"#
            );
            answer(line, "201 Created", "application/json", &body);
        })
    };

    let fake = stale(0);
    let mut client = fake.client();
    assert_eq!(client.list().unwrap(), []);
    let stored = put(&mut client, &mut std::io::repeat(7), LENGTH).unwrap();
    assert_eq!((stored.sent, fake.connections()), (LENGTH, 2));

    // What was taken from the source cannot be had again.
    let fake = stale(100_000);
    let mut client = fake.client();
    assert_eq!(client.list().unwrap(), []);
    let error = put(&mut client, &mut std::io::repeat(7), LENGTH).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Interrupted);
    assert_eq!(fake.connections(), 1);
}

#[test]
fn servers_of_other_kinds_are_named_as_such() {
    let fake = Fake::start(|line| {
        head(line);
        answer(line, "200 OK", "text/html", "<html>");
    });
    let error = fake.client().list().unwrap_err();
    assert!(error.hint_text().unwrap().contains("skep"), "{error}");
    let plain = fake.url.replace("http:", "https:");
    let error = Client::new(ClientOptions::new(plain.parse().unwrap()))
        .unwrap()
        .list();
    assert_eq!(error.unwrap_err().kind(), ErrorKind::Untrusted);
    let nobody = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let url = format!("http://{nobody}").parse().unwrap();
    let error = Client::new(ClientOptions::new(url))
        .unwrap()
        .list()
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unreachable);
}

#[test]
fn a_chosen_password_is_used_over_tls_only() {
    for (url, over, allowed) in [
        ("https://pi", PasswordOver::Protected, true),
        ("http://127.0.0.1:1", PasswordOver::Protected, false),
        ("http://127.0.0.1:1", PasswordOver::Anything, true),
        ("unix:@skep", PasswordOver::Protected, false),
        ("http://pi", PasswordOver::Protected, false),
        ("http://pi", PasswordOver::Anything, true),
    ] {
        let mut options = ClientOptions::new(url.parse().unwrap());
        options.password = Some(Password::new("secret").unwrap());
        options.password_over = over;
        match Client::new(options) {
            Ok(_) => assert!(allowed, "{url}"),
            Err(error) => assert!(!allowed && error.kind() == ErrorKind::Forbidden, "{error}"),
        }
    }
    assert!(Client::new(ClientOptions::new("http://pi".parse().unwrap())).is_ok());
}

/// The first lines of all requests to a server that answers each in the same way.
fn asked(answers: impl Fn(&str) -> String + Send + 'static) -> (Fake, Arc<Mutex<Vec<String>>>) {
    let heads = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&heads);
    let fake = Fake::start(move |line| {
        loop {
            let head = head(line);
            let Some(first) = head.lines().next().filter(|first| !first.is_empty()) else {
                return;
            };

            // The end of a body in chunks that has none.
            if first == "0" {
                continue;
            }

            let length = head.to_ascii_lowercase();
            let length = length.split("content-length: ").nth(1);
            let length = length.map_or(0, |text| text.lines().next().unwrap().parse().unwrap());
            threads::lock(&seen).push(first.to_owned());
            let text = answers(first);
            let _ = std::io::copy(&mut (&mut *line).take(length), &mut std::io::sink());
            say(line, &text);
        }
    });
    (fake, heads)
}

#[test]
fn nothing_but_an_upload_is_appended_to_or_cancelled() {
    for place in [
        "/v1/models/precious",
        "http://other/v1/uploads/",
        "/v1/uploads/../models/x",
    ] {
        let (fake, heads) = asked(move |first| match first.split(' ').next().unwrap() {
            "OPTIONS" => "HTTP/1.1 204 No Content\r\nUpload-Limit: max-size=9\r\n\r\n".to_owned(),
            // The upload that is created is refused, and so would be one sent at once.
            _ => format!(
                "HTTP/1.1 201 Created\r\nUpload-Offset: 0\r\nLocation: {place}\r\n\
                 Content-Length: 0\r\n\r\n"
            ),
        });
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&vec![7; 2 << 20]).unwrap();
        let options = TransferOptions {
            retries: 0,
            ..TransferOptions::default()
        };
        let name = "m".parse().unwrap();
        fake.client()
            .put_file(&name, &file, &options, &mut |_| {})
            .unwrap_err();

        let heads = threads::lock(&heads);
        assert!(heads.len() >= 3, "{heads:?}");
        for head in heads.iter() {
            assert!(
                head.ends_with(" /v1/models/m HTTP/1.1"),
                "{place}: {heads:?}"
            );
            assert!(
                !head.starts_with("DELETE") && !head.starts_with("PATCH"),
                "{heads:?}"
            );
        }
    }
}

#[test]
fn no_answer_sends_a_password_elsewhere() {
    for status in [
        "301 Moved",
        "302 Found",
        "307 Temporary Redirect",
        "308 Permanent Redirect",
    ] {
        let (fake, heads) = asked(move |_| {
            format!(
                "HTTP/1.1 {status}\r\nLocation: /v1/models/precious\r\nContent-Length: 0\r\n\r\n"
            )
        });
        let mut options = ClientOptions::new(fake.url.parse().unwrap());
        options.password = Some(Password::new("secret").unwrap());
        options.password_over = PasswordOver::Anything;
        let mut client = Client::new(options).unwrap();
        let name = "m".parse().unwrap();
        client.remove(&name).unwrap_err();
        client.list().unwrap_err();
        client.rollback(&name).unwrap_err();
        put(&mut client, &mut &b"x"[..], 1).unwrap_err();

        let heads = threads::lock(&heads);
        // The end of a body in chunks may be read as one.
        let asked = heads.iter().filter(|head| head.contains(" HTTP/1.1"));
        assert_eq!(asked.count(), 4, "{heads:?}");
        assert!(
            !heads.iter().any(|head| head.contains("precious")),
            "{heads:?}"
        );
    }
}

#[test]
fn a_transfer_on_a_thread_of_its_own_has_not_ended_before_its_answer_came() {
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let wait = Mutex::new(wait);
    let fake = Fake::start(move |line| {
        head(line);
        let _ = wait.lock().unwrap().recv();
        answer(line, "404 Not Found", "text/plain", "");
    });
    let folder = tempfile::tempdir().unwrap();
    let options = TransferOptions {
        retries: 0,
        ..TransferOptions::default()
    };
    let target = folder.path().join("m");
    let transfer = fake
        .client()
        .spawn_get("m".parse().unwrap(), target, options, |_| {})
        .unwrap();
    assert!(!transfer.is_finished());
    go.send(()).unwrap();
    while !transfer.is_finished() {
        std::thread::yield_now();
    }
    assert!(transfer.join().is_err());
}
