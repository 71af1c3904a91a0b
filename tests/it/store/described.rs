// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What is said of models beside their bytes: it belongs to a version, and comes and goes with it.

use std::fs::{self, File};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::support::process::Place;
use crate::support::served::Served;

/// Some day in 2001 and one in 1968.
const THEN: i64 = 1_000_000_000;
const BEFORE: i64 = -50_000_000;

fn time(seconds: i64) -> SystemTime {
    let distance = Duration::from_secs(seconds.unsigned_abs());
    if seconds < 0 {
        UNIX_EPOCH - distance
    } else {
        UNIX_EPOCH + distance
    }
}

fn write(place: &Place, name: &str, text: &str, seconds: i64) {
    let path = place.path(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, text).unwrap();
    let file = File::options().append(true).open(path).unwrap();
    file.set_modified(time(seconds)).unwrap();
}

fn modified(path: &Path) -> SystemTime {
    path.metadata().unwrap().modified().unwrap()
}

fn info(server: &Served, name: &str) -> Value {
    let shown = server.skep(&["show", name, "--json"]).exits(0).json();
    shown["models"][0].clone()
}

#[test]
#[cfg_attr(not(has_curl), ignore = "curl is not installed")]
fn what_is_said_of_a_version_comes_back_with_it() {
    // Over plain HTTP, every request is signed.
    let server = Served::start(&["--plain", "--keep-versions", "2"]);
    write(&server.place, "m", "one", THEN);
    let said = [
        "--license",
        "Licence libre \u{e9}",
        "--meta",
        "lang=\u{65e5}\u{672c}, fr",
        "--meta",
        "x.y=1",
    ];
    server.skep(&[&["put", "m"], &said[..]].concat()).exits(0);

    let meta = json!({"lang": "\u{65e5}\u{672c}, fr", "x.y": "1"});
    let of_first = |info: &Value| {
        assert_eq!(info["license"], "Licence libre \u{e9}");
        assert_eq!(
            (&info["meta"], &info["file_modified"]),
            (&meta, &"2001-09-09T01:46:40Z".into())
        );
    };
    of_first(&info(&server, "m"));
    let shown = server.skep(&["show", "m"]).exits(0).text();
    assert!(shown.contains("x.y=1"), "{shown}");

    // Callers of HTTP get it as fields, a HEAD and a range, too, from the disk and from memory.
    for arguments in [&["-I"][..], &[], &["-r", "0-1"], &[]] {
        let answer = server.curl("/v1/models/m", arguments);
        assert_eq!(answer.field("skep-modified"), Some("1000000000"));
        let license = answer.field("skep-license");
        assert_eq!(license, Some("utf-8''licence%20libre%20%c3%a9"));
        let meta = answer.field("skep-meta");
        assert_eq!(meta, Some("lang=utf-8''%e6%97%a5%e6%9c%ac%2c%20fr, x.y=1"));
    }

    // The same bytes sent anew without a word have another time only; other bytes have nothing of it.
    write(&server.place, "m", "one", THEN + 60);
    let put = server.skep(&["put", "m"]).exits(0).text();
    assert!(put.contains("unchanged"), "{put}");
    of_first(&info(&server, "m"));
    server.skep(&["put", "m", "--always"]).exits(0);
    let again = info(&server, "m");
    assert_eq!(
        (&again["meta"], &again["file_modified"]),
        (&meta, &"2001-09-09T01:47:40Z".into())
    );
    write(&server.place, "m", "one", THEN);
    server.skep(&[&["put", "m"], &said[..]].concat()).exits(0);
    write(&server.place, "m", "two", BEFORE);
    server.skep(&["put", "m", "--meta", "lang=de"]).exits(0);
    let second = info(&server, "m");
    assert!(second["license"].is_null(), "{second}");
    assert_eq!(
        (&second["meta"], &second["file_modified"]),
        (&json!({"lang": "de"}), &"1968-06-01T07:06:40Z".into())
    );

    // It goes along with the bytes, under another name, too.
    server.skep(&["rollback", "m"]).exits(0);
    of_first(&info(&server, "m"));
    server.skep(&["mv", "m", "n"]).exits(0);
    of_first(&info(&server, "n"));
    server.skep(&["get", "n"]).exits(0);
    assert_eq!(modified(&server.place.path("n")), time(THEN));

    // What was copied in by hand is something else.
    fs::write(server.dir.join("n"), "by hand").unwrap();
    assert_eq!(info(&server, "n")["meta"], json!({}));
    let answer = server.curl("/v1/models/n", &[]);
    assert_eq!(
        (answer.field("skep-modified"), answer.field("skep-meta")),
        (None, None)
    );
}

