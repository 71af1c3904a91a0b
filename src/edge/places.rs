// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Places for connections: who may come in, who is in, and how all of them are asked to leave.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Shutdown};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use crate::channels::Publisher;
use crate::clock;
use crate::edge::socket::Socket;
use crate::event::{Event, Happening};
use crate::limits::LiveLimits;
use crate::metrics::Metrics;
use crate::threads::lock;
use crate::transport::Peer;
use crate::waiting::Place;

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
    running: usize,
    /// By number, and so by age.
    members: BTreeMap<u64, Member>,
}

struct Member {
    socket: Arc<Socket>,
    group: Option<IpAddr>,
    is_local: bool,
    is_running: bool,
    is_vouched: bool,
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
        let group = peer.address.map(|address| group(address.ip()));

        let of_group = open
            .members
            .values()
            .filter(|member| member.group == group)
            .count();

        // Callers on this device all have the same address.
        if !peer.is_local() && of_group >= limits.connections_per_address_max {
            return None;
        }

        let waiting = open.members.len() - open.running;
        if limits.connections_idle_max > 0
            && waiting >= limits.connections_idle_max
            && !open.make_room()
        {
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
        };

        open.members.insert(number, member);

        Some(Permit {
            connections: Arc::clone(self),
            number,
        })
    }

    /// Takes one of the few places in which a connection is told that there is no place.
    pub(crate) fn enter_refused(self: &Arc<Self>) -> Option<Refusal> {
        if self.refusing.fetch_add(1, Ordering::SeqCst) < REFUSALS_MAX {
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
    /// Closes a connection of a stranger that waits; whether there was one. It is the oldest of the
    /// address that has the most of them, so that many connections of one caller do not push out others.
    fn make_room(&mut self) -> bool {
        let strangers = || {
            let members = self.members.iter();
            members.filter(|(_, member)| !member.is_running && !member.is_vouched)
        };

        let mut of_group: HashMap<Option<IpAddr>, usize> = HashMap::new();
        for (_, member) in strangers() {
            *of_group.entry(member.group).or_default() += 1;
        }

        let most = of_group.values().max().copied().unwrap_or_default();
        let oldest = strangers().find(|(_, member)| of_group[&member.group] == most);
        let Some(number) = oldest.map(|(number, _)| *number) else {
            return false;
        };

        // Its end wakes whoever waits for it. The place is free at once.
        if let Some(member) = self.members.remove(&number) {
            member.socket.shutdown(Shutdown::Both);
        }
        true
    }
}

/// A place in the register, given back when it is dropped.
pub(crate) struct Permit {
    connections: Arc<Connections>,
    number: u64,
}

impl Place for Permit {
    fn begin(&mut self) -> bool {
        let limits = self.connections.limits.now();
        let mut guard = lock(&self.connections.open);
        let open = &mut *guard;

        // A place is taken away from those only who wait, and then the connection is at its end.
        let Some(member) = open.members.get_mut(&self.number) else {
            return false;
        };
        if member.is_running {
            return true;
        }

        let reserved = if member.is_local {
            0
        } else {
            limits.connections_reserved.min(limits.connections_max - 1)
        };
        if open.running + reserved >= limits.connections_max {
            self.connections.metrics.rejected.add_one();
            return false;
        }

        member.is_running = true;
        open.running += 1;
        true
    }

    fn end(&mut self) -> bool {
        let mut guard = lock(&self.connections.open);
        let open = &mut *guard;
        let member = open.members.get_mut(&self.number);
        let was_running = member.is_some_and(|member| std::mem::take(&mut member.is_running));
        open.running -= usize::from(was_running);
        was_running
    }

    fn resume(&mut self) {
        let mut guard = lock(&self.connections.open);
        let open = &mut *guard;
        if let Some(member) = open.members.get_mut(&self.number)
            && !std::mem::replace(&mut member.is_running, true)
        {
            open.running += 1;
        }
    }

    fn vouch(&mut self) {
        if let Some(member) = lock(&self.connections.open).members.get_mut(&self.number) {
            member.is_vouched = true;
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.end();
        lock(&self.connections.open).members.remove(&self.number);
        self.connections.left.notify_all();
    }
}

/// A place for a connection that is being refused.
pub(crate) struct Refusal(Arc<Connections>);

/// It is told that there is no place, and nothing else is done for it.
impl Place for Refusal {
    fn begin(&mut self) -> bool {
        false
    }

    fn end(&mut self) -> bool {
        false
    }

    fn resume(&mut self) {}

    fn vouch(&mut self) {}
}

impl Drop for Refusal {
    fn drop(&mut self) {
        self.0.refusing.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Whom an address stands for: itself, or its /64 in IPv6, which one caller has all of.
fn group(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(ip) => {
            let [a, b, c, d, ..] = ip.segments();
            IpAddr::from([a, b, c, d, 0, 0, 0, 0])
        }
        v4 => v4,
    }
}

/// Connections beyond the limit that are answered 503 at one time; more are closed without a word.
const REFUSALS_MAX: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::Limits;
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
        assert!(first.begin() && first.begin(), "it counts once");
        assert!(second.begin());
        assert!(!third.begin(), "the reserved place");
        assert!(local.begin());
        let mut other = enter(&connections, "127.0.0.1:2").unwrap();
        assert!(!other.begin(), "all are taken");

        assert!(first.end() && !first.end());
        first.resume();
        assert!(!third.begin(), "it runs again");
        assert!(first.end());
        assert!(!third.begin(), "the reserved place is free, no other");
        drop(second);
        assert!(third.begin());
        assert!(!connections.wait_until_empty(Duration::ZERO));
    }

    #[test]
    fn strangers_make_room_for_newcomers() {
        let connections = register(Limits {
            connections_idle_max: 4,
            connections_per_address_max: 2,
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
        assert!(seventh.begin());
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
    fn one_network_of_ipv6_is_one_caller() {
        let same = ["2001:db8::1", "2001:db8::ffff:1"].map(|text| group(text.parse().unwrap()));
        assert_eq!(same[0], same[1]);
        assert_ne!(same[0], group("2001:db8:0:1::1".parse().unwrap()));
    }
}
