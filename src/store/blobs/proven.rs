// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The digests of old versions that were read, so that ranges of one do not read all of it each time.

use std::collections::VecDeque;
use std::sync::Mutex;

use crate::digest::Digest;
use crate::store::catalog::Stamp;
use crate::threads::lock;

/// What the last files had that were read for their digests.
#[derive(Default)]
pub(crate) struct ProvenBlobs(Mutex<VecDeque<(Stamp, Digest)>>);

impl ProvenBlobs {
    pub(crate) fn find(&self, stamp: &Stamp) -> Option<Digest> {
        let proven = lock(&self.0);
        let found = proven.iter().find(|(known, _)| known == stamp);
        found.map(|(_, digest)| *digest)
    }

    pub(crate) fn insert(&self, stamp: Stamp, digest: Digest) {
        let mut proven = lock(&self.0);
        proven.truncate(PROVEN_MAX - 1);
        proven.push_front((stamp, digest));
    }
}

/// Versions that are fetched in turns by some callers, or that come back with a folder: 100 kB.
const PROVEN_MAX: usize = 1024;
