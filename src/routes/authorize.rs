// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Authorization in front of the routes: who calls, whether the rights suffice, and how refusals
//! are answered.

use crate::access::{Credentials, How, Principal, Recognized, Right, SignedRequest};
use crate::error::{Error, ErrorKind, Result};
use crate::http::{GuestPlace, Request, RequestSender, Response, Vouched};
use crate::routes::api::{Access, Api, Known, Route};

impl Api {
    /// Whether a request is refused whatever it asks for: its caller is locked out, or shows nothing where
    /// something is needed.
    pub(crate) fn refuses_at_once(&self, route: &Route, request: &Request<'_>) -> bool {
        let (peer, tls) = (request.peer(), request.peer().tls.as_ref());
        if request.fields().value("authorization").is_some() {
            return self.guard.check(peer).is_err();
        }

        let has_certificate = tls.is_some_and(|tls| tls.certificate.is_some());
        let is_open = has_certificate || self.guard.options().anonymous_read;

        matches!(route.access, Access::Needs(_)) && !is_open
    }

    /// Who sends a request to `route`, as far as that is known at once; nothing is counted. `None` if it is
    /// refused whatever its body is.
    pub(crate) fn sender_to(&self, route: &Route, request: &Request<'_>) -> Option<RequestSender> {
        if self.refuses_at_once(route, request) {
            return None;
        }

        let tls = request.peer().tls.as_ref();
        let has_certificate = tls.is_some_and(|tls| tls.certificate.is_some());
        let is_asked_first = matches!(route.access, Access::Needs(_));
        let recognized = match request.fields().value("authorization") {
            Some(field) => self.guard.recognize(&Credentials::read(field)),
            None if has_certificate => Recognized::Known,
            None => Recognized::MayBe,
        };

        match recognized {
            Recognized::Known => Some(RequestSender::Known),
            Recognized::Wrong if is_asked_first => None,
            _ if is_asked_first => Some(RequestSender::Claimed),
            _ => Some(RequestSender::Unknown),
        }
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

    /// As [`Api::admit`] for a route that needs a right, as far as it needs no long computation; whether
    /// the caller is admitted, which without one is not known.
    ///
    /// # Errors
    /// As [`Api::admit`].
    pub(crate) fn admit_at_once(&self, right: Right, request: &mut Request<'_>) -> Result<bool> {
        let principal = match request.fields().value("authorization") {
            Some(field) => self.guard.identify_at_once(
                request.peer(),
                &Credentials::read(field),
                signed(request),
            )?,
            None => self.without_credentials(request)?,
        };

        remember(request, principal.as_ref());
        match principal {
            Some(principal) => principal.needs(right).map(|()| true),
            None => Ok(false),
        }
    }

    /// Who calls, by credentials in the fields, by a certificate, or as anybody where reading is open.
    ///
    /// # Errors
    /// As [`Api::admit`].
    pub(crate) fn caller(&self, request: &mut Request<'_>) -> Result<Option<Principal>> {
        let principal = match request.fields().value("authorization") {
            Some(field) => Some(self.guard.identify(
                request.peer(),
                &Credentials::read(field),
                signed(request),
            )?),
            None => self.without_credentials(request)?,
        };

        remember(request, principal.as_ref());
        Ok(principal)
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
}

/// What an answer to a challenge signs of a request.
fn signed<'a>(request: &Request<'a>) -> SignedRequest<'a> {
    let fields = request.fields();
    let digest = |name| fields.value(name).unwrap_or_default();
    SignedRequest {
        method: request.method().as_str(),
        target: request.target(),
        digests: [digest("content-digest"), digest("repr-digest")],
    }
}

/// Keeps who called for the log, and that the connection is not a stranger's.
fn remember(request: &mut Request<'_>, principal: Option<&Principal>) {
    if principal.is_some_and(|principal| principal.how != How::Anonymous) {
        request.session().insert(Vouched);
        if let Some(guest) = request.session().value_mut::<GuestPlace>() {
            guest.0 = None;
        }
    }
    request.session().insert(Known(principal.cloned()));
}
