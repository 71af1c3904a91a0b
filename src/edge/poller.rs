// SPDX-License-Identifier: Apache-2.0 OR MIT
//! One thread that waits for everybody: it accepts, and wakes those who wait for their sockets.
//!
//! Each connection is registered once, edge-triggered, and stays so: while somebody works on it, an
//! event only leaves a mark, so that a request costs no system call but its own reads and writes.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;
use std::os::fd::BorrowedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rustix::buffer::spare_capacity;
use rustix::event::Timespec;
use rustix::event::epoll::{self, Event, EventData, EventFlags};

use crate::edge::seats::{PollSeat, SOURCE, Seats, WAKE};
use crate::threads::{panic_text, thread_name};
use crate::waiting::Waiter;

/// What the poller is told of, besides connections.
pub(crate) trait PollerEvents {
    /// A listening socket, by its number, has callers.
    fn listening(&mut self, poller: &mut Poller, number: usize);

    /// Everybody who had something was heard.
    fn turn_over(&mut self);

    /// The stop has come.
    fn stop(&mut self, poller: &mut Poller);

    /// When [`PollerEvents::pause_over`] is to be called.
    fn paused_until(&self) -> Option<Instant>;

    /// A pause is over.
    fn pause_over(&mut self, poller: &mut Poller);
}

/// The waiting thread's own state.
pub(crate) struct Poller {
    seats: Arc<Seats>,
    /// Who has to be looked at, and when; a seat has at most one entry that counts.
    timers: BinaryHeap<Reverse<(Instant, u64)>>,
    /// Who has more without an event.
    again: Vec<u64>,
}

impl Poller {
    pub(crate) fn new(seats: Arc<Seats>) -> Self {
        Self {
            seats,
            timers: BinaryHeap::new(),
            again: Vec::new(),
        }
    }

    /// Tells of a listening socket by its number.
    ///
    /// # Errors
    /// Those of the system.
    pub(crate) fn add_listener(&self, socket: BorrowedFd<'_>, number: usize) -> io::Result<()> {
        let data = EventData::new_u64(LISTENER_FIRST - number as u64);
        Ok(epoll::add(&self.seats.epoll, socket, data, EventFlags::IN)?)
    }

    /// Tells no more of a listening socket.
    pub(crate) fn remove_listener(&self, socket: BorrowedFd<'_>) {
        // It fails only for a socket that is not there.
        let _ = epoll::delete(&self.seats.epoll, socket);
    }

    /// Gives a connection a seat; `make` makes of it whoever waits.
    pub(crate) fn seat(
        &mut self,
        socket: BorrowedFd<'_>,
        make: impl FnOnce(Arc<PollSeat>) -> Option<Box<dyn Waiter>>,
    ) {
        let seat = self.seats.add();
        let Some(waiting) = make(Arc::clone(&seat)) else {
            return;
        };

        // Whoever waits is there before the first event can come.
        self.take_back(&seat, waiting);

        if let Err(error) = seat.register(socket) {
            log::warn!("a connection cannot be waited for: {error}");
            drop(seat.take());
        }
    }

    /// Waits and wakes until [`Seats::end`].
    pub(crate) fn run(&mut self, stop: BorrowedFd<'_>, events: &mut dyn PollerEvents) {
        let added = epoll::add(
            &self.seats.epoll,
            stop,
            EventData::new_u64(STOP),
            EventFlags::IN,
        );
        if let Err(error) = added {
            log::error!("the server cannot wait for its end: {error}");
            return;
        }

        let mut ready: Vec<Event> = Vec::with_capacity(EVENTS_MAX);
        while !self.seats.is_ended.load(Ordering::SeqCst) {
            let wait = self.time_left(events.paused_until());
            ready.clear();
            match epoll::wait(&self.seats.epoll, spare_capacity(&mut ready), wait.as_ref()) {
                Ok(_) => {}
                // Whoever has something by now is heard before anybody's time is over.
                Err(rustix::io::Errno::INTR) => continue,
                Err(error) => {
                    log::error!("the server cannot wait for its callers: {error}");
                    return;
                }
            }

            for event in &ready {
                self.dispatch(*event, stop, events);
            }

            let again = std::mem::take(&mut self.again);
            for key in again.into_iter().chain(self.seats.returned()) {
                self.look(key);
            }

            if events
                .paused_until()
                .is_some_and(|until| until <= Instant::now())
            {
                guarded(|| events.pause_over(self));
            }
            self.expire();
            events.turn_over();
        }

        for seat in self.seats.all() {
            guarded(|| drop(seat.take()));
        }
    }

