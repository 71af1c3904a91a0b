// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Certificates: the one a device makes for itself, those that its owner brings, and what is said of
//! those that do not do.

use std::fs;
use std::path::Path;
use std::process::Command;

use rustix::process::Signal;

use crate::support::process::{Outcome, Place, Process, one_line, run, run_with, until};
use crate::support::served::Served;

/// Runs openssl in the working directory of a place.
fn openssl(place: &Place, line: &str) -> Outcome {
    let mut command = place.command("openssl");
    run_with(command.args(line.split(' ')), b"")
}

/// Has openssl make a key and a certificate, `NAME.crt` and `NAME.key`.
fn pair(place: &Place, name: &str, algorithm: &str) {
    let line = format!(
        "req -x509 -nodes -days 30 -subj /CN={name} -addext subjectAltName=IP:127.0.0.1 \
         -newkey {algorithm} -keyout {name}.key -out {name}.crt"
    );
    openssl(place, &line).exits(0);
}

fn port(server: &Served) -> &str {
    server.url.rsplit(':').next().unwrap()
}

#[test]
#[cfg_attr(not(has_curl), ignore = "curl is not installed")]
#[cfg_attr(not(has_openssl), ignore = "openssl is not installed")]
fn openssl_and_curl_accept_the_identity() {
    let server = Served::start(&[]);
    let certificate = server.place.home().join("server.crt");
    let url = format!("https://localhost:{}/healthz", port(&server));
    let curl = |arguments: &[&str]| {
        let mut command = server.place.command("curl");
        run(command.args(["-q", "-sS", url.as_str()]).args(arguments))
    };
    assert_eq!(
        curl(&["--cacert", certificate.to_str().unwrap()])
            .exits(0)
            .text(),
        "ok\n"
    );
    let shown = server.skep(&["fingerprint", "--json"]).exits(0).json();
    let digest = server.fp.as_ref().unwrap().to_lowercase();
    assert_eq!(shown["digest"].as_str(), Some(digest.as_str()));
    let pin = shown["curl"].as_str().unwrap();
    curl(&["-k", "--pinnedpubkey", pin]).exits(0);
    curl(&[
        "-k",
        "--pinnedpubkey",
        &format!("sha256//{}=", "A".repeat(43)),
    ])
    .exits(90);
    for (name, version) in [
        ("localhost", "-tls1_3"),
        ("127.0.0.1", "-tls1_3"),
        ("localhost", "-tls1_2"),
    ] {
        let check = if name == "localhost" {
            "-verify_hostname"
        } else {
            "-verify_ip"
        };
        let line = format!(
            "s_client -connect 127.0.0.1:{} {version} -CAfile {} -verify_return_error {check} {name}",
            port(&server),
            certificate.display()
        );
        let text = openssl(&server.place, &line).exits(0).text();
        assert!(text.contains("Verify return code: 0 (ok)"), "{text}");
    }
    // From elsewhere, it is what the server shows that is printed.
    let stranger = Place::new();
    let seen = run(&mut stranger.skep(&["fingerprint", &server.url])).exits(0);
    assert_eq!(Some(seen.text().trim_end()), server.fp.as_deref());
    run(&mut stranger.skep(&["fingerprint"]))
        .exits(4)
        .says("skep serve");
}

#[test]
#[cfg_attr(not(has_openssl), ignore = "openssl is not installed")]
fn sessions_are_resumed() {
    let server = Served::start(&[]);
    for version in ["-tls1_3", "-tls1_2"] {
        let line = format!(
            "s_client -connect 127.0.0.1:{} {version} -ign_eof",
            port(&server)
        );
        let mut answers = Vec::new();
        for flag in ["-sess_out", "-sess_in"] {
            let mut command = server.place.command("openssl");
            command.args(line.split(' ')).args([flag, "session"]);
            // The tickets of TLS 1.3 come after the handshake, and are read with the answer.
            let request = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
            answers.push(run_with(&mut command, request).text());
        }
        assert!(answers[0].contains("New, TLSv1"), "{}", answers[0]);
        assert!(
            answers[1].contains("Reused, TLSv1"),
            "{version}: {}",
            answers[1]
        );
        assert!(
            answers[1].ends_with("ok\n") || answers[1].contains("ok\n"),
            "{}",
            answers[1]
        );
    }
}

