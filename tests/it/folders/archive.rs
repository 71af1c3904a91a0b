// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Folders as one tar archive, as `tar` reads it.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;

use crate::support::process::noise;
use crate::support::served::Served;

/// Writes a file of the model directory, as a copy by hand does.
fn write(server: &Served, name: &str, bytes: &[u8]) {
    let path = server.dir.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

#[test]
#[cfg_attr(not(has_curl), ignore = "curl is not installed")]
fn a_folder_is_one_archive_that_tar_reads() {
    let server = Served::start(&["--plain"]);
    let long = format!("{}/{}/m", "a".repeat(120), "b".repeat(120));
    let files: Vec<(String, Vec<u8>)> = vec![
        (long, b"deep".to_vec()),
        ("b c.onnx".to_owned(), Vec::new()),
        ("large".to_owned(), noise(1, 3_000_001)),
        ("m\u{f6}del/x".to_owned(), noise(2, 512)),
    ];
    for (name, bytes) in &files {
        write(&server, &format!("me/bert/{name}"), bytes);
    }
    write(&server, "me/other", b"not in it");

    let answer = server.curl("/v1/models/me/bert/?tar", &[]).is(200);
    assert_eq!(answer.code, 0);
    assert_eq!(answer.field("content-type").unwrap(), "application/x-tar");
    let named = answer.field("content-disposition").unwrap();
    assert!(named.contains("\"bert.tar\""), "{named}");
    assert_eq!(answer.body.len() % 512, 0);

    let place = &server.place;
    let (archive, out) = (place.path("a.tar"), place.path("out"));
    fs::write(&archive, &answer.body).unwrap();
    fs::create_dir(&out).unwrap();
    let mut tar = Command::new("tar");
    tar.arg("-xf").arg(&archive).arg("-C").arg(&out);
    let read = tar.output().unwrap();
    assert!(read.status.success() && read.stderr.is_empty(), "{read:?}");

    for (name, bytes) in &files {
        let path = out.join(name);
        assert!(fs::read(&path).unwrap() == *bytes, "{name}");
        let kept = server.dir.join("me/bert").join(name);
        assert_eq!(seconds(&path), seconds(&kept));
    }
    assert_eq!(fs::read_dir(&out).unwrap().count(), files.len());

    server.curl("/v1/models/me/bert/?tar", &["-I"]).is(200);
    server.curl("/v1/models/me/none/?tar", &[]).is(404);
    server.curl("/v1/models/me/bert/", &[]).is(404);
    server.curl("/v1/models/me/bert", &[]).is(404);
}

fn seconds(path: &Path) -> u64 {
    let modified = fs::metadata(path).unwrap().modified().unwrap();
    let age = modified.duration_since(std::time::UNIX_EPOCH);
    age.unwrap().as_secs()
}

/// Reads the beginning of an archive, has something happen, and reads the rest.
fn broken_by(happen: impl FnOnce(&Served)) {
    let server = Served::start(&["--plain"]);
    // More than what the sockets between them hold.
    write(&server, "me/a", &noise(3, 32 << 20));
    write(&server, "me/b", b"second");

    let address = server
        .url
        .strip_prefix("http://")
        .unwrap()
        .trim_end_matches('/');
    let mut stream = TcpStream::connect(address).unwrap();
    let password = server.password();
    let request = format!(
        "GET /v1/models/me/?tar HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {password}\r\n\
         connection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut first = [0; 12];
    stream.read_exact(&mut first).unwrap();
    assert_eq!(&first, b"HTTP/1.1 200");

    happen(&server);
    let mut rest = Vec::new();
    // How a broken connection ends is up to the kernel.
    let _ = stream.read_to_end(&mut rest);
    assert!(!rest.ends_with(b"0\r\n\r\n"), "the answer has an end");
}

#[test]
fn an_archive_of_a_folder_that_changes_has_no_end() {
    // The file that is sent, and the one that is to come.
    broken_by(|server| {
        let path = server.dir.join("me/a");
        let file = fs::File::options().write(true).open(path).unwrap();
        file.set_len(20 << 20).unwrap();
    });
    broken_by(|server| fs::remove_file(server.dir.join("me/b")).unwrap());
    broken_by(|server| write(server, "me/b", b"another one"));
}

#[test]
#[cfg_attr(not(has_curl), ignore = "curl is not installed")]
fn an_archive_of_an_old_revision_has_its_bytes() {
    let server = Served::start(&["--plain", "--keep-versions", "1"]);
    let place = &server.place;
    fs::create_dir(place.path("d")).unwrap();
    for text in ["first", "second"] {
        fs::write(place.path("d/a"), text).unwrap();
        fs::write(place.path("d").join(text), "x").unwrap();
        server
            .skep(&["put", "d", "--name", "d", "--delete", "-y"])
            .exits(0);
        let _ = fs::remove_file(place.path("d/first"));
    }

    let info = server.curl("/v1/info/d/", &[]).is(200).json();
    let old = info["revisions"][0]["revision"].as_str().unwrap();
    let path = format!("/v1/models/d/?tar&revision={old}");
    let archive = server.curl(&path, &[]).is(200).body;
    fs::write(place.path("a.tar"), archive).unwrap();

    let mut tar = Command::new("tar");
    tar.arg("-xOf").arg(place.path("a.tar")).arg("a");
    assert_eq!(tar.output().unwrap().stdout, b"first");
    let mut tar = Command::new("tar");
    let names = tar
        .arg("-tf")
        .arg(place.path("a.tar"))
        .output()
        .unwrap()
        .stdout;
    assert_eq!(String::from_utf8(names).unwrap(), "a\nfirst\n");
    let gone = "/v1/models/d/?tar&revision=0000000000000000000000000000000000000000";
    server.curl(gone, &[]).is(404);
}
