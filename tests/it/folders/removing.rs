// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What a folder or a pattern stands for is removed in one step.

use std::fs;

use serde_json::json;

use crate::support::process::{Place, run};
use crate::support::relay::Relay;
use crate::support::served::Served;
use crate::support::terminal::Terminal;

fn served(place: &Place, count: usize) -> Served {
    fs::create_dir_all(place.path("d")).unwrap();
    for number in 0..count {
        fs::write(place.path(&format!("d/{number:03}")), format!("{number}")).unwrap();
    }
    let server = Served::start_in(place, &["--plain", "--keep-versions", "1"]);
    server.skep(&["put", "d"]).exits(0);
    server
}

#[test]
fn a_folder_goes_with_a_few_requests_and_comes_back() {
    let server = served(&Place::new(), 200);
    let relay = Relay::to(&server.url);
    let mut command = server.command(&["rm", "-y", "d/", "--json"]);
    let told = run(command.env("SKEP_SERVER", &relay.url)).exits(0).json();
    assert_eq!(told["removed"].as_array().unwrap().len(), 200);
    assert_eq!(told["removed"][7], "d/007");
    // One request for each of them would be some hundred bytes for each.
    let (up, _) = relay.passed();
    assert!(up < 10_000, "{up}");
    assert!(server.names().is_empty());

    server.skep(&["rollback", "d/042"]).exits(0);
    server.skep(&["put", "d", "-q"]).exits(0);
    fs::write(server.dir.join("d/copied"), "by hand").unwrap();

    // A pattern goes in one step, too, and so does a folder of which not all digests are known.
    let told = server.skep(&["rm", "-y", "d/1*", "--json"]).exits(0).json();
    assert_eq!(told["removed"].as_array().unwrap().len(), 100);
    let told = server.skep(&["rm", "-y", "none", "d/"]).exits(4);
    assert!(server.names().is_empty(), "{}", told.stderr);
    let changes = fs::read_dir(server.dir.join(".skep/changes"));
    assert_eq!(changes.map_or(0, Iterator::count), 0);
}

#[test]
#[cfg_attr(not(has_setsid), ignore = "setsid is not installed")]
fn what_has_changed_since_it_was_shown_stays() {
    let server = served(&Place::new(), 3);
    let mut terminal = Terminal::start(&server.command(&["rm", "d/"]), 100);
    terminal.shows("remove 3 models");
    server.place.file("new", "new");
    server.skep(&["put", "new", "--name", "d/003"]).exits(0);
    terminal.types("yes\r");
    let (ended, _, screen) = terminal.ends();
    assert_eq!(ended, 11, "{screen}");
    let left = server.skep(&["ls", "-R", "d/", "--json"]).exits(0).json();
    assert_eq!(left["models"].as_array().unwrap().len(), 4, "{left}");
    let changes = fs::read_dir(server.dir.join(".skep/changes"));
    assert_eq!(changes.map_or(0, Iterator::count), 0);
    assert_ne!(left["models"], json!([]));
}

#[test]
fn what_a_pattern_removed_comes_back_with_its_folder() {
    let server = Served::start(&["--plain"]);
    for name in ["a", "b"] {
        server.place.file(name, name);
        server
            .skep(&["put", name, "--name", &format!("t/{name}")])
            .exits(0);
    }
    server.skep(&["rm", "-y", "t/*"]).exits(0);
    assert!(!server.dir.join("t").exists());
    server.skep(&["rollback", "t/"]).exits(0);
    assert!(server.dir.join("t/a").is_file() && server.dir.join("t/b").is_file());
}

#[test]
#[cfg_attr(not(has_curl), ignore = "curl is not installed")]
fn what_cannot_be_brought_back_is_said_before_and_after() {
    let server = Served::start(&["--plain", "--max-version-bytes", "12KiB"]);
    fs::create_dir(server.place.path("d")).unwrap();
    for name in ["a", "b", "c"] {
        fs::write(server.place.path(&format!("d/{name}")), name).unwrap();
    }
    server.skep(&["put", "d"]).exits(0);
    server.place.file("large", vec![0; 20_000]);
    server.skep(&["put", "large"]).exits(0);
    let said = "cannot be undone";

    // Three files count 4 KiB each, and so does their folder.
    let mut terminal = Terminal::start(&server.command(&["rm", "d/*"]), 100);
    terminal.shows("for good");
    terminal.types("no\r");
    terminal.ends();
    let mut terminal = Terminal::start(&server.command(&["rm", "d/a*"]), 100);
    terminal.shows("remove 1 model");
    terminal.types("yes\r");
    let (ended, _, screen) = terminal.ends();
    assert!(ended == 0 && !screen.contains("for good"), "{screen}");

    let delete = ["-X", "DELETE"];
    let answer = server.curl("/v1/models/d/b", &delete).is(204);
    assert_eq!(answer.field("skep-kept"), None);
    server.skep(&["rollback", "d/b"]).exits(0);
    server.skep(&["rm", "large"]).exits(0).says(said);
    server.skep(&["put", "large"]).exits(0);
    let answer = server.curl("/v1/models/large", &delete).is(204);
    assert_eq!(answer.field("skep-kept"), Some("?0"));

    for name in ["d", "e", "f"] {
        fs::write(server.place.path(&format!("d/{name}")), name).unwrap();
    }
    server.skep(&["put", "d"]).exits(0);
    server.skep(&["rm", "-y", "d/"]).exits(0).says(said);
    server.skep(&["put", "d"]).exits(0);
    for name in ["a", "b", "c", "d"] {
        fs::remove_file(server.place.path(&format!("d/{name}"))).unwrap();
    }
    let told = server.skep(&["put", "d", "--delete", "-y"]).exits(0);
    told.says("cannot be brought back");
}
