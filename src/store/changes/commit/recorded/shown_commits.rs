// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Which names commits have changed last, so that a long list that is read piece by piece never has one of them half.

use std::collections::VecDeque;
use std::sync::Mutex;

use crate::store::changes::commit::recorded::step_record::{CommitStep, StepKind};
use crate::threads::lock;

/// The commits that were shown last. It changes only while nobody may look names up.
#[derive(Default)]
pub(crate) struct ShownCommits(Mutex<ShownState>);

#[derive(Default)]
struct ShownState {
    /// How many there have been.
    count: u64,
    /// Each with its number, oldest first; of those with equal spans only the last.
    last: VecDeque<(u64, NameSpan)>,
    /// The number of the last one that is forgotten.
    forgotten: u64,
}

/// The first and the last of the names that a commit changes, in the order of their bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NameSpan {
    pub(crate) first: String,
    pub(crate) last: String,
}

impl ShownCommits {
    /// Adds one.
    pub(crate) fn note(&self, steps: &[CommitStep]) {
        let Some(span) = NameSpan::of(steps) else {
            return;
        };
        let mut state = lock(&self.0);
        state.count += 1;
        let number = state.count;

        state.last.retain(|(_, other)| *other != span);
        state.last.push_back((number, span));
        if state.last.len() > SPANS_MAX
            && let Some((number, _)) = state.last.pop_front()
        {
            state.forgotten = number;
        }
    }

    /// How many there have been.
    pub(crate) fn count(&self) -> u64 {
        lock(&self.0).count
    }

    /// Those after so many, oldest first; `None` if some of them are forgotten.
    pub(crate) fn since(&self, count: u64) -> Option<Vec<NameSpan>> {
        let state = lock(&self.0);
        if state.forgotten > count {
            return None;
        }
        let later = state.last.iter().filter(|(number, _)| *number > count);
        Some(later.map(|(_, span)| span.clone()).collect())
    }
}

impl NameSpan {
    /// That of these steps, if they change any name.
    fn of(steps: &[CommitStep]) -> Option<Self> {
        let mut names = steps.iter().flat_map(changed);
        let (first, last) = names.next()?;
        let mut span = Self { first, last };
        for (first, last) in names {
            if first < span.first {
                span.first = first;
            }
            if last > span.last {
                span.last = last;
            }
        }
        Some(span)
    }

    /// Whether a name that begins so may be one of them.
    pub(crate) fn may_have(&self, start: &str) -> bool {
        self.last.as_str() >= start
            && (self.first.as_str() <= start || self.first.starts_with(start))
    }
}

/// The first and the last name of each model or folder that a step changes.
fn changed(step: &CommitStep) -> impl Iterator<Item = (String, String)> {
    let is_folder = matches!(step.what, StepKind::MoveFolder(_));
    // What changes in such a folder is in other steps.
    let is_elsewhere = matches!(step.what, StepKind::Appear | StepKind::Exchange(_));

    let names = std::iter::once(&step.name).chain(step.new_name());
    let names = names.filter(move |_| !is_elsewhere);
    names.map(move |name| {
        if is_folder {
            (format!("{name}/"), format!("{name}/{}", char::MAX))
        } else {
            (name.to_string(), name.to_string())
        }
    })
}

/// Spans that are remembered: for each, one list that is read slowly is compared with it.
const SPANS_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    fn step(name: &str, what: StepKind) -> CommitStep {
        CommitStep {
            name: name.parse().unwrap(),
            what,
        }
    }

    fn span(first: &str, last: &str) -> NameSpan {
        NameSpan {
            first: first.to_owned(),
            last: last.to_owned(),
        }
    }

    #[test]
    fn a_span_has_all_names_of_a_commit() {
        let publish = |name| step(name, StepKind::Publish(1));
        let steps = [
            step("a", StepKind::Exchange(1)),
            publish("f/m"),
            publish("f/c"),
            step("f/z", StepKind::Remove(1, None)),
        ];
        assert_eq!(NameSpan::of(&steps), Some(span("f/c", "f/z")));
        assert_eq!(NameSpan::of(&steps[..1]), None);

        let moved = [step("f", StepKind::MoveFolder("b/d".parse().unwrap()))];
        let found = NameSpan::of(&moved).unwrap();
        assert_eq!(found, span("b/d/", &format!("f/{}", char::MAX)));
    }

    #[test]
    fn a_span_may_have_what_lies_between_its_ends() {
        let span = span("f/c", "f/z");
        for start in ["", "f", "f/", "f/c", "f/ca", "f/m/x", "f/z"] {
            assert!(span.may_have(start), "{start}");
        }
        for start in ["e", "f/a", "f/b/", "f/zz", "g", "f0"] {
            assert!(!span.may_have(start), "{start}");
        }
    }

    #[test]
    fn commits_are_remembered_once_each_and_not_for_ever() {
        let commits = ShownCommits::default();
        let note = |name: &str| commits.note(&[step(name, StepKind::Publish(1))]);
        note("a");
        let seen = commits.count();
        assert_eq!(commits.since(seen), Some(vec![]));

        note("b");
        note("c");
        note("b");
        assert_eq!(
            commits.since(seen),
            Some(vec![span("c", "c"), span("b", "b")])
        );

        (0..1000).for_each(|_| note("d"));
        assert!(commits.since(seen).is_some());
        (0..SPANS_MAX).for_each(|number| note(&format!("e{number}")));
        assert_eq!(commits.since(seen), None);
        assert_eq!(commits.since(commits.count()), Some(vec![]));
    }
}
