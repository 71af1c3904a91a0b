// SPDX-License-Identifier: Apache-2.0 OR MIT
//! An exchange whose answer is sent at its caller's pace. A thread works on it while the kernel takes
//! bytes; otherwise it waits at the poller, which looks whether there is room and hands it over again.
//!
//! Content without an end and what is left of small answers need neither a disk nor much time, so the
//! poller sends them itself: any number of event streams costs no thread.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::answer_end::AnswerEnd;
use super::caller::After;
use super::exchange::Exchange;
use crate::http::answer_pace::AnswerPace;
use crate::http::large_answer::{LargeAnswer, Step};
use crate::transport::TimeLimit;
use crate::waiting::Waiter;

/// A request whose answer is on its way.
pub(super) struct Answering {
    exchange: Box<Exchange>,
    ending: AnswerEnd,
    answer: LargeAnswer,
    pace: AnswerPace,
    /// When the poller looks at it at the latest.
    until: Instant,
    has_more: bool,
    heeds_room: bool,
    watched: Watched,
}

/// How the poller knows the source of an answer without an end.
enum Watched {
    Not,
    ByItself,
    /// By another number, since somebody else waits for the same one.
    AsCopy(OwnedFd),
}

impl Answering {
    /// Begins to send an answer. Nothing waits here.
    pub(super) fn begin(
        mut exchange: Box<Exchange>,
        ending: AnswerEnd,
        answer: LargeAnswer,
    ) -> After {
        let limits = exchange.caller.connection.shared_limits();
        let transport = exchange.caller.connection.transport();
        transport.set_write_limit(TimeLimit::AT_ONCE);
        transport.set_patience(limits.write_timeout);
        let pace = AnswerPace::new(&limits, transport);

        let answering = Box::new(Self {
            exchange,
            ending,
            answer,
            pace,
            until: Instant::now(),
            has_more: false,
            heeds_room: false,
            watched: Watched::Not,
        });

        if answering.answer.is_quick() {
            answering.in_passing()
        } else {
            answering.hand_over()
        }
    }

    /// Has a thread send it.
    fn hand_over(self: Box<Self>) -> After {
        let writers = self.exchange.shared.writers.clone();
        writers.run(move || self.work().put_back());
        After::Gone
    }

    /// Sends until the kernel has taken nothing for a moment. On a fast line, that costs no change of
    /// threads.
    fn work(mut self: Box<Self>) -> After {
        loop {
            match self.step(SLICE_BYTES) {
                Ok(Step::More) => {}
                Ok(Step::Full) => {
                    if let Err(error) = self.check() {
                        return self.end(Err(error));
                    }
                    match self
                        .exchange
                        .caller
                        .connection
                        .transport()
                        .wait_for_room(LINGER)
                    {
                        Ok(true) => {}
                        Ok(false) => return self.wait_for_room(),
                        Err(error) => return self.end(Err(error)),
                    }
                }
                Ok(Step::Quiet) => return self.wait_for_source(),
                Ok(Step::Done) => return self.finish(),
                Err(error) => return self.end(Err(error)),
            }
        }
    }

    /// Sends what can be sent by a thread that must not wait.
    fn in_passing(mut self: Box<Self>) -> After {
        self.has_more = false;

        for _ in 0..STEPS_IN_PASSING {
            if !self.answer.is_at_hand() {
                return self.hand_over();
            }
            match self.step(BYTES_IN_PASSING) {
                Ok(Step::More) if self.answer.is_quick() => {}
                // There is room, and so work for a thread.
                Ok(Step::More) => return self.hand_over(),
                Ok(Step::Full) => return self.wait_for_room(),
                Ok(Step::Quiet) => return self.wait_for_source(),
                Ok(Step::Done) => return self.finish(),
                Err(error) => return self.end(Err(error)),
            }
        }

        // Others have their turn before content that never runs dry.
        self.has_more = true;
        self.wait_until(Instant::now() + QUIET_LOOK)
    }

    /// Does one step. A panic in the content is an error of this connection only.
    fn step(&mut self, most: usize) -> io::Result<Step> {
        let Self {
            exchange,
            answer,
            pace,
            ..
        } = self;
        let shared = &exchange.shared;
        if shared.stop.is_stopped() {
            // Content without an end must not outlive the server.
            shared.guard_content(|| answer.end())?;
        }

        let transport = exchange.caller.connection.transport();
        let result = shared.guard_content(|| answer.step(transport, pace, most))?;
        pace.note(transport);
        result
    }

    /// Whether the caller may take its time.
    fn check(&mut self) -> io::Result<()> {
        let is_over = self.ending.is_endless && self.exchange.shared.stop.is_stopped();
        if is_over {
            let text = "the server stops, and the caller takes nothing";
            return Err(io::Error::new(io::ErrorKind::TimedOut, text));
        }

        let transport = self.exchange.caller.connection.transport();
        if self.pace.deadline(transport) <= Instant::now() {
            let text = "the caller takes too little";
            return Err(io::Error::new(io::ErrorKind::TimedOut, text));
        }
        Ok(())
    }

