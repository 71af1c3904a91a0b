// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A TLS handshake in steps: the poller waits for the caller's bytes, and the few threads that
//! compute take each step, so that neither a silent caller nor a slow processor holds up others.

use std::io::{self, Write as _};
use std::sync::Arc;
use std::time::Instant;

use crate::crew::Crew;
use crate::edge::arrival::{Arrival, Entry, Welcome};
use crate::edge::socket::{Plain, Timed};
use crate::edge::tls::encrypted::Encrypted;
use crate::edge::tls::incoming::{Appetite, Incoming};
use crate::edge::tls::records::Records;
use crate::edge::tls::spare_buffers::SpareBuffers;
use crate::tls::Following;
use crate::transport::{Peer, TimeLimit, Transport};
use crate::waiting::{Place, Seat, Waiter};

/// What all handshakes of a server share.
pub(crate) struct Handshakes {
    pub(crate) crew: Arc<Crew>,
    pub(crate) identity: Arc<Following>,
    pub(crate) spare: Arc<SpareBuffers>,
    pub(crate) welcome: Welcome,
}

/// A connection that shakes hands.
pub(crate) struct Handshake {
    timed: Timed,
    peer: Peer,
    /// `None` until the caller has said something.
    records: Option<Records>,
    /// Of the files that it shakes hands by.
    generation: Option<u64>,
    /// The poller tells of room in the socket, too.
    heeds_room: bool,
    until: Instant,
    entry: Entry,
    place: Box<dyn Place>,
    seat: Arc<dyn Seat>,
    shared: Arc<Handshakes>,
}

/// How far a handshake has come.
enum Step {
    /// The caller has to say more.
    Waits(Box<Handshake>),
    /// It is over, well or not.
    Over(Box<Arrival>),
}

/// What a caller begins with.
enum First {
    Plain,
    Tls(Incoming),
}

impl Handshake {
    /// A handshake that has to be done by `until`.
    pub(crate) fn new(
        (mut timed, peer): (Timed, Peer),
        (entry, place): (Entry, Box<dyn Place>),
        seat: Arc<dyn Seat>,
        until: Instant,
        shared: Arc<Handshakes>,
    ) -> Box<Self> {
        timed.set_read_limit(TimeLimit::AT_ONCE);
        timed.set_write_limit(TimeLimit::AT_ONCE);

        Box::new(Self {
            timed,
            peer,
            records: None,
            generation: None,
            heeds_room: false,
            until,
            entry,
            place,
            seat,
            shared,
        })
    }

    /// Goes on with what the caller has sent so far.
    fn go_on(self: Box<Self>) {
        let (seat, shared) = (Arc::clone(&self.seat), Arc::clone(&self.shared));

        let next = match self.step() {
            Ok(Step::Waits(handshake)) => Some(handshake as Box<dyn Waiter>),
            Ok(Step::Over(arrival)) => (shared.welcome)(*arrival),
            Err(error) => {
                log::debug!("a connection ended before its first request: {error}");
                None
            }
        };

        if let Some(waiting) = next {
            seat.put_back(waiting);
        }
    }

    fn step(mut self: Box<Self>) -> io::Result<Step> {
        let mut records = match self.records.take() {
            Some(records) => records,
            None => {
                // Asked for each connection, so a renewed certificate counts at once.
                let acceptor = self.shared.identity.now();
                match self.first_bytes() {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        return Ok(Step::Waits(self));
                    }
                    Err(error) => return Err(error),
                    Ok(First::Plain) => return Ok(Step::Over(self.plain())),
                    Ok(First::Tls(incoming)) => {
                        self.generation = acceptor.generation();
                        let session = acceptor.session().map_err(io::Error::other)?;
                        Records::new(session, incoming, Arc::clone(&self.shared.spare))
                    }
                }
            }
        };

