// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Pickles that run a command when they are loaded: they are told, and by no way they get a name where they are
//! refused.

use std::path::Path;

use crate::support::process::{Place, run, run_with};
use crate::support::served::Served;

const REFUSING: &[&str] = &["--plain", "--keep-versions", "3", "--refuse-unsafe-pickles"];

/// Has Python make its pickles, or load one.
fn python(place: &Place, arguments: &[&str]) {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/formats");
    let mut command = place.command("python3");
    run(command.arg(fixtures.join("pickles.py")).args(arguments)).exits(0);
}

fn names(place: &Place, begin: &str) -> Vec<String> {
    let files = std::fs::read_dir(place.path("")).unwrap();
    let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.starts_with(begin)).collect()
}

#[test]
#[cfg_attr(not(has_python3), ignore = "python3 is not installed")]
fn a_pickle_that_runs_a_command_is_told_and_refused() {
    let place = Place::new();
    python(&place, &[]);
    // It is one: who loads it runs the command.
    python(&place, &["evil-4.pkl"]);
    std::fs::remove_file(place.path("ran")).unwrap();

    let server = Served::start_in(&place, &["--plain"]);
    let (evil, good) = (names(&place, "evil"), names(&place, "good"));
    assert_eq!((evil.len(), good.len()), (8, 7));
    for name in evil.iter().chain(&good) {
        server.skep(&["put", name]).exits(0);
        let told = server.skep(&["show", name, "--json"]).exits(0).json();
        let header = &told["models"][0]["header"];
        let is_evil = name.starts_with("evil");
        assert_eq!(header["unsafe"] == true, is_evil, "{name}: {told}");
        let import = header["imports"][0].as_str().unwrap_or_default();
        assert_eq!(import.contains(".system"), is_evil, "{name}: {told}");
    }
    let text = server.skep(&["show", "evil.pt"]).exits(0).text();
    assert!(text.contains("unsafe    imports posix.system"), "{text}");
    server.stop().exits(0);

    let server = Served::start_in(&place, &[REFUSING, &["--dir", "other"]].concat());
    for name in &evil {
        let refused = server.skep(&["put", name]).exits(1);
        refused.says("system").says("refuse-unsafe-pickles");
    }
    for name in &good {
        server.skep(&["put", name]).exits(0);
    }
    assert_eq!(server.names().len(), good.len());
    assert!(!place.path("ran").exists());
    server.stop().exits(0);
}

#[test]
#[cfg_attr(not(has_curl), ignore = "curl is not installed")]
fn no_way_leads_past_the_refusal() {
    const EVIL: &str = "cos\nsystem\n(S'true'\ntR.";
    let place = Place::new();
    std::fs::create_dir_all(place.path("d")).unwrap();
    place.file("d/m.pt", EVIL);
    place.file("evil.txt", EVIL);
    let server = Served::start_in(&place, &["--plain", "--keep-versions", "3"]);
    server.skep(&["put", "d", "--name", "d"]).exits(0);
    server.skep(&["put", "d/m.pt", "--name", "m.pt"]).exits(0);
    place.file("d/m.pt", "N.");
    server.skep(&["put", "d", "--name", "d"]).exits(0);
    server.skep(&["put", "d/m.pt", "--name", "m.pt"]).exits(0);
    server.stop().exits(0);

    let server = Served::start_in(&place, REFUSING);
    let before = server.names();
    // What came before the setting does not come back.
    server
        .skep(&["rollback", "m.pt"])
        .exits(1)
        .says("os.system");
    server.skep(&["rollback", "d/"]).exits(1).says("os.system");

    // In one request, in pieces, from a pipe, in a change set and by the dearning API.
    place.file("m.pkl", EVIL);
    let put = server.curl("/v1/models/m.pkl", &["-T", "m.pkl"]).is(415);
    assert!(put.text().contains("os.system"), "{}", put.text());
    server.skep(&["put", "m.pkl"]).exits(1).says("os.system");
    let piped = &["put", "-", "--name", "m.pkl"];
    run_with(&mut server.command(piped), EVIL.as_bytes()).exits(1);
    server.skep(&["post", "--send-password", "m.pkl"]).exits(1);
    std::fs::create_dir_all(place.path("e")).unwrap();
    place.file("e/m.bin", EVIL);
    server.skep(&["put", "e", "--name", "e"]).exits(1);

    // Under another name first, and by the digest of bytes that are there.
    server.skep(&["put", "evil.txt"]).exits(0);
    server
        .skep(&["mv", "evil.txt", "evil.pt"])
        .exits(1)
        .says("os.system");
    server.skep(&["put", "e", "--name", "e"]).exits(1);
    server.skep(&["rm", "evil.txt"]).exits(0);
    assert_eq!(server.names(), before);
    assert_eq!(server.parts(), 0);
    server.stop().exits(0);
}
