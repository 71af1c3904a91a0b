// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Where things lie in a model directory, and who may use it.
//!
//! A model is a plain file `NAME`. Beside the models is one hidden folder, which no name can reach:
//! `.skep/lock`, `.skep/index`, `.skep/parts/` with the bytes of unfinished uploads, `.skep/uploads/`
//! with the journals of those that can be continued, `.skep/versions/` with what models were before,
//! and `.skep/about/` with where they come from.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{DirEntryExt as _, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::Access;

use crate::disk::{self, FileLock, Part};
use crate::error::{Error, ErrorKind, Result};
use crate::model::ModelName;
use crate::store::catalog::stamp::Stamp;
use crate::store::catalog::unusable::{HIDDEN, taken, unusable};
use crate::store::upload::{UploadFiles, UploadId};

/// A model directory that is ours to use.
pub(crate) struct Layout {
    directory: PathBuf,
    folds_names: bool,
    /// The number of the file system that it is on.
    device: u64,
    /// Held as long as this lives.
    _lock: Option<File>,
}

/// What stands under a name.
pub(crate) enum Standing {
    Nothing,
    Model(Stamp),
    /// A directory, symbolic link, FIFO or device, with its name for people.
    Other(&'static str),
}

impl Layout {
    /// Makes the directory where it is missing, takes its lock, and removes parts that were left over.
    /// Where the file system knows no locks, only parts older than `part_age_max` are.
    ///
    /// # Errors
    /// `Usage` if the directory cannot be used, `AlreadyRunning` if another server uses it.
    pub(crate) fn open(directory: &Path, part_age_max: Duration) -> Result<Self> {
        let given = directory;
        let unusable = |place: &Path, error| unusable(given, place, error);

        // The canonical path keeps its meaning when the process changes its working directory or a
        // link is replaced.
        disk::create_directory(given).map_err(|error| unusable(given, error))?;
        let directory = fs::canonicalize(given).map_err(|error| unusable(given, error))?;

        // A read-only directory is refused at the start; otherwise the first upload would find it,
        // hours later.
        rustix::fs::access(
            &directory,
            Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK,
        )
        .map_err(|error| unusable(&directory, error.into()))?;

        let hidden = directory.join(HIDDEN);
        let (parts, lock) = (hidden.join(PARTS), hidden.join(LOCK));
        disk::create_directory(&parts).map_err(|error| unusable(&parts, error))?;
        let held = disk::lock_file(&lock).map_err(|error| unusable(&lock, error))?;

        // The lock tells dead processes from living ones: under it, every part is left over.
        // Without locks, only its age tells.
        let (held, age_min) = match held {
            FileLock::Held(file) => (Some(file), Duration::ZERO),
            FileLock::Unsupported => (None, part_age_max),
            FileLock::Taken => return Err(taken(&directory)),
        };

        // Journals, descriptions and the index are written as parts, too, so their folders can hold
        // unfinished ones. A description has the name of its model, which may end in `.part`, but
        // never begins with a dot.
        for (place, prefix) in [
            (&parts, ""),
            (&hidden, ""),
            (&hidden.join(UPLOADS), ""),
            (&hidden.join(ABOUT), "."),
        ] {
            match disk::remove_left_over(place, prefix, age_min) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(unusable(place, error));
                }
                _ => {}
            }
        }

        // The file system itself is asked whether it takes the composed and the decomposed form of
        // a letter for one name.
        let folds_forms = match Part::create(&parts, COMPOSED) {
            // A server on a full disk still serves, and models can be removed.
            Err(error) if ErrorKind::from_io(&error) == ErrorKind::NoSpace => {
                log::warn!("the disk of {} is full", directory.display());
                false
            }
            // Some take no such names, so there is nothing to fold.
            Err(error) if is_absence(&error) => false,
            Err(error) => return Err(unusable(&parts, error)),
            Ok(part) => {
                let composed = part.path().to_string_lossy();
                Path::new(&composed.replace(COMPOSED, DECOMPOSED)).exists()
            }
        };

