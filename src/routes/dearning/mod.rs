// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The API of the dearning server, for its genuine clients of both generations: models as base64 in
//! JSON, decoded while they arrive and encoded while they are sent.
//!
//! Which form is meant follows from the keys: `files` and `filenames` are the newer one (1.2.3.post3
//! and later), `filename` with or without `content_b64` is the older. Errors are `{"error": ...}`.

mod import;
mod load;

use serde_json::json;

use super::{Api, log_cause};
use crate::access::Lock;
use crate::error::{Error, ErrorKind, Result};
use crate::http::{Request, Response, Status};

/// `POST /import_model`: stores one model or several.
#[allow(clippy::unnecessary_wraps, reason = "all actions of the table have one form")]
pub(super) fn import(api: &Api, request: &mut Request<'_>) -> Result<Response> {
    let has_password = api.is_authorized(request);
    Ok(import::run(api, request, has_password).unwrap_or_else(|error| refusal(&error)))
}

/// `POST /load_model`: hands out one model or several.
#[allow(clippy::unnecessary_wraps, reason = "all actions of the table have one form")]
pub(super) fn load(api: &Api, request: &mut Request<'_>) -> Result<Response> {
    let has_password = api.is_authorized(request);
    Ok(load::run(api, request, has_password).unwrap_or_else(|error| refusal(&error)))
}

/// An error in the words of the dearning server. Its clients look at the answer only after they have
/// sent everything, so the rest of the body is read away up to a bound.
fn refusal(error: &Error) -> Response {
    log_cause(error);
    let status = match error.kind() {
        // The genuine server knows no 401.
        ErrorKind::Unauthenticated => Status::FORBIDDEN,
        kind => Status(kind.status()),
    };
    Response::json(status, &json!({ "error": error.message() })).drain(DRAIN_BYTES)
}

fn invalid_json() -> Error {
    Error::new(ErrorKind::BadRequest, "invalid json")
}

fn invalid_password() -> Error {
    Error::new(ErrorKind::Unauthenticated, "invalid password")
}

/// Whether a password in JSON opens the lock. A server started with a number takes that number, as
/// dearning's own example has it.
fn opens(lock: &Lock, password: &str) -> Result<()> {
    if lock.opens(password.as_bytes()) { Ok(()) } else { Err(invalid_password()) }
}

/// What is read away of a refused body.
const DRAIN_BYTES: u64 = 16 << 20;
