// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Uploads in pieces, spoken by hand.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::raw::{Answer, Raw};
use super::served::Served;

/// Where a server is, and its password.
pub(crate) trait Target {
    fn address(&self) -> String;
    fn word(&self) -> String;
}

impl Target for Served {
    fn address(&self) -> String {
        self.url.trim_start_matches("http://").to_owned()
    }

    fn word(&self) -> String {
        self.password()
    }
}

/// The same, for other threads.
pub(crate) struct Caller(String, String);

impl Caller {
    pub(crate) fn of(server: &impl Target) -> Self {
        Self(server.address(), server.word())
    }
}

impl Target for Caller {
    fn address(&self) -> String {
        self.0.clone()
    }

    fn word(&self) -> String {
        self.1.clone()
    }
}

/// A server with a journal of small steps.
pub(crate) fn served() -> Served {
    Served::start(STEPS)
}

pub(crate) const STEPS: &[&str] = &["--plain", "--upload-sync-bytes", "64KiB"];

pub(crate) const STEP: u64 = 64 * 1024;

/// A connection to a server.
pub(crate) fn open(server: &impl Target) -> Raw {
    Raw::open(&server.address())
}

/// The head of a request that shows the password.
pub(crate) fn head(server: &impl Target, line: &str, fields: &str) -> String {
    let password = server.word();
    let fields = fields.replace('\n', "\r\n");
    format!("{line} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {password}\r\n{fields}\r\n\r\n")
}

/// What a request on a connection of its own is answered.
pub(crate) fn ask(server: &impl Target, line: &str, fields: &str, body: &[u8]) -> Answer {
    let mut raw = open(server);
    let length = body.len();
    raw.send(head(
        server,
        line,
        &format!("{fields}\nContent-Length: {length}"),
    ));
    raw.send(body);
    raw.answer()
}

/// The value of a field, in lower case.
pub(crate) fn field<'a>(answer: &'a Answer, name: &str) -> Option<&'a str> {
    answer
        .head
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

/// Begins an upload without bytes; returns its path.
pub(crate) fn create(server: &impl Target, name: &str, fields: &str) -> String {
    create_at(server, &format!("/v1/models/{name}"), fields)
}

/// The same for another place than a model.
pub(crate) fn create_at(server: &impl Target, target: &str, fields: &str) -> String {
    let answer = ask(
        server,
        &format!("PUT {target}"),
        &format!("Upload-Complete: ?0{fields}"),
        b"",
    );
    assert_eq!(answer.status, 201, "{answer:?}");
    assert!(
        answer.has("upload-offset: 0") && answer.has("upload-complete: ?0"),
        "{answer:?}"
    );
    assert!(
        field(&answer, "upload-limit").unwrap().contains("max-age="),
        "{answer:?}"
    );
    let path = field(&answer, "location").unwrap().to_owned();
    assert_eq!(path.len(), "/v1/uploads/".len() + 32, "{path}");
    path
}

/// Appends a piece.
pub(crate) fn append(
    server: &impl Target,
    path: &str,
    offset: usize,
    complete: &str,
    body: &[u8],
) -> Answer {
    let fields = format!("{PARTIAL}\nUpload-Offset: {offset}\nUpload-Complete: {complete}");
    ask(server, &format!("PATCH {path}"), &fields, body)
}

/// The offset that a server tells.
pub(crate) fn offset(server: &impl Target, path: &str) -> usize {
    let answer = tell(server, path);
    assert_eq!(answer.status, 204, "{answer:?}");
    assert!(answer.has("cache-control: no-store"), "{answer:?}");
    field(&answer, "upload-offset").unwrap().parse().unwrap()
}

/// The answer to a HEAD, which has no content whatever its fields say.
pub(crate) fn tell(server: &impl Target, path: &str) -> Answer {
    let mut raw = open(server);
    raw.send(head(server, &format!("HEAD {path}"), "Connection: close"));
    let head = String::from_utf8(raw.until("\r\n\r\n").unwrap())
        .unwrap()
        .to_ascii_lowercase();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer {
        status,
        head,
        content: Vec::new(),
    }
}

/// The value of a digest field.
pub(crate) fn digest_field(bytes: &[u8]) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, bytes);
    format!("sha-256=:{}:", STANDARD.encode(digest))
}

/// Begins to send a piece, and does not come to its end.
pub(crate) fn begin_piece(
    server: &impl Target,
    path: &str,
    offset: usize,
    bytes: &[u8],
    total: usize,
) -> Raw {
    let mut raw = open(server);
    let fields = format!(
        "{PARTIAL}\n{INTEROP}\nUpload-Offset: {offset}\nUpload-Complete: ?1\n\
         Content-Length: {}",
        total - offset
    );
    raw.send(head(server, &format!("PATCH {path}"), &fields));
    raw.send(bytes);
    raw
}

pub(crate) const INTEROP: &str = "Upload-Draft-Interop-Version: 8";

pub(crate) const PARTIAL: &str = "Content-Type: application/partial-upload";

/// Reads over interim answers to the final one.
pub(crate) fn until_final(raw: &mut Raw, status: u16) -> Answer {
    loop {
        let answer = raw.answer();
        if answer.status != 104 {
            assert_eq!(answer.status, status, "{answer:?}");
            return answer;
        }
    }
}
