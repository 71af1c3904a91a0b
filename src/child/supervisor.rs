// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The supervisor: a small process between whoever ordered a child and its program. Whatever the
//! program leaves behind becomes its child, and is ended with the program.
//!
//! Invariants: it ends the program and all that came of it when the program ends, when it is told to,
//! and when whoever ordered it is gone; it needs no pidfd; and a number is signalled only while its
//! process is not waited for, so that it belongs to nobody else.

use std::fs;
use std::io::{self, Read as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, WaitIdStatus, kill_process, kill_process_group, waitid,
};
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGQUIT, SIGTERM};

use crate::child::control::{
    Control, Ended, Errand, KILL, PROGRAM, Report, START_WAIT_MAX, TERMINATE, VERB,
};
use crate::child::mark::VARIABLE;
use crate::child::order::Enforcement;

/// Does what the errand on standard input says.
pub(super) fn run() -> io::Result<()> {
    let mut control = Control::of_stdin()?;
    control.send(&Report::Ready, &[])?;
    let Some((errand, descriptors)) = control.receive::<Errand>()? else {
        return Ok(());
    };

    // Before the program begins, so that none of its ends is missed.
    let mut bell = signals()?;
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;

    let leader = match start(errand, descriptors) {
        Ok((leader, enforcement)) => {
            let id = leader.0.as_raw_pid();
            control.send(&Report::Started { id, enforcement }, &[])?;
            leader
        }
        Err(reason) => {
            clear();
            return control.send(&Report::Refused(reason), &[]);
        }
    };

    let is_told = watch(&leader, &mut control, &mut bell);
    let (end, is_clear) = leader.finish();
    // Whoever ordered this may be gone, and the work is done.
    let _ = control.send(&Report::Ended { end, is_clear }, &[]);
    is_told
}

/// Has ends of children ring, and requests to end do nothing else: a service manager sends those to
/// every process, but whoever ordered the child decides about it.
fn signals() -> io::Result<UnixStream> {
    let (bell, clapper) = UnixStream::pair()?;
    bell.set_nonblocking(true)?;
    for signal in [SIGCHLD, SIGHUP, SIGINT, SIGQUIT, SIGTERM] {
        signal_hook::low_level::pipe::register(signal, clapper.try_clone()?)?;
    }
    Ok(bell)
}

/// Starts the program, whose socket ends with its exec. Gives the reason if it did not come that far.
fn start(
    mut errand: Errand,
    descriptors: Vec<OwnedFd>,
) -> Result<(Leader, Option<Enforcement>), String> {
    let wrong = |error: io::Error| format!("the launcher: {error}");
    let (mut control, theirs) = Control::pair(START_WAIT_MAX).map_err(wrong)?;
    errand.parent = rustix::process::getpid().as_raw_pid();

    // A leader of a group cannot begin a session, which has a group of its own.
    let mut command = Command::new("/proc/self/exe");
    command.args([VERB, PROGRAM]).env_clear().stdin(theirs);
    command.env(VARIABLE, &errand.mark);
    if !errand.setup.own_session {
        command.process_group(0);
    }
    let process = command.spawn().map_err(wrong)?;
    let leader = Leader(Pid::from_child(&process));
    // It holds the other end.
    drop(command);

    let borrowed: Vec<_> = descriptors
        .iter()
        .map(|descriptor| descriptor.as_fd())
        .collect();
    control.send(&errand, &borrowed).map_err(wrong)?;

    let mut prepared = None;
    loop {
        match control.receive().map_err(wrong)? {
            Some((Report::Prepared(enforcement), _)) => prepared = Some(enforcement),
            Some((Report::Refused(reason), _)) => return Err(reason),
            Some(_) => {}
            None => break,
        }
    }
    let enforcement = prepared.ok_or("it ended before its program could begin")?;
    Ok((leader, enforcement))
}

