// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A request on its way: from its head by way of a worker to its answer.
//!
//! Invariant: exactly one thread owns an exchange at any moment, so nothing of it is locked.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::answer_end::{AnswerEnd, log_answer, too_many};
use super::caller::{After, HttpCaller};
use super::http_shared::HttpShared;
use crate::error::{Error, ErrorKind};
use crate::http::answer_head::{Asked, Persistence};
use crate::http::body::{BodyProgress, BodyReader};
use crate::http::connection::discard;
use crate::http::head::{Framing, Head, Version};
use crate::http::pool::{BodyPlace, QueuedRequest};
use crate::http::request::{Body, Request, Vouched};
use crate::http::response::{Content, Response, Sent};
use crate::http::send::{SmallAnswer, limit_write, send, small};
use crate::threads::{panic_text, thread_name};
use crate::waiting::Waiter;

/// A request with all that is needed to answer it.
pub(crate) struct Exchange {
    caller: HttpCaller,
    head: Head,
    progress: BodyProgress,
    shared: Arc<HttpShared>,
    started: Instant,
    /// Taken while a worker may have to wait for the body.
    place: Option<BodyPlace>,
    /// Until when the bytes of a small body have to be there.
    until: Instant,
}

impl Exchange {
    /// Begins with a request whose head has been read. Nothing waits here.
    pub(crate) fn begin(mut caller: HttpCaller, head: Head, shared: Arc<HttpShared>) -> After {
        let started = Instant::now();
        shared.metrics.requests.add_one();
        caller.requests += 1;

        let until = started + caller.connection.limits().body_timeout;

        let exchange = Box::new(Self {
            progress: BodyProgress::new(&head),
            caller,
            head,
            shared,
            started,
            place: None,
            until,
        });

        match exchange.head.framing {
            // Who waits for a 100 sends nothing before a worker has asked for it.
            Framing::Length(length)
                if length <= PREFETCH_BYTES
                    && !exchange.head.expects_continue()
                    && (length == 0 || !exchange.counts_in_pieces()) =>
            {
                exchange.await_body(length)
            }
            _ => exchange.find_place(),
        }
    }

    /// Small bodies are read before a worker is asked for.
    fn await_body(mut self: Box<Self>, length: u64) -> After {
        let length = usize::try_from(length).unwrap_or_default();
        match self.caller.connection.prefetch(length) {
            Ok(true) => match self.answer_quickly(length) {
                Some(response) => self.conclude(response),
                None => self.submit(),
            },
            Ok(false) => {
                self.extend();
                After::Waiting(Arc::clone(&self.caller.seat), self)
            }
            Err(error) => {
                let Self { caller, head, .. } = *self;
                caller.refuse(Some(&head), &error)
            }
        }
    }

    /// Lets the body stall for `body_timeout`, and wants `rate_min` on average.
    fn extend(&mut self) {
        let (now, connection) = (Instant::now(), &self.caller.connection);
        let limits = connection.limits();
        let received = connection.buffered().len() as u64;
        let allowed = limits.time_for(received, limits.body_timeout);
        self.until = (now + limits.body_timeout).min(self.started + allowed);
    }

    /// For other bodies a place among the workers that wait for bodies is taken, so that some always
    /// remain for short requests.
    fn find_place(mut self: Box<Self>) -> After {
        self.place = self.shared.places.take(Duration::ZERO);
        if self.place.is_some() {
            return self.submit();
        }

        // Whoever waits for a place is at work already.
        if !self.caller.place.begin() {
            return self.conclude(too_many());
        }

        let writers = self.shared.writers.clone();
        writers.run(move || {
            self.place = self.shared.places.take(PLACE_WAIT);
            if self.place.is_some() {
                return self.submit().put_back();
            }

            let text = "too many uploads are running on this server";
            let error = Error::new(ErrorKind::Busy, text).hint("try again in a moment");
            let Self { caller, head, .. } = *self;
            caller.refuse(Some(&head), &error).put_back();
        });

        After::Gone
    }

