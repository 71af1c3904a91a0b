// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Verbs that look at the models of a server and tidy them up.

pub(crate) mod clear;
pub(crate) mod list;
pub(crate) mod old_state;
pub(crate) mod remove;
pub(crate) mod rename;
pub(crate) mod rollback;
pub(crate) mod show;
mod shown_header;
pub(crate) mod verify;
