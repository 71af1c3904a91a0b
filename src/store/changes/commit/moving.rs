// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Giving a model, or a folder with all that is in it, another name in one step, with its signature, what is
//! said of it, and its old versions.

use std::io;

use crate::digest::Digest;
use crate::error::{Error, ErrorKind, Result};
use crate::event::Happening;
use crate::model::{ModelName, Revision, charge};
use crate::signature::Signature;
use crate::store::catalog::{Catalog, Stamp, Standing};
use crate::store::changes::change_files::{ChangeFiles, ChangeId};
use crate::store::changes::commit::committing::{check_expected, learn_before};
use crate::store::changes::commit::recorded::redo::{self, give_name};
use crate::store::changes::commit::recorded::step_record::{CommitStep, StepKind};
use crate::store::changes::open_changes::log_failure;
use crate::store::claim::Condition;
use crate::store::failure::{unreadable, unstored};
use crate::store::rules::{BytesAgain, FolderBlocks};
use crate::store::store_handle::Store;
use crate::store::versions::{self, VersionRoom};
use crate::threads::lock;

/// What is to get another name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MoveRequest {
    pub(crate) from: ModelName,
    pub(crate) to: ModelName,
    /// Whether these are names of folders.
    pub(crate) is_folder: bool,
    pub(crate) expected: ExpectedState,
}

/// What has to be true of what is changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum ExpectedState {
    #[default]
    Any,
    Model(Condition),
    Folder(Revision),
}

/// What got another name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MoveOutcome {
    /// How many models; a signature beside a model is one.
    pub(crate) models: usize,
    /// Their bytes.
    pub(crate) size: u64,
}

/// A model that gets another name.
#[derive(PartialEq, Eq)]
struct MovedModel {
    from: ModelName,
    to: ModelName,
    stamp: Stamp,
    digest: Option<Digest>,
}

impl Store {
    /// Gives a model or a folder another name.
    ///
    /// # Errors
    /// `NotFound` if there is none; `Conflict` if the other name, or one that it leads through, is taken;
    /// `BadRequest` if a folder is to go into itself, or a name gets too long; what an upload under the other
    /// name is refused for; otherwise those of the file system. Nothing has changed then, unless the disk
    /// failed in the middle, which the next start completes.
    pub(crate) fn move_model(&self, request: &MoveRequest) -> Result<MoveOutcome> {
        let catalog = self.catalog();
        catalog.layout.check_changeable()?;
        check_names(request)?;
        let digested = match &request.expected {
            ExpectedState::Model(condition) => catalog.digest_for(&request.from, condition)?,
            ExpectedState::Folder(_) => {
                learn_before(catalog, &request.from)?;
                None
            }
            ExpectedState::Any => None,
        };

        for _ in 0..TRIES {
            // What takes long comes before others have to wait for their names.
            let moved = moved(catalog, request)?;
            check_rules(catalog, &moved)?;

            let _guard = lock(&catalog.names);
            if moved != self::moved(catalog, request)? {
                continue;
            }
            check_state(catalog, request, digested)?;
            check_free(catalog, request, &moved)?;
            let room = check_folders(catalog, request, &moved)?;

            let names = moved.iter().flat_map(|one| [&one.from, &one.to]);
            let tallies: Vec<_> = names.map(|name| catalog.tally(name)).collect();
            // What is in a folder that moves as a whole stays true.
            let unready = catalog.unready([&request.from, &request.to]);
            let _unready = unready.map_err(unstored)?;
            carry_out(catalog, request, &moved)?;

            drop(tallies);
            versions::keep_within(catalog, room);
            tell(catalog, &moved);
            return Ok(MoveOutcome {
                models: moved.len(),
                size: moved.iter().map(|one| one.stamp.size).sum(),
            });
        }

        let text = format!("'{}' changes all the time", request.from);
        Err(Error::new(ErrorKind::Busy, text).hint("try again"))
    }
}

fn check_names(request: &MoveRequest) -> Result<()> {
    let MoveRequest {
        from,
        to,
        is_folder,
        ..
    } = request;
    if from == to {
        let text = format!("'{from}' has this name already");
        return Err(Error::new(ErrorKind::Conflict, text).hint("choose another name"));
    }
    if *is_folder && to.is_below(from) {
        let text = format!("the folder '{from}/' cannot go into itself, to '{to}/'");
        return Err(Error::new(ErrorKind::BadRequest, text).hint("choose a name outside of it"));
    }
    Ok(())
}

