// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A child that runs: its input is fed, its output kept within bounds, and its end waited for.

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::child::control::Ended;
use crate::child::launcher::Launcher;
use crate::child::order::{ChildInput, Enforcement, Order};
use crate::child::pipes::{Feed, KeptOutput, OutputLine, OutputName};
use crate::child::supervised::{END_WAIT_MAX, Supervised};
use crate::error::{Error, Result};

/// A process that was started. When it is dropped, it and all that it started are ended.
pub struct Child {
    supervised: Supervised,
    input: Feed,
    stdout: KeptOutput,
    stderr: KeptOutput,
    started: Instant,
    deadline: Duration,
    grace: Duration,
}

/// What came of a child.
#[derive(Debug)]
pub struct ChildOutcome {
    /// How it ended.
    pub end: End,
    /// The beginning of its standard output.
    pub stdout: Vec<u8>,
    /// The beginning of its standard error.
    pub stderr: Vec<u8>,
    /// Bytes of both that were thrown away.
    pub lost: u64,
    /// How long it ran.
    pub duration: Duration,
    /// How much of its confinement was enforced; `None` if it had none.
    pub enforcement: Option<Enforcement>,
}

/// How a child ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// With this exit code.
    Exited(i32),
    /// By this signal.
    Signalled(i32),
    /// It ran for too long and was ended.
    TooLong,
    /// It was ended because somebody asked for that.
    Stopped,
}

/// Why looking after a child paused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pause {
    /// The supervisor is gone, and so the program.
    Over,
    /// The time is over.
    Time,
    /// Somebody asked for an end.
    Stop,
}

impl Child {
    /// Starts a child; gives it once its program runs, after milliseconds.
    ///
    /// # Errors
    /// If the launcher is none, the program cannot be run as the order says, or the system has no process
    /// to give.
    pub fn start(launcher: &Launcher, order: &Order) -> Result<Self> {
        let explained = |error| Error::io("starting a process", error);
        let output = |name| KeptOutput::new(name, order.output_bytes_max, order.line_bytes_max);
        let (stdout, their_stdout) = output(OutputName::Stdout).map_err(explained)?;
        let (stderr, their_stderr) = output(OutputName::Stderr).map_err(explained)?;
        let (input, their_input) = match &order.input {
            ChildInput::Bytes(bytes) => {
                let (feed, theirs) = Feed::new(bytes).map_err(explained)?;
                (feed, Some(theirs))
            }
            ChildInput::File(_) => (Feed::nothing(), None),
        };
        let file = match &order.input {
            ChildInput::File(file) => Some(file.as_fd()),
            ChildInput::Bytes(_) => None,
        };
        let their_input = their_input.as_ref().map(|pipe| pipe.as_fd()).or(file);

        // The program's ends are closed here afterwards, so that outputs end with the program.
        let mut descriptors: Vec<_> = their_input.into_iter().collect();
        descriptors.extend([their_stdout.as_fd(), their_stderr.as_fd()]);
        let setup = order.setup.clone();
        let supervised = Supervised::start(launcher, &order.owner, setup, &descriptors)?;
        Ok(Self {
            supervised,
            input,
            stdout,
            stderr,
            started: Instant::now(),
            deadline: order.deadline,
            grace: order.grace,
        })
    }

    /// The number of its process, which is that of its group, too.
    pub fn id(&self) -> u32 {
        self.supervised.id.cast_unsigned()
    }

    /// How much of its confinement is enforced; `None` if it has none.
    pub fn enforcement(&self) -> Option<Enforcement> {
        self.supervised.enforcement
    }

    /// Waits for its end, its deadline, or until `stop` is readable; then nothing of it is left.
    ///
    /// # Errors
    /// Those of the system, and if the supervisor was ended by somebody else; the child is ended then.
    pub fn wait(self, stop: Option<BorrowedFd<'_>>) -> Result<ChildOutcome> {
        self.wait_with(stop, &mut |_| {})
    }

