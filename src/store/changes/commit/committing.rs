// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The commit of a change set: all is looked at and made durable, then decided, then done.

use std::thread;
use std::time::{Instant, SystemTime};

use crate::digest::Digest;
use crate::disk::FilePlace;
use crate::error::{Error, ErrorKind, Result};
use crate::model::ModelName;
use crate::model::Revision;
use crate::store::blobs::ProvenVersions;
use crate::store::catalog::{Catalog, Stamp};
use crate::store::changes::change::{Change, CommitOutcome, Others};
use crate::store::changes::change_files::{ChangeFiles, ChangeId};
use crate::store::changes::change_set::ChangeSet;
use crate::store::changes::commit::changeable::check_places;
use crate::store::changes::commit::commit_plan::CommitPlan;
use crate::store::changes::commit::committed::{conclude, learn};
use crate::store::changes::commit::exchange;
use crate::store::changes::commit::plan::{known_versions, plan};
use crate::store::changes::commit::preparing::{make_durable, prepare, tidy_up};
use crate::store::changes::commit::recorded::finishing::{finish_now, half_done};
use crate::store::changes::commit::recorded::hidden_names::HiddenNames;
use crate::store::changes::commit::recorded::redo::{self, Obstacle};
use crate::store::changes::commit::recorded::step_record::{CommitStep, StepKind};
use crate::store::changes::commit::recorded::unfinished::{CommittedSet, LeftCommit, LeftWork};
use crate::store::failure::{unreadable, unstored};
use crate::store::locking::changing::Changing;
use crate::store::locking::name_locks::NameScope;
use crate::store::revisions::Manifest;
use crate::store::store_handle::Store;
use crate::threads::lock;

impl Store {
    /// Makes all of a change set true in one step. Doing it twice does it once.
    ///
    /// # Errors
    /// `NotFound` if there is no such set; `PreconditionFailed` if its folder has another revision than is
    /// expected; `Conflict` if a name cannot be a model, or if bytes are missing; `NoSpace`; otherwise those of
    /// the file system. Nothing has changed then, and the set stays as it is; unless the disk failed in the
    /// middle of the steps, which is `Busy`: the store does the rest by itself, and the next commit of the set tells
    /// what came of it.
    pub(crate) fn commit_change(
        &self,
        id: ChangeId,
        others: Others,
        expected: Option<Revision>,
    ) -> Result<CommitOutcome> {
        let done = try_commit(self.catalog(), id, others, expected);
        self.finish_later();
        self.catalog().remove_named_objects();
        self.catalog().end_xet_sessions();
        done
    }
}

fn try_commit(
    catalog: &Catalog,
    id: ChangeId,
    others: Others,
    expected: Option<Revision>,
) -> Result<CommitOutcome> {
    if let Some(outcome) = catalog.changes.outcome(id) {
        return Ok(outcome);
    }

    catalog.layout.check_writable()?;
    let change = catalog.changes.find(id)?;
    let mut set = lock(&change.set);
    if set.is_over || set.is_decided {
        // Another request has committed it meanwhile, or the disk has broken that off.
        return finish_now(catalog, id);
    }

    // What takes long comes before others have to wait for their names.
    make_ready(catalog, &mut set, others)?;
    let proven = known_versions(catalog, &set)?;
    if let Some(root) = &set.request.root
        && (catalog.options.versions_max > 0 || expected.is_some())
    {
        learn_before(catalog, root)?;
    }

    let plan = |changing: &Changing<'_>, set: &ChangeSet| {
        plan_set(changing.catalog(), set, others, expected, &proven)
    };
    let changing = catalog.changing(scope_of(&set))?;
    let (planned, before) = plan(&changing, &set)?;
    if changing.is_of_all() || !has_sources_elsewhere(catalog, &planned) {
        return do_set(&changing, &mut set, planned, before.as_ref());
    }

    // That is not known before, and all of it has to be looked at once more.
    drop(changing);
    let changing = catalog.changing(NameScope::All)?;
    let (planned, before) = plan(&changing, &set)?;
    do_set(&changing, &mut set, planned, before.as_ref())
}

/// The names that a set changes, and those that are looked at for it.
fn scope_of(set: &ChangeSet) -> NameScope {
    match &set.request.root {
        Some(root) => NameScope::of(root),
        None => NameScope::of_all(set.entries.keys()),
    }
}

/// Whether bytes that are only named are those of models in another top folder, or of old versions of such: they must
/// not change before they have a name in the set.
fn has_sources_elsewhere(catalog: &Catalog, planned: &CommittedSet) -> bool {
    let own = NameScope::of_all(planned.plan.names());
    let mut sources = planned
        .plan
        .published
        .iter()
        .filter_map(|one| one.source.as_ref());
    sources.any(|source| {
        let top = catalog.layout.top_of(source);
        top.is_none_or(|top| NameScope::of(&top) != own)
    })
}

