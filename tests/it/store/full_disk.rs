// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A disk that is full in the middle of an upload whose length nobody knew: old versions give way.

use std::fs;

use crate::support::process::{Mounted, Place, noise, run_with};
use crate::support::served::Served;

#[test]
#[cfg_attr(not(has_mounts), ignore = "no file system can be mounted here")]
#[cfg_attr(not(has_curl), ignore = "curl is not installed")]
#[cfg_attr(not(has_mount), ignore = "mount is not installed")]
fn old_versions_make_room_for_bytes_that_are_on_their_way() {
    let place = Place::new();
    fs::create_dir(place.path("disk")).unwrap();
    let _disk = Mounted::new(&place, &["-t", "tmpfs", "-o", "size=24m", "tmpfs"]);
    let flags = ["--reserve-bytes", "none", "--max-version-share", "none"];
    let server = Served::start_in(
        &place,
        &[&["--plain", "--dir", "disk"], &flags[..]].concat(),
    );
    let versions = || {
        let folder = fs::read_dir(place.path("disk/.skep/versions/m"));
        folder.map_or(0, Iterator::count)
    };
    let prepare = |seed| {
        for seed in [seed, seed + 1] {
            place.file("m", noise(seed, 9_000_000));
            server.skep(&["put", "m"]).exits(0);
        }
        assert_eq!(versions(), 1);
    };
    let bytes = noise(9, 12_000_000);

    // In one piece: curl tells no length of what it reads from a pipe.
    prepare(1);
    let field = format!("authorization: Bearer {}", server.password());
    let sent = server.curl_as("/v1/models/n", &["-H", &field, "-T", "-"], &bytes);
    sent.is(201);
    assert_eq!((place.read("disk/n") == bytes, versions()), (true, 0));
    server.curl("/v1/models/n", &["-X", "DELETE"]).is(204);
    fs::remove_dir_all(place.path("disk/.skep/versions/n")).unwrap_or_default();

    // In pieces, as the client sends what does not fit into its memory.
    prepare(3);
    run_with(&mut server.command(&["put", "-", "--name", "n"]), &bytes).exits(0);
    assert_eq!((place.read("disk/n") == bytes, versions()), (true, 0));
    server.skep(&["cat", "m"]).exits(0);
    server.stop().exits(0);
}
