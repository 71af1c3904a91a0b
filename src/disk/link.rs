// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Keeping a file under a second name, and moving one, so that a power cut at any point leaves it
//! under the first name or the second one.

use std::ffi::OsStr;
use std::io;
use std::time::SystemTime;

use rustix::io::Errno;

use crate::disk::{FilePlace, Part, fault, is_part_name};

/// Gives a file the second name `target`: by a link, or, where there are none (Android, FAT), by a
/// copy with the same modification time.
///
/// # Errors
/// Those of the file system; nothing is left under `target` then, and the file stays as it is.
pub(crate) fn preserve(source: &FilePlace, target: &FilePlace) -> io::Result<()> {
    preserve_unsynced(source, target)?;
    target.folder().sync()
}

/// The same, but a power cut may take the second name away again.
///
/// # Errors
/// As [`preserve`].
pub(crate) fn preserve_unsynced(source: &FilePlace, target: &FilePlace) -> io::Result<()> {
    match source.link_to(target) {
        Err(error) if knows_no_links(&error) => copy(source, target),
        linked => linked,
    }
}

/// Moves a file on one file system; what has the name `target` is replaced in the same moment.
///
/// # Errors
/// Those of the file system; the file then has its old name, or, if only an fsync failed, the new one.
pub(crate) fn move_file(source: &FilePlace, target: &FilePlace) -> io::Result<()> {
    source.rename_to(target)?;

    // The new name first: after a power cut between the two, a file with two names is better than none.
    target.folder().sync()?;
    source.folder().sync()
}

/// Sets the modification time of a regular file to now, durably.
///
/// # Errors
/// `NotFound` for anything else; otherwise those of the file system.
pub(crate) fn touch(place: &FilePlace) -> io::Result<()> {
    fault::check()?;
    let (file, _) = place.open()?;
    file.set_modified(SystemTime::now())?;
    file.sync_all()
}

/// Whether an unfinished copy of [`preserve`] may have this name.
pub(crate) fn is_copy_name(name: &str) -> bool {
    is_part_name(OsStr::new(name), COPY_PREFIX)
}

const COPY_PREFIX: &str = "kept-";

/// Copies a file, with its mode and its modification time, durably.
///
/// # Errors
/// Those of the file system; nothing is left under `target` then.
pub(crate) fn copy(source: &FilePlace, target: &FilePlace) -> io::Result<()> {
    let (mut file, facts) = source.open()?;
    let mut part = Part::create_in(target.folder(), COPY_PREFIX, 0o600)?;
    io::copy(&mut file, &mut part)?;
    part.take_mode_of(source);
    part.file.set_modified(facts.modified.time())?;
    part.publish_at(target).map(drop)
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
    use std::fs;

    use super::*;
    use crate::disk::Folder;

    #[test]
    fn a_copy_is_as_good_as_a_link() {
        let directory = tempfile::tempdir().unwrap();
        let folder = Folder::open(directory.path()).unwrap();
        let kept = folder.make("kept").unwrap();
        let model = FilePlace::new(&folder, "m");
        fs::write(model.path(), b"model").unwrap();

        let (first, second) = (FilePlace::new(&kept, "1"), FilePlace::new(&kept, "2"));
        preserve(&model, &first).unwrap();
        copy(&model, &second).unwrap();
        for place in [&first, &second] {
            assert_eq!(place.read(100).unwrap(), b"model");
            let time = |place: &FilePlace| place.facts().unwrap().modified;
            assert_eq!(time(place), time(&model));
        }
        assert_eq!(kept.entries().unwrap().count(), 2);

        assert!(
            preserve(
                &FilePlace::new(&folder, "none"),
                &FilePlace::new(&kept, "3")
            )
            .is_err()
        );
        move_file(&second, &model).unwrap();
        assert!(!second.exists());
    }

    #[test]
    fn file_systems_without_links_are_known_by_their_errors() {
        assert!(knows_no_links(&Errno::PERM.into()) && knows_no_links(&Errno::OPNOTSUPP.into()));
        assert!(!knows_no_links(&Errno::NOSPC.into()) && !knows_no_links(&Errno::IO.into()));
    }
}
