// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What callers get of repositories of the upstream.

use std::io;
use std::sync::Arc;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::json;
use wildmatch::WildMatch;

use crate::error::{Error, ErrorKind, Result};
use crate::http::{Content, Method, Range, Request, Response, Status};
use crate::routes::api::Api;
use crate::routes::hub::hub_path::{HubPath, RepoName};
use crate::routes::hub::hub_refusals::{HubError, HubResult, Missing, answered, told_text};
use crate::routes::hub::mirroring::fetch::Announced;
use crate::routes::hub::mirroring::fetches::Arrived;
use crate::routes::hub::mirroring::follower::{Follower, FollowerTurn};
use crate::routes::hub::mirroring::mirror::Mirror;
use crate::routes::hub::mirroring::upstream_answers::{
    HubQuestion, KeptAnswer, UpstreamRefusal, is_commit,
};
use crate::routes::models::{self, AnswerKind};

/// The answer of a route that reads: a repository that is not here may be one of the upstream.
///
/// # Errors
/// Those of the route, and of the mirror.
pub(in crate::routes::hub) fn answered_or_mirrored(
    api: &Api,
    request: &mut Request<'_>,
    read: fn(&Api, &mut Request<'_>) -> HubResult<Response>,
) -> Result<Response> {
    let answer = read(api, request);
    if let (Some(mirror), Err(HubError::Missing(Missing::Repository, _))) = (&api.mirror, &answer)
        && let Some(response) = mirror.answer(api, request)?
    {
        return Ok(response);
    }
    answered(answer)
}

impl Mirror {
    /// The answer to a request about a repository that is not here; `None` for one that is not mirrored either.
    ///
    /// # Errors
    /// `Busy` while the upstream cannot be asked; `NoSpace` for a file that is too large; those of the file system.
    fn answer(&self, api: &Api, request: &mut Request<'_>) -> Result<Option<Response>> {
        let path = HubPath::of(api, request)?;
        let name = path.repo.folder.as_str();
        let is_named = |pattern: &WildMatch| pattern.matches(name);
        if !self.repositories.is_empty() && !self.repositories.iter().any(is_named) {
            return Ok(None);
        }

        if self.answers.has_grown() {
            self.files.sweep_soon();
        }
        self.files.sweep();
        let is_file = matches!(request.segments(), [_, _, .., _] if is_of_files(api, request));
        let answer = if is_file {
            self.file(api, request, &path)?
        } else {
            self.told(api, request, &path)?
        };
        Ok(Some(answer.unwrap_or_else(|refusal| refused(&refusal))))
    }

    /// What is known of a repository.
    fn told(
        &self,
        api: &Api,
        request: &mut Request<'_>,
        path: &HubPath<'_>,
    ) -> Result<MirrorAnswer> {
        let kind = request
            .fields()
            .value("content-type")
            .unwrap_or_default()
            .to_owned();
        let is_question = request.method() == Method::Post;
        let body = if is_question {
            request.body().read_all(QUESTION_BYTES_MAX)?
        } else {
            Vec::new()
        };
        let query = request.query().map(|query| format!("?{query}"));
        let below = path_below(request.segments())?;
        let question = HubQuestion {
            path: format!("{below}{}", query.unwrap_or_default()),
            content: is_question.then_some((kind.as_str(), body.as_slice())),
            is_fixed: path.revision().is_some_and(is_commit),
        };
        let told = match self.answers.of(&question)? {
            Ok(told) => told,
            Err(refusal) => return Ok(Err(refusal)),
        };

        let response = Response::json(Status::OK, &told.told).field("cache-control", "no-cache");
        let response = match &told.next {
            Some(next) => {
                let base = api.base_url(request);
                response.field("link", format!("<{base}/hf{next}>; rel=\"next\""))
            }
            None => response,
        };
        let response = match &told.commit {
            Some(commit) => response.field("x-repo-commit", commit.clone()),
            None => response,
        };
        Ok(Ok(self.warned(response, &told)))
    }

    /// The bytes of a file, or a part of them, also while they arrive.
    fn file(
        &self,
        api: &Api,
        request: &mut Request<'_>,
        path: &HubPath<'_>,
    ) -> Result<MirrorAnswer> {
        let repo = &path.repo;
        let revision = path.revision().unwrap_or("main");
        let (commit, told) = if is_commit(revision) {
            (revision.to_owned(), None)
        } else {
            let question = HubQuestion {
                path: format!("{}/revision/{}", api_path(repo), escaped(revision)),
                content: None,
                is_fixed: false,
            };
            let told = match self.answers.of(&question)? {
                Ok(told) => told,
                Err(refusal) => return Ok(Err(refusal)),
            };
            let commit = told.told["sha"].as_str().filter(|commit| is_commit(commit));
            let Some(commit) = commit.map(str::to_owned) else {
                let text = "the upstream names no commit";
                return Err(Error::new(ErrorKind::Busy, text));
            };
            (commit, Some(told))
        };

        let tree = format!("{}/tree/{commit}", api_path(repo));
        let tree = match self.trees.of(&self.answers, &tree)? {
            Ok(tree) => tree,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let asked = path.rest.join("/");
        let Some(announced) = tree.get(&asked) else {
            return Ok(Err(UpstreamRefusal {
                status: 404,
                code: Some("EntryNotFound".to_owned()),
                text: format!("{} has no file '{asked}'", repo.id),
                commit: Some(commit),
                pause: None,
                rate_limit: None,
            }));
        };

        let source = format!(
            "/{}/resolve/{commit}/{}",
            repo.folder.url_path(),
            escaped_path(&path.rest)
        );
        let response = match self.bytes(api, request, path, (announced, &source))? {
            Ok(response) => response,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let response = response.field("x-repo-commit", commit);
        Ok(Ok(match &told {
            Some(told) => self.warned(response, told),
            None => response,
        }))
    }

    fn bytes(
        &self,
        api: &Api,
        request: &Request<'_>,
        path: &HubPath<'_>,
        (announced, source): (&Announced, &str),
    ) -> Result<MirrorAnswer> {
        let tag = format!("\"{}\"", announced.tag);
        let name = path.repo.file(api, path.rest.iter().copied())?;
        let here = match self.files.find(announced) {
            Some(digest) => api.store.open_object(digest)?,
            None => None,
        };
        if let Some(opened) = here {
            let opened = models::answer(request, AnswerKind::HubFile(&name), opened)?;
            return Ok(Ok(opened.field("etag", tag)));
        }

        // Once a length was told, nothing else can be.
        self.files.check_size(announced)?;
        if let Err(refusal) = self.answers.allows(source)? {
            return Ok(Err(refusal));
        }

        let size = announced.size;
        let wanted = request
            .fields()
            .value("range")
            .filter(|_| !request.is_head());
        let range = match wanted.map(|field| Range::parse(field, size)) {
            None | Some(Ok(None)) => None,
            Some(Ok(Some(range))) => Some(range),
            Some(Err(_)) if size == 0 => None,
            Some(Err(_)) => {
                let error = Error::new(ErrorKind::RangeNotSatisfiable, "the file ends before");
                let response = Response::error(&error);
                let told = format!("bytes */{size}");
                return Ok(Ok(response.field("content-range", told)));
            }
        };
        let (status, start, end) = match range {
            Some(range) => (Status::PARTIAL_CONTENT, range.start, range.end),
            None => (Status::OK, 0, size),
        };

        let content: Box<dyn io::Read + Send> = if request.is_head() || size == 0 {
            Box::new(io::empty())
        } else {
            let turn = FollowerTurn::take(&self.followers, FOLLOWERS_MAX).ok_or_else(|| {
                let text = "too many callers wait for files of the upstream";
                Error::new(ErrorKind::Busy, text)
            })?;
            self.files.make_room(announced)?;
            let files = Arc::clone(&self.files);
            let arrived: Arc<Arrived> =
                Arc::new(move |announced, digest| files.add(announced, digest));
            let fetch = self.fetches.join(announced, source, &arrived)?;
            Box::new(Follower::new(fetch, start, end, turn))
        };

        let response = Response::new(status)
            .field("etag", tag)
            .field("accept-ranges", "bytes")
            .field("cache-control", "no-cache")
            .field("content-type", "application/octet-stream")
            .content(Content::Reader(end - start, content));
        Ok(Ok(match range {
            Some(_) => {
                let last = end - 1;
                response.field("content-range", format!("bytes {start}-{last}/{size}"))
            }
            None if wanted.is_some() && size == 0 => response.field("content-range", "bytes */0"),
            None => response,
        }))
    }

    /// Says where an answer is one that may not hold any more.
    fn warned(&self, response: Response, told: &KeptAnswer) -> Response {
        if !told.is_stale {
            return response;
        }
        let warning =
            "mirror; the hub behind this server cannot be reached, so this is what it had before";
        response.field("x-hf-warning", warning)
    }
}

type MirrorAnswer = std::result::Result<Response, UpstreamRefusal>;

/// Whether a request is about the bytes of a file.
fn is_of_files(api: &Api, request: &Request<'_>) -> bool {
    let route = api.route_of(request);
    route.is_some_and(|route| route.path.contains(&"resolve") || route.path.contains(&"raw"))
}

/// A refusal of the upstream, in words that the clients of the hub read.
fn refused(refusal: &UpstreamRefusal) -> Response {
    let status = match refusal.status {
        status @ (400 | 403 | 404 | 409 | 410 | 429) => status,
        // Nobody can do anything about it here.
        _ => 503,
    };
    let (shown, plain) = told_text(&refusal.text);
    let response = Response::json(Status(status), &json!({ "error": shown }));
    let response = response.field("x-error-message", plain);
    let response = match &refusal.code {
        Some(code) => response.field("x-error-code", code.clone()),
        None => response,
    };
    let response = match &refusal.commit {
        Some(commit) => response.field("x-repo-commit", commit.clone()),
        None => response,
    };
    let response = match &refusal.rate_limit {
        Some(limit) => response.field("ratelimit", limit.clone()),
        None => response,
    };
    match &refusal.pause {
        Some(pause) => response.field("retry-after", pause.clone()),
        None => response,
    }
}

/// What a request asks for, below the root of a hub. Two dots would lead the upstream to another repository than the
/// one that was looked at here.
fn path_below(segments: &[&str]) -> Result<String> {
    let below = segments.get(1..).unwrap_or_default();
    if below.iter().any(|segment| matches!(*segment, "." | "..")) {
        let text = "a path of a repository has no . and .. in it";
        return Err(Error::new(ErrorKind::BadRequest, text));
    }
    Ok(format!("/{}", escaped_path(below)))
}

/// The path of what is known of a repository, below the root of a hub.
fn api_path(repo: &RepoName) -> String {
    let segments: Vec<_> = repo.id.split('/').collect();
    format!("/api/{}/{}", repo.kind.word(), escaped_path(&segments))
}

fn escaped_path(segments: &[&str]) -> String {
    let escaped = segments.iter().map(|segment| escaped(segment));
    escaped.collect::<Vec<_>>().join("/")
}

fn escaped(segment: &str) -> String {
    utf8_percent_encode(segment, ESCAPED).to_string()
}

/// All but the unreserved letters (RFC 3986 section 2.3).
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// Callers that read files while these arrive: each has a thread.
const FOLLOWERS_MAX: usize = 64;

/// The paths that a client asks for at one time.
const QUESTION_BYTES_MAX: usize = 1 << 20;
