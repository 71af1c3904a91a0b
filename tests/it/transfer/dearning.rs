// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The genuine dearning package of both generations notices nothing: its clients at our server, and
//! our client at its servers. `scripts/setup` fetches the package.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::support::process::{Place, Process, digest, noise, run, run_with};
use crate::support::served::Served;

/// The older form of the protocol (1.2.3.post2) and the newest (1.2.6).
const OLD: &str = "1.2.3.post2";
const NEW: &str = "1.2.6";

/// A generation of the genuine package.
struct Genuine {
    service: PathBuf,
    place: Place,
}

impl Genuine {
    fn find(version: &str) -> Self {
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
        let folder = target.join("interop").join(version);
        Self {
            service: folder.join("dearning/service.py"),
            place: Place::new(),
        }
    }

    fn command(&self) -> Command {
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/dearning");
        let mut command = self.place.command("python3");
        command.arg(fixtures.join("driver.py")).arg(&self.service);
        command
    }

    /// Calls a function of its client.
    fn call(&self, server: &Served, function: &str, more: Value) -> Value {
        let mut arguments = json!({
            "host": "127.0.0.1",
            "port": server.url.rsplit(':').next().unwrap().parse::<u16>().unwrap(),
            "password": server.password(),
            "sslc": server.fp.is_some(),
        });
        for (key, value) in more.as_object().unwrap() {
            arguments[key] = value.clone();
        }
        let request = json!({ "function": function, "arguments": arguments });
        run_with(self.command().arg("call"), request.to_string().as_bytes())
            .exits(0)
            .json()
    }

    /// Starts its server, whose password is `genuine`.
    fn serve(&self, scheme: &str) -> (Process, String) {
        let mut command = self.command();
        command
            .env("DEARNING_PASSWORD", "genuine")
            .env("DEARNING_MODEL_DIR", "models");
        let is_tls = scheme == "https";
        let process = Process::start(command.args(["serve", if is_tls { "tls" } else { "plain" }]));
        match process.line() {
            Some(line) => {
                let port = line.strip_prefix("ready ").unwrap().to_owned();
                (process, format!("{scheme}://127.0.0.1:{port}"))
            }
            None => panic!("it did not start: {}", process.finish().stderr),
        }
    }
}

/// Contents that are hard on caches, encodings and line ends.
fn contents() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        (
            "text.py",
            b"def f():  \r\n\treturn '\xc3\xb6'  \r\n".to_vec(),
        ),
        ("binary.dm", [&b"\xff\xfe\0"[..], &noise(1, 5000)].concat()),
        ("m\u{f6}del \u{1f41d}.dm", noise(2, 10)),
        ("large.dm", noise(3, 3 << 20)),
    ]
}

#[test]
#[cfg_attr(
    not(has_dearning),
    ignore = "the dearning package is not there: run scripts/setup"
)]
#[cfg_attr(not(has_python3), ignore = "python3 is not installed")]
fn the_older_client_posts_and_loads() {
    let genuine = Genuine::find(OLD);
    for flags in [&[][..], &["--plain"]] {
        let server = Served::start(flags);
        for (name, bytes) in contents() {
            let file = genuine.place.file(name, &bytes);
            let posted = genuine.call(&server, "post", json!({ "model_path": file }));
            let whole = digest(&bytes);
            let expected =
                json!({"status": "imported", "model": name, "size": bytes.len(), "digest": whole});
            assert_eq!(posted, json!({ "returned": expected }));
            assert!(fs::read(server.dir.join(name)).unwrap() == bytes, "{name}");
            let save = genuine.place.path("saved");
            let more = json!({"filename": name, "mode": "file", "save_path": save});
            assert_eq!(
                genuine.call(&server, "load", more),
                json!({ "returned": save })
            );
            assert!(genuine.place.read("saved") == bytes, "{name}");
        }
        let code = genuine.call(&server, "load", json!({"filename": "text.py"}));
        assert_eq!(code, json!({ "returned": "def f():\n\treturn '\u{f6}'\n" }));
        let binary = genuine.call(&server, "load", json!({"filename": "binary.dm"}));
        assert_eq!(
            binary,
            json!({ "bytes": STANDARD.encode(&contents()[1].1) })
        );
    }
}

