// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Authorization in front of the routes: who calls, whether the rights suffice, and how refusals
//! are answered.

use crate::access::{Credentials, How, Principal, SignedRequest};
use crate::error::{Error, ErrorKind, Result};
use crate::http::{BodyPlace, Method, Request, Response, Vouched};
use crate::routes::api::{Access, Api, Known, MODEL, Route};

impl Api {
    /// Whether a request without a body is answered from memory: what is refused anyhow, what says only
    /// that the server runs, and models that are in the cache.
    pub(crate) fn answers_at_once(&self, request: &Request<'_>) -> bool {
        let shown = request.fields().value("authorization");
        if !shown.is_none_or(|field| self.guard.is_quick(&Credentials::read(field))) {
            return false;
        }

        match (self.route_of(request), request.segments()) {
            // A path or a method that does not exist.
            (None, _) => true,
            (Some(route), ["healthz"]) => route.method == Method::Get,
            (Some(route), _) if self.refuses_at_once(route, request) => true,
            (Some(route), [.., name]) if route.path == MODEL && route.method == Method::Get => {
                name.parse().is_ok_and(|name| self.store.is_cached(&name))
            }
            _ => false,
        }
    }

    /// Whether a request is refused whatever it asks for: its caller is locked out, or shows nothing where
    /// something is needed.
    fn refuses_at_once(&self, route: &Route, request: &Request<'_>) -> bool {
        let (peer, tls) = (request.peer(), request.peer().tls.as_ref());
        if request.fields().value("authorization").is_some() {
            return self.guard.check(peer).is_err();
        }

        let has_certificate = tls.is_some_and(|tls| tls.certificate.is_some());
        let is_open = has_certificate || self.guard.options().anonymous_read;

        matches!(route.access, Access::Needs(_)) && !is_open
    }

    /// Finds out who calls and checks that the role suffices, before anything of the body is read.
    ///
    /// # Errors
    /// `Unauthenticated`, `Forbidden`, `TooManyRequests`, and `Misdirected` for a name under which
    /// nothing is handed out without credentials.
    pub(crate) fn admit(&self, route: &Route, request: &mut Request<'_>) -> Result<()> {
        let needed = match route.access {
            // Whatever watches the server may call it as it likes, and learns that it runs.
            Access::Open if request.segments() == ["healthz"] => return Ok(()),
            Access::Open => return self.check_host(request),
            // The route calls `caller` itself, since it words its refusals differently.
            Access::InBody => return Ok(()),
            Access::Needs(right) => right,
        };

        match self.caller(request)? {
            Some(principal) => principal.needs(needed),
            None => Err(Error::new(
                ErrorKind::Unauthenticated,
                "a password or a token is needed",
            )
            .hint("send it as Authorization: Bearer SECRET, or as the password of any user")),
        }
    }

    /// Who calls, by credentials in the fields, by a certificate, or as anybody where reading is open.
    ///
    /// # Errors
    /// As [`Api::admit`].
    pub(crate) fn caller(&self, request: &mut Request<'_>) -> Result<Option<Principal>> {
        let principal = match request.fields().value("authorization") {
            Some(field) => Some(self.shown(field, request)?),
            None => self.without_credentials(request)?,
        };
        let is_known = |principal: &Principal| principal.how != How::Anonymous;
        if principal.as_ref().is_some_and(is_known) {
            request.session().insert(Vouched);
        }

        request.session().insert(Known(principal.clone()));
        Ok(principal)
    }

    fn shown(&self, field: &str, request: &Request<'_>) -> Result<Principal> {
        let fields = request.fields();
        let digest = |name| fields.value(name).unwrap_or_default();
        let signed = SignedRequest {
            method: request.method().as_str(),
            target: request.target(),
            digests: [digest("content-digest"), digest("repr-digest")],
        };
        self.guard
            .identify(request.peer(), &Credentials::read(field), signed)
    }

    fn without_credentials(&self, request: &Request<'_>) -> Result<Option<Principal>> {
        let tls = request.peer().tls.as_ref();
        let principal = match tls.filter(|tls| tls.certificate.is_some()) {
            Some(tls) => self.guard.certificate(tls.name.as_deref()),
            None if self.guard.options().anonymous_read => Principal::anonymous(),
            None => return Ok(None),
        };
        self.check_host(request).map(|()| Some(principal))
    }

    /// No browser speaks to a Unix socket.
    fn check_host(&self, request: &Request<'_>) -> Result<()> {
        match request.peer().address {
            Some(_) => self.host_names.check(request.fields().value("host")),
            None => Ok(()),
        }
    }

    /// The answer to a request that was refused, with what the caller needs to do better.
    pub(crate) fn refusal(&self, request: &Request<'_>, error: &Error) -> Response {
        let response = Response::error(error);
        match error.kind() {
            ErrorKind::Unauthenticated => {
                response.field("www-authenticate", self.guard.challenge())
            }
            ErrorKind::TooManyRequests => self.come_back(request, response),
            _ => response,
        }
    }

    /// Adds when a caller that is locked out may come back.
    pub(crate) fn come_back(&self, request: &Request<'_>, response: Response) -> Response {
        response.field(
            "retry-after",
            self.guard.retry_after(request.peer()).to_string(),
        )
    }

    /// Takes a place for a body whose password is somewhere in it.
    pub(crate) fn enter_as_guest(&self) -> Result<BodyPlace> {
        self.guests.take(std::time::Duration::ZERO).ok_or_else(|| {
            let text = "too many imports without a password are running on this server";
            Error::new(ErrorKind::Busy, text)
        })
    }
}
