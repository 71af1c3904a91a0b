// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Verbs that send and fetch.

pub(crate) mod cat;
pub(crate) mod get;
mod get_tree;
pub(crate) mod load;
pub(crate) mod post;
pub(crate) mod put;
mod put_tree;
mod saved;
mod sent_tree;
mod source_tree;
mod tree_wish;
