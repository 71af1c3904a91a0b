// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Uploads in pieces: what their requests are answered, and what is refused.

use crate::support::pieces::{
    INTEROP, PARTIAL, STEPS, append, ask, create, digest_field, field, head, offset, open, served,
    tell, until_final,
};
use crate::support::process::{Place, digest, noise, until};
use crate::support::served::Served;

#[test]
#[cfg_attr(not(has_curl), ignore = "curl is not installed")]
fn an_upload_goes_on_where_it_stands_until_it_is_a_model() {
    let server = served();
    let bytes = noise(1, 300_000);
    let path = create(&server, "m", "\nUpload-Length: 300000");
    assert_eq!(offset(&server, &path), 0);
    let answer = append(&server, &path, 0, "?0", &bytes[..100_000]);
    assert_eq!(answer.status, 204, "{answer:?}");
    assert!(
        answer.has("upload-complete: ?0") && answer.has("upload-offset: 100000"),
        "{answer:?}"
    );
    let answer = tell(&server, &path);
    assert!(
        answer.has("upload-length: 300000") && answer.has("upload-complete: ?0"),
        "{answer:?}"
    );
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
    assert!(
        answer.has("upload-complete: ?1") && answer.has("upload-offset: 300000"),
        "{answer:?}"
    );
    assert_eq!(server.parts(), 0);
    server.stop().exits(0);
}

#[test]
#[cfg_attr(not(has_curl), ignore = "curl is not installed")]
fn whoever_knows_the_draft_learns_at_once_where_to_go_on() {
    let server = served();
    let bytes = noise(3, 300_000);
    for method in ["PUT", "POST"] {
        let mut raw = open(&server);
        let fields = format!("{INTEROP}\nUpload-Complete: ?1\nContent-Length: 300000");
        raw.send(head(
            &server,
            &format!("{method} /v1/models/{method}"),
            &fields,
        ));
        let first = raw.answer();
        assert!(
            first
                .head
                .starts_with("http/1.1 104 upload resumption supported"),
            "{first:?}"
        );
        assert!(first.has("upload-draft-interop-version: 8"), "{first:?}");
        assert!(
            field(&first, "upload-limit")
                .unwrap()
                .starts_with("max-size="),
            "{first:?}"
        );
        let path = field(&first, "location").unwrap().to_owned();
        raw.send(&bytes[..100_000]);
        let next = raw.answer();
        assert_eq!(
            (next.status, field(&next, "location")),
            (104, None),
            "{next:?}"
        );
        assert_ne!(field(&next, "upload-offset"), Some("0"), "{next:?}");
        raw.end();
        until_final(&mut raw, 400);
        let answer = tell(&server, &path);
        // The first request told the length, too.
        assert!(answer.has("upload-offset: 100000") && answer.has("upload-length: 300000"));
        let answer = append(&server, &path, 100_000, "?1", &bytes[100_000..]);
        assert_eq!(answer.status, 201, "{answer:?}");
        assert_eq!(
            server
                .curl(&format!("/v1/models/{method}"), &[])
                .is(200)
                .body,
            bytes
        );
    }
    // A whole one in one request is answered as ever.
    let fields = format!("{INTEROP}\nUpload-Complete: ?1\nContent-Length: 3");
    let mut raw = open(&server);
    raw.send(head(&server, "PUT /v1/models/PUT", &fields) + "abc");
    assert_eq!(raw.answer().status, 104);
    let answer = until_final(&mut raw, 200);
    assert!(answer.has("upload-complete: ?1") && answer.text().contains(&digest(b"abc")));
    // HTTP/1.0 knows no interim answers.
    let mut raw = open(&server);
    let old = head(&server, "PUT /v1/models/PUT", &fields).replace("HTTP/1.1", "HTTP/1.0");
    raw.send(old + "abc");
    assert_eq!(raw.answer().status, 200);
    // Who does not know the draft gets no 104, and leaves nothing that nobody could find.
    let mut raw = open(&server);
    raw.send(
        head(
            &server,
            "PUT /v1/models/n",
            "Upload-Complete: ?1\nContent-Length: 9",
        ) + "part",
    );
    raw.end();
    assert_eq!(raw.answer().status, 400);
    assert_eq!(server.parts(), 0);
    server.stop().exits(0);
}