        // The lock file was made under a name in small letters: if it is found in capitals, too,
        // the file system folds cases.
        let folds_names = folds_forms || hidden.join(LOCK.to_uppercase()).exists();
        let device = fs::metadata(&directory)
            .map_err(|error| unusable(given, error))?
            .dev();

        Ok(Self {
            directory,
            folds_names,
            device,
            _lock: held,
        })
    }

    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    pub(crate) fn path(&self, name: &ModelName) -> PathBuf {
        self.directory.join(name.as_str())
    }

    pub(crate) fn index(&self) -> PathBuf {
        self.directory.join(HIDDEN).join(INDEX)
    }

    /// Where the bytes of unfinished uploads are.
    pub(crate) fn parts(&self) -> PathBuf {
        self.directory.join(HIDDEN).join(PARTS)
    }

    /// Where the journals of uploads are that come in pieces.
    pub(crate) fn records(&self) -> PathBuf {
        self.directory.join(HIDDEN).join(UPLOADS)
    }

    /// The files of an upload that comes in pieces.
    pub(crate) fn files(&self, id: UploadId) -> UploadFiles {
        let id = id.to_string();
        let bytes = self.parts().join(&id).with_extension("bytes");
        UploadFiles {
            bytes,
            record: self.records().join(id),
        }
    }

    /// Where the versions of all models are kept.
    pub(crate) fn versions(&self) -> PathBuf {
        self.directory.join(HIDDEN).join(VERSIONS)
    }

    /// What is known of where a model comes from.
    pub(crate) fn about(&self, name: &ModelName) -> PathBuf {
        self.directory.join(HIDDEN).join(ABOUT).join(name.as_str())
    }

    /// A new part on the file system of the models.
    pub(crate) fn part(&self) -> io::Result<Part> {
        let parts = self.parts();
        match Part::create(&parts, "upload-") {
            // Somebody tidied up, but left the models where they are.
            Err(error) if error.kind() == io::ErrorKind::NotFound && self.directory.is_dir() => {
                disk::create_directory(&parts)?;
                Part::create(&parts, "upload-")
            }
            result => result,
        }
    }

    /// All models, in no order. What is not a regular file or has no name that a model may have is
    /// left out, and so is what vanishes meanwhile.
    pub(crate) fn models(&self) -> io::Result<Vec<(ModelName, Stamp)>> {
        let mut models = Vec::new();
        for entry in fs::read_dir(&self.directory)? {
            // Names that are not UTF-8 or not allowed cannot be asked for by any request.
            let Ok(text) = entry?.file_name().into_string() else {
                continue;
            };
            let Ok(name) = text.parse() else { continue };
            match self.standing(&name) {
                Ok(Standing::Model(stamp)) => models.push((name, stamp)),
                Ok(_) => {}
                // One damaged entry of an old card must not hide all the others.
                Err(error) => log::warn!("the model '{name}' is not listed: {error}"),
            }
        }

        Ok(models)
    }

    /// What stands under a name; links are not followed.
    pub(crate) fn standing(&self, name: &ModelName) -> io::Result<Standing> {
        let metadata = match fs::symlink_metadata(self.path(name)) {
            Err(error) if is_absence(&error) => return Ok(Standing::Nothing),
            other => other?,
        };

        let kind = metadata.file_type();

        Ok(if kind.is_file() {
            Standing::Model(Stamp::of(&metadata))
        } else if kind.is_dir() {
            Standing::Other("a directory")
        } else if kind.is_symlink() {
            Standing::Other("a symbolic link")
        } else {
            Standing::Other("a special file")
        })
    }

    /// Opens a model, with the stamp of exactly that file; `None` if there is none.
    pub(crate) fn open_model(&self, name: &ModelName) -> io::Result<Option<(File, Stamp)>> {
        match disk::open_with_metadata(&self.path(name)) {
            Err(error) if is_absence(&error) => Ok(None),
            Err(error) => Err(error),
            Ok((file, metadata)) => Ok(Some((file, Stamp::of(&metadata)))),
        }
    }

    /// The name of another file that this file system takes for the same name, as the shared storage
    /// of a phone does with `A` and `a`, and others with both ways to write an accented letter. The
    /// file system itself is asked: a file that is found and not listed is listed under another name.
    pub(crate) fn clash(&self, name: &ModelName) -> io::Result<Option<String>> {
        if !self.folds_names {
            return Ok(None);
        }

        // No file under this name means that no other spelling is in use.
        let inode = match fs::symlink_metadata(self.path(name)) {
            Err(error) if is_absence(&error) => return Ok(None),
            other => other?.ino(),
        };

        // The whole directory is compared, because only a listing shows how a name is really
        // spelled.
        let mut listed = Vec::new();

        for entry in fs::read_dir(&self.directory)? {
            let entry = entry?;
            listed.push((
                entry.file_name().to_string_lossy().into_owned(),
                entry.ino(),
            ));
        }

        Ok(other_name(name.as_str(), inode, listed))
    }

    /// Whether the directory is there, and not the empty one in which a card was mounted: what is put
    /// into that would be out of sight once the card is back.
    ///
    /// # Errors
    /// `Busy` if it is not: it may come back.
    pub(crate) fn check_there(&self) -> Result<()> {
        let metadata = fs::metadata(&self.directory).ok();

        // The number of the device changes when a card is mounted over the directory or unmounted
        // from it.
        match metadata
            .filter(|metadata| metadata.is_dir())
            .map(|metadata| metadata.dev())
        {
            Some(device) if device == self.device => Ok(()),
            found => {
                let text = match found {
                    None => "the model directory is missing",
                    Some(_) => "the model directory is now on another file system",
                };
                Err(Error::new(ErrorKind::Busy, text).hint(
                    "check whether it was removed or unmounted; once it is back, restart the server",
                ))
            }
        }
    }
}

