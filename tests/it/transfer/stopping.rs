// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A client that waits for a server can be ended at any moment.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use rustix::process::Signal;
use skep::client::{Client, ClientOptions, TransferEvent, TransferOptions, Trust};
use skep::{Digest, Error, ErrorKind, Request, Response, Server, Status, TempServer};

use crate::support::liar::{Liar, Then};
use crate::support::process::{Place, Process, ended, until};

/// Less than any pause of the client here, and longer than anything takes on a busy machine.
const DEADLINE: Duration = Duration::from_secs(120);

/// A server that asks everybody to come back in five minutes, and what tells of each request.
fn busy() -> (TempServer, Receiver<()>) {
    let (sender, asked) = channel();
    let sender = Mutex::new(sender);
    let handler = move |_: &mut Request<'_>| {
        let _ = sender.lock().unwrap().send(());
        Response::problem(Status::SERVICE_UNAVAILABLE, "busy").field("retry-after", "300")
    };
    let server = Server::bind("127.0.0.1:0", handler).unwrap();
    (TempServer::start(server).unwrap(), asked)
}

/// A server that sends `answer` to the first thing that it hears, goes on to hold the connection, and
/// hands it out.
fn silent(answer: &'static [u8]) -> (String, Receiver<TcpStream>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let authority = listener.local_addr().unwrap().to_string();
    let (sender, heard) = channel();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        assert!(stream.read(&mut [0; 4096]).unwrap() > 0);
        stream.write_all(answer).unwrap();
        let _ = sender.send(stream);
    });
    (authority, heard)
}

/// A client whose own time limits play no part.
fn patient(url: &str) -> Client {
    let mut options = ClientOptions::new(url.parse().unwrap());
    options.timeout = DEADLINE * 60;
    options.connect_timeout = DEADLINE * 60;
    options.trust = Trust::Anything;
    Client::new(options).unwrap()
}

fn assert_stopped(result: Result<(), Error>) {
    let error = result.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Interrupted, "{error}");
    assert_eq!(error.to_string(), "the client was stopped");
}

/// What tells of the pauses of a transfer.
fn pauses() -> (
    impl FnMut(TransferEvent<'_>) + Send + 'static,
    Receiver<Duration>,
) {
    let (pausing, paused) = channel();
    let tell = move |event: TransferEvent<'_>| {
        if let TransferEvent::Retrying { pause, .. } = event {
            let _ = pausing.send(pause);
        }
    };
    (tell, paused)
}

/// What a call ends with, from a thread of its own.
fn outcome<T: 'static>(
    call: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Receiver<Result<(), Error>> {
    let (ended, outcome) = channel();
    std::thread::spawn(move || ended.send(call().map(drop)));
    outcome
}

#[test]
fn a_stop_ends_a_pause_of_five_minutes() {
    let (server, asked) = busy();
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("source");
    std::fs::write(&source, b"bytes").unwrap();

    for is_put in [false, true] {
        let client = Client::new(ClientOptions::new(server.url().parse().unwrap())).unwrap();
        let name = "model".parse().unwrap();
        let options = TransferOptions::default();
        let (tell, paused) = pauses();

        let (shutdown, ended) = if is_put {
            let file = File::open(&source).unwrap();
            let transfer = client.spawn_put(name, file, options, tell).unwrap();
            (transfer.shutdown(), outcome(|| transfer.join()))
        } else {
            let target = folder.path().join("model");
            let transfer = client.spawn_get(name, target, options, tell).unwrap();
            (transfer.shutdown(), outcome(|| transfer.join()))
        };

        let pause = paused.recv_timeout(DEADLINE).unwrap();
        assert_eq!(pause, Duration::from_secs(300));
        asked.recv_timeout(DEADLINE).unwrap();

        shutdown.trigger();
        assert_stopped(ended.recv_timeout(DEADLINE).unwrap());
    }
}

