// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Transfers that run while the caller does something else (`asynpost` and `asynload` of the dearning client).

use std::fs::File;
use std::path::PathBuf;
use std::sync::mpsc::{self, Receiver};
use std::thread::JoinHandle;

use crate::client::Client;
use crate::client::download::Fetched;
use crate::client::single_pass::Stored;
use crate::client::transfer::{TransferEvent, TransferOptions};
use crate::error::{Error, ErrorKind, Result};
use crate::model::ModelName;
use crate::stop::Shutdown;
use crate::threads;

/// A transfer on a thread of its own. Dropping it lets it run on.
pub struct Transfer<T> {
    thread: JoinHandle<()>,
    result: Receiver<Result<T>>,
    shutdown: Shutdown,
}

impl<T> Transfer<T> {
    /// Whether it has ended.
    pub fn is_finished(&self) -> bool {
        self.thread.is_finished()
    }

    /// What ends it, as [`Client::shutdown`] says.
    pub fn shutdown(&self) -> Shutdown {
        self.shutdown.clone()
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// Those of the transfer, `Internal` if it panicked.
    pub fn join(self) -> Result<T> {
        let ended = |_| Error::new(ErrorKind::Internal, "the transfer ended without a result");
        self.result.recv().map_err(ended)?
    }
}

impl Client {
    /// [`Client::put_file`] on a thread of its own.
    ///
    /// # Errors
    /// If the system has no thread to give.
    pub fn spawn_put(
        self,
        name: ModelName,
        file: File,
        options: TransferOptions,
        mut events: impl FnMut(TransferEvent<'_>) + Send + 'static,
    ) -> Result<Transfer<Stored>> {
        self.spawn(move |client| client.put_file(&name, &file, &options, &mut events))
    }

    /// [`Client::fetch`] on a thread of its own.
    ///
    /// # Errors
    /// If the system has no thread to give.
    pub fn spawn_get(
        self,
        name: ModelName,
        target: PathBuf,
        options: TransferOptions,
        mut events: impl FnMut(TransferEvent<'_>) + Send + 'static,
    ) -> Result<Transfer<Fetched>> {
        self.spawn(move |client| client.fetch(&name, &target, &options, &mut events))
    }

    fn spawn<T: Send + 'static>(
        mut self,
        work: impl FnOnce(&mut Self) -> Result<T> + Send + 'static,
    ) -> Result<Transfer<T>> {
        let (sender, result) = mpsc::channel();
        let shutdown = self.shutdown();
        let thread = threads::spawn("transfer", move || {
            // Whoever dropped the transfer does not want to know.
            let _ = sender.send(work(&mut self));
        });

        let thread = thread.map_err(|error| Error::io("starting a transfer", error))?;

        Ok(Transfer {
            thread,
            result,
            shutdown,
        })
    }
}
