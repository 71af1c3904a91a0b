// SPDX-License-Identifier: Apache-2.0 OR MIT
//! One token for every way of ending: whoever works or waits looks at it, and whoever ends work
//! triggers it.
//!
//! Invariants: a token that is stopped stays so, and the first reason stays its reason. A stop of a
//! parent stops its children; a stop of a child leaves its parent as it is. A parent keeps no child
//! alive, while a child keeps its parent alive, so that a chain of tokens has no gap.

use std::collections::BTreeMap;
use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError, Weak};
use std::time::Duration;
use std::{fmt, io, mem};

use crate::bell::Bell;
use crate::threads::lock;

/// A token that is stopped once and for all. Clones are the same token.
///
/// Any thread may trigger it, also the one that handles signals; a signal handler itself must not,
/// since it takes a lock.
#[derive(Clone, Default)]
pub(crate) struct Stop(Arc<StopToken>);

/// Why a token was stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// The program or its user asked for it.
    Asked,
    /// The process got this signal.
    Signal(i32),
    /// What the work belongs to is shutting down.
    Shutdown,
}

/// How a wait with a time ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Waited {
    /// The token was stopped.
    Stopped,
    /// The time passed, and the token was not stopped.
    TimedOut,
}

/// While this lives, the function of [`Stop::on_stop`] is called at a stop.
#[must_use = "the function is forgotten once this is dropped"]
pub(crate) struct StopListener {
    /// Held to be dropped.
    _link: Link,
}

#[derive(Default)]
struct StopToken {
    /// The same as `StopState::reason.is_some()`, for a look without the lock.
    is_stopped: AtomicBool,
    state: Mutex<StopState>,
    change: Condvar,
    /// Rings for ever once stopped; used under the lock of `state` only.
    bell: Bell,
    /// Held to be dropped.
    _parent: Option<Link>,
}

#[derive(Default)]
struct StopState {
    reason: Option<Reason>,
    /// Empty once stopped.
    told: BTreeMap<u64, ToldOfStop>,
    next_number: u64,
}

/// What a token tells of its stop.
enum ToldOfStop {
    Child(Weak<StopToken>),
    Function(Arc<dyn Fn() + Send + Sync>),
}

/// The place of a child or of a function in a token, which is given back when this is dropped.
struct Link {
    token: Stop,
    number: u64,
}

impl Stop {
    /// A token of its own.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// A token that stops when this one does, and that can be stopped alone.
    pub(crate) fn child(&self) -> Self {
        let mut state = lock(&self.0.state);
        let link = self.link(&mut state);
        let number = link.number;

        // The child holds its parent by the link, the parent its child by a weak reference only, so that no
        // cycle keeps both alive.
        let child = Self(Arc::new(StopToken {
            _parent: Some(link),
            ..StopToken::default()
        }));

        // A token that is stopped tells nobody any more, so a late child is stopped here.
        match state.reason {
            Some(reason) => {
                drop(state);
                child.trigger(reason);
            }
            None => {
                let weak = Arc::downgrade(&child.0);
                state.told.insert(number, ToldOfStop::Child(weak));
            }
        }

        child
    }

    /// Stops the token and its children. A stopped token stays as it is, with its reason.
    pub(crate) fn trigger(&self, reason: Reason) {
        // A list and no recursion: only one lock is held at a time, however deep the tree is.
        let mut tokens = vec![self.clone()];
        let mut functions = Vec::new();

        while let Some(token) = tokens.pop() {
            for (_, told) in token.0.end(reason) {
                match told {
                    ToldOfStop::Child(child) => tokens.extend(child.upgrade().map(Self)),
                    ToldOfStop::Function(function) => functions.push(function),
                }
            }
        }

        // All tokens have ended and no lock is held, whatever the functions do.
        for function in functions {
            function();
        }
    }

    /// Whether the token is stopped. It costs one atomic load.
    pub(crate) fn is_stopped(&self) -> bool {
        self.0.is_stopped.load(Ordering::Acquire)
    }

    /// Why the token was stopped; `None` if it is not.
    pub(crate) fn reason(&self) -> Option<Reason> {
        lock(&self.0.state).reason
    }

    /// Waits until the token is stopped.
    pub(crate) fn wait(&self) {
        let state = lock(&self.0.state);
        let state = self.0.change.wait_while(state, |state| state.is_going());
        drop(state.unwrap_or_else(PoisonError::into_inner));
    }

    /// Waits until the token is stopped, but no longer than `time` on the monotonic clock.
    pub(crate) fn wait_for(&self, time: Duration) -> Waited {
        let state = lock(&self.0.state);
        let waited = self
            .0
            .change
            .wait_timeout_while(state, time, |state| state.is_going());

        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);