        // A failed handshake still has an alert to send, which this does.
        match records.shake_hands(&mut self.timed) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.heed_room(records.has_unsent());
                self.records = Some(records);
                return Ok(Step::Waits(self));
            }
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                log_refusal(&self.peer, &error);
                return Ok(Step::Over(self.told()));
            }
            Err(error) => return Err(error),
        }

        let (shared, generation) = (Arc::clone(&self.shared), self.generation);
        let encrypted = |timed, peer| {
            let basis = (Arc::clone(&shared.identity), generation);
            Box::new(Encrypted::new(records, &shared.spare, timed, peer, basis)) as _
        };

        Ok(Step::Over(self.arrive(encrypted)))
    }

    /// Waits for room in the socket, or only for the caller's bytes.
    fn heed_room(&mut self, is_blocked: bool) {
        if self.heeds_room == is_blocked {
            return;
        }

        let socket = self.timed.descriptor();
        if is_blocked {
            // Without the event, the caller's next bytes or the deadline end the wait.
            self.heeds_room = self.seat.heed_room(socket).is_ok();
        } else {
            self.seat.ignore_room(socket);
            self.heeds_room = false;
        }
    }

    /// Whether something of the handshake waits for room in the socket.
    fn is_blocked(&self) -> bool {
        self.records.as_ref().is_some_and(Records::has_unsent)
    }

    /// Finds out what the caller speaks.
    fn first_bytes(&mut self) -> io::Result<First> {
        let mut incoming = Incoming::default();
        let count = incoming.receive(&mut self.timed, Appetite::Handshake, &self.shared.spare)?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }

        let is_plain = incoming.bytes()[0].is_ascii_uppercase();
        Ok(if is_plain {
            First::Plain
        } else {
            First::Tls(incoming)
        })
    }

    /// A caller that speaks plain HTTP where TLS is spoken is told to come with `https://`.
    fn plain(mut self: Box<Self>) -> Box<Arrival> {
        // A caller whose window is full at its first byte gets no answer.
        let _ = self.timed.write(PLAIN_ANSWER);
        self.told()
    }

    /// A caller that was told why it is not let in, and has to have the time to read that: a socket that
    /// is closed with unread bytes would reset the connection, and the words could be lost.
    fn told(mut self: Box<Self>) -> Box<Arrival> {
        self.entry = Entry::Told;
        self.arrive(|timed, peer| Box::new(Plain { timed, peer }))
    }

    /// The connection as it leaves the edge, over a transport that `make` makes.
    fn arrive(mut self, make: impl FnOnce(Timed, Peer) -> Box<dyn Transport>) -> Box<Arrival> {
        self.heed_room(false);
        Box::new(Arrival {
            transport: make(self.timed, self.peer),
            entry: self.entry,
            place: self.place,
            seat: self.seat,
        })
    }
}

impl Waiter for Handshake {
    fn ready(self: Box<Self>) -> Option<Box<dyn Waiter>> {
        let shared = Arc::clone(&self.shared);
        shared.crew.run(move || self.go_on());
        None
    }

    fn deadline(&self) -> Instant {
        self.until
    }

    fn expired(self: Box<Self>) -> Option<Box<dyn Waiter>> {
        log::debug!("{} did not shake hands in time", self.peer);
        None
    }

    fn stopped(self: Box<Self>) -> Option<Box<dyn Waiter>> {
        None
    }

    /// Nothing more is read before what is to be said has found room.
    fn has_more(&self) -> bool {
        !self.timed.is_drained() && !self.is_blocked()
    }
}

fn log_refusal(peer: &Peer, error: &io::Error) {
    let reason = error.get_ref().and_then(|inner| inner.downcast_ref());
    let is_caller = matches!(
        reason,
        Some(rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented)
    );

    // Others are scanners, of whom there are too many to tell.
    let level = if is_caller {
        log::Level::Info
    } else {
        log::Level::Debug
    };

    log::log!(level, "{peer} did not get through TLS: {error}");
}

