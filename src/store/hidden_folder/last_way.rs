// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The way to the folder that was needed last: names of one folder, which come one after the other, are reached by
//! its descriptor, and none of the folders that lead to it is opened again.
//!
//! It lives as long as one piece of work does. A folder that hands move away or remove meanwhile is not noticed, so
//! whoever takes "not there" for an answer asks again by a way of its own.

use std::io;

use crate::disk::Folder;

/// A folder, and the way that was gone from it.
pub(crate) struct LastWay {
    from: Folder,
    open: fn(&Folder, &str) -> io::Result<Folder>,
    gone: Vec<(String, Folder)>,
}

impl LastWay {
    /// Ways from a folder, on which each folder is opened, or made, by `open`.
    pub(crate) fn new(from: &Folder, open: fn(&Folder, &str) -> io::Result<Folder>) -> Self {
        Self {
            from: from.clone(),
            open,
            gone: Vec::new(),
        }
    }

    /// The folder to which these names lead.
    ///
    /// # Errors
    /// Those of opening one of them.
    pub(crate) fn to<'n>(&mut self, way: impl Iterator<Item = &'n str>) -> io::Result<Folder> {
        let mut folder = self.from.clone();
        for (depth, name) in way.enumerate() {
            let known = self.gone.get(depth).filter(|(gone, _)| gone == name);
            folder = match known {
                Some((_, known)) => known.clone(),
                None => {
                    let opened = (self.open)(&folder, name)?;
                    self.gone.truncate(depth);
                    self.gone.push((name.to_owned(), opened.clone()));
                    opened
                }
            };
        }
        Ok(folder)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_folder_is_opened_once_for_all_names_in_it() {
        let directory = tempfile::tempdir().unwrap();
        let from = Folder::open(directory.path()).unwrap();
        let mut way = LastWay::new(&from, Folder::make_open_unsynced);
        let mut to = |way_to: &str| {
            let names = way_to.split('/').filter(|name| !name.is_empty());
            way.to(names).unwrap()
        };

        let first = to("a/b").facts().unwrap();
        for (path, is_first) in [("a/b", true), ("a", false), ("a/b", true), ("a/c/b", false)] {
            let facts = to(path).facts().unwrap();
            assert_eq!(facts.is_same_file(&first), is_first, "{path}");
            let there = fs::metadata(directory.path().join(path)).unwrap();
            assert_eq!(facts.inode, std::os::unix::fs::MetadataExt::ino(&there));
        }
        // It is the same one, wherever its name has gone.
        fs::rename(directory.path().join("a/c"), directory.path().join("away")).unwrap();
        assert!(to("a/c/b").path().ends_with("a/c/b"));
        assert!(!directory.path().join("a/c").exists());
        assert!(to("").facts().unwrap().is_same_file(&from.facts().unwrap()));
        // A way that leads elsewhere forgets the rest of the last one.
        to("a/d");
        assert!(to("a/c/b").facts().is_ok());
        assert!(directory.path().join("a/c/b").exists());
    }
}
