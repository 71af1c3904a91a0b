// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The house rules, read from the sources, and the proof that each rule finds who breaks it.
//!
//! A rule is a function from sources to violations. Unit tests inside the sources may use anything.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Paths from the top of the repository, and texts.
pub(crate) type Sources = BTreeMap<String, String>;

/// The rooms by floor, from the ground up. One goes down the stairs, never up; words, tools and the
/// house's own state may use rooms of their own floor.
const FLOORS: &[&[&str]] = &[
    &[
        "address", "digest", "error", "event", "limits", "manual", "model", "pin", "text", "wire",
    ],
    &[
        "backoff",
        "bell",
        "child",
        "clock",
        "crew",
        "disk",
        "formats",
        "random",
        "signature",
        "stop",
        "threads",
        "tls",
        "transport",
        "waiting",
        "watched_file",
    ],
    &["access", "channels", "home", "logging", "metrics"],
    &["client", "edge", "http", "store"],
    &["routes", "server"],
    &["config", "node"],
    &["cli"],
];

/// The highest floor whose rooms may use each other.
const SHARED_FLOOR_MAX: usize = 2;

/// Doors between rooms of one floor; words of the ground floor may use each other.
const DOORS: &[(&str, &str, &str)] = &[(
    "node",
    "config",
    "a node is built from a configuration, which knows nothing of nodes",
)];

/// An outside power: the words that betray its use, and the files that may use it.
struct Power {
    words: &'static [&'static str],
    owners: &'static [&'static str],
}

const POWERS: &[Power] = &[
    Power {
        words: &["tiny_http"],
        // The log leaves out what it says.
        owners: &["src/http/pool/engine.rs", "src/logging/logger.rs"],
    },
    Power {
        words: &["rustls::", "rcgen::"],
        owners: &["src/tls/", "src/edge/", "src/client/"],
    },
    Power {
        words: &["ureq::", "ureq"],
        owners: &["src/client/"],
    },
    Power {
        words: &[
            "thread::spawn",
            "thread::scope",
            "thread::Builder",
            "Builder::new(",
        ],
        owners: &["src/threads.rs"],
    },
    Power {
        words: &[
            "File::create",
            "File::create_new",
            "OpenOptions",
            "DirBuilder",
            "fs::create_dir",
            "fs::create_dir_all",
            "fs::rename",
            "fs::remove_file",
            "fs::remove_dir",
            "fs::remove_dir_all",
            "fs::write",
            "fs::copy",
            "fs::hard_link",
            "fs::set_permissions",
            "fs::symlink",
            "File::options",
            "linkat",
            "mkdirat",
            "openat",
            "renameat",
            "renameat_with",
            "set_len",
            "symlinkat",
            "sync_all",
            "sync_data",
            "unlinkat",
        ],
        owners: &["src/disk/"],
    },
    Power {
        words: &["getrandom::"],
        owners: &["src/random.rs"],
    },
    Power {
        words: &["process::Command", "CommandExt", "rustix::runtime"],
        owners: &["src/child/"],
    },
    Power {
        words: &["landlock::", "close_fds::"],
        owners: &["src/child/"],
    },
    Power {
        words: &["socket2::"],
        owners: &["src/edge/", "src/client/connection/"],
    },
    Power {
        words: &["signal_hook::"],
        owners: &["src/cli/terminal/signals.rs", "src/child/supervisor.rs"],
    },
    Power {
        words: &[
            "println!",
            "eprintln!",
            "print!",
            "eprint!",
            "dbg!",
            "io::stdout",
            "io::stderr",
        ],
        owners: &["src/cli/", "src/logging/target.rs"],
    },
    Power {
        words: &["process::exit"],
        owners: &["src/cli/terminal/signals.rs"],
    },
    Power {
        words: &["env::var", "env::var_os", "env::vars", "env::vars_os"],
        owners: &[
            "src/cli/",
            "src/home/mod.rs",
            "src/config/layer.rs",
            "src/child/launcher.rs",
        ],
    },
    Power {
        words: &[
            "env::args",
            "env::args_os",
            "clap::",
            "rpassword::",
            "indicatif::",
            "listenfd::",
        ],
        owners: &["src/cli/"],
    },
    Power {
        words: &["env::temp_dir"],
        owners: &["src/disk/"],
    },
    Power {
        words: &["env::set_var", "env::remove_var", "env::set_current_dir"],
        owners: &[],
    },
];

