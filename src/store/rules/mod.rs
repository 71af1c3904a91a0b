// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What may be stored: names, formats, licences, signatures, limits, and whether it replaces something.

mod bytes_again;
mod content_start;
mod folder_blocks;
mod metadata;
mod pickled_imports;
mod policy;
pub(crate) mod side_file;
mod signed;

pub(crate) use bytes_again::BytesAgain;
pub(crate) use folder_blocks::FolderBlocks;
pub(crate) use metadata::{UnsyncedWords, clear, find, forget, keep, signature_of};
pub(crate) use signed::read_signature;
