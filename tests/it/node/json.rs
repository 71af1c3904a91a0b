// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `--json` of every command: one object, of one form, with the errors in it.

use serde_json::Value;

use crate::support::process::{Outcome, Place, Process, run, run_with};
use crate::support::served::Served;

/// What a member of a name is, wherever it stands.
#[derive(Clone, Copy, Debug)]
enum Form {
    Text,
    /// A text or `null`.
    MaybeText,
    Number,
    MaybeNumber,
    Flag,
    /// RFC 3339 in UTC.
    Time,
    MaybeTime,
    /// `sha256:` and 64 hexadecimal digits, or `null`.
    MaybeDigest,
    Texts,
    /// A list of objects.
    Objects,
    Numbers,
    Object,
    MaybeObject,
}

const FORMS: &[(&str, Form)] = &[
    ("schema", Form::Number),
    ("error", Form::Object),
    ("failed", Form::Objects),
    ("repositories", Form::Objects),
    ("commit", Form::Text),
    ("incomplete", Form::Texts),
    ("kind", Form::Text),
    ("title", Form::Text),
    ("detail", Form::Text),
    ("hint", Form::MaybeText),
    ("status", Form::Number),
    ("exit", Form::Number),
    ("name", Form::Text),
    ("path", Form::Text),
    ("url", Form::Text),
    ("urls", Form::Texts),
    ("dir", Form::Text),
    ("mode", Form::Text),
    ("ready", Form::Flag),
    ("digest", Form::MaybeDigest),
    ("remembered", Form::MaybeDigest),
    ("size", Form::Number),
    ("sent", Form::Number),
    ("published", Form::Number),
    ("same", Form::Number),
    ("revision", Form::MaybeText),
    ("folders", Form::Objects),
    ("read", Form::Number),
    ("received", Form::Number),
    ("resumed_at", Form::MaybeNumber),
    ("unchanged", Form::Flag),
    ("outcome", Form::Text),
    ("modified", Form::Time),
    ("uploaded", Form::MaybeTime),
    ("file_modified", Form::MaybeTime),
    ("meta", Form::Object),
    ("header", Form::MaybeObject),
    ("format", Form::Text),
    ("label", Form::MaybeText),
    ("architecture", Form::MaybeText),
    ("quantization", Form::MaybeText),
    ("context_length", Form::MaybeNumber),
    ("tensors", Form::Number),
    ("parameters", Form::Number),
    ("memory", Form::Number),
    ("available", Form::MaybeNumber),
    ("types", Form::Objects),
    ("first", Form::Objects),
    ("type", Form::Text),
    ("shape", Form::Numbers),
    ("imports", Form::Texts),
    ("unsafe", Form::Flag),
    ("flaw", Form::MaybeText),
    ("made", Form::Time),
    ("expires", Form::MaybeTime),
    ("expired", Form::Flag),
    ("removed", Form::Texts),
    ("unsigned", Form::Texts),
    ("revoked", Form::Texts),
    ("certificates", Form::Number),
    ("license", Form::MaybeText),
    ("source", Form::MaybeText),
    ("uploader", Form::MaybeText),
    ("number", Form::Number),
    ("versions", Form::Objects),
    ("files", Form::Objects),
    ("imported", Form::Objects),
    ("tokens", Form::Objects),
    ("issued", Form::Objects),
    ("settings", Form::Objects),
    ("signature", Form::Text),
    ("id", Form::Text),
    ("trusted_comment", Form::Text),
    ("public_key", Form::Text),
    ("public_file", Form::Text),
    ("secret_file", Form::Text),
    ("invitation", Form::Text),
    ("role", Form::Text),
    ("device", Form::Text),
    ("token", Form::Text),
    ("set", Form::Flag),
    ("ca", Form::Text),
    ("serial", Form::Text),
    ("state", Form::Text),
    ("curl", Form::Text),
    ("version", Form::Text),
    ("right", Form::Flag),
    ("section", Form::MaybeText),
    ("key", Form::Text),
    ("value", Form::MaybeText),
    ("default", Form::MaybeText),
    ("origin", Form::Text),
    ("is_default", Form::Flag),
    ("effect", Form::Text),
    ("free", Form::MaybeNumber),
    ("upload_left", Form::MaybeNumber),
    ("download_left", Form::MaybeNumber),
    ("undo", Form::MaybeNumber),
];

