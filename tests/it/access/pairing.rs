// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Pairing: an invitation brings a device and a server together, once, and nobody else.

use std::fs;
use std::net::TcpListener;

use crate::support::process::{Outcome, Place, Process, run, run_with};
use crate::support::served::Served;

/// An invitation of a server, for a role.
fn invitation(server: &Served, arguments: &[&str]) -> String {
    let outcome = run(server.place.skep(&["invite", "--json"]).args(arguments)).exits(0);
    outcome.json()["invitation"].as_str().unwrap().to_owned()
}

/// skep in a home of its own, told nothing about any server.
fn skep(place: &Place, arguments: &[&str]) -> Outcome {
    run(&mut place.skep(arguments))
}

#[test]
fn a_paired_device_needs_no_flag_any_more() {
    let server = Served::start(&[]);
    let device = Place::new();
    let invitation = invitation(&server, &[]);
    assert!(
        invitation.starts_with(&server.url.replace("https", "skep")),
        "{invitation}"
    );
    let paired = skep(
        &device,
        &[
            "pair",
            &invitation,
            "--device",
            "phone",
            "--name",
            "pi",
            "--json",
        ],
    );
    let paired = paired.exits(0).json();
    assert_eq!(
        (&paired["name"], &paired["device"]),
        (&"pi".into(), &"phone".into())
    );
    assert_eq!(paired["url"].as_str(), Some(server.url.as_str()));
    device.file("model", "a model");
    skep(&device, &["put", "model"]).exits(0);
    skep(&device, &["get", "model", "-o", "copy"]).exits(0);
    assert_eq!(device.read("copy"), b"a model");
    for name in ["pi", &server.url] {
        skep(&device, &["ls", "--server", name]).exits(0);
    }
    // Tokens are secrets, and the password of the server is not among them.
    let servers = device.home().join("servers");
    let mode = std::os::unix::fs::MetadataExt::mode(&fs::metadata(&servers).unwrap());
    assert_eq!(mode & 0o777, 0o600);
    assert!(
        !fs::read_to_string(&servers)
            .unwrap()
            .contains(&server.password())
    );
    // The token is the device's own, and ends with its removal.
    run(&mut server.place.skep(&["token", "rm", "phone"])).exits(0);
    skep(&device, &["ls"]).exits(7);
}

#[test]
#[cfg_attr(not(has_curl), ignore = "curl is not installed")]
fn a_device_makes_its_own_token_and_the_server_learns_its_public_key_only() {
    let server = Served::start(&[]);
    let device = Place::new();
    let offered = invitation(&server, &[]);
    skep(&device, &["pair", &offered, "--device", "phone"]).exits(0);
    let kept = fs::read_to_string(device.home().join("servers")).unwrap();
    let token = kept
        .split_whitespace()
        .find(|word| word.starts_with("skep_"))
        .unwrap();
    let tokens = fs::read_to_string(server.place.home().join("tokens")).unwrap();
    let line = tokens
        .lines()
        .find(|line| line.starts_with("phone "))
        .unwrap();
    let key = line.split(' ').nth(2).unwrap();
    assert_eq!(key, derived(token), "{line}");

    // What the server keeps opens nothing.
    for kept in [key, line] {
        let field = format!("authorization: Bearer {kept}");
        server.curl_as("/v1/models", &["-H", &field], b"").is(401);
    }

    // The answer has no secret in it.
    let ask = |secret: &str, more: &str| {
        let secret = secret.rsplit('.').next().unwrap();
        let body = format!("{{\"secret\": \"{secret}\", \"name\": \"pi\"{more}}}");
        server.curl_as("/v1/pair", &["--data-binary", "@-"], body.as_bytes())
    };
    let own = "skep_abcdefghjkmnpqrstuvwxyz234567899";
    let key = derived(own);
    let reply = ask(&invitation(&server, &[]), &format!(", \"key\": \"{key}\""))
        .is(201)
        .json();
    assert_eq!(reply["name"], "pi");
    assert!(reply.get("token").is_none(), "{reply}");
    let field = format!("authorization: Bearer {own}");
    server.curl_as("/v1/models", &["-H", &field], b"").is(200);

    // A key that is none, or that somebody has already, does not use the invitation up.
    let open = invitation(&server, &[]);
    ask(&open, ", \"key\": \"short\"").is(400);
    ask(&open, &format!(", \"key\": \"{key}\"")).is(400);

    // A device of an older skep sends no key, and gets a token.
    let reply = ask(&open, "").is(201).json();
    let field = format!("authorization: Bearer {}", reply["token"].as_str().unwrap());
    server.curl_as("/v1/models", &["-H", &field], b"").is(200);
}