#[test]
fn a_folder_keeps_the_times_of_its_files() {
    let server = Served::start(&["--plain", "--keep-versions", "2"]);
    let place = &server.place;
    let large = "x".repeat(3 << 20);
    write(place, "d/a", "a", THEN);
    write(place, "d/b/c", &large, BEFORE);
    server.skep(&["put", "d", "--meta", "set=1"]).exits(0);
    for (name, seconds) in [
        ("d/a", "2001-09-09T01:46:40Z"),
        ("d/b/c", "1968-06-01T07:06:40Z"),
    ] {
        let info = info(&server, name);
        assert_eq!(
            (&info["file_modified"], &info["meta"]),
            (&seconds.into(), &json!({"set": "1"}))
        );
    }

    server.skep(&["get", "d/", "-o", "x"]).exits(0);
    assert_eq!(modified(&place.path("x/a")), time(THEN));
    assert_eq!(modified(&place.path("x/b/c")), time(BEFORE));
    server
        .skep(&["get", "d/", "-o", "y", "--no-times"])
        .exits(0);
    assert!(modified(&place.path("y/a")) > time(THEN) + Duration::from_secs(100));
    let answer = server
        .skep(&["get", "d/", "-o", "x", "--json"])
        .exits(0)
        .json();
    assert!(
        answer["files"]
            .as_array()
            .unwrap()
            .iter()
            .all(|file| file["unchanged"] == true)
    );

    // A file that is only named by its digest has its own time.
    fs::rename(place.path("d/a"), place.path("d/z")).unwrap();
    write(place, "d/z", "a", THEN + 1);
    let put = server
        .skep(&["put", "d", "--delete", "-y", "--json"])
        .exits(0)
        .json();
    assert_eq!(put["folders"][0]["sent"], 0);
    assert_eq!(
        info(&server, "d/z")["file_modified"],
        "2001-09-09T01:46:41Z"
    );

    // An old revision has what was said then.
    let shown = server.skep(&["show", "d/", "--json"]).exits(0).json();
    let revision = shown["models"][0]["revisions"][0]["revision"].clone();
    if let Some(revision) = revision.as_str() {
        let old = format!("d@{revision}");
        server.skep(&["get", &old, "-o", "old"]).exits(0);
        assert_eq!(modified(&place.path("old/a")), time(THEN));
    }
}

#[test]
fn a_time_that_nobody_can_write_is_left_out() {
    let server = Served::start(&["--plain"]);
    server.place.file("m", "bytes");
    // As far from 1970 as the file system goes.
    for seconds in [1 << 40, -(1_i64 << 40), 253_402_300_800] {
        let file = File::options()
            .append(true)
            .open(server.place.path("m"))
            .unwrap();
        // Not every file system takes it.
        let _ = file.set_modified(time(seconds));
        server.skep(&["put", "m", "--always"]).exits(0);
        server.skep(&["get", "m", "-o", "copy"]).exits(0);
    }
}

#[test]
#[cfg_attr(not(has_curl), ignore = "curl is not installed")]
fn what_cannot_be_said_is_refused() {
    let server = Served::start(&["--plain", "--max-meta", "2", "--max-meta-bytes", "20"]);
    server.place.file("m", "bytes");
    for field in [
        "Skep-Modified: yesterday",
        "Skep-Modified: 1e9",
        "Skep-Modified: 253402300800",
        "Skep-Meta: a",
        "Skep-Meta: a=",
        "Skep-Meta: A=b",
        "Skep-Meta: a b=c",
        "Skep-Meta: a=b, a=c",
        "Skep-Meta: a=UTF-8''%ff",
        "Skep-Meta: a=UTF-8''%09",
        "Skep-Meta: a=1, b=2, c=3",
        "Skep-Meta: a=bbbbbbbbbbbbbbbbbbbb",
        "Skep-License: UTF-8''%ff",
    ] {
        let answer = server.curl("/v1/models/m", &["-T", "m", "-H", field]);
        answer.is(400);
    }
    assert!(server.names().is_empty());
    let field = "Skep-Meta: a = 1 , b=UTF-8'de'%c3%a9";
    server
        .curl("/v1/models/m", &["-T", "m", "-H", field])
        .is(201);
    assert_eq!(info(&server, "m")["meta"], json!({"a": "1", "b": "\u{e9}"}));

    for meta in ["a", "a=", "=b", "a b=c"] {
        server.skep(&["put", "m", "--meta", meta]).exits(2);
    }
    server
        .skep(&["put", "m", "--meta", "a=b", "--meta", "a=c"])
        .exits(2);
    server
        .skep(&["put", "m", "--meta", "A=b"])
        .exits(2)
        .says("cannot be a key");
}
