// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What `put` and `get` do where it is asked for: nothing if nothing changed, slowly, whole directories,
//! only under conditions; and the same as calls of the library.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::time::{Duration, Instant};

use skep::client::{Client, ClientOptions, Outcome, Proof, TransferEvent, TransferOptions};
use skep::{Digest, Method, ModelName, Password, Request, Response, Status};

use crate::support::process::{Outcome as Ended, Place, Process, digest, run};
use crate::support::raw::Running;
use crate::support::relay::Relay;
use crate::support::served::Served;
use crate::transfer::resume::{mebibytes, through};

const MEBIBYTE: u64 = 1 << 20;

#[test]
fn nothing_is_sent_where_the_bytes_are_there() {
    let server = Served::start(&["--plain"]);
    let bytes = mebibytes(3);
    server.place.file("m", &bytes);
    server.place.file("small", "x");
    let ask = |words: &[&str]| -> (Ended, u64, u64) {
        let relay = Relay::to(&server.url);
        let ended = through(&server, &relay, words).finish();
        let (up, down) = relay.passed();
        (ended, up, down)
    };
    let put = ["put", "m", "small", "--if-changed", "--json"];
    assert!(ask(&put).1 > 3 * MEBIBYTE);
    let (ended, up, _) = ask(&put);
    let models = ended.exits(0).json();
    assert_eq!(
        (
            &models["models"][0]["outcome"],
            &models["models"][1]["sent"]
        ),
        (&"unchanged".into(), &0.into())
    );
    assert!(up < 2000, "{up}");
    ask(&["put", "m", "--if-changed", "--exit-unchanged"])
        .0
        .exits(9);
    // Variables of switches are read as the settings are.
    for (value, outcome) in [("YES", "replaced"), ("False", "unchanged")] {
        let mut command = server.command(&["put", "small", "--json"]);
        let ended = run(command.env("SKEP_ALWAYS", value)).exits(0).json();
        assert_eq!(ended["models"][0]["outcome"], outcome, "{value}");
    }
    let get = ["get", "m", "-o", "copy", "--if-changed", "--exit-unchanged"];
    let (ended, _, down) = ask(&get);
    ended.exits(0);
    assert!(down > 3 * MEBIBYTE);
    let (ended, _, down) = ask(&get);
    ended.exits(9).says("up to date");
    assert!(down < 2000, "{down}");
    server.place.file("copy", "changed");
    ask(&get).0.exits(0);
    assert!(server.place.read("copy") == bytes);
    server.skep(&["put", "m", "--exit-unchanged"]).exits(9);

    // Licence and conditions are for the server, also where the bytes are the same.
    for (words, outcome) in [
        (&[][..], "unchanged"),
        (&["--license", "MIT"], "replaced"),
        (&["--always"], "replaced"),
        (&["--license", "MIT", "--if-changed"], "unchanged"),
    ] {
        let told = server.skep(&[&["put", "m", "--json"], words].concat());
        assert_eq!(told.exits(0).json()["models"][0]["outcome"], outcome);
    }
}

#[test]
fn a_rate_is_kept() {
    let server = Served::start(&["--plain"]);
    server.place.file("m", mebibytes(3));
    for words in [
        ["put", "m", "--limit-rate", "2MiB"],
        ["get", "m", "--limit-rate", "2MiB"],
    ] {
        let start = Instant::now();
        server.skep(&words).exits(0);
        assert!(
            start.elapsed() >= Duration::from_millis(1200),
            "{:?}",
            start.elapsed()
        );
    }
    server.skep(&["put", "m", "--limit-rate", "-1"]).exits(2);
}

#[test]
fn directories_and_conditions() {
    let server = Served::start(&[]);
    fs::create_dir_all(server.place.path("models/deep")).unwrap();
    for name in ["models/b", "models/a", "models/.hidden", "models/deep/c"] {
        server.place.file(name, name);
    }
    server
        .skep(&["put", "models"])
        .exits(0)
        .says("1 hidden file or folder left out");
    assert_eq!(server.names(), ["models"]);
    assert!(server.dir.join("models/deep/c").exists());
    // Small files go at once, large ones in parts; both keep the conditions.
    server.place.file("large", mebibytes(3));
    for name in ["models/a", "large"] {
        let name_of = ["--name", "new"];
        server
            .skep(&[&["put", name, "--create"], &name_of[..]].concat())
            .exits(0);
        server
            .skep(&[&["put", name, "--create"], &name_of[..]].concat())
            .exits(11);
        let wrong = digest(b"other");
        server
            .skep(&[&["put", name, "--if-match", &wrong], &name_of[..]].concat())
            .exits(11);
        let right = digest(&server.place.read(name));
        server
            .skep(&[&["put", name, "--if-match", &right], &name_of[..]].concat())
            .exits(0);
        server.skep(&["rm", "new"]).exits(0);
    }
    assert_eq!(server.parts(), 0);
}

#[test]
fn text_is_shown_as_the_seed_shows_code() {
    let server = Served::start(&[]);
    server.place.file("train.py", "a = 1  \r\n\tb\t\r\n");
    server.place.file("binary", b"\xff \r\n");
    server.skep(&["put", "train.py", "binary"]).exits(0);
    for words in [["cat", "NAME", "--text"], ["load", "NAME", "--mode=code"]] {
        let show = |name| server.skep(&words.map(|word| if word == "NAME" { name } else { word }));
        assert_eq!(show("train.py").exits(0).text(), "a = 1\n\tb\n");
        assert_eq!(show("binary").exits(0).stdout, b"\xff \r\n");
    }
}

