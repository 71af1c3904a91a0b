// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A request that was handled, until its answer is sent: what becomes of the connection then, and the
//! line that is logged.

use std::borrow::Cow;
use std::io;
use std::sync::Arc;
use std::time::Instant;

use super::caller::{After, HttpCaller, LINGER_BYTES};
use super::draining::Draining;
use super::http_shared::HttpShared;
use crate::error::Error;
use crate::http::answer_head::{Asked, Persistence};
use crate::http::body::BodyProgress;
use crate::http::head::Head;
use crate::http::response::{Content, Response, Sent, Status, WhenSent};
use crate::limits::Limits;
use crate::text::shortened;
use crate::transport::Peer;

/// A request that was handled, and what has to be known of its answer once that is sent.
pub(super) struct AnswerEnd {
    pub(super) caller: HttpCaller,
    pub(super) shared: Arc<HttpShared>,
    pub(super) asked: Asked,
    pub(super) is_endless: bool,
    /// Bytes of content that were sent of an answer that was cut.
    pub(super) cut_after: u64,
    head: Head,
    progress: BodyProgress,
    started: Instant,
    persists: bool,
    status: Status,
    when_sent: Option<WhenSent>,
}

impl AnswerEnd {
    /// A request that began at `started`; nothing is known of its answer yet.
    pub(super) fn new(
        caller: HttpCaller,
        head: Head,
        progress: BodyProgress,
        shared: Arc<HttpShared>,
        started: Instant,
    ) -> Box<Self> {
        Box::new(Self {
            asked: Asked::of(&head),
            caller,
            shared,
            is_endless: false,
            cut_after: 0,
            head,
            progress,
            started,
            persists: false,
            status: Status::OK,
            when_sent: None,
        })
    }

    /// Takes notes of the answer, and says whether the connection goes on after it.
    pub(super) fn note(&mut self, response: &mut Response) -> Persistence {
        let limits = self.caller.connection.limits();
        self.is_endless = matches!(response.content, Content::Endless(_));

        // A connection goes on only if both sides know where this exchange ends, and if little of the body
        // is left.
        self.persists = self.head.keeps_alive()
            && self.caller.requests < limits.requests_per_connection_max
            && !self.is_endless
            && !self.asked.ends_with_connection(response)
            && !self.shared.stop.is_stopped()
            && self
                .progress
                .is_drainable(drain_bytes(response.status, limits));

        self.status = response.status;
        self.when_sent = response.when_sent.take();

        if self.persists {
            Persistence::Open
        } else {
            Persistence::Close
        }
    }

    /// The answer of a request that finds no place among those that run, as the handler would have it.
    pub(super) fn refusal(&mut self, full: &Error) -> Response {
        let shared = &self.shared;
        self.caller.without_body(&self.head, |request| {
            shared.complete_refusal(request, Response::error(full))
        })
    }

    /// What becomes of the connection after its answer.
    pub(super) fn after(mut self: Box<Self>, sent: io::Result<u64>) -> After {
        self.caller.places.connection.end();
        self.shared.refusals.settle();

        // The log is written after the answer was sent, because only then are its bytes and its duration
        // known.
        match self.when_sent.take() {
            Some(work) => work(Sent {
                received: self.progress.received(),
                bytes: &sent,
                content: *sent.as_ref().unwrap_or(&self.cut_after),
                duration: self.started.elapsed(),
            }),
            None => log_answer(
                self.caller.connection.peer(),
                &self.head,
                self.status,
                &sent,
                self.started,
            ),
        }

        // The answer was cut in the middle; after a reset, the caller cannot take it for a whole one.
        if sent.is_err() {
            self.caller.connection.transport().abort();
            return After::Gone;
        }

        let is_read = self.progress.is_drainable(0);
        if self.persists {
            return Draining::begin(self.caller, self.progress.left());
        }

        // A caller that says `close` sends nothing more (RFC 9112 section 9.6), so there is nothing that
        // could make the kernel reset the connection.
        let is_quiet = !self.head.keeps_alive() && !self.caller.connection.has_more();
        if is_read && (self.is_endless || is_quiet) {
            self.caller.connection.be_quick();
            self.caller.connection.transport().finish();
            return After::Gone;
        }

        // Many callers look at the answer only after they have sent everything.
        let is_drained = !is_read && self.status != Status::TOO_MANY_REQUESTS;
        let unread = is_drained.then_some(self.caller.connection.limits().drain_bytes_max);
        self.caller.say_farewell(unread)
    }
}

/// How much is read of a body that the answer did not need, so that the connection can go on. Whoever is
/// locked out costs as little as can be.
fn drain_bytes(status: Status, limits: &Limits) -> u64 {
    match status {
        Status::TOO_MANY_REQUESTS => limits.drain_bytes_max.min(LINGER_BYTES),
        _ => limits.drain_bytes_max,
    }
}

/// One line for each request; never the query, which may hold secrets.
fn log_answer(peer: &Peer, head: &Head, status: Status, sent: &io::Result<u64>, started: Instant) {
    if !log::log_enabled!(log::Level::Info) {
        return;
    }

    let path = logged(&head.target);
    let milliseconds = started.elapsed().as_millis();
    let (method, status) = (head.method.as_str(), status.0);

    match sent {
        Ok(bytes) => log::info!("{peer} {method} {path} {status} {bytes} {milliseconds}ms"),
        Err(error) => {
            log::info!("{peer} {method} {path} {status} cut {milliseconds}ms: {error}");
        }
    }
}

/// What of a target the log shows: never the query. It comes from the caller, but is visible ASCII only
/// and cannot forge a line of the log.
fn logged(target: &str) -> Cow<'_, str> {
    let path = target.split('?').next().unwrap_or_default();
    shortened(path, LOGGED_CHARACTERS)
}

/// Of a path in the log.
const LOGGED_CHARACTERS: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_not_logged_and_paths_are_short() {
        for target in ["/a", "/a?", "/a?secret", "/a?secret?secret", "/a?x=/b"] {
            assert_eq!(logged(target), "/a", "{target}");
        }
        let long = format!("/{}?secret", "x".repeat(10_000));
        let shown = logged(&long);
        assert!(shown.chars().count() <= LOGGED_CHARACTERS + 3, "{shown}");
        assert!(!shown.contains("secret"), "{shown}");
    }

    #[test]
    fn little_is_read_of_whoever_is_locked_out() {
        let limits = Limits::default();
        assert_eq!(drain_bytes(Status::OK, &limits), 16 << 20);
        assert_eq!(drain_bytes(Status::TOO_MANY_REQUESTS, &limits), 64 << 10);
    }
}
