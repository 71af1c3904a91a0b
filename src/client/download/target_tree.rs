// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A directory of this device into which models are fetched with the paths of their folders.
//!
//! The directory is the user's choice, and so are the links that lead to it. Below it, each folder is opened
//! from the one above it and no link is followed, so that nothing outside is written or removed, whatever
//! stands there and whoever changes it meanwhile.

use std::io;
use std::path::Path;

use crate::client::download::partial_file::PartialFile;
use crate::disk::{self, FileKind, FilePlace, Folder, Part, led_to};
use crate::error::{Error, ErrorKind, Result};
use crate::model::READY_FILE;
use crate::text::decomposed;

/// A directory with all that is below it.
pub(crate) struct TargetTree {
    root: Folder,
}

/// Whether files and folders with a dot in front are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HiddenFiles {
    Meant,
    LeftAlone,
}

impl TargetTree {
    /// Opens a directory; `None` if there is none.
    ///
    /// # Errors
    /// `Conflict` for a link of somebody else, `Usage` for what is no directory or cannot be read.
    pub(crate) fn open(directory: &Path) -> Result<Option<Self>> {
        match led_to(directory).and_then(|path| Folder::open(&path)) {
            Ok(root) => Ok(Some(Self { root })),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(explained("opening", directory, error)),
        }
    }

    /// The same, made where it is missing.
    ///
    /// # Errors
    /// As [`TargetTree::open`].
    pub(crate) fn make(directory: &Path) -> Result<Self> {
        if let Some(there) = Self::open(directory)? {
            return Ok(there);
        }
        let made = disk::create_open_directory(directory);
        made.map_err(|error| explained("creating", directory, error))?;

        let opened = Self::open(directory)?;
        opened.ok_or_else(|| explained("opening", directory, io::ErrorKind::NotFound.into()))
    }

    /// The file that has a path in it; `None` if there is none.
    ///
    /// # Errors
    /// `Conflict` for what is no file, and for a way that leads over a link or a file.
    pub(crate) fn file(&self, way: &str) -> Result<Option<FilePlace>> {
        match self.place(way, Folder::enter) {
            Ok(place) if place.exists() => self.checked(place).map(Some),
            Ok(_) => Ok(None),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(self.refused(way, error)),
        }
    }

    /// The place of a path in it, whose folders are made where they are missing.
    ///
    /// # Errors
    /// As [`TargetTree::file`].
    pub(crate) fn made(&self, way: &str) -> Result<FilePlace> {
        let place = self.place(way, enter_or_make);
        self.checked(place.map_err(|error| self.refused(way, error))?)
    }

    /// The paths of all files in it, sorted. Links, other special files and what has no UTF-8 for its name are
    /// left out.
    ///
    /// # Errors
    /// Those of the file system.
    pub(crate) fn files(&self, hidden: HiddenFiles) -> io::Result<Vec<String>> {
        let mut files = Vec::new();
        collect(&self.root, "", hidden, &mut files)?;
        files.sort_unstable();
        Ok(files)
    }

    /// Whether its file system takes names for the same that differ only in case or in the form of Unicode.
    ///
    /// # Errors
    /// Those of the file system.
    pub(crate) fn folds_names(&self) -> Result<bool> {
        let part = Part::create_in(&self.root, PROBE, 0o600)
            .map_err(|error| explained("writing to", self.root.path(), error))?;
        let name = part.place().file_name().to_string_lossy().into_owned();
        let others = [name.to_lowercase(), decomposed(&name)];
        Ok(others
            .into_iter()
            .any(|other| FilePlace::new(&self.root, other).exists()))
    }

    /// How many bytes the file under a path has, and how many are there already of what is to replace it.
    pub(crate) fn taken_bytes(&self, way: &str) -> (u64, u64) {
        let Ok(place) = self.place(way, Folder::enter) else {
            return (0, 0);
        };
        let old = place.facts().map_or(0, |facts| facts.size);
        (old, PartialFile::left(&place))
    }

    /// How many more bytes a directory takes that may have to be made; `None` where its file system does not
    /// say.
    pub(crate) fn free_bytes(directory: &Path) -> Option<u64> {
        let mut above = directory.ancestors().map(|place| {
            if place == Path::new("") {
                Path::new(".")
            } else {
                place
            }
        });
        disk::free_bytes(above.find(|place| place.is_dir())?).ok()?
    }

    /// Removes a file, and the folders that led to it as far as nothing is in them.
    ///
    /// # Errors
    /// As [`TargetTree::file`].
    pub(crate) fn remove(&self, way: &str) -> Result<()> {
        let Some(place) = self.file(way)? else {
            return Ok(());
        };
        let removed = place.remove();
        removed.map_err(|error| explained("removing", &place.path(), error))?;

        let folders = way.rsplit_once('/').map(|(folders, _)| folders.split('/'));
        let folders = folders.into_iter().flatten().collect();
        self.root.remove_while_empty(folders, Folder::enter);
        Ok(())
    }

    fn place(
        &self,
        way: &str,
        open: fn(&Folder, &str) -> io::Result<Folder>,
    ) -> io::Result<FilePlace> {
        let mut names = way.split('/');
        let name = names.next_back().unwrap_or_default();
        let folder = self.root.descend(names, open)?;
        Ok(FilePlace::new(&folder, name))
    }

