// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Things that somebody who may write to the model directory puts in the place of its files and
//! folders: links, FIFOs, sockets, devices. Nothing outside is read, written or removed, and the server
//! neither hangs nor ends.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, mknodat};

use crate::support::folders::tree;
use crate::support::pieces::{append, ask, field};
use crate::support::process::{Place, Process};
use crate::support::served::Served;
use crate::support::syscalls;

/// The name of an upload in pieces.
const ID: &str = "0123456789abcdef0123456789abcdef";

/// A field that says nothing.
const PLAIN: &str = "Accept: */*";

/// The model and every place below the hidden folder that a server opens, writes or removes.
const SPOTS: &[&str] = &[
    "m",
    ".skep",
    ".skep/lock",
    ".skep/index",
    ".skep/format",
    ".skep/about",
    ".skep/about/m",
    ".skep/versions",
    ".skep/versions/m",
    ".skep/versions/m/1.unknown",
    ".skep/revisions",
    ".skep/changes",
    ".skep/uploads",
    ".skep/uploads/0123456789abcdef0123456789abcdef",
    ".skep/parts",
    ".skep/parts/0123456789abcdef0123456789abcdef.bytes",
    ".skep/parts/upload-0000000000000001.part",
    ".skep/about/.0000000000000001.part",
];

#[derive(Clone, Copy, Debug)]
enum Thing {
    LinkToFolder,
    LinkToFile,
    LinkToNothing,
    Fifo,
    Socket,
    Device,
}

const THINGS: &[Thing] = &[
    Thing::LinkToFolder,
    Thing::LinkToFile,
    Thing::LinkToNothing,
    Thing::Fifo,
    Thing::Socket,
    Thing::Device,
];

/// What must stay as it is: files with the names that a server would write or remove.
struct Outside {
    folder: PathBuf,
    before: BTreeMap<PathBuf, Vec<u8>>,
}

impl Outside {
    fn new(place: &Place) -> Self {
        let folder = place.path("outside");
        let bytes = format!("{ID}.bytes");
        for (inner, names) in [
            (
                "",
                vec!["m", "1.unknown", "lock", "index", "format", "precious", ID],
            ),
            ("", vec![bytes.as_str(), "upload-0000000000000001.part"]),
            ("", vec![".0000000000000001.part"]),
            ("parts", vec!["upload-0000000000000001.part", &bytes]),
            ("uploads", vec![ID, ".0000000000000001.part"]),
            ("about", vec!["m", ".0000000000000001.part"]),
            ("versions/m", vec!["1.unknown", "precious"]),
        ] {
            fs::create_dir_all(folder.join(inner)).unwrap();
            for name in names {
                fs::write(folder.join(inner).join(name), "precious").unwrap();
            }
        }
        let before = tree(&folder);
        assert!(before.len() > 15);
        Self { folder, before }
    }

    #[track_caller]
    fn is_untouched(&self, case: &str) {
        assert_eq!(tree(&self.folder), self.before, "{case}");
        let target = self.folder.with_file_name("nothing");
        assert!(!target.exists(), "{case}: a link to nothing was followed");
    }

    /// Puts a thing into a place; says whether that can be done here.
    fn plant(&self, thing: Thing, spot: &Path) -> bool {
        fs::create_dir_all(spot.parent().unwrap()).unwrap();
        match thing {
            Thing::LinkToFolder => symlink(&self.folder, spot).unwrap(),
            Thing::LinkToFile => symlink(self.folder.join("precious"), spot).unwrap(),
            Thing::LinkToNothing => symlink(self.folder.with_file_name("nothing"), spot).unwrap(),
            Thing::Fifo => {
                mknodat(CWD, spot, FileType::Fifo, 0o600.into(), 0).unwrap();
            }
            // The path of a socket may have a hundred bytes only.
            Thing::Socket => {
                let short = tempfile::tempdir().unwrap();
                drop(UnixListener::bind(short.path().join("s")).unwrap());
                fs::rename(short.path().join("s"), spot).unwrap();
            }
            // The device /dev/zero, which only root can make.
            Thing::Device => {
                let zero = rustix::fs::makedev(1, 5);
                let made = mknodat(CWD, spot, FileType::CharacterDevice, 0o600.into(), zero);
                return made.is_ok();
            }
        }
        true
    }
}