/// Looks at all names of a set, with these locked, and returns what its folder has before as well.
fn plan_set(
    catalog: &Catalog,
    set: &ChangeSet,
    others: Others,
    expected: Option<Revision>,
    proven: &ProvenVersions,
) -> Result<(CommittedSet, Option<Manifest>)> {
    let root = set.request.root.clone();
    let before = match &root {
        Some(root) => catalog.manifest(root)?,
        None => None,
    };
    check_expected(before.as_ref(), expected)?;

    let plan = plan(catalog, set, others, proven)?;
    check_places(catalog, &plan)?;
    if set.must_keep {
        check_kept(catalog, &plan)?;
    }
    let id = set.files.id();
    Ok((CommittedSet { id, root, plan }, before))
}

/// Does what is planned, with the names locked.
fn do_set(
    changing: &Changing<'_>,
    set: &mut ChangeSet,
    mut planned: CommittedSet,
    before: Option<&Manifest>,
) -> Result<CommitOutcome> {
    let catalog = changing.catalog();
    let folder = exchange::folder_of(catalog, &planned.plan);
    let _linking = folder.as_ref().map(|folder| catalog.linking(folder));
    planned.plan.exchange =
        folder.and_then(|folder| exchange::assemble(catalog, &set.files, &planned.plan, &folder));

    let plan = &planned.plan;
    let before = before
        .filter(|before| !before.members.is_empty() && plan.keeps_versions && !plan.is_nothing());
    let tallies: Vec<_> = plan.names().map(|name| catalog.tally(name)).collect();
    let prepared = prepare(catalog, &set.files, plan, before);
    let prepared = prepared.and_then(|()| catalog.unready(plan.names()));
    let unready = prepared.map_err(unstored);
    let ready = unready.and_then(|unready| Ok((unready, catalog.deciding()?)));
    let (unready, decision) = ready.inspect_err(|_| tidy_up(catalog, &set.files, plan))?;

    let (steps, staged) = (steps(plan), staged(&set.files, plan));
    if let Err(error) = carry_out(catalog, set, plan, &steps, &staged) {
        drop((tallies, unready));
        // It is left while no other one can be decided.
        if set.is_decided {
            log::error!("a commit that is decided was broken off: {error}");
            let work = LeftWork::Set(Box::new(planned), staged);
            let left = LeftCommit::new(set.files.clone(), steps, work);
            catalog.unfinished.leave(left);
        }
        return Err(error);
    }

    set.is_over = true;
    catalog.unfinished.put_away(&set.files, &steps);
    drop(decision);

    let outcome = conclude(catalog, &planned);
    drop((tallies, unready));
    planned.prune(catalog);
    changing.keep_within(planned.plan.room);
    Ok(outcome)
}

/// Does what can take long before a commit is planned.
pub(in crate::store::changes) fn make_ready(
    catalog: &Catalog,
    set: &mut ChangeSet,
    others: Others,
) -> Result<()> {
    if others == Others::Remove && set.request.root.is_none() {
        let text =
            "what is not in a change set is removed only from a folder, and this set has none";
        return Err(Error::new(ErrorKind::BadRequest, text).hint(
            "in HTTP: begin one with POST /v1/changes?root=FOLDER, or DELETE single names in it",
        ));
    }
    catalog.check_changeable()?;
    check_sent(set)?;
    make_durable(catalog, set).map_err(unstored)
}

/// Whether what a commit replaces and removes can be brought back afterwards, where versions are kept at all.
fn check_kept(catalog: &Catalog, plan: &CommitPlan) -> Result<()> {
    if plan.keeps_what_was() || catalog.options.versions_max == 0 {
        return Ok(());
    }
    let text =
        "the folder stays as it is, for what it is now is too large to be kept and would be lost";
    Err(Error::new(ErrorKind::Conflict, text).hint(
        "raise max-version-bytes on the server; or save it with 'skep get', remove it with 'skep rm', and roll back then",
    ))
}

/// Whether a folder still is what the caller believes.
pub(super) fn check_expected(before: Option<&Manifest>, expected: Option<Revision>) -> Result<()> {
    if expected.is_none() || before.map(Manifest::revision) == expected {
        return Ok(());
    }
    let text = "the folder has changed since: it does not have the revision that is expected";
    Err(Error::new(ErrorKind::PreconditionFailed, text)
        .hint("look at what is there now, and commit again with its revision"))
}

