// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A supervisor, as whoever ordered its child sees it: started, told what to do, and asked what came
//! of it.

use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::child::control::{Control, Ended, Errand, KILL, Report, START_WAIT_MAX, TERMINATE};
use crate::child::launcher::Launcher;
use crate::child::mark;
use crate::child::order::{Enforcement, Setup};
use crate::error::{Error, ErrorKind, Result};

/// A supervisor with a program that was started. When it is dropped, the program and all that came of
/// it is ended.
pub(super) struct Supervised {
    process: std::process::Child,
    control: Control,
    mark: String,
    pub(super) id: i32,
    pub(super) enforcement: Option<Enforcement>,
    /// How the program ended, once the supervisor said so.
    end: Option<Ended>,
    is_clear: bool,
    is_gone: bool,
    is_finished: bool,
}

impl Supervised {
    /// Starts a supervisor, and the program by it.
    pub(super) fn start(
        launcher: &Launcher,
        owner: &str,
        setup: Setup,
        descriptors: &[BorrowedFd<'_>],
    ) -> Result<Self> {
        let explained = |error| Error::io("starting a process", error);
        let mark = mark::new(owner).map_err(explained)?;
        let (control, theirs) = Control::pair(START_WAIT_MAX).map_err(explained)?;
        let process = launcher.spawn(theirs).map_err(explained)?;

        // From here on, an error ends the supervisor.
        let mut supervised = Self {
            process,
            control,
            mark,
            id: 0,
            enforcement: None,
            end: None,
            is_clear: false,
            is_gone: false,
            is_finished: false,
        };
        supervised.expect_ready(launcher)?;
        let errand = Errand {
            setup,
            mark: supervised.mark.clone(),
            parent: 0,
        };
        supervised
            .control
            .send(&errand, descriptors)
            .map_err(explained)?;
        supervised.expect_started()?;
        Ok(supervised)
    }

    /// Nothing is entrusted to a program that does not say what it is.
    fn expect_ready(&mut self, launcher: &Launcher) -> Result<()> {
        match self.control.receive() {
            Ok(Some((Report::Ready, _))) => Ok(()),
            _ => {
                // Whatever it is, it knows of no end but this one.
                let _ = self.process.kill();
                self.is_clear = true;
                let binary = launcher.binary().display();
                let text = format!("{binary} cannot start processes for skep: it is no launcher");
                let hint = "call skep::child::launch first in main, or name an installed skep";
                Err(Error::new(ErrorKind::Usage, text).hint(hint))
            }
        }
    }

    fn expect_started(&mut self) -> Result<()> {
        let reason = match self.control.receive() {
            Ok(Some((Report::Started { id, enforcement }, _))) => {
                self.id = id;
                self.enforcement = enforcement;
                return Ok(());
            }
            Ok(Some((Report::Refused(reason), _))) => {
                // Nothing ran, so that nothing has to be looked for.
                self.is_clear = true;
                reason
            }
            Ok(_) => "its supervisor has gone".to_owned(),
            Err(error) => format!("its supervisor does not answer: {error}"),
        };
        let text = format!("the process was not started: {reason}");
        Err(Error::new(ErrorKind::Usage, text))
    }

    /// Asks the program to end.
    pub(super) fn terminate(&mut self) {
        // A supervisor that is gone has ended it.
        let _ = self.control.command(TERMINATE);
    }

    /// Ends the program and all that came of it.
    pub(super) fn kill(&mut self) {
        let _ = self.control.command(KILL);
    }

    /// Takes in what the supervisor said, which has to be there; says whether it is gone.
    pub(super) fn hear(&mut self) -> bool {
        match self.control.receive() {
            Ok(Some((Report::Ended { end, is_clear }, _))) => {
                self.end = end;
                self.is_clear = is_clear;
                if !is_clear {
                    log::warn!("process {} left something that cannot be ended", self.id);
                }
            }
            Ok(Some(_)) => {}
            Ok(None) | Err(_) => self.is_gone = true,
        }
        self.is_gone
    }

    /// Waits for the supervisor, and ends what it did not. Says how the program ended, if that is known.
    pub(super) fn finish(&mut self) -> Option<Ended> {
        self.is_finished = true;
        // It is a zombie, or does not answer.
        let _ = self.process.kill();
        // A process that ignores SIGCHLD has no zombies; then there is nothing to wait for.
        let _ = self.process.wait();
        if !self.is_clear {
            self.kill_marked();
        }
        self.end
    }

    /// Ends what has the mark of the child: all that is known of it if its supervisor was killed.
    fn kill_marked(&mut self) {
        self.is_clear = true;
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
}

impl AsFd for Supervised {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.control.as_fd()
    }
}

impl Drop for Supervised {
    fn drop(&mut self) {
        if self.is_finished {
            return;
        }

        self.kill();
        let deadline = Instant::now() + END_WAIT_MAX;
        while !self.is_gone {
            let left = deadline.saturating_duration_since(Instant::now());
            let wait = Timespec::try_from(left).ok();
            let mut events = [PollFd::new(&self.control, PollFlags::IN)];
            let ready = rustix::io::retry_on_intr(|| poll(&mut events, wait.as_ref()));
            if ready.is_ok_and(|count| count == 0) || left.is_zero() {
                break;
            }
            self.hear();
        }
        self.finish();
    }
}

/// How long a supervisor has to end a program; one that hangs is ended with its program.
pub(super) const END_WAIT_MAX: Duration = Duration::from_secs(10);

/// More generations than that are not awaited; what is left is found by the next [`sweep`](super::sweep).
const SWEEPS_MAX: usize = 20;