#[test]
#[cfg_attr(not(has_openssl), ignore = "openssl is not installed")]
fn keys_of_all_usual_kinds_and_forms_are_taken() {
    let place = Place::new();
    pair(&place, "rsa", "rsa:2048");
    pair(&place, "p256", "ec -pkeyopt ec_paramgen_curve:P-256");
    pair(&place, "p384", "ec -pkeyopt ec_paramgen_curve:P-384");
    pair(&place, "ed25519", "ed25519");
    openssl(&place, "rsa -in rsa.key -traditional -out pkcs1.key").exits(0);
    openssl(&place, "ec -in p256.key -out sec1.key").exits(0);
    for (file, line) in [
        ("pkcs1.key", "BEGIN RSA PRIVATE"),
        ("sec1.key", "BEGIN EC PRIVATE"),
    ] {
        assert!(
            String::from_utf8(place.read(file)).unwrap().contains(line),
            "{file}"
        );
    }
    for (cert, key) in [
        ("rsa", "rsa"),
        ("rsa", "pkcs1"),
        ("p256", "p256"),
        ("p256", "sec1"),
        ("p384", "p384"),
        ("ed25519", "ed25519"),
    ] {
        let (cert, key) = (format!("{cert}.crt"), format!("{key}.key"));
        let server = Served::start_in(&place, &["--cert", &cert, "--key", &key, "-q"]);
        let mut list = server.command(&["ls", "--ca", &cert]);
        run(list.env("SKEP_PASSWORD", server.password())).exits(0);
        assert!(!place.home().join("server.crt").exists(), "nobody needs it");
        server.stop().exits(0);
    }
}

#[test]
#[cfg_attr(not(has_openssl), ignore = "openssl is not installed")]
fn changed_files_are_read_again_and_bad_ones_change_nothing() {
    let place = Place::new();
    for name in ["one", "two", "three"] {
        pair(&place, name, "ec -pkeyopt ec_paramgen_curve:P-256");
    }
    let install = |name: &str| {
        for kind in ["key", "crt"] {
            fs::copy(
                place.path(&format!("{name}.{kind}")),
                place.path(&format!("tls.{kind}")),
            )
            .unwrap();
        }
    };
    install("one");
    let server = Served::start_in(&place, &["--cert", "tls.crt", "--key", "tls.key"]);
    let shown = || {
        run(&mut place.skep(&["fingerprint", &server.url]))
            .exits(0)
            .text()
    };
    let first = shown();
    // Half of a new pair, and then none at all: the old one stays.
    fs::copy(place.path("two.crt"), place.path("tls.crt")).unwrap();
    server.process.signal(Signal::HUP);
    fs::write(place.path("tls.key"), "junk").unwrap();
    assert_eq!(shown(), first);
    install("two");
    server.process.signal(Signal::HUP);
    until(|| shown() != first);
    let second = shown();
    // Without a signal, it is noticed when somebody comes.
    install("three");
    until(|| shown() != second && shown() != first);
    let log = server.stop().exits(0).stderr;
    assert!(log.contains("the old TLS files stay in use"), "{log}");
}

/// Starts a server that must not start.
fn refused(place: &Place, arguments: &[&str]) -> Outcome {
    run(place
        .skep(&["serve", "127.0.0.1", "--port", "0"])
        .args(arguments))
    .exits(2)
}

