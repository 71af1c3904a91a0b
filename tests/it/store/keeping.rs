// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What a server takes in and what it keeps: limits, old versions, licences, and damage that is found.

use std::fs;

use crate::support::process::{Place, digest, noise, run_with};
use crate::support::served::{Answer, Served};

/// Puts with curl, which waits for the server's word before it sends the body.
fn put(server: &Served, name: &str, length: usize, arguments: &[&str]) -> Answer {
    let file = format!("of-{length}");
    server.place.file(&file, noise(length as u64, length));
    let always = [
        "-T",
        &file,
        "-H",
        "Expect: 100-continue",
        "--expect100-timeout",
        "100",
    ];
    server.curl(
        &format!("/v1/models/{name}"),
        &[&always, arguments].concat(),
    )
}

/// The status and the hint of a refusal, after checking that nothing of the body was sent.
fn refused(server: &Served, name: &str) -> (u16, String) {
    let answer = put(server, name, 5_000_000, &["-w", "%{size_upload}"]);
    let text = answer.text();
    let (problem, sent) = text.rsplit_once('\n').unwrap();
    assert_eq!(sent, "0", "{text}");
    let problem: serde_json::Value = serde_json::from_str(problem).unwrap();
    (
        answer.status,
        problem["hint"].as_str().unwrap_or_default().to_owned(),
    )
}

#[test]
#[cfg_attr(not(has_curl), ignore = "curl is not installed")]
fn a_full_quota_and_a_foreign_name_are_refused_before_the_body() {
    let limits = [
        "--plain",
        "--max-total-bytes",
        "100KB",
        "--accept",
        "*.onnx, m?.dm",
    ];
    let server = Served::start(&limits);
    put(&server, "a.onnx", 60_000, &[]).is(201);
    put(&server, "m1.dm", 40_000, &[]).is(201);
    let (status, text) = refused(&server, "b.onnx");
    assert_eq!(status, 507);
    assert!(text.contains("max-total-bytes"), "{text}");
    let (status, text) = refused(&server, "b.exe");
    assert_eq!(status, 415);
    assert!(text.contains("*.onnx, m?.dm"), "{text}");
    // What is replaced makes room, and so does what is removed.
    put(&server, "a.onnx", 60_000, &[]).is(200);
    server.skep(&["rm", "m1.dm"]).exits(0);
    put(&server, "b.onnx", 40_000, &[]).is(201);
    // A length that is not known counts at the end.
    put(&server, "c.onnx", 10, &["-H", "Transfer-Encoding: chunked"]).is(507);
    server.place.file("c.onnx", "x");
    server
        .skep(&["put", "c.onnx"])
        .exits(8)
        .says("the quota of 100000 bytes is full");
    assert_eq!(
        (server.names(), server.parts()),
        (vec!["a.onnx".into(), "b.onnx".into()], 0)
    );
    // The other API knows the same limits.
    let import = |name: &str| {
        let password = server.password();
        let body = format!(
            "{{\"password\":\"{password}\",\"filename\":\"{name}\",\"content_b64\":\"eHh4\"}}"
        );
        server
            .curl_as("/import_model", &["--data-binary", "@-"], body.as_bytes())
            .status
    };
    assert_eq!((import("x.exe"), import("x.onnx")), (415, 507));
    server.skep(&["rm", "a.onnx"]).exits(0);
    assert_eq!(import("x.onnx"), 200);
}

