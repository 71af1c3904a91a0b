// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Objects: bytes that are here by their SHA-256, and that no model has to have.
//!
//! They stand in `.skep/objects` under their digests: what was sent for a commit that is yet to come, and what
//! something else than a model needs (a branch, a mirror), which pins them. Nobody is handed out an object by its
//! digest alone. One that a commit gives a name goes, unless it is pinned; one that nobody names goes after the time
//! that unfinished uploads are kept.

mod object_records;
mod object_upload;
mod objects_cleared;
mod objects_known;
mod pinned;
#[cfg(test)]
mod tests;

pub(crate) use object_upload::{ObjectRequest, ObjectUpload};
pub(crate) use objects_known::Objects;
