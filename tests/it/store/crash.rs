// SPDX-License-Identifier: Apache-2.0 OR MIT
//! kill -9 at any moment: what was acknowledged is there, names hold whole models, parts are gone.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;

use rustix::process::Signal;

use crate::support::process::{Place, Process, digest, noise, run, until};
use crate::support::served::Served;

const ROUNDS: u64 = 10;

/// Larger than what the sockets between the two sides hold.
const BYTES: usize = 8 << 20;

#[test]
fn a_killed_server_keeps_what_it_acknowledged() {
    let place = Place::new();
    let mut acknowledged = BTreeMap::new();
    let old = noise(0, BYTES);
    for round in 0..ROUNDS {
        let server = Served::start_in(&place, &["--plain"]);
        assert_eq!(server.parts(), 0, "round {round}");
        for (name, digest) in &acknowledged {
            let list = server.skep(&["ls", "-l"]).exits(0).text();
            let line = list
                .lines()
                .find(|line| line.starts_with(name))
                .unwrap_or_default();
            let bytes = fs::read(server.dir.join(name)).unwrap();
            assert_eq!(&self::digest(&bytes), digest, "round {round}: {line}");
        }
        place.file(&format!("whole-{round}"), noise(round, 100_000));
        server.skep(&["put", &format!("whole-{round}")]).exits(0);
        acknowledged.insert(format!("whole-{round}"), digest(&noise(round, 100_000)));
        if round == 0 {
            place.file("replaced", &old);
            server.skep(&["put", "replaced"]).exits(0);
        }
        let new = noise(round + 100, BYTES);
        kill_in_upload(server, &new, round);
        let found = fs::read(place.path("dm_models/replaced")).unwrap();
        // The last byte is never sent, so the old bytes have to be there, whole.
        assert!(found == old, "round {round}: {} bytes", found.len());
    }
    let server = Served::start_in(&place, &["--plain"]);
    assert_eq!(server.parts(), 0);
    server.stop().exits(0);
}

/// Kills the server in the middle of an upload, a little further in every round.
fn kill_in_upload(server: Served, bytes: &[u8], round: u64) {
    let mut socket = TcpStream::connect(server.url.trim_start_matches("http://")).unwrap();
    let head = format!(
        "PUT /v1/models/replaced HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n\
         Content-Length: {}\r\n\r\n",
        server.password(),
        bytes.len()
    );
    socket.write_all(head.as_bytes()).unwrap();
    let share = usize::try_from(round + 1).unwrap() * (bytes.len() - 1);
    socket
        .write_all(&bytes[..share / usize::try_from(ROUNDS).unwrap()])
        .unwrap();
    server.process.signal(Signal::KILL);
    assert_eq!(server.process.finish().code, -9);
    // Nothing was acknowledged.
    let mut answer = Vec::new();
    let _ = socket.read_to_end(&mut answer);
    assert!(answer.is_empty(), "{}", String::from_utf8_lossy(&answer));
}

#[test]
fn a_server_killed_between_two_acknowledgements_has_old_or_new_bytes() {
    let place = Place::new();
    let (one, two) = (noise(1, BYTES), noise(2, BYTES));
    place.file("one", &one);
    place.file("two", &two);
    for round in 0..ROUNDS {
        let server = Served::start_in(&place, &[]);
        // What was cut waits to be gone on with, until another file is to have the name.
        assert!(server.parts() <= 1, "round {round}");
        // What it has already is known after a kill as well, and would not be sent.
        let put =
            |file| server.command(&["put", file, "--name", "m", "--retries", "0", "--always"]);
        run(&mut put("one")).exits(0);
        assert_eq!(server.parts(), 0, "round {round}");
        let mut putting = Process::start(&mut put("two"));
        // A little further in every round; how much further it gets meanwhile is up to chance.
        let enough = round * BYTES as u64 / ROUNDS;
        while putting.is_running() && !server.part_sizes().iter().any(|size| *size > enough) {
            std::thread::yield_now();
        }
        server.process.signal(Signal::KILL);
        assert_eq!(server.process.finish().code, -9);
        let was_acknowledged = putting.finish().code == 0;
        let found = fs::read(place.path("dm_models/m")).unwrap();
        assert!(
            found == two || (found == one && !was_acknowledged),
            "round {round}"
        );
    }
}

