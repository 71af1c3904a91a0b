// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Committing: what would be done, the steps written down and done, and what a start makes of those that are
//! left.

mod assembled;
mod changeable;
mod commit_plan;
mod committed;
mod committing;
mod exchange;
mod making_way;
mod moves;
mod plan;
mod preparing;
mod recorded;
#[cfg(test)]
mod tests;

pub(in crate::store::changes) use changeable::{check_reachable, check_root};
pub(in crate::store::changes) use committing::make_ready;
pub(crate) use moves::move_request::{ExpectedState, MoveRequest};
pub(crate) use plan::{absent, known_place, sources};
pub(crate) use recorded::finishing::try_again;
pub(crate) use recorded::hidden_names::HiddenNames;
pub(crate) use recorded::recovery::recover;
pub(crate) use recorded::shown_commits::{NameSpan, ShownCommits};
pub(crate) use recorded::step_record::CommitStep;
pub(crate) use recorded::unfinished::{UnfinishedCommit, refused};
