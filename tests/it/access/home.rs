// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The files of the home: eight clients write at one time, and nothing that one of them learned is lost.

use std::collections::BTreeSet;
use std::fs;
use std::sync::Barrier;
use std::thread;

use skep::{Request, Response, Server, ServerOptions, Status, TempServer, TlsOptions};

use crate::support::process::{Place, run};
use crate::support::served::Served;

const CLIENTS: usize = 8;

const SERVERS: usize = 48;

/// Servers that show the identity of one that ran before.
fn servers(identity: &Place) -> Vec<TempServer> {
    let file = |name: &str| identity.home().join(name);
    let serve = |_| {
        let mut options = ServerOptions::default();
        options.tls = Some(TlsOptions {
            cert_file: file("server.crt"),
            key_file: file("server.key"),
            allow_unauthenticated_clients: true,
            ..TlsOptions::default()
        });
        let empty = |_: &mut Request<'_>| {
            Response::new(Status::OK)
                .field("content-type", "application/json")
                .content(skep::Content::Bytes(
                    br#"{"schema":1,"models":[]}"#.to_vec(),
                ))
        };
        let address = "127.0.0.1:0".parse().unwrap();
        TempServer::start(Server::with_options(&[address], options, empty).unwrap()).unwrap()
    };
    (0..SERVERS).map(serve).collect()
}

#[test]
fn eight_clients_learn_the_keys_of_48_servers_at_one_time() {
    let identity = Place::new();
    Served::start_in(&identity, &[]).stop().exits(0);
    let servers = servers(&identity);
    let client = Place::new();

    // Each server is met by one client only, so that nothing that was lost is learned again, and all
    // clients begin each step together.
    let start = Barrier::new(CLIENTS);
    thread::scope(|scope| {
        for number in 0..CLIENTS {
            let (servers, client, start) = (&servers, &client, &start);
            scope.spawn(move || {
                for server in servers.iter().skip(number).step_by(CLIENTS) {
                    let words = ["ls", "--accept-new", "--server", server.url()];
                    let command = &mut client.skep(&words);
                    start.wait();
                    run(command.env("SKEP_PASSWORD", "a password of some length")).exits(0);
                }
            });
        }
    });

    let text = fs::read_to_string(client.home().join("known_servers")).unwrap();
    let known: BTreeSet<_> = text
        .lines()
        .filter_map(|line| line.split(' ').next())
        .collect();
    for server in &servers {
        let authority = server.url().strip_prefix("https://").unwrap();
        assert!(known.contains(authority), "{authority} was lost: {text}");
    }
    assert_eq!(text.lines().count(), SERVERS, "{text}");
}
