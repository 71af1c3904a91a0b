// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A folder that is there already gets all that a commit changes in it in one step, also for programs that look
//! into the directory themselves: a second folder is assembled in the change set, of links to all files that
//! stay and of those that come, and then the two get the names of each other.
//!
//! What the old folder has is in the set then. Models that go become versions from there, what hands have put
//! into it meanwhile is brought over, and the rest goes with the set. A start that finds the record of the
//! commit knows by the number (inode) of the new folder which of both has the name.
//!
//! Where the folder cannot be assembled, or the file system does not know the step, each file gets its name by
//! itself.

mod assembling;
mod bringing_over;
mod changed_names;
mod exchanging;
#[cfg(test)]
mod tests;

pub(super) use assembling::{assemble, folder_of};
pub(super) use exchanging::{CommitWay, bring_late};
