// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The steps of a commit: written down before the first of them is done, and done again, as far as they
//! are left, by whoever finds them.

use std::collections::BTreeSet;
use std::io;

use crate::digest::Digest;
use crate::disk::{self, FilePlace, Folder};
use crate::model::ModelName;
use crate::store::catalog::{Catalog, Layout, Linking, Standing};
use crate::store::changes::change_files::{COMMIT, ChangeFiles};
use crate::store::changes::change_journal::whole_lines;
use crate::store::changes::commit::assembled::{self, appear, assembled_place};
use crate::store::changes::commit::exchange::{CommitWay, bring_late};
use crate::store::changes::commit::recorded::hidden_names::HiddenNames;
use crate::store::changes::commit::recorded::step_record::{
    CommitStep, StepKind, read_record, record_text, unreadable,
};
use crate::store::hidden_folder::LastWay;
use crate::store::hidden_folder::kept_tree;
use crate::store::versions;

/// Writes the steps down, durably: from here on they are done, whatever comes.
///
/// # Errors
/// Those of the file system; nothing is decided then.
pub(crate) fn decide(files: &ChangeFiles, steps: &[CommitStep]) -> io::Result<()> {
    disk::write_at(&files.place(COMMIT)?, record_text(steps).as_bytes(), 0o600)
}

/// Takes back what was written down, if nothing of it was done.
///
/// # Errors
/// Those of the file system; the steps may then be done by the next start.
pub(crate) fn withdraw(files: &ChangeFiles) -> io::Result<()> {
    match files.place(COMMIT)?.remove() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

/// Does what is left of the steps that are written down, and removes the set; returns all of them.
///
/// # Errors
/// Those of the file system; the rest stays to be done.
pub(crate) fn complete(
    catalog: &Catalog,
    files: &ChangeFiles,
    obstacle: Obstacle,
) -> io::Result<Vec<CommitStep>> {
    let record = files.place(COMMIT)?.open().map_err(|error| {
        // Something that is no file has its name.
        if error.kind() == io::ErrorKind::NotFound {
            unreadable()
        } else {
            error
        }
    });
    let mut lines = whole_lines(record?.0);
    let steps = read_record(&mut lines, catalog.options.change_files_max)?;
    let _linking = linking(catalog, &steps);
    carry_on(catalog, files, &steps, obstacle, &|| {})?;
    files.remove()?;
    Ok(steps)
}

/// Has digests stay known while these steps are done, and until the set is gone, which has links to what stays.
pub(crate) fn linking<'a>(catalog: &'a Catalog, steps: &[CommitStep]) -> Vec<Linking<'a>> {
    let folders = steps
        .iter()
        .filter(|step| matches!(step.what, StepKind::Exchange(_)));
    folders.map(|step| catalog.linking(&step.name)).collect()
}

/// Does what is left of these steps, whose record stays; `learn` is called when all names have what they are to have,
/// before anybody sees it.
///
/// # Errors
/// Those of the file system; the rest stays to be done.
pub(crate) fn carry_on(
    catalog: &Catalog,
    files: &ChangeFiles,
    steps: &[CommitStep],
    obstacle: Obstacle,
    learn: &dyn Fn(),
) -> io::Result<()> {
    // They were removed before the steps were written down, so a start goes on where one cannot be looked at.
    let names = steps.iter();
    let names = names.flat_map(|step| std::iter::once(&step.name).chain(step.new_name()));
    let unready = catalog.unready(names);
    let _unready = match unready {
        Err(_) if obstacle == Obstacle::IsLeft => None,
        unready => Some(unready?),
    };

    {
        let mut hidden = catalog.hide(steps);
        apply(catalog, files, steps, obstacle)?;
        steps.iter().for_each(|step| catalog.forget(&step.name));
        learn();
        *hidden = HiddenNames::default();
    }

    let late = || bring_late(&catalog.layout, &files.folder()?, steps);
    obstacle.check("the folders of it", settle(catalog, steps))?;
    obstacle.check("what hands have put into its folder", late())?;
    obstacle.check("what is kept of its models", follow(catalog, steps))
}

/// What a step means that the directory does not let be done, however often it is tried: its folder is on
/// another file system, or belongs to others, or something else has come in the place of the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Obstacle {
    /// The commit is not complete.
    Fails,
    /// The step is left out and logged: hands did that, and a server that does not start, or takes no change any
    /// more, helps nobody.
    IsLeft,
}

