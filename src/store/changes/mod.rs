// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Change sets: many models that are published and removed in one step, or not at all.
//!
//! A change set is the folder `.skep/changes/ID`: `intent` says what it is for, `entries` has one line for
//! each thing that was asked for, and the bytes that were sent are in files with numbers for names. Nobody
//! sees any of it before the commit. That makes all of it durable, writes the steps that are to be done into
//! the file `commit`, and then does them, each of which is a rename. Without that file nothing of the set has
//! happened; with it, the next start does what is left (redo).
//!
//! Readers through the store see the models of a set change at once: nobody looks a name up while the
//! steps are done. Where the disk fails in the middle of them, the names of the set stay hidden, nothing else is
//! changed, and the store does the rest by itself as soon as it can. Who looks into the directory itself sees a folder that is new, or
//! that is exchanged, as a whole, and otherwise each file old or new.

mod change;
mod change_files;
mod change_journal;
mod change_set;
mod commit;
mod open_changes;
mod staged_objects;
mod staging;
mod staging_known;
#[cfg(test)]
mod tests;

pub(crate) use change::{Change, ChangeRequest, CommitOutcome, Others};
pub(crate) use change_files::ChangeId;
pub(crate) use commit::{
    CommitStep, ExpectedState, HiddenNames, MoveRequest, NameSpan, ShownCommits, UnfinishedCommit,
    absent, recover, refused, sources, try_again,
};
pub(crate) use open_changes::OpenChanges;
pub(crate) use staging_known::KnownBytes;
