// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Which repository, revision and file the path of a request means.

use std::borrow::Cow;

use crate::error::{Error, ErrorKind, Result};
use crate::http::Request;
use crate::model::{ModelName, Revision};
use crate::routes::api::Api;

/// What kind of repository it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RepoKind {
    Models,
    Datasets,
    Spaces,
}

impl RepoKind {
    /// That of a segment of a path.
    pub(super) fn of(word: &str) -> Option<Self> {
        match word {
            "models" => Some(Self::Models),
            "datasets" => Some(Self::Datasets),
            "spaces" => Some(Self::Spaces),
            _ => None,
        }
    }

    /// As paths have it.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Models => "models",
            Self::Datasets => "datasets",
            Self::Spaces => "spaces",
        }
    }

    /// What stands before the name of a repository in that of its folder.
    pub(super) fn prefix(self) -> &'static str {
        match self {
            Self::Models => "",
            Self::Datasets => "datasets/",
            Self::Spaces => "spaces/",
        }
    }
}

/// A repository, by its kind and its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RepoName {
    pub(super) kind: RepoKind,
    /// `NS/REPO`, or `REPO`.
    pub(super) id: String,
    /// The folder of its files.
    pub(super) folder: ModelName,
}

impl RepoName {
    /// # Errors
    /// `BadRequest` for what no folder may be called, `NotFound` for names that mean other things here.
    pub(super) fn new(api: &Api, kind: RepoKind, segments: &[&str]) -> Result<Self> {
        let first = segments.first().copied().unwrap_or_default();
        if kind == RepoKind::Models && is_reserved(first) {
            let text = format!("no repository of models is called '{first}'");
            return Err(Error::new(ErrorKind::NotFound, text));
        }

        let prefix = kind.prefix().trim_end_matches('/');
        let prefix = (!prefix.is_empty()).then_some(prefix);
        let whole: Vec<_> = prefix.into_iter().chain(segments.iter().copied()).collect();
        let folder = api.store.spelled(&ModelName::from_segments(&whole)?);
        let id = folder.as_str()[kind.prefix().len()..].to_owned();
        Ok(Self { kind, id, folder })
    }

    /// The model of a path in it.
    ///
    /// # Errors
    /// `BadRequest` for what no model may be called.
    pub(super) fn file<'a>(
        &'a self,
        api: &Api,
        path: impl Iterator<Item = &'a str>,
    ) -> Result<ModelName> {
        let segments: Vec<_> = self.folder.segments().chain(path).collect();
        Ok(api.store.spelled(&ModelName::from_segments(&segments)?))
    }

    /// The namespace, if it has one.
    pub(super) fn author(&self) -> Option<&str> {
        self.id.split_once('/').map(|(author, _)| author)
    }
}

/// Whether a segment means something else in front of the name of a repository.
pub(super) fn is_reserved(first: &str) -> bool {
    first == "api" || RepoKind::of(first).is_some()
}

/// The path of a request to the hub.
#[derive(Debug)]
pub(super) struct HubPath<'a> {
    pub(super) repo: RepoName,
    /// The branch, the tag or the commit; `None` means the branch `main`.
    revision: Option<Cow<'a, str>>,
    /// The segments behind it.
    pub(super) rest: Vec<&'a str>,
}

impl<'a> HubPath<'a> {
    /// Reads the path of a request by the row that it was found to fit.
    ///
    /// # Errors
    /// As [`RepoName::new`].
    pub(super) fn of(api: &Api, request: &Request<'a>) -> Result<Self> {
        let route = api.route_of(request);
        let segments = request.segments();
        let found = route.and_then(|route| Some((route, route.repo_segments(segments)?)));
        let Some((route, repo_length)) = found else {
            return Err(Error::new(ErrorKind::NotFound, "this path does not exist"));
        };

        let (mut kind, mut repo, mut revision, mut place) = (RepoKind::Models, None, None, 0);
        let mut rest = Vec::new();
        for part in route.path {
            match *part {
                "{kind}" => kind = RepoKind::of(segments[place]).unwrap_or(kind),
                "{repo}" => {
                    repo = Some(&segments[place..place + repo_length]);
                    place += repo_length - 1;
                }
                "{rev}" => revision = Some(segments[place]),
                "**" => rest = segments[place..].to_vec(),
                _ => {}
            }
            place += 1;
        }

        // A slash at the end of a path says nothing.
        if rest.last() == Some(&"") {
            rest.pop();
        }
        let mut repo = repo.unwrap_or_default().to_vec();
        if route.path.contains(&"lfs")
            && let Some(last) = repo.last_mut()
        {
            *last = last.strip_suffix(".git").unwrap_or(last);
        }
        let repo = RepoName::new(api, kind, &repo)?;
        let path = Self {
            repo,
            revision: revision.map(Cow::Borrowed),
            rest,
        };
        let has = |word| route.path.contains(&word);
        if has("revision") || has("commits") {
            return Ok(path.with_all_as_revision());
        }
        path.with_long_reference(api, usize::from(has("resolve") || has("raw")))
    }

    /// The branch, the tag or the commit; `None` means the branch `main`.
    pub(super) fn revision(&self) -> Option<&str> {
        self.revision.as_deref()
    }

    /// Where nothing comes behind the revision, all of it is meant: some clients leave slashes as they are.
    fn with_all_as_revision(mut self) -> Self {
        if let Some(first) = self.revision.as_deref().filter(|_| !self.rest.is_empty()) {
            self.revision = Some(Cow::Owned(format!("{first}/{}", self.rest.join("/"))));
            self.rest.clear();
        }
        self
    }

    /// Some clients, and people who type links, leave slashes in the names of branches as they are: of all names that are
    /// known, the longest one is meant that leaves so many segments at least.
    fn with_long_reference(mut self, api: &Api, left: usize) -> Result<Self> {
        let Some(first) = self.revision.as_deref().filter(|_| !self.rest.is_empty()) else {
            return Ok(self);
        };
        if is_main(first) || first.parse::<Revision>().is_ok() {
            return Ok(self);
        }

        let known = api.store.references(&self.repo.folder)?;
        let is_known =
            |text: &str| is_main(text) || known.keys().any(|name| name.as_str() == short(text));
        if is_known(first) {
            return Ok(self);
        }
        for count in (1..=self.rest.len().saturating_sub(left)).rev() {
            let whole = format!("{first}/{}", self.rest[..count].join("/"));
            if is_known(&whole) {
                self.revision = Some(Cow::Owned(whole));
                self.rest.drain(..count);
                break;
            }
        }
        Ok(self)
    }
}

/// The name of a reference without what git writes before it.
pub(super) fn short(name: &str) -> &str {
    let bare = name.strip_prefix("refs/heads/");
    bare.or_else(|| name.strip_prefix("refs/tags/"))
        .unwrap_or(name)
}

/// Whether the name of a revision means what the repository has now.
pub(super) fn is_main(name: &str) -> bool {
    matches!(name, "main" | "HEAD" | "refs/heads/main")
}

/// The kind in a path that has no repository.
pub(super) fn kind_of(request: &Request<'_>) -> RepoKind {
    let word = request.segments().get(2).copied().unwrap_or_default();
    RepoKind::of(word).unwrap_or(RepoKind::Models)
}
