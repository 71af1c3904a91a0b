// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What is said of a model directory that cannot be used: whose it is, and which command would help.
//!
//! Invariant: a command that is printed changes nothing but the model directory itself, and never
//! recursively. Its parents may belong to the system.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::Access;

use crate::disk::Folder;
use crate::error::{Error, ErrorKind};
use crate::store::hidden_folder::HIDDEN;
use crate::text::quoted;

/// Warns of a directory that everybody can change. It is none that cannot be used: cards and the shared
/// storage of phones make modes up.
pub(crate) fn tell_of_writers(folder: &Folder) {
    if folder
        .facts()
        .is_ok_and(|facts| facts.mode & ALL_WRITE != 0)
    {
        let shown = quoted(folder.path());
        log::warn!(
            "everybody on this device can add, replace and remove the models in {shown}; run: chmod o-w \
             {shown} (where the file system makes modes up, as on cards, mount it for one user)"
        );
    }
}

/// The error of a directory that another server uses.
pub(crate) fn taken(directory: &Path) -> Error {
    let text = format!(
        "another server uses the model directory {}",
        directory.display()
    );
    Error::new(ErrorKind::AlreadyRunning, text)
        .hint("stop it first, or choose another directory with --dir")
}

/// The error of a directory on a file system without locks that a mark says to be in use.
pub(crate) fn marked(directory: &Path, mark: &Path) -> Error {
    let text = format!(
        "another server uses the model directory {}, as {} says",
        directory.display(),
        mark.display()
    );
    let hint = format!(
        "stop it first; if no server uses the directory, one was ended suddenly: remove {}",
        quoted(mark)
    );
    Error::new(ErrorKind::AlreadyRunning, text).hint(hint)
}

/// The error of a directory that cannot be used, with its owner. `place` is the file or folder that
/// failed.
pub(crate) fn unusable(directory: &Path, place: &Path, error: io::Error) -> Error {
    // What has to be a file is a folder, or the reverse.
    let is_file = || fs::symlink_metadata(place).is_ok_and(|found| found.is_file());
    let is_other = match error.kind() {
        io::ErrorKind::IsADirectory => place != directory,
        io::ErrorKind::NotADirectory => place != directory && is_file(),
        _ => false,
    };
    let said = Error::io(
        format!("cannot use the model directory {}", directory.display()),
        error,
    );

    // Everything but a full disk is a mistake in the setup, which the operator has to correct.
    let kind = match said.kind() {
        ErrorKind::NoSpace => ErrorKind::NoSpace,
        _ => ErrorKind::Usage,
    };

    let found = Refused::find(directory, place).filter(|_| said.kind() == ErrorKind::Forbidden);

    let Some(found) = found else {
        let wrong = is_other.then_some(place).or_else(|| in_the_way(place));
        let hint = match wrong {
            Some(path) => format!("remove or rename {}; or {CHOOSE}", quoted(path)),
            None => CHOOSE.to_owned(),
        };
        return Error::new(kind, said.message()).hint(hint).because(said);
    };

    // Owner and mode say what is wrong better than `permission denied` does.
    let text = format!(
        "{}: {} belongs to uid {} with mode {:04o}, and this process runs as uid {}",
        said.message(),
        found.path.display(),
        found.owner,
        found.mode,
        found.us,
    );

    let mut hint = match found.command(directory) {
        Some(command) => format!("run: {command}; or {CHOOSE}"),
        None => CHOOSE.to_owned(),
    };

    if matches!(found.part, RefusedPart::Own | RefusedPart::Foreign) {
        hint.push_str("; with --read-only, its models are served as they are");
    }

    Error::new(kind, text).hint(hint).because(said)
}

/// What the access ended at: the failed place, or the nearest of its parents that can be examined.
struct Refused {
    path: PathBuf,
    owner: u32,
    mode: u32,
    us: u32,
    part: RefusedPart,
}

/// Which part of the model directory a path is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RefusedPart {
    /// A folder above it: the directory does not exist, and this process can enter its parent.
    Above,
    /// A folder above it that this process cannot enter.
    Closed,
    /// The directory, which a server has used before or which is empty.
    Own,
    /// The directory, which holds other files and may belong to the system, for example `/`.
    Foreign,
    /// Something of a server that is in it.
    Within,
}

impl Refused {
    fn find(directory: &Path, place: &Path) -> Option<Self> {
        // The parent of a relative path is the working directory, which has no name in it.
        let (directory, place) = (&absolute(directory), &absolute(place));
        let (path, metadata) = place
            .ancestors()
            .find_map(|path| Some((path, fs::symlink_metadata(path).ok()?)))?;

        // A command would change what a link leads to.
        if metadata.is_symlink() && path != directory {
            return None;
        }

        let part = match fs::canonicalize(directory) {
            // A place is below the directory, or above it as long as that does not exist.
            Ok(real) if path == directory || path == real => own_or_foreign(&real),
            Ok(real) if path.starts_with(&real) || path.starts_with(directory) => {
                RefusedPart::Within
            }
            _ if rustix::fs::access(path, Access::EXEC_OK).is_ok() => RefusedPart::Above,
            _ => RefusedPart::Closed,
        };

        Some(Self {
            path: path.to_owned(),
            owner: metadata.uid(),
            mode: metadata.mode() & 0o7777,
            us: rustix::process::geteuid().as_raw(),
            part,
        })
    }

