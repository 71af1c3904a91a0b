// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The record of a commit that is decided: its steps, how they are done as often as it takes, and what a start does
//! with it.

pub(super) mod finishing;
pub(in crate::store::changes) mod hidden_names;
pub(in crate::store::changes) mod recovery;
pub(super) mod redo;
pub(in crate::store::changes) mod shown_commits;
pub(super) mod step_record;
#[cfg(test)]
mod tests;
pub(in crate::store::changes) mod unfinished;