    /// Asks everybody who waits to leave, if they have nothing left to do.
    pub(crate) fn stop_waiting(&mut self) {
        self.seats.is_stopping.store(true, Ordering::SeqCst);
        for seat in self.seats.all() {
            if let Some(waiting) = seat.take() {
                self.call(&seat, || waiting.stopped());
            }
        }
    }

    fn dispatch(&mut self, event: Event, stop: BorrowedFd<'_>, events: &mut dyn PollerEvents) {
        let (data, flags) = (event.data, event.flags);
        match data.u64() {
            WAKE => self.seats.take_wake(),
            STOP => {
                let _ = epoll::delete(&self.seats.epoll, stop);
                guarded(|| events.stop(self));
            }
            key if key > LISTENER_LAST => {
                let number = usize::try_from(LISTENER_FIRST - key).unwrap_or_default();
                guarded(|| events.listening(self, number));
            }
            key if key & SOURCE > 0 => self.wake(key & !SOURCE, false),
            key => {
                let is_end =
                    flags.intersects(EventFlags::RDHUP | EventFlags::HUP | EventFlags::ERR);
                self.wake(key, is_end);
            }
        }
    }

    /// Wakes whoever waits in a seat, or leaves a mark for whoever works.
    fn wake(&mut self, key: u64, is_end: bool) {
        let Some(seat) = self.seats.find(key) else {
            return;
        };
        if let Some(waiting) = seat.take_or_mark(is_end) {
            self.call(&seat, || waiting.ready());
        }
    }

    /// Looks after somebody who was given back.
    fn look(&mut self, key: u64) {
        let Some(seat) = self.seats.find(key) else {
            return;
        };

        let (timer, ready) = seat.look();
        if let Some(deadline) = timer {
            self.timers.push(Reverse((deadline, key)));
        }
        if let Some(waiting) = ready {
            self.call(&seat, || waiting.ready());
        }
    }

    fn call(&mut self, seat: &Arc<PollSeat>, work: impl FnOnce() -> Option<Box<dyn Waiter>>) {
        if let Some(Some(waiting)) = guarded(work) {
            self.take_back(seat, waiting);
        }
    }

    fn take_back(&mut self, seat: &Arc<PollSeat>, waiting: Box<dyn Waiter>) {
        let needs = seat.keep(waiting);
        if needs.has_more {
            // Others have their turn first.
            self.again.push(seat.key);
        } else if needs.timer.is_some() {
            self.look(seat.key);
        }
    }

    /// Wakes those whose time is over.
    fn expire(&mut self) {
        let Some(Reverse((first, _))) = self.timers.peek() else {
            return;
        };
        let now = Instant::now();
        if *first > now {
            return;
        }

        while let Some(Reverse((time, key))) = self.timers.peek().copied() {
            if time > now {
                return;
            }

            self.timers.pop();
            let Some(seat) = self.seats.find(key) else {
                continue;
            };
            if let Some(later) = seat.timer_passed(time, now) {
                self.timers.push(Reverse((later, key)));
            } else if let Some(waiting) = seat.take_expired(now) {
                self.call(&seat, || waiting.expired());
            }
        }
    }

    /// How long to wait; `None` for any time, which is so while nobody waits.
    fn time_left(&self, pause: Option<Instant>) -> Option<Timespec> {
        if !self.again.is_empty() {
            return Some(Timespec::default());
        }

        let first = self.timers.peek().map(|Reverse((time, _))| *time);
        let until = match (first, pause) {
            (Some(first), Some(pause)) => first.min(pause),
            (first, pause) => first.or(pause)?,
        };

        // Waits that do not fit into the older system call would need one that old kernels do not have.
        let wait = until
            .saturating_duration_since(Instant::now())
            .min(WAIT_MAX);
        Timespec::try_from(wait).ok()
    }
}

/// The longest wait without a look at the clock; 31 bits of milliseconds are 24 days.
const WAIT_MAX: Duration = Duration::from_secs(20 * 24 * 3_600);

