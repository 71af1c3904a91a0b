// SPDX-License-Identifier: Apache-2.0 OR MIT
//! How bytes become a model: whole uploads, uploads in pieces, and what is written down of them.

mod entry;
mod intent;
mod journal;
mod pending;
mod pieces;
mod session;
mod upload_files;
mod whole;
mod writer;

pub(crate) use intent::UploadIntent;
pub(crate) use pending::UnfinishedUploads;
pub(crate) use session::UploadSession;
pub use whole::Upload;
pub(crate) use writer::AppendMode;
