// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What belongs together: the models of a folder, with their revision, and those that are one file.

use std::collections::BTreeSet;
use std::io;

use crate::error::Result;
use crate::model::ModelName;
use crate::store::catalog::catalog_parts::Catalog;
use crate::store::catalog::layout::Standing;
use crate::store::failure::unlisted;
use crate::store::revisions::{FolderMember, Manifest};

impl Catalog {
    /// The names of the models in a folder, or of all, sorted.
    ///
    /// # Errors
    /// Those of the file system.
    pub(crate) fn members(&self, root: Option<&ModelName>) -> Result<Vec<ModelName>> {
        let names = match root {
            Some(root) => self.layout.names_below(root),
            None => self.layout.names(),
        };

        let mut names = match names {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
                return Ok(Vec::new());
            }
            names => names
                .map_err(unlisted)?
                .collect::<io::Result<Vec<_>>>()
                .map_err(unlisted)?,
        };
        names.sort_unstable();
        Ok(names)
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
        for (name, old, digest) in self.index.having(digests) {
            if let Ok(Standing::Model(stamp)) = self.layout.standing(&name)
                && stamp != old
                && stamp.is_linked_since(&old)
            {
                self.learn(&name, stamp, digest);
            }
        }
    }

    /// What a folder has; `None` while a digest in it is not known. No model is read.
    ///
    /// # Errors
    /// Those of the file system.
    pub(crate) fn manifest(&self, root: &ModelName) -> Result<Option<Manifest>> {
        let mut members = Vec::new();

        for name in self.members(Some(root))? {
            let Standing::Model(stamp) = self.layout.standing(&name).map_err(unlisted)? else {
                continue;
            };
            let Some(digest) = self.model(&name, &stamp).digest else {
                return Ok(None);
            };
            members.push(FolderMember {
                name,
                digest,
                size: stamp.size,
                modified: stamp.modified(),
            });
        }
        Ok(Some(Manifest {
            root: root.clone(),
            members,
        }))
    }
}
