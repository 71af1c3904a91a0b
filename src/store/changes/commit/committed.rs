// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What comes after a commit: digests, old versions, signatures beside models, and events.

use std::collections::BTreeSet;

use crate::event::Happening;
use crate::model::ModelName;
use crate::signature::Signature;
use crate::store::catalog::{Catalog, Stamp, Standing};
use crate::store::changes::change::{Bytes, CommitOutcome};
use crate::store::changes::commit::commit_plan::{CommitPlan, Planned};
use crate::store::changes::commit::recorded::step_record::{CommitStep, StepKind};
use crate::store::changes::commit::recorded::unfinished::{CommittedSet, MovedModel};
use crate::store::claim::{BytesOrigin, Claim, Condition};
use crate::store::revisions::{self, Manifest};
use crate::store::rules::{self, side_file};
use crate::store::versions;
use crate::threads::lock;

/// What came of steps that were done after an error or a start, of so many names.
pub(super) fn outcome(steps: &[CommitStep], names: usize) -> CommitOutcome {
    let count =
        |is_it: fn(&StepKind) -> bool| steps.iter().filter(|step| is_it(&step.what)).count();
    let published = count(|what| matches!(what, StepKind::Publish(_)));
    let is_removal = |what: &StepKind| matches!(what, StepKind::Remove(..) | StepKind::Delete(_));
    CommitOutcome {
        published,
        removed: count(is_removal),
        kept: count(|what| matches!(what, StepKind::Delete(_))) == 0,
        unchanged: names.saturating_sub(published),
        revision: None,
    }
}

/// Remembers the digests of what was published, and of what has or had its file in common with it.
///
/// A hand can move a folder away and back meanwhile: only the very file that was in the set has the digest.
pub(super) fn learn(catalog: &Catalog, plan: &CommitPlan, staged: &[Option<Stamp>]) {
    let published = plan.published.iter().zip(staged);
    let mut standings = catalog.layout.standings();
    let learned = published.filter_map(|(one, staged)| {
        let Ok(Standing::Model(stamp)) = standings.of(&one.name) else {
            return None;
        };
        let is_it = staged.is_some_and(|staged| stamp.is_linked_since(&staged));
        is_it.then(|| (one.name.clone(), stamp, one.bytes.digest))
    });
    catalog.learn_all(&learned.collect::<Vec<_>>());
    learn_linked(catalog, plan);
}

/// Remembers the digests of what has got or lost a name.
pub(super) fn learn_linked(catalog: &Catalog, plan: &CommitPlan) {
    let new = plan.published.iter();
    let new = new.flat_map(|one| [Some(one.bytes.digest), one.replaced]);
    let gone = plan.removed.iter().map(|gone| gone.digest);
    let digests = new.chain(gone).flatten();
    catalog.learn_linked(&digests.map(|digest| *digest.as_bytes()).collect());
}

/// Ends a change set all of which is done, and tells of it; its tallies are open still.
pub(super) fn conclude(catalog: &Catalog, done: &CommittedSet) -> CommitOutcome {
    let plan = &done.plan;
    let manifest = done.root.as_ref().map(|root| catalog.manifest(root));
    let manifest = manifest.and_then(|found| {
        // It is committed, whatever cannot be read now.
        found.unwrap_or_else(|error| {
            log::warn!("the revision after a commit is not known: {error}");
            None
        })
    });

    let outcome = CommitOutcome {
        published: plan.published.len(),
        removed: plan.removed.len(),
        kept: plan.keeps_what_was(),
        unchanged: plan.unchanged,
        revision: manifest.as_ref().map(Manifest::revision),
    };
    catalog.changes.end(done.id, Some(outcome.clone()));
    catalog.pending.forget_change(done.id);

    let sourced = plan.published.iter().filter(|one| one.source.is_some());
    let sourced = sourced.map(|one| *one.bytes.digest.as_bytes());
    let sourced = sourced.collect();
    catalog.objects.note_named(&sourced);
    catalog.xet_sessions.note_named(&sourced);
    tell(catalog, plan);
    outcome
}

