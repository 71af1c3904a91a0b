// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A power cut after any call to the disk: old bytes or new bytes, and acknowledged means kept.
//!
//! The calls are those of the real binary, seen by strace. Each beginning of their sequence is
//! played on a simulated disk that then loses what was not fsynced, and the store opens what is left.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::path::Path;

use skep::store::{Content, Store, StoreOptions};

use crate::support::power::{Disk, LOSSES};
use crate::support::process::Place;
use crate::support::served::Served;
use crate::support::syscalls::{self, Call};

/// All models and their bytes.
type Models = BTreeMap<String, Vec<u8>>;

/// One request, and what it does to the models.
enum Step {
    Put(&'static str, Vec<u8>),
    Delete(&'static str),
}

#[test]
fn acknowledged_is_kept_and_names_hold_whole_models() {
    // More than one write each, and small enough to be kept as a whole in the log.
    let bytes = |seed: u8| -> Vec<u8> { (0..90_000).map(|n| (n % 251) as u8 ^ seed).collect() };
    let steps = [
        Step::Put("model", bytes(1)),
        Step::Put("model", bytes(2)),
        Step::Put("other", bytes(3)),
        Step::Delete("model"),
        Step::Put("model", Vec::new()),
        Step::Put("model", bytes(4)),
    ];
    let place = Place::new();
    let Some(server) = Served::start_traced(&place, &["--plain"]) else { return };
    let mut states = vec![Models::new()];
    for step in &steps {
        let mut models = states.last().unwrap().clone();
        match step {
            Step::Put(name, bytes) => {
                let path = place.file("content", bytes);
                let path = path.to_str().unwrap();
                let answer = server.curl(&format!("/v1/models/{name}"), &["-T", path]);
                assert!(matches!(answer.status, 200 | 201), "{}", answer.text());
                models.insert((*name).to_owned(), bytes.clone());
            }
            Step::Delete(name) => {
                server.curl(&format!("/v1/models/{name}"), &["-X", "DELETE"]).is(204);
                models.remove(*name);
            }
        }
        states.push(models);
    }
    let root = server.dir.clone();
    server.stop().exits(0);
    let calls = syscalls::calls(&place);
    let count = |wanted: fn(&Call) -> bool| calls.iter().filter(|call| wanted(call)).count();
    assert_eq!(count(|call| *call == Call::Acknowledge), steps.len(), "answers in the log");
    let images = replay(&root, &calls, &states);
    println!("{images} power cuts, {} calls", calls.len());
    assert!(images > 200, "only {images} power cuts");
}

/// Cuts the power after each call. What is found has to be what the requests that were answered
/// made, or that and the one that was running.
fn replay(root: &Path, calls: &[Call], states: &[Models]) -> usize {
    let mut disk = Disk::new(root);
    let (mut acknowledged, mut images) = (0, 0);
    for (number, call) in calls.iter().enumerate() {
        acknowledged += usize::from(*call == Call::Acknowledge);
        if !disk.apply(call) && *call != Call::Acknowledge {
            continue;
        }
        for loss in LOSSES {
            let left = tempfile::tempdir().unwrap();
            disk.after(loss, left.path());
            let found = models(left.path());
            let allowed = &states[acknowledged..states.len().min(acknowledged + 2)];
            assert!(
                allowed.contains(&found),
                "after call {number} ({}) with {loss:?} and {acknowledged} answers: {}",
                described(call),
                sizes(&found)
            );
            images += 1;
        }
    }
    images
}

/// What the store makes of a directory.
fn models(directory: &Path) -> Models {
    let store = Store::open(directory, StoreOptions::default()).unwrap();
    let models = store.list().unwrap().into_iter().map(|model| {
        let mut bytes = Vec::new();
        match store.open_model(&model.name).unwrap().content {
            Content::Cached(cached) => bytes.extend_from_slice(&cached),
            Content::File(mut file) => drop(file.read_to_end(&mut bytes).unwrap()),
        }
        (model.name.to_string(), bytes)
    });
    let models = models.collect();
    let parts = directory.join(".skep/parts");
    assert_eq!(fs::read_dir(parts).unwrap().count(), 0, "parts that nobody will resume");
    models
}

fn sizes(models: &Models) -> String {
    let sizes = models.iter().map(|(name, bytes)| format!("{name}: {} bytes", bytes.len()));
    sizes.collect::<Vec<_>>().join(", ")
}

fn described(call: &Call) -> String {
    format!("{call:?}").chars().take(200).collect()
}
