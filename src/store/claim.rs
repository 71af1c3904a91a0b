// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What an upload claims: a name, a condition on what has it now, and what came of it.

use std::time::SystemTime;

use crate::digest::Digest;
use crate::model::{Model, ModelName};
use crate::store::about::Metadata;

/// A model that was published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// The model; its digest is known.
    pub model: Model,
    /// Whether it took the place of another one.
    pub replaced: bool,
}

/// What has to be true of the model that stands under a name now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Condition {
    /// Nothing.
    #[default]
    Any,
    /// There is none (`If-None-Match: *`).
    Absent,
    /// There is one with this digest (`If-Match: "sha256-..."`).
    Matches(Digest),
    /// There is one (`If-Match: *`).
    Exists,
    /// There is one, and its bytes last changed at this very time (what `If-Unmodified-Since` comes to
    /// while the digest is not known).
    ModifiedAt(SystemTime),
}

/// A finished upload that is to become a model.
#[derive(Clone, Copy)]
pub(crate) struct Claim<'a> {
    pub(crate) name: &'a ModelName,
    pub(crate) size: u64,
    pub(crate) digest: Digest,
    pub(crate) condition: &'a Condition,
    pub(crate) metadata: &'a Metadata,
}
