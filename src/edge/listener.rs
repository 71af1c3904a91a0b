// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Listening sockets and the accept loop, which no error ends.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};

use super::socket::{Socket, Timed};
use crate::address::{Address, ListenAddress, Scheme};
use crate::backoff::Backoff;
use crate::edge::listening_socket::Door;
use crate::edge::places::{Connections, Permit, Refusal};
use crate::error::{Error, ErrorKind, Result};
use crate::stop::Stop;
use crate::threads;
use crate::transport::Peer;

/// Sockets that are bound, with the addresses they really have.
pub(crate) struct Listener {
    doors: Vec<Door>,
    stop: Stop,
}

/// A connection that was let in.
pub(crate) struct Incoming {
    socket: Arc<Socket>,
    busy: Arc<AtomicBool>,
    peer: Peer,
    scheme: Scheme,
}

impl Incoming {
    /// What is spoken where it came in.
    pub(crate) fn scheme(&self) -> Scheme {
        self.scheme
    }

    pub(crate) fn into_parts(self) -> (Timed, Peer) {
        (Timed::new(self.socket, self.busy), self.peer)
    }
}

/// Whether a connection has a place.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Admittance {
    Admitted,
    /// All places are taken, which the caller is to be told.
    Full,
}

impl Listener {
    /// Binds all addresses, and takes over sockets that listen already. Where an address does not say
    /// what is spoken, it is `default`. The accept loop ends with `stop`.
    ///
    /// # Errors
    /// `Usage` if one cannot be had, with the reason, or if there is none at all.
    pub(crate) fn bind(
        addresses: &[ListenAddress],
        sockets: Vec<OwnedFd>,
        default: Scheme,
        stop: Stop,
    ) -> Result<Self> {
        let opened = addresses.iter().map(|listen| {
            let door = Door::open(&listen.address)?;
            Ok(door.speaking(listen.scheme_or(default)))
        });

        let adopted = sockets
            .into_iter()
            .map(|socket| Ok(Door::adopt(socket)?.speaking(default)));

        let doors: Vec<_> = opened.chain(adopted).collect::<Result<_>>()?;

        if doors.is_empty() {
            let text = "there is no address to listen on";
            return Err(Error::new(ErrorKind::Usage, text));
        }

        // The accept loop polls it, and has to begin whatever runs out later.
        stop.descriptor()
            .map_err(|error| Error::io("preparing to listen", error))?;

        Ok(Self { doors, stop })
    }

    /// The sockets that listen.
    pub(crate) fn descriptors(&self) -> Vec<BorrowedFd<'_>> {
        self.doors.iter().map(Door::descriptor).collect()
    }

    /// The addresses as they are bound, and what is spoken there.
    pub(crate) fn bound(&self) -> Vec<(Address, Scheme)> {
        self.doors
            .iter()
            .map(|door| (door.address().clone(), door.scheme()))
            .collect()
    }

    /// The addresses as they are bound, with port 0 resolved.
    pub(crate) fn addresses(&self) -> Vec<Address> {
        self.doors
            .iter()
            .map(|door| door.address().clone())
            .collect()
    }

    /// Accepts connections until the stop, and runs `work` for each in a thread of its own.
    pub(crate) fn run(
        self,
        connections: &Arc<Connections>,
        work: impl Fn(Incoming, Admittance) -> Option<Rest> + Clone + Send + 'static,
    ) {
        let mut backoff = accept_backoff();
        while !self.stop.is_stopped() {
            let Ok(stopped) = self.stop.descriptor() else {
                return;
            };
            let mut events: Vec<_> = self.doors.iter().map(|door| door.poll()).collect();
            events.push(PollFd::from_borrowed_fd(stopped, PollFlags::IN));
            if let Err(error) = poll(&mut events, None) {
                pause_after(&error.into(), &mut backoff, &self.stop);
                continue;
            }
            let ready: Vec<bool> = events
                .iter()
                .map(|event| !event.revents().is_empty())
                .collect();
            for (door, _) in self.doors.iter().zip(ready).filter(|(_, ready)| *ready) {
                match door.accept().and_then(|(socket, peer)| {
                    let incoming = (socket, peer, door.scheme());
                    admit(incoming, connections, work.clone())
                }) {
                    Ok(()) => backoff.progressed(),
                    Err(error) => pause_after(&error, &mut backoff, &self.stop),
                }
            }
        }
    }
}

/// What is left to do with a connection once it is open.
pub(crate) type Rest = Box<dyn FnOnce() + Send>;

/// Gives a connection its place and its thread. What is left after a TLS handshake is done in a thread
/// of its own: a handshake goes deep, and an idle connection would keep all the stack it touched.
fn admit(
    (socket, peer, scheme): (Socket, Peer, Scheme),
    connections: &Arc<Connections>,
    work: impl Fn(Incoming, Admittance) -> Option<Rest> + Send + 'static,
) -> io::Result<()> {
    let (socket, busy) = (Arc::new(socket), Arc::new(AtomicBool::new(false)));
    let (place, name) = match connections.enter(&socket, &busy, &peer) {
        Some(permit) => {
            let name = format!("conn-{}", permit.number() % 1_000_000);
            (HeldPlace::Permit(permit), name)
        }
        None => match connections.enter_refused() {
            Some(refusal) => (HeldPlace::Refusal(refusal), "conn-refused".to_owned()),
            None => return Ok(()),
        },
    };

    let entry = match place {
        HeldPlace::Permit(_) => Admittance::Admitted,
        HeldPlace::Refusal(_) => Admittance::Full,
    };

    let incoming = Incoming {
        socket,
        busy,
        peer,
        scheme,
    };

    let connections = Arc::clone(connections);

    let thread = threads::spawn(&name.clone(), move || {
        if let Some(rest) = work(incoming, entry) {
            // One at a time, so that there is never more than one thread too many.
            let _turn = connections.take_turn();
            let next = threads::spawn(&name, move || {
                let _place = place;
                rest();
            });
            if let Err(error) = next {
                log::warn!("a connection has no thread to go on in: {error}");
            }
        }
    });

    thread.map(drop)
}

/// Held while a connection is open.
#[allow(dead_code, reason = "kept to be dropped")]
enum HeldPlace {
    Permit(Permit),
    Refusal(Refusal),
}

/// How long to wait after an error of accept, so that none of them makes the loop spin: when
/// descriptors or memory run out, the connection stays in the queue and the socket stays ready.
fn accept_backoff() -> Backoff {
    Backoff::endless().between(PAUSE_MIN, PAUSE_MAX)
}

/// Pauses after an error that more than one caller will meet.
fn pause_after(error: &io::Error, backoff: &mut Backoff, stop: &Stop) {
    use rustix::io::Errno;

    let code = error.raw_os_error().map(Errno::from_raw_os_error);
    if matches!(code, Some(Errno::AGAIN | Errno::CONNABORTED | Errno::INTR)) {
        return;
    }

    if backoff.attempts() == 0 {
        log::warn!("no connection can be accepted: {error}; the server tries again");
    }

    // Without a limit it never gives up, and a stop ends the pause.
    let _ = backoff.pause(None, stop);
}

const PAUSE_MIN: Duration = Duration::from_millis(20);

const PAUSE_MAX: Duration = Duration::from_secs(1);