#[test]
#[cfg_attr(not(has_curl), ignore = "curl is not installed")]
fn what_does_not_fit_the_upload_is_refused_and_changes_nothing() {
    let server = served();
    let path = create(&server, "m", "\nUpload-Length: 10");
    append(&server, &path, 0, "?0", b"01234");
    let answer = append(&server, &path, 7, "?1", b"789");
    assert_eq!(answer.status, 409, "{answer:?}");
    assert!(
        answer.has("upload-offset: 5") && answer.has("upload-complete: ?0"),
        "{answer:?}"
    );
    let problem: serde_json::Value = serde_json::from_slice(&answer.content).unwrap();
    let kind = "https://iana.org/assignments/http-problem-types#mismatching-upload-offset";
    assert_eq!(problem["type"], kind);
    assert_eq!(
        (&problem["expected-offset"], &problem["provided-offset"]),
        (&5.into(), &7.into())
    );
    let line = format!("PATCH {path}");
    for (fields, status) in [
        (
            "Content-Type: text/plain\nUpload-Offset: 5\nUpload-Complete: ?1".to_owned(),
            415,
        ),
        ("Upload-Offset: 5\nUpload-Complete: ?1".to_owned(), 415),
        (format!("{PARTIAL}\nUpload-Complete: ?1"), 400),
        (
            format!("{PARTIAL}\nUpload-Offset: -5\nUpload-Complete: ?1"),
            400,
        ),
        (format!("{PARTIAL}\nUpload-Offset: 5"), 400),
        (
            format!("{PARTIAL}\nUpload-Offset: 5\nUpload-Complete: 1"),
            400,
        ),
        (
            format!("{PARTIAL}\nUpload-Offset: 5\nUpload-Offset: 5\nUpload-Complete: ?1"),
            400,
        ),
    ] {
        let answer = ask(&server, &line, &fields, b"56789");
        assert_eq!(answer.status, status, "{fields}: {answer:?}");
        assert_eq!(
            status == 415,
            answer.has("accept-patch: application/partial-upload")
        );
    }
    // Lengths that contradict each other.
    let answer = append(&server, &path, 5, "?1", b"5678");
    assert_eq!(answer.status, 400, "{answer:?}");
    assert!(
        answer.text().contains("#inconsistent-upload-length"),
        "{answer:?}"
    );
    assert_eq!(append(&server, &path, 5, "?0", b"567890").status, 400);
    let fields = format!("{PARTIAL}\nUpload-Offset: 5\nUpload-Complete: ?0\nUpload-Length: 11");
    assert_eq!(ask(&server, &line, &fields, b"5").status, 400);
    assert_eq!(offset(&server, &path), 5);
    assert_eq!(append(&server, &path, 5, "?1", b"56789").status, 201);
    // After the end.
    let answer = append(&server, &path, 10, "?1", b"");
    assert_eq!(answer.status, 400, "{answer:?}");
    assert!(answer.text().contains("#completed-upload") && answer.has("upload-complete: ?1"));
    assert_eq!(append(&server, &path, 10, "?1", b"x").status, 400);
    assert_eq!(server.curl("/v1/models/m", &[]).is(200).body, b"0123456789");
    server.stop().exits(0);
}

#[test]
fn more_than_the_length_in_chunks_ends_the_upload() {
    let server = served();
    let path = create(&server, "m", "\nUpload-Length: 3");
    let mut raw = open(&server);
    let fields =
        format!("{PARTIAL}\nUpload-Offset: 0\nUpload-Complete: ?1\nTransfer-Encoding: chunked");
    raw.send(head(&server, &format!("PATCH {path}"), &fields) + "4\r\nabcd\r\n0\r\n\r\n");
    assert_eq!(raw.answer().status, 400);
    assert_eq!((tell(&server, &path).status, server.parts()), (404, 0));
    server.stop().exits(0);
}

