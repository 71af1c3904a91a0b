// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Whether models can be changed now: the directory is there, and is not served read-only.

use std::sync::atomic::Ordering;

use crate::disk::FolderPosition;
use crate::error::{Error, ErrorKind, Result};
use crate::store::catalog::layout::Layout;

impl Layout {
    /// Whether models can be changed: the directory is there, and not served read-only.
    ///
    /// # Errors
    /// As [`Layout::check_there`], and `Forbidden`.
    pub(crate) fn check_writable(&self) -> Result<()> {
        self.check_there()?;
        if !self.is_read_only {
            return Ok(());
        }

        let text = "this server serves its models read-only, and takes no changes";
        Err(Error::new(ErrorKind::Forbidden, text).hint(
            "on the server, make the file system of the model directory writable, start without \
             --read-only, and try again",
        ))
    }

    /// Whether two folders may be able to get the names of each other in one step that survives a power cut.
    pub(crate) fn exchanges(&self) -> bool {
        !self.refuses_exchange.load(Ordering::SeqCst)
            && self.folder.exchanges_folders().unwrap_or(false)
    }

    /// Notes that they are not.
    pub(crate) fn note_no_exchange(&self) {
        self.refuses_exchange.store(true, Ordering::SeqCst);
    }

    /// Whether the directory is there, and not the empty one in which a card was mounted: what is put
    /// into that would be out of sight once the card is back.
    ///
    /// # Errors
    /// `Busy` if it is not: it may come back.
    pub(crate) fn check_there(&self) -> Result<()> {
        let text = match self.folder.position() {
            FolderPosition::Same => return Ok(()),
            FolderPosition::Missing => "the model directory is missing",
            // A card was mounted over the directory or unmounted from it.
            FolderPosition::Covered => "the model directory is now on another file system",
            FolderPosition::Replaced => "the model directory was replaced by another one",
        };

        Err(Error::new(ErrorKind::Busy, text)
            .hint("check whether it was removed or unmounted; once it is back, restart the server"))
    }
}
