// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What is shown to somebody who sits at a terminal.

use std::process::Command;

use rustix::process::{Pid, Signal, kill_process};

use crate::support::process::{Place, run};
use crate::support::served::Served;
use crate::support::terminal::Terminal;

#[test]
#[cfg_attr(not(has_setsid), ignore = "setsid is not installed")]
fn a_password_is_not_shown_and_the_terminal_is_as_before() {
    let place = Place::new();
    let mut terminal = Terminal::start(&place.skep(&["passwd"]), 80);
    terminal.asks("new password: ");
    terminal.types("five words of mine x\u{7f}\r");
    terminal.asks("the new password again: ");
    terminal.types("five words of mine \r");
    let (code, echoes, screen) = terminal.ends();
    assert_eq!((code, echoes), (0, true), "{screen}");
    assert!(
        screen.contains("the password is set") && !screen.contains("of mine"),
        "{screen}"
    );
    assert!(place.home().join("password.argon2").exists());
}

#[test]
#[cfg_attr(not(has_setsid), ignore = "setsid is not installed")]
fn a_password_that_cannot_be_kept_is_not_asked_for_twice() {
    let place = Place::new();
    let mut terminal = Terminal::start(&place.skep(&["passwd"]), 80);
    terminal.asks("10 characters at least");
    terminal.asks("new password: ");
    terminal.types("short\r");
    let (code, _, screen) = terminal.ends();
    assert!(code == 2 && screen.contains("too short"), "{screen}");
    assert!(!screen.contains("again"), "{screen}");

    // Nor at all, if no password can be.
    let place = Place::new();
    std::fs::create_dir(place.home().join("password.argon2.lock")).unwrap();
    let (code, _, screen) = Terminal::start(&place.skep(&["passwd"]), 80).ends();
    assert!(code == 2 && !screen.contains("new password"), "{screen}");
}

#[test]
#[cfg_attr(not(has_setsid), ignore = "setsid is not installed")]
fn ctrl_c_at_either_question_leaves_a_terminal_that_echoes() {
    for answered in [0, 1] {
        let place = Place::new();
        let mut terminal = Terminal::start(&place.skep(&["passwd"]), 80);
        terminal.asks("new password: ");
        if answered == 1 {
            terminal.types("five words of mine\r");
            terminal.asks("the new password again: ");
        }
        terminal.types("fi\u{3}");
        let (code, echoes, screen) = terminal.ends();
        assert_eq!((code, echoes), (130, true), "{screen}");
        assert!(screen.contains("nothing was changed"), "{screen}");
        assert!(!place.home().join("password.argon2").exists());
    }
}

/// What a terminal has shown of a transfer, in an environment.
fn shown(server: &Served, columns: u16, environment: &[(&str, &str)], words: &[&str]) -> String {
    let mut command = server.command(words);
    for name in ["LC_ALL", "LC_CTYPE", "LANG", "NO_COLOR"] {
        command.env_remove(name);
    }
    command.envs(environment.iter().copied());
    let (code, _, screen) = Terminal::start(&command, columns).ends();
    assert_eq!(code, 0, "{screen}");
    screen
}

#[test]
#[cfg_attr(not(has_setsid), ignore = "setsid is not installed")]
fn a_bar_suits_the_terminal() {
    let server = Served::start(&[]);
    server.place.file("model.dm", vec![7; 1 << 20]);
    let put = ["put", "--always", "model.dm"];

    let blocks = |screen: &str| screen.contains(['\u{2588}', '\u{2591}']);
    for environment in [&[][..], &[("NO_COLOR", "1")]] {
        let utf8 = [
            environment,
            &[("TERM", "xterm-256color"), ("LANG", "C.UTF-8")],
        ]
        .concat();
        let screen = shown(&server, 80, &utf8, &put);
        assert!(
            blocks(&screen) && screen.contains("/1.00 MiB "),
            "{screen:?}"
        );
        // No attributes, such as colours, are set.
        let sequences = screen.split("\u{1b}[").skip(1);
        for sequence in sequences {
            let end = sequence
                .find(|byte: char| byte.is_ascii_alphabetic())
                .unwrap();
            assert_ne!(&sequence[end..=end], "m", "{screen:?}");
        }
    }

    let screen = shown(&server, 80, &[("TERM", "xterm"), ("LANG", "C")], &put);
    assert!(
        screen.is_ascii() && screen.contains(".........."),
        "{screen:?}"
    );
    let screen = shown(&server, 40, &[("TERM", "xterm"), ("LANG", "C.UTF-8")], &put);
    assert!(!blocks(&screen) && screen.contains("% "), "{screen:?}");

    for environment in [
        &[("TERM", "dumb")][..],
        &[("TERM", "dumb"), ("LANG", "C.UTF-8")],
    ] {
        let screen = shown(&server, 80, environment, &put);
        assert!(!screen.contains('\u{1b}') && !blocks(&screen), "{screen:?}");
    }
    let quiet = [&put[..], &["--no-progress"]].concat();
    let screen = shown(&server, 80, &[("TERM", "xterm")], &quiet);
    assert!(!screen.contains('\u{1b}'), "{screen:?}");
}