        if state.is_going() {
            Waited::TimedOut
        } else {
            Waited::Stopped
        }
    }

    /// A descriptor that is readable for ever once the token is stopped, for `poll`. It is made with
    /// the first call and lives as long as the token. Nobody may read from it or write to it.
    ///
    /// # Errors
    /// If the process has no descriptor left.
    pub(crate) fn descriptor(&self) -> io::Result<BorrowedFd<'_>> {
        let state = lock(&self.0.state);
        let descriptor = self.0.bell.descriptor()?;
        if !state.is_going() {
            self.0.bell.ring();
        }
        Ok(descriptor)
    }

    /// Has a function called once when the token is stopped, in the thread that triggers it; at once,
    /// in this thread, if it is stopped already. The function has to be short and must not panic. It
    /// may still run for a moment while the listener is being dropped.
    ///
    /// It is for those who wait on a condition variable of their own: the function takes the lock of
    /// that variable, lets it go, and notifies.
    pub(crate) fn on_stop(&self, function: impl Fn() + Send + Sync + 'static) -> StopListener {
        let mut state = lock(&self.0.state);
        let link = self.link(&mut state);

        if state.is_going() {
            let told = ToldOfStop::Function(Arc::new(function));
            state.told.insert(link.number, told);
        } else {
            // The function may use the token, so the lock is let go first.
            drop(state);
            function();
        }

        StopListener { _link: link }
    }

    fn link(&self, state: &mut StopState) -> Link {
        let number = state.next_number;
        state.next_number += 1;
        Link {
            token: self.clone(),
            number,
        }
    }
}

impl StopToken {
    /// Stops this token alone, and hands out what it has to tell.
    fn end(&self, reason: Reason) -> BTreeMap<u64, ToldOfStop> {
        let mut state = lock(&self.state);
        if !state.is_going() {
            return BTreeMap::new();
        }

        state.reason = Some(reason);
        self.is_stopped.store(true, Ordering::Release);
        self.change.notify_all();
        self.bell.ring();

        mem::take(&mut state.told)
    }
}

impl StopState {
    fn is_going(&self) -> bool {
        self.reason.is_none()
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        // What a function holds may be a token, too: it is dropped after the lock is let go.
        let told = lock(&self.token.0.state).told.remove(&self.number);
        drop(told);
    }
}

impl fmt::Debug for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Stop").field(&self.reason()).finish()
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Asked => f.write_str("asked to stop"),
            Self::Signal(number) => write!(f, "signal {number}"),
            Self::Shutdown => f.write_str("shutdown"),
        }
    }
}

/// Ends a server, a node or a client from another thread; clones end the same one.
#[derive(Clone, Default)]
pub struct Shutdown(Stop);

impl Shutdown {
    pub(crate) fn of(stop: Stop) -> Self {
        Self(stop)
    }

    /// Ends it. A server takes no further connection and finishes running requests; a client gives up
    /// what it waits for.
    pub fn trigger(&self) {
        self.0.trigger(Reason::Shutdown);
    }

    /// The same for a process that got a signal.
    pub(crate) fn signalled(&self, signal: i32) {
        self.0.trigger(Reason::Signal(signal));
    }

