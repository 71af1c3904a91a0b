// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What all connections of a server share, and how the handler is run for any of them.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, OnceLock};

use crate::crew::Crew;
use crate::error::{Error, ErrorKind};
use crate::http::head::Method;
use crate::http::pool::{BodyPlaces, Engine, QueuedRequest};
use crate::http::request::Request;
use crate::http::response::{Response, Status};
use crate::http::{Handler, RequestSender};
use crate::limits::LiveLimits;
use crate::logging::LineBudget;
use crate::metrics::Metrics;
use crate::stop::Stop;
use crate::threads::{panic_text, thread_name};

/// What all connections of a server share.
pub(crate) struct HttpShared {
    /// Set once it has started, after the first callers were let in; `None` if it could not.
    pub(crate) engine: OnceLock<Option<Arc<Engine>>>,
    pub(crate) handler: Arc<dyn Handler>,
    pub(crate) limits: Arc<LiveLimits>,
    pub(crate) metrics: Arc<Metrics>,
    /// How many workers may wait for bodies at one time.
    pub(crate) places: Arc<BodyPlaces>,
    /// Who writes large answers while their callers take them.
    pub(crate) writers: Arc<Crew>,
    /// Set once a shutdown has begun: no connection takes another request.
    pub(crate) stop: Stop,
    /// For lines about callers whose requests could not even be read, or had no place.
    pub(crate) refusals: LineBudget,
}

impl HttpShared {
    /// Has the workers see what was submitted.
    pub(crate) fn flush(&self) {
        if let Some(Some(engine)) = self.engine.get() {
            engine.flush();
        }
    }

    /// Gives a request to the workers, who see it after a flush. The first ones may come before the engine stands, and wait for it.
    pub(super) fn submit(&self, request: Box<dyn QueuedRequest>) {
        match self.engine.wait() {
            Some(engine) => engine.submit(request),
            None => {
                let text = "the server ends, because its workers could not be started";
                request.refuse(&Error::new(ErrorKind::Busy, text));
            }
        }
    }

    /// Runs the handler; a panic in it is this request's misfortune only.
    pub(super) fn run_handler(&self, request: &mut Request<'_>) -> Response {
        let handler = &*self.handler;
        let response = self.catch(request, |request| match handler.methods() {
            methods if methods.contains(&request.method()) => handler.handle(request),
            methods => not_allowed(request.method(), methods),
        });
        final_answer(request, response)
    }

    /// Has the handler answer a request that needs no worker.
    pub(super) fn run_handler_at_once(&self, request: &mut Request<'_>) -> Option<Response> {
        let handler = &*self.handler;
        if !handler.methods().contains(&request.method()) {
            return None;
        }
        let response = self.catch(request, |request| handler.handle_at_once(request))?;
        Some(final_answer(request, response))
    }

    /// Has the handler do what takes long.
    pub(super) fn look_long(&self, request: &mut Request<'_>) -> Option<Response> {
        let handler = &*self.handler;
        let looked = catch_unwind(AssertUnwindSafe(|| handler.look_long(request)));
        // A panic is told of once the request is handled.
        let response = looked.unwrap_or(None)?;
        Some(final_answer(request, response))
    }

    /// Asks the handler who sends a request.
    pub(super) fn sender(&self, request: &mut Request<'_>) -> RequestSender {
        let handler = &*self.handler;
        if !handler.methods().contains(&request.method()) {
            return RequestSender::Claimed;
        }
        match self.catch(request, |request| handler.sender(request)) {
            RequestSender::Refused(response) => {
                RequestSender::Refused(final_answer(request, response))
            }
            sender => sender,
        }
    }

    /// Has the handler complete the answer of a request that it does not get to see otherwise.
    pub(super) fn complete_refusal(&self, request: &mut Request<'_>, answer: Response) -> Response {
        let response = self.catch(request, |request| self.handler.refused(request, answer));
        final_answer(request, response)
    }

    fn catch<T: From<Response>>(
        &self,
        request: &mut Request<'_>,
        work: impl FnOnce(&mut Request<'_>) -> T,
    ) -> T {
        let result = catch_unwind(AssertUnwindSafe(|| work(request)));

        result.unwrap_or_else(|panic| {
            self.metrics.panics.add_one();
            log::error!(
                "{} panicked while handling {}: {}",
                thread_name(),
                request.path(),
                panic_text(&*panic)
            );
            Response::problem(Status::INTERNAL_SERVER_ERROR, "the server made a mistake").into()
        })
    }

    /// Does something with the content of an answer; a panic in it is an error of this answer only.
    pub(super) fn guard_content<T>(&self, work: impl FnOnce() -> T) -> io::Result<T> {
        catch_unwind(AssertUnwindSafe(work)).map_err(|panic| {
            self.metrics.panics.add_one();
            log::error!(
                "{} panicked while producing the content: {}",
                thread_name(),
                panic_text(&*panic)
            );
            // Its drop may be what panics.
            std::mem::forget(panic);
            io::Error::other("the content panicked")
        })
    }
}

impl From<Response> for RequestSender {
    fn from(response: Response) -> Self {
        Self::Refused(response)
    }
}

/// After an interim answer, the caller would wait for another one; of other numbers, nobody knows where
/// their answers end.
fn final_answer(request: &Request<'_>, response: Response) -> Response {
    let status = response.status();
    if status.is_final() {
        return response;
    }

    log::error!("{}: a handler cannot answer {}", request.path(), status.0);
    Response::problem(Status::INTERNAL_SERVER_ERROR, "the server made a mistake")
}

fn not_allowed(method: Method, methods: &[Method]) -> Response {
    let mut allow: Vec<_> = methods.iter().map(|method| method.as_str()).collect();
    if methods.contains(&Method::Get) && !methods.contains(&Method::Head) {
        allow.push(Method::Head.as_str());
    }
    let text = format!("{} is not for this server", method.as_str());
    Response::problem(Status::METHOD_NOT_ALLOWED, text).field("allow", allow.join(", "))
}
