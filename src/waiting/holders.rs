// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Who holds how many of a number of places, so that nobody takes all of them.

use std::time::Duration;

use crate::error::{Error, ErrorKind};

/// Whose places are counted together, and who goes first where they run out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rank {
    /// Somebody who is known and not told from others: nothing is kept from it.
    Known,
    /// One of those who may do everything, by a number that stands for it: at most three quarters, and the
    /// last one only if it holds none.
    Owner(u64),
    /// Somebody else who is known, by such a number: at most a half, a further one only while a share is
    /// left for those who hold none, and never the last ones.
    Holder(u64),
    /// Somebody who will be known before its request is worked on for long.
    Claimed,
    /// Somebody who is not known: a share for all of them, and not the last ones.
    Stranger,
}

/// Why there is no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Full {
    /// Others have all that this caller may take.
    All,
    /// The caller itself has as many as one may have.
    Own,
}

/// Who holds how many. It has one entry for each who holds any, so it is no longer than there are places.
#[derive(Default)]
pub(crate) struct Holders {
    held: Vec<(Rank, usize)>,
    sum: usize,
}

/// How many places there are.
#[derive(Clone, Copy)]
pub(crate) struct Room {
    pub(crate) places: usize,
    /// Out of reach for this caller, whoever it is.
    pub(crate) reserved: usize,
    /// One of so many places is out of reach for strangers, however many come.
    pub(crate) strangers_spare: usize,
}

impl Holders {
    /// How many places are held.
    pub(crate) fn sum(&self) -> usize {
        self.sum
    }

    pub(crate) fn add(&mut self, rank: Rank) {
        self.sum += 1;
        match self.held.iter_mut().find(|(held, _)| *held == rank) {
            Some((_, count)) => *count += 1,
            None => self.held.push((rank, 1)),
        }
    }

    pub(crate) fn remove(&mut self, rank: Rank) {
        let Some(index) = self.held.iter().position(|(held, _)| *held == rank) else {
            return;
        };
        self.sum -= 1;
        self.held[index].1 -= 1;
        if self.held[index].1 == 0 {
            self.held.swap_remove(index);
        }
    }

    /// Who holds most, and how many.
    pub(crate) fn greatest(&self) -> Option<(Rank, usize)> {
        self.held.iter().copied().max_by_key(|(_, count)| *count)
    }

    /// Whether there is a place for somebody.
    ///
    /// # Errors
    /// Why not.
    pub(crate) fn check(&self, rank: Rank, room: Room) -> Result<(), Full> {
        let free = room.free(self.sum);
        if free == 0 {
            return Err(Full::All);
        }
        self.check_share(rank, room, free)?;

        // Whoever owns the server finds a place, however many others there are.
        let kept = match rank {
            Rank::Holder(_) | Rank::Stranger => room.kept_for_owners(),
            _ => 0,
        };
        if free <= kept {
            return Err(Full::All);
        }
        Ok(())
    }

    /// Whether a place that is held under another rank may be somebody's.
    ///
    /// # Errors
    /// Why not.
    pub(crate) fn check_change(&self, rank: Rank, room: Room) -> Result<(), Full> {
        self.check_share(rank, room, room.free(self.sum.saturating_sub(1)))
    }

    /// Whether somebody has less than it may have of what is there, of which so much is free.
    fn check_share(&self, rank: Rank, room: Room, free: usize) -> Result<(), Full> {
        let (spared, full) = match rank {
            Rank::Known => return Ok(()),
            Rank::Owner(_) => (4, Full::Own),
            Rank::Holder(_) => (2, Full::Own),
            Rank::Claimed => (4, Full::All),
            Rank::Stranger => (room.strangers_spare, Full::All),
        };

        let held = self.held.iter().find(|(held, _)| *held == rank);
        let count = held.map_or(0, |(_, count)| *count);
        if count >= room.places - room.places / spared {
            return Err(full);
        }

        // A few who take all that each of them may have must not keep out who has nothing.
        let left = match rank {
            Rank::Owner(_) => (room.places / KEPT_FOR_FIRST_PLACES).min(1),
            Rank::Holder(_) => {
                room.kept_for_owners() + (room.places / KEPT_FOR_FIRST_PLACES).max(1)
            }
            _ => 0,
        };
        if count > 0 && free <= left {
            return Err(full);
        }
        Ok(())
    }
}

