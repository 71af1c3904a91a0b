// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Many transfers of one client over several connections at a time.
//!
//! The first connection is the client's own and does not give up before its retries are spent. The others are
//! spare: where the server has no place for one of them, it ends, and what it was about is done by the rest.
//! So a server with few places gets fewer connections, and no transfer fails that one connection would do.

mod connection_role;
#[cfg(test)]
mod tests;

pub(crate) use connection_role::ConnectionRole;

use std::ops::ControlFlow;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::client::Client;
use crate::client::connection::{Shared, agent};
use crate::client::retry::{Retry, stopped};
use crate::client::transfer::{TransferEvent, TransferEvents};
use crate::error::{Error, ErrorKind, Result};
use crate::stop::{Reason, Stop};
use crate::threads::{self, lock};

/// A list of transfers, which are called by their numbers.
pub(crate) struct TransferList<'a> {
    pub(crate) count: usize,
    /// Over how many connections they go at most.
    pub(crate) connections: usize,
    /// What is done for a number.
    pub(crate) work: &'a Work<'a>,
    /// Whether after such a failure nothing else of the list is done.
    pub(crate) is_last: fn(&Error) -> bool,
}

/// A transfer of a list.
pub(crate) type Work<'a> = dyn Fn(&mut Client, usize, TransferEvents<'_>) -> Result<()> + Sync + 'a;

/// What happens to a transfer of a list.
#[derive(Debug)]
pub(crate) enum TransferNews {
    /// It goes on after so many bytes.
    Started { at: u64 },
    /// As [`TransferEvent::Progress`], some times in a second at most.
    Progress(u64),
    /// As [`TransferEvent::Retrying`].
    Retrying { pause: Duration, reason: String },
    /// As [`TransferEvent::Restarted`].
    Restarted { reason: &'static str },
    /// It has ended. What the end of another one has stopped does not end.
    Done(Result<()>),
}

impl Client {
    /// Does all of a list, in no order; `told` is called in this thread, and ends all of it with `Break`.
    ///
    /// # Errors
    /// `Interrupted` if the client was stopped. The failures of the transfers are told.
    pub(crate) fn do_all(
        &mut self,
        list: &TransferList<'_>,
        told: &mut dyn FnMut(usize, TransferNews) -> ControlFlow<()>,
    ) -> Result<()> {
        let spare = 1..list.connections.min(list.count);
        let mut spare: Vec<Self> = spare.map(|_| self.beside()).collect();
        let (stop, mut is_going) = (self.stop.clone(), true);

        let queue = TransferQueue::new(list);
        let (sender, receiver) = sync_channel(NEWS_MAX);
        let mut works: Vec<Box<dyn FnOnce() + Send + '_>> = Vec::new();
        for client in std::iter::once(&mut *self).chain(&mut spare) {
            let (queue, sender) = (&queue, sender.clone());
            works.push(Box::new(move || queue.work(client, &sender)));
        }
        drop(sender);

        threads::side_by_side("transfer", works, &mut || {
            for (number, news) in &receiver {
                if is_going && told(number, news).is_break() {
                    is_going = false;
                    queue.end(&stop);
                }
            }
        })
        .map_err(|error| Error::io("starting a thread", error))?;

        if self.whole.is_stopped() {
            return Err(stopped());
        }
        let is_lost = queue.is_lost();
        if self.stop.is_stopped() {
            self.revive();
        }
        if is_lost {
            return Err(Error::new(ErrorKind::Internal, "a transfer was lost"));
        }
        Ok(())
    }

    /// Another client of the same server, which opens a connection of its own. What stops this one stops it.
    fn beside(&self) -> Self {
        let mut beside = self.anew(self.stop.clone());
        beside.role = ConnectionRole::Spare;
        beside
    }

    /// Goes on after a stop that was not for good.
    fn revive(&mut self) {
        *self = self.anew(self.whole.child());
    }

    fn anew(&self, stop: Stop) -> Self {
        let mut dialer = self.dialer.clone();
        dialer.shared = Arc::new(Shared::of_same_server(&self.shared));
        dialer.stop = stop.clone();

        Self {
            agent: agent(dialer.clone()),
            url: self.url.clone(),
            login: self.login.for_another(),
            shared: Arc::clone(&dialer.shared),
            dialer,
            home: self.home.clone(),
            pace: self.pace.until(&stop),
            about: self.about.clone(),
            change: self.change.clone(),
            revision: self.revision,
            version: self.version,
            role: self.role,
            whole: self.whole.clone(),
            stop,
        }
    }

    /// Counts the failures of a transfer of this client.
    pub(crate) fn retry(&self, limit: u32) -> Retry {
        let retry = Retry::new(limit);
        match self.role {
            ConnectionRole::First => retry,
            ConnectionRole::Spare => retry.giving_way(),
        }
    }
}

/// What of a list is to be done, and what is being done.
struct TransferQueue<'a> {
    list: &'a TransferList<'a>,
    state: Mutex<ListState>,
    change: Condvar,
}

