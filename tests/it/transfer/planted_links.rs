// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Links that another user puts where this one is about to write: nothing is written where they lead.

use std::fs;
use std::os::unix::fs::{lchown, symlink};

use crate::support::folders::tree;
use crate::support::process::run;
use crate::support::served::Served;

/// A user who is neither the caller nor root.
const SOMEBODY: u32 = 65534;

#[test]
fn links_of_others_are_not_followed() {
    let server = Served::start(&["--plain"]);
    let place = &server.place;
    place.file("m", "new");
    server.skep(&["put", "m"]).exits(0);
    server.skep(&["keygen"]).exits(0);
    server.skep(&["ca", "init"]).exits(0);

    let outside = place.path("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("precious"), "precious").unwrap();
    let before = tree(&outside);

    for name in ["m", "m.minisig", "key", "phone.key"] {
        let spot = place.path("shared").join(name);
        fs::create_dir_all(spot.parent().unwrap()).unwrap();
        symlink(outside.join("precious"), &spot).unwrap();
        // Only root can play two users.
        if lchown(&spot, Some(SOMEBODY), None).is_err() {
            return;
        }
    }
    symlink(&outside, place.path("folder")).unwrap();
    lchown(place.path("folder"), Some(SOMEBODY), None).unwrap();

    for words in [
        &["get", "m", "-o", "shared/"][..],
        &["get", "m", "-o", "folder/"],
        &["get", "m", "-o", "folder/m"],
        &["load", "m", "-o", "shared/"],
        &["keygen", "-o", "shared/key"],
        &["ca", "issue", "phone", "-o", "shared"],
        &["ca", "issue", "phone", "-o", "folder"],
    ] {
        server.skep(words).exits(11);
        assert_eq!(tree(&outside), before, "{words:?}");
    }
    server
        .skep(&["get", "m", "-o", "shared/m"])
        .exits(11)
        .says("shared/m is a link that another user made, and is not followed");

    for flag in ["--log-file", "--write-addr"] {
        let words = [
            "serve",
            "--dir",
            "x",
            "127.0.0.1",
            "--port",
            "0",
            flag,
            "shared/m",
        ];
        run(&mut place.skep(&words))
            .exits(2)
            .says("is a link that another user made");
        assert_eq!(tree(&outside), before, "{flag}");
    }

    // What is replaced and not written to is no danger: the link itself goes.
    fs::rename(place.path("m"), place.path("shared/signed")).unwrap();
    symlink(
        outside.join("precious"),
        place.path("shared/signed.minisig"),
    )
    .unwrap();
    lchown(place.path("shared/signed.minisig"), Some(SOMEBODY), None).unwrap();
    server.skep(&["sign", "shared/signed"]).exits(0);
    assert!(!place.path("shared/signed.minisig").is_symlink());
    assert_eq!(tree(&outside), before);

    // One's own link is followed.
    fs::remove_file(place.path("shared/m")).unwrap();
    symlink(outside.join("precious"), place.path("shared/m")).unwrap();
    server.skep(&["get", "m", "-o", "shared/"]).exits(0);
    assert_eq!(fs::read(outside.join("precious")).unwrap(), b"new");
}

#[test]
fn what_stands_in_the_place_of_a_partial_file_is_named() {
    let server = Served::start(&["--plain"]);
    let place = &server.place;
    place.file("m", "new");
    server.skep(&["put", "m"]).exits(0);
    fs::create_dir(place.path("shared")).unwrap();
    place.file("precious", "precious");
    let part = place.path("shared/.m.skep-part");

    let get = |words: &str| {
        let told = server.skep(&["get", "m", "-o", "shared/"]).exits(11);
        told.says(&format!("writing shared/m: shared/.m.skep-part is {words}"))
            .says("remove it, or save the model in another directory");
        assert_eq!(place.read("precious"), b"precious");
        assert!(!place.path("shared/m").exists());
    };

    for target in ["precious", "nothing"] {
        symlink(place.path(target), &part).unwrap();
        get("a symbolic link");
        fs::remove_file(&part).unwrap();
    }

    fs::create_dir(&part).unwrap();
    get("not a file");
    fs::remove_dir(&part).unwrap();

    fs::hard_link(place.path("precious"), &part).unwrap();
    get("a file of somebody else, or has another name as well");
    fs::remove_file(&part).unwrap();

    server.skep(&["get", "m", "-o", "shared/"]).exits(0);
}
