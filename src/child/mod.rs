// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The only room that starts processes. Between a program and whoever ordered it stands a supervisor,
//! which is the own binary with a hidden verb.
//!
//! Invariants: a program inherits no variable and no descriptor but its three; it ends with whoever
//! ordered it; its output and its time are bounded; and when it is over, nothing that it started runs
//! on, not even what left its group, its session or its environment: whatever loses its parent becomes
//! a child of the supervisor, which ends its children until it has none. Why a program was not started
//! comes by a socket that ends with its exec, so that no program can forge it.
//!
//! Limits: a program of the same user can do what it wants to processes of that user, so one that means
//! harm can end its supervisor first, and then its own mark; what it leaves behind then stays. What
//! becomes another user (sudo) cannot be ended and is only logged. Both need a user of its own, or a
//! container. A chain of processes each of which begins the next one and ends at once may outrun its
//! end, unless its number of processes is limited.
//!
//! Not here: priorities of reads and writes (ioprio_set(2)), for which neither std nor rustix has a safe
//! call. The kernel derives them from [`Setup::nice`] where nothing else is set: the level is
//! (nice + 20) / 5, so that 19 is the lowest one of its class (ioprio_set(2), "Selecting an I/O
//! scheduler"). `ionice -c 3` in front of a program has the idle class.

mod begin_again;
mod confinement;
mod control;
mod launcher;
mod mark;
mod order;
mod pipes;
mod program;
mod running;
mod supervised;
mod supervisor;

pub(crate) use begin_again::begin_again;
pub(crate) use confinement::{ServerReach, confine_server};
pub use launcher::{Launcher, launch};
pub use order::{ChildInput, ChildLimits, Confinement, Enforcement, Order, Setup};
pub use pipes::{OutputLine, OutputName};
pub use running::{Child, ChildOutcome, End};

use crate::error::{Error, Result};

/// Ends what children of this owner left behind, for example when their server and their supervisors
/// were killed; returns how many processes there were.
///
/// # Errors
/// If the list of processes cannot be read.
pub fn sweep(owner: &str) -> Result<usize> {
    let kill = || mark::kill(&mark::of_owner(owner)?);
    kill().map_err(|error| Error::io("looking for processes that were left behind", error))
}
