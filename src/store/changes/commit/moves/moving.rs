// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Giving a model, or a folder with all that is in it, another name in one step, with its signature, what is
//! said of it, and its old versions.

use crate::digest::Digest;
use crate::error::{Error, ErrorKind, Result};
use crate::model::{ModelName, charge};
use crate::signature::Signature;
use crate::store::catalog::{Catalog, Stamp, Standing};
use crate::store::changes::commit::committing::{check_expected, learn_before};
use crate::store::changes::commit::moves::move_request::{ExpectedState, MoveOutcome, MoveRequest};
use crate::store::changes::commit::moves::move_steps::do_move;
use crate::store::changes::commit::recorded::unfinished::{CommittedMove, MovedModel};
use crate::store::claim::Condition;
use crate::store::failure::{unreadable, unstored};
use crate::store::locking::name_locks::NameScope;
use crate::store::rules::{BytesAgain, FolderBlocks};
use crate::store::store_handle::Store;
use crate::store::versions::VersionRoom;

impl Store {
    /// Gives a model or a folder another name.
    ///
    /// # Errors
    /// `NotFound` if there is none; `Conflict` if the other name, or one that it leads through, is taken;
    /// `BadRequest` if a folder is to go into itself, or a name gets too long; what an upload under the other
    /// name is refused for; otherwise those of the file system. Nothing has changed then, unless the disk
    /// failed in the middle: the store does the rest by itself.
    pub(crate) fn move_model(&self, request: &MoveRequest) -> Result<MoveOutcome> {
        let done = try_move(self.catalog(), request);
        self.finish_later();
        done
    }
}

fn try_move(catalog: &Catalog, request: &MoveRequest) -> Result<MoveOutcome> {
    catalog.check_changeable()?;
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

        let scope = NameScope::of_all([&request.from, &request.to]);
        let changing = catalog.changing(scope)?;
        if moved != self::moved(catalog, request)? {
            continue;
        }
        check_state(catalog, request, digested)?;
        check_free(catalog, request, &moved)?;
        let room = check_folders(catalog, request, &moved)?;
        return do_move(&changing, request, CommittedMove { moved, room });
    }

    let text = format!("'{}' changes all the time", request.from);
    Err(Error::new(ErrorKind::Busy, text).hint("try again"))
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

/// How often a folder that changes meanwhile is looked at again.
const TRIES: usize = 3;