impl CommittedSet {
    /// Removes revisions beyond those that are kept.
    pub(super) fn prune(&self, catalog: &Catalog) {
        let Some(root) = &self.root else { return };
        let most = catalog.options.versions_max;
        if let Err(error) = revisions::prune(catalog.layout.hidden(), root, most) {
            log::warn!("old revisions of '{root}/' cannot be removed: {error}");
        }
    }
}

/// Remembers the digests of models under the names that they have now.
pub(super) fn learn_moved(catalog: &Catalog, moved: &[MovedModel]) {
    moved.iter().for_each(|one| catalog.forget(&one.from));
    lock(&catalog.last_manifests).clear();
    learn_as(catalog, moved, |one| &one.to);
}

/// Remembers the digests of models that move under the names that they have now.
pub(super) fn learn_as(
    catalog: &Catalog,
    moved: &[MovedModel],
    name: fn(&MovedModel) -> &ModelName,
) {
    let mut standings = catalog.layout.standings();
    let learned = moved.iter().filter_map(|one| {
        let Ok(Standing::Model(stamp)) = standings.of(name(one)) else {
            return None;
        };
        let is_it = stamp.is_linked_since(&one.stamp);
        Some((name(one).clone(), stamp, one.digest.filter(|_| is_it)?))
    });
    catalog.learn_all(&learned.collect::<Vec<_>>());
}

/// What comes after models have other names: their old versions, and events.
pub(super) fn tell_moved(catalog: &Catalog, moved: &[MovedModel]) {
    // Something may have been left of models that were removed.
    if catalog.options.versions_max > 0 {
        versions::tidy_all(catalog, moved.iter().map(|one| &one.to));
    }
    for one in moved {
        catalog.events.model(|| Happening::ModelMoved {
            from: one.from.clone(),
            name: one.to.clone(),
            size: one.stamp.size,
            digest: one.digest,
        });
    }
}

/// What comes after the models are there: old versions, signatures beside them, and events.
fn tell(catalog: &Catalog, plan: &CommitPlan) {
    for (name, bytes) in &plan.described {
        describe(catalog, name, bytes);
    }

    let names: BTreeSet<&ModelName> = plan.published.iter().map(|one| &one.name).collect();
    if catalog.options.versions_max > 0 {
        let removed = plan.removed.iter().map(|gone| &gone.name);
        versions::tidy_all(catalog, names.iter().copied().chain(removed));
    }

    for one in &plan.published {
        // A signature that is in the set is the one that is meant.
        let side = Signature::name_for(&one.name);
        if !side.is_ok_and(|side| names.contains(&side)) {
            side_file::follow(catalog, &claim(one), one.bytes.signature.as_ref());
        }
        catalog.events.model(|| Happening::ModelPublished {
            name: one.name.clone(),
            size: one.bytes.size,
            digest: one.bytes.digest,
            replaced: one.current.is_some(),
        });
    }

    for gone in &plan.removed {
        versions::forget_unkept(catalog, &gone.name);
        side_file::remove(catalog, &gone.name);
        catalog.events.model(|| Happening::ModelRemoved {
            name: gone.name.clone(),
            size: gone.stamp.size,
            digest: gone.digest,
        });
    }
}

/// What is said of bytes that get a name.
pub(super) fn claim(one: &Planned) -> Claim<'_> {
    claim_of(&one.name, &one.bytes)
}

fn claim_of<'a>(name: &'a ModelName, bytes: &'a Bytes) -> Claim<'a> {
    Claim {
        name,
        size: bytes.size,
        digest: bytes.digest,
        expected: None,
        condition: &Condition::Any,
        metadata: &bytes.metadata,
        signature: bytes.signature.as_ref(),
        origin: BytesOrigin::Upload,
    }
}

/// Keeps what is said anew of bytes that a name had already.
fn describe(catalog: &Catalog, name: &ModelName, bytes: &Bytes) {
    let needed = versions::digests(catalog, name);
    let claim = claim_of(name, bytes);
    if let Err(error) = rules::keep(catalog, &claim, bytes.signature.as_ref(), &needed) {
        log::warn!("what is said of '{name}' cannot be kept: {error}");
    }
    // What is in memory has what was said before.
    catalog.cache.remove(name);
}
