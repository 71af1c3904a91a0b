// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What one caller may send and be sent in a day, whichever way it comes.

use std::fs;

use crate::support::process::{noise, run, until};
use crate::support::raw::Raw;
use crate::support::served::{Answer, Served};

/// A server whose callers may have so many bytes a day.
fn bounded(bytes: &str, more: &[&str]) -> Served {
    let up = ["--max-upload-bytes-per-day", bytes];
    let down = ["--max-download-bytes-per-day", bytes];
    Served::start(&[&["--plain"][..], &up, &down, more].concat())
}

fn token(server: &Served, name: &str) -> String {
    let words = ["token", "new", name, "--json"];
    let made = server.skep(&words).exits(0).json();
    made["token"].as_str().unwrap().to_owned()
}

fn call(server: &Served, token: &str, path: &str, arguments: &[&str]) -> Answer {
    let user = format!("x:{token}");
    server.curl_as(path, &[&["-u", &user][..], arguments].concat(), b"")
}

/// A refusal for today: when to come back, and what is said.
#[track_caller]
fn refused(answer: Answer) -> String {
    let answer = answer.is(429);
    let seconds: u64 = answer.field("retry-after").unwrap().parse().unwrap();
    assert!((1..=86_400).contains(&seconds), "{seconds}");
    answer.text()
}

#[test]
#[cfg_attr(not(has_curl), ignore = "curl is not installed")]
fn uploads_of_all_forms_count_for_one_day() {
    let server = bounded("1000", &[]);
    let phone = token(&server, "phone");
    for length in [1, 400, 401, 600] {
        server.place.file(&format!("of-{length}"), noise(1, length));
    }
    let put = |token: &str, file: &str, more: &[&str]| {
        let arguments = [&["-T", file][..], more].concat();
        call(&server, token, &format!("/v1/models/{file}"), &arguments)
    };

    put(&phone, "of-600", &[]).is(201);
    // What does not fit is refused before it travels, and costs nothing.
    let waiting = ["-H", "Expect: 100-continue", "--expect100-timeout", "100"];
    let unsent = [&waiting[..], &["-w", "%{size_upload}"]].concat();
    let text = refused(put(&phone, "of-401", &unsent));
    assert!(
        text.contains("400 of them are left") && text.ends_with("\n0"),
        "{text}"
    );
    // Of what has no length, as much is taken as fits.
    refused(put(&phone, "of-401", &["-H", "Transfer-Encoding: chunked"]));
    assert_eq!(server.names(), ["of-600"]);
    refused(put(&phone, "of-1", &[]));

    // An upload in pieces.
    let tablet = token(&server, "tablet");
    let pieces = ["-H", "Upload-Complete: ?0"];
    let begun = put(&tablet, "of-600", &pieces).is(201);
    let path = begun.field("location").unwrap().to_owned();
    let append = |file: &str, more: &[&str]| {
        let piece = [
            "-X",
            "PATCH",
            "-T",
            file,
            "-H",
            "Content-Type: application/partial-upload",
            "-H",
            "Upload-Offset: 600",
            "-H",
            "Upload-Complete: ?1",
        ];
        call(&server, &tablet, &path, &[&piece[..], more].concat())
    };
    refused(append("of-401", &[]));
    append("of-400", &[]).is(200);
    refused(put(&tablet, "of-1", &[]));

    // The dearning API, whose password is behind the content.
    let radio = token(&server, "radio");
    let import = |length: usize, order: [&str; 2]| {
        let content = "QUJD".repeat(length / 4);
        let members = order.map(|member| match member {
            "password" => format!("\"password\": \"{radio}\""),
            _ => format!("\"filename\": \"i\", \"content_b64\": \"{content}\""),
        });
        server
            .place
            .file("import", format!("{{{}}}", members.join(",")));
        server.curl_as("/import_model", &["--data-binary", "@import"], b"")
    };
    let (first, last) = (["password", "content"], ["content", "password"]);
    import(400, last).is(200);
    for order in [first, last] {
        let text = refused(import(800, order));
        assert!(text.starts_with("{\"error\""), "{text}");
    }
    assert_eq!(fs::read(server.dir.join("i")).unwrap().len(), 300);

    // Whoever looks after the server on its device is not kept out.
    for _ in 0..3 {
        server.curl("/v1/models/own", &["-T", "of-600"]);
    }
    server.curl("/v1/models/own", &["-T", "of-600"]).is(200);
    server.stop().exits(0);
}