/// Waits for the end of the program, or until it has to be ended.
fn watch(leader: &Leader, control: &mut Control, bell: &mut UnixStream) -> io::Result<()> {
    loop {
        // Emptied before the look at what it announces, so that it rings again for what comes after.
        let mut rings = [0; 64];
        while bell.read(&mut rings).is_ok_and(|count| count > 0) {}

        if leader.peek(WaitIdOptions::NOHANG)?.is_some() {
            return Ok(());
        }
        leader.reap_orphans();

        let mut events = [
            PollFd::new(&*bell, PollFlags::IN),
            PollFd::new(&*control, PollFlags::IN),
        ];
        // Without a bound: whoever ordered this has one, and its end is an event, too.
        rustix::io::retry_on_intr(|| poll(&mut events, None))?;
        if events[1].revents().is_empty() {
            continue;
        }

        match control.next_command()? {
            Some(TERMINATE) => leader.ask(),
            Some(KILL) | None => return Ok(()),
            Some(_) => {}
        }
    }
}

/// The process of the program, which leads a group. Nobody has waited for it, so its number is its own;
/// waiting consumes it.
struct Leader(Pid);

impl Leader {
    /// How it ended; it stays a zombie.
    fn peek(&self, options: WaitIdOptions) -> io::Result<Option<WaitIdStatus>> {
        let options = options | WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        let wait = || waitid(WaitId::Pid(self.0), options);
        Ok(rustix::io::retry_on_intr(wait)?)
    }

    /// Asks its group to end.
    fn ask(&self) {
        let _ = kill_process_group(self.0, Signal::TERM);
    }

    /// Waits for those of our children that are over, except for the leader.
    fn reap_orphans(&self) {
        // Looking for them is dear, and usually there are none.
        let look = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
        if !waitid(WaitId::All, look).is_ok_and(|status| status.is_some()) {
            return;
        }

        for orphan in children().unwrap_or_default() {
            if orphan != self.0 {
                let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
                let _ = waitid(WaitId::Pid(orphan), options);
            }
        }
    }

    /// Ends it, its group and all that came of it. Says how it ended and whether nothing is left.
    fn finish(self) -> (Option<Ended>, bool) {
        let _ = kill_process_group(self.0, Signal::KILL);
        // What changed its user cannot be ended, and is not waited for either.
        let options = match kill_process(self.0, Signal::KILL) {
            Ok(()) => WaitIdOptions::empty(),
            Err(_) => WaitIdOptions::NOHANG,
        };
        let status = self.peek(options).ok().flatten();

        let exited = |status: &WaitIdStatus| status.exit_status().map(Ended::Exited);
        let signalled = |status: &WaitIdStatus| status.terminating_signal().map(Ended::Signalled);
        let end = status.and_then(|status| exited(&status).or_else(|| signalled(&status)));
        (end, clear())
    }
}

/// Ends all children and waits for them until there is none: what they leave behind becomes a child of
/// this process. Says whether that succeeded.
fn clear() -> bool {
    for _ in 0..GENERATIONS_MAX {
        let look = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
        if waitid(WaitId::All, look).is_err_and(|error| error == Errno::CHILD) {
            return true;
        }

        // What changed its user cannot be ended, and would be waited for without end.
        let mut ended = children().unwrap_or_default();
        ended.retain(|child| kill_process(*child, Signal::KILL).is_ok());
        if ended.is_empty() {
            return false;
        }
        for child in ended {
            let wait = || waitid(WaitId::Pid(child), WaitIdOptions::EXITED);
            let _ = rustix::io::retry_on_intr(wait);
        }
    }
    false
}

/// The children of this process.
fn children() -> io::Result<Vec<Pid>> {
    let own = rustix::process::getpid();
    let mut children = Vec::new();
    for entry in fs::read_dir("/proc")?.flatten() {
        let name = entry.file_name();
        let number = name.to_str().and_then(|name| name.parse().ok());
        let Some(pid) = number.and_then(Pid::from_raw) else {
            continue;
        };

        // The name of a process may have spaces and parentheses; its state and its parent follow.
        let stat = fs::read(entry.path().join("stat")).unwrap_or_default();
        let stat = String::from_utf8_lossy(&stat);
        let after_name = stat.rsplit(')').next().unwrap_or_default();
        let parent = after_name.split_whitespace().nth(1);
        if parent.and_then(|parent| parent.parse().ok()) == Some(own.as_raw_pid()) {
            children.push(pid);
        }
    }
    Ok(children)
}

/// Enough for any tree; what begins anew without end is bounded by a limit of processes.
const GENERATIONS_MAX: usize = 10_000;
