// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Uploads in pieces: nothing is lost and nothing has to be sent twice, whatever happens in between.

use std::io::Write as _;
use std::process::Stdio;
use std::thread;

use rustix::process::Signal;

use crate::support::pieces::{
    Caller, INTEROP, PARTIAL, STEP, STEPS, append, ask, begin_piece, create, digest_field, field,
    head, offset, open, served, tell, until_final,
};
use crate::support::process::{Place, Process, digest, has_tool, noise, until};
use crate::support::served::Served;

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
        let mut raw = begin_piece(&server, &path, sent, &bytes[sent..sent + share], bytes.len());
        raw.end();
        until_final(&mut raw, 400);
        sent += share;
        assert_eq!(offset(&server, &path), sent);
    }
    let answer = append(&server, &path, sent, "?1", &bytes[sent..]);
    assert_eq!(answer.status, 201, "{answer:?}");
    assert_eq!(server.curl("/v1/models/m", &[]).is(200).body, bytes);
    server.stop().exits(0);
}

#[test]
fn whoever_knows_the_draft_learns_at_once_where_to_go_on() {
    let server = served();
    let bytes = noise(3, 300_000);
    for method in ["PUT", "POST"] {
        let mut raw = open(&server);
        let fields = format!("{INTEROP}\nUpload-Complete: ?1\nContent-Length: 300000");
        raw.send(head(&server, &format!("{method} /v1/models/{method}"), &fields));
        let first = raw.answer();
        assert!(first.head.starts_with("http/1.1 104 upload resumption supported"), "{first:?}");
        assert!(first.has("upload-draft-interop-version: 8"), "{first:?}");
        assert!(field(&first, "upload-limit").unwrap().starts_with("max-size="), "{first:?}");
        let path = field(&first, "location").unwrap().to_owned();
        raw.send(&bytes[..100_000]);
        let next = raw.answer();
        assert_eq!((next.status, field(&next, "location")), (104, None), "{next:?}");
        assert_ne!(field(&next, "upload-offset"), Some("0"), "{next:?}");
        raw.end();
        until_final(&mut raw, 400);
        let answer = tell(&server, &path);
        // The first request told the length, too.
        assert!(answer.has("upload-offset: 100000") && answer.has("upload-length: 300000"));
        let answer = append(&server, &path, 100_000, "?1", &bytes[100_000..]);
        assert_eq!(answer.status, 201, "{answer:?}");
        assert_eq!(server.curl(&format!("/v1/models/{method}"), &[]).is(200).body, bytes);
    }
    // A whole one in one request is answered as ever.
    let fields = format!("{INTEROP}\nUpload-Complete: ?1\nContent-Length: 3");
    let mut raw = open(&server);
    raw.send(head(&server, "PUT /v1/models/PUT", &fields) + "abc");
    assert_eq!(raw.answer().status, 104);
    let answer = until_final(&mut raw, 200);
    assert!(answer.has("upload-complete: ?1") && answer.text().contains(&digest(b"abc")));
    // Who does not know the draft gets no 104, and leaves nothing that nobody could find.
    let mut raw = open(&server);
    raw.send(head(&server, "PUT /v1/models/n", "Upload-Complete: ?1\nContent-Length: 9") + "part");
    raw.end();
    assert_eq!(raw.answer().status, 400);
    assert_eq!(server.parts(), 0);
    server.stop().exits(0);
}

#[test]
fn a_killed_server_costs_one_step_at_most() {
    let place = Place::new();
    let bytes = noise(4, 3_000_000);
    let server = Served::start_in(&place, STEPS);
    let path = create(&server, "m", "\nUpload-Length: 3000000");
    let mut sent = 0;
    let mut server = Some(server);
    for round in 1..=5 {
        let running = server.take().unwrap();
        let end = round * 500_000;
        let mut raw = begin_piece(&running, &path, sent, &bytes[sent..end], bytes.len());
        // It is on its way at least.
        assert_eq!(raw.answer().status, 104);
        let enough = (end - 200_000) as u64;
        until(|| running.part_sizes().iter().any(|size| *size > enough));
        running.process.signal(Signal::KILL);
        assert_eq!(running.process.finish().code, -9);
        let again = Served::start_in(&place, STEPS);
        // After a start, what is not journalled is in the file still.
        let written = again.part_sizes()[0];
        let kept = offset(&again, &path);
        assert!(kept as u64 + STEP >= written && kept <= end, "{kept} of {written} of {end}");
        sent = kept;
        server = Some(again);
    }
    let server = server.unwrap();
    let answer = append(&server, &path, sent, "?1", &bytes[sent..]);
    assert_eq!(answer.status, 201, "{answer:?}");
    assert!(answer.text().contains(&digest(&bytes)), "{answer:?}");
    assert_eq!(server.curl("/v1/models/m", &[]).is(200).body, bytes);
    assert_eq!(server.parts(), 0);
    server.stop().exits(0);
}

