// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Signatures: what skep signs minisign accepts and the other way round, they travel with the model,
//! and a server that wants them publishes nothing without.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::support::process::{Outcome, Place, noise, run};
use crate::support::raw::Raw;
use crate::support::served::Served;

/// Makes a key in the working directory: `NAME.key` and `NAME.pub`; returns the public one.
fn keygen(place: &Place, name: &str) -> String {
    let made = run(&mut place.skep(&["keygen", "-o", &format!("{name}.key")])).exits(0);
    made.text().trim_end().to_owned()
}

fn minisign(place: &Place, words: &[&str]) -> Outcome {
    let mut command = place.command("minisign");
    run(command.args(words))
}

#[test]
fn a_key_is_made_once_and_kept_to_oneself() {
    let place = Place::new();
    let public = keygen(&place, "k");
    assert!(public.starts_with("RW") && public.len() == 56, "{public}");
    assert!(
        String::from_utf8(place.read("k.pub"))
            .unwrap()
            .contains(&public)
    );
    let mode = place.path("k.key").metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    run(&mut place.skep(&["keygen", "-o", "k.key"]))
        .exits(11)
        .says("k.key exists already");
    run(&mut place.skep(&["keygen", "-o", "other.pub"])).exits(2);
    // Without a name it goes to the home, where 'skep sign' finds it.
    place.file("m", "bytes");
    run(&mut place.skep(&["sign", "m"]))
        .exits(2)
        .says("skep keygen");
    let made = run(&mut place.skep(&["keygen", "--json"])).exits(0).json();
    run(&mut place.skep(&["sign", "m"])).exits(0);
    let key = made["public_key"].as_str().unwrap();
    run(&mut place.skep(&["verify", "--key", key, "m"]))
        .exits(0)
        .says("file:m");
    // A secret key is not taken for a public one, nor shown.
    let outcome = run(&mut place.skep(&["verify", "--key", "k.key", "m"])).exits(2);
    outcome.says("secret key");
}

#[test]
#[cfg_attr(not(has_minisign), ignore = "minisign is not installed")]
fn what_skep_signs_minisign_accepts() {
    let place = Place::new();
    let public = keygen(&place, "k");
    for (name, bytes) in [("empty", vec![]), ("m.onnx", noise(1, 300_000))] {
        place.file(name, &bytes);
        run(&mut place.skep(&["sign", "--key", "k.key", name])).exits(0);
        let seen = minisign(&place, &["-V", "-H", "-P", &public, "-m", name]).exits(0);
        assert!(
            seen.text().contains(&format!("file:{name}\thashed")),
            "{}",
            seen.text()
        );
        minisign(&place, &["-V", "-p", "k.pub", "-m", name]).exits(0);
        place.file(name, [&bytes[..], b"x"].concat());
        minisign(&place, &["-V", "-p", "k.pub", "-m", name]).exits(1);
        // It signs with our secret key, too.
        minisign(&place, &["-S", "-s", "k.key", "-m", name]).exits(0);
        run(&mut place.skep(&["verify", "--key", "k.pub", name])).exits(0);
    }
}

#[test]
#[cfg_attr(not(has_minisign), ignore = "minisign is not installed")]
fn what_minisign_signs_skep_accepts_and_nothing_else() {
    let place = Place::new();
    minisign(&place, &["-G", "-W", "-p", "k.pub", "-s", "k.key"]).exits(0);
    let other = keygen(&place, "other");
    let bytes = noise(2, 200_000);
    for mode in ["-S", "-Sl"] {
        place.file("m", &bytes);
        minisign(&place, &[mode, "-s", "k.key", "-m", "m"]).exits(0);
        let verify = |key: &str| run(&mut place.skep(&["verify", "--key", key, "m"]));
        let seen = verify("k.pub").exits(0).says("timestamp:");
        assert!(seen.text().starts_with("m  signed by "), "{}", seen.text());
        verify(&other).exits(6).says("instead of");
        let signature = String::from_utf8(place.read("m.minisig")).unwrap();
        place.file("m.minisig", signature.replace("file:m", "file:n"));
        verify("k.pub").exits(6).says("trusted comment");
        for length in [0, 60, 120, signature.len() - 40] {
            place.file("m.minisig", &signature[..length]);
            verify("k.pub")
                .exits(6)
                .says("m.minisig: the signature cannot be read");
        }
        place.file("m.minisig", &signature);
        place.file("m", [&bytes[1..], b"x"].concat());
        verify("k.pub").exits(6).says("is not what the key");
        fs::remove_file(place.path("m.minisig")).unwrap();
        verify("k.pub").exits(6).says("m is not signed");
    }
    run(&mut place.skep(&["verify", "--key", "k.pub", "nowhere"])).exits(4);
    // Our own signature with the key that minisign made is the same thing.
    run(&mut place.skep(&["sign", "--key", "k.key", "m"])).exits(0);
    minisign(&place, &["-V", "-p", "k.pub", "-m", "m"]).exits(0);
}

