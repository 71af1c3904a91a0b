// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A descriptor that can be polled for something that happens inside this process; it costs nothing
//! until somebody asks for it.

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::sync::OnceLock;

use rustix::event::{EventfdFlags, eventfd};

/// A descriptor that is readable from [`Bell::ring`] until [`Bell::silence`].
///
/// Invariant: its owner calls all of its functions under one lock, the one of the state that the bell
/// stands for. So a bell that is made late can be rung at once if there is a reason to.
#[derive(Debug, Default)]
pub(crate) struct Bell(OnceLock<OwnedFd>);

impl Bell {
    /// The descriptor, which is made with the first call and is silent then.
    ///
    /// # Errors
    /// If the process has no descriptor left.
    pub(crate) fn descriptor(&self) -> io::Result<BorrowedFd<'_>> {
        if self.0.get().is_none() {
            let made = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
            // A second caller may have been quicker, and then its descriptor is the one.
            let _ = self.0.set(made);
        }

        self.0
            .get()
            .map(|descriptor| descriptor.as_fd())
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// Makes the descriptor readable, if there is one.
    pub(crate) fn ring(&self) {
        if let Some(descriptor) = self.0.get() {
            // It fails only if the counter is full, and a full counter is readable.
            let _ = rustix::io::write(descriptor, &1_u64.to_ne_bytes());
        }
    }

    /// Makes the descriptor unreadable, if there is one.
    pub(crate) fn silence(&self) {
        if let Some(descriptor) = self.0.get() {
            // It fails only if the counter is zero, and then there is nothing to take back.
            let _ = rustix::io::read(descriptor, &mut [0; 8]);
        }
    }

    /// Whether a descriptor was made.
    #[cfg(test)]
    pub(crate) fn is_made(&self) -> bool {
        self.0.get().is_some()
    }
}

/// Whether a descriptor is readable at this moment.
#[cfg(test)]
pub(crate) fn is_readable(descriptor: BorrowedFd<'_>) -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};

    let at_once = Timespec::default();
    let mut polled = [PollFd::from_borrowed_fd(descriptor, PollFlags::IN)];
    poll(&mut polled, Some(&at_once)).unwrap() == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bell_that_nobody_polls_has_no_descriptor() {
        let bell = Bell::default();
        bell.ring();
        bell.silence();
        assert!(!bell.is_made());
    }

    #[test]
    fn a_bell_is_readable_from_its_ring_until_it_is_silenced() {
        let bell = Bell::default();
        assert!(!is_readable(bell.descriptor().unwrap()));

        bell.ring();
        bell.ring();
        assert!(is_readable(bell.descriptor().unwrap()));
        assert!(is_readable(bell.descriptor().unwrap()));

        bell.silence();
        assert!(!is_readable(bell.descriptor().unwrap()));
    }
}