#[test]
#[cfg_attr(not(has_curl), ignore = "curl is not installed")]
fn names_that_harm_scripts_terminals_and_file_systems_are_refused() {
    let place = Place::new();
    let directory = place.path("dm_models");
    fs::create_dir(&directory).unwrap();
    for name in ["good", "x\u{202e}xnno.exe", "-rf", "x ", ".hidden"] {
        fs::write(directory.join(name), "by hand").unwrap();
    }

    let server = Served::start_in(&place, &["--plain"]);
    for (name, reason) in [
        ("x%E2%80%AExnno.exe", "invisible"),
        ("x%E2%80%8B", "invisible"),
        ("-rf", "hyphen"),
        ("x%20", "blank"),
        ("%20x", "blank"),
        ("x.", "dot"),
    ] {
        let answer = put(&server, name, 10, &[]).is(400);
        assert!(answer.text().contains(reason), "{name}: {}", answer.text());
        server.curl(&format!("/v1/models/{name}"), &[]).is(400);
    }
    let listed = server.skep(&["ls", "--json"]).exits(0).json();
    assert_eq!(listed["models"].as_array().unwrap().len(), 1, "{listed}");

    // Nobody sees them, so the log says that they are there, and what is wrong with them.
    let told = server.stop().exits(0).stderr;
    assert!(told.contains("3 files left out of the models"), "{told}");
    assert!(!told.contains('\u{202e}'), "{told}");
}

#[test]
#[cfg_attr(not(has_curl), ignore = "curl is not installed")]
fn a_model_is_found_by_both_forms_of_its_name() {
    let server = Served::start(&["--plain"]);
    let (composed, apart) = ("/v1/models/%C3%A9", "/v1/models/e%CC%81");
    fs::write(server.dir.join("e\u{301}"), "by hand").unwrap();
    assert_eq!(server.curl(composed, &[]).is(200).body, b"by hand");

    server.place.file("\u{e9}", "sent");
    server.skep(&["put", "\u{e9}"]).exits(0);
    assert_eq!(server.names(), ["e\u{301}"]);
    assert_eq!(server.curl(apart, &[]).is(200).body, b"sent");
    server.skep(&["get", "\u{e9}", "-o", "copy"]).exits(0);
    let body = format!(
        "{{\"password\":\"{}\",\"filename\":\"\u{e9}\"}}",
        server.password()
    );
    let arguments = ["--data-binary", "@-"];
    server
        .curl_as("/load_model", &arguments, body.as_bytes())
        .is(200);
    server.skep(&["show", "\u{e9}"]).exits(0);

    // What was signed under one form is signed under the other.
    server.skep(&["keygen", "-o", "team.key"]).exits(0);
    server.place.file("e\u{301}", "sent anew");
    let signed = ["put", "e\u{301}", "--sign", "team.key", "--name", "\u{e9}"];
    server.skep(&signed).exits(0);
    let checked = ["get", "\u{e9}", "-o", "copy", "--verify-key", "team.pub"];
    server.skep(&checked).exits(0);
    server.skep(&["rm", "\u{e9}"]).exits(0);
    assert!(server.names().is_empty());
}

#[test]
#[cfg_attr(not(has_curl), ignore = "curl is not installed")]
fn what_is_kept_of_removed_models_is_told_and_counted() {
    let limits = ["--plain", "--keep-versions", "2", "--max-models", "2"];
    let server = Served::start(&limits);
    for length in [100, 200] {
        put(&server, "gone", length, &[]);
    }
    server.skep(&["rm", "gone"]).exits(0);
    put(&server, "here", 100, &[]).is(201);
    let listed = server.curl("/v1/models", &[]).is(200).json();
    let kept = serde_json::json!([{ "name": "gone", "versions": 2, "size": 300 }]);
    assert_eq!(listed["kept"], kept);
    assert_eq!(listed["models"].as_array().unwrap().len(), 1);
    let told = server.skep(&["ls", "--json"]).exits(0).json();
    assert_eq!(told, listed);
    server
        .skep(&["ls"])
        .exits(0)
        .says("1 removed model (300 B)");
    server
        .skep(&["show", "gone"])
        .exits(4)
        .says("skep rollback gone");

    let folders = || fs::read_dir(server.dir.join(".skep/versions")).unwrap();
    server.skep(&["rm", "--versions", "gone"]).exits(0);
    let listed = server.curl("/v1/models", &[]).is(200).json();
    assert!(listed.get("kept").is_none(), "{listed}");
    assert_eq!(folders().count(), 0);

    // A model of which versions are kept gives way to one that is sent, and a model does not.
    put(&server, "gone", 100, &[]).is(201);
    server.skep(&["rm", "gone"]).exits(0);
    assert_eq!(folders().count(), 1);
    put(&server, "more", 100, &[]).is(201);
    assert_eq!(folders().count(), 0);
    let (status, hint) = refused(&server, "most");
    assert_eq!(status, 507);
    assert!(hint.contains("skep rm"), "{hint}");
}

