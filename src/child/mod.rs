// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The only room that starts processes. A child is the own binary with a hidden verb, which prepares
//! itself and then becomes the program.
//!
//! Invariants: a child inherits no variable and no descriptor but its three; it ends with whoever
//! started it; its output and its time are bounded; and when it is over, nothing that it started runs
//! on, not even what left its process group.

mod launcher;
mod mark;
mod order;
mod running;

pub use launcher::{NOT_STARTED, VERB, launch};
pub use order::{ChildLimits, Confinement, Order, Setup};
pub use running::{Child, ChildOutcome, End};

use crate::error::{Error, Result};

/// Ends what children of this owner left behind, for example when their server was killed; returns how
/// many processes there were.
///
/// # Errors
/// If the list of processes cannot be read.
pub fn sweep(owner: &str) -> Result<usize> {
    let kill = || mark::kill(&mark::of_owner(owner)?);
    kill().map_err(|error| Error::io("looking for processes that were left behind", error))
}