#[test]
fn what_does_not_fit_the_upload_is_refused_and_changes_nothing() {
    let server = served();
    let path = create(&server, "m", "\nUpload-Length: 10");
    append(&server, &path, 0, "?0", b"01234");
    let answer = append(&server, &path, 7, "?1", b"789");
    assert_eq!(answer.status, 409, "{answer:?}");
    assert!(answer.has("upload-offset: 5") && answer.has("upload-complete: ?0"), "{answer:?}");
    let problem: serde_json::Value = serde_json::from_slice(&answer.content).unwrap();
    let kind = "https://iana.org/assignments/http-problem-types#mismatching-upload-offset";
    assert_eq!(problem["type"], kind);
    assert_eq!((&problem["expected-offset"], &problem["provided-offset"]), (&5.into(), &7.into()));
    let line = format!("PATCH {path}");
    for (fields, status) in [
        ("Content-Type: text/plain\nUpload-Offset: 5\nUpload-Complete: ?1".to_owned(), 415),
        ("Upload-Offset: 5\nUpload-Complete: ?1".to_owned(), 415),
        (format!("{PARTIAL}\nUpload-Complete: ?1"), 400),
        (format!("{PARTIAL}\nUpload-Offset: -5\nUpload-Complete: ?1"), 400),
        (format!("{PARTIAL}\nUpload-Offset: 5"), 400),
        (format!("{PARTIAL}\nUpload-Offset: 5\nUpload-Complete: 1"), 400),
        (format!("{PARTIAL}\nUpload-Offset: 5\nUpload-Offset: 5\nUpload-Complete: ?1"), 400),
    ] {
        let answer = ask(&server, &line, &fields, b"56789");
        assert_eq!(answer.status, status, "{fields}: {answer:?}");
        assert_eq!(status == 415, answer.has("accept-patch: application/partial-upload"));
    }
    // Lengths that contradict each other.
    let answer = append(&server, &path, 5, "?1", b"5678");
    assert_eq!(answer.status, 400, "{answer:?}");
    assert!(answer.text().contains("#inconsistent-upload-length"), "{answer:?}");
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
fn a_newer_request_takes_an_upload_over() {
    let server = served();
    let bytes = noise(5, 1_000_000);
    let path = create(&server, "m", "\nUpload-Length: 1000000");
    let mut stale = begin_piece(&server, &path, 0, &bytes[..300_000], bytes.len());
    assert_eq!(stale.answer().status, 104);
    // Much sooner than a stalled body would end.
    let kept = offset(&server, &path);
    assert!((1..=300_000).contains(&kept), "{kept}");
    until_final(&mut stale, 409);
    let mut other = begin_piece(&server, &path, kept, &bytes[kept..500_000], bytes.len());
    assert_eq!(other.answer().status, 104);
    let answer = append(&server, &path, kept, "?0", b"");
    // Whatever the one before brought is kept, so its offset is not what this one means.
    assert_eq!(answer.status, 409, "{answer:?}");
    until_final(&mut other, 409);
    // Many at one time, each of which goes on with the right bytes.
    let caller = Caller::of(&server);
    let crowd = || {
        for _ in 0..10 {
            let answer = tell(&caller, &path);
            let Some(start) = field(&answer, "upload-offset") else { continue };
            let start = start.parse::<usize>().unwrap();
            let end = bytes.len().min(start + 70_000);
            let answer = append(&caller, &path, start, "?0", &bytes[start..end]);
            assert!(matches!(answer.status, 204 | 409), "{answer:?}");
        }
    };
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(crowd);
        }
    });
    let kept = offset(&server, &path);
    let answer = append(&server, &path, kept, "?1", &bytes[kept..]);
    assert_eq!(answer.status, 201, "{answer:?}");
    assert!(answer.text().contains(&digest(&bytes)), "{answer:?}");
    server.stop().exits(0);
}