#[test]
#[cfg_attr(not(has_curl), ignore = "curl is not installed")]
fn the_reserve_of_the_disk_stays_free() {
    let server = Served::start(&["--plain", "--reserve-bytes", "1000000TiB"]);
    let (status, text) = refused(&server, "m");
    assert_eq!(status, 507);
    assert!(text.contains("reserve-bytes"), "{text}");
    put(&server, "m", 10, &["-H", "Transfer-Encoding: chunked"]).is(507);
    assert_eq!(server.parts(), 0);

    // Nobody has to send something to learn of it.
    let told = server.stop().exits(0).stderr;
    let told = told
        .lines()
        .find(|line| line.contains("uploads are refused"));
    assert!(told.unwrap().contains("are reserved"), "{told:?}");
}

#[test]
#[cfg_attr(not(has_curl), ignore = "curl is not installed")]
fn a_model_is_replaced_only_on_purpose_where_that_is_set() {
    let server = Served::start(&["--plain", "--replace", "refuse"]);
    put(&server, "m", 100, &[]).is(201);
    let (status, text) = refused(&server, "m");
    assert_eq!(status, 409);
    assert!(text.contains("If-Match"), "{text}");
    server.place.file("m", "other");
    server.skep(&["put", "m"]).exits(11);
    put(&server, "m", 200, &["-H", "If-Match: *"]).is(200);
    assert_eq!(fs::metadata(server.dir.join("m")).unwrap().len(), 200);
}

#[test]
#[cfg_attr(not(has_curl), ignore = "curl is not installed")]
fn licence_source_and_uploader_are_shown() {
    let server = Served::start(&["--plain", "--require-license"]);
    let (status, text) = refused(&server, "m");
    assert_eq!(status, 400);
    assert!(text.contains("--license"), "{text}");
    server.place.file("m", "bytes");
    server
        .skep(&["put", "m"])
        .exits(2)
        .says("without a licence");
    for (license, words) in [
        ("\"\"", "without a licence"),
        ("...", "without a licence"),
        ("\u{202e}", "an invisible character"),
        ("M\u{200b}IT", "an invisible character"),
    ] {
        let said = format!("Skep-License: {license}");
        let refused = server
            .curl("/v1/models/m", &["-T", "m", "-H", &said])
            .is(400);
        assert!(refused.text().contains(words), "{}", refused.text());
    }
    let said = [
        "--license",
        "Apache-2.0",
        "--source",
        "https://example.org/m",
    ];
    server.skep(&[&["put", "m"], &said[..]].concat()).exits(0);
    let shown = server.skep(&["show", "m"]).exits(0).text();
    for text in [
        "Apache-2.0",
        "https://example.org/m",
        "5 B (5 bytes)",
        &digest(b"bytes"),
    ] {
        assert!(shown.contains(text), "{shown}");
    }
    let user = format!("{}:{}", "m\u{e9}", server.password());
    let path = "/v1/models/m";
    let arguments = ["-u", &user, "-T", "m", "-H", "Skep-License: MIT"];
    server.curl_as(path, &arguments, b"").is(200);
    let info = server.curl("/v1/info/m", &[]).is(200).json();
    assert_eq!(
        (&info["license"], &info["uploader"]),
        (&"MIT".into(), &"m\u{e9}".into())
    );
    assert!(info["source"].is_null() && info["uploaded"].as_str().unwrap().ends_with('Z'));
    let mut shown = server.skep(&["show", "m", "--json"]).exits(0).json();
    // The server does not read headers, and this model has none.
    let header = shown["models"][0].as_object_mut().unwrap().remove("header");
    assert_eq!(
        (header, &shown["models"][0]),
        (Some(serde_json::Value::Null), &info)
    );
    server.skep(&["show", "none"]).exits(4);
    server.curl_as("/v1/info/m", &[], b"").is(401);
    // Bytes that were copied in by hand have no licence.
    fs::write(server.dir.join("m"), "by hand").unwrap();
    let info = server.curl("/v1/info/m", &[]).is(200).json();
    assert!(info["license"].is_null(), "{info}");
}

