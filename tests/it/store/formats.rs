// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Model directories of other versions: an older one is upgraded with all that is in it, and a newer one
//! is left alone.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use crate::support::folders::{self, copy, tree};
use crate::support::pieces::{append, ask, offset};
use crate::support::process::{Place, Process};
use crate::support::served::Served;

const FIELDS: &str = "Accept: */*";

/// The directory that a server of the first format has left, with an upload in the middle.
fn of_format_one(place: &Place) -> PathBuf {
    let kept = folders::of_format_1();
    copy(&kept.join("models"), &place.path("models"));
    kept
}

#[test]
fn a_directory_of_the_first_format_is_upgraded_with_all_that_is_in_it() {
    let place = Place::new();
    let kept = of_format_one(&place);
    let server = Served::start_in(
        &place,
        &["--plain", "--dir", "models", "--keep-versions", "5"],
    );
    let format = place.path("models/.skep/format");
    assert_eq!(fs::read_to_string(&format).unwrap(), "2\n");
    assert_eq!(
        server.names(),
        ["a.bin", "big.bin", "signed.bin", "signed.bin.minisig"]
    );

    let info = ask(&server, "GET /v1/info/signed.bin", FIELDS, b"");
    assert!(info.text().contains("license"), "{}", info.text());
    let versions = ask(&server, "GET /v1/versions/a.bin", FIELDS, b"");
    assert_eq!(
        versions.text().matches("digest").count(),
        2,
        "{}",
        versions.text()
    );
    let back = ask(&server, "POST /v1/rollback/a.bin", FIELDS, b"");
    assert_eq!(back.status, 200, "{}", back.text());

    // The upload goes on where it was cut.
    let whole = fs::read(kept.join("half.bin")).unwrap();
    let path = "/v1/uploads/d2daac1d02968a408d749ad76493e29b";
    assert_eq!(offset(&server, path), 10_000);
    let ended = append(&server, path, 10_000, "?1", &whole[10_000..]);
    assert!(matches!(ended.status, 200 | 201), "{}", ended.text());
    let half = ask(&server, "GET /v1/models/half.bin", FIELDS, b"");
    assert_eq!(half.content, whole);
    server.stop().exits(0);
}

#[test]
fn a_directory_of_a_newer_format_is_left_alone() {
    let place = Place::new();
    of_format_one(&place);
    fs::write(place.path("models/.skep/format"), "3\n").unwrap();
    // What a server would clear away.
    let left = "models/.skep/parts/upload-0000000000000001.part";
    place.file(left, "left");
    let before = tree(&place.path("models"));

    let serve = ["serve", "127.0.0.1", "--port", "0", "--dir", "models"];
    let outcome = Process::start(&mut place.skep(&serve)).finish();
    assert_eq!(outcome.code, 2, "{}", outcome.stderr);
    let outcome = outcome.says("format 3").says("update skep");
    assert!(outcome.stdout.is_empty());
    assert_eq!(tree(&place.path("models")), before);
}

#[test]
fn what_is_in_the_place_of_a_folder_is_named_and_left_alone() {
    for name in [
        "parts",
        "uploads",
        "about",
        "versions",
        "changes",
        "revisions",
    ] {
        for is_link in [true, false] {
            let place = Place::new();
            let hidden = place.path("models/.skep");
            fs::create_dir_all(&hidden).unwrap();
            fs::create_dir(place.path("outside")).unwrap();
            place.file("outside/kept", "x");
            if is_link {
                symlink("../../outside", hidden.join(name)).unwrap();
            } else {
                fs::write(hidden.join(name), "x").unwrap();
            }

            let serve = ["serve", "127.0.0.1", "--port", "0", "--dir", "models"];
            let outcome = Process::start(&mut place.skep(&serve)).finish().exits(2);
            let real = fs::canonicalize(&hidden).unwrap().join(name);
            outcome.says(&format!("remove or rename '{}'", real.display()));
            assert!(fs::symlink_metadata(&real).is_ok());
            assert!(place.path("outside/kept").is_file());
        }
    }
}

#[test]
fn a_directory_in_the_place_of_the_format_is_named() {
    let place = Place::new();
    let format = place.path("models/.skep/format");
    fs::create_dir_all(&format).unwrap();
    let serve = ["serve", "127.0.0.1", "--port", "0", "--dir", "models"];
    let outcome = Process::start(&mut place.skep(&serve)).finish().exits(2);
    let real = fs::canonicalize(&format).unwrap();
    outcome.says(&format!("remove or rename '{}'", real.display()));
}