/// What the store must not ask of the file system by a path: a part of that may be a link by now. What is
/// said of a directory that cannot be used is only said.
const BY_PATH: &[&str] = &[
    "fs::read",
    "fs::read_dir",
    "fs::read_to_string",
    "fs::metadata",
    "fs::symlink_metadata",
    "fs::exists",
    "File::open",
    "fs::stat",
    "fs::statvfs",
    "fs::lstat",
    "fs::open",
];

/// Who must not know of what, whatever the floors say.
const ABSENCES: &[(&str, &[&str])] = &[
    ("src/store/", &["http", "routes", "server", "client"]),
    ("src/http/", &["model", "store", "routes"]),
    ("src/client/", &["store", "config", "http", "edge"]),
    ("src/edge/", &["http", "model", "store"]),
];

/// Runtimes and stacks that are not for a pocket server.
const PACKAGES: &[&str] = &["tokio", "hyper", "async-std", "mio", "smol", "openssl"];

/// Lines of a file without its unit tests.
const LINES_MAX: usize = 400;

#[test]
fn one_goes_down_the_stairs_never_up() {
    holds(stairs, "src/store/near.rs", "use crate::http::Request;");
    finds(stairs, "src/disk.rs", "use crate::{error, store::Store};");
    finds(
        stairs,
        "src/edge/tls.rs",
        "fn f() { super::super::store::x() }",
    );
    finds(stairs, "src/edge/tls.rs", "use crate::Store;");
    finds(stairs, "src/attic.rs", "");
    finds(stairs, "src/disk/mod.rs", "use crate::home::LOCK;");
}

#[test]
fn every_power_has_one_owner() {
    holds(powers, "src/store/near.rs", "use std::thread::spawn;");
    for (path, line) in [
        ("src/http/mod.rs", "use tiny_http::Server;"),
        ("src/server.rs", "let x = rustls::ServerConfig::builder();"),
        (
            "src/store/near.rs",
            "use std::thread::{self, Builder, JoinHandle};",
        ),
        ("src/store/near.rs", "std::fs::rename(a, b)?;"),
        ("src/store/near.rs", "use std::fs::{self, OpenOptions};"),
        ("src/store/near.rs", "use std::{fs::{File, rename}, io};"),
        (
            "src/store/near.rs",
            "use std::{\n    fs::{File, rename},\n    io,\n};",
        ),
        ("src/store/near.rs", "use std::{io, thread::{self, scope}};"),
        ("src/node/mod.rs", "std::env::args()"),
        ("src/cli/mod.rs", "use std::process::Command;"),
        ("src/cli/mod.rs", "use std::process::{self, Command};"),
        ("src/node.rs", "println!(\"ready\");"),
        ("src/node.rs", "std::env::var(\"HOME\")"),
        ("src/cli/mod.rs", "std::env::set_var(\"A\", \"b\")"),
    ] {
        finds(powers, path, line);
    }
}

#[test]
fn the_store_reaches_its_files_from_open_folders() {
    holds(
        paths_in_store,
        "src/store/near.rs",
        "std::fs::read_dir(\"a\")",
    );
    for line in [
        "let x = std::fs::read(layout.directory().join(name))?;",
        "use std::fs::{self, read_dir};",
        "let file = File::open(path)?;",
        "rustix::fs::statvfs(path)",
    ] {
        finds(paths_in_store, "src/store/near.rs", line);
    }
}

#[test]
fn rooms_do_not_know_what_is_none_of_their_business() {
    holds(absences, "src/store/near.rs", "use crate::http::Status;");
    finds(absences, "src/http/mod.rs", "use crate::model::ModelName;");
    finds(absences, "src/client/mod.rs", "use crate::store::Store;");
    let mut sources = Sources::new();
    sources.insert(
        "Cargo.lock".to_owned(),
        "[[package]]\nname = \"tokio\"\n".to_owned(),
    );
    assert_eq!(packages(&sources).len(), 1);
    assert_eq!(packages(&tree()), [""; 0]);
}

