// SPDX-License-Identifier: Apache-2.0 OR MIT
//! HTTP/1.1: strict heads and framing at the edge of a connection, tiny_http as parser and queue, a
//! fixed pool of workers, and answers that are written at the caller's pace, without a thread while the
//! caller takes nothing.
//!
//! Not here: sockets and TLS (`edge`), and what a request means (`routes`). HTTP does not know models.

mod answer_head;
mod answer_pace;
mod body;
mod connection;
mod conversation;
mod endless;
#[cfg(any(fuzzing, test))]
pub(crate) mod fuzz;
mod head;
mod large_answer;
mod pool;
mod range;
mod request;
mod response;
mod small_answer;

pub(crate) use conversation::HttpShared;
pub use endless::{Endless, Happened};
pub use head::{Fields, Head, Method, Version};
pub(crate) use pool::{BodyPlaces, Engine, HeldPlaces, Workers};
pub use range::{Range, RangeError};
pub(crate) use request::Vouched;
pub use request::{Body, Request, Session};
pub(crate) use response::Sent;
pub use response::{Content, Response, Status};

use std::os::fd::BorrowedFd;

use crate::transport::Peer;

/// What a server does with requests. Closures of the same form are handlers, too.
///
/// ```
/// use skep::{Handler, Method, Request, Response, Server, ServerOptions, Status};
///
/// struct Greeter(String);
///
/// impl Handler for Greeter {
///     fn handle(&self, _request: &mut Request<'_>) -> Response {
///         Response::text(Status::OK, self.0.clone())
///     }
///
///     fn methods(&self) -> &[Method] {
///         &[Method::Get]
///     }
/// }
///
/// # fn main() -> skep::Result<()> {
/// let (address, greeter) = ("127.0.0.1:0".parse()?, Greeter("good morning\n".to_owned()));
/// let server = Server::with_options(&[address], ServerOptions::default(), greeter)?;
/// # let _ = server;
/// # Ok(())
/// # }
/// ```
pub trait Handler: Send + Sync + 'static {
    /// Answers a request. A panic is answered 500 and costs nothing else.
    fn handle(&self, request: &mut Request<'_>) -> Response;

    /// The methods that [`Handler::handle`] is called for; others are answered 405, and those that are
    /// not even known 501. `GET` brings `HEAD` along.
    fn methods(&self) -> &[Method] {
        &Method::ALL
    }

    /// Answers a request without waiting: for no content of a file, no other thread and no long
    /// computation. It is called by the thread that waits for all connections, for requests without a
    /// body only; what gets `None` goes to a worker and [`Handler::handle`]. By default everything does.
    fn handle_at_once(&self, _request: &mut Request<'_>) -> Option<Response> {
        None
    }

    /// Who sends a request, as far as its head tells: it decides who is served where places run out. It is
    /// called by the thread that waits for all connections, and must not wait. The request has no body
    /// here. By default everybody is known.
    fn sender(&self, _request: &mut Request<'_>) -> RequestSender {
        RequestSender::Known
    }

    /// Does the long computation for a [`RequestSender::Slow`], on a thread that no other request needs, before a worker or a place for a
    /// body is taken; the answer if the request goes no further. The request has no body here.
    fn look_long(&self, _request: &mut Request<'_>) -> Option<Response> {
        None
    }

    /// Completes the answer 503 of a request that this server has no place for, for example with a field.
    /// The request has no body here, and nothing may be waited for. By default the answer stays as it is.
    fn refused(&self, _request: &mut Request<'_>, response: Response) -> Response {
        response
    }

    /// Decides about a connection before its first request; may leave things in the session, which
    /// all requests of the connection share. It must not wait: one thread asks for all connections.
    fn on_connect(&self, _connection: &NewConnection<'_>, _session: &mut Session) -> Admission {
        Admission::Accept
    }
}

impl<F> Handler for F
where
    F: Fn(&mut Request<'_>) -> Response + Send + Sync + 'static,
{
    fn handle(&self, request: &mut Request<'_>) -> Response {
        self(request)
    }
}

/// A connection that has not sent a request yet.
pub struct NewConnection<'a> {
    pub(crate) peer: &'a Peer,
    pub(crate) descriptor: Option<BorrowedFd<'a>>,
}

impl NewConnection<'_> {
    /// Who is at the other end.
    pub fn peer(&self) -> &Peer {
        self.peer
    }

    /// The socket itself, for its options; `None` where bytes come from something else. With TLS it
    /// carries records. It is a non-blocking one.
    pub fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.descriptor
    }
}

/// Who sends a request. A quarter of the places for requests, and half of those for bodies, are out of
/// reach for callers who are not known. The body of one who is known waits for a place if there is none.
pub enum RequestSender {
    /// Somebody who is known and not told from others: it may take all places.
    Known,
    /// One of those whom the server belongs to, by a number that stands for it: it may take three quarters of
    /// the places.
    Owner(u64),
    /// Somebody else who is known, by such a number: it may take half of the places. One in eight is out of
    /// reach for all of them and for callers who are not known.
    Holder(u64),
    /// Somebody who is known only after a long computation: [`Handler::look_long`] is called first.
    Slow,
    /// Somebody whom the handler gets to know before it reads the body.
    Claimed,
    /// Somebody who is known only once the body was read.
    Unknown,
    /// Somebody who gets this answer, whatever the body is.
    Refused(Response),
}

/// Whether a connection is let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// Its requests are handled.
    Accept,
    /// It is closed without a byte.
    Refuse,
}