#[test]
#[cfg_attr(not(has_curl), ignore = "curl is not installed")]
fn an_upload_is_gone_when_it_was_given_up_or_is_too_old() {
    let server = served();
    let path = create(&server, "m", "");
    append(&server, &path, 0, "?0", b"01234");
    assert_eq!(ask(&server, &format!("DELETE {path}"), "", b"").status, 204);
    assert_eq!(server.parts(), 0);
    for path in [&path, "/v1/uploads/x"] {
        assert_eq!(tell(&server, path).status, 404);
        assert_eq!(ask(&server, &format!("DELETE {path}"), "", b"").status, 404);
    }
    assert_eq!(append(&server, &path, 5, "?1", b"56789").status, 404);
    // Nobody gets at an upload without the password.
    let path = create(&server, "m", "");
    assert_eq!(server.curl_as(&path, &["-I"], b"").status, 401);
    server.stop().exits(0);
    let server = Served::start(&["--plain", "--upload-max-age", "1ms"]);
    let path = create(&server, "m", "");
    until(|| tell(&server, &path).status == 404);
    assert_eq!(server.parts(), 0);
    server.stop().exits(0);
}

#[test]
#[cfg_attr(not(has_curl), ignore = "curl is not installed")]
fn what_was_asked_for_at_the_start_counts_at_the_end() {
    let place = Place::new();
    let server = Served::start_in(&place, STEPS);
    let good = format!("\nRepr-Digest: {}\nIf-None-Match: *", digest_field(b"good"));
    let (one, two) = (create(&server, "m", &good), create(&server, "m", &good));
    append(&server, &one, 0, "?0", b"go");
    assert_eq!(server.stop().exits(0).code, 0);
    let server = Served::start_in(&place, STEPS);
    // Bytes that have another digest end the upload.
    let answer = append(&server, &one, 2, "?1", b"ne");
    assert_eq!(answer.status, 422, "{answer:?}");
    assert!(answer.has("upload-complete: ?1"), "{answer:?}");
    assert_eq!((tell(&server, &one).status, server.names().len()), (404, 0));
    assert_eq!(
        server
            .curl("/v1/models/m", &["-X", "PUT", "-d", "other"])
            .is(201)
            .code,
        0
    );
    let answer = append(&server, &two, 0, "?1", b"good");
    assert_eq!(answer.status, 412, "{answer:?}");
    assert_eq!(server.curl("/v1/models/m", &[]).is(200).body, b"other");
    // A condition that fails at the start costs no byte.
    let fields = "Upload-Complete: ?0\nIf-None-Match: *";
    assert_eq!(ask(&server, "PUT /v1/models/m", fields, b"").status, 412);
    // The last piece may tell the digest, too.
    let path = create(&server, "n", "");
    let fields = format!(
        "{PARTIAL}\nUpload-Offset: 0\nUpload-Complete: ?1\nRepr-Digest: {}",
        digest_field(b"x")
    );
    assert_eq!(
        ask(&server, &format!("PATCH {path}"), &fields, b"y").status,
        422
    );
    assert_eq!(server.parts(), 0);
    server.stop().exits(0);
}

#[test]
#[cfg_attr(not(has_curl), ignore = "curl is not installed")]
fn a_bad_piece_is_not_kept() {
    let server = served();
    let path = create(&server, "m", "");
    append(&server, &path, 0, "?0", b"01234");
    let line = format!("PATCH {path}");
    let fields = |digest: &[u8]| {
        let digest = digest_field(digest);
        format!("{PARTIAL}\nUpload-Offset: 5\nUpload-Complete: ?1\nContent-Digest: {digest}")
    };
    assert_eq!(ask(&server, &line, &fields(b"56789"), b"56x89").status, 422);
    assert_eq!(offset(&server, &path), 5);
    assert_eq!(ask(&server, &line, &fields(b"56789"), b"56789").status, 201);
    assert_eq!(server.curl("/v1/models/m", &[]).is(200).body, b"0123456789");
    server.stop().exits(0);
}

