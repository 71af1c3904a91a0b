// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What uploads are answered: how far they are, what limits them, and their problem documents.

use std::time::Duration;

use crate::error::{Error, ErrorKind};
use crate::http::{Response, Status};
use crate::limits::FOREVER;
use crate::routes::api::Api;
use crate::store::UploadSession;
use crate::wire::Problem;

/// What an answer to `OPTIONS` says of uploads, for paths that take them (draft section 4.1.4).
pub(crate) fn announce(api: &Api, response: Response) -> Response {
    let age = api.store.upload_age_max();
    response
        .field("accept-patch", MEDIA_TYPE)
        .field("upload-limit", limits(api, age))
}

/// The answer to a request that is too large.
pub(crate) fn refusal(api: &Api, error: &Error) -> Response {
    Response::error(error).field("upload-limit", limits(api, api.store.upload_age_max()))
}

/// How far an upload is, without content.
pub(crate) fn progress(api: &Api, turn: &UploadSession) -> Response {
    with_progress(Response::new(Status::NO_CONTENT), turn)
        .field("upload-limit", limits(api, turn.left()))
}

pub(crate) fn with_progress(response: Response, turn: &UploadSession) -> Response {
    let complete = if turn.done().is_some() { YES } else { "?0" };
    response
        .field("upload-offset", turn.offset().to_string())
        .field("upload-complete", complete)
}

/// The value of `Upload-Limit` for an upload that is kept for so long (draft section 4.1.4).
pub(crate) fn limits(api: &Api, age: Duration) -> String {
    let size = api.limits.now().upload_bytes_max.min(INTEGER_MAX);
    let limits = format!("max-size={size}, max-append-size={size}");

    // An upload that is kept for ever has no age.
    if age >= FOREVER {
        return limits;
    }
    format!("{limits}, max-age={}", age.as_secs().min(INTEGER_MAX))
}

/// Draft section 7.1.
pub(crate) fn mismatching(expected: u64, provided: u64) -> Response {
    let text = format!("the upload continues at {expected}, not at {provided}");
    let error = Error::new(ErrorKind::Conflict, text).hint("in HTTP: HEAD returns the offset");
    let mut problem = Problem::of(
        &error,
        "offset from request does not match offset of resource",
    );
    problem.kind = problem_type("mismatching-upload-offset");
    (problem.expected_offset, problem.provided_offset) = (Some(expected), Some(provided));
    problem_document(&problem)
}

/// Draft section 7.3.
pub(crate) fn inconsistent(text: &str) -> Response {
    problem("inconsistent-upload-length", text)
}

pub(crate) fn problem(name: &str, text: &str) -> Response {
    let error = Error::new(ErrorKind::BadRequest, text);
    let mut problem = Problem::of(&error, Status::BAD_REQUEST.reason());
    problem.kind = problem_type(name);
    problem_document(&problem)
}

fn problem_document(problem: &Problem) -> Response {
    Response::json(Status(problem.status), problem)
        .field("content-type", "application/problem+json")
}

fn problem_type(name: &str) -> String {
    format!("https://iana.org/assignments/http-problem-types#{name}")
}

pub(crate) const YES: &str = "?1";

/// The largest integer of a structured field (RFC 9651 section 3.3.1).
const INTEGER_MAX: u64 = 999_999_999_999_999;

pub(crate) const MEDIA_TYPE: &str = "application/partial-upload";
