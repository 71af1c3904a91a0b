// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Uploads of the clients of the hub: which way each file is to take, and the commit that has all of them.

use serde::Deserialize;
use serde_json::json;

use crate::access::Right;
use crate::digest::Digest;
use crate::error::{Error, ErrorKind, Result};
use crate::http::{Request, Response, Status};
use crate::model::{ModelName, Revision};
use crate::routes::api::Api;
use crate::routes::hub::changing::commit_lines::{CommitLine, CommitLines};
use crate::routes::hub::changing::references::branch_of;
use crate::routes::hub::hub_path::{HubPath, RepoName};
use crate::routes::hub::hub_refusals::{HubError, HubResult, Missing, answered};
use crate::routes::hub::hub_wires::read_json;
use crate::routes::models::{metadata, principal, principal_line};
use crate::store::{ChangeId, ChangeRequest, Condition, Manifest, Metadata, Others, ReferenceName};
use crate::text::quotable;

#[derive(Deserialize)]
struct PreuploadWire {
    files: Vec<PreuploadFile>,
}

/// What else is said of a file is not trusted and not read. The size only chooses a way, and each way has its bounds.
#[derive(Deserialize)]
struct PreuploadFile {
    path: String,
    #[serde(default)]
    size: u64,
}

/// `POST /hf/api/KIND/REPO/preupload/REV`: small files come within the commit, and larger ones before it, by Git LFS or
/// by xet, as the client likes.
pub(crate) fn preupload(api: &Api, request: &mut Request<'_>) -> Result<Response> {
    answered(ways(api, request))
}

fn ways(api: &Api, request: &mut Request<'_>) -> HubResult<Response> {
    let path = HubPath::of(api, request)?;
    branch_of(api, request, &path)?;
    let asked: PreuploadWire = read_json(request)?;

    let mut files = Vec::new();
    for file in asked.files {
        // Better now than after all bytes have come.
        path.repo.file(api, file.path.split('/'))?;
        let is_early = file.size > REGULAR_BYTES_MAX || is_early_by_name(&file.path);
        let mode = if is_early && file.size > 0 {
            "lfs"
        } else {
            "regular"
        };
        files.push(json!({
            "path": file.path,
            "uploadMode": mode,
            "shouldIgnore": false,
            "oid": null,
        }));
    }
    Ok(Response::json(Status::OK, &json!({ "files": files })))
}

/// Whether programs rely on it that such a file goes before the commit, however small it is.
fn is_early_by_name(path: &str) -> bool {
    let ending = path.rsplit_once('.').map_or("", |(_, ending)| ending);
    EARLY_ENDINGS.contains(&ending)
}

/// `POST /hf/api/KIND/REPO/commit/REV`: all changes of its lines in one step.
pub(crate) fn commit(api: &Api, request: &mut Request<'_>) -> Result<Response> {
    answered(committed(api, request))
}

fn committed(api: &Api, request: &mut Request<'_>) -> HubResult<Response> {
    let path = HubPath::of(api, request)?;
    let branch = branch_of(api, request, &path)?;
    if request.query().is_some_and(|query| !query.is_empty()) {
        let text = "there are no pull requests here";
        return Err(Error::new(ErrorKind::BadRequest, text)
            .hint("commit to a branch")
            .into());
    }
    let repo = &path.repo;

    let caller = principal(request);
    let metadata = metadata(request, caller.as_ref())?;
    let may_read = caller
        .as_ref()
        .is_some_and(|caller| caller.rights.has(Right::Read));
    let sender = principal_line(request);
    let (reference, present) = match branch {
        Some((name, state)) => (Some(name), Some(state.manifest)),
        None => (None, api.store.present_manifest(&repo.folder)?),
    };
    let limits = api.limits.now();
    // Each file is bounded, and all of them together by the bounds of change sets.
    request.body().limit(u64::MAX)?;

    let id = api.store.begin_change(ChangeRequest {
        root: Some(repo.folder.clone()),
        principal: sender.clone(),
    })?;
    let _held = api.store.hold_change(id)?;

    let mut filling = FilledCommit {
        api,
        repo,
        id,
        metadata,
        reference: reference.as_ref(),
        present: present.as_deref(),
        may_read,
        sender: sender.as_deref(),
        parent: None,
        changes: 0,
    };
    let mut lines = CommitLines::new(
        request.body(),
        &api.store,
        limits.json_bytes_max as u64,
        limits.upload_bytes_max,
    );
    let done = filling.read(&mut lines).and_then(|()| filling.commit());
    let commit = match done {
        Ok(Some(commit)) => commit,
        Ok(None) => {
            api.store.abandon_change(id)?;
            revision_of(present.as_deref())
        }
        Err(error) => {
            // One that was decided and is not done yet stays, and the store goes on with it.
            let _ = api.store.abandon_change(id);
            return Err(error);
        }
    };

    let url = format!("{}/commit/{commit}", repo_url(api, request, repo));
    let told = json!({
        "success": true,
        "commitOid": commit.to_string(),
        "commitUrl": url,
        "hookOutput": "",
    });
    Ok(Response::json(Status::OK, &told))
}

