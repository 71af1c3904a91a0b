// SPDX-License-Identifier: Apache-2.0 OR MIT
//! How far an upload that comes in pieces is, as it is journalled: one small file for each, replaced
//! as a whole, so that it says what was true before or after a power cut.

use std::fmt::Write as _;
use std::io;
use std::time::{Duration, Instant};

use crate::digest::{Digest, Hasher};
use crate::disk;
use crate::store::upload::intent::{UploadIntent, field};
use crate::store::upload::upload_files::UploadFiles;

/// What is known of an upload between two requests.
#[derive(Clone)]
pub(crate) struct UploadState {
    pub(crate) order: UploadIntent,
    /// How many bytes were made durable; what the file has behind them counts for nothing.
    pub(crate) offset: u64,
    /// A hasher that has seen exactly those; after a restart there is none.
    pub(crate) hasher: Option<Hasher>,
    pub(crate) stage: UploadStage,
    /// How old it was when this process first saw it, and since when it did not change. Only the first
    /// depends on a clock that may be set meanwhile.
    seen: (Duration, Instant),
    journal: Journal,
}

/// Whether the file says what the memory does.
#[derive(Clone, Copy, PartialEq)]
enum Journal {
    Written,
    Unsure,
}

/// Where an upload stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum UploadStage {
    /// More can come.
    Open,
    /// It is about to become a model with this digest.
    Finishing(Digest),
    /// It is a model.
    Done(Digest),
}

impl UploadState {
    pub(crate) fn new(order: UploadIntent) -> Self {
        let (hasher, seen) = (Some(Hasher::new()), (Duration::ZERO, Instant::now()));
        Self {
            order,
            offset: 0,
            hasher,
            stage: UploadStage::Open,
            seen,
            journal: Journal::Unsure,
        }
    }

    /// The bytes that this upload occupies, or will.
    pub(crate) fn size(&self) -> u64 {
        match self.stage {
            UploadStage::Done(_) => 0,
            _ => self.order.length.unwrap_or_default().max(self.offset),
        }
    }

    /// For how long it was not changed.
    pub(crate) fn age(&self) -> Duration {
        self.seen.0.saturating_add(self.seen.1.elapsed())
    }

    /// Journals it.
    pub(crate) fn save(&mut self, files: &UploadFiles) -> io::Result<()> {
        let mut text = format!("{HEADER}\noffset {}\n", self.offset);
        // Writing to a String cannot fail.
        let _ = match self.stage {
            UploadStage::Open => Ok(()),
            UploadStage::Finishing(digest) => writeln!(text, "finishing {digest}"),
            UploadStage::Done(digest) => writeln!(text, "done {digest}"),
        };

        self.order.write(&mut text);

        // From here until the write has succeeded, the file may say the one or the other.
        self.journal = Journal::Unsure;
        disk::write_at(&files.record()?, text.as_bytes(), 0o600)?;
        (self.journal, self.seen) = (Journal::Written, (Duration::ZERO, Instant::now()));

        Ok(())
    }

    /// Whether the file surely says what the memory does.
    pub(crate) fn is_journalled(&self) -> bool {
        self.journal == Journal::Written
    }

    /// Journals it if the last time failed, after which the file may say one thing or the other.
    pub(crate) fn save_again(&mut self, files: &UploadFiles) -> io::Result<()> {
        if self.is_journalled() {
            Ok(())
        } else {
            self.save(files)
        }
    }

    /// What was journalled; `None` if that cannot be read.
    pub(crate) fn load(files: &UploadFiles) -> Option<Self> {
        let place = files.record().ok()?;
        let changed = place.facts().ok()?.modified.time();

        // A time in the future is the mark of a clock that was set back: not old.
        let seen = (changed.elapsed().unwrap_or_default(), Instant::now());
        let text = String::from_utf8(place.read(JOURNAL_BYTES_MAX).ok()?).ok()?;

        // A journal in another format is not guessed at.
        let text = text.strip_prefix(HEADER)?;
        let order = UploadIntent::read(text)?;
        let offset = field(text, "offset")?.parse().ok()?;
        let digest = |key| field(text, key).and_then(|digest| digest.parse().ok());

        let stage = match (digest("finishing"), digest("done")) {
            (_, Some(digest)) => UploadStage::Done(digest),
            (Some(digest), None) => UploadStage::Finishing(digest),
            (None, None) => UploadStage::Open,
        };

        Some(Self {
            order,
            offset,
            // The state of a hasher is not journalled; the bytes are read again before they are
            // published.
            hasher: None,
            stage,
            seen,
            journal: Journal::Written,
        })
    }
}

const HEADER: &str = "skep-upload 1";

/// More than the longest texts of an order.
const JOURNAL_BYTES_MAX: u64 = 64 << 10;
