// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What requests mean: one table of routes, and who may call them.

mod allowance;
mod api;
mod audit;
mod authorize;
mod changes;
mod dearning;
mod hub;
mod json_content;
mod models;
mod origin;
mod redeem;
mod request_id;
mod route_table;
mod status;
#[cfg(test)]
mod tests;

pub(crate) use allowance::{DayQuota, RequestRate};
pub(crate) use api::{Api, ApiEvents, Pairing};
pub(crate) use hub::{Mirror, MirrorOptions, PUBLIC_AUTHORITIES};
pub(crate) use origin::host_name::HostNames;
pub(crate) use request_id::Ids;
pub(crate) use route_table::routes;

use crate::access::Right;
use crate::error::{Error, ErrorKind, Result};
use crate::http::{Handler, Method, Request, RequestSender, Response, Status};
use crate::model::ModelName;
use crate::routes::api::{Access, MODEL, Route};
use api::Known;
use audit::told_outside;

enum RouteMatch {
    Route(&'static Route),
    /// The path is known, or stands for the whole server; these are its methods.
    OtherMethods(String),
}

impl Handler for Api {
    /// What is refused anyhow, what says only that the server runs, and models that are in the cache.
    fn handle_at_once(&self, request: &mut Request<'_>) -> Option<Response> {
        self.see_behind(request);
        match (self.route_of(request), request.segments()) {
            (Some(route), ["healthz"]) if route.method == Method::Get => {}
            // It looks at what the caller shows by itself, and once is enough for most requests of all.
            (Some(route), _)
                if route.path == MODEL
                    && route.method == Method::Get
                    && request.query().is_none()
                    && request.segments().last() != Some(&"") =>
            {
                return self.read_at_once(&api::name_in_path(request).ok()?, request);
            }
            (Some(route), _) if self.refuses_at_once(route, request) => {}
            (Some(_), _) => return None,
            // A path or a method that does not exist.
            (None, _) => {}
        }

        Some(self.handle(request))
    }

    fn sender(&self, request: &mut Request<'_>) -> RequestSender {
        self.see_behind(request);
        // What a page of another site sends is refused without any look.
        let is_ours = self.check_origin(request).is_ok();
        let route = self.route_of(request).filter(|_| is_ours);

        match route.and_then(|route| self.sender_to(route, request)) {
            Some(sender) => sender,
            None => RequestSender::Refused(self.handle(request)),
        }
    }

    fn look_long(&self, request: &mut Request<'_>) -> Option<Response> {
        let known = self.begin(request).and_then(|()| self.caller(request));
        let error = known.err()?;
        let error = self.count(request).err().unwrap_or(error);
        let refused = self.refuse(request, error);
        Some(self.finish(request, refused))
    }

    fn refused(&self, request: &mut Request<'_>, response: Response) -> Response {
        // Nobody has asked who the caller is.
        request.session().insert(Known(None));
        self.see_behind(request);
        self.log(request, response)
    }

    fn handle(&self, request: &mut Request<'_>) -> Response {
        let begun = self.begin(request);
        let found = begun.and_then(|()| self.find_admitted(request));
        let answered = found.and_then(|route| match route {
            RouteMatch::Route(route) => route
                .check_query(request.query())
                .and_then(|()| (route.action)(self, request)),
            RouteMatch::OtherMethods(allow) if request.method() == Method::Options => {
                let response = Response::new(Status::NO_CONTENT).field("allow", allow);
                Ok(match request.segments() {
                    ["v1", "models", _, ..]
                    | ["v1", "uploads", _]
                    | ["v1", "changes", _, _, ..] => models::announce(self, response),
                    _ => response,
                })
            }
            RouteMatch::OtherMethods(allow) => {
                let error = self.no_such_method(request, &allow);
                Ok(Response::error(&error).field("allow", allow))
            }
        });

        self.finish(request, answered)
    }
}

impl Api {
    /// # Errors
    /// `Forbidden` for what a page of another site sent, `BadRequest` for a secret in the URL, even a right
    /// one: it is in logs and histories already.
    fn begin(&self, request: &mut Request<'_>) -> Result<()> {
        // What was known of the caller of an earlier request must not count for this one.
        request.session().insert(Known(None));
        self.count_body(request);
        self.see_behind(request);
        self.check_origin(request)?;
        origin::host_name::no_secret_in(request.query())
    }

