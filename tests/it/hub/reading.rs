// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The routes of the hub for readers, as their clients depend on them.

use std::fs;

use serde_json::{Value, json};

use crate::support::pieces::{Target as _, head, open};
use crate::support::process::digest;
use crate::support::served::{Answer, Served};

/// A server with a repository of some files.
fn served(arguments: &[&str]) -> Served {
    let server = Served::start(&[&["--plain", "--keep-versions", "2"], arguments].concat());
    let source = server.place.path("source");
    fs::create_dir_all(source.join("sub/deep")).unwrap();
    for (path, bytes) in FILES {
        fs::write(source.join(path), bytes).unwrap();
    }
    put(&server, "me/tiny");
    server
}

fn put(server: &Served, name: &str) -> String {
    let source = server.place.path("source");
    let put = ["put", source.to_str().unwrap(), "--name", name, "--json"];
    let told = server.skep(&put).exits(0).json();
    told["folders"][0]["revision"].as_str().unwrap().to_owned()
}

const FILES: &[(&str, &str)] = &[
    ("config.json", "{}"),
    ("empty.txt", ""),
    ("sub/a+b c.txt", "odd"),
    ("sub/deep/model.bin", "0123456789"),
    ("sub-way", "next to the folder"),
];

fn get(server: &Served, path: &str, arguments: &[&str]) -> Answer {
    server.curl(&format!("/hf{path}"), arguments)
}

fn paths(list: &Value) -> Vec<&str> {
    let entries = list.as_array().unwrap().iter();
    entries
        .map(|entry| entry["path"].as_str().unwrap())
        .collect()
}

#[test]
#[cfg_attr(not(has_curl), ignore = "curl is not installed")]
fn a_file_has_what_clients_need_in_its_fields() {
    let server = served(&[]);
    let commit = get(&server, "/api/models/me/tiny", &[]).json()["sha"]
        .as_str()
        .unwrap()
        .to_owned();

    for path in ["me/tiny", "models/me/tiny"] {
        for revision in ["main", "HEAD", "refs%2Fheads%2Fmain", &commit] {
            let path = format!("/{path}/resolve/{revision}/sub/deep/model.bin?download=true");
            for arguments in [&[][..], &["-I"]] {
                let answer = get(&server, &path, arguments).is(200);
                assert_eq!(answer.field("x-repo-commit"), Some(&*commit));
                let tag = digest(b"0123456789").replace("sha256:", "\"") + "\"";
                assert_eq!(answer.field("etag"), Some(&*tag));
                assert_eq!(answer.field("content-length"), Some("10"));
                assert_eq!(answer.field("accept-ranges"), Some("bytes"));
            }
        }
    }

    let part = get(
        &server,
        "/me/tiny/raw/main/sub/deep/model.bin",
        &["-r", "2-3"],
    )
    .is(206);
    assert_eq!(
        (part.text().as_str(), part.field("content-range")),
        ("23", Some("bytes 2-3/10"))
    );
    get(&server, "/me/tiny/resolve/main/config.json", &["-r", "9-"]).is(416);
    // Whoever learns the size by a first byte does so of an empty file as well.
    let empty = get(&server, "/me/tiny/resolve/main/empty.txt", &["-r", "0-0"]).is(200);
    assert_eq!(
        (empty.field("content-range"), empty.field("content-length")),
        (Some("bytes */0"), Some("0"))
    );
    assert_eq!(empty.field("x-repo-commit"), Some(&*commit));

    let odd = "/me/tiny/resolve/main/sub/a+b%20c.txt";
    assert_eq!(get(&server, odd, &[]).is(200).text(), "odd");
}

#[test]
fn letters_beyond_ascii_come_as_they_are_or_escaped() {
    let server = Served::start(&["--plain"]);
    fs::create_dir_all(server.dir.join("r")).unwrap();
    fs::write(server.dir.join("r/\u{e9}t\u{e9}"), "x").unwrap();
    for name in ["\u{e9}t\u{e9}", "%C3%A9t%c3%a9"] {
        let path = format!("GET /v1/models/r/{name}");
        let mut raw = open(&server);
        raw.send(head(&server, &path, ""));
        assert_eq!(raw.answer().status, 200, "{name} {}", server.address());
    }
}

