// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Entity tags tell versions apart, also of files that were copied in by hand, and nothing is lost to
//! a request that does not say what it means.

use std::fs::{File, FileTimes, write};
use std::time::{Duration, SystemTime};

use crate::support::process::{noise, until};
use crate::support::served::Served;

/// Copies a file in by hand, with a time of long ago.
fn copy_in(server: &Served, name: &str, bytes: &[u8]) {
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1 << 30);
    copy_in_of(server, name, bytes, time);
}

/// Copies a file in by hand, with this time.
fn copy_in_of(server: &Served, name: &str, bytes: &[u8], time: SystemTime) {
    let path = server.dir.join(name);
    write(&path, bytes).unwrap();
    let times = FileTimes::new().set_modified(time);
    File::options()
        .write(true)
        .open(path)
        .unwrap()
        .set_times(times)
        .unwrap();
}

#[test]
#[cfg_attr(not(has_curl), ignore = "curl is not installed")]
fn a_file_copied_over_another_has_another_tag() {
    let server = Served::start(&["--plain", "--cache-file-bytes", "1KiB"]);
    let path = "/v1/models/h";
    copy_in(&server, "h", &[b'A'; 5000]);
    let first = server
        .curl(path, &["-I"])
        .is(200)
        .field("etag")
        .unwrap()
        .to_owned();
    // The same size, the same time, other bytes.
    copy_in(&server, "h", &[b'B'; 5000]);
    let known = format!("If-None-Match: {first}");
    server.curl(path, &["-H", &known]).is(200);
    let resumed = format!("If-Range: {first}");
    let answer = server.curl(path, &["-H", &resumed, "-r", "2500-"]).is(200);
    assert_eq!(
        answer.text().len(),
        5000,
        "a part of other bytes would be glued on"
    );
    // Once the digest is known, the tag is strong.
    let tag = || {
        server
            .curl(path, &["-I"])
            .is(200)
            .field("etag")
            .unwrap()
            .to_owned()
    };
    until(|| tag().starts_with("\"sha256-"));
    let strong = format!("If-Match: {}", tag());
    server.curl(path, &["-H", &strong]).is(200);
    let weak = format!("If-Match: W/{}", tag());
    server.curl(path, &["-H", &weak]).is(412);
}

#[test]
#[cfg_attr(not(has_curl), ignore = "curl is not installed")]
fn a_put_without_a_body_empties_nothing() {
    let server = Served::start(&["--plain"]);
    server.place.file("m", noise(1, 100));
    server.skep(&["put", "m"]).exits(0);
    server.curl("/v1/models/m", &["-X", "PUT"]).is(411);
    server
        .curl("/v1/models/m", &["-X", "PUT", "-H", "Content-Length: 0"])
        .is(200);
    server.curl("/v1/models/m", &[]).is(200);
}

#[test]
#[cfg_attr(not(has_curl), ignore = "curl is not installed")]
fn if_unmodified_since_is_heeded() {
    let server = Served::start(&["--plain"]);
    server.place.file("m", noise(1, 100));
    server.skep(&["put", "m"]).exits(0);
    let since = |date: &'static str, more: &[&'static str]| {
        server.curl("/v1/models/m", &[&["-H", date], more].concat())
    };
    let (old, new) = (
        "If-Unmodified-Since: Thu, 01 Jan 2015 00:00:00 GMT",
        "If-Unmodified-Since: Thu, 01 Jan 2099 00:00:00 GMT",
    );
    since(old, &[]).is(412);
    since(old, &["-X", "DELETE"]).is(412);
    since(old, &["-X", "PUT", "-d", "other"]).is(412);
    assert_eq!(since(new, &[]).is(200).body, noise(1, 100));
    since(new, &["-X", "PUT", "-d", "other"]).is(200);
    since(new, &["-X", "DELETE"]).is(204);
    since(new, &["-X", "PUT", "-d", "first"]).is(201);
}

#[test]
#[cfg_attr(not(has_curl), ignore = "curl is not installed")]
fn a_file_of_any_time_is_served() {
    let server = Served::start(&["--plain"]);
    let (epoch, years) = (SystemTime::UNIX_EPOCH, Duration::from_secs(31_556_952));
    // A file system that keeps no such time gives the file its nearest one.
    for (name, time) in [("old", epoch - 10 * years), ("new", epoch + 9000 * years)] {
        copy_in_of(&server, name, b"x", time);
        let path = format!("/v1/models/{name}");
        let answer = server.curl(&path, &[]).is(200);
        assert!(answer.field("last-modified").is_some(), "{name}");
        server.curl(&format!("/v1/info/{name}"), &[]).is(200);
        server.skep(&["show", name]).exits(0);
    }
    server.curl("/v1/models", &[]).is(200);
}

#[test]
fn the_hidden_folder_may_be_removed() {
    let server = Served::start(&["--plain"]);
    std::fs::remove_dir_all(server.dir.join(".skep")).unwrap();
    server.place.file("m", noise(1, 100));
    server.skep(&["put", "m"]).exits(0);
    assert_eq!(server.names(), ["m"]);
}
