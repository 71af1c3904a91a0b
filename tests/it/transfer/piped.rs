// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Standard input becomes a model only by a decision: an end alone proves nothing.

use std::io::{self, Read, Write as _};
use std::os::unix::process::CommandExt as _;
use std::process::{ChildStdin, Command, Stdio};
use std::sync::mpsc::{Sender, channel};

use rustix::process::{Pid, Signal, kill_process_group};
use skep::client::{
    Client, ClientOptions, EmptyInput, Piped, TransferEvent, TransferOptions, Trust,
};
use skep::{Digest, Error, ErrorKind, Request, Response, Server, Status, TempServer};

use crate::support::process::{DEADLINE, Process, digest, noise, run, run_with, until};
use crate::support::served::Served;
use crate::transfer::resume::mebibytes;

/// A shell that runs `line` in a process group of its own, with the client as `$SKEP`.
fn group(server: &Served, line: &str) -> Command {
    let shell = server.command(&[]);
    let skep = shell.get_program().to_owned();
    // Whoever started the tests may have had these signals ignored, as nohup and `&` in scripts do.
    let mut command = server.place.command("env");
    command.args(["--default-signal=INT,HUP,TERM", "sh", "-c", line]);
    command.env("SKEP", skep);
    command.env("SKEP_SERVER", &server.url).process_group(0);
    command
}

fn signal_group(process: &Process, signal: Signal) {
    let group = Pid::from_raw(process.id().cast_signed()).unwrap();
    kill_process_group(group, signal).unwrap();
}

fn content(server: &Served, name: &str) -> Vec<u8> {
    std::fs::read(server.dir.join(name)).unwrap()
}

#[test]
fn an_interrupted_pipeline_keeps_the_old_model() {
    let server = Served::start(&[]);
    server.place.file("old", "good");
    server.skep(&["put", "old", "--name", "x"]).exits(0);
    // Producers that die of the signal at once: fast, slow, and after a first part that fits into memory.
    let producers = [
        "yes",
        "cat /dev/zero",
        "sh -c 'printf half; exec sleep 600'",
        "sh -c 'head -c 9000000 /dev/zero; exec sleep 600'",
    ];
    let signals = [Signal::INT, Signal::TERM, Signal::HUP];

    for round in 0..12 {
        let producer = producers[round % producers.len()];
        let line = format!("{producer} | tee passed | \"$SKEP\" put - --name x");
        let pipeline = Process::start(&mut group(&server, &line));
        // Something has gone through the pipe.
        until(|| std::fs::metadata(server.place.path("passed")).is_ok_and(|file| file.len() > 0));
        signal_group(&pipeline, signals[round % signals.len()]);
        let ended = pipeline.finish();
        assert!(!ended.stderr.contains("created") && !ended.stderr.contains("replaced"));
        assert!(content(&server, "x") == b"good", "{producer}");
        until(|| server.parts() == 0);
        std::fs::remove_file(server.place.path("passed")).unwrap();
    }
    server.stop().exits(0);
}

#[test]
fn an_end_by_a_signal_that_comes_a_moment_later_completes_nothing() {
    let server = Served::start(&[]);
    // The input ends first, as if its producer had died of the signal that is still on its way here.
    let (putting, pipe) = half_sent(&server);
    drop(pipe);
    putting.signal(Signal::INT);
    putting
        .finish()
        .exits(130)
        .says("interrupted; nothing was published");
    assert!(server.names().is_empty());
    until(|| server.parts() == 0);
    server.stop().exits(0);
}

/// A client that has sent the first 8 MiB of an input, which is still open.
fn half_sent(server: &Served) -> (Process, ChildStdin) {
    let mut command = server.command(&["put", "-", "--name", "x"]);
    let mut putting = Process::start(command.stdin(Stdio::piped()));
    let mut pipe = putting.stdin();
    pipe.write_all(&noise(1, 9 << 20)).unwrap();
    until(|| server.part_sizes().iter().sum::<u64>() >= 8 << 20);
    (putting, pipe)
}