#[test]
#[cfg_attr(not(has_curl), ignore = "curl is not installed")]
fn what_is_missing_is_told_by_its_code() {
    let server = served(&[]);
    for (path, code) in [
        ("/me/none/resolve/main/config.json", "RepoNotFound"),
        ("/none/resolve/main/config.json", "RepoNotFound"),
        ("/datasets/me/tiny/resolve/main/config.json", "RepoNotFound"),
        ("/me/tiny/resolve/other/config.json", "RevisionNotFound"),
        (
            "/me/tiny/resolve/0123456789012345678901234567890123456789/a",
            "RevisionNotFound",
        ),
        ("/me/tiny/resolve/main/none", "EntryNotFound"),
        ("/me/tiny/resolve/main/sub", "EntryNotFound"),
        ("/api/models/me/none", "RepoNotFound"),
        ("/api/models/me/none/refs", "RepoNotFound"),
        ("/api/datasets/me/tiny", "RepoNotFound"),
        ("/api/models/api/tiny", "RepoNotFound"),
        ("/api/models/me/tiny/revision/other", "RevisionNotFound"),
        ("/api/models/me/tiny/tree/main/none", "EntryNotFound"),
        ("/api/models/me/tiny/tree/main/su", "EntryNotFound"),
        ("/api/models/me/tiny/nothing", "RepoNotFound"),
    ] {
        let answer = get(&server, path, &[]).is(404);
        let code = code.to_lowercase();
        assert_eq!(answer.field("x-error-code"), Some(&*code), "{path}");
        let has_commit = answer.field("x-repo-commit").is_some();
        assert_eq!(has_commit, code == "entrynotfound", "{path}");
        let error = answer.json()["error"].as_str().unwrap().to_lowercase();
        assert_eq!(answer.field("x-error-message"), Some(&*error));
    }

    for path in [
        "/me/tiny/resolve/main/..",
        "/me/tiny/resolve/main/a%2Fb",
        "/me%2Ftiny/resolve/main/a",
        "/%00/resolve/main/x",
    ] {
        let answer = get(&server, path, &["--path-as-is"]).is(400);
        assert!(answer.json()["error"].is_string(), "{path}");
    }
    let refused = server.curl_as("/hf/api/models/me/tiny", &[], b"").is(401);
    assert!(refused.json()["error"].is_string());
}

#[test]
#[cfg_attr(not(has_curl), ignore = "curl is not installed")]
fn trees_are_listed_level_by_level_and_whole() {
    let server = served(&[]);
    let tree = |path: &str| {
        get(
            &server,
            &format!("/api/models/me/tiny/tree/main{path}"),
            &[],
        )
        .is(200)
        .json()
    };

    assert_eq!(
        paths(&tree("")),
        ["config.json", "empty.txt", "sub-way", "sub"]
    );
    let all = tree("?recursive=True&expand=False");
    assert_eq!(
        paths(&all),
        [
            "config.json",
            "empty.txt",
            "sub-way",
            "sub",
            "sub/a+b c.txt",
            "sub/deep",
            "sub/deep/model.bin"
        ]
    );
    assert_eq!(all[3]["type"], "directory");
    assert_eq!(
        (&all[6]["type"], &all[6]["size"]),
        (&json!("file"), &json!(10))
    );
    assert_eq!(
        all[6]["lfs"]["oid"],
        digest(b"0123456789").replace("sha256:", "")
    );
    assert_eq!(paths(&tree("/sub")), ["sub/a+b c.txt", "sub/deep"]);
    assert_eq!(paths(&tree("/sub/deep/")), ["sub/deep/model.bin"]);

    let asked =
        "paths=sub&paths=sub%2Fa%2Bb+c.txt&paths=su&paths=none&paths=sub%2Fdeep%2F&expand=true";
    let form = get(
        &server,
        "/api/models/me/tiny/paths-info/main",
        &["-d", asked],
    )
    .is(200)
    .json();
    assert_eq!(paths(&form), ["sub", "sub/a+b c.txt", "sub/deep"]);
    let json = [
        "-H",
        "content-type: application/json",
        "-d",
        r#"{"paths": ["config.json"], "expand": true}"#,
    ];
    let told = get(&server, "/api/models/me/tiny/paths-info/main", &json)
        .is(200)
        .json();
    assert_eq!(paths(&told), ["config.json"]);
    for bad in ["{", "[]", r#"{"paths": [1]}"#] {
        let bad = ["-H", "content-type: application/json", "-d", bad];
        get(&server, "/api/models/me/tiny/paths-info/main", &bad).is(400);
    }
}

