// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The store that its users hold: a handle on what its threads share.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use crate::store::catalog::{Shelf, save};
use crate::threads::lock;

/// A model directory. Clones are cheap and mean the same one.
#[derive(Clone)]
pub struct Store(pub(crate) Arc<Owner>);

/// Ends the threads when the last clone of a store goes.
pub(crate) struct Owner {
    pub(crate) shelf: Arc<Shelf>,
    pub(crate) threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Store {
    pub(crate) fn shelf(&self) -> &Arc<Shelf> {
        &self.0.shelf
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Store").field(&self.directory()).finish()
    }
}

impl Owner {
    pub(crate) fn close(&self) {
        self.shelf.digester.close();
        self.shelf.cache.close();
        self.shelf.scrub.close();
        for thread in std::mem::take(&mut *lock(&self.threads)) {
            // A panic was logged by the thread itself.
            let _ = thread.join();
        }
        save(&self.shelf.layout, &self.shelf.index);
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.close();
    }
}