/// Decides a commit that is prepared, and does its steps. Once it is decided, the set says so.
fn carry_out(
    catalog: &Catalog,
    set: &mut ChangeSet,
    plan: &CommitPlan,
    steps: &[CommitStep],
    staged: &[Option<Stamp>],
) -> Result<()> {
    if let Err(error) = redo::decide(&set.files, steps) {
        // The record may be there all the same, and then the next start would go by it.
        if redo::withdraw(&set.files).is_err() {
            set.is_decided = true;
            return Err(half_done(&error));
        }
        tidy_up(catalog, &set.files, plan);
        return Err(unstored(error));
    }

    // From here on it is committed. It is shown when all of it is there.
    set.is_decided = true;
    let done = {
        let mut hidden = catalog.hide(steps);
        let done = redo::apply(catalog, &set.files, steps, Obstacle::Fails);
        steps.iter().for_each(|step| catalog.forget(&step.name));
        // Nobody lists one of them without its digest.
        match &done {
            Ok(()) => learn(catalog, plan, staged),
            Err(_) => *hidden = HiddenNames::of(steps),
        }
        done
    };
    done.and_then(|()| redo::settle(catalog, steps))
        .and_then(|()| exchange::bring_late(&catalog.layout, &set.files.folder()?, steps))
        .map_err(|error| half_done(&error))
}

/// The files that are about to get their names, in the order of the plan.
fn staged(files: &ChangeFiles, plan: &CommitPlan) -> Vec<Option<Stamp>> {
    let Ok(set) = files.folder() else {
        return Vec::new();
    };
    let published = plan.published.iter();
    published
        .map(|one| {
            let place = FilePlace::new(&set, one.bytes.number.to_string());
            place.facts().ok().map(Stamp::of)
        })
        .collect()
}

/// Looks at what was sent, and reads again what a power cut may have changed. What is not what was sent has to
/// be sent again.
fn check_sent(set: &mut ChangeSet) -> Result<()> {
    let folder = set.files.folder();
    let mut lost = Vec::new();

    for (name, change) in &mut set.entries {
        let Change::Sent(bytes) = change else {
            continue;
        };

        // Nothing but a file of this size gets the name, whoever has put something else there.
        let place = folder.as_ref().ok();
        let place = place.map(|folder| FilePlace::new(folder, bytes.number.to_string()));
        let is_there = match place {
            Some(place) if bytes.is_unsure => {
                let digest = place.open().and_then(|(file, _)| Digest::of_reader(file));
                digest.is_ok_and(|digest| digest == bytes.digest)
            }
            Some(place) => place
                .facts()
                .is_ok_and(|facts| facts.is_file() && facts.size == bytes.size),
            None => false,
        };
        if is_there {
            bytes.is_unsure = false;
        } else {
            lost.push(name.clone());
        }
    }

    let Some(first) = lost.first() else {
        return Ok(());
    };
    let text = format!(
        "the bytes of {} of this change set were lost; the first is '{first}'",
        crate::text::counted(lost.len() as u64, "name")
    );
    for name in &lost {
        set.entries.remove(name);
    }
    Err(Error::new(ErrorKind::Conflict, text).hint(
        "send the same directory again; in HTTP: send what GET does not list, and commit again",
    ))
}

/// Computes the digests in a folder that are not known yet, as after a start without an index: without them, what
/// the folder is now could not be kept as a revision. Files that have changed just now are waited for, two
/// ticks of the clock in all.
pub(super) fn learn_before(catalog: &Catalog, root: &ModelName) -> Result<()> {
    let end = Instant::now() + 2 * catalog.options.clock_tick;
    for name in catalog.members(Some(root))? {
        let Ok(Some((file, stamp))) = catalog.layout.open_model(&name) else {
            continue;
        };
        if catalog.index.find(&name, &stamp).is_some() {
            continue;
        }
        let young = stamp.young_for(catalog.options.clock_tick, SystemTime::now());
        if !young.is_zero() && Instant::now() + young > end {
            continue;
        }
        // Whoever writes it on still has changed its stamp by then.
        thread::sleep(young);

        let digest = Digest::of_reader(&file).map_err(|error| unreadable(&name, error))?;
        if file
            .metadata()
            .is_ok_and(|facts| Stamp::of(&facts) == stamp)
        {
            catalog.learn(&name, stamp, digest);
        }
    }
    Ok(())
}

fn steps(plan: &CommitPlan) -> Vec<CommitStep> {
    let removed = plan.removed.iter().map(|gone| CommitStep {
        name: gone.name.clone(),
        what: if plan.keeps_versions {
            StepKind::Remove(gone.stamp.size, gone.digest)
        } else {
            StepKind::Delete(gone.stamp.size)
        },
    });
    let published = plan.published.iter().map(|one| CommitStep {
        name: one.name.clone(),
        what: StepKind::Publish(one.bytes.number),
    });
    let new_folder = plan.new_folder.iter().map(|root| CommitStep {
        name: root.clone(),
        what: StepKind::Appear,
    });
    let exchange = plan.exchange.iter().map(|exchange| CommitStep {
        name: exchange.folder.clone(),
        what: StepKind::Exchange(exchange.inode),
    });
    if plan.published.iter().any(|one| one.waits) {
        return removed.chain(published).chain(new_folder).collect();
    }
    // What goes comes last: no folder is empty in between that is needed again.
    let whole = new_folder.chain(exchange);
    published.chain(whole).chain(removed).collect()
}
