// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The ends of channels that are told what happens; dropping one ends it.

use std::io;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::time::Duration;

use super::inbox::{Inbox, Received};
use super::register::Register;
use super::stream::{ObserverFunction, Stream};
use crate::stop::{Stop, Waited};

/// Gets the events of some channels, in the order in which they were published.
pub(crate) struct Subscription {
    register: Arc<Register>,
    indexes: Vec<usize>,
    inbox: Arc<Inbox>,
}

impl Subscription {
    pub(crate) fn new(register: Arc<Register>, indexes: Vec<usize>, inbox: Arc<Inbox>) -> Self {
        Self {
            register,
            indexes,
            inbox,
        }
    }

    /// Waits for what comes next; `None` once the token is stopped, even if events are left, which
    /// [`Subscription::try_next`] still gives.
    pub(crate) fn next(&self, stop: &Stop) -> Option<Received> {
        self.inbox.wait(stop, None).ok()
    }

    /// The same, but no longer than `time`.
    ///
    /// # Errors
    /// Whether the token was stopped or the time passed.
    pub(crate) fn next_timeout(&self, stop: &Stop, time: Duration) -> Result<Received, Waited> {
        self.inbox.wait(stop, Some(time))
    }

    /// What is there already.
    pub(crate) fn try_next(&self) -> Option<Received> {
        self.inbox.try_next()
    }

    /// A descriptor that is readable while [`Subscription::try_next`] has something to give, for `poll`.
    /// It is made with the first call. Nobody may read from it or write to it.
    ///
    /// # Errors
    /// If the process has no descriptor left.
    pub(crate) fn descriptor(&self) -> io::Result<BorrowedFd<'_>> {
        self.inbox.descriptor()
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.register.unsubscribe(&self.indexes, &self.inbox);
    }
}

/// While this lives, a function is called with each event of a channel.
#[must_use = "the function is forgotten once this is dropped"]
pub(crate) struct Observation {
    stream: Arc<Stream>,
    number: u64,
}

impl Observation {
    pub(crate) fn new(stream: Arc<Stream>, number: u64, function: ObserverFunction) -> Self {
        stream.add_observer(number, function);
        Self { stream, number }
    }
}

impl Drop for Observation {
    fn drop(&mut self) {
        self.stream.remove_observer(self.number);
    }
}
