// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The README and the manual tell the truth: their tables are those of the program, their commands
//! have the flags that are shown, and their JSON is what commands print.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use skep::manual::{self, TOPICS};
use skep::{ErrorKind, SECTIONS};

use crate::support::process::{Place, Process, noise, run, run_with};
use crate::support::served::Served;

fn readme() -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap()
}

fn topic(name: &str) -> &'static str {
    manual::find(name)
        .unwrap_or_else(|| panic!("no topic {name}"))
        .text
}

/// The rows of all tables, their cells trimmed; `\\|` is no end of a cell.
fn rows(text: &str) -> Vec<Vec<String>> {
    let cells = |line: &str| -> Vec<String> {
        let line = line.trim().replace("\\|", "\u{0}");
        let inside = line.trim_start_matches('|').trim_end_matches('|');
        inside
            .split('|')
            .map(|cell| cell.trim().replace('\u{0}', "|"))
            .collect()
    };
    text.lines()
        .filter(|line| line.starts_with('|'))
        .map(cells)
        .collect()
}

/// The lines of all code blocks, those that end with a backslash joined with the next one.
fn code(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let (mut is_code, mut continues) = (false, false);
    for line in text.lines() {
        if line.starts_with("```") {
            is_code = !is_code;
        } else if is_code {
            let part = line.trim_end_matches('\\');
            match lines.last_mut() {
                Some(last) if continues => last.push_str(part),
                _ => lines.push(part.to_owned()),
            }
            continues = part != line;
        }
    }
    lines
}

/// The verbs of the help, `help` aside.
fn verbs() -> Vec<String> {
    let help = run(&mut Place::new().skep(&["help"])).exits(0).text();
    let lines = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let lines = lines.take_while(|line| !line.is_empty());
    let verbs = lines.filter_map(|line| line.split_whitespace().next());
    let verbs: Vec<_> = verbs
        .filter(|verb| *verb != "help")
        .map(str::to_owned)
        .collect();
    assert!(verbs.len() >= 20, "{help}");
    verbs
}

/// Wants a text to have exactly this table, which the failure prints for whoever changed the code.
fn has_table(file: &str, text: &str, head: &str, rows: impl Iterator<Item = Vec<String>>) {
    let columns = head.matches('|').count() - 1;
    let mut table = format!("{head}\n|{}\n", "---|".repeat(columns));
    for cells in rows {
        for cell in cells {
            let cell = cell.replace('|', "\\|");
            if cell.is_empty() {
                table += "| ";
            } else {
                table += &format!("| {cell} ");
            }
        }
        table += "|\n";
    }
    let text = format!("\n{text}\n\n");
    assert!(
        text.contains(&format!("\n{table}\n")),
        "{file} needs this table:\n\n{table}"
    );
}

#[test]
fn every_setting_has_its_row() {
    for section in SECTIONS {
        let rows = section.rows.iter().map(|setting| {
            let flag = if setting.is_switch() {
                format!("`--{}`", setting.key)
            } else {
                format!("`--{} {}`", setting.key, setting.value)
            };
            vec![
                flag,
                setting.default.to_owned(),
                setting.effect.to_string(),
                setting.about(),
            ]
        });
        let head = format!(
            "| `[{}]` | default | a change counts | what it is |",
            section.name
        );
        has_table("src/manual/settings.md", topic("settings"), &head, rows);
    }
}