#[test]
fn uploads_are_bounded_before_their_first_byte() {
    let limits = [
        "--max-upload-bytes",
        "1000",
        "--max-uploads",
        "4",
        "--max-uploads-bytes",
        "3000",
    ];
    let server = Served::start(&[&["--plain"][..], &limits].concat());
    let begin = |length: &str| {
        let fields = format!("Upload-Complete: ?0\nUpload-Length: {length}");
        ask(&server, "PUT /v1/models/m", &fields, b"")
    };
    let answer = begin("1001");
    assert_eq!(answer.status, 413, "{answer:?}");
    assert!(
        field(&answer, "upload-limit")
            .unwrap()
            .starts_with("max-size=1000,"),
        "{answer:?}"
    );
    let path = field(&begin("900"), "location").unwrap().to_owned();
    assert_eq!(begin("601").status, 507);
    assert_eq!(begin("600").status, 201);
    let answer = begin("0");
    assert_eq!(answer.status, 503, "{answer:?}");
    assert!(answer.text().contains("unfinished uploads"), "{answer:?}");
    assert_eq!(server.parts(), 2);
    // What comes at once is taken all the same.
    let answer = ask(
        &server,
        "PUT /v1/models/n",
        &format!("{INTEROP}\nUpload-Complete: ?1"),
        b"x",
    );
    assert!(
        answer.status == 201 && answer.has("upload-complete: ?1"),
        "{answer:?}"
    );
    assert_eq!(append(&server, &path, 0, "?1", &[0; 900]).status, 201);
    assert_eq!(begin("0").status, 201);
    let answer = ask(&server, "OPTIONS /v1/models/m", "", b"");
    assert!(
        answer.has("accept-patch: application/partial-upload"),
        "{answer:?}"
    );
    assert!(
        field(&answer, "upload-limit")
            .unwrap()
            .starts_with("max-size=1000,"),
        "{answer:?}"
    );
    server.stop().exits(0);
}

#[test]
fn a_caller_that_waits_for_a_100_gets_one_if_its_piece_fits() {
    let server = served();
    let path = create(&server, "m", "");
    let fields = |offset: u64| {
        format!(
            "{PARTIAL}\nUpload-Offset: {offset}\nUpload-Complete: ?1\nContent-Length: 3\n\
             Expect: 100-continue"
        )
    };
    let mut raw = open(&server);
    raw.send(head(&server, &format!("PATCH {path}"), &fields(1)));
    assert_eq!(raw.answer().status, 409);
    let mut raw = open(&server);
    raw.send(head(&server, &format!("PATCH {path}"), &fields(0)));
    assert_eq!(raw.answer().status, 100);
    raw.send("abc");
    assert_eq!(raw.answer().status, 201);
    server.stop().exits(0);
}

/// What a request of an earlier version of the draft is answered in the end.
fn ask_in(
    server: &Served,
    version: &str,
    line: &str,
    fields: &str,
    body: &[u8],
    status: u16,
) -> crate::support::raw::Answer {
    let mut raw = open(server);
    let length = body.len();
    let fields =
        format!("Upload-Draft-Interop-Version: {version}\n{fields}\nContent-Length: {length}");
    raw.send(head(server, line, &fields));
    raw.send(body);
    until_final(&mut raw, status)
}

