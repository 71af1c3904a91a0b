// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A caller and its connection between requests: it waits at the poller for the next head, or for the
//! end of a connection that was answered for the last time.

use std::io::{self, Read as _};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::error::{Error, ErrorKind};
use crate::http::answer_head::{Asked, Persistence};
use crate::http::connection::{Connection, HeadReading, HeadStep};
use crate::http::head::Head;
use crate::http::pool::HeldPlaces;
use crate::http::request::{Body, Request, Session};
use crate::http::response::Response;
use crate::http::small_answer::{SmallAnswer, small};
use crate::transport::Peer;
use crate::waiting::{Seat, Waiter};

/// A connection with all that outlives one request.
pub(crate) struct HttpCaller {
    pub(crate) connection: Connection,
    pub(crate) session: Session,
    /// How many requests were read.
    pub(crate) requests: u32,
    pub(crate) seat: Arc<dyn Seat>,
    /// Among them the place among all connections, held until the end.
    pub(crate) places: HeldPlaces,
    /// What begins with a request.
    pub(crate) service: Arc<dyn RequestService>,
}

/// What is done with requests.
pub(crate) trait RequestService: Send + Sync {
    /// Begins with a request whose head has been read. Nothing may wait here.
    fn begin(self: Arc<Self>, caller: HttpCaller, head: Head) -> After;

    /// Logs that a caller was refused, unless there is too much of that.
    fn log_refusal(&self, peer: &Peer, error: &Error);
}

/// What becomes of a connection.
pub(crate) enum After {
    /// It waits for the next request.
    Idle(HttpCaller),
    /// It waits for something else, in this seat.
    Waiting(Arc<dyn Seat>, Box<dyn Waiter>),
    /// It is over, or another thread has it.
    Gone,
}

impl After {
    /// Whoever has to wait now.
    pub(crate) fn waiting(self) -> Option<Box<dyn Waiter>> {
        match self {
            Self::Idle(caller) => Some(Visit::new(caller)),
            Self::Waiting(_, waiting) => Some(waiting),
            Self::Gone => None,
        }
    }

    /// Gives the connection back to the poller.
    pub(crate) fn put_back(self) {
        match self {
            Self::Idle(caller) => {
                let seat = Arc::clone(&caller.seat);
                seat.put_back(Visit::new(caller));
            }
            Self::Waiting(seat, waiting) => seat.put_back(waiting),
            Self::Gone => {}
        }
    }
}

impl HttpCaller {
    /// Does something with a request of this caller as if it had no body.
    pub(super) fn without_body<T>(
        &mut self,
        head: &Head,
        work: impl FnOnce(&mut Request<'_>) -> T,
    ) -> T {
        let mut nothing = io::empty();
        let body = Body::new(&mut nothing, Some(0));
        let (peer, session) = (self.connection.peer(), &mut self.session);
        let request = Request::new(head, peer, session, body);
        work(&mut request.holding(&mut self.places))
    }

    /// Answers what cannot be handled, after which the connection only has to end well.
    pub(crate) fn refuse(mut self, head: Option<&Head>, error: &Error) -> After {
        let peer = self.connection.transport().peer();
        self.service.log_refusal(peer, error);

        let asked = head.map_or_else(|| Asked::unread(self.connection.buffered()), Asked::of);
        let answer = small(asked, Response::error(error), Persistence::Close);

        // A caller that took nothing of earlier answers does not get this one.
        if let SmallAnswer::Whole { bytes, .. } = answer
            && self.connection.write_at_once(&bytes).ok() == Some(bytes.len())
            && !self.connection.has_unsent()
        {
            return self.say_farewell(None);
        }

        self.connection.transport().abort();
        After::Gone
    }

    /// Tells a connection for which there is no place to come back later.
    pub(crate) fn refuse_busy(mut self) -> Option<Box<dyn Waiter>> {
        self.connection.be_quick();
        let error = Error::new(ErrorKind::Busy, "this server has no free connection");
        self.refuse(None, &error).waiting()
    }

    /// Ends a connection whose caller was told all that there is to say.
    pub(crate) fn dismiss(self) -> Option<Box<dyn Waiter>> {
        self.say_farewell(None).waiting()
    }

    /// Lets the last answer arrive; for callers that are known to send all before they read,
    /// `bytes_max` tells how much of that is read.
    pub(crate) fn say_farewell(self, bytes_max: Option<u64>) -> After {
        After::Waiting(Arc::clone(&self.seat), Farewell::new(self, bytes_max))
    }
}

/// Waits for the next request.
pub(crate) struct Visit {
    caller: HttpCaller,
    reading: HeadReading,
    until: Instant,
    /// When the head began, and so has to end.
    head_until: Option<Instant>,
    has_more: bool,
}

impl Visit {
    pub(crate) fn new(mut caller: HttpCaller) -> Box<Self> {
        caller.connection.be_quick();
        caller.connection.release();
        let has_more = caller.connection.has_more();
        let until = Instant::now() + caller.connection.limits().idle_timeout;

        Box::new(Self {
            caller,
            reading: HeadReading::default(),
            until,
            head_until: None,
            has_more,
        })
    }

