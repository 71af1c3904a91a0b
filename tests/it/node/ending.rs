// SPDX-License-Identifier: Apache-2.0 OR MIT
//! How a server ends in the middle of things.

use std::io::Write as _;
use std::net::TcpStream;

use rustix::process::Signal;

use crate::support::process::until;
use crate::support::served::Served;

#[test]
fn a_second_signal_ends_at_once_and_leaves_nothing_half_made() {
    let server = Served::start(&["--plain", "--drain-timeout", "1h"]);
    let address = server.url.trim_start_matches("http://").to_owned();
    let mut upload = TcpStream::connect(&address).unwrap();
    let password = server.password();
    let head = "PUT /v1/models/m HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n";
    let head = format!("{head}Authorization: Bearer {password}\r\n\r\n");
    upload.write_all(head.as_bytes()).unwrap();
    upload.write_all(&[b'x'; 100_000]).unwrap();
    until(|| server.parts() == 1);
    server.process.signal(Signal::TERM);
    // The door is shut, but the upload goes on, so the server does not end by itself.
    until(|| TcpStream::connect(&address).is_err());
    upload.write_all(&[b'x'; 100_000]).unwrap();
    until(|| server.part_sizes().iter().any(|size| *size >= 150_000));
    let (place, dir) = (server.place.clone(), server.dir.clone());
    server.process.signal(Signal::TERM);
    server.process.finish().exits(143);
    assert_eq!(
        std::fs::read_dir(dir.join(".skep/parts")).unwrap().count(),
        0
    );
    assert!(!dir.join("m").exists());
    drop(place);
}