/// Asks for everything that touches files; whatever is answered, it is answered.
fn ask_for_everything(server: &Served, case: &str) {
    let licence = "Skep-License: MIT";
    for (line, fields, body) in [
        ("PUT /v1/models/m", licence, &b"first"[..]),
        ("PUT /v1/models/m", licence, b"second"),
        ("GET /v1/models/m", PLAIN, b""),
        ("GET /v1/info/m", PLAIN, b""),
        ("GET /v1/versions/m", PLAIN, b""),
        ("POST /v1/verify/m", PLAIN, b""),
        ("POST /v1/rollback/m", PLAIN, b""),
        ("GET /v1/models", PLAIN, b""),
        ("DELETE /v1/versions/m", PLAIN, b""),
        ("DELETE /v1/models/m", PLAIN, b""),
    ] {
        let answer = ask(server, line, fields, body);
        assert!(answer.status >= 200, "{case}: {line}: {answer:?}");
        let text = String::from_utf8_lossy(&answer.content);
        assert!(!text.contains("precious"), "{case}: {line}: {text}");
    }

    let begun = ask(server, "PUT /v1/models/m", "Upload-Complete: ?0", b"");
    if let Some(path) = field(&begun, "location") {
        append(server, path, 0, "?0", b"some");
        append(server, path, 4, "?1", b"more");
        ask(server, &format!("DELETE {path}"), PLAIN, b"");
    }

    for path in [
        format!("GET /v1/uploads/{ID}"),
        format!("DELETE /v1/uploads/{ID}"),
    ] {
        ask(server, &path, PLAIN, b"");
    }
    assert_eq!(
        ask(server, "GET /healthz", PLAIN, b"").status,
        200,
        "{case}"
    );
}

fn arguments(number: usize) -> [&'static str; 5] {
    let kept = if number.is_multiple_of(2) { "0" } else { "2" };
    ["--plain", "--dir", "models", "--keep-versions", kept]
}

#[test]
fn what_is_there_before_the_start_harms_nothing_outside() {
    for (number, (spot, thing)) in all().enumerate() {
        let place = Place::new();
        let outside = Outside::new(&place);
        let case = format!("{thing:?} at {spot}");
        if !outside.plant(thing, &place.path("models").join(spot)) {
            continue;
        }

        let serve = ["serve", "127.0.0.1", "--port", "0"];
        let command = [&serve[..], &arguments(number)].concat();
        let process = Process::start(&mut place.skep(&command));
        match Served::try_ready(&place, process) {
            Ok(server) => {
                ask_for_everything(&server, &case);
                server.stop().exits(0);
            }
            Err(outcome) => {
                let said = &outcome.stderr;
                assert_eq!(outcome.code, 2, "{case}: {said}");
                assert!(said.contains("models/.skep"), "{case}: {said}");
                assert!(spot.starts_with(".skep"), "{case}: {said}");
            }
        }
        outside.is_untouched(&case);
    }
}

#[test]
fn what_comes_while_it_runs_harms_nothing_outside() {
    for kept in [0, 1] {
        let place = Place::new();
        let outside = Outside::new(&place);
        let server = Served::start_in(&place, &arguments(kept));
        ask(&server, "PUT /v1/models/other", PLAIN, b"stays");

        for (spot, thing) in all() {
            let case = format!("{thing:?} at {spot}");
            let path = server.dir.join(spot);
            let aside = server.dir.join("aside");
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            let was_there = fs::rename(&path, &aside).is_ok();

            if outside.plant(thing, &path) {
                ask_for_everything(&server, &case);
                outside.is_untouched(&case);
            }

            // What the server has put in its place is its own by now.
            let _ = fs::remove_file(&path);
            if was_there {
                let _ = fs::remove_dir_all(&path);
                fs::rename(&aside, &path).unwrap();
            }
            let answer = ask(&server, "GET /v1/models/other", PLAIN, b"");
            assert_eq!(answer.content, b"stays", "{case}");
        }

        let answer = ask(&server, "PUT /v1/models/other", PLAIN, b"and is replaced");
        assert_eq!(answer.status, 200, "{answer:?}");
        server.stop().exits(0);
        outside.is_untouched("the end");
    }
}

