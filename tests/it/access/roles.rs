// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Who may do what: every role against every route, tokens that come and go while the server runs,
//! passwords that people choose, and secrets that never cross a line that can be read.

use crate::support::process::{Place, Process, run, run_with, until};
use crate::support::served::{Answer, Served};

/// A token of the running server.
fn token(server: &Served, arguments: &[&str]) -> String {
    let made = server
        .skep(&[&["token", "new"], arguments].concat())
        .exits(0);
    made.text().trim_end().to_owned()
}

fn as_bearer(server: &Served, secret: &str, path: &str, arguments: &[&str], body: &str) -> Answer {
    let field = format!("authorization: Bearer {secret}");
    let arguments = [&["-H", field.as_str()], arguments].concat();
    server.curl_as(path, &arguments, body.as_bytes())
}

/// An upload that there is not.
const CHANGE: &str = "/v1/changes/00000000000000000000000000000000";
const CHANGED: &str = "/v1/changes/00000000000000000000000000000000/m";

/// The digest of `x`.
const BLOB: &str =
    "/v1/blobs/sha256/2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881";

const UPLOAD: &str = "/v1/uploads/00000000000000000000000000000000";

const XET_XORB: &str = "/hf/xet/00000000000000000000000000000000/v1/xorbs/default/00";
const XET_SHARD: &str = "/hf/xet/00000000000000000000000000000000/v1/shards";
const XET_CHUNK: &str = "/hf/xet/00000000000000000000000000000000/v1/chunks/default/00";
const XET_GRANT: &str = "/hf/xet/00000000000000000000000000000000/v1/xorb-grants/default/00";
const XET_PROGRESS: &str = "/hf/xet/00000000000000000000000000000000/v2/shards";