#[test]
fn a_signature_is_sent_where_the_bytes_are_there_without_it() {
    let server = Served::start(&[]);
    keygen(&server.place, "k");
    keygen(&server.place, "other");
    server.place.file("m", "a model");
    server.skep(&["put", "m"]).exits(0);
    let put = |key: &str| {
        let flags = ["--if-changed", "--exit-unchanged"];
        server.skep(&[&["put", "m", "--sign", key], &flags[..]].concat())
    };
    for key in ["k", "other"] {
        let sent = put(&format!("{key}.key")).exits(0).text();
        assert!(sent.contains("m.minisig"), "{sent}");
        let public = format!("{key}.pub");
        server
            .skep(&["get", "m", "-o", "got", "--verify-key", &public])
            .exits(0);
        put(&format!("{key}.key")).exits(9);
    }
    // Whatever has the name of a signature and is none, is replaced.
    server.place.file("junk", "junk");
    server
        .skep(&["put", "junk", "--name", "m.minisig"])
        .exits(0);
    put("k.key").exits(0);
    put("k.key").exits(9);
}

#[test]
fn a_signature_travels_with_the_model() {
    let server = Served::start(&[]);
    let public = keygen(&server.place, "k");
    let other = keygen(&server.place, "other");
    let bytes = noise(3, 100_000);
    server.place.file("m", &bytes);
    server.skep(&["put", "--sign", "k.key", "m"]).exits(0);
    server
        .skep(&["put", "--sign", "k.key", "m", "--name", "n"])
        .exits(0);
    assert_eq!(server.names(), ["m", "m.minisig", "n", "n.minisig"]);
    for key in [public.as_str(), "k.pub"] {
        server
            .skep(&["get", "m", "n", "-o", "got/", "--verify-key", key])
            .exits(0)
            .says("file:n");
        assert_eq!(
            (server.place.read("got/m"), server.place.read("got/n")),
            (bytes.clone(), bytes.clone())
        );
        fs::remove_dir_all(server.place.path("got")).unwrap();
    }
    let refused = |words: &str, key: &str| {
        server
            .skep(&["get", "m", "-o", "copy", "--verify-key", key])
            .exits(6)
            .says(words);
        let left = fs::read_dir(server.place.path("")).unwrap();
        let left = left.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        assert_eq!(
            left.filter(|name| name == "copy" || name.ends_with(".part"))
                .count(),
            0
        );
    };
    refused("instead of", &other);
    // Standard output cannot be taken back.
    server
        .skep(&["get", "m", "-o", "-", "--verify-key", "k.pub"])
        .exits(2);
    // Its signature goes with the bytes, unless somebody stores the old one again.
    let old = server.skep(&["cat", "m.minisig"]).exits(0).stdout;
    server.place.file("m", "other bytes");
    server.skep(&["put", "m"]).exits(0);
    assert_eq!(server.names(), ["m", "n", "n.minisig"]);
    refused("'m' is not signed", &public);
    server.place.file("m.minisig", old);
    server.skep(&["put", "m.minisig"]).exits(0);
    refused("'m' is not what the key", &public);
    // Nor does it vouch for the same bytes that were fetched before without a key.
    server.skep(&["get", "m", "-o", "there"]).exits(0);
    let again = ["get", "m", "-o", "there", "--if-changed"];
    server.skep(&again).exits(0);
    server
        .skep(&[&again[..], &["--verify-key", &public]].concat())
        .exits(6)
        .says("is not what the key");
    assert_eq!(server.place.read("there"), b"other bytes");
    server.place.file("old", "old");
    server
        .skep(&["get", "m", "-o", "old", "--verify-key", "k.pub"])
        .exits(6);
    assert_eq!(server.place.read("old"), b"old");
    server.skep(&["rm", "m.minisig"]).exits(0);
    refused("'m' is not signed: the server has no 'm.minisig'", &public);
    server.skep(&["rm", "n"]).exits(0);
    assert_eq!(server.names(), ["m"]);
    server
        .skep(&["put", "-", "--name", "x", "--sign", "k.key"])
        .exits(2)
        .says("only once");
    assert!(!server.names().contains(&"x".to_owned()));
}

