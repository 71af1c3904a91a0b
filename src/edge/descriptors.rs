// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Enough file descriptors for the settings, or settings that make do with those there are.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::limits::Limits;

/// Raises the soft limit of the process to what `limits` need; where the hard limit is in the way, it
/// lowers the number of connections and says so. Numbers that are switched off become what there are
/// descriptors for.
pub(crate) fn make_room(limits: &mut Limits) {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let needed = needed(limits);

    // None stands for "as many as one likes".
    let had = match current {
        Some(current) => match higher(current, maximum, needed) {
            Some(wanted) => raise(current, maximum, wanted),
            None => current,
        },
        None => u64::MAX,
    };

    let (running, waiting) = fitting(limits, had);
    let is_less = |most: usize, fitting: usize| most > 0 && fitting < most;
    if is_less(limits.connections_max, running) || is_less(limits.connections_idle_max, waiting) {
        log::warn!(
            "{had} file descriptors are too few for {} running and {} waiting connections; taking \
             {running} and {waiting}; for all of them, allow {needed} (ulimit -n {needed}, or LimitNOFILE= in \
             a unit of systemd)",
            limits.connections_max,
            limits.connections_idle_max
        );
    }
    (limits.connections_max, limits.connections_idle_max) = (running, waiting);
}

/// The soft limit to set where fewer descriptors are allowed than are needed; it is never lowered.
fn higher(current: u64, maximum: Option<u64>, needed: u64) -> Option<u64> {
    let wanted = maximum.map_or(needed, |maximum| maximum.min(needed));
    (current < wanted).then_some(wanted)
}

/// Raises the soft limit; what it is then.
fn raise(current: u64, maximum: Option<u64>, wanted: u64) -> u64 {
    let raised = Rlimit {
        current: Some(wanted),
        maximum,
    };

    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => wanted,
        Err(_) => current,
    }
}

fn needed(limits: &Limits) -> u64 {
    let running = PER_CONNECTION * wished(limits.connections_max);
    others(limits) + running + wished(limits.connections_idle_max)
}

/// A number of connections; for one that is switched off, the most that is asked of the system.
fn wished(connections: usize) -> u64 {
    match connections {
        0 => UNBOUNDED,
        most => UNBOUNDED.min(most as u64),
    }
}

/// How many running and waiting connections can be had with so many descriptors; one of each at least.
fn fitting(limits: &Limits, descriptors: u64) -> (usize, usize) {
    let split = |others: u64, each: u64| {
        let left = descriptors.saturating_sub(others);
        let whole = |count: u64| usize::try_from(count).unwrap_or(usize::MAX);

        // Running ones get at most three quarters, since every connection waits first.
        let running = (left / 4 * 3 / each).clamp(1, wished(limits.connections_max));
        let rest = left.saturating_sub(each * running);
        let waiting = rest.clamp(1, wished(limits.connections_idle_max));
        (whole(running), whole(waiting))
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

/// Standard streams, listeners, the engine, the store: about 16; as many refused connections; the rest for
/// what an embedder has open.
const RESERVE: u64 = 40;

/// The same without what an embedder may have open.
const RESERVE_MIN: u64 = 24;

/// Connections that are asked for where there is no limit. Linux has no more than 1,048,576 descriptors
/// for one process by default.
const UNBOUNDED: u64 = 1 << 19;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_raised_as_far_as_needed_and_allowed_and_never_lowered() {
        for (current, maximum, needed, wanted) in [
            (1024, None, 4096, Some(4096)),
            (1024, Some(2048), 4096, Some(2048)),
            (1024, Some(1024), 4096, None),
            (4096, None, 4096, None),
            (65_536, Some(65_536), 4096, None),
        ] {
            assert_eq!(higher(current, maximum, needed), wanted, "{current}");
        }
    }

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

        // More requests than workers would leave each with fewer descriptors than it may need.
        let few = Limits {
            workers: 4,
            ..limits
        };
        assert_eq!(fitting(&few, 70), (4, 6));
    }

    #[test]
    fn without_a_limit_there_are_as_many_as_descriptors() {
        let limits = Limits {
            workers: 8,
            connections_max: 0,
            connections_idle_max: 0,
            ..Limits::default()
        };
        assert!(needed(&limits) > 1 << 20);
        assert_eq!(fitting(&limits, 1072), (375, 250));
        let unbounded = usize::try_from(UNBOUNDED).unwrap();
        assert_eq!(fitting(&limits, u64::MAX), (unbounded, unbounded));
    }
}
