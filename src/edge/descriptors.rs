// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Enough file descriptors for the settings, or settings that make do with those there are.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::limits::Limits;

/// Raises the soft limit of the process to what `limits` need; where the hard limit is in the way, it
/// lowers the number of connections and says so.
pub(crate) fn make_room(limits: &mut Limits) {
    limits.connections_max = limits.connections_max.max(1);
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let needed = needed(limits);
    // None stands for "as many as one likes".
    if current.is_none_or(|current| current >= needed) {
        return;
    }

    let wanted = maximum.map_or(needed, |maximum| maximum.min(needed));

    let raised = Rlimit {
        current: Some(wanted),
        maximum,
    };

    let had = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => wanted,
        Err(_) => current.unwrap_or(needed),
    };

    if had < needed {
        let (running, waiting) = fitting(limits, had);
        log::warn!(
            "{had} file descriptors are too few for {} running and {} waiting connections; taking \
             {running} and {waiting}; for all of them, allow {needed} (ulimit -n {needed}, or LimitNOFILE= in \
             a unit of systemd)",
            limits.connections_max,
            limits.connections_idle_max
        );
        (limits.connections_max, limits.connections_idle_max) = (running, waiting);
    }
}

fn needed(limits: &Limits) -> u64 {
    let running = PER_CONNECTION * limits.connections_max as u64;
    others(limits) + running + limits.connections_idle_max as u64
}

/// How many running and waiting connections can be had with so many descriptors; one of each at least.
fn fitting(limits: &Limits, descriptors: u64) -> (usize, usize) {
    let split = |others: u64, each: u64| {
        let left = descriptors.saturating_sub(others);
        let whole = |count: u64| usize::try_from(count).unwrap_or(usize::MAX);

        // Running ones get at most three quarters, since every connection waits first.
        let running = whole(left * 3 / 4 / each).clamp(1, limits.connections_max);
        let waiting = whole(left.saturating_sub(each * running as u64));

        // 0 would set no limit, which is what the settings may say.
        match limits.connections_idle_max {
            0 => (running, waiting.max(1)),
            most => (running, waiting.clamp(1, most)),
        }
    };

    // Where descriptors are scarce, fewer requests run than there are workers, and idle workers need none.
    let usual = split(others(limits), PER_CONNECTION);
    let scarce = split(RESERVE_MIN, PER_CONNECTION + PER_WORKER);
    if scarce.0 > usual.0 && scarce.0 <= limits.workers {
        scarce
    } else {
        usual
    }
}

fn others(limits: &Limits) -> u64 {
    RESERVE + PER_WORKER * limits.workers as u64
}

/// The socket, and the file that is sent over it.
const PER_CONNECTION: u64 = 2;

/// A part, its directory, and what a handler opens besides.
const PER_WORKER: u64 = 4;

/// Standard streams, listeners, the engine, the store, refused connections: about 20, and as much
/// again for what an embedder has open.
const RESERVE: u64 = 40;

/// The same without what an embedder may have open.
const RESERVE_MIN: u64 = 24;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_are_given_up_before_descriptors_run_out() {
        let limits = Limits {
            workers: 8,
            connections_max: 25,
            ..Limits::default()
        };
        assert_eq!(needed(&limits), 378);
        assert_eq!(fitting(&limits, 378), (25, 256));
        assert_eq!(fitting(&limits, 377), (25, 255));
        assert_eq!(fitting(&limits, 132), (22, 16));
        assert_eq!(fitting(&limits, 60), (4, 12), "each running one may upload");
        assert_eq!(fitting(&limits, 10), (1, 1));
        assert_eq!(fitting(&limits, u64::MAX / 4), (25, 256));
    }
}
