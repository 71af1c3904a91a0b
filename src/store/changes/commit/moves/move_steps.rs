// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The steps of a move: written down, done, and taken back or left to be done where the disk fails.

use std::io;

use crate::error::{Error, ErrorKind, Result};
use crate::model::ModelName;
use crate::store::catalog::Catalog;
use crate::store::changes::change_files::{ChangeFiles, ChangeId};
use crate::store::changes::commit::committed::{learn_as, learn_moved, tell_moved};
use crate::store::changes::commit::moves::move_request::{MoveOutcome, MoveRequest};
use crate::store::changes::commit::recorded::hidden_names::HiddenNames;
use crate::store::changes::commit::recorded::redo::{self, give_name};
use crate::store::changes::commit::recorded::step_record::{CommitStep, StepKind};
use crate::store::changes::commit::recorded::unfinished::{
    CommittedMove, LeftCommit, LeftWork, MovedModel,
};
use crate::store::failure::unstored;
use crate::store::locking::changing::Changing;

/// Writes down what is to be done, and does it, with the names locked.
pub(super) fn do_move(
    changing: &Changing<'_>,
    request: &MoveRequest,
    moving: CommittedMove,
) -> Result<MoveOutcome> {
    let catalog = changing.catalog();
    let moved = &moving.moved;
    let outcome = MoveOutcome {
        models: moved.len(),
        size: moved.iter().map(|one| one.stamp.size).sum(),
    };
    let names = moved.iter().flat_map(|one| [&one.from, &one.to]);
    let tallies: Vec<_> = names.map(|name| catalog.tally(name)).collect();
    // What is in a folder that moves as a whole stays true.
    let unready = catalog.unready([&request.from, &request.to]);
    let unready = unready.map_err(unstored)?;

    let decision = catalog.deciding()?;
    let files = ChangeFiles::new(catalog.layout.hidden(), ChangeId::random()?);
    files.make().map_err(unstored)?;
    let steps = steps(request, moved);
    match carry_out(catalog, &files, &steps, moved) {
        Ok(()) => {}
        Err(MoveBreak::Undone(error)) => {
            catalog.unfinished.put_away(&files, &steps);
            return Err(unnamed(request, error));
        }
        Err(MoveBreak::HalfDone(error)) => {
            log::error!("a move that is decided was broken off: {error}");
            drop((tallies, unready));
            let work = LeftWork::Move(Box::new(moving));
            catalog
                .unfinished
                .leave(LeftCommit::new(files, steps, work));
            return Err(half_done(&error));
        }
    }

    tell_moved(catalog, moved);
    drop((tallies, unready));
    catalog.unfinished.put_away(&files, &steps);
    drop(decision);
    changing.keep_within(moving.room);
    Ok(outcome)
}

fn steps(request: &MoveRequest, moved: &[MovedModel]) -> Vec<CommitStep> {
    let step = |from: &ModelName, to: &ModelName| CommitStep {
        name: from.clone(),
        what: if request.is_folder {
            StepKind::MoveFolder(to.clone())
        } else {
            StepKind::Move(to.clone())
        },
    };
    if request.is_folder {
        vec![step(&request.from, &request.to)]
    } else {
        moved.iter().map(|one| step(&one.from, &one.to)).collect()
    }
}

/// How a move failed.
enum MoveBreak {
    /// Nothing has another name.
    Undone(io::Error),
    /// It is decided, and something has.
    HalfDone(io::Error),
}

fn carry_out(
    catalog: &Catalog,
    files: &ChangeFiles,
    steps: &[CommitStep],
    moved: &[MovedModel],
) -> Result<(), MoveBreak> {
    redo::decide(files, steps).map_err(MoveBreak::Undone)?;
    {
        let mut hidden = catalog.hide(steps);
        match give_names(catalog, steps) {
            Ok(()) => learn_moved(catalog, moved),
            Err(error) => {
                // A name that came back has changed a time of the file.
                learn_as(catalog, moved, |one| &one.from);
                if let MoveBreak::HalfDone(_) = error {
                    *hidden = HiddenNames::of(steps);
                }
                return Err(error);
            }
        }
    }

    redo::settle(catalog, steps)
        .and_then(|()| redo::follow(catalog, steps))
        .map_err(MoveBreak::HalfDone)
}

/// Gives all of them their new names, or none, as far as the disk lets that be taken back.
fn give_names(catalog: &Catalog, steps: &[CommitStep]) -> Result<(), MoveBreak> {
    for (done, step) in steps.iter().enumerate() {
        let Some(to) = step.new_name() else { continue };
        let Err(error) = give_name(&catalog.layout, &step.name, to) else {
            continue;
        };
        for step in steps[..done].iter().rev() {
            if let Some(to) = step.new_name()
                && let Err(error) = give_name(&catalog.layout, to, &step.name)
            {
                return Err(MoveBreak::HalfDone(error));
            }
        }
        return Err(MoveBreak::Undone(error));
    }
    Ok(())
}

fn unnamed(request: &MoveRequest, error: io::Error) -> Error {
    let MoveRequest { from, to, .. } = request;
    match error.kind() {
        io::ErrorKind::AlreadyExists | io::ErrorKind::DirectoryNotEmpty => {
            let text = format!("something has the name '{to}' already");
            Error::new(ErrorKind::Conflict, text).hint("choose another name")
        }
        io::ErrorKind::CrossesDevices | io::ErrorKind::ResourceBusy => {
            let text = format!("'{from}' and '{to}' are on two file systems");
            Error::new(ErrorKind::Conflict, text)
                .hint("send it under the other name, and remove it under this one")
        }
        _ => unstored(error),
    }
}

fn half_done(error: &io::Error) -> Error {
    let text = format!("the disk failed before all of the move was done: {error}");
    Error::new(ErrorKind::Internal, text).hint(
        "the server goes on with it by itself, and its log says what is in the way: look in a moment whether the \
         new name is there",
    )
}
