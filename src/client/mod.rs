// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The client: sends models to a server and fetches them, through API v1 or the dearning API.
//!
//! Invariants: nothing is sent to a server that is not trusted, no password over a line that is not
//! encrypted (there, requests are signed), and no file appears under its name before it is whole and its
//! digest is right. Names that come from a server are checked like any other text from outside.

mod api;
mod background;
mod changes;
mod client_options;
mod connection;
mod dearning;
mod describing;
mod download;
mod hub_repository;
mod model_description;
mod model_path;
mod pairing;
mod parallel;
mod retry;
mod single_pass;
#[cfg(test)]
mod tests;
mod transfer;
mod trust;
mod upload;
mod upstream;

pub use api::{Answer, Payload};
pub use background::Transfer;
pub(crate) use changes::{
    Committed, LocalFile, LocalTree, RememberedDigests, RememberedSet, Removal, Undo,
};
pub use client_options::ClientOptions;
pub use connection::{ClientCertificate, PasswordOver};
pub use dearning::{Imported, tidy};
pub use download::{Download, Fetched, Proof};
pub(crate) use download::{HiddenFiles, TargetTree, digest_of};
pub(crate) use hub_repository::{HubKind, HubRepository};
pub(crate) use pairing::{PairNames, PairedServer, Servers, pair as accept};
pub(crate) use parallel::{TransferList, TransferNews};
pub use single_pass::{Outcome, Stored};
pub(crate) use transfer::RETRIES_MAX;
pub use transfer::{
    Changes, FileTimes, Replaces, SignedName, TransferEvent, TransferEvents, TransferOptions,
};
pub use trust::{FirstUse, Question, Trust};
pub use upload::{EmptyInput, Piped};
pub(crate) use upstream::{Upstream, UpstreamAnswer, UpstreamOptions};

use std::io::Read;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use ureq::http::request::Builder;
use ureq::http::{Method, Request, Response, StatusCode};
use ureq::{Agent, AsSendBody, Body, SendBody};

use crate::address::AddressReach;
use crate::digest::Digest;
use crate::error::{Error, ErrorKind, Result};
use crate::model::{ModelName, Revision};
use crate::pin::Pin;
use crate::stop::{Shutdown, Stop};
use crate::wire::StatusWire;
use changes::ChangePath;
use connection::{Dialer, Login, Shared, TransferRate};
use model_description::ModelDescription;
use parallel::ConnectionRole;
use trust::ServerCheck;

pub use crate::address::Scheme;
pub use crate::address::ServerUrl;

/// A client of one server. It keeps its connection open between requests.
pub struct Client {
    agent: Agent,
    url: ServerUrl,
    login: Login,
    /// Opens connections; the agent has one of its own.
    dialer: Dialer,
    home: Option<PathBuf>,
    pace: TransferRate,
    /// What is said of the models that are sent.
    about: ModelDescription,
    /// The change set that they are sent into, if it is one.
    change: Option<ChangePath>,
    /// The revision of a folder that is fetched, if it is an old one.
    revision: Option<Revision>,
    /// What the bytes have that are fetched, if they are those of an old version.
    version: Option<Digest>,
    shared: Arc<Shared>,
    role: ConnectionRole,
    /// Ends this client for good.
    whole: Stop,
    /// Ends every call, and every pause in it; a child of `whole`.
    stop: Stop,
}

