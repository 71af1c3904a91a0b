// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A disk that fails or is full at the Nth call, for every N: a clear answer, old bytes or new bytes.
//!
//! strace has the calls of the real binary fail; it counts them by thread.

use std::fs;

use crate::support::process::{Place, Process, run};
use crate::support::served::Served;
use crate::support::syscalls::failing;

/// What fails, how, and what an upload is then answered. Failing writes would hit sockets and pipes as
/// well; those of files are failed by a full file system (`cli.rs`) and in the store's own tests.
const FAILURES: [(&str, &str, u16); 4] = [
    ("fsync,fdatasync", "EIO", 500),
    ("fsync,fdatasync", "ENOSPC", 507),
    ("rename,renameat,renameat2", "EIO", 500),
    ("rename,renameat,renameat2", "EDQUOT", 507),
];

/// More calls than a start and an upload make in one thread.
const CALLS_MAX: u32 = 60;

#[test]
#[cfg_attr(not(has_strace), ignore = "strace is not installed")]
fn a_failing_call_costs_no_acknowledged_byte() {
    let place = Place::new();
    let (old, new) = (vec![1; 150_000], vec![2; 170_000]);
    place.file("old", &old);
    place.file("new", &new);
    // The identity and the password are made before anything fails.
    let server = Served::start_in(&place, &["--plain"]);
    server.skep(&["put", "old", "--name", "model"]).exits(0);
    server.stop().exits(0);
    for (calls, error, status) in FAILURES {
        let mut answers = Vec::new();
        for call in 1..=CALLS_MAX {
            fs::write(place.path("dm_models/model"), &old).unwrap();
            let mut command = failing(&place, calls, error, call);
            let process = Process::start(&mut command);
            let case = format!("call {call} of {calls} with {error}");
            let Some(ready) = process.line() else {
                let outcome = process.finish();
                let is_told = outcome.stderr.starts_with("skep: error: ");
                assert!(is_told && outcome.code != 0, "{case}: {}", outcome.stderr);
                continue;
            };
            let answer = put(&place, ready.split(' ').nth(2).unwrap());
            process.signal(rustix::process::Signal::TERM);
            process.finish();
            let found = fs::read(place.path("dm_models/model")).unwrap();
            assert!(
                found == new || (found == old && answer / 100 != 2),
                "{case}: {answer}"
            );
            // Nothing: the answer itself was what failed. 500: one thing failed after another.
            assert!(
                matches!(answer, 200 | 0 | 500) || answer == status,
                "{case}: {answer}"
            );
            if answer == 507 {
                let text = fs::read_to_string(place.path("answer")).unwrap();
                assert!(text.contains("remove a model"), "{case}: {text}");
            }
            let parts = fs::read_dir(place.path("dm_models/.skep/parts"))
                .unwrap()
                .count();
            assert_eq!(parts, 0, "{case}");
            answers.push(answer);
            let is_beyond = answers.ends_with(&[200, 200, 200, 200]);
            if is_beyond && answers.contains(&status) {
                break;
            }
        }
        assert!(
            answers.contains(&status),
            "{calls} with {error}: {answers:?}"
        );
        assert!(
            answers.ends_with(&[200, 200, 200, 200]),
            "{calls} with {error}: {answers:?}"
        );
        println!("{calls} with {error}: {answers:?}");
    }
}

/// Sends the new bytes, and returns the status or 0.
fn put(place: &Place, url: &str) -> u16 {
    let password = fs::read_to_string(place.home().join("password")).unwrap();
    let mut curl = place.command("curl");
    curl.args([
        "-q",
        "-s",
        "-o",
        "answer",
        "-w",
        "%{http_code}",
        "-T",
        "new",
        "-H",
    ]);
    curl.arg(format!("authorization: Bearer {}", password.trim_end()));
    curl.arg(format!("{url}/v1/models/model"));
    run(&mut curl).text().trim().parse().unwrap()
}
