// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Sending: whole, in pieces, from files and streams, resumed where it was cut.

mod local_file;
mod outgoing;
mod parts;
mod remembered;
mod sending;
mod upload_path;

pub(crate) use outgoing::Outgoing;
