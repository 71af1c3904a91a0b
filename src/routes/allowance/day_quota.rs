// SPDX-License-Identifier: Apache-2.0 OR MIT
//! How many bytes one caller may send and be sent in a day: an account for each principal, and for each
//! address of callers who are not known. Days are those of UTC, and a server that is started anew begins anew.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use crate::clock;
use crate::error::{Error, ErrorKind, Result};
use crate::limits::LiveLimits;
use crate::routes::allowance::counted_caller::CountedCaller;
use crate::text::counted;
use crate::threads::lock;

/// What all callers have spent today.
pub(crate) struct DayQuota {
    limits: Arc<LiveLimits>,
    today: Mutex<DayAccounts>,
}

#[derive(Default)]
struct DayAccounts {
    /// Days since 1970.
    day: u64,
    spent: HashMap<CountedCaller, [u64; 2]>,
}

/// In which direction bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Up,
    Down,
}

/// What is taken only if there is so much left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ask {
    /// So many bytes are about to go: they are counted if there are as many left.
    Reserve(u64),
    /// So many bytes, or at least one, may be about to go: nothing is counted.
    Foresee(u64),
    /// So many bytes have gone: they are counted anyhow.
    Count(u64),
}

impl DayQuota {
    pub(crate) fn new(limits: Arc<LiveLimits>) -> Self {
        Self {
            limits,
            today: Mutex::default(),
        }
    }

    /// How many bytes a caller may have in a day; `None` for any number.
    pub(crate) fn bound(&self, way: Way) -> Option<u64> {
        let limits = self.limits.now();
        let most = match way {
            Way::Up => limits.upload_bytes_per_day_max,
            Way::Down => limits.download_bytes_per_day_max,
        };
        Some(most).filter(|most| *most < u64::MAX)
    }

    /// How many of them are left.
    pub(crate) fn left(&self, caller: &CountedCaller, way: Way) -> Option<u64> {
        let today = self.today();
        let spent = today
            .spent
            .get(caller)
            .map_or(0, |spent| spent[way as usize]);
        self.bound(way).map(|most| most.saturating_sub(spent))
    }

    /// Asks for bytes, or counts them.
    ///
    /// # Errors
    /// `TooManyRequests`, with the time until the day is over, if fewer are left.
    pub(crate) fn ask(&self, caller: &CountedCaller, way: Way, ask: Ask) -> Result<()> {
        let Some(most) = self.bound(way) else {
            return Ok(());
        };

        let mut today = self.today();
        if today.spent.len() >= CALLERS_MAX && !today.spent.contains_key(caller) {
            make_room(&mut today.spent);
        }
        let spent = &mut today.spent.entry(caller.clone()).or_default()[way as usize];

        let (wanted, counts) = match ask {
            Ask::Reserve(bytes) => (bytes, spent.saturating_add(bytes) <= most),
            Ask::Foresee(bytes) => (bytes.max(1), false),
            Ask::Count(bytes) => (bytes, true),
        };
        let sum = spent.saturating_add(wanted);
        let left = most.saturating_sub(*spent);
        if counts {
            *spent = sum;
        }

        if sum <= most {
            Ok(())
        } else {
            Err(used_up(way, most, left))
        }
    }

    /// Gives back what was reserved on a day and did not go.
    pub(crate) fn give_back(&self, caller: &CountedCaller, way: Way, bytes: u64, day: u64) {
        let mut today = self.today();
        if today.day == day
            && let Some(spent) = today.spent.get_mut(caller)
        {
            spent[way as usize] = spent[way as usize].saturating_sub(bytes);
        }
    }

    /// The day, in days since 1970.
    pub(crate) fn day(&self) -> u64 {
        self.today().day
    }

    fn today(&self) -> MutexGuard<'_, DayAccounts> {
        let mut today = lock(&self.today);
        let day = clock::seconds() / DAY_SECONDS;
        if today.day != day {
            *today = DayAccounts {
                day,
                ..DayAccounts::default()
            };
        }
        today
    }
}

