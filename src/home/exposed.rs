// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What others on this device can read or change in the home: such a home is refused, as sshd refuses one
//! with its `StrictModes`. The shared storage of phones makes up owners and modes, so that can be left out.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::error::{Error, ErrorKind, Result};
use crate::home::home_files as files;
use crate::text::quoted;

/// Up to where the directories above a home are checked; without one of them, none is.
#[derive(Clone, Copy)]
pub(crate) struct Reach<'a> {
    /// Below it, nobody else may write to a directory.
    pub(crate) modes: Option<&'a Path>,
    /// Below it, no directory belongs to another user.
    pub(crate) owners: Option<&'a Path>,
}

/// Checks a home, and the directories that it is in.
///
/// # Errors
/// `Usage` with the commands that mend it.
pub(crate) fn check(home: &Path, reach: Reach<'_>) -> Result<()> {
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
    let us = Us::now();
    if let Some(owner) = us.stranger(home) {
        let text = format!("the home {shown} belongs to another user (uid {owner})");
        return wrong(text, us.advice());
    }

    // Who owns a directory can put another one in the place of any that is in it.
    let above = above(home);
    for directory in within(&above, reach.owners) {
        if let Some(owner) = us.stranger(directory) {
            let directory = quoted(directory);
            let text = format!(
                "the home {shown} is in {directory}, which belongs to another user (uid {owner})"
            );
            return wrong(text, us.advice());
        }
    }

    // Who can write into a directory can put another file in the place of any that is in it.
    let mut own = vec![home.to_owned()];
    own.extend(inside(home).into_iter().filter(|path| is_known(path)));
    own.extend(inside(&files::AUTHORITY.path(home)));

    let strange = own.iter().filter(|path| us.stranger(path).is_some());
    let strange: Vec<_> = strange.take(SHOWN_MAX).map(|path| quoted(path)).collect();
    if !strange.is_empty() {
        let words = strange.join(" ");
        let text = format!("files in the home belong to another user: {words}");
        let id = us.id;
        return wrong(text, &format!("as root, run: chown {id} {words}"));
    }

    let (secret, trusted): (Vec<_>, Vec<_>) = own.into_iter().partition(|path| is_secret(path));

    // Where every user has a group, what is made outside of the home is often writable for that group.
    let above = within(&above, reach.modes);
    let above = above.filter(|path| has(path, ALL_WRITE) && !has(path, STICKY));

    let readable = secret.into_iter().filter(|path| has(path, OTHERS));
    let writable = trusted.into_iter().filter(|path| has(path, OTHERS_WRITE));
    let writable = writable.chain(above.cloned());

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

/// The directories that a home is in, or will be, by their real paths, the innermost first.
fn above(home: &Path) -> Vec<PathBuf> {
    let home = std::path::absolute(home).unwrap_or_else(|_| home.to_owned());
    let known = home
        .ancestors()
        .find_map(|path| Some((path, std::fs::canonicalize(path).ok()?)));
    let Some((path, real)) = known else {
        return Vec::new();
    };
    let is_home = usize::from(path == home);
    real.ancestors().skip(is_home).map(Path::to_owned).collect()
}

/// Those that are below a directory, or are it.
fn within<'a>(
    directories: &'a [PathBuf],
    top: Option<&Path>,
) -> impl Iterator<Item = &'a PathBuf> + use<'a> {
    let top = top.map(|top| std::fs::canonicalize(top).unwrap_or_else(|_| top.to_owned()));
    let is_within = move |path: &&PathBuf| top.as_ref().is_some_and(|top| path.starts_with(top));
    directories.iter().take_while(is_within)
}

/// Who runs this.
pub(crate) struct Us {
    id: u32,
    /// Whether users of the system may be missing here, all of which are then shown as one.
    is_partial: bool,
}

impl Us {
    pub(crate) fn now() -> Self {
        // In a namespace, `0 100000 65536`; elsewhere all there are.
        let map = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
        Self {
            id: rustix::process::geteuid().as_raw(),
            is_partial: map.split_whitespace().nth(2) != Some("4294967295"),
        }
    }

    /// The owner of a file that is neither this user nor the administrator. That root may do everything
    /// does not mean that whoever owns its keys may.
    pub(crate) fn stranger(&self, path: &Path) -> Option<u32> {
        let owner = std::fs::metadata(path).ok()?.uid();
        let is_unknown = self.is_partial && owner == OVERFLOW_ID;
        (owner != 0 && owner != self.id && !is_unknown).then_some(owner)
    }

    fn advice(&self) -> &'static str {
        match self.id {
            0 => {
                "run skep as that user, without sudo, or set SKEP_HOME to a directory of root \
                  (sudo -H does)"
            }
            _ => "set SKEP_HOME to a directory of yours",
        }
    }
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

/// As whom the kernel shows a user that a namespace does not have.
const OVERFLOW_ID: u32 = 65534;

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
    fn told(home: &Path, modes: Option<&Path>) -> String {
        let owners = Some(Path::new("/"));
        check(home, Reach { modes, owners })
            .map_or_else(|error| error.to_string(), |()| String::new())
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

    #[test]
    fn what_belongs_to_another_user_is_refused() {
        let place = tempfile::tempdir().unwrap();
        let (above, home) = (place.path().join("a"), place.path().join("a/home"));
        fs::create_dir_all(home.join("ca")).unwrap();
        set(&home, 0o700);
        for name in ["tokens", "ca/ca.key"] {
            fs::write(home.join(name), "x").unwrap();
            set(&home.join(name), 0o600);
        }
        let give = |path: &Path, owner| std::os::unix::fs::chown(path, Some(owner), None);

        // Only root can give a file away.
        if give(&home, 4711).is_err() {
            return;
        }
        let text = told(&home, None);
        assert!(
            text.contains("belongs to another user (uid 4711)"),
            "{text}"
        );
        assert!(text.contains("without sudo, or set SKEP_HOME"), "{text}");
        give(&home, 0).unwrap();
        assert_eq!(told(&home, None), "");

        for name in ["tokens", "ca/ca.key", "ca"] {
            give(&home.join(name), 4711).unwrap();
            let (text, shown) = (told(&home, None), home.join(name));
            let command = format!("as root, run: chown 0 '{}'; where", shown.display());
            assert!(text.contains(&command), "{text}");
            give(&home.join(name), 0).unwrap();
        }

        // It counts before there is a home, too, and behind a link.
        give(&above, 4711).unwrap();
        std::os::unix::fs::symlink(&above, place.path().join("link")).unwrap();
        for home in [
            home,
            above.join("none/home"),
            place.path().join("link/home"),
        ] {
            let text = told(&home, None);
            let shown = format!("is in '{}', which belongs", above.display());
            assert!(text.contains(&shown), "{text}");
            let nothing = Reach {
                modes: None,
                owners: None,
            };
            assert!(check(&home, nothing).is_ok());
        }
    }

    #[test]
    fn a_user_that_a_namespace_does_not_have_is_no_stranger() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path();
        if std::os::unix::fs::chown(path, Some(OVERFLOW_ID), None).is_err() {
            return;
        }
        for (is_partial, stranger) in [(true, None), (false, Some(OVERFLOW_ID))] {
            for id in [0, 1000] {
                assert_eq!(Us { id, is_partial }.stranger(path), stranger);
            }
        }
    }
}