#[test]
fn a_server_without_uploads_in_parts_gets_a_plain_put() {
    let handler = |request: &mut Request<'_>| match request.method() {
        Method::Put if request.fields().value("upload-complete").is_none() => {
            let body = request.body().read_all(8 << 20).unwrap();
            let digest = Digest::of(&body);
            let json = format!(
                r#"{{"name":"m","size":{},"modified":"2000-01-01T00:00:00Z","digest":"{digest:?}"}}"#,
                body.len()
            );
            Response::text(Status::CREATED, json).field("content-type", "application/json")
        }
        _ => Response::problem(Status::METHOD_NOT_ALLOWED, "only PUT"),
    };
    let server = Running::start(handler, |_| {});
    let place = Place::new();
    place.file("m", mebibytes(3));
    let url = format!("http://{}", server.address());
    run(place.skep(&["put", "m"]).env("SKEP_SERVER", url)).exits(0);
}

#[test]
fn a_library_call_can_run_beside_others() {
    let server = Served::start(&[]);
    let bytes = mebibytes(3);
    let path = server.place.file("m", &bytes);
    let client = || {
        let mut options = ClientOptions::new(server.url.parse().unwrap());
        options.home = Some(server.place.home());
        options.password = Some(Password::new(server.password()).unwrap());
        Client::new(options).unwrap()
    };
    let name: ModelName = "m".parse().unwrap();
    let options = TransferOptions::default();
    let (told, events) = std::sync::mpsc::channel();
    let tell = move |event: TransferEvent<'_>| {
        if let TransferEvent::Progress(done) = event {
            told.send(done).unwrap();
        }
    };
    let file = File::open(path).unwrap();
    let put = client()
        .spawn_put(name.clone(), file, options.clone(), tell)
        .unwrap();
    let stored = put.join().unwrap();
    assert_eq!(
        (stored.outcome, stored.digest),
        (Outcome::Created, Digest::of(&bytes))
    );
    assert_eq!(events.iter().last(), Some(bytes.len() as u64));
    let copy = server.place.path("copy");
    let get = client()
        .spawn_get(name, copy.clone(), options, |_| {})
        .unwrap();
    assert_eq!(get.join().unwrap().proof, Proof::Digest);
    assert!(fs::read(copy).unwrap() == bytes);
}

#[test]
fn a_file_that_hides_its_size_is_not_taken_for_an_empty_one() {
    let server = Served::start(&["--plain"]);
    let put = |arguments: &[&str]| server.skep(&[&["put"], arguments].concat());
    put(&["/proc/version", "--name", "m"])
        .exits(2)
        .says("skep put - --name NAME < FILE");
    assert!(server.names().is_empty());

    let empty = server.place.file("empty", b"");
    put(&[empty.to_str().unwrap()]).exits(0);
    server.stop().exits(0);
}

#[test]
fn one_lost_answer_over_plain_http_is_tried_again() {
    let server = Served::start(&["--plain"]);
    let bytes = mebibytes(3);
    server.place.file("m", &bytes);

    for words in [&["put", "m"][..], &["get", "m", "-o", "copy"]] {
        let relay = Relay::to(&server.url);
        relay.cut_each(1, 1);
        through(&server, &relay, words).finish().exits(0);
        assert_eq!(relay.cuts_left(), 0, "{words:?}");
    }

    assert!(server.place.read("copy") == bytes);
    server.stop().exits(0);
}

#[test]
fn two_files_of_one_name_are_refused_before_anything_is_sent() {
    let server = Served::start(&[]);
    for folder in ["p", "q"] {
        fs::create_dir(server.place.path(folder)).unwrap();
        for name in ["m.onnx", "only-here"] {
            server.place.file(&format!("{folder}/{name}"), folder);
        }
    }
    server.place.file("m.onnx.minisig", "x");
    server.skep(&["keygen", "-o", "team.key"]).exits(0);
    for words in [
        &["put", "p/m.onnx", "q/m.onnx"][..],
        &["put", "p/m.onnx", "./p/../p/m.onnx"],
        &["put", "--sign", "team.key", "p/m.onnx", "m.onnx.minisig"],
        &["post", "p/m.onnx", "q/m.onnx"],
    ] {
        server.skep(words).exits(2).says("would both become");
        assert!(server.names().is_empty(), "{words:?}");
    }
    server.skep(&["put", "p/m.onnx", "q/only-here"]).exits(0);
    for verb in ["get", "load"] {
        let twice = [verb, "m.onnx", "m.onnx"];
        server.skep(&twice).exits(2).says("named twice");
        let both = [verb, "m.onnx", "m.onnx", "-o", "-"];
        assert_eq!(server.skep(&both).exits(0).stdout, b"pp");
    }
    server.stop().exits(0);
}

#[test]
fn a_model_that_the_disk_has_no_room_for_is_not_fetched() {
    let place = Place::new();
    for at in ["m", "new/m"] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let words = ["get", "m", "--server", &url, "-o", at];
        let getting = Process::start(&mut place.skep(&words));
        let (mut socket, _) = listener.accept().unwrap();
        let _ = socket.read(&mut [0; 4096]).unwrap();
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: {}\r\n\
             ETag: \"sha256-{}\"\r\n\r\nx",
            1_u64 << 60,
            "0".repeat(64)
        );
        socket.write_all(head.as_bytes()).unwrap();
        getting.finish().exits(8).says("needed");
        assert_eq!(fs::read_dir(place.path("")).unwrap().count(), 0);
    }
}
