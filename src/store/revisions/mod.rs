// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Revisions of folders: what a folder was before change sets changed it.
//!
//! A revision is a list of paths and digests, `.skep/revisions/NAME/NUMBER.REVISION`, written before the commit
//! that replaces it. Its bytes are those of the models that are still the same, and of old versions; so a
//! revision can be had as long as they are kept.

mod at_revision;
mod folder_rollback;
mod kept_revisions;
mod manifest;

pub(crate) use folder_rollback::RevisionChoice;
pub(crate) use kept_revisions::{beyond, keep, prune, taken};
pub(crate) use manifest::{AskedManifest, FolderMember, Manifest};