/// The models that get another name.
fn moved(catalog: &Catalog, request: &MoveRequest) -> Result<Vec<MovedModel>> {
    let MoveRequest {
        from,
        to,
        is_folder,
        ..
    } = request;
    let mut moved = Vec::new();
    let mut add = |from: ModelName, to: ModelName| -> Result<bool> {
        let Standing::Model(stamp) = catalog.standing(&from)? else {
            return Ok(false);
        };
        let digest = catalog.index.find(&from, &stamp);
        moved.push(MovedModel {
            from,
            to,
            stamp,
            digest,
        });
        Ok(true)
    };

    if *is_folder {
        for name in catalog.members(Some(from))? {
            let rest = &name.as_str()[from.as_str().len()..];
            let new_name = format!("{to}{rest}").parse()?;
            add(name, new_name)?;
        }
        if moved.is_empty() {
            let text = format!("there is no folder '{from}/'");
            return Err(Error::new(ErrorKind::NotFound, text).hint("'skep ls' lists what there is"));
        }
        return Ok(moved);
    }

    if !add(from.clone(), to.clone())? {
        return Err(catalog.not_found(from));
    }
    // One that is too long for a signature has none.
    if let (Ok(from), Ok(to)) = (Signature::name_for(from), Signature::name_for(to)) {
        add(from, to)?;
    }
    Ok(moved)
}

/// Asks the rules of the store for all names, as for uploads.
fn check_rules(catalog: &Catalog, moved: &[MovedModel]) -> Result<()> {
    for one in moved {
        let place = catalog.layout.place(&one.from);
        let place = place.map_err(|error| unreadable(&one.from, error))?;
        let again = BytesAgain {
            name: &one.to,
            described_as: &one.from,
            size: one.stamp.size,
            digest: one.digest,
            place: &place,
        };
        catalog.check_again(&again)?;
    }
    Ok(())
}

/// Whether what moves is what the caller believes.
fn check_state(
    catalog: &Catalog,
    request: &MoveRequest,
    digested: Option<(Stamp, Digest)>,
) -> Result<()> {
    match &request.expected {
        ExpectedState::Any => Ok(()),
        ExpectedState::Model(condition) => {
            catalog.judge(&request.from, condition, digested).map(drop)
        }
        ExpectedState::Folder(revision) => {
            let manifest = catalog.manifest(&request.from)?;
            check_expected(manifest.as_ref(), Some(*revision))
        }
    }
}

/// Whether nothing has the other name.
fn check_free(catalog: &Catalog, request: &MoveRequest, moved: &[MovedModel]) -> Result<()> {
    let of_models = moved.iter().map(|one| &one.to);
    let of_models = of_models.filter(|_| !request.is_folder);

    for name in std::iter::once(&request.to).chain(of_models) {
        catalog.layout.check_name(name).map_err(unstored)?;
        if catalog.judge(name, &Condition::Any, None)?.is_some() {
            let text = format!("the model '{name}' exists already");
            return Err(Error::new(ErrorKind::Conflict, text)
                .hint("remove it first, or choose another name"));
        }
    }
    Ok(())
}

