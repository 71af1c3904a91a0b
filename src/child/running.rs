// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A child that runs: its input is fed, its output kept within bounds, and its end waited for.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::Path;
use std::process::{ChildStdin, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};

use crate::child::launcher::{NOT_STARTED, PREFIX, VERB};
use crate::child::mark;
use crate::child::order::Order;
use crate::error::{Error, ErrorKind, Result};

/// A process that was started. When it is dropped, it and all that it started are ended.
///
/// The kernel ends it with the thread that started it (prctl(2), `PR_SET_PDEATHSIG`), so that thread
/// has to stay.
pub struct Child {
    process: std::process::Child,
    group: Pid,
    mark: String,
    input: Feed,
    stdout: KeptOutput,
    stderr: KeptOutput,
    started: Instant,
    deadline: Duration,
    grace: Duration,
    is_over: bool,
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

/// What is still to be written into a standard input.
struct Feed {
    pipe: Option<ChildStdin>,
    bytes: Vec<u8>,
    sent: usize,
}

/// What is kept of an output.
struct KeptOutput {
    pipe: Option<OwnedFd>,
    bytes: Vec<u8>,
    most: usize,
    lost: u64,
}

impl Child {
    /// Starts a child through the launcher in the own binary.
    ///
    /// # Errors
    /// If the system has no process to give.
    pub fn start(order: &Order) -> Result<Self> {
        Self::start_by(Path::new("/proc/self/exe"), order)
    }

    /// The same through another binary with the same hidden verb.
    ///
    /// # Errors
    /// As [`Child::start`].
    pub fn start_by(launcher: &Path, order: &Order) -> Result<Self> {
        let failed = |error| Error::io("starting a process", error);
        let mark = mark::new(&order.owner).map_err(failed)?;

        // The launcher's group is its own, so that all of it can be ended at once.
        let mut process = Command::new(launcher)
            .arg(VERB)
            .env_clear()
            .env(mark::VARIABLE, &mark)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .map_err(failed)?;

        let group = Pid::from_child(&process);
        let input = Feed::new(process.stdin.take(), order).map_err(failed)?;
        let most = order.output_bytes_max;
        let stdout =
            KeptOutput::new(process.stdout.take().map(OwnedFd::from), most).map_err(failed)?;
        let stderr =
            KeptOutput::new(process.stderr.take().map(OwnedFd::from), most).map_err(failed)?;
        let mut child = Self {
            process,
            group,
            mark,
            input,
            stdout,
            stderr,
            started: Instant::now(),
            deadline: order.deadline,
            grace: order.grace,
            is_over: false,
        };

        // The launcher begins at once; what does not fit into the pipe follows in `wait`.
        child.input.give();
        Ok(child)
    }

    /// Its process number, which is that of its group, too.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Waits for its end, its deadline, or until `stop` is readable; then nothing of it is left.
    ///
    /// # Errors
    /// `NotFound` or another kind with the launcher's reason, if the program could not be started; those
    /// of the system.
    pub fn wait(mut self, stop: Option<std::os::fd::BorrowedFd<'_>>) -> Result<ChildOutcome> {
        let failed = |error| Error::io("waiting for a process", error);
        let early = self.watch(stop).map_err(failed)?;
        if early.is_some() {
            self.end_group().map_err(failed)?;
        }

        let status = self.process.wait().map_err(failed)?;
        self.clear_away();
        // What was written before the end is still in the pipes.
        self.stdout.take_in().map_err(failed)?;
        self.stderr.take_in().map_err(failed)?;

        let end = early.unwrap_or_else(|| end_of(status));
        self.check_launcher(end)?;
        Ok(ChildOutcome {
            end,
            stdout: std::mem::take(&mut self.stdout.bytes),
            stderr: std::mem::take(&mut self.stderr.bytes),
            lost: self.stdout.lost + self.stderr.lost,
            duration: self.started.elapsed(),
        })
    }

    /// Feeds and reads until the process has ended; returns why it has to be ended before.
    fn watch(&mut self, stop: Option<std::os::fd::BorrowedFd<'_>>) -> io::Result<Option<End>> {
        let exit = pidfd_open(self.group, PidfdFlags::empty())?;
        loop {
            self.input.give();
            self.stdout.take_in()?;
            self.stderr.take_in()?;

            let Some(left) = self.deadline.checked_sub(self.started.elapsed()) else {
                return Ok(Some(End::TooLong));
            };
            let mut events = vec![PollFd::new(&exit, PollFlags::IN)];
            let of_stop = stop.map(|stop| PollFd::from_borrowed_fd(stop, PollFlags::IN));
            events.extend(of_stop);
            let outputs = [&self.stdout.pipe, &self.stderr.pipe];
            for pipe in outputs.into_iter().flatten() {
                events.push(PollFd::new(pipe, PollFlags::IN));
            }
            if let Some(pipe) = &self.input.pipe {
                events.push(PollFd::new(pipe, PollFlags::OUT));
            }

            let wait = Timespec::try_from(left).ok();
            rustix::io::retry_on_intr(|| poll(&mut events, wait.as_ref()))?;
            if !events[0].revents().is_empty() {
                return Ok(None);
            }
            if stop.is_some() && !events[1].revents().is_empty() {
                return Ok(Some(End::Stopped));
            }
        }
    }

