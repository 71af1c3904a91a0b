// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The files of a repository, as the clients of the hub list them.

use serde_json::Value;

use crate::digest::Digest;
use crate::error::{Error, ErrorKind, Result};
use crate::http::{Request, Response, Status};
use crate::routes::api::Api;
use crate::routes::hub::hub_path::HubPath;
use crate::routes::hub::hub_refusals::{HubError, HubResult, Missing};
use crate::routes::hub::hub_wires::{EntryWire, LfsWire, next_page, object_id, pairs, switch};
use crate::routes::hub::mirroring::answered_or_mirrored;
use crate::routes::hub::reading::repository_state::RepoState;
use crate::store::FolderMember;

/// `GET /hf/api/KIND/REPO/tree/REV/FOLDER?recursive=true`: files and folders, a page at a time.
pub(crate) fn tree(api: &Api, request: &mut Request<'_>) -> Result<Response> {
    answered_or_mirrored(api, request, page)
}

fn page(api: &Api, request: &mut Request<'_>) -> HubResult<Response> {
    let path = HubPath::of(api, request)?;
    let state = RepoState::of(api, request, &path)?;
    let (mut is_recursive, mut after) = (false, String::new());
    for (key, value) in pairs(request.query().unwrap_or_default())? {
        match &*key {
            "recursive" => is_recursive = switch(&value),
            "cursor" => after = value.into_owned(),
            _ => {}
        }
    }

    let folder = path.rest.join("/");
    let base = if folder.is_empty() {
        String::new()
    } else {
        format!("{folder}/")
    };
    let members = &state.manifest.members;
    let mut below = members
        .iter()
        .map(|member| (state.path_of(member.name.as_str()), member))
        .filter(|(path, _)| path.starts_with(&base))
        .peekable();
    if below.peek().is_none() && !folder.is_empty() {
        let text = format!("{} has no folder '{folder}'", path.repo.id);
        return Err(HubError::Missing(Missing::Entry(state.commit), text));
    }

    let mut page = TreePage {
        after,
        entries: Vec::new(),
        last: String::new(),
        is_full: false,
    };
    let mut before = "";
    for (path, member) in below {
        // Each folder comes before the first file that is in it.
        let inner = &path[base.len()..];
        for (place, _) in inner.match_indices('/') {
            let folder = &path[..=base.len() + place];
            if !before.starts_with(folder) {
                page.add(folder, || EntryWire::folder(folder));
            }
            if !is_recursive {
                break;
            }
        }
        if is_recursive || !inner.contains('/') {
            page.add(path, || file(path, member));
        }
        if page.is_full {
            break;
        }
        before = path;
    }

    let response = Response::json(Status::OK, &page.entries);
    let response = response.field("x-repo-commit", state.commit.to_string());
    Ok(if page.is_full {
        response.field("link", next_page(api, request, &page.last))
    } else {
        response
    })
}

/// Entries of a tree behind a place in it. The place of a file is its path, and that of a folder ends with a slash:
/// in the order of their bytes, a folder comes right before what is in it.
struct TreePage {
    after: String,
    entries: Vec<EntryWire>,
    /// The place of the last one.
    last: String,
    /// There are more.
    is_full: bool,
}

impl TreePage {
    fn add(&mut self, place: &str, entry: impl FnOnce() -> EntryWire) {
        if place <= self.after.as_str() || self.is_full {
            return;
        }
        if self.entries.len() == PAGE_ENTRIES {
            self.is_full = true;
            return;
        }
        self.entries.push(entry());
        place.clone_into(&mut self.last);
    }
}

/// `POST /hf/api/KIND/REPO/paths-info/REV`: what is at some paths, which stand in a form or in JSON.
pub(crate) fn paths_info(api: &Api, request: &mut Request<'_>) -> Result<Response> {
    answered_or_mirrored(api, request, entries_at)
}

fn entries_at(api: &Api, request: &mut Request<'_>) -> HubResult<Response> {
    let path = HubPath::of(api, request)?;
    // The body is for whoever has the repository.
    let state = RepoState::of(api, request, &path)?;
    let paths = asked_paths(request)?;

    let members = &state.manifest.members;
    let at = |place: &str| {
        let start = members.partition_point(|member| state.path_of(member.name.as_str()) < place);
        let member = members.get(start)?;
        Some((state.path_of(member.name.as_str()), member))
    };

    let mut entries = Vec::new();
    for path in paths {
        let path = path.trim_end_matches('/');
        let folder = format!("{path}/");
        match (at(path), at(&folder)) {
            (Some((found, member)), _) if found == path => entries.push(file(path, member)),
            (_, Some((found, _))) if found.starts_with(&folder) => {
                entries.push(EntryWire::folder(&folder));
            }
            _ => {}
        }
    }
    Ok(Response::json(Status::OK, &entries))
}

/// The paths in a body.
fn asked_paths(request: &mut Request<'_>) -> Result<Vec<String>> {
    let form = request.fields().value("content-type").unwrap_or_default();
    let is_json = form.starts_with("application/json");
    let body = request.body().read_all(PATHS_BYTES_MAX)?;
    let text = String::from_utf8(body).map_err(|_| unreadable())?;

    let paths: Vec<String> = if is_json {
        let value: Value = serde_json::from_str(&text).map_err(|_| unreadable())?;
        let paths = match &value["paths"] {
            Value::Array(paths) => paths
                .iter()
                .map(|path| path.as_str().map(str::to_owned))
                .collect(),
            Value::String(path) => Some(vec![path.clone()]),
            _ => None,
        };
        paths.ok_or_else(unreadable)?
    } else {
        let pairs = pairs(&text)?.into_iter();
        pairs
            .filter(|(key, _)| key == "paths")
            .map(|(_, value)| value.into_owned())
            .collect()
    };
    if paths.len() > PATHS_MAX {
        let text = format!("more than {PATHS_MAX} paths in one request");
        return Err(Error::new(ErrorKind::TooLarge, text).hint("ask for fewer at a time"));
    }
    Ok(paths)
}

fn unreadable() -> Error {
    let text = "the body names no paths";
    Error::new(ErrorKind::BadRequest, text)
        .hint("send a form, or JSON such as {\"paths\": [\"a\"]}")
}

fn file(path: &str, member: &FolderMember) -> EntryWire {
    EntryWire {
        kind: "file",
        path: path.to_owned(),
        oid: object_id(member.digest),
        size: member.size,
        lfs: Some(LfsWire::of(member)),
    }
}

impl EntryWire {
    /// That of a path with a slash at its end.
    fn folder(path: &str) -> Self {
        let path = path.trim_end_matches('/');
        Self {
            kind: "directory",
            path: path.to_owned(),
            oid: object_id(Digest::of(path.as_bytes())),
            size: 0,
            lfs: None,
        }
    }
}

/// Entries of a page.
const PAGE_ENTRIES: usize = 1000;

/// What one answer tells of.
const PATHS_MAX: usize = 10_000;

/// As many paths as may be asked for.
const PATHS_BYTES_MAX: usize = 1 << 20;
