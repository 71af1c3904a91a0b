// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Answers without an end, such as streams of events: how their content comes, and how they are sent
//! by a thread that an answer has as long as it lasts.
//!
//! Nothing waits for such an answer: a shutdown ends it at once, and a caller that left is noticed
//! while nothing is written.

use std::io;
use std::os::fd::BorrowedFd;

use crate::stop::Stop;
use crate::transport::{Transport, Wake};

/// Content that comes as it happens.
pub trait Endless: Send {
    /// What is there now. It must not wait.
    fn next(&mut self) -> Happened;

    /// Readable whenever [`Endless::next`] may have something new.
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

/// Gives pieces of endless content to `write` until it ends, the caller leaves or the server stops.
///
/// # Errors
/// `ConnectionReset` if the caller left; those of `write` and of the system.
pub(crate) fn pour(
    source: &mut dyn Endless,
    stop: &Stop,
    connection: &mut dyn Pipe,
) -> io::Result<()> {
    loop {
        match source.next() {
            Happened::Bytes(bytes) if bytes.is_empty() => {}
            Happened::Bytes(bytes) => connection.write(&bytes)?,
            Happened::End => return Ok(()),
            // Nothing is polled: the thread sleeps until the source, the stop or the caller wakes
            // it.
            Happened::Nothing => {
                let wake = connection
                    .transport()
                    .wait(source.descriptor(), stop.descriptor()?)?;
                match wake {
                    Wake::Source => {}
                    Wake::Stop => return Ok(()),
                    Wake::Left => return Err(io::ErrorKind::ConnectionReset.into()),
                }
            }
        }

        // Content that never runs dry must not outlive the server either.
        if stop.is_stopped() {
            return Ok(());
        }
    }
}

/// Where the pieces go.
pub(crate) trait Pipe {
    /// Sends a piece whole.
    ///
    /// # Errors
    /// Those of the connection.
    fn write(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// The connection itself.
    fn transport(&mut self) -> &mut dyn Transport;
}
