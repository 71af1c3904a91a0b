// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A directory of this device that is sent with all that is below it. Folders are opened from the one above
//! them, and links below the directory are followed to files only, where that is wanted.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use crate::client::download::HiddenFiles;
use crate::disk::{FileFacts, FileKind, FilePlace, FileTime, Folder};
use crate::error::{Error, Result};
use crate::model::{READY_BYTES, READY_FILE};

/// A directory and its files.
pub(crate) struct LocalTree {
    directory: PathBuf,
    root: Folder,
    /// Sorted by path.
    pub(crate) files: Vec<LocalFile>,
    /// What is there and is not sent, each with the reason.
    pub(crate) left_out: Vec<(String, &'static str)>,
    pub(crate) hidden: usize,
}

/// A file below the directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LocalFile {
    /// Its path, with `/` between the names.
    pub(crate) way: String,
    pub(crate) stamp: TreeStamp,
    is_link: bool,
}

/// What tells one state of such a file from another, also where a program has set its time back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TreeStamp {
    pub(crate) size: u64,
    /// When its bytes last changed, in nanoseconds since 1970.
    pub(crate) modified: i128,
    /// When anything of it last changed.
    pub(crate) changed: i128,
    pub(crate) inode: u64,
}

impl From<FileFacts> for TreeStamp {
    fn from(facts: FileFacts) -> Self {
        let nanos =
            |time: FileTime| i128::from(time.seconds) * 1_000_000_000 + i128::from(time.nanos);
        Self {
            size: facts.size,
            modified: nanos(facts.modified),
            changed: nanos(facts.changed),
            inode: facts.inode,
        }
    }
}

impl LocalTree {
    /// Looks at a directory.
    ///
    /// # Errors
    /// `Usage` for what is no directory or cannot be read.
    pub(crate) fn read(directory: &Path, hidden: HiddenFiles, follows_links: bool) -> Result<Self> {
        let unreadable = |error| Error::local(format!("reading {}", directory.display()), error);
        let root = Folder::open(directory).map_err(unreadable)?;
        let mut tree = Self {
            directory: directory.to_owned(),
            root: root.clone(),
            files: Vec::new(),
            left_out: Vec::new(),
            hidden: 0,
        };

        tree.collect(&root, "", hidden, follows_links)?;
        tree.files
            .sort_unstable_by(|one, other| one.way.cmp(&other.way));
        Ok(tree)
    }

    /// Opens a file.
    ///
    /// # Errors
    /// Those of the file system; `NotFound` if it is no regular file any more.
    pub(crate) fn open(&self, file: &LocalFile) -> Result<File> {
        let unreadable = |error| {
            let path = self.directory.join(&file.way);
            Error::local(format!("reading {}", path.display()), error)
        };
        if file.is_link {
            return File::open(self.directory.join(&file.way)).map_err(unreadable);
        }

        let (folders, name) = file.way.rsplit_once('/').unwrap_or(("", &file.way));
        let folders = folders.split('/').filter(|folder| !folder.is_empty());
        let opened = self.root.descend(folders, Folder::enter_any);
        let opened = opened.and_then(|folder| FilePlace::new(&folder, name).open());
        opened.map(|(file, _)| file).map_err(unreadable)
    }

    fn collect(
        &mut self,
        folder: &Folder,
        prefix: &str,
        hidden: HiddenFiles,
        follows_links: bool,
    ) -> Result<()> {
        let directory = self.directory.clone();
        let unreadable = |way: &str| {
            let path = directory.join(way);
            move |error: io::Error| Error::local(format!("reading {}", path.display()), error)
        };
        let above = prefix.trim_end_matches('/');

        for entry in folder.entries().map_err(unreadable(above))? {
            let entry = entry.map_err(unreadable(above))?;
            let Some(name) = entry.name.to_str() else {
                let shown = format!("{prefix}{}", entry.name.to_string_lossy());
                self.left_out.push((shown, "has a name that is not UTF-8"));
                continue;
            };
            // Editors, version control and unfinished writes leave hidden files, which nobody means to send.
            if name.starts_with('.') && hidden == HiddenFiles::LeftAlone {
                self.hidden += 1;
                continue;
            }

            let way = format!("{prefix}{name}");
            let facts = FilePlace::new(folder, name).facts();
            let facts = facts.map_err(unreadable(&way))?;
            match facts.kind {
                // A server has left it there, and no server takes it.
                FileKind::File if name == READY_FILE && facts.size == READY_BYTES => {}
                FileKind::File => self.files.push(LocalFile {
                    way,
                    stamp: TreeStamp::from(facts),
                    is_link: false,
                }),
                FileKind::Folder => {
                    let inner = folder.enter_any(name).map_err(unreadable(&way))?;
                    self.collect(&inner, &format!("{way}/"), hidden, follows_links)?;
                }
                FileKind::Link if follows_links => self.follow(way),
                FileKind::Link => self.left_out.push((way, "is a link (--follow-links)")),
                FileKind::Special => self.left_out.push((way, "is not a regular file")),
            }
        }
        Ok(())
    }

    fn follow(&mut self, way: String) {
        match self.directory.join(&way).metadata() {
            Ok(found) if found.is_file() => self.files.push(LocalFile {
                way,
                stamp: TreeStamp::from(FileFacts::from(&found)),
                is_link: true,
            }),
            _ => self.left_out.push((way, "is a link to no file")),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Read as _;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn files_of_all_folders_are_found_and_nothing_else() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        fs::create_dir_all(path("a/b")).unwrap();
        fs::create_dir(path(".git")).unwrap();
        for name in ["z", "a/x", "a/b/y", ".git/config", "a/.hidden"] {
            fs::write(path(name), name).unwrap();
        }
        symlink("/etc", path("a/etc")).unwrap();
        symlink("../z", path("a/link")).unwrap();
        symlink("nothing", path("astray")).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(path("socket")).unwrap();

        let ways = |hidden, follows_links| {
            let tree = LocalTree::read(directory.path(), hidden, follows_links).unwrap();
            for file in &tree.files {
                let mut text = String::new();
                let opened = tree.open(file).unwrap().read_to_string(&mut text);
                assert_eq!(opened.unwrap() as u64, file.stamp.size);
            }
            let ways: Vec<_> = tree.files.into_iter().map(|file| file.way).collect();
            (ways.join(" "), tree.left_out.len(), tree.hidden)
        };
        let plain = "a/b/y a/x z".to_owned();
        assert_eq!(ways(HiddenFiles::LeftAlone, false), (plain, 4, 2));
        let all = ".git/config a/.hidden a/b/y a/link a/x z".to_owned();
        assert_eq!(ways(HiddenFiles::Meant, true), (all, 3, 0));
        assert!(LocalTree::read(&path("z"), HiddenFiles::Meant, false).is_err());
    }
}