#[test]
#[cfg_attr(not(has_curl), ignore = "curl is not installed")]
fn every_role_against_every_route() {
    let server = Served::start(&["--plain", "--lockout-failures", "0"]);
    server
        .curl("/v1/models/m", &["-X", "PUT", "-d", "x"])
        .is(201);
    server
        .curl("/v1/models/r/m", &["-X", "PUT", "-d", "x"])
        .is(201);
    let secrets = ["read", "write", "admin"].map(|role| token(&server, &[role, "--role", role]));
    let put: &[&str] = &["-X", "PUT", "--data-binary", "@-"];
    let json: &[&str] = &[
        "-H",
        "content-type: application/json",
        "--data-binary",
        "@-",
    ];
    // Path, arguments, body, and the statuses for read, write, admin, the owner, and nobody.
    let rows: &[(&str, &[&str], &str, [u16; 5])] = &[
        ("/", &[], "", [200; 5]),
        ("/healthz", &[], "", [200; 5]),
        ("/v1/status", &[], "", [200, 200, 200, 200, 401]),
        ("/v1/models", &[], "", [200, 200, 200, 200, 401]),
        ("/v1/models", &["-I"], "", [200, 200, 200, 200, 401]),
        ("/v1/models/m", &[], "", [200, 200, 200, 200, 401]),
        (BLOB, &[], "", [200, 200, 200, 200, 401]),
        (BLOB, &["-I"], "", [200, 200, 200, 200, 401]),
        ("/v1/models/n", put, "x", [403, 201, 200, 200, 401]),
        (
            "/v1/models/n",
            &["-X", "DELETE"],
            "",
            [403, 204, 404, 404, 401],
        ),
        (
            "/v1/pair",
            json,
            "{\"secret\": \"none\", \"name\": \"x\"}",
            [403; 5],
        ),
        (
            "/v1/models/n",
            &["-X", "POST", "--data-binary", "@-"],
            "x",
            [403, 201, 200, 200, 401],
        ),
        ("/v1/info/m", &[], "", [200, 200, 200, 200, 401]),
        ("/v1/versions/m", &[], "", [200, 200, 200, 200, 401]),
        (
            "/v1/versions/m",
            &["-X", "DELETE"],
            "",
            [403, 204, 204, 204, 401],
        ),
        (
            "/v1/rollback/m",
            &["-X", "POST"],
            "",
            [403, 404, 404, 404, 401],
        ),
        ("/v1/move/m", &["-X", "POST"], "", [403, 400, 400, 400, 401]),
        (
            "/v1/verify/m",
            &["-X", "POST"],
            "",
            [403, 200, 200, 200, 401],
        ),
        ("/v1/gc", &["-X", "POST"], "", [403, 403, 200, 200, 401]),
        (UPLOAD, &["-I"], "", [403, 404, 404, 404, 401]),
        (
            UPLOAD,
            &["-X", "PATCH", "-T", "-"],
            "x",
            [403, 415, 415, 415, 401],
        ),
        (UPLOAD, &["-X", "DELETE"], "", [403, 404, 404, 404, 401]),
        // An empty set for each of those who may begin one.
        (
            "/v1/changes",
            &["-X", "POST"],
            "",
            [403, 201, 201, 201, 401],
        ),
        (CHANGE, &[], "", [403, 404, 404, 404, 401]),
        (CHANGE, &["-X", "POST"], "", [403, 404, 404, 404, 401]),
        (CHANGE, &["-X", "DELETE"], "", [403, 404, 404, 404, 401]),
        (CHANGED, put, "x", [403, 404, 404, 404, 401]),
        (CHANGED, &["-X", "DELETE"], "", [403, 404, 404, 404, 401]),
        (
            "/hf/models/r/resolve/main/m",
            &[],
            "",
            [200, 200, 200, 200, 401],
        ),
        (
            "/hf/models/r/raw/main/m",
            &[],
            "",
            [200, 200, 200, 200, 401],
        ),
        ("/hf/r/resolve/main/m", &[], "", [200, 200, 200, 200, 401]),
        ("/hf/r/raw/main/m", &[], "", [200, 200, 200, 200, 401]),
        ("/hf/api/models", &[], "", [200, 200, 200, 200, 401]),
        (
            "/hf/api/models/r/revision/main",
            &[],
            "",
            [200, 200, 200, 200, 401],
        ),
        (
            "/hf/api/models/r/revision/main/m",
            &[],
            "",
            [404, 404, 404, 404, 401],
        ),
        (
            "/hf/api/models/r/tree/main",
            &[],
            "",
            [200, 200, 200, 200, 401],
        ),
        (
            "/hf/api/models/r/tree/main/m",
            &[],
            "",
            [404, 404, 404, 404, 401],
        ),
        (
            "/hf/api/models/r/paths-info/main",
            json,
            "{\"paths\": [\"m\"]}",
            [200, 200, 200, 200, 401],
        ),
        ("/hf/api/models/r/refs", &[], "", [200, 200, 200, 200, 401]),
        (
            "/hf/api/models/r/commits/main",
            &[],
            "",
            [200, 200, 200, 200, 401],
        ),
        (
            "/hf/api/models/r/commits/main/m",
            &[],
            "",
            [404, 404, 404, 404, 401],
        ),
        (
            "/hf/api/models/r/auth-check",
            &[],
            "",
            [200, 200, 200, 200, 401],
        ),
        ("/hf/api/models/r", &[], "", [200, 200, 200, 200, 401]),
        ("/hf/api/whoami-v2", &[], "", [200, 200, 200, 200, 401]),
        ("/hf/api/agent-harnesses", &[], "", [200; 5]),
        ("/hf/api/validate-yaml", json, "{}", [200; 5]),
        (
            "/hf/api/models/r/preupload/main",
            json,
            "{\"files\": []}",
            [403, 200, 200, 200, 401],
        ),
        (
            "/hf/api/models/r/commit/main",
            json,
            "{\"key\": \"header\", \"value\": {}}",
            [403, 200, 200, 200, 401],
        ),
        (
            "/hf/models/r.git/info/lfs/objects/batch",
            json,
            "{\"operation\": \"upload\", \"objects\": []}",
            [403, 200, 200, 200, 401],
        ),
        // Only a link with a ticket opens it.
        ("/hf/models/r.git/info/lfs/objects/00/1", put, "x", [401; 5]),
        (
            "/hf/models/r.git/info/lfs/verify",
            json,
            "{}",
            [403, 400, 400, 400, 401],
        ),
        (
            "/hf/r.git/info/lfs/objects/batch",
            json,
            "{\"operation\": \"upload\", \"objects\": []}",
            [403, 200, 200, 200, 401],
        ),
        // Only a link with a ticket opens it.
        ("/hf/r.git/info/lfs/objects/00/1", put, "x", [401; 5]),
        (
            "/hf/r.git/info/lfs/verify",
            json,
            "{}",
            [403, 400, 400, 400, 401],
        ),
        (
            "/hf/api/models/r/branch/main",
            &["-X", "POST"],
            "",
            [403, 400, 400, 400, 401],
        ),
        (
            "/hf/api/models/r/branch/main",
            &["-X", "DELETE"],
            "",
            [403, 400, 400, 400, 401],
        ),
        (
            "/hf/api/models/r/tag/main",
            json,
            "{}",
            [403, 400, 400, 400, 401],
        ),
        (
            "/hf/api/models/r/tag/main",
            &["-X", "DELETE"],
            "",
            [403, 400, 400, 400, 401],
        ),
        (
            "/hf/api/models/r/xet-write-token/main",
            &[],
            "",
            [403, 200, 200, 200, 401],
        ),
        // Only the token that comes with an address opens it.
        (XET_XORB, json, "x", [401; 5]),
        (XET_SHARD, json, "x", [401; 5]),
        (XET_CHUNK, &[], "", [401; 5]),
        (XET_GRANT, json, "{}", [401; 5]),
        (XET_PROGRESS, json, "x", [401; 5]),
        (
            "/hf/api/models/r/settings",
            put,
            "{}",
            [403, 200, 200, 200, 401],
        ),
        (
            "/hf/api/repos/create",
            json,
            "{\"name\": \"new\"}",
            [403, 200, 200, 200, 401],
        ),
        (
            "/hf/api/repos/move",
            json,
            "{\"fromRepo\": \"none\", \"toRepo\": \"new\"}",
            [403, 404, 404, 404, 401],
        ),
        (
            "/hf/api/repos/delete",
            &["-X", "DELETE"],
            "{\"name\": \"none\"}",
            [403, 400, 400, 400, 401],
        ),
        // Whoever is invited has no credentials yet.
        (
            "/v1/pair",
            json,
            "{\"secret\": \"x\", \"name\": \"x\"}",
            [403; 5],
        ),
        (
            "/load_model",
            json,
            "{\"filename\": \"m\"}",
            [200, 200, 200, 200, 403],
        ),
        (
            "/import_model",
            json,
            "{\"filename\": \"m\", \"content_b64\": \"eA==\"}",
            [403, 200, 200, 200, 403],
        ),
    ];
    let owner = server.password();
    for (path, arguments, body, expected) in rows {
        let callers = secrets.iter().chain([&owner]);
        for (secret, status) in callers.zip(expected) {
            as_bearer(&server, secret, path, arguments, body).is(*status);
        }
        let answer = server
            .curl_as(path, arguments, body.as_bytes())
            .is(expected[4]);
        let has_challenge = answer.field("www-authenticate").is_some();
        assert_eq!(has_challenge, expected[4] == 401, "{path}");
    }
    // The README names every route with its path; none is missing above.
    let index = server.curl("/", &[]).is(200).text();
    for line in index.lines().skip(2) {
        let path = line.split_whitespace().nth(1).unwrap().replace("NAME", "m");
        let path = path.replace("KIND", "models").replace("REPO", "r");
        let path = path.replace("REV", "main");
        let path = path.replace("OID", "00").replace("SIZE", "1");
        let path = path.replace("HEX", &BLOB[BLOB.rfind('/').unwrap() + 1..]);
        let path = path.replace("/ID", &UPLOAD[UPLOAD.rfind('/').unwrap()..]);
        let is_tried = rows.iter().any(|row| row.0 == path);
        assert!(is_tried, "{line}");
    }
    let refused = as_bearer(&server, &secrets[0], "/v1/models/n", put, "x").is(403);
    assert!(
        refused.text().contains("needs the role write"),
        "{}",
        refused.text()
    );
}