/// The public key that a secret stands for, computed without skep.
fn derived(secret: &str) -> String {
    use base64::Engine as _;
    use ring::signature::KeyPair as _;

    let salt = ring::hkdf::Salt::new(ring::hkdf::HKDF_SHA256, &[]);
    let mut seed = [0; 32];
    let derived = salt.extract(secret.as_bytes());
    let derived = derived.expand(&[b"skep/ed25519/1"], ring::hkdf::HKDF_SHA256);
    derived.unwrap().fill(&mut seed).unwrap();
    let pair = ring::signature::Ed25519KeyPair::from_seed_unchecked(&seed).unwrap();
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(pair.public_key())
}

#[test]
fn an_invitation_is_good_once() {
    let server = Served::start(&[]);
    let invitation = invitation(&server, &[]);
    let (first, second) = (Place::new(), Place::new());
    let mut command = first.skep(&["pair", "-"]);
    run_with(&mut command, format!("{invitation}\n").as_bytes()).exits(0);
    skep(&second, &["pair", &invitation])
        .exits(7)
        .says("it was used")
        .says("skep invite");
    assert!(!second.home().join("servers").exists());
    let secret = invitation.rsplit('.').next().unwrap();
    let log = server.stop().exits(0).stderr;
    assert!(!log.contains(secret), "{log}");
}

#[test]
fn an_invitation_is_not_used_up_where_nothing_can_be_kept() {
    let server = Served::start(&[]);
    let (invitation, device) = (invitation(&server, &[]), Place::new());
    for name in ["servers.lock", "known_servers.lock"] {
        // Neither file can be changed without its lock.
        let path = device.home().join(name);
        let _ = fs::remove_file(&path);
        fs::create_dir_all(&path).unwrap();
        skep(&device, &["pair", &invitation])
            .exits(2)
            .says(&format!("opening {}", path.display()));
        assert!(!device.home().join("servers").exists());
        fs::remove_dir(&path).unwrap();
    }
    skep(&device, &["pair", &invitation]).exits(0);
    skep(&device, &["ls"]).exits(0);
}

#[test]
fn an_invitation_ends_and_says_what_its_device_may_do() {
    let server = Served::start(&[]);
    let over = invitation(&server, &["--expires", "1s"]);
    // Its end is written in its home, so that it can be put off and brought forward.
    let file = server.place.home().join("invitations");
    let text = fs::read_to_string(&file).unwrap();
    let end = text.split_whitespace().last().unwrap();
    fs::write(&file, text.replace(end, "1793491200")).unwrap();
    skep(&Place::new(), &["pair", &over])
        .exits(7)
        .says("has expired");
    let reader = Place::new();
    skep(
        &reader,
        &["pair", &invitation(&server, &["--role", "read"])],
    )
    .exits(0);
    skep(&reader, &["ls"]).exits(0);
    reader.file("m", "x");
    skep(&reader, &["put", "m"]).exits(7).says("write");
    run(&mut server.place.skep(&["invite", "--role", "root"])).exits(2);
}

#[test]
#[cfg_attr(not(has_curl), ignore = "curl is not installed")]
fn who_guesses_invitations_is_locked_out() {
    let server = Served::start(&[]);
    let secret = invitation(&server, &[])
        .rsplit('.')
        .next()
        .unwrap()
        .to_owned();
    let ask = |secret: &str, from: &str| {
        let body = format!("{{\"secret\": \"{secret}\", \"name\": \"owner\"}}");
        let arguments = ["--interface", from, "--data-binary", "@-"];
        server.curl_as("/v1/pair", &arguments, body.as_bytes())
    };
    for number in 0..10 {
        ask(&format!("guess{number}"), "127.0.0.3").is(403);
    }
    assert!(
        ask("guess", "127.0.0.3")
            .is(429)
            .field("retry-after")
            .is_some()
    );
    // Who has the right one can pair whoever guesses beside it, and nobody gets the name that the log has for the password.
    let paired = ask(&secret, "127.0.0.3").is(201).json();
    assert_eq!(
        (&paired["name"], &paired["role"]),
        (&"device".into(), &"write".into())
    );
    run(&mut server.place.skep(&["token", "new", "owner"]))
        .exits(2)
        .says("another name");
}