#[test]
fn a_stop_in_a_pause_keeps_what_came_across() {
    let bytes = vec![7; 100_000];
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let digest = Digest::of(&bytes).etag();
    let cut = format!("HTTP/1.1 200 OK\r\netag: {digest}\r\ncontent-length: 200000\r\n\r\n");
    let cut = [cut.as_bytes(), &bytes].concat();
    let busy = b"HTTP/1.1 503 Busy\r\nretry-after: 300\r\ncontent-length: 0\r\n\r\n".to_vec();
    std::thread::spawn(move || {
        for answer in [cut, busy] {
            let (mut stream, _) = listener.accept().unwrap();
            assert!(stream.read(&mut [0; 4096]).unwrap() > 0);
            stream.write_all(&answer).unwrap();
        }
    });

    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("model");
    let (tell, paused) = pauses();
    let name = "model".parse().unwrap();
    let options = TransferOptions::default();
    let transfer = patient(&url).spawn_get(name, target, options, tell);
    let transfer = transfer.unwrap();

    while paused.recv_timeout(DEADLINE).unwrap() < Duration::from_secs(300) {}
    transfer.shutdown().trigger();
    let ended = outcome(|| transfer.join());
    assert_stopped(ended.recv_timeout(DEADLINE).unwrap());

    let journal = std::fs::read_to_string(folder.path().join(".model.skep-journal")).unwrap();
    assert_eq!(journal.lines().last(), Some("100000"));
}

#[test]
fn a_stop_ends_a_wait_for_an_answer_and_all_later_calls() {
    let (authority, heard) = silent(b"");
    let mut client = patient(&format!("http://{authority}"));
    let shutdown = client.shutdown();
    let (between, first) = channel();

    let ended = outcome(move || {
        between.send(client.list().map(drop)).unwrap();
        client.list()
    });

    let _held = heard.recv_timeout(DEADLINE).unwrap();
    shutdown.trigger();
    assert_stopped(first.recv_timeout(DEADLINE).unwrap());
    assert_stopped(ended.recv_timeout(DEADLINE).unwrap());
}

#[test]
fn after_a_stop_no_transfer_is_tried_again() {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("source");
    std::fs::write(&source, b"bytes").unwrap();

    for is_put in [false, true] {
        let (authority, heard) = silent(b"");
        let client = patient(&format!("http://{authority}"));
        let name = "model".parse().unwrap();
        let options = TransferOptions::default();
        let (tell, paused) = pauses();

        let (shutdown, ended) = if is_put {
            let file = File::open(&source).unwrap();
            let transfer = client.spawn_put(name, file, options, tell).unwrap();
            (transfer.shutdown(), outcome(|| transfer.join()))
        } else {
            let target = folder.path().join("model");
            let transfer = client.spawn_get(name, target, options, tell).unwrap();
            (transfer.shutdown(), outcome(|| transfer.join()))
        };

        let _held = heard.recv_timeout(DEADLINE).unwrap();
        shutdown.trigger();
        assert_stopped(ended.recv_timeout(DEADLINE).unwrap());
        // Ended by now, so nothing is told any more.
        assert_eq!(paused.try_iter().count(), 0, "put: {is_put}");
    }
}

#[test]
fn a_stop_ends_a_tls_handshake() {
    let (authority, heard) = silent(b"");
    let mut client = patient(&format!("https://{authority}"));
    let shutdown = client.shutdown();
    let ended = outcome(move || client.list());

    let _held = heard.recv_timeout(DEADLINE).unwrap();
    shutdown.trigger();
    assert_stopped(ended.recv_timeout(DEADLINE).unwrap());
}

