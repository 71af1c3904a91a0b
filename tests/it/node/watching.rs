// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What a program that embeds a node sees of it: events, counts and services.

use std::io::Write as _;
use std::thread;
use std::time::Duration;

use serde_json::Value;
use skep::client::{Client, ClientOptions};
use skep::store::Condition;
use skep::{Config, Node, Notice, Password, ServiceState, Watcher};

const DEADLINE: Duration = Duration::from_secs(60);

fn node(folder: &std::path::Path) -> Node {
    let mut config = Config::new(folder.join("home"));
    config.directory = folder.join("models");
    config.addresses = vec!["127.0.0.1:0".to_owned()];
    config.plain = true;
    Node::open(
        config,
        Some(Password::new("a password of some length").unwrap()),
    )
    .unwrap()
}

/// The next event of a name, and what it says.
fn event(watcher: &Watcher, name: &str) -> Value {
    loop {
        let notice = watcher
            .next_within(DEADLINE)
            .unwrap_or_else(|| panic!("no {name}"));
        let Notice::Event { json, .. } = notice else {
            panic!("{notice:?}");
        };
        let value: Value = serde_json::from_str(&json).unwrap();
        if value["event"] == name {
            return value;
        }
    }
}

#[test]
fn store_access_edge_and_server_tell_what_happens() {
    let folder = tempfile::tempdir().unwrap();
    let node = node(folder.path());
    let watcher = node.watch(&[], 100, None).unwrap();
    let models_only = node.watch(&["models"], 1, None).unwrap();
    assert!(node.watch(&["weather"], 1, None).is_err());
    let (url, shutdown) = (node.urls().remove(0), node.shutdown());
    let (store, services, samples) = (node.store().clone(), node.services(), node.samples());
    let thread = thread::spawn(move || node.run());

    assert_eq!(event(&watcher, "listener.opened")["address"], url);
    event(&watcher, "server.started");
    assert_eq!(services.status()[0].state, ServiceState::Running);

    for bytes in ["one", "three", "five"] {
        let mut upload = store.upload(None).unwrap();
        upload.write_all(bytes.as_bytes()).unwrap();
        let name = "model".parse().unwrap();
        upload.commit(&name, None, &Condition::Any).unwrap();
    }
    let published = event(&watcher, "model.published");
    assert_eq!(
        (&published["name"], &published["size"]),
        (&"model".into(), &3.into())
    );
    assert_eq!(event(&watcher, "upload.ended")["size"], 3);
    store.remove(&"model".parse().unwrap()).unwrap();
    assert_eq!(event(&watcher, "model.removed")["size"], 4);

    // Without a password, a caller is let in by the edge and refused by the routes.
    let mut client = Client::new(ClientOptions::new(url.parse().unwrap())).unwrap();
    client.list().unwrap_err();
    event(&watcher, "connection.accepted");
    event(&watcher, "access.refused");
    assert_eq!(event(&watcher, "request.finished")["status"], 401);

    let requests = samples()
        .into_iter()
        .find(|(row, _)| row.name == "skep_requests_total");
    assert_eq!(requests.unwrap().1, 1);

    shutdown.trigger();
    thread.join().unwrap().unwrap();
    assert_eq!(services.status()[0].state, ServiceState::Ended);

    // A watcher with room for one event has lost the first three, and is told so.
    assert_eq!(models_only.try_next(), Some(Notice::Missed(3)));
    assert!(matches!(models_only.try_next(), Some(Notice::Event { .. })));
    assert_eq!(models_only.next(), None);
}

#[test]
fn an_upload_that_was_refused_at_its_end_did_not_end_well() {
    let folder = tempfile::tempdir().unwrap();
    let node = node(folder.path());
    let watcher = node.watch(&["uploads"], 100, None).unwrap();
    let send = |bytes: &[u8], condition| {
        let mut upload = node.store().upload(None).unwrap();
        upload.write_all(bytes).unwrap();
        upload.commit(&"model".parse().unwrap(), None, &condition)
    };

    send(b"refused", Condition::Exists).unwrap_err();
    send(b"taken", Condition::Absent).unwrap();
    assert_eq!(event(&watcher, "upload.ended")["size"], 5);
}