/// The name under which a file is listed that was found as `name`; `None` if that is its name.
fn other_name(name: &str, inode: u64, listed: Vec<(String, u64)>) -> Option<String> {
    if listed.iter().any(|(other, _)| other == name) {
        return None;
    }
    // Some file systems number files anew with each call, but something does have the name.
    let found = listed.into_iter().find(|(_, number)| *number == inode);
    Some(found.map_or_else(|| "another file".to_owned(), |(other, _)| other))
}

/// Names that a file system does not take (too long for eCryptfs, `:` on FAT) are names of nothing.
fn is_absence(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidFilename, InvalidInput, NotFound};
    matches!(error.kind(), NotFound | InvalidFilename | InvalidInput)
}

/// One letter in the two forms of Unicode (NFC and NFD).
const COMPOSED: &str = "probe-\u{e9}-";
const DECOMPOSED: &str = "probe-e\u{301}-";

const PARTS: &str = "parts";
const UPLOADS: &str = "uploads";
const LOCK: &str = "lock";
const INDEX: &str = "index";
const VERSIONS: &str = "versions";
const ABOUT: &str = "about";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_found_but_not_listed_clashes_with_the_one_that_is() {
        let listed = || vec![("Model.dm".to_owned(), 7), ("other".to_owned(), 8)];
        assert_eq!(
            other_name("model.dm", 7, listed()).as_deref(),
            Some("Model.dm")
        );
        assert_eq!(
            other_name("model.dm", 9, listed()).as_deref(),
            Some("another file")
        );
        assert_eq!(other_name("Model.dm", 7, listed()), None);
    }

    #[test]
    fn names_clash_where_the_file_system_says_so() {
        let directory = tempfile::tempdir().unwrap();
        let mut layout = Layout::open(directory.path(), Duration::ZERO).unwrap();
        fs::write(directory.path().join("Mod\u{e9}l.dm"), b"x").unwrap();
        let names = ["mod\u{e9}l.dm", "Mode\u{301}l.dm", "MOD\u{c9}L.DM"];
        let is_one = |name: &str| directory.path().join(name).exists();
        assert_eq!(layout.folds_names, names.into_iter().any(is_one));
        layout.folds_names = true;
        let clash = |name: &str| layout.clash(&name.parse().unwrap()).unwrap();
        for name in names {
            assert_eq!(clash(name).is_some(), is_one(name), "{name}");
        }
        assert_eq!(clash("Mod\u{e9}l.dm"), None);
    }
}
