// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Programs that look into the model directory themselves, beside a server that takes change sets.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;

use rustix::fs::{CWD, Dir, Mode, OFlags, openat};

use crate::support::process::{Place, until};
use crate::support::served::Served;

const ROUNDS: usize = 30;

/// Files that change in each round, and those that stay.
const FILES: usize = 20;

/// What a program finds in a folder that it opens once: names and texts. A file that is gone when it is opened is
/// left out, as in a folder that is being emptied.
fn look(path: &Path) -> (BTreeMap<String, String>, bool) {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let folder =
        openat(CWD, path, flags, Mode::empty()).expect("the folder has its name all the time");
    let mut found = BTreeMap::new();
    for entry in Dir::read_from(&folder).unwrap() {
        let name = entry.unwrap().file_name().to_str().unwrap().to_owned();
        if name.starts_with('.') {
            continue;
        }
        let opened = openat(
            &folder,
            &name[..],
            OFlags::RDONLY | OFlags::CLOEXEC,
            Mode::empty(),
        );
        let Ok(opened) = opened else { continue };
        let mut text = String::new();
        File::from(opened).read_to_string(&mut text).unwrap();
        found.insert(name, text);
    }

    let opened = File::from(folder).metadata().unwrap();
    let is_current = opened.ino() == fs::metadata(path).unwrap().ino();
    (found, is_current)
}

/// Looks until it is told to stop, and counts the looks, and those at a folder that was exchanged meanwhile.
fn watch(path: &Path, looks: &AtomicU32, is_over: &AtomicBool) -> (BTreeSet<String>, u32) {
    let (mut rounds, mut late) = (BTreeSet::new(), 0);
    while !is_over.load(Ordering::SeqCst) {
        let (found, is_current) = look(path);
        let changing = found.iter().filter(|(name, _)| name.starts_with("file"));
        let texts: BTreeSet<&String> = changing.map(|(_, text)| text).collect();
        let only: Vec<&String> = found
            .keys()
            .filter(|name| name.starts_with("only"))
            .collect();
        assert!(texts.len() <= 1 && only.len() <= 1, "a mixture: {found:?}");
        if let (Some(text), Some(only)) = (texts.first(), only.first()) {
            assert_eq!(format!("only-{text}"), **only);
        }
        if is_current {
            assert_eq!(found.len(), 2 * FILES + 1, "{found:?}");
        }
        rounds.extend(texts.first().map(|text| (*text).clone()));
        late += u32::from(!is_current);
        looks.fetch_add(1, Ordering::SeqCst);
    }
    (rounds, late)
}

#[test]
fn a_folder_is_seen_before_a_commit_or_after_it() {
    let place = Place::new();
    let server = Served::start_in(&place, &["--plain"]);
    let source = place.path("source");
    fs::create_dir(&source).unwrap();
    for number in 0..FILES {
        fs::write(source.join(format!("stays-{number}")), "stays").unwrap();
    }
    let put = |round: usize| {
        for number in 0..FILES {
            fs::write(source.join(format!("file-{number}")), round.to_string()).unwrap();
        }
        fs::write(source.join(format!("only-{round}")), "only").unwrap();
        let _ = fs::remove_file(source.join(format!("only-{}", round.wrapping_sub(1))));
        let arguments = ["put", "source", "--name", "me/f", "--delete", "-y"];
        server.skep(&arguments).exits(0);
    };
    put(0);

    let path = server.dir.join("me/f");
    let (looks, is_over) = (AtomicU32::new(0), AtomicBool::new(false));
    let number = || fs::metadata(&path).unwrap().ino();
    thread::scope(|scope| {
        let watching = scope.spawn(|| watch(&path, &looks, &is_over));
        let mut exchanged = 0;
        for round in 1..=ROUNDS {
            let (before, seen) = (number(), looks.load(Ordering::SeqCst));
            put(round);
            exchanged += usize::from(number() != before);
            until(|| looks.load(Ordering::SeqCst) > seen + 1 || watching.is_finished());
        }
        is_over.store(true, Ordering::SeqCst);
        let (rounds, late) = watching.join().unwrap();
        let looks = looks.load(Ordering::SeqCst);
        println!(
            "{looks} looks, {late} of them at the old folder; {} rounds",
            rounds.len()
        );
        assert_eq!(exchanged, ROUNDS, "exchanges");
        assert!(rounds.len() >= ROUNDS, "{rounds:?}");
    });
    server.stop().exits(0);
}