    /// Hands out a model that is in the cache.
    fn read_at_once(&self, name: &ModelName, request: &mut Request<'_>) -> Option<Response> {
        if !self.store.may_be_cached(name) {
            return None;
        }

        let begun = self.begin(request);
        let answered = match begun.and_then(|()| self.admit_at_once(Right::Read, request)) {
            Ok(true) => {
                let opened = self.store.open_cached(name)?;
                let counted = self.count(request);
                counted
                    .and_then(|()| models::answer(request, models::AnswerKind::Model(name), opened))
            }
            Ok(false) => return None,
            Err(error) => self.count(request).and(Err(error)),
        };

        Some(self.finish(request, answered))
    }

    /// What a request asks for, once it is admitted and counted.
    fn find_admitted(&self, request: &mut Request<'_>) -> Result<RouteMatch> {
        let found = self.find(request);
        let admitted = match &found {
            Ok(RouteMatch::Route(route)) => self.admit(route, request),
            _ => Ok(()),
        };

        // What is refused costs an answer and a line of the log, too.
        self.count_request(request)?;
        admitted.and(found)
    }

    /// A refusal, in the words of the dearning API where that was called.
    fn refuse(&self, request: &Request<'_>, error: Error) -> Result<Response> {
        let is_in_body = |route: &Route| route.access == Access::InBody;
        if self.route_of(request).is_some_and(is_in_body) {
            Ok(dearning::refusal(self, request, error))
        } else {
            Err(error)
        }
    }

    /// The answer as it is sent, with all that is told of it.
    fn finish(&self, request: &mut Request<'_>, answered: Result<Response>) -> Response {
        let answered = answered.and_then(|response| {
            let charged = self.charge_answer(request, response);
            charged.or_else(|error| self.refuse(request, error))
        });

        let response = answered.unwrap_or_else(|error| {
            let error = told_outside(error);
            self.tell_refusal(request, &error);
            self.refusal(request, &error)
        });

        let is_refused = response.status() == Status::UNAUTHORIZED;
        let response = if authorize::is_signed(request) && !is_refused {
            self.wish_for_signature(response)
        } else {
            response
        };

        self.log(request, response)
    }

    /// The route for the method and the path of a request.
    pub(crate) fn route_of(&self, request: &Request<'_>) -> Option<&'static Route> {
        let is_it = |route: &&'static Route| {
            route.method == request.method() && route.matches(request.segments())
        };
        self.routes.iter().find(is_it)
    }

    fn find(&self, request: &Request<'_>) -> Result<RouteMatch> {
        if request.target() == "*" && request.method() == Method::Options {
            return Ok(RouteMatch::OtherMethods(allow(self.routes.iter())));
        }

        if let Some(route) = self.route_of(request) {
            return Ok(RouteMatch::Route(route));
        }

        let at_path: Vec<_> = self
            .routes
            .iter()
            .filter(|route| route.matches(request.segments()))
            .collect();

        if at_path.is_empty() {
            let text = "this path does not exist";
            return Err(
                Error::new(ErrorKind::NotFound, text).hint("in HTTP: GET / lists the paths")
            );
        }

        Ok(RouteMatch::OtherMethods(allow(at_path)))
    }
}

/// The methods of these routes as a 405 and an answer to OPTIONS list them (RFC 9110 section 10.2.1).
/// HEAD comes with GET, and OPTIONS with every path.
fn allow(routes: impl IntoIterator<Item = &'static Route>) -> String {
    let mut methods = Vec::new();
    for route in routes {
        let method = route.method.as_str();
        if !methods.contains(&method) {
            methods.push(method);
        }
    }

    if methods.contains(&"GET") {
        methods.push("HEAD");
    }
    methods.push("OPTIONS");

    methods.join(", ")
}