#[test]
fn a_stop_is_not_the_end_of_a_body_without_a_length() {
    let (authority, heard) = silent(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nhalf");
    let mut client = patient(&format!("http://{authority}"));
    let shutdown = client.shutdown();
    let (arrived, begun) = channel();

    let ended = outcome(move || {
        let mut answer = client.request("GET", "/", &[], skep::client::Payload::Empty)?;
        let mut half = [0; 4];
        answer.read_exact(&mut half)?;
        arrived.send(half).unwrap();
        answer.read_to_end(&mut Vec::new()).map_err(Error::from)
    });

    let _held = heard.recv_timeout(DEADLINE).unwrap();
    assert_eq!(&begun.recv_timeout(DEADLINE).unwrap(), b"half");
    shutdown.trigger();
    assert_stopped(ended.recv_timeout(DEADLINE).unwrap());
}

#[test]
fn a_signal_ends_a_pause_of_five_minutes() {
    let (server, _asked) = busy();
    let place = Place::new();
    for (signal, code) in [(Signal::TERM, 143), (Signal::INT, 130)] {
        let words = ["get", "model", "--server", server.url()];
        let process = Process::start(&mut place.skep(&words));
        process.await_stderr("trying again in 300.0 s");
        process.signal(signal);
        process.finish().exits(code);
    }
}

#[test]
fn a_get_that_is_interrupted_keeps_all_that_arrived() {
    let bytes = vec![7; 1 << 20];
    let tag = Digest::of(&bytes).etag();
    let mut answer =
        format!("HTTP/1.1 200 OK\r\nETag: {tag}\r\nContent-Length: 1048576\r\n\r\n").into_bytes();
    answer.extend(&bytes[..300_000]);
    let (authority, heard) = silent(answer.leak());
    let place = Place::new();
    let url = format!("http://{authority}");
    let process = Process::start(&mut place.skep(&["get", "m", "--server", &url]));
    let _held = heard.recv_timeout(DEADLINE).unwrap();

    let part = place.path(".m.skep-part");
    until(|| part.metadata().is_ok_and(|part| part.len() == 300_000));
    process.signal(Signal::INT);
    process.finish().exits(130).says("interrupted; resume with");
    let journal = std::fs::read_to_string(place.path(".m.skep-journal")).unwrap();
    assert_eq!(journal.lines().last(), Some("300000"), "{journal}");
}

/// A server that removes the model `done` and answers nothing else, and what tells of each request.
fn half_silent() -> (Liar, Receiver<()>) {
    let (sender, asked) = channel();
    let sender = Mutex::new(sender);
    let liar = Liar::start(move |question| {
        if question.is("delete /v1/models/done ") {
            question.say("HTTP/1.1 204 No Content\r\n\r\n");
            return Then::Again;
        }
        let _ = sender.lock().unwrap().send(());
        // Until the client is gone.
        question.take(u64::MAX);
        Then::Close
    });
    (liar, asked)
}

#[test]
fn a_signal_leaves_the_json_of_the_command() {
    let place = Place::new();
    place.file("m", "hello");
    let verbs: [(&[&str], &str); 9] = [
        (&["put", "m"], "models"),
        (&["put", "-", "--name", "m"], "models"),
        (&["get", "m"], "files"),
        (&["load", "m", "--send-password"], "files"),
        (&["post", "m", "--send-password"], "imported"),
        (&["ls"], ""),
        (&["rm", "done", "m"], "removed"),
        (&["verify", "m"], "models"),
        (&["show", "m"], "models"),
    ];

    for (signal, code) in [(Signal::TERM, 143), (Signal::INT, 130)] {
        for (words, list) in verbs {
            let (liar, asked) = half_silent();
            let mut command = place.skep(words);
            command.args(["--json", "--server", &liar.url]);
            if words.contains(&"--send-password") {
                command.env("SKEP_PASSWORD", "secret");
            }
            if words.contains(&"-") {
                command.stdin(File::open(place.path("m")).unwrap());
            }
            let process = Process::start(&mut command);
            let heard = asked.recv_timeout(DEADLINE);
            heard.unwrap_or_else(|_| panic!("no request of {words:?}"));
            process.signal(signal);

            let told = process.finish().exits(code);
            let json = told.json();
            assert_eq!(json["schema"], 1, "{words:?}");
            assert_eq!(json["error"]["kind"], "cancelled", "{words:?}: {json}");
            assert_eq!(json["error"]["exit"], code, "{words:?}: {json}");
            assert!(told.stderr.contains("interrupted"), "{}", told.stderr);
            match list {
                "" => {}
                "removed" => assert_eq!(json[list], serde_json::json!(["done"])),
                _ => assert_eq!(json[list], serde_json::json!([]), "{words:?}: {json}"),
            }
        }
    }
}

#[test]
fn a_signal_puts_no_json_among_the_bytes_of_a_model() {
    let place = Place::new();
    for words in [&["cat", "m"][..], &["get", "m", "-o", "-"]] {
        let (liar, asked) = half_silent();
        let mut command = place.skep(words);
        let process = Process::start(command.args(["--json", "--server", &liar.url]));
        asked.recv_timeout(DEADLINE).unwrap();
        process.signal(Signal::INT);
        assert_eq!(process.finish().exits(130).text(), "");
    }
}

#[test]
fn a_signal_ends_a_command_whose_json_nobody_reads() {
    let (liar, asked) = half_silent();
    let place = Place::new();
    // A pipe that is full takes nothing more.
    let (reader, mut writer) = std::io::pipe().unwrap();
    rustix::io::ioctl_fionbio(&writer, true).unwrap();
    while writer.write(&[0; 4096]).is_ok() {}
    rustix::io::ioctl_fionbio(&writer, false).unwrap();

    let mut command = place.skep(&["ls", "--json", "--server", &liar.url]);
    let mut child = command
        .stdout(writer)
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    asked.recv_timeout(DEADLINE).unwrap();
    let id = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(id, Signal::INT).unwrap();
    assert_eq!(ended(&mut child).code(), Some(130));
    drop(reader);
}