#[test]
#[cfg_attr(not(has_curl), ignore = "curl is not installed")]
fn tokens_are_taken_in_every_form_and_end() {
    let server = Served::start(&[]);
    let secret = token(&server, &["pi", "--role", "read"]);
    server
        .curl_as("/v1/models", &["-u", &format!("any:{secret}")], b"")
        .is(200);
    as_bearer(&server, &secret, "/v1/models", &[], "").is(200);
    server
        .curl("/v1/models/m", &["-X", "PUT", "-d", "x"])
        .is(201);
    let body = format!("{{\"password\": \"{secret}\", \"filename\": \"m\"}}");
    server
        .curl_as("/load_model", &["--data-binary", "@-"], body.as_bytes())
        .is(200);
    let body = body.replace("\"filename\"", "\"content_b64\": \"eA==\", \"filename\"");
    let answer = server
        .curl_as("/import_model", &["--data-binary", "@-"], body.as_bytes())
        .is(403);
    assert!(
        answer.json()["error"]
            .as_str()
            .unwrap()
            .contains("role write")
    );
    let file = std::fs::read_to_string(server.place.home().join("tokens")).unwrap();
    assert!(
        !file.contains(&secret["skep_".len()..]),
        "only digests are kept"
    );
    // Clients of the hub may want another form.
    let hub = token(&server, &["hub", "--hf", "--role", "read"]);
    assert!(hub.starts_with("hf_") && hub.len() >= 37, "{hub}");
    as_bearer(&server, &hub, "/v1/models", &[], "").is(200);
    as_bearer(&server, &hub, "/hf/api/whoami-v2", &[], "").is(200);
    // A client takes it where it takes a password.
    let mut ls = server.command(&["ls"]);
    run(ls.env("SKEP_PASSWORD", &secret)).exits(0);
    let mut rm = server.command(&["rm", "m"]);
    run(rm.env("SKEP_PASSWORD", &secret))
        .exits(7)
        .says("needs the role write");
    server.skep(&["token", "new", "pi"]).exits(11);
    // Several at once wait for each other.
    let many = ["a", "b", "c", "d"]
        .map(|name| Process::start(&mut server.command(&["token", "new", name])));
    many.into_iter()
        .for_each(|one| assert_eq!(one.finish().code, 0));
    server.skep(&["token", "rm", "pi"]).exits(0);
    as_bearer(&server, &secret, "/v1/models", &[], "").is(401);
    server.skep(&["token", "rm", "pi"]).exits(4);
    let short = token(&server, &["short", "--expires", "1s"]);
    // Its end is an event that nothing tells of but the clock; the answer changes by itself.
    until(|| as_bearer(&server, &short, "/v1/models", &[], "").status == 401);
    let listed = server.skep(&["token", "ls"]).exits(0).text();
    assert!(listed.contains("short  write  ended "), "{listed}");
    server
        .skep(&["token", "new", "x", "--expires", "yesterday"])
        .exits(2);
    server
        .skep(&["token", "new", "x", "--role", "root"])
        .exits(2);
    server.skep(&["token", "new", "a b"]).exits(2);
}