impl Room {
    /// How many places are left for this caller where so many are held.
    fn free(self, held: usize) -> usize {
        self.places.saturating_sub(self.reserved + held)
    }

    fn kept_for_owners(self) -> usize {
        (self.places / KEPT_FOR_OWNERS)
            .max(1)
            .min(self.places.saturating_sub(self.reserved + 1))
    }
}

impl Full {
    /// What a caller is told; `what` are many requests of a kind.
    pub(crate) fn error(self, what: &str) -> Error {
        let (kind, text) = match self {
            Self::All => (
                ErrorKind::Busy,
                format!("as many {what} as this server takes at one time are running"),
            ),
            Self::Own => (
                ErrorKind::TooManyRequests,
                format!("as many {what} of this caller are running as one may have at one time"),
            ),
        };
        // Most requests are short.
        let error = Error::new(kind, text).hint("try again in a moment");
        error.again_after(Duration::from_secs(1))
    }
}

/// One of so many places, and one at least, is taken by nobody but owners.
const KEPT_FOR_OWNERS: usize = 8;

/// One of so many places, and one at least, is only for those who hold none.
const KEPT_FOR_FIRST_PLACES: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    fn room(places: usize) -> Room {
        Room {
            places,
            reserved: 0,
            strangers_spare: 4,
        }
    }

    /// How many places somebody gets one after the other, and why no more.
    fn fill(holders: &mut Holders, rank: Rank, room: Room) -> (usize, Full) {
        for count in 0.. {
            match holders.check(rank, room) {
                Ok(()) => holders.add(rank),
                Err(full) => return (count, full),
            }
        }
        unreachable!("a number of places is finite")
    }

    #[test]
    fn nobody_takes_all_places_and_who_holds_none_finds_one() {
        let mut holders = Holders::default();
        let room = room(25);
        assert_eq!(fill(&mut holders, Rank::Holder(1), room), (13, Full::Own));
        assert_eq!(fill(&mut holders, Rank::Holder(2), room), (3, Full::Own));
        for number in 3..9 {
            let filled = fill(&mut holders, Rank::Holder(number), room);
            assert_eq!(filled.0, 1, "the place of {number}");
        }
        assert_eq!(fill(&mut holders, Rank::Holder(9), room), (0, Full::All));
        assert_eq!(fill(&mut holders, Rank::Stranger, room), (0, Full::All));
        assert_eq!(fill(&mut holders, Rank::Owner(3), room), (2, Full::Own));
        assert_eq!(fill(&mut holders, Rank::Owner(4), room), (1, Full::All));
        assert_eq!(holders.sum(), 25);
        assert_eq!(holders.greatest(), Some((Rank::Holder(1), 13)));

        // What is given back is there for others.
        for _ in 0..13 {
            holders.remove(Rank::Holder(1));
        }
        holders.remove(Rank::Holder(1));
        assert_eq!(holders.sum(), 12);
        assert_eq!(holders.held.len(), 9);
        assert_eq!(fill(&mut holders, Rank::Owner(4), room), (12, Full::Own));
    }

    #[test]
    fn an_owner_leaves_a_quarter_and_strangers_their_share() {
        let (mut owner, mut strangers, mut claimed) = Default::default();
        assert_eq!(fill(&mut owner, Rank::Owner(1), room(8)), (6, Full::Own));
        assert_eq!(
            fill(&mut strangers, Rank::Stranger, room(8)),
            (6, Full::All)
        );
        assert_eq!(fill(&mut claimed, Rank::Claimed, room(8)), (6, Full::All));
        let half = Room {
            strangers_spare: 2,
            ..room(6)
        };
        strangers = Holders::default();
        assert_eq!(fill(&mut strangers, Rank::Stranger, half), (3, Full::All));
    }

    #[test]
    fn where_there_are_few_places_everybody_still_finds_one() {
        for places in 1..4 {
            for reserved in 0..places {
                for rank in [
                    Rank::Known,
                    Rank::Owner(1),
                    Rank::Holder(1),
                    Rank::Claimed,
                    Rank::Stranger,
                ] {
                    let room = Room {
                        reserved,
                        ..room(places)
                    };
                    assert!(Holders::default().check(rank, room).is_ok());
                }
            }
        }

        // Where there is no limit, nothing overflows.
        assert!(
            Holders::default()
                .check(Rank::Stranger, room(usize::MAX))
                .is_ok()
        );
    }
}
