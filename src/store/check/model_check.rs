// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Reading a model again to see whether its bytes are still those whose digest is remembered.
//!
//! The bytes come from the disk, not from any memory: neither ours nor, as far as the kernel lets
//! go of it, its own.

use std::fs::File;
use std::io::{self, Read as _};
use std::sync::Arc;
use std::time::SystemTime;

use rustix::fs::Advice;

use crate::digest::{Digest, Hasher};
use crate::error::Result;
use crate::event::Happening;
use crate::model::{ModelName, Verified};
use crate::store::catalog::{Catalog, Stamp, Standing};
use crate::store::check::scrub_state::ScrubCounts;
use crate::store::failure::unreadable;
use crate::store::store_handle::Store;

/// A model that is being read again.
pub struct Check {
    catalog: Arc<Catalog>,
    name: ModelName,
    file: File,
    stamp: Stamp,
    remembered: Option<(Stamp, Digest)>,
    started: SystemTime,
    hasher: Hasher,
    read: u64,
}

/// What came of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// In a word.
    pub outcome: Verified,
    /// The digest now; `None` if the model cannot be read.
    pub digest: Option<Digest>,
    /// The digest that was remembered.
    pub remembered: Option<Digest>,
}

impl Store {
    /// What the scrub has found.
    pub fn scrub_counts(&self) -> ScrubCounts {
        self.catalog().scrub.counts()
    }

    /// Begins to read a model again.
    ///
    /// # Errors
    /// As [`Store::find`].
    pub fn verify(&self, name: &ModelName) -> Result<Check> {
        Check::new(self.catalog(), name)
    }
}

impl Check {
    pub(crate) fn new(catalog: &Arc<Catalog>, name: &ModelName) -> Result<Self> {
        catalog.layout.check_there()?;

        // The open file is checked, not the name: a replacement during a long read is not taken for
        // damage.
        let opened = {
            let shown = catalog.shown();
            shown.check(name)?;
            catalog.layout.open_model(name)
        };
        let opened = opened.map_err(|error| unreadable(name, error))?;

        let (file, stamp) = opened.ok_or_else(|| catalog.not_found(name))?;

        Ok(Self {
            remembered: catalog.index.remembered(name),
            catalog: Arc::clone(catalog),
            name: name.clone(),
            file,
            stamp,
            started: SystemTime::now(),
            hasher: Hasher::new(),
            read: 0,
        })
    }

    /// Bytes read so far.
    pub fn read(&self) -> u64 {
        self.read
    }

    /// Bytes of the model.
    pub fn size(&self) -> u64 {
        self.stamp.size
    }

    /// Reads on for about a mebibyte; says what came of it at the end.
    pub fn step(&mut self) -> Option<Verdict> {
        // Not every file system can let go of what it has in memory, and then it is read from there.
        let _ = rustix::fs::fadvise(&self.file, self.read, None, Advice::DontNeed);

        let mut buffer = vec![0; 64 << 10];

        for _ in 0..16 {
            match self.file.read(&mut buffer) {
                Ok(0) => return Some(self.judge()),
                Ok(count) => {
                    self.hasher.update(&buffer[..count]);
                    self.read += count as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    log::error!("the model '{}' cannot be read: {error}", self.name);
                    self.tell_damage(None);
                    return Some(self.verdict(Verified::Unreadable, None));
                }
            }
        }

        None
    }

    fn tell_damage(&self, digest: Option<Digest>) {
        self.catalog.events.model(|| Happening::ModelDamaged {
            name: self.name.clone(),
            digest,
            expected: self.remembered.map(|(_, known)| known),
        });
    }

    fn verdict(&self, outcome: Verified, digest: Option<Digest>) -> Verdict {
        Verdict {
            outcome,
            digest,
            remembered: self.remembered.map(|(_, digest)| digest),
        }
    }

    fn judge(&mut self) -> Verdict {
        let digest = std::mem::take(&mut self.hasher).finish();
        let now = self
            .file
            .metadata()
            .map(|metadata| Stamp::of(&metadata))
            .ok();

        // Bytes that change while they are read have no digest that means anything.
        let is_settled = now == Some(self.stamp);

        // Only the same stamp with another digest is damage: a change by a program would have
        // changed the times.
        let outcome = match self.remembered {
            Some((_, known)) if known == digest => Verified::Intact,
            Some((stamp, _)) if stamp == self.stamp && is_settled => Verified::Damaged,
            Some(_) => Verified::Changed,
            None => Verified::New,
        };

        // A digest of damaged bytes is not learned, so every later check finds the damage again.
        if outcome == Verified::Damaged {
            log::error!(
                "the model '{}' is damaged: its digest is now {digest:?}",
                self.name
            );
            self.tell_damage(Some(digest));
        } else if is_settled && self.is_trusted() {
            self.catalog.learn(&self.name, self.stamp, digest);
        }

        self.verdict(outcome, Some(digest))
    }

    /// Whether what was read belongs to this stamp for good, and there is something to learn.
    fn is_trusted(&self) -> bool {
        let tick = self.catalog.options.clock_tick;
        let is_old = self.stamp.young_for(tick, self.started).is_zero();
        let stands = matches!(self.catalog.layout.standing(&self.name),
            Ok(Standing::Model(stamp)) if stamp == self.stamp);
        let is_known = self
            .remembered
            .is_some_and(|(stamp, _)| stamp == self.stamp);
        is_old && stands && !is_known
    }
}
