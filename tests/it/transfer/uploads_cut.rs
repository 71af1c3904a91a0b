// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Uploads that are cut, killed, stalled and raced go on at the byte where they stopped.

use std::io::Write as _;
use std::process::Stdio;
use std::thread;

use rustix::process::Signal;

use crate::support::pieces::{
    Caller, INTEROP, PARTIAL, STEP, STEPS, append, begin_piece, create, field, offset, served,
    tell, until_final,
};
use crate::support::process::{Place, Process, digest, noise, until};
use crate::support::served::Served;

#[test]
#[cfg_attr(not(has_curl), ignore = "curl is not installed")]
fn a_cut_connection_costs_no_byte() {
    let server = served();
    let bytes = noise(2, 1_000_000);
    let path = create(&server, "m", "");
    let mut sent = 0;
    for share in [1, 70_000, 400_001] {
        let mut raw = begin_piece(
            &server,
            &path,
            sent,
            &bytes[sent..sent + share],
            bytes.len(),
        );
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
#[cfg_attr(not(has_curl), ignore = "curl is not installed")]
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
        assert!(
            kept as u64 + STEP >= written && kept <= end,
            "{kept} of {written} of {end}"
        );
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
            let Some(start) = field(&answer, "upload-offset") else {
                continue;
            };
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
#[cfg_attr(not(has_curl), ignore = "curl is not installed")]
fn curl_goes_on_by_hand_over_tls() {
    let server = Served::start(&["--upload-sync-bytes", "64KiB"]);
    let bytes = noise(6, 200_000);
    let begin = [
        "-X",
        "PUT",
        "--data-binary",
        "",
        "-H",
        "Upload-Complete: ?0",
        "-H",
        INTEROP,
    ];
    let path = server
        .curl("/v1/models/m", &begin)
        .is(201)
        .field("location")
        .unwrap()
        .to_owned();
    // One that brings its beginning and then nothing for ever.
    let mut stale = server.place.command("curl");
    stale.args([
        "-q", "-s", "-k", "-X", "PATCH", "-T", "-", "-H", PARTIAL, "-H", INTEROP,
    ]);
    stale.args(["-H", "Upload-Offset: 0", "-H", "Upload-Complete: ?1", "-H"]);
    stale.arg(format!("authorization: Bearer {}", server.password()));
    stale
        .arg(format!("{}{path}", server.url))
        .stdin(Stdio::piped());
    let mut stale = Process::start(&mut stale);
    let mut stdin = stale.stdin();
    stdin.write_all(&bytes[..80_000]).unwrap();
    until(|| server.part_sizes()[0] > 0);
    // The read of the one before is ended; it would wait for longer than this one does.
    let answer = server.curl(&path, &["-I"]).is(204);
    let offset = answer.field("upload-offset").unwrap();
    let rest = server.place.file("rest", &bytes[offset.parse().unwrap()..]);
    let field = format!("Upload-Offset: {offset}");
    let piece = [
        "-X",
        "PATCH",
        "-T",
        rest.to_str().unwrap(),
        "-H",
        PARTIAL,
        "-H",
        INTEROP,
    ];
    let arguments = [&piece[..], &["-H", &field, "-H", "Upload-Complete: ?1"]].concat();
    server.curl(&path, &arguments).is(201);
    assert_eq!(server.curl("/v1/models/m", &[]).is(200).body, bytes);
    drop(stdin);
    let outcome = stale.finish();
    assert!(!outcome.text().contains("\"digest\""), "{}", outcome.text());
    server.stop().exits(0);
}
