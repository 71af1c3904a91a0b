// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Paths that can meet at one place: a file system may take names for the same that differ only in case or in
//! the form of Unicode, and a file can stand where a folder is to be.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use crate::text::composed;

/// Paths by what is the same of them for such a file system.
pub(super) struct FoldedPaths<'a>(BTreeMap<String, Vec<&'a str>>);

impl<'a> FoldedPaths<'a> {
    pub(super) fn of(paths: impl Iterator<Item = &'a str>) -> Self {
        let mut folded: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for path in paths {
            folded.entry(fold(path)).or_default().push(path);
        }
        Self(folded)
    }

    /// Two of them that are one path there, if there are any.
    pub(super) fn twins(&self) -> Option<(&'a str, &'a str)> {
        self.0.values().find_map(|paths| match paths[..] {
            [one, other, ..] => Some((one, other)),
            _ => None,
        })
    }

    /// Whether one of them is what a directory shows under this path. `shown` has all paths that it shows, and
    /// `is_there` says whether it has a file under a path, however that is written.
    pub(super) fn has(
        &self,
        path: &str,
        shown: &BTreeSet<&str>,
        is_there: impl Fn(&str) -> bool,
    ) -> bool {
        let meant = self.0.get(&fold(path));
        // One that is found and not shown is shown under another name.
        let is_it = |meant: &&str| *meant == path || (!shown.contains(meant) && is_there(meant));
        meant.is_some_and(|meant| meant.iter().any(is_it))
    }
}

fn fold(path: &str) -> String {
    composed(path).to_lowercase()
}

/// Whether a file leads through one that is meant, or one that is meant leads through it: it has to be gone first.
pub(super) fn is_excluded<T>(path: &str, meant: &BTreeMap<String, T>) -> bool {
    let mut folders = path.match_indices('/').map(|(end, _)| &path[..end]);
    let below = format!("{path}/");
    let mut next = meant.range::<str, _>((Bound::Excluded(below.as_str()), Bound::Unbounded));
    folders.any(|folder| meant.contains_key(folder))
        || next
            .next()
            .is_some_and(|(next, _)| next.starts_with(&below))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_found_under_another_name_is_the_one_that_is_meant() {
        let wanted = ["dir/model.bin", "caf\u{e9}"];
        let wanted = FoldedPaths::of(wanted.into_iter());
        let shown = BTreeSet::from(["Dir/Model.bin", "cafe\u{301}", "other"]);

        // As the shared storage of a phone has it, and as ext4 does.
        for folds in [true, false] {
            assert_eq!(wanted.has("Dir/Model.bin", &shown, |_| folds), folds);
            assert_eq!(wanted.has("cafe\u{301}", &shown, |_| folds), folds);
            assert!(!wanted.has("other", &shown, |_| folds));
        }
        // Both are there, so they are two.
        let both = BTreeSet::from(["Dir/Model.bin", "dir/model.bin"]);
        assert!(!wanted.has("Dir/Model.bin", &both, |_| true));
        assert!(wanted.has("dir/model.bin", &both, |_| true));

        assert_eq!(wanted.twins(), None);
        let paths = FoldedPaths::of(["a/B", "a/b", "c"].into_iter());
        assert_eq!(paths.twins(), Some(("a/B", "a/b")));
    }

    #[test]
    fn a_file_excludes_what_would_be_in_a_folder_of_its_name() {
        let names = ["a/b", "a/c/d", "e"];
        let meant = BTreeMap::from(names.map(|name| (name.to_owned(), ())));
        for (path, expected) in [
            ("a", true),
            ("a/c", true),
            ("e/f/g", true),
            ("a/b/x", true),
            ("a/x", false),
            ("ab", false),
            ("a/cd", false),
            ("e", false),
        ] {
            assert_eq!(is_excluded(path, &meant), expected, "{path}");
        }
    }
}