#[test]
fn a_signal_while_the_producer_thinks_gives_the_upload_up() {
    let server = Served::start(&[]);
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        let (putting, pipe) = half_sent(&server);
        putting.signal(signal);
        let ended = putting.finish().exits(128 + signal.as_raw());
        ended.says("interrupted; nothing was published");
        drop(pipe);
        // Nothing of it waits on the server for the next upload of this name.
        assert_eq!((server.names().len(), server.parts()), (0, 0));
    }
    server.stop().exits(0);
}

#[test]
#[cfg(target_arch = "x86_64")]
fn a_signal_after_the_end_was_read_completes_nothing() {
    let server = Served::start(&[]);
    // The call in which the client waits for a signal that may have caused the end (clock_nanosleep).
    let call = |process: &Process| {
        let path = format!("/proc/{0}/task/{0}/syscall", process.id());
        std::fs::read_to_string(path).unwrap_or_default()
    };

    // A machine that looks too late tries again.
    for _ in 0..10 {
        let (putting, pipe) = half_sent(&server);
        drop(pipe);
        let is_seen = loop {
            match call(&putting) {
                now if now.starts_with("230 ") => break true,
                now if now.is_empty() => break false,
                _ => {}
            }
        };
        putting.signal(Signal::INT);
        let ended = putting.finish();
        let is_late = ended.code == 0 || ended.stderr.contains("interrupted at the end");
        if is_seen && !is_late {
            ended.exits(130).says("nothing was published");
            assert_eq!((server.names().len(), server.parts()), (0, 0));
            server.stop().exits(0);
            return;
        }
        server.skep(&["rm", "x"]);
    }
    panic!("the client never waited for a signal, or did not heed it");
}

#[test]
fn what_was_announced_has_to_come() {
    let server = Served::start(&[]);
    let (small, large) = (noise(1, 1000), mebibytes(9));
    let ask = |words: &[&str], input: &[u8]| {
        let words = [&["put", "-", "--name", "x"], words].concat();
        run_with(&mut server.command(&words), input)
    };
    for bytes in [&small, &large] {
        let short = (bytes.len() + 1).to_string();
        let long = (bytes.len() - 1).to_string();
        ask(&["--size", &short], bytes).exits(6).says("instead of");
        ask(&["--size", &long], bytes).exits(6).says("at least");
        let other = digest(b"other");
        ask(&["--digest", &other], bytes)
            .exits(6)
            .says("nothing was published");
        assert!(server.names().is_empty());
        assert_eq!(server.parts(), 0);
    }
    ask(&["--require-size"], &small).exits(2).says("--size");
    ask(&[], b"").exits(2).says("empty");
    assert!(server.names().is_empty());
    ask(&["--size", "0"], b"").exits(0);
    ask(&["--allow-empty"], b"").exits(0);
    let size = large.len().to_string();
    let sum = digest(&large);
    ask(
        &["--require-size", "--size", &size, "--digest", &sum],
        &large,
    )
    .exits(0);
    assert!(content(&server, "x") == large);

    // The same for files, and before anything is sent.
    server.place.file("f", &small);
    server.skep(&["put", "f", "--size", "5"]).exits(6);
    server.skep(&["put", "f", "--digest", &sum]).exits(6);
    let sum = digest(&small);
    server
        .skep(&["put", "f", "--size", "1000", "--digest", &sum])
        .exits(0);
    server.skep(&["put", "f", "f2", "--size", "5"]).exits(2);
    server.stop().exits(0);
}

