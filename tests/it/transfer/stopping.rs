// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A client that waits for a server can be ended at any moment.

use std::sync::Mutex;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use rustix::process::Signal;
use skep::client::{Client, ClientOptions, TransferEvent, TransferOptions};
use skep::{ErrorKind, Request, Response, Server, Status, TempServer};

use crate::support::process::{Place, Process};

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

#[test]
fn a_stop_ends_a_pause_of_five_minutes() {
    let (server, _asked) = busy();
    let folder = tempfile::tempdir().unwrap();
    let mut client = Client::new(ClientOptions::new(server.url().parse().unwrap())).unwrap();
    let shutdown = client.shutdown();
    let target = folder.path().join("model");

    let (pausing, paused) = channel();
    let (ended, outcome) = channel();
    let work = move || {
        let mut tell = |event: TransferEvent<'_>| {
            if let TransferEvent::Retrying { pause, .. } = event {
                pausing.send(pause).unwrap();
            }
        };
        let name = "model".parse().unwrap();
        let options = TransferOptions::default();
        let result = client.fetch(&name, &target, &options, &mut tell);
        ended.send(result.err().map(|error| error.kind())).unwrap();
    };
    let thread = std::thread::spawn(work);

    assert_eq!(paused.recv().unwrap(), Duration::from_secs(300));
    shutdown.trigger();
    let kind = outcome.recv_timeout(DEADLINE).unwrap();
    assert_eq!(kind, Some(ErrorKind::Interrupted));
    thread.join().unwrap();
}

#[test]
fn a_signal_ends_a_pause_of_five_minutes() {
    let (server, asked) = busy();
    let place = Place::new();
    for (signal, code) in [(Signal::TERM, 143), (Signal::INT, 130)] {
        let words = ["get", "model", "--server", server.url()];
        let process = Process::start(&mut place.skep(&words));
        asked.recv_timeout(DEADLINE).unwrap();
        process.signal(signal);
        process.finish().exits(code);
    }
}
