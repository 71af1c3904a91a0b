// SPDX-License-Identifier: Apache-2.0 OR MIT
//! How the server is.

use crate::access::{How, Role};
use crate::error::Result;
use crate::http::{Request, Response, Status};
use crate::routes::allowance::{Way, payer};
use crate::routes::api::{Api, Known};
use crate::routes::authorize::no_credentials;
use crate::wire::StatusWire;

/// Lists the routes, for whoever looks at the server for the first time.
#[allow(
    clippy::unnecessary_wraps,
    reason = "all actions of the table have one form"
)]
pub(crate) fn index(api: &Api, _: &mut Request<'_>) -> Result<Response> {
    let line = |route: &crate::routes::api::Route| {
        let (method, path) = (route.method.as_str(), route.shown());
        format!("{method:<7}{path:<30}{}\n", route.help)
    };
    let routes: String = api.routes.iter().map(line).collect();
    Ok(Response::text(
        Status::OK,
        format!("skep, a pocket model server\n\n{routes}"),
    ))
}

/// `GET /v1/status`: the server as one caller sees it, as JSON.
///
/// # Errors
/// `Unauthenticated` for whoever has shown nothing, also where reading is open.
pub(crate) fn status(api: &Api, request: &mut Request<'_>) -> Result<Response> {
    let peer = request.peer().clone();
    let known = request.session().value::<Known>();
    let known = known.and_then(|known| known.0.as_ref());
    let Some(caller) = known.filter(|known| known.how != How::Anonymous) else {
        return Err(no_credentials());
    };

    let counted = payer(&peer, caller);
    let left = |way| api.quota.left(counted.as_ref()?, way);
    let totals = api.store.totals()?;

    let status = StatusWire {
        schema: 1,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        name: caller.name.clone(),
        role: match Role::of(caller.rights) {
            Some(role) => role.to_string(),
            None => caller.rights.to_string(),
        },
        models: totals.models,
        size: totals.bytes,
        free: totals.free,
        upload_left: left(Way::Up),
        download_left: left(Way::Down),
    };
    Ok(Response::json(Status::OK, &status).field("cache-control", "no-cache"))
}

/// Says that the server runs: to be called by whatever watches it, without a password.
#[allow(
    clippy::unnecessary_wraps,
    reason = "all actions of the table have one form"
)]
pub(crate) fn health(_: &Api, _: &mut Request<'_>) -> Result<Response> {
    Ok(Response::text(Status::OK, "ok\n"))
}