#[test]
#[cfg_attr(not(has_curl), ignore = "curl is not installed")]
fn downloads_of_all_forms_count_for_one_day() {
    let server = bounded("1000", &["--anonymous-read", "--cache-file-bytes", "50"]);
    for length in [40, 600] {
        server.place.file("m", noise(1, length));
        server
            .curl(&format!("/v1/models/m{length}"), &["-T", "m"])
            .is(201);
    }
    let phone = token(&server, "phone");
    let get = |path: &str, more: &[&str]| call(&server, &phone, path, more);

    get("/v1/models/m600", &[]).is(200);
    let text = refused(get("/v1/models/m600", &[]));
    assert!(text.contains("400 of them are left"), "{text}");
    get("/v1/models/m600", &["-r", "0-359"]).is(206);
    get("/v1/models/m40", &[]).is(200);
    for path in ["/v1/models/m40", "/v1/models/m600", "/v1/models"] {
        refused(get(path, &[]));
    }
    let load = |token: &str, what: &str| {
        let body = format!("{{\"password\": \"{token}\", {what}}}");
        server.curl_as("/load_model", &["--data-binary", "@-"], body.as_bytes())
    };
    let text = refused(load(&phone, "\"filename\": \"m40\""));
    assert!(text.starts_with("{\"error\""), "{text}");
    // Without content, and without an account.
    get("/v1/models/m600", &["-I"]).is(200);
    get("/healthz", &[]).is(200);
    let other = token(&server, "other");
    call(&server, &other, "/v1/models/m600", &[]).is(200);

    // A list has no length: it ends where the day does, and nobody takes it for a whole one.
    let list = token(&server, "list");
    let cut = load(&list, "\"filenames\": [\"m600\", \"m600\"]");
    assert!(cut.code != 0 && cut.body.len() < 1600, "{}", cut.code);
    refused(load(&list, "\"filenames\": [\"m40\"]"));

    // What is left is told for nothing, to those who have shown who they are.
    let status = |token: &str| call(&server, token, "/v1/status", &[]).is(200).json();
    for _ in 0..2 {
        let told = status(&phone);
        assert_eq!(
            (&told["name"], &told["role"]),
            (&"phone".into(), &"write".into())
        );
        assert_eq!((&told["models"], &told["size"]), (&2.into(), &640.into()));
        assert_eq!(
            (&told["upload_left"], &told["download_left"]),
            (&1000.into(), &0.into())
        );
        assert!(
            told["free"].is_u64() && told["version"].is_string(),
            "{told}"
        );
    }
    assert_eq!(status(&other)["download_left"], 400);
    server.curl_as("/v1/status", &[], b"").is(401);
    let mut asking = server.command(&["status"]);
    let text = run(asking.env("SKEP_PASSWORD", &other)).exits(0).text();
    for line in [
        "role      write",
        "models    2 models, 640 B",
        "downloads 400 B left today",
    ] {
        assert!(text.contains(line), "{text}");
    }
    let text = server.skep(&["status"]).exits(0).text();
    assert!(text.contains("downloads any number of bytes"), "{text}");

    // Strangers, each address for itself.
    let stranger =
        |address: &str| server.curl_as("/v1/models/m600", &["--interface", address], b"");
    stranger("127.0.0.2").is(200);
    refused(stranger("127.0.0.2"));
    stranger("127.0.0.3").is(200);

    for _ in 0..3 {
        server.curl("/v1/models/m600", &[]).is(200);
    }
    server.stop().exits(0);
}

#[test]
#[cfg_attr(not(has_curl), ignore = "curl is not installed")]
fn what_was_not_sent_is_not_paid_for() {
    const LENGTH: usize = 40 << 20;
    let server = bounded("60MiB", &[]);
    server.place.file("m", noise(1, LENGTH));
    server.curl("/v1/models/m", &["-T", "m"]).is(201);
    let phone = token(&server, "phone");

    let mut raw = Raw::open(&server.url["http://".len()..]);
    raw.send(format!(
        "GET /v1/models/m HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {phone}\r\n\r\n"
    ));
    raw.until("\r\n\r\n").unwrap();
    let whole = || call(&server, &phone, "/v1/models/m", &["-o", "/dev/null"]);
    // All of it is reserved while it is under way.
    refused(whole());

    drop(raw);
    until(|| whole().status == 200);
    refused(whole());
    server.stop().exits(0);
}
