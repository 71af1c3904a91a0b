// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What `skep show` tells of the headers of models, which it reads by ranges: of files that genuine packages
//! made, and of files that are cut.

use std::path::Path;

use serde_json::Value;

use crate::support::process::run;
use crate::support::served::Served;

#[test]
#[cfg_attr(not(has_formats), ignore = "scripts/setup was not run")]
fn headers_of_genuine_files_are_told() {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/formats");
    let server = Served::start(&["--plain"]);
    let place = &server.place;
    let mut command = place.command("python3");
    command.env("PYTHONPATH", target.join("interop/formats"));
    let made = run(command.arg(fixtures.join("headers.py")))
        .exits(0)
        .json();
    let header = |name: &str| {
        server.skep(&["put", name]).exits(0);
        let told = server.skep(&["show", name, "--json"]).exits(0).json();
        told["models"][0]["header"].clone()
    };

    for (name, wanted) in made.as_object().unwrap() {
        let told = header(name);
        assert_eq!(told["flaw"], Value::Null, "{name}: {told}");
        for (member, value) in wanted.as_object().unwrap() {
            assert_eq!(told[member], *value, "{member} of {name}");
        }
        assert!(told["first"].as_array().unwrap().len() <= 200);

        // What is cut is told as such, as far as it goes.
        let whole = place.read(name);
        for length in [9, whole.len() / 2, whole.len() - 1] {
            place.file(name, &whole[..length]);
            let told = header(name);
            assert!(told["flaw"].is_string(), "{name} at {length}: {told}");
        }
    }

    let text = server.skep(&["show", "m.gguf"]).exits(0).text();
    assert!(
        text.contains("format    GGUF 3, llama, Q8_0, Tiny"),
        "{text}"
    );
    assert!(text.contains("flaw      it ends"), "{text}");
}

#[test]
fn what_has_no_header_is_shown_as_before() {
    let server = Served::start(&["--plain"]);
    for (name, bytes) in [
        ("m", &b"GGUF"[..]),
        ("m.bin", b""),
        ("n.bin", b"\0\x01\x02"),
    ] {
        server.place.file(name, bytes);
        server.skep(&["put", name]).exits(0);
        let told = server.skep(&["show", name, "--json"]).exits(0).json();
        assert_eq!(told["models"][0]["header"], Value::Null, "{name}");
    }
}