/// Does work for one connection, or for those who come, of which no panic may end the thread that all
/// of them wait in; `None` after a panic.
fn guarded<T>(work: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(work))
        .inspect_err(|panic| {
            log::error!("{} panicked: {}", thread_name(), panic_text(&**panic));
        })
        .map_err(std::mem::forget)
        .ok()
}

/// The keys of the events that are of no connection; those count from below.
const STOP: u64 = u64::MAX - 1;
const LISTENER_FIRST: u64 = u64::MAX - 2;
const LISTENER_LAST: u64 = u64::MAX / 2;

/// Events that are taken from the kernel at a time.
const EVENTS_MAX: usize = 256;

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::os::fd::AsFd as _;
    use std::os::unix::net::UnixStream;
    use std::sync::mpsc::{Sender, channel};

    use super::*;
    use crate::limits::FOREVER;
    use crate::threads;

    /// Waits for ever, and may panic when it is dropped.
    struct Waits {
        _seat: Arc<PollSeat>,
        is_faulty: bool,
        gone: Sender<bool>,
    }

    impl Waiter for Waits {
        fn ready(self: Box<Self>) -> Option<Box<dyn Waiter>> {
            Some(self)
        }

        fn deadline(&self) -> Instant {
            Instant::now() + FOREVER
        }

        fn expired(self: Box<Self>) -> Option<Box<dyn Waiter>> {
            Some(self)
        }

        fn stopped(self: Box<Self>) -> Option<Box<dyn Waiter>> {
            Some(self)
        }

        fn has_more(&self) -> bool {
            false
        }
    }

    impl Drop for Waits {
        fn drop(&mut self) {
            self.gone.send(self.is_faulty).unwrap();
            assert!(!self.is_faulty, "as asked");
        }
    }

    /// Panics at everything, and ends the poller after the stop.
    struct Faulty {
        paused_until: Option<Instant>,
        stop: UnixStream,
        is_stopped: bool,
        seats: Arc<Seats>,
    }

    impl PollerEvents for Faulty {
        fn listening(&mut self, _: &mut Poller, _: usize) {}

        fn turn_over(&mut self) {
            if self.is_stopped {
                self.seats.end();
            }
        }

        fn stop(&mut self, _: &mut Poller) {
            self.is_stopped = true;
            panic!("as asked");
        }

        fn paused_until(&self) -> Option<Instant> {
            self.paused_until
        }

        fn pause_over(&mut self, _: &mut Poller) {
            self.paused_until = None;
            self.stop.write_all(b"!").unwrap();
            panic!("as asked");
        }
    }

    #[test]
    fn no_panic_ends_the_thread_that_all_wait_in() {
        let seats = Seats::new().unwrap();
        let mut poller = Poller::new(Arc::clone(&seats));
        let (gone, left) = channel();
        let pairs = [(); 8].map(|()| UnixStream::pair().unwrap());
        for (number, (socket, _)) in pairs.iter().enumerate() {
            poller.seat(socket.as_fd(), |seat| {
                Some(Box::new(Waits {
                    _seat: seat,
                    is_faulty: number % 2 == 0,
                    gone: gone.clone(),
                }))
            });
        }

        let (stop, stopping) = UnixStream::pair().unwrap();
        let mut faulty = Faulty {
            paused_until: Some(Instant::now()),
            stop,
            is_stopped: false,
            seats,
        };
        let (came, back) = channel();
        let work = move || {
            poller.run(stopping.as_fd(), &mut faulty);
            came.send(()).unwrap();
        };
        threads::spawn("test-poller", work).unwrap().join().unwrap();

        assert!(back.recv().is_ok(), "a panic has ended it");
        assert_eq!(left.try_iter().filter(|is_faulty| *is_faulty).count(), 4);
    }

    #[test]
    fn a_deadline_in_a_hundred_years_is_not_more_than_a_system_call_takes() {
        let mut poller = Poller::new(Seats::new().unwrap());
        assert!(poller.time_left(None).is_none());
        poller.timers.push(Reverse((Instant::now() + FOREVER, 1)));
        let wait = poller.time_left(None).unwrap();
        assert!(i32::try_from(wait.tv_sec * 1000).is_ok(), "{wait:?}");
    }
}