#[test]
#[cfg_attr(not(has_setsid), ignore = "setsid is not installed")]
fn lines_of_the_log_are_whole_beside_a_bar() {
    let server = Served::start(&[]);
    server.place.file("model.dm", vec![7; 1 << 20]);
    let put = ["put", "model.dm", "-vvv"];
    let screen = shown(&server, 80, &[("TERM", "xterm"), ("LANG", "C.UTF-8")], &put);

    let before: Vec<_> = screen.split("skep: debug: ").collect();
    let after_the_bar = before.iter().position(|text| text.contains('\u{2591}'));
    assert!(
        after_the_bar.is_some_and(|at| at + 1 < before.len()),
        "{screen:?}"
    );
    for text in &before[..before.len() - 1] {
        // A line begins after another one, or where the bar was.
        assert!(text.is_empty() || text.ends_with(['\n', 'K']), "{screen:?}");
    }
}

#[test]
#[cfg_attr(not(has_setsid), ignore = "setsid is not installed")]
fn a_password_is_asked_for_where_there_is_none() {
    let server = Served::start(&[]);
    let stranger = Place::new();
    stranger.file("m", "bytes");
    let pin = server.fp.clone().unwrap();
    for words in [
        &["ls"][..],
        &["put", "m"],
        &["cat", "m"],
        &["put", "m", "--create", "--name", "n"],
    ] {
        let words = [words, &["--pin", &pin]].concat();
        let mut terminal = Terminal::start(&server.command_of(&stranger, &words), 100);
        terminal.asks("password or token of https://");
        assert!(!terminal.echoes(), "{words:?}");
        terminal.types(&format!("{}\r", server.password()));
        let (code, _, screen) = terminal.ends();
        assert_eq!(code, 0, "{words:?}: {screen}");
        assert!(!screen.contains(&server.password()), "{words:?}");
    }
    assert_eq!(server.names(), ["m", "n"]);

    // Once, and not where one was given.
    let words = ["ls", "--pin", &pin];
    let mut terminal = Terminal::start(&server.command_of(&stranger, &words), 100);
    terminal.asks("password or token of");
    terminal.types("wrong-and-long-enough\r");
    assert_eq!(terminal.ends().0, 7);
    let mut given = server.command_of(&stranger, &words);
    given.env("SKEP_PASSWORD", "wrong-and-long-enough");
    let (code, _, screen) = Terminal::start(&given, 100).ends();
    assert!(
        code == 7 && !screen.contains("password or token of"),
        "{screen}"
    );

    // Where nobody can be asked, the error says how to get in.
    let ended = run(&mut server.command_of(&stranger, &words));
    ended.exits(7).says("skep invite").says("skep pair");
    server.stop().exits(0);
}

/// `skep invite` with its standard output at a terminal.
fn invited(server: &Served, columns: u16, environment: &[(&str, &str)]) -> String {
    let mut command = server.place.command("sh");
    let skep = env!("CARGO_BIN_EXE_skep");
    command.args(["-c", "exec \"$0\" invite 1>&2", skep]);
    for name in ["LC_ALL", "LC_CTYPE", "LANG"] {
        command.env_remove(name);
    }
    command
        .env("TERM", "xterm")
        .envs(environment.iter().copied());
    let (code, _, screen) = Terminal::start(&command, columns).ends();
    assert!(code == 0 && screen.contains("skep://"), "{screen}");
    screen
}

#[test]
#[cfg_attr(not(has_setsid), ignore = "setsid is not installed")]
fn a_qr_code_suits_the_terminal() {
    let server = Served::start(&[]);
    let utf8 = [("LANG", "C.UTF-8")];
    let screen = invited(&server, 80, &utf8);
    assert!(
        screen.contains('\u{2588}') && !screen.contains("####"),
        "{screen}"
    );

    for environment in [
        &[][..],
        &[("LC_ALL", "C"), utf8[0]],
        &[("TERM", "dumb"), utf8[0]],
    ] {
        let screen = invited(&server, 200, environment);
        assert!(screen.is_ascii() && screen.contains("####"), "{screen}");
    }

    // A code whose lines are broken cannot be read.
    for (columns, environment) in [(30, &utf8[..]), (60, &[])] {
        let screen = invited(&server, columns, environment);
        let text = screen.replace(['\r', '\n'], "");
        assert!(text.contains("the QR code is left out"), "{screen}");
        assert!(!screen.contains("####") && screen.is_ascii(), "{screen}");
    }
}

