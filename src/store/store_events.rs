// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The events of a store: models that are published and removed, and uploads that progress.

use crate::channels::Publisher;
use crate::clock;
use crate::event::{Event, Happening};

/// The ends of the channels that a store publishes on; by default nobody listens.
#[derive(Clone, Default)]
pub(crate) struct StoreEvents {
    pub(crate) models: Publisher,
    pub(crate) uploads: Publisher,
}

impl StoreEvents {
    /// Publishes an event about a model, if anybody listens.
    pub(crate) fn model(&self, happening: impl FnOnce() -> Happening) {
        self.models
            .publish(|| Event::new(clock::now(), happening()));
    }

    /// Publishes an event about an upload, if anybody listens.
    pub(crate) fn upload(&self, happening: impl FnOnce() -> Happening) {
        self.uploads
            .publish(|| Event::new(clock::now(), happening()));
    }
}
