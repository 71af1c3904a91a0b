// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What requests mean: one table of routes, and who may call them.

mod dearning;
mod door;
mod host;
mod inspect;
mod journal;
mod models;
mod pair;
mod status;
#[cfg(test)]
mod tests;
mod uploads;

pub(crate) use host::HostNames;
pub(crate) use journal::Ids;
pub(crate) use pair::Pairing;

use std::sync::Arc;

use crate::access::Guard;
use crate::error::{Error, ErrorKind, Result};
use crate::http::{Handler, Method, Places, Request, Response, Status};
use crate::limits::LiveLimits;
use crate::logging::AuditOptions;
use crate::store::Store;
use door::Known;

/// The HTTP face of a store.
pub(crate) struct Api {
    pub(crate) store: Store,
    pub(crate) guard: Guard,
    pub(crate) host_names: HostNames,
    pub(crate) audit: AuditOptions,
    pub(crate) ids: Ids,
    pub(crate) limits: Arc<LiveLimits>,
    pub(crate) import_bytes_before_password: u64,
    /// For imports whose password was not seen yet; half as many as uploads have, so that callers
    /// without a password never keep out those with one.
    pub(crate) guests: Places,
    pub(crate) pairing: Pairing,
}

/// One route. Its path is given by segments, in which `*` stands for any one.
pub(crate) struct Route {
    pub(crate) method: Method,
    pub(crate) path: &'static [&'static str],
    access: Access,
    /// What it does, in one line.
    pub(crate) help: &'static str,
    action: fn(&Api, &mut Request<'_>) -> Result<Response>,
}

/// Who may call a route.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Access {
    /// Everybody.
    Open,
    /// Whoever has at least this role.
    Read,
    Write,
    #[allow(
        dead_code,
        reason = "the first route for administrators is still to come"
    )]
    Admin,
    /// The route looks for the password in the body, and for the role itself.
    InBody,
}

/// All routes. `GET` stands for `HEAD` as well.
pub(crate) const ROUTES: &[Route] = &[
    row(
        Method::Get,
        &[""],
        Access::Open,
        "lists these routes",
        status::index,
    ),
    row(
        Method::Get,
        &["healthz"],
        Access::Open,
        "says that the server runs",
        status::health,
    ),
    row(
        Method::Get,
        &["v1", "models"],
        Access::Read,
        "lists all models",
        models::list,
    ),
    row(
        Method::Get,
        MODEL,
        Access::Read,
        "hands out a model or a range of it",
        models::read,
    ),
    row(
        Method::Put,
        MODEL,
        Access::Write,
        "stores a model",
        models::store,
    ),
    row(
        Method::Post,
        MODEL,
        Access::Write,
        "stores a model, as PUT does",
        models::store,
    ),
    row(
        Method::Delete,
        MODEL,
        Access::Write,
        "removes a model",
        models::remove,
    ),
    row(
        Method::Get,
        UPLOAD,
        Access::Write,
        "tells how far an upload is",
        uploads::tell,
    ),
    row(
        Method::Patch,
        UPLOAD,
        Access::Write,
        "goes on with an upload",
        uploads::append,
    ),
    row(
        Method::Delete,
        UPLOAD,
        Access::Write,
        "gives an upload up",
        uploads::cancel,
    ),
    row(
        Method::Get,
        INFO,
        Access::Read,
        "tells what is known of a model",
        inspect::info,
    ),
    row(
        Method::Get,
        VERSIONS,
        Access::Read,
        "lists what it was before",
        inspect::versions,
    ),
    row(
        Method::Delete,
        VERSIONS,
        Access::Write,
        "removes what it was before",
        inspect::forget_versions,
    ),
    row(
        Method::Post,
        &["v1", "models", "*", "rollback"],
        Access::Write,
        "brings back what it was before",
        inspect::rollback,
    ),
    row(
        Method::Post,
        &["v1", "models", "*", "verify"],
        Access::Write,
        "reads a model again to find damage",
        inspect::verify,
    ),
    row(
        Method::Post,
        &["v1", "pair"],
        Access::Open,
        "gives a token for an invitation",
        pair::pair,
    ),
    row(
        Method::Post,
        &["import_model"],
        Access::InBody,
        "dearning: stores models",
        dearning::import,
    ),
    row(
        Method::Post,
        &["load_model"],
        Access::InBody,
        "dearning: hands out models",
        dearning::load,
    ),
];

