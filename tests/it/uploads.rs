// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Uploads in pieces: nothing is lost and nothing has to be sent twice, whatever happens in between.

use crate::support::process::{digest, noise};
use crate::support::raw::{Answer, Raw};
use crate::support::served::Served;

/// A server with a journal of small steps.
fn served() -> Served {
    Served::start(&["--plain", "--upload-sync-bytes", "64KiB"])
}

/// A connection to a server.
fn open(server: &Served) -> Raw {
    Raw::open(server.url.trim_start_matches("http://"))
}

/// The head of a request that shows the password.
fn head(server: &Served, line: &str, fields: &str) -> String {
    let password = server.password();
    let fields = fields.replace('\n', "\r\n");
    format!("{line} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {password}\r\n{fields}\r\n\r\n")
}

/// What a request on a connection of its own is answered.
fn ask(server: &Served, line: &str, fields: &str, body: &[u8]) -> Answer {
    let mut raw = open(server);
    let length = body.len();
    raw.send(head(server, line, &format!("{fields}\nContent-Length: {length}")));
    raw.send(body);
    raw.answer()
}

/// The value of a field, in lower case.
fn field<'a>(answer: &'a Answer, name: &str) -> Option<&'a str> {
    answer.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

/// Begins an upload without bytes; returns its path.
fn create(server: &Served, name: &str, fields: &str) -> String {
    let answer = ask(
        server,
        &format!("PUT /v1/models/{name}"),
        &format!("Upload-Complete: ?0{fields}"),
        b"",
    );
    assert_eq!(answer.status, 201, "{answer:?}");
    assert!(answer.has("upload-offset: 0") && answer.has("upload-complete: ?0"), "{answer:?}");
    assert!(field(&answer, "upload-limit").unwrap().contains("max-age="), "{answer:?}");
    let path = field(&answer, "location").unwrap().to_owned();
    assert_eq!(path.len(), "/v1/uploads/".len() + 32, "{path}");
    path
}

/// Appends a piece.
fn append(server: &Served, path: &str, offset: usize, complete: &str, body: &[u8]) -> Answer {
    let fields = format!("{PARTIAL}\nUpload-Offset: {offset}\nUpload-Complete: {complete}");
    ask(server, &format!("PATCH {path}"), &fields, body)
}

/// The offset that a server tells.
fn offset(server: &Served, path: &str) -> usize {
    let answer = tell(server, path);
    assert_eq!(answer.status, 204, "{answer:?}");
    assert!(answer.has("cache-control: no-store"), "{answer:?}");
    field(&answer, "upload-offset").unwrap().parse().unwrap()
}

fn tell(server: &Served, path: &str) -> Answer {
    let mut raw = open(server);
    raw.send(head(server, &format!("HEAD {path}"), "Connection: close"));
    raw.answer()
}

const PARTIAL: &str = "Content-Type: application/partial-upload";

#[test]
fn an_upload_goes_on_where_it_stands_until_it_is_a_model() {
    let server = served();
    let bytes = noise(1, 300_000);
    let path = create(&server, "m", "\nUpload-Length: 300000");
    assert_eq!(offset(&server, &path), 0);
    let answer = append(&server, &path, 0, "?0", &bytes[..100_000]);
    assert_eq!(answer.status, 204, "{answer:?}");
    assert!(answer.has("upload-complete: ?0") && answer.has("upload-offset: 100000"), "{answer:?}");
    let answer = tell(&server, &path);
    assert!(answer.has("upload-length: 300000") && answer.has("upload-complete: ?0"), "{answer:?}");
    let answer = append(&server, &path, 100_000, "?1", &bytes[100_000..]);
    assert_eq!(answer.status, 201, "{answer:?}");
    assert!(
        answer.has("upload-complete: ?1") && answer.has("location: /v1/models/m"),
        "{answer:?}"
    );
    assert!(answer.text().contains(&digest(&bytes)), "{answer:?}");
    assert_eq!(server.curl("/v1/models/m", &[]).is(200).body, bytes);
    // Who did not get the last answer learns that it is done.
    let answer = tell(&server, &path);
    assert!(answer.has("upload-complete: ?1") && answer.has("upload-offset: 300000"), "{answer:?}");
    assert_eq!(server.parts(), 0);
    server.stop().exits(0);
}

#[test]
fn a_cut_connection_costs_no_byte() {
    let server = served();
    let bytes = noise(2, 1_000_000);
    let path = create(&server, "m", "");
    let mut sent = 0;
    for share in [1, 70_000, 400_001] {
        let mut raw = open(&server);
        let fields = format!(
            "{PARTIAL}\nUpload-Offset: {sent}\nUpload-Complete: ?1\nContent-Length: {}",
            bytes.len() - sent
        );
        raw.send(head(&server, &format!("PATCH {path}"), &fields));
        raw.send(&bytes[sent..sent + share]);
        raw.end();
        assert_eq!(raw.answer().status, 400);
        sent += share;
        assert_eq!(offset(&server, &path), sent);
    }
    let answer = append(&server, &path, sent, "?1", &bytes[sent..]);
    assert_eq!(answer.status, 201, "{answer:?}");
    assert_eq!(server.curl("/v1/models/m", &[]).is(200).body, bytes);
    server.stop().exits(0);
}
