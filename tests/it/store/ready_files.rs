// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Files with revisions, for programs that look into the directory by themselves: what they say is what is
//! there, beside change sets, after a power cut at any call, and for the client.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use skep::store::{Store, StoreOptions};

use crate::support::power::{Disk, replay};
use crate::support::process::{Place, digest, until};
use crate::support::served::Served;
use crate::support::syscalls::{self, Call};

const ARGUMENTS: [&str; 2] = ["--plain", "--ready-files"];

/// What the manual says of a folder's revision, in the words of another program.
fn revision(folder: &Path) -> io::Result<String> {
    let mut members = BTreeMap::new();
    read(folder, "", &mut members)?;
    let lines = members
        .iter()
        .map(|(path, digest)| format!("{path}\0{digest}\n"));
    let all = hex(&lines.collect::<String>().into_bytes());
    Ok(format!("{}\n", &all[..40]))
}

fn read(folder: &Path, prefix: &str, members: &mut BTreeMap<String, String>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().into_string().unwrap();
        if entry.file_type()?.is_dir() {
            read(&entry.path(), &format!("{prefix}{name}/"), members)?;
        } else if name != ".ready" {
            let digest = hex(&fs::read(entry.path())?);
            members.insert(format!("{prefix}{name}"), digest);
        }
    }
    Ok(())
}

fn hex(bytes: &[u8]) -> String {
    digest(bytes).replace("sha256:", "")
}

fn ready(folder: &Path) -> Option<String> {
    fs::read_to_string(folder.join(".ready")).ok()
}

/// Waits until a folder has its file, which is a moment after the last change.
#[track_caller]
fn wait(folder: &Path) {
    until(|| ready(folder).is_some());
    assert_eq!(ready(folder), revision(folder).ok());
}

fn put(server: &Served, path: &str, bytes: &str) {
    let arguments = ["-X", "PUT", "--data-binary", bytes];
    let kind = ["-H", "content-type: application/octet-stream"];
    let answer = server.curl(path, &[&arguments[..], &kind].concat());
    assert!(matches!(answer.status, 200 | 201), "{}", answer.text());
}

/// Commits a set of these models in a folder, in place of all others; returns its revision.
fn commit(server: &Served, root: &str, models: &[(String, String)]) -> String {
    let begin = format!("/v1/changes?root={root}%2F");
    let begun = server.curl(&begin, &["-X", "POST"]).is(201);
    let set = begun.field("location").unwrap().to_owned();
    for (path, bytes) in models {
        put(server, &format!("{set}/{root}/{path}"), bytes);
    }
    let done = server.curl(&format!("{set}?others=remove"), &["-X", "POST"]);
    done.is(200).json()["revision"].as_str().unwrap().to_owned()
}

#[test]
#[cfg_attr(not(has_curl), ignore = "curl is not installed")]
fn whoever_finds_the_same_text_before_and_after_has_read_one_revision() {
    let server = Served::start(&ARGUMENTS);
    let folder = server.dir.join("me");
    let (is_over, last) = (AtomicBool::new(false), Mutex::new(String::new()));
    let (whole, torn) = (AtomicUsize::new(0), AtomicUsize::new(0));

    std::thread::scope(|scope| {
        let poller = scope.spawn(|| {
            while !is_over.load(Ordering::SeqCst) {
                let Some(before) = ready(&folder) else {
                    std::thread::yield_now();
                    continue;
                };
                let found = revision(&folder);
                if ready(&folder).as_ref() != Some(&before) {
                    torn.fetch_add(1, Ordering::SeqCst);
                    continue;
                }
                assert_eq!(found.unwrap(), before);
                whole.fetch_add(1, Ordering::SeqCst);
                *last.lock().unwrap() = before;
            }
        });

        for round in 0..3 {
            let mut revision = String::new();
            for number in 0..3 {
                let files = 0..12 + number;
                let files = files.map(|file| (format!("{file}/m"), format!("{round} {number}")));
                revision = commit(&server, "me", &files.collect::<Vec<_>>());
            }
            until(|| poller.is_finished() || last.lock().unwrap().trim_end() == revision);
            wait(&folder.join("0"));
            // One more change, right after somebody has read it.
            put(&server, "/v1/models/me/3/m", &format!("{round}"));
        }
        is_over.store(true, Ordering::SeqCst);
    });
    println!("{whole:?} whole, {torn:?} changed meanwhile");
    assert!(whole.into_inner() >= 3);
}

