// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Files with several names, and digests that stay known while files get and lose names, which changes a time in
//! their stamps, and no bytes.

use std::collections::BTreeSet;
use std::io;

use crate::disk::{FilePlace, Folder};
use crate::model::ModelName;
use crate::store::catalog::catalog_parts::Catalog;
use crate::store::catalog::layout::Standing;
use crate::store::catalog::stamp::Stamp;

impl Catalog {
    /// Has the digests of models count as known while files get and lose names in a folder. When that is over,
    /// they are remembered with the stamps that the files have then.
    pub(crate) fn linking(&self, folder: &ModelName) -> Linking<'_> {
        self.index.begin_linking();
        Linking {
            catalog: self,
            folder: folder.clone(),
        }
    }

    /// Whether the file of a model has other names, too.
    pub(crate) fn is_linked(&self, name: &ModelName) -> bool {
        let facts = self.layout.place(name).and_then(|place| place.facts());
        facts.is_ok_and(|facts| facts.links > 1)
    }

    /// Remembers the digests of models whose files have got or lost a name: that changes a time in their
    /// stamps, and no bytes.
    pub(crate) fn learn_linked(&self, digests: &BTreeSet<[u8; 32]>) {
        if digests.is_empty() {
            return;
        }
        self.objects.learn_linked(self.layout.hidden(), digests);
        let (mut learned, mut standings) = (Vec::new(), self.layout.standings());
        for (name, old, digest) in self.index.having(digests) {
            if let Ok(Standing::Model(stamp)) = standings.of(&name)
                && stamp != old
                && stamp.is_linked_since(&old)
            {
                learned.push((name, stamp, digest));
            }
        }
        self.learn_all(&learned);
    }

    /// Remembers the digests of models in a folder whose files have got or lost a name, and of others that are
    /// the same files.
    fn learn_linked_below(&self, root: &ModelName) {
        let (mut shared, mut learned) = (BTreeSet::new(), Vec::new());
        let mut opened: Option<(Option<String>, io::Result<Folder>)> = None;

        for (name, old, digest) in self.index.below(root) {
            let above = name.split_last().0.map(str::to_owned);
            let (_, folder) = match opened.take() {
                Some(known) if known.0 == above => opened.insert(known),
                _ => {
                    let folder = self.layout.folder();
                    let entered = folder.descend(name.folders(), Folder::enter_any);
                    opened.insert((above, entered))
                }
            };
            let Ok(folder) = folder else { continue };
            let Ok(facts) = FilePlace::new(folder, name.file_name()).facts() else {
                continue;
            };

            if facts.links > 1 {
                shared.insert(*digest.as_bytes());
            }
            let stamp = Stamp::of(facts);
            if facts.is_file() && stamp != old && stamp.is_linked_since(&old) {
                learned.push((name, stamp, digest));
            }
        }
        self.learn_all(&learned);
        self.learn_linked(&shared);
    }
}

/// Files of a folder get and lose names.
pub(crate) struct Linking<'a> {
    catalog: &'a Catalog,
    folder: ModelName,
}

impl Drop for Linking<'_> {
    fn drop(&mut self) {
        self.catalog.learn_linked_below(&self.folder);
        self.catalog.index.end_linking();
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write as _;

    use super::*;
    use crate::store::{Condition, Store, StoreOptions};

    #[test]
    fn digests_stay_known_while_files_get_names_and_afterwards() {
        let directory = tempfile::tempdir().unwrap();
        let options = StoreOptions {
            reserve_bytes: 0,
            ..StoreOptions::default()
        };
        let store = Store::open(directory.path(), options).unwrap();
        let name: ModelName = "f/m".parse().unwrap();
        let mut upload = store.upload(None).unwrap();
        upload.write_all(b"model").unwrap();
        upload.commit(&name, None, &Condition::Any).unwrap();
        // Nobody reads it within the first seconds after a change.
        let is_known = || store.find(&name).unwrap().digest.is_some();

        // The clock of the file system ticks slowly.
        let catalog = store.catalog();
        let stamp = || match catalog.layout.standing(&name) {
            Ok(Standing::Model(stamp)) => stamp,
            _ => panic!("no model"),
        };
        let link = |number: u32| {
            let before = stamp();
            let target = directory.path().join(format!("link-{number}"));
            while stamp() == before {
                let _ = fs::remove_file(&target);
                fs::hard_link(directory.path().join("f/m"), &target).unwrap();
            }
        };

        let linking = catalog.linking(&"f".parse().unwrap());
        link(1);
        assert!(is_known());
        catalog.index.save(&catalog.layout).unwrap();
        assert!(is_known(), "after the index was written");
        drop(linking);
        assert!(is_known(), "afterwards");
        link(2);
        assert!(!is_known(), "a hand did that");
    }
}