#[test]
fn every_route_has_its_row() {
    let server = Served::start(&["--plain"]);
    let mut socket = std::net::TcpStream::connect(&server.url["http://".len()..]).unwrap();
    let request = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n";
    std::io::Write::write_all(&mut socket, request).unwrap();
    let answer = std::io::read_to_string(socket).unwrap();
    let routes = answer.split_once("\r\n\r\n").unwrap().1.lines().skip(2);
    assert!(routes.clone().count() >= 8, "{answer}");

    let rows = routes.map(|line| {
        let mut words = line.split_whitespace();
        let (method, path) = (words.next().unwrap(), words.next().unwrap());
        let help = words.collect::<Vec<_>>().join(" ");
        vec![format!("`{method} {path}`"), help]
    });
    has_table(
        "src/manual/http.md",
        topic("http"),
        "| route | what it does |",
        rows,
    );
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
fn the_readme_is_short_and_leads_to_every_topic() {
    let text = readme();
    let lines = text.lines().count();
    assert!(
        lines <= 200,
        "README.md has {lines} lines; the manual has room"
    );
    for topic in TOPICS {
        let link = format!("(src/manual/{}.md)", topic.name);
        assert!(text.contains(&link), "README.md does not link {link}");
    }
    for link in text.split("](").skip(1) {
        let link = link.split(')').next().unwrap_or_default();
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(link);
        let is_elsewhere = link.starts_with("https://") || link.starts_with('#');
        assert!(is_elsewhere || file.exists(), "README.md links {link}");
    }
}

#[test]
fn every_verb_has_its_row() {
    let text = readme();
    let verbs = verbs();
    let mut shown = BTreeSet::new();
    for cells in rows(&text) {
        for rest in cells[0].split("`skep ").skip(1) {
            let verb = rest.split([' ', '`']).next().unwrap_or_default();
            assert!(verbs.iter().any(|known| known == verb), "skep {verb}");
            let is_new = shown.insert(verb.to_owned());
            assert!(is_new, "README.md shows skep {verb} twice");
        }
    }
    for verb in verbs {
        assert!(
            shown.contains(&verb),
            "README.md has no row for skep {verb}"
        );
    }
}

#[test]
#[cfg_attr(not(has_cmp), ignore = "cmp is not installed")]
fn the_first_minutes_go_as_shown() {
    let server = Served::start(&[]);
    server.place.file("silero_vad.onnx", noise(1, 2_327_524));
    // Digests, beginnings of digests and times differ.
    let is_hex = |word: &str| word.len() == 12 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
    let masked = |line: &str| {
        let words = line.split_whitespace().map(|word| match word {
            word if word.starts_with("sha256:") || is_hex(word) => "DIGEST",
            word if word.starts_with("20") || word.contains(':') => "TIME",
            word => word,
        });
        words.collect::<Vec<_>>().join(" ")
    };

    let lines = code(&readme());
    let start = lines
        .iter()
        .position(|line| line.starts_with("$ skep put silero"));
    let mut lines = lines[start.unwrap()..].iter().peekable();
    while let Some(command) = lines.next_if(|line| !line.starts_with("$ skep invite")) {
        let expected = std::iter::from_fn(|| lines.next_if(|line| !line.starts_with("$ ")));
        let expected: Vec<_> = expected.map(|line| masked(line)).collect();
        let line = command[2..].replace("skep ", concat!(env!("CARGO_BIN_EXE_skep"), " "));
        let mut shell = server.place.command("sh");
        shell.args(["-c", &line]).env("SKEP_SERVER", &server.url);
        let printed: Vec<_> = run(&mut shell)
            .exits(0)
            .text()
            .lines()
            .map(masked)
            .collect();
        assert_eq!(printed, expected, "{command}");
    }
}

#[test]
fn every_kind_of_error_has_its_status_and_its_exit_code() {
    let mut kinds = BTreeMap::new();
    for cells in rows(topic("http")) {
        let Ok(status) = cells[0].parse::<u16>() else {
            continue;
        };
        for code in cells[1].split(", ") {
            let code = code.trim_matches('`');
            let kind = ErrorKind::from_answer(status, Some(code));
            assert_eq!((kind.status(), kind.code()), (status, code));
            kinds.insert(kind.code(), kind);
        }
    }
    for status in 400..600 {
        let kind = ErrorKind::from_answer(status, None);
        let is_known = kind.status() != status || kinds.contains_key(kind.code());
        assert!(is_known, "{status} {}", kind.code());
    }

    let mut exits: BTreeSet<u8> = kinds.values().map(|kind| kind.exit_code()).collect();
    // Success, nothing to do, incomplete, the other two signals that end a client, and no reader.
    exits.extend([0, 9, 10, 129, 141, 143]);
    let text = readme();
    let tables = rows(&text).into_iter();
    let first = tables.filter_map(|cells| {
        let codes: Result<Vec<u8>, _> = cells[0].split(", ").map(str::parse).collect();
        codes.ok()
    });
    let shown: Vec<_> = first.flatten().collect();
    assert_eq!(shown.iter().copied().collect::<BTreeSet<_>>(), exits);
    assert_eq!(shown.len(), exits.len(), "an exit code has two rows");
}

#[test]
fn the_examples_of_the_help_are_real_flags() {
    let place = Place::new();
    for verb in verbs() {
        let help = run(&mut place.skep(&[&verb, "--help"])).exits(0).text();
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

#[test]
fn the_commands_of_the_readme_and_the_manual_have_real_flags() {
    let place = Place::new();
    let helps: BTreeMap<String, String> = verbs()
        .into_iter()
        .map(|verb| {
            let long = [verb.as_str(), "--help"];
            let mut help = run(&mut place.skep(&long)).exits(0).text();
            let inner: &[&str] = match verb.as_str() {
                "ca" => &["issue"],
                "token" => &["new"],
                _ => &[],
            };
            for inner in inner {
                help += &run(&mut place.skep(&[&verb, inner, "--help"]))
                    .exits(0)
                    .text();
            }
            (verb, help)
        })
        .collect();

    let mut count = 0;
    let texts = TOPICS.iter().map(|topic| topic.text.to_owned());
    for line in texts.chain([readme()]).flat_map(|text| code(&text)) {
        let line = line.split(" # ").next().unwrap_or_default();
        for command in line.split(['|', ';']).flat_map(|part| part.split("&&")) {
            let mut words = command
                .split_whitespace()
                .map(|word| word.trim_end_matches('\''));
            let is_skep = |word: &str| word == "skep" || word.ends_with("/skep");
            if !words.by_ref().any(is_skep) {
                continue;
            }
            let Some(help) = words.next().and_then(|verb| helps.get(verb)) else {
                continue;
            };
            // No flags come behind `--`.
            let words = words.take_while(|word| *word != "--");
            for flag in words.filter(|word| word.starts_with('-') && word.len() > 1) {
                let is_known = help
                    .split([' ', ',', '\n', '[', '.'])
                    .any(|word| word == flag);
                assert!(is_known, "{command}: there is no {flag}");
                count += 1;
            }
        }
    }
    assert!(count >= 30, "only {count} flags were found");
}

/// What members a value has; of a list, those of its first element.
fn shape(value: &Value) -> Value {
    match value {
        Value::Object(members) => members
            .iter()
            .map(|(name, value)| (name.clone(), shape(value)))
            .collect(),
        Value::Array(values) => values.first().map(shape).into_iter().collect(),
        _ => Value::Null,
    }
}

/// The commands whose JSON the manual shows, in its order, after that of `skep serve`.
const JSON_COMMANDS: &[&[&str]] = &[
    &["put", "a.onnx", "--license", "MIT", "--meta", "lang=en"],
    &["put", "bert", "--name", "me/bert"],
    &["get", "a.onnx", "-o", "models/"],
    &["mirror", "me/bert"],
    &["ls"],
    &["status"],
    &["rm", "a.onnx"],
    &["show", "a.onnx"],
    &["verify", "a.onnx"],
    &["verify", "--key", "team.pub", "a.onnx"],
    &["rollback", "a.onnx"],
    &["mv", "me/bert-new/", "me/bert/"],
    &["gc"],
    &["post", "a.onnx"],
    &["load", "a.onnx", "-o", "loaded/"],
    &["keygen", "-o", "other.key"],
    &["sign", "--key", "team.key", "a.onnx"],
    &["invite"],
    &["pair"],
    &["token", "new", "tablet"],
    &["token", "ls"],
    &["token", "rm", "tablet"],
    &["passwd", "--remove"],
    &["ca", "init"],
    &["ca", "issue", "phone"],
    &["ca", "revoke", "phone"],
    &["ca", "ls"],
    &["fingerprint"],
    &["version"],
];

/// Does what some of these commands need to have been done.
fn prepare(server: &Served, arguments: &[&str]) {
    match arguments {
        // What was removed has an old version, which `show` and `rollback` need.
        ["show", ..] => drop(server.skep(&["put", "a.onnx"]).exits(0)),
        ["put", "bert", ..] => {
            let folder = server.place.path("bert");
            fs::create_dir(&folder).unwrap();
            fs::write(folder.join("config.json"), "{}").unwrap();
        }
        ["mv", ..] => drop(server.skep(&["mv", "me/bert", "me/bert-new"]).exits(0)),
        ["verify", "--key", ..] => {
            server.skep(&["keygen", "-o", "team.key"]).exits(0);
            server
                .skep(&["sign", "--key", "team.key", "a.onnx"])
                .exits(0);
        }
        ["passwd", ..] => {
            let mut command = server.command(&["passwd"]);
            run_with(&mut command, b"correct horse battery\n").exits(0);
        }
        _ => {}
    }
}

#[test]
fn the_json_of_the_manual_is_what_commands_print() {
    let lines = topic("json").lines().filter(|line| line.starts_with('{'));
    let mut shown = lines.map(|line| {
        let value: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"));
        assert_eq!(value["schema"], json!(1), "{line}");
        value
    });

    // The server's own line, as another one with another directory prints it.
    let other = Place::new();
    let second = Process::start(&mut other.skep(&["serve", "127.0.0.1", "--port", "0", "--json"]));
    let ready: Value = serde_json::from_str(&second.line().unwrap()).unwrap();
    assert_eq!(shape(&shown.next().unwrap()), shape(&ready), "skep serve");
    drop(second);

    let server = Served::start(&["--keep-versions", "2"]);
    // A model of one tensor.
    let tensor = b"\x08\x04\x10\x01\x42\x01w\x4a\x10";
    let graph = [b"\x12\x04main\x2a\x19", &tensor[..], &[0; 16]].concat();
    server
        .place
        .file("a.onnx", [b"\x08\x09\x3a\x21", &graph[..]].concat());
    let mut invitation = String::new();
    for &arguments in JSON_COMMANDS {
        prepare(&server, arguments);
        let printed = match arguments {
            ["pair"] => run(&mut server.command_of(&other, &["pair", &invitation, "--json"])),
            _ => server.skep(&[arguments, &["--json"]].concat()),
        };
        let printed = printed.exits(0).json();
        if arguments == ["invite"] {
            invitation = printed["invitation"].as_str().unwrap().to_owned();
        }
        let documented = shown.next().unwrap();
        assert_eq!(shape(&documented), shape(&printed), "skep {arguments:?}");
    }
    assert_eq!(shown.next(), None, "a line of no command");
}
