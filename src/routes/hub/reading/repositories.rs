// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Repositories: which there are, and what is known of one.

use std::collections::BTreeSet;

use crate::clock;
use crate::error::Result;
use crate::http::{Request, Response, Status};
use crate::model::{Depth, ListRequest, NameFilter};
use crate::routes::api::Api;
use crate::routes::hub::hub_path::{HubPath, RepoKind, RepoName, is_reserved, kind_of};
use crate::routes::hub::hub_refusals::HubResult;
use crate::routes::hub::hub_wires::{
    LfsWire, RepoWire, SiblingWire, hub_time, next_page, object_id, pairs, switch,
};
use crate::routes::hub::mirroring::answered_or_mirrored;
use crate::routes::hub::reading::repository_state::RepoState;

/// `GET /hf/api/KIND/REPO` and `.../revision/REV`: the commit, and the names of all files.
pub(crate) fn show(api: &Api, request: &mut Request<'_>) -> Result<Response> {
    answered_or_mirrored(api, request, info)
}

fn info(api: &Api, request: &mut Request<'_>) -> HubResult<Response> {
    let path = HubPath::of(api, request)?;
    let state = RepoState::of(api, request, &path)?;
    let members = pairs(request.query().unwrap_or_default())?;
    let has_blobs = members
        .iter()
        .any(|(key, value)| key == "blobs" && switch(value));

    let members = state.manifest.members.iter();
    let siblings = members.clone().map(|member| SiblingWire {
        rfilename: state.path_of(member.name.as_str()).to_owned(),
        size: has_blobs.then_some(member.size),
        blob_id: has_blobs.then(|| object_id(member.digest)),
        lfs: has_blobs.then(|| LfsWire::of(member)),
    });
    let modified = members.map(|member| member.modified).max();

    let told = RepoWire {
        sha: Some(state.commit.to_string()),
        last_modified: modified.map(|modified| hub_time(modified.min(clock::now()))),
        siblings: Some(siblings.collect()),
        used_storage: Some(state.manifest.size()),
        ..RepoWire::of(&path.repo)
    };
    let response = Response::json(Status::OK, &told);
    Ok(response.field("x-repo-commit", state.commit.to_string()))
}

/// `GET /hf/api/KIND/REPO/auth-check`: 200 for whoever may read it.
pub(crate) fn check_right(api: &Api, request: &mut Request<'_>) -> Result<Response> {
    answered_or_mirrored(api, request, checked)
}

fn checked(api: &Api, request: &mut Request<'_>) -> HubResult<Response> {
    let path = HubPath::of(api, request)?;
    RepoState::present(api, &path.repo)?;
    Ok(Response::json(Status::OK, &serde_json::json!({})))
}

impl RepoWire {
    fn of(repo: &RepoName) -> Self {
        Self {
            id: repo.id.clone(),
            model_id: repo.id.clone(),
            author: repo.author().map(str::to_owned),
            sha: None,
            last_modified: None,
            private: false,
            gated: false,
            disabled: false,
            downloads: 0,
            likes: 0,
            tags: Vec::new(),
            siblings: None,
            used_storage: None,
        }
    }
}

/// `GET /hf/api/KIND?search=TEXT&author=NS&limit=N`: repositories by their names, a page at a time.
pub(crate) fn list(api: &Api, request: &mut Request<'_>) -> Result<Response> {
    let mut wanted = RepoFilter::default();
    for (key, value) in pairs(request.query().unwrap_or_default())? {
        match &*key {
            "search" => wanted.search = value.to_lowercase(),
            "author" => wanted.author = Some(value.into_owned()),
            "cursor" => wanted.after = value.into_owned(),
            "limit" => wanted.limit = value.parse().unwrap_or(PAGE_REPOSITORIES),
            // No repository here has tags.
            "filter" => wanted.limit = 0,
            _ => {}
        }
    }

    let kind = kind_of(request);
    let limit = wanted.limit.min(PAGE_REPOSITORIES);
    let mut found = repositories(api, kind, &wanted, limit + 1)?;
    let is_more = found.len() > limit;
    found.truncate(limit);

    let told: Vec<_> = found.iter().map(RepoWire::of).collect();
    let response = Response::json(Status::OK, &told).field("cache-control", "no-cache");
    Ok(match found.last().filter(|_| is_more) {
        // A limit that was asked for is one for all pages, so only a page that is full by itself goes on.
        Some(last) if wanted.limit > PAGE_REPOSITORIES => {
            response.field("link", next_page(api, request, &place(last)))
        }
        _ => response,
    })
}

struct RepoFilter {
    /// In lower case.
    search: String,
    author: Option<String>,
    /// Their places are behind this one.
    after: String,
    limit: usize,
}

impl Default for RepoFilter {
    fn default() -> Self {
        Self {
            search: String::new(),
            author: None,
            after: String::new(),
            limit: usize::MAX,
        }
    }
}

impl RepoFilter {
    fn takes(&self, repo: &RepoName) -> bool {
        let is_by = |author: &String| repo.author() == Some(author);
        place(repo) > self.after
            && repo.id.to_lowercase().contains(&self.search)
            && self.author.as_ref().is_none_or(is_by)
    }
}

/// So many repositories of a kind. A folder that has files is one, and otherwise each folder in it.
fn repositories(
    api: &Api,
    kind: RepoKind,
    wanted: &RepoFilter,
    most: usize,
) -> Result<Vec<RepoName>> {
    let mut found = Vec::new();
    let is_reserved = |name: &str| kind == RepoKind::Models && is_reserved(name);

    let (_, tops) = level(api, kind.prefix())?;
    for top in tops {
        let name = top[kind.prefix().len()..].trim_end_matches('/');
        if is_reserved(name) {
            continue;
        }
        let (has_files, inner) = level(api, &top)?;
        let names = if has_files { vec![top] } else { inner };
        for name in names {
            let id = name[kind.prefix().len()..].trim_end_matches('/');
            let Ok(repo) = RepoName::new(api, kind, &id.split('/').collect::<Vec<_>>()) else {
                continue;
            };
            if wanted.takes(&repo) {
                found.push(repo);
            }
        }
        if found.len() >= most {
            break;
        }
    }

    // Those without files are marked.
    let known: BTreeSet<_> = found.iter().map(place).collect();
    for marked in api.store.repositories()? {
        let Some(id) = marked.as_str().strip_prefix(kind.prefix()) else {
            continue;
        };
        let segments: Vec<_> = id.split('/').collect();
        if segments.len() > 2 || is_reserved(segments[0]) {
            continue;
        }
        let repo = RepoName::new(api, kind, &segments)?;
        if wanted.takes(&repo) && !known.contains(&place(&repo)) {
            found.push(repo);
        }
    }
    found.sort_by_key(place);
    Ok(found)
}

/// By which repositories are sorted: folders come in this order.
fn place(repo: &RepoName) -> String {
    format!("{}/", repo.id)
}

/// Whether there are files directly in a folder, and the folders in it, with a slash at their ends.
fn level(api: &Api, prefix: &str) -> Result<(bool, Vec<String>)> {
    let filter = NameFilter {
        prefix: prefix.to_owned(),
        depth: Depth::Folders,
        ..NameFilter::default()
    };
    let mut listing = api.store.listing(ListRequest {
        filter,
        ..ListRequest::default()
    })?;
    let has_files = listing.next().is_some();
    let folders = std::iter::from_fn(|| listing.next_folder());
    Ok((has_files, folders.map(|(name, _)| name).collect()))
}

/// Repositories of a page.
const PAGE_REPOSITORIES: usize = 1000;
