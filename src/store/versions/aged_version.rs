// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A version in the order in which versions give way: by when the file system says that it was kept, which
//! nobody has to write down.

use crate::digest::Digest;
use crate::disk::FileTime;
use crate::model::ModelName;
use crate::store::versions::version_files::{ModelVersion, version_name};

/// A version of some model; older ones are less.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct AgedVersion {
    /// What is kept twice in the same moment, as by one change set, goes in the order of names.
    pub(super) kept: FileTime,
    pub(super) name: ModelName,
    number: u64,
    digest: Option<[u8; 32]>,
}

impl AgedVersion {
    pub(super) fn new(name: &ModelName, version: &ModelVersion) -> Self {
        Self {
            kept: version.kept,
            name: name.clone(),
            number: version.number,
            digest: version.digest.map(|digest| *digest.as_bytes()),
        }
    }

    /// Its SHA-256, where it is known.
    pub(super) fn digest(&self) -> Option<Digest> {
        self.digest.map(Digest::from_bytes)
    }

    pub(super) fn file_name(&self) -> String {
        version_name(self.number, self.digest())
    }
}
