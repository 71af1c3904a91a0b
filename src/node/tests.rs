// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What a reload does to a node that runs, for every setting that there is, and what a node that does
//! not start leaves behind.

use super::*;
use crate::config::{Effect, Layer, Setting, settings};

/// A value of each setting that is not its default.
const OTHERS: &[(&str, &str)] = &[
    ("dir", "elsewhere"),
    ("port", "1"),
    ("listen", "127.0.0.2:0"),
    ("plain", "false"),
    ("write-addr", "urls"),
    ("workers", "3"),
    ("cert", "a.crt"),
    ("key", "a.key"),
    ("client-ca", "ca.crt"),
    ("client-crl", "crl.pem"),
    ("allow-unauthenticated-clients", "true"),
    ("replace", "refuse"),
    ("max-meta-bytes", "2KiB"),
    ("accept", "*.onnx"),
    ("scrub-interval", "5h"),
    ("upstream", "http://127.0.0.1:1"),
    ("upstream-token-file", "token"),
    ("upstream-ca", "ca.crt"),
    ("mirror-repositories", "me/*"),
    (
        "require-signature",
        "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3",
    ),
    ("certificate-roles", "phone=write"),
    ("host-names", "pi.example.org"),
    ("lockout-time-max", "1h"),
    ("landlock", "false"),
    ("lockout-exempt", "192.168.0.0/16"),
    ("trusted-proxies", "192.168.0.0/16,unix"),
    ("tls-min", "1.3"),
    ("dearning", "false"),
    ("log-format", "json"),
    ("log-file", "log"),
    ("log-syslog", "/dev/log"),
];

fn other(setting: &Setting) -> &'static str {
    let given = OTHERS.iter().find(|(key, _)| *key == setting.key);
    match setting.value {
        _ if given.is_some() => given.map_or("", |(_, value)| value),
        "" if setting.default == "false" => "true",
        "N" => "7",
        "SIZE" => "12345",
        "TIME" => "7s",
        other => panic!("{} needs a value here: {other}", setting.key),
    }
}

fn config(folder: &Path, changed: Option<&'static Setting>) -> Config {
    let mut config = Config::new(folder.join("home"));
    let mut layer = Layer::default();

    for (_, setting) in settings() {
        match setting.key {
            "dir" => layer.set_flag(setting, folder.join("models").display().to_string()),
            "listen" => layer.set_flag(setting, "127.0.0.1:0".to_owned()),
            "plain" => layer.set_flag(setting, "true".to_owned()),
            _ => {}
        }
    }
    if let Some(setting) = changed {
        layer.set_flag(setting, other(setting).to_owned());
    }
    config.take(&layer).unwrap();
    config
}

/// What a running node goes by, as far as it can change.
fn in_force(node: &Node) -> String {
    format!("{:?} {:?}", node.server.limits(), node.store.options())
}

#[test]
fn a_change_of_every_setting_has_the_effect_that_its_row_declares() {
    let folder = tempfile::tempdir().unwrap();
    let password = Password::new("a password of some length").unwrap();
    let node = Node::open(config(folder.path(), None), Some(password)).unwrap();
    let before = in_force(&node);

    for (section, setting) in settings() {
        // A start would refuse these alone, so a reload does, too.
        if ["cert", "key", "client-ca", "client-crl"].contains(&setting.key) {
            let newer = config(folder.path(), Some(setting));
            let waiting = node.reload().started.changed(&newer, Effect::NextStart);
            assert_eq!(waiting, [setting.key]);
            assert!(node.reload().apply(newer).is_err(), "{}", setting.key);
            continue;
        }

        let waiting = node
            .reload()
            .apply(config(folder.path(), Some(setting)))
            .unwrap_or_else(|error| panic!("{}: {error}", setting.key));
        let after = in_force(&node);

        if setting.effect == Effect::NextStart {
            assert_eq!(waiting, [setting.key]);
            assert_eq!(after, before, "{}", setting.key);
        } else {
            assert_eq!(waiting, [""; 0], "{}", setting.key);
            // Where the log goes is the matter of the process, which opens it anew.
            assert_eq!(after == before, section.name == "log", "{}", setting.key);
        }

        node.reload().apply(config(folder.path(), None)).unwrap();
        assert_eq!(in_force(&node), before, "{}", setting.key);
    }
}

#[test]
fn a_password_that_nobody_has_seen_goes_with_the_start_that_failed() {
    let folder = tempfile::tempdir().unwrap();
    let mut unwritable = config(folder.path(), None);
    // Who may write to a pipe does so only once somebody reads.
    let pipe = folder.path().join("urls");
    rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, 0o600.into()).unwrap();
    unwritable.address_file = Some(pipe);
    let path = home::PASSWORD.path(&unwritable.home);

    // The address file is written last, after all that could use the password.
    let failed = Node::open(unwritable, None)
        .err()
        .expect("no URLs are written");
    assert!(
        failed.hint_text().unwrap().contains("--write-addr"),
        "{failed}"
    );
    assert!(!path.exists());

    let node = Node::open(config(folder.path(), None), None).unwrap();
    assert!(matches!(node.password(), PasswordOrigin::Made(..)));
    assert!(path.exists());
}

#[test]
fn a_reload_tells_of_what_it_changed_and_of_nothing_before() {
    let folder = tempfile::tempdir().unwrap();
    let password = Password::new("a password of some length").unwrap();
    let node = Node::open(config(folder.path(), None), Some(password)).unwrap();
    let watcher = node.watch(&["server"], 8, None).unwrap();

    let mut all = settings().map(|(_, setting)| setting);
    let workers = all.find(|setting| setting.key == "workers");
    let newer = || config(folder.path(), workers);
    let first = || config(folder.path(), None);

    for (config, waiting, told) in [
        (newer(), &["workers"][..], &["workers"][..]),
        (newer(), &["workers"], &[]),
        (first(), &[], &["workers"]),
        (first(), &[], &[]),
    ] {
        assert_eq!(node.reload().apply(config).unwrap(), waiting);
        assert_eq!(changed(&watcher), told);
    }
}

/// The settings that the next event names.
fn changed(watcher: &Watcher) -> Vec<String> {
    let Some(Notice::Event { json, .. }) = watcher.try_next() else {
        panic!("no event was published")
    };
    let event: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(event["event"], "server.reloaded");
    serde_json::from_value(event["changed"].clone()).unwrap()
}
