// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Watching a node from the program that embeds it: events as JSON, in the order in which they happened.

use std::os::fd::BorrowedFd;
use std::time::Duration;

use crate::channels::{Received, Subscription};
use crate::error::{Error, Result};
use crate::stop::Stop;

/// A view of what happens in a node. It has room for a fixed number of events; a watcher that is too
/// slow loses the oldest ones and is told how many.
pub struct Watcher {
    subscription: Subscription,
    stop: Stop,
}

/// What a watcher is told.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Notice {
    /// Something happened.
    Event {
        /// Grows from event to event; [`Node::watch`](crate::Node::watch) goes on after it.
        id: u64,
        /// The channel: `models`, `uploads`, `access`, `connections`, `server` or `requests`.
        channel: String,
        /// One JSON object with `event` (for example `model.published`), `time` and what is known.
        json: String,
    },
    /// So many events were lost before the next one.
    Missed(u64),
    /// An unknown number of events is missing before the next one: what was to be resumed is too old.
    Gap,
}

impl Watcher {
    pub(crate) fn new(subscription: Subscription, stop: Stop) -> Self {
        Self { subscription, stop }
    }

    /// What comes next; `None` once the node has stopped.
    pub fn next(&self) -> Option<Notice> {
        let there = self.subscription.try_next();
        let received = there.or_else(|| self.subscription.next(&self.stop));
        received.map(Notice::of)
    }

    /// The same, but waits no longer than this; `None` if nothing came, too.
    pub fn next_within(&self, time: Duration) -> Option<Notice> {
        let received = self.subscription.next_timeout(&self.stop, time).ok();
        received.map(Notice::of)
    }

    /// What is there already.
    pub fn try_next(&self) -> Option<Notice> {
        self.subscription.try_next().map(Notice::of)
    }

    /// A descriptor for `poll` that is readable while [`Watcher::try_next`] has something to give.
    ///
    /// # Errors
    /// If the process has no descriptor left.
    pub fn descriptor(&self) -> Result<BorrowedFd<'_>> {
        let made = self.subscription.descriptor();
        made.map_err(|error| Error::io("cannot watch events", error))
    }
}

impl Notice {
    fn of(received: Received) -> Self {
        match received {
            Received::Event(delivery) => Self::Event {
                id: delivery.id,
                channel: delivery.channel.to_string(),
                json: delivery.event.json().to_string(),
            },
            Received::Missed(count) => Self::Missed(count),
            Received::Gap => Self::Gap,
        }
    }
}
