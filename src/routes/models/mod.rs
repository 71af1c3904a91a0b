// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Models over HTTP: their bytes, what is known of them, and uploads in pieces.

mod archive;
mod bytes;
mod fields;
mod folders;
mod info;
mod model_list;
mod preconditions;
mod resumable;
mod storing;
mod upload_answers;
mod upload_forms;

pub(crate) use bytes::{AnswerKind, answer, blob, read, remove, store, store_as};
pub(crate) use folders::rename;
pub(crate) use info::{
    forget_versions, metadata, principal, principal_line, rollback, search_for, show, verify,
    versions,
};
pub(crate) use model_list::list;
pub(crate) use preconditions::{check_no_condition, expected_revision};
pub(crate) use resumable::{append, cancel, tell};
pub(crate) use storing::{copy, digest, stored};
pub(crate) use upload_answers::announce;