#[test]
#[cfg_attr(not(has_openssl), ignore = "openssl is not installed")]
fn pairs_that_do_not_do_are_told_by_name() {
    let place = Place::new();
    pair(&place, "one", "ec -pkeyopt ec_paramgen_curve:P-256");
    pair(&place, "two", "ec -pkeyopt ec_paramgen_curve:P-256");
    let (chain, key) = (place.read("one.crt"), place.read("one.key"));
    place.file("cut.crt", &chain[..chain.len() / 2]);
    place.file("cut.key", &key[..key.len() / 2]);
    place.file("empty", "");
    place.file(
        "short.crt",
        b"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n",
    );
    openssl(
        &place,
        "pkcs8 -topk8 -in one.key -out locked.key -passout pass:x",
    )
    .exits(0);
    for (cert, key, told) in [
        ("cut.crt", "one.key", "--cert cut.crt is cut off"),
        ("one.crt", "cut.key", "--key cut.key is cut off"),
        (
            "one.crt",
            "two.key",
            "--key two.key is not the key of the certificate in --cert one.crt",
        ),
        ("empty", "one.key", "--cert empty contains no certificate"),
        ("one.crt", "empty", "--key empty contains no key"),
        ("short.crt", "one.key", "--cert short.crt cannot be read"),
        ("one.crt", "locked.key", "passphrase"),
        (
            "none.crt",
            "one.key",
            "--cert none.crt cannot be read: no such file",
        ),
    ] {
        one_line(&refused(&place, &["--cert", cert, "--key", key, "-q"]).says(told));
    }
    one_line(&refused(&place, &["--cert", "one.crt"]).says("--key is missing"));
    one_line(&refused(&place, &["--key", "one.key"]).says("--cert is missing"));
    refused(
        &place,
        &["--plain", "--cert", "one.crt", "--key", "one.key"],
    )
    .says("--plain");
    refused(&place, &["--client-crl", "x"]).says("--client-ca is missing");
    assert!(!place.home().join("server.key").exists());
    refused(&place, &["--client-ca", "one.key"])
        .says("--client-ca one.key contains no certificate");
}

#[test]
fn no_other_program_is_needed_and_nothing_is_half_made() {
    let place = Place::new();
    let mut command = place.skep(&["serve", "127.0.0.1", "--port", "0"]);
    let process = Process::start(command.env("PATH", "/nonexistent"));
    assert!(process.line().unwrap().contains("fp=SHA256:"));
    drop(process);
    let mode = |name: &str| {
        let path = place.home().join(name);
        std::os::unix::fs::MetadataExt::mode(&fs::metadata(path).unwrap()) & 0o777
    };
    assert_eq!((mode("server.key"), mode("server.crt")), (0o600, 0o644));
    // A home in which nothing can be written, not even by root.
    place.file("password", "a secret of some length\n");
    let mut command = place.skep(&[
        "serve",
        "127.0.0.1",
        "--port",
        "0",
        "--password-file",
        "password",
    ]);
    let outcome = run(command.env("SKEP_HOME", "/proc/self")).exits(2);
    one_line(
        &outcome
            .says("/proc/self/server.key cannot be written")
            .says("SKEP_HOME"),
    );
    // Half an identity, and a damaged one: told, and left as they are.
    let (certificate, key) = (
        place.home().join("server.crt"),
        place.home().join("server.key"),
    );
    let text = fs::read_to_string(&certificate).unwrap();
    fs::write(&certificate, &text[..100]).unwrap();
    refused(&place, &[])
        .says("server.crt is cut off")
        .says("server.crt, and it is made again for the same key");
    assert_eq!(fs::read_to_string(&certificate).unwrap(), text[..100]);
    fs::remove_file(&key).unwrap();
    one_line(&refused(&place, &[]).says("server.key is missing"));
    assert!(!key.exists());
}

#[test]
fn a_new_home_is_private() {
    let place = Place::new();
    let home = place.path("fresh/home");
    let mut command = place.skep(&["serve", "127.0.0.1", "--port", "0"]);
    let process = Process::start(command.env("SKEP_HOME", &home));
    assert!(process.line().is_some());
    let mode = |path: &Path| std::os::unix::fs::MetadataExt::mode(&fs::metadata(path).unwrap());
    assert_eq!(mode(&home) & 0o777, 0o700);
}