#[test]
#[cfg_attr(
    not(has_dearning),
    ignore = "the dearning package is not there: run scripts/setup"
)]
#[cfg_attr(not(has_python3), ignore = "python3 is not installed")]
fn the_newest_client_posts_and_loads() {
    let genuine = Genuine::find(NEW);
    for flags in [&[][..], &["--plain"]] {
        let server = Served::start(flags);
        fs::create_dir(genuine.place.path("saved")).unwrap_or_default();
        let mut files = Vec::new();
        for (name, bytes) in contents() {
            files.push(genuine.place.file(name, &bytes));
            let posted = genuine.call(&server, "post", json!({ "model_path": files.last() }));
            assert_eq!(
                posted,
                json!({ "returned": {"status": "imported", "files": [name], "digests": [digest(&bytes)]} })
            );
            assert!(fs::read(server.dir.join(name)).unwrap() == bytes, "{name}");
        }
        let names: Vec<_> = contents().iter().map(|(name, _)| *name).collect();
        let digests: Vec<_> = contents().iter().map(|(_, bytes)| digest(bytes)).collect();
        let posted = genuine.call(&server, "post", json!({ "model_path": files }));
        assert_eq!(
            posted,
            json!({ "returned": {"status": "imported", "files": names, "digests": digests} })
        );
        let more = json!({"filename": names, "mode": "file", "save_path": "saved"});
        genuine.call(&server, "load", more);
        for (name, bytes) in contents() {
            assert!(
                genuine.place.read(&format!("saved/{name}")) == bytes,
                "{name}"
            );
        }
        let code = genuine.call(&server, "load", json!({"filename": "text.py"}));
        let shown = "=== text.py ===\ndef f():  \n\treturn '\u{f6}'";
        assert_eq!(code, json!({ "returned": shown }));
        let more = json!({"filename": ["nowhere", "text.py"]});
        assert_eq!(
            genuine.call(&server, "load", more),
            json!({ "returned": shown })
        );
    }
}

#[test]
#[cfg_attr(
    not(has_dearning),
    ignore = "the dearning package is not there: run scripts/setup"
)]
#[cfg_attr(not(has_python3), ignore = "python3 is not installed")]
fn both_clients_understand_refusals() {
    for version in [OLD, NEW] {
        let genuine = Genuine::find(version);
        for flags in [&[][..], &["--plain"]] {
            let server = Served::start(flags);
            let file = genuine.place.file("m.dm", noise(1, 3 << 20));
            let wrong = json!({"model_path": file, "password": "wrong"});
            let refused = json!({ "returned": {"error": "invalid password"} });
            // The refusal is read although three mebibytes are still under way.
            assert_eq!(genuine.call(&server, "post", wrong), refused, "{version}");
            let wrong = json!({"filename": "m.dm", "password": "wrong"});
            assert_eq!(genuine.call(&server, "load", wrong), refused, "{version}");
            let missing = genuine.call(&server, "load", json!({"filename": "nowhere.dm"}));
            let empty = genuine.place.file("empty.dm", "");
            let posted = genuine.call(&server, "post", json!({ "model_path": empty }));
            if version == OLD {
                assert_eq!(missing, json!({ "returned": {"error": "not found"} }));
                let error = json!({"error": "missing filename or content"});
                assert_eq!(posted, json!({ "returned": error }));
            } else {
                assert_eq!(missing["raised"], "FileNotFoundError");
                assert_eq!(
                    posted,
                    json!({ "returned": {"status": "imported", "files": [], "digests": []} })
                );
            }
            assert!(server.names().is_empty());
            assert_eq!(server.parts(), 0);
        }
    }
}

