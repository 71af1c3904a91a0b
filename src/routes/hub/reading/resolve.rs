// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The bytes of files: `/hf/REPO/resolve/REV/FILE`.

use crate::error::{Error, ErrorKind, Result};
use crate::http::{Request, Response, Status};
use crate::routes::api::Api;
use crate::routes::hub::hub_path::{HubPath, is_main};
use crate::routes::hub::hub_refusals::{HubError, HubResult, Missing};
use crate::routes::hub::mirroring::answered_or_mirrored;
use crate::routes::hub::reading::repository_state::RepoState;
use crate::routes::models::{self, AnswerKind, search_for};

/// `GET /hf/REPO/resolve/REV/FILE`: the bytes of a file, or a range of them, never a redirect. The entity tag is the
/// digest, so that equal tags mean equal bytes for ever.
pub(crate) fn read(api: &Api, request: &mut Request<'_>) -> Result<Response> {
    answered_or_mirrored(api, request, file)
}

fn file(api: &Api, request: &mut Request<'_>) -> HubResult<Response> {
    let path = HubPath::of(api, request)?;
    let is_present = path.revision().is_none_or(is_main);
    for _ in 0..ATTEMPTS {
        match file_of(api, request, &path) {
            // It was changed between two looks.
            Err(HubError::Other(error))
                if is_present && error.kind() == ErrorKind::RevisionGone => {}
            answer => return answer,
        }
    }
    let text = "the repository changes all the time";
    Err(Error::new(ErrorKind::Busy, text).into())
}

fn file_of(api: &Api, request: &mut Request<'_>, path: &HubPath<'_>) -> HubResult<Response> {
    let state = RepoState::of(api, request, path)?;
    let RepoState {
        commit, manifest, ..
    } = &state;
    let missing = || {
        let text = format!("{} has no file '{}'", path.repo.id, path.rest.join("/"));
        HubError::Missing(Missing::Entry(*commit), text)
    };

    let name = path.repo.file(api, path.rest.iter().copied())?;
    let member = manifest.find(&name).ok_or_else(missing)?;
    let (name, size) = (member.name.clone(), member.size);

    let search = search_for(request);
    let opened = match state.reference {
        Some(_) => api.store.open_member(member)?,
        None => api.store.open_model_at(&name, *commit, search)?,
    };
    let response = models::answer(request, AnswerKind::HubFile(&name), opened)?;

    // Of an empty file nothing can be a part, but clients ask for a first byte to learn the size.
    let response = if size == 0 && response.status() == Status::RANGE_NOT_SATISFIABLE {
        Response::new(Status::OK)
            .field("etag", format!("\"{}\"", member.digest))
            .field("accept-ranges", "bytes")
            .field("content-type", "application/octet-stream")
            .field("content-range", "bytes */0")
    } else {
        response
    };
    Ok(response.field("x-repo-commit", commit.to_string()))
}

/// How often a file is looked for that is changed meanwhile.
const ATTEMPTS: u32 = 3;
