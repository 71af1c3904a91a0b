// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What a folder has at one moment: paths, digests, sizes and times.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::digest::Digest;
use crate::model::{ModelName, Revision};

/// The models of a folder, sorted by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Manifest {
    pub(crate) root: ModelName,
    pub(crate) members: Vec<FolderMember>,
}

/// A model of a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FolderMember {
    pub(crate) name: ModelName,
    pub(crate) digest: Digest,
    pub(crate) size: u64,
    pub(crate) modified: SystemTime,
}

/// What a folder had in a revision that was asked for, as it is remembered for the next caller.
pub(crate) struct AskedManifest {
    pub(crate) revision: Revision,
    /// Whether the folder had it when it was looked for, so that everybody may know of it who may read.
    pub(crate) is_present: bool,
    pub(crate) manifest: Arc<Manifest>,
}

impl Manifest {
    /// Its revision.
    pub(crate) fn revision(&self) -> Revision {
        let start = self.root.as_str().len() + 1;
        let members = self.members.iter();
        Revision::of(members.map(|member| (&member.name.as_str()[start..], member.digest)))
    }

    /// The member of this name.
    pub(crate) fn find(&self, name: &ModelName) -> Option<&FolderMember> {
        let found = self
            .members
            .binary_search_by(|member| member.name.cmp(name));
        found.ok().map(|number| &self.members[number])
    }

    /// The bytes of all members together.
    pub(crate) fn size(&self) -> u64 {
        let sizes = self.members.iter().map(|member| member.size);
        sizes.fold(0, u64::saturating_add)
    }

    /// One line for each member.
    pub(crate) fn text(&self) -> String {
        let start = self.root.as_str().len() + 1;
        let mut text = format!("{HEADER}\n");
        for member in &self.members {
            let seconds = member.modified.duration_since(UNIX_EPOCH);
            let seconds = seconds.unwrap_or_default().as_secs();
            let (digest, size) = (member.digest, member.size);
            // Writing to a String cannot fail.
            let _ = writeln!(
                text,
                "{digest} {size} {seconds} {}",
                &member.name.as_str()[start..]
            );
        }
        text
    }

    /// Reads what [`Manifest::text`] wrote; `None` if any of it cannot be read.
    pub(crate) fn read(root: &ModelName, text: &str) -> Option<Self> {
        let lines = text.strip_prefix(HEADER)?.strip_prefix('\n')?.lines();
        let members = lines.map(|line| {
            let mut words = line.splitn(4, ' ');
            let digest = words.next()?.parse().ok()?;
            let size = words.next()?.parse().ok()?;
            let seconds = Duration::from_secs(words.next()?.parse().ok()?);
            Some(FolderMember {
                digest,
                size,
                modified: UNIX_EPOCH.checked_add(seconds)?,
                name: format!("{root}/{}", words.next()?).parse().ok()?,
            })
        });
        let members: Vec<_> = members.collect::<Option<_>>()?;
        let is_sorted = members.is_sorted_by(|one, other| one.name < other.name);
        is_sorted.then(|| Self {
            root: root.clone(),
            members,
        })
    }
}

const HEADER: &str = "skep-revision 1";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_is_read_as_it_was_written_or_not_at_all() {
        let member = |name: &str| FolderMember {
            name: name.parse().unwrap(),
            digest: Digest::of(name.as_bytes()),
            size: 7,
            modified: UNIX_EPOCH + Duration::from_secs(9),
        };
        let root: ModelName = "me/bert".parse().unwrap();
        let manifest = Manifest {
            root: root.clone(),
            members: vec![member("me/bert/a b"), member("me/bert/c/d")],
        };
        let text = manifest.text();
        let read = Manifest::read(&root, &text).unwrap();
        assert_eq!(read, manifest);
        assert_eq!((read.revision(), read.size()), (manifest.revision(), 14));
        let paths = ["a b", "c/d"].into_iter();
        let paths = paths.zip(manifest.members.iter().map(|member| member.digest));
        assert_eq!(read.revision(), Revision::of(paths));
        assert_eq!(read.find(&root), None);
        assert_eq!(
            read.find(&"me/bert/c/d".parse().unwrap()),
            Some(&read.members[1])
        );

        // Another folder with the same paths and bytes is of the same revision.
        let other = "x".parse().unwrap();
        assert_eq!(
            Manifest::read(&other, &text).unwrap().revision(),
            read.revision()
        );
        let (_, cut) = text.split_once("a b\n").unwrap();
        assert_eq!(Manifest::read(&root, &format!("{text}{cut}")), None);
        for bad in [
            "",
            "skep-revision 2\n",
            &text[..text.len() - 3],
            &format!("{text}{cut}"),
        ] {
            let read = Manifest::read(&root, bad);
            assert!(
                read.is_none_or(|read| read.revision() != manifest.revision()),
                "{bad}"
            );
        }
    }
}
