// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What requests mean: one table of routes, and who may call them.

mod dearning;
mod inspect;
mod models;
mod status;
mod uploads;

use std::sync::Arc;
use std::time::Duration;

use crate::access::{self, Lock};
use crate::error::{Error, ErrorKind, Result};
use crate::http::{Handler, Method, Place, Places, Request, Response, Status};
use crate::limits::LiveLimits;
use crate::store::Store;

/// The HTTP face of a store.
pub(crate) struct Api {
    pub(crate) store: Store,
    pub(crate) lock: Lock,
    pub(crate) limits: Arc<LiveLimits>,
    pub(crate) import_bytes_before_password: u64,
    /// For imports whose password was not seen yet; half as many as uploads have, so that callers
    /// without a password never keep out those with one.
    pub(crate) guests: Places,
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
    /// Who shows the password in an `Authorization` field.
    Password,
    /// The route looks for the password in the body.
    InBody,
}

/// All routes. `GET` stands for `HEAD` as well.
pub(crate) const ROUTES: &[Route] = &[
    row(Method::Get, &[""], Access::Open, "lists these routes", status::index),
    row(Method::Get, &["healthz"], Access::Open, "says that the server runs", status::health),
    row(Method::Get, &["v1", "models"], Access::Password, "lists all models", models::list),
    row(Method::Get, MODEL, Access::Password, "hands out a model or a range of it", models::read),
    row(Method::Put, MODEL, Access::Password, "stores a model", models::store),
    row(Method::Post, MODEL, Access::Password, "stores a model, as PUT does", models::store),
    row(Method::Delete, MODEL, Access::Password, "removes a model", models::remove),
    row(Method::Get, UPLOAD, Access::Password, "tells how far an upload is", uploads::tell),
    row(Method::Patch, UPLOAD, Access::Password, "goes on with an upload", uploads::append),
    row(Method::Delete, UPLOAD, Access::Password, "gives an upload up", uploads::cancel),
    row(Method::Get, INFO, Access::Password, "tells what is known of a model", inspect::info),
    row(Method::Get, VERSIONS, Access::Password, "lists what it was before", inspect::versions),
    row(
        Method::Delete,
        VERSIONS,
        Access::Password,
        "removes what it was before",
        inspect::forget_versions,
    ),
    row(
        Method::Post,
        &["v1", "models", "*", "rollback"],
        Access::Password,
        "brings back what it was before",
        inspect::rollback,
    ),
    row(
        Method::Post,
        &["v1", "models", "*", "verify"],
        Access::Password,
        "reads a model again to find damage",
        inspect::verify,
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
    Route { method, path, access, help, action }
}

impl Route {
    /// The path as one writes it, for example `/v1/models/NAME`.
    pub(crate) fn shown(&self) -> String {
        let name = if self.path == UPLOAD { "ID" } else { "NAME" };
        format!("/{}", self.path.join("/").replace('*', name))
    }

    fn matches(&self, segments: &[&str]) -> bool {
        self.path.len() == segments.len()
            && self.path.iter().zip(segments).all(|(part, segment)| *part == "*" || part == segment)
    }
}

impl Handler for Api {
    fn handle(&self, request: &mut Request<'_>) -> Response {
        let answered = self.find(request).and_then(|route| match route {
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
        answered.unwrap_or_else(|error| {
            log_cause(&error);
            Response::error(&error)
        })
    }
}

enum Found {
    Route(&'static Route),
    /// The path is known; these are its methods.
    OtherMethods(String),
}

impl Api {
    fn find(&self, request: &Request<'_>) -> Result<Found> {
        let at_path: Vec<_> =
            ROUTES.iter().filter(|route| route.matches(request.segments())).collect();
        if let Some(route) = at_path.iter().find(|route| route.method == request.method()) {
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

    /// Checks the password before anything of the body is read.
    fn admit(&self, route: &Route, request: &Request<'_>) -> Result<()> {
        if route.access != Access::Password || self.is_authorized(request) {
            return Ok(());
        }
        let text = match request.fields().value("authorization") {
            Some(_) => "the password is wrong",
            None => "a password is needed",
        };
        Err(Error::new(ErrorKind::Unauthenticated, text)
            .hint("send it as Authorization: Bearer PASSWORD, or as that of any user"))
    }

    /// Takes a place for a body whose password is somewhere in it.
    fn enter_as_guest(&self) -> Result<Place<'_>> {
        self.guests.take(Duration::ZERO).ok_or_else(|| {
            let text = "as many imports without a password as this server takes are running";
            Error::new(ErrorKind::Busy, text)
        })
    }

    /// Whether the request shows the password in its fields.
    fn is_authorized(&self, request: &Request<'_>) -> bool {
        let field = request.fields().value("authorization");
        let presented = field.and_then(access::presented);
        presented.is_some_and(|presented| self.lock.opens(&presented))
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
