// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Where connections wait at the poller, and how other threads give them back.

use std::collections::HashMap;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::Instant;

use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::event::{EventfdFlags, eventfd};

use crate::threads::lock;
use crate::waiting::{Seat, Waiter};

/// All seats of a poller, shared with the threads that give connections back.
pub(crate) struct Seats {
    pub(super) epoll: OwnedFd,
    wake: OwnedFd,
    /// Who is here. Keys are never used twice, so a late event finds nobody rather than somebody else.
    seats: Mutex<HashMap<u64, Weak<PollSeat>>>,
    next: AtomicU64,
    /// Who was given back with something that no event will tell of.
    returned: Mutex<Vec<u64>>,
    pub(super) is_stopping: AtomicBool,
    pub(super) is_ended: AtomicBool,
}

/// One connection's place.
pub(crate) struct PollSeat {
    pub(super) key: u64,
    seats: Arc<Seats>,
    state: Mutex<SeatState>,
}

#[derive(Default)]
struct SeatState {
    /// Whoever waits; nobody while a thread works on the connection.
    waiting: Option<Box<dyn Waiter>>,
    /// An event came while nobody waited.
    is_marked: bool,
    /// The other side has closed its half, of which the kernel tells only once.
    is_at_end: bool,
    /// When the poller looks here at the latest.
    timer: Option<Instant>,
}

/// What is to be done for somebody who waits again.
pub(super) struct Reseated {
    /// The poller has to look at this time, and has no timer that is early enough.
    pub(super) timer: Option<Instant>,
    /// There is something without an event.
    pub(super) has_more: bool,
}

impl SeatState {
    /// What has to be done for whoever waits, by the poller's thread.
    fn needs(&self) -> Reseated {
        let Some(waiting) = &self.waiting else {
            return Reseated {
                timer: None,
                has_more: false,
            };
        };

        // A timer that comes too early is moved when it comes; one that comes too late is no use.
        let deadline = waiting.deadline();
        let timer = self
            .timer
            .is_none_or(|timer| deadline < timer)
            .then_some(deadline);
        let is_at_end = self.is_at_end && waiting.heeds_end();

        Reseated {
            timer,
            has_more: self.is_marked || is_at_end || waiting.has_more(),
        }
    }
}

impl Seats {
    /// No seats yet.
    ///
    /// # Errors
    /// Those of the system.
    pub(crate) fn new() -> io::Result<Arc<Self>> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let wake = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        epoll::add(&epoll, &wake, EventData::new_u64(WAKE), EventFlags::IN)?;

        Ok(Arc::new(Self {
            epoll,
            wake,
            seats: Mutex::default(),
            next: AtomicU64::new(1),
            returned: Mutex::default(),
            is_stopping: AtomicBool::new(false),
            is_ended: AtomicBool::new(false),
        }))
    }

    /// Ends the poller's loop.
    pub(crate) fn end(&self) {
        self.is_ended.store(true, Ordering::SeqCst);
        self.wake_up();
    }

    pub(super) fn add(self: &Arc<Self>) -> Arc<PollSeat> {
        let seat = Arc::new(PollSeat {
            key: self.next.fetch_add(1, Ordering::Relaxed),
            seats: Arc::clone(self),
            state: Mutex::default(),
        });
        lock(&self.seats).insert(seat.key, Arc::downgrade(&seat));
        seat
    }

    pub(super) fn find(&self, key: u64) -> Option<Arc<PollSeat>> {
        lock(&self.seats).get(&key)?.upgrade()
    }

    pub(super) fn all(&self) -> Vec<Arc<PollSeat>> {
        lock(&self.seats)
            .values()
            .filter_map(Weak::upgrade)
            .collect()
    }

    pub(super) fn returned(&self) -> Vec<u64> {
        std::mem::take(&mut *lock(&self.returned))
    }

    pub(super) fn take_wake(&self) {
        // It fails only if there is nothing to take.
        let _ = rustix::io::read(&self.wake, &mut [0; 8]);
    }

    fn wake_up(&self) {
        // It fails only if the counter is full, and then the poller is awake.
        let _ = rustix::io::write(&self.wake, &1_u64.to_ne_bytes());
    }

    fn look_at(&self, key: u64) {
        let mut returned = lock(&self.returned);
        let is_first = returned.is_empty();
        returned.push(key);
        drop(returned);

        // Whoever came first has woken the poller already.
        if is_first {
            self.wake_up();
        }
    }
}

impl PollSeat {
    /// Takes whoever waits.
    pub(super) fn take(&self) -> Option<Box<dyn Waiter>> {
        lock(&self.state).waiting.take()
    }

    /// Takes whoever waits for an event; if somebody works instead, they will find a mark.
    pub(super) fn take_or_mark(&self, is_end: bool) -> Option<Box<dyn Waiter>> {
        let mut state = lock(&self.state);
        state.is_at_end |= is_end;
        let waiting = state.waiting.take();
        state.is_marked = waiting.is_none();
        waiting
    }

    /// Keeps somebody who waits, and says what has to be done for them.
    pub(super) fn keep(&self, waiting: Box<dyn Waiter>) -> Reseated {
        let mut state = lock(&self.state);
        state.waiting = Some(waiting);
        state.needs()
    }

