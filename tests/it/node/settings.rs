// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Settings of a running server: the file in the home, and SIGHUP, which has it read again.

use rustix::process::Signal;

use crate::support::process::{Place, noise, run, until};
use crate::support::served::Served;

#[test]
fn a_hangup_has_the_file_read_again() {
    let place = Place::new();
    std::fs::create_dir_all(place.home()).unwrap();
    let settings = place.home().join("config.toml");
    std::fs::write(&settings, "max-upload-bytes = \"1KiB\"\n").unwrap();
    let server = Served::start_in(&place, &[]);
    place.file("m", noise(1, 5000));
    server.skep(&["put", "m"]).exits(8);
    std::fs::write(&settings, "max-upload-bytes = \"1MiB\"\nworkers = 3\n").unwrap();
    server.process.signal(Signal::HUP);
    until(|| server.skep(&["put", "m"]).code == 0);
    // A mistake changes nothing and ends nothing.
    std::fs::write(&settings, "max-upload-byte = 1\n").unwrap();
    server.process.signal(Signal::HUP);
    std::fs::write(place.path("n"), "n").unwrap();
    server.skep(&["put", "n"]).exits(0);
    let ended = server.stop().exits(0);
    ended
        .says("workers will take effect at the next start")
        .says("did you mean max-upload-bytes?");
}

#[test]
fn a_mistake_in_the_file_is_told_at_the_start() {
    let place = Place::new();
    std::fs::create_dir_all(place.home()).unwrap();
    std::fs::write(place.home().join("config.toml"), "\nworkers = \"many\"\n").unwrap();
    let outcome = run(&mut place.skep(&["serve", "--port", "0"])).exits(2);
    outcome.says("config.toml, line 2: 'many' is not a valid value for workers");
    std::fs::remove_file(place.home().join("config.toml")).unwrap();
    let outcome = run(&mut place.skep(&["serve", "--max-connections", "-1"])).exits(2);
    assert!(!outcome.stderr.contains("-- -1"), "{}", outcome.stderr);
}

#[test]
fn a_number_that_no_device_can_keep_is_refused_with_its_origin() {
    let place = Place::new();
    let serve = ["serve", "127.0.0.1", "--port", "0", "--workers", "100000"];
    let outcome = run(&mut place.skep(&serve)).exits(2);
    outcome.says("--workers: workers must be at most 256");

    let mut command = place.skep(&["serve", "127.0.0.1", "--port", "0"]);
    run(command.env("SKEP_MAX_FIELDS", "0"))
        .exits(2)
        .says("the variable SKEP_MAX_FIELDS: max-fields must be more than 0");
    assert!(!place.home().join("server.key").exists());
}

#[test]
fn a_file_is_checked_as_a_start_checks_it() {
    let place = Place::new();
    let check = |text: &str| {
        std::fs::write(place.path("new.toml"), text).unwrap();
        run(&mut place.skep(&["config", "check", "new.toml"]))
    };
    let good = check("[limits]\nmax-connections = 5\n").exits(0);
    assert_eq!(good.text(), "new.toml: no mistakes\n");

    for (text, told) in [
        ("cert = \"a.pem\"", "new.toml, line 1: --cert is given"),
        (
            "\nlisten = \"300.1.1.1\"",
            "new.toml, line 2: '300.1.1.1' is not an address",
        ),
        (
            "cert = \"a.pem\"\nkey = \"a.pem\"",
            "--cert a.pem cannot be read",
        ),
    ] {
        check(text).exits(2).says(told);
    }
    for (text, told) in [
        (
            "log-file = \"/nowhere/log\"",
            "line 1: /nowhere/log cannot be written",
        ),
        ("\nwrite-addr = \".\"", "line 2: . cannot be written"),
        (
            "log-syslog = \"/nowhere/log\"",
            "line 1: there is no socket /nowhere/log",
        ),
    ] {
        check(text).exits(2).says(told);
    }
    check("log-file = \"log\"").exits(0);
    assert!(!place.path("log").exists());
    run(&mut place.skep(&["config", "check", "."]))
        .exits(2)
        .says(". is a directory; a file of settings is needed");
}

#[test]
fn signals_that_tell_of_trouble_elsewhere_end_nothing() {
    let server = Served::start(&["--plain"]);
    for signal in [Signal::PIPE, Signal::XFSZ, Signal::HUP] {
        server.process.signal(signal);
        server.skep(&["ls"]).exits(0);
    }
    server.stop().exits(0);
}