#[test]
#[cfg_attr(
    not(has_dearning),
    ignore = "the dearning package is not there: run scripts/setup"
)]
#[cfg_attr(not(has_python3), ignore = "python3 is not installed")]
fn number_passwords_are_numbers_for_the_genuine_client() {
    for version in [OLD, NEW] {
        let genuine = Genuine::find(version);
        let place = Place::new();
        place.secret("password", "4321\n");
        let server = Served::start_in(&place, &["--plain"]);
        let file = genuine.place.file("m.dm", "x");
        for password in [json!(4321), json!("4321")] {
            let more = json!({"model_path": file, "password": password});
            let posted = genuine.call(&server, "post", more);
            assert_eq!(posted["returned"]["status"], "imported", "{version}");
        }
    }
}

#[test]
#[cfg_attr(not(has_openssl), ignore = "openssl is not installed")]
#[cfg_attr(
    not(has_dearning),
    ignore = "the dearning package is not there: run scripts/setup"
)]
#[cfg_attr(not(has_python3), ignore = "python3 is not installed")]
fn our_client_talks_to_the_genuine_servers() {
    for (version, scheme) in [(OLD, "http"), (OLD, "https"), (NEW, "http")] {
        let genuine = Genuine::find(version);
        let (_server, url) = genuine.serve(scheme);
        let place = Place::new();
        let call = |arguments: &[&str]| {
            // This API has the password in its requests.
            let plain: &[_] = if scheme == "http" {
                &["--send-password"]
            } else {
                &[]
            };
            let mut command = place.skep(&[arguments, plain, &["--server", &url]].concat());
            run(command.env("SKEP_PASSWORD", "genuine"))
        };
        if scheme == "https" {
            place.file("m", "x");
            call(&["post", "m"]).exits(7).says("--accept-new");
            call(&["post", "m", "--accept-new"]).exits(0);
        }
        for (name, bytes) in contents() {
            place.file(name, &bytes);
            call(&["post", name]).exits(0);
            assert!(
                genuine.place.read(&format!("models/{name}")) == bytes,
                "{version} {name}"
            );
            call(&["load", name, "-o", "copy"]).exits(0);
            assert!(place.read("copy") == bytes, "{version} {name}");
        }
        let code = call(&["load", "text.py", "--mode", "code"]).exits(0).text();
        assert!(code.contains("\treturn '\u{f6}'\n"), "{code}");
        call(&["load", "nowhere.dm"]).exits(4);
        assert!(!place.path("nowhere.dm").exists());
        let mut wrong = place.skep(&["load", "text.py", "--send-password", "--server", &url]);
        run(wrong.env("SKEP_PASSWORD", "wrong")).exits(7);
        if scheme == "http" {
            let made = "abcdefghjkmnpqrstuvw";
            let mut unsent = place.skep(&["load", "text.py", "--server", &url]);
            run(unsent.env("SKEP_PASSWORD", made))
                .exits(7)
                .says("unencrypted");
        }
    }
}

#[test]
fn our_client_talks_to_our_server() {
    for flags in [&[][..], &["--plain"]] {
        let server = Served::start(flags);
        for (name, bytes) in contents() {
            server.place.file(name, &bytes);
            server.skep(&["post", name, "--send-password"]).exits(0);
            assert!(fs::read(server.dir.join(name)).unwrap() == bytes, "{name}");
            server
                .skep(&["load", name, "--send-password", "-o", "copy"])
                .exits(0);
            assert!(server.place.read("copy") == bytes, "{name}");
            let out = server
                .skep(&["load", name, "--send-password", "-o", "-"])
                .exits(0)
                .stdout;
            assert!(out == bytes, "{name}");
        }
        server
            .skep(&["load", "--send-password", "nowhere"])
            .exits(4);
    }
}
