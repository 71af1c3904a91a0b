// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The store that its users hold: a handle on what its threads share.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use crate::error::{Error, Result};
use crate::store::catalog::{Catalog, save};
use crate::threads::{lock, spawn};

/// A model directory. Clones are cheap and mean the same one.
#[derive(Clone)]
pub struct Store(pub(crate) Arc<Owner>);

/// Ends the threads when the last clone of a store goes.
pub(crate) struct Owner {
    pub(crate) catalog: Arc<Catalog>,
    pub(crate) threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Store {
    /// What this store goes by.
    #[cfg(test)]
    pub(crate) fn options(&self) -> &crate::store::options::StoreOptions {
        &self.0.catalog.options
    }

    pub(crate) fn catalog(&self) -> &Arc<Catalog> {
        &self.0.catalog
    }

    /// Starts a thread that ends with the store.
    ///
    /// # Errors
    /// If the system has no thread to give.
    pub(crate) fn start(&self, name: &str, run: fn(&Arc<Catalog>)) -> Result<()> {
        let catalog = Arc::clone(self.catalog());
        let thread = spawn(name, move || run(&catalog));
        let thread = thread.map_err(|error| Error::io("cannot start a thread", error))?;
        lock(&self.0.threads).push(thread);
        Ok(())
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Store").field(&self.directory()).finish()
    }
}

impl Owner {
    pub(crate) fn close(&self) {
        self.catalog.digester.close();
        self.catalog.cache.close();
        self.catalog.scrub.close();
        self.catalog.ready.close();
        self.catalog.unfinished.close();
        for thread in std::mem::take(&mut *lock(&self.threads)) {
            // A panic was logged by the thread itself.
            let _ = thread.join();
        }
        save(&self.catalog.layout, &self.catalog.index);
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.close();
    }
}
