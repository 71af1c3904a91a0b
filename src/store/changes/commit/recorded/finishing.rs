// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A commit that is decided and that the disk did not let be done to its end is done by the server itself: by a
//! thread that exists only while there is one, and by the next change, which would be refused otherwise.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::backoff::Backoff;
use crate::error::{Error, ErrorKind, Result};
use crate::store::catalog::Catalog;
use crate::store::changes::change::CommitOutcome;
use crate::store::changes::change_files::{COMMIT, ChangeId, unknown_change};
use crate::store::changes::commit::committed::{conclude, learn, learn_moved, tell_moved};
use crate::store::changes::commit::recorded::hidden_names::HiddenNames;
use crate::store::changes::commit::recorded::redo::{self, Obstacle};
use crate::store::changes::commit::recorded::unfinished::{LeftCommit, LeftWork};
use crate::store::changes::open_changes::log_failure;
use crate::store::locking::name_locks::NameScope;
use crate::store::store_handle::Store;
use crate::store::versions;
use crate::threads::lock;

impl Store {
    /// Has a commit that was broken off done in the background, where there is one.
    pub(in crate::store::changes) fn finish_later(&self) {
        let catalog = self.catalog();
        if !catalog.unfinished.wants_thread() {
            return;
        }
        lock(&self.0.threads).retain(|thread| !thread.is_finished());
        if let Err(error) = self.start("commits", run) {
            // The next change tries it all the same.
            log::error!("{error}");
            catalog.unfinished.has_no_thread();
        }
    }
}

/// Does a commit now that was broken off, for a caller that asks for it again; what came of it.
///
/// # Errors
/// `NotFound` if there is no such set any more; `Busy` if it fails again.
pub(in crate::store::changes::commit) fn finish_now(
    catalog: &Catalog,
    id: ChangeId,
) -> Result<CommitOutcome> {
    let _guard = catalog.locking(NameScope::All);
    if catalog.unfinished.is_of(id)
        && let Err(error) = try_again(catalog)
    {
        return Err(half_done(&error));
    }
    catalog.changes.outcome(id).ok_or_else(unknown_change)
}

/// The work of the thread, until there is nothing left to do or the store closes.
fn run(catalog: &Arc<Catalog>) {
    let first = catalog.options.finish_pause;
    let mut pauses = Backoff::endless().between(first, PAUSE_MAX.max(first));
    while catalog
        .unfinished
        .wait(pauses.next(None).unwrap_or(PAUSE_MAX))
    {
        let _guard = catalog.locking(NameScope::All);
        let _ = try_again(catalog);
    }
}

/// Tries it once, with all names locked.
///
/// # Errors
/// Those of the file system; it is left as it was then.
pub(crate) fn try_again(catalog: &Catalog) -> io::Result<()> {
    let Some(mut left) = catalog.unfinished.take() else {
        return Ok(());
    };
    // What hands put in the way goes away with them in moments, as where a folder is swapped for a new one, and
    // then all of the commit can be done: so it is waited for that long. But it may stay for ever, and nobody
    // could change anything until somebody notices. So after some attempts the step is left out and logged, as
    // a start does, which has no moments to wait. A disk that fails or is full is no obstacle of that kind:
    // left out, the step would be lost; it is tried as long as it takes.
    let obstacle = if left.tries > HANDS_TRIES {
        Obstacle::IsLeft
    } else {
        Obstacle::Fails
    };

    let done = finish(catalog, &mut left, obstacle);
    match &done {
        Ok(()) => {
            log::info!("the commit that was broken off is done");
            catalog.unfinished.end();
        }
        Err(error) => {
            if left.tries.is_power_of_two() {
                log::error!(
                    "a commit that is decided is not done yet, after {} more attempts: {error}",
                    left.tries
                );
            }
            catalog.unfinished.put_back(left);
        }
    }
    done
}

fn finish(catalog: &Catalog, left: &mut LeftCommit, obstacle: Obstacle) -> io::Result<()> {
    // In a directory that is away or that nobody may write to, each step would seem to be in the way of hands.
    catalog.layout.check_there()?;
    catalog.layout.folder().check_writable()?;

    let _linking = redo::linking(catalog, &left.steps);
    if !matches!(left.work, LeftWork::Record) {
        if let Err(error) = left.files.folder()
            && error.kind() == io::ErrorKind::NotFound
            && obstacle == Obstacle::IsLeft
        {
            log::error!(
                "hands have removed a change set that was committed: what is there now stays"
            );
            give_up(catalog, left);
            return Ok(());
        }
        do_steps(catalog, left, obstacle)?;
    }

    left.files.remove_record_again()?;
    log_failure(left.files.remove_rest());
    Ok(())
}

fn do_steps(catalog: &Catalog, left: &mut LeftCommit, obstacle: Obstacle) -> io::Result<()> {
    // It may have failed to come into being, and to be taken back.
    if !left.files.place(COMMIT)?.exists() {
        redo::decide(&left.files, &left.steps)?;
    }

    let names = left.steps.iter();
    let names = names.flat_map(|step| std::iter::once(&step.name).chain(step.new_name()));
    let tallies: Vec<_> = names.map(|name| catalog.tally(name)).collect();
    let learn_all = || match &left.work {
        LeftWork::Set(set, staged) => learn(catalog, &set.plan, staged),
        LeftWork::Move(moving) => learn_moved(catalog, &moving.moved),
        LeftWork::Record => {}
    };
    redo::carry_on(catalog, &left.files, &left.steps, obstacle, &learn_all)?;

    match std::mem::replace(&mut left.work, LeftWork::Record) {
        LeftWork::Set(set, _) => {
            conclude(catalog, &set);
            drop(tallies);
            set.prune(catalog);
            versions::keep_within(catalog, set.plan.room);
        }
        LeftWork::Move(moving) => {
            tell_moved(catalog, &moving.moved);
            drop(tallies);
            versions::keep_within(catalog, moving.room);
        }
        LeftWork::Record => {}
    }
    Ok(())
}

/// Ends a commit of which nothing can be done any more.
fn give_up(catalog: &Catalog, left: &LeftCommit) {
    left.steps
        .iter()
        .for_each(|step| catalog.forget(&step.name));
    *catalog.hide(&left.steps) = HiddenNames::default();
    if let LeftWork::Set(set, _) = &left.work {
        catalog.changes.end(set.id, None);
        catalog.pending.forget_change(set.id);
    }
}

/// What is answered to the caller whose commit was broken off. It may ask again: that does it once.
pub(in crate::store::changes::commit) fn half_done(error: &io::Error) -> Error {
    let text = format!(
        "the change set is committed, but the disk failed before all of it was done: {error}"
    );
    Error::new(ErrorKind::Busy, text).hint(
        "the server goes on with it by itself; commit again, which does nothing twice and tells what came of it",
    )
}

/// Attempts after which what hands put in the way is left as it is: ten seconds, where nobody else tries it.
const HANDS_TRIES: u32 = 4;

/// The longest pause between two attempts.
const PAUSE_MAX: Duration = Duration::from_secs(30);