    /// Waits at the poller until the kernel takes more.
    fn wait_for_room(mut self: Box<Self>) -> After {
        if let Err(error) = self.check().and_then(|()| self.answer.keep_at_hand()) {
            return self.end(Err(error));
        }

        let connection = &mut self.exchange.caller.connection;
        if !self.heeds_room
            && let Some(socket) = connection.descriptor()
        {
            // Without the event, the looks below find out.
            self.heeds_room = self.exchange.caller.seat.heed_room(socket).is_ok();
        }

        let deadline = self.pace.deadline(connection.transport());
        let until = deadline.min(self.pace.look());
        self.wait_until(until)
    }

    /// Waits at the poller until something happens, or until the caller leaves.
    fn wait_for_source(mut self: Box<Self>) -> After {
        if self.exchange.caller.connection.transport().is_left() {
            return self.end(Err(io::ErrorKind::ConnectionReset.into()));
        }
        if let Err(error) = self.watch() {
            return self.end(Err(error));
        }
        self.wait_until(Instant::now() + QUIET_LOOK)
    }

    fn wait_until(mut self: Box<Self>, until: Instant) -> After {
        self.until = until;
        After::Waiting(Arc::clone(&self.exchange.caller.seat), self)
    }

    /// Has the poller wait for the source as well.
    fn watch(&mut self) -> io::Result<()> {
        let Self {
            exchange,
            answer,
            watched,
            ..
        } = self;
        let (Watched::Not, Some(source)) = (&*watched, answer.source()) else {
            return Ok(());
        };

        let seat = &exchange.caller.seat;
        *watched = match seat.watch(source) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                let copy = source.try_clone_to_owned()?;
                seat.watch(copy.as_fd())?;
                Watched::AsCopy(copy)
            }
            result => result.map(|()| Watched::ByItself)?,
        };
        Ok(())
    }

    /// Has the poller wait for nothing but the connection's bytes again.
    fn forget(&mut self) {
        let seat = &self.exchange.caller.seat;
        match (&self.watched, self.answer.source()) {
            (Watched::AsCopy(copy), _) => seat.forget(copy.as_fd()),
            (Watched::ByItself, Some(source)) => seat.forget(source),
            _ => {}
        }
        self.watched = Watched::Not;

        if self.heeds_room
            && let Some(socket) = self.exchange.caller.connection.descriptor()
        {
            seat.ignore_room(socket);
        }
    }

    fn finish(self: Box<Self>) -> After {
        let sent = self.answer.sent();
        self.end(Ok(sent))
    }

    /// Lets go of the content, of which the reader may have to wait for something.
    fn end(self: Box<Self>, sent: io::Result<u64>) -> After {
        if !self.answer.may_block() {
            return self.end_here(sent);
        }
        let writers = self.exchange.shared.writers.clone();
        writers.run(move || self.end_here(sent).put_back());
        After::Gone
    }

    fn end_here(mut self: Box<Self>, sent: io::Result<u64>) -> After {
        self.forget();
        let Self {
            exchange,
            ending,
            answer,
            ..
        } = *self;
        let dropped = exchange.shared.guard_content(|| drop(answer));
        exchange.after(ending, sent.and_then(|sent| dropped.map(|()| sent)))
    }
}

impl Waiter for Answering {
    fn ready(mut self: Box<Self>) -> Option<Box<dyn Waiter>> {
        // What woke it may be the next request.
        self.exchange.caller.connection.expect_more();
        self.in_passing().waiting()
    }

    fn deadline(&self) -> Instant {
        self.until
    }

    fn expired(self: Box<Self>) -> Option<Box<dyn Waiter>> {
        self.in_passing().waiting()
    }

    /// An answer under way is waited for, unless it has no end.
    fn stopped(self: Box<Self>) -> Option<Box<dyn Waiter>> {
        if self.ending.is_endless {
            return self.in_passing().waiting();
        }
        Some(self)
    }

    fn has_more(&self) -> bool {
        self.has_more
    }

    /// Nothing is read here, and a caller may close its half and still take the answer.
    fn heeds_end(&self) -> bool {
        false
    }
}

/// What is sent between two looks at what was taken.
const SLICE_BYTES: usize = 256 * 1024;

/// The same for a thread that must not wait.
const BYTES_IN_PASSING: usize = 16 * 1024;

/// Steps of one answer before others have their turn.
const STEPS_IN_PASSING: usize = 16;

/// An event wakes a quiet answer; the time only bounds how long the poller keeps a timer of one that is
/// over.
const QUIET_LOOK: Duration = Duration::from_secs(3_600);

/// How long a thread waits for room before the poller does.
const LINGER: Duration = Duration::from_millis(50);