    /// Sets the deadline after the caller has sent something, but not all of a head.
    fn extend(&mut self) {
        self.has_more = self.caller.connection.has_unread();
        if !self.reading.has_begun {
            return;
        }

        let (now, limits) = (Instant::now(), self.caller.connection.limits());
        let whole = *self.head_until.get_or_insert(now + limits.head_timeout);
        self.until = whole.min(now + limits.timeout);
    }
}

impl Waiter for Visit {
    fn ready(mut self: Box<Self>) -> Option<Box<dyn Waiter>> {
        // A head that is in the buffer already is no reason to forget what the event told of.
        self.caller.connection.expect_more();

        for _ in 0..REQUESTS_AT_ONCE {
            let visit = &mut *self;
            let head = match visit.caller.connection.next_head(&mut visit.reading) {
                Ok(HeadStep::Head(head)) => head,
                Ok(HeadStep::Pending) => {
                    self.extend();
                    return Some(self);
                }
                Ok(HeadStep::End) => {
                    self.caller.connection.transport().finish();
                    return None;
                }
                Err(error) => return self.caller.refuse(None, &error).waiting(),
            };

            let service = Arc::clone(&self.caller.service);
            match service.begin(self.caller, head) {
                After::Idle(caller) => self = Self::new(caller),
                after => return after.waiting(),
            }

            if !self.has_more {
                return Some(self);
            }
        }

        // Others have their turn before a caller that sends one request after the other.
        Some(self)
    }

    fn deadline(&self) -> Instant {
        self.until
    }

    fn expired(mut self: Box<Self>) -> Option<Box<dyn Waiter>> {
        if self.reading.has_begun {
            let text = "the head of the request did not arrive in time";
            let error = Error::new(ErrorKind::RequestTimeout, text);
            return self.caller.refuse(None, &error).waiting();
        }

        self.caller.connection.transport().finish();
        None
    }

    fn stopped(mut self: Box<Self>) -> Option<Box<dyn Waiter>> {
        self.caller.connection.transport().finish();
        None
    }

    fn has_more(&self) -> bool {
        self.has_more
    }
}

/// Reads on for a while after the last answer, so that the caller sees it although it may still be
/// sending: a socket that is closed with unread bytes would reset the connection (RFC 9112 section
/// 9.6).
struct Farewell {
    caller: HttpCaller,
    /// How many bytes are still read.
    left: u64,
    until: Instant,
    has_more: bool,
}

impl Farewell {
    /// Closes the sending half.
    fn new(mut caller: HttpCaller, bytes_max: Option<u64>) -> Box<Self> {
        let (left, time) = match bytes_max {
            Some(bytes) => (bytes, LINGER_FOR_SENDERS),
            None => {
                let most = caller.connection.limits().drain_bytes_max;
                (most.min(LINGER_BYTES), LINGER)
            }
        };

        caller.connection.be_quick();
        caller.connection.transport().finish();

        Box::new(Self {
            caller,
            left,
            until: Instant::now() + time,
            has_more: true,
        })
    }
}

impl Waiter for Farewell {
    fn ready(mut self: Box<Self>) -> Option<Box<dyn Waiter>> {
        let mut buffer = [0; 4096];
        self.has_more = false;

        for _ in 0..READS_AT_ONCE {
            if self.left == 0 {
                return Some(self);
            }

            let most = usize::try_from(self.left).unwrap_or(usize::MAX);
            let most = most.min(buffer.len());
            match self.caller.connection.read(&mut buffer[..most]) {
                Err(error) if crate::transport::is_timeout(&error) => return Some(self),
                Ok(0) | Err(_) => return None,
                Ok(count) => self.left -= count as u64,
            }

            if self.left == 0 {
                // More is not read, but a caller that is still sending gets the time to see the answer.
                self.until = self.until.min(Instant::now() + LINGER);
            }
        }

        self.has_more = true;
        Some(self)
    }

    fn deadline(&self) -> Instant {
        self.until
    }

    fn expired(self: Box<Self>) -> Option<Box<dyn Waiter>> {
        None
    }

    /// The answer is under way, and a shutdown lets it arrive, but does not wait for senders.
    fn stopped(mut self: Box<Self>) -> Option<Box<dyn Waiter>> {
        self.until = self.until.min(Instant::now() + LINGER);
        Some(self)
    }

    fn has_more(&self) -> bool {
        self.has_more
    }

    fn heeds_end(&self) -> bool {
        self.left > 0
    }
}

/// Requests of one caller that are begun before others have their turn.
const REQUESTS_AT_ONCE: usize = 16;

/// Pieces that are read of one caller before others have their turn.
const READS_AT_ONCE: usize = 16;

/// What is read of somebody who has not much left to send, or for whom no more is to be done.
pub(super) const LINGER_BYTES: u64 = 64 * 1024;

/// How long an answered connection is read on, so that its answer arrives.
const LINGER: Duration = Duration::from_secs(2);

/// The same for callers that are known to send all before they read.
const LINGER_FOR_SENDERS: Duration = Duration::from_secs(30);
