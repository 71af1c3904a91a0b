// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Authorization in front of the routes: who calls, whether the rights suffice, and how refusals
//! are answered.

use std::time::Instant;

use crate::access::{
    CHALLENGE, Credentials, How, Principal, ReceivedSignature, Recognized, Right, SignedRequest,
};
use crate::error::{Error, ErrorKind, Result};
use crate::http::{Method, Request, RequestSender, Response, Vouched};
use crate::routes::allowance::CountedCaller;
use crate::routes::api::{Access, Api, Known, Route};
use crate::routes::hub;
use crate::routes::models::digest;
use crate::routes::origin::cross_origin;
use crate::routes::origin::forwarded::Forwarded;
use crate::waiting::Rank;

impl Api {
    /// Whether a request is refused whatever it asks for: its caller shows something wrong, or nothing where
    /// something is needed.
    pub(crate) fn refuses_at_once(&self, route: &Route, request: &Request<'_>) -> bool {
        self.recognize(route, request) == Recognized::Wrong
    }

    /// Who sends a request to `route`, as far as that is known at once; nothing is counted. `None` if it is
    /// refused whatever its body is.
    pub(crate) fn sender_to(&self, route: &Route, request: &Request<'_>) -> Option<RequestSender> {
        let is_asked_first = matches!(route.access, Access::Needs(_));
        match self.recognize(route, request) {
            Recognized::Wrong => None,
            Recognized::Known(Rank::Owner(number)) => Some(RequestSender::Owner(number)),
            Recognized::Known(Rank::Holder(number)) => Some(RequestSender::Holder(number)),
            Recognized::Slow if route.access != Access::Open => Some(RequestSender::Slow),
            _ if is_asked_first => Some(RequestSender::Claimed),
            _ => Some(RequestSender::Unknown),
        }
    }

    /// What is known at first sight of whoever sends a request to `route`.
    fn recognize(&self, route: &Route, request: &Request<'_>) -> Recognized {
        let peer = request.peer();
        if let Some(holder) = self.ticket_holder(route, request) {
            return match holder {
                Ok(principal) => Recognized::Known(principal.rank()),
                Err(_) => Recognized::Wrong,
            };
        }

        let needs_more =
            matches!(route.access, Access::Needs(_)) && !self.guard.options().anonymous_read;

        match request.fields().value("authorization") {
            Some(field) => self.guard.recognize(peer, &Credentials::read(field)),
            // To verify a signature takes long on a small device.
            None if is_signed(request) => Recognized::MayBe,
            None => match self.guard.certified(peer) {
                Some(principal) => Recognized::Known(principal.rank()),
                None if needs_more => Recognized::Wrong,
                None => Recognized::MayBe,
            },
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
            Access::Linked | Access::Session => Right::Write,
            Access::Needs(right) => right,
        };

        let caller = match self.ticket_holder(route, request) {
            Some(holder) => {
                let holder = holder?;
                self.remember(request, Some(&holder))?;
                Some(holder)
            }
            None => self.caller(request)?,
        };
        match caller {
            Some(principal) => principal.needs(needed),
            None => Err(no_credentials()),
        }
    }

    /// Who holds the ticket of a request, where a route asks for one and for nothing else.
    fn ticket_holder(&self, route: &Route, request: &Request<'_>) -> Option<Result<Principal>> {
        let (ticket, scope) = match route.access {
            Access::Linked => {
                let query = request.query().unwrap_or_default();
                let ticket = query.strip_prefix("ticket=").unwrap_or_default();
                (ticket, request.path().to_owned())
            }
            Access::Session => {
                let field = request.fields().value("authorization").unwrap_or_default();
                let ticket = field.strip_prefix("Bearer ").unwrap_or_default();
                (ticket, session_scope(request))
            }
            Access::Open | Access::Needs(_) | Access::InBody => return None,
        };
        Some(self.guard.ticket_holder(request.peer(), ticket, &scope))
    }

