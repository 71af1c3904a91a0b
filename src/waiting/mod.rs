// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What waits for its socket without a thread: the contract between the poller and whoever waits.
//!
//! Invariant: a connection is owned either by the poller, which waits for it, or by exactly one
//! thread that works on it; its [`Seat`] is the way back.

mod holders;

pub(crate) use holders::{Full, Holders, Rank, Room};

use std::io;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::time::Instant;

/// Somebody who waits for a socket. No method may block: one thread serves all who wait.
pub(crate) trait Waiter: Send {
    /// The socket has bytes, an end or an error. Whoever waits on returns itself; `None` means that the
    /// connection is over, or that another thread has it and will put it back.
    fn ready(self: Box<Self>) -> Option<Box<dyn Waiter>>;

    /// Until when to wait at the latest.
    fn deadline(&self) -> Instant;

    /// The deadline has passed; the answer is as for [`Waiter::ready`].
    fn expired(self: Box<Self>) -> Option<Box<dyn Waiter>>;

    /// The server stops. Whoever has nothing left to do returns `None`, which closes the connection.
    fn stopped(self: Box<Self>) -> Option<Box<dyn Waiter>>;

    /// Whether there may be bytes that no event of the socket announces any more, since they were read
    /// already or left in the kernel.
    fn has_more(&self) -> bool;

    /// Whether to be woken once more after the other side has closed its half, of which the kernel tells
    /// only once. Whoever says so must find that end when it reads.
    fn heeds_end(&self) -> bool {
        true
    }
}

/// A connection's place among all, given back when it is dropped.
pub(crate) trait Place: Send {
    /// Begins to count as one that is worked on.
    ///
    /// # Errors
    /// If it may not.
    fn begin(&mut self) -> Result<(), Full>;

    /// Counts as one that only waits again; whether it did not before.
    fn end(&mut self) -> bool;

    /// Counts as one that is worked on again, since it was before.
    fn resume(&mut self);

    /// Says for whom it is worked on from now on.
    ///
    /// # Errors
    /// If it is worked on already, and there are too many of this caller: it stays whose it was.
    fn rank(&mut self, rank: Rank) -> Result<(), Full>;

    /// The caller has shown who it is, so it does not have to make room for strangers.
    fn vouch(&mut self);
}

/// A connection's place at the poller.
pub(crate) trait Seat: Send + Sync {
    /// Has the poller wait again.
    fn put_back(self: Arc<Self>, waiting: Box<dyn Waiter>);

    /// Has the poller tell of room for bytes in the socket, too.
    ///
    /// # Errors
    /// Those of the system.
    fn heed_room(&self, socket: BorrowedFd<'_>) -> io::Result<()>;

    /// Has it tell no more of that.
    fn ignore_room(&self, socket: BorrowedFd<'_>);

    /// Has the poller tell whenever something else becomes readable.
    ///
    /// # Errors
    /// `AlreadyExists` if that is told of already, in this seat or another one, and those of the system.
    fn watch(&self, source: BorrowedFd<'_>) -> io::Result<()>;

    /// Has it tell no more of that. It has to be called before the descriptor is closed.
    fn forget(&self, source: BorrowedFd<'_>);
}
