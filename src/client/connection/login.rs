// SPDX-License-Identifier: Apache-2.0 OR MIT
//! How a client shows who it is: by its password or token over TLS, and over every other line, this device
//! included, by a signature of the request (HTTP Message Signatures), so that no secret crosses it.

use std::cell::{Cell, RefCell};
use std::io::Read as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ureq::Agent;
use ureq::http::header::{AUTHORIZATION, HOST, HeaderMap};
use ureq::http::request::Builder;
use ureq::http::{Method, Request, StatusCode};

use crate::access::{DerivedKey, Password, SignedRequest, sign, wished_nonce};
use crate::address::{Scheme, ServerUrl};
use crate::client::api::{AnswerContent, answers};
use crate::client::connection::password_over::PasswordOver;
use crate::clock;
use crate::digest::Digest;
use crate::error::{Error, ErrorKind, Result};

/// A password, and how it is shown.
pub(crate) struct Login {
    password: Option<Password>,
    way: LoginWay,
    /// The nonce for the next signature, and when it came. It is good once.
    nonce: RefCell<Option<(String, Instant)>>,
    /// Whether the last request was signed with a nonce that was kept, which the server may have forgotten.
    was_kept: Cell<bool>,
}

#[derive(Clone)]
enum LoginWay {
    AsItIs,
    BySignature(Arc<DerivedKey>),
}

impl Login {
    /// The way that suits a server.
    ///
    /// # Errors
    /// `Forbidden` for a password that was not made by skep, which over a line that can be read is not
    /// even proved, because whoever listens could find it out by guessing.
    pub(crate) fn new(
        password: Option<Password>,
        url: &ServerUrl,
        over: PasswordOver,
    ) -> Result<Self> {
        // Of this device, too: any program may have taken the port or the name of the socket.
        let is_encrypted = url.scheme() == Scheme::Https;

        let way = match &password {
            Some(password) if !is_encrypted && over == PasswordOver::Protected => {
                let key = DerivedKey::of(password.text().as_bytes());
                LoginWay::BySignature(Arc::new(key.ok_or_else(|| guessable(url))?))
            }
            _ => LoginWay::AsItIs,
        };

        Ok(Self {
            password,
            way,
            nonce: RefCell::default(),
            was_kept: Cell::default(),
        })
    }

    /// The same for another connection. Each nonce is good for one request, so none is shared.
    pub(crate) fn for_another(&self) -> Self {
        Self {
            password: self.password.clone(),
            way: self.way.clone(),
            nonce: RefCell::default(),
            was_kept: Cell::default(),
        }
    }

    /// Whether requests are signed, which needs the digest of their content.
    pub(crate) fn signs(&self) -> bool {
        matches!(self.way, LoginWay::BySignature(_))
    }

    /// The password for an API that takes it in the body.
    ///
    /// # Errors
    /// `Unauthenticated` if there is none, `Forbidden` if it would travel in the clear.
    pub(crate) fn in_body(&self, url: &ServerUrl) -> Result<&Password> {
        let password = self.password.as_ref().ok_or_else(|| {
            Error::new(
                ErrorKind::Unauthenticated,
                "the dearning API needs a password",
            )
            .hint(answers::PASSWORD_HINT)
        })?;

        if self.signs() {
            let message = format!("the password would go to {url} unencrypted, so it is not sent");
            return Err(Error::new(ErrorKind::Forbidden, message)
                .hint("use https://, or --send-password if you trust everybody on the way"));
        }

        Ok(password)
    }

    /// Adds the fields that show who asks. All other fields have to be there.
    ///
    /// # Errors
    /// Those of asking the server for a nonce, and `Forbidden` if it has none.
    pub(crate) fn add(&self, request: Builder, agent: &Agent, url: &ServerUrl) -> Result<Builder> {
        let Some(password) = &self.password else {
            return Ok(request);
        };

        let LoginWay::BySignature(key) = &self.way else {
            return Ok(request.header(AUTHORIZATION, password.basic()));
        };

        let has_content = request
            .headers_ref()
            .is_some_and(|fields| fields.contains_key("content-digest"));
        if has_content {
            // A body can be sent only once, so its request does not rely on a nonce that may be over.
            self.forget();
        }

        let kept = self.fresh();
        self.was_kept.set(kept.is_some());
        let nonce = match kept {
            Some(nonce) => nonce,
            None => ask(key, agent, url)?,
        };

        signed(request, key, Some(&nonce))
    }

    /// Keeps the nonce that an answer brings, for the next request.
    pub(crate) fn learn(&self, fields: &HeaderMap) {
        if let Some(nonce) = nonce_in(fields) {
            *self.nonce.borrow_mut() = Some((nonce, Instant::now()));
        }
    }

    /// Whether a refused request may be sent again: it had a nonce that may have been over, and the refusal
    /// brought a new one.
    pub(crate) fn may_sign_again(&self) -> bool {
        self.was_kept.get() && self.nonce.borrow().is_some()
    }

