// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A request on its way: from the thread of its connection to a worker and, with its answer, back.
//!
//! Invariant: exactly one thread owns a connection at any moment, so nothing of it is locked.

use std::sync::mpsc::SyncSender;

use crate::error::Error;
use crate::http::body::BodyProgress;
use crate::http::connection::Connection;
use crate::http::head::Head;
use crate::http::request::Session;
use crate::http::response::Response;

/// A request with all that is needed to answer it.
pub(crate) struct Exchange {
    pub(crate) connection: Connection,
    pub(crate) head: Head,
    pub(crate) progress: BodyProgress,
    pub(crate) session: Session,
}

/// A request with its answer, on the way back to the thread of its connection.
pub(crate) struct Finished {
    pub(crate) exchange: Box<Exchange>,
    pub(crate) response: Response,
}

/// A request on the way to a worker, with the way back.
pub(crate) struct Parked {
    pub(crate) exchange: Box<Exchange>,
    pub(crate) reply: SyncSender<Finished>,
}

impl Parked {
    /// Answers without a worker.
    pub(crate) fn refuse(self, error: &Error) {
        let Self { exchange, reply } = self;
        let _ = reply.send(Finished {
            exchange,
            response: Response::error(error),
        });
    }
}
