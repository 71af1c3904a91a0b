// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Sending: whole, in pieces, from files and streams, resumed where it was cut.

mod chunked;
mod local_file;
mod outgoing;
mod parts;
mod pieces;
mod piped;
mod piping;
mod remembered;
mod sending;
mod signed_stream;
mod upload_path;

pub(crate) use outgoing::{Outgoing, UntilStopped};
pub(crate) use pieces::modified_field;
pub use piping::{EmptyInput, Piped};
