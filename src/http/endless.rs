// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Answers without an end, such as streams of events: how their content comes.
//!
//! Nothing waits for such an answer: a shutdown ends it at once, but for a caller that is behind, which
//! has a second for its last bytes. A caller that left is noticed while nothing is written. It has no thread: the one that waits for all connections waits for its
//! content, too.

use std::os::fd::BorrowedFd;

/// Content that comes as it happens.
pub trait Endless: Send {
    /// What is there now. It must not wait, since one thread asks for all connections. It is asked until it
    /// has nothing, and then again once the descriptor tells of something new.
    fn next(&mut self) -> Happened;

    /// Becomes readable whenever [`Endless::next`] may have something new; always the same one, which
    /// `epoll` can wait for.
    fn descriptor(&self) -> BorrowedFd<'_>;
}

/// What [`Endless::next`] says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Happened {
    /// These bytes are to be sent; there may be more. No bytes are nothing.
    Bytes(Vec<u8>),
    /// There is nothing new.
    Nothing,
    /// The content has come to its end after all.
    End,
}
