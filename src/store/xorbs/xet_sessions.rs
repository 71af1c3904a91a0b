// SPDX-License-Identifier: Apache-2.0 OR MIT
//! All sessions, and their bounds: those of unfinished uploads, of which one sender may have half.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use crate::error::{Error, ErrorKind, Result};
use crate::store::options::StoreOptions;
use crate::store::xorbs::xet_session::{XetSession, XetSessionId, XetUpload};
use crate::text::counted;
use crate::threads::lock;

/// All sessions, by their names.
#[derive(Default)]
pub(crate) struct XetSessions(pub(super) Mutex<BTreeMap<XetSessionId, XetSession>>);

impl XetSessions {
    /// Takes room in a session, which begins with the first use of it.
    ///
    /// # Errors
    /// `NoSpace` and `Busy` beyond the bounds, `NotFound` for a session of somebody else or one that is over.
    pub(super) fn begin(&self, upload: &XetUpload, options: &StoreOptions) -> Result<()> {
        // The lock is held from the sums to the insertion, so two requests cannot take the same room.
        let mut sessions = lock(&self.0);
        let known = sessions.get(&upload.session);
        if known.is_some_and(|session| session.is_going || session.sender != upload.sender) {
            let text = "this upload is over, or it is that of somebody else";
            return Err(Error::new(ErrorKind::NotFound, text).hint("begin it again"));
        }

        let own = sessions.values().filter(|one| one.sender == upload.sender);
        if known.is_none() {
            let max = options.uploads_max;
            if sessions.len() >= max || own.clone().count() >= max - max / 2 {
                let text = "too many uploads by xet are under way";
                return Err(Error::new(ErrorKind::Busy, text)
                    .hint("wait until one is committed or has expired, or raise max-uploads"));
            }
        }

        let all = Sum::of(sessions.values());
        if !all.has_room(
            upload.size,
            options.uploads_bytes_max,
            options.change_files_max,
        ) {
            return Err(no_room(upload.size, "of all callers"));
        }
        let (bytes_max, xorbs_max) = (options.uploads_bytes_max, options.change_files_max);
        let (bytes_half, xorbs_half) = (bytes_max - bytes_max / 2, xorbs_max - xorbs_max / 2);
        if !Sum::of(own).has_room(upload.size, bytes_half, xorbs_half) {
            return Err(no_room(upload.size, "of one caller"));
        }

        let session = sessions
            .entry(upload.session)
            .or_insert_with(|| XetSession::new(upload.sender.clone()));
        session.open += 1;
        session.is_done = false;
        session.coming += upload.size;
        Ok(())
    }

    /// Notes that a commit has given bytes a name: a session is done when that is said of all of its files.
    pub(crate) fn note_named(&self, digests: &BTreeSet<[u8; 32]>) {
        for session in lock(&self.0).values_mut() {
            let count = session.made.len();
            session.made.retain(|digest| !digests.contains(digest));
            session.is_done |= session.made.len() < count && session.made.is_empty();
        }
    }
}

/// What sessions have together.
struct Sum {
    bytes: u64,
    xorbs: usize,
}

impl Sum {
    fn of<'a>(sessions: impl Iterator<Item = &'a XetSession>) -> Self {
        let none = Self { bytes: 0, xorbs: 0 };
        sessions.fold(none, |sum, session| Self {
            bytes: sum.bytes.saturating_add(session.room()),
            xorbs: sum.xorbs + session.xorbs.len() + session.open,
        })
    }

    fn has_room(&self, size: u64, bytes_max: u64, xorbs_max: usize) -> bool {
        size <= bytes_max.saturating_sub(self.bytes) && self.xorbs < xorbs_max
    }
}

fn no_room(size: u64, whose: &str) -> Error {
    let size = counted(size, "byte");
    let text =
        format!("{size} do not fit beside what was sent {whose} by xet and is not committed");
    Error::new(ErrorKind::NoSpace, text)
        .hint("commit what was sent, or raise max-uploads-bytes and max-change-files")
}
