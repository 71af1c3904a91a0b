// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Sessions that go: those whose files are committed, those that nobody goes on with, and all of the processes before.

use std::io;
use std::time::Duration;

use crate::disk::{FilePlace, Folder};
use crate::formats::xet::XorbHash;
use crate::store::catalog::{Catalog, Layout};
use crate::store::clearing::{ClearMode, ClearedKind};
use crate::store::hidden_folder::{HiddenFolder, XET};
use crate::store::xorbs::xet_session::{XetSession, XetSessionId};
use crate::store::xorbs::xet_sessions::XetSessions;
use crate::threads::lock;

impl XetSessions {
    /// Begins with none: whoever sent what is there has no token any more.
    pub(crate) fn open(layout: &Layout) -> Self {
        if !layout.is_read_only() {
            log_failure(remove_left(layout.hidden()));
        }
        Self::default()
    }
}

impl Catalog {
    /// Removes the sessions that nobody has gone on with for so long; returns what they have.
    pub(crate) fn clear_xorbs(&self, idle_min: Duration, mode: ClearMode) -> ClearedKind {
        let mut cleared = ClearedKind::default();
        let going = self.take(&mut |session| session.is_idle(idle_min), mode, &mut cleared);
        self.remove_sessions(&going);
        cleared
    }

    /// Removes the sessions that nobody has gone on with in the time for which unfinished uploads are kept.
    pub(super) fn clear_left_xorbs(&self) {
        self.clear_xorbs(self.options.upload_age_max, ClearMode::Remove);
    }

    /// Removes sessions that seem to be left, where there is no room for others; whether there were any.
    pub(super) fn clear_idle_xorbs(&self) -> bool {
        let is_left = &mut |session: &XetSession| session.is_idle(PRESSED_IDLE);
        let going = self.take(is_left, ClearMode::Remove, &mut ClearedKind::default());
        self.remove_sessions(&going);
        !going.is_empty()
    }

    /// Removes the sessions whose files commits have named.
    pub(crate) fn end_xet_sessions(&self) {
        let mut cleared = ClearedKind::default();
        let is_done =
            &mut |session: &XetSession| session.is_done && session.is_idle(Duration::ZERO);
        let going = self.take(is_done, ClearMode::Remove, &mut cleared);
        self.remove_sessions(&going);
    }

    /// Marks sessions as going, so that nobody begins with one while its files are removed.
    fn take(
        &self,
        is_meant: &mut dyn FnMut(&XetSession) -> bool,
        mode: ClearMode,
        cleared: &mut ClearedKind,
    ) -> Vec<XetSessionId> {
        let mut going = Vec::new();
        for (id, session) in lock(&self.xet_sessions.0).iter_mut() {
            if !is_meant(session) {
                continue;
            }
            cleared.files += session.xorbs.len() as u64;
            cleared.bytes += session.bytes;
            if mode == ClearMode::Remove {
                session.is_going = true;
                going.push(*id);
            }
        }
        going
    }

    fn remove_sessions(&self, going: &[XetSessionId]) {
        for id in going {
            let folder = self.layout.hidden().existing(XET);
            let removed = folder.and_then(|folder| match folder {
                Some(folder) => remove_session(&folder, &id.to_string()),
                None => Ok(()),
            });
            log_failure(removed);
            lock(&self.xet_sessions.0).remove(id);
        }
    }
}

/// Removes what is there of all sessions. What cannot be of this store stays.
fn remove_left(hidden: &HiddenFolder) -> io::Result<()> {
    let Some(folder) = hidden.existing(XET)? else {
        return Ok(());
    };
    for entry in folder.entries()? {
        let name = entry?.name.into_string().unwrap_or_default();
        if name.parse::<XetSessionId>().is_ok() {
            log_failure(remove_session(&folder, &name));
        }
    }
    Ok(())
}

fn log_failure(removed: io::Result<()>) {
    if let Err(error) = removed {
        log::warn!("what an upload by xet has sent cannot be removed: {error}");
    }
}

fn remove_session(sessions: &Folder, name: &str) -> io::Result<()> {
    let folder = match sessions.enter(name) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entered => entered?,
    };
    for entry in folder.entries()? {
        let name = entry?.name.into_string().unwrap_or_default();
        if name.parse::<XorbHash>().is_ok() {
            FilePlace::new(&folder, name).remove_unsynced()?;
        }
    }
    sessions.remove_empty(name)
}

/// For how long nobody has gone on with a session that makes room for another one. Clients that are at work send 64 MiB
/// at a time.
const PRESSED_IDLE: Duration = Duration::from_secs(10 * 60);
