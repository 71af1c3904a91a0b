// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What counts for the quota beside bytes of models: folders, the files in them with their revisions, those
//! that say where models come from, and old revisions of folders. Each takes a block of the disk, and a name of one byte can have many of them.

use std::collections::BTreeSet;

use crate::model::{BLOCK_BYTES, ModelName};
use crate::store::catalog::Layout;
use crate::store::hidden_folder::{ABOUT, REVISIONS, VERSIONS};
use crate::store::revisions;

/// Names for which folders are there, or are about to be made. What hands remove is seen at once: of the
/// hidden folders, only names are read each time.
pub(crate) struct FolderBlocks {
    models: FolderNames,
    /// Whether each of their folders has a file with its revision.
    has_ready_files: bool,
    described: FolderNames,
    kept: FolderNames,
    revised: FolderNames,
    descriptions: u64,
    /// The bytes of old revisions.
    revisions: u64,
}

/// The folders of names, each once.
#[derive(Default)]
struct FolderNames {
    all: BTreeSet<ModelName>,
    last: String,
}

impl FolderBlocks {
    /// Begins with the folders of what is kept beside models. What cannot be read is not ours.
    pub(crate) fn beside(layout: &Layout) -> Self {
        Self::beside_as(layout, &|name| name)
    }

    /// The same with the names that models and folders are about to have.
    pub(crate) fn beside_as(layout: &Layout, renamed: &dyn Fn(ModelName) -> ModelName) -> Self {
        let names_in = |room| layout.hidden().names_in(room).into_iter().flatten();
        let mut blocks = Self {
            models: FolderNames::default(),
            has_ready_files: layout.has_ready_files(),
            described: FolderNames::default(),
            kept: FolderNames::default(),
            revised: FolderNames::default(),
            descriptions: 0,
            revisions: 0,
        };

        for name in names_in(ABOUT) {
            blocks.descriptions += 1;
            blocks.described.add(&renamed(name));
        }
        for name in names_in(VERSIONS) {
            blocks.kept.add(&renamed(name));
        }
        for name in names_in(REVISIONS) {
            blocks.revisions += revisions::taken(layout.hidden(), &name);
            blocks.revised.add(&renamed(name));
        }
        blocks
    }

    pub(crate) fn add_model(&mut self, name: &ModelName) {
        self.models.add(name);
    }

    /// Counts a model of which something is said.
    pub(crate) fn add_description(&mut self, name: &ModelName) {
        self.described.add(name);
    }

    /// Counts a model of which a version is kept.
    pub(crate) fn add_version(&mut self, name: &ModelName) {
        self.kept.add(name);
    }

    /// What all of them take, but for those that go with old versions.
    pub(crate) fn bytes(&self) -> u64 {
        // Beside the models, each folder is in a hidden one of its own.
        let hidden = 2 * (self.described.all.len() + self.revised.all.len());
        let files = usize::from(self.has_ready_files) * self.models.all.len();
        let folders = (self.models.all.len() + files + hidden) as u64;
        (folders + self.descriptions) * BLOCK_BYTES + self.revisions
    }

    /// What the folders take in which there are folders of versions.
    pub(crate) fn version_bytes(&self) -> u64 {
        2 * self.kept.all.len() as u64 * BLOCK_BYTES
    }
}

impl FolderNames {
    fn add(&mut self, name: &ModelName) {
        let folder = name.split_last().0.unwrap_or_default();
        // Names of one folder mostly come one after the other.
        if folder != self.last {
            folder.clone_into(&mut self.last);
            self.all.extend(name.ancestors());
        }
    }
}