    /// The same, telling each line of its outputs as soon as it is there. While a line is told, nothing
    /// is read and no clock is looked at, so whoever is told must not wait for anything.
    ///
    /// # Errors
    /// As [`Child::wait`].
    pub fn wait_with(
        mut self,
        stop: Option<BorrowedFd<'_>>,
        tell: &mut dyn FnMut(OutputLine<'_>),
    ) -> Result<ChildOutcome> {
        let explained = |error| Error::io("waiting for a process", error);
        let early = match self
            .look_after(self.deadline, stop, tell)
            .map_err(explained)?
        {
            Pause::Over => None,
            Pause::Time => Some(End::TooLong),
            Pause::Stop => Some(End::Stopped),
        };
        if early.is_some() {
            self.end_early(tell).map_err(explained)?;
        }

        let duration = self.started.elapsed();
        let ended = self.supervised.finish();

        // What was written before the end is still in the pipes.
        for output in [&mut self.stdout, &mut self.stderr] {
            output.take_in(tell).map_err(explained)?;
            output.finish(tell);
        }

        let known = ended.map(|ended| match ended {
            Ended::Exited(code) => End::Exited(code),
            Ended::Signalled(signal) => End::Signalled(signal),
        });
        let end = early.or(known).ok_or_else(|| {
            let error = io::Error::other("somebody ended its supervisor, and it was ended, too");
            explained(error)
        })?;
        Ok(ChildOutcome {
            end,
            stdout: std::mem::take(&mut self.stdout.kept),
            stderr: std::mem::take(&mut self.stderr.kept),
            lost: self.stdout.lost + self.stderr.lost,
            duration,
            enforcement: self.supervised.enforcement,
        })
    }

    /// Asks the program to end, ends it when its grace is over, and takes in what it writes meanwhile: a
    /// program that waits for a reader could not end by itself.
    fn end_early(&mut self, tell: &mut dyn FnMut(OutputLine<'_>)) -> io::Result<()> {
        self.supervised.terminate();
        let grace = self.started.elapsed().saturating_add(self.grace);
        if self.look_after(grace, None, tell)? == Pause::Over {
            return Ok(());
        }

        self.supervised.kill();
        let end = self.started.elapsed().saturating_add(END_WAIT_MAX);
        self.look_after(end, None, tell)?;
        Ok(())
    }

    /// Feeds and reads until the program has ended, until so long after its start, or until `stop` is
    /// readable.
    fn look_after(
        &mut self,
        until: Duration,
        stop: Option<BorrowedFd<'_>>,
        tell: &mut dyn FnMut(OutputLine<'_>),
    ) -> io::Result<Pause> {
        loop {
            self.input.give();
            self.stdout.take_in(tell)?;
            self.stderr.take_in(tell)?;

            let Some(left) = until.checked_sub(self.started.elapsed()) else {
                return Ok(Pause::Time);
            };
            let mut events = vec![PollFd::new(&self.supervised, PollFlags::IN)];
            events.extend(stop.map(|stop| PollFd::from_borrowed_fd(stop, PollFlags::IN)));
            for pipe in [&self.stdout.pipe, &self.stderr.pipe].into_iter().flatten() {
                events.push(PollFd::new(pipe, PollFlags::IN));
            }
            if let Some(pipe) = &self.input.pipe {
                events.push(PollFd::new(pipe, PollFlags::OUT));
            }

            // A time that is too long for the kernel is as good as none.
            let wait = Timespec::try_from(left).ok();
            rustix::io::retry_on_intr(|| poll(&mut events, wait.as_ref()))?;
            let has_news = !events[0].revents().is_empty();
            let is_stop = stop.is_some() && !events[1].revents().is_empty();
            drop(events);

            if has_news && self.supervised.hear() {
                return Ok(Pause::Over);
            }
            if is_stop {
                return Ok(Pause::Stop);
            }
        }
    }
}
