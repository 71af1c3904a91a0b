// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What clients of the hub read: files, lists of them, repositories and their commits.

pub(super) mod commits;
pub(super) mod repositories;
pub(super) mod repository_state;
pub(super) mod resolve;
pub(super) mod trees;
