// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A session that is in use, so that it stays.

use std::sync::Arc;
use std::time::Instant;

use crate::error::{ErrorKind, Result};
use crate::formats::xet::XorbHash;
use crate::store::catalog::Catalog;
use crate::store::xorbs::xet_session::{KeptXorb, XetSession, XetUpload};
use crate::threads::lock;

/// A request that is under way; its session stays meanwhile.
pub(super) struct SessionUse {
    pub(super) catalog: Arc<Catalog>,
    pub(super) upload: XetUpload,
}

impl SessionUse {
    /// Takes room in a session; those that are left make some where it is needed.
    ///
    /// # Errors
    /// As [`XetSessions::begin`](crate::store::xorbs::XetSessions).
    pub(super) fn begin(catalog: &Arc<Catalog>, upload: XetUpload) -> Result<Self> {
        let sessions = &catalog.xet_sessions;
        catalog.clear_left_xorbs();
        if let Err(error) = sessions.begin(&upload, &catalog.options) {
            let is_bound = matches!(error.kind(), ErrorKind::NoSpace | ErrorKind::Busy);
            if !is_bound || !catalog.clear_idle_xorbs() {
                return Err(error);
            }
            sessions.begin(&upload, &catalog.options)?;
        }
        Ok(Self {
            catalog: Arc::clone(catalog),
            upload,
        })
    }

    /// Changes what is known of the session.
    pub(super) fn with<T>(&self, change: impl FnOnce(&mut XetSession) -> T) -> Option<T> {
        let mut sessions = lock(&self.catalog.xet_sessions.0);
        sessions.get_mut(&self.upload.session).map(change)
    }

    /// A xorb of the session.
    pub(super) fn xorb(&self, hash: XorbHash) -> Option<KeptXorb> {
        self.with(|session| session.xorbs.get(&hash).copied())
            .flatten()
    }
}

impl Drop for SessionUse {
    fn drop(&mut self) {
        self.with(|session| {
            session.open -= 1;
            session.coming -= self.upload.size;
            session.used = Instant::now();
        });
    }
}
