// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Fetching: resumed where it was cut, verified, and saved whole.

mod download_stream;
mod fetching;
mod partial_file;
mod receiving;
mod save;

pub use download_stream::Download;
pub use receiving::{Fetched, Proof};
pub(crate) use save::land;