#[test]
fn files_are_short_and_say_what_they_are_for() {
    holds(openings, "src/store/near.rs", "// no licence");
    finds(
        openings,
        "src/store/near.rs",
        "// SPDX-License-Identifier: Apache-2.0 OR MIT\nmod x;",
    );
    let long = "\n".repeat(LINES_MAX + 1);
    holds(lengths, "src/store/near.rs", &long);
    finds(
        lengths,
        "src/store/mod.rs",
        &format!("#[cfg(test)]\nmod tests;{long}"),
    );
}

#[test]
fn names_and_texts_are_plain() {
    holds(names, "src/store/utils.rs", "");
    finds(names, "src/common/mod.rs", "");
    finds(names, "src/store/upload_manager.rs", "");
    finds(names, "tests/it/support/helper.rs", "");
    holds(texts, "src/store/near.rs", "// caf\u{e9}");
}

/// Asserts that the tree keeps a rule and that a planted violation is found.
#[track_caller]
fn holds(rule: fn(&Sources) -> Vec<String>, path: &str, planted: &str) {
    let violations = rule(&tree());
    assert!(violations.is_empty(), "{}", violations.join("\n"));
    finds(rule, path, planted);
}

#[track_caller]
fn finds(rule: fn(&Sources) -> Vec<String>, path: &str, planted: &str) {
    let sources = Sources::from([(path.to_owned(), planted.to_owned())]);
    let violations = rule(&sources);
    assert!(!violations.is_empty(), "not found: {path}: {planted}");
    assert!(
        violations
            .iter()
            .all(|violation| violation.starts_with(path)),
        "{violations:?}"
    );
}

pub(crate) fn tree() -> Sources {
    let top = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut sources = Sources::new();
    for folder in ["src", "tests", "benches", "examples"] {
        collect(top, &top.join(folder), &mut sources);
    }
    let lock = fs::read_to_string(top.join("Cargo.lock")).unwrap();
    sources.insert("Cargo.lock".to_owned(), lock);
    assert!(sources.len() > 50, "the sources were not found");
    sources
}

/// Every text of the repository, sources among them.
pub(crate) fn documents() -> Sources {
    let top = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut texts = Sources::new();
    let mut folders: Vec<PathBuf> = ["src", "tests", "scripts", ".github", ".ci"]
        .iter()
        .map(|folder| top.join(folder))
        .collect();
    let mut files = vec![top.join("README.md"), top.join("Cargo.toml")];

    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                files.push(path);
            }
        }
    }

    for path in files {
        // Fixtures and compiled scripts are no texts.
        if let Ok(text) = fs::read_to_string(&path) {
            let name = path.strip_prefix(top).unwrap().to_str().unwrap();
            texts.insert(name.to_owned(), text);
        }
    }

    assert!(texts.contains_key("src/manual/json.md"));
    texts
}

fn collect(top: &Path, folder: &Path, sources: &mut Sources) {
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(top, &path, sources);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let name = path.strip_prefix(top).unwrap().to_str().unwrap().to_owned();
            sources.insert(name, fs::read_to_string(&path).unwrap());
        }
    }
}

fn stairs(sources: &Sources) -> Vec<String> {
    each_line(sources, |path, line| {
        let room = room(path)?;
        let Some(floor) = floor(room) else {
            return Some(format!("the room {room} has no floor"));
        };
        let above = visited(path, line).into_iter().find(|other| {
            let is_door = DOORS
                .iter()
                .any(|door| (door.0, door.1) == (room, other.as_str()));
            let is_down = self::floor(other).is_some_and(|other| other < floor);
            let is_word = floor <= SHARED_FLOOR_MAX && self::floor(other) == Some(floor);
            !(other == room || is_down || is_word || is_door)
        })?;
        Some(format!("{room} must not use {above}"))
    })
}

