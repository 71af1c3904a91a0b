// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Fetching: resumed where it was cut, verified, and saved whole.

mod download_stream;
mod fetching;
mod landing_place;
mod partial_file;
mod receiving;
mod save;
mod target_tree;

pub use download_stream::Download;
pub(crate) use partial_file::digest_of;
pub use receiving::{Fetched, Proof};
pub(crate) use save::land;
pub(crate) use target_tree::{HiddenFiles, TargetTree};