#[test]
#[cfg_attr(not(has_curl), ignore = "curl is not installed")]
fn a_chosen_password_is_kept_well_and_taken_at_once() {
    let server = Served::start(&[]);
    let set = |text: &str| run_with(&mut server.command(&["passwd"]), text.as_bytes());
    set("short\n").exits(2).says("too short");
    set("dearning_secure\n").exits(2).says("published");
    let credentials = ["-u", "x:four words of mine"];
    server.curl_as("/v1/models", &credentials, b"").is(401);
    set("four words of mine\n").exits(0);
    let kept = server.place.home().join("password.argon2");
    let text = std::fs::read_to_string(&kept).unwrap();
    assert!(
        text.starts_with("$argon2id$v=19$m=8192,") && !text.contains("words"),
        "{text}"
    );
    let mode = std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(&kept).unwrap());
    assert_eq!(mode & 0o777, 0o600);
    server.curl_as("/v1/models", &credentials, b"").is(200);
    // The one that was made at first start goes on working, for the client on this device.
    server.skep(&["ls"]).exits(0);
    server.skep(&["passwd", "--remove"]).exits(0);
    server.curl_as("/v1/models", &credentials, b"").is(401);
}

#[test]
#[cfg_attr(not(has_curl), ignore = "curl is not installed")]
fn anonymous_reading_is_a_setting() {
    let server = Served::start(&["--plain", "--anonymous-read"]);
    server
        .curl("/v1/models/m", &["-X", "PUT", "-d", "x"])
        .is(201);
    server.curl_as("/v1/models", &[], b"").is(200);
    server.curl_as("/v1/models/m", &[], b"").is(200);
    server
        .curl_as("/v1/models/m", &["-X", "DELETE"], b"")
        .is(403);
    server
        .curl_as("/v1/models/m", &["-u", "x:wrong"], b"")
        .is(401);
    let load: &[&str] = &["--data-binary", "@-"];
    server
        .curl_as("/load_model", load, b"{\"filename\": \"m\"}")
        .is(200);
    let import = b"{\"filename\": \"m\", \"content_b64\": \"eA==\"}";
    server.curl_as("/import_model", load, import).is(403);
    // What is open is handed out under known names only.
    let evil = "host: evil.example";
    let refused = server.curl_as("/v1/models", &["-H", evil], b"").is(421);
    assert!(
        refused.text().contains("--host-names"),
        "{}",
        refused.text()
    );
    server.curl_as("/", &["-H", evil], b"").is(421);
    server.curl("/v1/models", &["-H", evil]).is(200);
    assert_eq!(
        server
            .curl("/v1/models", &[])
            .field("access-control-allow-origin"),
        None
    );
    let named = Served::start(&["--plain", "--host-names", "evil.example,*.tunnel.example"]);
    for host in [
        "host: evil.example:8443",
        "host: a.tunnel.example",
        "host: localhost",
    ] {
        named.curl_as("/", &["-H", host], b"").is(200);
    }
}

