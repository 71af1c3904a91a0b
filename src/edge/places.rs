// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Places for connections: who may come in, who is in, and how all of them are asked to leave.

use std::collections::HashMap;
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
    members: HashMap<u64, Member>,
}

struct Member {
    socket: Arc<Socket>,
    group: Option<IpAddr>,
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

        let reserved = if peer.is_local() {
            0
        } else {
            limits.connections_reserved
        };

        if open.members.len() + reserved.min(limits.connections_max - 1) >= limits.connections_max {
            return None;
        }

        let of_group = open
            .members
            .values()
            .filter(|member| member.group == group)
            .count();

        if !peer.is_local() && of_group >= limits.connections_per_address_max {
            return None;
        }

        open.next += 1;
        let number = open.next;

        let member = Member {
            socket: Arc::clone(socket),
            group,
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

/// A place in the register, given back when it is dropped.
pub(crate) struct Permit {
    connections: Arc<Connections>,
    number: u64,
}

impl Drop for Permit {
    fn drop(&mut self) {
        lock(&self.connections.open).members.remove(&self.number);
        self.connections.left.notify_all();
    }
}

/// A place for a connection that is being refused.
pub(crate) struct Refusal(Arc<Connections>);

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

    #[test]
    fn places_run_out_for_strangers_first() {
        let limits = Limits {
            connections_max: 4,
            connections_reserved: 1,
            connections_per_address_max: 2,
            ..Limits::default()
        };
        let connections = Connections::new(
            Arc::new(LiveLimits::new(limits)),
            Arc::default(),
            Publisher::default(),
        );
        let first = enter(&connections, "192.0.2.1:1");
        let second = enter(&connections, "192.0.2.1:2");
        assert!(first.is_some() && second.is_some());
        assert!(
            enter(&connections, "192.0.2.1:3").is_none(),
            "a third of one address"
        );
        let third = enter(&connections, "[2001:db8::1]:1");
        assert!(third.is_some());
        assert!(
            enter(&connections, "192.0.2.9:1").is_none(),
            "the reserved place"
        );
        let local = enter(&connections, "127.0.0.1:1");
        assert!(local.is_some());
        assert!(
            enter(&connections, "127.0.0.1:2").is_none(),
            "all are taken"
        );
        drop(first);
        assert!(enter(&connections, "127.0.0.1:2").is_some());
        assert!(!connections.wait_until_empty(Duration::ZERO));
    }

    #[test]
    fn one_network_of_ipv6_is_one_caller() {
        let same = ["2001:db8::1", "2001:db8::ffff:1"].map(|text| group(text.parse().unwrap()));
        assert_eq!(same[0], same[1]);
        assert_ne!(same[0], group("2001:db8:0:1::1".parse().unwrap()));
    }
}
