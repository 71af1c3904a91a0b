// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The socket between a process, the supervisor of a child and the program before its exec: messages
//! of JSON, and the descriptors that go with them.
//!
//! Each end is closed on exec, so that no program can read or forge a message.

use std::io::{self, IoSlice, IoSliceMut, Read as _, Write as _};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::child::order::{Enforcement, Setup};

/// The hidden verb: alone it begins a supervisor.
pub(super) const VERB: &str = "__launch";

/// The word after the verb that begins a program.
pub(super) const PROGRAM: &str = "program";

/// The word after the verb of a supervisor that has already lost what it inherited.
pub(super) const CLEAN: &str = "clean";

/// Asks the group of the program to end.
pub(super) const TERMINATE: u8 = b'T';

/// Ends the program and all that it started; the end of the socket means the same.
pub(super) const KILL: u8 = b'K';

/// What a supervisor, and then the program, has to do. Three descriptors come with it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Errand {
    pub(super) setup: Setup,
    /// What the program has in its environment, see [`mark`](super::mark).
    pub(super) mark: String,
    /// The process that the program expects above itself.
    pub(super) parent: i32,
}

/// What a supervisor tells, in this order; the program before its exec tells the second and the third.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Report {
    /// This is a supervisor, and it waits for its errand.
    Ready,
    /// Nothing is missing but the exec, whose success is the end of the program's socket.
    Prepared(Option<Enforcement>),
    /// The program was not started, for this reason.
    Refused(String),
    /// The program runs and has this number.
    Started {
        id: i32,
        enforcement: Option<Enforcement>,
    },
    /// The program has ended.
    Ended {
        end: Option<Ended>,
        /// Whether nothing that it started is left.
        is_clear: bool,
    },
}

/// How a program ended by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Ended {
    Exited(i32),
    Signalled(i32),
}

/// One end of the socket.
pub(super) struct Control(UnixStream);

impl Control {
    /// An end whose reads and writes take at most `wait` each, and the standard input of its other side.
    pub(super) fn pair(wait: Duration) -> io::Result<(Self, OwnedFd)> {
        let (ours, theirs) = UnixStream::pair()?;
        ours.set_read_timeout(Some(wait))?;
        ours.set_write_timeout(Some(wait))?;
        Ok((Self(ours), theirs.into()))
    }

    /// The end that this process has as its standard input.
    pub(super) fn of_stdin() -> io::Result<Self> {
        let copy = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3)?;
        Ok(Self(copy.into()))
    }

    /// Sends a message and up to [`DESCRIPTORS_MAX`] descriptors.
    pub(super) fn send(
        &mut self,
        message: &impl Serialize,
        descriptors: &[BorrowedFd<'_>],
    ) -> io::Result<()> {
        let body = serde_json::to_vec(message)?;
        if body.len() > MESSAGE_BYTES_MAX {
            return Err(io::Error::other(
                "its arguments and environment are too long",
            ));
        }
        let mut bytes = format!("{:08x}", body.len()).into_bytes();
        bytes.extend_from_slice(&body);

        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX))];
        let mut attached = SendAncillaryBuffer::new(&mut space);
        if !descriptors.is_empty() && !attached.push(SendAncillaryMessage::ScmRights(descriptors)) {
            return Err(io::Error::other("these are too many descriptors"));
        }

        // Descriptors go with the first bytes; what does not fit at once has none left to carry.
        let parts = [IoSlice::new(&bytes)];
        let send = || sendmsg(&self.0, &parts, &mut attached, SendFlags::NOSIGNAL);
        let sent = rustix::io::retry_on_intr(send)?;
        self.0.write_all(&bytes[sent..])
    }

    /// Receives a message and its descriptors, which are closed on exec; `None` at the end.
    pub(super) fn receive<T: DeserializeOwned>(&mut self) -> io::Result<Option<(T, Vec<OwnedFd>)>> {
        let mut digits = [0; 8];
        let mut descriptors = Vec::new();
        let first = self.receive_some(&mut digits, &mut descriptors)?;
        if first == 0 {
            return Ok(None);
        }
        self.0.read_exact(&mut digits[first..])?;

        let text = String::from_utf8_lossy(&digits);
        let length = usize::from_str_radix(&text, 16).map_err(io::Error::other)?;
        if length > MESSAGE_BYTES_MAX {
            return Err(io::Error::other("a message is too long"));
        }

        let mut body = vec![0; length];
        self.0.read_exact(&mut body)?;
        let message = serde_json::from_slice(&body).map_err(io::Error::other)?;
        Ok(Some((message, descriptors)))
    }

    fn receive_some(&self, buffer: &mut [u8], into: &mut Vec<OwnedFd>) -> io::Result<usize> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX))];
        let mut attached = RecvAncillaryBuffer::new(&mut space);
        let mut parts = [IoSliceMut::new(buffer)];
        let mut receive = || recvmsg(&self.0, &mut parts, &mut attached, RecvFlags::CMSG_CLOEXEC);
        let received = rustix::io::retry_on_intr(&mut receive)?;

        for message in attached.drain() {
            if let RecvAncillaryMessage::ScmRights(descriptors) = message {
                into.extend(descriptors);
            }
        }
        Ok(received.bytes)
    }

    /// Sends a command.
    pub(super) fn command(&mut self, command: u8) -> io::Result<()> {
        self.0.write_all(&[command])
    }

    /// Receives a command; `None` at the end.
    pub(super) fn next_command(&mut self) -> io::Result<Option<u8>> {
        let mut byte = [0];
        let count = self.0.read(&mut byte)?;
        Ok((count > 0).then_some(byte[0]))
    }
}

impl AsFd for Control {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// How long each step of a start may take, before it counts as failed. Machines under load are slow.
pub(super) const START_WAIT_MAX: Duration = Duration::from_secs(20);

/// Standard input, output and error.
pub(super) const DESCRIPTORS_MAX: usize = 3;

/// An environment and arguments are shorter.
const MESSAGE_BYTES_MAX: usize = 1 << 20;
