// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What clients of other people send: forms, other protocols, all of a body before they look at the answer.

use std::fs;
use std::time::{Duration, SystemTime};

use crate::support::process::{noise, run};
use crate::support::served::Served;

const PATH: &str = "/v1/models/m";

/// A server with the model `m`, and its bytes.
fn with_model() -> (Served, Vec<u8>) {
    let server = Served::start(&["--plain"]);
    let bytes = noise(1, 5000);
    fs::write(server.dir.join("m"), &bytes).unwrap();
    (server, bytes)
}

#[test]
#[cfg_attr(not(has_curl), ignore = "curl is not installed")]
fn a_form_is_not_stored_as_a_model() {
    let (server, good) = with_model();
    let file = server.place.file("file", noise(2, 6000));
    let file = file.to_str().unwrap();

    for method in ["POST", "PUT"] {
        let form = format!("file=@{file}");
        let answer = server.curl(PATH, &["-X", method, "-F", &form]).is(415);
        assert!(answer.text().contains("curl -T"), "{}", answer.text());
    }

    // `-d` takes the line breaks out of a file; `--data-binary` sends the same type and the very bytes.
    server.curl(PATH, &["-d", "file=abc&more=1"]).is(415);
    assert_eq!(server.curl(PATH, &[]).is(200).body, good);
    let whole = format!("@{file}");
    server
        .curl("/v1/models/p", &["--data-binary", &whole])
        .is(201);
    assert_eq!(
        server.curl("/v1/models/p", &[]).is(200).body,
        noise(2, 6000)
    );
    server.stop().exits(0);
}

#[test]
#[cfg_attr(not(has_curl), ignore = "curl is not installed")]
fn what_brings_nothing_does_not_empty_a_model() {
    let (server, good) = with_model();
    let empty = ["-H", "content-length: 0"];
    let tus = ["-H", "tus-resumable: 1.0.0", "-H", "upload-length: 5000"];

    for path in [PATH, "/v1/models/fresh"] {
        for fields in [&empty[..], &[&empty[..], &tus].concat()] {
            server
                .curl(path, &[&["-X", "POST"], fields].concat())
                .is(400);
        }
        // A producer that failed: chunks without content.
        server
            .curl(
                path,
                &[
                    "-X",
                    "PUT",
                    "-T",
                    "/dev/null",
                    "-H",
                    "transfer-encoding: chunked",
                ],
            )
            .is(400);
    }

    server.curl("/v1/models/fresh", &[]).is(404);
    assert_eq!(server.curl(PATH, &[]).is(200).body, good);

    // Here it is meant.
    server
        .curl(PATH, &[&["-X", "PUT"], &empty[..]].concat())
        .is(200);
    assert_eq!(server.curl(PATH, &[]).is(200).body, b"");
    server.stop().exits(0);
}

#[test]
#[cfg_attr(not(has_curl), ignore = "curl is not installed")]
fn no_model_was_modified_after_its_answer() {
    let (server, _) = with_model();
    let later = SystemTime::now() + Duration::from_secs(200_000);
    let file = fs::File::options()
        .append(true)
        .open(server.dir.join("m"))
        .unwrap();
    file.set_modified(later).unwrap();

    // In lower case, as curl's answer has them here.
    let answer = server.curl(PATH, &[]).is(200);
    let time = |name: &str| {
        let words: Vec<_> = answer
            .field(name)
            .unwrap()
            .split(' ')
            .map(capitalized)
            .collect();
        httpdate::parse_http_date(&words.join(" ").replace("Gmt", "GMT")).unwrap()
    };
    assert!(time("last-modified") <= time("date"));
    server.stop().exits(0);
}

fn capitalized(word: &str) -> String {
    let (first, rest) = word.split_at(1);
    first.to_ascii_uppercase() + rest
}

/// Sends all of 12 MB before it looks at the answer, as Python's clients do.
const SEND_ALL: &str = "
import http.client, ssl, sys
url, password = sys.argv[1:]
context = ssl._create_unverified_context()
make = http.client.HTTPSConnection if url.startswith('https') else http.client.HTTPConnection
more = {'context': context} if url.startswith('https') else {}
for path, secret, fields in [('/v1/models/m', 'wrong', {}), ('/v1/models/m', password, {'If-None-Match': '*'}),
                             ('/v1/models/m', password, {'Content-Encoding': 'gzip'}), ('/nothing', password, {})]:
    line = make(url.split('://')[1].rstrip('/'), timeout=60, **more)
    line.request('PUT', path, bytes(12_000_000), {'Authorization': 'Bearer ' + secret, **fields})
    print(line.getresponse().status)
";

#[test]
#[cfg_attr(not(has_python3), ignore = "python3 is not installed")]
fn who_sends_all_before_reading_gets_the_answer() {
    for scheme in [&["--plain"][..], &[]] {
        let server = Served::start(scheme);
        fs::write(server.dir.join("m"), b"there").unwrap();
        let mut command = server.place.command("python3");
        command.args(["-c", SEND_ALL, &server.url, &server.password()]);
        let statuses = run(&mut command).exits(0).text();
        assert_eq!(statuses, "401\n412\n415\n404\n", "{scheme:?}");
        server.stop().exits(0);
    }
}

#[test]
#[cfg_attr(not(has_openssl), ignore = "openssl is not installed")]
fn a_caller_that_only_speaks_http_1_0_is_let_in() {
    let server = Served::start(&[]);
    for protocol in ["http/1.0", "http/1.1"] {
        let address = server.url.trim_start_matches("https://");
        let mut command = server.place.command("openssl");
        command.args(["s_client", "-connect", address, "-alpn", protocol]);
        let text = run(&mut command).text();
        assert!(
            text.contains(&format!("ALPN protocol: {protocol}")),
            "{text}"
        );
    }
    server.stop().exits(0);
}
