// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Models over HTTP: their bytes, what is known of them, and uploads in pieces.

mod archive;
mod blobs;
mod bytes;
mod fields;
mod folders;
mod info;
mod model_list;
mod resumable;
mod storing;
mod upload_answers;
mod upload_forms;

pub(crate) use blobs::blob;
pub(crate) use bytes::{AnswerKind, answer, read, remove, store, store_as};
pub(crate) use folders::rename;
pub(crate) use info::{forget_versions, metadata, principal, rollback, show, verify, versions};
pub(crate) use model_list::list;
pub(crate) use resumable::{append, cancel, tell};
pub(crate) use storing::{digest, stored};
pub(crate) use upload_answers::announce;
