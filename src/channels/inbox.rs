// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The events that wait for one subscriber. A full inbox loses the oldest event and counts it.

use std::collections::VecDeque;
use std::io;
use std::os::fd::BorrowedFd;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::bell::Bell;
use crate::event::Event;
use crate::stop::{Stop, Waited};
use crate::threads::lock;

/// An event on its way, with its place among the others.
#[derive(Clone, Debug)]
pub(crate) struct Delivery {
    /// Grows from event to event over all channels of a [`super::Channels`], and from one start of the
    /// process to the next one, as far as the clock does.
    pub(crate) id: u64,
    /// The name of the channel.
    pub(crate) channel: Arc<str>,
    pub(crate) event: Arc<Event>,
}

/// What a subscriber gets.
#[derive(Clone, Debug)]
pub(crate) enum Received {
    Event(Delivery),
    /// The subscriber was too slow: so many events were lost before the next one.
    Missed(u64),
    /// A subscription goes on after an event that is too old: an unknown number of events may be missing
    /// before the next one.
    Gap,
}

pub(crate) struct Inbox {
    capacity: usize,
    backlog: Mutex<Backlog>,
    change: Condvar,
    /// Rings while the backlog is not empty; used under its lock only.
    bell: Bell,
}

#[derive(Default)]
struct Backlog {
    has_gap: bool,
    missed: u64,
    deliveries: VecDeque<Delivery>,
    /// Threads that wait on the change: without one, an event costs no system call.
    waiting: usize,
}

impl Inbox {
    /// An inbox for `capacity` events, at least one.
    pub(crate) fn new(capacity: usize) -> Arc<Self> {
        Arc::new(Self {
            capacity: capacity.max(1),
            backlog: Mutex::default(),
            change: Condvar::new(),
            bell: Bell::default(),
        })
    }

    /// Adds an event; it never waits for the subscriber.
    pub(crate) fn push(&self, delivery: Delivery) {
        let mut backlog = lock(&self.backlog);
        let was_empty = backlog.is_empty();

        // The oldest goes, since the newest says how things are.
        if backlog.deliveries.len() == self.capacity {
            backlog.deliveries.pop_front();
            backlog.missed += 1;
        }

        backlog.deliveries.push_back(delivery);

        // The bell stays readable until the inbox is empty, so one system call is enough for many events.
        if was_empty {
            self.bell.ring();
        }

        if backlog.waiting > 0 {
            self.change.notify_one();
        }
    }

    /// Notes that events may be missing before all others.
    pub(crate) fn note_gap(&self) {
        lock(&self.backlog).has_gap = true;
        self.bell.ring();
    }

    /// What is there, without waiting.
    pub(crate) fn try_next(&self) -> Option<Received> {
        self.take(&mut lock(&self.backlog))
    }

    /// Waits for what comes next, at most for `time` if there is one.
    ///
    /// # Errors
    /// Why there is nothing. A stop comes first, whatever is there.
    pub(crate) fn wait(
        self: &Arc<Self>,
        stop: &Stop,
        time: Option<Duration>,
    ) -> Result<Received, Waited> {
        if stop.is_stopped() {
            return Err(Waited::Stopped);
        }

        // Most calls end here, without the cost of a listener.
        if let Some(received) = self.try_next() {
            return Ok(received);
        }

        // A stop knows nothing of our condition variable and has to be told how to wake it.
        let woken = Arc::clone(self);
        let _listener = stop.on_stop(move || woken.wake());

        // A time that the clock cannot represent is no limit.
        let deadline = time.and_then(|time| Instant::now().checked_add(time));
        let mut backlog = lock(&self.backlog);

        loop {
            if stop.is_stopped() {
                return Err(Waited::Stopped);
            }
            if let Some(received) = self.take(&mut backlog) {
                return Ok(received);
            }

            let left = deadline.map(|end| end.saturating_duration_since(Instant::now()));
            if left == Some(Duration::ZERO) {
                return Err(Waited::TimedOut);
            }
            backlog.waiting += 1;
            backlog = self.wait_once(backlog, left);
            backlog.waiting -= 1;
        }
    }

    fn wait_once<'a>(
        &self,
        backlog: MutexGuard<'a, Backlog>,
        left: Option<Duration>,
    ) -> MutexGuard<'a, Backlog> {
        match left {
            Some(left) => {
                let waited = self.change.wait_timeout(backlog, left);
                waited.unwrap_or_else(PoisonError::into_inner).0
            }
            None => {
                let waited = self.change.wait(backlog);
                waited.unwrap_or_else(PoisonError::into_inner)
            }
        }
    }

    /// A descriptor that is readable while something is there.
    pub(crate) fn descriptor(&self) -> io::Result<BorrowedFd<'_>> {
        let backlog = lock(&self.backlog);
        let descriptor = self.bell.descriptor()?;
        if !backlog.is_empty() {
            self.bell.ring();
        }
        Ok(descriptor)
    }

    fn take(&self, backlog: &mut Backlog) -> Option<Received> {
        let received = backlog.take()?;
        if backlog.is_empty() {
            self.bell.silence();
        }
        Some(received)
    }

    /// Has all who wait look at their stop.
    fn wake(&self) {
        // Whoever looked before waits by now, because it holds the lock in between.
        drop(lock(&self.backlog));
        self.change.notify_all();
    }
}

impl Backlog {
    fn is_empty(&self) -> bool {
        !self.has_gap && self.missed == 0 && self.deliveries.is_empty()
    }

    fn take(&mut self) -> Option<Received> {
        if std::mem::take(&mut self.has_gap) {
            return Some(Received::Gap);
        }
        // What was missed is older than all that is left.
        match std::mem::take(&mut self.missed) {
            0 => self.deliveries.pop_front().map(Received::Event),
            missed => Some(Received::Missed(missed)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;
    use crate::stop::Reason;
    use crate::threads::spawn;

    /// For what must not happen at all.
    const DEADLINE: Duration = Duration::from_secs(20);

    #[test]
    fn a_stop_wakes_who_waits_already() {
        let (inbox, stop) = (Inbox::new(1), Stop::new());
        let (ended, heard) = channel();
        let (waiter, token) = (Arc::clone(&inbox), stop.clone());
        let work = move || {
            let waited = waiter.wait(&token, None).map(drop);
            ended.send(waited).unwrap();
        };
        spawn("waiting", work).unwrap();

        // Whoever counts as waiting lets the lock go only in its wait.
        while lock(&inbox.backlog).waiting == 0 {
            std::thread::yield_now();
        }
        stop.trigger(Reason::Asked);
        assert_eq!(heard.recv_timeout(DEADLINE).unwrap(), Err(Waited::Stopped));
    }
}