    /// Has a worker take the request, if it gets a place among those that run.
    fn submit(mut self: Box<Self>) -> After {
        if !self.caller.place.begin() {
            return self.conclude(too_many());
        }

        let shared = Arc::clone(&self.shared);
        shared.submit(self);
        After::Gone
    }

    /// Runs the handler for a request that needs no worker.
    fn answer_quickly(&mut self, length: usize) -> Option<Response> {
        if length > 0 {
            return None;
        }

        let shared = &self.shared;
        let caller = &mut self.caller;
        let (peer, session) = (caller.connection.peer(), &mut caller.session);
        let mut nothing = io::empty();
        let body = Body::new(&mut nothing, Some(0));
        let mut request = Request::new(&self.head, peer, session, body);

        // A panic in the first step is left to a worker, which answers it.
        let is_quick = catch_unwind(AssertUnwindSafe(|| shared.handler.is_quick(&request)));

        is_quick
            .unwrap_or(false)
            .then(|| shared.run_handler(&mut request))
    }

    fn answer(&mut self) -> Response {
        let length = match self.head.framing {
            Framing::Length(length) => Some(length),
            Framing::Chunked => None,
        };

        let connection = &mut self.caller.connection;
        let peer = connection.transport().peer().clone();
        let mut reader = BodyReader::new(connection, &mut self.progress);
        let body = Body::of_wire(&mut reader, length);
        let mut request = Request::new(&self.head, &peer, &mut self.caller.session, body);
        self.shared.run_handler(&mut request)
    }

    /// Sends the answer. What the kernel takes at once is sent by the calling thread; whatever has to wait
    /// for the caller goes to a thread of its own.
    fn conclude(mut self: Box<Self>, mut response: Response) -> After {
        // The worker is done with the body, so another upload may have the place while this answer is sent.
        self.place = None;
        // Before the caller has the answer: it may open its next connection with it.
        if self.caller.session.value::<Vouched>().is_some() {
            self.caller.place.vouch();
        }

        let ending = self.ending(&mut response);
        let persistence = if ending.persists {
            Persistence::Open
        } else {
            Persistence::Close
        };

        match small(ending.asked, response, persistence) {
            SmallAnswer::Whole { bytes, content } => self.send_small(ending, bytes, content),
            // What was answered at once runs from here on.
            SmallAnswer::Large(_) if !self.caller.place.begin() => self.conclude(too_many()),
            SmallAnswer::Large(response) => {
                let writers = self.shared.writers.clone();
                writers.run(move || {
                    let sent = self.send_large(ending.asked.version, response, persistence);
                    self.after(ending, sent).put_back();
                });
                After::Gone
            }
        }
    }

    fn ending(&self, response: &mut Response) -> AnswerEnd {
        let limits = self.caller.connection.limits();
        let asked = Asked::of(&self.head);
        let is_endless = matches!(response.content, Content::Endless(_));

        // A connection goes on only if both sides know where this exchange ends, and if little of the body
        // is left.
        let persists = self.head.keeps_alive()
            && self.caller.requests < limits.requests_per_connection_max
            && !is_endless
            && !asked.ends_with_connection(response)
            && !self.shared.stop.is_stopped()
            && self.progress.is_drainable(limits.drain_bytes_max);

        AnswerEnd {
            asked,
            persists,
            is_endless,
            drain_bytes: response.drain_bytes,
            status: response.status,
            when_sent: response.when_sent.take(),
        }
    }

    fn send_small(mut self: Box<Self>, ending: AnswerEnd, bytes: Vec<u8>, content: u64) -> After {
        // Before the caller has the answer, since whoever has seen it may count on the place.
        let was_running = self.caller.place.end();

        let connection = &mut self.caller.connection;
        let written = match connection.write_at_once(&bytes) {
            Ok(count) if count < bytes.len() || connection.has_unsent() => count,
            result => return self.after(ending, result.map(|_| content)),
        };

        // An answer that waits for its caller counts again; what was answered at once did not count yet.
        if was_running {
            self.caller.place.resume();
        } else if !self.caller.place.begin() {
            self.caller.connection.transport().abort();
            return After::Gone;
        }

        let writers = self.shared.writers.clone();
        writers.run(move || {
            let connection = &mut self.caller.connection;
            limit_write(connection);
            let transport = connection.transport();
            let sent = transport
                .write_all(&bytes[written..])
                .and_then(|()| transport.flush());
            self.after(ending, sent.map(|()| content)).put_back();
        });

        After::Gone
    }