#[test]
fn earlier_versions_of_the_draft_are_spoken() {
    let server = served();
    let bytes = noise(5, 200_000);
    for version in ["3", "4", "5", "6", "7"] {
        // As tus-js-client does it: the length first, then pieces of which none says that it is the last.
        let (complete, not_yet) = match version {
            "3" => ("upload-incomplete: ?0", "upload-incomplete: ?1"),
            _ => ("upload-complete: ?1", "upload-complete: ?0"),
        };
        let line = format!("POST /v1/models/m{version}");
        let fields = format!("Upload-Length: 200000\n{not_yet}");
        let created = ask_in(&server, version, &line, &fields, b"", 201);
        let path = field(&created, "location").unwrap().to_owned();
        assert!(created.has(not_yet), "{created:?}");

        let patch = format!("PATCH {path}");
        // The type of pieces came later.
        let kind = if ["6", "7"].contains(&version) {
            PARTIAL
        } else {
            "X-No: type"
        };
        let piece = |at: usize| format!("{kind}\nUpload-Offset: {at}\n{not_yet}");
        let half = ask_in(&server, version, &patch, &piece(0), &bytes[..100_000], 204);
        assert!(
            half.has("upload-offset: 100000") && half.has(not_yet),
            "{half:?}"
        );
        let whole = ask_in(
            &server,
            version,
            &patch,
            &piece(100_000),
            &bytes[100_000..],
            201,
        );
        assert!(
            whole.has("upload-offset: 200000") && whole.has(complete),
            "{whole:?}"
        );
        assert_eq!(
            server
                .curl(&format!("/v1/models/m{version}"), &[])
                .is(200)
                .body,
            bytes
        );
    }

    // An empty model is one whose announced length says so.
    let fields = "Upload-Length: 0\nUpload-Complete: ?0";
    ask_in(&server, "6", "POST /v1/models/empty", fields, b"", 201);
    assert!(server.names().contains(&"empty".to_owned()));

    // In the present version an upload is complete when it says so, and versions that nobody knows are none.
    for version in ["8", "2", "9", "x"] {
        let fields = "Upload-Length: 5\nUpload-Complete: ?0";
        let created = ask_in(&server, version, "POST /v1/models/new", fields, b"", 201);
        let patch = format!("PATCH {}", field(&created, "location").unwrap());
        let piece = format!("{PARTIAL}\nUpload-Offset: 0\nUpload-Complete: ?0");
        ask_in(&server, version, &patch, &piece, b"bytes", 204);
        assert!(!server.names().contains(&"new".to_owned()), "{version}");
    }
    server.stop().exits(0);
}

#[test]
#[cfg_attr(not(has_curl), ignore = "curl is not installed")]
fn every_digest_of_every_request_holds() {
    let server = served();
    let (good, other) = (digest_field(b"abc"), digest_field(b"x"));
    let status = |fields: &str| {
        let answer = ask(&server, "PUT /v1/models/m", fields, b"abc");
        answer.status
    };
    // In one request, in either field, and in one field twice.
    for fields in [
        format!("Content-Digest: {good}\nRepr-Digest: {other}"),
        format!("Content-Digest: {other}\nRepr-Digest: {good}"),
        format!("Repr-Digest: {good}\nRepr-Digest: {other}"),
        format!("Repr-Digest: {good}, {other}"),
        format!("Content-Digest: {good}\nContent-Digest: {good}"),
        format!("Upload-Complete: ?1\nContent-Digest: {good}\nRepr-Digest: {other}"),
    ] {
        assert_eq!(status(&fields), 400, "{fields}");
    }
    assert_eq!(status(&format!("Content-Digest: {other}")), 422);
    assert_eq!(
        status(&format!(
            "REPR-DIGEST: SHA-256={}",
            &other["sha-256=".len()..]
        )),
        422
    );
    assert!(server.names().is_empty());

    // A later request does not take back what the first one said.
    let path = create(&server, "m", &format!("\nRepr-Digest: {good}"));
    let fields = format!("{PARTIAL}\nUpload-Offset: 0\nUpload-Complete: ?1\nRepr-Digest: {other}");
    assert_eq!(
        ask(&server, &format!("PATCH {path}"), &fields, b"x").status,
        400
    );
    assert_eq!(append(&server, &path, 0, "?1", b"x").status, 422);
    assert!(server.names().is_empty());

    let both = format!("Content-Digest: {good}\nRepr-Digest: {good}");
    assert_eq!(status(&both), 201);
    server.stop().exits(0);
}
