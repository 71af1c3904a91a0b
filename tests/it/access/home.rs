// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The files of the home: each one is in the manual's table, and when eight clients write at one time,
//! nothing that one of them learned is lost.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Barrier;
use std::thread;

use skep::{Request, Response, Server, ServerOptions, Status, TempServer, TlsOptions};

use crate::support::process::{Place, run, run_with};
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

/// Paths below `folder` with their modes, as the manual writes them.
fn files(folder: &Path, prefix: &str, found: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let metadata = entry.metadata().unwrap();
        let mut name = format!("{prefix}{}", entry.file_name().into_string().unwrap());
        if metadata.is_dir() {
            name.push('/');
            files(&entry.path(), &name, found);
        }
        let mode = metadata.permissions().mode() & 0o777;
        found.insert(name, format!("{mode:04o}"));
    }
}

#[test]
fn every_file_of_the_home_is_in_the_manual_with_its_mode() {
    let place = Place::new();
    let server = Served::start_in(&place, &[]);
    place.file("m", "a model");
    for words in [
        &["ca", "init"][..],
        &["ca", "issue", "phone"],
        &["keygen"],
        &["token", "new", "tablet"],
        &["ls", "--accept-new"],
    ] {
        server.skep(words).exits(0);
    }
    run_with(&mut server.command(&["passwd"]), b"correct horse battery\n").exits(0);
    let invite = server.skep(&["invite", "--json"]).exits(0).json();
    let invitation = invite["invitation"].as_str().unwrap();
    server.skep(&["pair", invitation]).exits(0);
    server.skep(&["put", "m"]).exits(0);
    server.stop().exits(0);

    let manual = skep::manual::find("files").unwrap().text;
    let section = manual.split_once("\n## The home\n").unwrap().1;
    let section = section.split("\n## ").next().unwrap();
    let rows: BTreeMap<_, _> = section
        .lines()
        .filter_map(|line| line.strip_prefix("| `"))
        .map(|line| {
            let (name, rest) = line.split_once("` | ").unwrap();
            (name, rest.split(" |").next().unwrap())
        })
        .collect();
    let mut found = BTreeMap::new();
    files(&place.home(), "", &mut found);
    assert!(found.len() >= 14, "{found:?}");
    for (name, mode) in &found {
        let row = match name.strip_suffix(".lock") {
            Some(_) => "NAME.lock",
            None => name.as_str(),
        };
        if !name.starts_with("uploads/") || name == "uploads/" {
            assert_eq!(rows.get(row), Some(&mode.as_str()), "{name}");
        }
    }
}

#[test]
fn a_bad_line_is_told_of_and_costs_nothing_else() {
    let server = Served::start(&[]);
    let device = Place::new();
    let skep = |place: &Place, arguments: &[&str]| {
        let mut command = server.command_of(place, arguments);
        run(command.env("SKEP_PASSWORD", server.password()))
    };
    skep(&device, &["ls", "--accept-new"]).exits(0);
    let file = device.home().join("known_servers");
    let good = fs::read_to_string(&file).unwrap();
    let authority = good.split(' ').next().unwrap();

    // One line of another server, one of this one.
    fs::write(&file, format!("pi:1 junk\n{authority} junk\n{good}")).unwrap();
    let said = skep(&device, &["ls"]).exits(0).stderr;
    let warning = format!("2 lines of {}", file.display());
    assert_eq!(said.matches(&warning).count(), 1, "{said}");

    // Without the good line, no key is accepted in its place, and a pin of this call goes before it.
    let damaged = format!("{authority} SHA256:beef\n");
    fs::write(&file, &damaged).unwrap();
    skep(&device, &["ls", "--accept-new"])
        .exits(2)
        .says("line 1 of")
        .says("nothing was sent");
    assert_eq!(fs::read_to_string(&file).unwrap(), damaged);
    let pin = server.fp.clone().unwrap();
    skep(&device, &["ls", "--pin", &pin]).exits(0);

    // The same for tokens.
    let token = server.skep(&["token", "new", "tablet"]).exits(0).text();
    let tokens = server.place.home().join("tokens");
    let text = fs::read_to_string(&tokens).unwrap();
    fs::write(&tokens, format!("pi read junk\n{text}")).unwrap();
    server
        .skep(&["token", "ls"])
        .exits(0)
        .says(&format!("line 1 of {}", tokens.display()));
    let mut command = server.command_of(&device, &["ls", "--pin", &pin]);
    run(command.env("SKEP_PASSWORD", token.trim_end())).exits(0);
    server
        .stop()
        .exits(0)
        .says(&format!("line 1 of {}", tokens.display()));
}