#[test]
fn an_upload_in_pieces_needs_its_signature_as_well() {
    let place = Place::new();
    let public = keygen(&place, "k");
    let server = Served::start_in(&place, &["--require-signature", &public]);
    let (large, other) = (noise(5, 3_000_000), noise(6, 3_000_000));
    place.file("m", &large);
    server
        .skep(&["put", "m"])
        .exits(6)
        .says("accepts signed models only");
    server.skep(&["put", "--sign", "k.key", "m"]).exits(0);
    assert_eq!(server.skep(&["cat", "m"]).exits(0).stdout, large);
    server
        .skep(&["get", "m", "-o", "copy", "--verify-key", &public])
        .exits(0);
    // Its signature is there, and is that of other bytes.
    place.file("m", &other);
    server
        .skep(&["put", "m"])
        .exits(6)
        .says("'m' is not what the key");
    assert_eq!(server.skep(&["cat", "m"]).exits(0).stdout, large);
    assert_eq!(server.parts(), 0);
    server.stop().exits(0);
}

#[test]
fn a_server_that_wants_signatures_publishes_nothing_without() {
    let place = Place::new();
    let (public, other) = (keygen(&place, "k"), keygen(&place, "other"));
    let _stranger = keygen(&place, "stranger");
    fs::rename(place.path("other.pub"), place.home().join("other.pub")).unwrap();
    let file = place.home().join("other.pub");
    let keys = format!("{public},{}", file.display());
    let server = Served::start_in(&place, &["--require-signature", &keys]);
    let old = noise(4, 100_000);
    place.file("m", &old);
    server
        .skep(&["put", "m"])
        .exits(6)
        .says("accepts signed models only");
    assert!(server.names().is_empty());
    server
        .skep(&["put", "--sign", "stranger.key", "m"])
        .exits(6)
        .says(&format!("or {}", id(&other)));
    server.skep(&["put", "--sign", "k.key", "m"]).exits(0);
    server
        .skep(&["get", "m", "-o", "copy", "--verify-key", &public])
        .exits(0);
    // The signature that is stored is that of the old bytes.
    place.file("m", "new bytes");
    server
        .skep(&["put", "m"])
        .exits(6)
        .says("'m' is not what the key");
    assert_eq!(server.skep(&["cat", "m"]).exits(0).stdout, old);
    assert_eq!(server.parts(), 0);
    // With the new one stored first, any client can do it, that of dearning as well.
    run(&mut place.skep(&["sign", "--key", "other.key", "m"])).exits(0);
    server.skep(&["put", "m.minisig"]).exits(0);
    server.skep(&["post", "m"]).exits(0);
    assert_eq!(server.skep(&["cat", "m"]).exits(0).stdout, b"new bytes");
    place.file("m", "newer bytes");
    let refused = server.skep(&["post", "m"]);
    assert_ne!(refused.code, 0);
    assert_eq!(server.skep(&["cat", "m"]).exits(0).stdout, b"new bytes");
    // Nothing else hides under the name of a signature.
    place.file("x.minisig", "payload");
    server.skep(&["put", "x.minisig"]).exits(6);
    let signature = String::from_utf8(place.read("m.minisig")).unwrap();
    place.file("x.minisig", signature.replace("file:m", "file:x"));
    server
        .skep(&["put", "x.minisig"])
        .exits(6)
        .says("trusted comment");
    assert_eq!(server.names(), ["m", "m.minisig"]);
    server.stop().exits(0);
}

/// The id of a public key as minisign prints it.
fn id(public: &str) -> String {
    let bytes = STANDARD.decode(public).unwrap();
    bytes[2..10]
        .iter()
        .rev()
        .map(|byte| format!("{byte:02X}"))
        .collect()
}

#[test]
#[cfg_attr(not(has_curl), ignore = "curl is not installed")]
fn a_signature_comes_in_a_field_of_the_upload() {
    let place = Place::new();
    let public = keygen(&place, "k");
    let server = Served::start_in(&place, &["--require-signature", &public]);
    place.file("m", "bytes");
    run(&mut place.skep(&["sign", "--key", "k.key", "m"])).exits(0);
    let field = |bytes: &[u8]| format!("skep-signature: {}", STANDARD.encode(bytes));
    let put = |bytes: &str, field: &str| {
        server.curl(
            "/v1/models/m",
            &["-X", "PUT", "--data-binary", bytes, "-H", field],
        )
    };
    let signature = place.read("m.minisig");
    let right = field(&signature);
    assert_eq!(put("other", &right).is(422).json()["code"], "integrity");
    put("bytes", "skep-signature: ?").is(422);
    put("bytes", &field(&signature[..100])).is(422);
    put("bytes", "x: y").is(422);
    assert!(server.names().is_empty());
    put("bytes", &right).is(201);
    put("other", &right).is(422);
    assert_eq!(server.curl("/v1/models/m", &[]).is(200).text(), "bytes");
    if cfg!(has_minisign) {
        minisign(&place, &["-Sl", "-s", "k.key", "-m", "m"]).exits(0);
        let refused = put("bytes", &field(&place.read("m.minisig")))
            .is(422)
            .text();
        assert!(refused.contains("legacy"), "{refused}");
    }
    server.stop().exits(0);
}