#[test]
#[cfg_attr(not(has_strace), ignore = "strace is not installed")]
fn no_request_names_a_path_outside_of_home_and_model_directory() {
    let place = Place::new();
    let serve = ["serve", "127.0.0.1", "--port", "0"];
    let command = [&serve[..], &arguments(1)].concat();
    let process = Process::start(&mut syscalls::with_paths(&place, &command));
    let server = Served::ready(&place, process);
    let directory = fs::canonicalize(&server.dir).unwrap();
    let home = fs::canonicalize(place.home()).unwrap();

    ask(&server, "PUT /v1/models/the-first", PLAIN, b"x");
    for case in ["new", "again"] {
        ask_for_everything(&server, case);
    }
    ask(&server, "GET /v1/models/no%2Fname", PLAIN, b"");
    ask(&server, "GET /v1/models/..%2F..%2Fetc%2Fpasswd", PLAIN, b"");
    ask(
        &server,
        "POST /v1/pair",
        "Content-Type: application/json",
        b"{}",
    );
    ask(&server, "POST /load_model", PLAIN, b"{}");
    ask(&server, "PUT /v1/models/the-last", PLAIN, b"x");
    server.stop().exits(0);

    let paths = syscalls::paths(&place, "the-first", "the-last");
    assert!(paths.len() > 50, "{paths:?}");
    for (path, call) in paths {
        let is_inside = path.starts_with(&directory) || path.starts_with(&home);
        let leads_out = path.components().any(|part| part.as_os_str() == "..");
        assert!(is_inside && !leads_out, "{call}");
    }
}

fn all() -> impl Iterator<Item = (&'static str, Thing)> {
    SPOTS
        .iter()
        .flat_map(|spot| THINGS.iter().map(|thing| (*spot, *thing)))
}

#[test]
#[cfg_attr(not(has_curl), ignore = "curl is not installed")]
fn what_is_strange_is_told_with_its_path_and_stays() {
    let place = Place::new();
    let outside = Outside::new(&place);
    let models = place.path("dm_models");
    let inner = |way: &str| format!(".skep/changes/{ID}/{way}");
    let strange = [
        (".skep/versions/m".to_owned(), Thing::LinkToFolder),
        (".skep/versions/.skep/d".to_owned(), Thing::Fifo),
        (".skep/revisions/me".to_owned(), Thing::LinkToFile),
        (".skep/about/.skep/d".to_owned(), Thing::LinkToFolder),
        (inner("1"), Thing::Fifo),
        (
            ".skep/changes/fedcba9876543210fedcba9876543210".to_owned(),
            Thing::LinkToFolder,
        ),
        (
            ".skep/xet/fedcba9876543210fedcba9876543210".to_owned(),
            Thing::LinkToFolder,
        ),
    ];
    for (spot, thing) in &strange {
        assert!(outside.plant(*thing, &models.join(spot)));
    }
    fs::create_dir_all(models.join(".skep/changes/odd")).unwrap();
    fs::write(models.join(".skep/changes/odd/x"), "x").unwrap();
    fs::create_dir_all(models.join(".skep/xet/odd")).unwrap();
    // What is as it should be is not told of.
    fs::create_dir_all(models.join(".skep/revisions/.skep/me/d")).unwrap();
    fs::create_dir_all(models.join(".skep/versions/.skep/me/.skep/d/n")).unwrap();
    fs::create_dir_all(models.join("me/d")).unwrap();
    fs::write(models.join("me/d/n"), "n").unwrap();

    let server = Served::start_in(&place, &["--plain"]);
    server.curl("/v1/info/me/d/", &[]).is(200);

    // What comes later is told to whoever asks.
    let revisions = models.join(".skep/revisions");
    fs::rename(&revisions, models.join(".skep/before")).unwrap();
    symlink(&outside.folder, &revisions).unwrap();
    let refused = server.curl("/v1/info/me/d/", &[]).is(500).json();
    let text = refused["detail"].as_str().unwrap();
    assert!(text.contains("'revisions' is not a folder"), "{text}");
    assert!(refused["hint"].as_str().unwrap().contains("move it"));
    fs::remove_file(&revisions).unwrap();
    server.curl("/v1/info/me/d/", &[]).is(200);

    let said = server.stop().exits(0).stderr;
    let told = |path: &str| said.lines().any(|line| line.contains(path));
    for (spot, _) in &strange {
        assert!(told(&format!("/{spot}' is not of this server")), "{said}");
    }
    assert!(told(".skep/changes/odd' is not of this server"), "{said}");
    assert!(told(".skep/xet/odd' is not of this server"), "{said}");
    assert_eq!(said.matches("is not of this server").count(), 9, "{said}");
    assert!(models.join(".skep/changes/odd/x").exists());
    outside.is_untouched("strange");
}
