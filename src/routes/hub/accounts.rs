// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Who calls, as the clients of the hub ask it, and what they ask for besides.

use serde_json::json;

use crate::access::{How, Right};
use crate::error::Result;
use crate::http::{Request, Response, Status};
use crate::routes::api::Api;
use crate::routes::authorize::no_credentials;
use crate::routes::models::principal;

/// `GET /hf/api/whoami-v2`: the name of the token, and whether it may write.
///
/// # Errors
/// `Unauthenticated` for whoever has shown nothing, also where reading is open.
pub(crate) fn who(_: &Api, request: &mut Request<'_>) -> Result<Response> {
    let caller = principal(request).filter(|caller| caller.how != How::Anonymous);
    let caller = caller.ok_or_else(no_credentials)?;

    let role = if caller.rights.has(Right::Write) {
        "write"
    } else {
        "read"
    };
    let told = json!({
        "type": "user",
        "id": caller.name,
        "name": caller.name,
        "fullname": caller.name,
        "orgs": [],
        "auth": {
            "type": "access_token",
            "accessToken": {"displayName": caller.name, "role": role},
        },
    });
    Ok(Response::json(Status::OK, &told).field("cache-control", "no-store"))
}

/// `GET /hf/api/agent-harnesses`: there are none; without an answer, clients ask in each process.
#[allow(
    clippy::unnecessary_wraps,
    reason = "all actions of the table have one form"
)]
pub(crate) fn harnesses(_: &Api, _: &mut Request<'_>) -> Result<Response> {
    let told = json!({"standardEnvVars": [], "harnesses": {}});
    Ok(Response::json(Status::OK, &told))
}

/// `POST /hf/api/validate-yaml`: nothing here reads the head of a README.md, so nothing is wrong with it.
#[allow(
    clippy::unnecessary_wraps,
    reason = "all actions of the table have one form"
)]
pub(crate) fn validate(_: &Api, _: &mut Request<'_>) -> Result<Response> {
    let told = json!({"errors": [], "warnings": []});
    Ok(Response::json(Status::OK, &told))
}
