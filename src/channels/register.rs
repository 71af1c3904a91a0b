// SPDX-License-Identifier: Apache-2.0 OR MIT
//! All channels under one lock, so that events have one order over all of them.

use std::sync::{Arc, Mutex};

use super::inbox::{Delivery, Inbox};
use super::stream::{Stream, Tail};
use crate::error::{Error, ErrorKind, Result};
use crate::event::Event;
use crate::threads::lock;

/// What publishers, subscriptions and observers share.
///
/// Locks are taken in this order: the register, then an inbox. No lock is held while an event is made
/// or an observer is called.
pub(crate) struct Register {
    subscribers_max: usize,
    /// Events of this process have greater ids.
    first_id: u64,
    book: Mutex<Book>,
}

struct Book {
    last_id: u64,
    last_observer: u64,
    subscribers: usize,
    tails: Vec<Tail>,
}

impl Register {
    pub(crate) fn new(first_id: u64, subscribers_max: usize) -> Arc<Self> {
        Arc::new(Self {
            subscribers_max,
            first_id,
            book: Mutex::new(Book {
                last_id: first_id,
                last_observer: 0,
                subscribers: 0,
                tails: Vec::new(),
            }),
        })
    }

    /// The channel of a name, which is made if there is none.
    pub(crate) fn open(&self, name: &str, history: usize) -> Result<Arc<Stream>> {
        check_name(name)?;
        let mut book = lock(&self.book);
        let last_id = book.last_id;

        let index = match book.find(name) {
            Some(index) => index,
            // Channels are never removed, so their number needs a bound.
            None if book.tails.len() == CHANNELS_MAX => {
                let message = format!(
                    "there are {CHANNELS_MAX} channels already, the highest number allowed"
                );
                return Err(Error::new(ErrorKind::Usage, message));
            }
            None => {
                let index = book.tails.len();
                let tail = Tail::new(Stream::new(name, index));
                book.tails.push(tail);
                index
            }
        };

        let tail = &mut book.tails[index];
        tail.keep(history, last_id);

        Ok(Arc::clone(&tail.stream))
    }

    /// The channels that there are.
    #[cfg(test)]
    pub(crate) fn names(&self) -> Vec<Arc<str>> {
        let book = lock(&self.book);
        let names = book.tails.iter().map(|tail| Arc::clone(&tail.stream.name));
        names.collect()
    }

    /// The channel of a name.
    pub(crate) fn stream(&self, name: &str) -> Result<Arc<Stream>> {
        let book = lock(&self.book);
        let index = book.find(name).ok_or_else(|| book.unknown(name))?;
        Ok(Arc::clone(&book.tails[index].stream))
    }

    pub(crate) fn observer_number(&self) -> u64 {
        let mut book = lock(&self.book);
        book.last_observer += 1;
        book.last_observer
    }

    /// Gives an event its id, and puts it into all inboxes and the history of its channel.
    pub(crate) fn deliver(&self, stream: &Stream, event: Event) {
        let event = Arc::new(event);
        let mut book = lock(&self.book);
        book.last_id += 1;
        let delivery = Delivery {
            id: book.last_id,
            channel: Arc::clone(&stream.name),
            event,
        };
        book.tails[stream.index].deliver(&delivery);
    }

    /// Has an inbox get the events of some channels (of all, if no name is given), from now on or from
    /// the event after the one of an id.
    pub(crate) fn subscribe(
        &self,
        names: &[&str],
        inbox: &Arc<Inbox>,
        after: Option<u64>,
    ) -> Result<Vec<usize>> {
        let mut book = lock(&self.book);
        let indexes = book.choose(names)?;

        if book.subscribers >= self.subscribers_max {
            let message = format!(
                "{} subscribers watch events already, the highest number allowed",
                self.subscribers_max
            );
            return Err(Error::new(ErrorKind::Busy, message).hint("try again later"));
        }

        // The book stays locked until the inbox is added, so no event is lost or comes twice in between.
        if let Some(after) = after {
            self.replay(&book, &indexes, inbox, after);
        }

        for index in &indexes {
            book.tails[*index].add(inbox);
        }

        book.subscribers += 1;

        Ok(indexes)
    }

    pub(crate) fn unsubscribe(&self, indexes: &[usize], inbox: &Arc<Inbox>) {
        let mut book = lock(&self.book);
        for index in indexes {
            book.tails[*index].remove(inbox);
        }
        book.subscribers -= 1;
    }

    fn replay(&self, book: &Book, indexes: &[usize], inbox: &Arc<Inbox>, after: u64) {
        let tails = indexes.iter().map(|index| &book.tails[*index]);
        // An id of an earlier process, or of one whose clock was ahead, says nothing about this one.
        let is_ours = (self.first_id..=book.last_id).contains(&after);
        if !is_ours || tails.clone().any(|tail| !tail.is_kept_after(after)) {
            inbox.note_gap();
        }

        // After a gap, all that is kept is delivered: it says how things are now.
        let from = if is_ours { after } else { self.first_id };
        let mut deliveries: Vec<_> = tails.flat_map(|tail| tail.after(from)).collect();
        // Ids order the events over all channels, and each tail has its own only.
        deliveries.sort_unstable_by_key(|delivery| delivery.id);

        for delivery in deliveries {
            inbox.push(delivery.clone());
        }
    }
}

impl Book {
    fn find(&self, name: &str) -> Option<usize> {
        self.tails
            .iter()
            .position(|tail| &*tail.stream.name == name)
    }

    /// The places of channels, each once.
    fn choose(&self, names: &[&str]) -> Result<Vec<usize>> {
        if names.is_empty() {
            return Ok((0..self.tails.len()).collect());
        }

        let found = names
            .iter()
            .map(|name| self.find(name).ok_or_else(|| self.unknown(name)));

        let mut indexes = found.collect::<Result<Vec<_>>>()?;
        // A channel that is named twice must not deliver each event twice.
        indexes.sort_unstable();
        indexes.dedup();

        Ok(indexes)
    }

    fn unknown(&self, name: &str) -> Error {
        let names: Vec<_> = self.tails.iter().map(|tail| &*tail.stream.name).collect();
        let message = format!("there is no channel '{}'", name.escape_debug());
        let hint = format!("the channels are: {}", names.join(", "));
        Error::new(ErrorKind::NotFound, message).hint(hint)
    }
}

fn check_name(name: &str) -> Result<()> {
    let is_plain =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-_".contains(&byte);
    if (1..=NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(is_plain) {
        return Ok(());
    }
    let message = format!("'{}' is not a valid channel name", name.escape_debug());
    let hint = format!("a name has 1 to {NAME_BYTES_MAX} of the characters a-z 0-9 . - _");
    Err(Error::new(ErrorKind::Usage, message).hint(hint))
}

const NAME_BYTES_MAX: usize = 64;

const CHANNELS_MAX: usize = 256;