/// Forgets who has spent least.
fn make_room(spent: &mut HashMap<CountedCaller, [u64; 2]>) {
    let sum = |spent: &[u64; 2]| spent[0].saturating_add(spent[1]);
    let least = spent.iter().min_by_key(|(_, spent)| sum(spent));
    if let Some(caller) = least.map(|(caller, _)| caller.clone()) {
        spent.remove(&caller);
    }
}

fn used_up(way: Way, most: u64, left: u64) -> Error {
    let (what, setting) = match way {
        Way::Up => ("takes", "max-upload-bytes-per-day"),
        Way::Down => ("sends", "max-download-bytes-per-day"),
    };
    let text = format!(
        "this server {what} {} a day of one caller, and {left} of them are left",
        counted(most, "byte")
    );
    let rest = DAY_SECONDS - clock::seconds() % DAY_SECONDS;
    Error::new(ErrorKind::TooManyRequests, text)
        .again_after(Duration::from_secs(rest))
        .hint(format!(
            "the next day begins at 00:00 UTC (setting {setting})"
        ))
}

const DAY_SECONDS: u64 = 24 * 60 * 60;

/// Callers whose bytes are counted at one time.
const CALLERS_MAX: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::Limits;

    fn quota(most: u64) -> DayQuota {
        DayQuota::new(Arc::new(LiveLimits::new(Limits {
            upload_bytes_per_day_max: most,
            ..Limits::default()
        })))
    }

    fn name(number: usize) -> CountedCaller {
        CountedCaller::Principal(format!("token:{number}"))
    }

    #[test]
    fn a_caller_has_what_the_day_has_and_no_more() {
        let quota = quota(100);
        let ask = |ask| quota.ask(&name(0), Way::Up, ask).is_ok();
        assert!(ask(Ask::Foresee(100)) && ask(Ask::Reserve(60)) && !ask(Ask::Reserve(41)));
        assert!(ask(Ask::Count(40)) && !ask(Ask::Foresee(0)) && !ask(Ask::Count(7)));
        assert!(!ask(Ask::Reserve(u64::MAX)) && !ask(Ask::Count(0)));
        assert_eq!(quota.left(&name(0), Way::Up), Some(0));

        // Others, and the other direction, which is not bounded here.
        assert_eq!(quota.left(&name(1), Way::Up), Some(100));
        assert_eq!(quota.left(&name(0), Way::Down), None);
        quota
            .ask(&name(0), Way::Down, Ask::Reserve(u64::MAX))
            .unwrap();

        // What is given back of another day is of no use.
        quota.give_back(&name(0), Way::Up, 107, quota.day() - 1);
        assert_eq!(quota.left(&name(0), Way::Up), Some(0));
        quota.give_back(&name(0), Way::Up, 17, quota.day());
        assert_eq!(quota.left(&name(0), Way::Up), Some(10));
    }

    #[test]
    fn the_next_day_begins_anew_after_the_pause_that_was_told() {
        let quota = quota(100);
        let error = quota.ask(&name(0), Way::Up, Ask::Count(101)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TooManyRequests);
        let pause = error.retry_after().unwrap().as_secs();
        assert!((1..=DAY_SECONDS).contains(&pause), "{pause}");
        let end = clock::seconds() + pause;
        assert!(end % DAY_SECONDS < 60, "{end}");

        lock(&quota.today).day -= 1;
        assert_eq!(quota.left(&name(0), Way::Up), Some(100));
    }

    #[test]
    fn many_callers_take_a_bounded_memory_and_free_nobody_who_has_spent_much() {
        let quota = quota(100);
        quota.ask(&name(0), Way::Up, Ask::Count(100)).unwrap();
        for number in 1..3 * CALLERS_MAX {
            quota.ask(&name(number), Way::Up, Ask::Count(50)).unwrap();
        }
        assert_eq!(lock(&quota.today).spent.len(), CALLERS_MAX);
        assert_eq!(quota.left(&name(0), Way::Up), Some(0));
    }
}