#[test]
#[cfg_attr(not(has_curl), ignore = "curl is not installed")]
fn what_is_kept_by_default_undoes_and_is_freed() {
    let server = Served::start(&["--plain"]);
    for length in [100, 200] {
        put(&server, "m", length, &[]);
    }
    server.skep(&["rm", "m"]).exits(0);
    server.skep(&["rollback", "m"]).exits(0);
    assert_eq!(fs::metadata(server.dir.join("m")).unwrap().len(), 200);
    put(&server, "m", 300, &[]).is(200);

    // Who only asks changes nothing, and is told the same as who does it.
    let freed = |words: &[&str]| server.skep(words).exits(0).json()["freed"].clone();
    let versions = |list: &serde_json::Value| {
        let list = list.as_array().unwrap();
        let found = list.iter().find(|kind| kind["kind"] == "versions").unwrap();
        (found["files"].clone(), found["bytes"].clone())
    };
    let told = freed(&["gc", "-n", "--json"]);
    assert_eq!(versions(&told), (1.into(), 200.into()), "{told}");
    assert_eq!(
        versions(&freed(&["gc", "--keep", "1", "--json"])),
        (0.into(), 0.into())
    );
    let text = server.skep(&["gc", "-n"]).exits(0).text();
    assert!(text.contains("would be freed"), "{text}");
    server.curl("/v1/gc?dry-run=no", &["-X", "POST"]).is(400);
    server.curl("/v1/gc?keep=x", &["-X", "POST"]).is(400);
    for twice in ["keep=1&keep=0", "idle=0&idle=9", "dry-run&dry-run"] {
        server
            .curl(&format!("/v1/gc?{twice}"), &["-X", "POST"])
            .is(400);
    }
    assert_eq!(versions(&freed(&["gc", "--json"])), versions(&told));
    server
        .skep(&["rollback", "m"])
        .exits(4)
        .says("no older version");
    let told = server.curl("/v1/gc", &["-X", "POST"]).is(200).json();
    assert_eq!(
        (&told["files"], &told["dry_run"]),
        (&0.into(), &false.into())
    );
    assert_eq!(fs::metadata(server.dir.join("m")).unwrap().len(), 300);

    // It changes what others keep, so it needs more than the right to write.
    let token = server.skep(&["token", "new", "writer", "--role", "write", "--json"]);
    let token = token.exits(0).json();
    let token = token["token"].as_str().unwrap().to_owned();
    let bearer = format!("Authorization: Bearer {token}");
    let arguments = ["-H", &bearer, "-X", "POST"];
    server.curl_as("/v1/gc?dry-run", &arguments, b"").is(403);
}

