// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What folders were before: listed, fetched, and brought back as a whole.

use std::fs;

use serde_json::Value;

use crate::support::process::digest;
use crate::support::served::Served;

fn write(server: &Served, files: &[(&str, &str)]) {
    let _ = fs::remove_dir_all(server.place.path("d"));
    for (name, text) in files {
        let path = server.place.path("d").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
}

/// Makes the folder what these files are; returns its revision.
fn publish(server: &Served, files: &[(&str, &str)]) -> String {
    write(server, files);
    let put = ["put", "d", "--name", "me/d", "--delete", "-y", "--json"];
    let put = server.skep(&put).exits(0).json();
    put["folders"][0]["revision"].as_str().unwrap().to_owned()
}

fn content(server: &Served) -> Vec<(String, String)> {
    let list: Value = server.curl("/v1/models?prefix=me/d/", &[]).is(200).json();
    let models = list["models"].as_array().unwrap().iter();
    let names = models.map(|model| model["name"].as_str().unwrap().to_owned());
    names
        .map(|name| {
            let text = server.curl(&format!("/v1/models/{name}"), &[]).text();
            (name, text)
        })
        .collect()
}

const ONE: &[(&str, &str)] = &[("a", "one"), ("deep/b", "same"), ("gone", "x")];
const TWO: &[(&str, &str)] = &[("a", "two"), ("deep/b", "same"), ("new", "y")];
const THREE: &[(&str, &str)] = &[("a", "three")];

#[test]
#[cfg_attr(not(has_curl), ignore = "curl is not installed")]
fn a_folder_is_what_it_was_as_a_whole() {
    let server = Served::start(&["--plain", "--keep-versions", "2"]);
    let one = publish(&server, ONE);
    let was = content(&server);
    let two = publish(&server, TWO);
    let three = publish(&server, THREE);

    let info = server.curl("/v1/info/me/d/", &[]).is(200).json();
    assert_eq!(info["name"], "me/d/");
    assert_eq!((&info["models"], &info["size"]), (&1.into(), &5.into()));
    assert_eq!(info["revision"], three.as_str());
    let kept = info["revisions"].as_array().unwrap().iter();
    let kept: Vec<_> = kept.map(|old| old["revision"].as_str().unwrap()).collect();
    assert_eq!(kept, [two.as_str(), one.as_str()]);
    assert_eq!(server.curl("/v1/versions/me/d", &[]).is(200).json(), info);

    // What is fetched of a revision never mixes two.
    let list = format!("/v1/models?prefix=me/d/&revision={one}");
    let list = server.curl(&list, &[]).is(200).json();
    assert_eq!(list["models"].as_array().unwrap().len(), 3);
    assert_eq!(list["models"][0]["digest"], digest(b"one"));
    let bytes = format!("/v1/models/me/d/a?revision={one}");
    assert_eq!(server.curl(&bytes, &[]).is(200).text(), "one");
    let part = server.curl(&bytes, &["-H", "range: bytes=1-1"]).is(206);
    assert_eq!(part.text(), "n");
    let get = ["get", &format!("me/d@{one}"), "-o", "back"];
    server.skep(&get).exits(0);
    assert_eq!(fs::read(server.place.path("back/a")).unwrap(), b"one");
    assert_eq!(fs::read(server.place.path("back/gone")).unwrap(), b"x");

    // A number does as well, and the list tells what there was.
    let number = info["revisions"][1]["number"].as_u64().unwrap();
    let numbered = format!("me/d@{number}");
    server.skep(&["get", &numbered, "-o", "numbered"]).exits(0);
    assert_eq!(fs::read(server.place.path("numbered/a")).unwrap(), b"one");
    for at in [numbered, format!("me/d/@{one}")] {
        let list = server.skep(&["ls", &at, "--json"]).exits(0).json();
        assert_eq!(list["models"].as_array().unwrap().len(), 3, "{at}");
    }
    server.skep(&["ls", "me/d@99"]).exits(4).says("skep show");

    // What is known of a folder and of a model then.
    let then = format!("/v1/info/me/d/?revision={one}");
    let then = server.curl(&then, &[]).is(200).json();
    assert_eq!((&then["models"], &then["size"]), (&3.into(), &8.into()));
    assert_eq!(then["revision"], one.as_str());
    let shown = server.skep(&["show", &format!("me/d@{one}"), "--json"]);
    assert_eq!(shown.exits(0).json()["folders"][0], then);
    let model = format!("/v1/info/me/d/gone?revision={one}");
    let model = server.curl(&model, &[]).is(200).json();
    assert_eq!(
        (&model["name"], &model["size"]),
        (&"me/d/gone".into(), &1.into())
    );
    assert_eq!(model["digest"], digest(b"x"));
    server
        .curl(&format!("/v1/info/me/d/new?revision={one}"), &[])
        .is(404);
    server
        .curl(
            &format!("/v1/info/me/d/a?revision={one}&revision={one}"),
            &[],
        )
        .is(400);
    let shown = server.skep(&["show", "me/d/a@1", "--json"]).exits(0).json();
    assert_eq!(shown["models"][0]["digest"], digest(b"one"));
    server.skep(&["cat", &format!("me/d@{one}")]).exits(2);
    server.curl(&format!("{bytes}&revision={two}"), &[]).is(400);

    server.skep(&["rollback", "me/d/", "--to", &one]).exits(0);
    assert_eq!(content(&server), was);
    // The one before that is what it was just now.
    let back = server.skep(&["rollback", "me/d/"]).exits(0).text();
    assert!(back.contains(&three), "{back}");
    assert_eq!(content(&server).len(), 1);
    let shown = server.skep(&["show", "me/d/"]).exits(0).text();
    assert!(shown.contains(&one) && shown.contains(&three), "{shown}");
}

#[test]
#[cfg_attr(not(has_curl), ignore = "curl is not installed")]
fn what_is_not_kept_is_said_to_be_gone() {
    let server = Served::start(&["--plain", "--keep-versions", "1"]);
    let one = publish(&server, ONE);
    let two = publish(&server, TWO);
    let three = publish(&server, THREE);
    let code = |path: &str, arguments: &[&str]| {
        let refused = server.curl(path, arguments).is(404);
        refused.json()["code"].as_str().unwrap().to_owned()
    };
    assert_eq!(
        code(&format!("/v1/models/me/d/a?revision={one}"), &[]),
        "revision-gone"
    );
    assert_eq!(
        code(&format!("/v1/models?prefix=me/d/&revision={one}"), &[]),
        "revision-gone"
    );
    for info in ["me/d/", "me/d/a"] {
        let info = format!("/v1/info/{info}?revision={one}");
        assert_eq!(code(&info, &[]), "revision-gone");
    }
    assert_eq!(
        code(&format!("/v1/models/me/d/x?revision={three}"), &[]),
        "not-found"
    );
    let to = format!("/v1/rollback/me/d/?to={one}");
    assert_eq!(code(&to, &["-X", "POST"]), "revision-gone");
    assert_eq!(code("/v1/info/nothing/", &[]), "not-found");
    assert_eq!(content(&server).len(), 1);

    // Bytes that hands have removed are missed before anything is changed, or sent.
    let kept = server.dir.join(".skep/versions/.skep/me/.skep/d/a");
    fs::remove_dir_all(kept).unwrap();
    let archive = format!("/v1/models/me/d/?tar&revision={two}");
    assert_eq!(code(&archive, &[]), "revision-gone");
    server
        .skep(&["rollback", "me/d/"])
        .exits(4)
        .says("not kept any more");
    assert_eq!(
        content(&server),
        [("me/d/a".to_owned(), "three".to_owned())]
    );

    for (path, words) in [
        ("/v1/models/me/d/a?revision=main", "40 hexadecimal"),
        (
            "/v1/models?revision=0123456789012345678901234567890123456789",
            "prefix=FOLDER/",
        ),
    ] {
        let refused = server.curl(path, &[]).is(400);
        assert!(refused.text().contains(words), "{path}: {}", refused.text());
    }
    server
        .skep(&["show", "me/d/", "x"])
        .exits(2)
        .says("together");
}

#[test]
fn without_versions_no_revision_is_kept_and_a_name_with_an_at_sign_is_a_name() {
    let server = Served::start(&["--plain", "--keep-versions", "none"]);
    publish(&server, ONE);
    let two = publish(&server, TWO);
    assert!(!server.dir.join(".skep/revisions").exists());
    server
        .skep(&["rollback", "me/d/"])
        .exits(4)
        .says("keep-versions");

    // The present revision can be fetched by its name as well; a model of that very name wins.
    let at = format!("me/d@{two}");
    server.skep(&["get", &at, "-o", "back"]).exits(0);
    assert_eq!(fs::read(server.place.path("back/new")).unwrap(), b"y");
    server.place.file("m", "literal");
    server.skep(&["put", "m", "--name", &at]).exits(0);
    server.skep(&["get", &at, "-o", "literal"]).exits(0);
    assert_eq!(fs::read(server.place.path("literal")).unwrap(), b"literal");
}

#[test]
fn an_old_version_of_a_model_is_fetched_by_its_number_and_its_digest() {
    let server = Served::start(&["--plain", "--keep-versions", "2"]);
    for text in ["one", "two", "three"] {
        server.place.file("m", text);
        server.skep(&["put", "m"]).exits(0);
    }
    let bytes = |name: &str| {
        let _ = fs::remove_file(server.place.path("back"));
        server.skep(&["get", name, "-o", "back"]).exits(0);
        fs::read_to_string(server.place.path("back")).unwrap()
    };

    let show = server.skep(&["show", "m", "--json"]).exits(0).json();
    let versions = show["models"][0]["versions"].as_array().unwrap().clone();
    for (version, text) in versions.iter().zip(["two", "one"]) {
        assert_eq!(bytes(&format!("m@{}", version["number"])), text);
        let digest = version["digest"].as_str().unwrap();
        assert_eq!(bytes(&format!("m@{digest}")), text);
        assert_eq!(
            bytes(&format!("m@{}", digest.trim_start_matches("sha256:"))),
            text
        );
    }
    assert_eq!(
        server.skep(&["get", "m@newest", "-o", "-"]).exits(0).text(),
        "two"
    );
    assert_eq!(server.skep(&["cat", "m@newest"]).exits(0).text(), "two");
    server.skep(&["get", "m@9"]).exits(4).says("no version 9");
    server.skep(&["ls", "m@1"]).exits(2).says("skep show");
    let both = server.skep(&["get", "m@1", "m@2", "-o", "both/"]);
    both.exits(2).says("one is asked for at a time");

    // A signature is one of the present bytes.
    server.skep(&["keygen", "-o", "key"]).exits(0);
    let signed = ["get", "m@newest", "-o", "back", "--verify-key", "key.pub"];
    server.skep(&signed).exits(2).says("present bytes");

    // The digest of another model is none of this one's.
    server.place.file("n", "other");
    server.skep(&["put", "n"]).exits(0);
    let other = format!("m@{}", digest(b"other"));
    server.skep(&["get", &other, "-o", "back"]).exits(4);
    let unknown = format!("m@{}", "0".repeat(64));
    server.skep(&["get", &unknown]).exits(4);
    assert!(!server.place.path("m@9").exists());
    assert_eq!(fs::read_to_string(server.dir.join("m")).unwrap(), "three");

    // A model that is called so is meant by its name.
    server.skep(&["put", "m", "--name", "m@9"]).exits(0);
    assert_eq!(bytes("m@9"), "three");
}

#[test]
#[cfg_attr(not(has_curl), ignore = "curl is not installed")]
fn callers_without_credentials_see_what_is_there_now() {
    let server = Served::start(&["--plain", "--keep-versions", "2", "--anonymous-read"]);
    let one = publish(&server, ONE);
    let two = publish(&server, TWO);
    let three = publish(&server, THREE);
    let anybody = |path: &str| server.curl_as(path, &[], b"");

    // Whoever fetches a folder asks for the revision that it has.
    for path in [
        format!("/v1/models?prefix=me/d/&revision={three}"),
        format!("/v1/models/me/d/a?revision={three}"),
        format!("/v1/models/me/d/?tar&revision={three}"),
        format!("/v1/info/me/d/a?revision={three}"),
    ] {
        anybody(&path).is(200);
    }
    for (old, name) in [(&one, "gone"), (&two, "new"), (&two, "deep/b")] {
        for path in [
            format!("/v1/models?prefix=me/d/&revision={old}"),
            format!("/v1/models/me/d/{name}?revision={old}"),
            format!("/v1/models/me/d/?tar&revision={old}"),
            format!("/v1/info/me/d/?revision={old}"),
            format!("/v1/info/me/d/{name}?revision={old}"),
        ] {
            // Also after somebody else has asked, so that it is remembered.
            server.curl(&path, &[]).is(200);
            assert_eq!(
                anybody(&path).is(404).json()["code"],
                "revision-gone",
                "{path}"
            );
        }
    }

    // Neither revisions and versions nor names that were removed are told.
    let nothing = Value::Array(Vec::new());
    assert_eq!(
        anybody("/v1/info/me/d/").is(200).json()["revisions"],
        nothing
    );
    assert_eq!(
        anybody("/v1/info/me/d/a").is(200).json()["versions"],
        nothing
    );
    assert_eq!(
        anybody("/v1/versions/me/d/a").is(200).json()["versions"],
        nothing
    );
    anybody("/v1/versions/me/d/gone").is(404);
    server.curl("/v1/versions/me/d/gone", &[]).is(200);
    let list = |text: &str| text.contains("me/d/gone");
    assert!(!list(&anybody("/v1/models").is(200).text()));
    assert!(list(&server.curl("/v1/models", &[]).is(200).text()));
}

#[test]
#[cfg_attr(not(has_curl), ignore = "curl is not installed")]
fn a_rollback_that_would_lose_what_the_folder_is_does_nothing() {
    let server = Served::start(&["--plain", "--max-version-bytes", "64KiB"]);
    let large = |letter: &str| letter.repeat(100_000);
    publish(&server, &[("c", "small")]);
    for letter in ["x", "y"] {
        publish(&server, &[("big", large(letter).as_str())]);
    }
    // A PUT tells that what it replaced is not kept.
    for (name, bytes, told) in [
        ("x", large("1"), None),
        ("x", large("1"), None),
        ("x", large("2"), Some("?0")),
        ("y", "small".to_owned(), None),
        ("y", large("3"), None),
    ] {
        let path = server.place.file("bytes", bytes);
        let path = path.to_str().unwrap();
        let put = server.curl(&format!("/v1/models/{name}"), &["-T", path]);
        assert_eq!(put.field("skep-kept"), told, "{name}");
    }

    let is_there = || content(&server) == [("me/d/big".to_owned(), large("y"))];
    assert!(is_there());

    let refused = server.skep(&["rollback", "me/d/"]).exits(11);
    refused.says("too large to be kept").says("skep get");
    assert!(is_there());

    // Who wants that says so by removing it.
    server.skep(&["rm", "-y", "me/d/"]).exits(0);
    server.skep(&["rollback", "me/d/"]).exits(0);
    assert_eq!(
        content(&server),
        [("me/d/c".to_owned(), "small".to_owned())]
    );
}

#[test]
#[cfg_attr(not(has_curl), ignore = "curl is not installed")]
fn one_version_is_told_and_removed_by_its_number() {
    let server = Served::start(&["--plain", "--keep-versions", "3"]);
    for text in ["one", "two", "three", "four"] {
        server.place.file("m", text);
        server.skep(&["put", "m"]).exits(0);
    }
    let numbers = |path: &str| -> Vec<u64> {
        let list = server.curl(path, &[]).is(200).json();
        let versions = list["versions"].as_array().unwrap().iter();
        versions
            .map(|one| one["number"].as_u64().unwrap())
            .collect()
    };
    let all = numbers("/v1/versions/m");
    let [_, middle, oldest] = all[..] else {
        panic!("{all:?}")
    };

    let one = format!("/v1/versions/m?number={middle}");
    assert_eq!(numbers(&one), [middle]);
    for (query, status) in [
        ("number=99", 404),
        ("number=", 400),
        ("number=%2b1", 400),
        ("number=1&number=2", 400),
        ("numbr=1", 400),
    ] {
        let path = format!("/v1/versions/m?{query}");
        server.curl(&path, &[]).is(status);
        server.curl(&path, &["-X", "DELETE"]).is(status);
    }
    assert_eq!(numbers("/v1/versions/m"), all);

    server.curl(&one, &["-X", "DELETE"]).is(204);
    assert_eq!(numbers("/v1/versions/m"), [all[0], oldest]);
    server.curl(&one, &["-X", "DELETE"]).is(404);
    server
        .skep(&["rollback", "m", "--to", &oldest.to_string()])
        .exits(0);
    assert_eq!(server.skep(&["cat", "m"]).exits(0).text(), "one");
}
