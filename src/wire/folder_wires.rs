// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The JSON of folders: change sets, and what is known of a folder.

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::error::Result;
use crate::wire::checked::digest_of;

/// A change set, `POST /v1/changes` and `GET /v1/changes/ID`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ChangeWire {
    /// The version of this form, 1.
    pub(crate) schema: u32,
    /// Its name, which is a secret: whoever knows it can change the set.
    pub(crate) id: String,
    /// The folder that everything of it is in, with a slash at its end; `null` for any.
    pub(crate) root: Option<String>,
    /// When it goes if nothing is done with it.
    pub(crate) expires: Option<String>,
    /// What was asked for so far, sorted by name.
    pub(crate) models: Vec<StagedWire>,
    /// The last name of this page, where another one follows: `?after=NAME`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) next: Option<String>,
}

/// A name in a change set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StagedWire {
    /// The name.
    pub(crate) name: String,
    /// `sent`, `known` or `removal`.
    pub(crate) change: String,
    /// The length of its bytes; absent for a removal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) size: Option<u64>,
    /// Their digest; absent for a removal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) digest: Option<String>,
}

impl StagedWire {
    /// The digest of its bytes, checked; nothing for a removal.
    ///
    /// # Errors
    /// `NotImplemented` for a value that cannot be read.
    pub(crate) fn digest(&self) -> Result<Option<Digest>> {
        digest_of(self.digest.as_deref())
    }
}

/// The answer to `POST /v1/move/NAME`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MovedWire {
    /// The version of this form, 1.
    pub(crate) schema: u32,
    /// What it was called; a folder has a slash at its end.
    pub(crate) from: String,
    /// What it is called now.
    pub(crate) name: String,
    /// How many models have another name; a signature beside a model is one.
    pub(crate) models: u64,
    /// Their bytes.
    pub(crate) size: u64,
}

/// The answer to `POST /v1/gc`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ClearedWire {
    /// The version of this form, 1.
    pub(crate) schema: u32,
    /// Whether nothing was removed.
    pub(crate) dry_run: bool,
    /// Old versions of models.
    pub(crate) versions: ClearedKindWire,
    /// Old revisions of folders: lists, whose bytes are those of models and versions.
    pub(crate) revisions: ClearedKindWire,
    /// Unfinished uploads.
    pub(crate) uploads: ClearedKindWire,
    /// Change sets that were not committed.
    pub(crate) changes: ClearedKindWire,
    /// What was said of bytes that are not here any more.
    pub(crate) descriptions: ClearedKindWire,
    /// Digests of models that are not here any more.
    pub(crate) digests: ClearedKindWire,
    /// All files.
    pub(crate) files: u64,
    /// All bytes.
    pub(crate) bytes: u64,
}

/// What was freed of one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ClearedKindWire {
    /// Files that are gone.
    pub(crate) files: u64,
    /// Bytes that are free.
    pub(crate) bytes: u64,
}

/// The answer to `POST /v1/changes/ID`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CommitWire {
    /// The version of this form, 1.
    pub(crate) schema: u32,
    /// How many names got new bytes.
    pub(crate) published: u64,
    /// How many models were removed.
    pub(crate) removed: u64,
    /// Whether old versions of what was replaced and removed are kept, so that it can be brought back.
    pub(crate) kept: bool,
    /// How many names had their bytes already.
    pub(crate) unchanged: u64,
    /// The revision that the folder of the set has now; `null` without one, and while a digest is not known.
    pub(crate) revision: Option<String>,
}

/// The answer to `GET /v1/info/FOLDER/`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FolderInfoWire {
    /// The version of this form, 1.
    pub(crate) schema: u32,
    /// Its name, with a slash at the end.
    pub(crate) name: String,
    /// How many models are in it, at any depth.
    pub(crate) models: u64,
    /// Their bytes.
    pub(crate) size: u64,
    /// Its revision; `null` while a digest in it is not known.
    pub(crate) revision: Option<String>,
    /// Older ones, newest first.
    pub(crate) revisions: Vec<RevisionWire>,
}

/// An old revision of a folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RevisionWire {
    /// Its number; newer ones have higher numbers.
    pub(crate) number: u64,
    /// 40 hexadecimal digits.
    pub(crate) revision: String,
    /// When it was replaced, as RFC 3339 has it, in UTC.
    pub(crate) replaced: String,
}