impl Obstacle {
    fn check(self, what: &str, done: io::Result<()>) -> io::Result<()> {
        use io::ErrorKind::{
            CrossesDevices, DirectoryNotEmpty, IsADirectory, NotADirectory, NotFound,
            PermissionDenied, ReadOnlyFilesystem,
        };
        match done {
            Err(error)
                if self == Self::IsLeft
                    && matches!(
                        error.kind(),
                        CrossesDevices
                            | DirectoryNotEmpty
                            | IsADirectory
                            | NotADirectory
                            | NotFound
                            | PermissionDenied
                            | ReadOnlyFilesystem
                    ) =>
            {
                log::error!(
                    "a change set was committed, and '{what}' stays as it is all the same: {error}"
                );
                Ok(())
            }
            done => done,
        }
    }
}

/// Does the steps, as far as they are not done.
///
/// # Errors
/// Those of the file system; the rest stays to be done.
pub(crate) fn apply(
    catalog: &Catalog,
    files: &ChangeFiles,
    steps: &[CommitStep],
    obstacle: Obstacle,
) -> io::Result<()> {
    let set = files.folder()?;
    let mut way = CommitWay::of(&catalog.layout, &set, steps)?;
    if way == CommitWay::Astray {
        log::error!("a folder was taken away in the middle of a commit, and stays as it is now");
        return Ok(());
    }

    let mut ways = None;
    for (number, step) in steps.iter().enumerate() {
        let done = match &step.what {
            StepKind::Publish(number) if way == CommitWay::Assembled => {
                let done = assemble(&set, &step.name, *number, &mut ways);
                match done {
                    // What it means that something is not there is found out by a way of its own.
                    Err(error) if is_absent_or_folder(&error) => {
                        publish(&catalog.layout, &set, &step.name, *number, way)
                    }
                    done => done,
                }
            }
            StepKind::Publish(number) => publish(&catalog.layout, &set, &step.name, *number, way),
            StepKind::Appear => appear(&catalog.layout, &set, &step.name, steps),
            StepKind::Exchange(_) => exchange(&catalog.layout, &set, &step.name, steps, &mut way),
            StepKind::Remove(size, digest) => {
                let keeps = catalog.options.versions_max > 0;
                let place = way.leaving_place(&catalog.layout, &set, &step.name);
                remove(catalog, place, &step.name, *size, keeps.then_some(*digest))
            }
            StepKind::Delete(size) => {
                let place = way.leaving_place(&catalog.layout, &set, &step.name);
                remove(catalog, place, &step.name, *size, None)
            }
            // What has its name still was never told to have the other one, or is something that came later.
            StepKind::Move(_) | StepKind::MoveFolder(_) if number == 0 => Ok(()),
            StepKind::Move(to) | StepKind::MoveFolder(to) => {
                // A signature goes with its model.
                let first = &steps[0];
                if is_moved(&catalog.layout, first) {
                    follow_name(&catalog.layout, &step.name, to)
                } else {
                    Ok(())
                }
            }
        };
        obstacle.check(step.name.as_str(), done)?;
    }
    Ok(())
}

/// Gives a file of the set its place in the folder that is assembled, by the way to the one before.
fn assemble(
    set: &Folder,
    name: &ModelName,
    number: u64,
    ways: &mut Option<LastWay>,
) -> io::Result<()> {
    let ways = match ways {
        Some(ways) => ways,
        None => ways.insert(assembled::ways(set)?),
    };
    let target = FilePlace::new(&ways.to(name.folders())?, name.file_name());
    FilePlace::new(set, number.to_string()).rename_to(&target)
}

fn is_absent_or_folder(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::IsADirectory
    )
}

/// Gives a file of the set the name of its model, or its place in the folder that is assembled.
fn publish(
    layout: &Layout,
    set: &Folder,
    name: &ModelName,
    number: u64,
    way: CommitWay,
) -> io::Result<()> {
    let source = FilePlace::new(set, number.to_string());
    let target = match way {
        CommitWay::Assembled => assembled_place(set, name)?,
        _ => layout.made_place(name)?,
    };
    let renamed = match source.rename_to(&target) {
        // What models have left behind that made way: folders in which there is nothing.
        Err(error) if error.kind() == io::ErrorKind::IsADirectory => target
            .folder()
            .remove_hollow(name.file_name())
            .and_then(|()| source.rename_to(&target)),
        renamed => renamed,
    };
    match renamed {
        // It was done before.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        renamed => renamed,
    }
}

/// Gives a folder that was assembled the place of the one that is there. Where that cannot be done, each file of
/// the set gets its name.
fn exchange(
    layout: &Layout,
    set: &Folder,
    folder: &ModelName,
    steps: &[CommitStep],
    way: &mut CommitWay,
) -> io::Result<()> {
    way.exchange(layout, set, folder, steps)?;
    if *way != CommitWay::ByName {
        return Ok(());
    }
    for step in steps {
        if let StepKind::Publish(number) = step.what {
            publish(layout, set, &step.name, number, *way)?;
        }
    }
    Ok(())
}

