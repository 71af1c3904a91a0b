// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What may be stored: names, formats, licences, signatures, limits, and whether it replaces something.

mod content_start;
mod folder_blocks;
mod metadata;
mod policy;
pub(crate) mod side_file;
mod signed;

pub(crate) use folder_blocks::FolderBlocks;
pub(crate) use metadata::{find, forget, keep, keep_unsynced, signature_of};
pub(crate) use signed::read_signature;
