// SPDX-License-Identifier: Apache-2.0 OR MIT
//! How a connection begins: the handler is asked about it, and it waits for its first request.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::caller::{After, HttpCaller, RequestService, Visit};
use super::exchange::Exchange;
use super::http_shared::HttpShared;
use crate::error::Error;
use crate::http::connection::Connection;
use crate::http::head::Head;
use crate::http::pool::HeldPlaces;
use crate::http::request::Session;
use crate::http::{Admission, NewConnection};
use crate::threads::{panic_text, thread_name};
use crate::transport::{Peer, Transport};
use crate::waiting::{Place, Seat, Waiter};

impl HttpShared {
    /// Makes an open connection wait for its first request; `None` closes it.
    pub(crate) fn welcome(self: &Arc<Self>, mut caller: HttpCaller) -> Option<Box<dyn Waiter>> {
        let HttpCaller {
            connection,
            session,
            ..
        } = &mut caller;
        let new = NewConnection {
            peer: connection.peer(),
            descriptor: connection.descriptor(),
        };
        if self.admit(&new, session) == Admission::Refuse {
            return None;
        }
        Some(Visit::new(caller))
    }

    /// A connection that has left the edge.
    pub(crate) fn caller(
        self: &Arc<Self>,
        transport: Box<dyn Transport>,
        seat: Arc<dyn Seat>,
        place: Box<dyn Place>,
    ) -> HttpCaller {
        HttpCaller {
            connection: Connection::new(transport, self.limits.now()),
            session: Session::default(),
            requests: 0,
            seat,
            places: HeldPlaces::new(place),
            service: Arc::clone(self) as Arc<dyn RequestService>,
        }
    }

    /// Asks the handler about a connection; a panic there refuses it.
    fn admit(&self, connection: &NewConnection<'_>, session: &mut Session) -> Admission {
        let ask = || self.handler.on_connect(connection, session);
        catch_unwind(AssertUnwindSafe(ask)).unwrap_or_else(|panic| {
            self.metrics.panics.add_one();
            log::error!(
                "{} panicked in on_connect: {}",
                thread_name(),
                panic_text(&*panic)
            );
            Admission::Refuse
        })
    }
}

impl RequestService for HttpShared {
    fn begin(self: Arc<Self>, caller: HttpCaller, head: Head) -> After {
        Exchange::begin(caller, head, self)
    }

    fn log_refusal(&self, peer: &Peer, error: &Error) {
        let (status, text) = (error.kind().status(), error.message());
        self.refusals
            .write(|| log::info!("{peer} refused: {status} {text}"));
    }
}
