// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Directories that are sent as folders, and folders that are fetched into directories.

mod fetched_tree;
pub(crate) mod get_tree;
pub(crate) mod put_tree;
mod same_place;
mod sent_tree;
mod source_tree;
mod tree_wish;
