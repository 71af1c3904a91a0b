// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What a file system makes of names: which spellings are one, and which it does not take.

use std::io;
use std::path::Path;

use rustix::fs::OFlags;
use rustix::io::Errno;

use crate::disk::{FileKind, FilePlace, Folder, Part};
use crate::error::ErrorKind;
use crate::model::ModelName;
use crate::store::hidden_folder::{HiddenFolder, LOCK};
use crate::text::composed;

/// Whether the file system takes several spellings for one name; it is asked by trying.
pub(super) fn folds_names(
    hidden: &HiddenFolder,
    parts: &Folder,
    directory: &Path,
) -> io::Result<bool> {
    let folds_forms = match Part::create_in(parts, COMPOSED, 0o600) {
        // A server on a full disk still serves, and models can be removed.
        Err(error) if ErrorKind::from_io(&error) == ErrorKind::NoSpace => {
            log::warn!("the disk of {} is full", directory.display());
            false
        }
        // Some take no such names, so there is nothing to fold.
        Err(error) if is_absence(&error) => false,
        Err(error) => return Err(error),
        Ok(part) => {
            let path = part.place().path();
            let shown = path.file_name().unwrap_or_default().to_string_lossy();
            FilePlace::new(parts, shown.replace(COMPOSED, DECOMPOSED)).exists()
        }
    };

    // The lock file was made under a name in small letters: if it is found in capitals, too, the file
    // system folds cases.
    Ok(folds_forms || hidden.file(&LOCK.to_uppercase())?.exists())
}

/// The name of another file that a file system takes for the same name, as the shared storage of a phone
/// does with `A` and `a`, and others with both ways to write an accented letter. The file system itself is
/// asked: a file that is found and not listed is listed under another name.
pub(super) fn clash(root: &Folder, name: &ModelName) -> io::Result<Option<String>> {
    let mut folder = root.clone();
    let mut way = String::new();

    for segment in name.segments() {
        // Nothing under this name means that no other spelling is in use.
        let facts = match FilePlace::new(&folder, segment).facts() {
            Err(error) if is_absence(&error) => return Ok(None),
            other => other?,
        };

        // The whole folder is compared, because only a listing shows how a name is really spelled.
        let mut listed = Vec::new();
        for entry in folder.entries()? {
            let entry = entry?;
            listed.push((entry.name.to_string_lossy().into_owned(), entry.inode));
        }

        if let Some(other) = other_name(segment, facts.inode, listed) {
            return Ok(Some(way + &other));
        }
        if facts.kind != FileKind::Folder {
            return Ok(None);
        }
        folder = folder.enter_any(segment)?;
        way = format!("{way}{segment}/");
    }

    Ok(None)
}

/// Whether the file system takes the segments of a name, which is tried in this folder.
///
/// # Errors
/// As the file system refuses them.
pub(super) fn try_names(folder: &Folder, name: &ModelName) -> io::Result<()> {
    for segment in name.segments() {
        let place = FilePlace::new(folder, segment);
        match place.open_as(OFlags::RDWR | OFlags::CREATE | OFlags::EXCL, 0o600) {
            Err(error) if is_refusal(&error) => return Err(error),
            Ok(_) => place.remove_unsynced()?,
            // All else is told of by the upload itself.
            Err(_) => {}
        }
    }
    Ok(())
}

/// The name under which a file is listed that was found as `name`; `None` if that is its name.
pub(super) fn other_name(name: &str, inode: u64, listed: Vec<(String, u64)>) -> Option<String> {
    // A file system that keeps letters with marks in its own form has it under this name all the same.
    let own = composed(name);
    if listed
        .iter()
        .any(|(other, _)| other == name || composed(other) == own)
    {
        return None;
    }
    // Some file systems number files anew with each call, but something does have the name.
    let found = listed.into_iter().find(|(_, number)| *number == inode);
    Some(found.map_or_else(|| "another file".to_owned(), |(other, _)| other))
}

/// Names that a file system does not take (too long for eCryptfs, `:` on FAT) are names of nothing.
pub(crate) fn is_absence(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound || is_refusal(error)
}

/// A name that the file system does not take: too long, or with characters that it has no place for.
pub(super) fn is_refusal(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidFilename, InvalidInput};
    let is_unwritable = error.raw_os_error() == Some(Errno::ILSEQ.raw_os_error());
    is_unwritable || matches!(error.kind(), InvalidFilename | InvalidInput)
}

/// What has a name, for people.
pub(super) fn shown(kind: FileKind) -> &'static str {
    match kind {
        FileKind::File => "a model",
        FileKind::Folder => "a folder",
        FileKind::Link => "a symbolic link",
        FileKind::Special => "a special file",
    }
}

/// The characters that FAT, exFAT and NTFS refuse.
pub(super) const AWKWARD: &str = "probe-:*?<>|\"-";

/// One letter in the two forms of Unicode (NFC and NFD).
pub(super) const COMPOSED: &str = "probe-\u{e9}-";
pub(super) const DECOMPOSED: &str = "probe-e\u{301}-";
