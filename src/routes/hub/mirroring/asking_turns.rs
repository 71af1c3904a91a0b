// SPDX-License-Identifier: Apache-2.0 OR MIT
//! How many callers wait for answers of the upstream: each of them holds a worker.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use crate::error::{Error, ErrorKind, Result};
use crate::threads::lock;

/// The turns of those who ask.
#[derive(Default)]
pub(super) struct AskingTurns {
    taken: Mutex<usize>,
    freed: Condvar,
}

/// A turn; dropped, it is the next one's.
pub(super) struct AskingTurn<'a>(&'a AskingTurns);

impl AskingTurns {
    /// Takes a turn, and waits a moment for one.
    ///
    /// # Errors
    /// `Busy` if there is none.
    pub(super) fn take(&self) -> Result<AskingTurn<'_>> {
        let taken = lock(&self.taken);
        let waited = self
            .freed
            .wait_timeout_while(taken, WAIT, |taken| *taken >= ASKING_MAX);
        let (mut taken, waited) = waited.unwrap_or_else(PoisonError::into_inner);
        if waited.timed_out() {
            let text = "too many callers ask the upstream at one time";
            return Err(Error::new(ErrorKind::Busy, text).hint("try again"));
        }
        *taken += 1;
        Ok(AskingTurn(self))
    }
}

impl Drop for AskingTurn<'_> {
    fn drop(&mut self) {
        *lock(&self.0.taken) -= 1;
        self.0.freed.notify_one();
    }
}

/// Half of the workers of a server that has the usual number, so that the others go on.
const ASKING_MAX: usize = 4;

/// Most answers are there by then.
const WAIT: Duration = Duration::from_secs(3);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_ask_and_the_next_one_waits_for_its_turn() {
        let turns = AskingTurns::default();
        let mut held: Vec<_> = (0..ASKING_MAX).map(|_| turns.take().unwrap()).collect();
        let refused = turns.take().err().unwrap();
        assert_eq!(refused.kind(), ErrorKind::Busy);
        std::thread::scope(|scope| {
            let next = scope.spawn(|| turns.take().map(drop));
            drop(held.pop());
            next.join().unwrap().unwrap();
        });
    }
}
