// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Places for connections: who may come in, who is in, and how all of them are asked to leave.

use std::collections::{BTreeMap, HashMap};
use std::net::Shutdown;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use crate::access::Caller;
use crate::channels::Publisher;
use crate::clock;
use crate::edge::socket::Socket;
use crate::event::{Event, Happening};
use crate::limits::{Limits, LiveLimits};
use crate::metrics::Metrics;
use crate::threads::lock;
use crate::transport::Peer;
use crate::waiting::{Full, Holders, Place, Rank, Room};

/// The register of open connections.
pub(crate) struct Connections {
    limits: Arc<LiveLimits>,
    metrics: Arc<Metrics>,
    events: Publisher,
    open: Mutex<OpenConnections>,
    left: Condvar,
    refusing: AtomicUsize,
}

#[derive(Default)]
struct OpenConnections {
    next: u64,
    /// Whose those are that run.
    running: Holders,
    /// Of those who wait, how many are on this device.
    waiting_local: usize,
    /// By number, and so by age.
    members: BTreeMap<u64, Member>,
    /// How many members there are of each group; none with zero.
    of_group: HashMap<Caller, usize>,
}

struct Member {
    socket: Arc<Socket>,
    group: Caller,
    is_local: bool,
    is_running: bool,
    is_vouched: bool,
    rank: Rank,
}

impl Connections {
    pub(crate) fn new(
        limits: Arc<LiveLimits>,
        metrics: Arc<Metrics>,
        events: Publisher,
    ) -> Arc<Self> {
        let (open, left, refusing) = (Mutex::default(), Condvar::new(), AtomicUsize::new(0));
        Arc::new(Self {
            limits,
            metrics,
            events,
            open,
            left,
            refusing,
        })
    }

    /// Takes a place for a connection; `None` if there is none for this caller.
    pub(crate) fn enter(self: &Arc<Self>, socket: &Arc<Socket>, peer: &Peer) -> Option<Permit> {
        self.metrics.connections.add_one();
        let permit = self.find_place(socket, peer);
        if permit.is_none() {
            self.metrics.rejected.add_one();
        }

        self.events.publish(|| {
            let peer = peer.to_string();
            let happening = match &permit {
                Some(_) => Happening::ConnectionAccepted { peer },
                None => Happening::ConnectionRefused {
                    peer,
                    reason: "all places are taken",
                },
            };
            Event::new(clock::now(), happening)
        });

        permit
    }

    fn find_place(self: &Arc<Self>, socket: &Arc<Socket>, peer: &Peer) -> Option<Permit> {
        let mut open = lock(&self.open);
        let limits = self.limits.now();
        let group = Caller::of(peer);

        // Callers on this device all have the same address.
        let of_group = open.of_group.get(&group).copied().unwrap_or_default();
        if !peer.is_local() && of_group >= limits.connections_per_address_max {
            return None;
        }

        let is_local = peer.is_local();
        let has_place = open.has_room(&limits, is_local)
            || open.make_room(Sparing::ReservedPlaces, &limits)
            // Callers on this device may at least have the places of each other.
            || is_local && open.make_room(Sparing::Nobody, &limits);
        if !has_place {
            return None;
        }

        open.next += 1;
        let number = open.next;

        let member = Member {
            socket: Arc::clone(socket),
            group,
            is_local: peer.is_local(),
            is_running: false,
            is_vouched: false,
            rank: Rank::Known,
        };

        open.insert(number, member);

        Some(Permit {
            connections: Arc::clone(self),
            number,
        })
    }

    /// Takes one of the few places in which a connection is told that there is no place.
    pub(crate) fn enter_refused(self: &Arc<Self>) -> Option<Refusal> {
        if self.refusing.fetch_add(1, Ordering::SeqCst) < refusals_max(&self.limits.now()) {
            return Some(Refusal(Arc::clone(self)));
        }
        self.refusing.fetch_sub(1, Ordering::SeqCst);
        None
    }

    /// How many are in.
    pub(crate) fn count(&self) -> usize {
        lock(&self.open).members.len()
    }

    /// Closes all connections.
    pub(crate) fn close_all(&self) {
        let open = lock(&self.open);
        open.members
            .values()
            .for_each(|member| member.socket.shutdown(Shutdown::Both));
    }

    /// Waits until everybody has left, at most this long; says whether they have.
    pub(crate) fn wait_until_empty(&self, wait: Duration) -> bool {
        let open = lock(&self.open);
        let is_occupied = |open: &mut OpenConnections| !open.members.is_empty();
        let waited = self.left.wait_timeout_while(open, wait, is_occupied);
        let (open, _) = waited.unwrap_or_else(PoisonError::into_inner);
        open.members.is_empty()
    }
}