#[test]
fn nothing_but_names_and_blocks_is_beyond_ascii() {
    let server = Served::start(&[]);
    server.place.file("m", "x");
    server.place.file("bad.toml", "x = \u{1f}");
    let help = server.skep(&["help"]).exits(0).text();
    let section = help.split("Commands:\n").nth(1).unwrap();
    let verbs = section.lines().take_while(|line| !line.is_empty());
    let verbs: Vec<_> = verbs
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    assert!(verbs.len() > 15, "{verbs:?}");

    let topics = skep::manual::TOPICS.iter().map(|topic| topic.name);
    let helps = verbs
        .iter()
        .copied()
        .chain(topics)
        .map(|word| vec!["help", word]);
    let wrong = verbs.iter().map(|verb| vec![*verb, "--no-such-flag"]);
    let others = [
        &["help"][..],
        &["put", "m"],
        &["put", "m", "--if-changed", "-vv"],
        &["ls", "-l"],
        &["show", "m"],
        &["get", "m", "-o", "copy"],
        &["get", "nothing"],
        &["verify"],
        &["invite", "--qr"],
        &["config"],
        &["config", "check", "bad.toml"],
        &["token", "new", "pi", "--expires", "1d"],
        &["token", "ls"],
        &["ls", "--server", "https://127.0.0.1:1"],
        &["fingerprint", "--curl"],
        &["rm", "m"],
        &["ls"],
    ];
    for words in helps.chain(wrong).chain(others.map(<[_]>::to_vec)) {
        let mut command = server.command(&words);
        let outcome = run(command.env("LC_ALL", "C"));
        let said = outcome.text() + &outcome.stderr;
        assert!(said.is_ascii() && !said.is_empty(), "{words:?}: {said}");
    }
}

/// The same command with its standard output and the number of its process in files.
fn noted(command: &Command) -> Command {
    let mut shell = Command::new("sh");
    shell
        .args(["-c", "echo $$ >number; exec \"$0\" \"$@\" >out"])
        .arg(command.get_program())
        .args(command.get_args())
        .current_dir(command.get_current_dir().unwrap());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    shell
}

#[test]
#[cfg_attr(not(has_setsid), ignore = "setsid is not installed")]
fn a_signal_at_a_question_ends_the_command_at_once() {
    let server = Served::start(&[]);
    server.place.file("m", "bytes");
    server.skep(&["put", "m"]).exits(0);
    let pin = server.fp.clone().unwrap();

    let stranger = Place::new();
    for (words, question, is_hidden) in [
        (&["rm", "m*", "--json"][..], "? [y/N] ", false),
        (&["ls", "--json"], "fingerprint that it must have] ", false),
        (
            &["ls", "--json", "--pin", &pin],
            "password or token of",
            true,
        ),
        (&["pair", "--json"], "paste what", true),
        (&["passwd", "--json"], "new password: ", true),
    ] {
        for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143), (Signal::HUP, 129)] {
            let place = if words[0] == "rm" {
                &server.place
            } else {
                &stranger
            };
            let command = server.command_of(place, words);
            let mut terminal = Terminal::start(&noted(&command), 100);
            if is_hidden {
                terminal.asks(question);
            } else {
                terminal.shows(question);
            }

            if signal == Signal::INT {
                terminal.types("\u{3}");
            } else {
                let number = String::from_utf8(place.read("number")).unwrap();
                let process = Pid::from_raw(number.trim().parse().unwrap()).unwrap();
                kill_process(process, signal).unwrap();
            }
            let (ended, echoes, screen) = terminal.ends();
            assert_eq!((ended, echoes), (code, true), "{words:?}: {screen}");
            assert!(
                screen.contains("\nskep: interrupted"),
                "{words:?}: {screen}"
            );

            let out = String::from_utf8(place.read("out")).unwrap();
            assert_eq!(out.lines().count(), 1, "{words:?}: {out}");
            let told: serde_json::Value = serde_json::from_str(&out).unwrap();
            assert_eq!(told["error"]["exit"], code, "{words:?}: {out}");
        }
    }
    assert_eq!(server.names(), ["m"]);
}