    /// Waits until it is triggered.
    pub fn wait(&self) {
        self.0.wait();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::sync::mpsc::channel;

    use rustix::event::{PollFd, PollFlags, Timespec, poll};

    use super::*;
    use crate::bell::is_readable;
    use crate::threads::spawn;

    /// Longer than any test takes, shorter than anybody waits.
    const DEADLINE: Duration = Duration::from_secs(60);

    fn told(stop: &Stop) -> usize {
        lock(&stop.0.state).told.len()
    }

    #[test]
    fn the_first_reason_stays() {
        let stop = Stop::new();
        assert_eq!((stop.is_stopped(), stop.reason()), (false, None));

        stop.trigger(Reason::Signal(15));
        stop.trigger(Reason::Asked);
        assert!(stop.is_stopped());
        assert_eq!(stop.clone().reason(), Some(Reason::Signal(15)));
        assert_eq!(format!("{stop:?}"), "Stop(Some(Signal(15)))");
        assert_eq!(Reason::Signal(15).to_string(), "signal 15");
        assert_eq!(Reason::Asked.to_string(), "asked to stop");
        assert_eq!(Reason::Shutdown.to_string(), "shutdown");
    }

    #[test]
    fn a_wait_ends_with_the_time_or_with_the_stop() {
        let stop = Stop::new();
        assert_eq!(stop.wait_for(Duration::ZERO), Waited::TimedOut);
        assert_eq!(stop.wait_for(Duration::from_millis(1)), Waited::TimedOut);

        stop.trigger(Reason::Asked);
        assert_eq!(stop.wait_for(Duration::ZERO), Waited::Stopped);
        assert_eq!(stop.wait_for(Duration::MAX), Waited::Stopped);
        stop.wait();
    }

    #[test]
    fn eight_threads_that_wait_in_all_ways_end_at_one_stop() {
        let stop = Stop::new();
        let (ready, at_work) = channel();
        let (done, ended) = channel();
        for number in 0..8 {
            let (stop, ready, done) = (stop.child(), ready.clone(), done.clone());
            let work = move || {
                ready.send(()).unwrap();
                match number % 4 {
                    0 => stop.wait(),
                    1 => assert_eq!(stop.wait_for(Duration::MAX), Waited::Stopped),
                    2 => assert_eq!(stop.wait_for(DEADLINE * 60), Waited::Stopped),
                    _ => {
                        let descriptor = stop.descriptor().unwrap();
                        let mut polled = [PollFd::from_borrowed_fd(descriptor, PollFlags::IN)];
                        assert_eq!(poll(&mut polled, None).unwrap(), 1);
                    }
                }
                // A panic in a thread is only logged, so each thread has to say that it got here.
                done.send(()).unwrap();
            };
            spawn("waiting", work).unwrap();
        }
        (0..8).for_each(|_| at_work.recv_timeout(DEADLINE).unwrap());
        assert!(ended.try_recv().is_err());

        stop.trigger(Reason::Shutdown);
        (0..8).for_each(|_| ended.recv_timeout(DEADLINE).unwrap());
    }

    #[test]
    fn a_descriptor_is_made_on_demand_and_readable_for_ever_after_a_stop() {
        let (early, late) = (Stop::new(), Stop::new());
        let descriptor = early.descriptor().unwrap();
        assert!(!is_readable(descriptor) && !late.0.bell.is_made());

        early.trigger(Reason::Asked);
        late.trigger(Reason::Asked);
        assert!(!late.0.bell.is_made(), "a stop alone needs no descriptor");
        let wait = Timespec::try_from(DEADLINE).unwrap();
        for stop in [&early, &late, &late.clone()] {
            let descriptor = stop.descriptor().unwrap();
            let mut polled = [PollFd::from_borrowed_fd(descriptor, PollFlags::IN)];
            assert_eq!(poll(&mut polled, Some(&wait)).unwrap(), 1);
            assert!(is_readable(descriptor));
        }
    }

    #[test]
    fn a_parent_stops_its_children_and_no_child_its_parent() {
        let parent = Stop::new();
        let (one, other) = (parent.child(), parent.child());
        let below = one.child();

        one.trigger(Reason::Asked);
        assert!(below.is_stopped() && !parent.is_stopped() && !other.is_stopped());

        parent.trigger(Reason::Signal(2));
        assert_eq!(other.reason(), Some(Reason::Signal(2)));
        assert_eq!(below.reason(), Some(Reason::Asked));
        assert_eq!(parent.child().reason(), Some(Reason::Signal(2)));
    }

    #[test]
    fn a_token_between_two_others_may_be_dropped() {
        let top = Stop::new();
        let between = top.child();
        let bottom = between.child();
        drop(between);
        top.trigger(Reason::Asked);
        assert!(bottom.is_stopped());
    }

    #[test]
    fn what_is_dropped_leaves_nothing_behind() {
        let parent = Stop::new();
        let child = parent.child();
        child.descriptor().unwrap();
        let listener = parent.on_stop(|| ());
        let weak = Arc::downgrade(&child.0);
        assert_eq!(told(&parent), 2);

        drop(child);
        drop(listener);
        assert_eq!(told(&parent), 0);
        // Neither its memory nor its descriptor is held by anybody.
        assert_eq!((weak.strong_count(), Arc::strong_count(&parent.0)), (0, 1));
    }

    #[test]
    fn a_function_is_called_once_and_not_after_its_listener_went() {
        let calls = Arc::new(AtomicUsize::new(0));
        let count = |calls: &Arc<AtomicUsize>| {
            let calls = Arc::clone(calls);
            move || {
                calls.fetch_add(1, Ordering::SeqCst);
            }
        };
        let stop = Stop::new();
        let _kept = stop.child().child().on_stop(count(&calls));
        drop(stop.on_stop(count(&calls)));

        stop.trigger(Reason::Asked);
        stop.trigger(Reason::Asked);
        assert_eq!(calls.load(Ordering::SeqCst), 1);
        let _late = stop.on_stop(count(&calls));
        assert_eq!(calls.load(Ordering::SeqCst), 2);
    }

    #[test]
    fn a_function_may_use_the_token_that_calls_it() {
        let stop = Stop::new();
        let held = stop.clone();
        let listener = stop.on_stop(move || assert!(held.child().is_stopped()));
        stop.trigger(Reason::Asked);
        drop(listener);
        assert_eq!(Arc::strong_count(&stop.0), 1);
    }

    #[test]
    fn many_threads_may_trigger_and_make_children_at_one_time() {
        let stop = Stop::new();
        let (done, ended) = channel();
        for number in 0..8 {
            let (stop, done) = (stop.clone(), done.clone());
            let work = move || {
                for _ in 0..100 {
                    let child = stop.child();
                    drop(child.child());
                    let _ = child.wait_for(Duration::ZERO);
                    if number == 7 {
                        stop.trigger(Reason::Signal(number));
                        assert!(child.is_stopped());
                    }
                }
                done.send(()).unwrap();
            };
            spawn("triggering", work).unwrap();
        }
        (0..8).for_each(|_| ended.recv_timeout(DEADLINE).unwrap());
        assert_eq!((stop.reason(), told(&stop)), (Some(Reason::Signal(7)), 0));
    }
}
