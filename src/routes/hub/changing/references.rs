// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Branches and tags that clients make and remove.

use serde::Deserialize;
use serde_json::json;

use crate::error::{Error, ErrorKind, Result};
use crate::http::{Request, Response, Status};
use crate::routes::api::Api;
use crate::routes::hub::hub_path::{HubPath, is_main};
use crate::routes::hub::hub_refusals::{HubError, HubResult, Missing, answered};
use crate::routes::hub::hub_wires::read_json;
use crate::routes::hub::reading::repository_state::RepoState;
use crate::store::{ReferenceKind, ReferenceName};

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct BranchWire {
    #[serde(default)]
    starting_point: Option<String>,
}

#[derive(Deserialize)]
struct TagWire {
    tag: String,
}

/// `POST /hf/api/KIND/REPO/branch/NAME`: a branch of what the repository has, or of another revision.
pub(crate) fn make_branch(api: &Api, request: &mut Request<'_>) -> Result<Response> {
    answered(branch_made(api, request))
}

fn branch_made(api: &Api, request: &mut Request<'_>) -> HubResult<Response> {
    let path = HubPath::of(api, request)?;
    let is_empty = request.body().length() == Some(0);
    let asked = if is_empty {
        BranchWire::default()
    } else {
        read_json(request)?
    };

    let start = asked.starting_point.as_deref().unwrap_or("main");
    let state = RepoState::named(api, request, &path.repo, start)?;
    make(api, ReferenceKind::Branch, path.revision(), &state)
}

/// `POST /hf/api/KIND/REPO/tag/REV` with `{"tag": NAME}`: a name for a revision, which stays.
pub(crate) fn make_tag(api: &Api, request: &mut Request<'_>) -> Result<Response> {
    answered(tag_made(api, request))
}

fn tag_made(api: &Api, request: &mut Request<'_>) -> HubResult<Response> {
    let path = HubPath::of(api, request)?;
    let asked: TagWire = read_json(request)?;
    let state = RepoState::of(api, request, &path)?;
    make(api, ReferenceKind::Tag, Some(&asked.tag), &state)
}

fn make(
    api: &Api,
    kind: ReferenceKind,
    name: Option<&str>,
    state: &RepoState,
) -> HubResult<Response> {
    let name = ReferenceName::new(kind, name.unwrap_or_default())?;
    api.store.make_reference(&name, &state.manifest)?;
    Ok(Response::json(Status::OK, &json!({})))
}

/// `DELETE /hf/api/KIND/REPO/branch/NAME`.
pub(crate) fn remove_branch(api: &Api, request: &mut Request<'_>) -> Result<Response> {
    answered(removed(api, request, ReferenceKind::Branch))
}

/// `DELETE /hf/api/KIND/REPO/tag/NAME`.
pub(crate) fn remove_tag(api: &Api, request: &mut Request<'_>) -> Result<Response> {
    answered(removed(api, request, ReferenceKind::Tag))
}

fn removed(api: &Api, request: &mut Request<'_>, kind: ReferenceKind) -> HubResult<Response> {
    let path = HubPath::of(api, request)?;
    let asked = path.revision().unwrap_or_default();
    let name = ReferenceName::new(kind, asked)?;
    RepoState::present(api, &path.repo)?;
    if api.store.remove_reference(&path.repo.folder, &name)? {
        return Ok(Response::json(Status::OK, &json!({})));
    }
    let text = format!("{} has no '{asked}'", path.repo.id);
    Err(HubError::Missing(Missing::Revision, text))
}

/// The branch that a commit is made to; `None` for `main`.
///
/// # Errors
/// `Missing` if there is no such branch; `BadRequest` for a tag.
pub(super) fn branch_of(
    api: &Api,
    request: &mut Request<'_>,
    path: &HubPath<'_>,
) -> HubResult<Option<(ReferenceName, RepoState)>> {
    let Some(asked) = path.revision() else {
        return Ok(None);
    };
    if is_main(asked) {
        return Ok(None);
    }
    let state = RepoState::of(api, request, path)?;
    match &state.reference {
        Some(name) if name.kind == ReferenceKind::Branch => Ok(Some((name.clone(), state))),
        _ => {
            let text = format!("'{asked}' is no branch, so nothing can be committed to it");
            Err(Error::new(ErrorKind::BadRequest, text)
                .hint("make a branch of it, and commit to that")
                .into())
        }
    }
}