    /// Sets the timer that whoever waits needs, and takes them if they have something to do already.
    pub(super) fn look(&self) -> (Option<Instant>, Option<Box<dyn Waiter>>) {
        let mut state = lock(&self.state);
        let needs = state.needs();
        if needs.timer.is_some() {
            state.timer = needs.timer;
        }

        state.is_marked &= !needs.has_more;
        let ready = state.waiting.take_if(|_| needs.has_more);

        (needs.timer, ready)
    }

    /// Waits for the events of the connection's socket.
    pub(super) fn register(&self, socket: BorrowedFd<'_>) -> io::Result<()> {
        let data = EventData::new_u64(self.key);
        Ok(epoll::add(&self.seats.epoll, socket, data, SOCKET_EVENTS)?)
    }

    /// The same with other events. What is there already is told once more.
    fn register_again(&self, socket: BorrowedFd<'_>, events: EventFlags) -> io::Result<()> {
        let data = EventData::new_u64(self.key);
        Ok(epoll::modify(&self.seats.epoll, socket, data, events)?)
    }

    /// A timer has come; when the next one is due if nobody's time is over yet.
    pub(super) fn timer_passed(&self, time: Instant, now: Instant) -> Option<Instant> {
        let mut state = lock(&self.state);
        if state.timer != Some(time) {
            // Another timer is the one that counts.
            return None;
        }

        state.timer = None;
        let deadline = state.waiting.as_ref()?.deadline();
        if deadline <= now {
            return None;
        }

        state.timer = Some(deadline);
        Some(deadline)
    }

    /// Takes whoever waited until now.
    pub(super) fn take_expired(&self, now: Instant) -> Option<Box<dyn Waiter>> {
        let mut state = lock(&self.state);
        if state.waiting.as_ref()?.deadline() > now {
            return None;
        }
        state.waiting.take()
    }
}

impl Seat for PollSeat {
    fn put_back(self: Arc<Self>, waiting: Box<dyn Waiter>) {
        let kept = self.keep(waiting);

        // The poller sets this before it goes through the seats, so nobody is missed by both.
        if self.seats.is_stopping.load(Ordering::SeqCst) {
            let Some(waiting) = self.take().and_then(|waiting| waiting.stopped()) else {
                return;
            };
            let _ = self.keep(waiting);
            self.seats.look_at(self.key);
        } else if kept.has_more || kept.timer.is_some() {
            self.seats.look_at(self.key);
        }
    }

    fn heed_room(&self, socket: BorrowedFd<'_>) -> io::Result<()> {
        self.register_again(socket, SOCKET_EVENTS | EventFlags::OUT)
    }

    fn ignore_room(&self, socket: BorrowedFd<'_>) {
        // A connection that is over may be gone from there.
        let _ = self.register_again(socket, SOCKET_EVENTS);
    }

    fn watch(&self, source: BorrowedFd<'_>) -> io::Result<()> {
        let data = EventData::new_u64(self.key | SOURCE);
        let flags = EventFlags::IN | EventFlags::ET;
        Ok(epoll::add(&self.seats.epoll, source, data, flags)?)
    }

    fn forget(&self, source: BorrowedFd<'_>) {
        // It fails only for one that is not there.
        let _ = epoll::delete(&self.seats.epoll, source);
    }
}

impl Drop for PollSeat {
    fn drop(&mut self) {
        lock(&self.seats.seats).remove(&self.key);
    }
}

/// The key of the poller's own wake-up.
pub(super) const WAKE: u64 = u64::MAX;

/// In the key of what is watched besides a socket.
pub(super) const SOURCE: u64 = 1 << 62;

/// Room is not among them: it would wake the poller whenever somebody reads an answer.
const SOCKET_EVENTS: EventFlags = EventFlags::IN
    .union(EventFlags::RDHUP)
    .union(EventFlags::ET);

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::os::fd::AsFd as _;
    use std::os::unix::net::UnixStream;

    use rustix::buffer::spare_capacity;
    use rustix::event::Timespec;

    use super::*;

    #[test]
    fn a_seat_that_was_left_leaves_nothing_behind() {
        let seats = Seats::new().unwrap();
        let (first, second) = (seats.add(), seats.add());
        assert!(seats.find(first.key).is_some());
        drop(first);
        assert_eq!(lock(&seats.seats).len(), 1);
        drop(second);
        assert!(lock(&seats.seats).is_empty());
    }

    #[test]
    fn room_is_told_of_only_while_somebody_waits_for_it() {
        let seats = Seats::new().unwrap();
        let seat = seats.add();
        let (mut near, mut far) = UnixStream::pair().unwrap();
        near.set_nonblocking(true).unwrap();
        let descriptor = near.as_fd().try_clone_to_owned().unwrap();
        let data = EventData::new_u64(seat.key);
        epoll::add(&seats.epoll, &descriptor, data, SOCKET_EVENTS).unwrap();
        let told = || {
            let mut events = Vec::with_capacity(4);
            let now = Timespec::default();
            epoll::wait(&seats.epoll, spare_capacity(&mut events), Some(&now)).unwrap();
            events.len()
        };

        let mut turn = || {
            let mut sent = 0;
            while let Ok(count) = near.write(&[0; 4096]) {
                sent += count;
            }
            far.read_exact(&mut vec![0; sent]).unwrap();
        };

        turn();
        assert_eq!(told(), 0);
        seat.heed_room(descriptor.as_fd()).unwrap();
        turn();
        assert_eq!(told(), 1, "there is room again");
        seat.ignore_room(descriptor.as_fd());
        turn();
        assert_eq!(told(), 0);
    }
}