impl OpenConnections {
    /// Whether one more caller can wait. Places that are reserved for this device stay free for it.
    fn has_room(&self, limits: &Limits, is_local: bool) -> bool {
        let kept_free = if is_local {
            0
        } else {
            reserved_for_waiting(limits).saturating_sub(self.waiting_local)
        };

        let waiting = self.members.len() - self.running.sum();
        waiting < limits.connections_idle_max - kept_free
    }

    /// Closes a connection that waits; whether there was one. It is the oldest stranger of the address
    /// that has the most of them, so that many connections of one caller do not push out others.
    fn make_room(&mut self, sparing: Sparing, limits: &Limits) -> bool {
        let spares_local = sparing == Sparing::ReservedPlaces
            && self.waiting_local <= reserved_for_waiting(limits);
        let all = || {
            let waiting = self.members.iter().filter(|(_, one)| !one.is_running);
            waiting.filter(|(_, one)| !(spares_local && one.is_local))
        };
        let strangers = || all().filter(|(_, member)| !member.is_vouched);

        let mut of_group: HashMap<Caller, usize> = HashMap::new();
        for (_, member) in strangers() {
            *of_group.entry(member.group).or_default() += 1;
        }

        let most = of_group.values().max().copied().unwrap_or_default();
        let oldest = strangers().find(|(_, member)| of_group[&member.group] == most);
        let oldest = oldest.or_else(|| {
            // Without strangers, it is the oldest of whoever keeps most connections: nobody may keep all.
            let mut kept = Holders::default();
            let known = || all().filter(|(_, member)| member.rank != Rank::Known);
            known().for_each(|(_, member)| kept.add(member.rank));
            let (rank, _) = kept.greatest().filter(|(_, count)| *count > 1)?;
            known().find(|(_, member)| member.rank == rank)
        });
        let Some(number) = oldest.map(|(number, _)| *number) else {
            return false;
        };

        // Its end wakes whoever waits for it. The place is free at once.
        if let Some(member) = self.remove(number) {
            member.socket.shutdown(Shutdown::Both);
        }
        true
    }

    /// Lets somebody in, who waits at first.
    fn insert(&mut self, number: u64, member: Member) {
        *self.of_group.entry(member.group).or_default() += 1;
        self.waiting_local += usize::from(member.is_local);
        self.members.insert(number, member);
    }

    fn remove(&mut self, number: u64) -> Option<Member> {
        self.set_running(number, false);
        let member = self.members.remove(&number)?;
        self.waiting_local -= usize::from(member.is_local);

        if let Some(count) = self.of_group.get_mut(&member.group) {
            *count -= 1;
            if *count == 0 {
                self.of_group.remove(&member.group);
            }
        }
        Some(member)
    }

    /// Has a member run or wait; whether that is a change.
    fn set_running(&mut self, number: u64, is_running: bool) -> bool {
        let Some(member) = self.members.get_mut(&number) else {
            return false;
        };
        if member.is_running == is_running {
            return false;
        }

        member.is_running = is_running;
        let local = usize::from(member.is_local);
        if is_running {
            self.running.add(member.rank);
            self.waiting_local -= local;
        } else {
            self.running.remove(member.rank);
            self.waiting_local += local;
        }
        true
    }

    fn set_rank(&mut self, number: u64, rank: Rank, limits: &Limits) -> Result<(), Full> {
        let Some(member) = self.members.get_mut(&number) else {
            return Ok(());
        };

        // Who is counted under one rank leaves under the same one.
        if member.is_running && member.rank != rank {
            self.running
                .check_change(rank, room(limits, member.is_local))?;
            self.running.remove(member.rank);
            self.running.add(rank);
        }
        member.rank = rank;
        Ok(())
    }
}

/// Who is left alone when room is made.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sparing {
    /// As many callers on this device as there are reserved places.
    ReservedPlaces,
    Nobody,
}

/// How many waiting connections are reserved for this device; one place at least is everybody's.
fn reserved_for_waiting(limits: &Limits) -> usize {
    limits
        .connections_reserved
        .min(limits.connections_idle_max - 1)
}

/// The places for requests, as one caller finds them.
fn room(limits: &Limits, is_local: bool) -> Room {
    let places = limits.connections_max;
    Room {
        places,
        reserved: if is_local {
            0
        } else {
            limits.connections_reserved.min(places - 1)
        },
        strangers_spare: 4,
    }
}

/// A place in the register, given back when it is dropped.
pub(crate) struct Permit {
    connections: Arc<Connections>,
    number: u64,
}

