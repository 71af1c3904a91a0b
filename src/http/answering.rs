// SPDX-License-Identifier: Apache-2.0 OR MIT
//! How a request is worked on and answered, as the thread of its connection sees it.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};

use super::body::BodyReader;
use super::connection::discard;
use super::head::Framing;
use super::response::{Sent, Status};
use super::send::{Asked, Persistence, send};
use super::service::HttpShared;
use crate::error::{Error, ErrorKind, Result};
use crate::http::pool::{BodyPlace, Exchange, Finished};
use crate::http::response::{Content, Response};
use crate::threads::{panic_text, thread_name};

impl Exchange {
    /// Has the request worked on and answers it; returns the parts if the connection goes on.
    pub(crate) fn run(
        mut self: Box<Self>,
        service: &HttpShared,
        is_last: bool,
    ) -> Option<Box<Self>> {
        let started = Instant::now();
        service.metrics.requests.add_one();

        // A request that waits here holds only the thread of its connection, not one of the few
        // workers.
        let place = match self.prepare_body(service) {
            Ok(place) => place,
            Err(error) => {
                let Self {
                    connection, head, ..
                } = &mut *self;
                connection.refuse(Some(head), &error);
                return None;
            }
        };

        let (reply, finished) = sync_channel(1);
        service.engine.submit(self, reply);

        // What a dying worker drops takes its connection along.
        let Finished {
            mut exchange,
            mut response,
        } = finished.recv().ok()?;

        // The worker is done with the body, so another upload may have the place while this answer
        // is sent.
        drop(place);
        let drain_bytes_max = exchange.connection.limits().drain_bytes_max;
        let asked = Asked::of(&exchange.head);
        let is_endless = matches!(response.content, Content::Endless(_));

        // A connection goes on only if both sides know where this exchange ends, and if little of
        // the body is left.
        let persists = exchange.head.keeps_alive()
            && !is_last
            && !is_endless
            && !asked.ends_with_connection(&response)
            && !service.stop.is_stopped()
            && exchange.progress.is_drainable(drain_bytes_max);

        let drain_bytes = response.drain_bytes;
        let status = response.status;
        let when_sent = response.when_sent.take();

        let persistence = if persists {
            Persistence::Open
        } else {
            Persistence::Close
        };

        let sent = exchange.send(asked, response, persistence, service);

        // The log is written after the answer was sent, because only then are its bytes and its
        // duration known.
        match when_sent {
            Some(work) => {
                let (received, duration) = (exchange.progress.received(), started.elapsed());
                work(Sent {
                    received,
                    bytes: &sent,
                    duration,
                });
            }
            None => exchange.log(status, &sent, started),
        }

        // The answer was cut in the middle; after a reset, the caller cannot take it for a whole
        // one.
        if sent.is_err() {
            exchange.connection.transport().abort();
            return None;
        }

        if persists && exchange.drain().is_ok() {
            return Some(exchange);
        }

        if is_endless && exchange.progress.is_drainable(0) {
            // Nothing of the request is left that could make the kernel reset the connection.
            exchange.connection.transport().finish();
            return None;
        }

        // The connection ends now, but the caller may still be sending.
        exchange.connection.linger(drain_bytes);

        None
    }

    /// Writes the answer; a panic in its content is an error of this connection only.
    fn send(
        &mut self,
        asked: Asked,
        response: Response,
        persistence: Persistence,
        service: &HttpShared,
    ) -> io::Result<u64> {
        let connection = &mut self.connection;
        let work = || send(connection, asked, response, persistence, &service.stop);

        // The head may be on the wire already, so there is no other answer to give.
        catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
            service.metrics.panics.add_one();
            log::error!(
                "{} panicked while producing the content: {}",
                thread_name(),
                panic_text(&*panic)
            );
            Err(io::Error::other("the content panicked"))
        })
    }

    /// Small bodies are read before a worker is asked for; for others a place among the workers that
    /// wait for bodies is taken, so that some always remain for short requests.
    fn prepare_body<'s>(&mut self, service: &'s HttpShared) -> Result<Option<BodyPlace<'s>>> {
        match self.head.framing {
            // Who waits for a 100 sends nothing before a worker has asked for it.
            Framing::Length(length)
                if length <= PREFETCH_BYTES
                    && !self.head.expects_continue()
                    && (length == 0 || !self.counts_in_pieces()) =>
            {
                self.connection
                    .prefetch(usize::try_from(length).unwrap_or_default())?;
                Ok(None)
            }
            // Larger bodies and chunked ones hold up a worker, so the number of workers that wait
            // for them is bounded.
            _ => match service.places.take(PLACE_WAIT) {
                Some(place) => Ok(Some(place)),
                None => {
                    let text = "too many uploads are running on this server";
                    Err(Error::new(ErrorKind::Busy, text).hint("try again in a moment"))
                }
            },
        }
    }

    /// Whether what arrives of the body may be worth something although the rest does not; such a body
    /// is left to the handler, however small it is.
    fn counts_in_pieces(&self) -> bool {
        self.head.fields.value("upload-complete").is_some()
    }

    /// Reads away what the handler left of a body.
    fn drain(&mut self) -> io::Result<u64> {
        if self.progress.is_drainable(0) {
            return Ok(0);
        }
        discard(&mut BodyReader::new(
            &mut self.connection,
            &mut self.progress,
        ))
    }

    /// One line for each request; never the query, which may hold secrets.
    fn log(&mut self, status: Status, sent: &io::Result<u64>, started: Instant) {
        let path = self.head.target.split('?').next().unwrap_or_default();
        let (peer, method) = (
            self.connection.transport().peer(),
            self.head.method.as_str(),
        );

        let milliseconds = started.elapsed().as_millis();
        let status = status.0;

        // The path comes from the caller, but a target is visible ASCII only and cannot forge a
        // line of the log.
        match sent {
            Ok(bytes) => log::info!("{peer} {method} {path} {status} {bytes} {milliseconds}ms"),
            Err(error) => {
                log::info!("{peer} {method} {path} {status} cut {milliseconds}ms: {error}");
            }
        }
    }
}

/// A body of this size needs no worker while it arrives.
const PREFETCH_BYTES: u64 = 16 * 1024;

/// How long an upload waits for others to finish before it is told to come back.
const PLACE_WAIT: Duration = Duration::from_secs(2);
