// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A request on its way: from its head by way of a worker to its answer.
//!
//! Invariant: exactly one thread owns an exchange at any moment, so nothing of it is locked.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::answer_end::AnswerEnd;
use super::answering::answer;
use super::caller::{After, HttpCaller};
use super::http_shared::HttpShared;
use crate::error::{Error, ErrorKind, Result};
use crate::http::RequestSender;
use crate::http::body::{BodyProgress, BodyReader, body_deadline};
use crate::http::head::{Framing, Head};
use crate::http::pool::QueuedRequest;
use crate::http::request::{Body, Request, Vouched};
use crate::http::response::Response;
use crate::waiting::{Rank, Waiter};

/// A request with all that is needed to answer it.
pub(crate) struct Exchange {
    caller: HttpCaller,
    head: Head,
    progress: BodyProgress,
    shared: Arc<HttpShared>,
    started: Instant,
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

        // Until it is known whose the request is. Nothing runs here, so there is nothing to refuse.
        let _ = caller.places.rank(Rank::Stranger);

        let exchange = Box::new(Self {
            progress: BodyProgress::new(&head),
            caller,
            head,
            shared,
            started,
            until,
        });

        match exchange.head.framing {
            // Who waits for a 100 sends nothing before a worker has asked for it.
            Framing::Length(length) if exchange.head.has_early_body() => {
                exchange.await_body(length)
            }
            _ => exchange.meet(Self::find_place),
        }
    }

    /// Small bodies are read before a worker is asked for.
    fn await_body(mut self: Box<Self>, length: u64) -> After {
        let length = usize::try_from(length).unwrap_or_default();
        match self.caller.connection.prefetch(length) {
            Ok(true) => self.go_on(length),
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

    /// Gives the body more time, since some of it may have arrived.
    fn extend(&mut self) {
        let connection = &self.caller.connection;
        let received = connection.buffered().len() as u64;
        self.until = body_deadline(connection.limits(), self.started, Instant::now(), received);
    }

    /// Goes on with a request whose small body of `length` bytes is here.
    fn go_on(mut self: Box<Self>, length: usize) -> After {
        if length == 0
            && let Some(response) = self.answer_quickly()
        {
            return self.conclude(response);
        }

        self.meet(|exchange, _| exchange.submit())
    }

    /// Finds out who sends this and goes on with `next`, unless that is answered already.
    fn meet(mut self: Box<Self>, next: NextStep) -> After {
        let sender = match self.sender() {
            RequestSender::Refused(response) => return self.conclude(response),
            sender => sender,
        };

        if let Err(full) = self.caller.places.rank(rank_of(&sender)) {
            return self.refuse_with(&full);
        }

        if matches!(sender, RequestSender::Slow) {
            self.look_long(next)
        } else {
            next(self, sender)
        }
    }

    /// Asks who sends this.
    fn sender(&mut self) -> RequestSender {
        let shared = &self.shared;
        self.caller
            .without_body(&self.head, |request| shared.sender(request))
    }

    /// Has the handler do what takes long, and then goes on with `next` unless the request is answered.
    fn look_long(mut self: Box<Self>, next: NextStep) -> After {
        if let Err(full) = self.caller.places.begin() {
            return self.refuse_with(&full);
        }

        let writers = self.shared.writers.clone();
        writers.run(move || {
            let shared = Arc::clone(&self.shared);
            let look = |request: &mut Request<'_>| shared.look_long(request);
            match self.caller.without_body(&self.head, look) {
                Some(answer) => self.conclude(answer).put_back(),
                None => next(self, RequestSender::Known).put_back(),
            }
            shared.flush();
        });

        After::Gone
    }

    /// For other bodies a place among the workers that wait for bodies is taken, so that some always
    /// remain for short requests.
    fn find_place(mut self: Box<Self>, sender: RequestSender) -> After {
        let Err(full) = self.take_body_place(Duration::ZERO) else {
            return self.submit();
        };

        // Strangers who wait would keep others from being served at all.
        if matches!(sender, RequestSender::Unknown | RequestSender::Claimed) {
            return self.refuse_with(&full);
        }

        // Whoever waits for a place is at work already.
        if let Err(full) = self.caller.places.begin() {
            return self.refuse_with(&full);
        }

        let writers = self.shared.writers.clone();
        writers.run(move || {
            if let Err(full) = self.take_body_place(PLACE_WAIT) {
                return self.refuse_with(&full).put_back();
            }

            let shared = Arc::clone(&self.shared);
            self.submit().put_back();
            shared.flush();
        });

        After::Gone
    }

    fn take_body_place(&mut self, wait: Duration) -> Result<()> {
        self.caller.places.take_body(&self.shared.places, wait)
    }

    /// Has a worker take the request, if it gets a place among those that run.
    fn submit(mut self: Box<Self>) -> After {
        if let Err(full) = self.caller.places.begin() {
            return self.refuse_with(&full);
        }

        let shared = Arc::clone(&self.shared);
        shared.submit(self);
        After::Gone
    }

    /// Runs the handler for a request that needs no worker.
    fn answer_quickly(&mut self) -> Option<Response> {
        let shared = &self.shared;
        self.caller
            .without_body(&self.head, |request| shared.run_handler_at_once(request))
    }

    /// Answers a request that is not handled, as the handler would have it.
    fn refuse_with(mut self: Box<Self>, error: &Error) -> After {
        let (shared, answer) = (&self.shared, Response::error(error));
        let complete = |request: &mut Request<'_>| shared.complete_refusal(request, answer);
        let answer = self.caller.without_body(&self.head, complete);
        self.conclude(answer)
    }

    fn handle(&mut self) -> Response {
        let length = match self.head.framing {
            Framing::Length(length) => Some(length),
            Framing::Chunked => None,
        };

        let connection = &mut self.caller.connection;
        let peer = connection.transport().peer().clone();
        let mut reader = BodyReader::new(connection, &mut self.progress);
        let body = Body::of_wire(&mut reader, length);
        let request = Request::new(&self.head, &peer, &mut self.caller.session, body);
        let mut request = request.holding(&mut self.caller.places);
        self.shared.run_handler(&mut request)
    }

    /// Sends the answer.
    fn conclude(self: Box<Self>, response: Response) -> After {
        // The worker is done with the body, so another upload may have the place while this answer is sent.
        let Self {
            mut caller,
            head,
            progress,
            shared,
            started,
            until: _,
        } = *self;

        caller.places.leave_body();

        // Before the caller has the answer: it may open its next connection with it.
        if caller.session.value::<Vouched>().is_some() {
            caller.places.connection.vouch();
        }

        answer(
            AnswerEnd::new(caller, head, progress, shared, started),
            response,
        )
    }
}

impl QueuedRequest for Exchange {
    fn head(&self) -> &Head {
        &self.head
    }

    fn work(mut self: Box<Self>) {
        let response = self.handle();
        self.conclude(response).put_back();
    }

    fn refuse(self: Box<Self>, error: &Error) {
        self.refuse_with(error).put_back();
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

/// What comes once it is known who sends a request.
type NextStep = fn(Box<Exchange>, RequestSender) -> After;

/// Whose places a request takes.
fn rank_of(sender: &RequestSender) -> Rank {
    match sender {
        RequestSender::Known => Rank::Known,
        RequestSender::Owner(number) => Rank::Owner(*number),
        RequestSender::Holder(number) => Rank::Holder(*number),
        RequestSender::Claimed => Rank::Claimed,
        RequestSender::Slow | RequestSender::Unknown | RequestSender::Refused(_) => Rank::Stranger,
    }
}

/// How long an upload waits for others to finish before it is told to come back.
const PLACE_WAIT: Duration = Duration::from_secs(2);