#[test]
#[cfg_attr(not(has_curl), ignore = "curl is not installed")]
fn a_replaced_model_comes_back() {
    let server = Served::start(&["--plain", "--keep-versions", "2"]);
    let bytes = |server: &Served| fs::read(server.dir.join("m")).unwrap();
    for length in [100, 200, 300, 400] {
        put(&server, "m", length, &[]);
    }
    let list = server.curl("/v1/versions/m", &[]).is(200).json();
    let sizes = |list: &serde_json::Value| -> Vec<u64> {
        let versions = list["versions"].as_array().unwrap();
        versions
            .iter()
            .map(|version| version["size"].as_u64().unwrap())
            .collect()
    };
    assert_eq!(sizes(&list), [300, 200]);
    assert_eq!(list["versions"][0]["digest"], digest(&noise(300, 300)));
    let told = server.skep(&["rollback", "m"]).exits(0).text();
    assert!(told.contains(&digest(&noise(300, 300))), "{told}");
    assert_eq!(bytes(&server), noise(300, 300));
    // Whoever has the older bytes learns that these are others.
    let tag = server
        .curl("/v1/models/m", &["-I"])
        .is(200)
        .field("etag")
        .unwrap()
        .to_owned();
    assert!(
        digest(&noise(300, 300)).ends_with(&tag[8..tag.len() - 1]),
        "{tag}"
    );
    server.skep(&["rm", "m"]).exits(0);
    server.curl("/v1/models/m", &[]).is(404);
    server.curl("/v1/rollback/m", &["-X", "POST"]).is(201);
    assert_eq!(bytes(&server), noise(300, 300));
    server.skep(&["rm", "--versions", "m"]).exits(0);
    server
        .skep(&["rollback", "m"])
        .exits(4)
        .says("no older version");
    let unknown = server.skep(&["rollback", "none"]);
    unknown.exits(4).says("there is no model 'none'");
    assert_eq!(bytes(&server), noise(300, 300));
    server.curl("/v1/versions/none", &[]).is(404);
}

#[test]
#[cfg_attr(not(has_curl), ignore = "curl is not installed")]
fn each_version_that_is_kept_can_be_had() {
    let server = Served::start(&["--plain", "--keep-versions", "3"]);
    let bytes = || fs::read(server.dir.join("m")).unwrap();
    for length in [100, 200, 300, 400] {
        put(&server, "m", length, &[]);
    }
    let shown = server.skep(&["show", "m"]).exits(0).text();
    assert!(shown.contains("before    1  100 B"), "{shown}");

    server.skep(&["rollback", "m", "--to", "1"]).exits(0);
    assert_eq!(bytes(), noise(100, 100));
    let second = digest(&noise(200, 200));
    for _ in 0..2 {
        server.skep(&["rollback", "m", "--to", &second]).exits(0);
        assert_eq!(bytes(), noise(200, 200));
    }
    let hex = digest(&noise(400, 400)).replace("sha256:", "");
    let path = format!("/v1/rollback/m?to={hex}");
    server.curl(&path, &["-X", "POST"]).is(200);
    assert_eq!(bytes(), noise(400, 400));

    // Whoever asks for what is not there does not get another one.
    server
        .skep(&["rollback", "m", "--to", "1"])
        .exits(4)
        .says("skep show m");
    server.skep(&["rollback", "m", "--to", "first"]).exits(2);
    server
        .skep(&["rollback", "m", "n", "--to", "2"])
        .exits(2)
        .says("several");
    for query in ["version=2", "to=2&to=3", "to="] {
        let path = format!("/v1/rollback/m?{query}");
        server.curl(&path, &["-X", "POST"]).is(400);
    }
    assert_eq!(bytes(), noise(400, 400));
}

