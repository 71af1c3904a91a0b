// SPDX-License-Identifier: Apache-2.0 OR MIT
//! How the server is.

use super::{Api, ROUTES};
use crate::error::Result;
use crate::http::{Request, Response, Status};

/// Lists the routes, for whoever looks at the server for the first time.
#[allow(
    clippy::unnecessary_wraps,
    reason = "all actions of the table have one form"
)]
pub(crate) fn index(_: &Api, _: &mut Request<'_>) -> Result<Response> {
    let line = |route: &super::Route| {
        let (method, path) = (route.method.as_str(), route.shown());
        format!("{method:<7}{path:<30}{}\n", route.help)
    };
    let routes: String = ROUTES.iter().map(line).collect();
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
