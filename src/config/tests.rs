// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Settings and their layers.

use std::path::PathBuf;
use std::time::Duration;

use super::*;
use crate::error::ErrorKind;

fn all() -> impl Iterator<Item = &'static Setting> {
    settings().map(|(_, setting)| setting)
}

fn setting(key: &str) -> &'static Setting {
    all().find(|setting| setting.key == key).expect(key)
}

fn config() -> Config {
    Config::new("/home/skep".into())
}

#[test]
fn the_table_tells_the_defaults() {
    let mut from_table = config();
    for setting in all().filter(|setting| !setting.default.is_empty()) {
        setting
            .take(&mut from_table, setting.default)
            .expect(setting.key);
    }
    let mut defaults = config();
    defaults.addresses = vec!["*".to_owned()];
    assert_eq!(format!("{from_table:?}"), format!("{defaults:?}"));
}

#[test]
fn keys_are_unique_and_every_row_has_a_help_text() {
    for (index, setting) in all().enumerate() {
        assert!(
            all().take(index).all(|other| other.key != setting.key),
            "{}",
            setting.key
        );
        assert!(
            !setting.help.is_empty() && !setting.help.ends_with('.'),
            "{}",
            setting.key
        );
    }
}

#[test]
fn variables_of_the_dearning_server_stand_in_for_ours() {
    let variables = |name: &str| match name {
        "DEARNING_PORT" => Some("1".into()),
        "DEARNING_MODEL_DIR" => Some("old".into()),
        "SKEP_DIR" => Some("ours".into()),
        "SKEP_WORKERS" => Some(String::new().into()),
        _ => None,
    };
    let mut config = config();
    config
        .take(&Layer::from_variables(variables).unwrap())
        .unwrap();
    assert_eq!((config.port, config.directory.to_str()), (1, Some("ours")));
    assert_eq!(config.limits.workers, 8);
}

#[test]
fn a_flag_goes_over_a_variable() {
    let mut config = config();
    let variables = |name: &str| (name == "SKEP_PLAIN").then(|| "yes".into());
    config
        .take(&Layer::from_variables(variables).unwrap())
        .unwrap();
    assert!(config.plain);
    let mut flags = Layer::default();
    flags.set_flag(setting("plain"), "false".to_owned());
    config.take(&flags).unwrap();
    assert!(!config.plain);
}

#[test]
fn a_bad_value_names_its_origin() {
    let variables = |name: &str| (name == "SKEP_TIMEOUT").then(|| "soon".into());
    let error = config()
        .take(&Layer::from_variables(variables).unwrap())
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Usage);
    assert!(
        error
            .message()
            .starts_with("the variable SKEP_TIMEOUT: 'soon'"),
        "{error}"
    );
}

#[test]
fn quantities_have_units() {
    use crate::text::{bytes, duration};
    assert_eq!(duration("90"), Ok(Duration::from_secs(90)));
    assert_eq!(duration("500 ms"), Ok(Duration::from_millis(500)));
    assert_eq!(duration("2m"), Ok(Duration::from_secs(120)));
    assert_eq!(duration("7d"), Ok(Duration::from_secs(7 * 86_400)));
    for bad in [
        "",
        "s",
        "1w",
        "-1s",
        "0",
        "99999999999999999999",
        "876601h",
        "36526d",
    ] {
        assert!(duration(bad).is_err(), "{bad}");
    }
    assert_eq!(bytes("4096"), Ok(4096));
    assert_eq!(bytes("64KiB"), Ok(65536));
    assert_eq!(bytes("64k"), Ok(65536));
    assert_eq!(bytes("10MB"), Ok(10_000_000));
    assert_eq!(bytes("5 GiB"), Ok(5 << 30));
    for bad in ["", "KiB", "1X", "1KiBs", "-1", "99999999T", "1\u{e9}"] {
        assert!(bytes(bad).is_err(), "{bad}");
    }
}

#[test]
fn what_is_in_force_has_its_text_and_its_origin() {
    let mut config = config();
    config
        .take(
            &Layer::from_toml(
                "[limits]\nmax-fields = 7\ntimeout = \"3s\"\n",
                "config.toml",
            )
            .unwrap(),
        )
        .unwrap();
    let variables = |name: &str| (name == "SKEP_TIMEOUT").then(|| "4s".into());
    config
        .take(&Layer::from_variables(variables).unwrap())
        .unwrap();
    let mut flags = Layer::default();
    flags.set_flag(setting("workers"), "5".to_owned());
    config.take(&flags).unwrap();

    let effective = config.effective();
    assert_eq!(effective.len(), all().count());
    for (key, text, origin) in [
        (
            "max-fields",
            "7",
            Origin::Line("config.toml, line 2".to_owned()),
        ),
        ("timeout", "4s", Origin::Variable("SKEP_TIMEOUT".to_owned())),
        ("workers", "5", Origin::Flag("workers")),
        ("port", "8443", Origin::Default),
    ] {
        let (_, _, found) = effective
            .iter()
            .find(|(_, setting, _)| setting.key == key)
            .expect(key);
        assert_eq!((found.text.as_str(), &found.origin), (text, &origin));
    }
}