impl Client {
    /// A client that has not connected yet.
    ///
    /// # Errors
    /// `Forbidden` if the password was not made by skep and cannot be proved in the clear, `Usage` if a pin or an
    /// authority is to be checked without TLS, or a file of certificates cannot be used.
    pub fn new(options: ClientOptions) -> Result<Self> {
        let url = options.server;
        let is_checked = matches!(options.trust, Trust::Pinned(_) | Trust::Authority(_));
        // Without TLS nothing would be checked, and the caller would believe that it was.
        if url.scheme() == Scheme::Http && is_checked {
            let message = format!("{url} shows no key, so --pin and --ca have nothing to check");
            return Err(Error::new(ErrorKind::Usage, message).hint("use https://"));
        }

        let login = Login::new(options.password, &url, options.password_over)?;
        let whole = Stop::new();
        let stop = whole.child();

        let shared = Arc::new(Shared::default());
        let guard = ServerCheck::new(options.trust, options.home.clone(), options.public_roots)?;
        let dialer = Dialer {
            url: url.clone(),
            elsewhere: options.elsewhere,
            reach: AddressReach::Anywhere,
            guard: Arc::new(guard),
            tls: connection::tls(options.certificate.as_ref())?,
            connect_timeout: options.connect_timeout,
            timeout: options.timeout,
            rate: options.rate,
            shared: Arc::clone(&shared),
            stop: stop.clone(),
        };

        Ok(Self {
            agent: connection::agent(dialer.clone()),
            dialer,
            url,
            login,
            home: options.home,
            pace: TransferRate::new(options.rate, &stop),
            about: ModelDescription::default(),
            change: None,
            revision: None,
            version: None,
            shared,
            role: ConnectionRole::First,
            whole,
            stop,
        })
    }

    /// What ends the calls of this client from another thread, wherever they wait: between two
    /// attempts, between two pieces where the rate is limited, and for the server. The running call
    /// and all later ones fail with `Interrupted`, and what came across is kept as after any other
    /// interruption. A look-up of a host name, which the system does, is not ended.
    pub fn shutdown(&self) -> Shutdown {
        Shutdown::of(self.whole.clone())
    }

    /// The server.
    pub fn server(&self) -> &ServerUrl {
        &self.url
    }

    /// How the server is, and what this client may do there. The texts are those of the server.
    ///
    /// # Errors
    /// Those of the connection and of the server.
    pub(crate) fn status(&mut self) -> Result<StatusWire> {
        let mut response = self.ask(Method::GET, "/v1/status")?;
        api::json(&mut response)
    }

    /// Removes a model from the server.
    ///
    /// # Errors
    /// `NotFound`, `NotImplemented` for an answer that does not say so, and those of the connection
    /// and of the server.
    pub fn remove(&mut self, name: &ModelName) -> Result<()> {
        self.remove_with_undo(name).map(drop)
    }

    /// The same; returns whether the server says that it cannot be brought back.
    pub(crate) fn remove_with_undo(&mut self, name: &ModelName) -> Result<Undo> {
        let response = self.ask(Method::DELETE, &model_path::model_path(name))?;
        api::gone(&response)?;
        let kept = response.headers().get("skep-kept");
        Ok(match kept.map(|value| value.as_bytes()) {
            Some(b"?0") => Undo::Impossible,
            _ => Undo::Possible,
        })
    }

    /// Where a model is sent.
    fn upload_target(&self, name: &ModelName) -> String {
        match &self.change {
            Some(change) => change.of(name),
            None => model_path::model_path(name),
        }
    }

    /// A request without a body, tried again once if the connection turned out to be stale.
    fn ask(&mut self, method: Method, path: &str) -> Result<Response<Body>> {
        let request = || self.builder(method.clone(), path);
        self.exchange_again(request).and_then(api::accepted)
    }

    /// Whatever the answer is, to a request without a body.
    fn exchange_again(&self, request: impl Fn() -> Builder) -> Result<Response<Body>> {
        let opened = self.opened();
        let result = self.exchange(request(), ());
        // If no connection was opened for this request, it went over one that was kept, which the server may
        // have closed in the meantime. A failure on a fresh connection is left to the caller.
        if matches!(&result, Err(error) if error.kind() == ErrorKind::Interrupted)
            && opened > 0
            && opened == self.opened()
        {
            return self.exchange(request(), ());
        }
        // A server that was started anew knows nothing of the nonce it gave before, and gives a new one.
        if matches!(&result, Ok(response) if response.status() == StatusCode::UNAUTHORIZED)
            && self.login.may_sign_again()
        {
            return self.exchange(request(), ());
        }
        result
    }

    fn builder(&self, method: Method, path: &str) -> Builder {
        let request = Request::builder()
            .method(method.clone())
            .uri(format!("{}{path}", self.url.base()));
        // It belongs to the request that creates a model or an upload, which is always a PUT.
        if method != Method::PUT {
            return request;
        }

        let fields = self.about.fields().into_iter();
        fields.fold(request, |request, (field, text)| {
            request.header(field, text)
        })
    }