#[test]
fn nobody_else_can_answer_an_invitation() {
    let (server, other) = (Served::start(&[]), Served::start(&[]));
    let device = Place::new();
    let authority = |server: &Served| server.url["https://".len()..].to_owned();
    let invitation = invitation(&server, &[]);
    let forged = invitation.replace(&authority(&server), &authority(&other));
    skep(&device, &["pair", &forged])
        .exits(7)
        .says("shows another key");
    assert!(!device.home().join("servers").exists());
    // Addresses are tried one after the other until the right server is found.
    let both = invitation.replace(
        &authority(&server),
        &format!("127.0.0.1:1,{},{}", authority(&other), authority(&server)),
    );
    skep(&device, &["pair", &both, "--name", "pi"]).exits(0);
    skep(&device, &["ls"]).exits(0);
    for bad in [
        "",
        "skep://",
        "https://pi:8443",
        &invitation[..invitation.len() - 40],
    ] {
        skep(&device, &["pair", bad]).exits(2);
    }
}

#[test]
fn each_server_has_a_name_and_the_first_is_the_default() {
    let (first, second) = (Served::start(&[]), Served::start(&[]));
    let device = Place::new();
    skep(
        &device,
        &["pair", &invitation(&first, &[]), "--name", "one"],
    )
    .exits(0);
    skep(
        &device,
        &["pair", &invitation(&second, &[]), "--name", "one"],
    )
    .exits(11)
    .says("--name");
    skep(
        &device,
        &["pair", &invitation(&second, &[]), "--name", "two"],
    )
    .exits(0);
    // Paired again: the same name, a new token.
    skep(
        &device,
        &["pair", &invitation(&first, &[]), "--name", "one"],
    )
    .exits(0);
    device.file("m", "x");
    skep(&device, &["put", "m"]).exits(0);
    assert_eq!((first.names().len(), second.names().len()), (1, 0));
    skep(&device, &["put", "m", "--server", "two"]).exits(0);
    assert_eq!(second.names(), ["m"]);
}

#[test]
fn an_invitation_is_shown_as_a_picture_on_request() {
    let server = Served::start(&[]);
    let text = run(&mut server.place.skep(&["invite", "--qr", "192.168.1.10"]))
        .exits(0)
        .text();
    let picture = text
        .lines()
        .filter(|line| line.contains('\u{2588}'))
        .count();
    assert!(picture > 15, "{text}");
    assert!(
        text.lines()
            .last()
            .unwrap()
            .starts_with("skep://192.168.1.10:8443#"),
        "{text}"
    );
    let plain = run(&mut server.place.skep(&["invite"])).exits(0).text();
    assert_eq!(plain.lines().count(), 1);
    let nobody = Place::new();
    skep(&nobody, &["invite"]).exits(4).says("skep serve");
}

#[test]
fn the_secret_of_an_invitation_does_not_stay_in_the_list_of_processes() {
    let server = Served::start(&[]);
    let invitation = invitation(&server, &[]);
    let secret = invitation.rsplit('.').next().unwrap().to_owned();

    // Somebody who never answers keeps it waiting, so that there is something to look at.
    let deaf = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = deaf.local_addr().unwrap().to_string();
    let lasting = invitation.replace(&server.url["https://".len()..], &address);
    let device = Place::new();
    let mut pairing = Process::start(&mut device.skep(&["pair", &lasting, "--name", "pi"]));
    let connected = deaf.accept().unwrap();

    let line = fs::read(format!("/proc/{}/cmdline", pairing.id())).unwrap();
    let line = String::from_utf8(line).unwrap();
    assert!(
        pairing.is_running() && line.contains("pair\0-\0--name\0pi"),
        "{line}"
    );
    assert!(!line.contains(&secret), "{line}");
    let environment = fs::read(format!("/proc/{}/environ", pairing.id())).unwrap();
    assert!(!String::from_utf8_lossy(&environment).contains(&secret));
    drop(connected);
    pairing.finish().exits(5);

    skep(&device, &["pair", &invitation, "--name=pi", "--json"]).exits(0);
}