    /// As [`Api::admit`] for a route that needs a right, as far as it needs no long computation; whether
    /// the caller is admitted, which without one is not known.
    ///
    /// # Errors
    /// As [`Api::admit`].
    pub(crate) fn admit_at_once(&self, right: Right, request: &mut Request<'_>) -> Result<bool> {
        let principal = match request.fields().value("authorization") {
            Some(field) => self
                .guard
                .identify_at_once(request.peer(), &Credentials::read(field))?,
            // To verify a signature takes long on a small device.
            None if is_signed(request) => None,
            None => self.without_credentials(request)?,
        };

        self.remember(request, principal.as_ref())?;
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
        let field = request.fields().value("authorization");
        let principal = match (field, self.signer(request)?) {
            (Some(field), _) => {
                let shown = Credentials::read(field);
                Some(self.guard.identify(request.peer(), &shown)?)
            }
            (None, Some(signer)) => Some(signer),
            (None, None) => self.without_credentials(request)?,
        };

        self.remember(request, principal.as_ref())?;
        Ok(principal)
    }

    /// Who has signed a request that shows no secret. From here on, its content has to be what was signed.
    fn signer(&self, request: &mut Request<'_>) -> Result<Option<Principal>> {
        if !is_signed(request) || request.fields().value("authorization").is_some() {
            return Ok(None);
        }

        let host = self.host(request).unwrap_or_default();
        let signed = signed(request, &host);
        let Some(shown) = ReceivedSignature::find(&signed)? else {
            return Ok(None);
        };

        let principal = self.guard.signer(request.peer(), &shown, &signed)?;

        if let Some(digest) = digest(request.fields(), "content-digest")? {
            request.body().expect_digest(digest);
        } else if signed.has_content {
            let text = "the Content-Digest of a signed request needs a sha-256";
            return Err(Error::new(ErrorKind::BadRequest, text));
        }

        Ok(Some(principal))
    }

    /// Keeps who called for the log and for the places that are held, and that the connection is not a
    /// stranger's.
    ///
    /// # Errors
    /// `TooManyRequests` if the caller has too many places, or if the body is more than it may send today.
    fn remember(&self, request: &mut Request<'_>, principal: Option<&Principal>) -> Result<()> {
        request.session().insert(Known(principal.cloned()));
        let Some(sender) = principal else {
            return Ok(());
        };

        if sender.how != How::Anonymous {
            request.session().insert(Vouched);
        }
        request.rank(sender.rank())?;
        self.charge_body(request, sender)
    }

    fn without_credentials(&self, request: &Request<'_>) -> Result<Option<Principal>> {
        let principal = match self.guard.certified(request.peer()) {
            Some(principal) => principal,
            None if self.guard.options().anonymous_read => Principal::anonymous(),
            None => return Ok(None),
        };
        self.check_host(request).map(|()| Some(principal))
    }

    /// No browser speaks to a Unix socket.
    fn check_host(&self, request: &Request<'_>) -> Result<()> {
        match request.peer().address {
            Some(_) => self.host_names.check(self.host(request).as_deref()),
            None => Ok(()),
        }
    }

    /// Behind a proxy that is trusted, the caller is whom that calls for.
    pub(crate) fn see_behind(&self, request: &mut Request<'_>) {
        let proxy = request.connected_peer();
        if let Some(caller) = self.forwarded(request).peer(proxy) {
            request.stand_for(caller);
        }
    }

    /// Refuses what a page of another site has a browser send, if it would change something or shows what
    /// the browser knows.
    ///
    /// # Errors
    /// `Forbidden`.
    pub(crate) fn check_origin(&self, request: &Request<'_>) -> Result<()> {
        let shows_something = request.fields().value("authorization").is_some()
            || request.peer().has_certificate()
            || !self.guard.options().anonymous_read;

        let is_open = |route: &Route| route.access == Access::Open || !shows_something;
        let is_harmless =
            cross_origin::is_safe(request.method()) && self.route_of(request).is_none_or(is_open);
        if is_harmless || request.method() == Method::Options {
            return Ok(());
        }

        let host = self.host(request);
        cross_origin::check(request.fields(), scheme(request), host.as_deref())
    }

