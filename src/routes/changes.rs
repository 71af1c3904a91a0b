// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Change sets over HTTP: many models that are published and removed in one step, `/v1/changes`.

use crate::access::Right;
use crate::clock;
use crate::digest::Digest;
use crate::error::{Error, ErrorKind, Result};
use crate::http::{Request, Response, Status};
use crate::model::ModelName;
use crate::routes::api::{Api, member};
use crate::routes::models::{self, stored};
use crate::signature::Signature;
use crate::store::{Change, ChangeId, ChangeRequest, CommitOutcome, Others, UploadIntent};
use crate::wire::{ChangeWire, CommitWire, StagedWire, digest_text, rfc3339};

/// `POST /v1/changes?root=FOLDER`: 201 with the location of the new set. Without a folder, it may have any
/// name.
pub(crate) fn begin(api: &Api, request: &mut Request<'_>) -> Result<Response> {
    let root = member(request.query(), "root")?;
    let root = root.map(|root| root.trim_end_matches('/').parse());
    let root = root.transpose()?;
    let root = root.map(|root| api.store.spelled(&root));
    let change = ChangeRequest {
        root,
        principal: models::principal_line(request),
    };
    let id = api.store.begin_change(change)?;

    let response = Response::json(Status::CREATED, &told(api, id, "")?);
    Ok(response.field("location", format!("/v1/changes/{id}")))
}

/// `GET /v1/changes/ID?after=NAME`: what a set has so far, page by page.
pub(crate) fn show(api: &Api, request: &mut Request<'_>) -> Result<Response> {
    let after = member(request.query(), "after")?.unwrap_or_default();
    let told = told(api, id(request)?, &after)?;
    Ok(Response::json(Status::OK, &told).field("cache-control", "no-store"))
}

/// `PUT /v1/changes/ID/NAME`: bytes for a name, as `PUT /v1/models/NAME` takes them, in one piece or many; or
/// `?blob=DIGEST` for bytes that the server has.
pub(crate) fn put(api: &Api, request: &mut Request<'_>) -> Result<Response> {
    let (id, name) = (id(request)?, name(api, request)?);
    models::check_no_condition(request)?;

    let mut order = UploadIntent::new(name);
    order.change = Some(id);
    let Some(blob) = member(request.query(), "blob")? else {
        return models::store_as(api, request, order);
    };

    // Whoever names bytes could otherwise read what it may not.
    let principal = models::principal(request);
    if let Some(principal) = &principal {
        principal.needs(Right::Read)?;
    }
    let digest: Digest = blob.strip_prefix("sha256:").unwrap_or(&blob).parse()?;
    let signature = request.fields().value("skep-signature");
    let signature = signature.map(Signature::from_field).transpose()?;
    let metadata = models::metadata(request, principal.as_ref())?;

    let staged = api
        .store
        .stage_known(id, &order.name, digest, metadata, signature)?;
    Ok(stored(&staged, &order))
}

/// `DELETE /v1/changes/ID/NAME`: the commit removes the model.
pub(crate) fn remove(api: &Api, request: &mut Request<'_>) -> Result<Response> {
    let (id, name) = (id(request)?, name(api, request)?);
    models::check_no_condition(request)?;
    api.store.stage_removal(id, &name)?;
    Ok(Response::new(Status::NO_CONTENT))
}

/// `POST /v1/changes/ID?others=remove`: commits a set. With `If-Match: "REVISION"`, only if its folder has that
/// revision.
pub(crate) fn commit(api: &Api, request: &mut Request<'_>) -> Result<Response> {
    let id = id(request)?;
    let others = match member(request.query(), "others")?.as_deref() {
        None | Some("keep") => Others::Keep,
        Some("remove") => Others::Remove,
        Some(_) => {
            let text = "others is keep or remove: what becomes of models that are not in the set";
            return Err(Error::new(ErrorKind::BadRequest, text));
        }
    };

    let expected = models::expected_revision(request)?;
    let outcome = api.store.commit_change(id, others, expected)?;

    let told = CommitWire::from(&outcome);
    Ok(Response::json(Status::OK, &told))
}

/// `DELETE /v1/changes/ID`: nothing of the set happens.
pub(crate) fn abandon(api: &Api, request: &mut Request<'_>) -> Result<Response> {
    api.store.abandon_change(id(request)?)?;
    Ok(Response::new(Status::NO_CONTENT))
}

fn told(api: &Api, id: ChangeId, after: &str) -> Result<ChangeWire> {
    let status = api.store.change(id, after, PAGE_NAMES)?;
    let last = status.entries.last().filter(|_| status.is_cut);
    let next = last.map(|(name, _)| name.as_str().to_owned());
    let staged = status.entries.iter().map(|(name, change)| {
        let bytes = change.bytes();
        StagedWire {
            name: name.as_str().to_owned(),
            change: match change {
                Change::Sent(_) => "sent",
                Change::Known(_) => "known",
                Change::Removal => "removal",
            }
            .to_owned(),
            size: bytes.map(|bytes| bytes.size),
            digest: bytes.map(|bytes| digest_text(bytes.digest)),
        }
    });

    Ok(ChangeWire {
        schema: 1,
        id: id.to_string(),
        root: status.root.map(|root| format!("{root}/")),
        expires: clock::now().checked_add(status.left).map(rfc3339),
        models: staged.collect(),
        next,
    })
}

fn id(request: &Request<'_>) -> Result<ChangeId> {
    let segments = request.segments();
    segments.get(2).copied().unwrap_or_default().parse()
}

fn name(api: &Api, request: &Request<'_>) -> Result<ModelName> {
    let segments = request.segments().get(3..).unwrap_or_default();
    Ok(api.store.spelled(&ModelName::from_segments(segments)?))
}

impl From<&CommitOutcome> for CommitWire {
    fn from(outcome: &CommitOutcome) -> Self {
        Self {
            schema: 1,
            published: outcome.published as u64,
            removed: outcome.removed as u64,
            kept: outcome.kept,
            unchanged: outcome.unchanged as u64,
            revision: outcome.revision.map(|revision| revision.to_string()),
        }
    }
}

/// Names of a set in one answer.
const PAGE_NAMES: usize = 1000;