#[test]
#[cfg_attr(not(has_curl), ignore = "curl is not installed")]
fn damage_is_found_and_told() {
    let server = Served::start(&["--plain"]);
    let place = server.place.clone();
    let good = noise(1, 9 << 20);
    place.file("bad", noise(2, 5000));
    place.file("good", &good);
    server.skep(&["put", "bad", "good"]).exits(0);
    let told = server.skep(&["verify"]).exits(0).text();
    assert_eq!(
        told.lines()
            .filter(|line| line.contains("  intact  "))
            .count(),
        2,
        "{told}"
    );
    server.stop().exits(0);
    // No file system lets bytes change without its times, so what is remembered is changed instead.
    let index = place.path("dm_models/.skep/index");
    let text = fs::read_to_string(&index).unwrap();
    let hex = |bytes: &[u8]| digest(bytes)["sha256:".len()..].to_owned();
    fs::write(
        &index,
        text.replace(&hex(&noise(2, 5000)), &hex(b"as it was")),
    )
    .unwrap();
    let server = Served::start_in(&place, &["--plain"]);
    let outcome = server.skep(&["verify"]).exits(6).says("'bad' is damaged");
    assert!(
        outcome.text().contains("good  intact  "),
        "{}",
        outcome.text()
    );
    let lines = server
        .curl("/v1/verify/bad", &["-X", "POST"])
        .is(200)
        .text();
    let last: serde_json::Value = serde_json::from_str(lines.lines().last().unwrap()).unwrap();
    assert_eq!(
        (&last["outcome"], &last["read"]),
        (&"damaged".into(), &5000.into())
    );
    assert_eq!(last["remembered"], digest(b"as it was"));
    let lines = server
        .curl("/v1/verify/good", &["-X", "POST"])
        .is(200)
        .text();
    assert!(lines.lines().count() >= 3, "{lines}");
    // Reading it does not make it well, putting it again does.
    server.curl("/v1/models/bad", &[]).is(200);
    server.skep(&["verify", "bad"]).exits(6);
    server.skep(&["put", "--always", "bad"]).exits(0);
    server.skep(&["verify", "bad"]).exits(0);
    server.skep(&["verify", "none"]).exits(4);
    server.stop().exits(0).says("damaged");
}

#[test]
fn a_model_that_was_changed_by_hand_is_told_of_and_is_no_damage() {
    let server = Served::start(&["--plain"]);
    server.place.file("m", noise(1, 5000));
    server.skep(&["put", "m"]).exits(0);
    server.skep(&["verify", "m"]).exits(0);

    // One other byte, and the time of modification as it was.
    let path = server.dir.join("m");
    let before = fs::metadata(&path).unwrap().modified().unwrap();
    let file = fs::File::options().write(true).open(&path).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, b"x", 17).unwrap();
    file.set_modified(before).unwrap();
    drop(file);
    server
        .skep(&["verify", "m"])
        .exits(10)
        .says("was changed on the device of the server: its digest was sha256:");
}

#[test]
#[cfg_attr(not(has_curl), ignore = "curl is not installed")]
fn what_is_not_of_the_format_of_its_name_gets_none() {
    let place = Place::new();
    let server = Served::start_in(&place, &["--plain", "--keep-versions", "3"]);
    place.file("m.gguf", "a page");
    for bytes in ["a page", "GGUF, and more"] {
        place.file("m.gguf", bytes);
        server.skep(&["put", "m.gguf"]).exits(0);
    }
    server.stop().exits(0);

    let server = Served::start_in(
        &place,
        &["--plain", "--keep-versions", "3", "--require-format"],
    );
    // What came before the setting is a version that does not come back.
    server
        .skep(&["rollback", "m.gguf"])
        .exits(1)
        .says("such an ending");

    for (name, wrong, right) in [
        ("n.gguf", "PK\x03\x04", "GGUF\x03"),
        ("n.zip", "GGUF\x03", "PK\x03\x04"),
    ] {
        let path = format!("/v1/models/{name}");
        let put = |bytes: &str| server.curl(&path, &["-X", "PUT", "--data-binary", bytes]);
        assert!(put(wrong).is(415).text().contains("require-format"));

        // In pieces, and by the dearning API.
        place.file(name, wrong);
        let piped = &["put", "-", "--name", name];
        run_with(&mut server.command(piped), wrong.as_bytes()).exits(1);
        server.skep(&["put", name]).exits(1).says("such an ending");
        server.skep(&["post", "--send-password", name]).exits(1);
        assert_eq!(server.names(), ["m.gguf"]);

        put(right).is(201);
        server.skep(&["rm", name]).exits(0);
        place.file(name, right);
        server.skep(&["post", "--send-password", name]).exits(0);
        run_with(&mut server.command(piped), right.as_bytes()).exits(0);
        server.skep(&["rm", name]).exits(0);
    }
    assert_eq!(server.parts(), 0);
    // A name without an ending that is known says nothing.
    server.curl("/v1/models/n.bin", &["-T", "n.zip"]).is(201);
}
