// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The names that a commit changes, and which of them lie in a folder.

use std::collections::BTreeMap;
use std::ops::Bound;

use crate::disk::{FileFacts, FileKind};
use crate::store::changes::commit::commit_plan::CommitPlan;
use crate::store::changes::commit::recorded::step_record::{CommitStep, StepKind};

/// Names of models that change.
pub(super) struct ChangedNames<'a>(BTreeMap<&'a str, NameChange>);

/// What becomes of a name.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum NameChange {
    /// It gets new bytes.
    Comes,
    /// The model that has this size goes.
    Goes(u64),
}

impl<'a> ChangedNames<'a> {
    pub(super) fn of_plan(plan: &'a CommitPlan) -> Self {
        let published = plan.published.iter();
        let published = published.map(|one| (one.name.as_str(), NameChange::Comes));
        let removed = plan.removed.iter();
        let removed = removed.map(|gone| (gone.name.as_str(), NameChange::Goes(gone.stamp.size)));
        Self(removed.chain(published).collect())
    }

    pub(super) fn of_steps(steps: &'a [CommitStep]) -> Self {
        let changes = steps.iter().filter_map(|step| {
            let change = match &step.what {
                StepKind::Publish(_) => NameChange::Comes,
                StepKind::Remove(size, _) | StepKind::Delete(size) => NameChange::Goes(*size),
                _ => return None,
            };
            Some((step.name.as_str(), change))
        });
        Self(changes.collect())
    }

    pub(super) fn get(&self, path: &str) -> Option<NameChange> {
        self.0.get(path).copied()
    }

    /// Whether what has a name is what the commit replaces or removes.
    pub(super) fn takes(&self, path: &str, facts: &FileFacts) -> bool {
        match self.get(path) {
            Some(NameChange::Comes) => facts.kind != FileKind::Folder,
            Some(NameChange::Goes(size)) => facts.is_file() && facts.size == size,
            None => false,
        }
    }

    /// Whether a name changes that begins like this.
    pub(super) fn has_below(&self, prefix: &str) -> bool {
        self.below(prefix).next().is_some()
    }

    /// Whether one of these gets bytes.
    pub(super) fn comes_below(&self, prefix: &str) -> bool {
        self.below(prefix).any(|change| change == NameChange::Comes)
    }

    fn below(&self, prefix: &str) -> impl Iterator<Item = NameChange> {
        let from = (Bound::Included(prefix), Bound::Unbounded);
        let below = self.0.range::<str, _>(from);
        below
            .take_while(move |(name, _)| name.starts_with(prefix))
            .map(|(_, change)| *change)
    }
}