    /// Where the caller reaches this server, without a path: what links in an answer begin with.
    pub(crate) fn base_url(&self, request: &Request<'_>) -> String {
        let is_plain = |host: &String| {
            let is_host = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:[]%".contains(&byte);
            !host.is_empty() && host.bytes().all(is_host)
        };
        let host = self.host(request).filter(is_plain);
        let host = host.unwrap_or_else(|| "localhost".to_owned());
        format!("{}://{host}", scheme(request))
    }

    fn forwarded(&self, request: &Request<'_>) -> Forwarded {
        let proxies = &self.guard.options().trusted_proxies;
        Forwarded::read(proxies, request.connected_peer(), request.fields())
    }

    /// The host that the caller asked for.
    fn host(&self, request: &Request<'_>) -> Option<String> {
        let sent = || request.fields().value("host").map(str::to_owned);
        self.forwarded(request).host.or_else(sent)
    }

    /// The answer to a request that was refused, with what the caller needs to do better.
    pub(crate) fn refusal(&self, request: &Request<'_>, error: &Error) -> Response {
        if hub::is_hub(request) {
            return hub::refusal(self, request, error);
        }
        let response = Response::error(error);
        match error.kind() {
            ErrorKind::Unauthenticated => {
                self.wish_for_signature(response.field("www-authenticate", CHALLENGE))
            }
            ErrorKind::TooManyRequests => self.come_back(request, error, response),
            _ => response,
        }
    }

    /// Adds a nonce for the next request, so that a caller who signs has it without asking.
    pub(crate) fn wish_for_signature(&self, response: Response) -> Response {
        match self.guard.signature_wish() {
            Some(wish) => response.field("accept-signature", wish),
            None => response,
        }
    }

    /// Adds when a caller that is locked out, or asks too often, may come back.
    pub(crate) fn come_back(
        &self,
        request: &Request<'_>,
        error: &Error,
        response: Response,
    ) -> Response {
        let known = error.retry_after().map(|pause| pause.as_secs().max(1));
        let seconds = known.unwrap_or_else(|| self.guard.retry_after(request.peer()));
        response.field("retry-after", seconds.to_string())
    }

    /// Counts a request, unless it only asks whether the server runs.
    ///
    /// # Errors
    /// `TooManyRequests`.
    pub(crate) fn count_request(&self, request: &mut Request<'_>) -> Result<()> {
        if request.segments() == ["healthz"] {
            return Ok(());
        }
        self.count(request)
    }

    /// Counts a request for whoever is known to send it, and else for the address.
    ///
    /// # Errors
    /// `TooManyRequests`.
    pub(crate) fn count(&self, request: &mut Request<'_>) -> Result<()> {
        let peer = request.peer().clone();
        let known = request.session().value::<Known>();
        let principal = known.and_then(|known| known.0.as_ref());
        self.rate
            .take(CountedCaller::of(&peer, principal), Instant::now())
    }
}

/// What a ticket of a session is for: the beginning of the paths in it.
fn session_scope(request: &Request<'_>) -> String {
    let segments = request.segments().iter().take(SESSION_SEGMENTS);
    segments.fold(String::new(), |path, segment| format!("{path}/{segment}"))
}

fn scheme(request: &Request<'_>) -> &'static str {
    match request.peer().tls {
        Some(_) => "https",
        None => "http",
    }
}

/// For whoever shows nothing where something is needed.
pub(crate) fn no_credentials() -> Error {
    let text = "a password or a token is needed";
    Error::new(ErrorKind::Unauthenticated, text)
        .hint("send it as Authorization: Bearer SECRET, or as the password of any user")
}

/// Whether a request has a signature, for whomever.
pub(crate) fn is_signed(request: &Request<'_>) -> bool {
    request.fields().value("signature-input").is_some()
}

/// What a signature can cover of a request to this host.
fn signed<'h, 'a: 'h>(request: &mut Request<'a>, host: &'h str) -> SignedRequest<'h> {
    let fields = request.fields();
    SignedRequest {
        method: if request.is_head() {
            "HEAD"
        } else {
            request.method().as_str()
        },
        is_encrypted: request.peer().tls.is_some(),
        host,
        target: request.target(),
        fields: fields.iter().collect(),
        has_content: request.body().length() != Some(0),
    }
}

/// Segments of a path that tell a session.
const SESSION_SEGMENTS: usize = 3;
