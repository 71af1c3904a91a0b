// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The events of answered requests and of refused callers.

use std::io;

use std::time::Duration;

use crate::access::Principal;
use crate::clock;
use crate::digest::Digest;
use crate::error::{Error, ErrorKind};
use crate::event::{Event, FinishedRequest, Happening};
use crate::http::{Method, Request, Response, Sent};
use crate::routes::api::{Api, Known};
use crate::store;
use crate::text::fitting;

impl Api {
    /// Gives an answer its id, and publishes the request once the answer has been sent.
    pub(crate) fn log(&self, request: &mut Request<'_>, response: Response) -> Response {
        let id = self.ids.next();
        let response = response.field("x-request-id", id.clone());

        // An empty closure, because without one the server would log a line of its own.
        if !self.events.requests.is_heard() {
            return response.when_sent(|_| ());
        }

        let finished = finished(request, &response, id);
        let requests = self.events.requests.clone();

        response.when_sent(move |sent| {
            requests.publish(|| {
                let request = Box::new(with_sent(finished, &sent));
                Event::new(clock::now(), Happening::RequestFinished { request })
            });
        })
    }

    /// Publishes that a caller was refused.
    pub(crate) fn tell_refusal(&self, request: &Request<'_>, error: &Error) {
        // Only refusals are events of this channel; all other errors are in the log of requests.
        let happening = match error.kind() {
            ErrorKind::Unauthenticated => Happening::AccessRefused {
                peer: request.peer().to_string(),
                reason: "not authenticated",
            },
            ErrorKind::Forbidden => Happening::AccessRefused {
                peer: request.peer().to_string(),
                reason: "not authorized",
            },
            // Who asks for too much is told how long to wait, and not locked out.
            ErrorKind::TooManyRequests if error.retry_after().is_none() => {
                Happening::AccessLocked {
                    caller: request.peer().to_string(),
                    seconds: self.guard.retry_after(request.peer()),
                }
            }
            _ => return,
        };

        self.events
            .access
            .publish(|| Event::new(clock::now(), happening));
    }
}

/// Of a text that the caller chooses: whoever writes long ones must not push out the lines of others.
const LOGGED_BYTES: usize = 200;

/// What is known before the answer is sent.
fn finished(request: &mut Request<'_>, response: &Response, id: String) -> FinishedRequest {
    let known = request
        .session()
        .value::<Known>()
        .and_then(|known| known.0.as_ref());

    let who = known.map_or_else(|| "-".to_owned(), Principal::shown);

    // A route that handles several models names them in a remark; otherwise the path has the name.
    let name = match (response.remark(), request.segments()) {
        (Some(remark), _) => remark.to_owned(),
        (None, ["v1", "models", name @ ..]) => name.join("/"),
        _ => String::new(),
    };

    let agent = request.fields().value("user-agent").unwrap_or_default();

    FinishedRequest {
        id,
        who,
        peer: request.peer().to_string(),
        agent: fitting(agent, LOGGED_BYTES).into_owned(),
        method: if request.is_head() {
            Method::Head.as_str()
        } else {
            request.method().as_str()
        },
        path: fitting(request.path(), LOGGED_BYTES).into_owned(),
        name: fitting(&name, LOGGED_BYTES).into_owned(),
        digest: response.value("etag").and_then(Digest::from_etag),
        status: response.status().0,
        received: 0,
        sent: None,
        duration: Duration::ZERO,
        trouble: String::new(),
    }
}

fn with_sent(mut request: FinishedRequest, sent: &Sent<'_>) -> FinishedRequest {
    request.received = sent.received;
    request.duration = sent.duration;
    match sent.bytes {
        Ok(bytes) => request.sent = Some(*bytes),
        Err(error) => request.trouble = error.to_string(),
    }
    request
}

/// Whether an error comes from a file system that is read-only.
fn is_of_read_only_files(error: &Error) -> bool {
    let outermost = std::error::Error::source(error);
    std::iter::successors(outermost, |cause| cause.source())
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .any(|cause| cause.kind() == io::ErrorKind::ReadOnlyFilesystem)
}

/// An error as a caller is told it: what is wrong with the files of this server, and where they are, stays
/// on this side and is logged.
pub(crate) fn told_outside(error: Error) -> Error {
    if store::is_for_callers(&error) {
        let hint = error.hint_text().unwrap_or_default();
        log::error!("{}: {hint}", error.with_cause());
        return error;
    }
    if error.is_local() || error.kind() == ErrorKind::Internal {
        log::error!("{}", error.with_cause());
        return match error.kind() {
            ErrorKind::NoSpace => Error::new(ErrorKind::NoSpace, "no space left on the device"),
            ErrorKind::Busy => Error::new(
                ErrorKind::Busy,
                "the server could not do this now, for a reason that is in its log",
            )
            .hint("try again"),
            _ if is_of_read_only_files(&error) => Error::new(
                ErrorKind::Internal,
                "the file system of this server is read-only",
            ),
            _ => Error::new(
                ErrorKind::Internal,
                "the server could not do this, for a reason that is in its log",
            ),
        };
    }

    // The source stays on this side, too.
    let has_cause = std::error::Error::source(&error).is_some();
    if has_cause && error.kind() == ErrorKind::NoSpace {
        log::error!("{}", error.with_cause());
    }
    error
}