#[test]
#[cfg_attr(not(has_curl), ignore = "curl is not installed")]
fn a_server_killed_in_a_commit_has_the_old_folder_or_the_new_one() {
    let place = Place::new();
    let mut whole = None;
    let mut cut = 0;
    for round in 0..ROUNDS {
        let server = Served::start_in(&place, &["--plain", "--keep-versions", "1"]);
        let begun = server.curl("/v1/changes?root=f", &["-X", "POST"]).is(201);
        let set = begun.field("location").unwrap().to_owned();
        let text = format!("round {round}");
        let content = place.file("content", &text);
        let paths = (0..FILES).map(|number| format!("{}{set}/f/{number:03}", server.url));
        let field = format!("authorization: Bearer {}", server.password());
        let mut command = place.command("curl");
        command.args(["-q", "-s", "-f", "-H", &field]);
        for path in paths {
            command.arg("-T").arg(&content).arg(path);
        }
        run(&mut command).exits(0);

        let mut socket = TcpStream::connect(server.url.trim_start_matches("http://")).unwrap();
        let head =
            format!("POST {set} HTTP/1.1\r\nHost: x\r\n{field}\r\nContent-Length: 0\r\n\r\n");
        socket.write_all(head.as_bytes()).unwrap();
        let id = set.rsplit('/').next().unwrap();
        let changes = server.dir.join(".skep/changes").join(id);
        // Now before it is decided, now afterwards, and now when it is done.
        until(|| match round % 3 {
            0 => true,
            1 => changes.join("commit").exists() || !changes.exists(),
            _ => fs::read(server.dir.join("f/000")).is_ok_and(|bytes| bytes == text.as_bytes()),
        });
        server.process.signal(Signal::KILL);
        assert_eq!(server.process.finish().code, -9);
        cut += u32::from(changes.exists());

        // Whoever looks into the directory finds it in one state, also before the next start.
        let direct: BTreeSet<_> = numbered(&place.path("dm_models/f")).collect();
        assert!(direct.len() <= 1, "round {round}: {direct:?}");

        let server = Served::start_in(&place, &["--plain", "--keep-versions", "1"]);
        let found: BTreeSet<_> = numbered(&server.dir.join("f")).collect();
        assert_eq!(found.len(), 1, "round {round}: {found:?}");
        let new = Some(text.into_bytes());
        let found = found.into_iter().next().unwrap();
        assert!(found == new || found == whole, "round {round}: {found:?}");
        whole = found;

        // One that was not decided can still be committed. Of one that was, the start that completed it tells,
        // and after one that was complete it is no set any more.
        let again = server.curl(&set, &["-X", "POST"]);
        let is_known = again.status == 200 || (again.status == 404 && whole == new);
        assert!(is_known, "{}: {}", again.status, again.text());
        whole = new;
        assert_eq!(
            fs::read_dir(server.dir.join(".skep/changes"))
                .unwrap()
                .count(),
            0
        );
        // What hands put there stays through all of it.
        let by_hand = server.dir.join("f/by-hand");
        assert!(
            round == 0 || by_hand.exists() || whole.is_none(),
            "round {round}"
        );
        if server.dir.join("f").exists() {
            fs::write(by_hand, "h").unwrap();
        }
        server.stop().exits(0);
    }
    println!("{cut} of {ROUNDS} sets were there when the server was killed");
}

/// The bytes of all files of a folder.
fn numbered(folder: &Path) -> impl Iterator<Item = Option<Vec<u8>>> {
    (0..FILES).map(|number| fs::read(folder.join(format!("{number:03}"))).ok())
}

const FILES: usize = 200;