#[test]
fn tls_on_a_plain_port_ends_with_a_hint() {
    let server = Served::start(&["--plain"]);
    let url = server.url.replace("http://", "https://");
    let stranger = Place::new();
    let mut list: Command = stranger.skep(&["ls", "--server", &url, "--insecure"]);
    run(&mut list)
        .exits(7)
        .says("does not speak TLS")
        .says("--server http://");
    let log = server.stop().exits(0).stderr;
    assert!(
        log.contains("TLS handshake, but this port expects plain HTTP"),
        "{log}"
    );
}

#[test]
fn a_start_that_fails_makes_no_password_that_nobody_was_shown() {
    let place = Place::new();
    place.file("bad.pem", "-----BEGIN CERTIFICATE-----\nAAAA");
    let pair = [
        "serve",
        "127.0.0.1:0",
        "--cert",
        "bad.pem",
        "--key",
        "bad.pem",
    ];
    run(&mut place.skep(&pair)).exits(2).says("bad.pem");
    assert!(!place.home().join("password").exists());
    let used = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = used.local_addr().unwrap().to_string();
    run(&mut place.skep(&["serve", &address])).exits(2);
    assert!(!place.home().join("password").exists());
}

#[test]
fn a_start_that_fails_at_an_address_renews_nothing() {
    let place = Place::new();
    Served::start_in(&place, &[]).stop().exits(0);
    let certificate = place.home().join("server.crt");
    let first = fs::read(&certificate).unwrap();

    // An address that the certificate does not name yet.
    let taken = std::net::TcpListener::bind("127.0.0.2:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    run(&mut place.skep(&["serve", &address])).exits(2);
    assert_eq!(fs::read(&certificate).unwrap(), first);

    drop(taken);
    let process = Process::start(&mut place.skep(&["serve", "127.0.0.2:0"]));
    process.line().unwrap();
    assert_ne!(fs::read(&certificate).unwrap(), first);
    process.signal(Signal::TERM);
    process
        .finish()
        .exits(0)
        .says("was renewed with the same key");
}

#[test]
#[cfg_attr(not(has_openssl), ignore = "openssl is not installed")]
fn no_version_of_tls_before_the_oldest_is_spoken() {
    for (oldest, expected) in [("1.2", [0, 0]), ("1.3", [1, 0])] {
        let server = Served::start(&["--tls-min", oldest]);
        let codes = ["-tls1_2", "-tls1_3"].map(|version| {
            let address = format!("127.0.0.1:{}", port(&server));
            openssl(
                &server.place,
                &format!("s_client -connect {address} {version}"),
            )
            .code
        });
        assert_eq!(codes, expected, "{oldest}");
        server.skep(&["ls"]).exits(0);
        server.stop().exits(0);
    }

    let place = Place::new();
    let ended = run(&mut place.skep(&["serve", "127.0.0.1:0", "--tls-min", "1.1"]));
    ended.exits(2).says("write 1.2 or 1.3");
}

#[test]
#[cfg_attr(not(has_openssl), ignore = "openssl is not installed")]
fn the_start_tells_why_browsers_warn_where_they_do() {
    let place = Place::new();
    pair(&place, "own", "ec -pkeyopt ec_paramgen_curve:P-256");
    for (arguments, warn) in [
        (&[][..], true),
        (&["--plain"], false),
        (&["-q"], false),
        (&["--cert", "own.crt", "--key", "own.key"], false),
    ] {
        let server = Served::start_in(&place, arguments);
        assert_eq!(server.fp.is_some(), arguments != ["--plain"]);
        let told = server.stop().exits(0).stderr;
        let is_told = told.contains("browsers warn") && told.contains("--plain needs none");
        assert_eq!(is_told, warn, "{arguments:?}: {told}");
    }
}