/// A change set that the lines of a commit fill.
struct FilledCommit<'a> {
    api: &'a Api,
    repo: &'a RepoName,
    id: ChangeId,
    metadata: Metadata,
    /// The branch that it goes to; `None` for `main`.
    reference: Option<&'a ReferenceName>,
    /// What the branch has before.
    present: Option<&'a Manifest>,
    may_read: bool,
    /// Who sends it, as its objects have it.
    sender: Option<&'a str>,
    /// The commit that it is made for.
    parent: Option<Revision>,
    changes: usize,
}

impl FilledCommit<'_> {
    fn read<R: std::io::Read>(&mut self, lines: &mut CommitLines<'_, R>) -> HubResult<()> {
        let store = &self.api.store;
        while let Some(line) = lines.next()? {
            match line {
                CommitLine::Header { parent } => {
                    self.parent = parent.map(|parent| parent.parse()).transpose()?;
                    continue;
                }
                CommitLine::File { path, mut content } => {
                    let name = self.name(&path)?;
                    content.describe(self.metadata.clone());
                    content.end(&name, None, &Condition::Any, Some(self.id))?;
                }
                CommitLine::Known { path, oid } => self.take_known(&path, &oid)?,
                CommitLine::DeletedFile(path) => {
                    let name = self.name(&path)?;
                    if self
                        .present
                        .is_none_or(|present| present.find(&name).is_none())
                    {
                        return Err(self.missing(&path));
                    }
                    store.stage_removal(self.id, &name)?;
                }
                CommitLine::DeletedFolder(path) => self.remove_folder(&path)?,
            }
            self.changes += 1;
        }
        Ok(())
    }

    fn name(&self, path: &str) -> Result<ModelName> {
        self.repo.file(self.api, path.split('/'))
    }

    fn take_known(&self, path: &str, oid: &str) -> HubResult<()> {
        let name = self.name(path)?;
        let digest: Digest = oid.parse()?;
        // Whoever names bytes could otherwise read what it may not. What it has sent itself, it knows.
        let store = &self.api.store;
        let is_own = self.sender.is_some() && store.object_size(digest, self.sender).is_some();
        if !self.may_read && !is_own {
            let text = "naming bytes that are here needs the right 'read'";
            return Err(Error::new(ErrorKind::Forbidden, text).into());
        }
        let taken = self
            .api
            .store
            .stage_known(self.id, &name, digest, self.metadata.clone(), None);
        match taken {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let text = format!("the bytes of '{path}', sha256:{digest}, were not sent");
                Err(Error::new(ErrorKind::BadRequest, text).into())
            }
            taken => Ok(taken.map(drop)?),
        }
    }

    fn remove_folder(&self, path: &str) -> HubResult<()> {
        let folder = self.name(path.trim_end_matches('/'))?;
        let members = self.present.map_or(&[][..], |present| &present.members);
        let mut below = members
            .iter()
            .filter(|member| member.name.is_below(&folder))
            .peekable();
        if below.peek().is_none() {
            return Err(self.missing(path));
        }
        for member in below {
            self.api.store.stage_removal(self.id, &member.name)?;
        }
        Ok(())
    }

    fn missing(&self, path: &str) -> HubError {
        let commit = revision_of(self.present);
        let text = format!("{} has no '{}'", self.repo.id, quotable(path));
        HubError::Missing(Missing::Entry(commit), text)
    }

    /// What the repository is then; `None` if there was nothing to do.
    fn commit(&self) -> HubResult<Option<Revision>> {
        if self.changes == 0 {
            return Ok(None);
        }
        let store = &self.api.store;
        if let Some(name) = self.reference {
            let folder = &self.repo.folder;
            let commit = store.commit_to_reference(self.id, folder, name, self.parent)?;
            return Ok(Some(commit));
        }

        let outcome = store.commit_change(self.id, Others::Keep, self.parent)?;
        if outcome.revision.is_some() {
            return Ok(outcome.revision);
        }
        // It is made, and hands have put something there whose digest is not known.
        let present = store.present_manifest(&self.repo.folder)?;
        Ok(Some(revision_of(present.as_deref())))
    }
}

/// The commit of a repository that has this, or nothing.
fn revision_of(manifest: Option<&Manifest>) -> Revision {
    manifest.map_or_else(Revision::empty, Manifest::revision)
}

/// A link to a repository that every client can read again.
pub(in crate::routes::hub) fn repo_url(
    api: &Api,
    request: &Request<'_>,
    repo: &RepoName,
) -> String {
    let kind = repo.kind.word();
    format!("{}/hf/{kind}/{}", api.base_url(request), repo.id)
}

/// Within a commit, clients need four times the size of a file in memory; by other ways, each file costs requests.
const REGULAR_BYTES_MAX: u64 = 4 << 20;

/// What repositories of the hub have in Git LFS from their beginning. Programs send such files ahead of the commit and
/// remove their own ones, before the commit would read them.
const EARLY_ENDINGS: [&str; 31] = [
    "7z",
    "arrow",
    "bin",
    "bz2",
    "ckpt",
    "ftz",
    "gz",
    "h5",
    "joblib",
    "mlmodel",
    "model",
    "msgpack",
    "npy",
    "npz",
    "onnx",
    "ot",
    "parquet",
    "pb",
    "pickle",
    "pkl",
    "pt",
    "pth",
    "rar",
    "safetensors",
    "tar",
    "tflite",
    "tgz",
    "wasm",
    "xz",
    "zip",
    "zst",
];
