// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What others on this device can read or change in the home, told at the start. It is not refused: the
//! shared storage of phones makes up the modes of files.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use crate::home;
use crate::text::quoted;

/// Warns of secrets that others can read, and of what others can change. The key of the server is told
/// of by the room that reads it, wherever it is.
pub(crate) fn warn_of_exposed(home: &Path) {
    for warning in warnings(home) {
        log::warn!("{warning}");
    }
}

/// One text for all that can be read, and one for all that can be changed.
fn warnings(home: &Path) -> Vec<String> {
    let secret = [
        home::PASSWORD,
        home::CHOSEN_PASSWORD,
        home::TOKENS,
        home::INVITATIONS,
        home::SERVERS,
        home::SIGNING_KEY,
    ];
    let secret = secret.iter().map(|file| file.path(home));

    // Who can write into the home can put another file in the place of any of these.
    let trusted = [home::CONFIG, home::KNOWN_SERVERS];
    let trusted = trusted.iter().map(|file| file.path(home));
    let trusted = [home.to_owned()].into_iter().chain(trusted);

    let readable: Vec<_> = secret.filter(|path| has(path, OTHERS)).collect();
    let writable: Vec<_> = trusted.filter(|path| has(path, OTHERS_WRITE)).collect();

    let told = |paths: &[PathBuf], how: &str, mode: &str| {
        let words: Vec<_> = paths.iter().map(|path| quoted(path)).collect();
        (!words.is_empty()).then(|| {
            let words = words.join(" ");
            format!("others on this device can {how}: {words}; run: chmod {mode} {words}")
        })
    };

    let readable = told(&readable, "read secrets", "go=");
    if is_shared(home) {
        let shown = quoted(home);
        let text = format!(
            "the home {shown} is a directory that others use, too; set SKEP_HOME to one of its own"
        );
        return readable.into_iter().chain([text]).collect();
    }
    let writable = told(&writable, "change what this server trusts", "go-w");

    readable.into_iter().chain(writable).collect()
}

/// Whether a directory is one of the system, whose mode is not ours to change: `/tmp`, or one at the top.
fn is_shared(directory: &Path) -> bool {
    has(directory, STICKY) || directory.components().count() <= 2 && has(directory, OTHERS_WRITE)
}

/// Whether a file is there and gives others one of these rights.
fn has(path: &Path, rights: u32) -> bool {
    std::fs::metadata(path).is_ok_and(|file| file.permissions().mode() & rights != 0)
}

/// The bit of directories in which everybody may make files.
const STICKY: u32 = 0o1000;

/// Any right of the group or of everybody.
const OTHERS: u32 = 0o077;

const OTHERS_WRITE: u32 = 0o022;

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};

    use super::*;

    #[test]
    fn what_others_can_read_or_change_is_told() {
        let place = tempfile::tempdir().unwrap();
        let home = place.path();
        let write = |name: &str, mode: u32| {
            fs::write(home.join(name), b"x").unwrap();
            fs::set_permissions(home.join(name), Permissions::from_mode(mode)).unwrap();
        };

        for name in ["password", "tokens", "servers"] {
            write(name, 0o600);
        }
        write("config.toml", 0o644);
        write("server.crt", 0o644);
        assert_eq!(warnings(home), [""; 0]);

        write("password", 0o604);
        write("servers", 0o640);
        let told = warnings(home);
        let shown = home.display();
        let words = format!("'{shown}/password' '{shown}/servers'");
        assert_eq!(
            told,
            [format!(
                "others on this device can read secrets: {words}; run: chmod go= {words}"
            )]
        );

        write("password", 0o600);
        write("servers", 0o600);
        fs::set_permissions(home, Permissions::from_mode(0o777)).unwrap();
        let told = warnings(home);
        assert!(
            told[0].ends_with(&format!("chmod go-w '{shown}'")),
            "{told:?}"
        );

        // No command that would harm others: `/tmp` is such a directory.
        fs::set_permissions(home, Permissions::from_mode(0o1777)).unwrap();
        let told = warnings(home);
        assert!(told.len() == 1 && !told[0].contains("chmod"), "{told:?}");
        assert!(told[0].contains("SKEP_HOME"), "{told:?}");
    }
}