#[test]
fn no_error_of_pairing_names_a_flag_that_it_lacks() {
    let (server, other) = (Served::start(&[]), Served::start(&["--plain"]));
    let invitation = invitation(&server, &[]);
    let authority = &server.url["https://".len()..];
    let elsewhere = |to: &str| invitation.replace(authority, to);
    let other = other.url.rsplit("//").next().unwrap().to_owned();
    for to in [
        "127.0.0.1:1",
        "no.such.host.invalid",
        &other,
        "[fe80::1]",
        "localhost:9",
    ] {
        let outcome = skep(&Place::new(), &["pair", &elsewhere(to)]);
        for flag in [
            "--server",
            "--pin",
            "--accept-new",
            "--connect-timeout",
            "SKEP_SERVER",
            "--ca",
        ] {
            assert!(!outcome.stderr.contains(flag), "{to}: {}", outcome.stderr);
        }
        assert_ne!(outcome.code, 0);
    }
}

#[test]
fn an_invitation_changes_the_key_of_no_known_server() {
    let (server, victim) = (Served::start(&[]), Served::start(&[]));
    let device = Place::new();
    let mut meet = victim.command_of(&device, &["ls", "--accept-new"]);
    run(meet.env("SKEP_PASSWORD", victim.password())).exits(0);
    let known = fs::read(device.home().join("known_servers")).unwrap();

    let invitation = invitation(&server, &[]);
    let authority = |server: &Served| server.url["https://".len()..].to_owned();
    let both = format!("{},{}", authority(&server), authority(&victim));
    let forged = invitation.replace(&authority(&server), &both);
    skep(&device, &["pair", &forged])
        .exits(7)
        .says(victim.fp.as_deref().unwrap())
        .says(server.fp.as_deref().unwrap())
        .says("known_servers");
    assert_eq!(
        fs::read(device.home().join("known_servers")).unwrap(),
        known
    );
    assert!(!device.home().join("servers").exists());

    // The invitation is still good, and one of its addresses is remembered: that which answered.
    let both = format!("{},127.0.0.1:1", authority(&server));
    let honest = invitation.replace(&authority(&server), &both);
    skep(&device, &["pair", &honest]).exits(0);
    let known = fs::read_to_string(device.home().join("known_servers")).unwrap();
    assert!(
        known.contains(&authority(&server)) && !known.contains("127.0.0.1:1 "),
        "{known}"
    );
    skep(&device, &["ls"]).exits(0);
}

#[test]
fn a_paired_server_is_found_at_its_other_addresses_by_its_key() {
    let (server, other) = (Served::start(&[]), Served::start(&[]));
    let device = Place::new();
    let invitation = invitation(&server, &[]);
    let authority = |server: &Served| server.url["https://".len()..].to_owned();
    skep(&device, &["pair", &invitation, "--name", "pi"]).exits(0);

    // It moves; the line names where to, and who may have that address instead.
    let file = device.home().join("servers");
    let line = fs::read_to_string(&file).unwrap();
    let moved = |to: &str| {
        let line = line.replace(&server.url, "https://127.0.0.1:1");
        fs::write(&file, format!("{} {to}\n", line.trim_end())).unwrap();
    };
    moved(&format!(
        "127.0.0.2:1,{},{}",
        authority(&other),
        authority(&server)
    ));
    skep(&device, &["ls"]).exits(0);
    skep(&device, &["ls", "--server", "pi"]).exits(0);
    moved(&authority(&other));
    skep(&device, &["ls"]).exits(3);

    // The line is edited: the key in it says who is right at the new address, whatever else is wished.
    let edited = |to: &Served| {
        fs::write(&file, line.replace(&server.url, &to.url)).unwrap();
        fs::remove_file(device.home().join("known_servers")).unwrap_or_default();
    };
    edited(&server);
    skep(&device, &["ls"]).exits(0);
    edited(&other);
    skep(&device, &["ls", "--accept-new"]).exits(7);
    let log = other.stop().exits(0).stderr;
    assert!(!log.contains("/v1/models"), "{log}");
}