#[test]
fn no_end_of_a_token_is_too_far_away_to_be_listed() {
    let place = Place::new();
    let skep = |arguments: &[&str]| run(&mut place.skep(arguments));
    skep(&["token", "new", "a", "--expires", "99999999h"])
        .exits(2)
        .says("100 years");
    skep(&["token", "new", "b", "--expires", "36525d"]).exits(0);

    // Whatever the file has.
    let tokens = place.home().join("tokens");
    let text = fs::read_to_string(&tokens).unwrap();
    let line = text.lines().last().unwrap();
    let (start, _) = line.rsplit_once(' ').unwrap();
    let far = format!("{text}{} 999999999999\n", start.replacen('b', "c", 1));
    fs::write(&tokens, far).unwrap();
    let list = skep(&["token", "ls", "--json"]).exits(0).json();
    let expires = &list["tokens"][1]["expires"];
    assert_eq!(expires.as_str(), Some("9999-12-31T23:59:59Z"), "{list}");
}

/// What goes wrong in a home and in a model directory: what lies where a file or a folder was.
const WRONG: [(&str, &[u8]); 13] = [
    ("home/format", b"9\n"),
    ("home/format", b"?"),
    ("home/invitations", b""),
    ("home/invitations.lock", b""),
    ("home/tokens", b"\xff"),
    ("home/tokens.lock", b""),
    ("home/password", b""),
    ("work/dm_models/m", b""),
    ("work/dm_models/.skep", b"a file"),
    ("work/dm_models/.skep/parts", b"a file"),
    ("work/dm_models/.skep/uploads", b"a file"),
    ("work/dm_models/.skep/versions", b"a file"),
    ("work/dm_models", b"a file"),
];

#[test]
#[cfg_attr(not(has_curl), ignore = "curl is not installed")]
fn no_answer_names_a_path_of_the_device_whatever_goes_wrong_there() {
    let manual = skep::manual::find("http").unwrap().text;
    let routes: Vec<_> = manual
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once("` | "))
        .filter_map(|(route, _)| route.split_once(" /"))
        .collect();
    assert!(routes.len() >= 18, "{routes:?}");

    let mut failed = BTreeSet::new();
    for (name, bytes) in WRONG {
        let place = Place::new();
        let server = Served::start_in(&place, &["--keep-versions", "2"]);
        server
            .curl("/v1/models/m", &["-X", "PUT", "-d", "old"])
            .is(201);
        server
            .curl("/v1/models/m", &["-X", "PUT", "-d", "new"])
            .is(200);
        let incomplete = ["-X", "PUT", "-H", "upload-complete: ?0", "-d", "x"];
        let begun = server.curl("/v1/models/n", &incomplete).is(201);
        let id = begun.field("location").unwrap().rsplit('/').next().unwrap();
        let invited = server.skep(&["invite", "--json"]).exits(0).json();
        let secret = invited["invitation"].as_str().unwrap().rsplit('.').next();
        let pair = format!("{{\"secret\": \"{}\", \"name\": \"pi\"}}", secret.unwrap());
        let password = server.password();
        let field = format!("authorization: Bearer {password}");

        // The root of the place, by which a path of it is known wherever it stands.
        let root = place.home().parent().unwrap().to_owned();
        let path = root.join(name);
        let _ = fs::rename(&path, root.join("aside"));
        match bytes {
            b"" => fs::create_dir(&path).unwrap(),
            bytes => fs::write(&path, bytes).unwrap(),
        }

        for (method, target) in &routes {
            let target = format!("/{target}").replace("NAME", "m").replace("ID", id);
            let body = match target.as_str() {
                "/v1/pair" => pair.clone(),
                path if path.ends_with("_model") => format!(
                    r#"{{"password": "{password}", "filename": "m", "filenames": ["m"], "content_b64": "bmV3"}}"#
                ),
                _ => "bytes".to_owned(),
            };
            let partial = "content-type: application/partial-upload";
            let words = ["-X", method, "-H", &field, "--data-binary", "@-"];
            let more: &[&str] = match *method {
                "PATCH" => &[
                    "-H",
                    partial,
                    "-H",
                    "upload-offset: 1",
                    "-H",
                    "upload-complete: ?1",
                ],
                _ => &[],
            };
            let answer = server.curl_as(&target, &[&words, more].concat(), body.as_bytes());
            let said = answer.text();
            let shown = root.display().to_string();
            assert!(!said.contains(&shown), "{name}: {method} {target}: {said}");
            if answer.status >= 500 {
                failed.insert(target);
            }
        }
    }
    assert!(
        failed.contains("/v1/pair") && failed.len() > 5,
        "{failed:?}"
    );
}
