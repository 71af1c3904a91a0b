// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Refusals in the form that the clients of the hub read: a JSON object with `error`, and two fields by which they
//! choose their exceptions.

use serde_json::json;

use crate::error::{Error, ErrorKind, Result};
use crate::http::{Request, Response, Status};
use crate::model::Revision;
use crate::routes::api::Api;
use crate::text::escaped;

/// What is not there, as `X-Error-Code` says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Missing {
    Repository,
    Revision,
    /// A file of a commit.
    Entry(Revision),
}

/// Why a request to the hub is refused.
#[derive(Debug)]
pub(super) enum HubError {
    Missing(Missing, String),
    Other(Error),
}

impl From<Error> for HubError {
    fn from(error: Error) -> Self {
        Self::Other(error)
    }
}

pub(super) type HubResult<T> = std::result::Result<T, HubError>;

/// Whether a request is one to the hub.
pub(crate) fn is_hub(request: &Request<'_>) -> bool {
    request.segments().first() == Some(&"hf")
}

/// The answer of a route: what is missing is told with its code.
pub(super) fn answered(answer: HubResult<Response>) -> Result<Response> {
    match answer {
        // What is told of a branch is true until the next commit.
        Ok(response) => Ok(response.field("cache-control", "no-cache")),
        Err(HubError::Other(error)) => Err(error),
        Err(HubError::Missing(what, text)) => {
            let response = told(Status::NOT_FOUND, &text);
            Ok(match what {
                Missing::Repository => response.field("x-error-code", "RepoNotFound"),
                Missing::Revision => response.field("x-error-code", "RevisionNotFound"),
                // Clients remember that a commit does not have a file, and do not ask again.
                Missing::Entry(commit) => response
                    .field("x-error-code", "EntryNotFound")
                    .field("x-repo-commit", commit.to_string()),
            })
        }
    }
}

/// Any other refusal.
pub(crate) fn refusal(api: &Api, request: &Request<'_>, error: &Error) -> Response {
    let text = match error.hint_text() {
        Some(hint) => format!("{}; {hint}", error.message()),
        None => error.message().to_owned(),
    };
    let response = told(Status(error.kind().status()), &text);

    match error.kind() {
        ErrorKind::NotFound => response.field("x-error-code", "RepoNotFound"),
        ErrorKind::Unauthenticated => {
            let challenge = crate::access::CHALLENGE;
            response.field("www-authenticate", challenge)
        }
        ErrorKind::TooManyRequests => api.come_back(request, error, response),
        ErrorKind::Busy => {
            let pause = error
                .retry_after()
                .map_or(1, |pause| pause.as_secs().max(1));
            response.field("retry-after", pause.to_string())
        }
        _ => response,
    }
}

/// A text as the body and as a field have it.
pub(super) fn told_text(text: &str) -> (String, String) {
    let shown = escaped(text).into_owned();
    // Fields are ASCII, and people read the text.
    let plain = shown
        .chars()
        .map(|one| if one.is_ascii() { one } else { '?' });
    let plain: String = plain.collect();
    (shown, plain)
}

fn told(status: Status, text: &str) -> Response {
    let (shown, plain) = told_text(text);
    Response::json(status, &json!({ "error": shown })).field("x-error-message", plain)
}
