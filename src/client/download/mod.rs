// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Fetching: resumed where it was cut, verified, and saved whole.

mod download_stream;
mod fetching;
mod partial_file;
mod save;

pub use download_stream::Download;
pub use fetching::{Fetched, Proof};
pub(crate) use save::land;
