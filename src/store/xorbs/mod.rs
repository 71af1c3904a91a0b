// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Uploads by xet: xorbs, which are chunks of files, come first, and then shards, by which files are put together from
//! them and become objects.
//!
//! The xorbs of one upload stand in `.skep/xet/SESSION`. They go when commits have named all files of the session,
//! when nobody has gone on with it, and at the next start. Nothing in them is trusted: a file is kept only with the
//! SHA-256 that it has to have.

mod assembled_file;
mod clearing_xorbs;
mod session_use;
mod shard_upload;
#[cfg(test)]
mod tests;
mod xet_session;
mod xet_sessions;
mod xorb_file;
mod xorb_upload;

pub(crate) use xet_session::{SESSION_LIFE, XetSessionId, XetUpload};
pub(crate) use xet_sessions::XetSessions;