const PLAIN_ANSWER: &[u8] = b"HTTP/1.1 400 Bad Request\r\nserver: skep\r\n\
    content-type: text/plain; charset=utf-8\r\ncontent-length: 65\r\nconnection: close\r\n\r\n\
    This port speaks HTTPS: use https:// instead of http:// for it.\r\n";

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::os::fd::BorrowedFd;
    use std::os::unix::net::UnixStream;
    use std::sync::Mutex;
    use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
    use std::time::Duration;

    use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig};

    use super::*;
    use crate::edge::socket::Socket;
    use crate::threads::lock;
    use crate::waiting::{Full, Rank};

    const DEADLINE: Duration = Duration::from_secs(60);

    /// What is done with a seat.
    enum Done {
        Back(Box<dyn Waiter>),
        HeedsRoom(bool),
    }

    struct TestSeat(Mutex<Sender<Done>>);

    impl Seat for TestSeat {
        fn put_back(self: Arc<Self>, waiting: Box<dyn Waiter>) {
            lock(&self.0).send(Done::Back(waiting)).unwrap();
        }

        fn heed_room(&self, _: BorrowedFd<'_>) -> io::Result<()> {
            lock(&self.0).send(Done::HeedsRoom(true)).unwrap();
            Ok(())
        }

        fn ignore_room(&self, _: BorrowedFd<'_>) {
            lock(&self.0).send(Done::HeedsRoom(false)).unwrap();
        }

        fn watch(&self, _: BorrowedFd<'_>) -> io::Result<()> {
            Ok(())
        }

        fn forget(&self, _: BorrowedFd<'_>) {}
    }

    struct TestPlace;

    impl Place for TestPlace {
        fn begin(&mut self) -> Result<(), Full> {
            Ok(())
        }

        fn end(&mut self) -> bool {
            true
        }

        fn resume(&mut self) {}

        fn rank(&mut self, _rank: Rank) -> Result<(), Full> {
            Ok(())
        }

        fn vouch(&mut self) {}
    }

    fn sides() -> (Arc<ServerConfig>, ClientConnection) {
        let made = rcgen::generate_simple_self_signed(["pi.local".to_owned()]).unwrap();
        let chain = vec![made.cert.der().clone()];
        let key = made.signing_key.serialize_der().try_into().unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(chain[0].clone()).unwrap();

        let server = ServerConfig::builder_with_provider(crate::tls::provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
        let client = ClientConfig::builder_with_provider(crate::tls::provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let client = ClientConnection::new(Arc::new(client), "pi.local".try_into().unwrap());
        (Arc::new(server), client.unwrap())
    }

    fn next(done: &Receiver<Done>) -> Done {
        done.recv_timeout(DEADLINE).unwrap()
    }

    #[test]
    fn a_caller_that_takes_nothing_holds_its_handshake_no_longer_than_the_deadline() {
        let (server, mut client) = sides();
        let (near, mut far) = UnixStream::pair().unwrap();
        near.set_nonblocking(true).unwrap();
        let mut timed = Timed::new(Arc::new(Socket::Unix(near)));

        // The socket has no room left.
        timed.set_write_limit(TimeLimit::AT_ONCE);
        let mut filling = 0;
        while let Ok(count) = timed.write(&[0; 1024]) {
            filling += count;
        }

        let (arrived, arrivals) = channel();
        let arrived = Mutex::new(arrived);
        let shared = Arc::new(Handshakes {
            crew: Crew::new("test-crew", 1),
            identity: Arc::new(Following::ready(server)),
            spare: Arc::default(),
            welcome: Arc::new(move |arrival| {
                lock(&arrived).send(arrival.entry).unwrap();
                None
            }),
        });
        let (sender, done) = channel();
        let seat = Arc::new(TestSeat(Mutex::new(sender)));
        let until = Instant::now() + DEADLINE;
        let whose = (timed, Peer::default());
        let entry = (Entry::Admitted, Box::new(TestPlace) as _);
        let handshake = Handshake::new(whose, entry, seat, until, Arc::clone(&shared));

        client.write_tls(&mut far).unwrap();
        assert!((handshake as Box<dyn Waiter>).ready().is_none());
        assert!(matches!(next(&done), Done::HeedsRoom(true)));
        let Done::Back(waiting) = next(&done) else {
            panic!("it does not wait");
        };
        assert!(
            !waiting.has_more(),
            "nothing can be done before there is room"
        );
        assert_eq!(waiting.deadline(), until);

        // Once there is room, it goes on without a word of the caller.
        far.read_exact(&mut vec![0; filling]).unwrap();
        assert!(waiting.ready().is_none());
        assert!(matches!(next(&done), Done::HeedsRoom(false)));
        let Done::Back(waiting) = next(&done) else {
            panic!("it does not wait for more");
        };
        while client.is_handshaking() {
            client.read_tls(&mut far).unwrap();
            client.process_new_packets().unwrap();
        }
        client.write_tls(&mut far).unwrap();
        assert!(waiting.ready().is_none());
        assert_eq!(arrivals.recv_timeout(DEADLINE), Ok(Entry::Admitted));
        shared.crew.close();
    }

    #[test]
    fn a_caller_that_leaves_in_its_handshake_keeps_no_seat() {
        let (server, _) = sides();
        let shared = Arc::new(Handshakes {
            crew: Crew::new("test-crew", 1),
            identity: Arc::new(Following::ready(server)),
            spare: Arc::default(),
            welcome: Arc::new(|_| panic!("it has left")),
        });
        // At once, and within a record of TLS.
        for said in [&b""[..], b"\x16", b"\x16\x03\x01\x02\x00\x01"] {
            let (near, mut far) = UnixStream::pair().unwrap();
            near.set_nonblocking(true).unwrap();
            far.write_all(said).unwrap();
            drop(far);
            let mut timed = Timed::new(Arc::new(Socket::Unix(near)));
            timed.set_read_limit(TimeLimit::AT_ONCE);

            let (sender, done) = channel();
            let seat = Arc::new(TestSeat(Mutex::new(sender)));
            let whose = (timed, Peer::default());
            let entry = (Entry::Admitted, Box::new(TestPlace) as _);
            let until = Instant::now() + DEADLINE;
            let handshake = Handshake::new(whose, entry, seat, until, Arc::clone(&shared));
            assert!((handshake as Box<dyn Waiter>).ready().is_none());
            let left = done.recv_timeout(DEADLINE).err();
            assert_eq!(left, Some(RecvTimeoutError::Disconnected), "{said:?}");
        }
        shared.crew.close();
    }

    #[test]
    fn the_plain_answer_is_as_long_as_it_says() {
        let text = str::from_utf8(PLAIN_ANSWER).unwrap();
        let (head, content) = text.split_once("\r\n\r\n").unwrap();
        assert!(
            head.contains(&format!("content-length: {}\r\n", content.len())),
            "{content:?}"
        );
    }
}