    /// What is there is replaced only if it is a file.
    fn checked(&self, place: FilePlace) -> Result<FilePlace> {
        match place.facts().map(|facts| facts.kind) {
            Ok(FileKind::File) => Ok(place),
            Ok(kind) => {
                let what = match kind {
                    FileKind::Link => "a link, which is not followed below a directory",
                    _ => "no file",
                };
                let text = format!("{} is {what}", place.path().display());
                Err(Error::new(ErrorKind::Conflict, text).hint("remove it, or give another -o"))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(place),
            Err(error) => Err(explained("writing", &place.path(), error)),
        }
    }

    fn refused(&self, way: &str, error: io::Error) -> Error {
        let path = self.root.path().join(way);
        match error.kind() {
            io::ErrorKind::NotADirectory | io::ErrorKind::PermissionDenied => {
                let text = format!("writing {}: {error}", path.display());
                Error::new(ErrorKind::Conflict, text).hint("remove it, or give another -o")
            }
            _ => explained("writing", &path, error),
        }
    }
}

/// Hidden, with a capital letter and one with a mark.
const PROBE: &str = ".skep-Prob\u{e9}-";

fn enter_or_make(folder: &Folder, name: &str) -> io::Result<Folder> {
    match folder.enter(name) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        entered => return entered,
    }
    folder.make_open(name)?;
    // Whoever was faster than we were is one of those whose folders are entered.
    folder.enter(name)
}

fn collect(
    folder: &Folder,
    prefix: &str,
    hidden: HiddenFiles,
    files: &mut Vec<String>,
) -> io::Result<()> {
    for entry in folder.entries()? {
        let entry = entry?;
        let Some(name) = entry.name.to_str() else {
            continue;
        };
        if hidden == HiddenFiles::LeftAlone && name.starts_with('.') {
            continue;
        }

        let way = format!("{prefix}{name}");
        let kind = match entry.kind {
            Some(kind) => kind,
            None => FilePlace::new(folder, name).facts()?.kind,
        };
        match kind {
            // What a server says of its own folder is not what it was told to fetch.
            FileKind::File if name == READY_FILE => {}
            FileKind::File => files.push(way),
            // What belongs to somebody else is theirs.
            FileKind::Folder => match folder.enter(name) {
                Ok(inner) => collect(&inner, &format!("{way}/"), hidden, files)?,
                Err(error) => log::debug!("{way} is left alone: {error}"),
            },
            FileKind::Link | FileKind::Special => {}
        }
    }
    Ok(())
}

fn explained(what: &str, path: &Path, error: io::Error) -> Error {
    Error::local(format!("{what} {}", path.display()), error)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn nothing_outside_of_the_directory_is_reached() {
        let directory = tempfile::tempdir().unwrap();
        let outside = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        fs::write(outside.path().join("precious"), "precious").unwrap();
        symlink(outside.path(), path("folder")).unwrap();
        symlink(outside.path().join("precious"), path("link")).unwrap();
        fs::write(path("file"), "").unwrap();
        fs::create_dir(path("inner")).unwrap();

        let tree = TargetTree::open(directory.path()).unwrap().unwrap();
        let ways = ["folder/precious", "folder/new", "link", "file/x", "inner"];
        for way in ways.into_iter().chain(["..", "../x", "inner/../../x", ""]) {
            assert!(tree.made(way).is_err(), "{way}");
            let there = tree.file(way);
            assert!(!matches!(there, Ok(Some(_))), "{way}");
            let _ = tree.remove(way);
        }
        // What stands in the way is told, and not taken for a file that is missing.
        for way in ways {
            let error = tree.file(way).err().unwrap();
            assert_eq!(error.kind(), ErrorKind::Conflict, "{way}: {error}");
        }
        assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 1);
        assert!(path("link").is_symlink() && path("folder").is_symlink());
        assert_eq!(tree.files(HiddenFiles::Meant).unwrap(), ["file"]);
    }

    #[test]
    fn only_a_directory_is_opened_and_its_file_system_is_asked_for_names() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("file");
        fs::write(&file, "").unwrap();
        assert!(TargetTree::open(&file).is_err() && TargetTree::make(&file).is_err());
        assert!(TargetTree::open(&file.join("below")).is_err());

        let tree = TargetTree::open(directory.path()).unwrap().unwrap();
        let folds = directory.path().join("FILE").exists();
        assert_eq!(tree.folds_names().unwrap(), folds);
        assert_eq!(tree.files(HiddenFiles::Meant).unwrap(), ["file"]);
    }

    #[test]
    fn files_come_and_go_with_their_folders() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().join("made/here");
        assert!(TargetTree::open(&root).unwrap().is_none());
        let tree = TargetTree::make(&root).unwrap();
        for way in ["a/b/c", "a/d", ".hidden/x", "a/.y"] {
            assert!(tree.file(way).unwrap().is_none());
            let place = tree.made(way).unwrap();
            disk::write_at(&place, b"x", 0o600).unwrap();
        }

        let all = |hidden| tree.files(hidden).unwrap();
        assert_eq!(all(HiddenFiles::LeftAlone), ["a/b/c", "a/d"]);
        assert_eq!(all(HiddenFiles::Meant).len(), 4);
        tree.remove("a/b/c").unwrap();
        tree.remove("a/b/c").unwrap();
        assert!(!root.join("a/b").exists() && root.join("a/d").exists());
    }
}
