// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Lists: their pages, what they are asked for, and what hands change meanwhile.

use std::fs;

use serde_json::{Value, json};

use crate::support::served::Served;

/// A server of these models, which were copied in by hand.
fn served(models: &[&str], arguments: &[&str]) -> Served {
    let server = Served::start(&[&["--plain"], arguments].concat());
    for model in models {
        by_hand(&server, model);
    }
    server
}

fn by_hand(server: &Served, model: &str) {
    let path = server.dir.join(model);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, model).unwrap();
}

fn names(list: &Value, member: &str) -> Vec<String> {
    let models = list[member].as_array().unwrap().iter();
    let names = models.map(|model| model["name"].as_str().unwrap());
    names.map(str::to_owned).collect()
}

fn list(server: &Served, query: &str) -> Value {
    let answer = server.curl(&format!("/v1/models{query}"), &[]);
    answer.is(200).json()
}

#[test]
#[cfg_attr(not(has_curl), ignore = "curl is not installed")]
fn a_link_leads_from_page_to_page() {
    let all: Vec<_> = (0..250).map(|n| format!("me/m{n:03} \u{f6}")).collect();
    let models: Vec<_> = all.iter().map(String::as_str).collect();
    let server = served(&models, &[]);
    by_hand(&server, "other");

    let (mut path, mut found, mut pages) =
        ("/v1/models?prefix=me/&limit=100".to_owned(), Vec::new(), 0);
    loop {
        let answer = server.curl(&path, &[]).is(200);
        let page = answer.json();
        found.extend(names(&page, "models"));
        pages += 1;
        let Some(link) = answer.field("link") else {
            assert!(page.get("next").is_none());
            break;
        };
        assert_eq!(page["next"], json!(found.last().unwrap()));
        let target = link.strip_prefix('<').unwrap();
        path = target.strip_suffix(">; rel=\"next\"").unwrap().to_owned();
    }
    assert_eq!((found, pages), (all, 3));

    // The same without a limit, in chunks.
    assert_eq!(names(&list(&server, "?prefix=me/"), "models").len(), 250);
    server.curl("/v1/models?limit=1", &["-I"]).is(200);
}

#[test]
#[cfg_attr(not(has_curl), ignore = "curl is not installed")]
fn a_query_says_what_is_listed_or_is_refused() {
    let models = ["a", "b/x", "b/y/z", "b.c", "c/d*", "c/de"];
    let server = served(&models, &["--keep-versions", "1"]);

    let shown = list(&server, "?folders=1");
    assert_eq!(names(&shown, "models"), ["a", "b.c"]);
    let folders = json!([{"name": "b/", "models": 2}, {"name": "c/", "models": 2}]);
    assert_eq!(shown["folders"], folders);
    let inner = list(&server, "?folders=1&prefix=b/");
    assert_eq!(names(&inner, "models"), ["b/x"]);
    assert_eq!(inner["folders"], json!([{"name": "b/y/", "models": 1}]));
    let matching = |pattern: &str| names(&list(&server, &format!("?match={pattern}")), "models");
    assert_eq!(matching("b/**"), ["b/x", "b/y/z"]);
    assert_eq!(matching("c/d*"), ["c/d*", "c/de"]);
    assert_eq!(matching("?"), ["a"]);
    assert!(matching("zz*").is_empty());

    for wrong in [
        "limit=0",
        "limit=x",
        "prefixx=a",
        "match=",
        "folders=2",
        "after=a&after=b",
    ] {
        let refused = server.curl(&format!("/v1/models?{wrong}"), &[]).is(400);
        let hint = refused.json()["hint"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        assert!(!hint.is_empty(), "{wrong}");
    }
    server.curl("/v1/models?token=x", &[]).is(400);

    // What is kept of removed models is told once, and only where it belongs.
    for name in ["b/x", "a"] {
        server
            .curl(&format!("/v1/models/{name}"), &["-X", "DELETE"])
            .is(204);
    }
    assert_eq!(names(&list(&server, "?prefix=b"), "kept"), ["b/x"]);
    assert!(list(&server, "?prefix=c").get("kept").is_none());
    assert!(list(&server, "?limit=1").get("kept").is_none());
    let last = list(&server, "?limit=2&after=c/d*");
    assert_eq!(names(&last, "kept").len(), 2);
}

#[test]
#[cfg_attr(not(has_curl), ignore = "curl is not installed")]
fn what_hands_change_is_in_the_next_list() {
    let server = served(&["a", "b/c/one"], &[]);
    let all = || names(&list(&server, ""), "models");
    assert_eq!(all(), ["a", "b/c/one"]);

    // At once, also within a tick of the clock of the file system.
    for round in 0..50 {
        let name = format!("b/c/{round:02}");
        by_hand(&server, &name);
        assert!(all().contains(&name), "{name}");
        fs::remove_file(server.dir.join(&name)).unwrap();
        assert!(!all().contains(&name), "{name}");
    }

    fs::rename(server.dir.join("b"), server.dir.join("d")).unwrap();
    assert_eq!(all(), ["a", "d/c/one"]);
    fs::create_dir(server.dir.join("b")).unwrap();
    fs::rename(server.dir.join("d/c"), server.dir.join("b/c")).unwrap();
    assert_eq!(all(), ["a", "b/c/one"]);
    fs::remove_dir_all(server.dir.join("b")).unwrap();
    fs::write(server.dir.join("b"), "").unwrap();
    assert_eq!(all(), ["a", "b"]);
}