    /// How many bytes of an upload one request may bring. Where it is signed, the server keeps a piece whole
    /// or not at all.
    fn piece_max(&self) -> u64 {
        if self.login.signs() {
            SIGNED_PIECE_BYTES
        } else {
            u64::MAX
        }
    }

    /// Sends a request with content. Where it is signed, the content is held and digested first, unless the
    /// request has its digest already.
    ///
    /// # Errors
    /// `TooLarge` for more content than is held; otherwise those of the content, the connection and the
    /// server.
    fn send(&self, mut request: Builder, content: &mut dyn Read) -> Result<Response<Body>> {
        let has = |request: &Builder, name: &str| {
            request
                .headers_ref()
                .is_some_and(|fields| fields.contains_key(name))
        };

        if !self.login.signs() || has(&request, "content-digest") {
            return self.exchange(request, SendBody::from_reader(&mut { content }));
        }

        // An answer of the request before must not end the reading.
        self.shared.early.set(false);
        let mut held = Vec::new();
        content.take(HELD_BYTES_MAX + 1).read_to_end(&mut held)?;
        if held.len() as u64 > HELD_BYTES_MAX {
            let text = "over plain HTTP, so much content cannot be signed in one request";
            return Err(Error::new(ErrorKind::TooLarge, text)
                .hint("use https://, or send it as a file: skep put FILE"));
        }

        request = request.header("content-digest", Digest::of(&held).field());
        if !has(&request, "content-length") {
            request = request.header("content-length", held.len());
        }

        self.exchange(request, &held[..])
    }

    fn exchange(&self, request: Builder, body: impl AsSendBody) -> Result<Response<Body>> {
        // The flag may still be set by an early answer to the request before.
        self.shared.early.set(false);
        let request = self.login.add(request, &self.agent, &self.url)?;
        let request = request.body(body).map_err(|error| {
            Error::new(ErrorKind::Internal, "the request cannot be written").because(error)
        })?;
        log::debug!("{} {}", request.method(), request.uri());
        let mut response = self.agent.run(request).map_err(|error| {
            let error = api::trouble(error);
            // A TLS port often just hangs up on plain HTTP. An end that our own stop brought about is no
            // sign of that.
            let is_cut = error.kind() == ErrorKind::Interrupted && error.hint_text().is_none();
            if is_cut && self.url.scheme() == Scheme::Http && !self.stop.is_stopped() {
                error.hint("if it speaks TLS, use https:// in --server")
            } else {
                error
            }
        })?;

        log::debug!("the answer is {}", response.status());
        api::attach(&mut response, &self.shared.early);
        self.login.learn(response.headers());
        Ok(response)
    }

    /// Connections opened so far; unchanged by a request that used an old one.
    fn opened(&self) -> u64 {
        self.shared.opened.load(Ordering::Relaxed)
    }
}

/// The pin of the key that a server shows, whoever it is. Nothing is sent to it.
///
/// # Errors
/// `Usage` for plain HTTP, and those of the connection.
pub fn shown_pin(server: &ServerUrl, connect_timeout: Duration) -> Result<Pin> {
    if server.scheme() == Scheme::Http {
        let message = format!("{server} shows no key");
        return Err(Error::new(ErrorKind::Usage, message).hint("use https://"));
    }
    let dialer = Dialer {
        url: server.clone(),
        elsewhere: None,
        reach: AddressReach::Anywhere,
        // Safe, because `look` sends no request after the handshake.
        guard: Arc::new(ServerCheck::new(Trust::Anything, None, Vec::new())?),
        tls: connection::tls(None)?,
        connect_timeout,
        timeout: connect_timeout,
        rate: None,
        shared: Arc::default(),
        stop: Stop::new(),
    };
    dialer.look()
}

/// What a cut costs at most, where requests are signed.
const SIGNED_PIECE_BYTES: u64 = 1 << 20;

/// Content that is held in memory to be signed; larger files are sent in pieces.
const HELD_BYTES_MAX: u64 = 8 << 20;