#[test]
fn flags_of_files_are_kept_by_standard_input() {
    let server = Served::start(&[]);
    let ask = |words: &[&str], input: &[u8]| {
        let words = [&["put", "-", "--name", "x"], words].concat();
        run_with(&mut server.command(&words), input)
    };
    let large = mebibytes(6);
    for bytes in [&b"small"[..], &large] {
        ask(&["--create"], bytes).exits(0);
        ask(&["--create"], b"other").exits(11);
        let mut other = large.clone();
        other.push(1);
        ask(&["--create"], &other).exits(11);
        assert!(content(&server, "x") == bytes);
        ask(&["--if-match", &digest(b"wrong")], &other).exits(11);
        ask(&["--if-changed"], bytes).exits(2).says("--digest");
        let sum = digest(bytes);
        let told = ask(&["--if-changed", "--digest", &sum, "--json"], bytes).exits(0);
        assert_eq!(told.json()["models"][0]["outcome"], "unchanged");
        server.skep(&["rm", "x"]).exits(0);
    }
    // Two seconds of bytes, of which the first fifth is free.
    let start = std::time::Instant::now();
    ask(&["--limit-rate", "1MiB"], &mebibytes(2)).exits(0);
    assert!(start.elapsed().as_millis() > 1500);
    let start = std::time::Instant::now();
    server.skep(&["cat", "x", "--limit-rate", "1MiB"]).exits(0);
    assert!(start.elapsed().as_millis() > 1500);
    server.stop().exits(0);
}

#[test]
fn what_is_no_input_is_refused() {
    let server = Served::start(&[]);
    for (line, words) in [
        ("\"$SKEP\" put - --name x <&-", "standard input is closed"),
        ("\"$SKEP\" put - --allow-empty --name x <&-", "is closed"),
        ("\"$SKEP\" put - --name x < .", "is a directory"),
        ("\"$SKEP\" put - --name x < /dev/null", "empty"),
        ("false | \"$SKEP\" put - --name x", "empty"),
    ] {
        run(&mut group(&server, line)).exits(2).says(words);
    }
    assert!(server.names().is_empty());
    server.skep(&["put", "missing"]).exits(4);
    server.stop().exits(0);
}

#[test]
fn a_producer_may_take_its_time() {
    // The server hangs up on whoever is silent for a second.
    let server = Served::start(&["--timeout", "1s", "--body-timeout", "1s"]);
    let mut putting = Process::start(
        server
            .command(&["put", "-", "--name", "x"])
            .stdin(Stdio::piped()),
    );
    let mut pipe = putting.stdin();
    let bytes = mebibytes(9);
    pipe.write_all(&bytes[..5 << 20]).unwrap();
    until(|| server.part_sizes().iter().sum::<u64>() >= 4 << 20);
    std::thread::sleep(std::time::Duration::from_secs(3));
    pipe.write_all(&bytes[5 << 20..]).unwrap();
    drop(pipe);
    putting.finish().exits(0);
    assert!(content(&server, "x") == bytes);
    server.stop().exits(0);
}

/// A source that yields its bytes and then does something else than to end.
struct Then<F>(usize, F);

impl<F: FnMut() -> io::Result<usize>> Read for Then<F> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.0.min(buffer.len());
        if count == 0 {
            return (self.1)();
        }
        buffer[..count].fill(7);
        self.0 -= count;
        Ok(count)
    }
}

#[test]
fn a_library_completes_nothing_that_failed_or_was_stopped() {
    let server = Served::start(&["--plain"]);
    let client = || {
        let mut options = ClientOptions::new(server.url.parse().unwrap());
        options.trust = Trust::Anything;
        options.password = Some(skep::Password::new(server.password()).unwrap());
        Client::new(options).unwrap()
    };
    let name = "x".parse().unwrap();
    let options = TransferOptions::default();

    for size in [100, 9 << 20] {
        // Its own error.
        let mut source = Then(size, || Err(io::Error::other("the card was pulled out")));
        let mut agree = || Ok(());
        let piped = |source: &mut dyn Read, agree: &mut dyn FnMut() -> Result<(), Error>| {
            let input = Piped {
                source,
                length: None,
                digest: None,
                empty: EmptyInput::Refused,
                complete: agree,
            };
            client().put_piped(&name, input, &options, &mut |_| {})
        };
        piped(&mut source, &mut agree).unwrap_err();

        // Somebody who disagrees.
        let mut source = Then(size, || Ok(0));
        let mut disagree = || Err(Error::new(ErrorKind::Cancelled, "no"));
        let error = piped(&mut source, &mut disagree).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Cancelled);
        until(|| server.parts() == 0);

        // A stop right before the end, in both calls.
        for is_piped in [true, false] {
            let mut client = client();
            let shutdown = client.shutdown();
            let mut source = Then(size, || {
                shutdown.trigger();
                Ok(0)
            });
            let mut agree = || Ok(());
            let result = if is_piped {
                let input = Piped {
                    source: &mut source,
                    length: None,
                    digest: None,
                    empty: EmptyInput::Refused,
                    complete: &mut agree,
                };
                client.put_piped(&name, input, &options, &mut |_| {})
            } else {
                client.put(&name, &mut source, None, &mut |_| {})
            };
            assert_eq!(result.unwrap_err().kind(), ErrorKind::Interrupted);
        }
        assert!(server.names().is_empty());
    }

    server.stop().exits(0);
}