#[test]
#[cfg_attr(not(has_curl), ignore = "curl is not installed")]
fn a_long_tree_has_pages_that_lead_on() {
    let server = Served::start(&["--plain"]);
    let folder = server.dir.join("r/data");
    fs::create_dir_all(&folder).unwrap();
    (0..2100).for_each(|number| fs::write(folder.join(format!("f{number:04}")), "").unwrap());

    // Nobody knows their digests yet; clients try again, too.
    let mut path = "/hf/api/models/r/tree/main?recursive=true".to_owned();
    crate::support::process::until(|| server.curl(&path, &[]).status == 200);
    let (mut found, mut pages) = (Vec::new(), 0);
    loop {
        let answer = server.curl(&path, &[]).is(200);
        let page = answer.json();
        found.extend(paths(&page).into_iter().map(str::to_owned));
        pages += 1;
        let Some(link) = answer.field("link") else {
            break;
        };
        let link = link
            .strip_prefix('<')
            .unwrap()
            .strip_suffix(">; rel=\"next\"")
            .unwrap();
        path = link.strip_prefix(&*server.url).unwrap().to_owned();
    }
    assert_eq!((pages, found.len()), (3, 2101));
    assert_eq!((&*found[0], &*found[1]), ("data", "data/f0000"));
    found.sort_unstable();
    found.dedup();
    assert_eq!(found.len(), 2101);
}

