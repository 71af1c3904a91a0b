// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The log of a server whose readers are slow, absent or gone: nobody waits for them, and what was
//! logged is there at the end.

use std::fs;
use std::io::{BufRead as _, BufReader, PipeReader, Read as _};
use std::net::TcpStream;
use std::process::{Child, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::support::process::{Place, ended, until};
use crate::support::raw::{Raw, get, put};
use crate::support::served::Served;

/// A server whose standard error is a small pipe that is not read.
struct Unread {
    child: Child,
    address: String,
    log: PipeReader,
    place: Place,
}

impl Unread {
    fn start(arguments: &[&str]) -> Self {
        let place = Place::new();
        let (log, writer) = std::io::pipe().unwrap();
        rustix::pipe::fcntl_setpipe_size(&writer, 4096).unwrap();
        let mut child = place
            .skep(&["serve", "127.0.0.1", "--port", "0", "--plain", "-q"])
            .args(["--log-level", "info"])
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(writer)
            .spawn()
            .unwrap();

        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let url = line.split(' ').nth(2).unwrap();
        let address = url.strip_prefix("http://").unwrap().to_owned();
        Self {
            child,
            address,
            log,
            place,
        }
    }

    /// Has some requests logged, whose lines do not fit into the pipe.
    fn fill(&self, count: usize) {
        // Of strangers, only a few lines are written.
        let password = fs::read_to_string(self.place.home().join("password")).unwrap();
        let field = format!("Authorization: Bearer {}\r\n", password.trim_end());
        // Over one connection, so that the order of the lines is that of the requests.
        let mut raw = Raw::open(&self.address);
        for number in 0..count {
            let path = format!("/v1/models/m{number}.{}", "x".repeat(200));
            let head = get(&path).replacen("Host", &format!("{field}Host"), 1);
            raw.send(head);
            assert_eq!(raw.answer().status, 404);
        }
    }

    fn signal(&self, signal: Signal) {
        let id = i32::try_from(self.child.id()).unwrap();
        kill_process(Pid::from_raw(id).unwrap(), signal).unwrap();
    }
}

impl Drop for Unread {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_log_that_nobody_reads_holds_up_neither_answers_nor_the_end() {
    let mut server = Unread::start(&[]);
    server.fill(60);
    server.signal(Signal::TERM);
    assert_eq!(ended(&mut server.child).code(), Some(0));
}

#[test]
fn a_second_signal_ends_a_server_whose_log_nobody_reads() {
    let mut server = Unread::start(&["--drain-timeout", "1h"]);
    server.fill(60);

    let password = fs::read_to_string(server.place.home().join("password")).unwrap();
    let mut upload = Raw::open(&server.address);
    let fields = format!("Authorization: Bearer {}", password.trim_end());
    upload.send(put(
        "/v1/models/m",
        &format!("Content-Length: 1000000\r\n{fields}\r\nExpect: 100-continue"),
        "",
    ));
    assert_eq!(upload.answer().status, 100);

    server.signal(Signal::TERM);
    until(|| TcpStream::connect(&server.address).is_err());
    server.signal(Signal::TERM);
    assert_eq!(ended(&mut server.child).code(), Some(143));
}

#[test]
fn lines_that_waited_for_a_reader_are_all_there_and_in_order() {
    let mut server = Unread::start(&[]);
    server.fill(60);
    let mut log = server.log.try_clone().unwrap();
    server.signal(Signal::TERM);
    let mut text = String::new();
    let reading = std::thread::spawn(move || {
        log.read_to_string(&mut text).unwrap();
        text
    });
    assert_eq!(ended(&mut server.child).code(), Some(0));
    let text = reading.join().unwrap();

    let lines = text
        .lines()
        .filter_map(|line| line.split("/v1/models/m").nth(1));
    let numbers = lines.map(|line| line.split('.').next().unwrap().parse().unwrap());
    let numbers: Vec<usize> = numbers.collect();
    assert_eq!(numbers, (0..60).collect::<Vec<_>>(), "{text}");
}

#[test]
fn a_log_file_that_was_moved_away_is_made_anew_after_sighup() {
    let place = Place::new();
    let path = place.path("skep.log");
    let server = Served::start_in(&place, &["--plain", "--log-file", path.to_str().unwrap()]);
    let address = server.url.trim_start_matches("http://").to_owned();
    let ask = |path: &str| {
        let mut raw = Raw::open(&address);
        raw.send(get(path));
        assert_eq!(raw.answer().status, 401);
    };

    ask("/v1/models/before");
    until(|| {
        fs::read_to_string(&path)
            .unwrap()
            .contains("/v1/models/before")
    });
    let moved = place.path("moved.log");
    fs::rename(&path, &moved).unwrap();
    server.process.signal(Signal::HUP);
    until(|| fs::read_to_string(&path).is_ok_and(|text| text.contains("settings were read again")));
    ask("/v1/models/after");
    server.stop().exits(0);
    assert!(
        fs::read_to_string(&path)
            .unwrap()
            .contains("/v1/models/after")
    );
    assert!(
        !fs::read_to_string(&moved)
            .unwrap()
            .contains("/v1/models/after")
    );
}

#[test]
fn what_the_engine_says_of_its_own_end_is_no_error_of_the_server() {
    let server = Served::start(&["--plain", "-v"]);
    let log = server.stop().exits(0).stderr;
    assert!(log.contains(" info signal "), "{log}");
    assert!(!log.contains(" error "), "{log}");
}
