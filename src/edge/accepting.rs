// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Accepting: callers get a place and a seat at the poller, and no error ends that.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::io::Errno;

use crate::address::Scheme;
use crate::backoff::Backoff;
use crate::edge::arrival::{Arrival, Entry, Welcome};
use crate::edge::listener::Listener;
use crate::edge::listening_socket::Door;
use crate::edge::places::Connections;
use crate::edge::poller::{Poller, PollerEvents};
use crate::edge::seats::Seats;
use crate::edge::socket::{Plain, Socket, Timed};
use crate::edge::tls::{Handshake, Handshakes};
use crate::limits::LiveLimits;
use crate::logging::LineBudget;
use crate::transport::Peer;
use crate::waiting::Place;

/// What becomes of callers.
pub(crate) struct Reception {
    pub(crate) connections: Arc<Connections>,
    pub(crate) limits: Arc<LiveLimits>,
    pub(crate) welcome: Welcome,
    /// `None` where no TLS is spoken.
    pub(crate) handshakes: Option<Arc<Handshakes>>,
    /// Called whenever all who had something were heard.
    pub(crate) turn_over: Box<dyn Fn() + Send>,
}

/// Accepts and waits until [`Seats::end`]; accepting ends with the stop before that.
pub(crate) fn run(listener: Listener, seats: &Arc<Seats>, reception: Reception) {
    let (doors, stop) = listener.into_doors();
    let mut poller = Poller::new(Arc::clone(seats));

    let mut accepting = Accepting {
        doors,
        reception,
        // When descriptors or memory run out, the callers stay in the queue and the socket stays ready:
        // without a pause the loop would spin.
        backoff: Backoff::endless().between(PAUSE_MIN, PAUSE_MAX),
        paused_until: None,
        refusals: LineBudget::new("connections that were closed"),
    };

    accepting.listen(&poller);
    match stop.descriptor() {
        Ok(stopped) => poller.run(stopped, &mut accepting),
        Err(error) => log::error!("the server cannot wait for its end: {error}"),
    }
}

struct Accepting {
    doors: Vec<Door>,
    reception: Reception,
    backoff: Backoff,
    paused_until: Option<Instant>,
    /// For lines about connections that are closed without a word.
    refusals: LineBudget,
}

impl Accepting {
    fn listen(&self, poller: &Poller) {
        for (number, door) in self.doors.iter().enumerate() {
            if let Err(error) = poller.add_listener(door.descriptor(), number) {
                log::error!("{} cannot be listened on: {error}", door.address());
            }
        }
    }

    fn pause(&mut self, error: &io::Error, poller: &Poller) {
        if self.backoff.attempts() == 0 {
            log::warn!("no connection can be accepted: {error}; the server tries again");
        }

        // Without a limit it never gives up.
        let pause = self.backoff.next(None).unwrap_or(PAUSE_MAX);
        self.paused_until = Some(Instant::now() + pause);
        for door in &self.doors {
            poller.remove_listener(door.descriptor());
        }
    }

    fn admit(&self, poller: &mut Poller, (socket, peer): (Socket, Peer), scheme: Scheme) {
        let reception = &self.reception;
        self.refusals.settle();
        let socket = Arc::new(socket);
        let (entry, place): (_, Box<dyn Place>) = match reception.connections.enter(&socket, &peer)
        {
            Some(permit) => (Entry::Admitted, Box::new(permit)),
            None => match reception.connections.enter_refused() {
                Some(refusal) => (Entry::Full, Box::new(refusal)),
                // More would cost more than they are worth.
                None => {
                    self.refusals
                        .write(|| log::info!("{peer} closed: this server has no free connection"));
                    return;
                }
            },
        };

        let timed = Timed::new(Arc::clone(&socket));
        poller.seat(socket.descriptor(), |seat| {
            match (&reception.handshakes, scheme) {
                (Some(shared), Scheme::Https) => {
                    let limit = reception.limits.now().head_timeout;
                    // A connection without a place gets less time, since it is only told to come back.
                    let wait = match entry {
                        Entry::Full => limit.min(REFUSAL_WAIT),
                        Entry::Admitted | Entry::Told => limit,
                    };
                    let until = Instant::now() + wait;
                    let shared = Arc::clone(shared);
                    Some(Handshake::new((timed, peer), (entry, place), seat, until, shared) as _)
                }
                _ => (reception.welcome)(Arrival {
                    transport: Box::new(Plain { timed, peer }),
                    entry,
                    place,
                    seat,
                }),
            }
        });
    }
}

impl PollerEvents for Accepting {
    fn listening(&mut self, poller: &mut Poller, number: usize) {
        // Callers who wait elsewhere have their turn in between.
        for _ in 0..ACCEPTS_AT_ONCE {
            let Some(door) = self.doors.get(number) else {
                return;
            };
            let scheme = door.scheme();

            match door.accept() {
                Ok(accepted) => {
                    self.backoff.progressed();
                    self.admit(poller, accepted, scheme);
                }
                Err(error) => {
                    let code = error.raw_os_error().map(Errno::from_raw_os_error);
                    match code {
                        Some(Errno::AGAIN) => return,
                        // One caller's misfortune.
                        Some(Errno::CONNABORTED | Errno::INTR) => {}
                        _ => return self.pause(&error, poller),
                    }
                }
            }
        }
    }

    fn turn_over(&mut self) {
        (self.reception.turn_over)();
    }

    fn stop(&mut self, poller: &mut Poller) {
        for door in self.doors.drain(..) {
            poller.remove_listener(door.descriptor());
        }
        self.paused_until = None;
        poller.stop_waiting();
    }

    fn paused_until(&self) -> Option<Instant> {
        self.paused_until
    }

    fn pause_over(&mut self, poller: &mut Poller) {
        self.paused_until = None;
        self.listen(poller);
    }
}

/// How many callers are let in before others have their turn.
const ACCEPTS_AT_ONCE: usize = 64;

/// How long the handshake of a connection without a place may take before the refusal.
const REFUSAL_WAIT: Duration = Duration::from_secs(2);

const PAUSE_MIN: Duration = Duration::from_millis(20);

const PAUSE_MAX: Duration = Duration::from_secs(1);