/// Removes a model, or makes it a version, where it is `kept` with its digest, unless another one has come in
/// its place. Its time does not tell that: after a power cut, FAT has another one.
fn remove(
    catalog: &Catalog,
    place: io::Result<FilePlace>,
    name: &ModelName,
    size: u64,
    kept: Option<Option<Digest>>,
) -> io::Result<()> {
    let is_there = |place: &FilePlace| {
        let facts = place.facts();
        facts.is_ok_and(|facts| facts.is_file() && facts.size == size)
    };
    if let Some(place) = place.ok().filter(is_there) {
        if let Some(digest) = kept {
            versions::put_away_unsynced(catalog, &place, name, digest)?;
        } else {
            disk::fault::check()?;
            place.remove_unsynced()?;
        }
    }
    catalog.layout.remove_empty_folders(name);
    Ok(())
}

/// Gives a model, or a folder with all that is in it, another name.
///
/// # Errors
/// `NotFound` if there is none, `AlreadyExists` if something has the other name; otherwise those of the file
/// system.
pub(crate) fn give_name(layout: &Layout, from: &ModelName, to: &ModelName) -> io::Result<()> {
    let source = layout.place(from)?;
    source.facts()?;
    let given = source.rename_to_free(&layout.made_place(to)?);

    let gone = if given.is_ok() { from } else { to };
    layout.remove_empty_folders(gone);
    given
}

/// The same for what goes with something that has its new name. What is gone, or finds its name taken, stays so.
fn follow_name(layout: &Layout, from: &ModelName, to: &ModelName) -> io::Result<()> {
    use io::ErrorKind::{AlreadyExists, DirectoryNotEmpty, NotADirectory, NotFound};
    match give_name(layout, from, to) {
        Err(error)
            if matches!(
                error.kind(),
                AlreadyExists | DirectoryNotEmpty | NotADirectory | NotFound
            ) =>
        {
            log::debug!("'{from}' is not moved to '{to}': {error}");
            Ok(())
        }
        named => named,
    }
}

/// Whether a step has been done by which something got another name, and nothing has come in its place.
fn is_moved(layout: &Layout, step: &CommitStep) -> bool {
    let is_free = matches!(layout.standing(&step.name), Ok(Standing::Nothing));
    let target = step.new_name().map(|name| layout.standing(name));
    is_free && !matches!(target, None | Some(Err(_) | Ok(Standing::Nothing)))
}

/// Has what is kept of models and folders go with their names, durably.
///
/// # Errors
/// Those of the file system; the rest stays to be done.
pub(crate) fn follow(catalog: &Catalog, steps: &[CommitStep]) -> io::Result<()> {
    let hidden = catalog.layout.hidden();
    for step in steps {
        // What still has its name keeps what is kept of it.
        if !is_moved(&catalog.layout, step) {
            continue;
        }
        match &step.what {
            StepKind::Move(to) => kept_tree::follow_model(hidden, &step.name, to)?,
            StepKind::MoveFolder(to) => kept_tree::follow_folder(hidden, &step.name, to)?,
            _ => {}
        }
    }
    Ok(())
}

/// Makes what the steps did survive a power cut.
///
/// # Errors
/// Those of the file system.
pub(crate) fn settle(catalog: &Catalog, steps: &[CommitStep]) -> io::Result<()> {
    let layout = &catalog.layout;
    if layout.folder().sync_file_system()? {
        return Ok(());
    }

    // Each folder once, from the outermost on: folders may have been made or removed in them.
    layout.folder().sync()?;
    let folders: BTreeSet<ModelName> = steps
        .iter()
        .flat_map(|step| [Some(&step.name), step.new_name()])
        .flatten()
        .flat_map(ModelName::ancestors)
        .collect();
    for folder in &folders {
        let opened = layout
            .folder()
            .descend(folder.segments(), Folder::enter_any);
        match opened {
            // It went with its last model.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            opened => opened?.sync()?,
        }
    }

    for step in steps {
        versions::settle(layout, &step.name)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_left_out_only_at_a_start_and_only_for_what_hands_did() {
        let denied = || Err(io::ErrorKind::PermissionDenied.into());
        assert!(Obstacle::IsLeft.check("m", denied()).is_ok());
        assert!(Obstacle::Fails.check("m", denied()).is_err());

        let full = io::ErrorKind::StorageFull;
        assert!(Obstacle::IsLeft.check("m", Err(full.into())).is_err());
    }
}
