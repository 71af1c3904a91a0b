// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What a repository has in the revision that a request names.

use std::sync::Arc;

use crate::error::ErrorKind;
use crate::http::Request;
use crate::model::Revision;
use crate::routes::api::Api;
use crate::routes::hub::hub_path::{HubPath, RepoName, is_main, short};
use crate::routes::hub::hub_refusals::{HubError, HubResult, Missing};
use crate::routes::models::search_for;
use crate::store::{Manifest, ReferenceName};

/// A repository in one revision.
pub(in crate::routes::hub) struct RepoState {
    pub(in crate::routes::hub) commit: Revision,
    pub(in crate::routes::hub) manifest: Arc<Manifest>,
    /// The branch or the tag that was asked for; `None` for what the folder has or had.
    pub(in crate::routes::hub) reference: Option<ReferenceName>,
}

impl RepoState {
    /// That which the path of a request means.
    ///
    /// # Errors
    /// `Missing` for a repository or a revision that is not here, `Busy` while digests of it are not known; otherwise
    /// those of the file system.
    pub(in crate::routes::hub) fn of(
        api: &Api,
        request: &mut Request<'_>,
        path: &HubPath<'_>,
    ) -> HubResult<Self> {
        match path.revision() {
            None => Self::present(api, &path.repo),
            Some(name) if is_main(name) => Self::present(api, &path.repo),
            Some(name) => Self::at(api, request, &path.repo, name),
        }
    }

    /// That which a name means that a body has.
    ///
    /// # Errors
    /// As [`RepoState::of`].
    pub(in crate::routes::hub) fn named(
        api: &Api,
        request: &mut Request<'_>,
        repo: &RepoName,
        name: &str,
    ) -> HubResult<Self> {
        if is_main(name) {
            Self::present(api, repo)
        } else {
            Self::at(api, request, repo, name)
        }
    }

    /// What it has now, which may be nothing.
    pub(in crate::routes::hub) fn present(api: &Api, repo: &RepoName) -> HubResult<Self> {
        match api.store.present_manifest(&repo.folder)? {
            Some(manifest) => Ok(Self::new(manifest, None)),
            None if api.store.is_repository(&repo.folder)? => {
                let nothing = Manifest {
                    root: repo.folder.clone(),
                    members: Vec::new(),
                };
                Ok(Self::new(Arc::new(nothing), None))
            }
            None => Err(no_repository(repo)),
        }
    }

    fn new(manifest: Arc<Manifest>, reference: Option<ReferenceName>) -> Self {
        Self {
            commit: manifest.revision(),
            manifest,
            reference,
        }
    }

    fn at(api: &Api, request: &mut Request<'_>, repo: &RepoName, name: &str) -> HubResult<Self> {
        let found = match name.parse() {
            Ok(commit) => Self::at_commit(api, request, repo, commit)?,
            Err(_) => {
                let found = api.store.find_reference(&repo.folder, short(name))?;
                found.map(|(reference, manifest)| Self::new(manifest, Some(reference)))
            }
        };
        if let Some(state) = found {
            return Ok(state);
        }

        // A repository that is not here has no revisions either.
        Self::present(api, repo)?;
        let text = format!("{} has no revision '{name}'", repo.id);
        Err(HubError::Missing(Missing::Revision, text))
    }

    fn at_commit(
        api: &Api,
        request: &mut Request<'_>,
        repo: &RepoName,
        commit: Revision,
    ) -> HubResult<Option<Self>> {
        let search = search_for(request);
        let manifest = match api.store.manifest_at(&repo.folder, commit, search) {
            Err(error) if error.kind() == ErrorKind::RevisionGone => {
                api.store.reference_at(&repo.folder, commit)?
            }
            manifest => Some(manifest?),
        };
        if manifest.is_none() && commit == Revision::empty() {
            let state = Self::present(api, repo).ok();
            return Ok(state.filter(|state| state.commit == commit));
        }
        Ok(manifest.map(|manifest| Self::new(manifest, None)))
    }

    /// The paths of its files, below its folder.
    pub(in crate::routes::hub) fn path_of<'a>(&self, name: &'a str) -> &'a str {
        name.get(self.manifest.root.as_str().len() + 1..)
            .unwrap_or_default()
    }
}

pub(in crate::routes::hub) fn no_repository(repo: &RepoName) -> HubError {
    let text = format!("there is no repository '{}' here", repo.id);
    HubError::Missing(Missing::Repository, text)
}
