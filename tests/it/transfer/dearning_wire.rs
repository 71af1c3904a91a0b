// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The dearning API by hand: every answer of the genuine server that skep keeps, word for word.

use std::fs;
use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::support::process::{Place, digest, noise};
use crate::support::served::{Answer, Served};
use crate::support::syscalls::{Call, calls};

fn ask(server: &Served, path: &str, body: &str) -> Answer {
    server.curl_as(path, &["--data-binary", "@-"], body.as_bytes())
}

#[track_caller]
fn says(server: &Served, path: &str, body: &str, status: u16, answer: Value) {
    let got = ask(server, path, body);
    assert_eq!(
        (got.status, got.json()),
        (status, answer),
        "{path} {body:.200}"
    );
    assert_eq!(got.field("content-type"), Some("application/json"));
}

#[test]
#[cfg_attr(not(has_curl), ignore = "curl is not installed")]
fn both_forms_are_told_apart_by_their_keys() {
    let server = Served::start(&["--plain"]);
    let with = |rest: &str| format!(r#"{{"password": "{}", {rest}}}"#, server.password());
    let ok = |path, rest: &str, answer| says(&server, path, &with(rest), 200, answer);
    let one = json!({"status": "imported", "model": "x.dm", "size": 2, "digest": digest(b"hi")});
    ok(
        "/import_model",
        r#""filename": "../../etc/x.dm", "content_b64": "aGk=""#,
        one,
    );
    let digests = [digest(b"a"), digest(b"b")];
    let two = json!({"status": "imported", "files": ["a", "b"], "digests": digests});
    let files = r#""files": [{"filename": "a", "content_b64": "YQ=="}, {"filename": ""},
        {"filename": "no"}, {"content_b64": "YQ=="}, {"filename": "bad", "content_b64": "!"},
        {"content_b64": "Yg==", "filename": "d/b"}]"#;
    ok("/import_model", files, two);
    let none = json!({"status": "imported", "files": [], "digests": []});
    ok(
        "/import_model",
        r#""files": [], "filename": "z", "content_b64": "YQ==""#,
        none,
    );
    let single = json!({"status": "ok", "filename": "x.dm", "content_b64": "aGk="});
    ok("/load_model", r#""filename": "dir/x.dm""#, single);
    let listed = json!({"status": "ok", "files": [
        {"filename": "b", "content_b64": "Yg=="},
        {"filename": "none", "error": "not found"},
        {"filename": "b", "content_b64": "Yg=="},
        {"filename": "x.dm", "content_b64": "aGk="},
    ]});
    ok(
        "/load_model",
        r#""filenames": ["b", "", "none", "b", "x.dm"], "filename": "a""#,
        listed,
    );
    let nothing = json!({"status": "ok", "files": []});
    ok("/load_model", r#""filenames": []"#, nothing.clone());
    ok("/load_model", r#""filenames": null"#, nothing);
    assert_eq!(server.names(), ["a", "b", "x.dm"]);
    assert_eq!(server.parts(), 0);
}

#[test]
#[cfg_attr(not(has_curl), ignore = "curl is not installed")]
fn errors_have_the_words_of_the_genuine_server() {
    let server = Served::start(&["--plain"]);
    let with = |rest: &str| format!(r#"{{"password": "{}"{rest}}}"#, server.password());
    let error = |text: &str| json!({ "error": text });
    for body in [
        "",
        "x",
        "{}",
        "[]",
        "null",
        "0",
        "\u{feff}{}",
        "{\"a\": 1",
        "\"\"",
    ] {
        for path in ["/import_model", "/load_model"] {
            says(&server, path, body, 400, error("invalid json"));
        }
    }
    let not_utf8 = server.curl_as(
        "/load_model",
        &["--data-binary", "@-"],
        b"{\"a\": \"\xff\"}",
    );
    assert_eq!(
        (not_utf8.status, not_utf8.json()),
        (400, error("invalid json"))
    );
    for password in ["\"wrong\"", "null", "[]", "1", "true", "\"\""] {
        let body = format!(r#"{{"password": {password}, "filename": "a"}}"#);
        for path in ["/import_model", "/load_model"] {
            says(&server, path, &body, 403, error("invalid password"));
        }
    }
    says(
        &server,
        "/load_model",
        r#"{"filename": "a"}"#,
        403,
        error("invalid password"),
    );
    let missing = error("missing filename or content");
    for rest in [
        "",
        r#", "filename": "a""#,
        r#", "content_b64": "YQ==""#,
        r#", "filename": "", "content_b64": "YQ==""#,
        r#", "filename": "a", "content_b64": """#,
        r#", "filename": null, "content_b64": null"#,
    ] {
        says(&server, "/import_model", &with(rest), 400, missing.clone());
    }
    for rest in ["", r#", "filename": """#, r#", "filename": null"#] {
        says(
            &server,
            "/load_model",
            &with(rest),
            400,
            error("missing filename"),
        );
    }
    for (content, fault) in [
        ("\"QQ\"", " at byte 2"),
        ("\"Q\"", " at byte 1"),
        ("\"-_-_\"", " at byte 0"),
        ("\"QUJD\\n\u{f6}\"", " at byte 5"),
        ("1", ": it is not a string"),
        ("\"QQ==QQ==\"", " at byte 4"),
    ] {
        let rest = format!(r#", "filename": "a", "content_b64": {content}"#);
        let body = with(&rest);
        says(
            &server,
            "/import_model",
            &body,
            400,
            error(&format!("invalid base64 content{fault}")),
        );
    }
    for name in ["none", "..", ".", "dir/", ".skep"] {
        let rest = format!(r#", "filename": "{name}""#);
        says(
            &server,
            "/load_model",
            &with(&rest),
            404,
            error("not found"),
        );
    }
    for name in ["..", ".", "dir/", "a\\u0000b", ".skep", "a\\\\b"] {
        let rest = format!(r#", "filename": "{name}", "content_b64": "YQ==""#);
        assert_eq!(
            ask(&server, "/import_model", &with(&rest)).status,
            400,
            "{name}"
        );
    }
    for odd in [
        r#", "files": null"#,
        r#", "files": "x""#,
        r#", "files": [1]"#,
    ] {
        assert_eq!(
            ask(&server, "/import_model", &with(odd)).status,
            400,
            "{odd}"
        );
    }
    assert_eq!(
        ask(&server, "/load_model", &with(r#", "filenames": "x""#)).status,
        400
    );
    assert!(server.names().is_empty());
    assert_eq!(server.parts(), 0);
}

#[test]
#[cfg_attr(not(has_curl), ignore = "curl is not installed")]
fn members_come_in_any_order_and_base64_in_lines() {
    let server = Served::start(&["--plain"]);
    let bytes = noise(5, 100_000);
    let text = STANDARD.encode(&bytes);
    let lines: Vec<_> = text
        .as_bytes()
        .chunks(76)
        .map(|line| str::from_utf8(line).unwrap())
        .collect();
    let whole = digest(&bytes);
    let stored = |name: &str| json!({"status": "imported", "model": name, "size": bytes.len(), "digest": whole});
    for (name, content) in [("plain", &text), ("wrapped", &lines.join("\\r\\n"))] {
        let password = server.password();
        let last = format!(
            r#"{{"content_b64": "{content}", "x": [{{}}], "filename": "{name}", "password": "{password}"}}"#
        );
        says(&server, "/import_model", &last, 200, stored(name));
        assert_eq!(fs::read(server.dir.join(name)).unwrap(), bytes, "{name}");
        let wrong = last.replace(&password, "wrong").replace(name, "refused");
        says(
            &server,
            "/import_model",
            &wrong,
            403,
            json!({"error": "invalid password"}),
        );
    }
    let chunked = ["-H", "Transfer-Encoding: chunked", "--data-binary", "@-"];
    let body = format!(
        r#"{{"filename": "chunked", "password": "{}", "content_b64": "{text}"}}"#,
        server.password()
    );
    server
        .curl_as("/import_model", &chunked, body.as_bytes())
        .is(200);
    assert_eq!(server.names(), ["chunked", "plain", "wrapped"]);
    assert_eq!(server.parts(), 0);
}

#[test]
#[cfg_attr(not(has_curl), ignore = "curl is not installed")]
fn who_shows_no_password_occupies_little() {
    let server = Served::start(&["--plain", "--max-import-bytes-before-password", "64KiB"]);
    let content = STANDARD.encode(noise(1, 60_000));
    let too_much = json!({"error": "too much content before the password"});
    // Not each content is bounded, but all of them together.
    let entry = format!(r#"{{"filename": "m", "content_b64": "{content}"}}"#);
    let body = format!(r#"{{"files": [{}]}}"#, vec![entry; 20].join(","));
    says(&server, "/import_model", &body, 413, too_much.clone());
    let body = format!(
        "{{{}}}",
        vec![format!(r#""content_b64": "{content}""#); 20].join(",")
    );
    says(&server, "/import_model", &body, 413, too_much.clone());
    let body = format!(r#"{{"content_b64": "*{}"}}"#, content.repeat(20));
    says(&server, "/import_model", &body, 413, too_much);
    assert_eq!((server.names().len(), server.parts()), (0, 0));
}

#[test]
#[cfg_attr(
    not(all(has_curl, has_strace)),
    ignore = "curl or strace is not installed"
)]
fn who_shows_no_password_writes_nothing() {
    let place = Place::new();
    let server = Served::start_traced(&place, &["--plain"]);
    let content = STANDARD.encode(noise(1, 40_000));
    let entry = format!(r#"{{"filename": "m", "content_b64": "{content}"}}"#);
    let single = |rest: &str| format!("{}{rest}}}", &entry[..entry.len() - 1]);
    for (body, status) in [
        (single(""), 403),
        (single(r#", "password": "wrong""#), 403),
        (format!(r#"{{"files": [{entry}]}}"#), 403),
        (format!(r#"{{"files": [{entry}], "password": 1}}"#), 403),
        (format!(r#"{{"files": [{entry}, {entry}, {entry}]}}"#), 413),
    ] {
        assert_eq!(ask(&server, "/import_model", &body).status, status);
    }
    assert!(server.names().is_empty());

    // The same bytes are written once it is known whose they are.
    let known = single(&format!(r#", "password": "{}""#, server.password()));
    assert_eq!(ask(&server, "/import_model", &known).status, 200);
    assert_eq!(server.names(), ["m"]);
    server.stop().exits(0);

    let is_upload = |call: &&Call| {
        let Call::Create { path, .. } = call else {
            return false;
        };
        path.to_string_lossy().contains("/upload-")
    };
    assert_eq!(calls(&place).iter().filter(is_upload).count(), 1);
}

#[test]
#[cfg_attr(not(has_curl), ignore = "curl is not installed")]
fn who_shows_no_password_stores_and_learns_nothing() {
    let server = Served::start(&["--plain", "--accept", "*.onnx"]);

    // More files than wait for a password: those that waited longest are not stored without one.
    let entries = vec![r#"{"filename": "m.onnx", "content_b64": "aGk="}"#; 40].join(",");
    let many = json!({"error": "too many files before the password"});
    for rest in ["", r#", "password": "wrong""#] {
        let body = format!(r#"{{"files": [{entries}]{rest}}}"#);
        says(&server, "/import_model", &body, 413, many.clone());
    }
    assert_eq!((server.names().len(), server.parts()), (0, 0));

    // Nor is it told which names are taken in.
    for name in ["m.onnx", "m.exe"] {
        let body = format!(r#"{{"filename": "{name}", "content_b64": "aGk="}}"#);
        let refused = json!({"error": "invalid password"});
        says(&server, "/import_model", &body, 403, refused);
    }
}

#[test]
fn who_shows_no_password_keeps_nobody_out() {
    let server = Served::start(&["--plain"]);
    let address = server.url.trim_start_matches("http://");
    let crowd: Vec<_> = (0..12)
        .map(|_| {
            let mut stream = std::net::TcpStream::connect(address).unwrap();
            let head = "POST /import_model HTTP/1.1\r\nHost: a\r\nContent-Length: 60000000\r\n\r\n";
            stream
                .write_all(format!("{head}{{\"content_b64\": \"").as_bytes())
                .unwrap();
            stream
        })
        .collect();
    server.place.file("m", noise(1, 100_000));
    server.skep(&["put", "m"]).exits(0);
    drop(crowd);
}

#[test]
#[cfg_attr(not(has_curl), ignore = "curl is not installed")]
fn a_list_is_stored_when_all_of_it_is_in_order() {
    let server = Served::start(&["--plain"]);
    let password = server.password();
    let entry = |index| format!(r#"{{"filename": "f{index}", "content_b64": "aGk="}}"#);
    let body = format!(
        r#"{{"password": "{password}", "files": [{}, 5]}}"#,
        entry(1)
    );
    assert_eq!(ask(&server, "/import_model", &body).status, 400);
    assert_eq!(server.names().len(), 0);
    let entries: Vec<String> = (0..40).map(entry).collect();
    let body = format!(
        r#"{{"password": "{password}", "files": [{}]}}"#,
        entries.join(",")
    );
    assert_eq!(ask(&server, "/import_model", &body).status, 200);
    assert_eq!((server.names().len(), server.parts()), (40, 0));
}

#[test]
#[cfg_attr(not(has_curl), ignore = "curl is not installed")]
fn a_list_sends_one_model_twice_at_most() {
    let server = Served::start(&["--plain"]);
    fs::write(server.dir.join("m"), "a").unwrap();
    let names = [r#""m""#, r#""d/m""#].repeat(300).join(",");
    let password = server.password();
    let body = format!(r#"{{"password": "{password}", "filenames": [{names}]}}"#);
    let answer = ask(&server, "/load_model", &body).json();
    let files = answer["files"].as_array().unwrap();
    let sent = files
        .iter()
        .filter(|file| file.get("content_b64").is_some());
    assert_eq!((files.len(), sent.count()), (600, 2));
    assert_eq!(
        files[2],
        json!({"filename": "m", "error": "named too often"})
    );
}
