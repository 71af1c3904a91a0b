// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The places that one connection holds while a request of it is worked on, and for whom.

use std::sync::Arc;
use std::time::Duration;

use super::body_places::{BodyPlace, BodyPlaces};
use crate::error::Result;
use crate::waiting::{Place, Rank};

/// The places of a connection.
pub(crate) struct HeldPlaces {
    /// Among all connections, held until the end.
    pub(crate) connection: Box<dyn Place>,
    /// Taken while a worker may have to wait for the body.
    body: Option<BodyPlace>,
    rank: Rank,
}

impl HeldPlaces {
    pub(crate) fn new(connection: Box<dyn Place>) -> Self {
        Self {
            connection,
            body: None,
            rank: Rank::Known,
        }
    }

    /// Begins to count as one that is worked on.
    ///
    /// # Errors
    /// `Busy`, and `TooManyRequests` if it is the caller itself who has too many.
    pub(crate) fn begin(&mut self) -> Result<()> {
        self.connection
            .begin()
            .map_err(|full| full.error("requests"))
    }

    /// Takes a place for a body, waiting at most this long for one.
    ///
    /// # Errors
    /// As [`HeldPlaces::begin`].
    pub(crate) fn take_body(&mut self, places: &Arc<BodyPlaces>, wait: Duration) -> Result<()> {
        self.body = Some(
            places
                .take(self.rank, wait)
                .map_err(|full| full.error("uploads"))?,
        );
        Ok(())
    }

    /// Gives the place for the body back.
    pub(crate) fn leave_body(&mut self) {
        self.body = None;
    }

    /// Says for whom the request is worked on from now on.
    ///
    /// # Errors
    /// `TooManyRequests` if that caller has too many already.
    pub(crate) fn rank(&mut self, rank: Rank) -> Result<()> {
        if rank == self.rank {
            return Ok(());
        }
        if let Some(body) = &mut self.body {
            body.rank(rank).map_err(|full| full.error("uploads"))?;
        }
        self.connection
            .rank(rank)
            .map_err(|full| full.error("requests"))?;
        self.rank = rank;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::waiting::Full;

    struct AnyPlace;

    impl Place for AnyPlace {
        fn begin(&mut self) -> std::result::Result<(), Full> {
            Ok(())
        }

        fn end(&mut self) -> bool {
            true
        }

        fn resume(&mut self) {}

        fn rank(&mut self, _: Rank) -> std::result::Result<(), Full> {
            Ok(())
        }

        fn vouch(&mut self) {}
    }

    #[test]
    fn a_body_that_was_read_leaves_its_place_before_its_answer_is_sent() {
        let places = BodyPlaces::among(3);
        let mut held = HeldPlaces::new(Box::new(AnyPlace));
        held.take_body(&places, Duration::ZERO).unwrap();
        let mut other = HeldPlaces::new(Box::new(AnyPlace));
        assert!(other.take_body(&places, Duration::ZERO).is_err());
        held.leave_body();
        other.take_body(&places, Duration::ZERO).unwrap();
    }
}
