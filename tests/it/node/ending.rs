// SPDX-License-Identifier: Apache-2.0 OR MIT
//! How a server ends in the middle of things.

use std::fs;
use std::io::{self, Write as _};
use std::net::TcpStream;
use std::process::{Child, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::support::process::{Place, ended, until};
use crate::support::raw::{Raw, get};
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
    assert_eq!(fs::read_dir(dir.join(".skep/parts")).unwrap().count(), 0);
    assert!(!dir.join("m").exists());
    drop(place);
}

/// A server of which only files tell: its log and its address.
fn start_unseen(place: &Place, stdout: Stdio) -> Child {
    let arguments = ["serve", "127.0.0.1:0", "--plain", "--dir", "models"];
    let mut command = place.skep(&arguments);
    command.args(["--write-addr", "url", "--log-file", "log"]);
    command
        .stdout(stdout)
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

fn has(place: &Place, file: &str, words: &str) -> bool {
    fs::read_to_string(place.path(file)).is_ok_and(|text| text.contains(words))
}

fn signal(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

#[test]
fn a_server_runs_on_though_nobody_reads_its_ready_line() {
    let place = Place::new();
    let (reader, writer) = io::pipe().unwrap();
    drop(reader);

    let mut child = start_unseen(&place, writer.into());
    until(|| has(&place, "log", "nobody reads the standard output"));
    let url = fs::read_to_string(place.path("url")).unwrap();
    let mut raw = Raw::open(url.trim().trim_start_matches("http://"));
    raw.send(get("/healthz"));
    assert_eq!(raw.answer().status, 200);

    signal(&child, Signal::TERM);
    assert!(ended(&mut child).success());
}

#[test]
fn signals_are_heard_as_soon_as_a_server_can_be_found() {
    for _ in 0..5 {
        let place = Place::new();
        let mut child = start_unseen(&place, Stdio::null());
        until(|| has(&place, "url", "http://"));
        signal(&child, Signal::HUP);
        until(|| has(&place, "log", "the settings were read again"));

        signal(&child, Signal::TERM);
        assert!(ended(&mut child).success());
    }
}