#[test]
#[cfg_attr(not(has_curl), ignore = "curl is not installed")]
fn commits_are_the_revisions_of_the_folder() {
    let server = served(&[]);
    let info = |revision: &str| {
        get(
            &server,
            &format!("/api/models/me/tiny/revision/{revision}"),
            &[],
        )
    };
    let first = info("main").json()["sha"].as_str().unwrap().to_owned();
    fs::write(server.place.path("source/config.json"), "{\"new\": 1}").unwrap();
    let second = put(&server, "me/tiny");

    assert_eq!(info("main").json()["sha"], *second);
    assert_eq!(info(&first).is(200).json()["sha"], *first);
    let config = |revision: &str| {
        get(
            &server,
            &format!("/me/tiny/resolve/{revision}/config.json"),
            &[],
        )
    };
    assert_eq!(config(&first).is(200).text(), "{}");
    assert_eq!(config("main").is(200).text(), "{\"new\": 1}");

    let told = get(&server, "/api/models/me/tiny/refs?include_prs=1", &[])
        .is(200)
        .json();
    assert_eq!(told["branches"][0]["targetCommit"], *second);
    let ids = |revision: &str| {
        let told = get(
            &server,
            &format!("/api/models/me/tiny/commits/{revision}"),
            &[],
        )
        .is(200)
        .json();
        let ids = told.as_array().unwrap().iter();
        ids.map(|one| one["id"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(ids("main"), [&*second, &*first]);
    assert_eq!(ids(&first), [&*first]);
    assert_eq!(info("main").json()["siblings"].as_array().unwrap().len(), 5);
    let blobs = get(&server, "/api/models/me/tiny?blobs=true", &[]).json();
    assert_eq!(
        blobs["siblings"][1]["lfs"]["sha256"],
        digest(b"").replace("sha256:", "")
    );
}

#[test]
#[cfg_attr(not(has_curl), ignore = "curl is not installed")]
fn repositories_are_folders_in_one_level_or_two() {
    let server = Served::start(&["--plain"]);
    for path in [
        "alone/m",
        "me/one/m",
        "me/two/deep/m",
        "we/one/m",
        "a",
        "datasets/d/m",
        "datasets/me/d/m",
        "spaces/me/s/m",
        "a-b/x/m",
    ] {
        let path = server.dir.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "x").unwrap();
    }
    let ids = |query: &str| {
        let told = get(&server, &format!("/api/{query}"), &[]).is(200);
        assert_eq!(told.field("cache-control"), Some("no-cache"));
        let told = told.json();
        let ids = told.as_array().unwrap().iter();
        ids.map(|one| one["id"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(ids("models"), "a-b/x alone me/one me/two we/one");
    assert_eq!(ids("models?search=ONE"), "alone me/one we/one");
    assert_eq!(
        ids("models?author=me&sort=downloads&full=True"),
        "me/one me/two"
    );
    assert_eq!(ids("models?limit=2"), "a-b/x alone");
    assert_eq!(ids("models?filter=text-generation"), "");
    assert_eq!(ids("datasets"), "d me/d");
    assert_eq!(ids("spaces"), "me/s");
    get(&server, "/datasets/me/d/resolve/main/m", &[]);
}

#[test]
#[cfg_attr(not(has_curl), ignore = "curl is not installed")]
fn links_say_where_the_caller_came_from() {
    let server = Served::start(&["--plain", "--trusted-proxies", "127.0.0.1"]);
    let folder = server.dir.join("r");
    fs::create_dir_all(&folder).unwrap();
    (0..1001).for_each(|number| fs::write(folder.join(format!("f{number:04}")), "").unwrap());
    let tree = "/hf/api/models/r/tree/main";
    crate::support::process::until(|| server.curl(tree, &[]).status == 200);

    for (fields, base) in [
        (&["-H", "host: pi.example"][..], "http://pi.example/hf/"),
        (&["-H", "host: a b"], "http://localhost/hf/"),
        (
            &[
                "-H",
                "x-forwarded-for: 192.0.2.1",
                "-H",
                "x-forwarded-proto: https",
                "-H",
                "x-forwarded-host: hub.example",
            ],
            "https://hub.example/hf/",
        ),
    ] {
        let answer = server.curl(tree, fields);
        if let Some(link) = answer.field("link") {
            assert!(link.starts_with(&format!("<{base}")), "{link}");
        } else {
            assert_ne!(answer.status, 200, "{fields:?}");
        }
    }
}

#[test]
#[cfg_attr(not(has_curl), ignore = "curl is not installed")]
fn whoever_reads_without_credentials_sees_what_is_there_now() {
    let server = served(&["--anonymous-read"]);
    let first = get(&server, "/api/models/me/tiny", &[]).json()["sha"]
        .as_str()
        .unwrap()
        .to_owned();
    fs::write(server.place.path("source/config.json"), "{\"new\": 1}").unwrap();
    put(&server, "me/tiny");

    let stranger = |path: &str| server.curl_as(&format!("/hf{path}"), &[], b"");
    stranger("/me/tiny/resolve/main/config.json").is(200);
    stranger(&format!("/me/tiny/resolve/{first}/sub-way")).is(404);
    assert_eq!(
        stranger("/api/models/me/tiny/commits/main")
            .is(200)
            .json()
            .as_array()
            .unwrap()
            .len(),
        1
    );
    stranger("/api/whoami-v2").is(401);
    // Others have asked for it meanwhile.
    get(
        &server,
        &format!("/me/tiny/resolve/{first}/config.json"),
        &[],
    )
    .is(200);
    stranger(&format!("/me/tiny/resolve/{first}/config.json")).is(404);
    stranger(&format!("/api/models/me/tiny/tree/{first}")).is(404);
}
