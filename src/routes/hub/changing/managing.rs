// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Repositories that are made, moved and removed.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::error::{Error, ErrorKind, Result};
use crate::http::{Request, Response, Status};
use crate::routes::api::Api;
use crate::routes::hub::changing::hub_commit::repo_url;
use crate::routes::hub::hub_path::{HubPath, RepoKind, RepoName};
use crate::routes::hub::hub_refusals::{HubResult, answered};
use crate::routes::hub::hub_wires::read_json;
use crate::routes::hub::reading::repository_state::{RepoState, no_repository};
use crate::routes::models::{principal, principal_line};
use crate::store::{ChangeRequest, ExpectedState, MoveRequest, Others};

#[derive(Deserialize)]
struct NamedWire {
    name: String,
    #[serde(default)]
    organization: Option<String>,
    #[serde(default, rename = "type")]
    kind: Option<String>,
    #[serde(default)]
    private: Option<Value>,
    #[serde(default)]
    visibility: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct MovedRepoWire {
    from_repo: String,
    to_repo: String,
    #[serde(default, rename = "type")]
    kind: Option<String>,
}

impl NamedWire {
    /// The repository. Without a namespace, it is in that of the caller.
    fn repo(&self, api: &Api, request: &mut Request<'_>) -> Result<RepoName> {
        let kind = kind_named(self.kind.as_deref())?;
        let id = match &self.organization {
            Some(organization) => format!("{organization}/{}", self.name),
            None if self.name.contains('/') => self.name.clone(),
            None => {
                let own = principal(request).map_or_else(String::new, |caller| caller.name);
                format!("{own}/{}", self.name)
            }
        };
        named(api, kind, &id)
    }

    fn wants_privacy(&self) -> bool {
        self.private == Some(Value::Bool(true)) || self.visibility.as_deref() == Some("private")
    }
}

/// `POST /hf/api/repos/create`: a folder comes with its first file, and a mark says that there is a repository before.
pub(crate) fn create(api: &Api, request: &mut Request<'_>) -> Result<Response> {
    let asked: NamedWire = read_json(request)?;
    let repo = asked.repo(api, request)?;
    let is_there = is_found(api, &repo)?;
    if !is_there {
        api.store.mark_repository(&repo.folder)?;
    }

    let url = repo_url(api, request, &repo);
    let response = if is_there {
        let told = json!({"error": "there is such a repository already", "url": url});
        Response::json(Status(409), &told)
    } else {
        Response::json(
            Status::OK,
            &json!({"url": url, "name": repo.id, "id": repo.id}),
        )
    };
    Ok(if asked.wants_privacy() {
        response.field("x-hf-warning", NOT_PRIVATE)
    } else {
        response
    })
}

/// Whether clients find it. One of which old versions are kept only can be made again.
fn is_found(api: &Api, repo: &RepoName) -> Result<bool> {
    match api.store.present_manifest(&repo.folder) {
        Ok(None) => api.store.is_repository(&repo.folder),
        Ok(Some(_)) => Ok(true),
        // There are files, whose digests are not known yet.
        Err(error) if error.kind() == ErrorKind::Busy => Ok(true),
        Err(error) => Err(error),
    }
}

/// `DELETE /hf/api/repos/delete`: all files go in one step; `skep rollback` brings them back where versions are kept.
pub(crate) fn delete(api: &Api, request: &mut Request<'_>) -> Result<Response> {
    answered(deleted(api, request))
}

fn deleted(api: &Api, request: &mut Request<'_>) -> HubResult<Response> {
    let asked: NamedWire = read_json(request)?;
    let repo = asked.repo(api, request)?;
    if api.store.present_manifest(&repo.folder)?.is_none() {
        if !api.store.is_repository(&repo.folder)? {
            return Err(no_repository(&repo));
        }
        api.store.forget_repository(&repo.folder)?;
        return Ok(Response::json(Status::OK, &json!({})));
    }

    let id = api.store.begin_change(ChangeRequest {
        root: Some(repo.folder.clone()),
        principal: principal_line(request),
    })?;
    if let Err(error) = api.store.commit_change(id, Others::Remove, None) {
        let _ = api.store.abandon_change(id);
        return Err(error.into());
    }
    api.store.forget_repository(&repo.folder)?;
    Ok(Response::json(Status::OK, &json!({})))
}

/// `POST /hf/api/repos/move`: another name for the folder, with all that is kept of it.
pub(crate) fn rename(api: &Api, request: &mut Request<'_>) -> Result<Response> {
    answered(moved(api, request))
}

fn moved(api: &Api, request: &mut Request<'_>) -> HubResult<Response> {
    let asked: MovedRepoWire = read_json(request)?;
    let kind = kind_named(asked.kind.as_deref())?;
    let from = named(api, kind, &asked.from_repo)?;
    let to = named(api, kind, &asked.to_repo)?;
    let state = RepoState::present(api, &from)?;
    if api.store.is_repository(&to.folder)? {
        let text = format!("there is a repository '{}' already", to.id);
        let hint = "choose another name, or delete that repository first";
        return Err(Error::new(ErrorKind::Conflict, text).hint(hint).into());
    }
    if state.manifest.members.is_empty() {
        api.store.move_repository(&from.folder, &to.folder)?;
    } else {
        api.store.move_model(&MoveRequest {
            from: from.folder,
            to: to.folder.clone(),
            is_folder: true,
            expected: ExpectedState::Any,
        })?;
    }
    let url = repo_url(api, request, &to);
    Ok(Response::json(Status::OK, &json!({ "url": url })))
}

/// `PUT /hf/api/KIND/REPO/settings`: nothing of it is kept, and what would promise privacy says so.
pub(crate) fn settings(api: &Api, request: &mut Request<'_>) -> Result<Response> {
    answered(set(api, request))
}

fn set(api: &Api, request: &mut Request<'_>) -> HubResult<Response> {
    let path = HubPath::of(api, request)?;
    RepoState::present(api, &path.repo)?;
    let asked: Value = read_json(request)?;

    let is_no = |value: &Value| matches!(value, Value::Null | Value::Bool(false));
    if !is_no(&asked["gated"]) {
        let text = "repositories are not gated here: who may read is a matter of tokens";
        return Err(Error::new(ErrorKind::BadRequest, text).into());
    }
    let response = Response::json(Status::OK, &json!({}));
    let is_private = !is_no(&asked["private"]) || asked["visibility"] == "private";
    Ok(if is_private {
        response.field("x-hf-warning", NOT_PRIVATE)
    } else {
        response
    })
}

fn kind_named(word: Option<&str>) -> Result<RepoKind> {
    match word {
        None | Some("model") => Ok(RepoKind::Models),
        Some("dataset") => Ok(RepoKind::Datasets),
        Some("space") => Ok(RepoKind::Spaces),
        Some(_) => {
            let text = "a repository is a model, a dataset or a space";
            Err(Error::new(ErrorKind::BadRequest, text))
        }
    }
}

fn named(api: &Api, kind: RepoKind, id: &str) -> Result<RepoName> {
    let segments: Vec<_> = id.split('/').collect();
    if segments.len() > 2 {
        let text = "the name of a repository is NAMESPACE/NAME";
        return Err(Error::new(ErrorKind::BadRequest, text));
    }
    RepoName::new(api, kind, &segments)
}

/// What newer clients show to people, once.
const NOT_PRIVATE: &str = "visibility; whoever may read on this server may read this repository";