#[test]
fn an_upload_without_a_signature_is_refused_before_it_is_sent() {
    let place = Place::new();
    let public = keygen(&place, "k");
    let server = Served::start_in(&place, &["--plain", "--require-signature", &public]);
    let mut raw = Raw::open(&server.url["http://".len()..]);
    let password = server.password();
    raw.send(format!(
        "PUT /v1/models/m HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {password}\r\n\
         Content-Length: 1000000000\r\nExpect: 100-continue\r\n\r\n"
    ));
    assert_eq!(raw.answer().status, 422);
}

#[test]
fn a_key_that_is_none_ends_the_start() {
    let place = Place::new();
    let words = ["serve", "--port", "0", "--require-signature", "nowhere.pub"];
    run(&mut place.skep(&words))
        .exits(2)
        .says("nowhere.pub")
        .says("require-signature");
}

#[test]
fn a_signature_of_another_file_vouches_for_nothing() {
    let place = Place::new();
    let public = keygen(&place, "k");
    place.file("old-demo.onnx", "old");
    run(&mut place.skep(&["sign", "--key", "k.key", "old-demo.onnx"])).exits(0);
    let signature = place.read("old-demo.onnx.minisig");
    fs::rename(place.path("old-demo.onnx"), place.path("door-lock.onnx")).unwrap();
    place.file("door-lock.onnx.minisig", &signature);
    let verify = |more: &[&str]| {
        let words = ["verify", "--key", &public, "door-lock.onnx"];
        run(&mut place.skep(&[&words, more].concat()))
    };
    verify(&[]).exits(6).says("old-demo.onnx");
    verify(&["--any-name"]).exits(0);
    place.file("old-demo.onnx", "old");
    run(&mut place.skep(&["verify", "--key", &public, "./old-demo.onnx"])).exits(0);

    // A server that asks nobody for signatures takes what it is given; whoever fetches it does not.
    let server = Served::start(&[]);
    let put = |file: &str| {
        let mut command = server.command_of(&place, &["put", file]);
        run(command
            .env("SKEP_PASSWORD", server.password())
            .arg("--accept-new"))
        .exits(0)
    };
    put("door-lock.onnx");
    put("door-lock.onnx.minisig");
    let get = |more: &[&str]| {
        let words = [
            "get",
            "door-lock.onnx",
            "-o",
            "got",
            "--verify-key",
            &public,
        ];
        server.skep(&[&words, more].concat())
    };
    get(&[]).exits(6).says("old-demo.onnx");
    assert!(!server.place.path("got").exists());
    get(&["--any-name"]).exits(0);

    // One that does ask refuses it, in either way.
    let wanting = Served::start(&["--plain", "--require-signature", &public]);
    wanting.place.file("door-lock.onnx", "old");
    wanting.place.file("door-lock.onnx.minisig", &signature);
    wanting
        .skep(&["put", "door-lock.onnx.minisig"])
        .exits(6)
        .says("old-demo.onnx");
    wanting.place.file("old-demo.onnx.minisig", &signature);
    wanting.skep(&["put", "old-demo.onnx.minisig"]).exits(0);
    assert_eq!(wanting.names(), ["old-demo.onnx.minisig"]);
}

#[test]
fn a_signature_is_stored_once_and_signatures_are_not_signed() {
    let server = Served::start(&["--keep-versions", "9"]);
    let public = keygen(&server.place, "k");
    for bytes in ["first", "second", "third"] {
        server.place.file("m", bytes);
        let sent = server
            .skep(&["put", "m", "--sign", "k.key"])
            .exits(0)
            .text();
        assert!(sent.contains("m.minisig"), "{sent}");
        server
            .skep(&["get", "m", "-o", "got", "--verify-key", &public])
            .exits(0);
    }
    // The old signatures are kept with the old versions, and not beside them.
    let shown = server
        .skep(&["show", "m.minisig", "--json"])
        .exits(0)
        .json();
    let versions = shown["models"][0]["versions"].as_array().unwrap().len();
    assert!(versions <= 2, "{shown}");

    fs::create_dir(server.place.path("d")).unwrap();
    for _ in 0..2 {
        let names = ["d/m", "d/m.minisig"];
        server.place.file("d/m", "m");
        let words: &[&str] = if server.place.path(names[1]).exists() {
            &names
        } else {
            &names[..1]
        };
        let signed = server
            .skep(&[&["sign", "--key", "k.key"], words].concat())
            .exits(0);
        assert_eq!(
            signed.stderr.matches("is a signature itself").count(),
            words.len() - 1
        );
    }
    assert!(!server.place.path("d/m.minisig.minisig").exists());
}
