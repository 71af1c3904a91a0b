// SPDX-License-Identifier: Apache-2.0 OR MIT
//! One worker waits for the next request, the others for their turn: a request then wakes as few threads
//! as can do the work, and a short queue is emptied by those that are awake.

use std::sync::{Condvar, Mutex, PoisonError};

use crate::threads::lock;

/// Whose turn it is to wait for a request. Invariant: while requests are left in the queue, somebody has
/// the turn, has been called to it, or takes it as soon as it has finished its work.
#[derive(Default)]
pub(crate) struct Turns {
    state: Mutex<TurnState>,
    call: Condvar,
}

#[derive(Default)]
struct TurnState {
    is_taken: bool,
    /// Somebody was woken to take the turn and has not done so yet.
    is_called: bool,
    /// How many workers have nothing to do.
    waiting: usize,
}

impl Turns {
    /// Waits for the turn and takes it.
    pub(crate) fn take(&self) {
        let mut state = lock(&self.state);
        if state.is_taken {
            state.waiting += 1;
            let is_taken = |state: &mut TurnState| state.is_taken;
            let waited = self.call.wait_while(state, is_taken);
            state = waited.unwrap_or_else(PoisonError::into_inner);
            state.waiting -= 1;
        }

        state.is_taken = true;
        state.is_called = false;
    }

    /// Lets somebody else have the turn, and calls one if more requests wait.
    pub(crate) fn pass(&self, has_more: bool) {
        lock(&self.state).is_taken = false;
        if has_more {
            self.call();
        }
    }

    /// Calls a worker that has nothing to do, unless one waits for requests already.
    pub(crate) fn call(&self) {
        let mut state = lock(&self.state);
        if state.is_taken || state.is_called || state.waiting == 0 {
            return;
        }

        state.is_called = true;
        drop(state);
        self.call.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::mpsc::channel;
    use std::time::Duration;

    use super::*;
    use crate::threads::spawn;

    const DEADLINE: Duration = Duration::from_secs(60);

    #[test]
    fn one_has_the_turn_and_each_call_wakes_one_more() {
        let turns = Arc::new(Turns::default());
        let (took, taken) = channel();
        for number in 0..3 {
            let (turns, took) = (Arc::clone(&turns), took.clone());
            let work = move || {
                turns.take();
                took.send(number).unwrap();
            };
            spawn("turn", work).unwrap();
        }

        let mut seen = vec![taken.recv_timeout(DEADLINE).unwrap()];
        while lock(&turns.state).waiting < 2 {
            std::thread::yield_now();
        }
        assert!(taken.try_recv().is_err(), "two have the turn");

        // A call while somebody waits for requests wakes nobody.
        turns.call();
        assert!(!lock(&turns.state).is_called);

        turns.pass(true);
        seen.push(taken.recv_timeout(DEADLINE).unwrap());

        // Nothing is left, so nobody is woken before the next request comes.
        turns.pass(false);
        assert!(!lock(&turns.state).is_called);
        turns.call();
        seen.push(taken.recv_timeout(DEADLINE).unwrap());
        seen.sort_unstable();
        assert_eq!(seen, [0, 1, 2]);
    }
}