    /// A command that mends it and harms nothing, if there is one.
    fn command(&self, directory: &Path) -> Option<String> {
        let path = quoted(&self.path);
        let us = self.us;

        match self.part {
            RefusedPart::Above => Some(format!("sudo install -d -o {us} {}", quoted(directory))),
            RefusedPart::Closed => None,
            _ if self.owner == us => Some(format!("chmod u+rwX {path}")),
            RefusedPart::Foreign => None,
            RefusedPart::Own | RefusedPart::Within => Some(format!("sudo chown -h {us} {path}")),
        }
    }
}

/// What has the name of a file or folder of a server and is something else: the outermost link or file
/// from the hidden folder to the place that failed.
fn in_the_way(place: &Path) -> Option<&Path> {
    let mut paths: Vec<_> = place.ancestors().collect();
    paths.reverse();
    let is_hidden = |path: &&Path| path.file_name().is_some_and(|name| name == HIDDEN);
    let first = paths.iter().rposition(is_hidden)?;

    let is_wrong = |path: &Path| {
        let found = fs::symlink_metadata(path);
        found.is_ok_and(|found| !found.is_dir() && (path != place || !found.is_file()))
    };
    let wrong = |path: &&&Path| is_wrong(path);
    paths[first..].iter().find(wrong).copied()
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

fn own_or_foreign(directory: &Path) -> RefusedPart {
    let is_used = directory.join(HIDDEN).exists();
    let is_empty = || fs::read_dir(directory).is_ok_and(|mut entries| entries.next().is_none());

    // An empty directory at the top (`/mnt`, `/srv`) belongs to the system, too.
    let is_at_top = directory.components().count() <= 2;

    if is_used || (!is_at_top && is_empty()) {
        RefusedPart::Own
    } else {
        RefusedPart::Foreign
    }
}

const ALL_WRITE: u32 = 0o002;

const CHOOSE: &str = "choose another directory with --dir";

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(directory: &Path, place: &Path) -> Refused {
        let mut found = Refused::find(directory, place).unwrap();
        // Tests may run as root, whom no mode keeps out.
        (found.us, found.owner) = (4711, 0);
        found
    }

    #[test]
    fn no_command_touches_a_parent_or_a_directory_of_the_system() {
        let missing = Path::new("/no-such-models");
        let found = refused(missing, missing);
        assert_eq!(
            (found.path.as_path(), found.part),
            (Path::new("/"), RefusedPart::Above)
        );
        assert_eq!(
            found.command(missing).as_deref(),
            Some("sudo install -d -o 4711 '/no-such-models'")
        );

        let missing = Path::new("no-such-models");
        let found = refused(missing, missing);
        assert_eq!(found.part, RefusedPart::Above);
        assert_eq!(found.path, std::env::current_dir().unwrap());

        for system in ["/", "/etc", "/usr"].map(Path::new) {
            let found = refused(system, system);
            assert_eq!(found.part, RefusedPart::Foreign, "{}", system.display());
            assert_eq!(found.command(system), None);
        }
    }

    #[test]
    fn the_directory_and_what_is_in_it_get_another_owner_one_by_one() {
        let place = tempfile::tempdir().unwrap();
        let directory = place.path().join("my models");
        fs::create_dir(&directory).unwrap();
        let command = |place: &Path| refused(&directory, place).command(&directory);
        let shown = directory.display();

        let expected = Some(format!("sudo chown -h 4711 '{shown}'"));
        assert_eq!(command(&directory), expected);

        fs::write(directory.join("letter.txt"), b"x").unwrap();
        assert_eq!(command(&directory), None);

        fs::create_dir(directory.join(".skep")).unwrap();
        assert_eq!(command(&directory), expected);

        let expected = Some(format!("sudo chown -h 4711 '{shown}/.skep'"));
        assert_eq!(command(&directory.join(".skep/parts")), expected);
    }

    #[test]
    fn what_is_ours_needs_no_other_owner() {
        let place = tempfile::tempdir().unwrap();
        fs::write(place.path().join("letter.txt"), b"x").unwrap();
        let mut found = refused(place.path(), place.path());
        found.owner = found.us;
        let expected = format!("chmod u+rwX '{}'", place.path().display());
        assert_eq!(found.command(place.path()), Some(expected));
    }
}