#[test]
fn a_change_is_a_difference_of_what_was_written() {
    let read = |text: &str| {
        let mut config = Config::new(PathBuf::from("/home/skep"));
        config
            .take(&Layer::from_toml(text, "config.toml").unwrap())
            .unwrap();
        config
    };
    let started = read("workers = 2\ntimeout = \"3s\"\n");
    let newer = read("workers = 3\ntimeout = \"4s\"\nport = 8443\n");

    assert_eq!(started.changed(&newer, Effect::NextStart), ["workers"]);
    assert_eq!(started.changed(&newer, Effect::NewConnections), ["timeout"]);
    assert_eq!(started.changed(&newer, Effect::AtOnce), [""; 0]);
}

fn checked(text: &str) -> crate::error::Result<()> {
    let mut config = config();
    config.take(&Layer::from_toml(text, "config.toml")?)?;
    config.check_with_files()
}

#[test]
fn what_a_start_would_refuse_is_told_with_its_line() {
    for (text, told) in [
        (
            "\nworkers = 100000",
            "config.toml, line 2: workers must be at most 256",
        ),
        (
            "max-fields = 0",
            "config.toml, line 1: max-fields must be more than 0",
        ),
        (
            "log-keep = 4294967295",
            "config.toml, line 1: log-keep must be at most 1000",
        ),
        (
            "[cache]\nbytes = \"1TiB\"",
            "config.toml, line 2: cache-bytes must be at most 16GiB",
        ),
        (
            "cert = \"/a\"",
            "config.toml, line 1: --cert is given, but --key is missing",
        ),
        (
            "lockout-time = \"1h\"",
            "config.toml, line 1: lockout-time (1h) must not be longer than lockout-time-max (15m)",
        ),
        (
            "\nlockout-time-max = \"1s\"",
            "config.toml, line 2: lockout-time (30s) must not be longer",
        ),
        (
            "[limits]\nreserved-connections = 25",
            "line 2: reserved-connections (25) must be less than max-connections (25)",
        ),
        (
            "listen = \"300.1.1.1\"",
            "config.toml, line 1: '300.1.1.1' is not an address",
        ),
        (
            "listen = []",
            "config.toml, line 1: '' is not a valid value for listen",
        ),
        (
            "accept = \"[\"",
            "config.toml, line 1: '[' is not a pattern for accept",
        ),
        (
            "cert = \"/no/such\"\nkey = \"/no/such\"",
            "config.toml, line 1: --cert /no/such cannot be read",
        ),
        (
            "\nclient-ca = \"/no/such\"",
            "config.toml, line 2: --client-ca /no/such cannot be read",
        ),
        (
            "cache-bytes = 1\n[cache]\nbytes = 2",
            "config.toml, line 1: cache-bytes is also set in config.toml, line 3",
        ),
    ] {
        let error = checked(text).expect_err(text);
        assert_eq!(error.kind(), ErrorKind::Usage);
        assert!(error.message().contains(told), "{text}: {error}");
    }

    for right in ["max-connections = 1", "accept = \"*.onnx, m?del\"", ""] {
        checked(right).expect(right);
    }
}

#[test]
fn none_and_zero_are_the_same_in_every_limit_that_has_them() {
    let with = |setting: &'static Setting, value: &str| {
        let mut layer = Layer::default();
        layer.set_flag(setting, value.to_owned());
        let mut config = config();
        config.take(&layer).map(|()| config)
    };

    let mut count = 0;
    for setting in all().filter(|setting| !setting.is_switch()) {
        let none = with(setting, "none");
        if setting.off.is_none() {
            let number = matches!(setting.value, "N" | "SIZE" | "TIME");
            assert!(none.is_err() || !number, "{}", setting.key);
            continue;
        }

        let none = none.unwrap();
        let zeros: &[&str] = match setting.value {
            "N" => &["0", "None"],
            "SIZE" => &["0", "0KiB"],
            "TIME" => &["0", "0s", "never"],
            other => panic!("{}: {other}", setting.key),
        };
        for zero in zeros {
            let zero = with(setting, zero).unwrap();
            assert_eq!(format!("{zero:?}"), format!("{none:?}"), "{}", setting.key);
        }

        none.check().unwrap();
        let effective = none.effective();
        let row = effective.iter().find(|row| row.1.key == setting.key);
        assert_eq!(row.unwrap().2.text, "none", "{}", setting.key);
        count += 1;
    }
    assert!(count >= 25, "{count}");
}

#[test]
fn a_limit_that_stays_says_why() {
    for (text, told) in [
        (
            "max-json-bytes = \"none\"",
            "config.toml, line 1: 'none' is not a valid value for max-json-bytes: it cannot be switched off",
        ),
        (
            "drain-timeout = 0",
            "config.toml, line 1: '0' is not a valid value for drain-timeout: it must be more than 0",
        ),
        (
            "idle-timeout = \"nothing\"",
            "is not a valid value for idle-timeout: write a time as 15s, 500ms, 2m, 1h or 7d, or none",
        ),
    ] {
        let error = checked(text).expect_err(text);
        assert!(error.message().contains(told), "{text}: {error}");
    }
}
