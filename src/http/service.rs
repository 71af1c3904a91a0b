// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What the thread of a connection does: it reads one head after the other and has each request worked
//! on; whatever cannot be read is answered and ends the connection.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::body::BodyProgress;
use super::connection::Connection;
use super::request::Session;
use super::{Admission, Handler};
use crate::error::{Error, ErrorKind};
use crate::http::pool::{BodyPlaces, Engine, Exchange};
use crate::limits::{Limits, LiveLimits};
use crate::metrics::Metrics;
use crate::stop::Stop;
use crate::threads::{panic_text, thread_name};
use crate::transport::{Activity, Transport};

/// What all connections of a server share.
pub(crate) struct HttpShared {
    pub(crate) engine: Arc<Engine>,
    pub(crate) handler: Arc<dyn Handler>,
    pub(crate) limits: Arc<LiveLimits>,
    pub(crate) metrics: Arc<Metrics>,
    /// How many workers may wait for bodies at one time.
    pub(crate) places: BodyPlaces,
    /// Set once a shutdown has begun: no connection takes another request.
    pub(crate) stop: Stop,
}

/// Serves a connection until either side ends it.
pub(crate) fn serve(transport: Box<dyn Transport>, service: &HttpShared) {
    let mut session = Session::default();
    if admit(&*transport, &mut session, service) == Admission::Refuse {
        return;
    }

    // The limits of its start apply to a connection for its lifetime; a reload affects only new
    // ones.
    let limits = service.limits.now();
    let mut connection = Connection::new(transport, Arc::clone(&limits));

    for count in 1..=limits.requests_per_connection_max {
        connection.transport().set_activity(Activity::Idle);

        // Checked for each request, so a busy connection does not outlive a shutdown.
        if service.stop.is_stopped() {
            break;
        }
        let head = match connection.read_head() {
            Ok(Some(head)) => head,
            Ok(None) => break,
            // Where a head ends that cannot be read is unknown, so the connection ends with it.
            Err(error) => return connection.refuse(None, &error),
        };

        // Connection and session move into the exchange and come back only if the connection goes
        // on.
        let progress = BodyProgress::new(&head);
        let exchange = Box::new(Exchange {
            connection,
            head,
            progress,
            session,
        });
        let is_last = count == limits.requests_per_connection_max;
        match exchange.run(service, is_last) {
            Some(exchange) => {
                Exchange {
                    connection,
                    session,
                    ..
                } = *exchange
            }
            None => return,
        }
    }

    // Bytes of the last answer may be on their way, so the sending side is closed first.
    connection.transport().finish();
}

/// Asks the handler about a connection; a panic there refuses it.
fn admit(transport: &dyn Transport, session: &mut Session, service: &HttpShared) -> Admission {
    let ask = || service.handler.on_connect(transport.peer(), session);
    catch_unwind(AssertUnwindSafe(ask)).unwrap_or_else(|panic| {
        service.metrics.panics.add_one();
        log::error!(
            "{} panicked in on_connect: {}",
            thread_name(),
            panic_text(&*panic)
        );
        Admission::Refuse
    })
}

/// Tells a connection for which there is no place to come back later.
pub(crate) fn refuse_busy(transport: Box<dyn Transport>, limits: Arc<Limits>) {
    let mut connection = Connection::new(transport, limits);
    let error = Error::new(ErrorKind::Busy, "this server has no free connection");
    connection.refuse(None, &error);
}
