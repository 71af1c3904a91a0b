// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A server that answers: its threads, and the order in which they begin and end.

use std::sync::Arc;
use std::thread::JoinHandle;

use crate::disk;
use crate::edge::{self, Connections, Handshakes, Listener, Reception, Seats};
use crate::error::{Error, Result};
use crate::http::{Engine, HttpShared, Workers};
use crate::text::counted;
use crate::threads;

/// The threads of a server, which end with this value.
pub(super) struct Begun {
    service: Arc<HttpShared>,
    connections: Arc<Connections>,
    seats: Arc<Seats>,
    poller: Option<JoinHandle<()>>,
    handshakes: Option<Arc<Handshakes>>,
    workers: Option<Workers>,
}

impl Begun {
    /// Accepts, and then starts what only some requests need: nobody waits for more than the answer takes.
    ///
    /// # Errors
    /// If the system has no threads to give, or no folder can hold the engine's socket.
    pub(super) fn new(
        listener: Listener,
        service: Arc<HttpShared>,
        connections: Arc<Connections>,
        reception: Reception,
        folders: Vec<std::path::PathBuf>,
    ) -> Result<Self> {
        let seats =
            Seats::new().map_err(|error| Error::io("starting to wait for callers", error))?;
        let handshakes = reception.handshakes.clone();
        let waiting = Arc::clone(&seats);
        let poller = threads::spawn("poller", move || edge::run(listener, &waiting, reception))
            .map_err(|error| Error::io("starting to accept connections", error))?;

        let mut begun = Self {
            service,
            connections,
            seats,
            poller: Some(poller),
            handshakes,
            workers: None,
        };
        begun.workers = Some(begun.start_workers(folders)?);
        Ok(begun)
    }

    fn start_workers(&self, folders: Vec<std::path::PathBuf>) -> Result<Workers> {
        let service = &self.service;
        let engine = Engine::start(disk::temporary_folders(folders))?;
        let workers = Workers::start(service.limits.now().workers, &engine, &service.metrics)?;

        // Requests that came before this wait for it.
        let _ = service.engine.set(Some(engine));
        Ok(workers)
    }

    /// Lets running requests finish, for as long as the limits say, and ends.
    pub(super) fn end(self) {
        // Callers that go on for longer than the limit are cut off, or one of them could keep the server
        // alive for ever.
        let connections = &self.connections;
        if !connections.wait_until_empty(self.service.limits.now().drain_timeout) {
            let count = counted(connections.count() as u64, "connection");
            log::warn!("cut off after the time for a shutdown: {count}");
            connections.close_all();
            connections.wait_until_empty(CUT_WAIT);
        }
    }
}

impl Drop for Begun {
    /// The poller and the workers end last, because running requests need them.
    fn drop(&mut self) {
        // Whoever still waits for an engine that did not start is let go.
        let _ = self.service.engine.set(None);

        self.seats.end();
        if let Some(poller) = self.poller.take() {
            let _ = poller.join();
        }

        self.service.writers.close();
        if let Some(handshakes) = &self.handshakes {
            handshakes.crew.close();
        }
        drop(self.workers.take());
    }
}

/// How long connections that were cut off may take to notice.
const CUT_WAIT: std::time::Duration = std::time::Duration::from_secs(2);