fn powers(sources: &Sources) -> Vec<String> {
    each_line(sources, |path, line| {
        room(path)?;
        let line = flat(line);
        let used = |power: &&Power| {
            let is_owner = power.owners.iter().any(|owner| path.starts_with(owner));
            !is_owner && power.words.iter().any(|word| has_word(&line, word))
        };
        POWERS
            .iter()
            .find(used)
            .map(|power| format!("only in {:?}", power.owners))
    })
}

fn paths_in_store(sources: &Sources) -> Vec<String> {
    each_line(sources, |path, line| {
        let is_store = path.starts_with("src/store/") && !path.ends_with("/unusable.rs");
        let line = flat(line);
        let used = BY_PATH.iter().find(|word| has_word(&line, word));
        used.filter(|_| is_store)
            .map(|word| format!("{word} by a path"))
    })
}

fn absences(sources: &Sources) -> Vec<String> {
    each_line(sources, |path, line| {
        let (_, unknown) = ABSENCES
            .iter()
            .find(|(folder, _)| path.starts_with(folder))?;
        let used = visited(path, line);
        let known = used
            .into_iter()
            .find(|other| unknown.contains(&other.as_str()))?;
        Some(format!("must not know {known}"))
    })
}

fn packages(sources: &Sources) -> Vec<String> {
    let lock = sources
        .get("Cargo.lock")
        .map(String::as_str)
        .unwrap_or_default();
    let names = lock
        .lines()
        .filter_map(|line| line.strip_prefix("name = \"")?.strip_suffix('"'));
    names
        .filter(|name| PACKAGES.contains(name))
        .map(|name| format!("Cargo.lock: {name}"))
        .collect()
}

fn openings(sources: &Sources) -> Vec<String> {
    let is_opening =
        |text: &str| text.starts_with("// SPDX-License-Identifier: Apache-2.0 OR MIT\n//! ");
    let rust = sources.iter().filter(|(path, _)| path.ends_with(".rs"));
    let bad = rust.filter(|(_, text)| !is_opening(text));
    bad.map(|(path, _)| format!("{path}: begins without licence or purpose"))
        .collect()
}

fn lengths(sources: &Sources) -> Vec<String> {
    let is_production = |path: &str| path.starts_with("src/") && !path.ends_with("/tests.rs");
    let lines = |text: &str| {
        // A declaration (`mod tests;`) near the top ends nothing.
        let end = text.find("#[cfg(test)]\nmod tests {").unwrap_or(text.len());
        text[..end].lines().count()
    };

    let rust = sources.iter().filter(|(path, _)| is_production(path));
    let long = rust.filter(|(_, text)| lines(text) > LINES_MAX);

    long.map(|(path, text)| format!("{path}: {} lines", lines(text)))
        .collect()
}

fn names(sources: &Sources) -> Vec<String> {
    let vague = [
        "util", "utils", "helper", "helpers", "common", "shared", "misc", "data",
    ];
    let is_vague = |part: &str| vague.contains(&part) || part.ends_with("manager");
    let parts = |path: &str| path.trim_end_matches(".rs").split('/').any(is_vague);
    sources
        .keys()
        .filter(|path| parts(path))
        .map(|path| format!("{path}: a vague name"))
        .collect()
}

fn texts(sources: &Sources) -> Vec<String> {
    let rust = sources.iter().filter(|(path, _)| path.ends_with(".rs"));
    let lines = rust.flat_map(|(path, text)| text.lines().zip(1..).map(move |line| (path, line)));
    let bad = lines.filter(|(_, (line, _))| !line.is_ascii());
    bad.map(|(path, (line, number))| format!("{path}:{number}: not ASCII: {line}"))
        .collect()
}

/// Asks about every line of code (not of comments, not of unit tests).
fn each_line(sources: &Sources, judge: impl Fn(&str, &str) -> Option<String>) -> Vec<String> {
    let mut violations = Vec::new();
    for (path, text) in sources
        .iter()
        .filter(|(path, _)| !path.ends_with("/tests.rs"))
    {
        let end = text.find("#[cfg(test)]\nmod tests {").unwrap_or(text.len());
        let code = joined(&text[..end]);
        for line in &code {
            if let Some(reason) = judge(path, line) {
                violations.push(format!("{path}: {reason}: {}", line.trim()));
            }
        }
        if text.is_empty() {
            violations.extend(judge(path, "").map(|reason| format!("{path}: {reason}")));
        }
    }
    violations
}

