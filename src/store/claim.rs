// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What an upload claims: a name, a condition on what has it now, and what came of it.

use std::fs::File;
use std::io;
use std::time::SystemTime;

use crate::digest::Digest;
use crate::disk::FilePlace;
use crate::model::{Model, ModelName};
use crate::signature::Signature;
use crate::store::about::Metadata;

/// A model that was published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// The model; its digest is known.
    pub model: Model,
    /// Whether it took the place of another one.
    pub replaced: bool,
    /// Whether that can be brought back: it is an old version now, or there was none, or it is the same.
    pub kept: bool,
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

/// What is said of bytes that are to become a model. All that a store may ask for is in it, so that no
/// way to a name leads past a rule.
#[derive(Clone, Copy)]
pub(crate) struct Claim<'a> {
    pub(crate) name: &'a ModelName,
    pub(crate) size: u64,
    /// What the bytes have.
    pub(crate) digest: Digest,
    /// What they were said to have.
    pub(crate) expected: Option<&'a Digest>,
    pub(crate) condition: &'a Condition,
    pub(crate) metadata: &'a Metadata,
    /// The signature that came with the bytes, or was kept with them.
    pub(crate) signature: Option<&'a Signature>,
    pub(crate) origin: BytesOrigin,
}

/// Where bytes come from that are to become a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BytesOrigin {
    /// They were sent.
    Upload,
    /// They are a version of the model that was kept: their bytes are counted already, and whoever asks for
    /// them means to replace what is there.
    Version,
}

/// Bytes that can wait for others before they become a model.
pub(crate) trait StagedBytes: NewBytes {
    /// Whether a journal tells of them, and has to tell that they are about to go to another place.
    fn has_journal(&self) -> bool;

    /// Moves them to a place where they wait, which a power cut may take back.
    ///
    /// # Errors
    /// Those of the file system.
    fn stage(self, target: &FilePlace) -> io::Result<File>;
}

/// Bytes that are whole, but not a model yet.
pub(crate) trait NewBytes {
    /// All of them, from the beginning.
    ///
    /// # Errors
    /// Those of the file system.
    fn content(&mut self) -> io::Result<File>;

    /// Does what takes long, before others have to wait for the name.
    ///
    /// # Errors
    /// Those of the file system.
    fn settle(&mut self) -> io::Result<()>;

    /// Gives them the name in one step, durably.
    ///
    /// # Errors
    /// Those of the file system.
    fn publish(self, target: &FilePlace) -> io::Result<File>;
}
