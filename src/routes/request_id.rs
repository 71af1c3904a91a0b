// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The ids of requests, which the log and the callers see.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};

/// Makes ids that tell no caller how many requests of others there were.
pub(crate) struct Ids {
    /// Random for each run. Who does not know it cannot tell one hash from another.
    key: RandomState,
    count: AtomicU64,
}

impl Ids {
    pub(crate) fn new() -> Self {
        Self {
            key: RandomState::new(),
            count: AtomicU64::new(0),
        }
    }

    /// The next one, of 16 hexadecimal digits.
    pub(crate) fn next(&self) -> String {
        let number = self.count.fetch_add(1, Ordering::Relaxed);
        format!("{:016x}", self.key.hash_one(number))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn ids_are_all_different_and_tell_no_number() {
        let runs = [Ids::new(), Ids::new()];
        let ids: Vec<_> = (0..2000).map(|number| runs[number % 2].next()).collect();
        assert!(ids.iter().all(|id| id.len() == 16));
        assert_eq!(ids.iter().collect::<HashSet<_>>().len(), 2000);

        // Neighbours have hardly anything in common.
        for half in [..8, ..16] {
            let parts: HashSet<_> = ids.iter().map(|id| &id[half.end - 8..half.end]).collect();
            assert!(parts.len() > 1990, "{}", parts.len());
        }
    }
}
