// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The commits of a repository, and the names of some of them.

use std::time::SystemTime;

use serde_json::json;

use crate::error::Result;
use crate::http::{Request, Response, Status};
use crate::model::Revision;
use crate::routes::api::Api;
use crate::routes::hub::hub_path::HubPath;
use crate::routes::hub::hub_refusals::HubResult;
use crate::routes::hub::hub_wires::{AuthorWire, HubCommitWire, RefWire, hub_time};
use crate::routes::hub::mirroring::answered_or_mirrored;
use crate::routes::hub::reading::repository_state::RepoState;
use crate::routes::models::search_for;
use crate::store::ReferenceKind;

/// `GET /hf/api/KIND/REPO/refs`: the branch `main`, and those branches and tags that clients have made.
pub(crate) fn refs(api: &Api, request: &mut Request<'_>) -> Result<Response> {
    answered_or_mirrored(api, request, all_refs)
}

fn all_refs(api: &Api, request: &mut Request<'_>) -> HubResult<Response> {
    let path = HubPath::of(api, request)?;
    let state = RepoState::present(api, &path.repo)?;
    let main = RefWire {
        name: "main".to_owned(),
        reference: "refs/heads/main".to_owned(),
        target_commit: state.commit.to_string(),
    };

    let (mut branches, mut tags) = (vec![main], Vec::new());
    for (name, commit) in api.store.references(&state.manifest.root)? {
        let told = RefWire {
            name: name.as_str().to_owned(),
            reference: format!("refs/{}/{}", name.kind.word(), name.as_str()),
            target_commit: commit.to_string(),
        };
        match name.kind {
            ReferenceKind::Branch => branches.push(told),
            ReferenceKind::Tag => tags.push(told),
        }
    }
    let told = json!({
        "branches": branches,
        "tags": tags,
        "converts": [],
        "pullRequests": [],
    });
    Ok(Response::json(Status::OK, &told))
}

/// `GET /hf/api/KIND/REPO/commits/REV`: what the repository has in that revision, and what it had before.
pub(crate) fn list(api: &Api, request: &mut Request<'_>) -> Result<Response> {
    answered_or_mirrored(api, request, history)
}

fn history(api: &Api, request: &mut Request<'_>) -> HubResult<Response> {
    let path = HubPath::of(api, request)?;
    let state = RepoState::of(api, request, &path)?;
    if state.reference.is_some() || state.manifest.members.is_empty() {
        // What a branch was before is not kept.
        let members = state.manifest.members.iter();
        let made = members.map(|member| member.modified).max();
        let one = told(state.commit, made.unwrap_or(SystemTime::UNIX_EPOCH));
        return Ok(Response::json(Status::OK, &[one]));
    }

    let search = search_for(request);
    let kept = api.store.folder_info(&path.repo.folder, search)?.kept;

    // A commit was made when the one before it was replaced.
    let members = state.manifest.members.iter();
    let modified = members.map(|member| member.modified).max();
    let oldest = modified.unwrap_or(SystemTime::UNIX_EPOCH);
    let all = std::iter::once(state.commit).chain(kept.iter().map(|kept| kept.revision));
    let made = kept.iter().map(|kept| kept.replaced).chain([oldest]);
    let all = all.zip(made).map(|(commit, made)| told(commit, made));

    let mut told: Vec<_> = all.collect();
    // Of an old revision, what was before it.
    let start = kept.iter().position(|kept| kept.revision == state.commit);
    if let Some(start) = start {
        told.drain(..=start);
    }
    Ok(Response::json(Status::OK, &told))
}

fn told(commit: Revision, made: SystemTime) -> HubCommitWire {
    HubCommitWire {
        id: commit.to_string(),
        title: "a change of the folder".to_owned(),
        message: String::new(),
        authors: vec![AuthorWire {
            user: "skep".to_owned(),
        }],
        date: hub_time(made),
    }
}
