// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The API of the dearning server, for its genuine clients of both generations: models as base64 in
//! JSON, decoded while they arrive and encoded while they are sent.
//!
//! Which form is meant follows from the keys: `files` and `filenames` are the newer one (1.2.3.post3
//! and later), `filename` with or without `content_b64` is the older. Errors are `{"error": ...}`.

pub(crate) mod import;
pub(crate) mod load;
mod load_request;
mod received;
mod refusals;

use serde_json::json;

use crate::access::Principal;
use crate::error::{Error, ErrorKind, Result};
use crate::http::{Request, Response, Status};
use crate::routes::api::Api;
use crate::routes::audit::told_outside;
use crate::routes::authorize::is_signed;

/// `POST /import_model`: stores one model or several.
#[allow(
    clippy::unnecessary_wraps,
    reason = "all actions of the table have one form"
)]
pub(crate) fn import(api: &Api, request: &mut Request<'_>) -> Result<Response> {
    let answered = enter(api, request).and_then(|known| import::run(api, request, known));
    Ok(answered.unwrap_or_else(|error| refusal(api, request, error)))
}

/// `POST /load_model`: hands out one model or several.
#[allow(
    clippy::unnecessary_wraps,
    reason = "all actions of the table have one form"
)]
pub(crate) fn load(api: &Api, request: &mut Request<'_>) -> Result<Response> {
    let answered = enter(api, request).and_then(|known| load::run(api, request, known));
    Ok(answered.unwrap_or_else(|error| refusal(api, request, error)))
}

/// An error in the words of the dearning server.
pub(crate) fn refusal(api: &Api, request: &Request<'_>, error: Error) -> Response {
    let error = told_outside(error);
    let status = match error.kind() {
        // The genuine server knows no 401.
        ErrorKind::Unauthenticated => Status::FORBIDDEN,
        kind => Status(kind.status()),
    };

    let response = Response::json(status, &json!({ "error": error.message() }));

    match error.kind() {
        ErrorKind::TooManyRequests => api.come_back(request, &error, response),
        _ => response,
    }
}

/// Who calls, as far as that is known before the body. Somebody who shows something wrong, or whose
/// password would be read by others on its way, does not get to send one.
fn enter(api: &Api, request: &mut Request<'_>) -> Result<Option<Principal>> {
    let peer = request.peer();
    if peer.tls.is_none() && !peer.is_local() && !api.guard.options().plain_dearning {
        let text = "this API sends passwords, and this connection is not encrypted: use https://, \
                    or start the server with --plain-dearning";
        return Err(Error::new(ErrorKind::Forbidden, text));
    }

    // The password of this API is in the body. A signature would have to be compared with all of that first.
    if is_signed(request) {
        return Ok(None);
    }

    match api.caller(request) {
        // The password may still be in the body, and then the name it came under does not matter.
        Err(error) if error.kind() == ErrorKind::Misdirected => Ok(None),
        other => other,
    }
}