#[test]
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
    assert_eq!(server.curl("/v1/models/m", &["-X", "PUT", "-d", "other"]).is(201).code, 0);
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
    assert_eq!(ask(&server, &format!("PATCH {path}"), &fields, b"y").status, 422);
    assert_eq!(server.parts(), 0);
    server.stop().exits(0);
}

#[test]
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
    let limits =
        ["--max-upload-bytes", "1000", "--max-uploads", "2", "--max-uploads-bytes", "1500"];
    let server = Served::start(&[&["--plain"][..], &limits].concat());
    let begin = |length: &str| {
        let fields = format!("Upload-Complete: ?0\nUpload-Length: {length}");
        ask(&server, "PUT /v1/models/m", &fields, b"")
    };
    let answer = begin("1001");
    assert_eq!(answer.status, 413, "{answer:?}");
    assert!(field(&answer, "upload-limit").unwrap().starts_with("max-size=1000,"), "{answer:?}");
    let path = field(&begin("900"), "location").unwrap().to_owned();
    assert_eq!(begin("601").status, 507);
    assert_eq!(begin("600").status, 201);
    let answer = begin("0");
    assert_eq!(answer.status, 503, "{answer:?}");
    assert!(answer.text().contains("unfinished uploads"), "{answer:?}");
    assert_eq!(server.parts(), 2);
    assert_eq!(append(&server, &path, 0, "?1", &[0; 900]).status, 201);
    assert_eq!(begin("0").status, 201);
    let answer = ask(&server, "OPTIONS /v1/models/m", "", b"");
    assert!(answer.has("accept-patch: application/partial-upload"), "{answer:?}");
    assert!(field(&answer, "upload-limit").unwrap().starts_with("max-size=1000,"), "{answer:?}");
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

#[test]
fn curl_goes_on_by_hand_over_tls() {
    if !has_tool("curl") {
        return;
    }
    let server = Served::start(&["--upload-sync-bytes", "64KiB"]);
    let bytes = noise(6, 200_000);
    let begin = ["-X", "PUT", "--data-binary", "", "-H", "Upload-Complete: ?0", "-H", INTEROP];
    let path = server.curl("/v1/models/m", &begin).is(201).field("location").unwrap().to_owned();
    // One that brings its beginning and then nothing for ever.
    let mut stale = server.place.command("curl");
    stale.args(["-q", "-s", "-k", "-X", "PATCH", "-T", "-", "-H", PARTIAL, "-H", INTEROP]);
    stale.args(["-H", "Upload-Offset: 0", "-H", "Upload-Complete: ?1", "-H"]);
    stale.arg(format!("authorization: Bearer {}", server.password()));
    stale.arg(format!("{}{path}", server.url)).stdin(Stdio::piped());
    let mut stale = Process::start(&mut stale);
    let mut stdin = stale.stdin();
    stdin.write_all(&bytes[..80_000]).unwrap();
    until(|| server.part_sizes()[0] > 0);
    // The read of the one before is ended; it would wait for longer than this one does.
    let answer = server.curl(&path, &["-I"]).is(204);
    let offset = answer.field("upload-offset").unwrap();
    let rest = server.place.file("rest", &bytes[offset.parse().unwrap()..]);
    let field = format!("Upload-Offset: {offset}");
    let piece = ["-X", "PATCH", "-T", rest.to_str().unwrap(), "-H", PARTIAL, "-H", INTEROP];
    let arguments = [&piece[..], &["-H", &field, "-H", "Upload-Complete: ?1"]].concat();
    server.curl(&path, &arguments).is(201);
    assert_eq!(server.curl("/v1/models/m", &[]).is(200).body, bytes);
    drop(stdin);
    let outcome = stale.finish();
    assert!(!outcome.text().contains("\"digest\""), "{}", outcome.text());
    server.stop().exits(0);
}
