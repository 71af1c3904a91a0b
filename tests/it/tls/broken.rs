// SPDX-License-Identifier: Apache-2.0 OR MIT
//! TLS that breaks, at the beginning or later: the client says why, and what to do, in words of its own.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};

use rustls::ServerConnection;

use crate::support::liar::identity;
use crate::support::process::{Outcome, Place, run};

/// What a client says of a server that does this with its connection.
fn told(words: &[&str], serve: impl Fn(TcpStream) + Send + 'static) -> Outcome {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for line in listener.incoming() {
            serve(line.unwrap());
        }
    });
    let place = Place::new();
    let told = run(place.skep(words).env("SKEP_SERVER", url));

    // The words of the TLS library are for the log.
    for raw in ["fatal alert", "corrupt message", "peer's message", "peer "] {
        assert!(!told.stderr.contains(raw), "{}", told.stderr);
    }
    told
}

#[test]
fn an_alert_is_told_with_what_to_do() {
    for (alert, words, hint) in [
        (40, "no cipher in common with this client", "--client-cert"),
        (70, "does not speak TLS 1.2 or 1.3", "renewed"),
        (71, "no cipher in common with this client", "--client-cert"),
        (80, "a fault of its own", "its log"),
        (10, "it refused the handshake", "--server"),
        (112, "does not serve this name", "--server"),
        (116, "it requires a client certificate", "--client-cert"),
    ] {
        let told = told(&["ls"], move |mut line| {
            let _ = line.read(&mut [0; 4096]);
            let _ = line.write_all(&[21, 3, 3, 0, 2, 2, alert]);
            // Until the client is gone.
            let _ = line.read_to_end(&mut Vec::new());
        });
        told.exits(7).says(words).says(hint);
    }
}

#[test]
fn a_handshake_that_is_cut_or_is_none_is_told() {
    for (answer, code, words) in [
        (&b""[..], 5, "hung up during the TLS handshake"),
        (
            b"\x16\x03\x03\x00\x7a\x02",
            5,
            "hung up during the TLS handshake",
        ),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", 7, "does not speak TLS"),
    ] {
        told(&["ls"], move |mut line| {
            let _ = line.read(&mut [0; 4096]);
            let _ = line.write_all(answer);
        })
        .exits(code)
        .says(words)
        .says("use --server http://");
    }
}

#[test]
fn what_is_no_tls_after_the_handshake_is_told() {
    let answers = [
        &b"what is no TLS"[..],
        b"\x17\x03\x03\x00\x20no-cipher-text-of-this-connection",
    ];
    for answer in answers {
        let (config, _) = identity();
        let told = told(&["ls", "--insecure"], move |mut line| {
            let mut tls = ServerConnection::new(config.clone()).unwrap();
            while tls.is_handshaking() && tls.complete_io(&mut line).is_ok() {}
            let _ = line.write_all(answer);
            let _ = line.read_to_end(&mut Vec::new());
        });
        told.exits(5)
            .says("what arrived is not what TLS expects")
            .says("try again");
    }
}

#[test]
fn a_certificate_of_the_client_that_cannot_be_used_is_told() {
    let place = Place::new();
    place.file("junk", "junk");
    for (file, words) in [
        (
            "junk",
            "--client-cert junk contains no certificate in PEM form",
        ),
        (
            "missing",
            "--client-cert missing cannot be read: no such file",
        ),
    ] {
        run(&mut place.skep(&["ls", "--client-cert", file, "--client-key", file]))
            .exits(2)
            .says(words);
    }
}