/// A server that knows nothing of uploads in parts. It tells which bytes came to their end, and `None` for
/// those that were cut.
fn without_parts(taken: Sender<Option<Vec<u8>>>) -> TempServer {
    let handler = move |request: &mut Request<'_>| {
        if request.method().as_str() != "PUT" {
            return Response::new(Status::NO_CONTENT);
        }
        let mut bytes = Vec::new();
        let is_whole = request.body().read_to_end(&mut bytes).is_ok();
        let stored = serde_json::json!({
            "name": "x", "size": bytes.len(), "modified": "2026-01-01T00:00:00Z",
            "digest": format!("{:?}", Digest::of(&bytes)),
        });
        taken.send(is_whole.then_some(bytes)).unwrap();
        Response::json(Status::CREATED, &stored)
    };
    TempServer::start(Server::bind("127.0.0.1:0", handler).unwrap()).unwrap()
}

fn input<'a>(
    source: &'a mut dyn Read,
    complete: &'a mut dyn FnMut() -> Result<(), Error>,
) -> Piped<'a> {
    Piped {
        source,
        length: None,
        digest: None,
        empty: EmptyInput::Refused,
        complete,
    }
}

#[test]
fn a_server_without_parts_gets_a_stream_that_ends_only_on_purpose() {
    let (sender, taken) = channel();
    let server = without_parts(sender);
    let client = || Client::new(ClientOptions::new(server.url().parse().unwrap())).unwrap();
    let (name, options) = ("x".parse().unwrap(), TransferOptions::default());

    // More than is held in memory.
    let bytes = mebibytes(9);
    let mut told = Vec::new();
    let (mut source, mut agree) = (&bytes[..], || Ok(()));
    let stored = client()
        .put_piped(
            &name,
            input(&mut source, &mut agree),
            &options,
            &mut |event| {
                if let TransferEvent::Progress(done) = event {
                    told.push(done);
                }
            },
        )
        .unwrap();
    assert_eq!(stored.sent, bytes.len() as u64);
    assert_eq!(stored.digest, Digest::of(&bytes));
    assert!(told.is_sorted() && told.last() == Some(&stored.sent));
    assert!(taken.recv_timeout(DEADLINE).unwrap().unwrap() == bytes);

    // A source that fails, somebody who disagrees, and a stop.
    for way in 0..3 {
        let mut client = client();
        let shutdown = client.shutdown();
        let mut source = Then(9 << 20, || match way {
            0 => Err(io::Error::other("the card was pulled out")),
            1 => Ok(0),
            _ => {
                shutdown.trigger();
                Ok(0)
            }
        });
        let mut complete = || match way {
            1 => Err(Error::new(ErrorKind::Cancelled, "no")),
            _ => Ok(()),
        };
        client
            .put_piped(
                &name,
                input(&mut source, &mut complete),
                &options,
                &mut |_| {},
            )
            .unwrap_err();
        drop(client);
        assert_eq!(taken.recv_timeout(DEADLINE).unwrap(), None, "{way}");
    }
}
