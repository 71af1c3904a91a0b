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
        let connections = fitting(limits, had);
        let before = limits.connections_max;
        log::warn!(
            "{had} file descriptors are too few for {before} connections; taking {connections}"
        );
        limits.connections_max = connections;
    }
}

fn needed(limits: &Limits) -> u64 {
    others(limits) + PER_CONNECTION * limits.connections_max as u64
}

/// How many connections can be had with so many descriptors; one at least.
fn fitting(limits: &Limits, descriptors: u64) -> usize {
    let connections = descriptors.saturating_sub(others(limits)) / PER_CONNECTION;
    usize::try_from(connections)
        .unwrap_or(usize::MAX)
        .clamp(1, limits.connections_max)
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
        assert_eq!(needed(&limits), 122);
        assert_eq!(fitting(&limits, 122), 25);
        assert_eq!(fitting(&limits, 121), 24);
        assert_eq!(fitting(&limits, 100), 14);
        assert_eq!(fitting(&limits, 10), 1);
        assert_eq!(fitting(&limits, u64::MAX), 25);
    }
}
