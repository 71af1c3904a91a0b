// SPDX-License-Identifier: Apache-2.0 OR MIT
//! One channel: who listens to it, and the last of its events for subscriptions that go on.

use std::collections::{BTreeMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use super::inbox::{Delivery, Inbox};
use crate::event::Event;
use crate::threads::panic_text;

/// A function that is called with each event of a channel.
pub(crate) type ObserverFunction = Box<dyn Fn(&Event) + Send + Sync>;

type Observers = Arc<BTreeMap<u64, Arc<ObserverFunction>>>;

/// What publishers of a channel look at without the lock of the register.
pub(crate) struct Stream {
    pub(crate) name: Arc<str>,
    /// Its place in the register.
    pub(crate) index: usize,
    /// Observers, inboxes, and one for the history: while it is 0, no event is made.
    listeners: AtomicUsize,
    /// The same without the observers: while it is 0, the register is left alone.
    queues: AtomicUsize,
    observers: RwLock<Observers>,
}

impl Stream {
    pub(crate) fn new(name: &str, index: usize) -> Arc<Self> {
        Arc::new(Self {
            name: name.into(),
            index,
            listeners: AtomicUsize::new(0),
            queues: AtomicUsize::new(0),
            observers: RwLock::default(),
        })
    }

    /// Whether anybody wants to know. Whoever began to listen before, as far as threads can tell, counts.
    #[inline]
    pub(crate) fn has_listeners(&self) -> bool {
        self.listeners.load(Ordering::Relaxed) > 0
    }

    pub(crate) fn has_queues(&self) -> bool {
        self.queues.load(Ordering::Relaxed) > 0
    }

    pub(crate) fn add_queue(&self) {
        self.queues.fetch_add(1, Ordering::Relaxed);
        self.listeners.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn remove_queue(&self) {
        self.listeners.fetch_sub(1, Ordering::Relaxed);
        self.queues.fetch_sub(1, Ordering::Relaxed);
    }

    pub(crate) fn add_observer(&self, number: u64, function: ObserverFunction) {
        let mut observers = self
            .observers
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        Arc::make_mut(&mut observers).insert(number, Arc::new(function));
        self.listeners.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn remove_observer(&self, number: u64) {
        let mut observers = self
            .observers
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        let removed = Arc::make_mut(&mut observers).remove(&number);
        self.listeners.fetch_sub(1, Ordering::Relaxed);
        drop(observers);
        // What the function holds is dropped without the lock.
        drop(removed);
    }

    /// Calls the observers. A panic of one costs its own work only, never that of the publisher.
    pub(crate) fn observe(&self, event: &Event) {
        // The map is cloned, so that no lock is held while functions run: one may end its own observation.
        let observers = self
            .observers
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();

        for function in observers.values() {
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| function(event))) {
                let text = panic_text(&*panic);
                log::error!(
                    "an observer of the channel '{}' panicked: {text}",
                    self.name
                );
            }
        }
    }
}

/// What the register keeps of a channel, under its lock.
pub(crate) struct Tail {
    pub(crate) stream: Arc<Stream>,
    history: VecDeque<Delivery>,
    history_max: usize,
    /// All events after the one of this id are in the history.
    kept_after: u64,
    inboxes: Vec<Arc<Inbox>>,
}

impl Tail {
    pub(crate) fn new(stream: Arc<Stream>) -> Self {
        Self {
            stream,
            history: VecDeque::new(),
            history_max: 0,
            kept_after: 0,
            inboxes: Vec::new(),
        }
    }

    /// Keeps at least the last `count` events from now on.
    pub(crate) fn keep(&mut self, count: usize, last_id: u64) {
        if self.history_max == 0 && count > 0 {
            // Nobody knows what happened while nobody listened.
            self.kept_after = last_id;
            self.stream.add_queue();
        }
        self.history_max = self.history_max.max(count);
    }

    pub(crate) fn deliver(&mut self, delivery: &Delivery) {
        for inbox in &self.inboxes {
            inbox.push(delivery.clone());
        }

        if self.history_max > 0 {
            if self.history.len() == self.history_max
                && let Some(oldest) = self.history.pop_front()
            {
                self.kept_after = oldest.id;
            }
            self.history.push_back(delivery.clone());
        }
    }

    pub(crate) fn add(&mut self, inbox: &Arc<Inbox>) {
        self.inboxes.push(Arc::clone(inbox));
        self.stream.add_queue();
    }

    pub(crate) fn remove(&mut self, inbox: &Arc<Inbox>) {
        let place = self
            .inboxes
            .iter()
            .position(|other| Arc::ptr_eq(other, inbox));
        if let Some(place) = place {
            self.inboxes.swap_remove(place);
            self.stream.remove_queue();
        }
    }

    /// Whether the history has all events after the one of this id.
    pub(crate) fn is_kept_after(&self, id: u64) -> bool {
        self.history_max > 0 && id >= self.kept_after
    }

    pub(crate) fn after(&self, id: u64) -> impl Iterator<Item = &Delivery> {
        self.history.iter().filter(move |delivery| delivery.id > id)
    }
}
