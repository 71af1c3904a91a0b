// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Answers at their callers' pace. A thread works on one while the kernel takes bytes; otherwise it waits
//! at the poller, which looks whether there is room and hands it over again.
//!
//! Content without an end and what is left of small answers need neither a disk nor much time, so the
//! poller sends them itself: any number of event streams costs no thread.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::answer_end::AnswerEnd;
use super::caller::After;
use crate::http::answer_pace::AnswerPace;
use crate::http::large_answer::{AnswerStep, LargeAnswer};
use crate::http::response::Response;
use crate::http::small_answer::{SmallAnswer, small};
use crate::transport::TimeLimit;
use crate::waiting::Waiter;

/// Sends the answer of a request. What is small is sent by the calling thread, as far as the kernel takes
/// it at once; everything else goes its own way.
pub(super) fn answer(mut end: Box<AnswerEnd>, mut response: Response) -> After {
    let persistence = end.note(&mut response);
    match small(end.asked, response, persistence) {
        SmallAnswer::Whole { bytes, content } => send_small(end, bytes, content),
        // What was answered at once runs from here on.
        SmallAnswer::Large(_) if !end.caller.place.begin() => {
            let refusal = end.refusal();
            answer(end, refusal)
        }
        SmallAnswer::Large(response) => {
            let answer = LargeAnswer::new(response, end.asked.version, persistence);
            Answering::begin(end, answer)
        }
    }
}

fn send_small(mut end: Box<AnswerEnd>, bytes: Vec<u8>, content: u64) -> After {
    // Before the caller has the answer, since whoever has seen it may count on the place.
    let was_running = end.caller.place.end();

    let connection = &mut end.caller.connection;
    let written = match connection.write_at_once(&bytes) {
        Ok(count) if count < bytes.len() || connection.has_unsent() => count,
        result => return end.after(result.map(|_| content)),
    };

    // An answer that waits for its caller counts again; what was answered at once did not count yet.
    if was_running {
        end.caller.place.resume();
    } else if !end.caller.place.begin() {
        end.caller.connection.transport().abort();
        return After::Gone;
    }

    Answering::begin(end, LargeAnswer::rest(bytes, written, content))
}

