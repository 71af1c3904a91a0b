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