    /// Asks the group to end, and ends it when its grace is over.
    fn end_group(&mut self) -> io::Result<()> {
        let _ = kill_process_group(self.group, Signal::TERM);

        let exit = pidfd_open(self.group, PidfdFlags::empty())?;
        let wait = Timespec::try_from(self.grace).ok();
        let mut events = [PollFd::new(&exit, PollFlags::IN)];
        rustix::io::retry_on_intr(|| poll(&mut events, wait.as_ref()))?;

        let _ = kill_process_group(self.group, Signal::KILL);
        Ok(())
    }

    /// Ends what is left of the group, and what left it.
    fn clear_away(&mut self) {
        self.is_over = true;
        let _ = kill_process_group(self.group, Signal::KILL);

        // What is being ended may start something at the same moment.
        for _ in 0..SWEEPS_MAX {
            match mark::kill(&self.mark) {
                Ok(0) => return,
                Ok(_) => {}
                Err(error) => {
                    log::warn!("what a process left behind cannot be found: {error}");
                    return;
                }
            }
        }
    }

    fn check_launcher(&self, end: End) -> Result<()> {
        let text = String::from_utf8_lossy(&self.stderr.bytes);
        match text.strip_prefix(PREFIX) {
            Some(reason) if end == End::Exited(i32::from(NOT_STARTED)) => {
                let text = format!("the process was not started: {}", reason.trim_end());
                Err(Error::new(ErrorKind::Usage, text))
            }
            _ => Ok(()),
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if !self.is_over {
            let _ = kill_process_group(self.group, Signal::KILL);
            let _ = self.process.wait();
            self.clear_away();
        }
    }
}

impl Feed {
    fn new(pipe: Option<ChildStdin>, order: &Order) -> io::Result<Self> {
        let mut setup = order.setup.clone();
        setup.parent = std::process::id().cast_signed();
        let setup = serde_json::to_vec(&setup)?;
        let mut bytes = format!("{:08x}", setup.len()).into_bytes();
        bytes.extend_from_slice(&setup);
        bytes.extend_from_slice(&order.input);

        if let Some(pipe) = &pipe {
            rustix::io::ioctl_fionbio(pipe, true)?;
        }
        Ok(Self {
            pipe,
            bytes,
            sent: 0,
        })
    }

    /// Writes what fits now; a program that reads no further gets no more.
    fn give(&mut self) {
        let Some(pipe) = &mut self.pipe else { return };
        loop {
            if self.sent == self.bytes.len() {
                break;
            }
            match pipe.write(&self.bytes[self.sent..]) {
                Ok(count) => self.sent += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => break,
            }
        }
        self.pipe = None;
    }
}

impl KeptOutput {
    fn new(pipe: Option<OwnedFd>, most: usize) -> io::Result<Self> {
        if let Some(pipe) = &pipe {
            rustix::io::ioctl_fionbio(pipe.as_fd(), true)?;
        }
        Ok(Self {
            pipe,
            bytes: Vec::new(),
            most,
            lost: 0,
        })
    }

    /// Reads what is there, so that the process never waits for us, up to a bound at a time.
    fn take_in(&mut self) -> io::Result<()> {
        let Some(pipe) = &self.pipe else {
            return Ok(());
        };

        let mut file = std::fs::File::from(pipe.try_clone()?);
        let mut buffer = [0; 16 << 10];
        for _ in 0..READS_MAX {
            match file.read(&mut buffer) {
                Ok(0) => {
                    self.pipe = None;
                    return Ok(());
                }
                Ok(count) => {
                    let room = self.most - self.bytes.len();
                    let kept = count.min(room);
                    self.bytes.extend_from_slice(&buffer[..kept]);
                    self.lost += (count - kept) as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

fn end_of(status: ExitStatus) -> End {
    match (status.code(), status.signal()) {
        (Some(code), _) => End::Exited(code),
        (None, signal) => End::Signalled(signal.unwrap_or_default()),
    }
}

/// Reads between two looks at the clock.
const READS_MAX: usize = 64;

/// More generations than that are not awaited; what is left is found by the next [`sweep`](super::sweep).
const SWEEPS_MAX: usize = 20;
