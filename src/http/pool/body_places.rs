// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Places among the workers for requests whose body still has to arrive.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::threads::lock;
use crate::waiting::{Full, Holders, Rank, Room};

/// Counts the requests that may keep a worker waiting for their bodies.
pub(crate) struct BodyPlaces {
    room: Room,
    taken: Mutex<Holders>,
    freed: Condvar,
}

impl BodyPlaces {
    /// All workers but two, and at least one.
    pub(crate) fn among(workers: usize) -> Arc<Self> {
        Arc::new(Self {
            room: Room {
                places: workers.saturating_sub(2).max(1),
                reserved: 0,
                strangers_spare: 2,
            },
            taken: Mutex::default(),
            freed: Condvar::new(),
        })
    }

    /// Takes a place, waiting at most this long for one.
    ///
    /// # Errors
    /// Why there is none.
    pub(crate) fn take(self: &Arc<Self>, rank: Rank, wait: Duration) -> Result<BodyPlace, Full> {
        let until = Instant::now() + wait;
        let mut taken = lock(&self.taken);
        while let Err(full) = taken.check(rank, self.room) {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(full);
            }
            let waited = self.freed.wait_timeout(taken, left);
            (taken, _) = waited.unwrap_or_else(PoisonError::into_inner);
        }

        taken.add(rank);
        drop(taken);
        Ok(BodyPlace {
            places: Arc::clone(self),
            rank,
        })
    }
}

/// A place that is given back when it is dropped.
pub(crate) struct BodyPlace {
    places: Arc<BodyPlaces>,
    rank: Rank,
}

impl BodyPlace {
    /// Says whose it is from now on.
    ///
    /// # Errors
    /// If there are too many of this caller.
    pub(crate) fn rank(&mut self, rank: Rank) -> Result<(), Full> {
        if rank == self.rank {
            return Ok(());
        }

        let mut taken = lock(&self.places.taken);
        taken.check_change(rank, self.places.room)?;
        taken.remove(self.rank);
        taken.add(rank);
        self.rank = rank;
        drop(taken);
        self.places.freed.notify_all();
        Ok(())
    }
}

impl Drop for BodyPlace {
    fn drop(&mut self) {
        lock(&self.places.taken).remove(self.rank);
        // Not every one of those who wait may have it.
        self.places.freed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(places: &Arc<BodyPlaces>, rank: Rank) -> Result<BodyPlace, Full> {
        places.take(rank, Duration::ZERO)
    }

    #[test]
    fn a_caller_has_its_share_under_whatever_rank_it_came() {
        let places = BodyPlaces::among(8);
        let own: Vec<_> = (0..3)
            .map(|_| take(&places, Rank::Holder(1)).unwrap())
            .collect();
        assert_eq!(take(&places, Rank::Holder(1)).err(), Some(Full::Own));

        // Who shows only later who it is finds no more places in this way.
        let mut claimed = take(&places, Rank::Claimed).unwrap();
        assert_eq!(claimed.rank(Rank::Holder(1)), Err(Full::Own));
        assert_eq!(claimed.rank(Rank::Holder(2)), Ok(()));
        let mut stranger = take(&places, Rank::Stranger).unwrap();
        assert_eq!(take(&places, Rank::Stranger).err(), Some(Full::All));
        assert_eq!(stranger.rank(Rank::Holder(2)), Err(Full::Own));
        assert_eq!(stranger.rank(Rank::Holder(4)), Ok(()));

        // The last one is the owner's.
        let owner = take(&places, Rank::Owner(3)).unwrap();
        assert_eq!(take(&places, Rank::Owner(3)).err(), Some(Full::All));
        drop((own, claimed, stranger, owner));
        assert_eq!(lock(&places.taken).sum(), 0);
    }

    #[test]
    fn whoever_waits_gets_the_place_that_is_meant_for_it() {
        let places = BodyPlaces::among(8);
        let hold = |number, count| -> Vec<_> {
            let some = (0..count).map(|_| take(&places, Rank::Holder(number)).unwrap());
            some.collect()
        };
        let (own, other, another) = (hold(1, 3), hold(2, 1), hold(4, 1));
        let wait = Duration::from_secs(60);
        let waiting = |number| places.take(Rank::Holder(number), wait).map(drop);
        std::thread::scope(|scope| {
            let greedy = scope.spawn(|| waiting(1));
            let modest = scope.spawn(|| waiting(3));
            drop(another);
            assert_eq!(modest.join().unwrap(), Ok(()));
            drop(own);
            assert_eq!(greedy.join().unwrap(), Ok(()));
        });
        drop(other);
    }
}