    fn forget(&self) {
        self.nonce.borrow_mut().take();
    }

    /// The kept nonce. A server takes each one once, so it is not kept any longer.
    fn fresh(&self) -> Option<String> {
        let (nonce, since) = self.nonce.borrow_mut().take()?;
        (since.elapsed() < FRESH).then_some(nonce)
    }
}

fn guessable(url: &ServerUrl) -> Error {
    let message = format!(
        "{url} is not encrypted, and whoever listens could guess a password that skep did not make, \
         so it was not used"
    );
    Error::new(ErrorKind::Forbidden, message).hint(INSTEAD)
}

/// Signs a request as it stands.
fn signed(mut request: Builder, key: &DerivedKey, nonce: Option<&str>) -> Result<Builder> {
    // Such a request may have content, so it has to say that there is none.
    if may_have_content(&request) {
        request = request.header("content-digest", Digest::of(b"").field());
    }

    let unwritten = || Error::new(ErrorKind::Internal, "the request cannot be written");
    let (Some(method), Some(uri), Some(headers)) = (
        request.method_ref(),
        request.uri_ref(),
        request.headers_ref(),
    ) else {
        // What was wrong with it comes out when it is sent.
        return Ok(request);
    };

    let mut fields = Vec::new();
    for (name, value) in headers {
        fields.push((
            name.as_str(),
            value.to_str().map_err(|error| unwritten().because(error))?,
        ));
    }

    let authority = uri.authority().ok_or_else(unwritten)?.to_string();
    let target = uri.path_and_query().map_or("/", |target| target.as_str());

    let parts = SignedRequest {
        method: method.as_str(),
        is_encrypted: false,
        host: &authority,
        target,
        fields,
        has_content: false,
    };

    // The nonce says that it is new; the time only helps whoever reads along, if it is right.
    let created = clock::is_trusted().then(clock::seconds);
    let (input, signature) = sign(key, &parts, nonce, created)?;

    Ok(request
        .header(HOST, authority)
        .header("signature-input", input)
        .header("signature", signature))
}

/// Whether the fields leave open whether there is content.
fn may_have_content(request: &Builder) -> bool {
    let is_sent_with =
        |method: &Method| [Method::POST, Method::PUT, Method::PATCH].contains(method);
    let says = |fields: &HeaderMap| {
        fields.contains_key("content-length") || fields.contains_key("content-digest")
    };
    request.method_ref().is_some_and(is_sent_with) && !request.headers_ref().is_some_and(says)
}

/// Asks the server for a nonce, by a signature that has none; nothing else is asked of it and nothing is
/// told.
fn ask(key: &DerivedKey, agent: &Agent, url: &ServerUrl) -> Result<String> {
    let uri = format!("{}/v1/models", url.base());
    let request = signed(Request::builder().uri(uri), key, None)?.body(());

    let request = request.map_err(|error| {
        Error::new(ErrorKind::Internal, "the request cannot be written").because(error)
    })?;

    let response = agent.run(request).map_err(crate::client::api::trouble)?;

    if let Some(nonce) = nonce_in(response.headers()) {
        // Read to its end, so that the connection is used again.
        let _ = AnswerContent::of(response)
            .small()
            .take(ANSWER_BYTES_MAX)
            .read_to_end(&mut Vec::new());
        return Ok(nonce);
    }

    // Whoever is locked out is told so. A 401 without a nonce may be the work of somebody on the way, who
    // wants the password itself.
    if response.status() != StatusCode::UNAUTHORIZED {
        answers::accepted(response)?;
    }

    let message =
        format!("{url} is not encrypted and takes no signatures, so the password is not sent");

    Err(Error::new(ErrorKind::Forbidden, message).hint(INSTEAD))
}

/// The nonce in the fields of an answer.
fn nonce_in(fields: &HeaderMap) -> Option<String> {
    let wishes = fields.get_all("accept-signature").iter();
    wishes
        .filter_map(|field| field.to_str().ok())
        .find_map(wished_nonce)
}

/// The refusal that brings a nonce is one small document.
const ANSWER_BYTES_MAX: u64 = 64 << 10;

const INSTEAD: &str = "use https://, or a token of the server ('skep token new NAME'), or \
                       --send-password if you trust everybody on the way";

/// Shorter than the five minutes for which servers take nonces.
const FRESH: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nonce_is_the_one_that_the_server_wishes_and_no_other_word() {
        let wish = r#"sig=();nonce="ab-_9";tag="skep""#;
        let mut fields = HeaderMap::new();
        assert_eq!(nonce_in(&fields), None);

        fields.append("accept-signature", "other=()".parse().unwrap());
        assert_eq!(nonce_in(&fields), None);
        fields.append("accept-signature", wish.parse().unwrap());
        assert_eq!(nonce_in(&fields).as_deref(), Some("ab-_9"));
    }
}
