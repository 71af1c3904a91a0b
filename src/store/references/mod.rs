// SPDX-License-Identifier: Apache-2.0 OR MIT
//! References: states of folders with names, as branches and tags of git are, beside what the folders have now.
//!
//! A reference is a file `.skep/references/NAME/heads.BRANCH` or `tags.TAG` with the list of paths and digests that a
//! revision has. Its bytes are objects that it pins, so it stays whole whatever becomes of the models. The file
//! `repository` says that a folder is a repository although it may have no models.

mod reference_changes;
mod reference_files;
mod reference_name;
#[cfg(test)]
mod tests;

pub(crate) use reference_files::begin;
pub(crate) use reference_name::{ReferenceKind, ReferenceName};