/// Whether the quota has room for folders that the other names need more than the old ones; returns what
/// versions may take then.
fn check_folders(
    catalog: &Catalog,
    request: &MoveRequest,
    moved: &[MovedModel],
) -> Result<VersionRoom> {
    let max = catalog.options.total_bytes_max;
    if max == 0 {
        return Ok(VersionRoom::UNBOUNDED);
    }

    let renamed = |name: ModelName| {
        let is_meant = if request.is_folder {
            name == request.from || name.is_below(&request.from)
        } else {
            moved.iter().any(|one| one.from == name)
        };
        let rest = name.as_str().strip_prefix(request.from.as_str());
        let new_name = rest.map(|rest| format!("{}{rest}", request.to).parse());
        match new_name {
            Some(Ok(new_name)) if is_meant => new_name,
            _ => name,
        }
    };

    let models = catalog.layout.models().map_err(unstored)?;
    let mut before = FolderBlocks::beside(&catalog.layout);
    let mut after = FolderBlocks::beside_as(&catalog.layout, &renamed);
    let mut used = 0_u64;
    for (name, stamp) in models {
        used = used.saturating_add(charge(stamp.size));
        before.add_model(&name);
        after.add_model(&renamed(name));
    }

    let of_versions = after.version_bytes();
    let (before, after) = (before.bytes(), after.bytes());
    let all = used.saturating_add(after);
    if after <= before || all <= max {
        return Ok(VersionRoom {
            bytes: max.saturating_sub(all.saturating_add(of_versions)),
            ..VersionRoom::UNBOUNDED
        });
    }
    let text = format!(
        "the quota does not suffice: the folders of the new name need {} bytes more",
        after - before
    );
    Err(Error::new(ErrorKind::NoSpace, text)
        .hint("choose a name with fewer folders, remove models, or raise max-total-bytes"))
}

/// Writes down what is to be done, and does it.
fn carry_out(catalog: &Catalog, request: &MoveRequest, moved: &[MovedModel]) -> Result<()> {
    let step = |from: &ModelName, to: &ModelName| CommitStep {
        name: from.clone(),
        what: if request.is_folder {
            StepKind::MoveFolder(to.clone())
        } else {
            StepKind::Move(to.clone())
        },
    };
    let steps = if request.is_folder {
        vec![step(&request.from, &request.to)]
    } else {
        moved.iter().map(|one| step(&one.from, &one.to)).collect()
    };

    let files = ChangeFiles::new(catalog.layout.hidden(), ChangeId::random()?);
    files.make().map_err(unstored)?;
    if let Err(error) = redo::decide(&files, &steps) {
        log_failure(files.remove());
        return Err(unstored(error));
    }

    let named = {
        let _hidden = catalog.hide();
        let named = give_names(catalog, &steps);
        if named.is_ok() {
            moved.iter().for_each(|one| catalog.forget(&one.from));
            lock(&catalog.last_manifests).clear();
        }
        named
    };
    if let Err(error) = named {
        // A name that came back has changed a time of the file.
        moved.iter().for_each(|one| learn(catalog, &one.from, one));
        // Nothing has another name, so nothing is left to be done.
        files.remove().map_err(|error| half_done(&error))?;
        return Err(unnamed(request, error));
    }

    let done = redo::settle(catalog, &steps)
        .and_then(|()| redo::follow(catalog, &steps))
        .and_then(|()| files.remove());
    for one in moved {
        learn(catalog, &one.to, one);
    }
    // Something may have been left of models that were removed.
    if catalog.options.versions_max > 0 {
        versions::tidy_all(catalog, moved.iter().map(|one| &one.to));
    }
    done.map_err(|error| half_done(&error))
}

/// Gives all of them their new names, or none.
fn give_names(catalog: &Catalog, steps: &[CommitStep]) -> io::Result<()> {
    for (done, step) in steps.iter().enumerate() {
        let Some(to) = step.new_name() else { continue };
        let Err(error) = give_name(&catalog.layout, &step.name, to) else {
            continue;
        };
        for step in steps[..done].iter().rev() {
            if let Some(to) = step.new_name() {
                give_name(&catalog.layout, to, &step.name)?;
            }
        }
        return Err(error);
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
    Error::new(ErrorKind::Internal, text)
        .hint("make room on the server's disk, and restart the server: that completes it")
}

/// Remembers the digest of a model under the name that it has now.
fn learn(catalog: &Catalog, name: &ModelName, moved: &MovedModel) {
    if let (Some(digest), Ok(Standing::Model(stamp))) =
        (moved.digest, catalog.layout.standing(name))
        && stamp.is_linked_since(&moved.stamp)
    {
        catalog.learn(name, stamp, digest);
    }
}

fn tell(catalog: &Catalog, moved: &[MovedModel]) {
    for one in moved {
        catalog.events.model(|| Happening::ModelMoved {
            from: one.from.clone(),
            name: one.to.clone(),
            size: one.stamp.size,
            digest: one.digest,
        });
    }
}

/// How often a folder that changes meanwhile is looked at again.
const TRIES: usize = 3;
