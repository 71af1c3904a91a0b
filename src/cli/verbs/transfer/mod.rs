// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Verbs that send and fetch.

pub(crate) mod cat;
mod described;
pub(crate) mod get;
pub(crate) mod load;
pub(crate) mod mirror;
pub(crate) mod post;
pub(crate) mod put;
mod saved;
mod tree;