/// Lines of code without comments; a `use` that spans several lines becomes one.
fn joined(code: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut is_open = false;
    for line in code.lines() {
        let line = if line.trim_start().starts_with("//") {
            ""
        } else {
            line
        };
        match lines.last_mut() {
            Some(last) if is_open => last.push_str(line.trim()),
            _ => lines.push(line.to_owned()),
        }
        let last = lines.last().map(|last| last.trim()).unwrap_or_default();
        let is_use = last.starts_with("use ") || last.starts_with("pub use ");
        is_open = is_use && !last.ends_with(';');
    }
    lines
}

/// The room of a file; the map of the house and the way in belong to none.
fn room(path: &str) -> Option<&str> {
    let inside = path
        .strip_prefix("src/")
        .filter(|path| !["lib.rs", "main.rs"].contains(path))?;
    Some(
        inside
            .split('/')
            .next()
            .unwrap_or_default()
            .trim_end_matches(".rs"),
    )
}

fn floor(room: &str) -> Option<usize> {
    FLOORS.iter().position(|rooms| rooms.contains(&room))
}

/// The rooms that a line names, by `crate::` or by as many `super::` as lead out of the room.
fn visited(path: &str, line: &str) -> Vec<String> {
    let inside = path
        .trim_start_matches("src/")
        .trim_end_matches(".rs")
        .trim_end_matches("/mod");
    let up = "super::".repeat(inside.split('/').count());
    let mut rooms = Vec::new();
    for way in ["crate::", up.as_str()] {
        for (at, _) in line.match_indices(way) {
            let is_part = line[..at].ends_with(|before: char| is_letter(before) || before == ':');
            if !is_part {
                rooms.extend(firsts(&line[at + way.len()..]));
            }
        }
    }
    rooms
}

/// The first word of a path, or of each path of a list in braces.
fn firsts(path: &str) -> Vec<String> {
    let word = |text: &str| {
        let word: String = text
            .chars()
            .take_while(|letter| is_letter(*letter))
            .collect();
        // The one word of the crate's face that rooms use: it reads as if it were std's.
        if word == "Result" {
            "error".to_owned()
        } else {
            word
        }
    };
    let Some(list) = path.strip_prefix('{') else {
        return vec![word(path)];
    };
    let (mut depth, mut words, mut start) = (0, Vec::new(), true);
    for (at, letter) in list.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => start = true,
            ' ' => {}
            _ if start => {
                words.push(word(&list[at..]));
                start = false;
            }
            _ => {}
        }
    }
    words
}

/// A line with the paths of its `use` written out, so that words can be found: `std::fs::{self, File}`
/// becomes `std::fs::self std::fs::File`.
fn flat(line: &str) -> String {
    let mut flat = line.to_owned();
    if let Some((_, tree)) = line.split_once("use ") {
        write_out("", tree.trim_end_matches(';'), &mut flat);
    }
    flat
}

/// Appends the paths of a list of use-trees, each with its prefix.
fn write_out(prefix: &str, list: &str, into: &mut String) {
    let mut depth = 0;
    let items = list.split(|letter| {
        match letter {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        letter == ',' && depth == 0
    });

    for item in items.map(str::trim) {
        match item.split_once('{') {
            Some((head, inner)) => {
                let inner = inner.strip_suffix('}').unwrap_or(inner);
                write_out(&format!("{prefix}{head}"), inner, into);
            }
            None => *into += &format!(" {prefix}{item}"),
        }
    }
}

/// Whether a word stands in a line, and not as a part of a longer one.
fn has_word(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let is_end = !word.ends_with(is_letter);
        let before = line[..at].ends_with(is_letter);
        let after = line[at + word.len()..].starts_with(is_letter);
        !before && (is_end || !after)
    })
}

fn is_letter(character: char) -> bool {
    character.is_ascii_alphanumeric() || character == '_'
}
