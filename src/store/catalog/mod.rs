// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What models there are: names, digests, the cache of small ones.

mod cache;
mod catalog_parts;
mod digester;
mod folder_revisions;
mod index;
mod known_folder;
mod layout;
mod linking;
mod name_list;
mod near_names;
mod packed_names;
mod stamp;

pub(crate) use cache::Cache;
pub use cache::CacheCounts;
pub(crate) use catalog_parts::Catalog;
pub(crate) use digester::{Digester, save};
pub(crate) use folder_revisions::FolderRevision;
pub(crate) use index::Index;
pub(crate) use layout::{Layout, MODEL_MODE, Standing, is_absence};
pub(crate) use linking::Linking;
pub(crate) use name_list::{ListedKind, ListedName, NameList, NameRange};
pub(crate) use stamp::Stamp;
