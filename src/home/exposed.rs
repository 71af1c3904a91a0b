// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What others on this device can read or change in the home: such a home is refused, as sshd refuses one
//! with its `StrictModes`. The shared storage of phones makes up owners and modes, so that can be left out.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::error::{Error, ErrorKind, Result};
use crate::home::home_files as files;
use crate::text::quoted;

/// Checks a home, and the directories that it is in as far as they are below `owners`.
///
/// # Errors
/// `Usage` with the commands that mend it.
pub(crate) fn check(home: &Path, owners: Option<&Path>) -> Result<()> {
    let wrong = |text: String, hint: &str| {
        let hint = format!("{hint}; where owners and modes cannot be set: SKEP_STRICT_MODES=0");
        Err(Error::new(ErrorKind::Usage, text).hint(hint))
    };
    let shown = quoted(home);

    // No command is told that would harm others.
    if is_shared(home) {
        let text = format!("the home {shown} is a directory that others use, too");
        return wrong(text, "set SKEP_HOME to one of its own");
    }
    if is_of_another(home) {
        let text = format!("the home {shown} belongs to another user");
        return wrong(text, "set SKEP_HOME to a directory of yours");
    }

    // Who can write into a directory can put another file in the place of any that is in it.
    let mut own = vec![home.to_owned()];
    own.extend(inside(home).into_iter().filter(|path| is_known(path)));
    own.extend(inside(&files::AUTHORITY.path(home)));
    let (secret, trusted): (Vec<_>, Vec<_>) = own.into_iter().partition(|path| is_secret(path));

    // Where every user has a group, what is made outside of the home is often writable for that group.
    let above = home.ancestors().skip(1);
    let above = above.take_while(|path| owners.is_some_and(|owners| path.starts_with(owners)));
    let above = above.filter(|path| has(path, ALL_WRITE) && !has(path, STICKY));

    let readable = secret.into_iter().filter(|path| has(path, OTHERS));
    let writable = trusted.into_iter().filter(|path| has(path, OTHERS_WRITE));
    let writable = writable.chain(above.map(Path::to_owned));

    let (mut told, mut mended) = (Vec::new(), Vec::new());
    for (paths, how, mode) in [
        (readable.collect::<Vec<_>>(), "read secrets", "go="),
        (writable.collect(), "change what skep trusts", "go-w"),
    ] {
        if !paths.is_empty() {
            let words = paths.iter().take(SHOWN_MAX).map(|path| quoted(path));
            let words = words.collect::<Vec<_>>().join(" ");
            told.push(format!("{how}: {words}"));
            mended.push(format!("chmod {mode} {words}"));
        }
    }

    if told.is_empty() {
        return Ok(());
    }
    let text = format!("others on this device can {}", told.join(", and "));
    wrong(text, &format!("run: {}", mended.join(" && ")))
}

/// The files and the directories in a directory of the home, in the order of their names.
fn inside(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let mut paths: Vec<_> = entries.map(|entry| entry.path()).collect();
    // Sockets and pipes are as open as whoever made them wants.
    paths.retain(|path| path.is_file() || path.is_dir());
    paths.sort();
    paths
}

/// Whether a file in a home is one of skep, which may share the directory with others.
fn is_known(path: &Path) -> bool {
    let trusted = [
        files::CONFIG,
        files::FORMAT,
        files::CERTIFICATE,
        files::ADDRESSES,
        files::CLOCK,
        files::AUTHORITY,
        files::KNOWN_SERVERS,
        files::UPLOADS,
        files::DIGESTS,
    ];
    let name = path.file_name().unwrap_or_default();
    is_secret(path) || name == "sign.pub" || trusted.iter().any(|file| name == file.name)
}

/// Whether a file of the home lets in whoever has read it, or speaks in the name of its owner.
fn is_secret(path: &Path) -> bool {
    let secret = [
        files::KEY,
        files::PASSWORD,
        files::CHOSEN_PASSWORD,
        files::TOKENS,
        files::INVITATIONS,
        files::SERVERS,
        files::SIGNING_KEY,
    ];
    let name = path.file_name().unwrap_or_default();
    name == "ca.key" || secret.iter().any(|file| name == file.name)
}

