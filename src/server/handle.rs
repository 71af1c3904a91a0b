// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What holds a running server: where it is, how it is ended, and how its end is waited for.

use std::ops::Deref;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use crate::address::Address;
use crate::error::Result;
use crate::server::Server;
use crate::stop::Shutdown;
use crate::threads::lock;

/// A server that runs in a thread of its own. Dropping the handle leaves it running.
pub struct ServerHandle {
    addresses: Vec<Address>,
    url: String,
    shutdown: Shutdown,
    outcome: Arc<Mutex<Result<()>>>,
    thread: JoinHandle<()>,
}

impl ServerHandle {
    pub(crate) fn new(
        addresses: Vec<Address>,
        url: String,
        shutdown: Shutdown,
        outcome: Arc<Mutex<Result<()>>>,
        thread: JoinHandle<()>,
    ) -> Self {
        Self {
            addresses,
            url,
            shutdown,
            outcome,
            thread,
        }
    }

    /// The first address as it is bound.
    pub fn address(&self) -> &Address {
        // A server without an address cannot be started.
        &self.addresses[0]
    }

    /// Where the server can be reached.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// All addresses as they are bound.
    pub fn addresses(&self) -> &[Address] {
        &self.addresses
    }

    /// Asks the server to end.
    pub fn shutdown(&self) {
        self.shutdown.trigger();
    }

    /// Waits until the server has ended.
    ///
    /// # Errors
    /// What [`Server::run`](crate::Server::run) returned.
    pub fn join(self) -> Result<()> {
        let _ = self.thread.join();
        std::mem::replace(&mut *lock(&self.outcome), Ok(()))
    }
}

/// A server in the background that ends with this value, which then waits for its end; for tests,
/// and for programs that need a server for a while.
///
/// ```
/// use skep::{Request, Response, Server, Status, TempServer};
///
/// # fn main() -> skep::Result<()> {
/// let handler = |_: &mut Request<'_>| Response::text(Status::OK, "hello, world\n");
/// let server = TempServer::start(Server::bind("unix:auto", handler)?)?;
/// assert!(server.url().starts_with("unix:/"));
/// # Ok(())
/// # }
/// ```
pub struct TempServer(Option<ServerHandle>);

impl TempServer {
    /// Serves in a thread of its own.
    ///
    /// # Errors
    /// If the system has no thread to give.
    pub fn start(server: Server) -> Result<Self> {
        server.start().map(|handle| Self(Some(handle)))
    }
}

impl Deref for TempServer {
    type Target = ServerHandle;

    #[expect(clippy::expect_used, reason = "only drop takes it")]
    fn deref(&self) -> &ServerHandle {
        self.0.as_ref().expect("the server has not ended")
    }
}

impl Drop for TempServer {
    fn drop(&mut self) {
        if let Some(handle) = self.0.take() {
            handle.shutdown();
            if let Err(error) = handle.join() {
                log::warn!("a server ended with an error: {error}");
            }
        }
    }
}
