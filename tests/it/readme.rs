// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The README tells the truth: its tables are those of the program.

use std::fs;
use std::path::Path;

use skep::SETTINGS;

use crate::support::process::{Place, run};
use crate::support::served::Served;

fn readme() -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap()
}

/// The row of a table that begins with this cell, its cells trimmed.
fn row(text: &str, first: &str) -> Vec<String> {
    let cells = |line: &str| -> Vec<String> {
        let inside = line.trim().trim_start_matches('|').trim_end_matches('|');
        inside
            .split('|')
            .map(|cell| cell.trim().to_owned())
            .collect()
    };
    let rows = text.lines().filter(|line| line.starts_with('|')).map(cells);
    let mut found = rows.filter(|cells| cells[0] == first);
    let row = found
        .next()
        .unwrap_or_else(|| panic!("README.md has no row that begins: {first}"));
    assert!(
        found.next().is_none(),
        "README.md has two rows that begin: {first}"
    );
    row
}

#[test]
fn every_setting_has_its_row() {
    let text = readme();
    for setting in SETTINGS {
        let flag = match setting.is_switch() {
            true => format!("`--{}`", setting.key),
            false => format!("`--{} {}`", setting.key, setting.value),
        };
        let cells = row(&text, &flag);
        let default = if setting.is_switch() {
            ""
        } else {
            setting.default
        };
        let shown = cells[1].trim_matches('`');
        assert!(
            shown == default || shown == setting.default,
            "{flag}: {}",
            setting.default
        );
        assert_eq!(cells[2], setting.help, "{flag}");
    }
}

#[test]
fn every_route_has_its_row() {
    let text = readme();
    let server = Served::start(&["--plain"]);
    let mut socket = std::net::TcpStream::connect(&server.url["http://".len()..]).unwrap();
    let request = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n";
    std::io::Write::write_all(&mut socket, request).unwrap();
    let answer = std::io::read_to_string(socket).unwrap();
    let routes = answer.split_once("\r\n\r\n").unwrap().1.lines().skip(2);
    let mut count = 0;
    for line in routes {
        let mut words = line.split_whitespace();
        let (method, path) = (words.next().unwrap(), words.next().unwrap());
        let help = words.collect::<Vec<_>>().join(" ");
        assert_eq!(
            row(&text, &format!("`{method} {path}`"))[1],
            help,
            "{method} {path}"
        );
        count += 1;
    }
    assert!(count >= 8, "{answer}");
}

#[test]
fn a_reader_sees_at_once_how_to_start_and_how_to_test() {
    let text = readme();
    let top: Vec<_> = text.lines().take(12).collect();
    for command in ["cargo run --release -- serve", "cargo test"] {
        assert!(top.iter().any(|line| line.contains(command)), "{command}");
    }
}

#[test]
fn every_verb_is_mentioned() {
    let text = readme();
    let place = Place::new();
    let help = run(&mut place.skep(&["help"])).exits(0).text();
    let verbs = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let verbs: Vec<_> = verbs.take_while(|line| !line.is_empty()).collect();
    assert!(verbs.len() >= 9, "{help}");
    for verb in verbs
        .iter()
        .filter_map(|line| line.split_whitespace().next())
    {
        assert!(text.contains(&format!("skep {verb}")), "skep {verb}");
    }
}

#[test]
fn the_examples_of_the_help_are_real_flags() {
    let place = Place::new();
    let help = run(&mut place.skep(&["help"])).exits(0).text();
    let verbs = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    for verb in verbs.take_while(|line| !line.is_empty()) {
        let verb = verb.split_whitespace().next().unwrap();
        if verb == "help" {
            continue;
        }
        let help = run(&mut place.skep(&[verb, "--help"])).exits(0).text();
        let examples = help.lines().skip_while(|line| *line != "Examples:").skip(1);
        for example in examples.take_while(|line| !line.is_empty()) {
            let flags = example
                .split_whitespace()
                .filter(|word| word.starts_with("--"));
            for flag in flags.filter(|flag| flag.len() > 2) {
                assert!(help.matches(flag).count() >= 2, "skep {verb}: {flag}");
            }
        }
    }
}