const MODEL: &[&str] = &["v1", "models", "*"];
const INFO: &[&str] = &["v1", "models", "*", "info"];
const VERSIONS: &[&str] = &["v1", "models", "*", "versions"];

const UPLOAD: &[&str] = &["v1", "uploads", "*"];

const fn row(
    method: Method,
    path: &'static [&'static str],
    access: Access,
    help: &'static str,
    action: fn(&Api, &mut Request<'_>) -> Result<Response>,
) -> Route {
    Route {
        method,
        path,
        access,
        help,
        action,
    }
}

impl Route {
    /// The path as one writes it, for example `/v1/models/NAME`.
    pub(crate) fn shown(&self) -> String {
        let name = if self.path == UPLOAD { "ID" } else { "NAME" };
        format!("/{}", self.path.join("/").replace('*', name))
    }

    fn matches(&self, segments: &[&str]) -> bool {
        self.path.len() == segments.len()
            && self
                .path
                .iter()
                .zip(segments)
                .all(|(part, segment)| *part == "*" || part == segment)
    }
}

impl Handler for Api {
    fn handle(&self, request: &mut Request<'_>) -> Response {
        request.session().insert(Known(None));
        let found = host::no_secret_in(request.query()).and_then(|()| self.find(request));
        let answered = found.and_then(|route| match route {
            Found::Route(route) => {
                self.admit(route, request)?;
                (route.action)(self, request)
            }
            Found::OtherMethods(allow) if request.method() == Method::Options => {
                let response = Response::new(Status::NO_CONTENT).field("allow", allow);
                Ok(match request.segments() {
                    ["v1", "models" | "uploads", _] => uploads::announce(self, response),
                    _ => response,
                })
            }
            Found::OtherMethods(allow) => {
                let text = format!("{} is not for this path", request.method().as_str());
                let error = Error::new(ErrorKind::MethodNotAllowed, text);
                Ok(Response::error(&error).field("allow", allow))
            }
        });
        let response = answered.unwrap_or_else(|error| {
            log_cause(&error);
            self.refusal(request, &error)
        });
        self.log(request, response)
    }
}

enum Found {
    Route(&'static Route),
    /// The path is known; these are its methods.
    OtherMethods(String),
}

impl Api {
    fn find(&self, request: &Request<'_>) -> Result<Found> {
        let at_path: Vec<_> = ROUTES
            .iter()
            .filter(|route| route.matches(request.segments()))
            .collect();
        if let Some(route) = at_path
            .iter()
            .find(|route| route.method == request.method())
        {
            return Ok(Found::Route(route));
        }
        if at_path.is_empty() {
            let text = "there is nothing at this path";
            return Err(Error::new(ErrorKind::NotFound, text).hint("GET / lists what there is"));
        }
        let mut allow: Vec<_> = at_path.iter().map(|route| route.method.as_str()).collect();
        if allow.contains(&"GET") {
            allow.push("HEAD");
        }
        allow.push("OPTIONS");
        Ok(Found::OtherMethods(allow.join(", ")))
    }
}

/// The source of an error stays on this side: it is logged where it is our own.
fn log_cause(error: &Error) {
    if let (ErrorKind::Internal | ErrorKind::NoSpace, Some(source)) =
        (error.kind(), std::error::Error::source(error))
    {
        log::error!("{}: {source}", error.message());
    }
}
