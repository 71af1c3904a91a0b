// SPDX-License-Identifier: Apache-2.0 OR MIT
//! How the files of a commit come to their places: each by its name, or all of them with their folder.

use std::io;

use rustix::io::Errno;

use crate::disk::{FileKind, FilePlace, Folder};
use crate::model::ModelName;
use crate::store::catalog::Layout;
use crate::store::changes::commit::assembled::found_place;
use crate::store::changes::commit::exchange::bringing_over::bring_over;
use crate::store::changes::commit::recorded::step_record::{CommitStep, StepKind};
use crate::store::hidden_folder::TREE;

/// Where the files of a commit are to go, and come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store::changes::commit) enum CommitWay {
    /// Each gets its name in the model directory.
    ByName,
    /// They are assembled in the set, in a folder that has no name yet.
    Assembled,
    /// The folder that was assembled has its name, and the set has the old one.
    Exchanged,
    /// Hands have taken the folder away that was assembled.
    Astray,
}

impl CommitWay {
    /// That of these steps, as far as they are done.
    ///
    /// # Errors
    /// Those of the file system.
    pub(in crate::store::changes::commit) fn of(
        layout: &Layout,
        set: &Folder,
        steps: &[CommitStep],
    ) -> io::Result<Self> {
        for step in steps {
            match step.what {
                StepKind::Appear => return Ok(Self::Assembled),
                StepKind::Exchange(inode) => return Self::found(layout, set, &step.name, inode),
                _ => {}
            }
        }
        Ok(Self::ByName)
    }

    fn found(layout: &Layout, set: &Folder, name: &ModelName, inode: u64) -> io::Result<Self> {
        if number(layout.place(name))? == Some(inode) {
            return Ok(Self::Exchanged);
        }
        Ok(match number(found_place(set, name))? {
            Some(found) if found == inode => Self::Assembled,
            Some(_) => Self::Astray,
            None => Self::ByName,
        })
    }

    /// Where a model stands that goes.
    ///
    /// # Errors
    /// Those of the file system.
    pub(in crate::store::changes::commit) fn leaving_place(
        self,
        layout: &Layout,
        set: &Folder,
        name: &ModelName,
    ) -> io::Result<FilePlace> {
        match self {
            Self::Exchanged => found_place(set, name),
            _ => layout.place(name),
        }
    }

    /// Gives the folder that was assembled the name of the one that is there, and brings over what hands have put
    /// into that. Where this cannot be done, each file that comes has its place in the set again.
    ///
    /// # Errors
    /// Those of the file system; the rest stays to be done.
    pub(in crate::store::changes::commit) fn exchange(
        &mut self,
        layout: &Layout,
        set: &Folder,
        name: &ModelName,
        steps: &[CommitStep],
    ) -> io::Result<()> {
        if *self == Self::Assembled {
            *self = match exchange(layout, set, name) {
                Err(error) if is_refusal(&error, REFUSALS) => {
                    log::debug!("'{name}/' is changed file by file: {error}");
                    if is_refusal(&error, UNKNOWN) {
                        layout.note_no_exchange();
                    }
                    take_apart(set, steps)?;
                    Self::ByName
                }
                exchanged => exchanged.map(|()| Self::Exchanged)?,
            };
        }
        if *self == Self::Exchanged {
            bring_over(layout, set, name, steps)?;
        }
        Ok(())
    }
}

/// Brings over what hands have put into the old folder since it was exchanged: programs that had it open before
/// go on there.
///
/// # Errors
/// Those of the file system; the rest stays to be done.
pub(in crate::store::changes::commit) fn bring_late(
    layout: &Layout,
    set: &Folder,
    steps: &[CommitStep],
) -> io::Result<()> {
    for step in steps {
        if let StepKind::Exchange(inode) = step.what
            && CommitWay::found(layout, set, &step.name, inode)? == CommitWay::Exchanged
        {
            bring_over(layout, set, &step.name, steps)?;
        }
    }
    Ok(())
}

fn exchange(layout: &Layout, set: &Folder, name: &ModelName) -> io::Result<()> {
    let (new, current) = (found_place(set, name)?, layout.made_place(name)?);
    match new.exchange_with(&current) {
        // Hands have removed it.
        Err(error) if error.kind() == io::ErrorKind::NotFound => new.rename_to_free(&current),
        exchanged => exchanged,
    }
}

/// Gives the files that come their places in the set again. Without the folder that was assembled, the next
/// start does not try to give it a name either.
fn take_apart(set: &Folder, steps: &[CommitStep]) -> io::Result<()> {
    for step in steps {
        let StepKind::Publish(number) = step.what else {
            continue;
        };
        let place = FilePlace::new(set, number.to_string());
        match found_place(set, &step.name).and_then(|from| from.rename_to(&place)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            renamed => renamed?,
        }
    }
    FilePlace::new(set, TREE).rename_to(&FilePlace::new(set, APART))?;
    // What stays goes with the set.
    let _ = set.enter(APART).and_then(|apart| apart.remove_all());
    Ok(())
}

/// The number of the folder that has a name; `None` if nothing has it.
fn number(place: io::Result<FilePlace>) -> io::Result<Option<u64>> {
    match place.and_then(|place| place.facts()) {
        Ok(facts) if facts.kind == FileKind::Folder => Ok(Some(facts.inode)),
        Ok(_) => Ok(Some(0)),
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

fn is_refusal(error: &io::Error, reasons: &[Errno]) -> bool {
    let found = error.raw_os_error();
    reasons
        .iter()
        .any(|reason| found == Some(reason.raw_os_error()))
}

/// How a file system says that it does not know the step.
const UNKNOWN: &[Errno] = &[Errno::INVAL, Errno::NOSYS, Errno::NOTSUP];

/// That, and how it says that it does not take it for this folder: another file system is mounted there, or
/// what leads to it belongs to others.
const REFUSALS: &[Errno] = &[
    Errno::INVAL,
    Errno::NOSYS,
    Errno::NOTSUP,
    Errno::XDEV,
    Errno::BUSY,
    Errno::PERM,
    Errno::ACCESS,
    Errno::EXIST,
];

/// What was assembled in vain.
const APART: &str = "apart";
