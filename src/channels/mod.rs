// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Named streams of events: publishers tell what happens, and whoever listens is told.
//!
//! A subscriber has an inbox of a fixed size. One that is too slow loses the oldest events and is told
//! how many, so that no publisher ever waits for a reader. An observer is called by the publisher
//! itself and loses nothing.
//!
//! Invariant: where nobody listens, an event costs one atomic load; it is not even made.

mod inbox;
mod publisher;
mod register;
mod stream;
mod subscription;
#[cfg(test)]
mod tests;

pub(crate) use inbox::Received;
pub(crate) use publisher::Publisher;
pub(crate) use stream::ObserverFunction;
pub(crate) use subscription::{Observation, Subscription};

use std::sync::Arc;
use std::time::SystemTime;

use crate::error::Result;
use inbox::Inbox;
use register::Register;

/// All channels of a server. Clones are the same channels.
#[derive(Clone)]
pub(crate) struct Channels(Arc<Register>);

impl Channels {
    /// No channel yet, and room for `subscribers_max` subscriptions at one time. Ids of events begin with
    /// the microseconds of `start` since 1970, so that they go on growing after a restart.
    pub(crate) fn new(start: SystemTime, subscribers_max: usize) -> Self {
        let since = start
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        let first_id = u64::try_from(since.as_micros()).unwrap_or_default();
        Self(Register::new(first_id, subscribers_max))
    }

    /// The publisher of a channel, which is made with the first call for its name. The channel keeps the
    /// last `history` events, or as many as another call asked for; events are made for that even
    /// where nobody listens, unless it is 0.
    ///
    /// # Errors
    /// `Usage` if the name is none for a channel, or if there are too many channels.
    pub(crate) fn open(&self, name: &str, history: usize) -> Result<Publisher> {
        let stream = self.0.open(name, history)?;
        Ok(Publisher::new(Arc::clone(&self.0), stream))
    }

    /// The names of the channels, in the order in which they were made.
    #[cfg(test)]
    pub(crate) fn names(&self) -> Vec<Arc<str>> {
        self.0.names()
    }

    /// Watches channels from now on: those that are named, or all that there are if none is. Up to
    /// `capacity` events (at least one) wait for the subscriber.
    ///
    /// # Errors
    /// `NotFound` for a name that no channel has, `Busy` if there are too many subscribers.
    pub(crate) fn subscribe(&self, names: &[&str], capacity: usize) -> Result<Subscription> {
        self.watch(names, capacity, None)
    }

    /// The same, beginning with the events after the one of id `after`, as far as the channels keep them
    /// (`Last-Event-ID` of server-sent events). If some may be gone, the subscriber is told so first
    /// ([`Received::Gap`]).
    ///
    /// # Errors
    /// As [`Channels::subscribe`].
    pub(crate) fn resume(
        &self,
        names: &[&str],
        capacity: usize,
        after: u64,
    ) -> Result<Subscription> {
        self.watch(names, capacity, Some(after))
    }

    /// Has a function called with each event of a channel, in the thread of its publisher, which waits
    /// for it: the function has to be short and must never wait for anything. It sees every event, and
    /// may still run for a moment while the observation is being dropped.
    ///
    /// # Errors
    /// `NotFound` if there is no such channel.
    pub(crate) fn observe(&self, name: &str, function: ObserverFunction) -> Result<Observation> {
        let stream = self.0.stream(name)?;
        let number = self.0.observer_number();
        Ok(Observation::new(stream, number, function))
    }

    fn watch(&self, names: &[&str], capacity: usize, after: Option<u64>) -> Result<Subscription> {
        let inbox = Inbox::new(capacity);
        let indexes = self.0.subscribe(names, &inbox, after)?;
        Ok(Subscription::new(Arc::clone(&self.0), indexes, inbox))
    }
}