/// Whether a directory is one of the system, whose mode is not ours to change: `/tmp`, or one at the top.
fn is_shared(directory: &Path) -> bool {
    has(directory, STICKY) || directory.components().count() <= 2 && has(directory, OTHERS_WRITE)
}

/// Whether a directory is of a user who is neither this one nor the administrator.
fn is_of_another(directory: &Path) -> bool {
    let us = rustix::process::geteuid().as_raw();
    let of_another = |owner: u32| us != 0 && owner != 0 && owner != us;
    std::fs::metadata(directory).is_ok_and(|directory| of_another(directory.uid()))
}

/// Whether a file is there and gives others one of these rights.
fn has(path: &Path, rights: u32) -> bool {
    std::fs::metadata(path).is_ok_and(|file| file.mode() & rights != 0)
}

/// The bit of directories in which everybody may make files.
const STICKY: u32 = 0o1000;

/// Any right of the group or of everybody.
const OTHERS: u32 = 0o077;

const OTHERS_WRITE: u32 = 0o022;

const ALL_WRITE: u32 = 0o002;

/// So many fit into one command that is read before it is run.
const SHOWN_MAX: usize = 20;

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn set(path: &Path, mode: u32) {
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }

    /// What is told of a home, with the commands.
    fn told(home: &Path, owners: Option<&Path>) -> String {
        check(home, owners).map_or_else(|error| error.to_string(), |()| String::new())
    }

    #[test]
    fn what_others_can_read_or_change_is_refused_with_the_commands() {
        let place = tempfile::tempdir().unwrap();
        let home = place.path();
        let shown = home.display();
        fs::create_dir(home.join("ca")).unwrap();
        for name in [
            "server.key",
            "password",
            "password.argon2",
            "tokens",
            "invitations",
            "servers",
            "sign.key",
            "ca/ca.key",
        ] {
            let path = home.join(name);
            fs::write(&path, "x").unwrap();
            for mode in [0o604, 0o640, 0o601, 0o660] {
                set(&path, mode);
                let told = told(home, None);
                let command = format!("run: chmod go= '{shown}/{name}'");
                assert!(told.contains(&command), "{name} {mode:o}: {told}");
            }
            set(&path, 0o600);
        }
        for (name, mode) in [
            ("config.toml", 0o644),
            ("known_servers", 0o644),
            ("ca", 0o755),
        ] {
            let path = home.join(name);
            if name != "ca" {
                fs::write(&path, "x").unwrap();
            }
            set(&path, mode);
            assert_eq!(told(home, None), "");
            set(&path, mode | 0o020);
            let told = told(home, None);
            let command = format!("run: chmod go-w '{shown}/{name}'");
            assert!(told.contains(&command), "{name}: {told}");
            set(&path, mode);
        }

        for mode in [0o777, 0o770, 0o702] {
            set(home, mode);
            set(&home.join("tokens"), 0o666);
            let told = told(home, None);
            let commands = format!("run: chmod go= '{shown}/tokens' && chmod go-w '{shown}'; ");
            assert!(told.contains(&commands), "{told}");
            assert!(told.contains("SKEP_STRICT_MODES=0"), "{told}");
        }
    }

    #[test]
    fn no_command_is_told_that_would_harm_others() {
        let place = tempfile::tempdir().unwrap();
        set(place.path(), 0o1777);
        let told = told(place.path(), None);
        assert!(
            !told.contains("chmod") && told.contains("set SKEP_HOME"),
            "{told}"
        );
    }

    #[test]
    fn directories_of_the_owner_above_the_home_count() {
        let place = tempfile::tempdir().unwrap();
        let (above, home) = (place.path().join("a"), place.path().join("a/home"));
        fs::create_dir_all(&home).unwrap();
        set(&home, 0o700);
        for (mode, is_wrong) in [
            (0o777, true),
            (0o702, true),
            (0o775, false),
            (0o1777, false),
        ] {
            set(&above, mode);
            let told = told(&home, Some(place.path()));
            let command = format!("chmod go-w '{}'", above.display());
            assert_eq!(told.contains(&command), is_wrong, "{mode:o}: {told}");
        }
        set(&above, 0o777);
        assert_eq!(told(&home, Some(Path::new("/nowhere"))), "");
    }
}
