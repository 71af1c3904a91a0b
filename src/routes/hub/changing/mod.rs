// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What clients of the hub change: commits, the bytes that come before them, and repositories as a whole.

mod commit_lines;
pub(super) mod hub_commit;
pub(super) mod lfs;
pub(super) mod managing;
pub(super) mod references;
pub(super) mod xet_routes;
