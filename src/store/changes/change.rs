// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What somebody wants to change, and what came of it: values only.

use crate::digest::Digest;
use crate::model::ModelName;
use crate::model::Revision;
use crate::signature::Signature;
use crate::store::about::Metadata;

/// What somebody wants to change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ChangeRequest {
    /// The folder in which everything of the set is, if it is one.
    pub(crate) root: Option<ModelName>,
    /// Who began it, as the log calls them.
    pub(crate) principal: Option<String>,
}

/// What becomes of the models in the folder of a set that are not in the set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Others {
    /// They stay.
    #[default]
    Keep,
    /// They go.
    Remove,
}

/// What a commit did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CommitOutcome {
    pub(crate) published: usize,
    pub(crate) removed: usize,
    /// Whether what was replaced and removed is kept as old versions.
    pub(crate) kept: bool,
    /// Names that had their bytes already.
    pub(crate) unchanged: usize,
    /// What the folder of the set is now; `None` for a set without one, and while a digest is not known.
    pub(crate) revision: Option<Revision>,
}

/// What is to become of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// It gets bytes that were sent.
    Sent(Bytes),
    /// It gets bytes that are here already under another name, or that are a version.
    Known(Bytes),
    /// It is no model any more.
    Removal,
}

/// Bytes that a name is to get, and what was said of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Bytes {
    pub(crate) digest: Digest,
    pub(crate) size: u64,
    /// The name of their file in the set.
    pub(crate) number: u64,
    /// Whether they have to be read again, since a power cut may have changed them.
    pub(crate) is_unsure: bool,
    pub(crate) metadata: Metadata,
    pub(crate) signature: Option<Signature>,
}

impl Change {
    /// The bytes that it brings.
    pub(crate) fn bytes(&self) -> Option<&Bytes> {
        match self {
            Self::Sent(bytes) | Self::Known(bytes) => Some(bytes),
            Self::Removal => None,
        }
    }

    /// The memory that it takes under a name, about.
    pub(crate) fn memory(&self, name: &ModelName) -> u64 {
        let said = self.bytes().map_or(0, |bytes| {
            let signature = bytes.signature.as_ref();
            let signature = signature.map_or(0, |signature| signature.to_string().len());
            bytes.metadata.bytes() + signature
        });
        // Names of letters with marks are kept in two forms.
        (ENTRY_BYTES + 2 * name.as_str().len() + said) as u64
    }

    /// The bytes that it has in the set.
    pub(crate) fn sent_size(&self) -> u64 {
        match self {
            Self::Sent(bytes) => bytes.size,
            _ => 0,
        }
    }
}

/// What an entry of a set takes beside its texts.
const ENTRY_BYTES: usize = size_of::<(ModelName, Change)>() + 64;