#[test]
#[cfg_attr(not(has_strace), ignore = "strace is not installed")]
fn no_power_cut_leaves_a_file_of_another_revision() {
    let place = Place::new();
    let server = Served::start_traced(&place, &ARGUMENTS);
    let path = |name: &str| server.dir.join(name);
    put(&server, "/v1/models/me/a", "one");
    wait(&path("me"));
    put(&server, "/v1/models/me/deep/b", "two");
    wait(&path("me/deep"));
    wait(&path("me"));
    put(&server, "/v1/models/me/a", "three");
    wait(&path("me"));

    let models = [("a", "four"), ("deep/b", "five"), ("deep/new/c", "six")];
    let models = models.map(|(path, bytes)| (path.to_owned(), bytes.to_owned()));
    commit(&server, "me", &models);
    wait(&path("me"));
    wait(&path("me/deep/new"));

    // This makes all of the disk durable, and so the files of the other folders.
    commit(&server, "else", &[("m".to_owned(), "bytes".to_owned())]);
    put(&server, "/v1/models/me/deep/b", "seven");
    wait(&path("me"));
    server.curl("/v1/rollback/me/a", &["-X", "POST"]).is(200);
    wait(&path("me"));
    let moved = server.curl("/v1/move/me/deep/?to=you%2Fdeep%2F", &["-X", "POST"]);
    moved.is(200);
    wait(&path("me"));
    wait(&path("you"));
    wait(&path("you/deep"));
    server
        .curl("/v1/models/you/deep/b", &["-X", "DELETE"])
        .is(204);
    wait(&path("you/deep/new"));
    wait(&path("you/deep"));

    let root = server.dir.clone();
    server.stop().exits(0);
    let seen = AtomicUsize::new(0);
    let calls = syscalls::calls(&place);
    let images = replay(Disk::new(&root), &calls, |image, _, case| {
        let left = tempfile::tempdir().unwrap();
        image.unpack(left.path());
        // Programs may look before any server has started again.
        seen.fetch_add(check(left.path(), case), Ordering::SeqCst);

        let mut options = StoreOptions::default();
        options.ready_files = true;
        drop(Store::open(left.path(), options).unwrap());
        check(left.path(), &format!("{case}, after a start"));
    });
    assert!(images > 60, "only {images} power cuts");
    assert!(seen.into_inner() > 60);
}

/// Whether each file below a folder says what is there; how many there are.
#[track_caller]
fn check(folder: &Path, case: &str) -> usize {
    let mut count = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.file_name().unwrap() == ".skep" || !path.is_dir() {
            continue;
        }
        if let Some(text) = ready(&path) {
            assert_eq!(text, revision(&path).unwrap(), "{case}: {}", path.display());
            count += 1;
        }
        count += check(&path, case);
    }
    count
}

#[test]
#[cfg_attr(not(has_strace), ignore = "strace is not installed")]
fn a_file_is_gone_from_the_disk_before_a_change_begins() {
    let place = Place::new();
    let server = Served::start_traced(&place, &ARGUMENTS);
    let path = |name: &str| server.dir.join(name);
    for bytes in ["one", "two"] {
        let models = (0..20).map(|number| (format!("{number}/m"), bytes.to_owned()));
        commit(&server, "me", &models.collect::<Vec<_>>());
        wait(&path("me"));
        (0..20).for_each(|number| wait(&path(&format!("me/{number}"))));
    }
    put(&server, "/v1/models/me/0/m", "three");
    wait(&path("me"));
    wait(&path("me/0"));
    server
        .curl("/v1/move/me/0/m?to=me%2F1%2Fn", &["-X", "POST"])
        .is(200);
    wait(&path("me"));
    wait(&path("me/1"));
    server.curl("/v1/models/me/1/n", &["-X", "DELETE"]).is(204);

    let root = server.dir.clone();
    server.stop().exits(0);
    let is_ready = |path: &Path| path.file_name().is_some_and(|name| name == ".ready");
    let is_model = |path: &Path| {
        path.starts_with(&root) && !path.starts_with(root.join(".skep")) && !is_ready(path)
    };

    let (mut removed, mut unsure) = (0, BTreeSet::new());
    for call in syscalls::calls(&place) {
        let changed = match &call {
            Call::Remove { path } if is_ready(path) => {
                unsure.insert(path.parent().unwrap().to_owned());
                removed += 1;
                continue;
            }
            Call::Sync { path } => {
                unsure.remove(path);
                continue;
            }
            Call::SyncAll => {
                unsure.clear();
                continue;
            }
            Call::Remove { path } => vec![path],
            Call::Rename { from, to } | Call::Link { from, to } => vec![from, to],
            _ => continue,
        };
        if changed.into_iter().any(|path| is_model(path)) {
            assert!(unsure.is_empty(), "{call:?}: {unsure:?}");
        }
    }
    assert_eq!(removed, 21 + 2 + 3 + 2);
}

#[test]
fn the_client_neither_sends_nor_removes_them() {
    let server = Served::start(&ARGUMENTS);
    let place = &server.place;
    let (from, to) = (place.path("from"), place.path("to"));
    fs::create_dir_all(from.join("in")).unwrap();
    fs::create_dir_all(to.join("in")).unwrap();
    fs::write(from.join("in/m"), "bytes").unwrap();
    let other = format!("{}\n", "0".repeat(40));
    for folder in [from.join("in"), to.join("in"), to.clone()] {
        fs::write(folder.join(".ready"), &other).unwrap();
    }

    let put = ["put", "from", "--name", "me", "--delete", "--hidden"];
    server.skep(&put).exits(0);
    wait(&server.dir.join("me"));
    wait(&server.dir.join("me/in"));
    server.skep(&put).exits(0);
    let get = ["get", "me/", "-o", "to", "--delete", "--hidden"];
    server.skep(&get).exits(0);
    assert_eq!(fs::read(to.join("in/m")).unwrap(), b"bytes");
    for folder in [to.join("in"), to] {
        assert_eq!(ready(&folder).as_ref(), Some(&other));
    }

    // Nobody asks for one by its name, either.
    let answer = server.curl("/v1/models/me/.ready", &[]);
    assert_eq!(answer.status, 400, "{}", answer.text());
    let listed = server.skep(&["ls", "-R", "me/"]);
    assert!(!listed.text().contains(".ready"));
}
