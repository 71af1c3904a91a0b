// SPDX-License-Identifier: Apache-2.0 OR MIT
//! How the server is.

use crate::error::Result;
use crate::http::{Request, Response, Status};
use crate::routes::api::Api;

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

/// Says that the server runs: to be called by whatever watches it, without a password.
#[allow(
    clippy::unnecessary_wraps,
    reason = "all actions of the table have one form"
)]
pub(crate) fn health(_: &Api, _: &mut Request<'_>) -> Result<Response> {
    Ok(Response::text(Status::OK, "ok\n"))
}
