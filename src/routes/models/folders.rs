// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Folders over HTTP: what is known of one, making it what it was, and other names for folders and models.

use crate::error::{Error, ErrorKind, Result};
use crate::http::{Request, Response, Status};
use crate::model::{ModelName, Revision};
use crate::routes::api::{Api, member};
use crate::routes::models::preconditions::{condition, expected_revision};
use crate::store::{BlobSearch, ExpectedState, MoveRequest, RevisionChoice};
use crate::wire::{CommitWire, FolderInfoWire, MovedWire, RevisionWire, rfc3339};

/// `GET /v1/info/FOLDER/` and `GET /v1/versions/FOLDER/`: how much is in it, or was in a revision, its revision
/// and older ones.
pub(crate) fn show(
    api: &Api,
    folder: &ModelName,
    revision: Option<Revision>,
    search: BlobSearch,
) -> Result<Response> {
    let mut info = api.store.folder_info(folder, search)?;
    if let Some(revision) = revision {
        let manifest = api.store.manifest_at(folder, revision, search)?;
        info.models = manifest.members.len();
        info.size = manifest.size();
        info.revision = Some(revision);
    }

    let revisions = info.kept.iter().map(|kept| RevisionWire {
        number: kept.number,
        revision: kept.revision.to_string(),
        replaced: rfc3339(kept.replaced),
    });

    let told = FolderInfoWire {
        schema: 1,
        name: format!("{folder}/"),
        models: info.models as u64,
        size: info.size,
        revision: info.revision.map(|revision| revision.to_string()),
        revisions: revisions.collect(),
    };
    Ok(Response::json(Status::OK, &told).field("cache-control", "no-cache"))
}

/// `POST /v1/rollback/FOLDER/?to=REVISION`: makes a folder what it was, in one step. Without `to`, that is
/// what it was before the last change set.
pub(crate) fn rollback(
    api: &Api,
    request: &mut Request<'_>,
    folder: &ModelName,
    principal: Option<String>,
) -> Result<Response> {
    let choice = match member(request.query(), "to")? {
        None => RevisionChoice::Newest,
        Some(text) => text.parse()?,
    };

    let expected = expected_revision(request)?;
    let outcome = api
        .store
        .rollback_folder(folder, choice, principal, expected)?;
    Ok(Response::json(Status::OK, &CommitWire::from(&outcome)))
}

/// `POST /v1/move/NAME?to=OTHER`: gives a model another name, or a folder with all that is in it. `?to=FOLDER/`
/// leaves a model its last segment.
pub(crate) fn rename(api: &Api, request: &mut Request<'_>) -> Result<Response> {
    let Some(to) = member(request.query(), "to")? else {
        let text = "the query of a move is ?to=NAME, the name that it is to have";
        return Err(Error::new(ErrorKind::BadRequest, text));
    };
    let folder = api.folder_name(request)?;
    let is_folder = folder.is_some();

    let from = match folder {
        Some(folder) => folder,
        None => api.model_name(request)?,
    };
    let to: ModelName = match to.strip_suffix('/') {
        None => to.parse()?,
        Some(to) if is_folder => to.parse()?,
        Some(to) => format!("{to}/{}", from.file_name()).parse()?,
    };

    let expected = if is_folder {
        expected_revision(request)?.map_or(ExpectedState::Any, ExpectedState::Folder)
    } else {
        ExpectedState::Model(condition(api, request, &from)?)
    };
    let moving = MoveRequest {
        from,
        to,
        is_folder,
        expected,
    };
    let outcome = api.store.move_model(&moving)?;

    let MoveRequest { from, to, .. } = moving;
    let end = if is_folder { "/" } else { "" };
    let told = MovedWire {
        schema: 1,
        from: format!("{from}{end}"),
        name: format!("{to}{end}"),
        models: outcome.models as u64,
        size: outcome.size,
    };
    Ok(Response::json(Status::OK, &told))
}
