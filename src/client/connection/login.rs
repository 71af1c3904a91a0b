// SPDX-License-Identifier: Apache-2.0 OR MIT
//! How a client shows its password: as it is over lines that nobody reads, and as the answer to a
//! challenge (`Skep-HMAC`) over plain HTTP to other devices, where it does not cross the line.

use std::cell::RefCell;
use std::time::{Duration, Instant};

use ureq::Agent;
use ureq::http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use ureq::http::request::Builder;
use ureq::http::{Request, StatusCode};

use crate::access::{Challenge, Password, SCHEME, SignedRequest, TOKEN_CHARACTERS_MIN};
use crate::address::{Scheme, ServerUrl};
use crate::client::api::answers;
use crate::client::connection::password_over::PasswordOver;
use crate::error::{Error, ErrorKind, Result};

/// A password, and how it is shown.
pub(crate) struct Login {
    password: Option<Password>,
    way: LoginWay,
    /// The challenge that is being answered, when it came, and how often it was answered.
    challenge: RefCell<Option<(Challenge, Instant, u32)>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum LoginWay {
    AsItIs,
    ByAnswer,
}

impl Login {
    /// The way that suits a server.
    ///
    /// # Errors
    /// `Forbidden` for a password that must not even be proved over a line that can be read, because
    /// whoever listens could find it out by guessing.
    pub(crate) fn new(
        password: Option<Password>,
        url: &ServerUrl,
        over: PasswordOver,
    ) -> Result<Self> {
        // What crosses loopback can be read only by those who control this device anyway.
        let is_protected = url.scheme() == Scheme::Https || url.is_loopback();
        let way = if is_protected || over == PasswordOver::Anything {
            LoginWay::AsItIs
        } else {
            LoginWay::ByAnswer
        };

        // Words that people choose can be guessed, however long they are.
        let is_chosen = |password: &Password| {
            let text = password.text();
            text.len() < TOKEN_CHARACTERS_MIN
                || text.contains(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_')
        };

        // Whoever records a challenge and its answer can try words against them without the server.
        if way == LoginWay::ByAnswer && password.as_ref().is_some_and(is_chosen) {
            let message = format!(
                "{url} is not encrypted, and whoever listens could guess a password that is not at \
                 least {TOKEN_CHARACTERS_MIN} random letters and digits, so it was not used"
            );
            return Err(Error::new(ErrorKind::Forbidden, message).hint(INSTEAD));
        }

        Ok(Self {
            password,
            way,
            challenge: RefCell::default(),
        })
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
            .hint("set SKEP_PASSWORD, or use --password-file or --password-stdin")
        })?;

        if self.way == LoginWay::ByAnswer {
            let message = format!("the password would go to {url} unencrypted, so it is not sent");
            return Err(Error::new(ErrorKind::Forbidden, message)
                .hint("use https://, or --send-password if you trust everybody on the way"));
        }

        Ok(password)
    }

    /// Adds the field that shows the password.
    ///
    /// # Errors
    /// Those of asking the server for a challenge, and `Forbidden` if it has none.
    pub(crate) fn add(&self, request: Builder, agent: &Agent, url: &ServerUrl) -> Result<Builder> {
        let Some(password) = &self.password else {
            return Ok(request);
        };

        if self.way == LoginWay::AsItIs {
            return Ok(request.header(AUTHORIZATION, password.basic()));
        }

        let method = request
            .method_ref()
            .map(ToString::to_string)
            .unwrap_or_default();

        if matches!(method.as_str(), "PATCH" | "PUT" | "POST") {
            // A body can be sent only once, so its request does not rely on an old challenge.
            self.forget();
        }

        let (challenge, count) = self.challenge(agent, url)?;

        // The answer covers the announced digests, so that it cannot be used for other content.
        let value = |name: &str| {
            let value = request.headers_ref().and_then(|fields| fields.get(name));
            value
                .and_then(|value| value.to_str().ok())
                .unwrap_or_default()
                .to_owned()
        };

        let (content, repr) = (value("content-digest"), value("repr-digest"));

        let target = request
            .uri_ref()
            .and_then(|uri| uri.path_and_query())
            .map(ToString::to_string);

        let signed = SignedRequest {
            // The server takes HEAD for GET.
            method: if method == "HEAD" { "GET" } else { &method },
            target: target.as_deref().unwrap_or("/"),
            digests: [&content, &repr],
        };

        let answer = challenge.answer(password, count, signed)?;

        Ok(request.header(AUTHORIZATION, answer))
    }

    /// Forgets the challenge, which the server has refused; whether there was one that had worked.
    pub(crate) fn forget(&self) -> bool {
        self.challenge
            .borrow_mut()
            .take()
            .is_some_and(|(_, _, count)| count > 1)
    }

    /// The challenge to be answered, and the number of this answer.
    fn challenge(&self, agent: &Agent, url: &ServerUrl) -> Result<(Challenge, u32)> {
        let mut kept = self.challenge.borrow_mut();
        if let Some((challenge, since, count)) = &mut *kept
            && since.elapsed() < FRESH
        {
            // A server takes each count once, so that a recorded answer is of no use.
            *count += 1;
            return Ok((challenge.clone(), *count));
        }

        let challenge = ask(agent, url)?;
        *kept = Some((challenge.clone(), Instant::now(), 1));

        Ok((challenge, 1))
    }
}

/// Asks the server for a challenge; nothing else is asked of it and nothing is told.
fn ask(agent: &Agent, url: &ServerUrl) -> Result<Challenge> {
    let uri = format!("{}/v1/models", url.base());
    let request = Request::builder()
        .uri(uri)
        .header(AUTHORIZATION, SCHEME)
        .body(());

    let request = request.map_err(|error| {
        Error::new(ErrorKind::Internal, "the request cannot be written").because(error)
    })?;

    let response = agent.run(request).map_err(crate::client::api::trouble)?;
    let fields = response.headers().get_all(WWW_AUTHENTICATE).iter();
    let found = fields
        .filter_map(|field| field.to_str().ok())
        .find_map(Challenge::find);

    if let Some(found) = found {
        // Read to its end, so that the connection is used again.
        let _ = response.into_body().read_to_vec();
        return Ok(found);
    }

    // Whoever is locked out is told so. A 401 without a challenge may be the work of somebody on the
    // way, who wants the password itself.
    if response.status() != StatusCode::UNAUTHORIZED {
        answers::accepted(response)?;
    }

    let message =
        format!("{url} is not encrypted and has no challenge, so the password is not sent");

    Err(Error::new(ErrorKind::Forbidden, message).hint(INSTEAD))
}

const INSTEAD: &str = "use https://, or a token of the server ('skep token new NAME'), or \
                       --send-password if you trust everybody on the way";

/// Shorter than the five minutes for which servers take answers.
const FRESH: Duration = Duration::from_secs(60);
