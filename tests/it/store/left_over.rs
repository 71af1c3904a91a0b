// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Uploads that a server finds at its start, and those that nobody continues.

use std::fs::{self, File};
use std::path::PathBuf;

use crate::support::pieces::{STEPS, append, ask, create, field, tell};
use crate::support::process::{Place, noise, until};
use crate::support::served::Served;

/// An upload of 200,000 bytes, of which 150,000 were acknowledged before the server ended, and the file
/// with its bytes.
fn interrupted(place: &Place) -> (String, PathBuf) {
    let server = Served::start_in(place, STEPS);
    let path = create(&server, "m", "\nUpload-Length: 200000");
    let answer = append(&server, &path, 0, "?0", &noise(1, 200_000)[..150_000]);
    assert_eq!(answer.status, 204, "{answer:?}");
    let id = path.rsplit('/').next().unwrap();
    let file = server.dir.join(".skep/parts").join(format!("{id}.bytes"));
    server.stop().exits(0);
    assert_eq!(fs::metadata(&file).unwrap().len(), 150_000);
    (path, file)
}

#[test]
fn an_upload_whose_bytes_the_disk_has_lost_is_not_continued() {
    // Fewer bytes than were acknowledged, by how many ever; more are cut off.
    for length in [0, 1, 149_999, 150_000, 150_001, 190_000] {
        let place = Place::new();
        let (path, file) = interrupted(&place);
        File::options()
            .write(true)
            .open(&file)
            .unwrap()
            .set_len(length)
            .unwrap();
        let server = Served::start_in(&place, STEPS);
        let answer = tell(&server, &path);
        if length < 150_000 {
            assert_eq!(answer.status, 404, "{length}: {answer:?}");
            assert_eq!(server.parts(), 0, "{length}");
            continue;
        }
        assert_eq!(field(&answer, "upload-offset"), Some("150000"), "{length}");
        let bytes = noise(1, 200_000);
        let answer = append(&server, &path, 150_000, "?1", &bytes[150_000..]);
        assert_eq!(answer.status, 201, "{length}: {answer:?}");
        assert!(fs::read(server.dir.join("m")).unwrap() == bytes, "{length}");
    }
}

#[test]
fn an_upload_whose_journal_is_damaged_is_not_continued() {
    let place = Place::new();
    let (path, file) = interrupted(&place);
    let id = path.rsplit('/').next().unwrap();
    let journal = place.path("dm_models/.skep/uploads").join(id);
    let text = fs::read(&journal).unwrap();
    for damaged in [
        &b""[..],
        &text[..text.len() / 3],
        b"skep-upload 99\noffset 150000\n",
        b"\xff\xfe",
    ] {
        fs::write(&journal, damaged).unwrap();
        fs::write(&file, noise(1, 150_000)).unwrap();
        let server = Served::start_in(&place, STEPS);
        assert_eq!(tell(&server, &path).status, 404, "{damaged:?}");
        assert_eq!(server.parts(), 0, "{damaged:?}");
        server.stop().exits(0);
    }
}

#[test]
fn an_upload_that_nobody_continues_makes_room_while_the_server_runs() {
    let settings = ["--plain", "--max-uploads", "1", "--upload-max-age", "1s"];
    let server = Served::start(&settings);
    let old = create(&server, "m", "");
    let answer = append(&server, &old, 0, "?0", b"some bytes");
    assert_eq!(answer.status, 204, "{answer:?}");
    let begin = || ask(&server, "PUT /v1/models/n", "Upload-Complete: ?0", b"");
    until(|| begin().status == 201);
    assert_eq!(tell(&server, &old).status, 404);
    assert_eq!(server.parts(), 1);
}
