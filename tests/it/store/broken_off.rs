// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A commit that a failing disk breaks off in the middle: the server does the rest without being asked, and until
//! then its names are answered 503.

use std::fs;
use std::time::{Duration, Instant};

use crate::support::process::{Place, Process};
use crate::support::served::{Answer, Served};
use crate::support::syscalls::failing;

const DEADLINE: Duration = Duration::from_secs(60);

/// More renames than a start and a commit make in one thread.
const CALLS_MAX: u32 = 30;

fn put(server: &Served, path: &str, bytes: &str) -> Answer {
    let field = "content-type: application/octet-stream";
    server.curl(path, &["-X", "PUT", "-H", field, "--data-binary", bytes])
}

#[test]
#[cfg_attr(
    not(all(has_strace, has_curl)),
    ignore = "strace or curl is not installed"
)]
fn a_commit_that_was_broken_off_is_done_without_being_asked() {
    let place = Place::new();
    // The identity and the password are made before anything fails.
    Served::start_in(&place, &["--plain"]).stop().exits(0);

    let mut answers = Vec::new();
    for call in 1..=CALLS_MAX {
        let directory = place.path("dm_models");
        for name in ["f/a", "g/b", "else"] {
            let path = directory.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "old").unwrap();
        }

        let mut command = failing(&place, "rename,renameat,renameat2", "EIO", call);
        let Ok(server) = Served::try_ready(&place, Process::start(&mut command)) else {
            continue;
        };
        let case = format!("call {call}");
        let begun = server.curl("/v1/changes", &["-X", "POST"]);
        let set = begun.field("location").unwrap_or_default().to_owned();
        let sent = ["f/a", "g/b"].map(|name| put(&server, &format!("{set}/{name}"), "new"));
        if begun.status != 201 || sent.iter().any(|sent| sent.status != 201) {
            server.stop();
            continue;
        }

        let committed = server.curl(&set, &["-X", "POST"]);
        wait_for_all(&server, &committed, &case);
        if matches!(committed.status, 200 | 503) {
            let again = server.curl(&set, &["-X", "POST"]).is(200);
            assert_eq!(again.json()["published"], 2, "{case}");
        }
        // It may be its turn to fail in another thread.
        let stored = (0..3).any(|_| put(&server, "/v1/models/else", "later").status == 200);
        assert!(stored, "{case}");
        server.stop();

        answers.push(committed.status);
        if answers.ends_with(&[200, 200, 200, 200]) && answers.contains(&503) {
            break;
        }
    }
    assert!(
        answers.contains(&503) && answers.contains(&200),
        "{answers:?}"
    );
}

/// Looks at both names until they can be read: they have what the answer says.
fn wait_for_all(server: &Served, committed: &Answer, case: &str) {
    let start = Instant::now();
    loop {
        let seen = ["f/a", "g/b"].map(|name| server.curl(&format!("/v1/models/{name}"), &[]));
        assert_eq!(server.curl("/v1/models/else", &[]).is(200).text(), "old");
        if seen.iter().all(|seen| seen.status == 200) {
            let expected = if matches!(committed.status, 200 | 503) {
                "new"
            } else {
                "old"
            };
            let texts = seen.map(|seen| seen.text());
            assert_eq!(texts, [expected, expected], "{case}: {}", committed.status);
            return;
        }

        for seen in seen.into_iter().filter(|seen| seen.status != 200) {
            assert_eq!(seen.field("retry-after"), Some("1"), "{case}");
            assert_eq!(seen.is(503).json()["code"], "busy", "{case}");
        }
        assert!(start.elapsed() < DEADLINE, "{case}");
    }
}