#[test]
#[cfg_attr(not(has_curl), ignore = "curl is not installed")]
fn a_secret_does_not_stand_in_a_url() {
    let server = Served::start(&["--plain"]);
    for query in ["?token=x", "?a=b&Password=x"] {
        let refused = server.curl(&format!("/v1/models{query}"), &[]).is(400);
        assert!(
            refused.text().contains("Authorization"),
            "{}",
            refused.text()
        );
    }
    server.curl("/v1/status?a=b", &[]).is(200);
}

#[test]
fn the_published_password_is_refused() {
    let place = Place::new();
    let serve = |arguments: &[&str]| {
        let mut command = place.skep(&[&["serve", "--port", "0", "--plain"], arguments].concat());
        command.env("DEARNING_PASSWORD", "dearning_secure");
        command
    };
    run(&mut serve(&["127.0.0.1"]))
        .exits(2)
        .says("--insecure-default-password");
    run(&mut serve(&["0.0.0.0", "--insecure-default-password"]))
        .exits(2)
        .says("published default");
    let process = Process::start(&mut serve(&["127.0.0.1", "--insecure-default-password"]));
    assert!(process.line().unwrap().starts_with("skep ready"));
}

#[test]
fn over_plain_http_a_secret_is_proved_and_not_sent() {
    let server = Served::start(&["--plain"]);
    let port = server.url.rsplit(':').next().unwrap().to_owned();
    // This form of 127.0.0.1 is not recognised as this device, and leads there all the same.
    let elsewhere = format!("http://127.1:{port}");
    let stranger = Place::new();
    let content = "x".repeat(3 << 20);
    stranger.file("m", &content);
    let call = |arguments: &[&str], secret: &str| {
        let mut command = stranger.skep(arguments);
        run(command
            .env("SKEP_SERVER", &elsewhere)
            .env("SKEP_PASSWORD", secret))
    };
    for secret in [server.password(), token(&server, &["far"])] {
        call(&["put", "m"], &secret).exits(0);
        call(&["ls"], &secret).exits(0);
        call(&["get", "m", "-o", "copy"], &secret).exits(0);
        assert_eq!(stranger.read("copy"), content.as_bytes());
        call(&["rm", "m"], &secret).exits(0);
    }
    call(&["ls"], "abcdefghjkmnpqrstuvw")
        .exits(7)
        .says("signature is wrong");
    call(&["ls"], "words that somebody has chosen")
        .exits(7)
        .says("--send-password");
    call(&["ls"], "too short").exits(7).says("--send-password");
    call(&["post", "m"], &server.password())
        .exits(7)
        .says("unencrypted");
    run_with(
        &mut server.command(&["passwd"]),
        b"twenty_four_letters_or_so\n",
    )
    .exits(0);
    call(&["ls"], "twenty_four_letters_or_so")
        .exits(7)
        .says("skep did not make");
    call(&["ls", "--send-password"], "twenty_four_letters_or_so").exits(0);
    let log = server.stop().exits(0).stderr;
    assert!(log.contains(" password PUT /v1/models/m 201 "), "{log}");
    assert!(log.contains(" token:far PUT /v1/models/m 201 "), "{log}");
}

#[test]
fn what_can_be_guessed_at_once_is_for_this_device_only() {
    let place = Place::new();
    let serve = |address: &str, password: &str| {
        let mut command = place.skep(&["serve", address, "--port", "0"]);
        command.env("SKEP_PASSWORD", password);
        command
    };
    for weak in ["short", "4321", "aaaaaaaaaaaaaaaa"] {
        for address in ["0.0.0.0", "*", "[::]"] {
            run(&mut serve(address, weak))
                .exits(2)
                .says("listen on 127.0.0.1");
        }
    }

    // A kept one is no better.
    place.secret("password", "short\n");
    run(&mut place.skep(&["serve", "0.0.0.0", "--port", "0"])).exits(2);

    let here = Process::start(&mut serve("127.0.0.1", "4321"));
    let here = Served::ready(&place, here);
    assert!(here.stop().exits(0).stderr.contains("can guess it"));
}

#[test]
fn without_an_address_plain_http_stays_on_this_device() {
    let place = Place::new();
    let mut command = place.skep(&["serve", "--port", "0", "--plain"]);
    let server = Served::ready(&place, Process::start(&mut command));
    assert!(
        server.url.starts_with("http://127.0.0.1:"),
        "{}",
        server.url
    );
    let log = server.stop().exits(0).stderr;
    assert!(log.contains("only this device is served"), "{log}");
    assert!(!log.contains("from another device"), "{log}");
}