/// A request whose answer is on its way.
struct Answering {
    end: Box<AnswerEnd>,
    answer: LargeAnswer,
    pace: AnswerPace,
    /// When the poller looks at it at the latest.
    until: Instant,
    /// When it was noticed that the server stops.
    stopped: Option<Instant>,
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
    fn begin(mut end: Box<AnswerEnd>, answer: LargeAnswer) -> After {
        let limits = end.caller.connection.shared_limits();
        let transport = end.caller.connection.transport();
        transport.set_write_limit(TimeLimit::AT_ONCE);
        transport.set_patience(None);
        let pace = AnswerPace::new(limits, transport);

        let answering = Box::new(Self {
            end,
            answer,
            pace,
            until: Instant::now(),
            stopped: None,
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
        let writers = self.end.shared.writers.clone();
        writers.run(move || self.work().put_back());
        After::Gone
    }

    /// Sends until the kernel has taken nothing for a moment. On a fast line, that costs no change of
    /// threads.
    fn work(mut self: Box<Self>) -> After {
        let mut waits = 0;

        loop {
            match self.step(SLICE_BYTES) {
                Ok(AnswerStep::More) => {}
                Ok(AnswerStep::Full) => {
                    if let Err(error) = self.check() {
                        return self.conclude(Err(error));
                    }
                    let transport = self.end.caller.connection.transport();
                    waits += 1;
                    if waits == WAITS_OF_FAST_LINES {
                        transport.widen();
                    }
                    match transport.wait_for_room(LINGER) {
                        Ok(true) => {}
                        Ok(false) => return self.wait_for_room(),
                        Err(error) => return self.conclude(Err(error)),
                    }
                }
                Ok(AnswerStep::Quiet) => return self.wait_for_source(),
                Ok(AnswerStep::Done) => return self.finish(),
                Err(error) => return self.conclude(Err(error)),
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
                Ok(AnswerStep::More) if self.answer.is_quick() => {}
                // There is room, and so work for a thread.
                Ok(AnswerStep::More) => return self.hand_over(),
                Ok(AnswerStep::Full) => return self.wait_for_room(),
                Ok(AnswerStep::Quiet) => return self.wait_for_source(),
                Ok(AnswerStep::Done) => return self.finish(),
                Err(error) => return self.conclude(Err(error)),
            }
        }

        // Others have their turn before content that never runs dry.
        self.has_more = true;
        self.wait_until(Instant::now() + QUIET_LOOK)
    }

    /// Does one step. A panic in the content is an error of this connection only.
    fn step(&mut self, most: usize) -> io::Result<AnswerStep> {
        let Self {
            end, answer, pace, ..
        } = self;
        let shared = &end.shared;
        if shared.stop.is_stopped() {
            // Content without an end must not outlive the server.
            shared.guard_content(|| answer.end())?;
        }

        let transport = end.caller.connection.transport();
        let result = shared.guard_content(|| answer.step(transport, pace, most))?;
        pace.note(transport);
        result
    }

    /// Whether the caller may take its time.
    fn check(&mut self) -> io::Result<()> {
        if self
            .stop_deadline()
            .is_some_and(|time| time <= Instant::now())
        {
            let text = "the server stops, and the caller takes nothing";
            return Err(io::Error::new(io::ErrorKind::TimedOut, text));
        }

        let transport = self.end.caller.connection.transport();
        if self.pace.is_over(transport) {
            let text = "the caller takes too little";
            return Err(io::Error::new(io::ErrorKind::TimedOut, text));
        }
        Ok(())
    }

    /// Until when the caller of an answer without an end has to take something of the rest, once the server
    /// stops: one that reads may be behind, and a reset would take from it what it has not read.
    fn stop_deadline(&mut self) -> Option<Instant> {
        if !self.end.is_endless || !self.end.shared.stop.is_stopped() {
            return None;
        }
        let noticed = *self.stopped.get_or_insert_with(Instant::now);
        Some(noticed.max(self.pace.moved()) + STOP_WAIT)
    }

    /// Waits at the poller until the kernel takes more.
    fn wait_for_room(mut self: Box<Self>) -> After {
        if let Err(error) = self.check().and_then(|()| self.answer.keep_at_hand()) {
            return self.conclude(Err(error));
        }

        let connection = &mut self.end.caller.connection;
        if !self.heeds_room
            && let Some(socket) = connection.descriptor()
        {
            // Without the event, the looks below find out.
            self.heeds_room = self.end.caller.seat.heed_room(socket).is_ok();
        }

        let deadline = self.pace.deadline(connection.transport());
        let until = deadline.min(self.pace.look());
        let stop = self.stop_deadline();
        self.wait_until(stop.map_or(until, |stop| until.min(stop)))
    }

    /// Waits at the poller until something happens, or until the caller leaves.
    fn wait_for_source(mut self: Box<Self>) -> After {
        if self.end.caller.connection.transport().is_left() {
            return self.conclude(Err(io::ErrorKind::ConnectionReset.into()));
        }
        if let Err(error) = self.watch() {
            return self.conclude(Err(error));
        }
        self.wait_until(Instant::now() + QUIET_LOOK)
    }

    fn wait_until(mut self: Box<Self>, until: Instant) -> After {
        self.until = until;
        After::Waiting(Arc::clone(&self.end.caller.seat), self)
    }

    /// Has the poller wait for the source as well.
    fn watch(&mut self) -> io::Result<()> {
        let Self {
            end,
            answer,
            watched,
            ..
        } = self;
        let (Watched::Not, Some(source)) = (&*watched, answer.source()) else {
            return Ok(());
        };

        let seat = &end.caller.seat;
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
        let seat = &self.end.caller.seat;
        match (&self.watched, self.answer.source()) {
            (Watched::AsCopy(copy), _) => seat.forget(copy.as_fd()),
            (Watched::ByItself, Some(source)) => seat.forget(source),
            _ => {}
        }
        self.watched = Watched::Not;

        if self.heeds_room
            && let Some(socket) = self.end.caller.connection.descriptor()
        {
            seat.ignore_room(socket);
        }
    }

    fn finish(mut self: Box<Self>) -> After {
        // What the kernel still has gets the time that it would have had here.
        let connection = &mut self.end.caller.connection;
        let limits = connection.shared_limits();
        let transport = connection.transport();
        let time = limits.time_for(transport.held_when_full(), limits.write_timeout);
        transport.set_patience(Some(time));

        let sent = self.answer.sent();
        self.conclude(Ok(sent))
    }

    /// Lets go of the content, of which the reader may have to wait for something.
    fn conclude(self: Box<Self>, sent: io::Result<u64>) -> After {
        if !self.answer.may_block() {
            return self.conclude_here(sent);
        }
        let writers = self.end.shared.writers.clone();
        writers.run(move || self.conclude_here(sent).put_back());
        After::Gone
    }

    fn conclude_here(mut self, sent: io::Result<u64>) -> After {
        self.forget();
        let Self {
            mut end, answer, ..
        } = self;
        end.cut_after = answer.sent();
        let dropped = end.shared.guard_content(|| drop(answer));
        end.after(sent.and_then(|sent| dropped.map(|()| sent)))
    }
}

impl Waiter for Answering {
    fn ready(mut self: Box<Self>) -> Option<Box<dyn Waiter>> {
        // What woke it may be the next request.
        self.end.caller.connection.expect_more();
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
        if self.end.is_endless {
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
const SLICE_BYTES: usize = 1024 * 1024;

/// The same for a thread that must not wait.
const BYTES_IN_PASSING: usize = 16 * 1024;

/// Steps of one answer before others have their turn.
const STEPS_IN_PASSING: usize = 16;

/// An event wakes a quiet answer; the time only bounds how long the poller keeps a timer of one that is
/// over.
const QUIET_LOOK: Duration = Duration::from_secs(3_600);

/// After so many waits, each of them short, a line is a fast one.
const WAITS_OF_FAST_LINES: u32 = 8;

/// How long a caller may take nothing of the last bytes of an answer without an end.
const STOP_WAIT: Duration = Duration::from_secs(1);

/// How long a thread waits for room before the poller does.
const LINGER: Duration = Duration::from_millis(50);