/// Members that only errors have, and only these.
const ERROR: [&str; 6] = ["kind", "title", "detail", "hint", "status", "exit"];

fn is_time(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() == 20 && bytes[4] == b'-' && bytes[10] == b'T' && bytes[19] == b'Z'
}

fn is_digest(text: &str) -> bool {
    text.strip_prefix("sha256:").is_some_and(|digits| {
        let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        digits.len() == 64 && digits.bytes().all(is_digit)
    })
}

fn is_list(value: &Value, is_item: impl Fn(&Value) -> bool) -> bool {
    value
        .as_array()
        .is_some_and(|list| list.iter().all(is_item))
}

fn fits(name: &str, value: &Value) -> bool {
    // The number of models of a server is the one exception, since its ready line in text form says so, too.
    if name == "models" {
        return value.is_u64() || is_list(value, Value::is_object);
    }
    let Some((_, form)) = FORMS.iter().find(|(known, _)| *known == name) else {
        return false;
    };
    let text = |is_right: fn(&str) -> bool| value.as_str().is_some_and(is_right);
    match form {
        Form::Text => value.is_string(),
        Form::MaybeText => value.is_null() || value.is_string(),
        Form::Number => value.is_u64(),
        Form::MaybeNumber => value.is_null() || value.is_u64(),
        Form::Flag => value.is_boolean(),
        Form::Time => text(is_time),
        Form::MaybeTime => value.is_null() || text(is_time),
        Form::MaybeDigest => value.is_null() || text(is_digest),
        Form::Texts => is_list(value, Value::is_string),
        Form::Objects => is_list(value, Value::is_object),
        Form::Numbers => is_list(value, Value::is_u64),
        Form::Object => value.is_object(),
        Form::MaybeObject => value.is_null() || value.is_object(),
    }
}

fn check(value: &Value, place: &str) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                let place = format!("{place}.{name}");
                assert!(fits(name, value), "{place}: {value}");
                if name == "error" {
                    let names: Vec<_> = value.as_object().unwrap().keys().collect();
                    assert!(
                        ERROR
                            .iter()
                            .all(|name| names.contains(&&(*name).to_owned()))
                    );
                    assert_eq!(names.len(), ERROR.len(), "{place}");
                }
                check(value, &place);
            }
        }
        Value::Array(values) => values.iter().for_each(|value| check(value, place)),
        _ => {}
    }
}

/// Checks what a command printed: one line, of the schema, whose error has the exit code.
fn checked(ended: &Outcome, words: &[&str]) -> Value {
    let text = String::from_utf8(ended.stdout.clone()).unwrap();
    assert_eq!(
        text.lines().count(),
        1,
        "{words:?}: {text} {}",
        ended.stderr
    );
    let value: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(value["schema"], 1, "{words:?}");
    check(&value, &words.join(" "));

    let exit = value["error"]["exit"].as_i64().unwrap_or(0);
    let is_told = exit == i64::from(ended.code) || [9, 10].contains(&ended.code);
    assert!(is_told, "{words:?}: {} and {text}", ended.code);
    value
}

