// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What a repository has in the revision that a request names.

use std::sync::Arc;

use crate::error::ErrorKind;
use crate::http::Request;
use crate::model::Revision;
use crate::routes::api::Api;
use crate::routes::hub::hub_path::{HubPath, RepoName};
use crate::routes::hub::hub_refusals::{HubError, HubResult, Missing};
use crate::routes::models::search_for;
use crate::store::Manifest;

/// A repository in one revision.
pub(in crate::routes::hub) struct RepoState {
    pub(in crate::routes::hub) commit: Revision,
    pub(in crate::routes::hub) manifest: Arc<Manifest>,
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
        match path.revision {
            None => Self::present(api, &path.repo),
            Some(name) if is_main(name) => Self::present(api, &path.repo),
            Some(name) => Self::at(api, request, &path.repo, name),
        }
    }

    /// What it has now.
    pub(in crate::routes::hub) fn present(api: &Api, repo: &RepoName) -> HubResult<Self> {
        match api.store.present_manifest(&repo.folder)? {
            Some(manifest) => Ok(Self {
                commit: manifest.revision(),
                manifest,
            }),
            None => Err(no_repository(repo)),
        }
    }

    fn at(api: &Api, request: &mut Request<'_>, repo: &RepoName, name: &str) -> HubResult<Self> {
        let search = search_for(request);
        let asked = name.parse().ok();
        let found = asked.map(|commit| {
            let manifest = api.store.manifest_at(&repo.folder, commit, search);
            manifest.map(|manifest| Self { commit, manifest })
        });

        match found {
            Some(Ok(state)) => Ok(state),
            Some(Err(error)) if error.kind() != ErrorKind::RevisionGone => Err(error.into()),
            // A repository that is not here has no revisions either.
            _ => {
                Self::present(api, repo)?;
                let text = format!("{} has no revision '{name}'", repo.id);
                Err(HubError::Missing(Missing::Revision, text))
            }
        }
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

/// Whether the name of a revision means what the repository has now.
pub(in crate::routes::hub) fn is_main(name: &str) -> bool {
    matches!(name, "main" | "HEAD" | "refs/heads/main")
}