#[test]
fn a_password_never_goes_to_a_server_that_only_has_the_name() {
    let server = Served::start(&[]);
    let device = Place::new();
    skep(
        &device,
        &["pair", &invitation(&server, &[]), "--name", "vm"],
    )
    .exits(0);
    let mut given = device.skep(&["ls", "--server", "vm"]);
    run(given.env("SKEP_PASSWORD", "of another server"))
        .exits(2)
        .says("https://vm:8443")
        .says("not sent");
    skep(&device, &["ls", "--server", "vm"]).exits(0);

    // As soon as a host of that name is known, nothing at all goes by it.
    let known = device.home().join("known_servers");
    let text = fs::read_to_string(&known).unwrap();
    fs::write(&known, format!("{text}vm:8443 SHA256:{}\n", "0".repeat(64))).unwrap();
    skep(&device, &["ls", "--server", "vm"])
        .exits(2)
        .says("may mean");
    skep(&device, &["ls", "--server", &server.url]).exits(0);
}

#[test]
fn an_invitation_leads_to_the_server_that_runs() {
    let place = Place::new();
    let invite = |more: &[&str]| run(&mut place.skep(&[&["invite"], more].concat()));
    let first = Served::start_in(&place, &["--dir", "one"]);
    let second = Served::start_in(&place, &["--dir", "two"]);
    let port = |server: &Served| server.url.rsplit(':').next().unwrap().to_owned();

    // Two of them in one home: the one that is meant is named by its model directory or its address.
    let refused = invite(&[]).exits(2);
    refused.says("two").says(&port(&first));
    let mut one = place.skep(&["invite"]);
    let text = run(one.env("SKEP_DIR", "one")).exits(0).text();
    assert!(text.contains(&format!(":{}#", port(&first))), "{text}");

    let (stopped, left) = (port(&second), port(&first));
    second.stop().exits(0);
    let text = invite(&[]).exits(0).text();
    assert!(
        text.contains(&format!(":{left}#")) && !text.contains(&stopped),
        "{text}"
    );

    // Of one that runs no more, it is said where it was.
    first.stop().exits(0);
    invite(&[]).exits(3).says(&stopped).says("skep serve");
    invite(&["pi.local:8443"]).exits(0);
}

#[test]
fn a_start_that_fails_leaves_nothing_behind() {
    let running = Served::start(&[]);
    let taken = running.url.rsplit('/').next().unwrap().to_owned();
    let place = Place::new();
    let left = || {
        let entries = fs::read_dir(place.path("")).unwrap();
        entries
            .map(|entry| entry.unwrap().path())
            .collect::<Vec<_>>()
    };
    let before = left();
    let serve = |arguments: &[&str]| run(&mut place.skep(&[&["serve"], arguments].concat()));
    let serve_anew = |arguments: &[&str]| {
        let mut command = place.skep(&[&["serve"], arguments].concat());
        run(command.env("SKEP_HOME", place.path("new")))
    };

    serve(&[&taken, "--dir", "models"]).exits(2).says("in use");
    serve_anew(&[&taken, "--dir", "models"]).exits(2);
    serve_anew(&[&taken, "--dir", "models", "--landlock", "false"]).exits(2);
    assert_eq!(left(), before);
    place.file("file", "x");
    let before = left();
    serve(&["127.0.0.1:0", "--dir", "file"]).exits(2);
    serve_anew(&["127.0.0.1:0", "--dir", "file"]).exits(2);
    serve_anew(&["127.0.0.1:0", "--dir", "file/below"]).exits(2);
    assert_eq!(left(), before);

    // Neither a renewed certificate nor a line of an address that nobody has.
    let served = Served::start_in(&place, &[]);
    served.stop().exits(0);
    let read = |name: &str| fs::read(place.home().join(name)).unwrap();
    let (certificate, addresses) = (read("server.crt"), read("addresses"));
    serve(&[&taken, "[::1]:0"]).exits(2);
    serve(&["127.0.0.2:0", "--write-addr", "no/such/folder"]).exits(2);
    assert_eq!(
        (read("server.crt"), read("addresses")),
        (certificate, addresses)
    );
}