#[test]
fn every_command_prints_one_object_of_one_form() {
    let server = Served::start(&["--keep-versions", "2"]);
    let place = &server.place;
    place.file("a.onnx", "some bytes");
    place.file("settings.toml", "[store]\n");
    let ask = |words: &[&str]| {
        let ended = server.skep(&[words, &["--json"]].concat());
        (checked(&ended, words), ended.code)
    };

    for words in [
        &["put", "a.onnx", "--license", "MIT"][..],
        &["put", "a.onnx"],
        &["get", "a.onnx", "-o", "models/"],
        &["ls"],
        &["status"],
        &["show", "a.onnx"],
        &["verify"],
        &["rm", "a.onnx"],
        &["put", "a.onnx"],
        &["rollback", "a.onnx"],
        &["post", "a.onnx"],
        &["load", "a.onnx", "-o", "loaded/"],
        &["keygen", "-o", "team.key"],
        &["sign", "--key", "team.key", "a.onnx"],
        &["verify", "--key", "team.pub", "a.onnx"],
        &["invite"],
        &["token", "new", "tablet"],
        &["token", "new", "phone", "--expires", "90d"],
        &["token", "ls"],
        &["token", "rm", "tablet"],
        &["ca", "init"],
        &["ca", "issue", "phone"],
        &["ca", "ls"],
        &["ca", "revoke", "phone"],
        &["ca", "ls"],
        &["fingerprint"],
        &["config"],
        &["version"],
    ] {
        let (value, code) = ask(words);
        assert_eq!(code, 0, "{words:?}: {value}");
    }

    run_with(&mut server.command(&["passwd"]), b"correct horse battery\n").exits(0);
    ask(&["passwd", "--remove"]);

    // The same where it goes wrong: as a whole, for single items, and in the command line.
    for (words, kind, code) in [
        (&["put", "missing"][..], "not-found", 4),
        (&["put", "a.onnx", "--if-match", "x"], "usage", 2),
        (&["get", "missing"], "not-found", 4),
        (&["show", "missing"], "not-found", 4),
        (&["mirror", "me/missing"], "not-found", 4),
        (&["mirror", "a/b/c"], "usage", 2),
        (&["verify", "missing"], "not-found", 4),
        (&["rollback", "missing"], "not-found", 4),
        (&["load", "missing"], "not-found", 4),
        (&["post", "missing"], "not-found", 4),
        (&["token", "rm", "nobody"], "not-found", 4),
        (&["pair", "nothing"], "usage", 2),
        (&["ca", "revoke", "nobody"], "not-found", 4),
        (&["verify", "--key", "team.pub", "nothing"], "not-found", 4),
        (&["sign", "--key", "team.key", "nothing"], "not-found", 4),
        (&["keygen", "-o", "team.key"], "conflict", 11),
        (&["config", "check", "nothing"], "not-found", 4),
        (&["ls", "--no-such-flag"], "usage", 2),
        (&["lss"], "usage", 2),
        (&["help", "nothing-like-it"], "usage", 2),
        (&["fingerprint", "http://127.0.0.1:1"], "usage", 2),
        (&["ls", "--server", "https://127.0.0.1:1"], "unreachable", 3),
        (&["serve", "--dir", "/proc/nothing"], "usage", 2),
    ] {
        // The topic has to be the last word.
        let words = words.to_vec();
        let (value, exit) = ask(&words);
        assert_eq!(
            (&value["error"]["kind"], exit),
            (&kind.into(), code),
            "{words:?}: {value}"
        );
    }
    server.stop().exits(0);
}