#[derive(Default)]
struct ListState {
    /// The first number that nobody has begun with.
    next: usize,
    /// Numbers that a spare connection has given back.
    returned: Vec<usize>,
    /// How many are being done.
    running: usize,
    is_ended: bool,
    /// Whether a thread has ended in the middle of a transfer.
    is_lost: bool,
}

impl<'a> TransferQueue<'a> {
    fn new(list: &'a TransferList<'a>) -> Self {
        Self {
            list,
            state: Mutex::default(),
            change: Condvar::new(),
        }
    }

    /// What one connection does.
    fn work(&self, client: &mut Client, news: &SyncSender<(usize, TransferNews)>) {
        while let Some(taken) = self.take(client.role) {
            let number = taken.number;
            // The receiver is there as long as any sender is.
            let tell = |told| drop(news.send((number, told)));
            let mut told_at = Instant::now();
            let result = (self.list.work)(client, number, &mut |event| {
                // Each piece of news wakes another thread, and nobody sees more than some of them in a second.
                if matches!(event, TransferEvent::Progress(_)) {
                    if told_at.elapsed() < NEWS_PAUSE {
                        return;
                    }
                    told_at = Instant::now();
                }
                tell(event.into());
            });

            let Err(error) = result else {
                taken.settle();
                tell(TransferNews::Done(Ok(())));
                continue;
            };
            let is_stopped = client.stop.is_stopped();
            if !is_stopped && client.role == ConnectionRole::Spare && gives_way(&error) {
                log::debug!("a connection less: {error}");
                taken.give_back();
                return;
            }

            let is_last = is_stopped || (self.list.is_last)(&error);
            if taken.fail(is_last) && !is_stopped {
                tell(TransferNews::Done(Err(error)));
            }
            if is_last {
                client.stop.trigger(Reason::Asked);
            }
        }
    }

    /// The next number; the first connection waits for what others may give back.
    fn take(&self, role: ConnectionRole) -> Option<TakenTransfer<'_>> {
        let mut state = lock(&self.state);
        loop {
            if state.is_ended {
                return None;
            }
            let returned = state.returned.pop();
            if let Some(number) = returned.or_else(|| state.fresh(self.list.count)) {
                state.running += 1;
                return Some(TakenTransfer {
                    queue: self,
                    number,
                    is_settled: false,
                });
            }

            if role == ConnectionRole::Spare || state.running == 0 {
                return None;
            }
            let waited = self.change.wait(state);
            state = waited.unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn end(&self, stop: &Stop) {
        lock(&self.state).is_ended = true;
        stop.trigger(Reason::Asked);
    }

    fn is_lost(&self) -> bool {
        lock(&self.state).is_lost
    }
}

impl ListState {
    fn fresh(&mut self, count: usize) -> Option<usize> {
        let number = self.next;
        (number < count).then(|| {
            self.next += 1;
            number
        })
    }
}

/// A transfer that is being done.
struct TakenTransfer<'q> {
    queue: &'q TransferQueue<'q>,
    number: usize,
    is_settled: bool,
}

impl TakenTransfer<'_> {
    fn settle(mut self) {
        self.is_settled = true;
    }

    fn give_back(mut self) {
        lock(&self.queue.state).returned.push(self.number);
        self.is_settled = true;
    }

    /// Whether the failure is told: only what was not stopped by another one is.
    fn fail(mut self, is_last: bool) -> bool {
        self.is_settled = true;
        let mut state = lock(&self.queue.state);
        let is_told = !state.is_ended;
        state.is_ended |= is_last;
        is_told
    }
}

impl Drop for TakenTransfer<'_> {
    fn drop(&mut self) {
        let mut state = lock(&self.queue.state);
        state.running -= 1;
        // A panic, which nobody may wait for.
        if !self.is_settled {
            state.is_lost = true;
            state.is_ended = true;
        }
        drop(state);
        self.queue.change.notify_all();
    }
}

impl From<TransferEvent<'_>> for TransferNews {
    fn from(event: TransferEvent<'_>) -> Self {
        match event {
            TransferEvent::Started { at, .. } => Self::Started { at },
            TransferEvent::Progress(done) => Self::Progress(done),
            TransferEvent::Retrying { pause, error } => Self::Retrying {
                pause,
                reason: error.message().to_owned(),
            },
            TransferEvent::Restarted { reason } => Self::Restarted { reason },
        }
    }
}

/// Whether it may be that the server only has no place for one more connection.
fn gives_way(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::Busy
            | ErrorKind::TooManyRequests
            | ErrorKind::RequestTimeout
            | ErrorKind::Unreachable
            | ErrorKind::Interrupted
    )
}

/// How often progress of one transfer is told at most.
const NEWS_PAUSE: Duration = Duration::from_millis(100);

/// What waits to be told; a transfer that has more to tell waits, too.
const NEWS_MAX: usize = 64;