    /// Writes an answer at its caller's pace; a panic in its content is an error of this connection only.
    fn send_large(
        &mut self,
        version: Version,
        response: Response,
        persistence: Persistence,
    ) -> io::Result<u64> {
        let (connection, shared) = (&mut self.caller.connection, &self.shared);
        let work = || send(connection, version, response, persistence, &shared.stop);

        catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
            shared.metrics.panics.add_one();
            log::error!(
                "{} panicked while producing the content: {}",
                thread_name(),
                panic_text(&*panic)
            );
            Err(io::Error::other("the content panicked"))
        })
    }

    /// What becomes of the connection after its answer.
    fn after(mut self: Box<Self>, ending: AnswerEnd, sent: io::Result<u64>) -> After {
        self.caller.place.end();

        // The log is written after the answer was sent, because only then are its bytes and its duration
        // known.
        match ending.when_sent {
            Some(work) => work(Sent {
                received: self.progress.received(),
                bytes: &sent,
                duration: self.started.elapsed(),
            }),
            None => log_answer(
                self.caller.connection.peer(),
                &self.head,
                ending.status,
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
        if ending.persists {
            if is_read {
                return After::Idle(self.caller);
            }
            self.drain();
            return After::Gone;
        }

        // A caller that says `close` sends nothing more (RFC 9112 section 9.6), so there is nothing that
        // could make the kernel reset the connection.
        let is_quiet = !self.head.keeps_alive() && !self.caller.connection.has_more();
        if is_read && (ending.is_endless || is_quiet) {
            self.caller.connection.be_quick();
            self.caller.connection.transport().finish();
            return After::Gone;
        }

        self.caller.say_farewell(ending.drain_bytes)
    }

    /// Reads away what the handler left of a body, and then waits for the next request.
    fn drain(mut self: Box<Self>) {
        let writers = self.shared.writers.clone();
        writers.run(move || {
            let connection = &mut self.caller.connection;
            let rest = discard(&mut BodyReader::new(connection, &mut self.progress));
            if rest.is_ok() {
                After::Idle(self.caller).put_back();
            }
        });
    }

    /// Whether what arrives of the body may be worth something although the rest does not; such a body
    /// is left to the handler, however small it is.
    fn counts_in_pieces(&self) -> bool {
        self.head.fields.value("upload-complete").is_some()
    }
}

impl QueuedRequest for Exchange {
    fn head(&self) -> &Head {
        &self.head
    }

    fn work(mut self: Box<Self>) {
        let response = self.answer();
        self.conclude(response).put_back();
    }

    fn refuse(self: Box<Self>, error: &Error) {
        self.conclude(Response::error(error)).put_back();
    }
}

/// Waits for the rest of a small body.
impl Waiter for Exchange {
    fn ready(mut self: Box<Self>) -> Option<Box<dyn Waiter>> {
        self.caller.connection.expect_more();
        let Framing::Length(length) = self.head.framing else {
            return None;
        };
        self.await_body(length).waiting()
    }

    fn deadline(&self) -> Instant {
        self.until
    }

    fn expired(self: Box<Self>) -> Option<Box<dyn Waiter>> {
        let error = Error::new(ErrorKind::RequestTimeout, "the body arrived too slowly");
        let Self { caller, head, .. } = *self;
        caller.refuse(Some(&head), &error).waiting()
    }

    /// The request was running before the stop, so it is answered.
    fn stopped(self: Box<Self>) -> Option<Box<dyn Waiter>> {
        Some(self)
    }

    fn has_more(&self) -> bool {
        self.caller.connection.has_unread()
    }
}

/// A body of this size needs no worker while it arrives.
const PREFETCH_BYTES: u64 = 16 * 1024;

/// How long an upload waits for others to finish before it is told to come back.
const PLACE_WAIT: Duration = Duration::from_secs(2);
