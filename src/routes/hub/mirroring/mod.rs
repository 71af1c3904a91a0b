// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The mirror: repositories that are not here are those of another hub, whose answers and files are kept.
//!
//! A commit never changes, so what is known of one is known for ever; what a branch is, is asked for again after a
//! while. A file is fetched once for all who ask for it meanwhile, is checked against the digest that its tree
//! announces, and is kept as an object that the mirror pins.

mod allowed_files;
mod asking_turns;
mod fetch;
mod fetches;
mod follower;
mod mirror;
mod mirror_files;
mod mirror_options;
mod mirrored;
mod upstream_answers;
mod upstream_trees;

pub(crate) use mirror::Mirror;
pub(crate) use mirror_options::{MirrorOptions, PUBLIC_AUTHORITIES};
pub(super) use mirrored::answered_or_mirrored;