#[test]
fn failed_and_missing_items_appear() {
    let server = Served::start(&[]);
    let place = &server.place;
    place.file("a", "x");
    let folder = place.path("models");
    std::fs::create_dir_all(folder.join("inner")).unwrap();
    std::fs::write(folder.join("b"), "x").unwrap();
    std::os::unix::fs::symlink("../a", folder.join("link")).unwrap();
    std::os::unix::fs::symlink("nothing", folder.join("dangling")).unwrap();
    let ask = |words: &[&str]| {
        let ended = server.skep(&[words, &["--json"]].concat());
        checked(&ended, words)
    };

    let value = ask(&["put", "a", "missing"]);
    assert_eq!(value["models"][0]["name"], "a");
    assert_eq!(value["failed"][0]["name"], "missing");
    assert_eq!(value["failed"][0]["error"], value["error"]);

    // What was left out is told, also where it has to be quiet, and is no success.
    let value = ask(&["put", "models"]);
    assert_eq!(value["folders"][0]["published"], 1);
    assert_eq!(value["incomplete"].as_array().unwrap().len(), 2, "{value}");
    let quiet = server.skep(&["put", "-q", "models"]).exits(10);
    assert!(quiet.stdout.is_empty());
    assert_eq!(
        quiet.stderr.matches("incomplete: ").count(),
        2,
        "{}",
        quiet.stderr
    );
    server
        .skep(&["put", "-q", "models", "--follow-links"])
        .exits(10);
    assert!(server.dir.join("models/link").exists());

    // Quiet is quiet where nothing is missing.
    for words in [
        &["put", "-q", "a"][..],
        &["put", "-q", "a", "--always"],
        &["get", "-q", "a", "-o", "copy"],
        &["get", "-q", "a", "-o", "copy", "--if-changed"],
        &["rm", "-q", "a"],
    ] {
        let ended = server.skep(words).exits(0);
        assert!(
            ended.stdout.is_empty() && ended.stderr.is_empty(),
            "{words:?}: {}",
            ended.stderr
        );
    }
    let value = ask(&["rm", "models/b", "missing", "models/link"]);
    assert_eq!(
        value["removed"],
        serde_json::json!(["models/b", "models/link"])
    );
    assert_eq!(value["failed"][0]["name"], "missing");
    server.stop().exits(0);
}

#[test]
fn models_on_standard_output_are_no_json() {
    let server = Served::start(&[]);
    run_with(&mut server.command(&["put", "-", "--name", "a"]), b"bytes").exits(0);
    for words in [
        &["cat", "a", "--json"][..],
        &["get", "a", "-o", "-", "--json"],
    ] {
        assert_eq!(server.skep(words).exits(0).stdout, b"bytes");
    }
    let ended = server.skep(&["cat", "missing", "--json"]).exits(4);
    assert!(ended.stdout.is_empty());
    server.stop().exits(0);
}

#[test]
fn nothing_in_json_steers_a_terminal() {
    let place = Place::new();
    let name = "a\u{9b}31m\u{202e}\u{200f}\u{2028}";
    let ended = run(&mut place.skep(&["put", name, "--json"]));
    assert_eq!(checked(&ended, &["put"])["failed"][0]["name"], name);
    let text = String::from_utf8(ended.stdout).unwrap();
    assert!(text.contains("\\u009b") && text.contains("\\u200f") && text.trim_end().is_ascii());
    drop(Process::start(&mut place.skep(&["version"])));
}

#[test]
fn a_usage_error_is_told_as_a_whole() {
    let place = Place::new();
    for (words, detail, hint) in [
        (
            &["get"][..],
            "the following required arguments were not provided: <NAME>...",
            None,
        ),
        (&["pair", "a", "b"], "unexpected argument 'b' found", None),
        (
            &["ls", "--serve", "x"],
            "unexpected argument '--serve' found",
            Some("a similar argument exists: '--server'"),
        ),
        (
            &["invite", "--role", "boss"],
            "invalid value 'boss' for '--role <ROLE>' [possible values: read, write, admin]",
            None,
        ),
        (
            &["token", "new"],
            "the following required arguments were not provided: <NAME>",
            None,
        ),
    ] {
        for variable in [false, true] {
            let mut command = place.skep(words);
            let ended = if variable {
                run(command.env("SKEP_JSON", "1"))
            } else {
                run(command.arg("--json"))
            };
            let error = ended.exits(2).json()["error"].clone();
            assert_eq!(error["detail"], detail, "{words:?}");
            assert_eq!(error["hint"].as_str(), hint, "{words:?}");
        }
    }
}
