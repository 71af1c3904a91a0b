// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Folders over HTTP: what is known of one, and making it what it was.

use crate::access::Principal;
use crate::error::Result;
use crate::http::{Request, Response, Status};
use crate::model::ModelName;
use crate::routes::api::{Api, member};
use crate::store::RevisionChoice;
use crate::text::escaped;
use crate::wire::{CommitWire, FolderInfoWire, RevisionWire, rfc3339};

/// `GET /v1/info/FOLDER/` and `GET /v1/versions/FOLDER/`: how much is in it, its revision and older ones.
pub(crate) fn show(api: &Api, folder: &ModelName) -> Result<Response> {
    let info = api.store.folder_info(folder)?;
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
    principal: Option<Principal>,
) -> Result<Response> {
    let choice = match member(request.query(), "to")? {
        None => RevisionChoice::Newest,
        Some(text) => text.parse()?,
    };
    let principal = principal.map(|principal| escaped(&principal.shown()).into_owned());

    let outcome = api.store.rollback_folder(folder, choice, principal)?;
    Ok(Response::json(Status::OK, &CommitWire::from(&outcome)))
}
