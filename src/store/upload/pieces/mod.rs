// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Uploads in pieces as the store offers them: begun, and taken over by the next request.

#[cfg(test)]
mod tests;

use std::time::Duration;

use crate::disk::GrowingFile;
use crate::error::Result;
use crate::event::Happening;
use crate::store::catalog::MODEL_MODE;
use crate::store::failure::{unknown, unstored};
use crate::store::store_handle::Store;
use crate::store::upload::intent::UploadIntent;
use crate::store::upload::journal::UploadState;
use crate::store::upload::pending::log_failure;
use crate::store::upload::session::UploadSession;

impl Store {
    /// How long an upload that nobody continues is kept.
    pub(crate) fn upload_age_max(&self) -> Duration {
        self.catalog().options.upload_age_max
    }

    /// Begins an upload that can be continued by later requests and later processes.
    ///
    /// # Errors
    /// `Busy` if there are too many, or too many of this principal; `NoSpace` if the length, where it is known, does not fit;
    /// otherwise those of the file system.
    pub(crate) fn begin(&self, order: UploadIntent) -> Result<UploadSession> {
        let catalog = self.catalog();
        catalog.check_changeable()?;
        if let Some(length) = order.length {
            self.catalog().check_space(length)?;
        }

        // The place is reserved before any file is made, so that a refused upload leaves nothing
        // behind.
        let id = catalog
            .pending
            .reserve(&order, &catalog.layout, &catalog.options)?;

        let entry = catalog.pending.find(id)?;
        let mut state = Box::new(UploadState::new(order));

        // Bytes come before their journal: the next start removes bytes without one, so a sudden
        // end in between leaves nothing.
        let created = entry
            .files
            .make_folders()
            .and_then(|()| GrowingFile::create(&entry.files.bytes()?, MODEL_MODE))
            .and_then(|_| state.save(&entry.files));

        if let Err(error) = created {
            log_failure(entry.files.remove());
            catalog.pending.forget(id);
            return Err(unstored(error));
        }

        catalog.events.upload(|| Happening::UploadBegun {
            name: state.order.name.clone(),
            size: state.order.length,
        });

        Ok(UploadSession::new(self.clone(), id, entry, state, 0))
    }

    /// Takes over an upload; a request that holds it is ended first, and what it received is kept.
    ///
    /// # Errors
    /// `NotFound`; `Conflict` if a still newer request came; `Busy` if the earlier one does not end.
    pub(crate) fn turn(&self, id: &str) -> Result<UploadSession> {
        let catalog = self.catalog();
        let id = id.parse()?;
        let entry = catalog.pending.find(id)?;
        let (state, number) = entry.take()?;
        let turn = UploadSession::new(self.clone(), id, entry, state, number);
        if turn.left().is_zero() {
            Err(turn.remove().err().unwrap_or_else(unknown))
        } else {
            Ok(turn)
        }
    }
}
