// SPDX-License-Identifier: Apache-2.0 OR MIT
//! How bytes become a model: whole uploads, uploads in pieces, and what is written down of them.

mod entry;
mod intent;
mod journal;
mod pieces;
mod session;
mod whole;
mod writer;

pub(crate) use intent::Order;
pub(crate) use journal::{Files, UploadId};
pub(crate) use pieces::Pending;
pub(crate) use session::Turn;
pub(crate) use whole::unstored;
pub use whole::{Condition, Published, Upload};
pub(crate) use writer::Piece;