impl Place for Permit {
    fn begin(&mut self) -> Result<(), Full> {
        let limits = self.connections.limits.now();
        let mut guard = lock(&self.connections.open);
        let open = &mut *guard;

        // A place is taken away from those only who wait, and then the connection is at its end.
        let Some(member) = open.members.get(&self.number) else {
            return Err(Full::All);
        };
        if member.is_running {
            return Ok(());
        }

        let found = (open.running).check(member.rank, room(&limits, member.is_local));
        match found {
            Ok(()) => _ = open.set_running(self.number, true),
            Err(_) => self.connections.metrics.rejected.add_one(),
        }
        found
    }

    fn end(&mut self) -> bool {
        lock(&self.connections.open).set_running(self.number, false)
    }

    fn resume(&mut self) {
        lock(&self.connections.open).set_running(self.number, true);
    }

    fn rank(&mut self, rank: Rank) -> Result<(), Full> {
        let limits = self.connections.limits.now();
        lock(&self.connections.open).set_rank(self.number, rank, &limits)
    }

    fn vouch(&mut self) {
        if let Some(member) = lock(&self.connections.open).members.get_mut(&self.number) {
            member.is_vouched = true;
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        lock(&self.connections.open).remove(self.number);
        self.connections.left.notify_all();
    }
}

/// A place for a connection that is being refused.
pub(crate) struct Refusal(Arc<Connections>);

/// It is told that there is no place, and nothing else is done for it.
impl Place for Refusal {
    fn begin(&mut self) -> Result<(), Full> {
        Err(Full::All)
    }

    fn end(&mut self) -> bool {
        false
    }

    fn resume(&mut self) {}

    fn rank(&mut self, _rank: Rank) -> Result<(), Full> {
        Ok(())
    }