#[test]
fn a_hangup_moves_the_log() {
    let place = Place::new();
    std::fs::create_dir_all(place.home()).unwrap();
    let settings = place.home().join("config.toml");
    let (old, new) = (place.path("old.log"), place.path("new.log"));
    let text = |file: &std::path::Path, rest: &str| {
        format!("[log]\nfile = \"{}\"\n{rest}", file.display())
    };
    std::fs::write(&settings, text(&old, "")).unwrap();
    let server = Served::start_in(&place, &["--plain"]);
    place.file("m", b"m");
    server.skep(&["put", "m"]).exits(0);
    until(|| {
        std::fs::read_to_string(&old)
            .unwrap_or_default()
            .contains("/v1/models/m")
    });

    std::fs::write(&settings, text(&new, "max-bytes = 400\nkeep = 1\n")).unwrap();
    server.process.signal(Signal::HUP);
    until(|| std::fs::read_to_string(&new).is_ok());
    until(|| {
        server.skep(&["get", "m", "-o", "copy"]);
        place.path("new.log.1").exists()
    });

    assert!(!place.path("new.log.2").exists());
    server.stop().exits(0);
}

#[test]
fn a_check_tells_of_all_mistakes_in_the_order_of_their_lines() {
    let place = Place::new();
    let text = "landlock = 1\nworkers = 4 5\n[limits]\nmax-conections = 3\ntimeout = \"soon\"\n\
                max-fields = \"none\"\nmax-connections = 9999999\nmax-head-bytes = 5\n[stor]\na = 1\n\
                [store]\naccept = [\"a/b\", \".c\", \"*\"]\nread-only = maybe\n[log]\nfile = true\n\
                syslog = \"/dev/log\"\nkeep = 5000\n";
    std::fs::write(place.path("new.toml"), text).unwrap();
    let outcome = run(&mut place.skep(&["config", "check", "new.toml", "--json"])).exits(2);
    let lines: Vec<_> = outcome.stderr.lines().collect();
    let told = [
        "1: landlock must be true or false",
        "2: ",
        "4: unknown setting 'max-conections' in [limits]; did you mean max-connections?",
        "5: 'soon' is not a valid value for timeout",
        "6: 'none' is not a valid value for max-fields: it cannot be switched off",
        "7: max-connections must be at most",
        "8: max-head-bytes must be at least 1KiB",
        "9: unknown table 'stor'; did you mean [store]?",
        "12: 'a/b' is not a pattern",
        "12: '.c' is not a pattern",
        "13: 'maybe' is not a valid value for read-only",
        "15: log-file must be a text in quotation marks",
        "17: log-keep must be at most",
    ];
    assert_eq!(lines.len(), told.len(), "{}", outcome.stderr);
    for (line, told) in lines.iter().zip(told) {
        let start = format!("skep: error: new.toml, line {told}");
        assert!(line.starts_with(&start), "{start}: {line}");
    }
    let json = outcome.json();
    assert_eq!(json["failed"].as_array().unwrap().len(), told.len());
    assert_eq!(json["failed"][2]["name"], "new.toml");
}

#[test]
fn what_is_shown_is_a_file_again() {
    let place = Place::new();
    let mut command = place.skep(&["config", "--log-polls", "--tls-min", "1.3"]);
    command.envs([("SKEP_PLAIN", "yes"), ("SKEP_LANDLOCK", "0")]);
    let text = run(command.env("SKEP_DEARNING", "On")).exits(0).text();
    for line in [
        "plain = true",
        "landlock = false",
        "dearning = true",
        "log-polls = true",
    ] {
        assert!(text.lines().any(|shown| shown == line), "{line}: {text}");
    }
    std::fs::write(place.path("new.toml"), &text).unwrap();
    run(&mut place.skep(&["config", "check", "new.toml"])).exits(0);
    std::fs::write(place.home().join("config.toml"), &text).unwrap();
    assert_eq!(run(&mut place.skep(&["config"])).exits(0).text(), text);
}

#[test]
fn help_shows_the_settings_of_a_section_and_single_ones() {
    let place = Place::new();
    let help = |word: &str| run(&mut place.skep(&["help", word])).exits(0).text();
    let overview = run(&mut place.skep(&["help"])).exits(0).text();
    for section in skep::SECTIONS {
        let text = help(section.name);
        assert!(
            text.contains(section.about) && overview.contains(section.name),
            "{text}"
        );
        for row in section.rows {
            let flag = format!("--{} {}", row.key, row.value);
            assert!(
                text.contains(&flag) && text.contains(row.help),
                "{flag}: {text}"
            );
            let single = help(row.key);
            assert!(single.contains(row.help) && single.matches("  --").count() == 1);
        }
    }
    assert!(help("limits").contains("[default: 25; a change counts: new connections]"));
    run(&mut place.skep(&["help", "limit"]))
        .exits(2)
        .says("did you mean 'skep help limits'?");
}
