// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Keeping a file under a second name, and moving one, so that a power cut at any point leaves it
//! under the first name or the second one.

use std::path::Path;
use std::time::SystemTime;
use std::{fs, io};

use rustix::io::Errno;

use crate::disk::directory::create_directory;
use crate::disk::folder_sync::sync_directory;
use crate::disk::{Part, fault, open_regular};

/// Gives a file the second name `target`: by a link, or, where there are none (Android, FAT), by a
/// copy with the same modification time. Directories above `target` are made where they are missing.
///
/// # Errors
/// Those of the file system; nothing is left under `target` then, and the file stays as it is.
pub(crate) fn preserve(source: &Path, target: &Path) -> io::Result<()> {
    make_folder_of(target)?;

    fault::check()?;
    match fs::hard_link(source, target) {
        Ok(()) => sync_directory(target),
        Err(error) if knows_no_links(&error) => copy(source, target),
        Err(error) => Err(error),
    }
}

/// Moves a file on one file system; what has the name `target` is replaced in the same moment.
///
/// # Errors
/// Those of the file system; the file then has its old name, or, if only an fsync failed, the new one.
pub(crate) fn move_file(source: &Path, target: &Path) -> io::Result<()> {
    make_folder_of(target)?;
    fault::check()?;
    fs::rename(source, target)?;

    // The new name first: after a power cut between the two, a file with two names is better than none.
    sync_directory(target)?;
    sync_directory(source)
}

/// Sets the modification time of a file to now, durably.
///
/// # Errors
/// Those of the file system.
pub(crate) fn touch(path: &Path) -> io::Result<()> {
    fault::check()?;
    let file = open_regular(path)?;
    file.set_modified(SystemTime::now())?;
    file.sync_all()
}

/// Writes a whole file of mode 0600, and the directories above it where they are missing.
///
/// # Errors
/// Those of the file system; the old content then stays.
pub(crate) fn write_in_new_folder(path: &Path, bytes: &[u8]) -> io::Result<()> {
    make_folder_of(path)?;
    crate::disk::write(path, bytes, 0o600)
}

fn copy(source: &Path, target: &Path) -> io::Result<()> {
    let mut file = open_regular(source)?;
    let folder = target.parent().unwrap_or(Path::new("."));
    let mut part = Part::create(folder, "kept-")?;
    io::copy(&mut file, &mut part)?;
    part.file.set_modified(file.metadata()?.modified()?)?;
    part.publish(target).map(drop)
}

/// Makes the directory of a file, and those above it, so that they are there after a power cut.
fn make_folder_of(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), create_directory)
}

fn knows_no_links(error: &io::Error) -> bool {
    const REASONS: &[Errno] = &[
        Errno::PERM,
        Errno::ACCESS,
        Errno::NOSYS,
        Errno::OPNOTSUPP,
        Errno::MLINK,
        Errno::XDEV,
    ];

    REASONS
        .iter()
        .any(|reason| error.raw_os_error() == Some(reason.raw_os_error()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_is_as_good_as_a_link() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        fs::write(path("m"), b"model").unwrap();
        preserve(&path("m"), &path("a/b/1")).unwrap();
        copy(&path("m"), &path("a/b/2")).unwrap();
        let time = |name: &str| path(name).metadata().unwrap().modified().unwrap();
        for kept in ["a/b/1", "a/b/2"] {
            assert_eq!(fs::read(path(kept)).unwrap(), b"model");
            assert_eq!(time(kept), time("m"));
        }
        assert_eq!(fs::read_dir(path("a/b")).unwrap().count(), 2);
        assert!(preserve(&path("none"), &path("a/b/3")).is_err());
        move_file(&path("a/b/2"), &path("m")).unwrap();
        assert!(!path("a/b/2").exists());
    }

    #[test]
    fn file_systems_without_links_are_known_by_their_errors() {
        assert!(knows_no_links(&Errno::PERM.into()) && knows_no_links(&Errno::OPNOTSUPP.into()));
        assert!(!knows_no_links(&Errno::NOSPC.into()) && !knows_no_links(&Errno::IO.into()));
    }
}