    fn vouch(&mut self) {}
}

impl Drop for Refusal {
    fn drop(&mut self) {
        self.0.refusing.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Connections beyond the limit that are answered 503 at one time; more are closed without a word. Where
/// descriptors are few, so are those who may wait.
fn refusals_max(limits: &Limits) -> usize {
    (limits.connections_idle_max / 8).clamp(4, REFUSALS_MAX)
}

const REFUSALS_MAX: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixStream;

    fn enter(connections: &Arc<Connections>, address: &str) -> Option<Permit> {
        let (socket, _) = UnixStream::pair().unwrap();
        let peer = Peer {
            address: Some(address.parse().unwrap()),
            ..Peer::default()
        };
        connections.enter(&Arc::new(Socket::Unix(socket)), &peer)
    }

    fn register(limits: Limits) -> Arc<Connections> {
        let limits = Arc::new(LiveLimits::new(limits));
        Connections::new(limits, Arc::default(), Publisher::default())
    }

    #[test]
    fn places_run_out_for_strangers_first() {
        let connections = register(Limits {
            connections_max: 3,
            connections_reserved: 1,
            connections_per_address_max: 2,
            ..Limits::default()
        });
        let mut first = enter(&connections, "192.0.2.1:1").unwrap();
        let mut second = enter(&connections, "192.0.2.1:2").unwrap();
        assert!(
            enter(&connections, "192.0.2.1:3").is_none(),
            "a third of one address"
        );

        let mut third = enter(&connections, "[2001:db8::1]:1").unwrap();
        let mut local = enter(&connections, "127.0.0.1:1").unwrap();
        assert!(
            first.begin().is_ok() && first.begin().is_ok(),
            "it counts once"
        );
        assert!(second.begin().is_ok());
        assert!(third.begin().is_err(), "the reserved place");
        assert!(local.begin().is_ok());
        let mut other = enter(&connections, "127.0.0.1:2").unwrap();
        assert!(other.begin().is_err(), "all are taken");

        assert!(first.end() && !first.end());
        first.resume();
        assert!(third.begin().is_err(), "it runs again");
        assert!(first.end());
        assert!(
            third.begin().is_err(),
            "the reserved place is free, no other"
        );
        drop(second);
        assert!(third.begin().is_ok());
        assert!(!connections.wait_until_empty(Duration::ZERO));
    }

    #[test]
    fn a_quarter_of_the_places_for_requests_is_kept_from_strangers() {
        let connections = register(Limits {
            connections_max: 8,
            connections_reserved: 0,
            ..Limits::default()
        });
        let mut strangers: Vec<_> = (0..7)
            .map(|number| enter(&connections, &format!("192.0.2.{number}:1")).unwrap())
            .collect();
        strangers
            .iter_mut()
            .for_each(|permit| permit.rank(Rank::Stranger).unwrap());
        let begun = |permits: &mut [Permit]| {
            permits
                .iter_mut()
                .filter_map(|permit| permit.begin().ok())
                .count()
        };
        assert_eq!(begun(&mut strangers), 6);

        // Whoever turns out to be known makes room for another stranger.
        strangers[0].rank(Rank::Known).unwrap();
        assert!(strangers[6].begin().is_ok());
        let mut known = enter(&connections, "192.0.2.99:1").unwrap();
        assert!(known.begin().is_ok());
        let mut last = enter(&connections, "192.0.2.98:1").unwrap();
        assert_eq!(last.begin(), Err(Full::All));

        drop((known, last));
        strangers.clear();
        assert_eq!(lock(&connections.open).running.sum(), 0);
    }

    #[test]
    fn a_caller_that_turns_out_to_have_too_many_requests_is_told_so() {
        let connections = register(Limits {
            connections_max: 8,
            connections_reserved: 0,
            ..Limits::default()
        });
        let mut permits: Vec<_> = (0..5)
            .map(|number| enter(&connections, &format!("192.0.2.{number}:1")).unwrap())
            .collect();
        for permit in &mut permits {
            permit.rank(Rank::Claimed).unwrap();
            permit.begin().unwrap();
        }

        let ranked = permits.iter_mut().map(|one| one.rank(Rank::Holder(1)));
        let ranked: Vec<_> = ranked.collect();
        assert_eq!(ranked, [Ok(()), Ok(()), Ok(()), Ok(()), Err(Full::Own)]);

        // At another address it is still the same one, and whoever owns the server is not kept waiting.
        let mut other = enter(&connections, "198.51.100.1:1").unwrap();
        other.rank(Rank::Holder(1)).unwrap();
        assert_eq!(other.begin(), Err(Full::Own));
        other.rank(Rank::Owner(2)).unwrap();
        assert!(other.begin().is_ok());
        drop((permits, other));
        assert_eq!(lock(&connections.open).running.sum(), 0);
    }

    #[test]
    fn one_place_for_those_who_wait_is_never_reserved() {
        for (reserved, places, found) in [(0, 4, 0), (2, 4, 2), (4, 4, 3), (99, 4, 3), (99, 1, 0)] {
            let limits = Limits {
                connections_idle_max: places,
                connections_reserved: reserved,
                ..Limits::default()
            };
            assert_eq!(
                reserved_for_waiting(&limits),
                found,
                "{reserved} of {places}"
            );
        }

        let limits = Limits {
            connections_max: 1,
            connections_reserved: 9,
            ..Limits::default()
        };
        assert_eq!(room(&limits, false).reserved, 0);
    }

    #[test]
    fn callers_on_this_device_are_counted_while_they_wait() {
        let connections = register(Limits::default());
        let waiting = || lock(&connections.open).waiting_local;
        let stranger = enter(&connections, "192.0.2.1:1").unwrap();
        let mut one = enter(&connections, "127.0.0.1:1").unwrap();
        let other = enter(&connections, "[::1]:1").unwrap();
        assert_eq!(waiting(), 2);
        one.begin().unwrap();
        assert_eq!(waiting(), 1);
        one.end();
        assert_eq!((waiting(), connections.count()), (2, 3));
        one.begin().unwrap();
        drop((one, stranger));
        assert_eq!((waiting(), connections.count()), (1, 1));
        drop(other);
        assert_eq!((waiting(), connections.count()), (0, 0));
    }

    #[test]
    fn nobody_keeps_all_places_for_those_who_wait() {
        let connections = register(Limits {
            connections_idle_max: 4,
            connections_reserved: 0,
            ..Limits::default()
        });
        let is_in = |permit: &Permit| lock(&connections.open).members.contains_key(&permit.number);
        let kept: Vec<_> = [2, 1, 1, 3]
            .iter()
            .enumerate()
            .map(|(number, holder)| {
                let mut permit = enter(&connections, &format!("192.0.2.{number}:1")).unwrap();
                permit.rank(Rank::Holder(*holder)).unwrap();
                permit.vouch();
                permit
            })
            .collect();

        let newcomer = enter(&connections, "198.51.100.1:1").unwrap();
        assert!(!is_in(&kept[1]), "the oldest of whoever has most");
        let next = enter(&connections, "198.51.100.2:1").unwrap();
        assert!(!is_in(&newcomer), "strangers first");
        assert!(is_in(&next) && is_in(&kept[0]) && is_in(&kept[2]) && is_in(&kept[3]));

        // Of those who keep only one connection, nobody has to go.
        let mut fourth = next;
        fourth.rank(Rank::Holder(4)).unwrap();
        fourth.vouch();
        assert!(enter(&connections, "198.51.100.3:1").is_none());
    }

    #[test]
    fn strangers_make_room_for_newcomers() {
        let connections = register(Limits {
            connections_idle_max: 4,
            connections_per_address_max: 2,
            connections_reserved: 0,
            ..Limits::default()
        });
        let mut known = enter(&connections, "192.0.2.1:1").unwrap();
        known.vouch();
        let alone = enter(&connections, "192.0.2.2:1").unwrap();
        let twice = ["192.0.2.3:1", "192.0.2.3:2"].map(|at| enter(&connections, at).unwrap());
        let is_in = |permit: &Permit| lock(&connections.open).members.contains_key(&permit.number);

        let mut fifth = enter(&connections, "192.0.2.4:1").unwrap();
        assert!(!is_in(&twice[0]), "the oldest of whoever has most");
        assert!(is_in(&known) && is_in(&alone) && is_in(&twice[1]));

        fifth.vouch();
        let sixth = enter(&connections, "192.0.2.5:1").unwrap();
        assert!(!is_in(&alone), "then the oldest");
        let mut seventh = enter(&connections, "192.0.2.6:1").unwrap();
        assert!(!is_in(&twice[1]) && is_in(&sixth) && is_in(&known) && is_in(&fifth));

        // Whoever works does not wait.
        assert!(seventh.begin().is_ok());
        let mut eighth = enter(&connections, "192.0.2.7:1").unwrap();
        assert!(is_in(&sixth));
        eighth.vouch();
        seventh.end();
        seventh.vouch();
        drop(sixth);
        assert!(
            enter(&connections, "192.0.2.8:1").is_none(),
            "all are known"
        );
    }

    #[test]
    fn strangers_leave_the_reserved_places_to_this_device() {
        let connections = register(Limits {
            connections_idle_max: 4,
            connections_reserved: 2,
            ..Limits::default()
        });
        let is_in = |permit: &Permit| lock(&connections.open).members.contains_key(&permit.number);
        let local = |port| enter(&connections, &format!("127.0.0.1:{port}")).unwrap();
        let strangers = ["192.0.2.1:1", "192.0.2.2:1"].map(|at| enter(&connections, at).unwrap());

        // Two are left for this device, so a third stranger takes the place of another.
        let third = enter(&connections, "192.0.2.3:1").unwrap();
        assert!(!is_in(&strangers[0]) && is_in(&strangers[1]));
        let (first, second) = (local(1), local(2));
        assert!(is_in(&strangers[1]) && is_in(&third));

        // However many come, they find no place but those of each other.
        let flood: Vec<_> = (1..50)
            .filter_map(|at| enter(&connections, &format!("198.51.100.{at}:1")))
            .collect();
        assert_eq!(flood.iter().filter(|stranger| is_in(stranger)).count(), 2);
        assert!(is_in(&first) && is_in(&second));

        // What is not reserved is no more this device's than others'.
        let more = local(3);
        assert_eq!(flood.iter().filter(|stranger| is_in(stranger)).count(), 1);
        let last = enter(&connections, "203.0.113.1:1").unwrap();
        assert!(is_in(&last) && !is_in(&first) && is_in(&second) && is_in(&more));
        drop((third, strangers));
        assert!(!connections.wait_until_empty(Duration::ZERO));
        drop((flood, first, second, more, last));
        assert!(connections.wait_until_empty(Duration::ZERO));
        let open = lock(&connections.open);
        assert!(open.of_group.is_empty() && open.waiting_local == 0 && open.running.sum() == 0);
    }

    #[test]
    fn without_limits_everybody_gets_in() {
        let connections = register(Limits {
            connections_max: 0,
            connections_idle_max: 0,
            connections_per_address_max: 0,
            ..Limits::default()
        });
        let mut all: Vec<_> = (1..1000)
            .map(|port| enter(&connections, &format!("192.0.2.1:{port}")).unwrap())
            .collect();
        assert!(all.iter_mut().all(|permit| permit.begin().is_ok()));
    }

    #[test]
    fn a_few_at_a_time_are_told_that_there_is_no_place() {
        let few = Limits {
            connections_idle_max: 10,
            ..Limits::default()
        };
        assert_eq!(refusals_max(&few), 4);

        let connections = register(Limits::default());
        let mut told: Vec<_> = (0..REFUSALS_MAX)
            .map(|_| connections.enter_refused().unwrap())
            .collect();
        assert!(connections.enter_refused().is_none());
        assert!(connections.enter_refused().is_none());

        told.pop();
        let one = connections.enter_refused();
        assert!(one.is_some() && connections.enter_refused().is_none());
    }
}
